//! Certificate authorities and what they sign, made for one test.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use time::{Duration, OffsetDateTime};

#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

/// A certificate and its key.
#[derive(Debug, Clone)]
pub struct Identity {
    pub certificate_pem: String,
    pub key_pem: String,
}

/// When a certificate holds, relative to now.
#[derive(Debug, Clone, Copy)]
pub enum Validity {
    Day,
    /// It ended an hour ago.
    Expired,
    Minutes(i64),
}

/// A client configuration that trusts `ca_pem` only (nothing, when absent).
pub fn client_config(ca_pem: Option<&str>, identity: Option<&Identity>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem.unwrap_or_default().as_bytes()) {
        roots.add(certificate.expect("PEM")).expect("a CA");
    }
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring speaks them")
        .with_root_certificates(roots);
    match identity {
        Some(identity) => {
            builder.with_client_auth_cert(identity.chain(), identity.key()).expect("they belong together")
        }
        None => builder.with_no_client_auth(),
    }
}

/// A client configuration that looks at no certificate: for tests that ask which one is served.
pub fn blind_client_config() -> ClientConfig {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring speaks them")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Blind))
        .with_no_client_auth()
}

pub fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

#[derive(Debug)]
struct Blind;

// === impl Authority ===

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        within(&mut params, Validity::Day);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    /// A server certificate for `localhost`, `127.0.0.1` and `names`.
    pub fn server(&self, names: &[&str]) -> Identity {
        let names = ["localhost", "127.0.0.1"].iter().chain(names).map(|name| (*name).to_owned());
        self.sign("server", names.collect(), ExtendedKeyUsagePurpose::ServerAuth, Validity::Day)
    }

    pub fn server_within(&self, validity: Validity) -> Identity {
        self.sign("server", vec!["localhost".to_owned()], ExtendedKeyUsagePurpose::ServerAuth, validity)
    }

    pub fn client(&self, name: &str, validity: Validity) -> Identity {
        self.sign(name, Vec::new(), ExtendedKeyUsagePurpose::ClientAuth, validity)
    }

    fn sign(&self, name: &str, names: Vec<String>, usage: ExtendedKeyUsagePurpose, validity: Validity) -> Identity {
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        within(&mut params, validity);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Identity { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() }
    }
}

fn within(params: &mut CertificateParams, validity: Validity) {
    let now = OffsetDateTime::now_utc();
    let (from, to) = match validity {
        Validity::Day => (now - Duration::hours(1), now + Duration::days(1)),
        Validity::Expired => (now - Duration::days(2), now - Duration::hours(1)),
        Validity::Minutes(minutes) => (now - Duration::hours(1), now + Duration::minutes(minutes)),
    };
    params.not_before = from;
    params.not_after = to;
}

// === impl Identity ===

impl Identity {
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(self.certificate_pem.as_bytes()).map(|der| der.expect("PEM")).collect()
    }

    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).expect("PEM")
    }

    /// A server that presents this.
    pub fn server_config(&self) -> ServerConfig {
        ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring speaks them")
            .with_no_client_auth()
            .with_single_cert(self.chain(), self.key())
            .expect("they belong together")
    }
}

// === impl Blind ===

impl ServerCertVerifier for Blind {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
