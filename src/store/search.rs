//! What each filter of a list means in SQL, and which index finds it.

use std::collections::HashSet;

use super::agreement::{self, is_rare};
use super::cell::Cell;
use super::database::{Database, NEWEST};
use super::error::StoreError;
use super::horizon;
use super::key;
use super::reach::of_cluster;
use super::read::{AgreedFilter, Blame, ComparedFilter, Filter, Range};
use super::row::{self, Uid};
use super::sql::Sql;
use super::stretch::Bounds;
use crate::review::decision::{Answer, UNDECLARED};
use crate::review::workload::Workload;

mod let_through;

/// Ranges of one index that a list merges. A filter that would need more of them is only a condition.
const MERGED: usize = 200;

/// Ranges of an index, each in the order of the keys.
#[derive(Debug)]
pub(super) enum Source {
    /// The table itself.
    All,
    Namespaces(Vec<i64>),
    Reviews(Vec<i64>),
    Rules(Vec<i64>),
    /// Of comparisons with a candidate.
    Cells(Vec<i64>),
    /// Rare cells of local policies beside a webhook.
    Agreements(Vec<i64>),
    /// Of exemptions and tickets.
    Exemptions(Vec<i64>),
    /// Where an image of this repository is to blame.
    Blamed(i64),
    /// In the range or beside it: where to look.
    Uid(Uid, Range),
    /// Of decisions that are known already.
    Keys(Vec<i64>),
    /// Not `Allowed`, which has no index.
    Answer(Answer),
    WouldReject,
    DryRun,
}

/// One filter.
#[derive(Debug)]
pub(super) struct Predicate {
    pub condition: Condition,
    pub source: Option<Source>,
    /// The source merges many ranges: the table itself is better where it does not leave most of it out.
    pub only_if_rare: bool,
    /// All that the source has is in reach of whoever sees a part of the history.
    pub is_own: bool,
}

/// A test of a row `d` of `decisions`.
#[derive(Debug)]
pub(super) enum Condition {
    Is(Sql),
    /// `EXISTS (SELECT .. x WHERE ..`, not closed yet: of a row `x` with the key of the decision.
    Has(Sql),
    /// The first, or the second, which is like that of `Has`.
    Either(Sql, Sql),
}

/// How a filter names images.
#[derive(Debug, Clone, Copy)]
enum Named<'a> {
    /// As written, or a glob over that.
    Text(&'a str),
    Repository(i64),
}

/// The filters that are given; `None` when nothing can match them.
pub(super) async fn predicates(database: &Database, filter: &Filter) -> Result<Option<Vec<Predicate>>, StoreError> {
    let mut found = Vec::new();
    if let Some(uid) = &filter.uid {
        let Some(predicate) = of_uid(database, filter, uid).await? else { return Ok(None) };
        found.push(predicate);
    }
    if filter.policy.is_some() || filter.rule.is_some() {
        let Some(rules) = rules(database, filter).await? else { return Ok(None) };
        found.extend(of_rules(rules, filter.blame));
    }
    if let Some(compared) = &filter.compared {
        let Some(predicate) = of_comparison(database, compared).await? else { return Ok(None) };
        found.push(predicate);
    }
    if let Some(agreed) = &filter.agreed {
        let Some(predicate) = of_agreement(database, agreed).await? else { return Ok(None) };
        found.push(predicate);
    }
    if let Some(way) = &filter.let_through {
        let Some(predicate) = let_through::of_way(database, way).await? else { return Ok(None) };
        found.push(predicate);
    }
    if let Some(image) = &filter.image {
        let Some(predicate) = of_image(database, &Named::Text(image)).await? else { return Ok(None) };
        found.push(predicate);
    }
    if let Some(repository) = &filter.repository {
        let Some(predicate) = of_repository(database, repository, filter.blame).await? else { return Ok(None) };
        found.push(predicate);
    }
    if let Some(workload) = &filter.workload {
        let Some(predicates) = of_workload(database, filter, workload).await? else { return Ok(None) };
        found.extend(predicates);
    }
    if let Some(user) = &filter.user {
        let Some(predicate) = of_user(database, user).await? else { return Ok(None) };
        found.push(predicate);
    }
    if let Some(would_reject) = filter.would_reject {
        let condition = Sql::new(if would_reject { "d.would_reject" } else { "NOT d.would_reject" });
        found.push(Predicate::new(condition, would_reject.then_some(Source::WouldReject)));
    }
    if let Some(answer) = filter.answer {
        let mut condition = Sql::new("d.answer = ");
        condition.bind(row::answer_number(answer));
        found.push(Predicate::new(condition, (answer != Answer::Allowed).then_some(Source::Answer(answer))));
    }
    if let Some(dry_run) = filter.dry_run {
        let condition = Sql::new(if dry_run { "d.dry_run" } else { "NOT d.dry_run" });
        found.push(Predicate::new(condition, dry_run.then_some(Source::DryRun)));
    }
    if filter.namespace.is_some() || filter.cluster.is_some() || !filter.reach.is_everything() {
        let Some(predicate) = of_place(database, filter).await? else { return Ok(None) };
        found.push(predicate);
    } else if filter.uid.is_none() {
        found.extend(declared(database).await?);
    }
    Ok(Some(found))
}

// === impl Predicate ===

impl Predicate {
    fn new(condition: impl Into<Condition>, source: Option<Source>) -> Self {
        Self { condition: condition.into(), source, only_if_rare: false, is_own: false }
    }
}

// === impl Condition ===

impl Condition {
    /// Of a decision in the bounds.
    pub fn within(&self, database: &Database, bounds: Bounds) -> Sql {
        match self {
            Self::Is(sql) => sql.clone(),
            Self::Has(sql) => {
                let mut sql = sql.clone();
                sql.append(database.pruned("x", bounds)).push(")");
                sql
            }
            Self::Either(one, other) => {
                let mut sql = Sql::new("(");
                sql.append(one.clone()).push(" OR ").append(other.clone());
                sql.append(database.pruned("x", bounds)).push("))");
                sql
            }
        }
    }
}

impl From<Sql> for Condition {
    fn from(sql: Sql) -> Self {
        Self::Is(sql)
    }
}

// === impl Named ===

impl Named<'_> {
    /// Of a row `m` of `images`.
    fn condition(&self, database: &Database) -> Sql {
        match *self {
            Self::Text(glob) if glob.contains('*') => database.glob("m.text", glob),
            Self::Text(text) => {
                let mut sql = Sql::new("m.text = ");
                sql.bind(text);
                sql
            }
            Self::Repository(id) => {
                let mut sql = Sql::new("m.repository = ");
                sql.bind(id);
                sql
            }
        }
    }
}

// === impl Source ===

impl Source {
    /// How many ranges it merges.
    pub fn ranges(&self) -> usize {
        match self {
            Self::Namespaces(ids) | Self::Reviews(ids) | Self::Rules(ids) | Self::Exemptions(ids) => ids.len().max(1),
            Self::Cells(cells) | Self::Agreements(cells) => cells.len().max(1),
            _ => 1,
        }
    }

    /// The newest keys that it has in the bounds, in their order, at most `most`.
    pub fn newest(&self, database: &Database, bounds: Bounds, most: usize) -> Sql {
        let (bounded, order) = self.bounds(database, bounds);
        match self.merged() {
            Some((rows, ids)) if ids.len() > 1 => database.merged(rows, ids, bounded, order, most),
            _ => {
                let mut sql = self.range(database, bounded);
                sql.push(&format!(" ORDER BY {order} LIMIT ")).bind(most as i64);
                sql
            }
        }
    }

    /// All keys that it has in the bounds, in any order, each as often as a range has it.
    pub fn keys(&self, database: &Database, bounds: Bounds) -> Sql {
        let (bounded, _) = self.bounds(database, bounds);
        match self.merged() {
            Some((rows, ids)) => database.of_any(rows, ids, bounded),
            None => self.range(database, bounded),
        }
    }

    /// What bounds each range, and its order, newest first.
    fn bounds(&self, database: &Database, bounds: Bounds) -> (Sql, &'static str) {
        match self {
            Self::Namespaces(_) | Self::Reviews(_) => database.by_index(bounds),
            _ => (bounds.of("d"), NEWEST),
        }
    }

    /// Table and column of the ranges that it may merge, and the number that the column has in each.
    fn merged(&self) -> Option<(&'static str, &[i64])> {
        match self {
            Self::Namespaces(ids) => Some(("decisions d WHERE d.namespace", ids)),
            Self::Reviews(ids) => Some(("decisions d WHERE d.review", ids)),
            Self::Rules(ids) => Some(("decision_rules d WHERE d.rule", ids)),
            Self::Cells(cells) => Some(("decision_candidates d WHERE d.cell", cells)),
            Self::Agreements(cells) => Some(("decision_agreements d WHERE d.cell", cells)),
            Self::Exemptions(ids) => Some(("decision_exemptions d WHERE d.exemption", ids)),
            _ => None,
        }
    }

    /// The keys of a single range. The tests beside an equality are those of partial indexes, which are only used where
    /// they are repeated.
    fn range(&self, database: &Database, bounded: Sql) -> Sql {
        let mut sql = Sql::new("SELECT d.key AS key FROM ");
        if let Some((rows, ids)) = self.merged() {
            sql.push(rows).push(" = ").bind(ids.first().copied()).append(bounded);
            return sql;
        }
        match self {
            Self::All
            | Self::Namespaces(_)
            | Self::Reviews(_)
            | Self::Rules(_)
            | Self::Cells(_)
            | Self::Agreements(_)
            | Self::Exemptions(_) => sql.push("decisions d WHERE 1 = 1"),
            Self::Blamed(repository) => sql.push("decision_repositories d WHERE d.repository = ").bind(*repository),
            Self::Uid(uid, within) => sql.append(uid.source(database, *within)),
            Self::Keys(keys) => sql.push("decisions d WHERE d.key IN ").list(keys.iter().copied()),
            Self::Answer(answer) => {
                let number = row::answer_number(*answer);
                sql.push(&format!("decisions d WHERE d.answer <> 0 AND d.answer = {number}"))
            }
            Self::WouldReject => sql.push("decisions d WHERE d.would_reject AND d.would_reject = TRUE"),
            Self::DryRun => sql.push("decisions d WHERE d.dry_run AND d.dry_run = TRUE"),
        };
        sql.append(bounded);
        sql
    }
}

/// `None`: there is no such uid.
async fn of_uid(database: &Database, filter: &Filter, uid: &str) -> Result<Option<Predicate>, StoreError> {
    let uid = Uid::of(uid);
    let condition = uid.condition();
    let source = match uid.keys(database).await? {
        Some(keys) if keys.is_empty() => return Ok(None),
        Some(keys) if keys.len() <= MERGED => Source::Keys(keys),
        _ => Source::Uid(uid, Range { since: filter.since, until: filter.until }),
    };
    Ok(Some(Predicate::new(condition, Some(source))))
}

/// `None`: there are no such rules.
async fn rules(database: &Database, filter: &Filter) -> Result<Option<Vec<i64>>, StoreError> {
    let mut sql = Sql::new("SELECT r.id FROM rules r JOIN policies p ON p.id = r.policy WHERE 1 = 1");
    if let Some(policy) = &filter.policy {
        sql.push(" AND p.name = ").bind(policy.as_str());
    }
    if let Some(rule) = &filter.rule {
        sql.push(" AND r.name = ").bind(rule.as_str());
    }
    let rules = ids(database, sql).await?;
    Ok((!rules.is_empty()).then_some(rules))
}

/// Blame is a condition of its own: the rules' ranges hold their other violations too.
fn of_rules(rules: Vec<i64>, blame: Blame) -> Vec<Predicate> {
    let condition = |test: &str| {
        let mut condition = Sql::new("EXISTS (SELECT 1 FROM decision_rules x WHERE x.key = d.key AND x.rule IN ");
        condition.list(rules.iter().copied()).push(test);
        Condition::Has(condition)
    };
    let blamed = (blame == Blame::Only).then(|| Predicate::new(condition(" AND x.to_blame"), None));
    let violated = condition("");
    let source = (rules.len() <= MERGED).then_some(Source::Rules(rules));
    blamed.into_iter().chain([Predicate::new(violated, source)]).collect()
}

/// `None`: there is no such candidate.
async fn of_comparison(database: &Database, filter: &ComparedFilter) -> Result<Option<Predicate>, StoreError> {
    let mut sql = Sql::new("SELECT id FROM candidates WHERE name = ");
    sql.bind(filter.candidate.as_str());
    let Some(candidate) = ids(database, sql).await?.pop() else { return Ok(None) };
    let cells = Cell::all(candidate, filter.live, filter.silent);
    let cells: Vec<i64> = cells.into_iter().map(|Cell(cell)| cell).collect();
    let mut condition = Sql::new("EXISTS (SELECT 1 FROM decision_candidates x WHERE x.key = d.key AND x.cell IN ");
    condition.list(cells.iter().copied());
    Ok(Some(Predicate::new(Condition::Has(condition), Some(Source::Cells(cells)))))
}

/// `None`: there is no such pair, or no such cell. Where all that is asked for is rare, it is found by the cells; what is
/// common a walk finds by its outcome.
async fn of_agreement(database: &Database, filter: &AgreedFilter) -> Result<Option<Predicate>, StoreError> {
    let Some(pair) = agreement::read::number(database, &filter.pair).await? else { return Ok(None) };
    let cells = |rare: bool| -> Vec<i64> {
        let fits = |local, webhook| is_rare(local, webhook) == rare && filter.fits(local, webhook);
        Cell::fitting(pair, fits).into_iter().map(|Cell(cell)| cell).collect()
    };
    let (common, rare) = (cells(false), cells(true));
    let mut of_rare = Sql::new("EXISTS (SELECT 1 FROM decision_agreements x WHERE x.key = d.key AND x.cell IN ");
    of_rare.list(rare.iter().copied());
    let mut of_common =
        Sql::new("EXISTS (SELECT 1 FROM outcome_agreements o WHERE o.outcome = d.outcome AND o.cell IN ");
    of_common.list(common.iter().copied()).push(")");
    if let Some(since) = horizon::agreed_since(database).await? {
        of_common.push(" AND d.key >= ").bind(key::start(since));
    }
    Ok(match (common.is_empty(), rare.is_empty()) {
        (true, true) => None,
        (true, false) => Some(Predicate::new(Condition::Has(of_rare), Some(Source::Agreements(rare)))),
        (false, true) => Some(Predicate::new(of_common, None)),
        (false, false) => Some(Predicate::new(Condition::Either(of_common, of_rare), None)),
    })
}

async fn of_repository(database: &Database, name: &str, blame: Blame) -> Result<Option<Predicate>, StoreError> {
    let mut sql = Sql::new("SELECT id FROM repositories WHERE name = ");
    sql.bind(name);
    let Some(repository) = ids(database, sql).await?.pop() else { return Ok(None) };
    if blame == Blame::Any {
        return of_image(database, &Named::Repository(repository)).await;
    }
    let mut condition =
        Sql::new("EXISTS (SELECT 1 FROM decision_repositories x WHERE x.key = d.key AND x.repository = ");
    condition.bind(repository);
    Ok(Some(Predicate::new(Condition::Has(condition), Some(Source::Blamed(repository)))))
}

/// A list holds what its figures count, so nothing of undeclared senders, unless their cluster is asked for.
async fn declared(database: &Database) -> Result<Option<Predicate>, StoreError> {
    let mut sql = Sql::new("SELECT id FROM clusters WHERE name = ");
    sql.bind(UNDECLARED);
    Ok(ids(database, sql).await?.pop().map(|id| {
        let mut condition = Sql::new("d.cluster <> ");
        condition.bind(id);
        Predicate::new(condition, None)
    }))
}

/// A namespace is a number in each cluster; a cluster alone is the ranges of all its namespaces.
async fn of_place(database: &Database, filter: &Filter) -> Result<Option<Predicate>, StoreError> {
    if let Some(places) = filter.reach.places(filter.cluster.as_deref(), filter.namespace.as_deref()) {
        return Ok(of_namespaces(places.map(|place| place.namespace).collect()));
    }
    let mut sql = Sql::new("SELECT s.id FROM namespaces s JOIN clusters c ON c.id = s.cluster WHERE 1 = 1");
    sql.append(of_cluster(filter.cluster.as_deref()));
    if let Some(namespace) = &filter.namespace {
        sql.push(" AND s.name = ").bind(namespace.as_str());
    }
    let namespaces = ids(database, sql).await?;
    if namespaces.is_empty() {
        return Ok(None);
    }
    let mut condition = Sql::default();
    match (&filter.namespace, &filter.cluster) {
        (None, Some(cluster)) => {
            condition.push("d.cluster = (SELECT id FROM clusters WHERE name = ").bind(cluster.as_str()).push(")");
        }
        _ => {
            condition.push("d.namespace IN ").numbers(namespaces.iter().copied());
        }
    }
    let source = (namespaces.len() <= MERGED).then_some(Source::Namespaces(namespaces));
    let only_if_rare = filter.namespace.is_none();
    Ok(Some(Predicate { only_if_rare, ..Predicate::new(condition, source) }))
}

/// It is a condition of its own: found in the ranges of its namespaces. `None`: there is no such workload.
async fn of_workload(
    database: &Database,
    filter: &Filter,
    workload: &Workload,
) -> Result<Option<[Predicate; 2]>, StoreError> {
    let mut sql = Sql::new(
        "SELECT l.id, l.namespace FROM workloads l JOIN namespaces s ON s.id = l.namespace \
         JOIN clusters c ON c.id = s.cluster WHERE l.name = ",
    );
    sql.bind(workload.name.as_str()).push(" AND l.kind = ").bind(workload.kind.as_str());
    if let Some(cluster) = &filter.cluster {
        sql.push(" AND c.name = ").bind(cluster.as_str());
    }
    if let Some(namespace) = &filter.namespace {
        sql.push(" AND s.name = ").bind(namespace.as_str());
    }
    let mut found = Vec::new();
    let part: Option<HashSet<i64>> =
        filter.reach.places(None, None).map(|places| places.map(|place| place.namespace).collect());
    for row in database.fetch(sql).await? {
        let (workload, namespace) = (row.int(0)?, row.int(1)?);
        if part.as_ref().is_none_or(|part| part.contains(&namespace)) {
            found.push((workload, namespace));
        }
    }
    if found.is_empty() {
        return Ok(None);
    }
    let (workloads, namespaces): (Vec<i64>, Vec<i64>) = found.into_iter().unzip();
    let (mut is_it, mut is_there) = (Sql::new("d.workload IN "), Sql::new("d.namespace IN "));
    is_it.numbers(workloads);
    is_there.numbers(namespaces.iter().copied());
    let source = (namespaces.len() <= MERGED).then_some(Source::Namespaces(namespaces));
    let is_there = Predicate { is_own: part.is_some(), ..Predicate::new(is_there, source) };
    Ok(Some([Predicate::new(is_it, None), is_there]))
}

/// Most of what is made is made by a few controllers: no index is of users. `None`: nobody is called so.
async fn of_user(database: &Database, user: &str) -> Result<Option<Predicate>, StoreError> {
    let mut sql = Sql::new("SELECT id FROM users WHERE name = ");
    sql.bind(user);
    Ok(ids(database, sql).await?.pop().map(|id| {
        let mut condition = Sql::new("d.by_user = ");
        condition.bind(id);
        Predicate::new(condition, None)
    }))
}

/// Those of a part of the history that a filter names. `None`: it names none.
fn of_namespaces(namespaces: Vec<i64>) -> Option<Predicate> {
    if namespaces.is_empty() {
        return None;
    }
    let mut condition = Sql::new("d.namespace IN ");
    condition.numbers(namespaces.iter().copied());
    let source = (namespaces.len() <= MERGED).then_some(Source::Namespaces(namespaces));
    Some(Predicate { is_own: true, ..Predicate::new(condition, source) })
}

async fn of_image(database: &Database, image: &Named<'_>) -> Result<Option<Predicate>, StoreError> {
    let names = || image.condition(database);
    let some = MERGED as i64 + 1;
    let mut sql = Sql::new("SELECT m.id FROM images m WHERE ");
    sql.append(names()).push(" LIMIT ").bind(some);
    let images = ids(database, sql).await?;
    if images.is_empty() {
        return Ok(None);
    }
    if images.len() <= MERGED {
        let mut sql = Sql::new("SELECT DISTINCT i.review FROM review_images i WHERE i.image IN ");
        sql.list(images.iter().copied()).push(" LIMIT ").bind(some);
        let reviews = ids(database, sql).await?;
        if reviews.len() <= MERGED {
            let mut condition = Sql::new("d.review IN ");
            condition.list(reviews.iter().copied());
            return Ok((!reviews.is_empty()).then(|| Predicate::new(condition, Some(Source::Reviews(reviews)))));
        }
    }
    let mut condition = Sql::new("EXISTS (SELECT 1 FROM review_images i JOIN images m ON m.id = i.image WHERE ");
    condition.append(names()).push(" AND i.review = d.review)");
    Ok(Some(Predicate::new(condition, None)))
}

async fn ids(database: &Database, sql: Sql) -> Result<Vec<i64>, StoreError> {
    database.fetch(sql).await?.iter().map(|row| row.int(0)).collect()
}
