//! From what was written to what is meant: paths and defaults that depend on others, and the mistakes that only show
//! when two values are seen together.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::policy::settings::{AnswerStyle, StagingSettings};
use crate::recorder::settings::{JOURNAL, JournalSettings, LEAST_MAX_SIZE};
use crate::server::settings::{Limits, Timeouts, TlsSettings, WebhookListenerSettings};
use crate::store::settings::HistorySettings;
use crate::web::settings::ReportSettings;

use super::access::{self, ReadAccess};
use super::break_glass;
use super::candidates::Candidates;
use super::clusters;
use super::exemptions::{self, ReadExemptions};
use super::files::{NamedFile, Purpose};
use super::form::{Form as _, Size, Written};
use super::mistake::{Mistakes, Place, Wrong};
use super::policies::{self, ReadPolicies};
use super::readiness;
use super::staging;
use super::store;
use super::tree::Node;
use super::written::{self, Document, Tls};
use super::{Config, LogSettings, ShutdownSettings};

/// What the meaning of a document is found with, and what comes up on the way.
pub struct Ground<'a> {
    /// What was written, for its places.
    pub tree: &'a Node,
    /// Relative paths are relative to it.
    pub base: &'a Path,
    pub mistakes: &'a mut Mistakes,
    pub warnings: &'a mut Vec<String>,
    pub files: &'a mut Vec<NamedFile>,
    /// Where this process runs, when that is in a pod.
    pub own_namespace: Option<String>,
}

/// The meaning of `document`. Right only where no mistakes came up.
pub fn of(
    document: Document,
    ground: &mut Ground<'_>,
) -> (Config, ReadPolicies, Candidates, ReadExemptions, ReadAccess) {
    let data_dir = ground.path(&document.data_dir);
    let policies = policies::of(document.policies, ground);
    let candidates = Candidates::of(document.candidates, ground);
    let exemptions = exemptions::of(document.exemptions, &policies.settings, ground);
    clusters::unreserved(&document.cluster.0.0, "cluster", ground);
    let webhook = webhook(document.webhook, &data_dir, ground);
    let retention = store::retention(document.retention, ground);
    let readiness = readiness::of(document.readiness, retention.rollups, ground);
    let report_tls = access::tls(document.report.tls.as_ref(), ground);
    let (report, access) = report(document.report, &report_tls, ground);
    let config = Config {
        cluster: document.cluster.0.0,
        clusters: clusters::of(document.clusters, &webhook.tls, ground),
        webhook,
        report,
        report_tls,
        admin: document.admin.listen.map(|listen| listen.0),
        store: store::store(document.store, &data_dir, ground),
        journal: journal(document.journal, &data_dir, ground),
        history: HistorySettings {
            objects: document.history.objects,
            max_names: document.history.max_names,
            retention,
        },
        readiness,
        overload: document.overload,
        warn_wait: document.warn_wait.0,
        shutdown: ShutdownSettings { delay: document.shutdown.delay.0, grace: document.shutdown.grace.0 },
        answer_style: AnswerStyle::Prefixed,
        log: LogSettings { format: document.log.format, level: document.log.level },
        policies: policies.settings.clone(),
        staging: StagingSettings {
            system: staging::system(document.system_namespaces, document.system_max_mode, ground),
            exemptions: exemptions.settings.clone(),
            break_glass: break_glass::of(document.break_glass, &policies.settings, ground),
            candidates: Vec::new(),
        },
        data_dir,
    };
    apart(&config, ground);
    (config, policies, candidates, exemptions, access)
}

fn webhook(webhook: written::Webhook, data_dir: &Path, ground: &mut Ground<'_>) -> WebhookListenerSettings {
    let listen = webhook.listen.0;
    let tls = tls(webhook.tls, listen, data_dir, ground);
    authenticated(&tls, listen, webhook.unauthenticated, ground);
    let timeouts = webhook.timeouts;
    WebhookListenerSettings {
        listen,
        tls,
        limits: limits(webhook.limits, ground),
        timeouts: Timeouts {
            handshake: ground.not_zero("webhook.timeouts.handshake", timeouts.handshake),
            header: ground.not_zero("webhook.timeouts.header", timeouts.header),
            body: ground.not_zero("webhook.timeouts.body", timeouts.body),
            idle: ground.not_zero("webhook.timeouts.idle", timeouts.idle),
            connection_age: ground.not_zero("webhook.timeouts.connection_age", timeouts.connection_age),
        },
    }
}

const WHY_NOT_PLAIN: &str =
    "without TLS anyone between reads what runs in the cluster and can answer in Rehearsal's name";
const WHY_NOT_SELF_MADE: &str = "the certificate that Rehearsal makes for itself comes from a CA that is for one process \
                                 on one machine: no other replica shares it";

fn tls(tls: Option<Tls>, listen: SocketAddr, data_dir: &Path, ground: &mut Ground<'_>) -> TlsSettings {
    let keys = match tls {
        Some(Tls::Off(_)) => {
            needs_certificate(listen, WHY_NOT_PLAIN, ground);
            return TlsSettings::Off;
        }
        Some(Tls::Keys(keys)) => keys,
        None => written::TlsKeys::default(),
    };
    let client_ca = keys.client_ca.map(|file| ground.file("webhook.tls.client_ca", &file, Purpose::Authorities));
    let given = |name: &str| ground.tree.at(&format!("webhook.tls.{name}")).is_some();
    match (given("certificate"), given("key"), given("self_made")) {
        (false, false, explicit) => {
            if !explicit {
                needs_certificate(listen, WHY_NOT_SELF_MADE, ground);
            }
            let extra = keys.self_made.and_then(|made| made.names).unwrap_or_default();
            let extra = extra.into_iter().map(|name| name.0.0);
            return TlsSettings::SelfMade { dir: data_dir.join("tls"), names: names(listen, extra), client_ca };
        }
        (_, _, true) => ground.wrong(
            "webhook.tls.self_made",
            Wrong::new("stands beside certificate or key", "keep either the files or self_made"),
        ),
        (true, false, false) => {
            ground.wrong("webhook.tls.certificate", Wrong::new("stands without key", "add `key: FILE`"));
        }
        (false, true, false) => {
            ground.wrong("webhook.tls.key", Wrong::new("stands without certificate", "add `certificate: FILE`"));
        }
        (true, true, false) => {}
    }
    match (keys.certificate, keys.key) {
        (Some(certificate), Some(key)) => {
            let certificate = ground.file("webhook.tls.certificate", &certificate, Purpose::Certificate);
            let purpose = Purpose::KeyOf { field: "webhook.tls.certificate".to_owned(), path: certificate.clone() };
            TlsSettings::Files { key: ground.file("webhook.tls.key", &key, purpose), certificate, client_ca }
        }
        // Already a mistake.
        _ => TlsSettings::Off,
    }
}

/// For what the self-made certificate is: how a machine calls itself, then what the configuration names.
fn names(listen: SocketAddr, extra: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    let own = Some(listen.ip()).filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string());
    for name in own.into_iter().chain(extra) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn needs_certificate(listen: SocketAddr, why: &str, ground: &mut Ground<'_>) {
    if is_loopback(listen) || ground.mistakes.at("webhook.tls") {
        return;
    }
    let wrong = Wrong::new(
        format!("{listen} can be reached from other machines, and {why}"),
        "give `certificate` and `key` files (`rehearsal certs` makes some), or say \
         `tls: {self_made: {names: [NAME, ..]}}`, or listen on 127.0.0.1",
    );
    ground.wrong_near("webhook.tls", "webhook.listen", wrong);
}

fn authenticated(tls: &TlsSettings, listen: SocketAddr, unauthenticated: bool, ground: &mut Ground<'_>) {
    let client_ca = match tls {
        TlsSettings::Off => false,
        TlsSettings::Files { client_ca, .. } | TlsSettings::SelfMade { client_ca, .. } => client_ca.is_some(),
    } || ground.tree.at("webhook.tls.client_ca").is_some();
    if unauthenticated && client_ca {
        ground.warnings.push(
            "webhook.unauthenticated has no effect: webhook.tls.client_ca is given, so a client certificate is required"
                .to_owned(),
        );
    }
    let settled = client_ca || unauthenticated || ground.mistakes.at("webhook.unauthenticated");
    if is_loopback(listen) || settled {
        return;
    }
    let wrong = Wrong::new(
        format!(
            "{listen} asks nobody for a certificate: anyone who reaches the port could fill the history with made-up \
             reviews and probe the policies"
        ),
        "give the CA of the API server's client certificate as `webhook.tls.client_ca`, or accept that with \
         `webhook.unauthenticated: true`",
    );
    ground.wrong_near("webhook.tls.client_ca", "webhook.listen", wrong);
}

fn limits(limits: written::Limits, ground: &mut Ground<'_>) -> Limits {
    /// The window of an HTTP/2 connection holds a whole body and ends at 2 GiB.
    const LARGEST_BODY: Size = Size(1 << 30);
    let Size(max_body) = limits.max_body.0;
    let Size(max_in_flight_bytes) = limits.max_in_flight_bytes.0;
    let bytes = "webhook.limits.max_in_flight_bytes";
    if !(1..=LARGEST_BODY.0).contains(&max_body) {
        let fix = format!("write a size up to {}", LARGEST_BODY.write());
        ground.wrong(
            "webhook.limits.max_body",
            Wrong::new(format!("{} is no usable limit", limits.max_body.0.write()), fix),
        );
    } else if max_in_flight_bytes < max_body && !ground.mistakes.touch(bytes) {
        let wrong = Wrong::new(
            format!("{} is less than one body may have", limits.max_in_flight_bytes.0.write()),
            format!("write at least webhook.limits.max_body, {}", limits.max_body.0.write()),
        );
        ground.wrong_near(bytes, "webhook.limits.max_body", wrong);
    }
    Limits {
        max_body,
        max_in_flight: count(limits.max_in_flight),
        max_in_flight_bytes,
        connections: count(limits.connections),
    }
}

/// A number that the schema bounds to a million.
pub fn count(number: u64) -> usize {
    usize::try_from(number).expect("the reader lets no count over a million pass")
}

fn report(report: written::Report, tls: &TlsSettings, ground: &mut Ground<'_>) -> (ReportSettings, ReadAccess) {
    let (access, read) = access::of(&report, tls, ground);
    let listen = report.listen.0;
    let hosts: Vec<String> = report.hosts.into_iter().map(|host| host.0.0).collect();
    let public_url = report.public_url.map(|url| url.0);
    (ReportSettings { listen, time_zone: report.time_zone.0, public_url, hosts, access }, read)
}

fn journal(journal: written::Journal, data_dir: &Path, ground: &mut Ground<'_>) -> JournalSettings {
    let Size(max_size) = journal.max_size.0;
    if max_size < LEAST_MAX_SIZE {
        let problem = format!("{} may not hold a single decision", journal.max_size.0.write());
        let fix = format!("write at least {}, or better some GiB", Size(LEAST_MAX_SIZE).write());
        ground.wrong("journal.max_size", Wrong::new(problem, fix));
    }
    JournalSettings {
        dir: data_dir.join(JOURNAL),
        durability: journal.durability,
        max_size,
        max_wait: ground.not_zero("journal.max_wait", journal.max_wait),
        on_failure: journal.on_failure,
    }
}

/// No two listeners want the same port.
fn apart(config: &Config, ground: &mut Ground<'_>) {
    let mut taken = Vec::new();
    if !ground.mistakes.at("webhook.listen") {
        taken.push(("webhook.listen", config.webhook.listen));
    }
    for (field, listen) in [("report.listen", Some(config.report.listen)), ("admin.listen", config.admin)] {
        let Some(listen) = listen.filter(|_| !ground.mistakes.at(field)) else { continue };
        if let Some((other, _)) = taken.iter().find(|(_, other)| collide(*other, listen)) {
            let wrong = Wrong::new(format!("{listen} is what {other} listens on"), "give each listener its own port");
            ground.wrong(field, wrong);
        }
        taken.push((field, listen));
    }
}

fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let same_port = a.port() == b.port() && a.port() != 0;
    same_port && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
}

pub fn is_loopback(listen: SocketAddr) -> bool {
    listen.ip().to_canonical().is_loopback()
}

// === impl Ground ===

impl Ground<'_> {
    pub fn wrong(&mut self, field: &str, wrong: Wrong) {
        self.mistakes.add(self.tree.place_of(field), field, wrong);
    }

    /// As [`Ground::wrong`], unless `field` itself is known to be mistaken.
    pub fn wrong_once(&mut self, field: &str, wrong: Wrong) {
        if !self.mistakes.at(field) {
            self.wrong(field, wrong);
        }
    }

    /// As [`Ground::wrong`], shown at `near` where `field` itself was not written.
    pub fn wrong_near(&mut self, field: &str, near: &str, wrong: Wrong) {
        let place: &Place = self.tree.place_of(if self.tree.at(field).is_some() { field } else { near });
        self.mistakes.add(place, field, wrong);
    }

    pub fn path(&self, path: &Written<PathBuf>) -> PathBuf {
        let path = self.base.join(path.0.strip_prefix(".").unwrap_or(&path.0));
        if path.as_os_str().is_empty() { PathBuf::from(".") } else { path }
    }

    /// A file that the configuration names.
    pub fn file(&mut self, field: &str, path: &Written<PathBuf>, purpose: Purpose) -> PathBuf {
        let path = self.path(path);
        self.files.push(NamedFile { field: field.to_owned(), path: path.clone(), purpose });
        path
    }

    pub fn not_zero(&mut self, field: &str, duration: Written<Duration>) -> Duration {
        if duration.0.is_zero() {
            self.wrong(field, Wrong::new("nothing is done in no time", "write a duration above 0s, such as 10s"));
        }
        duration.0
    }
}
