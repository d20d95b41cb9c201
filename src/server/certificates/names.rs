//! The hosts that a server's certificate is for.

use std::collections::BTreeSet;
use std::net::IpAddr;

use rustls::pki_types::DnsName;

use super::CertificateError;

/// DNS names (lower-case, a leading `*.` allowed) and IP addresses (in their canonical form), at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names(Vec<String>);

// === impl Names ===

impl Names {
    /// In the order given; `None` when there are none.
    ///
    /// # Errors
    ///
    /// [`CertificateError::Name`] with the first that is neither a DNS name nor an IP address.
    pub fn parse(names: &[String]) -> Result<Option<Self>, CertificateError> {
        let mut seen = BTreeSet::new();
        let mut parsed = Vec::with_capacity(names.len());
        for name in names {
            let name = canonical(name).ok_or_else(|| CertificateError::Name { name: name.clone() })?;
            if seen.insert(name.clone()) {
                parsed.push(name);
            }
        }
        Ok(if parsed.is_empty() { None } else { Some(Self(parsed)) })
    }

    /// `localhost`, `127.0.0.1`, `::1`, and `more`.
    pub(super) fn with_loopback(more: &[String]) -> Result<Self, CertificateError> {
        let loopback = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let names = Self::parse(&[&loopback, more].concat())?;
        Ok(names.expect("the loopback names are names"))
    }

    pub fn first(&self) -> &str {
        &self.0[0]
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    pub(super) fn to_vec(&self) -> Vec<String> {
        self.0.clone()
    }

    pub(super) fn set(&self) -> BTreeSet<String> {
        self.0.iter().cloned().collect()
    }
}

fn canonical(name: &str) -> Option<String> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Some(address.to_string());
    }
    let name = name.to_ascii_lowercase();
    let host = name.strip_prefix("*.").unwrap_or(&name);
    DnsName::try_from(host).ok()?;
    Some(name)
}
