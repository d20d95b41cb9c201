//! `/exemptions`: what is let through although a rule stands against it, until when, and who breaks then; and who broke a
//! glass.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::{html, start_of};
use crate::review::clock::{DAY, Timestamp};
use crate::review::ticket::{FirstUse, Ticket};
use crate::store::read::{Horizons, Scope, Uses};
use crate::store::{Broken, UsePage};
use crate::web::address::Address;
use crate::web::bar::Bar;
use crate::web::error::PageError;
use crate::web::exemptions::{Counts, Lists, Row as Exemption, SOON, State as Standing, Told, Unused, of_user};
use crate::web::filters::{self, count, group};
use crate::web::frame::{Frame, Notice, Visit};
use crate::web::lapses::{self, Losing};
use crate::web::place::Place;
use crate::web::query::cursor;
use crate::web::readiness::Question;
use crate::web::sentence::{self, Fate, Sentence};
use crate::web::span::{Span, lead, scope_of};
use crate::web::{Live, WebState};

const ROWS: u16 = 50;
/// Users of one exemption that its row names.
const USERS: u16 = 3;
/// Exemptions that end soon, or that are needed, and workloads of each: the others are on the pages of these.
const LOSING: usize = 20;
const LOSERS: usize = 6;
/// Images of one use.
const IMAGES: usize = 4;

#[derive(Template)]
#[template(path = "pages/exemptions.html")]
struct ExemptionsPage {
    frame: Frame,
    bar: Bar,
    sentence: Sentence,
    span: Span,
    /// What ends within so many days ends soon.
    soon: i64,
    ending: Vec<Losing>,
    more_ending: u64,
    needed: Vec<Losing>,
    more_needed: u64,
    heading: String,
    rows: Vec<Row>,
    first: Option<Address>,
    next: Option<Address>,
    glass: Glass,
    api: Address,
}

/// An exemption.
struct Row {
    title: String,
    href: Address,
    about: String,
    lists: Lists,
    when: String,
    class: &'static str,
    uses: (u64, Address),
    users: Vec<UserRow>,
    more_users: u64,
    last_used: String,
    unused: String,
}

pub struct UserRow {
    pub workload: String,
    pub place: String,
    pub uses: (u64, Address),
    pub last: String,
}

/// Tickets that were used first in that time.
struct Glass {
    heading: String,
    rows: Vec<Use>,
    first: Option<Address>,
    older: Option<Address>,
    /// All that they let through in that time.
    list: Address,
    exports: [(&'static str, Address); 2],
    api: Address,
}

struct Use {
    at: String,
    decision: Address,
    ticket: String,
    /// All that this one let through.
    list: Address,
    person: String,
    workload: String,
    place: String,
    images: Option<Vec<String>>,
    more_images: usize,
    rules: Vec<String>,
    without: Fate,
    until: String,
}

pub async fn list(State(state): State<Arc<WebState>>, visit: Visit) -> Result<Response, PageError> {
    let scope = scope_of(&visit)?;
    let skip = visit.parameters.place("skip")?;
    let after = visit.parameters.cursor("it is not a place in this list: begin again at the newest")?;
    let live = state.live(&visit.reach).await?;
    let (store, here) = (&state.store, visit.to("/exemptions"));
    let question = Question::of(&state, &live, &visit.parameters, visit.now, &visit.reach);
    let asked = Uses::of(&scope);
    let (told, uses, bar, horizons) = tokio::try_join!(
        Told::of(store, &question, &scope, USERS),
        store.uses(&asked, ROWS, after),
        Bar::of(store, &visit, &here),
        store.horizons()
    )?;
    let told = told.listed();
    if skip > 0 && skip >= told.rows.len() as u64 {
        return Ok(start_of(&here));
    }
    let glass = Glass::of(&visit, &scope, &here, uses, after.is_some());
    let mut page = ExemptionsPage::of(&visit, &scope, &live, &told, (skip, bar, glass));
    page.frame.notices.extend(notices(&told, &horizons, &scope, &visit));
    Ok(html(&page)?.into_response())
}

/// Where uses are told that nobody can list, or not all that there were.
pub fn notices(told: &Told, horizons: &Horizons, scope: &Scope, visit: &Visit) -> Vec<Notice> {
    // What was let through is kept as long as what is notable.
    let notable = Horizons { decisions: horizons.notable, for_size: None, ..*horizons };
    let known = told.known_since.filter(|known| *known > told.since).map(|known| Notice {
        class: "warning",
        href: None,
        heading: format!("Known from {} on", visit.zone.minute(known)),
        text: "Before that this history does not know which exemption let what through: uses of then are in no figure here."
            .to_owned(),
    });
    known.into_iter().chain(Notice::of_counted(told.since, &notable, scope, &visit.zone)).collect()
}

/// The decisions of the days that were counted.
pub fn decisions(visit: &Visit, told: &Told, id: &str) -> Address {
    visit
        .to("/decisions")
        .with("since", told.since.to_string())
        .with("until", told.until.to_string())
        .with("dry_run", "false")
        .with("exemption", id)
}

// === impl ExemptionsPage ===

impl ExemptionsPage {
    fn of(visit: &Visit, scope: &Scope, live: &Live, told: &Told, (skip, bar, glass): (u64, Bar, Glass)) -> Self {
        let here = &bar.here;
        let losing = |rows: Vec<&Exemption>| -> (Vec<Losing>, u64) {
            let shown = rows.iter().take(LOSING).map(|row| Losing::of(row, told, visit, LOSERS)).collect();
            (shown, rows.len().saturating_sub(LOSING) as u64)
        };
        let (ending, more_ending) = losing(told.ending(visit.now).collect());
        let (needed, more_needed) = losing(told.needed().collect());
        let (all, from) = (told.rows.len() as u64, usize::try_from(skip).unwrap_or(usize::MAX));
        let shown: Vec<&Exemption> = told.rows.iter().skip(from).take(usize::from(ROWS)).collect();
        let next = skip + shown.len() as u64;
        Self {
            frame: Frame::of("Exemptions", visit, live, here.clone()),
            sentence: sentence(&lead(visit, scope), told.counts(visit.now), all),
            span: Span::of(visit, scope, (told.since, told.until)),
            soon: SOON / DAY,
            ending,
            more_ending,
            needed,
            more_needed,
            heading: match all {
                0 => "No exemptions".to_owned(),
                all => filters::part(count(all, "exemption"), all, skip, shown.len()),
            },
            rows: shown.into_iter().map(|row| Row::of(row, told, visit)).collect(),
            first: (skip > 0).then(|| here.clone()),
            next: (next < all).then(|| here.clone().with("skip", next.to_string())),
            glass,
            api: here.at("/api/v1/exemptions").without("tz"),
            bar,
        }
    }
}

/// "In the last 7 days 3 of 5 exemptions let something through, 412 times; 2 workloads will break when 1 of them ends."
fn sentence(span: &str, counts: Counts, all: u64) -> Sentence {
    let sentence = Sentence::default();
    let Counts { held, used, uses, ending, breaking, rejected, needed, needing } = counts;
    if all == 0 {
        return sentence.plain(format!("{span} no exemption let anything through."));
    }
    let times = if uses == 1 { "once".to_owned() } else { format!("{} times", group(uses)) };
    let sentence = match (held, used) {
        (0, _) => sentence.plain("No exemption is in force"),
        (1, 0) => sentence.plain(format!("{span} the one exemption was not used")),
        (held, 0) => sentence.plain(format!("{span} none of {} was used", count(held, "exemption"))),
        (1, _) => sentence.plain(format!("{span} the one exemption was used, {times}")),
        (held, used) => {
            sentence.plain(format!("{span} {} of {} were used, {times}", group(used), count(held, "exemption")))
        }
    };
    let within = SOON / DAY;
    let sentence = match ending {
        0 if held == 0 => sentence,
        0 => sentence.plain(format!("; none ends within {within} days")),
        some => {
            let ends = if some == 1 { "ends" } else { "end" };
            let sentence = sentence.plain(format!("; {} {ends} within {within} days", group(some)));
            match (breaking, rejected) {
                (0, 0) => sentence.plain(", and no workload loses anything then"),
                (0, rejected) => sentence
                    .plain(", and then ")
                    .phrase("would", count(rejected, "workload"))
                    .plain(" would be rejected"),
                (breaking, rejected) => {
                    let breaks = sentence.plain(", and then ").phrase("denied", count(breaking, "workload"));
                    let breaks = breaks.plain(" will break");
                    match rejected {
                        0 => breaks,
                        more => breaks.plain(" and ").phrase("would", group(more)).plain(" more would be rejected"),
                    }
                }
            }
        }
    };
    let sentence = match needed {
        0 => sentence,
        some => {
            let is = if some == 1 { "is over and still needed" } else { "are over and still needed" };
            sentence.plain(format!("; {} {is} by ", group(some))).phrase("would", count(needing, "workload"))
        }
    };
    sentence.plain(".")
}

// === impl Row ===

impl Row {
    fn of(row: &Exemption, told: &Told, visit: &Visit) -> Self {
        let list = decisions(visit, told, &row.known.id);
        let used = &row.known.used;
        let (last_used, unused) = unused(row, told, visit);
        Self {
            title: row.title(),
            href: lapses::page(visit, &row.known.id),
            about: row.about(),
            lists: row.lists(),
            when: lapses::when(row, &visit.zone),
            class: match row.state {
                state if state.ends_soon(visit.now) => "would",
                Standing::Until(_) | Standing::Permanent => "allowed",
                Standing::Ended(_) | Standing::Gone => "dry",
            },
            users: used.users.iter().map(|user| UserRow::of(user, &list, visit)).collect(),
            more_users: used.workloads - used.users.len() as u64,
            uses: (used.reviews, list),
            last_used,
            unused,
        }
    }
}

/// When it was used last, and how long it was not.
pub fn unused(row: &Exemption, told: &Told, visit: &Visit) -> (String, String) {
    let days = |since: Timestamp| u64::try_from(visit.now.0.saturating_sub(since.0) / DAY).unwrap_or(0);
    match told.unused_since(row) {
        Some(Unused::Since(last)) => {
            let unused = match days(last) {
                0 => String::new(),
                days => format!("unused for {}", count(days, "day")),
            };
            (visit.zone.minute(last), unused)
        }
        Some(Unused::AsFarAsKnown(since)) => {
            let unused = match days(since) {
                0 => format!("known since {}", visit.zone.minute(since)),
                days => format!("unused for {}, as far back as is known", count(days, "day")),
            };
            ("never".to_owned(), unused)
        }
        None => ("never".to_owned(), String::new()),
    }
}

// === impl UserRow ===

impl UserRow {
    pub fn of(user: &crate::store::exemption::User, list: &Address, visit: &Visit) -> Self {
        Self {
            workload: sentence::workload(&user.workload),
            place: Place::of(&user.cluster, &user.namespace).named(),
            uses: (user.reviews, of_user(list, user)),
            last: visit.zone.minute(user.last_at),
        }
    }
}

// === impl Glass ===

impl Glass {
    fn of(visit: &Visit, scope: &Scope, here: &Address, uses: UsePage, paged: bool) -> Self {
        let list = visit.to("/decisions").with("ticket", "*").with("dry_run", "false");
        let list = list.with_some("since", scope.since.map(|since| since.to_string()));
        let list = list.with_some("until", scope.until.map(|until| until.to_string()));
        let export = list.at("/api/v1/export").without("tz");
        let rows: Vec<Use> = uses.tickets.iter().filter_map(|ticket| Use::of(ticket, &uses, visit)).collect();
        let Broken { tickets, workloads } = uses.broken();
        let told = format!(
            "{}, first used by {} in that time",
            count(tickets, "break-glass ticket"),
            count(workloads, "workload")
        );
        let here = here.clone();
        Self {
            heading: match (rows.len(), uses.next.is_some(), paged) {
                (0, ..) => "No break-glass ticket was first used in that time".to_owned(),
                (_, true, false) => format!("The newest: {told}"),
                (_, false, false) => told,
                (_, true, true) => format!("Further back: {told}"),
                (_, false, true) => format!("The oldest: {told}"),
            },
            rows,
            first: paged.then(|| here.clone()),
            older: uses.next.map(|next| here.clone().with("after", cursor::encode(next))),
            exports: [("CSV", "csv"), ("NDJSON", "ndjson")]
                .map(|(label, format)| (label, export.clone().with("format", format))),
            api: here.at("/api/v1/break-glass").without("tz"),
            list,
        }
    }
}

// === impl Use ===

impl Use {
    fn of(ticket: &Ticket, uses: &UsePage, visit: &Visit) -> Option<Self> {
        let Ticket { key, first_use, .. } = ticket;
        let FirstUse { at, until, person, rules, decision, without } = first_use.as_ref()?;
        let place = Place::of(&key.cluster, &key.namespace);
        let workload = sentence::workload(&key.workload);
        let list = place.list(&visit.to("/decisions").without("since").without("until"));
        let mut images = uses.images.get(decision).cloned();
        let more_images = images.as_ref().map_or(0, |images| images.len().saturating_sub(IMAGES));
        if let Some(images) = &mut images {
            images.truncate(IMAGES);
        }
        Some(Self {
            at: visit.zone.minute(*at),
            decision: visit.to(&format!("/decisions/{decision}")),
            // Names with a star are globs in a list's filter: such a ticket finds itself, and those that it takes in.
            list: list.with("workload", &workload).with("ticket", &key.ticket).with("dry_run", "false"),
            ticket: key.ticket.clone(),
            person: person.clone(),
            place: place.named(),
            workload,
            images,
            more_images,
            rules: rules.clone(),
            without: Fate::without(*without),
            until: visit.zone.minute(*until),
        })
    }
}
