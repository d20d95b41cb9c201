//! Who may connect, with which certificates, and that both can change under live connections.

mod harness;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use harness::certs::{Authority, Identity, Validity, blind_client_config, client_config};
use harness::http::{Alpn, HttpClient};
use harness::reviews::fixture;
use harness::{Rehearsal, Url, run, wait_for};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const REVIEW: &str = "016-image-review.json";
const MUTUAL: &str = "webhook: {tls: {certificate: certs/tls.crt, key: certs/tls.key, client_ca: certs/ca.crt}}";

/// Lays certificates out as Kubernetes mounts a Secret: `certs/NAME` -> `..data/NAME`, `..data` -> a dated folder.
fn mount(dir: &Path, generation: &str, server: &Identity, client_ca: &str) {
    let certs = dir.join("certs");
    let folder = certs.join(format!("..{generation}"));
    std::fs::create_dir_all(&folder).expect("writable");
    for (name, content) in [("tls.crt", &server.certificate_pem), ("tls.key", &server.key_pem)] {
        std::fs::write(folder.join(name), content).expect("writable");
    }
    std::fs::write(folder.join("ca.crt"), client_ca).expect("writable");
    symlink(format!("..{generation}"), certs.join("..data_tmp")).expect("a symlink");
    std::fs::rename(certs.join("..data_tmp"), certs.join("..data")).expect("an atomic swap");
    for name in ["tls.crt", "tls.key", "ca.crt"] {
        if !certs.join(name).exists() {
            symlink(format!("..data/{name}"), certs.join(name)).expect("a symlink");
        }
    }
}

/// The certificate that the listener serves now.
async fn served(url: &Url) -> CertificateDer<'static> {
    let stream = TcpStream::connect(url.addr).await.expect("it listens");
    let name = ServerName::from(url.addr.ip());
    let connector = TlsConnector::from(Arc::new(blind_client_config()));
    let stream = connector.connect(name, stream).await.expect("a handshake");
    stream.get_ref().1.peer_certificates().expect("a certificate")[0].clone().into_owned()
}

async fn mutual() -> (Rehearsal, Authority, Identity) {
    let authority = Authority::new("cluster");
    let client = authority.client("kube-apiserver", Validity::Day);
    let builder = Rehearsal::builder().config(MUTUAL).trust(&authority.pem).identity(client.clone());
    mount(builder.dir(), "1", &authority.server(&[]), &authority.pem);
    (builder.start().await, authority, client)
}

#[tokio::test]
async fn a_verified_client_certificate_is_required_and_refusals_are_counted() {
    let (rehearsal, authority, _) = mutual().await;
    assert!(rehearsal.post("/", fixture(REVIEW)).await.allowed());
    let url = format!("{}/", rehearsal.webhook_url());
    let foreign = Authority::new("foreign").client("mallory", Validity::Day);
    let expired = authority.client("late", Validity::Expired);
    let server = authority.server(&[]);
    let mut refused = 0.0;
    for (what, identity) in
        [("none", None), ("foreign", Some(&foreign)), ("expired", Some(&expired)), ("a server's", Some(&server))]
    {
        for alpn in [Alpn::H1, Alpn::H2] {
            let client = HttpClient::new(Some(&authority.pem), identity, alpn);
            let answer = client.try_post(&url, fixture(REVIEW)).await;
            assert!(answer.is_err(), "{what} {alpn:?}: {answer:?}");
            refused += 1.0;
        }
    }
    wait_for("the refusals in /metrics", || async {
        (rehearsal.metric("rehearsal_connections_refused_total", &[]).await >= refused).then_some(())
    })
    .await;
    assert!(rehearsal.post("/", fixture(REVIEW)).await.allowed(), "others are unaffected");
    let lines = rehearsal.log().lines().filter(|line| line.to_lowercase().contains("certificate")).count();
    assert!(lines < 8, "logged at most once a second, {lines} lines:\n{}", rehearsal.log());
}

#[tokio::test]
async fn a_swapped_server_certificate_is_served_without_dropping_a_connection() {
    let (rehearsal, authority, _) = mutual().await;
    let before = served(rehearsal.webhook()).await;
    assert!(rehearsal.post("/", fixture(REVIEW)).await.allowed(), "the pool holds a connection now");
    let next = authority.server(&["rehearsal.svc"]);
    mount(rehearsal.dir(), "2", &next, &authority.pem);
    let after = wait_for("the new certificate", || async {
        let served = served(rehearsal.webhook()).await;
        (served != before).then_some(served)
    })
    .await;
    assert_eq!(after, next.chain()[0]);
    assert!(rehearsal.post("/", fixture(REVIEW)).await.allowed(), "the pooled connection still works");
}

#[tokio::test]
async fn a_swapped_client_ca_decides_over_new_connections_and_resumed_sessions() {
    let (rehearsal, old, client) = mutual().await;
    let new = Authority::new("cluster, next");
    let url = format!("{}/", rehearsal.webhook_url());
    // One session store for both connections: resumption must not carry the old trust over.
    let config = client_config(Some(&old.pem), Some(&client));
    let fresh = || HttpClient::over(config.clone(), Alpn::H1);
    assert!(rehearsal.post("/", fixture(REVIEW)).await.allowed(), "a connection that stays");
    assert!(fresh().post(&url, fixture(REVIEW)).await.allowed());
    mount(rehearsal.dir(), "2", &old.server(&[]), &new.pem);
    let admitted = new.client("kube-apiserver", Validity::Day);
    wait_for("the new CA", || async {
        let client = HttpClient::new(Some(&old.pem), Some(&admitted), Alpn::H1);
        client.try_post(&url, fixture(REVIEW)).await.ok().map(|response| assert!(response.allowed()))
    })
    .await;
    assert!(fresh().try_post(&url, fixture(REVIEW)).await.is_err(), "the old client is refused, ticket or not");
    assert!(rehearsal.post("/", fixture(REVIEW)).await.allowed(), "its live connection was not dropped");
}

#[tokio::test]
async fn a_broken_swap_keeps_what_was_there() {
    let (rehearsal, authority, _) = mutual().await;
    let before = served(rehearsal.webhook()).await;
    let mismatched =
        Identity { certificate_pem: authority.server(&[]).certificate_pem, key_pem: authority.server(&[]).key_pem };
    mount(rehearsal.dir(), "2", &mismatched, &authority.pem);
    wait_for("a log line that names the file", || async { rehearsal.log().contains("tls.").then_some(()) }).await;
    assert_eq!(served(rehearsal.webhook()).await, before);
    let next = authority.server(&["fixed"]);
    mount(rehearsal.dir(), "3", &next, &authority.pem);
    wait_for("the repaired certificate", || async {
        (served(rehearsal.webhook()).await == next.chain()[0]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_self_made_ca_is_kept_and_private() {
    let mut rehearsal = Rehearsal::builder().start().await;
    let ca_pem = rehearsal.ca_pem();
    assert!(rehearsal.post("/", fixture(REVIEW)).await.allowed());
    for entry in walk(&rehearsal.data_dir()) {
        let mode = std::fs::metadata(&entry).expect("readable").permissions().mode() & 0o777;
        let expected = if entry.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{}", entry.display());
    }
    rehearsal.kill9();
    let rehearsal = rehearsal.restart().await;
    assert_eq!(rehearsal.ca_pem(), ca_pem);
    assert!(rehearsal.post("/", fixture(REVIEW)).await.allowed());
}

fn walk(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = vec![dir.to_owned()];
    for entry in std::fs::read_dir(dir).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path) }
    }
    found
}

#[tokio::test]
async fn the_certs_command_makes_what_a_mutual_listener_needs() {
    let builder = Rehearsal::builder();
    let out = builder.dir().join("made");
    let args = ["certs", "--dns", "localhost", "--dns", "rehearsal.rehearsal.svc", "--client", "kube-apiserver"];
    let ended = run(builder.dir(), &[&args[..], &["--out", out.to_str().expect("UTF-8")]].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let read = |name: &str| {
        std::fs::read_to_string(out.join(name)).unwrap_or_else(|error| panic!("{name}: {error}; {}", ended.stdout))
    };
    let bundle = ended.stdout.split_whitespace().find(|word| word.len() > 200).expect("the caBundle");
    let decoded = {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.decode(bundle.trim_matches('"')).expect("base64")
    };
    assert_eq!(String::from_utf8(decoded).expect("PEM"), read("ca.crt"));
    let client = Identity { certificate_pem: read("client.crt"), key_pem: read("client.key") };
    let tls = "webhook: {tls: {certificate: made/tls.crt, key: made/tls.key, client_ca: made/ca.crt}}";
    let rehearsal = builder.config(tls).trust(&read("ca.crt")).identity(client).start().await;
    let url = format!("https://localhost:{}/", rehearsal.webhook().addr.port());
    assert!(rehearsal.client().post(&url, fixture(REVIEW)).await.allowed());
    for key in ["ca.key", "tls.key", "client.key"] {
        let mode = std::fs::metadata(out.join(key)).expect(key).permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{key}");
    }
}

#[tokio::test]
async fn off_loopback_it_wants_to_be_told() {
    for (config, wanted) in [
        ("webhook: {listen: '0.0.0.0:0'}", ["self_made", "names"]),
        (
            "webhook: {listen: '0.0.0.0:0', tls: {self_made: {names: [rehearsal.test]}}}",
            ["client_ca", "unauthenticated"],
        ),
        ("webhook: {listen: '0.0.0.0:0', tls: off}", ["without TLS", "127.0.0.1"]),
    ] {
        let ended = Rehearsal::builder().config(config).ends().await;
        assert_eq!(ended.code, Some(2), "{config}: {}", ended.stderr);
        for word in wanted {
            assert!(ended.stderr.contains(word), "{config}: {word} in {}", ended.stderr);
        }
    }
    let config =
        "webhook: {listen: '0.0.0.0:0', unauthenticated: true, tls: {self_made: {names: [localhost, 127.0.0.1]}}}";
    let rehearsal = Rehearsal::builder().config(config).start().await;
    let url = format!("https://localhost:{}/", rehearsal.webhook().addr.port());
    assert!(rehearsal.client().post(&url, fixture(REVIEW)).await.allowed());
}
