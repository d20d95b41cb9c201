//! `/images/reference?image=`: an image as it was written: who asked for it, who runs it, what it breaks.

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::{html, start_of};
use crate::store::read::{Asker, Broken, Filter, Runner, Scope, Slice};
use crate::web::address::Address;
use crate::web::error::PageError;
use crate::web::filters::{self, count};
use crate::web::frame::{Frame, Notice, Visit};
use crate::web::image::ImageFound;
use crate::web::place::Place;
use crate::web::reference::{self, Written};
use crate::web::sentence::{self, Sentence};
use crate::web::{Live, WebState};

const ROWS: u16 = 50;

#[derive(Template)]
#[template(path = "pages/image.html")]
struct ImagePage {
    frame: Frame,
    text: String,
    written: Written,
    sentence: Sentence,
    /// The repository and the list of its references.
    of_repository: Option<(String, Address)>,
    all: Address,
    /// A cluster or a namespace that it is narrowed to, and the page without that.
    narrowed: Option<(String, Address)>,
    /// Digests of which the tag was seen to stand for.
    digests: Vec<String>,
    broken: Vec<Broken>,
    heading: String,
    askers: Vec<AskerRow>,
    first: Option<Address>,
    next: Option<Address>,
    has_inventory: bool,
    runners: Vec<RunnerRow>,
    more_runners: bool,
    api: Address,
}

struct AskerRow {
    workload: String,
    place: String,
    of_place: Address,
    first: String,
    last: String,
    broken: Option<Vec<Broken>>,
    reviews: (u64, Address),
}

struct RunnerRow {
    workload: String,
    place: String,
    pods: String,
    digest: Option<String>,
    of_inventory: Address,
}

pub async fn show(State(state): State<Arc<WebState>>, visit: Visit) -> Result<Response, PageError> {
    let text = visit.parameters.image()?;
    let place = |name| visit.parameters.text(name).map(str::to_owned);
    let scope = Scope { cluster: place("cluster"), namespace: place("namespace"), ..Scope::of(visit.reach.clone()) };
    let slice = Slice { skip: visit.parameters.place("after")?, limit: ROWS };
    let live = state.live(&visit.reach).await?;
    let (found, horizons) = tokio::try_join!(ImageFound::of(&state.store, &text, &scope, slice), async {
        Ok(state.store.horizons().await?)
    })?;
    if found.askers.rows.is_empty() && slice.skip > 0 {
        return Ok(start_of(&reference::page(&visit, &text)));
    }
    let mut page = ImagePage::of(&visit, &scope, &live, text, (found, slice));
    let all = Filter::of(visit.reach.clone());
    page.frame.notices.extend(Notice::of_deleted_rows(&horizons, &all, None, &visit.zone));
    Ok(html(&page)?.into_response())
}

// === impl ImagePage ===

impl ImagePage {
    fn of(visit: &Visit, scope: &Scope, live: &Live, text: String, (found, slice): (ImageFound, Slice)) -> Self {
        let here = reference::page(visit, &text);
        let ImageFound { askers, runners, digests, has_inventory, only_dry_runs } = found;
        let mut broken: Vec<Broken> = Vec::new();
        for one in askers.rows.iter().filter_map(|asker| asker.broken.as_ref()).flatten() {
            if !broken.iter().any(|known| (&known.policy, &known.rule) == (&one.policy, &one.rule)) {
                broken.push(one.clone());
            }
        }
        let shown = askers.rows.len() as u64;
        let next = slice.skip + shown;
        let narrowed = match (&scope.cluster, &scope.namespace) {
            (None, None) => None,
            (cluster, namespace) => {
                let names: Vec<&str> = [cluster, namespace].into_iter().flatten().map(String::as_str).collect();
                Some((names.join(" / "), here.clone().without("cluster").without("namespace")))
            }
        };
        Self {
            frame: Frame::of(text.chars().take(120).collect::<String>(), visit, live, here.clone()),
            sentence: match only_dry_runs {
                Some(dry_runs) => Sentence::default()
                    .plain(format!("{} asked for it, and nothing else did.", count(dry_runs, "dry run"))),
                None => said(&askers.rows, askers.all, broken.len()),
            },
            of_repository: reference::repository(&text)
                .map(|name| (name.clone(), visit.to("/images").with("repository", name))),
            all: visit.to("/images"),
            narrowed,
            heading: match askers.all {
                0 => "Nobody asked for it".to_owned(),
                all => {
                    let counted = count(all, "workload");
                    format!("Asked for by {}", filters::part(counted, all, slice.skip, askers.rows.len()))
                }
            },
            askers: askers.rows.iter().map(|asker| AskerRow::of(asker, &text, visit)).collect(),
            first: (slice.skip > 0).then(|| here.clone()),
            next: (next < askers.all).then(|| here.clone().with("after", next.to_string())),
            has_inventory,
            more_runners: runners.is_more,
            runners: runners.rows.iter().map(|runner| RunnerRow::of(runner, visit)).collect(),
            digests,
            broken,
            written: Written::of(&text),
            api: here.at("/api/v1/images/reference").without("tz").without("since").without("until"),
            text,
        }
    }
}

fn said(askers: &[Asker], all: u64, broken: usize) -> Sentence {
    if all == 0 {
        return Sentence::default().plain("No review that is kept asked for it.");
    }
    let namespaces: BTreeSet<_> = askers.iter().map(|asker| (&asker.cluster, &asker.namespace)).collect();
    let sentence = Sentence::default().plain(format!("{} asked for it", count(all, "workload")));
    let is_whole = askers.len() as u64 == all;
    let sentence = match is_whole {
        true => sentence.plain(format!(", in {}", count(namespaces.len() as u64, "namespace"))),
        false => sentence,
    };
    let unknown = askers.iter().filter(|asker| asker.broken.is_none()).count();
    let sentence = sentence.plain(if is_whole { "; " } else { "; of those shown " });
    let sentence = match broken {
        0 if unknown > 0 && unknown == askers.len() => return sentence.plain("what it breaks is kept no more."),
        0 => sentence.plain("it breaks no rule"),
        number => sentence.plain("it breaks ").phrase("would", count(number as u64, "rule")),
    };
    match unknown {
        0 => sentence.plain("."),
        number => sentence.plain(format!("; of {} that is kept no more.", count(number as u64, "workload"))),
    }
}

// === impl AskerRow ===

impl AskerRow {
    fn of(asker: &Asker, text: &str, visit: &Visit) -> Self {
        let place = Place::of(&asker.cluster, &asker.namespace);
        let workload = sentence::workload(&asker.workload);
        let list = visit.to("/decisions").without("since").without("until");
        let list = place.list(&list).with("workload", &workload).with("image", text).with("dry_run", "false");
        Self {
            workload,
            place: [asker.cluster.as_str(), asker.namespace.as_str()].join(" / ").trim_end_matches(" / ").to_owned(),
            of_place: place.page(visit),
            first: visit.zone.minute(asker.first_at),
            last: visit.zone.minute(asker.last_at),
            broken: asker.broken.clone(),
            reviews: (asker.reviews, list),
        }
    }
}

// === impl RunnerRow ===

impl RunnerRow {
    fn of(runner: &Runner, visit: &Visit) -> Self {
        let inventory = visit.to("/inventory").with("cluster", &runner.cluster).with("namespace", &runner.namespace);
        Self {
            workload: sentence::workload(&runner.workload),
            place: format!("{} / {}", runner.cluster, runner.namespace),
            pods: count(runner.pods, "pod"),
            digest: runner.digest.clone(),
            of_inventory: inventory,
        }
    }
}
