//! Why a handshake failed, in few words.

use std::io;

use rustls::{CertificateError, Error};

/// A class of failed handshakes, for a metric's label and a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HandshakeFailure {
    /// The client showed no certificate although one is required.
    NoCertificate,
    /// Its certificate is over.
    Expired,
    /// Its certificate is not from the client CA.
    Foreign,
    /// Its certificate is from the client CA but not good: not valid yet, or not for clients.
    Unfit,
    /// The client did not like ours.
    Distrusted,
    /// It does not speak TLS, as a probe or a client of plain HTTP.
    NotTls,
    /// It left.
    Gone,
    Other,
}

// === impl HandshakeFailure ===

impl HandshakeFailure {
    /// Of the error that an accept ended with.
    pub fn of(error: &io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(error) => Self::of_tls(error),
            None => match error.kind() {
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe => Self::Gone,
                _ => Self::Other,
            },
        }
    }

    fn of_tls(error: &Error) -> Self {
        match error {
            Error::NoCertificatesPresented => Self::NoCertificate,
            Error::InvalidCertificate(error) => match error {
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
                // A CA of the same name with another key: its signatures do not hold.
                CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::Foreign,
                _ => Self::Unfit,
            },
            Error::AlertReceived(_) => Self::Distrusted,
            Error::InvalidMessage(_) => Self::NotTls,
            _ => Self::Other,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoCertificate => "no_client_certificate",
            Self::Expired => "expired_client_certificate",
            Self::Foreign => "foreign_client_certificate",
            Self::Unfit => "unfit_client_certificate",
            Self::Distrusted => "server_certificate_refused",
            Self::NotTls => "not_tls",
            Self::Gone => "client_gone",
            Self::Other => "other",
        }
    }
}
