//! `/inventory`: what ran in a cluster when it was last looked at, and what would become of it.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Html;

use super::html;
use crate::store::inventory::read::{Listed, Stored};
use crate::store::inventory::{Figures, Outlook, RunningImage};
use crate::web::address::Address;
use crate::web::error::PageError;
use crate::web::filters::{self, count};
use crate::web::frame::{Frame, Notice, Visit};
use crate::web::inventory::{self, PARAMETERS, Selected};
use crate::web::sentence::{Sentence, workload};
use crate::web::{Live, WebState};

const ROWS: u16 = 50;
/// Images, and reasons against it, that a row names.
const NAMED: usize = 4;

#[derive(Template)]
#[template(path = "pages/inventory.html")]
struct InventoryPage {
    frame: Frame,
    here: Address,
    clusters: Vec<String>,
    /// `None`: there is none.
    taken: Option<Taken>,
}

struct Taken {
    sentence: Sentence,
    span: String,
    revision: String,
    of_revision: Option<Address>,
    is_in_force: bool,
    cells: Vec<Cell>,
    kept: Vec<Kept>,
    heading: String,
    rows: Vec<Row>,
    first: Option<Address>,
    next: Option<Address>,
    api: Address,
}

struct Cell {
    label: &'static str,
    note: &'static str,
    class: &'static str,
    number: u64,
    href: Address,
    is_current: bool,
}

/// An inventory to choose.
struct Kept {
    id: i64,
    label: String,
    is_chosen: bool,
}

struct Row {
    namespace: String,
    /// `key=value`, of the namespace.
    labels: Vec<String>,
    workload: String,
    pods: String,
    images: Vec<(String, Option<String>)>,
    more_images: bool,
    class: &'static str,
    outlook: &'static str,
    against: Vec<(String, String)>,
    more_against: usize,
    last_review: String,
    unreviewed: String,
}

pub async fn show(State(state): State<Arc<WebState>>, visit: Visit) -> Result<Html<String>, PageError> {
    let shown = visit.parameters.shown()?;
    let after = visit.parameters.number("after", "a place in this list: begin again at its start")?;
    let live = state.live(&visit.reach).await?;
    let Selected { clusters, cluster, kept, selected } =
        Selected::of(&state.store, &visit.parameters, &visit.reach).await?;
    let here = visit.parameters.address("/inventory", &PARAMETERS).with_some("tz", visit.parameters.text("tz"));
    let mut frame = Frame::of("Inventory", &visit, &live, here.clone());
    let taken = match selected {
        None => None,
        Some(stored) => {
            frame.notices.extend(notices(&stored));
            let page = state.store.inventory(&stored, &shown, &visit.reach, ROWS, after).await?;
            let here = here.clone().with_some("cluster", cluster);
            Some(Taken {
                heading: heading(&here, page.workloads.len(), page.next.is_some() || after.is_some()),
                rows: page.workloads.iter().map(|listed| Row::of(listed, &visit)).collect(),
                first: after.map(|_| here.clone()),
                next: page.next.map(|place| here.clone().with("after", place.to_string())),
                ..Taken::of(&stored, &kept, &here, &visit, &live)
            })
        }
    };
    html(&InventoryPage { frame, here, clusters: filters::proposed(clusters), taken })
}

/// What it is not of, above everything else.
fn notices(stored: &Stored) -> Option<Notice> {
    let coverage = &stored.account.coverage;
    let sentences = inventory::of_coverage(coverage);
    (!coverage.is_whole()).then(|| Notice {
        class: "gap",
        heading: "Not all of the cluster".to_owned(),
        text: sentences.join(" "),
        href: None,
    })
}

fn heading(here: &Address, rows: usize, is_part: bool) -> String {
    let of = match (here.value("outlook"), here.value("unreviewed")) {
        (None, None) => "",
        _ => " like this",
    };
    match rows {
        0 => format!("No workloads{of}"),
        rows if is_part => format!("{}{of} on this page", count(rows as u64, "workload")),
        rows => format!("{}{of}", count(rows as u64, "workload")),
    }
}

fn sentence(cluster: &str, figures: &Figures) -> Sentence {
    let sentence = Sentence::default().plain(format!(
        "In {cluster} {} of {} run; ",
        count(figures.workloads, "workload"),
        count(figures.pods, "pod")
    ));
    match figures.refused {
        0 => sentence.plain("none would be refused when a pod is next made."),
        refused => sentence
            .phrase("denied", format!("{} would be refused", filters::group(refused)))
            .plain(" when a pod is next made: by a drain, an eviction, a scale-up."),
    }
}

// === impl Taken ===

impl Taken {
    fn of(stored: &Stored, kept: &[Stored], here: &Address, visit: &Visit, live: &Live) -> Self {
        let Stored { id, cluster, at, account } = stored;
        let label = |stored: &Stored| {
            let part = if stored.account.coverage.is_whole() { "" } else { ", a part" };
            format!("{}: {}{part}", visit.zone.second(stored.at), count(stored.account.figures.workloads, "workload"))
        };
        let choice = |other: &Stored| Kept { id: other.id, label: label(other), is_chosen: other.id == *id };
        let mut left_out = inventory::of_inventory(account);
        if !account.coverage.is_whole() {
            left_out.retain(|sentence| !inventory::of_coverage(&account.coverage).contains(sentence));
        }
        Self {
            sentence: sentence(cluster, &account.figures),
            span: format!("As recorded {}. {}", visit.zone.second(*at), left_out[1..].join(" ")),
            revision: account.revision.clone(),
            of_revision: visit.of_revision(&account.revision),
            is_in_force: live.revision == account.revision,
            cells: cells(&account.figures, here),
            kept: kept.iter().map(choice).collect(),
            heading: String::new(),
            rows: Vec::new(),
            first: None,
            next: None,
            api: here.at("/api/v1/inventory").without("tz"),
        }
    }
}

fn cells(figures: &Figures, here: &Address) -> Vec<Cell> {
    let every = here.clone().without("outlook").without("unreviewed").without("after");
    let outlook = |label, note, class, number, outlook: Outlook| Cell {
        label,
        note,
        class,
        number,
        href: every.clone().with("outlook", outlook.as_str()),
        is_current: here.value("outlook") == Some(outlook.as_str()),
    };
    let unreviewed = Cell {
        label: "No review yet",
        note: "since a policy was loaded as it is",
        class: "unreviewed",
        number: figures.unreviewed,
        href: every.clone().with("unreviewed", "true"),
        is_current: here.value("unreviewed") == Some("true"),
    };
    vec![
        outlook("Would be refused", "when a pod is next made", "denied", figures.refused, Outlook::Refused),
        outlook("Would be warned", "let in, and told", "would", figures.warned, Outlook::Warned),
        outlook("Only recorded", "let in, in audit mode", "", figures.audited, Outlook::Audited),
        outlook("Exempted", "let in by an exemption or a ticket", "", figures.exempted, Outlook::Exempted),
        outlook("Not judged", "a policy met an error", "failed", figures.unjudged, Outlook::Unjudged),
        unreviewed,
    ]
}

// === impl InventoryPage ===

impl InventoryPage {
    fn asked(&self, name: &str) -> &str {
        self.here.value(name).unwrap_or_default()
    }
}

// === impl Row ===

impl Row {
    fn of(listed: &Listed, visit: &Visit) -> Self {
        let contents = &listed.contents;
        let outlook = contents.outlook();
        let against = inventory::against(contents, outlook);
        let unreviewed: Vec<&str> = contents.unreviewed_by().collect();
        let labels = listed.labels.iter().flatten().filter(|(key, _)| *key != "kubernetes.io/metadata.name");
        let last_review = contents.last_review.as_ref().map(|review| visit.zone.minute(review.at));
        Self {
            namespace: listed.namespace.clone(),
            labels: labels.map(|(key, value)| format!("{key}={value}")).collect(),
            workload: workload(&contents.workload),
            pods: count(contents.pods, "pod"),
            images: contents.images.iter().take(NAMED).map(image).collect(),
            more_images: contents.more_images || contents.images.len() > NAMED,
            class: class(outlook),
            outlook: label(outlook),
            more_against: against.len().saturating_sub(NAMED),
            against: against.into_iter().take(NAMED).collect(),
            last_review: last_review.unwrap_or_else(|| "never".to_owned()),
            unreviewed: unreviewed.join(", "),
        }
    }
}

/// As written, and what it is told by of what runs.
fn image(image: &RunningImage) -> (String, Option<String>) {
    let digest = image.digest.as_ref().filter(|digest| !image.text.contains(digest.as_str()));
    let short = |digest: &String| digest.chars().take("sha256:".len() + 12).collect::<String>() + "…";
    (image.text.clone(), digest.map(short))
}

/// Of its badge.
fn class(outlook: Outlook) -> &'static str {
    match outlook {
        Outlook::Refused => "denied",
        Outlook::Unjudged => "failed",
        Outlook::Warned => "would",
        Outlook::Audited | Outlook::Exempted => "",
        Outlook::Clear => "allowed",
    }
}

fn label(outlook: Outlook) -> &'static str {
    match outlook {
        Outlook::Refused => "refused",
        Outlook::Unjudged => "not judged",
        Outlook::Warned => "warned",
        Outlook::Audited => "recorded",
        Outlook::Exempted => "exempted",
        Outlook::Clear => "let in",
    }
}
