//! Certificates that Rehearsal makes itself: for one process on one machine ([`ensure`]), and for `rehearsal certs`.
//!
//! What holds for a directory that [`ensure`] looks after (`ca.crt`, `ca.key`, `tls.crt`, `tls.key`):
//!
//! - The CA is made once and kept. API servers and people trust it, so a CA that is there but cannot be used is an
//!   error that a person settles; it is never replaced. A `ca.key` without `ca.crt` (a first start that was cut off)
//!   gets a certificate of that same key.
//! - The leaf is ours to throw away. It is made anew when less than a third of its life is left, when it names other
//!   names than asked for, when it is not the CA's, and when it or its key cannot be read.
//! - A file is either whole or not there: written beside its place, fsynced, renamed. Keys go first, so a `ca.crt`
//!   always has its `ca.key`. `tls.crt` and `tls.key` may differ after a crash between the two; then both are remade.
//! - The directory is 0700 and its files are 0600.
//!
//! One process uses a directory at a time: the lock on the data directory sees to that.

mod check;
mod files;
mod names;

use std::io;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use time::{Duration, OffsetDateTime};

pub use files::{create, create_dir};
pub use names::Names;

pub const CA_CERTIFICATE: &str = "ca.crt";
pub const CA_KEY: &str = "ca.key";
pub const CERTIFICATE: &str = "tls.crt";
pub const KEY: &str = "tls.key";

/// Ten years: whoever trusts the CA has to be told of a new one by hand.
const CA_LIFE: Duration = Duration::days(3652);

/// Ninety days: it renews itself, so a stolen key is of use for as short as is common.
const LEAF_LIFE: Duration = Duration::days(90);

/// Clocks of machines that meet differ; a certificate that starts now would be refused by one that is behind.
const BACKDATED: Duration = Duration::hours(1);

/// A CA with its key.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    not_after: OffsetDateTime,
}

/// A certificate and its key, both PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

/// What [`ensure`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// What was there still serves.
    Kept,
    /// There is a new leaf.
    Made,
}

#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is already there and is not overwritten; choose another directory or move it away", path.display())]
    Exists { path: PathBuf },
    #[error(
        "the self-made CA in {} cannot be used: {problem}; restore ca.crt and ca.key from a copy, or move both away to \
         have a new CA made (whatever trusts the old one must then be given the new ca.crt)",
        dir.display()
    )]
    Authority { dir: PathBuf, problem: String },
    #[error(
        "`{name}` is neither a DNS name nor an IP address; a certificate names hosts such as rehearsal.example.com or 10.0.0.7"
    )]
    Name { name: String },
    #[error("a certificate could not be made: {0}")]
    Make(#[from] rcgen::Error),
}

/// Sees to it that `dir` holds a CA and a leaf for `localhost`, `127.0.0.1`, `::1` and `names` that is good for at
/// least a third of its life. Call it at the start and once a day.
///
/// # Errors
///
/// When the CA is there but unusable, when a name is none, and when the directory cannot be written.
pub fn ensure(dir: &Path, names: &[String]) -> Result<Renewal, CertificateError> {
    ensure_at(dir, names, OffsetDateTime::now_utc())
}

fn ensure_at(dir: &Path, names: &[String], now: OffsetDateTime) -> Result<Renewal, CertificateError> {
    let names = Names::with_loopback(names)?;
    files::private_dir(dir)?;
    let authority = match Authority::open(dir, now)? {
        Some(authority) => authority,
        None => Authority::create(dir, now)?,
    };
    if check::leaf_serves(dir, &authority.certificate, &names, now) {
        return Ok(Renewal::Kept);
    }
    let leaf = authority.server_at(&names, LEAF_LIFE, now)?;
    files::replace(&dir.join(KEY), leaf.key.as_bytes())?;
    files::replace(&dir.join(CERTIFICATE), leaf.certificate.as_bytes())?;
    Ok(Renewal::Made)
}

// === impl Authority ===

impl Authority {
    /// A new one, held by nobody yet.
    ///
    /// # Errors
    ///
    /// When the system gives no random bytes.
    pub fn new(name: &str) -> Result<Self, CertificateError> {
        Self::of_key(name, KeyPair::generate()?, OffsetDateTime::now_utc())
    }

    fn of_key(name: &str, key: KeyPair, now: OffsetDateTime) -> Result<Self, CertificateError> {
        let mut params = params(name, now, now + CA_LIFE)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        let not_after = params.not_after;
        Ok(Self {
            certificate_pem: certificate.pem(),
            certificate: certificate.into(),
            not_after,
            issuer: Issuer::new(params, key),
        })
    }

    /// The one in `dir`; `None` when there is none.
    fn open(dir: &Path, now: OffsetDateTime) -> Result<Option<Self>, CertificateError> {
        let problem = |problem: String| CertificateError::Authority { dir: dir.to_owned(), problem };
        let Some(certificate_pem) = files::read(&dir.join(CA_CERTIFICATE))? else { return Ok(None) };
        let key = files::read(&dir.join(CA_KEY))?.ok_or_else(|| problem("ca.key is missing".to_owned()))?;
        let key = KeyPair::from_pem(&key).map_err(|error| problem(format!("ca.key: {error}")))?;
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|error| problem(format!("ca.crt: {error}")))?;
        let not_after = check::authority(&certificate, &key.subject_public_key_info(), now).map_err(problem)?;
        let issuer =
            Issuer::from_ca_cert_der(&certificate, key).map_err(|error| problem(format!("ca.crt: {error}")))?;
        Ok(Some(Self { issuer, certificate, certificate_pem, not_after }))
    }

    /// Makes the CA of `dir`, which has no `ca.crt`.
    fn create(dir: &Path, now: OffsetDateTime) -> Result<Self, CertificateError> {
        let key = match files::read(&dir.join(CA_KEY))? {
            Some(pem) => KeyPair::from_pem(&pem).map_err(|error| CertificateError::Authority {
                dir: dir.to_owned(),
                problem: format!("ca.crt is missing, and ca.key: {error}"),
            })?,
            None => KeyPair::generate()?,
        };
        let authority = Self::of_key("Rehearsal self-made CA", key, now)?;
        files::replace(&dir.join(CA_KEY), authority.issuer.key().serialize_pem().as_bytes())?;
        files::replace(&dir.join(CA_CERTIFICATE), authority.certificate_pem.as_bytes())?;
        Ok(authority)
    }

    /// PEM of its certificate and its key.
    pub fn pair(&self) -> Pair {
        Pair { certificate: self.certificate_pem.clone(), key: self.issuer.key().serialize_pem() }
    }

    /// A server's certificate, for `life` from now.
    ///
    /// # Errors
    ///
    /// When the system gives no random bytes.
    pub fn server(&self, names: &Names, life: std::time::Duration) -> Result<Pair, CertificateError> {
        self.server_at(names, life.try_into().unwrap_or(CA_LIFE), OffsetDateTime::now_utc())
    }

    fn server_at(&self, names: &Names, life: Duration, now: OffsetDateTime) -> Result<Pair, CertificateError> {
        let mut params = params("rehearsal", now, self.not_after.min(now + life))?;
        params.subject_alt_names = CertificateParams::new(names.to_vec())?.subject_alt_names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.leaf(params)
    }

    /// A client's certificate with the subject `CN=name`, for `life` from now.
    ///
    /// # Errors
    ///
    /// When the system gives no random bytes.
    pub fn client(&self, name: &str, life: std::time::Duration) -> Result<Pair, CertificateError> {
        self.client_at(name, life.try_into().unwrap_or(CA_LIFE), OffsetDateTime::now_utc())
    }

    pub(super) fn client_at(&self, name: &str, life: Duration, now: OffsetDateTime) -> Result<Pair, CertificateError> {
        let mut params = params(name, now, self.not_after.min(now + life))?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.leaf(params)
    }

    fn leaf(&self, mut params: CertificateParams) -> Result<Pair, CertificateError> {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

fn params(name: &str, now: OffsetDateTime, not_after: OffsetDateTime) -> Result<CertificateParams, CertificateError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = now - BACKDATED;
    params.not_after = not_after;
    params.serial_number = Some(random_serial()?);
    Ok(params)
}

/// 127 random bits; the first byte is neither zero nor negative, so the encoding is always 16 bytes long.
fn random_serial() -> Result<SerialNumber, CertificateError> {
    let mut bytes = [0_u8; 16];
    rustls::crypto::ring::default_provider()
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| rcgen::Error::RingUnspecified)?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

// === impl Pair ===

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
