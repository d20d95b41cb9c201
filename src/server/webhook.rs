//! From an HTTP request to the way of a review.
//!
//! A request is checked in the order Host, method, path, media type, size, JSON; the first that is wrong is answered.

use std::any::Any;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, Version};
use http_body_util::Full;

use hyper::body::Incoming;
use tower::{Service as TowerService, ServiceBuilder};
use tower_http::BoxError;
use tower_http::body::UnsyncBoxBody;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::warn;

use crate::admission::failure::Failure;
use crate::admission::gate::Gate;
use crate::admission::shed::{BEGINNING, Overload};
use crate::admission::{Arrival, Reply, Sender, Service};
use crate::review::decision::UNDECLARED;

use super::body::{self, Bounds, Read};
use super::callers::{self, Callers, Peer, Route, Token};
use super::metrics::Metrics;

/// More would be refused by an HTTP/1.1 parser of this size; HTTP/2 has no such bound of its own.
pub const MAX_HEADERS: usize = 100;

#[derive(Debug)]
pub struct Webhook {
    pub service: Service,
    pub gate: Arc<Gate>,
    pub bounds: Bounds,
    pub callers: Arc<Callers>,
    pub overload: Overload,
    pub metrics: Arc<Metrics>,
}

/// What the head of a request says of its review.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    route: Route,
    timeout: Option<String>,
}

/// What a request passes through, outermost first.
pub fn stack(
    webhook: Arc<Webhook>,
) -> impl TowerService<
    Request<Incoming>,
    Response = Response<UnsyncBoxBody<Bytes, BoxError>>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ Sync
+ 'static {
    let panicked = Arc::clone(&webhook);
    ServiceBuilder::new()
        // Nothing that a request does ends the connection of others.
        .layer(CatchPanicLayer::custom(move |_: Box<dyn Any + Send>| {
            panicked.service.refuse(&Failure::Panicked).into_response()
        }))
        .service_fn(move |request| {
            let webhook = Arc::clone(&webhook);
            async move { Ok::<_, Infallible>(webhook.answer(request).await) }
        })
}

// === impl Webhook ===

impl Webhook {
    pub async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        self.reply(&parts, body).await.into_response()
    }

    async fn reply(&self, parts: &Parts, body: Incoming) -> Reply {
        let Head { route, timeout } = match Head::read(parts, self.callers.take_tokens()) {
            Ok(head) => head,
            Err(failure) => {
                body::discard(body, self.bounds).await;
                return self.service.refuse(&failure);
            }
        };
        let sender = self.sender(parts, route);
        let (body, room) = match body::read(body, self.gate.bytes(), self.bounds).await {
            Read::Whole(body, room) => (body, room),
            Read::NoRoom(beginning) => return self.shed(&sender.cluster, &beginning),
            Read::TooLarge => return self.service.refuse(&Failure::TooLarge { max_body: self.bounds.max_body }),
            Read::Slow => return self.service.refuse(&Failure::SlowBody(self.bounds.timeout)),
            Read::Broken(why) => return self.service.refuse(&Failure::BrokenBody(why)),
        };
        let Ok(place) = room.enter() else {
            return self.shed(&sender.cluster, &body[..body.len().min(BEGINNING)]);
        };
        let traceparent = parts.headers.get("traceparent").cloned();
        self.service.review(Arrival { sender, body, timeout, traceparent, place }).await
    }

    fn sender(&self, parts: &Parts, route: Route) -> Sender {
        let peer = parts.extensions.get::<Arc<Peer>>();
        let (sender, doubt) = self.callers.sender(peer.map(|peer| &**peer), route);
        if let Some(doubt) = doubt {
            self.metrics.undeclared(doubt.label());
            if let Some(silent) = self.metrics.undeclared_said.pass() {
                let Sender { claimed, caller, .. } = &sender;
                let (claimed, caller) =
                    (claimed.as_deref().unwrap_or_default(), caller.as_deref().unwrap_or("unproven"));
                warn!(
                    claimed,
                    caller,
                    silent,
                    "a review came from a sender that is not declared under `clusters`: {}; it is answered as ever, and \
                     recorded as cluster {UNDECLARED}, outside every figure",
                    doubt.why()
                );
            }
        }
        sender
    }

    fn shed(&self, cluster: &str, beginning: &[u8]) -> Reply {
        if self.service.sheds(self.overload) {
            self.service.shed(cluster, beginning)
        } else {
            self.service.overloaded(cluster)
        }
    }
}

// === impl Head ===

impl Head {
    fn read(parts: &Parts, takes_tokens: bool) -> Result<Self, Failure> {
        if parts.headers.len() > MAX_HEADERS {
            return Err(Failure::TooManyHeaders);
        }
        if !is_framed_plainly(parts) {
            return Err(Failure::TransferEncoding);
        }
        if !has_host(parts) {
            return Err(Failure::NoHost);
        }
        if parts.method != Method::POST {
            return Err(Failure::Method { method: parts.method.clone() });
        }
        let route = route(parts.uri.path(), takes_tokens)?;
        media_type(parts)?;
        Ok(Self { route, timeout: timeout(parts.uri.query()) })
    }
}

/// Two readers of a body in other codings than `chunked` may find its end in two places.
fn is_framed_plainly(parts: &Parts) -> bool {
    let mut codings = parts.headers.get_all(TRANSFER_ENCODING).iter();
    let first = codings.next();
    first.is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked")) && codings.next().is_none()
}

/// In HTTP/2 `:authority` stands for it; HTTP/1.1 wants the header even beside a whole URI, and once.
fn has_host(parts: &Parts) -> bool {
    if parts.version == Version::HTTP_2 && parts.uri.authority().is_some() {
        return true;
    }
    let mut hosts = parts.headers.get_all(HOST).iter();
    matches!((hosts.next(), hosts.next()), (Some(host), None) if !host.is_empty())
}

fn route(path: &str, takes_tokens: bool) -> Result<Route, Failure> {
    if let "/" | "/image_policy" | "/review" = path {
        return Ok(Route::default());
    }
    let rest = path.strip_prefix("/review/").unwrap_or_default();
    let (cluster, token) = match rest.split_once('/') {
        Some((cluster, token)) => (cluster, Some(token)),
        None => (rest, None),
    };
    let is_right = token.is_none_or(|token| takes_tokens && !token.is_empty() && !token.contains('/'));
    if !is_dns_label(cluster) || !is_right {
        return Err(Failure::Path { begins: beginning(path) });
    }
    Ok(Route { cluster: Some(cluster.to_owned()), token: token.map(|token| Token::of(token.as_bytes())) })
}

/// The first part of a path, as far as it can be no token, nor end in one: `%2F` may stand for the slash before it.
fn beginning(path: &str) -> String {
    let rest = path.strip_prefix('/').unwrap_or(path);
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let first = &rest[..rest.find(|letter| !is_plain(letter)).unwrap_or(rest.len())];
    match first {
        _ if first.len() >= callers::SHORTEST => "/..".to_owned(),
        _ if first.len() == rest.len() => format!("/{first}"),
        _ if rest[first.len()..].starts_with('/') => format!("/{first}/.."),
        _ => format!("/{first}.."),
    }
}

/// RFC 1123: what Kubernetes takes as a name.
pub fn is_dns_label(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !name.is_empty() && name.len() <= 63 && name.bytes().all(inner) && !name.starts_with('-') && !name.ends_with('-')
}

fn media_type(parts: &Parts) -> Result<(), Failure> {
    let given: Vec<&[u8]> = parts.headers.get_all(CONTENT_TYPE).iter().map(HeaderValue::as_bytes).collect();
    match given[..] {
        [one] if essence(one).eq_ignore_ascii_case(b"application/json") => Ok(()),
        [] => Err(Failure::MediaType(None)),
        _ => Err(Failure::MediaType(Some(String::from_utf8_lossy(&given.join(b", ".as_slice())).into_owned()))),
    }
}

/// A media type without its parameters.
fn essence(media_type: &[u8]) -> &[u8] {
    media_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

fn timeout(query: Option<&str>) -> Option<String> {
    let value = query?.split('&').find_map(|pair| pair.strip_prefix("timeout="))?;
    Some(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, uri: &str, headers: &[(&str, &str)]) -> Result<Head, &'static str> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        Head::read(&parts, true).map_err(|failure| failure.label())
    }

    const HOST_AND_TYPE: [(&str, &str); 2] = [("host", "h"), ("content-type", "application/json")];

    #[test]
    fn the_first_mistake_in_the_order_is_the_one_answered() {
        assert_eq!(head("GET", "/nowhere", &[]), Err("no_host"));
        assert_eq!(head("GET", "/nowhere", &[("host", "h"), ("host", "i")]), Err("no_host"), "one of them is wrong");
        assert_eq!(head("GET", "http://h/nowhere", &[]), Err("no_host"), "a URI is not a Host");
        assert_eq!(head("GET", "/nowhere", &[("host", "h")]), Err("method"));
        assert_eq!(head("POST", "/nowhere", &[("host", "h")]), Err("path"));
        assert_eq!(head("POST", "/review", &[("host", "h")]), Err("media_type"));
        assert_eq!(head("POST", "/review", &[("host", "h"), ("content-type", "text/json")]), Err("media_type"));
        let two = [HOST_AND_TYPE.as_slice(), &[("content-type", "text/plain")]].concat();
        assert_eq!(head("POST", "/review", &two), Err("media_type"), "which of the two?");
    }

    #[test]
    fn the_path_names_the_cluster() {
        let route = |path: &str| head("POST", path, &HOST_AND_TYPE).map(|head| head.route);
        let to = |cluster: &str, token: Option<&str>| {
            Ok(Route { cluster: Some(cluster.to_owned()), token: token.map(|token| Token::of(token.as_bytes())) })
        };
        for path in ["/", "/review", "/image_policy"] {
            assert_eq!(route(path), Ok(Route::default()), "{path}");
        }
        assert_eq!(route("/review/prod-eu"), to("prod-eu", None));
        assert_eq!(route("/review/prod-eu/secret"), to("prod-eu", Some("secret")));
        for path in
            ["/review/", "/review/Prod", "/review/a/", "/review/a/b/c", "/review/-a", "/review/a%20b", "/images"]
        {
            assert_eq!(route(path), Err("path"), "{path}");
        }
        assert_eq!(route(&format!("/review/{}", "a".repeat(64))), Err("path"));
    }

    #[test]
    fn a_token_in_a_path_that_leads_nowhere_is_not_shown() {
        let refusal = |path: &str, takes_tokens| super::route(path, takes_tokens).expect_err(path).to_string();
        assert!(refusal("/review/prod/canary", false).starts_with("there is nothing at /review/..; reviews go to"));
        assert!(refusal("/images", false).starts_with("there is nothing at /images; reviews go to"));
        for path in [
            "/review/prod/canary/",
            "/reviews/prod/canary",
            "/review/Prod/canary",
            "/prod/canary",
            "//canary",
            "/review%2Fprod%2Fcanary",
            "/review%2fprod/canary",
            "/review/prod%2Fcanary",
            "/prod%2Fcanary",
            "/%2Fcanary",
            "/review;canary",
            "/canary-0123456789",
        ] {
            assert!(!refusal(path, true).contains("canary"), "{path}");
        }
    }

    #[test]
    fn parameters_of_the_media_type_and_the_time_out_are_read() {
        let headers = [("host", "h"), ("content-type", "Application/JSON; charset=utf-8")];
        let head = head("POST", "/review?a=b&timeout=10s", &headers).expect("it is right");
        assert_eq!(head.timeout.as_deref(), Some("10s"));
    }
}
