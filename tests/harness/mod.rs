//! The real binary in a directory of its own, started on free ports, driven over real sockets.
//!
//! ```ignore
//! let rehearsal = Rehearsal::builder().config("warn_wait: 50ms").start().await;
//! let response = rehearsal.post("/image_policy", fixture("004-image-review.json")).await;
//! ```
#![allow(dead_code, unused_imports, reason = "each test binary uses its own part of the harness")]

pub mod backend;
pub mod browser;
pub mod certs;
pub mod cluster;
mod files;
pub mod http;
pub mod link;
pub mod orphan;
pub mod peers;
pub mod postgres;
pub mod process;
pub mod raw;
pub mod reviews;

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::future::Future;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;

pub use files::{files, fixtures, repository};
use http::{HttpClient, Response};
use process::{Ended, Process};

/// How long a condition may take to hold. Far more than it needs on a loaded machine, far less than a hung test.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// The user and group without any rights, by the same number on every Linux.
const NOBODY: u32 = 65534;

/// A running `rehearsal`. Dropping it kills the process.
#[derive(Debug)]
pub struct Rehearsal {
    launch: Launch,
    process: Process,
    webhook: Url,
    report: Url,
    client: HttpClient,
}

/// What to run, where, with which settings.
#[derive(Debug, Clone)]
pub struct Builder {
    dir: Arc<TempDir>,
    args: Vec<String>,
    config: Option<Value>,
    env: Vec<(String, String)>,
    identity: Option<certs::Identity>,
    trust: Option<String>,
    alpn: http::Alpn,
    privileges: Privileges,
    prelude: Option<String>,
}

/// Whose rights the process has.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Privileges {
    Own,
    /// Those of nobody where the tests run as root, to whom file modes mean nothing.
    Dropped,
}

/// A builder that was started: enough to start it again.
type Launch = Builder;

/// `https://127.0.0.1:4711`, taken apart.
#[derive(Debug, Clone)]
pub struct Url {
    pub text: String,
    pub addr: SocketAddr,
    pub tls: bool,
}

/// `rehearsal ARGS` to its end in `dir`.
pub fn run(dir: &Path, args: &[&str]) -> Ended {
    let output = command(dir, &[], None).args(args).stdin(Stdio::null()).output().expect("the binary runs");
    Ended::from(output)
}

/// Says that a part of a test could not be run here, and why. Not by `println!`, which is kept back when a test passes.
pub fn not_run(why: &str) {
    // Once in a process, whoever asks.
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if !SAID.lock().unwrap_or_else(PoisonError::into_inner).insert(why.to_owned()) {
        return;
    }
    let said = writeln!(std::io::stderr(), "not run: {why}");
    said.expect("standard error is there");
}

/// Polls `condition` until it gives a value.
///
/// # Panics
/// When it gives none within [`DEADLINE`].
pub async fn wait_for<T, F: Future<Output = Option<T>>>(what: &str, mut condition: impl FnMut() -> F) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(started.elapsed() < DEADLINE, "waited {DEADLINE:?} in vain: {what}");
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
}

/// A port that was free a moment ago, for a server that cannot report the one it was given.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").expect("loopback").local_addr().expect("bound").port()
}

/// `prelude` is what a shell does before it becomes the binary.
fn command(dir: &Path, env: &[(String, String)], prelude: Option<&str>) -> Command {
    let binary = env!("CARGO_BIN_EXE_rehearsal");
    let mut command = Command::new(if prelude.is_none() { binary } else { "sh" });
    if let Some(prelude) = prelude {
        command.args(["-c", &format!("{prelude}; exec \"$0\" \"$@\""), binary]);
    }
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("REHEARSAL_") || name.starts_with("BOUNCER_"))
    {
        command.env_remove(name);
    }
    command.current_dir(dir).envs(env.iter().cloned());
    command
}

// === impl Builder ===

impl Builder {
    fn new() -> Self {
        Self {
            dir: Arc::new(TempDir::with_prefix("rehearsal-test-").expect("a temporary directory")),
            args: vec!["serve".to_owned()],
            config: None,
            env: Vec::new(),
            identity: None,
            trust: None,
            alpn: http::Alpn::Any,
            privileges: Privileges::Own,
            prelude: None,
        }
    }

    /// The configuration file; listeners that it does not set get a free port.
    pub fn config(mut self, yaml: &str) -> Self {
        let given: Value = if yaml.trim().is_empty() {
            json!({})
        } else {
            serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("the test's configuration: {error}\n{yaml}"))
        };
        self.config = Some(given);
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Instead of `serve`; the caller names the ports.
    pub fn args(mut self, args: &[&str]) -> Self {
        self.args = args.iter().map(|arg| (*arg).to_owned()).collect();
        self
    }

    /// Writes a file beside the configuration.
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.dir.path().join(name), content).expect("the test's directory is writable");
        self
    }

    /// What the harness's own client presents.
    pub fn identity(mut self, identity: certs::Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// PEM of the CA that the harness's own client trusts, where it is not the self-made one.
    pub fn trust(mut self, ca_pem: &str) -> Self {
        self.trust = Some(ca_pem.to_owned());
        self
    }

    /// The HTTP version of the harness's own client.
    pub fn alpn(mut self, alpn: http::Alpn) -> Self {
        self.alpn = alpn;
        self
    }

    /// With its history in the database at `url`, and the harness's password for it in `pg.txt`; after [`Self::config`].
    pub fn on_postgres(mut self, url: &str) -> Self {
        let config = self.config.get_or_insert_with(|| json!({}));
        config["store"]["url"] = json!(url);
        config["store"]["password_file"] = json!("pg.txt");
        self.file("pg.txt", postgres::PASSWORD)
    }

    /// Without root's right to write where modes forbid it.
    pub fn unprivileged(mut self) -> Self {
        self.privileges = Privileges::Dropped;
        std::fs::set_permissions(self.dir.path(), Permissions::from_mode(0o777)).expect("our own directory");
        self
    }

    /// Has a shell do this before it becomes the binary.
    pub fn prelude(mut self, shell: &str) -> Self {
        self.prelude = Some(shell.to_owned());
        self
    }

    /// On a disk that can be full later on. A limit on the size of its files stands for it: writes fail as they would.
    pub fn limited_disk(self) -> Self {
        self.prelude("trap '' XFSZ")
    }

    pub fn full_disk(self) -> Self {
        self.prelude("trap '' XFSZ; ulimit -S -f 0")
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts it and waits for its start lines.
    ///
    /// # Panics
    /// With its log when it ends instead, or says nothing.
    pub async fn start(self) -> Rehearsal {
        let process = self.spawn();
        let started = Instant::now();
        let (webhook, report) = loop {
            let stdout = process.stdout();
            if let (Some(webhook), Some(report)) = (start_line(&stdout, "webhook"), start_line(&stdout, "report")) {
                break (webhook, report);
            }
            let ended = process.ended();
            assert!(
                ended.is_none() && started.elapsed() < DEADLINE,
                "no start lines ({ended:?})\nstdout:\n{stdout}\nstderr:\n{}",
                process.stderr()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let client = self.client(&process);
        Rehearsal { launch: self, process, webhook, report, client }
    }

    /// Starts what is expected to end by itself.
    pub async fn ends(self) -> Ended {
        let mut process = self.spawn();
        let code = process.wait(DEADLINE).await;
        // The readers see the end of the pipes a moment after the process has ended.
        wait_for("the end of the output", || async { process.drained().then_some(()) }).await;
        Ended { code, stdout: process.stdout(), stderr: process.stderr() }
    }

    /// Starts it, and waits for nothing.
    pub fn spawn(&self) -> Process {
        let mut args = self.args.clone();
        if let Some(config) = &self.config {
            let path = self.dir.path().join("rehearsal.yaml");
            let text = serde_json::to_string_pretty(&with_defaults(config.clone())).expect("JSON");
            std::fs::write(&path, text).expect("the test's directory is writable");
            args.extend(["--config".to_owned(), path.display().to_string()]);
        }
        let mut command = command(self.dir.path(), &self.env, self.prelude.as_deref());
        if self.config.is_none() {
            for name in ["REHEARSAL_WEBHOOK_LISTEN", "REHEARSAL_REPORT_LISTEN"] {
                if !self.env.iter().any(|(given, _)| given == name) {
                    command.env(name, "127.0.0.1:0");
                }
            }
        }
        if self.privileges == Privileges::Dropped && std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
            command.uid(NOBODY).gid(NOBODY);
        }
        Process::spawn(command.args(&args))
    }

    fn client(&self, process: &Process) -> HttpClient {
        let trust = self.trust.clone().or_else(|| ca_pem(&process.stdout(), self.dir.path()));
        HttpClient::new(trust.as_deref(), self.identity.as_ref(), self.alpn)
    }
}

/// What a test does not set of `config`: a free port for each listener, and patience with the disk, for which everything
/// else on the machine waits, too.
fn with_defaults(mut config: Value) -> Value {
    let defaults =
        [("webhook", "listen", "127.0.0.1:0"), ("report", "listen", "127.0.0.1:0"), ("journal", "max_wait", "5s")];
    for (part, field, value) in defaults {
        let Some(top) = config.as_object_mut() else { return config };
        let section = top.entry(part).or_insert_with(|| json!({}));
        if let Some(section) = section.as_object_mut() {
            section.entry(field).or_insert_with(|| json!(value));
        }
    }
    config
}

fn start_line(stdout: &str, word: &str) -> Option<Url> {
    let text = stdout.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' '))?.trim().to_owned();
    let (scheme, addr) = text.split_once("://")?;
    let addr = addr.trim_end_matches('/').parse().ok()?;
    let tls = scheme == "https";
    Some(Url { text: text.trim_end_matches('/').to_owned(), addr, tls })
}

/// The CA named in the ready-to-paste curl line.
fn ca_pem(stdout: &str, dir: &Path) -> Option<String> {
    let mut words = stdout.split_whitespace();
    words.find(|word| *word == "--cacert")?;
    let path = dir.join(words.next()?.trim_matches(['\'', '"']));
    Some(std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

// === impl Rehearsal ===

impl Rehearsal {
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub fn webhook_url(&self) -> &str {
        &self.webhook.text
    }

    pub fn report_url(&self) -> &str {
        &self.report.text
    }

    pub fn webhook(&self) -> &Url {
        &self.webhook
    }

    pub fn report(&self) -> &Url {
        &self.report
    }

    pub fn client(&self) -> &HttpClient {
        &self.client
    }

    /// Of the self-made CA.
    pub fn ca_pem(&self) -> String {
        ca_pem(&self.process.stdout(), self.dir()).expect("the curl line names the CA")
    }

    pub fn dir(&self) -> &Path {
        self.launch.dir.path()
    }

    pub fn data_dir(&self) -> PathBuf {
        self.dir().join("rehearsal-data")
    }

    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    pub fn stdout(&self) -> String {
        self.process.stdout()
    }

    /// The log so far.
    pub fn log(&self) -> String {
        self.process.stderr()
    }

    /// A review to the webhook.
    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Response {
        self.client.post(&format!("{}{path}", self.webhook.text), body).await
    }

    /// [`Self::post`] of a value.
    pub async fn review(&self, path: &str, body: &Value) -> Response {
        self.post(path, body.to_string()).await
    }

    /// A page or an answer of the report's listener.
    pub async fn get(&self, path: &str) -> Response {
        self.client.get(&format!("{}{path}", self.report.text)).await
    }

    /// A 200 of the report's listener, as JSON.
    pub async fn get_json(&self, path: &str) -> Value {
        let response = self.get(path).await;
        assert_eq!(response.status, 200, "{path}: {}", response.text());
        response.json()
    }

    /// The API's decisions under `query`, once there are `count`.
    pub async fn decisions(&self, query: &str, count: usize) -> Vec<Value> {
        let path = format!("/api/v1/decisions?limit=1000&{query}");
        wait_for(&format!("{count} decisions of {path}"), || async {
            let mut page = self.get_json(&path).await;
            let decisions = page["decisions"].as_array_mut().expect("a list");
            assert!(decisions.len() <= count, "{} decisions of {path}, {count} expected", decisions.len());
            (decisions.len() == count).then(|| std::mem::take(decisions))
        })
        .await
    }

    /// Waits until nothing of the journal is left to store.
    pub async fn drained(&self) {
        wait_for("an empty journal", || async {
            let waiting = self.metric("rehearsal_journal_backlog_records", &[]).await;
            let failed = self.metric("rehearsal_journal_failed", &[]).await;
            (waiting < 0.5 && failed < 0.5).then_some(())
        })
        .await;
    }

    /// The only decision under `query`.
    pub async fn decision(&self, query: &str) -> Value {
        self.decisions(query, 1).await.remove(0)
    }

    /// The sum of the samples of a metric whose labels contain all of `labels` (`name="value"`).
    pub async fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let response = self.get("/metrics").await;
        assert_eq!(response.status, 200, "/metrics");
        http::metric(&response.text(), name, labels)
    }

    /// From now on nothing can be written; the process was started on a limited disk.
    pub fn fill_disk(&self) {
        self.limit_files("0");
    }

    pub fn free_disk(&self) {
        self.limit_files("unlimited");
    }

    fn limit_files(&self, size: &str) {
        let limit = format!("--fsize={size}:");
        let set = Command::new("prlimit").args(["--pid", &self.pid().to_string(), &limit]).status();
        assert!(set.expect("prlimit, of util-linux").success());
    }

    pub fn sigterm(&self) {
        self.process.signal("TERM");
    }

    pub fn sighup(&self) {
        self.process.signal("HUP");
    }

    /// A power cut, as far as the process can tell.
    pub fn kill9(&mut self) {
        self.process.child.kill().expect("our own child");
        self.process.child.wait().expect("our own child");
    }

    /// Waits for its end. `None`: a signal ended it.
    pub async fn exit_code(&mut self) -> Option<i32> {
        self.process.wait(DEADLINE).await
    }

    /// Starts the same again, over the same directory, once it has ended or been killed.
    pub async fn restart(mut self) -> Self {
        if self.process.child.try_wait().expect("our own child").is_none() {
            self.kill9();
        }
        self.launch.clone().start().await
    }
}
