//! Ten thousand image rules against ten.

use std::fmt::Write as _;
use std::time::Instant;

use bytes::Bytes;
use rehearsal::config;
use rehearsal::policy::Revision;
use rehearsal::policy::revision::Source;
use rehearsal::review::Review;
use rehearsal::review::decode::decode;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::harness::Rehearsal;
use crate::support::Run;
use crate::support::load::{Load, Speaks};
use crate::support::statistics::Target;
use crate::support::table::Table;

/// Reviews of one measurement, none of which was seen before: what is remembered costs the same whatever the rules are.
const REVIEWS: usize = 4_000;
const CONNECTIONS: usize = 64;

pub fn measure(run: &Run, runtime: &Runtime) {
    let mut table = Table::of_pairs("10,000 image rules against 10, no review seen before", "10 rules");
    if run.wants("rules, the whole way") {
        whole_way(run, runtime, &mut table);
    }
    if run.wants("rules, judging alone") {
        alone(run, &mut table);
    }
    table.print();
}

/// Registries, globs and expressions, each sixth of another kind; of images that reviews here have, the first ten.
pub fn yaml(count: usize) -> String {
    let mut text = String::from("policies:\n  - name: images\n    rules:\n");
    for number in 0..count {
        let line = match number % 6 {
            0 => format!("deny: {{registry: registry-{number}.example.com}}"),
            1 => format!("deny: {{image: 'registry-{number}.example.com/*/app:*'}}"),
            2 => format!("deny: {{image_matches: '^registry-{number}\\.example\\.com/.+-debug'}}"),
            3 => format!("deny: {{repository: 'team-{number}/**'}}"),
            4 => format!("allow: {{registry: registry.acmecorp.com}}, namespaces: ['tenant-{number}-*']"),
            _ => format!("require: [digest], namespaces: ['tenant-{number}-*']"),
        };
        writeln!(text, "      - {{id: r{number}, {line}}}").expect("a String takes everything");
    }
    text
}

/// Pods of three containers in namespaces of their own. Every fourth breaks up to ten rules.
fn pods(from: usize) -> impl Iterator<Item = Bytes> {
    (from..from + REVIEWS).map(|number| {
        let tenant = if number % 4 == 0 { number % 10 } else { 10_000_000 + number };
        let images = [
            format!("registry.acmecorp.com/team-{}/app:{number}", 20_000 + number),
            format!("registry-{}.example.com/a/app:{number}", if number % 4 == 0 { number % 10 } else { 20_000 }),
            format!("quay.io/acme/side:{number}"),
        ];
        let containers: Vec<_> =
            (0..).zip(images).map(|(at, image)| json!({"name": format!("c{at}"), "image": image})).collect();
        let review = json!({
            "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
            "request": {
                "uid": format!("{number:036}"), "kind": {"group": "", "version": "v1", "kind": "Pod"},
                "resource": {"group": "", "version": "v1", "resource": "pods"}, "operation": "CREATE",
                "namespace": format!("tenant-{tenant}-x"), "name": "web",
                "object": {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "web"}, "spec": {"containers": containers}}
            }
        });
        review.to_string().into()
    })
}

fn whole_way(run: &Run, runtime: &Runtime, table: &mut Table) {
    let start = |count: usize| {
        let config = format!("webhook: {{tls: off}}\n{}", yaml(count));
        runtime.block_on(Rehearsal::builder().config(&config).start())
    };
    let (many, few) = (start(10_000), start(10));
    let mut sent = [0, 0];
    let mut seconds = |side: usize, rehearsal: &Rehearsal| {
        let bodies: Vec<Bytes> = pods(sent[side]).collect();
        sent[side] += REVIEWS;
        let mut load = Load::new(runtime.handle(), rehearsal.webhook_url(), None, Speaks::Http1, &bodies);
        let outcome = load.each_once(CONNECTIONS);
        assert_eq!(outcome.refused, 0, "every answer is a 200; the first other: {:?}", outcome.refusal);
        1e6 / outcome.rate
    };
    let seconds = std::cell::RefCell::new(&mut seconds);
    let pairs = run.pairs(|| seconds.borrow_mut()(0, &many), || seconds.borrow_mut()(1, &few));
    table.push_pairs("the whole way, 64 connections", "us a review", &pairs, Target::AtMost(1.2));
}

fn alone(run: &Run, table: &mut Table) {
    let load = |count: usize| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("rehearsal.yaml");
        std::fs::write(&path, yaml(count)).expect("written");
        let loaded = config::judging(Some(&path), std::iter::empty(), &|_| Vec::new())
            .unwrap_or_else(|mistakes| panic!("{mistakes}"));
        Revision::load(&loaded.config.policies, &loaded.config.staging).expect("it loads")
    };
    let (many, few) = (load(10_000), load(10));
    let (mut ours, mut theirs) = (0, 0);
    let judged = |revision: &Revision, from: &mut usize| {
        let Source::Rules(rules) = &revision.policies[0].source else { panic!("a policy of rules") };
        let reviews: Vec<Review> = pods(*from).map(|body| decode(&body).expect("a review")).collect();
        *from += REVIEWS;
        let begun = Instant::now();
        let found: usize = reviews.iter().map(|review| rules.judge("default", review).violations.len()).sum();
        let took = begun.elapsed().as_secs_f64();
        assert!(found > 0, "some break rules");
        took * 1e6 / REVIEWS as f64
    };
    let pairs = run.pairs(|| judged(&many, &mut ours), || judged(&few, &mut theirs));
    table.push_pairs("judging alone", "us a review", &pairs, Target::AtMost(1.2));
}
