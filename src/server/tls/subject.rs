//! Names in certificates, as text.

use std::fmt;
use std::str::FromStr;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// The subject of a certificate, as it is written down to be compared: `CN=kube-apiserver,O=acme`. Its parts may stand
/// in any order, since tools do not agree on one.
#[derive(Debug, Clone)]
pub struct Subject {
    written: String,
    /// In the order of their text.
    parts: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a subject is written as RFC 4514 has it, such as CN=kube-apiserver,O=acme")]
pub struct NoSubject;

/// As RFC 4514 writes it: the last part first, `+` within a part, what would be misread escaped.
pub fn text(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> =
        name.iter_rdn().map(|part| part.iter().map(attribute).collect::<Vec<_>>().join("+")).collect();
    parts.reverse();
    parts.join(",")
}

/// The subject; of a certificate without one the first name that it is for, or else its serial number.
pub fn name(certificate: &X509Certificate<'_>) -> String {
    let subject = text(certificate.subject());
    if !subject.is_empty() {
        return subject;
    }
    let names = certificate.subject_alternative_name().ok().flatten();
    let first = names.and_then(|names| {
        names.value.general_names.iter().find_map(|name| match name {
            GeneralName::DNSName(name) | GeneralName::URI(name) => Some((*name).to_owned()),
            _ => None,
        })
    });
    first.unwrap_or_else(|| format!("serial {}", certificate.raw_serial_as_string()))
}

// === impl Subject ===

impl FromStr for Subject {
    type Err = NoSubject;

    fn from_str(text: &str) -> Result<Self, NoSubject> {
        let mut parts: Vec<String> = split(text).into_iter().map(part).collect::<Option<_>>().ok_or(NoSubject)?;
        parts.sort();
        Ok(Self { written: text.to_owned(), parts })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl PartialEq for Subject {
    fn eq(&self, other: &Self) -> bool {
        self.parts == other.parts
    }
}

impl Eq for Subject {}

/// At the commas that no backslash stands before.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (at, letter) in text.char_indices() {
        if letter == ',' && !escaped {
            parts.push(&text[start..at]);
            start = at + 1;
        }
        escaped = letter == '\\' && !escaped;
    }
    parts.push(&text[start..]);
    parts
}

/// `CN = x`, as openssl writes it, is `CN=x`.
fn part(text: &str) -> Option<String> {
    let (kind, value) = text.split_once('=')?;
    let (kind, value) = (kind.trim(), value.trim_start());
    let is_kind = kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
    (is_kind && !kind.is_empty() && !value.is_empty()).then(|| format!("{}={value}", kind.to_ascii_uppercase()))
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let kind = oid2abbrev(attribute.attr_type(), oid_registry())
        .map_or_else(|_| attribute.attr_type().to_id_string(), str::to_owned);
    match attribute.as_str() {
        Ok(value) => format!("{kind}={}", escaped(value)),
        Err(_) => format!("{kind}=#{}", hex(attribute.as_slice())),
    }
}

fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (at, letter) in value.chars().enumerate() {
        match letter {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', letter]),
            '#' if at == 0 => text.push_str("\\#"),
            ' ' if at == 0 || at == last => text.push_str("\\ "),
            letter if letter.is_control() => {
                letter.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| text.push_str(&format!("\\{byte:02X}")))
            }
            letter => text.push(letter),
        }
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;

    fn written(parts: &[(DnType, &str)]) -> String {
        let mut params = CertificateParams::new(vec!["first.example".to_owned()]).expect("a name");
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in parts {
            params.distinguished_name.push(kind.clone(), *value);
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate.der()).expect("DER");
        name(&parsed)
    }

    #[test]
    fn a_subject_is_written_last_part_first() {
        let parts = [
            (DnType::CountryName, "DE"),
            (DnType::OrganizationName, "system:masters"),
            (DnType::CommonName, "kube-apiserver"),
        ];
        assert_eq!(written(&parts), "CN=kube-apiserver,O=system:masters,C=DE");
    }

    #[test]
    fn a_name_cannot_pretend_to_be_two() {
        assert_eq!(written(&[(DnType::CommonName, "a,O=system:masters")]), "CN=a\\,O=system:masters");
        assert_eq!(written(&[(DnType::CommonName, " #a\n\u{85}b+\\ ")]), "CN=\\ #a\\0A\\C2\\85b\\+\\\\\\ ");
        assert_eq!(written(&[(DnType::CommonName, "#a")]), "CN=\\#a");
    }

    #[test]
    fn subjects_are_equal_in_any_order_of_their_parts_and_no_other_way() {
        let subject = |text: &str| text.parse::<Subject>().expect(text);
        for same in ["CN=api,O=acme", "O=acme,CN=api", "O = acme, CN = api", "cn=api,o=acme"] {
            assert_eq!(subject(same), subject("CN=api,O=acme"), "{same}");
        }
        for other in ["CN=api", "CN=api,O=Acme", "CN=api,O=acme,O=acme", "CN=api,OU=acme", "CN=api\\,O=acme"] {
            assert_ne!(subject(other), subject("CN=api,O=acme"), "{other}");
        }
        for wrong in ["", "api", "CN=", "CN=api,", "=api", "C N=api"] {
            assert!(wrong.parse::<Subject>().is_err(), "{wrong}");
        }
        let written = written(&[(DnType::OrganizationName, "acme"), (DnType::CommonName, "a,b")]);
        assert_eq!(subject(&written), subject("CN=a\\,b,O=acme"));
    }

    #[test]
    fn what_has_no_known_name_is_written_by_number() {
        assert_eq!(written(&[(DnType::from_oid(&[1, 2, 3, 4]), "x")]), "1.2.3.4=x");
    }

    #[test]
    fn without_a_subject_the_first_name_stands_for_it() {
        assert_eq!(written(&[]), "first.example");
    }
}
