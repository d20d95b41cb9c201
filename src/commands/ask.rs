//! One question to the API of a report, over HTTP or HTTPS.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HOST, HeaderValue};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use rustls::RootCertStore;
use serde_json::Value;

use crate::backend::https::{self, HttpsClient};
use crate::web::access::TOKEN_PREFIX;

/// Over any network between a pipeline and a cluster.
const PATIENCE: Duration = Duration::from_secs(30);

/// A rule of five thousand namespaces is some megabytes.
const LONGEST: usize = 64 << 20;

/// How a report is asked, beside where.
#[derive(Debug, Clone, Copy, Default)]
pub struct Means<'a> {
    /// A file that holds a token of it.
    pub token: Option<&'a Path>,
    /// A file of CA certificates, to be trusted beside the system's.
    pub ca: Option<&'a Path>,
}

/// What the report says, or `None`: there is nothing at that address.
///
/// # Errors
/// It does not answer, or not with what is asked for.
pub async fn json(url: &Uri, means: Means<'_>) -> anyhow::Result<Option<Value>> {
    let Answer { authority, status, body } = answer(url, means, "application/json").await?;
    let read = serde_json::from_slice::<Value>(&body);
    match (status, read) {
        (StatusCode::OK, Ok(value)) => Ok(Some(value)),
        (StatusCode::NOT_FOUND, Ok(_)) => Ok(None),
        (_, read) => Err(refused(&authority, status, read.ok().as_ref())),
    }
}

/// A file that the report gives, or `None`: there is nothing at that address.
///
/// # Errors
/// It does not answer, or not with what is asked for.
pub async fn text(url: &Uri, means: Means<'_>) -> anyhow::Result<Option<String>> {
    let Answer { authority, status, body } = answer(url, means, "text/html, text/markdown").await?;
    match status {
        StatusCode::OK => {
            let text = String::from_utf8(body.to_vec());
            text.map(Some).with_context(|| format!("{authority} answers with no text"))
        }
        StatusCode::NOT_FOUND => Ok(None),
        status => Err(refused(&authority, status, serde_json::from_slice(&body).ok().as_ref())),
    }
}

struct Answer {
    authority: String,
    status: StatusCode,
    body: Bytes,
}

async fn answer(url: &Uri, means: Means<'_>, accepted: &'static str) -> anyhow::Result<Answer> {
    let Some(authority) = url.authority().filter(|_| matches!(url.scheme_str(), Some("http" | "https"))) else {
        bail!("{url} is not the URL of a report: write http://HOST:PORT or https://HOST");
    };
    let mut request = Request::get(url).header(HOST, authority.as_str()).header(ACCEPT, accepted);
    if let Some(file) = means.token {
        request = request.header(AUTHORIZATION, token(file)?);
    }
    let request = request.body(Full::default()).context("the question cannot be written")?;
    let answered = tokio::time::timeout(PATIENCE, async {
        let response =
            client(url, means.ca)?.request(request).await.with_context(|| format!("{authority} does not answer"))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LONGEST).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("the answer of {authority} broke off: {error}"))?;
        Ok::<_, anyhow::Error>((status, body.to_bytes()))
    });
    let seconds = PATIENCE.as_secs();
    let (status, body) = answered.await.with_context(|| format!("{authority} did not answer within {seconds} s"))??;
    Ok(Answer { authority: authority.to_string(), status, body })
}

/// In the words of the API, where it is one.
fn refused(authority: &str, status: StatusCode, said: Option<&Value>) -> anyhow::Error {
    match said {
        Some(value) => {
            let message = value["error"]["message"].as_str().unwrap_or("it does not say why");
            anyhow::anyhow!("{authority} answers {status}: {message}")
        }
        None => anyhow::anyhow!("{authority} answers {status}, and not as the API of a report does"),
    }
}

/// What says who one is, of a file that holds a token.
///
/// # Errors
/// It cannot be read, or holds something else.
fn token(file: &Path) -> anyhow::Result<HeaderValue> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("{shown} cannot be read"))?;
    let token = text.trim();
    if !token.starts_with(TOKEN_PREFIX) || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        bail!(
            "{shown} holds no token: one is a line that begins with {TOKEN_PREFIX}, as `rehearsal user token` prints it"
        );
    }
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).context("a token is what a header can hold")?;
    value.set_sensitive(true);
    Ok(value)
}

fn client(url: &Uri, ca: Option<&Path>) -> anyhow::Result<HttpsClient> {
    let roots = match url.scheme_str() {
        Some("https") => https::roots(ca).with_context(|| format!("{url} cannot be trusted (--ca names who is)"))?,
        _ => RootCertStore::empty(),
    };
    Ok(https::client(roots))
}
