//! A journal as text for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use uuid::Uuid;

use crate::recorder::inspect::{Inspected, Inspection, Place};
use crate::recorder::replica::ReplicaError;
use crate::review::decision::Gap;
use crate::web::count;

/// What [`crate::recorder::inspect`] found.
pub fn text(place: &Place, inspection: &Inspection, replica: &Result<Option<Uuid>, ReplicaError>) -> String {
    let replica = match replica {
        Ok(Some(id)) => id.to_string(),
        Ok(None) => "none yet: it gets its id when it is next used".to_owned(),
        Err(error) => error.to_string(),
    };
    let used = match &inspection.holder {
        Some(holder) => format!("by {holder}, which may change it while it is read"),
        None => "by nobody".to_owned(),
    };
    let bytes: u64 = inspection.segments.iter().map(|segment| segment.bytes).sum();
    let mut text = String::new();
    line(&mut text, "journal", &place.journal.display().to_string());
    line(&mut text, "replica", &replica);
    line(&mut text, "used", &used);
    line(&mut text, "size", &format!("{bytes} bytes in {}", count(inspection.segments.len() as u64, "segment")));
    line(&mut text, "position", &position(inspection));
    line(&mut text, "decided", &decided(&inspection.segments));
    line(&mut text, "records", &records(&inspection.segments));
    for segment in &inspection.segments {
        write!(text, "\n{}\n", segment.path.display()).expect(INFALLIBLE);
        line(&mut text, "size", &format!("{} bytes", segment.bytes));
        line(&mut text, "decided", &decided([segment]));
        line(&mut text, "records", &records([segment]));
        for fault in &segment.faults {
            line(&mut text, "fault", &format!("offset {}, {} bytes, {}", fault.offset, fault.bytes, fault.kind));
        }
    }
    if !(inspection.gaps.is_empty() && inspection.kept_aside.is_empty()) {
        text.push('\n');
    }
    for open in &inspection.gaps {
        line(&mut text, "gap", &gap(open));
    }
    for (path, bytes) in &inspection.kept_aside {
        line(&mut text, "aside", &format!("{}, {bytes} bytes that an earlier start could not read", path.display()));
    }
    text
}

const INFALLIBLE: &str = "a String takes every text";

fn line(text: &mut String, name: &str, value: &str) {
    writeln!(text, "  {name:<10}{value}").expect(INFALLIBLE);
}

/// No position is stored: where a drain begins and where the records end is all there is to say.
fn position(inspection: &Inspection) -> String {
    match (inspection.segments.first(), inspection.segments.last()) {
        (Some(first), Some(last)) => format!(
            "segment {}, offset 16, to segment {}, offset {}; a start reads all of it, the history takes each record once",
            first.number, last.number, last.good
        ),
        _ => "empty: all of it is in the history".to_owned(),
    }
}

fn decided<'a>(segments: impl IntoIterator<Item = &'a Inspected>) -> String {
    let times = segments.into_iter().filter_map(|segment| segment.decided);
    match times.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1))) {
        Some((first, last)) => format!("{first} to {last}"),
        None => "nothing".to_owned(),
    }
}

fn records<'a>(segments: impl IntoIterator<Item = &'a Inspected>) -> String {
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    for (kind, records) in segments.into_iter().flat_map(|segment| &segment.records) {
        *kinds.entry(kind).or_default() += records;
    }
    if kinds.is_empty() {
        return "none".to_owned();
    }
    let kinds: Vec<String> = kinds.into_iter().map(|(kind, records)| format!("{kind} {records}")).collect();
    kinds.join(", ")
}

fn gap(gap: &Gap) -> String {
    let until = gap.to.map_or("open".to_owned(), |to| format!("to {to}"));
    let missed = gap.count.map_or("an unknown number".to_owned(), |missed| missed.to_string());
    format!("from {}, {until}, {missed} missed when it was marked: {}", gap.from, gap.reason)
}
