//! The table in `docs/metrics.md` is what the real binary exposes. `UPDATE_DOCS=1` has this test write it.

mod harness;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use harness::backend::{Backend, Reply, Script};
use harness::reviews::{fixture, pod_review};
use harness::{Rehearsal, raw, repository, wait_for};
use http::Method;
use serde_json::json;

const LATEST_POD: &str = "006-admission-v1-create-pod.json";
const BEGIN: &str = "<!-- from the running binary: UPDATE_DOCS=1 cargo test --test metrics_doc -->\n";
const END: &str = "<!-- end -->\n";

/// What the exposition says of one metric.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    help: String,
    /// In the order of the first sample.
    labels: Vec<String>,
    samples: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_metrics_are_those_that_are_exposed() {
    let families = families(&exposition().await);
    for (name, family) in &families {
        assert!(family.samples > 0, "{name}: without a sample its labels are not known");
        assert!(!family.help.is_empty() && !family.kind.is_empty(), "{name}: {family:?}");
    }
    let path = repository().join("docs/metrics.md");
    let committed = std::fs::read_to_string(&path).expect("docs/metrics.md");
    let (head, rest) = committed.split_once(BEGIN).expect("the table begins");
    let (_, tail) = rest.split_once(END).expect("the table ends");
    let made = format!("{head}{BEGIN}\n{}\n{END}{tail}", table(&families));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &made).expect("the repository is writable");
    }
    let written = std::fs::read_to_string(&path).expect("docs/metrics.md");
    assert!(written == made, "docs/metrics.md is out of date: run UPDATE_DOCS=1 cargo test --test metrics_doc");
}

#[tokio::test]
async fn every_metric_that_the_documents_name_is_in_the_table() {
    let table = std::fs::read_to_string(repository().join("docs/metrics.md")).expect("docs/metrics.md");
    let known: Vec<&str> = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert!(known.len() > 20, "{known:?}");
    for entry in std::fs::read_dir(repository().join("docs")).expect("docs") {
        let path = entry.expect("readable").path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        for name in names(&text) {
            let family = known.iter().find(|known| name == **known || is_part(name, known));
            assert!(family.is_some(), "{}: there is no metric {name}", path.display());
        }
    }
}

/// `/metrics` of a process in which everything that is counted has happened.
async fn exposition() -> String {
    let backend = Backend::start(Script::allow());
    backend.hold();
    // A second review finds no room.
    let config = format!(
        "warn_wait: 15s\nwebhook: {{limits: {{max_in_flight: 1}}}}\npolicies:\n- {{name: \
         images, rules: [{{id: no-latest, deny: {{tag: latest}}}}]}}\n- {{name: gate, mode: warn, webhook: {{url: \
         '{}/', speaks: admission-review}}}}\n- {{name: slow, rego: {{files: [slow.rego], entrypoint: data.p.deny}}}}\n\
         break_glass: {{annotation: '**', value: glass}}\ncandidates: [next.yaml]",
        backend.url
    );
    let next = "policies: [{name: next, rego: {files: [slow.rego], entrypoint: data.p.deny}}]";
    let slow = "package p\ndeny[msg] { n := numbers.range(1, 3000); n[_] * n[_] == -1; msg := input.request.name }";
    let builder = Rehearsal::builder().file("slow.rego", slow).file("next.yaml", next).limited_disk();
    let rehearsal = builder.config(&config).start().await;
    let url = format!("{}/review/lab", rehearsal.webhook_url());
    let (client, held) = (rehearsal.client().clone(), url.clone());
    let first = tokio::spawn(async move { client.post(&held, fixture(LATEST_POD)).await.status });
    backend.wait_received(1).await;
    assert!(rehearsal.post("/review/lab", fixture(LATEST_POD)).await.allowed(), "unjudged");
    backend.play(Script::reply(Reply::of(500, "text/plain", "no")));
    backend.release();
    assert_eq!(first.await.expect("no panic"), 200);
    assert_eq!(rehearsal.post("/review/lab", fixture(LATEST_POD)).await.status, 200, "a webhook that fails is in warn");
    let mut broken = pod_review("u", "shop", "web", &["nginx"]);
    broken["request"]["object"]["metadata"]["annotations"] = json!({"a.image-policy.k8s.io/ticket-7": "glass"});
    assert_eq!(rehearsal.review("/review/lab", &broken).await.status, 200, "a ticket");
    assert_eq!(rehearsal.post("/review/undeclared", fixture(LATEST_POD)).await.status, 200);
    wait_for("a suspension", || async {
        assert_eq!(rehearsal.post("/review/lab", fixture(LATEST_POD)).await.status, 200);
        let text = rehearsal.get("/metrics").await.text();
        let is_suspended = |kind| text.contains(&format!("\nrehearsal_{kind}_suspensions_total"));
        (is_suspended("policy") && is_suspended("candidate")).then_some(())
    })
    .await;
    rehearsal.fill_disk();
    assert_eq!(rehearsal.post("/review/lab", fixture(LATEST_POD)).await.status, 200, "its decision is missed");
    let refused = rehearsal.client().send(Method::PUT, &url, &[], "").await.expect("an answer");
    assert_eq!(refused.status, 405);
    let mut plain = raw::tcp(rehearsal.webhook()).await;
    plain.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    wait_for("every kind of count", || async {
        let text = rehearsal.get("/metrics").await.text();
        let counted = [
            "backend_errors",
            "break_glass_uses",
            "candidate_differences",
            "candidate_overruns",
            "candidate_verdicts",
            "connections_refused",
            "journal_missed",
            "refused",
            "undeclared_reviews",
            "unjudged",
            "violations",
        ];
        let all = counted.iter().all(|name| text.contains(&format!("\nrehearsal_{name}_total")));
        all.then_some(text)
    })
    .await
}

/// By the name under which the samples stand: a counter's ends in `_total`.
fn families(exposition: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut help = "";
    let mut current = String::new();
    for line in exposition.lines() {
        if let Some(said) = line.strip_prefix("# HELP ") {
            help = said.split_once(' ').expect("a name and a text").1;
        } else if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, kind) = typed.split_once(' ').expect("a name and a type");
            current = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
            let family =
                Family { kind: kind.to_owned(), help: help.trim_end_matches('.').to_owned(), ..Family::default() };
            assert!(families.insert(current.clone(), family).is_none(), "{name} is there twice");
        } else if !line.starts_with('#') {
            assert!(line.starts_with(&current) && !current.is_empty(), "a sample without a family: {line}");
            let family = families.get_mut(&current).expect("inserted above");
            family.samples += 1;
            let labels =
                line.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(labels, _)| labels);
            for label in labels.split(',').filter_map(|label| label.split_once('=')) {
                if label.0 != "le" && !family.labels.iter().any(|known| known == label.0) {
                    family.labels.push(label.0.to_owned());
                }
            }
        }
    }
    families
}

fn table(families: &BTreeMap<String, Family>) -> String {
    let mut text = "| name | type | labels | meaning |\n| --- | --- | --- | --- |\n".to_owned();
    for (name, Family { kind, help, labels, .. }) in families {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        writeln!(text, "| `{name}` | {kind} | {} | {} |", labels.join(", "), help.replace('|', "\\|"))
            .expect("a String takes every text");
    }
    text
}

/// Words of a text that begin like a metric of ours.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("rehearsal_").filter_map(|(at, _)| {
        let length = text[at..].bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        let is_word = !text[..at].ends_with(|before: char| before.is_ascii_alphanumeric() || before == '_');
        is_word.then(|| &text[at..at + length])
    })
}

/// A histogram is asked for by its parts.
fn is_part(name: &str, family: &str) -> bool {
    name.strip_prefix(family).is_some_and(|part| ["_bucket", "_count", "_sum"].contains(&part))
}
