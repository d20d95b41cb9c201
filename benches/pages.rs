//! How long the report's pages and the API take over a large history and over a small one: the real binary over HTTP.
//!
//! `cargo bench --bench pages -- [PAIRS] [FILTER..]`. `SIZES=1000000,100000000` says how many decisions each has (on
//! Postgres as `POSTGRES_SIZES`), `HISTORIES` a folder in which SQLite's are made once and kept: a hundred million need
//! 20 GB.

#[path = "../tests/harness/mod.rs"]
mod harness;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use harness::Rehearsal;
use harness::postgres::{PASSWORD, Server};
use serde_json::Value;
use support::Run;
use support::bare;
use support::statistics::{Estimate, Pairs, Target, percentile};
use support::table::{Table, number};
use tokio::runtime::Runtime;

/// Requests of one measurement.
const REQUESTS: usize = 40;

/// What is asked for; `{..}` is filled with what the history has, another for each request.
const PAGES: [&str; 16] = [
    "/",
    "/?since=24h",
    "/?since=90d",
    "/?cluster=prod-eu",
    "/decisions",
    "/decisions?cluster=staging",
    "/decisions?namespace={namespace}",
    "/decisions?rule={rule}",
    "/decisions?policy=images",
    "/decisions?image={image}",
    "/decisions?uid={uid}",
    "/decisions?answer=denied",
    "/decisions?would_reject=true",
    "/decisions?dry_run=true",
    "/decisions/{id}",
    "/api/v1/summary?since=7d",
];

fn main() {
    let (run, runtime) = (Run::from_args(), bare::runtime());
    let folder = std::env::var_os("HISTORIES").map(PathBuf::from);
    let made = tempfile::tempdir().expect("a folder");
    let folder = folder.as_deref().unwrap_or(made.path());
    if run.wants("SQLite") {
        let [small, large] = sizes(&run, "SIZES", "1000000,100000000");
        let configs = [small, large].map(|size| sqlite(folder, size));
        compare(&run, &runtime, &format!("SQLite: {large} decisions against {small}"), &configs);
    }
    if run.wants("Postgres") {
        let server = Server::start(&["shared_buffers = 512MB", "max_wal_size = 4GB", "fsync = off"]);
        let [small, large] = sizes(&run, "POSTGRES_SIZES", "1000000,10000000");
        let configs = [small, large].map(|size| on_postgres(&server, size));
        compare(&run, &runtime, &format!("Postgres: {large} decisions against {small}"), &configs);
    }
}

fn sizes(run: &Run, variable: &str, usual: &str) -> [u64; 2] {
    let text = std::env::var(variable).unwrap_or_else(|_| usual.to_owned());
    let sizes: Vec<u64> = text.split(',').map(|size| size.parse().expect("a number")).collect();
    if run.smoke { [1_000, 2_000] } else { sizes.try_into().expect("two sizes") }
}

fn sqlite(folder: &Path, size: u64) -> String {
    let data = folder.join(size.to_string());
    let config = format!("data_dir: '{}'", data.display());
    if !data.join("history.sqlite").exists() {
        fs::create_dir_all(&data).expect("a folder");
        generate(&data, &config, size);
    }
    config
}

fn on_postgres(server: &Server, size: u64) -> String {
    let folder = tempfile::tempdir().expect("a folder").keep();
    fs::write(folder.join("password"), PASSWORD).expect("a password file");
    let config = format!(
        "data_dir: '{}'\nstore: {{url: '{}', password_file: '{}'}}",
        folder.display(),
        server.url(&server.database()),
        folder.join("password").display()
    );
    generate(&folder, &config, size);
    config
}

fn generate(folder: &Path, config: &str, size: u64) {
    fs::write(folder.join("generate.yaml"), config).expect("a file");
    let size = size.to_string();
    let args = ["generate", "--decisions", &size, "--config", "generate.yaml"];
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_rehearsal")).args(args).current_dir(folder).output();
    let output = output.expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    println!("{}", String::from_utf8_lossy(&output.stdout).trim());
}

fn compare(run: &Run, runtime: &Runtime, title: &str, configs: &[String; 2]) {
    let [small, large] = configs.each_ref().map(|config| {
        runtime.block_on(async {
            let served = Rehearsal::builder().config(config).start().await;
            let known = Known::of(&served).await;
            (served, known)
        })
    });
    let mut table = Table::of_pairs(title, "small, p95");
    let mut worst: Vec<(String, Estimate)> = Vec::new();
    for page in PAGES {
        let measure = |(served, known): &(Rehearsal, Known)| {
            runtime.block_on(p95(served, known, page, if run.smoke { 2 } else { REQUESTS }))
        };
        let pairs: Pairs = run.pairs(|| measure(&large), || measure(&small));
        worst.push((page.to_owned(), pairs.ours()));
        table.push_pairs(page, "ms", &pairs, Target::AtMost(1.5));
    }
    table.print();
    let mut table = Table::of_figures(&format!("{title}: p95 of the large one"));
    for (page, estimate) in worst {
        table.push_figure(&page, "ms", &estimate, Target::AtMost(50.0));
    }
    table.print();
    println!("(p95 of {} requests, one after the other)", number(REQUESTS as f64));
}

/// Milliseconds below which 95 of 100 answers come.
async fn p95(served: &Rehearsal, known: &Known, page: &str, requests: usize) -> f64 {
    let mut spent = Vec::with_capacity(requests);
    for number in 0..requests {
        let path = known.fill(page, number);
        let began = Instant::now();
        let response = served.get(&path).await;
        spent.push(began.elapsed().as_secs_f64() * 1_000.0);
        assert_eq!(response.status, 200, "{path}");
    }
    percentile(&mut spent, 0.95)
}

/// Values of filters that the history has.
struct Known(Vec<Value>);

// === impl Known ===

impl Known {
    async fn of(served: &Rehearsal) -> Self {
        let mut decisions = Vec::new();
        for days in [0, 3, 20, 60] {
            let page = served.get_json(&format!("/api/v1/decisions?limit=50&until={days}d")).await;
            decisions.extend(page["decisions"].as_array().expect("a list").clone());
        }
        Self(decisions)
    }

    fn fill(&self, page: &str, number: usize) -> String {
        const RULES: [&str; 3] = ["no-latest", "own-registry", "not-root"];
        let decision = &self.0[number * 7 % self.0.len()];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        page.replace("{id}", &text(&decision["id"]))
            .replace("{uid}", &text(&decision["uid"]))
            .replace("{namespace}", &text(&decision["namespace"]))
            .replace("{image}", &text(&decision["images"][0]["text"]))
            .replace("{rule}", RULES[number % RULES.len()])
    }
}
