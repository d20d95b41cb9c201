//! Which cluster a review comes from: what its connection and its path prove.
//!
//! Without declared clusters a path is taken at its word. With them, a sender is known by the subject of its client
//! certificate, or by a token in its path; all others are answered as ever and recorded as [`UNDECLARED`].
//!
//! A token is kept and compared as its hash, in constant time. It stands in no message, log, metric or record.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::admission::Sender;
use crate::review::decision::UNDECLARED;

use super::settings::ClusterSettings;
use super::tls::Subject;

#[derive(Debug)]
pub struct Callers {
    /// For reviews whose path names none.
    default: String,
    /// Empty: nobody has to prove anything.
    declared: Vec<ClusterSettings>,
    tokens: ArcSwap<Tokens>,
}

/// What the path of a review says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Route {
    pub cluster: Option<String>,
    pub token: Option<Token>,
}

/// The hash of a path token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token([u8; 32]);

/// Whoever is at the other end of a connection, by a certificate that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The certificate's subject, or what stands for it.
    pub name: String,
    pub subject: Option<Subject>,
}

/// Why a sender counts as undeclared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// It proves nothing.
    Unproven,
    /// Its certificate is that of no declared cluster.
    Certificate,
    /// Its token is not that of the cluster that it names, if that one is declared and has one.
    Token,
}

/// Why a file of path tokens cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("{} cannot be read: {cause}", .path.display())]
    Unreadable { path: PathBuf, cause: io::Error },
    #[error("{} holds no path token: {TOKEN_FIX}", .path.display())]
    None { path: PathBuf },
}

/// By the name of their cluster: one, or two while one takes the other's place.
type Tokens = HashMap<String, Vec<Token>>;

/// Of a token: fewer letters could be guessed.
pub const SHORTEST: usize = 16;

pub const TOKEN_FIX: &str = "it must hold one word of at least 16 letters, digits, `-`, `.`, `_` and `~`, or two of them on a \
                             line each, while one takes the place of the other";

// === impl Callers ===

impl Callers {
    /// # Errors
    /// A file of tokens cannot be used.
    pub fn load(default: &str, declared: &[ClusterSettings]) -> Result<Self, TokenError> {
        let tokens = ArcSwap::from_pointee(read(declared)?);
        Ok(Self { default: default.to_owned(), declared: declared.to_owned(), tokens })
    }

    /// Reads the tokens again: call it when a file has changed.
    ///
    /// # Errors
    /// A file cannot be used; the tokens from before stay in use, all of them.
    pub fn reload(&self) -> Result<(), TokenError> {
        self.tokens.store(std::sync::Arc::new(read(&self.declared)?));
        Ok(())
    }

    /// Whether a path may carry a token.
    pub fn take_tokens(&self) -> bool {
        !self.declared.is_empty()
    }

    /// Who sent a review, and why it counts as undeclared, if it does.
    pub fn sender(&self, peer: Option<&Peer>, route: Route) -> (Sender, Option<Doubt>) {
        let caller = peer.map(|peer| peer.name.clone());
        let named = route.cluster.unwrap_or_else(|| self.default.clone());
        if self.declared.is_empty() && named != UNDECLARED {
            return (Sender { cluster: named, claimed: None, caller }, None);
        }
        if let Some(cluster) = self.of_subject(peer) {
            return (Sender { cluster: cluster.to_owned(), claimed: None, caller }, None);
        }
        if route.token.is_some_and(|token| self.is_of(&named, token)) {
            let caller = Some(format!("token:{named}"));
            return (Sender { cluster: named, claimed: None, caller }, None);
        }
        let doubt = match (route.token, peer) {
            (Some(_), _) => Doubt::Token,
            (None, Some(_)) => Doubt::Certificate,
            (None, None) => Doubt::Unproven,
        };
        (Sender { cluster: UNDECLARED.to_owned(), claimed: Some(named), caller }, Some(doubt))
    }

    fn of_subject(&self, peer: Option<&Peer>) -> Option<&str> {
        let subject = peer?.subject.as_ref()?;
        let declared = self.declared.iter().find(|cluster| cluster.client_subject.as_ref() == Some(subject))?;
        Some(&declared.name)
    }

    fn is_of(&self, cluster: &str, token: Token) -> bool {
        let tokens = self.tokens.load();
        let known = tokens.get(cluster).map_or(&[][..], Vec::as_slice);
        known.iter().fold(Choice::from(0), |found, known| found | known.0.ct_eq(&token.0)).into()
    }
}

fn read(declared: &[ClusterSettings]) -> Result<Tokens, TokenError> {
    let files = declared.iter().filter_map(|cluster| Some((cluster, cluster.path_token_file.as_deref()?)));
    files.map(|(cluster, path)| Ok((cluster.name.clone(), tokens(path)?))).collect()
}

/// The tokens in a file.
///
/// # Errors
/// It cannot be read, or holds something else.
pub fn tokens(path: &Path) -> Result<Vec<Token>, TokenError> {
    let content = std::fs::read(path).map_err(|cause| TokenError::Unreadable { path: path.to_owned(), cause })?;
    let lines: Vec<&[u8]> = content.trim_ascii().split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).collect();
    if !(1..=2).contains(&lines.len()) || !lines.iter().all(|line| is_token(line)) {
        return Err(TokenError::None { path: path.to_owned() });
    }
    Ok(lines.into_iter().map(Token::of).collect())
}

/// What a path carries as it is: RFC 3986, unreserved.
fn is_token(text: &[u8]) -> bool {
    text.len() >= SHORTEST && text.iter().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(b))
}

// === impl Token ===

impl Token {
    pub fn of(text: &[u8]) -> Self {
        Self(Sha256::digest(text).into())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

// === impl Doubt ===

impl Doubt {
    /// For the metric `rehearsal_undeclared_reviews_total`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unproven => "unproven",
            Self::Certificate => "certificate",
            Self::Token => "token",
        }
    }

    /// For the log.
    pub fn why(self) -> &'static str {
        match self {
            Self::Unproven => "it has neither a client certificate nor a token in its path",
            Self::Certificate => "the subject of its certificate is the `client_subject` of none of them",
            Self::Token => "the token in its path is not that of the cluster beside it",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "correct-horse-battery";

    fn callers() -> (tempfile::TempDir, Callers) {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("edge");
        std::fs::write(&file, format!("{GOOD}\n")).expect("writable");
        let declared = [
            ClusterSettings {
                name: "prod".into(),
                client_subject: Some("CN=api,O=acme".parse().expect("a subject")),
                path_token_file: None,
            },
            ClusterSettings { name: "edge".into(), client_subject: None, path_token_file: Some(file) },
        ];
        let callers = Callers::load("local", &declared).expect("they load");
        (dir, callers)
    }

    fn peer(name: &str) -> Peer {
        Peer { name: name.to_owned(), subject: name.parse().ok() }
    }

    fn route(cluster: Option<&str>, token: Option<&str>) -> Route {
        Route { cluster: cluster.map(str::to_owned), token: token.map(|token| Token::of(token.as_bytes())) }
    }

    #[test]
    fn without_declared_clusters_the_path_is_taken_at_its_word() {
        let callers = Callers::load("local", &[]).expect("nothing to load");
        let (sender, doubt) = callers.sender(Some(&peer("CN=x")), route(Some("lab"), None));
        assert_eq!((sender.cluster.as_str(), sender.caller.as_deref(), doubt), ("lab", Some("CN=x"), None));
        let (sender, doubt) = callers.sender(None, route(None, None));
        assert_eq!((sender.cluster.as_str(), sender.caller, doubt), ("local", None, None));
        let (sender, doubt) = callers.sender(None, route(Some(UNDECLARED), None));
        assert_eq!((sender.cluster.as_str(), doubt), (UNDECLARED, Some(Doubt::Unproven)));
    }

    #[test]
    fn a_sender_is_of_the_cluster_that_its_proof_is_of() {
        let (_dir, callers) = callers();
        // In whatever order the parts are written, and whatever the path says.
        for (name, path) in [("CN=api,O=acme", None), ("O=acme,CN=api", Some("edge"))] {
            let (sender, doubt) = callers.sender(Some(&peer(name)), route(path, None));
            let expected = Sender { cluster: "prod".into(), claimed: None, caller: Some(name.to_owned()) };
            assert_eq!((sender, doubt), (expected, None));
        }
        let (sender, doubt) = callers.sender(Some(&peer("CN=other")), route(Some("edge"), Some(GOOD)));
        let expected = Sender { cluster: "edge".into(), claimed: None, caller: Some("token:edge".into()) };
        assert_eq!((sender, doubt), (expected, None));
    }

    #[test]
    fn whoever_proves_nothing_is_undeclared_and_judged_as_it_says() {
        let (_dir, callers) = callers();
        let cases = [
            (None, Some("edge"), None, Doubt::Unproven),
            (None, Some("edge"), Some("correct-horse-batterz"), Doubt::Token),
            (None, Some("prod"), Some(GOOD), Doubt::Token),
            (None, Some("nowhere"), Some(GOOD), Doubt::Token),
            (Some("CN=api"), Some("prod"), None, Doubt::Certificate),
            (Some("CN=api,O=acme,OU=x"), Some("prod"), None, Doubt::Certificate),
        ];
        for (name, path, token, expected) in cases {
            let (sender, doubt) = callers.sender(name.map(peer).as_ref(), route(path, token));
            assert_eq!((sender.cluster.as_str(), doubt), (UNDECLARED, Some(expected)), "{name:?} {path:?}");
            assert_eq!((Some(sender.judged_as()), sender.caller.as_deref()), (path, name));
        }
        let (sender, _) = callers.sender(None, route(None, None));
        assert_eq!(sender.judged_as(), "local");
    }

    #[test]
    fn two_tokens_are_good_while_one_takes_the_place_of_the_other_and_a_bad_file_changes_nothing() {
        let (dir, callers) = callers();
        let file = dir.path().join("edge");
        let knows = |token: &str| callers.is_of("edge", Token::of(token.as_bytes()));
        std::fs::write(&file, format!("{GOOD}\r\nthe-next-of-them-all\n\n")).expect("writable");
        callers.reload().expect("two tokens");
        assert!(knows(GOOD) && knows("the-next-of-them-all") && !knows(""));
        for bad in ["", "short", "has a space in the middle", "one-long-enough-word\n\nand-a-second-of-them", "a\nb\nc"]
        {
            std::fs::write(&file, bad).expect("writable");
            let error = callers.reload().expect_err(bad).to_string();
            assert!(error.ends_with(TOKEN_FIX) && (bad.is_empty() || !error.contains(bad)), "{error}");
        }
        assert!(knows(GOOD));
        assert_eq!(format!("{:?}", Token::of(b"x")), "Token(..)");
    }
}
