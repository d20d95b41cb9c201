//! Which names the report answers to. A page of another site could otherwise have its own name resolve
//! to this address (DNS rebinding) and read the report with the visitor's browser.

use std::net::{Ipv4Addr, Ipv6Addr};

use http::header::HOST;
use http::request::Parts;

use super::settings::ReportSettings;

/// Lower-case names that are answered beside `localhost` and IP addresses.
#[derive(Debug, Clone)]
pub struct Hosts(Vec<String>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    #[error("The request must name one host.\n")]
    Absent,
    #[error(
        "This report is not served under that name.\n\nIt answers only to localhost, to an IP address, and to the names in its configuration. To reach \
         it under this name, set\n\n    report:\n      hosts: [{0}]\n\nor report.public_url.\n"
    )]
    Foreign(String),
}

// === impl Hosts ===

impl Hosts {
    pub fn of(settings: &ReportSettings) -> Self {
        let public = settings.public_url.as_ref().and_then(|url| url.host());
        Self(settings.hosts.iter().map(String::as_str).chain(public).map(str::to_ascii_lowercase).collect())
    }

    /// The name that the request was sent to, if the report goes by it.
    pub fn check(&self, request: &Parts) -> Result<(), HostError> {
        let name = asked(request).ok_or(HostError::Absent)?;
        let name = name.strip_suffix('.').unwrap_or(&name);
        let ours = name == "localhost" || is_address(name) || self.0.iter().any(|host| host == name);
        // Only a name that could stand in a configuration is said back.
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
        match ours {
            true => Ok(()),
            false => Err(HostError::Foreign(if plain { name.to_owned() } else { "NAME".to_owned() })),
        }
    }
}

/// Lower-case, without the port. HTTP/2 has it in the request's target.
fn asked(request: &Parts) -> Option<String> {
    let mut headers = request.headers.get_all(HOST).iter();
    let host = match (request.uri.host(), headers.next(), headers.next()) {
        (Some(host), _, None) => host,
        (None, Some(value), None) => without_port(value.to_str().ok()?),
        _ => return None,
    };
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !ends_inside_brackets(host) => host,
        _ => authority,
    }
}

fn ends_inside_brackets(host: &str) -> bool {
    host.starts_with('[') && !host.ends_with(']')
}

fn is_address(host: &str) -> bool {
    let v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    host.parse::<Ipv4Addr>().is_ok() || v6.is_some_and(|v6| v6.parse::<Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::web::access::settings::AccessSettings;

    fn check(target: &str, host: &[&str]) -> Result<(), HostError> {
        let settings = ReportSettings {
            listen: "127.0.0.1:0".parse().expect("an address"),
            time_zone: jiff::tz::TimeZone::UTC,
            public_url: Some("https://Report.acmecorp.com/x".parse().expect("a URL")),
            hosts: vec!["Rehearsal".into()],
            access: AccessSettings::open(),
        };
        let mut request = Request::builder().uri(target);
        for host in host {
            request = request.header(HOST, *host);
        }
        Hosts::of(&settings).check(&request.body(()).expect("a request").into_parts().0)
    }

    #[test]
    fn our_own_names_and_addresses_are_answered() {
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "localhost.",
            "127.0.0.1",
            "10.1.2.3:8080",
            "[::1]",
            "[::1]:8080",
            "[fd00::1]:80",
            "rehearsal",
            "rehearsal:8080",
            "report.acmecorp.com:443",
        ] {
            assert_eq!(check("/", &[host]), Ok(()), "{host}");
        }
        assert_eq!(check("http://localhost:8080/", &[]), Ok(()));
    }

    #[test]
    fn other_names_are_not() {
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.1",
            "0x7f000001",
            "::1",
            "[::1",
            "[localhost]",
            "rehearsal.evil",
            "a\u{7f}",
        ] {
            if let Ok(value) = http::HeaderValue::from_str(host) {
                assert!(check("/", &[value.to_str().expect("ASCII")]).is_err(), "{host}");
            }
        }
        assert_eq!(check("/", &[]), Err(HostError::Absent));
        assert_eq!(check("/", &["localhost", "localhost"]), Err(HostError::Absent));
        assert_eq!(check("/", &[""]), Err(HostError::Absent));
        assert_eq!(check("/", &["evil.example:80"]), Err(HostError::Foreign("evil.example".into())));
        assert_eq!(check("/", &["<script>"]), Err(HostError::Foreign("NAME".into())));
    }
}
