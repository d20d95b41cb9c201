//! The environment over the file.

use super::*;

/// A value for each variable that is not its default.
const OTHER: [(&str, &str); 63] = [
    ("REHEARSAL_CLUSTER", "prod"),
    ("REHEARSAL_DATA_DIR", "/var/lib/rehearsal"),
    ("REHEARSAL_WEBHOOK_LISTEN", "127.0.0.1:0"),
    ("REHEARSAL_WEBHOOK_TLS", "off"),
    ("REHEARSAL_WEBHOOK_TLS_CERTIFICATE", "a.crt"),
    ("REHEARSAL_WEBHOOK_TLS_KEY", "a.key"),
    ("REHEARSAL_WEBHOOK_TLS_CLIENT_CA", "ca.crt"),
    ("REHEARSAL_WEBHOOK_UNAUTHENTICATED", "true"),
    ("REHEARSAL_WEBHOOK_LIMITS_MAX_BODY", "1MiB"),
    ("REHEARSAL_WEBHOOK_LIMITS_MAX_IN_FLIGHT", "7"),
    ("REHEARSAL_WEBHOOK_LIMITS_MAX_IN_FLIGHT_BYTES", "64MiB"),
    ("REHEARSAL_WEBHOOK_LIMITS_CONNECTIONS", "9"),
    ("REHEARSAL_WEBHOOK_TIMEOUTS_HANDSHAKE", "1s"),
    ("REHEARSAL_WEBHOOK_TIMEOUTS_HEADER", "1s"),
    ("REHEARSAL_WEBHOOK_TIMEOUTS_BODY", "1s"),
    ("REHEARSAL_WEBHOOK_TIMEOUTS_IDLE", "1s"),
    ("REHEARSAL_WEBHOOK_TIMEOUTS_CONNECTION_AGE", "1h"),
    ("REHEARSAL_REPORT_LISTEN", "127.0.0.1:0"),
    ("REHEARSAL_REPORT_TLS_CERTIFICATE", "r.crt"),
    ("REHEARSAL_REPORT_TLS_KEY", "r.key"),
    ("REHEARSAL_REPORT_INSECURE", "true"),
    ("REHEARSAL_REPORT_AUTH", "users"),
    ("REHEARSAL_REPORT_TIME_ZONE", "Europe/Berlin"),
    ("REHEARSAL_REPORT_PUBLIC_URL", "http://localhost/r"),
    ("REHEARSAL_REPORT_CONTACT", "platform@example.com"),
    ("REHEARSAL_REPORT_USERS_FILE", "users.yaml"),
    ("REHEARSAL_REPORT_TEAMS_FILE", "teams.yaml"),
    ("REHEARSAL_REPORT_TOKENS_FILE", "tokens.yaml"),
    ("REHEARSAL_REPORT_PROXY_HEADERS", "remote"),
    ("REHEARSAL_REPORT_OIDC_ISSUER", "https://id.example.com"),
    ("REHEARSAL_REPORT_OIDC_CLIENT_ID", "rehearsal"),
    ("REHEARSAL_REPORT_OIDC_CLIENT_SECRET_FILE", "secret.txt"),
    ("REHEARSAL_REPORT_OIDC_NAME_CLAIM", "name"),
    ("REHEARSAL_REPORT_OIDC_GROUPS_CLAIM", "roles"),
    ("REHEARSAL_REPORT_OIDC_CA", "id-ca.crt"),
    ("REHEARSAL_REPORT_SESSIONS_IDLE", "5m"),
    ("REHEARSAL_REPORT_SESSIONS_ABSOLUTE", "1d"),
    ("REHEARSAL_ADMIN_LISTEN", "127.0.0.1:9090"),
    ("REHEARSAL_STORE", "sqlite"),
    ("REHEARSAL_STORE_URL", "postgres://rehearsal@db/rehearsal"),
    ("REHEARSAL_STORE_PASSWORD_FILE", "pg.txt"),
    ("REHEARSAL_STORE_CA", "pg-ca.crt"),
    ("REHEARSAL_JOURNAL_DURABILITY", "process"),
    ("REHEARSAL_JOURNAL_MAX_SIZE", "1GiB"),
    ("REHEARSAL_JOURNAL_MAX_WAIT", "2s"),
    ("REHEARSAL_JOURNAL_ON_FAILURE", "refuse"),
    ("REHEARSAL_HISTORY_OBJECTS", "none"),
    ("REHEARSAL_HISTORY_MAX_NAMES", "3"),
    ("REHEARSAL_RETENTION_DECISIONS", "30d"),
    ("REHEARSAL_RETENTION_NOTABLE", "300d"),
    ("REHEARSAL_RETENTION_DRY_RUN", "2d"),
    ("REHEARSAL_RETENTION_EVENTS", "600d"),
    ("REHEARSAL_RETENTION_ROLLUPS", "1000d"),
    ("REHEARSAL_RETENTION_MAX_SIZE", "10GiB"),
    ("REHEARSAL_READINESS_WINDOW", "20d"),
    ("REHEARSAL_READINESS_QUIET", "3d"),
    ("REHEARSAL_OVERLOAD", "refuse"),
    ("REHEARSAL_WARN_WAIT", "0s"),
    ("REHEARSAL_SHUTDOWN_DELAY", "5s"),
    ("REHEARSAL_SHUTDOWN_GRACE", "30s"),
    ("REHEARSAL_LOG_FORMAT", "json"),
    ("REHEARSAL_LOG_LEVEL", "debug"),
    ("REHEARSAL_SYSTEM_MAX_MODE", "audit"),
];

#[test]
fn every_variable_is_read() {
    let known: Vec<String> = shape::leaves().into_iter().filter_map(|leaf| leaf.variable).collect();
    let tried: Vec<&str> = OTHER.iter().map(|(name, _)| *name).collect();
    assert_eq!(tried, known);
    let default = load(None, std::iter::empty()).unwrap().config;
    // One word that is the default, parts of what comes together, and one that says nothing of the settings.
    let without_effect_alone = [
        "REHEARSAL_STORE",
        "REHEARSAL_STORE_PASSWORD_FILE",
        "REHEARSAL_STORE_CA",
        "REHEARSAL_WEBHOOK_TLS_CERTIFICATE",
        "REHEARSAL_WEBHOOK_TLS_KEY",
        "REHEARSAL_WEBHOOK_UNAUTHENTICATED",
        "REHEARSAL_REPORT_TLS_CERTIFICATE",
        "REHEARSAL_REPORT_TLS_KEY",
        "REHEARSAL_REPORT_INSECURE",
    ];
    // Of no use where nobody is asked who they are: of the lists that is said, the others are only left aside.
    let sections = ["USERS", "TEAMS", "TOKENS", "PROXY", "OIDC"].map(|section| format!("REHEARSAL_REPORT_{section}_"));
    let is_tried = |name: &str| {
        !without_effect_alone.contains(&name) && !sections.iter().any(|section| name.starts_with(section.as_str()))
    };
    for (name, value) in OTHER.iter().filter(|(name, _)| is_tried(name)) {
        let loaded = load(None, variables(&[(name, value)])).unwrap_or_else(|errors| panic!("{name}: {errors}"));
        assert_ne!(loaded.config, default, "{name}");
        assert_eq!(loaded.warnings, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn a_mistake_in_any_variable_names_it() {
    for leaf in shape::leaves() {
        let Some(variable) = &leaf.variable else { continue };
        let errors = load(None, variables(&[(variable, "\0")])).unwrap_err();
        let mistake = &errors.mistakes[0];
        assert_eq!((&mistake.place, &mistake.field), (&Place::Variable(variable.clone()), &leaf.path));
        assert!(errors.to_string().starts_with(&format!("{variable}: {}: ", leaf.path)), "{errors}");
    }
}

#[test]
fn it_wins_over_the_file_and_fills_what_the_file_leaves_out() {
    let written = Written::new("webhook:\n  limits: {max_body: 3MiB}\nwarn_wait: 1s\nreport: ~\n");
    let env = [
        ("REHEARSAL_WEBHOOK_LIMITS_MAX_BODY", "1MiB"),
        ("REHEARSAL_REPORT_LISTEN", "127.0.0.1:9"),
        ("REHEARSAL_DATA_DIR", "data"),
        ("REHEARSAL_WARN_WAIT", ""),
        ("HOME", "/root"),
    ];
    let config = written.with(&env).unwrap().config;
    assert_eq!(config.webhook.limits.max_body, 1 << 20);
    assert_eq!(config.report.listen, "127.0.0.1:9".parse().unwrap());
    assert_eq!(config.warn_wait, Duration::from_secs(1));
    assert_eq!(config.data_dir, written.dir.path().join("data"));
}

#[test]
fn it_can_take_back_what_the_file_says() {
    let written = Written::new("report: {public_url: 'http://localhost/'}\nwebhook: {tls: {certificate: a, key: b}}");
    let env = [("REHEARSAL_REPORT_PUBLIC_URL", "null"), ("REHEARSAL_WEBHOOK_TLS", "off")];
    let config = written.with(&env).unwrap().config;
    assert_eq!((config.report.public_url, config.webhook.tls), (None, TlsSettings::Off));
    let written = Written::new("webhook: {tls: off}");
    let env = [("REHEARSAL_WEBHOOK_TLS_CERTIFICATE", "a"), ("REHEARSAL_WEBHOOK_TLS_KEY", "b")];
    let tls = written.with(&env).unwrap().config.webhook.tls;
    assert!(matches!(tls, TlsSettings::Files { .. }), "{tls:?}");
}

#[test]
fn variables_that_contradict_each_other_are_a_mistake() {
    let env = [("REHEARSAL_WEBHOOK_TLS_KEY", "b"), ("REHEARSAL_WEBHOOK_TLS", "off")];
    let errors = load(None, variables(&env)).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "REHEARSAL_WEBHOOK_TLS_KEY: webhook.tls.key: REHEARSAL_WEBHOOK_TLS sets webhook.tls to \"off\"; unset one of the two"
    );
}

#[test]
fn it_does_not_hide_a_mistake_of_the_file() {
    let written = Written::new("webhook: 3\n");
    let errors =
        written.with(&[("REHEARSAL_WEBHOOK_LISTEN", "127.0.0.1:1"), ("REHEARSAL_OVERLOAD", "answre")]).unwrap_err();
    assert_eq!(
        written.lines(&errors),
        [
            "rehearsal.yaml:1:10: webhook: a mapping is expected, found \"3\"; write a mapping",
            "REHEARSAL_OVERLOAD: overload: \"answre\" is not answer or refuse; did you mean answer?",
        ]
    );
}

#[test]
fn a_mistake_that_two_values_make_is_shown_where_the_variable_is() {
    let errors = load(None, variables(&[("REHEARSAL_WEBHOOK_LISTEN", "0.0.0.0:8443")])).unwrap_err();
    let fields: Vec<_> =
        errors.mistakes.iter().map(|mistake| (mistake.place.to_string(), mistake.field.as_str())).collect();
    let place = "REHEARSAL_WEBHOOK_LISTEN".to_owned();
    assert_eq!(fields, [(place.clone(), "webhook.tls"), (place, "webhook.tls.client_ca")]);
}

#[test]
fn an_unknown_variable_is_one_warning_with_the_nearest_name() {
    let env = [("REHEARSAL_WEBHOOK_LIMIT_MAX_BODY", "x"), ("REHEARSAL_REPORT_HOSTS", "a"), ("REHEARSALX", "y")];
    let loaded = load(None, variables(&env)).unwrap();
    assert_eq!(
        loaded.warnings,
        [
            "REHEARSAL_REPORT_HOSTS is not a variable of Rehearsal and has no effect; the nearest is REHEARSAL_REPORT_LISTEN",
            "REHEARSAL_WEBHOOK_LIMIT_MAX_BODY is not a variable of Rehearsal and has no effect; \
             the nearest is REHEARSAL_WEBHOOK_LIMITS_MAX_BODY",
        ]
    );
}

#[test]
fn what_kubernetes_injects_is_ignored() {
    let injected = [
        ("REHEARSAL_SERVICE_HOST", "10.0.0.1"),
        ("REHEARSAL_SERVICE_PORT", "8443"),
        ("REHEARSAL_SERVICE_PORT_WEBHOOK", "8443"),
        ("REHEARSAL_PORT", "tcp://10.0.0.1:8443"),
        ("REHEARSAL_PORT_8443_TCP", "tcp://10.0.0.1:8443"),
        ("REHEARSAL_PORT_8443_TCP_PROTO", "tcp"),
        ("REHEARSAL_PORT_8443_TCP_PORT", "8443"),
        ("REHEARSAL_PORT_8443_TCP_ADDR", "10.0.0.1"),
        ("REHEARSAL_REPORT_SERVICE_HOST", "10.0.0.2"),
        ("REHEARSAL_REPORT_PORT", "tcp://10.0.0.2:80"),
        ("REHEARSAL_REPORT_PORT_80_TCP_ADDR", "10.0.0.2"),
    ];
    let loaded = load(None, variables(&injected)).unwrap();
    assert_eq!(loaded, load(None, std::iter::empty()).unwrap());
}
