//! How local policies and webhooks agreed: read from roll-ups.

use super::super::Store;
use super::super::bucket::Width;
use super::super::cell::Cell;
use super::super::database::Database;
use super::super::error::StoreError;
use super::super::figures::{IN_PIECE, Span, but_dry_runs};
use super::super::hits::within_namespaces;
use super::super::horizon;
use super::super::read::{AccordBucket, Accords, Agreements, Cause, Causes, Disagreed, Pair, Paired, Scope};
use super::super::sql::{FOR_EACH_JOIN, Row, Sql};
use crate::review::agreement::Accord;
use crate::review::clock::Timestamp;

impl Store {
    /// How often local policies and webhooks said what of the same reviews, over the same span as the
    /// [`summary`](Self::summary).
    pub async fn agreements(&self, scope: &Scope) -> Result<Agreements, StoreError> {
        agreements(&self.database, scope, Timestamp::now()).await
    }

    /// Bars over the same span, as those of the [`chart`](Self::chart).
    pub async fn agreement_over_time(
        &self,
        scope: &Scope,
        pair: &Pair,
        max_buckets: usize,
    ) -> Result<Vec<AccordBucket>, StoreError> {
        over_time(&self.database, scope, pair, max_buckets, Timestamp::now()).await
    }

    /// What is behind it that one of a pair denies alone, at most `limit` of each side.
    pub async fn disagreed(&self, of: Causes, scope: &Scope, pair: &Pair, limit: u16) -> Result<Disagreed, StoreError> {
        causes(&self.database, of, scope, pair, limit, Timestamp::now()).await
    }
}

/// The number of a pair; `None`: both never judged the same review.
pub(in super::super) async fn number(database: &Database, pair: &Pair) -> Result<Option<i64>, StoreError> {
    let mut sql = Sql::new("SELECT a.id FROM policies w JOIN agreements a ON a.webhook = w.id WHERE w.name = ");
    sql.bind(pair.webhook.as_str());
    match &pair.local {
        None => sql.push(" AND a.local = 0"),
        Some(local) => sql.push(" AND a.local = (SELECT id FROM policies WHERE name = ").bind(local.as_str()).push(")"),
    };
    database.fetch(sql).await?.first().map(|row| row.int(0)).transpose()
}

pub(in super::super) async fn agreements(
    database: &Database,
    scope: &Scope,
    now: Timestamp,
) -> Result<Agreements, StoreError> {
    let span = Span::of(database, scope, now).await?;
    let mut paired = Vec::new();
    if let Some(mut sql) = span.with_pieces(&span.places, Width::Day) {
        let pair = Cell::subject_of("h.cell");
        sql.push(&format!(
            ", hits(cell, reviews) AS (SELECT t.cell, sum(t.reviews) FROM pieces s {FOR_EACH_JOIN} rollup_agreements t \
             WHERE t.namespace = s.namespace AND {IN_PIECE}{} GROUP BY t.cell) \
             SELECT w.name, l.name, h.cell, CAST(h.reviews AS BIGINT) FROM hits h JOIN agreements a ON a.id = {pair} \
             JOIN policies w ON w.id = a.webhook LEFT JOIN policies l ON l.id = a.local \
             WHERE h.reviews > 0 ORDER BY w.name, a.local <> 0, l.name, h.cell",
            but_dry_runs(scope.dry_run)
        ));
        for mut row in database.fetch(sql).await? {
            let pair = Pair { webhook: row.text(0)?, local: row.opt_text(1)? };
            let (local_said, webhook_said) = Cell(row.int(2)?).stances()?;
            paired.push(Paired { pair, local_said, webhook_said, reviews: row.count(3)? });
        }
    }
    let (horizons, counted_since) = (horizon::all(database).await?, horizon::agreed_since(database).await?);
    Ok(Agreements { since: span.since, until: span.until, paired, counted_since, horizons })
}

/// Bars over the same span, empty ones too.
pub(in super::super) async fn over_time(
    database: &Database,
    scope: &Scope,
    pair: &Pair,
    max_buckets: usize,
    now: Timestamp,
) -> Result<Vec<AccordBucket>, StoreError> {
    let span = Span::of(database, scope, now).await?;
    let (bars, width) = span.bars(max_buckets, now);
    let mut bars: Vec<AccordBucket> =
        bars.into_iter().map(|(from, to)| AccordBucket { from, to, accords: Accords::default() }).collect();
    let Some(number) = number(database, pair).await? else { return Ok(bars) };
    let Some(mut sql) = span.with_pieces(&span.places, width) else { return Ok(bars) };
    sql.push(&format!(
        "SELECT t.bucket, t.cell, CAST(sum(t.reviews) AS BIGINT) FROM pieces s {FOR_EACH_JOIN} rollup_agreements t \
         WHERE t.namespace = s.namespace AND {IN_PIECE}{} AND t.cell IN ",
        but_dry_runs(scope.dry_run)
    ));
    sql.list(cells(number, |_| true)).push(" GROUP BY t.bucket, t.cell HAVING sum(t.reviews) > 0");
    for row in database.fetch(sql).await? {
        let at = Timestamp(row.int(0)?);
        let (local, webhook) = Cell(row.int(1)?).stances()?;
        let place = bars.partition_point(|bar| bar.to <= at);
        if let Some(bar) = bars.get_mut(place) {
            bar.accords.add(Accord::of(local, webhook), row.count(2)?);
        }
    }
    Ok(bars)
}

/// At most `limit` of each side.
pub(in super::super) async fn causes(
    database: &Database,
    causes: Causes,
    scope: &Scope,
    pair: &Pair,
    limit: u16,
    now: Timestamp,
) -> Result<Disagreed, StoreError> {
    let span = Span::of(database, scope, now).await?;
    let mut disagreed = Disagreed::default();
    let Some(number) = number(database, pair).await? else { return Ok(disagreed) };
    let Some(mut sql) = span.with_pieces(&span.places, Width::Day) else { return Ok(disagreed) };
    let looked_up = database.looked_up("rollup_agreements", &format!("t.namespace = n.id AND {IN_PIECE}"));
    let of_namespaces = format!("namespaces n {looked_up}");
    let (subject, tables, within, name, cluster, names) = match causes {
        Causes::Rules => (
            "t.rule",
            "rollup_disagreements t",
            "t.namespace = s.namespace AND t.rule <> 0",
            "p.name || '/' || r.name",
            "''",
            "rules r ON r.id = h.subject JOIN policies p ON p.id = r.policy",
        ),
        Causes::Repositories => (
            "t.repository",
            "rollup_disagreements t",
            "t.namespace = s.namespace AND t.repository <> 0",
            "r.name",
            "''",
            "repositories r ON r.id = h.subject",
        ),
        Causes::Namespaces => (
            "t.namespace",
            of_namespaces.as_str(),
            within_namespaces(span.is_part),
            "n.name",
            "c.name",
            "namespaces n ON n.id = h.subject JOIN clusters c ON c.id = n.cluster",
        ),
    };
    let only = |side| cells(number, move |accord| accord == side);
    sql.push(&format!(", hits(subject, by_webhook, reviews) AS (SELECT {subject}, CASE WHEN t.cell IN "));
    sql.list(only(Accord::OnlyLocal)).push(&format!(
        " THEN 0 ELSE 1 END, sum(t.reviews) FROM pieces s {FOR_EACH_JOIN} {tables} WHERE {within} AND {IN_PIECE}{} AND t.cell IN ",
        but_dry_runs(scope.dry_run)
    ));
    sql.list(cells(number, |accord| matches!(accord, Accord::OnlyLocal | Accord::OnlyWebhook)));
    sql.push(&format!(
        " GROUP BY 1, 2), named(name, cluster, by_webhook, reviews) AS (\
         SELECT {name}, {cluster}, h.by_webhook, CAST(sum(h.reviews) AS BIGINT) FROM hits h JOIN {names} GROUP BY 1, 2, 3), \
         ranked AS (SELECT n.*, count(*) OVER (PARTITION BY by_webhook) AS counted, \
         row_number() OVER (PARTITION BY by_webhook ORDER BY reviews DESC, name, cluster) AS place FROM named n \
         WHERE reviews > 0) SELECT name, cluster, reviews, by_webhook, counted FROM ranked WHERE place <= "
    ));
    sql.bind(i64::from(limit)).push(" ORDER BY by_webhook, place");
    for row in database.fetch(sql).await? {
        let side = if row.int(3)? == 0 { &mut disagreed.only_local } else { &mut disagreed.only_webhook };
        side.all = row.count(4)?;
        side.causes.push(cause(row)?);
    }
    Ok(disagreed)
}

fn cause(mut row: Row) -> Result<Cause, StoreError> {
    Ok(Cause { name: row.text(0)?, cluster: row.text(1)?, reviews: row.count(2)? })
}

/// Of a pair.
fn cells(number: i64, of: impl Fn(Accord) -> bool) -> Vec<i64> {
    let fitting = Cell::fitting(number, |local, webhook| of(Accord::of(local, webhook)));
    fitting.into_iter().map(|Cell(cell)| cell).collect()
}
