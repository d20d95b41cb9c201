//! `check`: what `serve` would load is opened and compiled.

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

use super::*;
use crate::policy::rules;

const FILES: &str = "\
webhook:
  tls: {certificate: tls.crt, key: tls.key, client_ca: ca.crt}
store: {url: 'postgres://u@db/d', password_file: pg.txt, ca: ca.crt}
policies:
  - name: bouncer
    webhook: {url: 'https://b/x', ca: ca.crt, client_certificate: tls.crt, client_key: tls.key, token_file: token}
";

fn certificate(ca: bool) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    if ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn with_files() -> Written {
    let written = Written::new(FILES);
    let (certificate_pem, key) = certificate(false);
    let put = |name: &str, text: &str| std::fs::write(written.dir.path().join(name), text).unwrap();
    put("tls.crt", &certificate_pem);
    put("tls.key", &key);
    put("ca.crt", &certificate(true).0);
    put("token", "abc.def\n");
    put("pg.txt", "a word, or two\n");
    written
}

fn nothing(_: &[PolicySettings]) -> Vec<(usize, rules::Mistake)> {
    Vec::new()
}

#[test]
fn files_that_can_be_used_are_right() {
    let written = with_files();
    let loaded = written.check(&nothing).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(loaded.warnings, Vec::<String>::new());
    assert_eq!(loaded.files.len(), 6, "{:?}", loaded.files);
}

#[test]
fn files_that_are_not_there_are_all_named() {
    let written = Written::new(FILES);
    assert!(written.load().is_ok(), "load opens nothing");
    let errors = written.check(&nothing).unwrap_err();
    let fix = "no such file or directory; name a file that is there and that this user may read";
    let dir = written.dir.path().display();
    let line =
        |place: &str, name: &str| format!("{}:{place}: {dir}/{name} cannot be read: {fix}", written.file.display());
    assert_eq!(
        errors.to_string().lines().collect::<Vec<_>>(),
        [
            line("2:22: webhook.tls.certificate", "tls.crt"),
            line("2:36: webhook.tls.key", "tls.key"),
            line("2:56: webhook.tls.client_ca", "ca.crt"),
            line("3:50: store.password_file", "pg.txt"),
            line("3:62: store.ca", "ca.crt"),
            line("6:39: policies[0].webhook.ca", "ca.crt"),
            line("6:67: policies[0].webhook.client_certificate", "tls.crt"),
            line("6:88: policies[0].webhook.client_key", "tls.key"),
            line("6:109: policies[0].webhook.token_file", "token"),
        ]
    );
}

#[test]
fn files_that_hold_something_else_are_mistakes() {
    let cases = [
        ("tls.crt", "hello".to_owned(), "holds no certificate that can be read"),
        (
            "tls.crt",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
            "holds no certificate",
        ),
        ("tls.key", "hello".to_owned(), "holds no private key that can be read"),
        ("tls.key", certificate(false).1, "is not the key of"),
        ("ca.crt", String::new(), "holds no certificate that can be read"),
        ("token", " \n".to_owned(), "holds no token"),
        ("token", "two words".to_owned(), "holds no token"),
        ("pg.txt", "\n".to_owned(), "holds no password"),
        ("pg.txt", "two words\nand more".to_owned(), "holds no password"),
    ];
    for (name, content, problem) in cases {
        let written = with_files();
        std::fs::write(written.dir.path().join(name), content).unwrap();
        let errors = written.check(&nothing).unwrap_err().to_string();
        let path = written.dir.path().join(name).display().to_string();
        assert!(errors.contains(&format!("{path} {problem}")), "{name}: {errors}");
        assert!(!errors.contains("two words"), "a secret's content is shown");
    }
}

#[test]
fn a_certificate_that_is_out_of_date_is_a_warning() {
    let written = with_files();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    std::fs::write(written.dir.path().join("tls.crt"), params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(written.dir.path().join("tls.key"), key.serialize_pem()).unwrap();
    let warnings = written.check(&nothing).unwrap_or_else(|errors| panic!("{errors}")).warnings;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("ended on Jan  1") && warnings[0].contains("2021"), "{warnings:?}");
}

#[test]
fn a_data_folder_that_is_a_file_is_a_mistake() {
    let written = Written::new("data_dir: rehearsal.yaml");
    let errors = written.check(&nothing).unwrap_err();
    assert_eq!(errors.mistakes.len(), 1);
    assert_eq!(
        (errors.mistakes[0].field.as_str(), &errors.mistakes[0].place),
        ("data_dir", &Place::File { line: 1, column: 11 })
    );
}

#[test]
fn what_a_policy_finds_wrong_in_its_text_gets_its_place() {
    let written = Written::new(
        "\
policies:
  - rules: 7
  - name: a
    rules:
      - {id: mistaken}
      - {id: open, flavor: red, allow: {image_matches: [a, registry.acmecorp.com]}}
      - {id: empty, allow: {image: []}}
",
    );
    let compile = |policies: &[PolicySettings]| {
        let [policy] = policies else { panic!("one policy can be read, not {policies:?}") };
        let SourceSettings::Rules(rules) = &policy.source else { panic!("it has rules") };
        assert_eq!(rules.len(), 1, "{rules:?}");
        let mistake =
            |field: &str| rules::Mistake { field: field.into(), problem: "is open".into(), fix: "a closed one".into() };
        vec![(0, mistake("rules[0].allow.image_matches[1]")), (0, mistake("rules[0].flavor"))]
    };
    let errors = written.check(&compile).unwrap_err();
    assert_eq!(
        written.lines(&errors),
        [
            "rehearsal.yaml:2:5: policies[0].name: is missing; add `name: ..`",
            "rehearsal.yaml:2:12: policies[0].rules: a list is expected, found \"7\"; write a list",
            "rehearsal.yaml:5:9: policies[1].rules[0]: the rule checks nothing; give one of deny (an image that matches \
             violates), allow (one that does not match violates) and require (what must be spelled out)",
            "rehearsal.yaml:6:20: policies[1].rules[1].flavor: unknown field; write id, mode, rollout, deny, allow, require, \
             message, help, namespaces, except_namespaces, clusters, kinds, operations, containers or placeholders",
            "rehearsal.yaml:6:60: policies[1].rules[1].allow.image_matches[1]: is open; right would be a closed one",
            "rehearsal.yaml:7:36: policies[1].rules[2].allow.image: the list is empty; write at least one entry, or \
             remove the field",
        ]
    );
}

#[test]
fn exemptions_come_from_files_of_their_own_and_their_mistakes_from_there() {
    let written = Written::new("exemptions: {files: [exemptions/*.yaml, one.yaml]}\n");
    let put = |name: &str, text: &str| std::fs::write(written.dir.path().join(name), text).unwrap();
    std::fs::create_dir(written.dir.path().join("exemptions")).unwrap();
    put("exemptions/b.yaml", "- {namespaces: b, until: 2026-12-01, policy: imagse}\n");
    put("exemptions/a.yaml", "# of team a\n- {namespaces: a, permanent: true}\n");
    put("exemptions/notes.txt", "not one of them");
    put("one.yaml", "# none yet\n");
    let loaded = written.check(&nothing).unwrap_or_else(|errors| panic!("{errors}"));
    let exemptions = &loaded.config.staging.exemptions;
    let namespaces: Vec<&str> = exemptions.iter().map(|one| one.namespaces[0].as_str()).collect();
    assert_eq!(namespaces, ["a", "b"]);
    assert_eq!(exemptions[1].until, Some(crate::review::clock::Timestamp(1_796_169_600_000)), "the end of the day");
    let file = written.dir.path().join("exemptions/b.yaml");
    let told = format!("exemptions.files[0]: {}: [0].policy: no policy is called imagse", file.display());
    assert_eq!(loaded.warnings, [told]);
    let watched = ["rehearsal.yaml", "exemptions", "exemptions/a.yaml", "exemptions/b.yaml", "one.yaml"];
    assert_eq!(loaded.files, watched.map(|name| written.dir.path().join(name)));

    put("exemptions/a.yaml", "- {namespaces: a}\n- 7\n");
    std::fs::remove_file(written.dir.path().join("one.yaml")).unwrap();
    let errors = written.check(&nothing).unwrap_err();
    let lines = written.lines(&errors);
    let at = "rehearsal.yaml:1:22: exemptions.files[0]: exemptions/a.yaml";
    assert_eq!(
        lines[..2],
        [
            format!(
                "{at}:1:3: [0].until: is missing; add `until: 2026-12-01`, or `permanent: true` where there is no such day"
            ),
            format!("{at}:2:3: [1]: a mapping is expected, found \"7\"; write a mapping"),
        ]
    );
    assert!(lines[2].contains("exemptions.files[1]: one.yaml: the file cannot be read"), "{lines:?}");
    assert_eq!(lines.len(), 3);
}
