use std::time::Duration;

use clap::Parser;

use crate::config::ShutdownSettings;
use crate::policy::readiness::ReadinessSettings;
use crate::recorder::settings::{Durability, OnFailure};
use crate::server::settings::{Limits, Overload, Timeouts};
use crate::store::settings::{HistorySettings, Objects, RetentionSettings};

use crate::web::access::settings::AccessSettings;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: BouncerArgs,
}

/// Unlike any default, so that what is kept of it shows.
fn defaults() -> Config {
    let second = Duration::from_secs(1);
    Config {
        cluster: "kept".to_owned(),
        clusters: Vec::new(),
        data_dir: "elsewhere".into(),
        webhook: WebhookListenerSettings {
            listen: ([127, 0, 0, 1], 1).into(),
            tls: TlsSettings::Off,
            limits: Limits { max_body: 1, max_in_flight: 2, max_in_flight_bytes: 3, connections: 4 },
            timeouts: Timeouts {
                handshake: second,
                header: second,
                body: second,
                idle: second,
                connection_age: second,
            },
        },
        report: ReportSettings {
            listen: ([127, 0, 0, 1], 2).into(),
            time_zone: jiff::tz::TimeZone::UTC,
            public_url: None,
            hosts: vec!["kept".to_owned()],
            access: AccessSettings::open(),
        },
        report_tls: TlsSettings::Off,
        admin: None,
        log: LogSettings::default(),
        store: StoreSettings::Sqlite("elsewhere".into()),
        journal: JournalSettings {
            dir: "elsewhere".into(),
            durability: Durability::Process,
            max_size: 5,
            max_wait: second,
            on_failure: OnFailure::Refuse,
        },
        history: HistorySettings { objects: Objects::None, max_names: 6, retention: RetentionSettings::default() },
        readiness: ReadinessSettings { window: second, quiet: second },
        overload: Overload::Refuse,
        warn_wait: second,
        shutdown: ShutdownSettings { delay: second, grace: second },
        policies: Vec::new(),
        staging: StagingSettings::default(),
        answer_style: AnswerStyle::Prefixed,
    }
}

fn args(line: &[&str]) -> BouncerArgs {
    parse(line).expect("it is a line of kube-image-bouncer")
}

fn parse(line: &[&str]) -> Result<BouncerArgs, clap::Error> {
    let line = ["rehearsal", "bouncer"].iter().chain(line).map(OsString::from);
    // The subcommand's name stands where clap wants the program's.
    Line::try_parse_from(accept_single_dash(line).into_iter().skip(1)).map(|line| line.args)
}

fn config(line: &[&str]) -> Config {
    args(line).config(defaults())
}

fn rules(config: &Config) -> &[RuleSettings] {
    match &config.policies[..] {
        [PolicySettings { source: SourceSettings::Rules(rules), .. }] => rules,
        other => panic!("{other:?}"),
    }
}

fn whitelist(config: &Config) -> Option<Vec<String>> {
    rules(config).iter().find(|rule| rule.id == "registry-whitelist").map(|rule| match &rule.check {
        CheckSettings::Allow(listed) => listed.registry.clone(),
        other => panic!("{other:?}"),
    })
}

#[test]
fn without_flags_it_is_plain_http_on_1323_everywhere_and_enforces() {
    let config = config(&[]);
    assert_eq!(config.webhook.listen, "0.0.0.0:1323".parse().expect("an address"));
    assert_eq!(config.webhook.tls, TlsSettings::Off);
    assert_eq!(config.policies[0].mode, Mode::Enforce);
    assert_eq!(config.answer_style, AnswerStyle::Bare);
    assert_eq!(whitelist(&config), None);
    let told: Vec<_> = rules(&config).iter().map(|rule| (rule.id.as_str(), rule.message.as_deref())).collect();
    assert_eq!(told, [("readable", Some(UNREADABLE)), ("no-latest", Some(LATEST))]);
    assert!(rules(&config).iter().all(|rule| rule.scope == ScopeSettings::default()), "init containers too");
}

#[test]
fn what_the_flags_do_not_say_is_as_in_serve() {
    let (config, defaults) = (config(&["--data-dir", "/data", "--report", "127.0.0.1:9"]), defaults());
    assert_eq!(config.data_dir, PathBuf::from("/data"));
    assert_eq!(config.store, StoreSettings::Sqlite("/data".into()));
    assert_eq!(config.journal.dir, PathBuf::from("/data/journal"));
    assert_eq!(config.report.listen, "127.0.0.1:9".parse().expect("an address"));
    assert_eq!(config.journal.max_size, defaults.journal.max_size);
    assert_eq!(config.report.hosts, defaults.report.hosts);
    assert_eq!(config.webhook.limits, defaults.webhook.limits);
    assert_eq!((config.cluster, config.overload), (defaults.cluster, defaults.overload));
}

#[test]
fn its_own_ways_of_writing_flags_are_understood() {
    let wanted = TlsSettings::Files { certificate: "s.crt".into(), key: "s.key".into(), client_ca: None };
    for line in [
        &["--cert", "s.crt", "--key", "s.key", "--port", "8443", "--debug"][..],
        &["-c", "s.crt", "-k", "s.key", "-p", "8443", "-debug"],
        &["-cert", "s.crt", "-key", "s.key", "-port", "8443", "-debug=true"],
        &["-cert=s.crt", "--key=s.key", "-port=8443", "--debug=1"],
    ] {
        let args = args(line);
        assert!(args.debug, "{line:?}");
        let config = args.config(defaults());
        assert_eq!(config.webhook.tls, wanted, "{line:?}");
        assert_eq!(config.webhook.listen.port(), 8443, "{line:?}");
    }
    assert!(!args(&["--debug=false"]).debug);
    let before: Vec<OsString> = ["rehearsal", "-debug", "serve", "-cert"].map(OsString::from).into();
    assert_eq!(accept_single_dash(before.clone()), before);
}

#[test]
fn half_a_pair_is_a_mistake_and_an_empty_one_is_none() {
    assert!(parse(&["--cert", "s.crt"]).is_err());
    assert!(parse(&["--key", "s.key"]).is_err());
    assert_eq!(config(&["--cert", "", "--key", ""]).webhook.tls, TlsSettings::Off);
}

#[test]
fn the_whitelist_is_split_and_compared_whole_in_lower_case() {
    let listed = |line: &[&str]| whitelist(&config(line));
    let both = Some(vec!["localhost:5000".to_owned(), "registry.com".to_owned()]);
    assert_eq!(listed(&["--registry-whitelist", "localhost:5000,registry.com"]), both);
    assert_eq!(listed(&["--registry-whitelist", " localhost:5000, Registry.com,,registry.com"]), both);
    assert_eq!(listed(&["--registry-whitelist=localhost:5000", "-registry-whitelist", "registry.com"]), both);
    assert_eq!(listed(&["--registry-whitelist", ""]), None);
}

#[test]
fn what_would_match_nothing_is_refused() {
    for (text, wanted) in [
        (",", WhitelistError::Nothing),
        ("a.com,*.b.com", WhitelistError::Star("*.b.com".to_owned())),
        ("registry.com/team", WhitelistError::Host("registry.com/team".to_owned())),
        ("https://registry.com", WhitelistError::Host("https://registry.com".to_owned())),
        ("Index.docker.io", WhitelistError::DockerIndex),
    ] {
        assert_eq!(text.parse::<Whitelist>(), Err(wanted));
        let error = parse(&["--registry-whitelist", text]).expect_err("refused").to_string();
        assert!(error.contains("--registry-whitelist"), "{error}");
    }
}

#[test]
fn it_can_rehearse_instead() {
    assert_eq!(config(&["--mode", "audit"]).policies[0].mode, Mode::Audit);
    assert_eq!(config(&["--mode", "warn"]).policies[0].mode, Mode::Warn);
    assert!(parse(&["--mode", "off"]).expect_err("no mode").to_string().contains("audit, warn or enforce"));
}

#[test]
fn the_variables_are_its_own() {
    use clap::CommandFactory;

    let command = Line::command();
    let variables: Vec<_> = command
        .get_arguments()
        .filter_map(|arg| Some((arg.get_long()?, arg.get_short(), arg.get_env()?.to_str()?)))
        .collect();
    let wanted = [
        ("cert", Some('c'), "BOUNCER_CERTIFICATE"),
        ("key", Some('k'), "BOUNCER_KEY"),
        ("port", Some('p'), "BOUNCER_PORT"),
        ("registry-whitelist", None, "BOUNCER_REGISTRY_WHITELIST"),
        ("debug", None, "BOUNCER_DEBUG"),
    ];
    assert_eq!(variables, wanted);
}

#[test]
fn every_case_of_the_table_is_one_that_the_flags_can_say() {
    let table: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/fixtures/bouncer.json")).expect("JSON");
    let cases = table["cases"].as_array().expect("cases");
    assert!(cases.len() > 10);
    for case in cases {
        let wanted: Vec<_> =
            case["whitelist"].as_array().expect("a list").iter().map(|one| one.as_str().expect("text")).collect();
        let found = whitelist(&config(&["--registry-whitelist", &wanted.join(",")])).unwrap_or_default();
        assert_eq!(found, wanted, "{case}");
        let message = case["message"].as_str();
        assert!(case["allowed"] == message.is_none(), "{case}");
        assert!(message.is_none_or(|message| [LATEST, NOT_WHITELISTED, UNREADABLE].contains(&message)), "{case}");
    }
}
