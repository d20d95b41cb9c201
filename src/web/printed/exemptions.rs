//! Exemptions that let something through in the period, or may have: those that are configured now, and those that were.

use crate::policy::glob::{Glob, Subject};
use crate::review::clock::Timestamp;
use crate::web::address::Address;
use crate::web::exemptions::{Lists, Row, State, Told};
use crate::web::filters::{count, group};
use crate::web::lapses;
use crate::web::place::Place;
use crate::web::sentence::{listed, workload};

use super::Asking;

/// Users of each that are named.
pub const USERS: u16 = 3;

#[derive(Debug)]
pub struct Exemptions {
    pub sentence: String,
    pub lines: Vec<Line>,
}

#[derive(Debug)]
pub struct Line {
    pub title: String,
    pub href: Address,
    /// Whose it is, and why.
    pub about: String,
    pub lists: Lists,
    pub when: String,
    /// Who loses it at its end, or needs it still.
    pub lapses: String,
    pub uses: u64,
    pub users: String,
}

// === impl Exemptions ===

impl Exemptions {
    /// `told` is of the period.
    pub fn of(told: &Told, asking: &Asking) -> Self {
        let rows: Vec<&Row> = told.rows.iter().filter(|row| is_of_period(row, asking)).collect();
        let held = rows.iter().filter(|row| row.state.holds()).count() as u64;
        let over = rows.len() as u64 - held;
        let more = |number: u64| if number == 1 { "was" } else { "were" };
        let sentence = match (held, over) {
            (0, 0) => "No exemption is in force, and none was in this time.".to_owned(),
            (0, over) => format!("No exemption is in force; {} {} in this time.", group(over), more(over)),
            (held, 0) => format!("{} in force.", is_or_are(held)),
            (held, over) => {
                format!("{} in force; {} {} in this time.", is_or_are(held), count(over, "other"), more(over))
            }
        };
        Self { sentence, lines: rows.into_iter().map(|row| Line::of(row, asking)).collect() }
    }
}

/// Whether it was used, or may have been: configured before the end and not over before the beginning, and of the place that is
/// asked for as far as its globs say.
fn is_of_period(row: &Row, asking: &Asking) -> bool {
    let scope = &asking.scope;
    let (first, last) = row.known.loaded.unwrap_or((asking.now(), asking.now()));
    let is_before_the_end = scope.until.is_none_or(|until| first < until);
    let is_after = |end: Timestamp| scope.since.is_none_or(|since| end > since);
    let was_held = match row.state {
        State::Until(_) | State::Permanent => true,
        State::Ended(until) => is_after(until),
        State::Gone => is_after(last),
    };
    let is_of = |globs: &[String], name: &Option<String>| {
        let Some(name) = name else { return true };
        globs.is_empty() || globs.iter().any(|glob| Glob::new(glob, Subject::Name).matches(name))
    };
    let is_there = row.known.settings.as_ref().is_none_or(|settings| {
        is_of(&settings.clusters, &scope.cluster) && is_of(&settings.namespaces, &scope.namespace)
    });
    row.known.used.reviews > 0 || (is_before_the_end && was_held && is_there)
}

fn is_or_are(number: u64) -> String {
    format!("{} {}", count(number, "exemption"), if number == 1 { "is" } else { "are" })
}

// === impl Line ===

impl Line {
    fn of(row: &Row, asking: &Asking) -> Self {
        let used = &row.known.used;
        let named = used.users.iter();
        let mut users: Vec<String> = named
            .map(|user| format!("{} ({})", workload(&user.workload), Place::of(&user.cluster, &user.namespace).named()))
            .collect();
        let more = used.workloads - used.users.len() as u64;
        users.extend((more > 0).then(|| format!("{} more", count(more, "workload"))));
        Self {
            title: row.title(),
            href: asking.to(Address::below("/exemptions", &[&row.known.id]).path()),
            about: row.about(),
            lists: row.lists(),
            when: lapses::when(row, &asking.zone),
            lapses: lapses::said(row, &asking.zone).to_string(),
            uses: used.reviews,
            users: if users.is_empty() { "nobody".to_owned() } else { listed(&users) },
        }
    }
}
