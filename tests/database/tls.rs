//! Who the server is, and who we are: its certificate, our password.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::harness::certs::Authority;
use crate::harness::postgres::{self, Server, give_away};
use crate::harness::{Builder, Rehearsal, wait_for};

use super::setup::{answers, degraded};

/// A server that lets nobody in without TLS.
fn server(authority: &Authority) -> Server {
    let server = Server::start(&[]);
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
    let config = format!("store: {{url: '{}', password_file: pg.txt, ca: ca.crt}}", server.url(database));
    Rehearsal::builder().config(&config).file("pg.txt", postgres::PASSWORD).file("ca.crt", ca_pem)
}

async fn stored(server: &Server, database: &str, count: usize) {
    wait_for(&format!("{count} stored decisions"), || async {
        let stored = server.try_psql(database, "SELECT count(*) FROM decisions");
        (stored == Ok(count.to_string())).then_some(())
    })
    .await;
}

#[tokio::test]
async fn only_a_server_with_a_trusted_certificate_is_told_anything() {
    let authority = Authority::new("database");
    let server = server(&authority);
    let database = server.database();
    let deceived = replica(&server, &database, &Authority::new("another").pem).start().await;
    answers(&deceived, "deceived", 3).await;
    degraded(&deceived, Some("certificate")).await;
    assert!(!deceived.log().contains(postgres::PASSWORD));
    let replica = replica(&server, &database, &authority.pem).start().await;
    answers(&replica, "right", 3).await;
    stored(&server, &database, 3).await;
    let plain = "SELECT count(*) FROM pg_stat_activity a JOIN pg_stat_ssl s USING (pid) WHERE NOT s.ssl AND \
                 a.application_name LIKE 'rehearsal%'";
    let with_tls = plain.replace("NOT s.ssl", "s.ssl");
    assert_eq!(server.psql(&database, plain), "0");
    assert_ne!(server.psql(&database, &with_tls), "0");
}

#[tokio::test]
async fn a_changed_password_is_read_from_its_file() {
    let authority = Authority::new("database");
    let server = server(&authority);
    let database = server.database();
    let user = "CREATE ROLE app LOGIN PASSWORD 'before'; GRANT ALL ON DATABASE";
    server.psql("postgres", &format!("{user} {database} TO app; ALTER DATABASE {database} OWNER TO app"));
    let url = server.url(&database).replace(&format!("//{}@", postgres::USER), "//app@");
    let config = format!("store: {{url: '{url}', password_file: pg.txt, ca: ca.crt}}");
    let builder = Rehearsal::builder().config(&config).file("pg.txt", "before\n").file("ca.crt", &authority.pem);
    let replica = builder.start().await;
    answers(&replica, "before", 2).await;
    stored(&server, &database, 2).await;
    server.psql("postgres", "ALTER ROLE app PASSWORD 'after'");
    server.psql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'");
    answers(&replica, "locked-out", 2).await;
    degraded(&replica, Some("password authentication failed")).await;
    fs::write(replica.dir().join("pg.txt"), "after\n").expect("writable");
    degraded(&replica, None).await;
    stored(&server, &database, 4).await;
    let log = replica.log();
    assert!(!log.contains("before\n") && !log.contains("'after'"), "{log}");
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
    let config = format!("store: {{url: '{url}', password_file: pg.txt}}");
    let replica = Rehearsal::builder().config(&config).file("pg.txt", postgres::PASSWORD).start().await;
    answers(&replica, "socket", 2).await;
    stored(&server, &database, 2).await;
    let by_network =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'rehearsal%' AND client_port >= 0";
    assert_eq!(server.psql(&database, by_network), "0");
}
