//! The files that a configuration names: `serve` will need them, so `check` opens them.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::server::callers::{self, TokenError};
use crate::store::settings::{self, PasswordError};

use super::mistake::Wrong;

#[derive(Debug, Clone, PartialEq)]
pub struct NamedFile {
    /// That names it.
    pub field: String,
    pub path: PathBuf,
    pub purpose: Purpose,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Purpose {
    /// PEM: a certificate and its intermediates.
    Certificate,
    /// PEM: the key of the certificate in `path`, which `field` names.
    KeyOf { field: String, path: PathBuf },
    /// PEM: CAs.
    Authorities,
    /// One line.
    Token,
    /// One line of any text.
    Password,
    /// What [`callers::tokens`] reads.
    PathTokens,
}

// === impl NamedFile ===

impl NamedFile {
    /// Whether it can be used for its purpose; a certificate that can but is out of date is a warning.
    pub fn check(&self) -> Result<Option<String>, Wrong> {
        match &self.purpose {
            Purpose::Certificate => {
                let chain = certificates(&self.path)?;
                Ok(out_of_date(&chain[0]).map(|problem| format!("{}: {} {problem}", self.field, self.path.display())))
            }
            Purpose::KeyOf { field, path } => check_key(&self.path, field, path).map(|()| None),
            Purpose::Authorities => check_authorities(&self.path).map(|()| None),
            Purpose::Token => check_token(&self.path).map(|()| None),
            Purpose::Password => check_password(&self.path).map(|()| None),
            Purpose::PathTokens => check_path_tokens(&self.path).map(|()| None),
        }
    }
}

fn check_key(path: &Path, certificate_field: &str, certificate: &Path) -> Result<(), Wrong> {
    let key = PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|_| {
        Wrong::new(
            format!("{} holds no private key that can be read", path.display()),
            "it must be PEM with one block `PRIVATE KEY`, not encrypted",
        )
    })?;
    let key = any_supported_type(&key).map_err(|_| {
        Wrong::new(format!("{} holds a key of an unknown kind", path.display()), "use an RSA, ECDSA or Ed25519 key")
    })?;
    // A certificate that cannot be read is a mistake of its own field.
    let Ok(chain) = certificates(certificate) else { return Ok(()) };
    match CertifiedKey::new(chain, key).keys_match() {
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => Err(Wrong::new(
            format!("{} is not the key of {}", path.display(), certificate.display()),
            format!("name the key that belongs to the first certificate of {certificate_field}"),
        )),
        _ => Ok(()),
    }
}

fn check_authorities(path: &Path) -> Result<(), Wrong> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| {
            Wrong::new(
                format!("{} holds a certificate that cannot be a CA's: {error}", path.display()),
                "name a PEM file of CA certificates",
            )
        })?;
    }
    Ok(())
}

fn check_token(path: &Path) -> Result<(), Wrong> {
    let content = read(path)?;
    let token = content.trim_ascii();
    // What an HTTP header may carry. Its content is never shown.
    if !token.is_empty() && token.iter().all(u8::is_ascii_graphic) {
        return Ok(());
    }
    Err(Wrong::new(format!("{} holds no token", path.display()), "it must hold one word of printable ASCII"))
}

fn check_password(path: &Path) -> Result<(), Wrong> {
    // Its content is never shown.
    settings::password(path).map(drop).map_err(|error| match error {
        PasswordError::Unreadable { cause, .. } => unreadable(path, &cause),
        PasswordError::None { .. } => {
            Wrong::new(format!("{} holds no password", path.display()), "it must hold one line of text")
        }
    })
}

fn check_path_tokens(path: &Path) -> Result<(), Wrong> {
    callers::tokens(path).map(drop).map_err(|error| match error {
        TokenError::Unreadable { cause, .. } => unreadable(path, &cause),
        TokenError::None { .. } => Wrong::new(format!("{} holds no path token", path.display()), callers::TOKEN_FIX),
    })
}

/// At least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Wrong> {
    let chain: Option<Vec<_>> = CertificateDer::pem_slice_iter(&read(path)?).collect::<Result<_, _>>().ok();
    let usable = |chain: &Vec<CertificateDer<'_>>| {
        !chain.is_empty() && chain.iter().all(|der| x509_parser::parse_x509_certificate(der).is_ok())
    };
    chain.filter(usable).ok_or_else(|| {
        Wrong::new(
            format!("{} holds no certificate that can be read", path.display()),
            "it must be PEM, with a block `CERTIFICATE` for each",
        )
    })
}

fn out_of_date(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let validity = parsed.validity();
    let now = x509_parser::time::ASN1Time::now();
    if validity.not_after < now {
        Some(format!("ended on {}: no API server accepts it", validity.not_after))
    } else if validity.not_before > now {
        Some(format!("only begins on {}: no API server accepts it before", validity.not_before))
    } else {
        None
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Wrong> {
    std::fs::read(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Wrong {
    Wrong::new(
        format!("{} cannot be read: {}", path.display(), super::cause(error)),
        "name a file that is there and that this user may read",
    )
}
