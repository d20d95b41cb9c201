//! The printable report of a period: what there is to show an auditor, as one model. The page, the file for a mail and the
//! Markdown for a ticket are three ways to write it.

mod exemptions;
pub mod file;
mod glass;
mod incomplete;
mod markdown;
pub mod rules;

use std::sync::Arc;

use jiff::tz::TimeZone;

use self::exemptions::Exemptions;
use self::glass::Glass;
use self::incomplete::Incomplete;
use self::rules::{Judged, RulePart};
use super::access::visitor::Visitor;
use super::address::Address;
use super::chart::Chart;
use super::exemptions::Told;
use super::frame::Notice;
use super::query::{BadParameter, Now, Parameters};
use super::readiness::Question;
use super::sentence::{Sentence, state};
use super::span::{is_widened, lead_of, scope_at};
use super::tables::{Cell, cells};
use super::zone::Zone;
use super::{Live, WebState};
use crate::policy::Revision;
use crate::policy::readiness::ReadinessSettings;
use crate::review::clock::{DAY, Timestamp};
use crate::store::reach::Reach;
use crate::store::read::{Hits, Range, Scope, Slice, Uses, Which};
use crate::store::{Store, StoreError};

/// What a report is over where nothing says since when: as long before its end.
const PERIOD: i64 = 30 * DAY;

/// Columns of the chart, and rows of the table beside it: as many as fit on one sheet of paper.
const COLUMNS: usize = 31;

/// Uses of break-glass that a report tells one by one.
const USES: u16 = 100;

/// What is asked for in an address; the zone is no part of what is read.
pub const ASKED: [&str; 5] = ["since", "until", "cluster", "namespace", "tz"];

/// What a report is of, and for whom.
#[derive(Debug)]
pub struct Asking {
    pub scope: Scope,
    pub question: Question,
    pub zone: Zone,
    parameters: Parameters,
    /// Whose reach it is; `None`: nobody was asked who they are.
    person: Option<String>,
}

/// By what is judged now.
#[derive(Debug, Clone)]
pub struct Ground {
    pub revision: Arc<Revision>,
    pub settings: ReadinessSettings,
    pub reach: Reach,
    pub person: Option<String>,
}

#[derive(Debug)]
pub struct Printed {
    pub title: String,
    /// What a reader has to know before the first figure.
    pub facts: Vec<(&'static str, String)>,
    pub sentence: Sentence,
    /// What makes figures less than they seem.
    pub notes: Vec<Notice>,
    pub cells: Vec<Cell>,
    pub chart: Option<Chart>,
    pub rules: Vec<RulePart>,
    pub readiness: String,
    pub coverage: String,
    pub exemptions: Exemptions,
    pub glass: Glass,
    /// What held modes back.
    pub ceilings: Vec<Notice>,
    pub incomplete: Incomplete,
    /// Whether figures lead anywhere: not in a file.
    pub linked: bool,
}

/// With a beginning where there is none.
///
/// # Errors
/// They cannot be read.
pub fn over(parameters: &Parameters, now: Now<'_>) -> Result<Parameters, BadParameter> {
    if parameters.text("since").is_some() {
        return Ok(parameters.clone());
    }
    let end = scope_at(parameters, now, &Reach::Everything)?.until;
    let since = match end.filter(|end| *end < now.at) {
        None => format!("{}d", PERIOD / DAY),
        Some(end) => Timestamp(end.0.saturating_sub(PERIOD)).to_string(),
    };
    Ok(parameters.with(&[("since", &since)]))
}

// === impl Ground ===

impl Ground {
    /// Of what a report serves.
    pub fn of(state: &WebState, live: &Live, reach: &Reach, visitor: &Visitor) -> Self {
        let person = visitor.who.as_ref().map(|who| who.name.clone());
        Self { revision: Arc::clone(&live.loaded), settings: state.readiness, reach: reach.clone(), person }
    }
}

// === impl Asking ===

impl Asking {
    /// By [`ASKED`].
    ///
    /// # Errors
    /// Names the parameter that is wrong and says what would be right.
    pub fn of(parameters: &Parameters, ground: Ground, now: Now<'_>) -> Result<Self, BadParameter> {
        let Ground { revision, settings, reach, person } = ground;
        let parameters = over(parameters, now)?;
        let scope = scope_at(&parameters, now, &reach)?;
        let (cluster, namespace) = (scope.cluster.clone(), scope.namespace.clone());
        let question = Question { revision, settings, cluster, namespace, now: now.at, reach };
        Ok(Self { scope, question, zone: now.zone.clone(), parameters, person })
    }

    /// By other means than an address, and by the same names.
    ///
    /// # Errors
    /// Names the parameter that is wrong and says what would be right.
    pub fn given(
        given: Vec<(String, String)>,
        ground: Ground,
        zone: &TimeZone,
        now: Timestamp,
    ) -> Result<Self, BadParameter> {
        let parameters = Parameters::of(given);
        let zone = parameters.zone(zone)?;
        Self::of(&parameters, ground, Now { at: now, zone: &zone })
    }

    /// Another page, of the same place.
    fn to(&self, path: impl Into<String>) -> Address {
        self.parameters.address(&path.into(), &["cluster", "namespace", "tz"])
    }

    fn now(&self) -> Timestamp {
        self.question.now
    }

    fn reach(&self) -> &Reach {
        &self.question.reach
    }

    /// Whose history it tells of.
    fn for_whom(&self) -> String {
        match (&self.person, self.reach().is_everything()) {
            (_, true) => "the whole history is in reach".to_owned(),
            (Some(person), false) => {
                format!("only the namespaces that {person} may see: every figure and list is of these, and of no other")
            }
            (None, false) => "only some namespaces: every figure and list is of these, and of no other".to_owned(),
        }
    }

    /// Of what of it.
    fn place(&self) -> String {
        match (&self.scope.cluster, &self.scope.namespace) {
            (None, None) => "all clusters and namespaces".to_owned(),
            (Some(cluster), None) => format!("the cluster {cluster}"),
            (None, Some(namespace)) => format!("the namespace {namespace} in every cluster"),
            (Some(cluster), Some(namespace)) => format!("the namespace {namespace} of {cluster}"),
        }
    }

    /// `2026-03-01 to 2026-06-01`; with times where both are of one day.
    fn period(&self, (since, until): (Timestamp, Timestamp)) -> String {
        let zone = &self.zone;
        // A day that ends at midnight is the last of its period.
        let last = Timestamp(until.0.saturating_sub(1).max(since.0));
        match until.0 - since.0 > DAY {
            true => format!("{} to {}", zone.date(since), zone.date(last)),
            false => format!("{} to {}", zone.minute(since), zone.minute(until)),
        }
    }

    fn facts(&self, (since, until): (Timestamp, Timestamp), live: Option<&Live>) -> Vec<(&'static str, String)> {
        let zone = &self.zone;
        let widened = match is_widened(&self.scope, (since, until), self.now()) {
            true => "; widened to the whole buckets in which figures are kept",
            false => "",
        };
        let (begun, ended) = (zone.minute(since), zone.minute(until));
        vec![
            ("Period", format!("{begun} to {ended}, times in {}{widened}", zone.name())),
            ("Of", self.place()),
            ("Shows", self.for_whom()),
            ("Made", format!("{} by Rehearsal {}", zone.second(self.now()), env!("CARGO_PKG_VERSION"))),
            ("Judged by", format!("revision {}, the one that is loaded", self.question.revision.id)),
            ("Complete until", incomplete::until(live, zone)),
        ]
    }
}

// === impl Printed ===

impl Printed {
    /// `live`: what only a process that serves knows.
    pub async fn read(store: &Store, asking: &Asking, live: Option<&Live>) -> Result<Self, StoreError> {
        let scope = &asking.scope;
        let range = Range { since: scope.since, until: scope.until };
        let top = Slice { skip: 0, limit: 1 };
        let asked = Uses::of(scope);
        let (summary, buckets, rules, namespaces, undeclared, judged, told, uses, ceilings) = tokio::try_join!(
            store.summary(scope),
            store.chart(scope, COLUMNS),
            store.hits(Hits::Rules, scope, Which::Hit, top),
            store.hits(Hits::Namespaces, scope, Which::Hit, top),
            store.undeclared(scope),
            Judged::read(store, asking),
            Told::of(store, &asking.question, scope, exemptions::USERS),
            store.uses(&asked, USES, None),
            store.ceilings_within(range, asking.reach()),
        )?;
        let (zone, span) = (&asking.zone, (summary.since, summary.until));
        let list = asking.to("/decisions").with("since", span.0.to_string()).with("until", span.1.to_string());
        let list = list.with("dry_run", "false");
        let incomplete = Incomplete::of(&summary, asking, live);
        let by_namespace = Some(namespaces.rejecting).filter(|_| scope.namespace.is_none());
        let mut notes: Vec<Notice> = Notice::of_unjudged(summary.figures.unjudged).into_iter().collect();
        notes.extend(Notice::of_figures_without_rows(&summary, scope, zone));
        notes.extend(incomplete::deleted(&summary.horizons, scope, zone));
        notes.extend(Notice::of_undeclared(undeclared).filter(|_| asking.reach().is_everything()));
        notes.extend(judged.begun(asking));
        Ok(Self {
            title: format!("Report, {}", asking.period(span)),
            facts: asking.facts(span, live),
            sentence: state(&lead_of(&asking.parameters, scope), &summary.figures, rules.rejecting, by_namespace),
            notes,
            cells: cells(&summary.figures, &list, asking.reach()),
            chart: Chart::of(buckets, &incomplete.gaps, zone, &list),
            readiness: judged.readiness(asking),
            coverage: rules::COVERAGE.to_owned(),
            rules: judged.parts(asking),
            exemptions: Exemptions::of(&told, asking),
            glass: Glass::of(&uses, asking),
            ceilings: ceilings.iter().map(|ceiling| Notice::of_ceiling(ceiling, asking.now(), zone)).collect(),
            incomplete,
            linked: true,
        })
    }
}
