//! Whether what is on the disk still serves.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{KeyPair, PublicKeyData};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use super::{CERTIFICATE, KEY, Names, files};

/// When the CA ends, or what is wrong with it.
pub fn authority(
    certificate: &CertificateDer<'_>,
    public_key: &[u8],
    now: OffsetDateTime,
) -> Result<OffsetDateTime, String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|error| format!("ca.crt: {error}"))?;
    if !parsed.is_ca() {
        return Err("ca.crt is not the certificate of a CA".to_owned());
    }
    if parsed.public_key().raw != public_key {
        return Err("ca.key is not the key of ca.crt".to_owned());
    }
    let not_after = parsed.validity().not_after.to_datetime();
    if not_after <= now {
        return Err(format!("ca.crt ended on {}", not_after.date()));
    }
    Ok(not_after)
}

/// Whether `tls.crt` and `tls.key` are a pair, of this CA, for exactly these names, with over a third of their life
/// left. What cannot be read does not serve.
pub fn leaf_serves(dir: &Path, authority: &CertificateDer<'_>, names: &Names, now: OffsetDateTime) -> bool {
    serves(dir, authority, names, now).unwrap_or(false)
}

fn serves(dir: &Path, authority: &CertificateDer<'_>, names: &Names, now: OffsetDateTime) -> Option<bool> {
    let certificate = files::read(&dir.join(CERTIFICATE)).ok()??;
    let key = files::read(&dir.join(KEY)).ok()??;
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).ok()?;
    let key = KeyPair::from_pem(&key).ok()?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&certificate).ok()?;
    Some(
        parsed.public_key().raw == key.subject_public_key_info()
            && is_fresh(&parsed, now)
            && subject_names(&parsed)? == names.set()
            && is_issued_by(&certificate, authority, now),
    )
}

fn is_fresh(leaf: &X509Certificate<'_>, now: OffsetDateTime) -> bool {
    let not_before = leaf.validity().not_before.to_datetime();
    let not_after = leaf.validity().not_after.to_datetime();
    not_before <= now && now < not_after - (not_after - not_before) / 3
}

fn subject_names(leaf: &X509Certificate<'_>) -> Option<BTreeSet<String>> {
    leaf.subject_alternative_name().ok()??.value.general_names.iter().map(subject_name).collect()
}

fn subject_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok()?;
            Some(address.to_string())
        }
        _ => None,
    }
}

/// As a client that trusts only this CA would see it.
fn is_issued_by(leaf: &CertificateDer<'_>, authority: &CertificateDer<'_>, now: OffsetDateTime) -> bool {
    let mut roots = RootCertStore::empty();
    if roots.add(authority.clone().into_owned()).is_err() {
        return false;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build() else {
        return false;
    };
    let host = ServerName::try_from("localhost").expect("localhost is a DNS name");
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now.unix_timestamp().try_into().unwrap_or_default()));
    verifier.verify_server_cert(leaf, &[], &host, &[], now).is_ok()
}
