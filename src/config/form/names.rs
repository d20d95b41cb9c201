//! Names and texts.

use std::net::IpAddr;

use super::super::mistake::{Wrong, shown};
use super::Form;

/// A DNS label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label(pub String);

/// The name of a policy or the id of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(pub String);

/// A DNS name, lower-case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName(pub String);

/// What a certificate can be for: a DNS name, its first label perhaps `*`, or an IP address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateName(pub String);

/// Text that is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(pub String);

// === impl Label ===

impl Form for Label {
    const NAME: &'static str = "dns-label";
    const WHAT: &'static str = "a DNS label";
    const PATTERN: Option<&'static str> = Some("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$");

    fn read(text: &str) -> Result<Self, Wrong> {
        if is_label(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(Wrong::new(
            format!("{} is not a DNS label", shown(text)),
            "write up to 63 of a-z, 0-9 and -, with a letter or digit at both ends, such as prod-eu",
        ))
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

pub fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

// === impl Name ===

impl Form for Name {
    const NAME: &'static str = "name";
    const WHAT: &'static str = "a name";
    const PATTERN: Option<&'static str> = Some("^[A-Za-z0-9._-]{1,128}$");

    fn read(text: &str) -> Result<Self, Wrong> {
        let fits = (1..=128).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if fits {
            return Ok(Self(text.to_owned()));
        }
        let problem = if text.is_empty() { "it is empty".to_owned() } else { format!("{} is not a name", shown(text)) };
        Err(Wrong::new(problem, "write 1 to 128 of A-Z, a-z, 0-9, `.`, `_` and `-`"))
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

// === impl HostName ===

impl Form for HostName {
    const NAME: &'static str = "host-name";
    const WHAT: &'static str = "a host name";

    fn read(text: &str) -> Result<Self, Wrong> {
        let name = text.to_ascii_lowercase();
        if is_host_name(&name) {
            return Ok(Self(name));
        }
        Err(Wrong::new(
            format!("{} is not a host name", shown(text)),
            "write it without scheme, port and path, such as rehearsal.example.com",
        ))
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

fn is_host_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

// === impl CertificateName ===

impl Form for CertificateName {
    const NAME: &'static str = "certificate-name";
    const WHAT: &'static str = "a name for a certificate";

    fn read(text: &str) -> Result<Self, Wrong> {
        let name = text.to_ascii_lowercase();
        if name.parse::<IpAddr>().is_ok() || is_host_name(name.strip_prefix("*.").unwrap_or(&name)) {
            return Ok(Self(name));
        }
        Err(Wrong::new(
            format!("{} is not a name for a certificate", shown(text)),
            "write a DNS name or an IP address, such as rehearsal.rehearsal.svc",
        ))
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

// === impl Text ===

impl Form for Text {
    const NAME: &'static str = "text";
    const WHAT: &'static str = "a text";
    const PATTERN: Option<&'static str> = Some("\\S");

    fn read(text: &str) -> Result<Self, Wrong> {
        if text.trim().is_empty() {
            return Err(Wrong::new("it is empty", "write a text, or leave the field out"));
        }
        if text.contains('\0') {
            return Err(Wrong::new("it holds a NUL", "write a text without it"));
        }
        Ok(Self(text.to_owned()))
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}
