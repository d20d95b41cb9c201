//! Decisions as lines, for files and other programs: what the API says of each, but for its object.

pub mod csv;

use std::fmt::Write as _;
use std::io::{self, Write};

use jiff::tz::TimeZone;

use super::api::decision::Whole;
use super::api::shape::time;
use super::let_through::Passage;
pub use super::query::BadParameter;
use super::query::{FILTERS, Now, Parameters};
use super::sentence;
use super::zone::Zone;
use crate::review::clock::Timestamp;
use crate::review::comparison::Comparison;
use crate::review::decision::{Decision, PolicyVerdict, Violation};
use crate::store::reach::Reach;
use crate::store::read::{Filter, StoredDecision};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Ndjson,
    /// A line of names, then one for each decision.
    Csv,
}

/// The columns of [`Format::Csv`].
pub const COLUMNS: [&str; 26] = [
    "id",
    "at",
    "cluster",
    "caller",
    "protocol",
    "operation",
    "namespace",
    "kind",
    "workload",
    "name",
    "user",
    "uid",
    "dry_run",
    "images",
    "answer",
    "code",
    "message",
    "would_reject",
    "verdicts",
    "violations",
    "standing",
    "redacted",
    "revision",
    "duration_us",
    "notes",
    "candidates",
];

/// Which decisions, as the parameters of a list say it: `(name, value)`, by the same names.
///
/// # Errors
/// Names the parameter that is wrong and says what would be right.
pub fn filter(given: Vec<(String, String)>, zone: TimeZone, now: Timestamp) -> Result<Filter, BadParameter> {
    let parameters = Parameters::of(given);
    parameters.only(&FILTERS)?;
    // Whoever runs this command reads the database itself.
    parameters.filter(Now { at: now, zone: &Zone::new(zone) }, &Reach::Everything)
}

// === impl Format ===

impl Format {
    pub fn extension(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
        }
    }

    pub fn media_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }

    /// What comes before the first decision.
    ///
    /// # Errors
    /// `out` cannot be written.
    pub fn begin(self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Ndjson => Ok(()),
            Self::Csv => csv::write_row(out, COLUMNS),
        }
    }

    /// # Errors
    /// `out` cannot be written.
    pub fn write(self, out: &mut impl Write, stored: &StoredDecision) -> io::Result<()> {
        match self {
            Self::Ndjson => {
                serde_json::to_writer(&mut *out, &Whole::of(stored))?;
                out.write_all(b"\n")
            }
            Self::Csv => csv::write_row(out, cells(stored)),
        }
    }
}

/// In the order of [`COLUMNS`].
fn cells(StoredDecision { decision, review }: &StoredDecision) -> [String; COLUMNS.len()] {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let images: Vec<&str> = review.images.iter().map(|image| image.text.as_str()).collect();
    let verdicts: Vec<String> =
        decision.verdicts.iter().map(|verdict| format!("{}: {}", verdict.policy, verdict.verdict.as_str())).collect();
    let candidate = |one: Comparison<'_>| format!("{}: {} ({})", one.candidate, one.silent.as_str(), one.live.as_str());
    let candidates: Vec<String> = Comparison::of(decision).map(candidate).collect();
    [
        decision.id.to_string(),
        time(decision.at),
        decision.cluster.clone(),
        text(&decision.caller),
        review.protocol.as_str().to_owned(),
        review.operation.as_str().to_owned(),
        text(&review.namespace),
        text(&review.kind),
        sentence::workload(&review.workload),
        text(&decision.name),
        text(&decision.user),
        text(&decision.uid),
        decision.dry_run.to_string(),
        images.join(" "),
        decision.answer.as_str().to_owned(),
        decision.code.to_string(),
        text(&decision.message),
        decision.would_reject.to_string(),
        verdicts.join("; "),
        violations(decision, |verdict| &verdict.violations),
        violations(decision, |verdict| &verdict.standing),
        decision.redacted.to_string(),
        decision.revision.clone(),
        decision.duration_us.to_string(),
        decision.notes.join("; "),
        candidates.join("; "),
    ]
}

/// `policy/rule (mode): message`, a line each; one that is exempted says so.
fn violations(decision: &Decision, of: impl Fn(&PolicyVerdict) -> &[Violation]) -> String {
    let (passage, mut text) = (Passage::of(decision), String::new());
    for verdict in &decision.verdicts {
        for Violation { rule, mode, message, exempted, .. } in of(verdict) {
            let exempted = exempted.as_ref().map(|by| format!(", {}", passage.told(by))).unwrap_or_default();
            let line_end = if text.is_empty() { "" } else { "\n" };
            write!(text, "{line_end}{}/{rule} ({mode}{exempted}): {message}", verdict.policy)
                .expect("a String takes every text");
        }
    }
    text
}
