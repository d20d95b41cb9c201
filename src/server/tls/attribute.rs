//! One attribute of a name in a certificate, and how it is written.
//!
//! Tools write the same attribute in different ways: `emailAddress` or `Email`, `UID` or its number, `Zürich` or
//! `Z\C3\BCrich`. Two are compared by the number of their kind and by what their value says.

use x509_parser::asn1_rs::{Any, FromDer as _, Tag, ToDer as _};
use x509_parser::x509::AttributeTypeAndValue;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Attribute {
    /// An OID with dots.
    kind: String,
    value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Text(String),
    /// What is no text, tag and length with it.
    Der(Vec<u8>),
}

/// Kinds by number. The first name is how openssl writes it; the others are how else it is written.
const KINDS: &[(&str, &[&str])] = &[
    ("2.5.4.3", &["CN", "commonName"]),
    ("2.5.4.4", &["SN", "surname"]),
    ("2.5.4.5", &["serialNumber"]),
    ("2.5.4.6", &["C", "countryName"]),
    ("2.5.4.7", &["L", "localityName"]),
    ("2.5.4.8", &["ST", "S", "stateOrProvinceName"]),
    ("2.5.4.9", &["street", "streetAddress"]),
    ("2.5.4.10", &["O", "organizationName"]),
    ("2.5.4.11", &["OU", "organizationalUnit", "organizationalUnitName"]),
    ("2.5.4.12", &["title", "T"]),
    ("2.5.4.13", &["description"]),
    ("2.5.4.15", &["businessCategory"]),
    ("2.5.4.16", &["postalAddress"]),
    ("2.5.4.17", &["postalCode"]),
    ("2.5.4.18", &["postOfficeBox"]),
    ("2.5.4.20", &["telephoneNumber"]),
    ("2.5.4.41", &["name"]),
    ("2.5.4.42", &["GN", "givenName", "G"]),
    ("2.5.4.43", &["initials"]),
    ("2.5.4.44", &["generationQualifier"]),
    ("2.5.4.45", &["x500UniqueIdentifier", "uniqueIdentifier"]),
    ("2.5.4.46", &["dnQualifier"]),
    ("2.5.4.65", &["pseudonym"]),
    ("2.5.4.72", &["role"]),
    ("2.5.4.97", &["organizationIdentifier"]),
    ("0.9.2342.19200300.100.1.1", &["UID", "userId"]),
    ("0.9.2342.19200300.100.1.25", &["DC", "domainComponent"]),
    ("1.2.840.113549.1.9.1", &["emailAddress", "Email", "E"]),
    ("1.2.840.113549.1.9.2", &["unstructuredName"]),
    ("1.2.840.113549.1.9.8", &["unstructuredAddress"]),
    ("1.3.6.1.4.1.311.60.2.1.1", &["jurisdictionL", "jurisdictionLocalityName"]),
    ("1.3.6.1.4.1.311.60.2.1.2", &["jurisdictionST", "jurisdictionStateOrProvinceName"]),
    ("1.3.6.1.4.1.311.60.2.1.3", &["jurisdictionC", "jurisdictionCountryName"]),
];

// === impl Attribute ===

impl Attribute {
    pub(super) fn of(attribute: &AttributeTypeAndValue<'_>) -> Self {
        Self { kind: attribute.attr_type().to_id_string(), value: Value::of(attribute.attr_value()) }
    }

    /// Of a kind as it is written, and a value without its escapes. `None`: nobody knows the kind.
    pub(super) fn named(kind: &str, value: String) -> Option<Self> {
        Some(Self { kind: number(kind)?, value: Value::Text(value) })
    }

    /// Of a kind as it is written, and a value as `#` and the hexadecimal digits of its DER write it.
    pub(super) fn encoded(kind: &str, digits: &str) -> Option<Self> {
        let pairs = digits.as_bytes().chunks(2);
        let der: Vec<u8> = pairs.map(|pair| byte(*pair.first()?, *pair.get(1)?)).collect::<Option<_>>()?;
        match Any::from_der(&der) {
            Ok(([], any)) => Some(Self { kind: number(kind)?, value: Value::of(&any) }),
            _ => None,
        }
    }

    /// As RFC 4514 writes it.
    pub(super) fn text(&self) -> String {
        let name = KINDS.iter().find(|(oid, _)| *oid == self.kind).map_or(self.kind.as_str(), |(_, names)| names[0]);
        match &self.value {
            Value::Text(text) => format!("{name}={}", escaped(text)),
            Value::Der(der) => format!("{name}=#{}", der.iter().map(|byte| format!("{byte:02X}")).collect::<String>()),
        }
    }
}

// === impl Value ===

impl Value {
    fn of(any: &Any<'_>) -> Self {
        match text(any) {
            Some(text) => Self::Text(text),
            None => Self::Der(any.to_der_vec().unwrap_or_else(|_| any.as_bytes().to_vec())),
        }
    }
}

/// What a string of any of ASN.1's kinds says.
fn text(any: &Any<'_>) -> Option<String> {
    let bytes = any.as_bytes();
    match any.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString => {
            Some(std::str::from_utf8(bytes).ok()?.to_owned())
        }
        // Latin-1 by what everybody makes of it.
        Tag::T61String => Some(bytes.iter().copied().map(char::from).collect()),
        Tag::BmpString if bytes.len().is_multiple_of(2) => {
            let units: Vec<u16> = bytes.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            String::from_utf16(&units).ok()
        }
        _ => None,
    }
}

/// The OID of a kind that is written by a name or a number.
fn number(kind: &str) -> Option<String> {
    let named = KINDS.iter().find(|(_, names)| names.iter().any(|name| name.eq_ignore_ascii_case(kind)));
    if let Some((oid, _)) = named {
        return Some((*oid).to_owned());
    }
    let parts: Vec<&str> = kind.split('.').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit());
    (parts.len() > 1 && parts.iter().all(is_number)).then(|| kind.to_owned())
}

/// What two hexadecimal digits stand for.
pub(super) fn byte(high: u8, low: u8) -> Option<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
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
