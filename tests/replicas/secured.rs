//! TLS to Postgres, and the password, which is nowhere.

use crate::harness::certs::Authority;
use crate::harness::postgres::{PASSWORD, Server, USER, shared};
use crate::harness::{Builder, Rehearsal, wait_for};
use crate::{send, uids};

/// A replica over `host` and with `ca`; what is logged is all there is.
fn replica(server: &Server, database: &str, host: &str, ca: &Authority) -> Builder {
    let url = format!("postgres://{USER}@{host}:{}/{database}", server.port);
    let config = format!("log: {{level: trace}}\nstore: {{url: '{url}', password_file: pg.txt, ca: ca.crt}}");
    Rehearsal::builder().config(&config).file("pg.txt", PASSWORD).file("ca.crt", &ca.pem)
}

#[tokio::test]
async fn a_server_is_known_by_its_ca_and_its_name() {
    let authority = Authority::new("the database's");
    let identity = authority.server(&[]);
    let server = Server::secured(&identity.certificate_pem, &identity.key_pem);
    let database = server.database();
    let trusting = replica(&server, &database, "localhost", &authority).start().await;
    send(&trusting, uids("u", 2)).await;
    trusting.decisions("", 2).await;
    let encrypted = "SELECT bool_and(s.ssl) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) \
                     WHERE a.application_name = 'rehearsal'";
    assert_eq!(server.psql(&database, encrypted), "t");

    let stranger = Authority::new("somebody else's");
    for (host, ca, why) in [("127.0.0.2", &authority, "not valid for name"), ("localhost", &stranger, "UnknownIssuer")]
    {
        let ended = replica(&server, &database, host, ca).ends().await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{}", ended.stderr);
        assert!(ended.stderr.contains("cannot be connected to safely"), "{}", ended.stderr);
        assert!(ended.stderr.contains(why) && ended.stderr.contains("store.ca"), "{}", ended.stderr);
        assert!(!ended.stderr.contains(PASSWORD), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_it_is_asked_for() {
    let authority = Authority::new("the database's");
    let server = shared();
    let ended = replica(server, &server.database(), "localhost", &authority).ends().await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("cannot be connected to safely"), "{}", ended.stderr);
}

#[tokio::test]
async fn the_password_is_in_no_log_and_on_no_page() {
    let authority = Authority::new("the database's");
    let identity = authority.server(&[]);
    let server = Server::secured(&identity.certificate_pem, &identity.key_pem);
    let replica = replica(&server, &server.database(), "localhost", &authority).start().await;
    send(&replica, uids("u", 1)).await;
    let decision = replica.decision("").await;
    let id = decision["id"].as_str().expect("an id").to_owned();
    server.stop();
    send(&replica, uids("while-it-is-gone", 1)).await;
    let faulty = wait_for("/readyz to say so", || async {
        let ready = replica.get("/readyz").await.text();
        ready.contains("decisions wait in the journal").then_some(ready)
    })
    .await;
    let closed = replica.get("/").await.text();
    server.run();
    wait_for("the report", || async { (replica.get("/").await.status == 200).then_some(()) }).await;
    replica.decisions("", 2).await;
    let mut seen = vec![faulty, closed];
    let paths = ["/", "/decisions", "/readyz", "/metrics", "/api/v1/summary", "/api/v1/decisions"].map(str::to_owned);
    for path in paths.into_iter().chain([format!("/decisions/{id}"), format!("/api/v1/decisions/{id}")]) {
        seen.push(replica.get(&path).await.text());
    }
    seen.extend([replica.log(), replica.stdout()]);
    for text in seen {
        assert!(!text.contains(PASSWORD), "{text}");
    }
}
