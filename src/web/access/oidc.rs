//! OpenID Connect: the authorization code flow with PKCE.
//!
//! All of a sign-in hangs on one secret in the browser's cookie: state, nonce and the code's verifier are derived of it. So
//! whichever replica somebody comes back to can finish it, and nobody else's browser can.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::{CoreAuthenticationFlow, CoreClient, CoreJwsSigningAlgorithm, CoreProviderMetadata};
use openidconnect::{
    AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet, EndpointNotSet, EndpointSet, IssuerUrl,
    Nonce, OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, TokenResponse,
};
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use super::client::{ClientError, ProviderClient};
use super::secret::Secret;
use super::settings::OidcSettings;
use super::vouched::Vouched;
use crate::backend::causes;
use crate::store::settings::password;

#[derive(Debug)]
pub struct Provider {
    settings: OidcSettings,
    client: ProviderClient,
    published: Mutex<Discovered>,
}

/// What is known of what a provider publishes.
#[derive(Debug, Default)]
struct Discovered {
    known: Option<Published>,
    /// The last time, unless it went well.
    failed: Option<Failed>,
}

#[derive(Debug)]
struct Failed {
    at: Instant,
    why: String,
}

/// What a provider says of itself, with its keys.
#[derive(Debug, Clone)]
struct Published {
    read_at: Instant,
    metadata: CoreProviderMetadata,
}

#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("report.oidc.client_secret_file: {0}")]
    Secret(String),
    #[error("report.public_url: {0}")]
    Redirect(String),
    #[error("what it publishes at {0} cannot be used: {1}")]
    Discovery(String, String),
    #[error("it does not take the code back: {0}")]
    Exchange(String),
    #[error("it gives no ID token")]
    NoToken,
    #[error("its ID token does not hold: {0}")]
    Token(String),
    #[error("what it says of this person cannot be used: {0}")]
    Claims(&'static str),
}

/// A client of which the provider says where to go.
type Known =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

/// What a provider publishes is read again after this, and, where a key is not in it, after that.
const FRESH: Duration = Duration::from_secs(3_600);
const ANEW: Duration = Duration::from_secs(30);
/// One that did not answer is not asked again before: everybody who signs in would wait for it in turn.
const AGAIN: Duration = Duration::from_secs(5);

/// None that a client's secret could make.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Of a name or a group.
const LONGEST: usize = 256;
/// Groups that are looked at.
const GROUPS: usize = 1_000;

// === impl Provider ===

impl Provider {
    /// # Errors
    /// Its CA cannot be used.
    pub fn new(settings: &OidcSettings) -> Result<Self, ClientError> {
        let client = ProviderClient::new(settings.ca.as_deref())?;
        Ok(Self { settings: settings.clone(), client, published: Mutex::default() })
    }

    /// As it calls itself.
    pub fn name(&self) -> &str {
        &self.settings.issuer
    }

    /// Where to send a browser that holds the secret; afterwards it is to go `to`.
    ///
    /// # Errors
    /// The provider cannot be asked where that is.
    pub async fn begin(&self, secret: &Secret, to: &str) -> Result<String, OidcError> {
        let metadata = self.published(FRESH).await?;
        let client = self.known_as(metadata)?;
        let state = format!("{}.{}", secret.derived(STATE), URL_SAFE_NO_PAD.encode(to));
        let nonce = secret.derived(NONCE);
        let flow = CoreAuthenticationFlow::AuthorizationCode;
        let mut request = client.authorize_url(flow, || CsrfToken::new(state), || Nonce::new(nonce));
        for scope in &self.settings.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier(secret));
        let (url, ..) = request.set_pkce_challenge(challenge).url();
        Ok(url.into())
    }

    /// Where to go afterwards, if the state is that of the browser's secret.
    pub fn destination(secret: &Secret, state: &str) -> Option<String> {
        let (shown, to) = state.split_once('.')?;
        secret.has_derived(STATE, shown).then_some(())?;
        String::from_utf8(URL_SAFE_NO_PAD.decode(to).ok()?).ok()
    }

    /// Whom the provider vouches for with a code.
    ///
    /// # Errors
    /// Nobody.
    pub async fn finish(&self, secret: &Secret, code: &str) -> Result<Vouched, OidcError> {
        let metadata = self.published(FRESH).await?;
        let client = self.known_as(metadata.clone())?;
        let response = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(|error| OidcError::Exchange(error.to_string()))?
            .set_pkce_verifier(verifier(secret))
            .request_async(&self.client)
            .await
            .map_err(|error| OidcError::Exchange(causes(&error)))?;
        let token = response.id_token().ok_or(OidcError::NoToken)?;
        let nonce = Nonce::new(secret.derived(NONCE));
        let holds = |client: &Known| {
            let verifier = client.id_token_verifier().set_allowed_algs(ALGORITHMS);
            token.claims(&verifier, &nonce).map(drop).map_err(|error| OidcError::Token(causes(&error)))
        };
        if let Err(error) = holds(&client) {
            // It may sign with a key that it did not have when it was asked.
            let anew = self.published(ANEW).await?;
            if anew.jwks() == metadata.jwks() {
                return Err(error);
            }
            holds(&self.known_as(anew)?)?;
        }
        let mut claims = payload(&token.to_string()).ok_or(OidcError::Claims("the ID token is no JWT"))?;
        if !claims.contains_key(&self.settings.groups_claim) || !claims.contains_key(&self.settings.name_claim) {
            self.add_user_info(&metadata, response.access_token().secret(), &mut claims).await?;
        }
        self.vouched(&claims)
    }

    /// What the ID token does not hold, many providers tell only whoever asks.
    async fn add_user_info(
        &self,
        metadata: &CoreProviderMetadata,
        access_token: &str,
        claims: &mut Map<String, Value>,
    ) -> Result<(), OidcError> {
        let Some(endpoint) = metadata.userinfo_endpoint() else { return Ok(()) };
        let request = http::Request::get(endpoint.as_str().to_owned())
            .header(http::header::AUTHORIZATION, format!("Bearer {access_token}"))
            .header(http::header::ACCEPT, "application/json")
            .body(Vec::new())
            .map_err(|_| OidcError::Claims("its access token is none"))?;
        let response = self.client.send(request).await?;
        let told: Value = match response.status().is_success() {
            true => serde_json::from_slice(response.body()).map_err(|_| OidcError::Claims("it is not JSON"))?,
            false => return Err(OidcError::Claims("it does not tell who this is")),
        };
        let Value::Object(told) = told else { return Err(OidcError::Claims("it is no object")) };
        if told.get("sub") != claims.get("sub") {
            return Err(OidcError::Claims("it is of somebody else"));
        }
        for (name, value) in told {
            claims.entry(name).or_insert(value);
        }
        Ok(())
    }

    fn vouched(&self, claims: &Map<String, Value>) -> Result<Vouched, OidcError> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
        // Some providers say it as a text.
        let is_proven = |said: &Value| *said == Value::Bool(true) || said.as_str() == Some("true");
        let is_unproven =
            self.settings.name_claim == "email" && claims.get("email_verified").is_some_and(|said| !is_proven(said));
        let subject = text("sub").ok_or(OidcError::Claims("it names nobody"))?;
        let name = text(&self.settings.name_claim).filter(|_| !is_unproven).unwrap_or(subject);
        let is_one = |name: &str| name.len() <= LONGEST && !name.contains(char::is_control);
        if !is_one(name) || !is_one(subject) {
            return Err(OidcError::Claims("its name is none"));
        }
        let groups: Vec<&str> = match claims.get(&self.settings.groups_claim) {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let groups = groups.into_iter().filter(|group| group.len() <= LONGEST).take(GROUPS).map(str::to_owned);
        Ok(Vouched { name: name.to_owned(), subject: subject.to_owned(), groups: groups.collect() })
    }

    /// This report, as the provider knows it. Its secret is read each time: it may be another by now.
    fn known_as(&self, metadata: CoreProviderMetadata) -> Result<Known, OidcError> {
        let secret = self.settings.client_secret_file.as_deref().map(password).transpose();
        let secret = secret.map_err(|error| OidcError::Secret(error.to_string()))?.map(ClientSecret::new);
        let url = &self.settings.redirect_url;
        let redirect = RedirectUrl::new(url.clone()).map_err(|error| OidcError::Redirect(format!("{url}: {error}")))?;
        let id = ClientId::new(self.settings.client_id.clone());
        Ok(CoreClient::from_provider_metadata(metadata, id, secret).set_redirect_uri(redirect))
    }

    /// Not older than that; or what was known before, where it was only to be fresh and nobody answers.
    async fn published(&self, age: Duration) -> Result<CoreProviderMetadata, OidcError> {
        let mut published = self.published.lock().await;
        if let Some(known) = published.known.as_ref().filter(|known| known.read_at.elapsed() < age) {
            return Ok(known.metadata.clone());
        }
        let refused = published.failed.as_ref().filter(|failed| failed.at.elapsed() < AGAIN);
        let read = match refused.map(|failed| failed.why.clone()) {
            Some(why) => Err(why),
            None => {
                let read = self.discover().await;
                published.failed = read.as_ref().err().map(|why| Failed { at: Instant::now(), why: why.clone() });
                read
            }
        };
        let issuer = &self.settings.issuer;
        match (read, &published.known) {
            (Ok(metadata), _) => {
                published.known = Some(Published { read_at: Instant::now(), metadata: metadata.clone() });
                Ok(metadata)
            }
            (Err(why), Some(known)) if age == FRESH => {
                tracing::warn!("what {issuer} publishes is used as it was last read: {why}");
                Ok(known.metadata.clone())
            }
            (Err(why), _) => Err(OidcError::Discovery(issuer.clone(), why)),
        }
    }

    async fn discover(&self) -> Result<CoreProviderMetadata, String> {
        let url = IssuerUrl::new(self.settings.issuer.clone()).map_err(|error| error.to_string())?;
        CoreProviderMetadata::discover_async(url, &self.client).await.map_err(|error| causes(&error))
    }
}

/// What the secret of a browser is derived for.
const STATE: &str = "oidc state";
const NONCE: &str = "oidc nonce";
const VERIFIER: &str = "oidc verifier";

fn verifier(secret: &Secret) -> PkceCodeVerifier {
    PkceCodeVerifier::new(secret.derived(VERIFIER))
}

/// Of a token that was verified.
fn payload(token: &str) -> Option<Map<String, Value>> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&payload).ok()
}
