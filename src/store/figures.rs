//! Figures and charts, all from roll-ups.

use super::bucket::{Piece, Step, Width, pieces, widen};
use super::cell::Cell;
use super::database::Database;
use super::error::StoreError;
use super::reach::{of_cluster, within};
use super::read::{Before, Bucket, ByCluster, Compared, Comparisons, DryRuns, Figures, Range, Scope, Summary};
use super::sql::{FOR_EACH_JOIN, Row, Sql};
use super::{horizon, spans};
use crate::review::clock::Timestamp;
use crate::review::decision::UNDECLARED;

/// A scope with its ends known: whole buckets.
#[derive(Debug)]
pub(super) struct Span {
    pub since: Timestamp,
    pub until: Timestamp,
    /// Ids; a cluster's namespace is 0 where it is not narrowed to one.
    pub places: Vec<Place>,
    /// Of a part of the history.
    pub is_part: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub cluster: i64,
    pub namespace: i64,
}

/// One row of totals.
#[derive(Debug)]
struct Total {
    bucket: Timestamp,
    dry_run: bool,
    figures: Figures,
}

pub(super) async fn summary(database: &Database, scope: &Scope, now: Timestamp) -> Result<Summary, StoreError> {
    let span = Span::of(database, scope, now).await?;
    let figures = span.figures(database, scope.dry_run).await?;
    let past = span.before(now);
    let before = Before { since: past.since, until: past.until, figures: past.figures(database, scope.dry_run).await? };
    let range = Range { since: Some(span.since), until: Some(span.until) };
    let gaps = spans::gaps(database, range, scope.cluster.as_deref(), now).await?;
    let gaps = scope.reach.narrow_gaps(gaps);
    let horizons = horizon::all(database).await?;
    Ok(Summary { since: span.since, until: span.until, figures, before, gaps, horizons })
}

/// By cluster, in alphabetical order; of which nothing came is left out.
pub(super) async fn by_cluster(database: &Database, scope: &Scope, now: Timestamp) -> Result<ByCluster, StoreError> {
    let span = Span::of(database, scope, now).await?;
    let mut clusters: Vec<(String, Figures)> = Vec::new();
    if let Some(mut sql) = span.with_pieces(&span.places, Width::Day) {
        sql.push(&format!(
            "SELECT c.name, t.dry_run, {} FROM pieces s {FOR_EACH_JOIN} rollup_totals t {FOR_EACH_JOIN} clusters c \
             WHERE t.namespace = s.namespace AND {IN_PIECE} AND c.id = t.cluster GROUP BY c.name, t.dry_run ORDER BY c.name",
            sums()
        ));
        for mut row in database.fetch(sql).await? {
            let name = row.text(0)?;
            let total = Total { bucket: span.since, dry_run: row.flag(1)?, figures: figures(&row)? };
            if clusters.last().is_none_or(|(last, _)| *last != name) {
                clusters.push((name, Figures::default()));
            }
            if let Some((_, figures)) = clusters.last_mut() {
                figures.add(&total, scope.dry_run);
            }
        }
    }
    Ok(ByCluster { since: span.since, until: span.until, clusters })
}

pub(super) async fn chart(
    database: &Database,
    scope: &Scope,
    max_buckets: usize,
    now: Timestamp,
) -> Result<Vec<Bucket>, StoreError> {
    let span = Span::of(database, scope, now).await?;
    let (bars, width) = span.bars(max_buckets, now);
    let mut bars: Vec<Bucket> =
        bars.into_iter().map(|(from, to)| Bucket { from, to, figures: Figures::default() }).collect();
    for total in totals(database, &span, width).await? {
        let at = bars.partition_point(|bar| bar.to <= total.bucket);
        if let Some(bar) = bars.get_mut(at) {
            bar.figures.add(&total, scope.dry_run);
        }
    }
    Ok(bars)
}

/// What candidates said beside the policies in force.
pub(super) async fn comparisons(database: &Database, scope: &Scope, now: Timestamp) -> Result<Comparisons, StoreError> {
    let span = Span::of(database, scope, now).await?;
    let mut compared = Vec::new();
    if let Some(mut sql) = span.with_pieces(&span.places, Width::Day) {
        let candidate = Cell::subject_of("h.cell");
        sql.push(&format!(
            ", hits(cluster, cell, reviews) AS (SELECT t.cluster, t.cell, sum(t.reviews) \
             FROM pieces s {FOR_EACH_JOIN} rollup_candidates t \
             WHERE t.namespace = s.namespace AND {IN_PIECE}{} GROUP BY t.cluster, t.cell) \
             SELECT a.name, c.name, h.cell, CAST(h.reviews AS BIGINT) FROM hits h \
             JOIN candidates a ON a.id = {candidate} JOIN clusters c ON c.id = h.cluster \
             WHERE h.reviews > 0 ORDER BY a.name, c.name, h.cell",
            but_dry_runs(scope.dry_run)
        ));
        for mut row in database.fetch(sql).await? {
            let (live, silent) = Cell(row.int(2)?).stances()?;
            let (candidate, cluster) = (row.text(0)?, row.text(1)?);
            compared.push(Compared { candidate, cluster, live, silent, reviews: row.count(3)? });
        }
    }
    let horizons = horizon::all(database).await?;
    Ok(Comparisons { since: span.since, until: span.until, compared, horizons })
}

pub(super) fn but_dry_runs(dry_runs: DryRuns) -> &'static str {
    match dry_runs {
        DryRuns::Exclude => " AND NOT t.dry_run",
        DryRuns::Only => " AND t.dry_run",
        DryRuns::Include => "",
    }
}

/// The rows of a roll-up `t` that a piece `s` covers, its namespace aside.
pub(super) const IN_PIECE: &str =
    "t.cluster = s.cluster AND t.width = s.width AND t.bucket >= s.since AND t.bucket < s.until";

// === impl Span ===

impl Span {
    pub async fn of(database: &Database, scope: &Scope, now: Timestamp) -> Result<Self, StoreError> {
        let places = places(database, scope).await?;
        // The present quarter hour is not over: it is in.
        let until = scope.until.unwrap_or(Timestamp(now.0 + 1));
        let since = match scope.since {
            Some(since) => since,
            None => oldest(database, &places).await?.unwrap_or(until).min(until),
        };
        let (since, until) = widen(since, until, now);
        Ok(Self { since, until, places, is_part: !scope.reach.is_everything() })
    }

    /// As long a span that ends where this one begins.
    pub fn before(&self, now: Timestamp) -> Self {
        let length = self.until.0.saturating_sub(self.since.0);
        // Further back there is nothing, and buckets can be counted.
        let since = Timestamp(self.since.0.saturating_sub(length).max(-(1 << 42)));
        let (since, until) = widen(since.min(self.since), self.since, now);
        Self { since, until, places: self.places.clone(), is_part: self.is_part }
    }

    /// The ends of a chart's bars over it, at most `most` of them, and the coarsest buckets that they can be made of.
    pub fn bars(&self, most: usize, now: Timestamp) -> (Vec<(Timestamp, Timestamp)>, Width) {
        let mut bars = Vec::new();
        if self.since >= self.until {
            return (bars, Width::Day);
        }
        let step = Step::of(self.since, self.until, now, most);
        let mut from = self.since;
        while from < self.until {
            let to = step.next(from).min(self.until);
            bars.push((from, to));
            from = to;
        }
        (bars, step.width())
    }

    async fn figures(&self, database: &Database, dry_runs: DryRuns) -> Result<Figures, StoreError> {
        let mut figures = Figures::default();
        for total in totals(database, self, Width::Day).await? {
            figures.add(&total, dry_runs);
        }
        Ok(figures)
    }

    /// `WITH pieces(..) AS (..)`: each place with each piece of the range; `None` when there is nothing to read.
    pub fn with_pieces(&self, places: &[Place], coarsest: Width) -> Option<Sql> {
        let pieces: Vec<(Piece, i64)> = self.pieces(coarsest).into_iter().map(|piece| (piece, 0)).collect();
        self.with(places, &pieces)
    }

    /// The same of its own places, and of the span before it, too, whose pieces are `past`.
    pub fn with_pieces_of_both(&self, before: &Self) -> Option<Sql> {
        let present = self.pieces(Width::Day).into_iter().map(|piece| (piece, 0));
        let pieces: Vec<(Piece, i64)> =
            present.chain(before.pieces(Width::Day).into_iter().map(|piece| (piece, 1))).collect();
        self.with(&self.places, &pieces)
    }

    fn pieces(&self, coarsest: Width) -> Vec<Piece> {
        pieces(self.since, self.until, coarsest)
    }

    fn with(&self, places: &[Place], pieces: &[(Piece, i64)]) -> Option<Sql> {
        if places.is_empty() || self.since >= self.until {
            return None;
        }
        let span = |(piece, past): &(Piece, i64)| [piece.width.minutes(), piece.from.0, piece.to.0, *past];
        let mut sql = Sql::new("WITH ");
        if self.is_part {
            // Of thousands of places a row for each of both would be more than a statement takes.
            sql.push("places(cluster, namespace) AS (");
            sql.rows_of_numbers(places.iter().map(|place| [place.cluster, place.namespace]));
            sql.push("), spans(width, since, until, past) AS (").values(pieces.iter().map(span));
            sql.push("), pieces(cluster, namespace, width, since, until, past) AS (");
            sql.push("SELECT p.cluster, p.namespace, r.width, r.since, r.until, r.past FROM places p ");
            sql.push(FOR_EACH_JOIN).push(" spans r) ");
        } else {
            let row = |place: &Place, piece: &(Piece, i64)| {
                let [width, since, until, past] = span(piece);
                [place.cluster, place.namespace, width, since, until, past]
            };
            let rows = places.iter().flat_map(|place| pieces.iter().map(move |piece| row(place, piece)));
            sql.push("pieces(cluster, namespace, width, since, until, past) AS (").values(rows).push(") ");
        }
        Some(sql)
    }

    fn is_of_namespaces(&self) -> bool {
        self.places.iter().any(|place| place.namespace != 0)
    }

    fn whole_clusters(&self) -> Vec<Place> {
        self.places.iter().map(|place| Place { namespace: 0, ..*place }).collect()
    }
}

// === impl Figures ===

impl Figures {
    fn add(&mut self, total: &Total, dry_runs: DryRuns) {
        let other = &total.figures;
        self.unjudged += other.unjudged;
        if total.dry_run {
            self.dry_runs += other.reviews;
        }
        let counts = match dry_runs {
            DryRuns::Exclude => !total.dry_run,
            DryRuns::Only => total.dry_run,
            DryRuns::Include => true,
        };
        if counts {
            self.reviews += other.reviews;
            self.allowed += other.allowed;
            self.denied += other.denied;
            self.failed += other.failed;
            self.would_reject += other.would_reject;
        }
    }
}

/// How many reviews of the scope's span came from senders that are not declared, dry runs included: of the whole history,
/// since what they say of their cluster is not proven. To who may see a part of it they are not told: 0.
pub(super) async fn undeclared(database: &Database, scope: &Scope, now: Timestamp) -> Result<u64, StoreError> {
    if !scope.reach.is_everything() {
        return Ok(0);
    }
    let scope = Scope { cluster: Some(UNDECLARED.to_owned()), namespace: None, ..scope.clone() };
    let span = Span::of(database, &scope, now).await?;
    Ok(totals(database, &span, Width::Day).await?.iter().map(|total| total.figures.reviews).sum())
}

/// The clusters and namespaces that the scope names, as far as there is anything of them.
async fn places(database: &Database, scope: &Scope) -> Result<Vec<Place>, StoreError> {
    if let Some(places) = scope.reach.places(scope.cluster.as_deref(), scope.namespace.as_deref()) {
        return Ok(places.map(|place| Place { cluster: place.cluster, namespace: place.namespace }).collect());
    }
    let (text, named) = match scope.namespace {
        None => ("SELECT c.id, 0 FROM clusters c WHERE 1 = 1", of_cluster(scope.cluster.as_deref())),
        Some(_) => {
            let text = "SELECT c.id, n.id FROM clusters c JOIN namespaces n ON n.cluster = c.id WHERE 1 = 1";
            (text, within(scope))
        }
    };
    let mut sql = Sql::new(text);
    sql.append(named).push(" ORDER BY c.id");
    let place = |row: &Row| Ok(Place { cluster: row.int(0)?, namespace: row.int(1)? });
    database.fetch(sql).await?.iter().map(place).collect()
}

/// The start of the oldest bucket: by the quarter hour where those are still kept, else by the day.
async fn oldest(database: &Database, places: &[Place]) -> Result<Option<Timestamp>, StoreError> {
    if places.is_empty() {
        return Ok(None);
    }
    let mut oldest = [None; 2];
    for (found, width) in oldest.iter_mut().zip([Width::Day, Width::Quarter]) {
        let mut sql = Sql::new("WITH places(cluster, namespace) AS (");
        sql.rows_of_numbers(places.iter().map(|place| [place.cluster, place.namespace]));
        sql.push(") SELECT min((SELECT min(t.bucket) FROM rollup_totals t WHERE t.cluster = s.cluster ");
        sql.push("AND t.namespace = s.namespace AND t.width = ").bind(width.minutes()).push(")) FROM places s");
        *found = database.fetch(sql).await?.first().map_or(Ok(None), |row| row.opt_int(0))?.map(Timestamp);
    }
    let [day, quarter] = oldest;
    Ok(match (day, quarter) {
        (Some(day), Some(quarter)) if Width::Day.floor(quarter) == day => Some(quarter),
        (day, _) => day,
    })
}

/// Totals of the span by bucket, the oldest first.
async fn totals(database: &Database, span: &Span, coarsest: Width) -> Result<Vec<Total>, StoreError> {
    let Some(mut sql) = span.with_pieces(&span.places, coarsest) else { return Ok(Vec::new()) };
    let text = format!(
        "SELECT t.bucket, t.dry_run, {} FROM pieces s {FOR_EACH_JOIN} rollup_totals t \
         WHERE t.namespace = s.namespace AND {IN_PIECE} GROUP BY t.bucket, t.dry_run ORDER BY t.bucket",
        sums()
    );
    sql.push(&text);
    let mut totals = database.fetch(sql).await?.iter().map(total).collect::<Result<Vec<_>, _>>()?;
    if span.is_of_namespaces()
        && !span.is_part
        && let Some(mut sql) = span.with_pieces(&span.whole_clusters(), coarsest)
    {
        sql.push(&text);
        for row in database.fetch(sql).await? {
            let of_cluster = total(&row)?;
            let figures = Figures { unjudged: of_cluster.figures.unjudged, ..Figures::default() };
            totals.push(Total { figures, ..of_cluster });
        }
    }
    Ok(totals)
}

/// Of a roll-up `t`, as [`figures`] reads them.
fn sums() -> String {
    let sum = |column: &str| format!("CAST(sum(t.{column}) AS BIGINT)");
    ["reviews", "allowed", "denied", "failed", "would_reject", "unjudged"].map(sum).join(", ")
}

fn total(row: &Row) -> Result<Total, StoreError> {
    Ok(Total { bucket: Timestamp(row.int(0)?), dry_run: row.flag(1)?, figures: figures(row)? })
}

/// From the third column on.
fn figures(row: &Row) -> Result<Figures, StoreError> {
    Ok(Figures {
        reviews: row.count(2)?,
        allowed: row.count(3)?,
        denied: row.count(4)?,
        failed: row.count(5)?,
        would_reject: row.count(6)?,
        dry_runs: 0,
        unjudged: row.count(7)?,
    })
}
