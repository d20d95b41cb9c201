//! `/agreement`: local policies beside the webhooks, over a span: where they agree, and what is behind it where they do not.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Html;

use super::html;
use crate::review::agreement::Accord;
use crate::review::comparison::Stance;
use crate::review::decision::Gap;
use crate::store::read::{AccordBucket, Cause, Disagreed, Pair, Scope, Side};
use crate::web::address::Address;
use crate::web::agreement::{Chosen, Found, Loaded, list_of, local, sentence};
use crate::web::bar::Bar;
use crate::web::chart::{self, Chart};
use crate::web::error::PageError;
use crate::web::filters::{self, count};
use crate::web::frame::{Frame, Notice, Visit};
use crate::web::matrix::{self, Matrix};
use crate::web::place::{self, Place};
use crate::web::sentence::Sentence;
use crate::web::span::{Span, lead, scope_of};
use crate::web::tables::Cell;
use crate::web::{Live, WebState, gaps};

/// Columns that can still be told apart on a telephone.
const MAX_COLUMNS: usize = 64;
/// Rows of each table of what is behind it.
const SHOWN: u16 = 8;

#[derive(Template)]
#[template(path = "pages/agreement.html")]
struct AgreementPage {
    frame: Frame,
    bar: Bar,
    sentence: Sentence,
    span: Span,
    loaded: Loaded,
    /// `None`: there is nothing to look at.
    shown: Option<Shown>,
    pairs: Vec<PairRow>,
    /// Of their figures.
    labels: [&'static str; Accord::ALL.len()],
    candidates: Vec<String>,
    of_candidates: Address,
    api: Address,
}

/// The pair that is looked at.
struct Shown {
    /// As a table's head names them.
    local: String,
    webhook: String,
    label: String,
    cells: Vec<Cell>,
    said: Matrix,
    chart: Option<Chart>,
    sides: [OneSide; 2],
}

/// What the reviews have in common on which one denies alone.
struct OneSide {
    id: &'static str,
    heading: String,
    /// What is said under it.
    note: String,
    number: (u64, Address),
    class: &'static str,
    tables: Vec<CauseTable>,
}

struct CauseTable {
    heading: &'static str,
    rows: Vec<CauseRow>,
    more: u64,
}

struct CauseRow {
    name: String,
    /// Of a namespace.
    cluster: String,
    href: Address,
    reviews: (u64, Address),
}

/// A pair among the others.
struct PairRow {
    local: String,
    webhook: String,
    href: Address,
    is_shown: bool,
    /// In the order of [`Accord::ALL`].
    figures: Vec<Figure>,
}

struct Figure {
    label: &'static str,
    class: &'static str,
    figure: (u64, Address),
}

pub async fn show(State(state): State<Arc<WebState>>, visit: Visit) -> Result<Html<String>, PageError> {
    let scope = scope_of(&visit)?;
    let live = state.live(&visit.reach).await?;
    let (store, loaded) = (&state.store, Loaded::of(&live));
    let here = visit.to("/agreement").with_some("webhook", visit.parameters.text("webhook"));
    let here = here.with_some("local", visit.parameters.text("local"));
    let found = Found::of(store, &loaded, &visit.parameters, &scope, (MAX_COLUMNS, SHOWN));
    let gaps = gaps::of_scope(store, &live, &scope);
    let (found, gaps, bar) = tokio::try_join!(found, gaps, Bar::of(store, &visit, &here))?;
    html(&AgreementPage::of(&visit, &scope, &live, (loaded, found, gaps), bar))
}

// === impl AgreementPage ===

impl AgreementPage {
    fn of(
        visit: &Visit,
        scope: &Scope,
        live: &Live,
        (loaded, found, gaps): (Loaded, Found, Vec<Gap>),
        bar: Bar,
    ) -> Self {
        let agreements = &found.agreements;
        let mut frame = Frame::of("Agreement", visit, live, bar.here.clone());
        frame.notices.extend(Notice::of_gaps(&gaps, &visit.zone));
        frame.notices.extend(of_uncounted(&found, visit));
        if !agreements.paired.is_empty() {
            frame.notices.extend(Notice::of_counted(agreements.since, &agreements.horizons, scope, &visit.zone));
        }
        // The lists behind the figures: of the span that was really counted, dry runs left out as there.
        let list = visit
            .to("/decisions")
            .with("since", agreements.since.to_string())
            .with("until", agreements.until.to_string())
            .with("dry_run", "false");
        let lead = lead(visit, scope);
        let sentence = match &found.chosen {
            Some(chosen) => sentence(&lead, &chosen.pair, &chosen.accords),
            None => Sentence::default().plain(format!("{lead} no webhook was asked what local policies judged.")),
        };
        // What is loaded and judged nothing in that time is no figure.
        let shown = found.chosen.as_ref().filter(|chosen| chosen.accords.reviews() > 0);
        Self {
            frame,
            sentence,
            span: Span::of(visit, scope, (agreements.since, agreements.until)),
            shown: shown.map(|chosen| Shown::of(visit, &found, chosen, &gaps, &list)),
            pairs: found.pairs().into_iter().map(|pair| PairRow::of(pair, &found, &bar.here, &list)).collect(),
            labels: Accord::ALL.map(|accord| told(accord).1),
            candidates: live.candidates.iter().map(|candidate| candidate.name.clone()).collect(),
            of_candidates: visit.to("/candidates"),
            api: bar.here.at("/api/v1/agreement").without("tz"),
            loaded,
            bar,
        }
    }
}

/// Where the history holds decisions of which it did not note how far they agree.
fn of_uncounted(found: &Found, visit: &Visit) -> Option<Notice> {
    let since = found.agreements.counted_since.filter(|since| *since > found.agreements.since)?;
    Some(Notice {
        class: "warning",
        heading: format!("Counted from {} on", visit.zone.minute(since)),
        text: "Before that this history did not count what local policies and webhooks said of the same reviews."
            .to_owned(),
        href: None,
    })
}

/// A figure's class and label.
fn told(accord: Accord) -> (&'static str, &'static str) {
    match accord {
        Accord::Agreed => ("allowed", "Agreed"),
        Accord::OnlyLocal => ("would", "Local policies alone deny"),
        Accord::OnlyWebhook => ("denied", "The webhook alone denies"),
        Accord::Error => ("failed", "No verdict of one"),
        Accord::Nothing => ("nothing", "Nothing to judge"),
    }
}

/// The class of a link to such reviews.
fn of_link(accord: Accord) -> &'static str {
    match accord {
        Accord::OnlyLocal => "is-would",
        Accord::OnlyWebhook => "is-denied",
        Accord::Error => "is-failed",
        Accord::Agreed | Accord::Nothing => "",
    }
}

// === impl Shown ===

impl Shown {
    fn of(visit: &Visit, found: &Found, chosen: &Chosen, gaps: &[Gap], list: &Address) -> Self {
        let Chosen { pair, over_time, .. } = chosen;
        let list = list_of(list, pair);
        Self {
            label: format!("{} beside {}", local(pair), pair.webhook),
            cells: Accord::ALL.into_iter().map(|accord| cell(accord, chosen, &list)).collect(),
            said: matrix(found, pair, &list),
            chart: Chart::of_stacks(over_time.iter().map(stack).collect(), gaps, &visit.zone, &list),
            sides: [
                OneSide::of(Accord::OnlyLocal, chosen, &list, visit),
                OneSide::of(Accord::OnlyWebhook, chosen, &list, visit),
            ],
            webhook: format!("{} says", pair.webhook),
            local: pair.local.as_ref().map_or_else(|| "Local policies".to_owned(), |name| format!("Policy {name}")),
        }
    }
}

fn cell(accord: Accord, Chosen { pair, accords, .. }: &Chosen, list: &Address) -> Cell {
    let (class, label) = told(accord);
    let is_of_one = pair.local.is_some();
    let label = if is_of_one && accord == Accord::OnlyLocal { "The policy alone denies" } else { label };
    let note = match accord {
        Accord::Agreed => "both allow, or both deny",
        Accord::OnlyLocal => "the webhook lets it through",
        Accord::OnlyWebhook if is_of_one => "the policy would let it through",
        Accord::OnlyWebhook => "local policies would let it through",
        Accord::Error => "an error, or not answered yet",
        Accord::Nothing => "for the webhook, or here where it does not deny",
    };
    let href = Some(list.clone().with("agreement", accord.as_str()));
    Cell { class, label, number: accords.of(accord), note: note.to_owned(), href }
}

/// What the reviews of a side have in common.
fn note(accord: Accord, Pair { webhook, local }: &Pair) -> String {
    match (accord, local) {
        (Accord::OnlyWebhook, None) => format!("denied by {webhook}, and nothing that is rehearsed here says so"),
        (Accord::OnlyWebhook, Some(local)) => format!("denied by {webhook}, and the policy {local} does not say so"),
        (_, None) => format!("let through by {webhook}, and would be rejected here"),
        (_, Some(local)) => format!("let through by {webhook}, and would be rejected by the policy {local}"),
    }
}

fn matrix(found: &Found, pair: &Pair, list: &Address) -> Matrix {
    let of_pair = || found.agreements.paired.iter().filter(|one| one.pair == *pair);
    let reviews = |local: Stance, webhook: Stance| {
        of_pair().filter(|one| (one.local_said, one.webhook_said) == (local, webhook)).map(|one| one.reviews).sum()
    };
    let cell = |local: Stance, webhook: Stance| {
        let list = list.clone().with("local_verdict", local.as_str());
        matrix::Cell {
            class: of_link(Accord::of(local, webhook)),
            figure: (reviews(local, webhook), list.with("webhook_verdict", webhook.as_str())),
        }
    };
    Matrix::of(&[Stance::Allow, Stance::Deny, Stance::Error], reviews, cell)
}

/// What differs stands on the base line.
fn stack(bucket: &AccordBucket) -> chart::Stack {
    let order = [Accord::OnlyWebhook, Accord::Error, Accord::OnlyLocal, Accord::Nothing, Accord::Agreed];
    let of = |accord| bucket.accords.of(accord);
    let mut said = vec![count(bucket.accords.reviews(), "review")];
    let lines = Accord::ALL.into_iter().filter(|accord| of(*accord) > 0);
    said.extend(lines.map(|accord| format!("{}: {}", told(accord).1, filters::group(of(accord)))));
    let figure = |accord: Accord| (of(accord), Some(("agreement", accord.as_str())));
    chart::Stack {
        from: bucket.from,
        to: bucket.to,
        parts: order.into_iter().map(|accord| (told(accord).0, of(accord))).collect(),
        all: bucket.accords.reviews(),
        said: said.join("\n"),
        figures: Accord::ALL.into_iter().map(figure).collect(),
    }
}

// === impl OneSide ===

impl OneSide {
    fn of(accord: Accord, chosen: &Chosen, list: &Address, visit: &Visit) -> Self {
        let Pair { webhook, .. } = &chosen.pair;
        let list = list.clone().with("agreement", accord.as_str());
        let side = |disagreed: &Disagreed| match accord {
            Accord::OnlyWebhook => disagreed.only_webhook.clone(),
            _ => disagreed.only_local.clone(),
        };
        let (id, heading) = match accord {
            Accord::OnlyWebhook => ("surprises", format!("Where {webhook} surprises")),
            _ => ("missed", format!("What {webhook} misses")),
        };
        let of_rule = |cause: &Cause| {
            let (policy, rule) = cause.name.split_once('/').unwrap_or((&cause.name, ""));
            let list = list.clone().with("policy", policy).with("rule", rule);
            (list.clone(), list)
        };
        let of_namespace = |cause: &Cause| {
            let place = Place::of(&cause.cluster, &cause.name);
            (place.page(visit), place.list(&list))
        };
        let of_repository = |cause: &Cause| {
            let page = visit.to("/images").with("repository", &cause.name);
            (page, list.clone().with("repository", &cause.name))
        };
        Self {
            id,
            heading,
            note: note(accord, &chosen.pair),
            class: of_link(accord),
            number: (chosen.accords.of(accord), list.clone()),
            tables: vec![
                CauseTable::of("Rules violated in them", side(&chosen.rules), of_rule),
                CauseTable::of("Namespaces", side(&chosen.namespaces), of_namespace),
                CauseTable::of("Images in them, any tag", side(&chosen.repositories), of_repository),
            ],
        }
    }
}

// === impl CauseTable ===

impl CauseTable {
    /// `addresses` are of what is named, and of the decisions.
    fn of(heading: &'static str, side: Side, addresses: impl Fn(&Cause) -> (Address, Address)) -> Self {
        let more = side.more();
        let row = |cause: Cause| {
            let (href, list) = addresses(&cause);
            let Cause { name, cluster, reviews } = cause;
            let is_of_cluster = name.is_empty() && !cluster.is_empty();
            let name = if is_of_cluster { place::name("").to_owned() } else { name };
            CauseRow { name, cluster, href, reviews: (reviews, list) }
        };
        Self { heading, rows: side.causes.into_iter().map(row).collect(), more }
    }
}

// === impl PairRow ===

impl PairRow {
    fn of(pair: &Pair, found: &Found, here: &Address, list: &Address) -> Self {
        let (accords, list) = (found.agreements.accords(pair), list_of(list, pair));
        let figure = |accord: Accord| {
            let figure = (accords.of(accord), list.clone().with("agreement", accord.as_str()));
            Figure { label: told(accord).1, class: of_link(accord), figure }
        };
        Self {
            local: pair.local.clone().unwrap_or_else(|| "All local policies together".to_owned()),
            webhook: pair.webhook.clone(),
            href: list_of(&here.clone().without("local"), pair),
            is_shown: found.chosen.as_ref().is_some_and(|chosen| chosen.pair == *pair),
            figures: Accord::ALL.into_iter().map(figure).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::read::Accords;

    #[test]
    fn what_one_policy_does_not_say_is_not_said_to_be_said_by_none() {
        let pair = |local: Option<&str>| Pair { webhook: "bouncer".to_owned(), local: local.map(str::to_owned) };
        let said = |accord, local| note(accord, &pair(local));
        assert_eq!(
            said(Accord::OnlyWebhook, Some("images")),
            "denied by bouncer, and the policy images does not say so"
        );
        assert_eq!(said(Accord::OnlyWebhook, None), "denied by bouncer, and nothing that is rehearsed here says so");
        assert_eq!(
            said(Accord::OnlyLocal, Some("images")),
            "let through by bouncer, and would be rejected by the policy images"
        );
        let chosen = |local| Chosen {
            pair: pair(local),
            accords: Accords::default(),
            over_time: Vec::new(),
            rules: Disagreed::default(),
            namespaces: Disagreed::default(),
            repositories: Disagreed::default(),
        };
        let of = |local| {
            let of = |accord| cell(accord, &chosen(local), &Address::of("/decisions"));
            (of(Accord::OnlyLocal).label, of(Accord::OnlyWebhook).note)
        };
        assert_eq!(of(Some("images")), ("The policy alone denies", "the policy would let it through".to_owned()));
        assert_eq!(of(None), ("Local policies alone deny", "local policies would let it through".to_owned()));
    }
}
