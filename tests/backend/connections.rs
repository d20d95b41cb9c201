//! Connections, TLS and the files that both are made from.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use crate::scripted::tls::{Signer, Tls, client_identity};
use crate::scripted::{Backend, Reply, Script, Transport};
use http::Version;
use rehearsal::backend::answer::BackendError;
use rehearsal::policy::settings::WebhookSettings;

use crate::setup::{SHORT, Setup, question, unreachable, within};

#[tokio::test]
async fn calls_share_connections() {
    let backend = Backend::start(Script::allow());
    let client = Setup::of(&backend).client();
    for _ in 0..5 {
        client.ask(question()).await.expect("an answer");
    }
    assert_eq!(backend.connections(), 1);
    assert!(backend.received().iter().all(|received| received.version == Version::HTTP_11));
}

#[tokio::test]
async fn a_connection_closed_while_pooled_is_replaced_without_a_word() {
    for transport in [Transport::Plain, Transport::Tls(Tls::default())] {
        let backend = Backend::start(Script::allow().over(transport));
        let setup = if backend.ca_pem.is_empty() { Setup::of(&backend) } else { Setup::trusting(&backend) };
        let client = setup.client();
        for _ in 0..5 {
            client.ask(question()).await.expect("an answer");
            backend.close_connections().await;
        }
        assert_eq!(backend.connections(), 5);
    }
}

#[tokio::test]
async fn a_connection_closed_under_a_request_is_replaced_once() {
    let backend = Backend::start(Script::hang_up_on_reuse());
    let client = Setup::of(&backend).client();
    client.ask(question()).await.expect("an answer");
    assert!(client.ask(question()).await.expect("an answer of a new connection").allowed);
    let received = backend.received();
    let connections: Vec<_> = received.iter().map(|received| received.connection).collect();
    assert_eq!(connections, [1, 1, 2], "asked again on a new connection");
    assert_eq!(received[1].body, received[2].body);

    backend.play(Script::hang_up());
    let why = unreachable(client.ask(question()).await);
    assert!(why.contains("ended without an answer"), "{why}");
    assert_eq!(backend.received().len(), 5, "once on the old connection, once on a new one, never a third time");
}

#[tokio::test]
async fn a_new_connection_that_fails_is_not_tried_again() {
    let hangs_up = Backend::start(Script::hang_up());
    let why = unreachable(Setup::of(&hangs_up).client().ask(question()).await);
    assert!(why.contains("ended without an answer"), "{why}");
    assert_eq!(hangs_up.received().len(), 1);

    let resets = Backend::start(Script::half_then_reset());
    let why = unreachable(Setup::of(&resets).client().ask(question()).await);
    assert!(why.contains("broke off"), "{why}");
    assert_eq!(resets.received().len(), 1);

    let closes = Backend::start(Script::close_at_once());
    unreachable(Setup::of(&closes).client().ask(question()).await);
    assert_eq!((closes.received().len(), closes.connections()), (0, 1));

    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback").local_addr().expect("bound");
    let why = unreachable(Setup::at(&format!("http://{nobody}/")).client().ask(question()).await);
    assert!(why.starts_with("it could not be reached") && why.contains("refused"), "{why}");
    let why = unreachable(Setup::at(&format!("http://{}.invalid/", "x".repeat(64))).client().ask(question()).await);
    assert!(why.starts_with("it could not be reached"), "{why}");
}

#[tokio::test]
async fn a_breaker_opens_and_a_probe_closes_it() {
    let backend = Backend::start(Script::reply(Reply::of(500, "text/plain", "down")));
    let setup = Setup::of(&backend);
    let client = setup.client();
    for _ in 0..5 {
        assert!(matches!(client.ask(question()).await, Err(BackendError::Status { .. })));
    }
    let error = client.ask(question()).await.expect_err("open");
    let BackendError::BreakerOpen { failures: 5, retry_in } = error else { panic!("{error:?}") };
    assert!(retry_in <= Duration::from_millis(600), "{retry_in:?}");
    assert_eq!(backend.received().len(), 5, "not asked while it is open");
    setup.assert_metric(r#"rehearsal_backend_breaker{policy="gate"} 2"#);
    setup.assert_metric(r#"rehearsal_backend_errors_total{policy="gate",kind="status"} 5"#);
    setup.assert_metric(r#"rehearsal_backend_errors_total{policy="gate",kind="breaker_open"} 1"#);
    setup.assert_metric(r#"rehearsal_backend_duration_seconds_count{policy="gate"} 5"#);

    backend.play(Script::allow());
    let probed = tokio::time::timeout(Duration::from_secs(5), async {
        loop {
            if let Ok(answer) = client.ask(question()).await {
                break answer;
            }
            tokio::task::yield_now().await;
        }
    });
    assert!(probed.await.expect("a probe goes out").allowed, "the probe passes");
    setup.assert_metric(r#"rehearsal_backend_breaker{policy="gate"} 0"#);
}

// === TLS ===

#[tokio::test]
async fn http_2_where_both_speak_it_and_http_1_where_not() {
    const BOTH: &[&[u8]] = &[b"h2", b"http/1.1"];
    for (alpn, version) in [(BOTH, Version::HTTP_2), (&BOTH[1..], Version::HTTP_11), (&[], Version::HTTP_11)] {
        let backend = Backend::start(Script::allow().over(Transport::Tls(Tls { alpn, ..Tls::default() })));
        let client = Setup::trusting(&backend).client();
        client.ask(question()).await.expect("an answer");
        let calls: Vec<_> = (0..20)
            .map(|_| {
                let client = Arc::clone(&client);
                tokio::spawn(async move { client.ask(question()).await })
            })
            .collect();
        for call in calls {
            assert!(call.await.expect("no panic").expect("an answer").allowed);
        }
        assert!(backend.received().iter().all(|received| received.version == version), "{version:?}");
        assert!(version == Version::HTTP_11 || backend.connections() == 1, "one HTTP/2 connection serves all");
    }
}

#[tokio::test]
async fn an_http_2_backend_that_resets_or_hangs_is_an_error_in_time() {
    let over = |script: Script| script.over(Transport::Tls(Tls::default()));
    let backend = Backend::start(over(Script::half_then_reset()));
    let client = Setup::trusting(&backend).client();
    unreachable(client.ask(question()).await);
    backend.play(Script::half_then_hang());
    let late = client.ask(within(SHORT)).await.expect_err("hangs");
    assert!(matches!(late, BackendError::Late(_)), "{late:?}");
    backend.play(Script::allow());
    assert!(client.ask(question()).await.expect("the connection goes on").allowed);
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn a_certificate_of_another_name_or_of_an_unknown_ca_is_refused() {
    let other = Tls { name: "other.example", ..Tls::default() };
    let backend = Backend::start(Script::allow().over(Transport::Tls(other)));
    let why = unreachable(Setup::trusting(&backend).client().ask(question()).await);
    assert!(why.contains("other.example"), "{why}");

    let backend = Backend::start(Script::allow().over(Transport::Tls(Tls::default())));
    let stranger = Backend::start(Script::allow().over(Transport::Tls(Tls::default())));
    let mut setup = Setup::of(&backend);
    setup.settings.ca = Some(setup.file("ca.crt", &stranger.ca_pem));
    let why = unreachable(setup.client().ask(question()).await);
    assert!(why.contains("is ca the certificate of the CA"), "{why}");
    assert!(backend.received().is_empty());

    let ssh = Backend::start(Script::allow().over(Transport::NotTls));
    let mut setup = Setup::of(&ssh);
    setup.settings.ca = Some(setup.file("ca.crt", &stranger.ca_pem));
    let why = unreachable(setup.client().ask(question()).await);
    assert!(why.starts_with("it could not be reached"), "{why}");
}

#[tokio::test]
async fn a_self_signed_certificate_is_trusted_when_it_is_in_the_ca_file_itself() {
    for signed_by in [Signer::Itself, Signer::ItselfAsCa] {
        let tls = Tls { signed_by, ..Tls::default() };
        let backend = Backend::start(Script::allow().over(Transport::Tls(tls)));
        assert!(Setup::trusting(&backend).client().ask(question()).await.expect("an answer").allowed, "{signed_by:?}");

        let misnamed = Tls { signed_by, name: "other.example", ..Tls::default() };
        let backend = Backend::start(Script::allow().over(Transport::Tls(misnamed)));
        unreachable(Setup::trusting(&backend).client().ask(question()).await);
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_and_its_absence_explained() {
    let (client_ca_pem, certificate, key) = client_identity("rehearsal");
    let tls = Tls { client_ca_pem: Some(client_ca_pem), ..Tls::default() };
    let backend = Backend::start(Script::allow().over(Transport::Tls(tls)));
    let mut setup = Setup::trusting(&backend);
    let why = unreachable(setup.client().ask(question()).await);
    assert!(why.contains("client_certificate") || why.contains("CertificateRequired"), "{why}");

    setup.settings.client_identity = Some((setup.file("client.crt", &certificate), setup.file("client.key", &key)));
    let client = setup.client();
    assert!(client.ask(question()).await.expect("an answer").allowed);
    assert!(backend.received()[0].client_certificate.is_some());
    let roles: Vec<_> = client.ends().into_iter().map(|(role, _)| role).collect();
    assert_eq!(roles, ["webhook_ca", "webhook_client"]);
    assert_eq!(client.files().count(), 3);
}

// === files ===

#[tokio::test]
async fn a_new_token_is_used_without_dropping_a_connection() {
    let backend = Backend::start(Script::allow());
    let mut setup = Setup::of(&backend);
    let token = setup.file("token", "first");
    setup.settings.token_file = Some(token.clone());
    let client = setup.client();
    for (content, sent) in [("first", "Bearer first"), ("second\n", "Bearer second"), ("", "Bearer second")] {
        fs::write(&token, content).expect("written");
        let reloaded = client.reload();
        assert_eq!(reloaded.is_err(), content.is_empty(), "an empty token is refused, the old one kept");
        client.ask(question()).await.expect("an answer");
        assert_eq!(backend.received().last().expect("asked").headers["authorization"], sent);
    }
    assert_eq!(backend.connections(), 1);
}

#[tokio::test]
async fn a_new_ca_is_used_from_the_next_call_on_and_a_broken_one_never() {
    let backend = Backend::start(Script::allow().over(Transport::Tls(Tls::default())));
    let stranger = Backend::start(Script::allow().over(Transport::Tls(Tls::default())));
    let mut setup = Setup::of(&backend);
    let ca = setup.file("ca.crt", &stranger.ca_pem);
    setup.settings.ca = Some(ca.clone());
    let client = setup.client();
    unreachable(client.ask(question()).await);

    fs::write(&ca, &backend.ca_pem).expect("written");
    client.reload().expect("a good CA");
    client.ask(question()).await.expect("an answer");

    fs::write(&ca, "-----BEGIN CERTIFICATE-----\nhalf a fi").expect("written");
    let error = client.reload().expect_err("half a file");
    assert_eq!(error.field, "ca");
    client.ask(question()).await.expect("the old one is kept");
    assert_eq!(backend.connections(), 2, "one that was refused, one that lives");
}

#[test]
fn what_cannot_work_is_refused_with_its_field() {
    let (_, certificate, key) = client_identity("one");
    let (_, _, other_key) = client_identity("two");
    let mut setup = Setup::at("https://localhost:1/");
    let ca = setup.file("ca.crt", &certificate);
    let key = setup.file("client.key", &key);
    let other_key = setup.file("other.key", &other_key);
    let empty = setup.file("empty", "");
    let words = setup.file("words", "two words");
    let missing = setup.dir.path().join("missing");
    let good = WebhookSettings { ca: Some(ca.clone()), ..setup.settings.clone() };

    let cases = [
        ("url", WebhookSettings { url: "/judge".parse().expect("a path"), ..good.clone() }),
        ("ca", WebhookSettings { url: "http://localhost/".parse().expect("a URL"), ..good.clone() }),
        ("ca", WebhookSettings { ca: Some(missing.clone()), ..good.clone() }),
        ("ca", WebhookSettings { ca: Some(empty.clone()), ..good.clone() }),
        ("client_certificate", WebhookSettings { client_identity: Some((empty.clone(), key.clone())), ..good.clone() }),
        ("client_certificate", WebhookSettings { client_identity: Some((ca.clone(), other_key)), ..good.clone() }),
        ("client_key", WebhookSettings { client_identity: Some((ca.clone(), missing)), ..good.clone() }),
        ("client_key", WebhookSettings { client_identity: Some((ca.clone(), empty.clone())), ..good.clone() }),
        ("token_file", WebhookSettings { token_file: Some(empty), ..good.clone() }),
        ("token_file", WebhookSettings { token_file: Some(words), ..good.clone() }),
        ("max_in_flight", WebhookSettings { max_in_flight: 0, ..good.clone() }),
    ];
    for (field, settings) in cases {
        setup.settings = settings;
        let error = setup.try_client().expect_err(field);
        assert_eq!(error.field, field, "{error}");
        assert!(error.to_string().len() > field.len() + 20, "{error}");
    }
    setup.settings = WebhookSettings { client_identity: Some((ca, key)), ..good };
    setup.try_client().expect("the good one");
}
