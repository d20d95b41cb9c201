//! How values are written.

use std::net::SocketAddr;

use super::super::form::{CertificateName, Form, HostName, Label, Name, Size, Text};
use super::*;
use crate::server::tls::Subject;
use crate::store::settings::PostgresUrl;

/// Reads each of `right` and writes it as it was, refuses each of `wrong`; what the form's pattern refuses, the
/// reader must too, so that an editor never marks what is right.
fn form<T: Form>(right: &[&str], wrong: &[&str]) {
    let pattern = T::PATTERN.map(|pattern| regex::Regex::new(pattern).unwrap());
    for text in right {
        let value = T::read(text).unwrap_or_else(|wrong| panic!("{}: {text:?} {}", T::NAME, wrong.problem));
        assert_eq!(value.write(), *text, "{}", T::NAME);
        assert!(pattern.as_ref().is_none_or(|pattern| pattern.is_match(text)), "{}: {text:?}", T::NAME);
    }
    for text in wrong {
        let Err(wrong) = T::read(text) else { panic!("{}: {text:?} is taken", T::NAME) };
        assert!(!wrong.problem.is_empty() && !wrong.fix.is_empty());
    }
}

#[test]
fn every_form_reads_what_it_writes() {
    form::<Duration>(
        &["0s", "1ms", "200ms", "1500ms", "10s", "90s", "120s", "10m", "1h", "48h", "7d", "730d", "3650d"],
        &["", "10", "s", "1w", "1.5s", "-1s", " 1s", "1 s", "3651d", "99999999999999999999s", "1h30m"],
    );
    form::<Size>(
        &["0", "1", "1500", "512KiB", "7MiB", "4GiB", "2TiB"],
        &["", "MiB", "7MB", "7M", "1.5GiB", "-1", "9999999TiB", "18446744073709551615"],
    );
    form::<SocketAddr>(
        &["127.0.0.1:0", "[::1]:8443"],
        &["", ":8443", "8443", "localhost:1", "127.0.0.1", "1.2.3.4:99999"],
    );
    form::<PathBuf>(&["a", "./a", "/a b"], &["", "a\0b"]);
    form::<jiff::tz::TimeZone>(&["UTC", "Europe/Berlin"], &["", "Berlin", "+02:00"]);
    form::<http::Uri>(
        &["http://a/", "https://a.b:1/c?d=e", "https://[::1]:8443/"],
        &["", "a", "/a", "ftp://a/", "http://", "http://a:b/", "http://a:99999/", "http://u:p@a/", "http://a b/"],
    );
    form::<PostgresUrl>(
        &[
            "postgres://u@h/d",
            "postgres://u%40v@h.example.com:6000/d-e%20f",
            "postgres://u@127.0.0.1/d?sslmode=disable",
            "postgres://u@[::1]/d?sslmode=verify-full",
            "postgres://u@/d?host=/var/run/postgresql",
            "postgres://u@:6000/d?host=/tmp&sslmode=prefer",
        ],
        &[
            "",
            "u@h/d",
            "mysql://u@h/d",
            "postgres://h/d",
            "postgres://@h/d",
            "postgres://u@h",
            "postgres://u@h/",
            "postgres://u@/d",
            "postgres://u@h/d/e",
            "postgres://u@h:0/d",
            "postgres://u@h:port/d",
            "postgres://u@a,b/d",
            "postgres://u@h/d?host=/tmp",
            "postgres://u@/d?host=tmp",
            "postgres://u@/d?host=/tmp&sslmode=require",
            "postgres://u@h/d?sslmode=always",
            "postgres://u@h/d?options=x",
            "postgres://u:p@h/d",
            "postgres://u@h/d?password=p",
            "postgres://u%00@h/d",
        ],
    );
    form::<Subject>(&["CN=a", "CN=a,O=b", "O = b, CN = a"], &["", "a", "CN=", "CN=a,,O=b"]);
    let label = "a".repeat(63);
    form::<Label>(&["a", "0", "prod-eu", &label], &["", "A", "-a", "a-", "a.b", "a_b", &format!("{label}a")]);
    let name = "x".repeat(128);
    form::<Name>(&["a", "A.b_c-1", &name], &["", "a b", "a/b", "\u{e4}", &format!("{name}x")]);
    form::<HostName>(&["a", "a.example.com"], &["", "a:80", "http://a", "a..b", "*.a", "a."]);
    form::<CertificateName>(&["a.svc", "*.a.svc", "10.0.0.1", "::1"], &["", "*", "a.*.b", "a:80"]);
    form::<Text>(&["a", " a"], &["", " ", "\n"]);
}

#[test]
fn a_url_with_a_password_is_not_shown() {
    let wrong = http::Uri::read("https://user:hunter2@host/").unwrap_err();
    assert!(!format!("{wrong:?}").contains("hunter2"));
    let urls = [
        "postgres://user:hunter2@host/db",
        "postgres://user:hunter2/@host/db",
        "postgres://user:hunter2?@host/db",
        "postgres://user:a@hunter2@host/db",
        "postgres://user@host/db?password=hunter2",
        "postgres://user@host/db?passwort=hunter2",
        "postgres://user@host/db?sslmode=hunter2",
        "postgresql:://user:hunter2@host/db",
    ];
    for url in urls {
        for yaml in [format!("store: {{url: '{url}'}}"), format!("store: '{url}'"), format!("cluster: '{url}'")] {
            let errors = super::Written::new(&yaml).load().unwrap_err().to_string();
            assert!(!errors.contains("hunter2"), "{errors}");
        }
    }
}
