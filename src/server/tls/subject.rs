//! Names in certificates, as text.

use std::fmt;
use std::str::FromStr;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use super::attribute::{self, Attribute};

/// The subject of a certificate, as it is written down to be compared: `CN=kube-apiserver,O=acme`. Its parts may stand
/// in any order, since tools do not agree on one.
#[derive(Debug, Clone)]
pub struct Subject {
    written: String,
    /// Sorted, and within each part too.
    parts: Vec<Vec<Attribute>>,
}

/// Reads a subject as RFC 4514, or an older RFC, or openssl writes it.
struct Reader<'a> {
    rest: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a subject is written as RFC 4514 has it, such as CN=kube-apiserver,O=acme; attributes without a name by number"
)]
pub struct NoSubject;

/// As RFC 4514 writes it: the last part first, `+` within a part, what would be misread escaped.
pub fn text(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> =
        name.iter_rdn().map(|part| part.iter().map(written).collect::<Vec<_>>().join("+")).collect();
    parts.reverse();
    parts.join(",")
}

fn written(attribute: &AttributeTypeAndValue<'_>) -> String {
    Attribute::of(attribute).text()
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
        let mut parts = Reader { rest: text }.parts().ok_or(NoSubject)?;
        parts.iter_mut().for_each(|part| part.sort());
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

// === impl Reader ===

impl Reader<'_> {
    /// `None`: it is no subject.
    fn parts(&mut self) -> Option<Vec<Vec<Attribute>>> {
        let mut parts = vec![vec![self.attribute()?]];
        loop {
            match self.letter() {
                None => return Some(parts),
                Some(',') => parts.push(vec![self.attribute()?]),
                Some('+') => parts.last_mut()?.push(self.attribute()?),
                Some(_) => return None,
            }
        }
    }

    fn attribute(&mut self) -> Option<Attribute> {
        let (kind, rest) = self.rest.split_once('=')?;
        self.rest = rest.trim_start_matches(' ');
        let kind = kind.trim_matches(' ');
        if let Some(rest) = self.rest.strip_prefix('#') {
            self.rest = rest;
            return Attribute::encoded(kind, self.take_while(|letter| letter.is_ascii_hexdigit()));
        }
        let value = match self.rest.strip_prefix('"') {
            Some(rest) => {
                self.rest = rest;
                self.quoted()?
            }
            None => self.plain()?,
        };
        (!value.is_empty()).then(|| Attribute::named(kind, value)).flatten()
    }

    /// Up to the quotation mark that ends it.
    fn quoted(&mut self) -> Option<String> {
        let mut value = Vec::new();
        loop {
            match self.letter()? {
                '"' => break,
                '\\' => self.escaped(&mut value)?,
                letter => push(&mut value, letter),
            }
        }
        self.take_while(|letter| letter == ' ');
        String::from_utf8(value).ok()
    }

    /// Up to what ends it, without the spaces before that.
    fn plain(&mut self) -> Option<String> {
        let (mut value, mut kept) = (Vec::new(), 0);
        while let Some(letter) = self.rest.chars().next().filter(|letter| !matches!(letter, ',' | '+')) {
            self.letter();
            match letter {
                '\\' => self.escaped(&mut value)?,
                letter => push(&mut value, letter),
            }
            if letter != ' ' {
                kept = value.len();
            }
        }
        value.truncate(kept);
        String::from_utf8(value).ok()
    }

    /// What stands after a backslash: the two digits of a byte, or a letter.
    fn escaped(&mut self, value: &mut Vec<u8>) -> Option<()> {
        let first = self.letter()?;
        if !first.is_ascii_hexdigit() {
            push(value, first);
            return Some(());
        }
        let second = self.letter().filter(char::is_ascii_hexdigit)?;
        value.push(attribute::byte(first as u8, second as u8)?);
        Some(())
    }

    fn letter(&mut self) -> Option<char> {
        let mut letters = self.rest.chars();
        let next = letters.next();
        self.rest = letters.as_str();
        next
    }

    fn take_while(&mut self, takes: impl Fn(char) -> bool) -> &str {
        let taken = self.rest.find(|letter| !takes(letter)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(taken);
        self.rest = rest.trim_start_matches(' ');
        taken
    }
}

fn push(value: &mut Vec<u8>, letter: char) {
    value.extend(letter.encode_utf8(&mut [0; 4]).bytes());
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
        for wrong in [
            "",
            "api",
            "CN=",
            "CN=api,",
            "=api",
            "C N=api",
            "CN=a\\",
            "CN=a\\F",
            "CN=\"a",
            "CN=\"a\"b",
            "CN=#0C",
            "CN=\\FF",
        ] {
            assert!(wrong.parse::<Subject>().is_err(), "{wrong}");
        }
        let written = written(&[(DnType::OrganizationName, "acme"), (DnType::CommonName, "a,b")]);
        assert_eq!(subject(&written), subject("CN=a\\,b,O=acme"));
    }

    /// As openssl 3.0 prints a certificate that it made, with `-nameopt RFC2253` and with `-nameopt oneline`.
    #[test]
    fn openssls_subjects_are_those_of_the_certificate() {
        let value = |kind: &[u64], value: &'static str| (DnType::from_oid(kind), value);
        let certificate = written(&[
            (DnType::CountryName, "DE"),
            value(&[0, 9, 2342, 19_200_300, 100, 1, 25], "example"),
            (DnType::OrganizationName, "Zürich, \"A\" GmbH"),
            value(&[0, 9, 2342, 19_200_300, 100, 1, 1], "u1"),
            value(&[1, 2, 840, 113_549, 1, 9, 1], "a@b.c"),
            value(&[2, 5, 4, 5], "42"),
            value(&[2, 5, 4, 4], "Sur"),
            value(&[2, 5, 4, 42], "Giv"),
            value(&[2, 5, 4, 9], "S 1"),
            value(&[1, 2, 3, 4], "x"),
            (DnType::CommonName, " #a b "),
        ]);
        let subject = |text: &str| text.parse::<Subject>().expect(text);
        for printed in [
            r#"CN=\ #a b\ ,1.2.3.4=#0C0178,street=S 1,GN=Giv,SN=Sur,serialNumber=42,emailAddress=a@b.c,UID=u1,O=Z\C3\BCrich\, \"A\" GmbH,DC=example,C=DE"#,
            r#"C = DE, DC = example, O = "Z\C3\BCrich, \"A\" GmbH", UID = u1, emailAddress = a@b.c, serialNumber = 42, SN = Sur, GN = Giv, street = S 1, 1.2.3.4 = x, CN = " #a b ""#,
        ] {
            assert_eq!(subject(printed), subject(&certificate), "{printed}");
        }
    }

    #[test]
    fn attributes_are_compared_by_what_they_say() {
        let subject = |text: &str| text.parse::<Subject>().expect(text);
        for (one, same) in [
            ("CN=a , O=b", "CN=a,O=b"),
            ("emailAddress=a@b.c", "Email=a@b.c"),
            ("UID=u", "0.9.2342.19200300.100.1.1=u"),
            ("OU=x+UID=u", "uid = u + ou = x"),
            ("CN=\\41\\c3\\BC", "CN=Aü"),
            ("CN=#0C0161", "CN=#130161"),
            ("CN=#1E0200FC", "CN=#1401FC"),
        ] {
            assert_eq!(subject(one), subject(same), "{one}");
        }
        for (one, other) in [("CN=a\\ ,O=b", "CN=a,O=b"), ("OU=x+UID=u", "OU=x,UID=u"), ("CN=#0C0161", "CN=#020161")] {
            assert_ne!(subject(one), subject(other), "{one}");
        }
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
