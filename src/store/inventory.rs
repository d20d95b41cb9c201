//! Inventories: what ran in a cluster at one time, and what would become of it if its pods were made anew.
//!
//! Invariants: an inventory is stored whole or not at all, and goes whole; it is no review, so that nothing of it is in
//! a table that reviews are counted in; the newest of a cluster, and the newest of its whole ones, stay.

pub mod last_review;
pub(super) mod narrow;
pub mod read;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use self::last_review::LastReview;
use super::database::{Database, Transaction};
use super::error::StoreError;
use super::settings::StoreSettings;
use super::sql::{Insert, Sql};
use super::ticket;
use crate::review::clock::Timestamp;
use crate::review::decision::{Mode, Verdict, Violation};
use crate::review::ticket::Ticket;
use crate::review::workload::Workload;

/// A month of nights.
pub const KEPT: usize = 30;

/// Rows of workloads that one statement inserts: their contents are some hundred bytes to some thousand each.
const INSERTED: usize = 1_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    pub cluster: String,
    pub at: Timestamp,
    pub account: Account,
    pub workloads: Vec<Running>,
    pub namespaces: Vec<Namespace>,
}

/// What it is of, and what it comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// What judged.
    pub revision: String,
    /// Local policies and the versions of them that judged, in their order.
    pub policies: Vec<(String, String)>,
    /// That were not asked.
    pub webhooks: Vec<String>,
    pub coverage: Coverage,
    pub figures: Figures,
}

/// What the input was, as far as that says what is not in the inventory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "InventoryCoverage")]
pub struct Coverage {
    /// Objects of namespaces that were in it.
    pub namespaces: u64,
    /// All pods were of this one, although there are others, or nobody knows of others.
    pub only_namespace: Option<String>,
    /// Lists that the API server had cut.
    pub cut_lists: u64,
    /// Objects that these lists say to lack, where they do.
    pub missing: Option<u64>,
    /// Succeeded or failed: they do not run.
    pub done_pods: u64,
    /// Pods that could not be read.
    pub unread_pods: u64,
    /// How many of each other kind were left out.
    pub others: BTreeMap<String, u64>,
}

/// Counts of workloads, but for the first two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "InventoryFigures")]
pub struct Figures {
    pub pods: u64,
    pub namespaces: u64,
    pub workloads: u64,
    pub refused: u64,
    pub unjudged: u64,
    pub warned: u64,
    pub audited: u64,
    pub exempted: u64,
    /// A local policy judged no review of it since it was loaded.
    pub unreviewed: u64,
}

/// What comes of a workload's next pod: the heaviest that holds.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Outlook {
    /// Nothing stands against it.
    #[default]
    Clear,
    /// All that stands against it is exempted.
    Exempted,
    Audited,
    Warned,
    /// A policy could not judge it, and none that could refuses it.
    Unjudged,
    Refused,
}

/// A workload that has pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    pub namespace: String,
    pub contents: Contents,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    pub workload: Workload,
    pub pods: u64,
    pub images: Vec<RunningImage>,
    /// There are more images than those.
    #[serde(default)]
    pub more_images: bool,
    /// Of each local policy.
    pub verdicts: Vec<Judged>,
    /// `None`: there is none, or the history keeps it no more.
    pub last_review: Option<LastReview>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RunningImage {
    pub container: Option<String>,
    /// As written.
    pub text: String,
    /// Of what runs, where the pods say it: `sha256:..`.
    pub digest: Option<String>,
}

/// What a local policy says of a workload's pods: the heaviest verdict of all, and each violation once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    pub policy: String,
    pub verdict: Verdict,
    pub violations: Vec<Found>,
    /// Violations past those, of all pods together.
    #[serde(default)]
    pub omitted: u64,
    pub error: Option<String>,
    /// Whether this very version of it judged the last review of the workload.
    pub reviewed: bool,
}

/// A violation, and how many of the pods have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    #[serde(flatten)]
    pub violation: Violation,
    pub pods: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    pub name: String,
    pub pods: u64,
    /// `None`: the namespace itself was not in the input.
    pub labels: Option<BTreeMap<String, String>>,
}

/// The inventories of a history, apart from the rest of it: for a process beside the one that serves.
#[derive(Debug)]
pub struct Inventories {
    database: Database,
}

// === impl Inventories ===

impl Inventories {
    /// Creates what is missing and brings the schema up to date.
    pub async fn open(store: &StoreSettings) -> Result<Self, StoreError> {
        Ok(Self { database: Database::open(store).await? })
    }

    /// Of each of these workloads of the cluster, and `None` where there is none.
    pub async fn last_reviews(
        &self,
        cluster: &str,
        workloads: &[(String, Workload)],
    ) -> Result<Vec<Option<LastReview>>, StoreError> {
        last_review::of(&self.database, cluster, workloads).await
    }

    /// The clusters that reviews came of.
    pub async fn reviewed_clusters(&self) -> Result<Vec<String>, StoreError> {
        let rows = self.database.fetch(Sql::new("SELECT name FROM clusters ORDER BY name")).await?;
        rows.into_iter().map(|mut row| row.text(0)).collect()
    }

    /// What the history knows of break-glass tickets, all of it.
    pub async fn tickets(&self) -> Result<Vec<Ticket>, StoreError> {
        let (tickets, _) = ticket::news(&self.database, None).await?;
        Ok(tickets)
    }

    /// In one transaction, which also deletes those that are one too many. Its number.
    pub async fn add(&self, inventory: &Inventory) -> Result<i64, StoreError> {
        let mut tx = self.database.begin().await?;
        self.database.check_schema(&mut tx).await?;
        let id = insert(&mut tx, inventory).await?;
        insert_workloads(&mut tx, id, inventory).await?;
        insert_namespaces(&mut tx, id, inventory).await?;
        delete_old(&mut tx, &inventory.cluster).await?;
        tx.commit().await?;
        Ok(id)
    }

    pub async fn close(&self) {
        self.database.close().await;
    }
}

async fn insert(tx: &mut Transaction, inventory: &Inventory) -> Result<i64, StoreError> {
    let Inventory { cluster, at, account, .. } = inventory;
    let mut sql = Sql::new("INSERT INTO inventories (cluster, at, whole, contents) VALUES (");
    sql.bind(cluster.as_str()).push(", ").bind(at.0).push(", ").bind(account.coverage.is_whole()).push(", ");
    sql.bind(serde_json::to_string(account)?).push(") RETURNING id");
    tx.fetch(sql).await?.first().ok_or_else(|| StoreError::broken("an inventory got no number"))?.int(0)
}

async fn insert_workloads(tx: &mut Transaction, id: i64, inventory: &Inventory) -> Result<(), StoreError> {
    let mut workloads: Vec<&Running> = inventory.workloads.iter().collect();
    workloads.sort_by_cached_key(|one| {
        (std::cmp::Reverse(one.contents.outlook()), one.namespace.clone(), one.contents.workload.clone())
    });
    let columns = &["inventory", "place", "namespace", "outlook", "unreviewed", "contents"];
    let mut place = 0_i64;
    for workloads in workloads.chunks(INSERTED) {
        let mut insert = Insert::into("inventory_workloads", columns, "");
        let columns = &["image", "inventory", "place", "digest"];
        let mut images = Insert::into("inventory_images", columns, "ON CONFLICT DO NOTHING");
        for Running { namespace, contents } in workloads {
            let of_it: BTreeSet<(&str, &str)> = contents.images.iter().map(RunningImage::parts).collect();
            for (image, digest) in of_it {
                images.row([image.into(), id.into(), place.into(), digest.into()]);
            }
            let (outlook, text) = (contents.outlook() as i64, serde_json::to_string(contents)?);
            let unreviewed = contents.is_unreviewed();
            insert.row([
                id.into(),
                place.into(),
                namespace.as_str().into(),
                outlook.into(),
                unreviewed.into(),
                text.into(),
            ]);
            place += 1;
        }
        tx.insert(insert).await?;
        tx.insert(images).await?;
    }
    Ok(())
}

async fn insert_namespaces(tx: &mut Transaction, id: i64, inventory: &Inventory) -> Result<(), StoreError> {
    let mut insert = Insert::into("inventory_namespaces", &["inventory", "name", "pods", "labels"], "");
    for Namespace { name, pods, labels } in &inventory.namespaces {
        let labels = labels.as_ref().map(serde_json::to_string).transpose()?;
        insert.row([id.into(), name.as_str().into(), (*pods).into(), labels.into()]);
    }
    tx.insert(insert).await
}

async fn delete_old(tx: &mut Transaction, cluster: &str) -> Result<(), StoreError> {
    let mut sql = Sql::new("SELECT id, whole FROM inventories WHERE cluster = ");
    sql.bind(cluster).push(" ORDER BY at DESC, id DESC");
    let stored = tx.fetch(sql).await?;
    let stored: Vec<(i64, bool)> =
        stored.iter().map(|row| Ok((row.int(0)?, row.flag(1)?))).collect::<Result<_, StoreError>>()?;
    let newest_whole = stored.iter().find(|(_, whole)| *whole).map(|(id, _)| *id);
    let old = stored.iter().skip(KEPT).map(|(id, _)| *id).filter(|id| Some(*id) != newest_whole);
    let old: Vec<i64> = old.collect();
    if old.is_empty() {
        return Ok(());
    }
    for (table, column) in [
        ("inventory_images", "inventory"),
        ("inventory_workloads", "inventory"),
        ("inventory_namespaces", "inventory"),
        ("inventories", "id"),
    ] {
        let mut sql = Sql::new(&format!("DELETE FROM {table} WHERE {column} IN "));
        sql.list(old.iter().copied());
        tx.execute(sql).await?;
    }
    Ok(())
}

// === impl Coverage ===

impl Coverage {
    /// Whether it is of all that ran there, as far as can be told.
    pub fn is_whole(&self) -> bool {
        self.namespaces > 0 && self.only_namespace.is_none() && self.cut_lists == 0 && self.unread_pods == 0
    }
}

// === impl Figures ===

impl Figures {
    pub fn add(&mut self, running: &Contents) {
        self.pods += running.pods;
        self.workloads += 1;
        self.unreviewed += u64::from(running.is_unreviewed());
        match running.outlook() {
            Outlook::Clear => {}
            Outlook::Exempted => self.exempted += 1,
            Outlook::Audited => self.audited += 1,
            Outlook::Warned => self.warned += 1,
            Outlook::Unjudged => self.unjudged += 1,
            Outlook::Refused => self.refused += 1,
        }
    }
}

// === impl Outlook ===

impl Outlook {
    pub const ALL: [Self; 6] =
        [Self::Refused, Self::Unjudged, Self::Warned, Self::Audited, Self::Exempted, Self::Clear];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Exempted => "exempted",
            Self::Audited => "audited",
            Self::Warned => "warned",
            Self::Unjudged => "unjudged",
            Self::Refused => "refused",
        }
    }
}

impl From<&Violation> for Outlook {
    fn from(violation: &Violation) -> Self {
        match violation.mode {
            _ if violation.exempted.is_some() => Self::Exempted,
            Mode::Audit => Self::Audited,
            Mode::Warn => Self::Warned,
            Mode::Enforce => Self::Refused,
        }
    }
}

// === impl RunningImage ===

impl RunningImage {
    /// As written, and its digest, empty where it is not known.
    fn parts(&self) -> (&str, &str) {
        (&self.text, self.digest.as_deref().unwrap_or_default())
    }
}

// === impl Contents ===

impl Contents {
    pub fn outlook(&self) -> Outlook {
        let of = |judged: &Judged| {
            let error = judged.error.is_some().then_some(Outlook::Unjudged);
            let violations = judged.violations.iter().map(|found| Outlook::from(&found.violation));
            violations.chain(error).max()
        };
        self.verdicts.iter().filter_map(of).max().unwrap_or_default()
    }

    pub fn is_unreviewed(&self) -> bool {
        self.verdicts.iter().any(|judged| !judged.reviewed)
    }

    /// The policies that judged no review of it since they were loaded.
    pub fn unreviewed_by(&self) -> impl Iterator<Item = &str> {
        self.verdicts.iter().filter(|judged| !judged.reviewed).map(|judged| judged.policy.as_str())
    }
}
