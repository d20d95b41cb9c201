//! The forms in which values are written: `10s`, `7MiB`, `127.0.0.1:8443`.
//!
//! A form is described once: how it is read, how it is written, what its pattern in the JSON Schema is. The schema
//! carries its name (`x-form`), by which the reader finds it again ([`named`]).

mod moment;
mod names;
mod proof;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::server::tls::{NoSubject, Subject};
use crate::store::settings::{PostgresUrl, UrlMistake};

use super::mistake::{Wrong, nearest, shown};

pub use self::moment::Moment;
pub use self::names::{CertificateName, HostName, Label, Name, Text, is_label};
pub use self::proof::{PasswordHash, TokenHash};

/// A type whose values a person writes as one text.
pub trait Form: Sized {
    /// In the schema.
    const NAME: &'static str;
    /// For a person: `a duration`.
    const WHAT: &'static str;
    /// A regular expression that every text of this form matches.
    const PATTERN: Option<&'static str> = None;
    /// Whether a number may stand for it.
    const NUMBERS: bool = false;

    fn read(text: &str) -> Result<Self, Wrong>;
    fn write(&self) -> String;
}

/// A value that is written in its [`Form`].
#[derive(Debug, Clone, PartialEq)]
pub struct Written<T>(pub T);

/// Bytes: `7MiB`, or a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

/// What the schema's reader needs of a [`Form`].
#[derive(Debug)]
pub struct Check {
    pub name: &'static str,
    pub what: &'static str,
    pub check: fn(&str) -> Result<(), Wrong>,
}

/// The form of that name in the schema.
pub fn named(name: &str) -> &'static Check {
    FORMS.iter().find(|form| form.name == name).expect("every form that a field has is in FORMS, as a test holds")
}

/// Every form that a field of the configuration has.
static FORMS: [Check; 17] = [
    form::<Duration>(),
    form::<Size>(),
    form::<SocketAddr>(),
    form::<PathBuf>(),
    form::<jiff::tz::TimeZone>(),
    form::<Moment>(),
    form::<http::Uri>(),
    form::<PostgresUrl>(),
    form::<Subject>(),
    form::<Label>(),
    form::<Name>(),
    form::<HostName>(),
    form::<CertificateName>(),
    form::<Text>(),
    form::<PasswordHash>(),
    form::<TokenHash>(),
    form::<ipnet::IpNet>(),
];

const fn form<T: Form>() -> Check {
    Check { name: T::NAME, what: T::WHAT, check: |text| T::read(text).map(drop) }
}

// === impl Written ===

impl<T: Form> Serialize for Written<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.write())
    }
}

impl<'de, T: Form> Deserialize<'de> for Written<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        T::read(&text).map(Self).map_err(|wrong| serde::de::Error::custom(wrong.problem))
    }
}

impl<T: Form> JsonSchema for Written<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::NAME.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut schema = if T::NUMBERS {
            json_schema!({ "type": ["string", "integer"] })
        } else {
            json_schema!({ "type": "string" })
        };
        schema.insert("x-form".to_owned(), T::NAME.into());
        if let Some(pattern) = T::PATTERN {
            schema.insert("pattern".to_owned(), pattern.into());
        }
        schema
    }
}

// === impl Duration ===

/// Instants are added to durations; ten years are longer than anything here lasts and far from an overflow.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

impl Form for Duration {
    const NAME: &'static str = "duration";
    const WHAT: &'static str = "a duration";
    const PATTERN: Option<&'static str> = Some("^[0-9]+(ms|s|m|h|d)$");

    fn read(text: &str) -> Result<Self, Wrong> {
        let wrong = |problem: &str| {
            Wrong::new(
                format!("{} {problem}", shown(text)),
                "write a number and ms, s, m, h or d, such as 200ms, 10s or 1h",
            )
        };
        let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(unit_at);
        let number: u64 = number.parse().map_err(|_| wrong("is not a duration"))?;
        let scale = match unit {
            "" => return Err(wrong("has no unit")),
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong("is not a duration")),
        };
        number
            .checked_mul(scale)
            .map(Self::from_millis)
            .filter(|duration| *duration <= LONGEST)
            .ok_or_else(|| wrong("is over ten years"))
    }

    fn write(&self) -> String {
        let ms = self.as_millis();
        // Up to two minutes in seconds and two days in hours, as people say it.
        match ms {
            0 => "0s".to_owned(),
            _ if !ms.is_multiple_of(1_000) => format!("{ms}ms"),
            _ if ms <= 120_000 || !ms.is_multiple_of(60_000) => format!("{}s", ms / 1_000),
            _ if !ms.is_multiple_of(3_600_000) => format!("{}m", ms / 60_000),
            _ if ms <= 172_800_000 || !ms.is_multiple_of(86_400_000) => format!("{}h", ms / 3_600_000),
            _ => format!("{}d", ms / 86_400_000),
        }
    }
}

// === impl Size ===

const UNITS: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("", 1)];

impl Form for Size {
    const NAME: &'static str = "size";
    const WHAT: &'static str = "a size";
    const PATTERN: Option<&'static str> = Some("^[0-9]+(KiB|MiB|GiB|TiB)?$");
    const NUMBERS: bool = true;

    fn read(text: &str) -> Result<Self, Wrong> {
        let wrong = |problem: &str| {
            Wrong::new(
                format!("{} {problem}", shown(text)),
                "write a number of bytes, or one with KiB, MiB, GiB or TiB, such as 7MiB",
            )
        };
        let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(unit_at);
        let number: u64 = number.parse().map_err(|_| wrong("is not a size"))?;
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(|| wrong("is not a size"))?;
        // The store and the figures on pages hold sizes as signed numbers.
        number
            .checked_mul(*scale)
            .filter(|bytes| i64::try_from(*bytes).is_ok())
            .map(Self)
            .ok_or_else(|| wrong("is more than fits"))
    }

    fn write(&self) -> String {
        let (name, scale) =
            UNITS.iter().find(|(_, scale)| self.0 >= *scale && self.0.is_multiple_of(*scale)).unwrap_or(&("", 1));
        format!("{}{name}", self.0 / scale)
    }
}

// === impl SocketAddr ===

impl Form for SocketAddr {
    const NAME: &'static str = "address";
    const WHAT: &'static str = "an address";

    fn read(text: &str) -> Result<Self, Wrong> {
        text.parse().map_err(|_| {
            let fix = match text.rsplit_once(':') {
                Some(("", port)) if port.parse::<u16>().is_ok() => {
                    format!("write 127.0.0.1:{port} for this machine only, 0.0.0.0:{port} for every address")
                }
                Some(("localhost", port)) if port.parse::<u16>().is_ok() => format!("write 127.0.0.1:{port}"),
                _ => "write IP:PORT, such as 127.0.0.1:8443 or [::1]:8443".to_owned(),
            };
            Wrong::new(format!("{} is not an address to listen on", shown(text)), fix)
        })
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

// === impl PathBuf ===

impl Form for PathBuf {
    const NAME: &'static str = "path";
    const WHAT: &'static str = "a path";
    const PATTERN: Option<&'static str> = Some("^[^\\x00]+$");

    fn read(text: &str) -> Result<Self, Wrong> {
        if text.is_empty() || text.contains('\0') {
            return Err(Wrong::new(format!("{} is not a path", shown(text)), "write the path of a file or folder"));
        }
        Ok(Self::from(text))
    }

    fn write(&self) -> String {
        self.display().to_string()
    }
}

// === impl TimeZone ===

impl Form for jiff::tz::TimeZone {
    const NAME: &'static str = "time-zone";
    const WHAT: &'static str = "a time zone";

    fn read(text: &str) -> Result<Self, Wrong> {
        Self::get(text).map_err(|_| {
            let known: Vec<_> = jiff::tz::db().available().map(|name| name.as_str().to_owned()).collect();
            let fix = match nearest(text, known.iter().map(String::as_str)) {
                Some(name) => format!("did you mean {name}?"),
                None => "write a name of the IANA database, such as UTC or Europe/Berlin".to_owned(),
            };
            Wrong::new(format!("{} is not a time zone that this machine knows", shown(text)), fix)
        })
    }

    fn write(&self) -> String {
        self.iana_name().unwrap_or("UTC").to_owned()
    }
}

// === impl Uri ===

impl Form for http::Uri {
    const NAME: &'static str = "url";
    const WHAT: &'static str = "a URL";
    const PATTERN: Option<&'static str> = Some("^https?://");

    fn read(text: &str) -> Result<Self, Wrong> {
        let fix = "write http:// or https://, a host, and perhaps a port and a path";
        if text.split('/').nth(2).is_some_and(|authority| authority.contains('@')) {
            // Not shown: what stands there is a password.
            return Err(Wrong::new("a URL may not carry a user or password", "for a webhook's token use token_file"));
        }
        text.parse::<Self>()
            .ok()
            .filter(|url| matches!(url.scheme_str(), Some("http" | "https")))
            .filter(|url| url.host().is_some_and(|host| !host.is_empty()))
            // A port that is no number is kept in the authority and otherwise not seen.
            .filter(|url| url.authority().is_some_and(|a| a.as_str() == a.host() || a.port_u16().is_some()))
            .ok_or_else(|| Wrong::new(format!("{} is not a URL", shown(text)), fix))
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

// === impl PostgresUrl ===

impl Form for PostgresUrl {
    const NAME: &'static str = "postgres-url";
    const WHAT: &'static str = "the URL of a Postgres database";
    const PATTERN: Option<&'static str> = Some("^postgres(ql)?://");

    fn read(text: &str) -> Result<Self, Wrong> {
        text.parse().map_err(|UrlMistake { problem, fix }| Wrong::new(problem, fix))
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

// === impl Subject ===

impl Form for Subject {
    const NAME: &'static str = "subject";
    const WHAT: &'static str = "the subject of a certificate";
    const PATTERN: Option<&'static str> = Some("=");

    fn read(text: &str) -> Result<Self, Wrong> {
        text.parse().map_err(|NoSubject| {
            let fix =
                "write it as `openssl x509 -noout -subject -nameopt RFC2253` does, such as CN=kube-apiserver,O=acme";
            Wrong::new(format!("{} is not the subject of a certificate", shown(text)), fix)
        })
    }

    fn write(&self) -> String {
        self.to_string()
    }
}
