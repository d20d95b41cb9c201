//! What one review costs, counted: the allocations of its whole way, from the bytes of its request to those of its answer,
//! held against `tests/fixtures/cost.json`. A count is the same on a busy machine.
//!
//! What was made cheaper, or must cost more, is written down by `UPDATE_BASELINE=1 cargo test --test cost`.

mod harness;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use harness::backend::{Backend as ScriptedBackend, Script};
use harness::reviews::fixture;
use prometheus_client::registry::Registry;
use rehearsal::admission::gate::Gate;
use rehearsal::admission::sample::Samples;
use rehearsal::admission::service::{Loaded, Settings};
use rehearsal::admission::{self, Service};
use rehearsal::backend::{self, Backend};
use rehearsal::config::{self, Config};
use rehearsal::policy::Revision;
use rehearsal::policy::revision::Source;
use rehearsal::recorder::Recorder;
use rehearsal::recorder::tickets::Tickets;
use rehearsal::server::activity::Framing;
use rehearsal::server::body::Bounds;
use rehearsal::server::callers::Callers;
use rehearsal::server::connection::Protocols;
use rehearsal::server::metrics::Metrics;
use rehearsal::server::webhook::{self, Webhook};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// Before anything is counted: connections are made, caches filled, an object sampled.
const WARM_UP: u64 = 50;
const COUNTED: u64 = 200;

/// A rise of more is a mistake, or is written down.
const TOLERATED: f64 = 0.05;

/// For one review.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Cost {
    allocations: f64,
    bytes: f64,
}

/// One connection, served on the thread that calls: its counts are all that there are.
struct Connection {
    runtime: Runtime,
    stream: DuplexStream,
    request: Vec<u8>,
    answer: Vec<u8>,
    _dir: TempDir,
}

/// Tests run at once, and each writes the whole file.
static BASELINE: Mutex<()> = Mutex::new(());

#[test]
fn an_answer_without_a_webhook_costs_no_more_than_it_did() {
    hold("answered", "002-admission-v1-create-pod.json", "");
}

#[test]
fn a_forwarded_review_costs_no_more_than_it_did() {
    let backend = ScriptedBackend::start(Script::allow());
    hold("forwarded", "002-admission-v1-create-pod.json", &webhook_policy(&backend.url));
}

#[test]
fn a_large_forwarded_review_costs_no_more_than_it_did() {
    let backend = ScriptedBackend::start(Script::allow());
    hold("forwarded, 36 KB", "026-admission-v1-create-pod.json", &webhook_policy(&backend.url));
}

/// Its object view is made and hashed each time, and the policy evaluated the first time only.
#[test]
fn a_policy_in_rego_that_saw_the_pod_before_costs_no_more_than_it_did() {
    let file = harness::fixtures().join("examples/container-image-whitelist.rego");
    let rego = format!("{{files: ['{}'], entrypoint: data.admission.deny}}", file.display());
    let policy = format!("  - {{name: whitelist, rego: {rego}}}\n");
    hold("answered, with Rego that saw it before", "002-admission-v1-create-pod.json", &policy);
}

fn webhook_policy(url: &str) -> String {
    format!("  - {{name: real, mode: enforce, webhook: {{url: '{url}/', speaks: admission-review}}}}\n")
}

/// Measures the way of `capture` and holds it against the baseline.
fn hold(name: &str, capture: &str, policy: &str) {
    let mut connection = Connection::open(capture, policy);
    connection.ask(WARM_UP);
    let counted = allocation_counter::measure(|| connection.ask(COUNTED));
    let each = |total: u64| (total as f64 / COUNTED as f64).round();
    let cost = Cost { allocations: each(counted.count_total), bytes: each(counted.bytes_total) };
    println!("{name}: {} allocations of {} bytes together", cost.allocations, cost.bytes);

    let _alone = BASELINE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let path = harness::fixtures().join("cost.json");
    let mut baseline = read(&path);
    if std::env::var_os("UPDATE_BASELINE").is_some() {
        baseline.insert(name.to_owned(), cost);
        let text = serde_json::to_string_pretty(&baseline).expect("JSON");
        std::fs::write(&path, text + "\n").expect("the repository is writable");
        return;
    }
    let before = baseline.get(name).unwrap_or_else(|| panic!("{} has no {name:?}", path.display()));
    let rose = |now: f64, before: f64| now > before * (1.0 + TOLERATED);
    assert!(
        !rose(cost.allocations, before.allocations) && !rose(cost.bytes, before.bytes),
        "{name}: a review costs {cost:?}, and has cost {before:?}; if it must, run UPDATE_BASELINE=1 cargo test --test cost"
    );
}

fn read(path: &PathBuf) -> BTreeMap<String, Cost> {
    match std::fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text).expect("the baseline is JSON"),
        Err(_) => BTreeMap::new(),
    }
}

// === impl Connection ===

impl Connection {
    /// The parts of the process, without the drain, whose work comes when it comes.
    fn open(capture: &str, policy: &str) -> Self {
        let dir = TempDir::with_prefix("rehearsal-test-").expect("a temporary directory");
        let config = configuration(&dir, policy);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (stream, served) = tokio::io::duplex(256 << 10);
        let limits = &config.webhook.limits;
        let stack = webhook::stack(Arc::new(Webhook {
            service: service(&config),
            gate: Gate::new(limits.max_in_flight, limits.max_in_flight_bytes),
            bounds: Bounds { max_body: limits.max_body, timeout: config.webhook.timeouts.body },
            callers: Arc::new(Callers::load(&config.cluster, &config.clusters).expect("none is declared")),
            overload: config.overload,
            metrics: Arc::new(Metrics::register(&mut Registry::default())),
        }));
        let protocols = Protocols::new(limits, &config.webhook.timeouts);
        let stop = CancellationToken::new();
        runtime.spawn(async move {
            protocols.serve(served, Framing::Unknown, (([127, 0, 0, 1], 1).into(), None), stack, stop).await
        });
        let body = fixture(capture);
        let head = format!(
            "POST /review?timeout=10s HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             accept: application/json, */*\r\nuser-agent: kube-apiserver-admission\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let request = [head.as_bytes(), &body].concat();
        Self { runtime, stream, request, answer: vec![0; 64 << 10], _dir: dir }
    }

    /// Sends the review `times` over and reads the answers. Allocates nothing itself.
    fn ask(&mut self, times: u64) {
        let Self { runtime, stream, request, answer, .. } = self;
        runtime.block_on(async {
            for _ in 0..times {
                stream.write_all(request).await.expect("it is served");
                let mut read = 0;
                while !is_whole(&answer[..read]) {
                    let more = stream.read(&mut answer[read..]).await.expect("it is served");
                    assert!(more > 0, "it ended: {}", String::from_utf8_lossy(&answer[..read]));
                    read += more;
                }
                assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..read]));
            }
        });
    }
}

/// An answer is one JSON object.
fn is_whole(answer: &[u8]) -> bool {
    answer.ends_with(b"}}") || answer.ends_with(b"}}\n")
}

fn configuration(dir: &TempDir, policy: &str) -> Config {
    let path = dir.path().join("rehearsal.yaml");
    let rules = "rules: [{id: no-latest, deny: {tag: latest}}, {id: digest, require: digest}]";
    let text = format!(
        "webhook: {{tls: off}}\njournal: {{durability: process}}\npolicies:\n  - {{name: images, {rules}}}\n{policy}"
    );
    std::fs::write(&path, text).expect("the test's directory is writable");
    let loaded = config::judging(Some(&path), std::iter::empty(), &|_| Vec::new());
    loaded.unwrap_or_else(|mistakes| panic!("{mistakes}")).config
}

fn service(config: &Config) -> Service {
    let mut registry = Registry::default();
    let revision = Revision::load(&config.policies, &config.staging).expect("the test's policies");
    let metrics = backend::metrics::Metrics::register(&mut registry);
    let backends = revision.policies.iter().map(|policy| match &policy.source {
        Source::Webhook(settings) => Some(Arc::new(Backend::new(&policy.name, settings, &metrics).expect("a URL"))),
        Source::Rules(_) | Source::Rego(_) | Source::Gatekeeper(_) => None,
    });
    let backends = backends.collect();
    let settings = Settings {
        warn_wait: config.warn_wait,
        public_url: None,
        style: config.answer_style,
        on_failure: config.journal.on_failure,
        samples: Samples::new(config.history.objects),
        tickets: Tickets::in_memory(),
        patience: config.journal.max_wait,
    };
    let recorder = Recorder::open(&config.journal).expect("the test's directory is writable");
    let counters = Arc::new(admission::metrics::Metrics::register(&mut registry));
    Service::new(Loaded::new(revision, backends), recorder, counters, settings)
}
