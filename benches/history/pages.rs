//! How long the report's pages and the API take over a large history and over a small one: the real binary over HTTP.

use std::cell::LazyCell;
use std::time::Instant;

use crate::harness::Rehearsal;
use crate::harness::postgres::Server;
use crate::made::Made;
use crate::support::Run;
use crate::support::statistics::{Estimate, Pairs, Target, percentile};
use crate::support::table::{Table, number};
use serde_json::Value;
use tokio::runtime::Runtime;

/// Requests of one measurement.
const REQUESTS: usize = 40;

/// What is asked for; `{..}` is filled with what the history has, another for each request.
const PAGES: [&str; 34] = [
    "/",
    "/?since=24h",
    "/?since=90d",
    "/?cluster=prod-eu",
    "/namespaces",
    "/namespaces/{cluster}/{namespace}",
    "/images",
    "/images?repository={repository}",
    "/images/reference?image={image}",
    "/rules",
    "/rules?cluster=prod-eu",
    "/rules/images/no-latest",
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
    "/agreement",
    "/candidates",
    "/inventory",
    "/clusters",
    "/clusters?cluster=prod-eu&gate=not",
    "/exemptions",
    "/exemptions?since=30d",
    "/policies",
    "/report",
    "/health",
    "/api/v1/summary?since=7d",
];

pub fn measure(run: &Run, runtime: &Runtime, on_sqlite: &LazyCell<Made, impl FnOnce() -> Made>) {
    if run.wants("pages, SQLite") {
        compare(run, runtime, "SQLite", on_sqlite);
    }
    if run.wants("pages, Postgres") {
        let server = Server::start(&["shared_buffers = 512MB", "max_wal_size = 4GB", "fsync = off"]);
        compare(run, runtime, "Postgres", &Made::on_postgres(run, &server));
    }
}

fn compare(run: &Run, runtime: &Runtime, database: &str, made: &Made) {
    let [few, many] = made.sizes;
    let title = format!("{database}: {many} decisions against {few}");
    let [small, large] = made.configs.each_ref().map(|config| {
        runtime.block_on(async {
            let served = Rehearsal::builder().config(config).start().await;
            let known = Known::of(&served).await;
            (served, known)
        })
    });
    let mut table = Table::of_pairs(&title, "small, p95");
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
        let image = &decision["images"][0];
        let repository = format!("{}/{}", text(&image["registry"]), text(&image["repository"]));
        page.replace("{id}", &text(&decision["id"]))
            .replace("{uid}", &text(&decision["uid"]))
            .replace("{cluster}", &text(&decision["cluster"]))
            .replace("{namespace}", &text(&decision["namespace"]))
            .replace("{repository}", &repository)
            .replace("{image}", &text(&image["text"]))
            .replace("{rule}", RULES[number % RULES.len()])
    }
}
