//! Names become the numbers of the dimension tables.
//!
//! Ids are remembered only after the transaction that read or made them is committed: one rolled back gives its ids
//! to other names.

use std::collections::{BTreeSet, HashMap};

use quick_cache::sync::Cache;

use super::database::Transaction;
use super::error::StoreError;
use super::sql::{Insert, Sql, Value, storable};
use crate::review::decision::ReviewHash;

/// Names remembered of each table: 10,000 workloads are about 2 MB.
const REMEMBERED: usize = 10_000;

/// Places remembered: as many as reviews, 64 bytes each.
const PLACES: usize = 8_000;

/// Names looked up in one statement.
const LOOKED_UP: usize = 500;

/// The columns that make up a name, in the order of the table's.
pub(super) type Name = Vec<Value>;

/// One table of names.
#[derive(Debug)]
pub(super) struct Dimension {
    table: &'static str,
    columns: &'static [&'static str],
    remembered: Cache<Name, i64>,
}

/// The ids of the names of one batch: those that were remembered, and those that are to be.
#[derive(Debug, Default)]
pub(super) struct Ids {
    remembered: HashMap<Name, i64>,
    found: HashMap<Name, i64>,
    /// Both, of names of one column.
    texts: HashMap<String, i64>,
}

#[derive(Debug)]
pub(super) struct Dimensions {
    pub clusters: Dimension,
    pub namespaces: Dimension,
    pub workloads: Dimension,
    pub policies: Dimension,
    pub rules: Dimension,
    pub users: Dimension,
    pub revisions: Dimension,
    pub callers: Dimension,
    pub candidates: Dimension,
    pub versions: Dimension,
    /// A local policy, or 0, and a webhook.
    pub agreements: Dimension,
    /// By the number of the cluster and the review that it sent.
    pub places: Cache<(i64, ReviewHash), Place>,
}

/// Where a decision stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub cluster: i64,
    pub namespace: i64,
    pub workload: i64,
}

// === impl Dimensions ===

impl Dimensions {
    pub fn new() -> Self {
        Self {
            clusters: Dimension::new("clusters", &["name"]),
            namespaces: Dimension::new("namespaces", &["cluster", "name"]),
            workloads: Dimension::new("workloads", &["namespace", "kind", "name"]),
            policies: Dimension::new("policies", &["name"]),
            rules: Dimension::new("rules", &["policy", "name"]),
            users: Dimension::new("users", &["name"]),
            revisions: Dimension::new("revisions", &["name"]),
            callers: Dimension::new("callers", &["name"]),
            candidates: Dimension::new("candidates", &["name"]),
            versions: Dimension::new("versions", &["policy", "name"]),
            agreements: Dimension::new("agreements", &["local", "webhook"]),
            places: Cache::new(PLACES),
        }
    }

    pub fn forget(&self) {
        // Whole, so that a new table of names has to be thought of here.
        let Self {
            clusters,
            namespaces,
            workloads,
            policies,
            rules,
            users,
            revisions,
            callers,
            candidates,
            versions,
            agreements,
            places,
        } = self;
        let named = [clusters, namespaces, workloads, policies, rules, users, revisions, callers, candidates, versions];
        for dimension in named.into_iter().chain([agreements]) {
            dimension.remembered.clear();
        }
        places.clear();
    }
}

// === impl Dimension ===

impl Dimension {
    fn new(table: &'static str, columns: &'static [&'static str]) -> Self {
        Self { table, columns, remembered: Cache::new(REMEMBERED) }
    }

    /// The id of each name; new ones are added.
    pub async fn resolve(
        &self,
        tx: &mut Transaction,
        names: impl IntoIterator<Item = Name>,
    ) -> Result<Ids, StoreError> {
        let mut ids = Ids::default();
        let mut missing = BTreeSet::new();
        for name in names {
            match self.remembered.get(&name) {
                Some(id) => {
                    ids.note(&name, id);
                    ids.remembered.insert(name, id);
                }
                None => {
                    missing.insert(name);
                }
            }
        }
        self.look_up(tx, &missing, &mut ids).await?;
        missing.retain(|name| !ids.found.contains_key(name));
        if !missing.is_empty() {
            let mut insert = Insert::into(self.table, self.columns, "ON CONFLICT DO NOTHING");
            insert.values = missing.iter().flatten().cloned().collect();
            tx.insert(insert).await?;
            self.look_up(tx, &missing, &mut ids).await?;
        }
        Ok(ids)
    }

    /// To be called once the transaction is committed.
    pub fn remember(&self, ids: Ids) {
        for (name, id) in ids.found {
            self.remembered.insert(name, id);
        }
    }

    async fn look_up(&self, tx: &mut Transaction, names: &BTreeSet<Name>, ids: &mut Ids) -> Result<(), StoreError> {
        let columns = self.columns.join(", ");
        let names: Vec<&Name> = names.iter().collect();
        for names in names.chunks(LOOKED_UP) {
            let mut sql = Sql::new(&format!("SELECT id, {columns} FROM {} WHERE ({columns}) IN (", self.table));
            sql.values(names.iter().map(|name| name.iter().cloned())).push(")");
            for mut row in tx.fetch(sql).await? {
                let id = row.int(0)?;
                let name = row.0.split_off(1);
                ids.note(&name, id);
                ids.found.insert(name, id);
            }
        }
        Ok(())
    }
}

// === impl Ids ===

impl Ids {
    /// The id of a name that was resolved.
    pub fn id(&self, name: &[Value]) -> Result<i64, StoreError> {
        let found = self.remembered.get(name).or_else(|| self.found.get(name));
        found.copied().ok_or_else(|| StoreError::broken(format!("a name has no number: {name:?}")))
    }

    /// The same of a name of one column.
    pub fn id_of(&self, name: &str) -> Result<i64, StoreError> {
        let found = self.texts.get(&*storable(name));
        found.copied().ok_or_else(|| StoreError::broken(format!("a name has no number: {name:?}")))
    }

    fn note(&mut self, name: &Name, id: i64) {
        if let [Value::Text(text)] = name.as_slice() {
            self.texts.insert(text.clone(), id);
        }
    }
}
