//! Who the server is, and who we are: its certificate, our password.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::harness::certs::Authority;
use crate::harness::link::Link;
use crate::harness::postgres::{self, Server, give_away};
use crate::harness::{Builder, Rehearsal, wait_for};

use super::setup::{COUNT, answers, degraded};

/// A server that lets nobody in without TLS; its certificate is not for the second of its addresses.
fn server(authority: &Authority) -> Server {
    let server = Server::start(&["listen_addresses = '127.0.0.1,127.0.0.2'"]);
    let identity = authority.server(&[]);
    let hba = "local all all trust\nhostssl all all all scram-sha-256\n";
    for (name, content) in [
        ("server.crt", identity.certificate_pem.as_str()),
        ("server.key", identity.key_pem.as_str()),
        ("pg_hba.conf", hba),
    ] {
        let path = server.directory.join("data").join(name);
        fs::write(&path, content).expect("writable");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("ours");
        give_away(&path);
    }
    server.psql("postgres", "ALTER SYSTEM SET ssl = on");
    server.psql("postgres", "SELECT pg_reload_conf()");
    server
}

fn replica(server: &Server, database: &str, ca_pem: &str) -> Builder {
    over_tls(&server.url(database), ca_pem)
}

fn over_tls(url: &str, ca_pem: &str) -> Builder {
    Rehearsal::builder().config("store: {ca: ca.crt}").on_postgres(url).file("ca.crt", ca_pem)
}

async fn stored(server: &Server, database: &str, count: usize) {
    wait_for(&format!("{count} stored decisions"), || async {
        let stored = server.try_psql(database, COUNT);
        (stored == Ok(count.to_string())).then_some(())
    })
    .await;
}

#[tokio::test]
async fn only_a_server_with_a_trusted_certificate_is_told_anything() {
    let authority = Authority::new("database");
    let server = server(&authority);
    let database = server.database();
    let another = Authority::new("another").pem;
    let elsewhere = server.url(&database).replace("127.0.0.1", "127.0.0.2");
    let deceived = replica(&server, &database, &another);
    // Twice: a start that ended leaves nothing behind that the next one takes for a history.
    for (first, why) in [
        (deceived.clone(), "UnknownIssuer"),
        (deceived, "UnknownIssuer"),
        (over_tls(&elsewhere, &authority.pem), "not valid for name"),
    ] {
        let ended = first.ends().await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{}", ended.stderr);
        assert!(ended.stderr.contains("cannot be connected to safely"), "{}", ended.stderr);
        assert!(ended.stderr.contains(why) && ended.stderr.contains("`store.ca`"), "{}", ended.stderr);
        assert!(!ended.stderr.contains(postgres::PASSWORD), "{}", ended.stderr);
    }
    let replica = replica(&server, &database, &authority.pem).start().await;
    answers(&replica, "right", 3).await;
    stored(&server, &database, 3).await;
    let plain = "SELECT count(*) FROM pg_stat_activity a JOIN pg_stat_ssl s USING (pid) WHERE NOT s.ssl AND \
                 a.application_name LIKE 'rehearsal%'";
    let with_tls = plain.replace("NOT s.ssl", "s.ssl");
    assert_eq!(server.psql(&database, plain), "0");
    assert_ne!(server.psql(&database, &with_tls), "0");
    // It has been let in before: it answers, and says what is wrong.
    fs::write(replica.dir().join("ca.crt"), &another).expect("writable");
    let later = replica.restart().await;
    answers(&later, "deceived", 3).await;
    degraded(&later, Some("cannot be connected to safely")).await;
    assert!(!later.log().contains(postgres::PASSWORD));
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_it_is_asked_for() {
    let server = postgres::shared();
    let ended = replica(server, &server.database(), &Authority::new("database").pem).ends().await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("cannot be connected to safely"), "{}", ended.stderr);
}

#[tokio::test]
async fn the_password_is_in_no_log_and_on_no_page() {
    let authority = Authority::new("database");
    let server = server(&authority);
    let database = server.database();
    let replica = replica(&server, &database, &authority.pem).env("REHEARSAL_LOG_LEVEL", "trace").start().await;
    answers(&replica, "before", 1).await;
    let decision = replica.decision("").await;
    let id = decision["id"].as_str().expect("an id").to_owned();
    server.stop();
    answers(&replica, "while-it-is-gone", 1).await;
    let mut seen = vec![degraded(&replica, Some("decisions wait in the journal")).await.to_string()];
    seen.push(replica.get("/").await.text());
    server.run();
    stored(&server, &database, 2).await;
    let paths = ["/", "/decisions", "/readyz", "/metrics", "/api/v1/summary", "/api/v1/decisions"].map(str::to_owned);
    for path in paths.into_iter().chain([format!("/decisions/{id}"), format!("/api/v1/decisions/{id}")]) {
        seen.push(replica.get(&path).await.text());
    }
    seen.extend([replica.log(), replica.stdout()]);
    for text in seen {
        assert!(!text.contains(postgres::PASSWORD), "{text}");
    }
}

/// No word that a log or a page has for another reason.
const BEFORE: &str = "canary-4f0e-before";
const AFTER: &str = "canary-4f0e-after";

#[tokio::test]
async fn a_changed_password_is_read_from_its_file() {
    let authority = Authority::new("database");
    let server = server(&authority);
    let database = server.database();
    let user = format!("CREATE ROLE app LOGIN PASSWORD '{BEFORE}'; GRANT ALL ON DATABASE");
    server.psql("postgres", &format!("{user} {database} TO app; ALTER DATABASE {database} OWNER TO app"));
    let url = server.url(&database).replace(&format!("//{}@", postgres::USER), "//app@");
    let builder = over_tls(&url, &authority.pem).file("pg.txt", format!("{BEFORE}\n"));
    let replica = builder.env("REHEARSAL_LOG_LEVEL", "trace").start().await;
    answers(&replica, "before", 2).await;
    stored(&server, &database, 2).await;
    server.psql("postgres", &format!("ALTER ROLE app PASSWORD '{AFTER}'"));
    server.psql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'");
    answers(&replica, "locked-out", 2).await;
    degraded(&replica, Some("password authentication failed")).await;
    let page = replica.get("/").await.text();
    fs::write(replica.dir().join("pg.txt"), format!("{AFTER}\n")).expect("writable");
    degraded(&replica, None).await;
    stored(&server, &database, 4).await;
    for text in [replica.log(), replica.stdout(), page] {
        assert!(!text.contains("canary-"), "{text}");
    }
}

#[tokio::test]
async fn a_unix_socket_is_a_way_in_with_the_same_password() {
    let server = Server::start(&[]);
    let hba = server.directory.join("data/pg_hba.conf");
    fs::write(&hba, "local all all scram-sha-256\nhost all all all scram-sha-256\n").expect("writable");
    give_away(&hba);
    server.psql("postgres", "SELECT pg_reload_conf()");
    let (database, directory) = (server.database(), server.directory.display());
    let url = format!("postgres://{}@:{}/{database}?host={directory}", postgres::USER, server.port);
    let replica = Rehearsal::builder().on_postgres(&url).start().await;
    answers(&replica, "socket", 2).await;
    stored(&server, &database, 2).await;
    let by_network =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'rehearsal%' AND client_port >= 0";
    assert_eq!(server.psql(&database, by_network), "0");
}

/// Under TLS whoever says goodbye waits to hear it back.
#[tokio::test]
async fn a_replica_whose_database_hangs_ends_within_its_grace() {
    let authority = Authority::new("database");
    let server = server(&authority);
    let database = server.database();
    let link = Link::to(([127, 0, 0, 1], server.port).into()).await;
    let url = server.url(&database).replace(&server.port.to_string(), &link.port.to_string());
    let config = "store: {ca: ca.crt}\nshutdown: {grace: 10s}";
    let builder = Rehearsal::builder().config(config).on_postgres(&url).file("ca.crt", &authority.pem);
    let mut rehearsal = builder.start().await;
    answers(&rehearsal, "before", 3).await;
    stored(&server, &database, 3).await;
    // Several readers rest then.
    let pages = join_all((0..4).map(|_| rehearsal.get("/"))).await;
    assert!(pages.iter().all(|page| page.status == 200));
    link.freeze();
    answers(&rehearsal, "hung", 20).await;
    let begun = Instant::now();
    rehearsal.sigterm();
    assert_eq!(rehearsal.exit_code().await, Some(0));
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(13), "{took:?}");
    link.cut();
    link.heal();
    let rehearsal = rehearsal.restart().await;
    stored(&server, &database, 23).await;
    rehearsal.drained().await;
}
