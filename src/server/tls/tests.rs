use std::fs;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion, ServerConnection};
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::super::certificates::{Authority, Names, Pair};
use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What the listener saw of one connection.
#[derive(Debug, PartialEq)]
enum Seen {
    Accepted { subject: Option<String>, handshake: HandshakeKind, protocol: Option<Vec<u8>> },
    Failed(HandshakeFailure),
}

/// A listener that takes its configuration anew for each accept and echoes.
struct Live {
    address: std::net::SocketAddr,
    seen: mpsc::UnboundedReceiver<Seen>,
    tls: Arc<ServerTls>,
}

struct Place {
    dir: TempDir,
}

// === impl Live ===

impl Live {
    async fn start(settings: &TlsSettings) -> Self {
        let tls = Arc::new(ServerTls::load(settings).expect("it loads").expect("TLS is on"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (sender, seen) = mpsc::unbounded_channel();
        let live = Arc::clone(&tls);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                tokio::spawn(serve(TlsAcceptor::from(live.config()), stream, sender.clone()));
            }
        });
        Self { address, seen, tls }
    }

    async fn connect(&self, config: &Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").expect("a name");
        let mut stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await?;
        // In TLS 1.3 a client learns that its certificate was refused only when it reads.
        echo(&mut stream).await?;
        Ok(stream)
    }

    async fn seen(&mut self) -> Seen {
        self.seen.recv().await.expect("the listener lives")
    }
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, seen: mpsc::UnboundedSender<Seen>) {
    match acceptor.accept(stream).await {
        Err(error) => seen.send(Seen::Failed(HandshakeFailure::of(&error))).expect("the test looks"),
        Ok(mut stream) => {
            let connection = stream.get_ref().1;
            seen.send(Seen::Accepted {
                subject: peer_subject(connection),
                handshake: connection.handshake_kind().expect("it is done"),
                protocol: connection.alpn_protocol().map(<[u8]>::to_vec),
            })
            .expect("the test looks");
            let mut byte = [0];
            while stream.read_exact(&mut byte).await.is_ok() {
                if stream.write_all(&byte).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn echo(stream: &mut TlsStream<TcpStream>) -> std::io::Result<()> {
    stream.write_all(b"x").await?;
    stream.read_exact(&mut [0]).await.map(drop)
}

// === impl Place ===

impl Place {
    fn new() -> Self {
        Self { dir: TempDir::new().expect("a directory") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).expect("writable");
    }

    fn serve(&self, pair: &Pair) {
        self.write("tls.crt", &pair.certificate);
        self.write("tls.key", &pair.key);
    }

    fn settings(&self, client_ca: Option<&str>) -> TlsSettings {
        TlsSettings::Files {
            certificate: self.path("tls.crt"),
            key: self.path("tls.key"),
            client_ca: client_ca.map(|name| self.path(name)),
        }
    }
}

fn authority(name: &str) -> Authority {
    Authority::new(name).expect("a CA")
}

fn server(authority: &Authority) -> Pair {
    let names = Names::parse(&["localhost".to_owned()]).expect("a name").expect("one");
    authority.server(&names, DAY).expect("a certificate")
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM")
}

fn client(trusted: &Authority, identity: Option<&Pair>) -> Arc<ClientConfig> {
    client_speaking(rustls::ALL_VERSIONS, trusted, identity)
}

fn client_speaking(
    versions: &[&'static rustls::SupportedProtocolVersion],
    trusted: &Authority,
    identity: Option<&Pair>,
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(der(&trusted.pair().certificate)).expect("a CA");
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("a key");
            builder.with_client_auth_cert(vec![der(&pair.certificate)], key).expect("a pair")
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = Resumption::in_memory_sessions(8);
    Arc::new(config)
}

fn served(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().expect("a certificate")[0].clone().into_owned()
}

#[tokio::test]
async fn without_a_client_ca_anybody_may_come_in_either_version() {
    let (place, ca) = (Place::new(), authority("ca"));
    place.serve(&server(&ca));
    let mut live = Live::start(&place.settings(None)).await;
    for (version, wanted) in
        [(&rustls::version::TLS12, ProtocolVersion::TLSv1_2), (&rustls::version::TLS13, ProtocolVersion::TLSv1_3)]
    {
        let stream = live.connect(&client_speaking(&[version], &ca, None)).await.expect("it connects");
        assert_eq!(stream.get_ref().1.protocol_version(), Some(wanted));
        let protocol = Some(b"h2".to_vec());
        assert_eq!(live.seen().await, Seen::Accepted { subject: None, handshake: HandshakeKind::Full, protocol });
    }
}

#[tokio::test]
async fn the_clients_name_is_known() {
    let (place, ca) = (Place::new(), authority("ca"));
    place.serve(&server(&ca));
    place.write("ca.crt", &ca.pair().certificate);
    let mut live = Live::start(&place.settings(Some("ca.crt"))).await;
    let identity = ca.client("kube-apiserver", DAY).expect("a certificate");
    live.connect(&client(&ca, Some(&identity))).await.expect("it connects");
    let Seen::Accepted { subject, .. } = live.seen().await else { panic!("refused") };
    assert_eq!(subject.as_deref(), Some("CN=kube-apiserver"));
}

#[tokio::test]
async fn each_kind_of_bad_client_is_refused_and_told_apart() {
    let (place, ca) = (Place::new(), authority("ca"));
    place.serve(&server(&ca));
    place.write("ca.crt", &ca.pair().certificate);
    let mut live = Live::start(&place.settings(Some("ca.crt"))).await;
    let foreign = authority("other").client("mallory", DAY).expect("a certificate");
    let namesake = authority("ca").client("mallory", DAY).expect("a certificate");
    let long_ago = OffsetDateTime::now_utc() - 3 * DAY;
    let expired = ca.client_at("late", DAY.try_into().expect("a day"), long_ago).expect("a certificate");
    for (identity, wanted) in [
        (None, HandshakeFailure::NoCertificate),
        (Some(&foreign), HandshakeFailure::Foreign),
        (Some(&namesake), HandshakeFailure::Foreign),
        (Some(&expired), HandshakeFailure::Expired),
        (Some(&server(&ca)), HandshakeFailure::Unfit),
    ] {
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let refused = live.connect(&client_speaking(&[version], &ca, identity)).await;
            assert!(refused.is_err(), "{wanted:?}");
            assert_eq!(live.seen().await, Seen::Failed(wanted));
        }
    }
    assert!(live.connect(&client(&authority("not ours"), None)).await.is_err());
    assert_eq!(live.seen().await, Seen::Failed(HandshakeFailure::Distrusted));
    let mut plain = TcpStream::connect(live.address).await.expect("it connects");
    plain.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("it writes");
    assert_eq!(live.seen().await, Seen::Failed(HandshakeFailure::NotTls));
    drop(TcpStream::connect(live.address).await.expect("it connects"));
    assert_eq!(live.seen().await, Seen::Failed(HandshakeFailure::Gone));
}

#[tokio::test]
async fn a_new_server_certificate_is_for_new_connections_and_drops_none() {
    let (place, ca) = (Place::new(), authority("ca"));
    let (first, second) = (server(&ca), server(&ca));
    place.serve(&first);
    let live = Live::start(&place.settings(None)).await;
    let config = client(&ca, None);
    let mut before = live.connect(&config).await.expect("it connects");
    assert_eq!(served(&before), der(&first.certificate));
    assert_eq!(live.tls.reload().expect("it reloads"), Reloaded::Same);
    place.serve(&second);
    assert_eq!(live.tls.reload().expect("it reloads"), Reloaded::Changed);
    let after = live.connect(&client(&ca, None)).await.expect("it connects");
    assert_eq!(served(&after), der(&second.certificate));
    echo(&mut before).await.expect("the old connection lives");
}

#[tokio::test]
async fn after_a_client_ca_rotation_no_old_session_gets_in() {
    let (place, ca, next) = (Place::new(), authority("ca"), authority("next"));
    place.serve(&server(&ca));
    place.write("client-ca.crt", &ca.pair().certificate);
    let mut live = Live::start(&place.settings(Some("client-ca.crt"))).await;
    let old = ca.client("kube-apiserver", DAY).expect("a certificate");
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        place.write("client-ca.crt", &ca.pair().certificate);
        live.tls.reload().expect("it reloads");
        // One session store for all three connections.
        let config = client_speaking(&[version], &ca, Some(&old));
        let mut before = live.connect(&config).await.expect("it connects");
        live.connect(&config).await.expect("it connects");
        for _ in 0..2 {
            let Seen::Accepted { handshake, .. } = live.seen().await else { panic!("refused") };
            assert_ne!(handshake, HandshakeKind::Resumed, "each connection proves its certificate");
        }
        place.write("client-ca.crt", &next.pair().certificate);
        assert_eq!(live.tls.reload().expect("it reloads"), Reloaded::Changed);
        assert!(live.connect(&config).await.is_err());
        assert_eq!(live.seen().await, Seen::Failed(HandshakeFailure::Foreign));
        echo(&mut before).await.expect("the old connection lives");
        let new = next.client("kube-apiserver", DAY).expect("a certificate");
        live.connect(&client_speaking(&[version], &ca, Some(&new))).await.expect("the new client comes in");
        assert!(matches!(live.seen().await, Seen::Accepted { .. }));
    }
}

#[tokio::test]
async fn a_reload_that_fails_keeps_what_was_there() {
    let (place, ca) = (Place::new(), authority("ca"));
    let first = server(&ca);
    place.serve(&first);
    place.write("ca.crt", &ca.pair().certificate);
    let live = Live::start(&place.settings(Some("ca.crt"))).await;
    let identity = ca.client("kube-apiserver", DAY).expect("a certificate");
    let ends = live.tls.ends();
    place.write("tls.key", &server(&ca).key);
    let error = live.tls.reload().expect_err("a key of another certificate").to_string();
    assert!(error.contains("tls.key is not the key of") && error.contains("tls.crt"), "{error}");
    place.serve(&first);
    place.write("ca.crt", "");
    let error = live.tls.reload().expect_err("an empty file").to_string();
    assert!(error.contains("ca.crt: is empty"), "{error}");
    let stream = live.connect(&client(&ca, Some(&identity))).await.expect("it connects");
    assert_eq!(served(&stream), der(&first.certificate));
    assert_eq!(live.tls.ends(), ends);
    place.write("ca.crt", &ca.pair().certificate);
    assert_eq!(live.tls.reload().expect("whole again"), Reloaded::Same);
}

#[tokio::test]
async fn a_self_made_one_is_served_and_renewed_by_a_reload() {
    let place = Place::new();
    let dir = place.path("certs");
    let settings = TlsSettings::SelfMade { dir: dir.clone(), names: vec!["rehearsal.svc".to_owned()], client_ca: None };
    let live = Live::start(&settings).await;
    let trust = fs::read_to_string(dir.join(certificates::CA_CERTIFICATE)).expect("a CA");
    let mut roots = RootCertStore::empty();
    roots.add(der(&trust)).expect("a CA");
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = Arc::new(config);
    let before = served(&live.connect(&config).await.expect("it is trusted"));
    assert_eq!(live.tls.reload().expect("nothing is due"), Reloaded::Same);
    fs::remove_file(dir.join(certificates::KEY)).expect("it was there");
    assert_eq!(live.tls.reload().expect("a new leaf"), Reloaded::Changed);
    assert_ne!(served(&live.connect(&config).await.expect("it is trusted")), before);
}

#[test]
fn a_self_made_one_that_cannot_be_renewed_is_served_as_it_is() {
    let place = TempDir::new().expect("a directory");
    let named = |name: &str| TlsSettings::SelfMade {
        dir: place.path().to_owned(),
        names: vec![name.to_owned()],
        client_ca: None,
    };
    // Where a new key would be written; modes mean nothing to root.
    let in_the_way = place.path().join("tls.key.new");
    fs::create_dir(&in_the_way).expect("made");
    ServerTls::load(&named("a.test")).expect_err("there is none yet to go on with");
    fs::remove_dir(&in_the_way).expect("removed");
    let first = ServerTls::load(&named("a.test")).expect("made").expect("TLS").ends();
    fs::create_dir(&in_the_way).expect("made");
    let kept = ServerTls::load(&named("b.test")).expect("the one that is there").expect("TLS");
    assert_eq!(kept.ends(), first);
    kept.reload().expect_err("a reload says so");
}

#[test]
fn ends_are_told_by_role() {
    let (place, ca, clients) = (Place::new(), authority("ca"), authority("clients"));
    let leaf = server(&ca);
    place.serve(&leaf);
    place.write("tls.crt", &format!("{}{}", leaf.certificate, ca.pair().certificate));
    place.write("ca.crt", &format!("{}{}", clients.pair().certificate, ca.pair().certificate));
    let tls = ServerTls::load(&place.settings(Some("ca.crt"))).expect("it loads").expect("TLS is on");
    let ends = tls.ends();
    let named: Vec<_> = ends.iter().map(|end| (end.role.as_str(), end.name.as_str())).collect();
    let wanted = [("server", "CN=rehearsal"), ("server", "CN=ca"), ("client_ca", "CN=clients"), ("client_ca", "CN=ca")];
    assert_eq!(named, wanted);
    let left = ends[0].end.0 / 1_000 - OffsetDateTime::now_utc().unix_timestamp();
    assert!((DAY.as_secs() as i64 - 60..=DAY.as_secs() as i64).contains(&left), "{left}");
    assert_eq!(tls.files(), [place.path("tls.crt"), place.path("tls.key"), place.path("ca.crt")]);
}

#[test]
fn every_mistake_in_a_file_names_it_and_what_to_do() {
    let (place, ca) = (Place::new(), authority("ca"));
    let good = server(&ca);
    let loaded = |wanted: &str, words: &str| {
        let error = ServerTls::load(&place.settings(Some("ca.crt"))).expect_err(words).to_string();
        let path = place.path(wanted);
        assert!(error.contains(path.to_str().expect("UTF-8")) && error.contains(words), "{error}");
    };
    place.serve(&good);
    loaded("ca.crt", "cannot read");
    let encrypted = good.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let old_encrypted =
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    for (name, content, words) in [
        ("tls.crt", "", "is empty and holds no certificate"),
        ("tls.crt", good.key.as_str(), "holds no certificate"),
        ("tls.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n", "is not whole PEM"),
        (
            "tls.crt",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "first certificate cannot be used",
        ),
        ("tls.key", "", "is empty"),
        ("tls.key", good.certificate.as_str(), "holds no private key"),
        ("tls.key", encrypted.as_str(), "openssl pkey"),
        ("tls.key", old_encrypted, "openssl pkey"),
        ("tls.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "the key cannot be used"),
        ("tls.key", server(&ca).key.as_str(), "is not the key of"),
        (
            "ca.crt",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "certificate 1 cannot be used as a CA",
        ),
    ] {
        place.serve(&good);
        place.write("ca.crt", &ca.pair().certificate);
        place.write(name, content);
        loaded(name, words);
    }
    assert!(ServerTls::load(&TlsSettings::Off).expect("nothing to load").is_none());
}

#[test]
fn each_class_of_failure_has_its_own_label() {
    let all = [
        HandshakeFailure::NoCertificate,
        HandshakeFailure::Expired,
        HandshakeFailure::Foreign,
        HandshakeFailure::Unfit,
        HandshakeFailure::Distrusted,
        HandshakeFailure::NotTls,
        HandshakeFailure::Gone,
        HandshakeFailure::Other,
    ];
    let labels: std::collections::BTreeSet<_> = all.iter().map(|class| class.as_str()).collect();
    assert_eq!(labels.len(), all.len());
    let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
    assert_eq!(HandshakeFailure::of(&late), HandshakeFailure::Other);
}

/// The subject of the certificate that the client proved, as RFC 4514 writes it: `CN=kube-apiserver,O=acme`.
fn peer_subject(connection: &ServerConnection) -> Option<String> {
    let certificate = connection.peer_certificates()?.first()?;
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(subject::text(parsed.subject()))
}
