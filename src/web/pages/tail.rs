//! `/decisions/tail`: what comes new to a list, as server-sent events. Each has rows for the list, newest first, and says
//! how far it has come, so that whoever is cut off goes on from there.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use askama::Template;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use http::request::Parts;

use crate::store::read::{Filter, Followed, News};
use crate::web::WebState;
use crate::web::error::{PageError, WebError};
use crate::web::filters;
use crate::web::frame::Visit;
use crate::web::query::BadParameter;
use crate::web::query::followed;
use crate::web::row::Row;
use crate::web::streams::Permit;

/// How often the store is asked.
const EVERY: Duration = Duration::from_secs(1);
/// Something is sent so often, so that nobody on the way takes the silence for an end.
const ALIVE: Duration = Duration::from_secs(15);
/// How often it is asked anew who follows, and what they may see.
const KNOWN: Duration = Duration::from_secs(5);
/// Rows of one event; what a reader can take in.
const ROWS: u16 = 100;

#[derive(Template)]
#[template(path = "pages/tail.html")]
struct Rows {
    rows: Vec<Row>,
}

/// Somebody who follows.
struct Follower {
    state: Arc<WebState>,
    visit: Visit,
    filter: Filter,
    followed: Followed,
    permit: Permit,
    /// What the request said of who it is from.
    request: Parts,
    known_at: Instant,
}

pub async fn follow(
    State(state): State<Arc<WebState>>,
    visit: Visit,
    request: Parts,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, PageError> {
    let filter = visit.parameters.filter(visit.now(), &visit.reach)?;
    // A browser that was cut off says what it saw last.
    let last = request.headers.get("last-event-id").and_then(|id| id.to_str().ok()).filter(|id| !id.is_empty());
    let followed = match last.or(visit.parameters.text("from")) {
        Some(text) => followed::decode(text)
            .ok_or_else(|| BadParameter::new("from", "it is not a place that a list gave: leave it out"))?,
        None => state.store.end().await?,
    };
    let permit = state.streams.follower()?;
    let follower = Follower { state, visit, filter, followed, permit, request, known_at: Instant::now() };
    let events = stream::unfold(follower, |follower| async { follower.next().await });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE)))
}

// === impl Follower ===

impl Follower {
    /// The next event, as soon as there is something new. `None` ends the stream: a browser comes again by itself.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        while !self.permit.is_over() {
            if self.known_at.elapsed() >= KNOWN {
                self.know_again().await?;
            }
            let news = match self.state.store.news(&self.filter, self.followed.clone(), ROWS).await {
                Ok(news) => news,
                Err(error) => {
                    WebError::Store(error).log();
                    return None;
                }
            };
            self.followed = news.followed.clone();
            if let Some(event) = self.event(news) {
                return Some((Ok(event), self));
            }
            self.permit.pause(EVERY).await;
        }
        None
    }

    /// `None`: they have signed out by now, or may see nothing any more.
    async fn know_again(&mut self) -> Option<()> {
        let Self { state, request, .. } = self;
        let visitor = state.access.known(request, Some(&state.store)).await.ok()?;
        self.visit.reach = state.store.reach(&visitor.rights).await.ok()?;
        self.filter.reach = self.visit.reach.clone();
        self.known_at = Instant::now();
        Some(())
    }

    fn event(&self, news: News) -> Option<Event> {
        let rows: Vec<Row> = news.decisions.iter().rev().map(|stored| Row::of(stored, &self.visit)).collect();
        if rows.is_empty() {
            return None;
        }
        let name = if news.is_more { "some" } else { "all" };
        let html = Rows { rows }.render().map_err(|error| WebError::Template(error).log()).ok()?;
        Some(Event::default().id(followed::encode(&news.followed)).event(name).data(html.replace('\r', " ")))
    }
}
