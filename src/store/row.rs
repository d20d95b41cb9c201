//! A decision as a row, and back.

use std::borrow::Cow;

use uuid::Uuid;

use super::batch::Entry;
use super::database::Database;
use super::error::StoreError;
use super::key;
use super::outcome::Outcome;
use super::read::{Range, StoredDecision};
use super::sql::{Row, Sql, Value};
use crate::review::decision::{Answer, Decision, PolicyVerdict, ReviewHash, ReviewRecord};

/// What [`decision`] reads, of the rows that [`JOINS`] brings together.
pub(super) const COLUMNS: &str = "d.key, d.id, c.name, v.hash, d.name, u.name, d.uid, d.uid_text, d.dry_run, d.answer, \
     d.code, d.message, d.would_reject, d.redacted, n.name, d.duration_us, d.durations, d.notes, o.verdicts, v.record, \
     r.name, d.clock_suspect, s.verdicts, d.candidate_durations";

pub(super) const JOINS: &str = "JOIN clusters c ON c.id = d.cluster JOIN revisions n ON n.id = d.revision \
     JOIN outcomes o ON o.id = d.outcome JOIN reviews v ON v.id = d.review LEFT JOIN users u ON u.id = d.by_user \
     LEFT JOIN callers r ON r.id = d.caller LEFT JOIN outcomes s ON s.id = d.candidates";

/// The columns of a decision that [`values`] fills.
pub(super) const STORED: [&str; 26] = [
    "key",
    "id",
    "batch",
    "cluster",
    "namespace",
    "workload",
    "name",
    "by_user",
    "uid",
    "uid_text",
    "dry_run",
    "review",
    "outcome",
    "answer",
    "code",
    "message",
    "would_reject",
    "redacted",
    "revision",
    "duration_us",
    "durations",
    "notes",
    "caller",
    "clock_suspect",
    "candidates",
    "candidate_durations",
];

/// The numbers that stand for a decision's names and contents.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    pub batch: i64,
    pub cluster: i64,
    pub namespace: i64,
    pub workload: i64,
    pub user: Option<i64>,
    pub caller: Option<i64>,
    pub revision: i64,
    pub review: i64,
    pub outcome: i64,
    pub candidates: Option<i64>,
}

/// A uid as it is stored, and looked for: nearly all are UUIDs, which take half the space as bytes.
#[derive(Debug)]
pub(super) enum Uid {
    Uuid(Uuid),
    Text(String),
}

// === impl Uid ===

impl Uid {
    pub fn of(text: &str) -> Self {
        match Uuid::try_parse(text) {
            Ok(uuid) if uuid.hyphenated().to_string() == text => Self::Uuid(uuid),
            _ => Self::Text(text.to_owned()),
        }
    }

    /// A test of a decision `d`.
    pub fn condition(&self) -> Sql {
        let mut sql = Sql::default();
        match self {
            Self::Uuid(uuid) => sql.push("d.uid = ").bind(*uuid),
            Self::Text(text) => sql.push("d.uid_text = ").bind(text.as_str()),
        };
        sql
    }

    /// The keys of its decisions, 201 at most; `None` where they are found as they are read.
    pub async fn keys(&self, database: &Database) -> Result<Option<Vec<i64>>, StoreError> {
        let (Self::Uuid(uuid), Some(mut sql)) = (self, database.keys_of_uid()) else { return Ok(None) };
        sql.bind(*uuid).push(")");
        database.fetch(sql).await?.iter().map(|row| row.int(0)).collect::<Result<_, _>>().map(Some)
    }

    /// Its decisions `d`, at least those in the range, as an index finds them: what follows `FROM`.
    pub fn source(&self, database: &Database, range: Range) -> Sql {
        match self {
            Self::Uuid(uuid) => database.of_uid(*uuid, range),
            Self::Text(text) => {
                let mut sql = Sql::new("decisions d WHERE d.uid_text IS NOT NULL AND d.uid_text = ");
                sql.bind(text.as_str());
                sql
            }
        }
    }
}

pub(super) fn answer_number(answer: Answer) -> i64 {
    match answer {
        Answer::Allowed => 0,
        Answer::Denied => 1,
        Answer::Failed => 2,
    }
}

pub(super) fn answer_of(number: i64) -> Result<Answer, StoreError> {
    match number {
        0 => Ok(Answer::Allowed),
        1 => Ok(Answer::Denied),
        2 => Ok(Answer::Failed),
        other => Err(StoreError::broken(format!("a decision's answer is {other}"))),
    }
}

/// Whether it is kept for longer than what was allowed without a word.
pub(super) fn is_notable(decision: &Decision) -> bool {
    let exempted = || decision.verdicts.iter().any(PolicyVerdict::has_exempted);
    decision.answer != Answer::Allowed || decision.would_reject || exempted()
}

/// Stands in a name for that of the workload: pods begin with it. No name that Kubernetes takes holds this character.
const WORKLOAD: char = '\u{1}';

/// A name as a row holds it. One that begins with the character itself has it twice.
fn shortened<'a>(name: &'a str, workload: &str) -> Cow<'a, str> {
    match name.strip_prefix(workload) {
        _ if name.starts_with(WORKLOAD) => Cow::Owned(format!("{WORKLOAD}{name}")),
        Some(rest) if !workload.is_empty() && !rest.starts_with(WORKLOAD) => Cow::Owned(format!("{WORKLOAD}{rest}")),
        _ => Cow::Borrowed(name),
    }
}

fn whole(held: String, workload: &str) -> String {
    match held.strip_prefix(WORKLOAD) {
        None => held,
        Some(rest) if rest.starts_with(WORKLOAD) => rest.to_owned(),
        Some(rest) => format!("{workload}{rest}"),
    }
}

/// `workload`: the name of its review's.
pub(super) fn values(entry: &Entry<'_>, numbers: Numbers, workload: &str) -> Result<[Value; 26], StoreError> {
    let Entry { key: place, decision, outcome, candidates, clock_suspect } = entry;
    let (uid, uid_text) = match decision.uid.as_deref().map(Uid::of) {
        Some(Uid::Uuid(uuid)) => (uuid.into(), Value::Null),
        Some(Uid::Text(text)) => (Value::Null, text.into()),
        None => (Value::Null, Value::Null),
    };
    let notes = if decision.notes.is_empty() { None } else { Some(serde_json::to_string(&decision.notes)?) };
    Ok([
        (*place).into(),
        key::shortened(*place, decision.id).as_slice().into(),
        numbers.batch.into(),
        numbers.cluster.into(),
        numbers.namespace.into(),
        numbers.workload.into(),
        decision.name.as_deref().map(|name| shortened(name, workload)).as_deref().into(),
        numbers.user.into(),
        uid,
        uid_text,
        decision.dry_run.into(),
        numbers.review.into(),
        numbers.outcome.into(),
        answer_number(decision.answer).into(),
        i64::from(decision.code).into(),
        decision.message.as_deref().into(),
        decision.would_reject.into(),
        decision.redacted.into(),
        numbers.revision.into(),
        decision.duration_us.into(),
        outcome.durations.as_deref().into(),
        notes.into(),
        numbers.caller.into(),
        (*clock_suspect).into(),
        numbers.candidates.into(),
        candidates.as_ref().and_then(|outcome| outcome.durations.as_deref()).into(),
    ])
}

/// From a row of [`COLUMNS`].
pub(super) fn decision(mut row: Row) -> Result<StoredDecision, StoreError> {
    let uid = match row.opt_uuid(6)? {
        Some(uuid) => Some(uuid.hyphenated().to_string()),
        None => row.opt_text(7)?,
    };
    let place = row.int(0)?;
    let code = row.int(10)?;
    let review: ReviewRecord = serde_json::from_str(&row.text(19)?)?;
    let durations = row.opt_text(16)?;
    let notes = row.opt_text(17)?;
    let (silent, silent_durations) = (row.opt_text(22)?, row.opt_text(23)?);
    let decision = Decision {
        id: row.id_at(place, 1)?,
        at: key::at(place),
        cluster: row.text(2)?,
        review: ReviewHash(row.hash(3)?),
        name: row.opt_text(4)?.map(|held| whole(held, &review.workload.name)),
        user: row.opt_text(5)?,
        caller: row.opt_text(20)?,
        uid,
        dry_run: row.flag(8)?,
        answer: answer_of(row.int(9)?)?,
        code: u16::try_from(code).map_err(|_| StoreError::broken(format!("a decision's code is {code}")))?,
        message: row.opt_text(11)?,
        would_reject: row.flag(12)?,
        redacted: row.flag(13)?,
        revision: row.text(14)?,
        duration_us: row.count(15)?,
        verdicts: Outcome::join(&row.text(18)?, durations.as_deref())?,
        candidates: silent.map_or(Ok(Vec::new()), |verdicts| Outcome::join(&verdicts, silent_durations.as_deref()))?,
        notes: notes.map_or(Ok(Vec::new()), |notes| serde_json::from_str(&notes))?,
    };
    Ok(StoredDecision { decision, review })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_its_workloads_is_whole_again() {
        for (name, workload, held) in [
            ("web-7d4b9c6f5d-x2x9k", "web", "\u{1}-7d4b9c6f5d-x2x9k"),
            ("web", "web", "\u{1}"),
            ("web", "", "web"),
            ("cart-1", "web", "cart-1"),
            ("\u{1}-1", "web", "\u{1}\u{1}-1"),
            ("\u{1}\u{1}", "\u{1}", "\u{1}\u{1}\u{1}"),
            ("web\u{1}-1", "web", "web\u{1}-1"),
            ("", "", ""),
        ] {
            assert_eq!(shortened(name, workload), held, "{name:?}");
            assert_eq!(whole(held.to_owned(), workload), name, "{name:?}");
        }
    }
}
