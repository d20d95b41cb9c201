//! The certificates of a scripted webhook, made for one test.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;

/// A certificate for `localhost` signed by an own CA, HTTP/2 and HTTP/1.1, no client certificate, unless said so.
#[derive(Debug, Clone)]
pub struct Tls {
    pub name: &'static str,
    pub alpn: &'static [&'static [u8]],
    pub client_ca_pem: Option<String>,
    pub signed_by: Signer,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Signer {
    Ca,
    /// `ca_pem` is the certificate itself, and it is no CA.
    Itself,
    /// As `openssl req -x509` makes it: `ca_pem` is the certificate itself, which also says that it is a CA.
    ItselfAsCa,
}

// === impl Tls ===

impl Default for Tls {
    fn default() -> Self {
        Self { name: "localhost", alpn: &[b"h2", b"http/1.1"], client_ca_pem: None, signed_by: Signer::Ca }
    }
}

impl Tls {
    /// The configuration, and the PEM of who signed its certificate.
    pub(super) fn server_config(&self) -> (ServerConfig, String) {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("ring speaks them");
        let builder = match &self.client_ca_pem {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let mut roots = rustls::RootCertStore::empty();
                roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM")).expect("a CA");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.expect("a root"))
            }
        };
        let (certificate_pem, key_pem, ca_pem) = self.certificate();
        let chain = vec![CertificateDer::from_pem_slice(certificate_pem.as_bytes()).expect("PEM")];
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).expect("PEM");
        let mut config = builder.with_single_cert(chain, key).expect("they belong together");
        config.alpn_protocols = self.alpn.iter().map(|protocol| protocol.to_vec()).collect();
        (config, ca_pem)
    }

    fn certificate(&self) -> (String, String, String) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![self.name.to_owned()]).expect("a name");
        if self.signed_by == Signer::Ca {
            let (issuer, ca_pem) = authority();
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            return (params.signed_by(&key, &issuer).expect("signed").pem(), key.serialize_pem(), ca_pem);
        }
        if self.signed_by == Signer::ItselfAsCa {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let pem = params.self_signed(&key).expect("signed").pem();
        (pem.clone(), key.serialize_pem(), pem)
    }
}

/// A new CA and its PEM.
fn authority() -> (Issuer<'static, KeyPair>, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).expect("signed").pem();
    (Issuer::new(params, key), pem)
}

/// A client certificate: its CA, the certificate, its key, all PEM.
pub fn client_identity(name: &str) -> (String, String, String) {
    let (issuer, ca_pem) = authority();
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    (ca_pem, params.signed_by(&key, &issuer).expect("signed").pem(), key.serialize_pem())
}
