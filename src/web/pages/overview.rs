//! `/`: the state over a span, in a sentence, in figures, over time, and what is behind it.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};

use self::news::{New, News};
use super::html;
use crate::policy::ceiling::Ceiling;
use crate::review::clock::Timestamp;
use crate::store::Store;
use crate::store::read::{Bucket, Hits, Range, Ranking, Referred, Scope, Slice, Summary, Which};
use crate::web::address::Address;
use crate::web::bar::Bar;
use crate::web::chart::Chart;
use crate::web::ended::EndedCeilings;
use crate::web::error::PageError;
use crate::web::frame::{Frame, Notice, Visit};
use crate::web::sentence::{Sentence, state as state_of};
use crate::web::span::{Span, lead, scope_of};
use crate::web::tables::{Cell, HitRow, cells, image_rows, namespace_rows, rule_rows};
use crate::web::{Live, WebState, filters, gaps};

mod news;

/// Columns that can still be told apart on a telephone.
const MAX_COLUMNS: usize = 64;
/// Rows that are shown of each table.
const SHOWN: Slice = Slice { skip: 0, limit: 8 };

#[derive(Template)]
#[template(path = "pages/overview.html")]
struct Overview {
    frame: Frame,
    bar: Bar,
    sentence: Sentence,
    span: Span,
    ended: Option<EndedCeilings>,
    cells: Vec<Cell>,
    chart: Option<Chart>,
    news: News,
    rules: Table,
    by_namespace: Table,
    images: Table,
    policies: Vec<PolicyLine>,
    /// Where to look when the span holds nothing.
    latest: Option<Latest>,
}

/// What a page says before there is anything to show.
#[derive(Template)]
#[template(path = "pages/first_review.html")]
struct FirstReview {
    frame: Frame,
    command: String,
    policies: Vec<PolicyLine>,
}

struct Table {
    rows: Vec<HitRow>,
    more: u64,
}

struct PolicyLine {
    name: String,
    mode: &'static str,
    in_stages: bool,
    capped: Option<String>,
    rules: Vec<RuleLine>,
}

struct RuleLine {
    id: String,
    mode: &'static str,
    in_stages: bool,
}

struct Latest {
    at: String,
    href: Address,
}

/// Everything that the page reads of the history.
struct Found {
    summary: Summary,
    undeclared: u64,
    /// Images.
    unreadable: u64,
    buckets: Vec<Bucket>,
    rules: Ranking,
    namespaces: Ranking,
    images: Ranking,
    new: New,
    latest: Option<Timestamp>,
    ceilings: Vec<Ceiling>,
    bar: Bar,
}

pub async fn show(State(state): State<Arc<WebState>>, visit: Visit) -> Result<Response, PageError> {
    let scope = scope_of(&visit)?;
    let live = state.live(&visit.reach).await?;
    let found = Found::of(&state.store, &visit, &scope).await?;
    Ok(match found.latest {
        None if visit.reach.is_everything() => FirstReview::of(&visit, &live)?.into_response(),
        _ => Overview::of(&visit, &scope, &live, found)?.into_response(),
    })
}

// === impl Found ===

impl Found {
    async fn of(store: &Store, visit: &Visit, scope: &Scope) -> Result<Self, PageError> {
        let range = Range { since: scope.since, until: scope.until };
        let here = visit.to("/");
        let hit = |of| store.hits(of, scope, Which::Hit, SHOWN);
        let new = |of| store.hits(of, scope, Which::New, SHOWN);
        let figures = async { tokio::try_join!(store.summary(scope), store.chart(scope, MAX_COLUMNS)) };
        let hits = async { tokio::try_join!(hit(Hits::Rules), hit(Hits::Namespaces), hit(Hits::Repositories)) };
        let news = async { tokio::try_join!(new(Hits::Rules), new(Hits::Namespaces), new(Hits::Repositories)) };
        let ((summary, buckets), (rules, namespaces, images), news, undeclared, unreadable, latest, ceilings, bar) = tokio::try_join!(
            figures,
            hits,
            news,
            store.undeclared(scope),
            store.count_references(&Referred::Unreadable, scope),
            store.last_at(&scope.reach),
            store.ceilings_within(range, &scope.reach),
            Bar::of(store, visit, &here),
        )?;
        let new = New { rules: news.0, namespaces: news.1, images: news.2 };
        Ok(Self { summary, undeclared, unreadable, buckets, rules, namespaces, images, new, latest, ceilings, bar })
    }
}

// === impl FirstReview ===

impl FirstReview {
    fn of(visit: &Visit, live: &Live) -> Result<Html<String>, PageError> {
        let frame = Frame::of("Waiting for the first review", visit, live, visit.to("/"));
        html(&Self { frame, command: live.first_review.clone(), policies: policies(live) })
    }
}

// === impl Overview ===

impl Overview {
    fn of(visit: &Visit, scope: &Scope, live: &Live, found: Found) -> Result<Html<String>, PageError> {
        let Found { summary, bar, .. } = found;
        let gaps = gaps::in_span(&summary, live, scope.cluster.as_deref());
        let mut frame = Frame::of("Overview", visit, live, bar.here.clone());
        frame.notices.extend(Notice::of_gaps(&gaps, &visit.zone));
        frame.notices.extend(Notice::of_unjudged(summary.figures.unjudged));
        frame.notices.extend(Notice::of_figures_without_rows(&summary, scope, &visit.zone));
        frame.notices.extend(Notice::of_undeclared(found.undeclared));
        let unreadable = visit.to("/images").with("unreadable", "true");
        frame.notices.extend(Notice::of_unreadable(found.unreadable, &unreadable));
        // The lists behind the figures: of the span that was really counted, dry runs left out as there.
        let list = visit
            .to("/decisions")
            .with("since", summary.since.to_string())
            .with("until", summary.until.to_string())
            .with("dry_run", "false");
        let sentence =
            state_of(&lead(visit, scope), &summary.figures, found.rules.rejecting, Some(found.namespaces.rejecting));
        let latest = found.latest.filter(|_| summary.figures.reviews + summary.figures.dry_runs == 0);
        let latest = latest.map(|at| Latest {
            at: visit.zone.second(at),
            href: visit.to("/decisions").without("since").without("until"),
        });
        html(&Self {
            sentence,
            span: Span::of(visit, scope, (summary.since, summary.until)),
            ended: EndedCeilings::of(&found.ceilings, visit.now, &visit.zone),
            cells: cells(&summary.figures, &list, &visit.reach),
            chart: Chart::of(found.buckets, &gaps, &visit.zone, &list),
            news: News::of(&summary, found.new, &list, &visit.zone),
            rules: Table::of(found.rules.all, rule_rows(found.rules.hits, &list)),
            by_namespace: Table::of(found.namespaces.all, namespace_rows(found.namespaces.hits, &list)),
            images: Table::of(found.images.all, image_rows(found.images.hits, &list)),
            policies: policies(live),
            latest,
            frame,
            bar,
        })
    }
}

fn policies(live: &Live) -> Vec<PolicyLine> {
    let rule = |rule: &crate::web::LoadedRule| RuleLine {
        id: rule.id.clone(),
        mode: rule.mode.as_str(),
        in_stages: rule.in_stages,
    };
    let line = |policy: &crate::web::LoadedPolicy| PolicyLine {
        name: policy.name.clone(),
        mode: policy.mode.as_str(),
        in_stages: policy.in_stages,
        capped: policy.capped.clone(),
        rules: policy.rules.iter().map(rule).collect(),
    };
    live.policies.iter().map(line).collect()
}

// === impl Table ===

impl Table {
    fn of(all: u64, rows: Vec<HitRow>) -> Self {
        Self { more: all.saturating_sub(rows.len() as u64), rows }
    }
}
