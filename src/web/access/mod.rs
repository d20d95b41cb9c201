//! Who may look: every request is somebody's, and sees what is theirs.
//!
//! The [guard](guard) stands in front of every page and of the API. It finds out who a request is from and hands a
//! [`Visitor`] on, without which no page is made; a page asks the store for what is in the visitor's reach, and for nothing
//! else.
//!
//! What holds for sessions: a browser holds a random secret, the store its hash; a sign-in begins a new one and ends the one
//! that the browser had; one ends after a time without a request, and after a time in any case; of a user that is gone, or
//! whose password is another, there is none.

mod attempts;
mod client;
pub mod cookie;
pub mod directory;
mod guard;
pub mod log;
pub mod oidc;
pub mod password;
pub mod proxy;
mod remembered;
pub mod secret;
pub mod settings;
pub mod visitor;
pub mod vouched;

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use prometheus_client::registry::Registry;
use tokio::time::timeout;

use self::attempts::Attempts;
use self::cookie::Cookie;
use self::directory::{Directory, Standing};
use self::log::{AccessLog, Reason};
use self::oidc::Provider;
use self::password::Passwords;
use self::proxy::ProxyError;
use self::remembered::Remembered;
use self::secret::{Secret, hash};
use self::settings::{AccessSettings, Auth, DirectorySettings};
use self::visitor::{Held, PeerAddress, Visitor, Who};
use self::vouched::Vouched;
use super::error::{Barred, WebError};
use super::health::known::PATIENCE;
use crate::review::clock::Timestamp;
use crate::store::Store;
use crate::store::access::{Event, Means};
use crate::store::session::{Ended, Session};

pub use self::client::ClientError;
pub use self::guard::{Gate, guard};

/// What all requests share.
pub struct Access {
    pub settings: AccessSettings,
    directory: ArcSwap<Directory>,
    pub passwords: Passwords,
    pub attempts: Attempts,
    pub log: AccessLog,
    pub remembered: Remembered,
    /// With `report.oidc`.
    pub provider: Option<Provider>,
}

/// Every token of ours begins so: others, which a proxy may add, are not looked at.
pub const TOKEN_PREFIX: &str = "rhp_";

/// How often it is noted that a session is in use (ms), at most: twice in its idle time at least, or it would end in use.
const SEEN: i64 = 60_000;

// === impl Access ===

impl Access {
    /// # Errors
    /// The provider's CA cannot be used.
    pub fn new(settings: &AccessSettings, registry: &mut Registry) -> Result<Self, ClientError> {
        let provider = match &settings.auth {
            Auth::Oidc(oidc) => Some(Provider::new(oidc)?),
            Auth::None | Auth::Users | Auth::Proxy(_) => None,
        };
        Ok(Self {
            settings: settings.clone(),
            directory: ArcSwap::from_pointee(Directory::of(&settings.directory)),
            passwords: Passwords::default(),
            attempts: Attempts::default(),
            log: AccessLog::new(registry),
            remembered: Remembered::default(),
            provider,
        })
    }

    /// From the next request on.
    pub fn replace(&self, directory: &DirectorySettings) {
        self.directory.store(Arc::new(Directory::of(directory)));
    }

    pub fn directory(&self) -> Arc<Directory> {
        self.directory.load_full()
    }

    /// Who a request is from.
    ///
    /// # Errors
    /// Nobody that may see anything, or it cannot be found out.
    pub async fn visitor(&self, request: &Parts, store: Option<&Store>) -> Result<Visitor, WebError> {
        let visitor = self.known(request, store).await?;
        self.note_use(&visitor, request, store).await;
        Ok(visitor)
    }

    /// The same for a page that is read while the history is away: who was signed in a short while ago is so still.
    ///
    /// # Errors
    /// As above.
    pub async fn visitor_in_need(&self, request: &Parts, store: Option<&Store>) -> Result<Visitor, WebError> {
        let visitor = match timeout(PATIENCE, self.known(request, store)).await {
            Ok(Err(WebError::Store(_) | WebError::NotOpen)) | Err(_) => return self.recalled(request).await,
            Ok(known) => known?,
        };
        self.note_use(&visitor, request, store).await;
        Ok(visitor)
    }

    async fn recalled(&self, request: &Parts) -> Result<Visitor, WebError> {
        let known = self.known(request, None).await;
        let Err(WebError::NotOpen) = known else { return known };
        let secret = Cookie::Session.read(&request.headers, self.settings.is_by_tls).ok_or(WebError::NotSignedIn)?;
        let session = self.remembered.recall(secret.key()).filter(|session| self.lasts(session, Timestamp::now()));
        self.of_vouched(secret, session.ok_or(WebError::NotOpen)?, self.directory())
    }

    /// The same of a request that is being answered for long: nobody is there anew for it.
    ///
    /// # Errors
    /// By now they may see nothing any more.
    pub async fn known(&self, request: &Parts, store: Option<&Store>) -> Result<Visitor, WebError> {
        let (directory, peer) = (self.directory(), PeerAddress::of(request));
        if let Some(token) = bearer(&request.headers).filter(|_| self.settings.asks()) {
            let own = token.starts_with(TOKEN_PREFIX);
            if own || !matches!(self.settings.auth, Auth::Proxy(_)) {
                return of_token(token, directory);
            }
        }
        match &self.settings.auth {
            Auth::None => Ok(Visitor::anybody(directory)),
            Auth::Users | Auth::Oidc(_) => self.of_session(&request.headers, directory, store).await,
            Auth::Proxy(proxy) => {
                let Vouched { name, groups, .. } = proxy.vouched(&request.headers, peer).map_err(of_proxy)?;
                let who = Who { name, means: Means::Proxy, session: None };
                let standing = directory.standing(None, &groups).ok_or_else(|| without_role(&who, &directory))?;
                Ok(Visitor::known(who, standing, directory))
            }
        }
    }

    /// What is not noted in the history, since it is away, is noted in the process's own log.
    async fn note_use(&self, visitor: &Visitor, request: &Parts, store: Option<&Store>) {
        let Some(who) = &visitor.who else { return };
        match (who.means, store) {
            (Means::Token | Means::Proxy, _) => {
                self.log.seen(store, &who.name, who.means, PeerAddress::of(request)).await;
            }
            (Means::Users | Means::Oidc, Some(store)) => self.keep_in_use(who, store).await,
            (Means::Users | Means::Oidc, None) => {}
        }
    }

    /// Notes that a session is in use.
    async fn keep_in_use(&self, who: &Who, store: &Store) {
        let Some(session) = &who.session else { return };
        let now = Timestamp::now();
        if now.0.saturating_sub(session.seen_at.0) < SEEN.min(self.idle() / 2) {
            return;
        }
        // It ends by its idle time then, though it was in use.
        match timeout(PATIENCE, store.saw_session(session.secret.key(), now)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "not noted that a session is in use"),
            Err(_) => tracing::debug!("not noted in time that a session is in use"),
        }
    }

    async fn of_session(
        &self,
        headers: &HeaderMap,
        directory: Arc<Directory>,
        store: Option<&Store>,
    ) -> Result<Visitor, WebError> {
        let secret = Cookie::Session.read(headers, self.settings.is_by_tls).ok_or(WebError::NotSignedIn)?;
        let store = store.ok_or(WebError::NotOpen)?;
        let asked = self.remembered.asked();
        let session = store.session(secret.key()).await?.filter(|session| self.lasts(session, Timestamp::now()));
        let Some(session) = session else {
            self.remembered.gone(secret.key());
            return Err(WebError::NotSignedIn);
        };
        self.remembered.vouched(&session, asked);
        self.of_vouched(secret, session, directory)
    }

    /// Of a session that lasts.
    fn of_vouched(&self, secret: Secret, session: Session, directory: Arc<Directory>) -> Result<Visitor, WebError> {
        let standing = self.standing(&session, &directory)?;
        let held = Held { secret, subject: session.subject, seen_at: session.seen_at };
        let who = Who { name: session.who, means: session.means, session: Some(held) };
        let standing = standing.ok_or_else(|| without_role(&who, &directory))?;
        Ok(Visitor::known(who, standing, directory))
    }

    fn lasts(&self, session: &Session, now: Timestamp) -> bool {
        now < session.ends_at && now.0.saturating_sub(session.seen_at.0) < self.idle()
    }

    /// In ms.
    fn idle(&self) -> i64 {
        i64::try_from(self.settings.sessions.idle.as_millis()).unwrap_or(i64::MAX)
    }

    /// What somebody who is signed in may see now. A session of a user that is gone is none.
    fn standing(&self, session: &Session, directory: &Directory) -> Result<Option<Standing>, WebError> {
        match (&self.settings.auth, session.means) {
            (Auth::Users, Means::Users) => {
                let user = directory.user(&session.who).filter(|user| session.proof == Some(hash(&user.hash)));
                let user = user.ok_or(WebError::NotSignedIn)?;
                Ok(directory.standing(user.role, &user.groups))
            }
            (Auth::Oidc(_), Means::Oidc) => Ok(directory.standing(None, &session.groups)),
            _ => Err(WebError::NotSignedIn),
        }
    }

    /// Begins a session in the place of the one that the browser has. What it is to hold from now on.
    ///
    /// # Errors
    /// It cannot be stored.
    pub async fn begin_session(
        &self,
        store: &Store,
        headers: &HeaderMap,
        peer: PeerAddress,
        (who, means): (&Vouched, Means),
        proof: Option<[u8; 32]>,
    ) -> Result<Secret, WebError> {
        let (secret, now) = (Secret::random(), Timestamp::now());
        let absolute = i64::try_from(self.settings.sessions.absolute.as_millis()).unwrap_or(i64::MAX);
        let session = Session {
            key: secret.key(),
            who: who.name.clone(),
            subject: who.subject.clone(),
            means,
            proof,
            groups: who.groups.clone(),
            began_at: now,
            seen_at: now,
            ends_at: Timestamp(now.0.saturating_add(absolute)),
        };
        let instead_of = Cookie::Session.read(headers, self.settings.is_by_tls).map(|old| old.key());
        let noted = AccessLog::entry(Event::SignIn, Some((&who.name, means)), peer, "signed in");
        store.begin_session(&session, instead_of, &noted).await?;
        if let Some(old) = instead_of {
            self.remembered.forget(Ended::One(old));
        }
        self.log.signed_in(means);
        Ok(secret)
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("settings", &self.settings).finish_non_exhaustive()
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn of_token(token: &str, directory: Arc<Directory>) -> Result<Visitor, WebError> {
    let Some((name, standing)) = directory.token(token, Timestamp::now()) else {
        let why = "this token is unknown here, or it has ended";
        return Err(Barred::new(StatusCode::UNAUTHORIZED, Reason::Token, why).into());
    };
    let who = Who { name: name.to_owned(), means: Means::Token, session: None };
    Ok(Visitor::known(who, standing, Arc::clone(&directory)))
}

fn of_proxy(error: ProxyError) -> WebError {
    let why = error.to_string();
    match error {
        ProxyError::Elsewhere { names_somebody: true } => {
            Barred::new(StatusCode::FORBIDDEN, Reason::Peer, format!("{why}, although it names somebody")).into()
        }
        ProxyError::Elsewhere { names_somebody: false } | ProxyError::Nobody => WebError::NotByProxy(why),
        ProxyError::Header(_) => Barred::new(StatusCode::BAD_REQUEST, Reason::Header, why).into(),
    }
}

/// Somebody whom nothing here gives any rights.
pub fn without_role(who: &Who, directory: &Directory) -> WebError {
    let ask = directory.contact(None, None).map(|contact| format!(": ask {contact}")).unwrap_or_default();
    let why = format!("{} is signed in, and neither a role nor a team of theirs lets them see anything{ask}", who.name);
    let barred = Barred::new(StatusCode::FORBIDDEN, Reason::Role, why);
    Barred { who: Some(who.clone()), ..barred }.into()
}
