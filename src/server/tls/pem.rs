//! What PEM files hold, and words for what is wrong with them.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};

use super::TlsError;

/// The bytes of the files of one [`super::ServerTls`], read together.
pub struct Contents {
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
    pub client_ca: Option<Vec<u8>>,
}

/// Of [`Contents`], so that no second copy of a key is kept to compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

// === impl Contents ===

impl Contents {
    pub fn read(certificate: &Path, key: &Path, client_ca: Option<&Path>) -> Result<Self, TlsError> {
        Ok(Self { certificate: read(certificate)?, key: read(key)?, client_ca: client_ca.map(read).transpose()? })
    }

    pub fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        for part in [&self.certificate, &self.key].into_iter().chain(&self.client_ca) {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Fingerprint(hash.finalize().into())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

/// Every certificate in `content`, at least one.
pub fn certificates(path: &Path, content: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(content)
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(path, damaged(&error)))?;
    if found.is_empty() {
        let what = "holds no certificate: PEM with `-----BEGIN CERTIFICATE-----` is wanted";
        return Err(wrong(path, format!("{}{what}", if content.is_empty() { "is empty and " } else { "" })));
    }
    Ok(found)
}

/// The first private key in `content`.
pub fn private_key(path: &Path, content: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    if is_encrypted(content) {
        let file = path.display();
        let problem = format!(
            "the key is encrypted, and nobody is there to type its passphrase; decrypt it first: openssl pkey -in {file} -out plain.key"
        );
        return Err(wrong(path, problem));
    }
    PrivateKeyDer::from_pem_slice(content).map_err(|error| {
        let problem = match error {
            Error::NoItemsFound if content.is_empty() => "is empty; PEM with a private key is wanted".to_owned(),
            Error::NoItemsFound => {
                "holds no private key: PEM with `-----BEGIN PRIVATE KEY-----` (or EC, or RSA) is wanted".to_owned()
            }
            error => damaged(&error),
        };
        wrong(path, problem)
    })
}

/// The certificates as those that a client's may be issued by.
pub fn roots(path: &Path, authorities: Vec<CertificateDer<'static>>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for (at, authority) in authorities.into_iter().enumerate() {
        roots
            .add(authority)
            .map_err(|error| wrong(path, format!("certificate {} cannot be used as a CA: {error}", at + 1)))?;
    }
    Ok(roots)
}

fn is_encrypted(content: &[u8]) -> bool {
    let text = String::from_utf8_lossy(content);
    text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED")
}

fn damaged(error: &Error) -> String {
    format!("is not whole PEM: {error}")
}

fn wrong(path: &Path, problem: String) -> TlsError {
    TlsError::Pem { path: path.to_owned(), problem }
}
