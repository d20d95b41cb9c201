//! How a webhook's certificate is checked.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};

use super::credentials::{BackendSetupError, TlsContent};
use super::https::system_roots;
use super::target::Target;

/// The configuration of every connection; ALPN is the connector's business.
pub(super) fn client_config(content: &TlsContent, target: &Target) -> Result<ClientConfig, BackendSetupError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("ring speaks the default versions");
    let builder = match content.ca()? {
        // Without TLS there is nobody to trust, and a system need not have roots.
        None if !target.is_https() => builder.with_root_certificates(RootCertStore::empty()),
        None => builder.with_root_certificates(trusted_by_system()?),
        Some(ca) => {
            let verifier = FileVerifier::new(ca, provider)?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
    };
    match content.identity()? {
        None => Ok(builder.with_no_client_auth()),
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|error| {
            let problem = format!("it cannot be used with the key in client_key: {error}");
            BackendSetupError::new("client_certificate", problem)
        }),
    }
}

fn trusted_by_system() -> Result<RootCertStore, BackendSetupError> {
    system_roots()
        .map_err(|problem| BackendSetupError::new("ca", format!("{problem}; name a file with the webhook's CA")))
}

/// Trusts what the certificates of the `ca` file have signed, and those certificates themselves.
///
/// `openssl req -x509` makes self-signed certificates that also say that they are a CA, and many webhooks in clusters
/// serve one. The API server accepts it when the same certificate is in its `caBundle`; webpki alone does not.
#[derive(Debug)]
struct FileVerifier {
    signed: Arc<WebPkiServerVerifier>,
    themselves: Vec<CertificateDer<'static>>,
}

// === impl FileVerifier ===

impl FileVerifier {
    fn new(ca: Vec<CertificateDer<'static>>, provider: Arc<CryptoProvider>) -> Result<Self, BackendSetupError> {
        let unusable = |error: String| {
            BackendSetupError::new("ca", format!("the file holds a certificate that cannot be used: {error}"))
        };
        let mut roots = RootCertStore::empty();
        for certificate in &ca {
            roots.add(certificate.clone()).map_err(|error| unusable(error.to_string()))?;
        }
        let signed = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        Ok(Self { signed, themselves: ca })
    }
}

impl ServerCertVerifier for FileVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let verdict = self.signed.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let Err(error) = verdict else { return verdict };
        if !self.themselves.iter().any(|certificate| certificate == end_entity) {
            return Err(error);
        }
        valid_at(end_entity, now)?;
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.signed.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.signed.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signed.supported_verify_schemes()
    }
}

fn valid_at(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), TlsError> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let validity = parsed.validity();
    if now < validity.not_before.timestamp() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > validity.not_after.timestamp() {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}
