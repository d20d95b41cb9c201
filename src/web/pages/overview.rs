//! `/`: the state over a span, in a sentence, in figures, over time, and what is behind it.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::{Html, IntoResponse, Response};

use self::tables::{Cell, HitRow, cells, image_rows, namespace_rows, rule_rows};
use super::html;
use super::span::{RangeChoice, Span, lead, ranges, scope_of};
use crate::policy::ceiling::Ceiling;
use crate::review::clock::Timestamp;
use crate::store::read::{Bucket, Hit, Range, Scope, Summary};
use crate::web::access::visitor::Visitor;
use crate::web::address::Address;
use crate::web::chart::Chart;
use crate::web::ended::EndedCeilings;
use crate::web::error::PageError;
use crate::web::frame::{Frame, Notice, Visit};
use crate::web::sentence::{Counted, Sentence, state as state_of};
use crate::web::{Live, WebState, filters, gaps};

mod tables;

/// Columns that can still be told apart on a telephone.
const MAX_COLUMNS: usize = 64;
/// Rows that are read, so that the sentence can say how many rules and namespaces there are.
const COUNTED: u16 = 100;
/// Rows that are shown of each table.
const SHOWN: usize = 8;

#[derive(Template)]
#[template(path = "pages/overview.html")]
struct Overview {
    frame: Frame,
    here: Address,
    ranges: Vec<RangeChoice>,
    clusters: Vec<String>,
    namespaces: Vec<String>,
    sentence: Sentence,
    span: Span,
    ended: Option<EndedCeilings>,
    cells: Vec<Cell>,
    chart: Option<Chart>,
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
    more: usize,
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
    buckets: Vec<Bucket>,
    rules: Vec<Hit>,
    namespaces: Vec<Hit>,
    repositories: Vec<Hit>,
    clusters: Vec<String>,
    namespace_names: Vec<String>,
    latest: Option<Timestamp>,
    ceilings: Vec<Ceiling>,
}

pub async fn show(
    State(state): State<Arc<WebState>>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    let visit = Visit::of(&state, visitor, query.as_deref()).await?;
    let scope = scope_of(&visit)?;
    let live = state.live(&visit.reach).await?;
    let found = Found::of(&state, &scope).await?;
    Ok(match found.latest {
        None if visit.reach.is_everything() => FirstReview::of(&visit, &live)?.into_response(),
        _ => Overview::of(visit, &scope, &live, found)?.into_response(),
    })
}

// === impl Found ===

impl Found {
    async fn of(state: &WebState, scope: &Scope) -> Result<Self, PageError> {
        let store = &state.store;
        let range = Range { since: scope.since, until: scope.until };
        let (
            summary,
            undeclared,
            buckets,
            rules,
            namespaces,
            repositories,
            clusters,
            namespace_names,
            latest,
            ceilings,
        ) = tokio::try_join!(
            store.summary(scope),
            store.undeclared(scope),
            store.chart(scope, MAX_COLUMNS),
            store.top_rules(scope, COUNTED),
            store.top_namespaces(scope, COUNTED),
            store.top_repositories(scope, COUNTED),
            store.clusters(&scope.reach),
            store.namespaces(scope.cluster.as_deref(), &scope.reach),
            store.last_at(&scope.reach),
            store.ceilings_within(range, &scope.reach),
        )?;
        Ok(Self {
            summary,
            undeclared,
            buckets,
            rules,
            namespaces,
            repositories,
            clusters,
            namespace_names,
            latest,
            ceilings,
        })
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
    fn of(visit: Visit, scope: &Scope, live: &Live, found: Found) -> Result<Html<String>, PageError> {
        let here = visit.to("/");
        let summary = found.summary;
        let gaps = gaps::in_span(&summary, live, scope.cluster.as_deref());
        let mut frame = Frame::of("Overview", &visit, live, here.clone());
        frame.notices.extend(Notice::of_gaps(&gaps, &visit.zone));
        frame.notices.extend(Notice::of_unjudged(summary.figures.unjudged));
        frame.notices.extend(Notice::of_figures_without_rows(&summary, scope, &visit.zone));
        frame.notices.extend(Notice::of_undeclared(found.undeclared));
        // The lists behind the figures: of the span that was really counted, dry runs left out as there.
        let list = visit
            .to("/decisions")
            .with("since", summary.since.to_string())
            .with("until", summary.until.to_string())
            .with("dry_run", "false");
        let would = |hits: &[Hit]| Counted::of(hits.iter().filter(|hit| hit.would_reject > 0).count(), COUNTED.into());
        let sentence = state_of(&lead(&visit, scope), &summary.figures, would(&found.rules), would(&found.namespaces));
        let latest = found.latest.filter(|_| summary.figures.reviews + summary.figures.dry_runs == 0);
        let latest = latest.map(|at| Latest {
            at: visit.zone.second(at),
            href: visit.to("/decisions").without("since").without("until"),
        });
        html(&Self {
            ranges: ranges(&visit, &here),
            sentence,
            span: Span::of(&visit, scope, (summary.since, summary.until)),
            ended: EndedCeilings::of(&found.ceilings, visit.now, &visit.zone),
            cells: cells(&summary.figures, &list, &visit.reach),
            chart: Chart::of(found.buckets, &gaps, &visit.zone, &list),
            rules: Table::of(rule_rows(found.rules, &list)),
            by_namespace: Table::of(namespace_rows(found.namespaces, &list)),
            images: Table::of(image_rows(found.repositories, &list)),
            clusters: filters::proposed(found.clusters),
            namespaces: filters::proposed(found.namespace_names),
            policies: policies(live),
            latest,
            frame,
            here,
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
    fn of(mut rows: Vec<HitRow>) -> Self {
        let more = rows.len().saturating_sub(SHOWN);
        rows.truncate(SHOWN);
        Self { rows, more }
    }
}
