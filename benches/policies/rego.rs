//! The mission's policy in Rego on a pod of three containers: against the bare engine, and what is remembered.

use std::path::PathBuf;
use std::time::Instant;

use bytes::Bytes;
use regorus::{Engine, Value};
use tokio::runtime::Runtime;

use crate::harness::{Rehearsal, fixtures};
use crate::support::Run;
use crate::support::load::{Load, Speaks};
use crate::support::reviews;
use crate::support::statistics::{Estimate, Target, percentile};
use crate::support::table::Table;

use rehearsal::config;
use rehearsal::policy::Revision;
use rehearsal::policy::evaluated::{Evaluated, Subject};
use rehearsal::policy::rego::helpers;
use rehearsal::policy::rego::input::View;
use rehearsal::review::decode::decode;
use rehearsal::review::strict;
use rehearsal::review::view::{ObjectView, object_hash};

const EVALUATIONS: usize = 300;

pub fn measure(run: &Run, runtime: &Runtime) {
    let mut table = Table::of_pairs("The whitelist in Rego, a pod of three containers", "without");
    if run.wants("Rego, first sight") {
        first_sight(run, &mut table);
    }
    table.print();
    let mut table = Table::of_figures("The whitelist in Rego, what was seen before");
    if run.wants("Rego, repeat, judging") {
        repeat(run, &mut table);
    }
    if run.wants("Rego, repeat, the whole way") {
        added(run, runtime, &mut table);
    }
    table.print();
}

pub fn whitelist() -> PathBuf {
    fixtures().join("examples/container-image-whitelist.rego")
}

fn policy() -> String {
    format!(
        "policies: [{{name: whitelist, rego: {{files: ['{}'], entrypoint: data.admission.deny}}}}]",
        whitelist().display()
    )
}

fn revision() -> Revision {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("rehearsal.yaml");
    std::fs::write(&path, policy()).expect("written");
    let loaded = config::judging(Some(&path), std::iter::empty(), &|_| Vec::new())
        .unwrap_or_else(|mistakes| panic!("{mistakes}"));
    Revision::load(&loaded.config.policies, &loaded.config.staging).expect("it loads")
}

fn evaluated(revision: &Revision) -> &dyn Evaluated {
    revision.policies[0].evaluated().expect("Rego")
}

/// A review of a pod with three containers, and its object view.
fn pod() -> (Bytes, String) {
    let body = reviews::of_about(2_800).remove(0);
    let review = decode(&body).expect("a review");
    assert_eq!(review.images.len(), 3, "{} bytes", body.len());
    let document = strict::parse(&body).expect("JSON");
    let view = ObjectView::of(&review, &document).encode();
    (body, view)
}

/// One engine that keeps what it has compiled, given the body as it came.
fn bare() -> Engine {
    let mut engine = Engine::new();
    engine.set_rego_v0(true);
    let re_match = |arguments: Vec<Value>| {
        let text = |at: usize| arguments[at].as_string().cloned().expect("a text");
        thread_local!(static KNOWN: std::cell::RefCell<std::collections::HashMap<String, regex::Regex>> = Default::default());
        let matches = KNOWN.with_borrow_mut(|known| {
            let pattern = text(0).to_string();
            known
                .entry(pattern)
                .or_insert_with_key(|pattern| regex::Regex::new(pattern).expect("it is one"))
                .is_match(&text(1))
        });
        Ok(Value::from(matches))
    };
    engine.add_extension("re_match".to_owned(), 2, Box::new(re_match)).expect("a function");
    let text = std::fs::read_to_string(whitelist()).expect("a policy");
    for (name, text) in [("whitelist.rego", text), ("matches.rego", helpers::MATCHES.to_owned())] {
        engine.add_policy(name.to_owned(), text).expect("it is one");
    }
    engine
}

fn first_sight(run: &Run, table: &mut Table) {
    let revision = revision();
    let (policy, (body, view)) = (evaluated(&revision), pod());
    let mut engine = bare();
    let text = std::str::from_utf8(&body).expect("UTF-8");
    let ours = || {
        median(|| {
            let finding = policy.evaluate(Subject { view: View::Object, encoded: &view });
            assert!(finding.error.is_none() && finding.judged);
        })
    };
    let theirs = || {
        median(|| {
            engine.set_input(Value::from_json_str(text).expect("JSON"));
            let found = engine.eval_rule("data.admission.deny".to_owned()).expect("a verdict");
            assert!(found.as_set().is_ok());
        })
    };
    let pairs = run.pairs(ours, theirs);
    table.push_pairs("first sight, against the bare engine", "us", &pairs, Target::AtMost(1.3));
}

/// Microseconds.
fn median(mut once: impl FnMut()) -> f64 {
    let mut took = Vec::with_capacity(EVALUATIONS);
    for _ in 0..EVALUATIONS {
        let begun = Instant::now();
        once();
        took.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    percentile(&mut took, 0.5)
}

/// From the views of a review that is decoded to the finding that is remembered.
fn repeat(run: &Run, table: &mut Table) {
    let revision = revision();
    let (policy, (body, _)) = (evaluated(&revision), pod());
    let review = decode(&body).expect("a review");
    let document = strict::parse(&body).expect("JSON");
    let once = || {
        let view = ObjectView::of(&review, &document).encode();
        let hash = object_hash(&view);
        policy.judge(&hash, Subject { view: View::Object, encoded: &view })
    };
    once();
    let figures = run.alone(|| median(|| drop(once())));
    table.push_figure("a repeat: view, hash, memo", "us", &Estimate::of(&figures), Target::AtMost(3.0));
}

/// What it adds to the median of one review at a time, over a process without a policy that sees objects.
fn added(run: &Run, runtime: &Runtime, table: &mut Table) {
    let start = |policies: &str| {
        let config = format!("webhook: {{tls: off}}\njournal: {{durability: process}}\n{policies}");
        runtime.block_on(Rehearsal::builder().config(&config).start())
    };
    let (with, without) = (start(&policy()), start("policies: []"));
    let bodies = [pod().0];
    let load =
        |rehearsal: &Rehearsal| Load::new(runtime.handle(), rehearsal.webhook_url(), None, Speaks::Http1, &bodies);
    let (mut ours, mut theirs) = (load(&with), load(&without));
    let micros = |load: &mut Load| {
        let mut outcome = load.closed(1, run.span / 2);
        assert_eq!(outcome.refused, 0, "every answer is a 200; the first other: {:?}", outcome.refusal);
        percentile(&mut outcome.latencies, 0.5) * 1e6
    };
    let pairs = run.pairs(|| micros(&mut ours), || micros(&mut theirs));
    let figure = pairs.map(|ours, theirs| ours - theirs);
    table.push_figure("a repeat adds to a review, the whole way", "us", &figure, Target::AtMost(3.0));
}
