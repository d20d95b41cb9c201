//! Exemptions with what they let through, and who loses it when they end, as pages and the API tell it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::address::Address;
use super::readiness::{Question, of_each_rule};
use crate::policy::exemptions::Exemption;
use crate::policy::readiness::evidence::{Evidence, Known as Workload, Place};
use crate::policy::readiness::lapse::{Lapse, Lapses, Past};
use crate::policy::readiness::{ANY, Asked};
use crate::policy::revision::Policy;
use crate::policy::settings::ExemptionSettings;
use crate::review::clock::{DAY, Timestamp};
use crate::store::exemption::{Exempting, Known, User};
use crate::store::read::Scope;
use crate::store::{Store, StoreError};

/// What ends within so long (ms) ends soon: long enough to plan what comes in its place.
pub const SOON: i64 = 30 * DAY;

/// All exemptions that somebody may see something of.
#[derive(Debug)]
pub struct Told {
    /// The days that were counted.
    pub since: Timestamp,
    pub until: Timestamp,
    /// What was used before is not known. `None`: all is.
    pub known_since: Option<Timestamp>,
    pub evidence: Evidence,
    /// Those of the configuration first, the one that ends first before the others.
    pub rows: Vec<Row>,
}

#[derive(Debug)]
pub struct Row {
    pub known: Known,
    pub state: State,
    /// Workloads that lose it, or have lost it; those that break first.
    pub lapses: Vec<Lapse>,
}

/// In the order in which they are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Until(Timestamp),
    Permanent,
    Ended(Timestamp),
    /// It is not in the configuration any more.
    Gone,
}

/// A part of the rows, by what they are counted for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// In force.
    pub held: u64,
    /// Of them, used, and how often.
    pub used: u64,
    pub uses: u64,
    pub ending: u64,
    /// Workloads that break when these end, and those that would be rejected then.
    pub breaking: u64,
    pub rejected: u64,
    pub needed: u64,
    /// Workloads that need what is over.
    pub needing: u64,
}

/// What an exemption takes in: names of lists, and what is in them.
pub type Lists = Vec<(&'static str, String)>;

impl Told {
    /// Each with at most `users` of its users, at least one. Of a part of the history there are those that it uses or loses.
    pub async fn of(store: &Store, question: &Question, scope: &Scope, users: u16) -> Result<Self, StoreError> {
        let held = held(question.revision.exemptions.iter());
        let exempting = store.exempting(scope, users, &held.keys().copied().collect::<Vec<_>>()).await?;
        let past = Past::of(over(&held, &exempting, question.now));
        let (evidence, lapses) = question.lapses(store, &past).await?;
        let Exempting { since, until, known_since, exemptions } = exempting;
        let mut rows = rows(exemptions, held, &lapses, question.now);
        if !question.reach.is_everything() {
            rows.retain(|row| row.known.last_used.is_some() || !row.lapses.is_empty());
            rows.iter_mut().for_each(Row::narrow);
        }
        rows.sort_by(|one, other| (one.state, &one.known.id).cmp(&(other.state, &other.known.id)));
        Ok(Self { since, until, known_since, evidence, rows })
    }

    /// As a list has them: those that are gone while they are used or needed, as their number has no end.
    pub fn listed(mut self) -> Self {
        self.rows.retain(|row| row.state != State::Gone || row.known.used.reviews > 0 || !row.lapses.is_empty());
        self
    }

    pub fn counts(&self, now: Timestamp) -> Counts {
        let mut counts = Counts::default();
        let (mut losing, mut needing) = (BTreeMap::new(), BTreeSet::new());
        for row in &self.rows {
            let used = &row.known.used;
            if row.state.holds() {
                counts.held += 1;
                counts.uses += used.reviews;
                counts.used += u64::from(used.reviews > 0);
            }
            if row.state.ends_soon(now) {
                counts.ending += 1;
                row.lapses.iter().for_each(|lapse| *losing.entry(lapse.known).or_insert(false) |= lapse.breaks);
            }
            if row.is_needed() {
                counts.needed += 1;
                needing.extend(row.lapses.iter().map(|lapse| lapse.known));
            }
        }
        counts.breaking = losing.values().filter(|breaks| **breaks).count() as u64;
        counts.rejected = losing.len() as u64 - counts.breaking;
        counts.needing = needing.len() as u64;
        counts
    }

    pub fn row(&self, id: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.known.id == id)
    }

    pub fn workload(&self, lapse: &Lapse) -> (&Place, &Workload) {
        let known = &self.evidence.known[lapse.known];
        (&self.evidence.places[known.place], known)
    }

    /// Those that end soon, the first of them first.
    pub fn ending(&self, now: Timestamp) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.state.ends_soon(now))
    }

    pub fn needed(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.is_needed())
    }

    /// Since when nobody used it, where nobody did within its time: its last use, or as far back as uses are known.
    pub fn unused_since(&self, row: &Row) -> Option<Unused> {
        let known = row.known.loaded.map(|(first, _)| first).max(self.known_since);
        match (row.known.last_used, known) {
            (Some(last), _) => Some(Unused::Since(last)),
            (None, Some(known)) => Some(Unused::AsFarAsKnown(known)),
            (None, None) => None,
        }
    }
}

/// How long nobody used an exemption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unused {
    Since(Timestamp),
    /// It was never used since then, and nothing of before is known.
    AsFarAsKnown(Timestamp),
}

/// By id; of those that take in the same the one that ends last.
type Held<'a> = BTreeMap<&'a str, &'a ExemptionSettings>;

fn held<'a>(all: impl Iterator<Item = &'a Exemption>) -> Held<'a> {
    let mut held = Held::new();
    for Exemption { id, settings, .. } in all {
        let known = held.entry(id).or_insert(settings);
        if settings.ends_after(known) {
            *known = settings;
        }
    }
    held
}

/// Those that have ended, the last of them first, then those that are gone, which were loaded last first.
fn over(held: &Held<'_>, exempting: &Exempting, now: Timestamp) -> Vec<ExemptionSettings> {
    let has_ended = |one: &&&ExemptionSettings| one.until.is_some_and(|until| until <= now);
    let mut ended: Vec<&ExemptionSettings> = held.values().filter(has_ended).copied().collect();
    ended.sort_by_key(|one| std::cmp::Reverse(one.until));
    let gone = exempting.exemptions.iter().filter(|one| !held.contains_key(one.id.as_str()));
    ended.into_iter().chain(gone.filter_map(|one| one.settings.as_ref())).cloned().collect()
}

fn rows(known: Vec<Known>, mut held: Held<'_>, lapses: &Lapses, now: Timestamp) -> Vec<Row> {
    let of = |known: Known, state| {
        let mut lapses: Vec<Lapse> = lapses.of(&known.id).cloned().collect();
        lapses.sort_by_key(|lapse| (!lapse.breaks, lapse.known));
        Row { known, state, lapses }
    };
    let mut rows: Vec<Row> = Vec::with_capacity(known.len());
    for one in known {
        let settings = held.remove(one.id.as_str());
        let state = settings.map_or(State::Gone, |settings| State::of(settings, now));
        rows.push(of(Known { settings: settings.cloned().or(one.settings), ..one }, state));
    }
    // Loaded a moment ago, so that the history does not know of them yet.
    for (id, settings) in held {
        let known = Known {
            id: id.to_owned(),
            settings: Some(settings.clone()),
            loaded: None,
            last_used: None,
            used: Default::default(),
        };
        rows.push(of(known, State::of(settings, now)));
    }
    rows
}

// === impl Row ===

impl Row {
    /// It is over, and a workload would need it.
    pub fn is_needed(&self) -> bool {
        !self.state.holds() && !self.lapses.is_empty()
    }

    /// Without what it takes in, which may name what is of others: what is left, decisions say of it too.
    fn narrow(&mut self) {
        if let Some(settings) = &mut self.known.settings {
            *settings = ExemptionSettings {
                until: settings.until,
                ticket: settings.ticket.take(),
                owner: settings.owner.take(),
                reason: settings.reason.take(),
                ..ExemptionSettings::default()
            };
        }
    }

    /// What a person knows it by.
    pub fn title(&self) -> String {
        let ticket = self.known.settings.as_ref().and_then(|settings| settings.ticket.clone());
        ticket.unwrap_or_else(|| format!("exemption {}", self.known.id))
    }

    /// Whose it is, and why.
    pub fn about(&self) -> String {
        let Some(settings) = &self.known.settings else { return "what it takes in is not known here".to_owned() };
        let owner = settings.owner.as_ref().map(|owner| format!("owner {owner}"));
        owner.into_iter().chain(settings.reason.clone()).collect::<Vec<_>>().join(" · ")
    }

    pub fn lists(&self) -> Lists {
        let Some(one) = &self.known.settings else { return Vec::new() };
        let lists: [(&str, &[String]); 7] = [
            ("policies", &one.policies),
            ("rules", &one.rules),
            ("clusters", &one.clusters),
            ("namespaces", &one.namespaces),
            ("workloads", &one.workloads),
            ("images", &one.images),
            ("containers", &one.containers),
        ];
        let written = lists.into_iter().filter(|(_, list)| !list.is_empty());
        written.map(|(name, list)| (name, list.join(", "))).collect()
    }
}

// === impl State ===

impl State {
    fn of(settings: &ExemptionSettings, now: Timestamp) -> Self {
        match settings.until {
            None => Self::Permanent,
            Some(until) if until <= now => Self::Ended(until),
            Some(until) => Self::Until(until),
        }
    }

    pub fn holds(self) -> bool {
        matches!(self, Self::Until(_) | Self::Permanent)
    }

    pub fn ends_soon(self, now: Timestamp) -> bool {
        matches!(self, Self::Until(until) if until.0.saturating_sub(now.0) <= SOON)
    }

    /// As the API names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Until(_) => "until",
            Self::Permanent => "permanent",
            Self::Ended(_) => "ended",
            Self::Gone => "gone",
        }
    }
}

/// The decisions of a user, among those of the exemption.
pub fn of_user(list: &Address, user: &User) -> Address {
    let place = super::place::Place::of(&user.cluster, &user.namespace);
    place.list(list).with("workload", super::sentence::workload(&user.workload))
}

impl Question {
    /// What the rules that exemptions name say of workloads, and who loses which.
    async fn lapses(&self, store: &Store, past: &Past) -> Result<(Evidence, Lapses), StoreError> {
        let revision = Arc::clone(&self.revision);
        let violated = store.known_rules().await?;
        let is_named = |asked: &Asked| {
            let rule = Some(asked.rule.as_str()).filter(|rule| *rule != ANY);
            past.names(&asked.policy, rule) || revision.exemptions.iter().any(|one| one.names(&asked.policy, rule))
        };
        let of = |policy| Asked::all(policy, &violated).into_iter().map(move |asked| (policy, asked));
        let named = revision.policies.iter().flat_map(of).filter(|(_, asked)| is_named(asked));
        let (policies, asked): (Vec<&Policy>, Vec<Asked>) = named.unzip();
        let mut lapses = Lapses::default();
        if asked.is_empty() {
            return Ok((Evidence::default(), lapses));
        }
        let evidence = store.evidence(&self.scope(), &asked).await?;
        let wanted = policies.iter().zip(&asked).enumerate();
        let wanted =
            wanted.map(|(at, (policy, asked))| Lapses::wanted(self.ground(policy), past, asked, &evidence, at));
        let faults = of_each_rule(store, &asked, wanted.collect()).await?;
        for (at, ((policy, asked), faults)) in policies.into_iter().zip(&asked).zip(&faults).enumerate() {
            lapses.add((self.ground(policy), past), asked, &evidence, at, faults);
        }
        Ok((evidence, lapses))
    }
}
