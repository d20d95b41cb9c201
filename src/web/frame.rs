//! What surrounds every page: title, ways to the other pages, notices, the zone of its times.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::request::Parts;

use super::access::visitor::{Visitor, Who};
use super::address::Address;
use super::completeness::Completeness;
use super::error::{PageError, WebError};
use super::filters::{count, plain};
use super::nav::Nav;
use super::query::{Now, Parameters};
use super::settings::ReportSettings;
use super::zone::Zone;
use super::{Live, WebState, assets};
use crate::policy::ceiling::Ceiling;
use crate::review::clock::Timestamp;
use crate::review::decision::{Gap, UNDECLARED};
use crate::store::reach::Reach;
use crate::store::read::{Figures, Filter, Horizons, Scope, Summary};

/// Kept when going from page to page.
const CARRIED: [&str; 5] = ["since", "until", "cluster", "namespace", "tz"];

/// One request for a page.
#[derive(Debug)]
pub struct Visit {
    pub parameters: Parameters,
    pub zone: Zone,
    pub now: Timestamp,
    pub visitor: Visitor,
    /// What of the history they may see.
    pub reach: Reach,
}

#[derive(Debug)]
pub struct Frame {
    pub title: String,
    pub style: &'static str,
    pub script: &'static str,
    pub icon: &'static str,
    pub nav: Nav,
    pub notices: Vec<Notice>,
    pub footer: Option<Footer>,
    /// Without a script the page is to be loaded again and again.
    pub refresh: bool,
    /// Who is signed in.
    pub person: Option<Person>,
}

#[derive(Debug)]
pub struct Person {
    pub name: String,
    pub role: &'static str,
    /// Of the form that signs them out; `None`: another signs them in and out.
    pub csrf: Option<String>,
}

/// Something that makes figures less than they seem, or that wants a person.
#[derive(Debug)]
pub struct Notice {
    pub class: &'static str,
    pub heading: String,
    pub text: String,
    /// What it is about.
    pub href: Option<Address>,
}

#[derive(Debug)]
pub struct Footer {
    /// This page, for the form that changes its zone.
    pub here: Address,
    pub zone: String,
    pub complete_until: String,
    pub revision: String,
    /// `None`: its text is not for everybody.
    pub of_revision: Option<Address>,
}

/// Gaps that a page tells one by one.
const GAPS: usize = 5;
/// Replicas that a page tells one by one.
const REPLICAS: usize = 3;

// === impl Visit ===

impl Visit {
    /// # Errors
    /// The address cannot be read, or names what is not the visitor's.
    async fn of(state: &WebState, visitor: Visitor, query: Option<&str>) -> Result<Self, WebError> {
        let parameters = Parameters::parse(query)?;
        visitor.admit(parameters.text("cluster"), parameters.text("namespace"))?;
        let zone = parameters.zone(&state.settings.time_zone)?;
        let reach = state.store.reach(&visitor.rights).await?;
        Ok(Self { parameters, zone, now: Timestamp::now(), visitor, reach })
    }

    /// Of whoever may see everything, which needs no history to be known.
    ///
    /// # Errors
    /// The address cannot be read, or `what` it shows is not for them.
    pub fn of_everything(
        settings: &ReportSettings,
        visitor: Visitor,
        query: Option<&str>,
        what: &str,
    ) -> Result<Self, WebError> {
        visitor.admit_to_all(what)?;
        let parameters = Parameters::parse(query)?;
        let zone = parameters.zone(&settings.time_zone)?;
        Ok(Self { parameters, zone, now: Timestamp::now(), visitor, reach: Reach::Everything })
    }

    /// The same of one cluster and namespace: a page that is of these goes on to others with them.
    pub fn at_place(mut self, cluster: &str, namespace: &str) -> Self {
        self.parameters = self.parameters.with(&[("cluster", cluster), ("namespace", namespace)]);
        self
    }

    pub fn now(&self) -> Now<'_> {
        Now { at: self.now, zone: &self.zone }
    }

    /// The page of a revision, where they may see it.
    pub fn of_revision(&self, id: &str) -> Option<Address> {
        self.reach.is_everything().then(|| self.revision(id))
    }

    /// The page of a revision.
    pub fn revision(&self, id: &str) -> Address {
        self.to(&format!("/revisions/{id}"))
    }

    /// `path` with what is kept from page to page.
    pub fn to(&self, path: &str) -> Address {
        self.parameters.address(path, &CARRIED)
    }
}

/// No page is made without one: what somebody may see is known before anything is read.
impl FromRequestParts<Arc<WebState>> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<WebState>) -> Result<Self, Response> {
        let visitor = Visitor::from_request_parts(parts, state).await.map_err(IntoResponse::into_response)?;
        let visit = Self::of(state, visitor, parts.uri.query()).await;
        visit.map_err(|error| PageError::from(error).into_response())
    }
}

// === impl Frame ===

impl Frame {
    /// The page at `here`.
    pub fn of(title: impl Into<String>, visit: &Visit, live: &Live, here: Address) -> Self {
        Self {
            nav: Nav::of(visit, &here),
            notices: notices(visit, live),
            person: visit.visitor.who.as_ref().map(|who| Person::of(who, &visit.visitor)),
            footer: Some(Footer {
                zone: visit.zone.name(),
                complete_until: complete_until(&live.completeness, &visit.zone),
                revision: live.revision.clone(),
                of_revision: visit.of_revision(&live.revision),
                here: here.without("tz"),
            }),
            ..Self::bare(title)
        }
    }

    /// For a page from which one can go nowhere yet.
    pub fn without_ways(title: impl Into<String>) -> Self {
        Self { nav: Nav::default(), ..Self::bare(title) }
    }

    /// For a page that knows nothing of the process or the request.
    pub fn bare(title: impl Into<String>) -> Self {
        Self {
            title: plain(&title.into()),
            style: &assets::STYLE_PATH,
            script: &assets::SCRIPT_PATH,
            icon: &assets::ICON_PATH,
            nav: Nav::bare(),
            notices: Vec::new(),
            footer: None,
            refresh: false,
            person: None,
        }
    }
}

// === impl Person ===

impl Person {
    fn of(who: &Who, visitor: &Visitor) -> Self {
        Self { name: who.name.clone(), role: visitor.role.as_str(), csrf: who.csrf() }
    }
}

// === impl Notice ===

impl Notice {
    /// One for each of the latest gaps, the oldest of them first, and one for how many there are before these.
    pub fn of_gaps(gaps: &[Gap], zone: &Zone) -> Vec<Self> {
        let (earlier, latest) = gaps.split_at(gaps.len().saturating_sub(GAPS));
        let earlier = earlier.last().map(|last| Self {
            class: "gap",
            href: None,
            heading: format!("{} before", count(earlier.len() as u64, "more gap")),
            text: format!("The last of them began at {}. The API lists all.", zone.second(last.from)),
        });
        earlier.into_iter().chain(latest.iter().map(|gap| Self::of_gap(gap, zone))).collect()
    }

    /// One for each, all of them.
    pub fn of_each_gap(gaps: &[Gap], zone: &Zone) -> Vec<Self> {
        gaps.iter().map(|gap| Self::of_gap(gap, zone)).collect()
    }

    pub fn of_gap(gap: &Gap, zone: &Zone) -> Self {
        let until = gap.to.map_or_else(|| "and still lasting".to_owned(), |to| format!("to {}", zone.second(to)));
        let number = match gap.count {
            // It has begun, and nothing was asked since; or what was is still being written.
            Some(0) => "No review is known to be".to_owned(),
            Some(number) => count(number, "review"),
            None => "An unknown number of reviews".to_owned(),
        };
        let cluster = gap.cluster.as_deref().map(|cluster| format!(" of {cluster}")).unwrap_or_default();
        Self {
            class: "gap",
            href: None,
            heading: format!("Gap from {} {until}", zone.second(gap.from)),
            text: format!("{number}{cluster} missing here: {}.", gap.reason.trim_end_matches('.')),
        }
    }

    pub fn of_ceiling(ceiling: &Ceiling, now: Timestamp, zone: &Zone) -> Self {
        let Ceiling { ticket, by, from, until, lifted, reason, .. } = ceiling;
        let (scope, end) = (ceiling.scope(), zone.second(ceiling.end()));
        let heading = match ceiling.is_in_force(now) {
            true => format!("Held back until {end}: {ticket}"),
            false => format!("Held back from {} to {end}: {ticket}", zone.second(*from)),
        };
        let reason = reason.as_ref().map(|reason| format!(", because: {reason}")).unwrap_or_default();
        let ended = match lifted {
            Some(lift) => format!(" Lifted by {}; it was to last until {}.", lift.by, zone.second(*until)),
            None => String::new(),
        };
        let text = format!("{scope}, as {by} ordered at {}{reason}.{ended}", zone.second(*from));
        Self { class: "warning", heading, text: capital(&text), href: None }
    }

    /// Names the replicas that are furthest behind.
    pub fn of_completeness(completeness: &Completeness, zone: &Zone) -> Option<Self> {
        let behind = &completeness.behind;
        let (named, more) = behind.split_at(behind.len().min(REPLICAS));
        let mut sentences: Vec<String> = named.iter().map(|behind| behind.sentence(|at| zone.second(at))).collect();
        if !more.is_empty() {
            sentences.push(format!("And {}: the API lists all.", count(more.len() as u64, "more replica")));
        }
        (!sentences.is_empty()).then(|| Self {
            class: "warning",
            href: None,
            heading: format!("Complete until {}", complete_until(completeness, zone)),
            text: sentences.join(" "),
        })
    }

    pub fn of_undeclared(number: u64) -> Option<Self> {
        (number > 0).then(|| Self {
            class: "warning", href: None,
            heading: format!("{} from undeclared senders", count(number, "review")),
            text: format!(
                "They were answered as ever, and are in no figure and no list here but those of the cluster {UNDECLARED}. \
                 Who may send for which cluster stands under `clusters` in the configuration."
            ),
        })
    }

    /// Figures outlive the decisions that they count.
    pub fn of_figures_without_rows(summary: &Summary, scope: &Scope, zone: &Zone) -> Option<Self> {
        let is_any = summary.figures != Figures::default();
        Self::of_counted(summary.since, &summary.horizons, scope, zone).filter(|_| is_any)
    }

    /// The same of figures since then, whatever they count.
    pub fn of_counted(counted: Timestamp, horizons: &Horizons, scope: &Scope, zone: &Zone) -> Option<Self> {
        let since = horizons.recountable_since(scope.dry_run)?;
        (counted < since).then(|| Self {
            class: "deleted",
            href: None,
            heading: format!("Cannot be recounted before {}", zone.second(since)),
            text: format!(
                "These figures are those of when the decisions were made. Of the decisions themselves, which the lists \
                 show, older ones are deleted: {}.",
                Self::why(horizons, zone)
            ),
        })
    }

    /// A list that goes further back than what it would show is kept.
    pub fn of_deleted_rows(
        horizons: &Horizons,
        filter: &Filter,
        since: Option<Timestamp>,
        zone: &Zone,
    ) -> Option<Self> {
        let listed = horizons.listed_since(filter)?;
        since.is_none_or(|since| since < listed).then(|| Self {
            class: "deleted",
            href: None,
            heading: format!("Not all before {}", zone.second(listed)),
            text: format!("Of what is older, decisions are deleted: {}.", Self::why(horizons, zone)),
        })
    }

    fn why(horizons: &Horizons, zone: &Zone) -> String {
        let kinds = [
            ("allowed ones without a finding", horizons.decisions),
            ("all", horizons.notable),
            ("dry runs", horizons.dry_run),
        ];
        let kinds = kinds.into_iter().filter_map(|(kind, before)| Some((kind, before?)));
        let kinds: Vec<String> = kinds.map(|(kind, before)| format!("{kind} before {}", zone.second(before))).collect();
        let early = horizons.for_size.map_or_else(String::new, |before| {
            format!(" (before {} also for the size, which retention.max_size bounds)", zone.second(before))
        });
        format!("{}{early}", kinds.join(", "))
    }

    pub fn of_unreadable(number: u64, list: &Address) -> Option<Self> {
        (number > 0).then(|| Self {
            class: "warning",
            heading: format!("{} that cannot be read", count(number, "image")),
            text: "Rules that look at a registry, a repository or a tag have nothing to look at in these.".into(),
            href: Some(list.clone()),
        })
    }

    pub fn of_unjudged(number: u64) -> Option<Self> {
        (number > 0).then(|| Self {
            class: "gap", href: None,
            heading: format!("{} unjudged", count(number, "review")),
            text: "There were more at once than can be judged: these were answered unread, and what would have become of them \
                   is not known."
                .into(),
        })
    }
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

pub fn complete_until(completeness: &Completeness, zone: &Zone) -> String {
    completeness.until.map_or_else(|| "a time that is not known".to_owned(), |until| zone.second(until))
}

/// What is wrong now, on every page.
fn notices(visit: &Visit, live: &Live) -> Vec<Notice> {
    let mut notices = Vec::new();
    for text in &live.degraded {
        notices.push(Notice { class: "warning", href: None, heading: "Degraded".into(), text: text.clone() });
    }
    notices.extend(live.ceilings.iter().map(|ceiling| {
        let mut notice = Notice::of_ceiling(ceiling, visit.now, &visit.zone);
        let idle = ceiling.idle(live.policies.iter().map(|policy| policy.name.as_str()));
        notice.text.extend(idle.map(|idle| format!(" {}.", capital(&idle))));
        notice
    }));
    notices.extend(Notice::of_completeness(&live.completeness, &visit.zone));
    notices
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::clock::DecisionId;

    #[test]
    fn a_gap_in_which_nothing_was_missed_yet_has_no_number() {
        let gap = |count| Gap {
            id: DecisionId::at(Timestamp(1_000)),
            cluster: None,
            from: Timestamp(1_000),
            to: None,
            count,
            reason: "the journal's disk did not answer in time".to_owned(),
        };
        let said = |count| Notice::of_gaps(&[gap(count)], &Zone::new(jiff::tz::TimeZone::UTC))[0].text.clone();
        let none = "No review is known to be missing here: the journal's disk did not answer in time.";
        assert_eq!(said(Some(0)), none);
        assert!(said(Some(1)).starts_with("1 review missing here"), "{}", said(Some(1)));
        assert!(said(None).starts_with("An unknown number of reviews missing here"), "{}", said(None));
    }
}
