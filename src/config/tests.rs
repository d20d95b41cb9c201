//! Whole documents: what they mean, or everything that is wrong with them.

mod advice;
mod agreement;
mod environment;
mod forms;
mod mistakes;
mod opened;
mod tally;

use std::time::Duration;

use super::*;
use crate::policy::settings::{
    CheckSettings, MatchSettings, OnError, Requirement, SourceSettings, Speaks, StagingSettings, built_in,
};
use crate::recorder::settings::{Durability, OnFailure};
use crate::review::decision::Mode;
use crate::server::settings::{Limits, Timeouts, TlsSettings};
use crate::store::settings::{Objects, RetentionSettings};

/// A configuration file in a folder of its own.
struct Written {
    dir: tempfile::TempDir,
    file: PathBuf,
}

impl Written {
    fn new(yaml: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("rehearsal.yaml");
        std::fs::write(&file, yaml).unwrap();
        Self { dir, file }
    }

    fn load(&self) -> Result<Loaded, ConfigErrors> {
        load(Some(&self.file), std::iter::empty())
    }

    fn with(&self, env: &[(&str, &str)]) -> Result<Loaded, ConfigErrors> {
        load(Some(&self.file), variables(env))
    }

    fn check(&self, compile: Compile<'_>) -> Result<Loaded, ConfigErrors> {
        check(Some(&self.file), std::iter::empty(), compile)
    }

    /// What a person would see, the folder left out.
    fn lines(&self, errors: &ConfigErrors) -> Vec<String> {
        let dir = format!("{}/", self.dir.path().display());
        errors.to_string().lines().map(|line| line.replace(&dir, "")).collect()
    }
}

fn variables(env: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>().into_iter()
}

fn config(yaml: &str) -> Config {
    Written::new(yaml).load().unwrap_or_else(|errors| panic!("{errors}")).config
}

#[test]
fn without_a_file_everything_is_at_its_default() {
    let loaded = load(None, std::iter::empty()).unwrap();
    assert_eq!(loaded.files, Vec::<PathBuf>::new());
    assert_eq!(loaded.warnings, Vec::<String>::new());
    let config = loaded.config;
    assert_eq!(config.cluster, "default");
    assert_eq!(config.data_dir, Path::new("rehearsal-data"));
    assert_eq!(config.webhook.listen, "127.0.0.1:8443".parse().unwrap());
    assert_eq!(
        config.webhook.tls,
        TlsSettings::SelfMade {
            dir: "rehearsal-data/tls".into(),
            names: vec!["localhost".into(), "127.0.0.1".into(), "::1".into()],
            client_ca: None,
        }
    );
    assert_eq!(
        config.webhook.limits,
        Limits { max_body: 7 << 20, max_in_flight: 512, max_in_flight_bytes: 128 << 20, connections: 2000 }
    );
    let secs = Duration::from_secs;
    assert_eq!(
        config.webhook.timeouts,
        Timeouts { handshake: secs(10), header: secs(10), body: secs(20), idle: secs(120), connection_age: secs(600) }
    );
    assert_eq!(config.report.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(config.report.time_zone, jiff::tz::TimeZone::UTC);
    assert_eq!((config.report.public_url, config.report.hosts), (None, Vec::new()));
    assert_eq!(config.admin, None);
    assert_eq!(config.store, StoreSettings::Sqlite("rehearsal-data".into()));
    assert_eq!(
        config.journal,
        JournalSettings {
            dir: "rehearsal-data/journal".into(),
            durability: Durability::Fsync,
            max_size: 4 << 30,
            max_wait: secs(1),
            on_failure: OnFailure::Answer,
        }
    );
    let retention = RetentionSettings::default();
    assert_eq!(config.history, HistorySettings { objects: Objects::Sample, max_names: 200_000, retention });
    assert_eq!(config.overload, Overload::Answer);
    assert_eq!(config.warn_wait, Duration::from_millis(200));
    assert_eq!(config.shutdown, ShutdownSettings { delay: secs(0), grace: secs(10) });
    assert_eq!(config.log, LogSettings { format: LogFormat::Text, level: LogLevel::Info });
    assert_eq!(config.policies, built_in());
    assert_eq!(config.staging, StagingSettings::default());
}

#[test]
fn a_history_on_postgres_is_read_and_a_weaker_connection_than_need_be_is_a_warning() {
    let written = Written::new(
        "store: {url: 'postgres://u@db.internal/d', password_file: pg.txt, ca: ca.crt}\n\
         retention: {decisions: 30d, max_size: 1GiB}\n",
    );
    let Loaded { config, warnings, files } = written.load().unwrap_or_else(|errors| panic!("{errors}"));
    let dir = written.dir.path();
    let StoreSettings::Postgres(store) = &config.store else { panic!("{:?}", config.store) };
    assert_eq!((&store.password_file, &store.ca), (&Some(dir.join("pg.txt")), &Some(dir.join("ca.crt"))));
    assert_eq!(config.store.place(), "Postgres, db.internal/d");
    let days = |days: u64| Duration::from_secs(days * 86_400);
    assert_eq!((config.history.retention.decisions, config.history.retention.notable), (days(30), days(400)));
    assert_eq!(config.history.retention.max_size, Some(1 << 30));
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(files, [written.file.clone(), dir.join("pg.txt"), dir.join("ca.crt")]);
    let of = |url: &str| Written::new(&format!("store: {{url: '{url}'}}")).load().unwrap().warnings;
    assert_eq!(
        of("postgres://u@db/d?sslmode=disable"),
        ["store.url: with sslmode=disable the connection may go without TLS: whoever is between can read the history"]
    );
    assert_eq!(of("postgres://u@db/d?sslmode=require").len(), 1);
    assert_eq!(of("postgres://u@localhost/d?sslmode=disable").len(), 0);
    assert_eq!(of("postgres://u@/d?host=/run/pg").len(), 0);
}

#[test]
fn declared_clusters_are_those_that_are_served() {
    let written = Written::new(
        "cluster: unused\nwebhook: {tls: {client_ca: ca.crt}}\nclusters:\n- {name: prod, client_subject: 'CN=a,O=b'}\n\
         - {name: edge, path_token_file: edge.token}\n",
    );
    let Loaded { config, files, .. } = written.load().unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.served().collect::<Vec<_>>(), ["prod", "edge"]);
    assert_eq!(config.clusters[0].client_subject, "O=b,CN=a".parse().ok());
    assert_eq!(config.clusters[1].path_token_file, Some(written.dir.path().join("edge.token")));
    assert!(files.contains(&written.dir.path().join("edge.token")), "it is watched");
    assert_eq!(super::tests::config("cluster: alone").served().collect::<Vec<_>>(), ["alone"]);
}

#[test]
fn an_empty_file_is_as_none() {
    for yaml in ["", "# nothing\n", "---\n", "{}", "webhook:\nreport: ~\n"] {
        let written = Written::new(yaml);
        let config = written.load().unwrap().config;
        assert_eq!(config.webhook.listen, "127.0.0.1:8443".parse().unwrap(), "{yaml:?}");
        assert_eq!(config.data_dir, written.dir.path().join("rehearsal-data"), "{yaml:?}");
        assert_eq!(config.policies, built_in(), "{yaml:?}");
    }
}

#[test]
fn the_contract_is_read_as_it_stands_in_the_documentation() {
    let written = Written::new(include_str!("tests/contract.yaml"));
    let loaded = written.load().unwrap_or_else(|errors| panic!("{errors}"));
    let dir = written.dir.path();
    let config = loaded.config;
    assert_eq!(config.cluster, "prod-eu");
    assert_eq!(
        config.webhook.tls,
        TlsSettings::Files {
            certificate: dir.join("tls.crt"),
            key: dir.join("tls.key"),
            client_ca: Some(dir.join("ca.crt"))
        }
    );
    let [images, bouncer] = config.policies.as_slice() else { panic!("two policies") };
    assert_eq!((images.name.as_str(), images.mode, images.on_error), ("images", Mode::Audit, OnError::Fail));
    let SourceSettings::Rules(rules) = &images.source else { panic!("images has rules") };
    assert_eq!(
        rules.iter().map(|rule| rule.id.as_str()).collect::<Vec<_>>(),
        ["no-latest", "approved", "pinned", "acme-only"]
    );
    assert_eq!(rules[0].message.as_deref(), Some("{image} uses the tag latest"));
    assert_eq!(
        rules[1].check,
        CheckSettings::Allow(MatchSettings {
            image: vec!["registry.acmecorp.com/**".into(), "eu.gcr.io/acme-prod/**".into()],
            ..MatchSettings::default()
        })
    );
    assert_eq!(
        (rules[1].mode, rules[1].scope.except_namespaces.as_slice()),
        (Some(Mode::Warn), ["kube-system".to_owned()].as_slice())
    );
    assert_eq!(rules[2].check, CheckSettings::Require(vec![Requirement::Digest]));
    let SourceSettings::Webhook(webhook) = &bouncer.source else { panic!("bouncer is a webhook") };
    assert_eq!(webhook.url, "https://bouncer.internal:1323/image_policy");
    assert_eq!((webhook.speaks, webhook.timeout), (Speaks::ImageReview, Duration::from_secs(5)));
    assert_eq!(webhook.client_identity, Some((dir.join("client.crt"), dir.join("client.key"))));
    assert_eq!((webhook.token_file.as_ref(), webhook.max_in_flight), (None, 64));
    let named = ["rehearsal.yaml", "bouncer-ca.crt", "client.crt", "client.key", "ca.crt", "tls.crt", "tls.key"];
    assert_eq!(loaded.files, named.map(|name| dir.join(name)));
}

#[test]
fn a_scalar_is_what_its_field_makes_of_it() {
    let yaml =
        "cluster: 1\ndata_dir: off\npolicies: [{name: 1.10, rules: [{id: on, deny: {tag: [1.10, 0x1, yes, 1e3]}}]}]";
    let config = config(yaml);
    assert_eq!(config.cluster, "1");
    assert!(config.data_dir.ends_with("off"));
    assert_eq!(config.policies[0].name, "1.10");
    let SourceSettings::Rules(rules) = &config.policies[0].source else { panic!("rules") };
    let tags = ["1.10", "0x1", "yes", "1e3"].map(str::to_owned).into();
    assert_eq!(rules[0].check, CheckSettings::Deny(MatchSettings { tag: tags, ..MatchSettings::default() }));
}

#[test]
fn an_empty_list_of_policies_is_none_and_one_value_stands_for_a_list() {
    assert_eq!(config("policies: []").policies, Vec::new());
    let config = config("policies: [{name: a, rules: [{id: b, require: tag, operations: CREATE}]}]");
    let SourceSettings::Rules(rules) = &config.policies[0].source else { panic!("rules") };
    assert_eq!(rules[0].check, CheckSettings::Require(vec![Requirement::Tag]));
    assert_eq!(rules[0].scope.operations.len(), 1);
}

#[test]
fn a_webhook_without_a_timeout_is_waited_for_5_seconds() {
    let config = config("policies: [{name: a, webhook: {url: 'https://backend.test/'}}]\n");
    let [policy] = config.policies.as_slice() else { panic!("one policy") };
    let SourceSettings::Webhook(webhook) = &policy.source else { panic!("a webhook") };
    assert_eq!(webhook.timeout, Duration::from_secs(5));
}

#[test]
fn tls_is_off_by_either_word_on_loopback() {
    for word in ["off", "false", "\"off\""] {
        assert_eq!(config(&format!("webhook: {{tls: {word}}}")).webhook.tls, TlsSettings::Off, "{word}");
    }
}

#[test]
fn off_loopback_a_self_made_certificate_is_asked_for_in_so_many_words() {
    let written = Written::new(
        "webhook: {listen: '0.0.0.0:8443', unauthenticated: true, tls: {self_made: {names: [Rehearsal.svc, 10.0.0.1, localhost]}}}",
    );
    let loaded = written.load().unwrap_or_else(|errors| panic!("{errors}"));
    let TlsSettings::SelfMade { dir, names, client_ca } = loaded.config.webhook.tls else { panic!("self-made") };
    assert_eq!(dir, written.dir.path().join("rehearsal-data/tls"));
    assert_eq!(names, ["localhost", "127.0.0.1", "::1", "rehearsal.svc", "10.0.0.1"]);
    assert_eq!(client_ca, None);
}

#[test]
fn anchors_and_aliases_are_understood() {
    let yaml = "policies:\n- name: a\n  rules:\n  - {id: b, deny: {registry: &own [x, y]}}\n  - {id: c, allow: {registry: *own}}\n";
    let config = config(yaml);
    let SourceSettings::Rules(rules) = &config.policies[0].source else { panic!("rules") };
    let own = MatchSettings { registry: vec!["x".into(), "y".into()], ..MatchSettings::default() };
    assert_eq!((&rules[0].check, &rules[1].check), (&CheckSettings::Deny(own.clone()), &CheckSettings::Allow(own)));
}

#[test]
fn what_is_allowed_but_hardly_meant_is_a_warning() {
    let cases = [
        (
            "report: {listen: '0.0.0.0:8080', insecure: true}",
            "report.insecure: 0.0.0.0:8080 can be reached from other machines and nobody is asked who they are",
        ),
        ("report: {teams: []}", "report.teams has no effect: report.auth is none"),
        (
            "webhook: {unauthenticated: true, tls: {client_ca: ca.crt}}",
            "webhook.unauthenticated has no effect: webhook.tls.client_ca is given",
        ),
        (
            "policies: [{name: a, webhook: {url: 'http://backend/x'}}]",
            "policies[0].webhook.url: reviews go to backend in plain text",
        ),
    ];
    for (yaml, warning) in cases {
        let warnings = Written::new(yaml).load().unwrap().warnings;
        assert_eq!(warnings.len(), 1, "{yaml}: {warnings:?}");
        assert!(warnings[0].starts_with(warning), "{yaml}: {warnings:?}");
    }
    let silent = [
        "report: {public_url: 'http://10.0.0.1:8080', hosts: []}",
        "report: {public_url: 'https://R.example.com/x'}",
        "policies: [{name: a, webhook: {url: 'http://127.0.0.1:1/x'}}]",
    ];
    for yaml in silent {
        assert_eq!(Written::new(yaml).load().unwrap().warnings, Vec::<String>::new(), "{yaml}");
    }
}

#[test]
fn readiness_that_nobody_wrote_is_no_longer_than_what_is_written_allows() {
    let days = |yaml: &str| {
        let readiness = config(yaml).readiness;
        [readiness.window, readiness.quiet].map(|duration| duration.as_secs() / 86_400)
    };
    assert_eq!(days(""), [30, 7]);
    assert_eq!(days("readiness: {window: 3d}"), [3, 3]);
    let retention = "retention: {decisions: 5d, notable: 5d, dry_run: 5d, rollups: 5d}\n";
    assert_eq!(days(retention), [5, 5]);
    assert_eq!(days(&format!("{retention}readiness: {{quiet: 2d}}")), [5, 2]);
}

#[test]
fn of_the_report_only_who_may_look_is_taken_on_and_the_rest_is_named_by_its_fields() {
    let unlike = |before: &str, after: &str| {
        let [before, after] = [before, after].map(|report| config(&format!("data_dir: /d\nreport: {{{report}}}")));
        before.unlike(&after)
    };
    let directory = "contact: a, roles: {viewer: [b]}, teams: [{name: a, group: b, namespaces: [c]}]";
    assert_eq!(unlike("", directory), Vec::<&str>::new());
    let rest = "listen: 127.0.0.1:9, time_zone: Europe/Berlin, public_url: 'https://a.test', hosts: [a.test], auth: users, \
                sessions: {idle: 5m}";
    let named = ["listen", "time_zone", "public_url", "hosts", "auth", "sessions"].map(|name| format!("report.{name}"));
    assert_eq!(unlike("", rest), named);
    let oidc = |issuer: &str, url: &str| {
        format!("auth: oidc, public_url: 'https://{url}', oidc: {{issuer: 'https://{issuer}', client_id: x}}")
    };
    assert_eq!(unlike(&oidc("a.test", "r.test"), &oidc("b.test", "r.test")), ["report.oidc"]);
    assert_eq!(unlike(&oidc("a.test", "r.test"), &oidc("a.test", "s.test")), ["report.public_url"]);
    let proxy = |from: &str| format!("auth: proxy, proxy: {{from: [{from}]}}");
    assert_eq!(unlike(&proxy("10.0.0.1"), &proxy("10.0.0.2")), ["report.proxy"]);
}
