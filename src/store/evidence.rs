//! What each workload's reviews say of a rule: when a version of its policy judged it, and when it stood against it.
//!
//! Invariants: a row holds the keys of the first and the last decisions that say so, so that of two reviews in one
//! millisecond the later one counts, in the order of every list; a verdict that comes late only adds; a dry run says nothing;
//! rows carry the replica, and reads take the ends of all of them.

use std::collections::{BTreeMap, HashMap};

use super::database::{Database, Transaction};
use super::error::StoreError;
use super::outcome::{Against, Judgement, Outcome};
use super::running::fault;
use super::sql::{Insert, Sql};
use crate::policy::readiness::census::Faults;
use crate::policy::readiness::evidence::Fault;
use crate::review::clock::DecisionId;
use crate::review::decision::PolicyVerdict;

/// That a version of a policy judged, and what it said of which rules, as numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judged {
    pub version: i64,
    pub against: Vec<(i64, Against)>,
}

/// Where a workload stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seat {
    pub namespace: i64,
    pub workload: i64,
}

/// What a batch adds, in the order of the tables' keys.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// The first and the last key; by version.
    judged: BTreeMap<(i64, Seat), (i64, i64)>,
    /// The last key of one that is not exempted, and of one that is, 0 for none; by rule and version.
    against: BTreeMap<(i64, i64, Seat), (i64, i64)>,
}

/// Decisions looked up in one statement.
const LOOKED_UP: usize = 500;

/// What the decisions at these keys say of the policy's rules, standing violations included.
pub(super) async fn faults(database: &Database, policy: &str, keys: &[i64]) -> Result<Faults, StoreError> {
    let mut faults = Faults::new();
    for keys in keys.chunks(LOOKED_UP) {
        let mut sql =
            Sql::new("SELECT d.key, o.verdicts FROM decisions d JOIN outcomes o ON o.id = d.outcome WHERE d.key IN ");
        sql.list(keys.iter().copied());
        for mut row in database.fetch(sql).await? {
            let verdicts = Outcome::join(&row.text(1)?, None)?;
            faults.insert(row.int(0)?, of_policy(&verdicts, policy));
        }
    }
    Ok(faults)
}

pub(super) async fn ids(database: &Database, keys: &[i64]) -> Result<HashMap<i64, DecisionId>, StoreError> {
    let mut ids = HashMap::new();
    for keys in keys.chunks(LOOKED_UP) {
        let mut sql = Sql::new("SELECT d.key, d.id FROM decisions d WHERE d.key IN ");
        sql.list(keys.iter().copied());
        for row in database.fetch(sql).await? {
            let key = row.int(0)?;
            ids.insert(key, row.id_at(key, 1)?);
        }
    }
    Ok(ids)
}

fn of_policy(verdicts: &[PolicyVerdict], policy: &str) -> Vec<Fault> {
    let own = verdicts.iter().filter(|verdict| verdict.policy == policy);
    own.flat_map(|verdict| verdict.violations.iter().chain(&verdict.standing)).map(fault).collect()
}

// === impl Judged ===

impl Judged {
    pub fn of(
        judgement: &Judgement<'_>,
        version: impl Fn(&str, &str) -> Result<i64, StoreError>,
        rule: impl Fn(&str, &str) -> Result<i64, StoreError>,
    ) -> Result<Self, StoreError> {
        let Judgement { policy, version: name, against } = judgement;
        let against = against.iter().map(|(id, how)| Ok((rule(policy, id)?, *how)));
        Ok(Self { version: version(policy, name)?, against: against.collect::<Result<_, StoreError>>()? })
    }
}

// === impl Evidence ===

impl Evidence {
    /// Of decisions that say the same, from the key `first` to `last`.
    pub fn add(&mut self, seat: Seat, judged: &[Judged], (first, last): (i64, i64)) {
        for Judged { version, against } in judged {
            let span = self.judged.entry((*version, seat)).or_insert((first, last));
            *span = (span.0.min(first), span.1.max(last));
            for (rule, Against { open, exempted }) in against {
                let ends = self.against.entry((*rule, *version, seat)).or_default();
                let end = |is: bool, known: i64| if is { known.max(last) } else { known };
                *ends = (end(*open, ends.0), end(*exempted, ends.1));
            }
        }
    }

    /// `replica`: who writes it.
    pub async fn write(self, tx: &mut Transaction, replica: i64) -> Result<(), StoreError> {
        let mut judged = Insert::into(
            "workload_judged",
            &["version", "namespace", "workload", "replica", "first_key", "last_key"],
            "ON CONFLICT (version, namespace, workload, replica) DO UPDATE SET \
             first_key = CASE WHEN excluded.first_key < workload_judged.first_key \
                 THEN excluded.first_key ELSE workload_judged.first_key END, \
             last_key = CASE WHEN excluded.last_key > workload_judged.last_key \
                 THEN excluded.last_key ELSE workload_judged.last_key END",
        );
        for ((version, Seat { namespace, workload }), (first, last)) in self.judged {
            judged.row([version, namespace, workload, replica, first, last].map(Into::into));
        }
        let mut against = Insert::into(
            "workload_against",
            &["rule", "version", "namespace", "workload", "replica", "last_key", "exempted_key"],
            "ON CONFLICT (rule, version, namespace, workload, replica) DO UPDATE SET \
             last_key = CASE WHEN excluded.last_key > workload_against.last_key \
                 THEN excluded.last_key ELSE workload_against.last_key END, \
             exempted_key = CASE WHEN excluded.exempted_key > workload_against.exempted_key \
                 THEN excluded.exempted_key ELSE workload_against.exempted_key END",
        );
        for ((rule, version, Seat { namespace, workload }), (last, exempted)) in self.against {
            against.row([rule, version, namespace, workload, replica, last, exempted].map(Into::into));
        }
        tx.insert(judged).await?;
        tx.insert(against).await
    }
}
