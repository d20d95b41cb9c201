//! Every figure counted again from the rows.
//!
//! Only of a history from which nothing was deleted: what is gone is not counted. Nobody may write it meanwhile. A part
//! that was recounted is committed by the day: cut short, it is to be run again.

use std::collections::HashMap;
use std::sync::Arc;

use super::agreement::{Agreed, Pairs};
use super::bucket::{Day, Width};
use super::cell::Cell;
use super::database::{Database, Transaction};
use super::error::StoreError;
use super::evidence::Judged;
use super::fact;
use super::horizon;
use super::key;
use super::outcome::{self, Outcome, Said, Violated, Way};
use super::review::NamedImage;
use super::rollup::{Alike, Blame, Fact, Tally};
use super::row;
use super::sql::{Row, Sql, storable};
use crate::review::clock::Timestamp;
use crate::review::comparison::Comparison;
use crate::review::decision::{Answer, PolicyVerdict};

pub(super) const FIGURES: [&str; 12] = [
    "rollup_totals",
    "rollup_rules",
    "rollup_repositories",
    "rollup_candidates",
    "rollup_agreements",
    "rollup_disagreements",
    "workload_totals",
    "workload_rules",
    "workload_judged",
    "workload_against",
    "image_workloads",
    "exemption_uses",
];

/// What is needed beside the rows of decisions.
struct Contents {
    verdicts: HashMap<i64, Vec<PolicyVerdict>>,
    /// By review.
    images: HashMap<i64, Vec<NamedImage>>,
    rules: HashMap<(String, String), i64>,
    versions: HashMap<(String, String), i64>,
    /// By kind and name.
    exemptions: HashMap<(i64, String), i64>,
    candidates: HashMap<String, i64>,
    agreements: Pairs,
    meanings: HashMap<Content, Arc<Meaning>>,
}

/// What of a decision's row says what it means, as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Content {
    review: i64,
    outcome: i64,
    candidates: Option<i64>,
    answer: i64,
    would_reject: bool,
}

/// What decisions with one review, outcome and answer say to the figures.
struct Meaning {
    answer: Answer,
    rules: Vec<(i64, Violated)>,
    repositories: Vec<(i64, Blame)>,
    images: Vec<i64>,
    exemptions: Vec<i64>,
    cells: Vec<Cell>,
    agreed: Vec<Agreed>,
    judged: Vec<Judged>,
}

/// All that is written is of `replica`, its number. `finest` says which buckets of a day are written.
pub(super) async fn recount(
    database: &Database,
    replica: i64,
    finest: impl Fn(Day) -> Width,
) -> Result<(), StoreError> {
    let mut tx = database.begin().await?;
    for table in FIGURES {
        tx.execute(Sql::new(&format!("DELETE FROM {table}"))).await?;
    }
    let mut contents = Contents::read(&mut tx).await?;
    let ends = tx.fetch(Sql::new("SELECT min(key), max(key) FROM decisions")).await?;
    let end = |at| ends.first().map_or(Ok(None), |row| row.opt_int(at));
    let (first, last) = (end(0)?, end(1)?);
    let mut tally = Tally::default();
    for row in tx.fetch(Sql::new("SELECT cluster, bucket, count FROM unjudged")).await? {
        tally.add_unjudged(row.int(0)?, Timestamp(row.int(1)?), row.count(2)?);
    }
    tally.write(&mut tx, replica).await?;
    horizon::all_counted(&mut tx).await?;
    tx.commit().await?;
    let mut day = first.map(|key| Day::of(key::at(key)));
    while let Some(counted) = day {
        let mut tx = database.begin().await?;
        let tally = contents.tally(&mut tx, counted, finest(counted)).await?;
        tally.write(&mut tx, replica).await?;
        tx.commit().await?;
        day = last.filter(|&last| key::start(counted.next().0) <= last).map(|_| counted.next());
    }
    Ok(())
}

// === impl Contents ===

impl Contents {
    async fn read(tx: &mut Transaction) -> Result<Self, StoreError> {
        let mut contents = Self {
            verdicts: HashMap::new(),
            images: HashMap::new(),
            rules: HashMap::new(),
            versions: HashMap::new(),
            exemptions: HashMap::new(),
            candidates: HashMap::new(),
            agreements: Pairs::read(tx).await?,
            meanings: HashMap::new(),
        };
        for mut row in tx.fetch(Sql::new("SELECT id, verdicts FROM outcomes")).await? {
            contents.verdicts.insert(row.int(0)?, Outcome::join(&row.text(1)?, None)?);
        }
        let images = "SELECT i.review, m.text, m.repository, m.counted, m.id FROM review_images i JOIN images m ON m.id = i.image";
        for mut row in tx.fetch(Sql::new(images)).await? {
            let counted = row.flag(3)?.then(|| row.int(4)).transpose()?;
            let image = NamedImage { text: row.text(1)?, counted, repository: row.opt_int(2)? };
            contents.images.entry(row.int(0)?).or_default().push(image);
        }
        let rules = "SELECT p.name, r.name, r.id FROM rules r JOIN policies p ON p.id = r.policy";
        for mut row in tx.fetch(Sql::new(rules)).await? {
            contents.rules.insert((row.text(0)?, row.text(1)?), row.int(2)?);
        }
        let versions = "SELECT p.name, v.name, v.id FROM versions v JOIN policies p ON p.id = v.policy";
        for mut row in tx.fetch(Sql::new(versions)).await? {
            contents.versions.insert((row.text(0)?, row.text(1)?), row.int(2)?);
        }
        for mut row in tx.fetch(Sql::new("SELECT kind, name, id FROM exemptions")).await? {
            contents.exemptions.insert((row.int(0)?, row.text(1)?), row.int(2)?);
        }
        for mut row in tx.fetch(Sql::new("SELECT name, id FROM candidates")).await? {
            contents.candidates.insert(row.text(0)?, row.int(1)?);
        }
        Ok(contents)
    }

    /// Of one day, in the buckets that are kept. The database puts together what says the same, an hour at a time, so
    /// that few rows come of many, and few are in memory.
    async fn tally(&mut self, tx: &mut Transaction, day: Day, finest: Width) -> Result<Tally, StoreError> {
        const ALIKE: &str = "d.cluster, d.namespace, d.workload, d.review, d.outcome, d.answer, d.would_reject, d.dry_run, d.candidates";
        let minute = 60_000;
        let (hour, quarter) = (Width::Hour.minutes() * minute, Width::Quarter.minutes() * minute);
        let mut tally = Tally::default();
        let hours = (day.0.0..day.next().0.0).step_by(usize::try_from(hour).expect("an hour is not much"));
        for start in hours {
            let mut sql =
                Sql::new(&format!("SELECT {ALIKE}, min(d.key), max(d.key), count(*) FROM decisions d WHERE d.key >= "));
            sql.bind(key::start(Timestamp(start))).push(" AND d.key < ").bind(key::start(Timestamp(start + hour)));
            sql.push(&format!(" GROUP BY {ALIKE}, (d.key >> 21) / {quarter}"));
            for row in tx.fetch(sql).await? {
                let fact = self.fact(&row)?;
                tally.add_many(&fact, row.int(10)?, row.int(11)?);
            }
            tally.keep(finest);
        }
        Ok(tally)
    }

    fn fact(&mut self, row: &Row) -> Result<Fact, StoreError> {
        let meaning = self.meaning(Content {
            review: row.int(3)?,
            outcome: row.int(4)?,
            candidates: row.opt_int(8)?,
            answer: row.int(5)?,
            would_reject: row.flag(6)?,
        })?;
        let alike = Alike {
            cluster: row.int(0)?,
            namespace: row.int(1)?,
            workload: row.int(2)?,
            dry_run: row.flag(7)?,
            answer: meaning.answer,
            would_reject: row.flag(6)?,
            rules: meaning.rules.clone(),
            repositories: meaning.repositories.clone(),
            images: meaning.images.clone(),
            exemptions: meaning.exemptions.clone(),
            cells: meaning.cells.clone(),
            agreed: meaning.agreed.clone(),
            judged: meaning.judged.clone(),
        };
        Ok(Fact { key: row.int(9)?, alike: Arc::new(alike) })
    }

    fn meaning(&mut self, content: Content) -> Result<Arc<Meaning>, StoreError> {
        if let Some(meaning) = self.meanings.get(&content) {
            return Ok(Arc::clone(meaning));
        }
        let Content { review, outcome, candidates, answer, would_reject } = content;
        let verdicts_of = |outcome: i64| {
            let missing = || StoreError::broken(format!("the outcome {outcome} of a decision is not there"));
            self.verdicts.get(&outcome).ok_or_else(missing)
        };
        let verdicts = verdicts_of(outcome)?;
        let silent = candidates.map_or(Ok(&[][..]), |outcome| verdicts_of(outcome).map(Vec::as_slice))?;
        let cells = Comparison::between(verdicts, silent).map(|one| {
            let id = self.candidates.get(one.candidate).copied();
            let id = id.ok_or_else(|| StoreError::broken(format!("the candidate {} has no number", one.candidate)))?;
            Ok(Cell::of_comparison(id, &one))
        });
        let cells = cells.collect::<Result<_, StoreError>>()?;
        let said = Said { verdicts, answer: row::answer_of(answer)?, would_reject };
        let number = |of: &HashMap<(String, String), i64>, policy: &str, name: &str| {
            let id = of.get(&(policy.to_owned(), name.to_owned())).copied();
            id.ok_or_else(|| StoreError::broken(format!("{policy}/{name} has no number")))
        };
        let rule = |policy: &str, rule: &str| number(&self.rules, policy, rule);
        let version = |policy: &str, version: &str| number(&self.versions, policy, version);
        let rules = outcome::rules(said).into_iter().map(|((policy, id), violated)| Ok((rule(policy, id)?, violated)));
        let judged = outcome::judgements(verdicts).map(|one| Judged::of(&one, version, rule));
        let pair = |local: Option<&str>, webhook: &str| {
            self.agreements
                .id((local, webhook))
                .ok_or_else(|| StoreError::broken(format!("{local:?} beside {webhook} has no number")))
        };
        let agreed = Agreed::all(verdicts, pair, |(policy, name)| rule(policy, name))?;
        let exemptions = outcome::let_through(said).into_iter().map(|way| self.exemption(way));
        let meaning = Arc::new(Meaning {
            answer: said.answer,
            rules: rules.collect::<Result<_, StoreError>>()?,
            repositories: self.images.get(&review).map_or_else(Vec::new, |images| fact::blames(said, images)),
            images: self.images.get(&review).into_iter().flatten().filter_map(|image| image.counted).collect(),
            exemptions: exemptions.collect::<Result<_, _>>()?,
            cells,
            agreed,
            judged: judged.collect::<Result<_, _>>()?,
        });
        self.meanings.insert(content, Arc::clone(&meaning));
        Ok(meaning)
    }

    fn exemption(&self, way: Way<'_>) -> Result<i64, StoreError> {
        let id = self.exemptions.get(&(way.kind(), storable(way.text()).into_owned())).copied();
        id.ok_or_else(|| StoreError::broken(format!("{way:?} has no number")))
    }
}
