//! The page for three in the morning, and the runbook: what they say, and that each command of theirs does what it says.

mod harness;

use std::io::Write as _;
use std::process::{Command, Stdio};

use harness::backend::{Backend, Reply, Script};
use harness::certs::{Authority, Validity, blind_client_config};
use harness::http::{Alpn, HttpClient};
use harness::reviews::pod_review;
use harness::{Rehearsal, not_run, repository, run, wait_for};
use serde_json::Value;

const ENFORCE: &str = "policies: [{name: images, mode: enforce, rules: [{id: no-latest, deny: {tag: latest}}]}]";

/// Where the runbook has what `/health` says of the process that runs.
const CONFIG: &str = "/etc/rehearsal/rehearsal.yaml";

fn runbook() -> String {
    std::fs::read_to_string(repository().join("docs/runbook.md")).expect("the runbook")
}

/// The lines of the runbook's shell blocks.
fn documented() -> Vec<String> {
    let mut inside = false;
    let mut commands = Vec::new();
    for line in runbook().lines() {
        if line.starts_with("```") {
            inside = line == "```sh";
        } else if inside {
            commands.push(line.to_owned());
        }
    }
    commands
}

fn way(health: &Value, id: &str) -> Value {
    let ways = health["ways"].as_array().expect("a list");
    ways.iter().find(|way| way["id"] == id).unwrap_or_else(|| panic!("no {id}: {health}")).clone()
}

fn said(way: &Value, field: &str) -> String {
    way[field].as_str().expect("a sentence").to_owned()
}

async fn health(rehearsal: &Rehearsal) -> Value {
    rehearsal.get_json("/api/v1/health").await
}

/// Every command that the API tells, as the runbook would write it.
fn told(health: &Value, rehearsal: &Rehearsal) -> Vec<String> {
    let own = rehearsal.dir().canonicalize().expect("its directory").join("rehearsal.yaml").display().to_string();
    let of_ways =
        health["ways"].as_array().expect("a list").iter().flat_map(|way| way["remedies"].as_array().expect("a list"));
    let lists = ["out_of_the_way", "other_webhooks"].map(|name| health[name].as_array().expect("a list"));
    let commands = of_ways.chain(lists.into_iter().flatten()).filter_map(|remedy| remedy["command"].as_str());
    let mut commands: Vec<String> = commands.map(|command| command.replace(&own, CONFIG)).collect();
    commands.sort();
    commands.dedup();
    commands
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_rejects_is_named_with_the_words_that_end_it() {
    let rehearsal = Rehearsal::builder().config(ENFORCE).start().await;
    assert!(rehearsal.review("/review/lab", &pod_review("fine", "shop", "web", &["nginx:1"])).await.allowed());
    let fine = health(&rehearsal).await;
    assert_eq!(fine["state"], "fine", "{fine}");
    let page = rehearsal.get("/health").await.text();
    assert!(
        page.contains("Rehearsal is in nobody's way") || page.contains("Rehearsal is in nobody&#39;s way"),
        "{page}"
    );
    assert!(page.contains("since its start at ") && page.contains("href=\"/runbook\""), "{page}");
    assert_eq!(fine["latencies"][0]["count"], 1, "{fine}");
    assert!(fine["latencies"][0]["p99_us"].as_u64().is_some(), "{fine}");
    assert_eq!(said(&way(&fine, "enforce"), "now"), "images can reject; nothing was rejected by one.");

    assert!(!rehearsal.review("/review/lab", &pod_review("bad", "shop", "web", &["nginx"])).await.allowed());
    let blocking = health(&rehearsal).await;
    let enforce = way(&blocking, "enforce");
    assert_eq!((&blocking["state"], &enforce["state"]), (&"blocking".into(), &"blocking".into()), "{blocking}");
    assert_eq!(said(&enforce, "now"), "images can reject; 1 violation in enforce rejected what came.");
    assert_eq!(said(&enforce, "hour"), "Violations that rejected: images 1.");
    let page = rehearsal.get("/health").await.text();
    assert!(page.contains("what clusters ask of it now: local policies that enforce."), "{page}");

    // The words that it gives, as they are.
    let command = enforce["remedies"][0]["command"].as_str().expect("a command").to_owned();
    let words: Vec<&str> = command.split_whitespace().skip(1).collect();
    let ended = run(rehearsal.dir(), &words);
    assert_eq!(ended.code, Some(0), "{command}: {}", ended.stderr);
    let allowed = rehearsal.review("/review/lab", &pod_review("held", "shop", "web", &["nginx"])).await;
    assert!(allowed.allowed(), "{}", allowed.text());
    let held = way(&health(&rehearsal).await, "enforce");
    assert!(said(&held, "now").starts_with("No local policy can reject: the ceiling INC-1 holds;"), "{held}");

    rehearsal.drained().await;
    let clusters = wait_for("the cluster's answers", || async {
        let clusters = health(&rehearsal).await["clusters"].clone();
        (clusters["clusters"][0]["reviews"] == 3).then_some(clusters)
    })
    .await;
    assert_eq!((&clusters["unknown"], &clusters["clusters"][0]["denied"]), (&Value::Null, &1.into()), "{clusters}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_fails_is_told_from_us() {
    let backend = Backend::start(Script::allow());
    let config = format!(
        "policies: [{{name: gate, mode: enforce, webhook: {{url: '{}/', speaks: admission-review}}}}]",
        backend.url
    );
    let rehearsal = Rehearsal::builder().config(&config).start().await;
    let review = pod_review("one", "shop", "web", &["nginx"]);
    assert!(rehearsal.review("/review/lab", &review).await.allowed());
    assert_eq!(way(&health(&rehearsal).await, "webhook-gate")["state"], "fine");
    backend.play(Script::reply(Reply::of(500, "text/plain", "no")));
    for _ in 0..3 {
        assert_eq!(rehearsal.review("/review/lab", &review).await.status, 500);
    }
    let failing = health(&rehearsal).await;
    let gate = way(&failing, "webhook-gate");
    assert_eq!(
        (&gate["state"], &way(&failing, "on-error")["state"]),
        (&"blocking".into(), &"blocking".into()),
        "{failing}"
    );
    assert!(said(&gate, "hour").contains("failed: status 3"), "{gate}");
    assert!(
        said(&way(&failing, "on-error"), "now").contains("gate fail; 3 reviews were answered with a failure"),
        "{failing}"
    );
    let row = &failing["latencies"][2];
    assert_eq!((&row["policy"], &row["count"], &row["errors"]), (&"gate".into(), &4.into(), &3.into()), "{failing}");
    let own = &failing["latencies"][0];
    assert_eq!(own["errors"], 0, "they are the backend's: {own}");
    assert!(own["p99_us"].as_u64() < Some(1_000_000), "without the wait for it: {own}");

    let command = gate["remedies"][1]["command"].as_str().expect("a command").to_owned();
    let words: Vec<&str> = command.split_whitespace().skip(1).collect();
    let ended = run(rehearsal.dir(), &words);
    assert_eq!(ended.code, Some(0), "{command}: {}", ended.stderr);
    assert!(rehearsal.review("/review/lab", &review).await.allowed(), "its failure is in nobody's way");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_whose_certificate_has_ended_turns_no_api_server_away() {
    let leaf = Authority::new("tests").server_within(Validity::Expired);
    let config = "report: {tls: {certificate: r.crt, key: r.key}}";
    let builder = Rehearsal::builder().file("r.crt", leaf.certificate_pem).file("r.key", leaf.key_pem);
    let rehearsal = builder.config(config).start().await;
    let client = HttpClient::over(blind_client_config(), Alpn::Any);
    let health = client.get(&format!("{}/api/v1/health", rehearsal.report_url())).await.json();
    assert_eq!(way(&health, "listener")["state"], "fine", "{health}");
    let fresh: Vec<String> = health["ways"]
        .as_array()
        .expect("a list")
        .iter()
        .flat_map(|way| [said(way, "now"), said(way, "hour")])
        .filter(|said| said.contains("nothing was asked"))
        .collect();
    assert_eq!(fresh, [""; 0], "nothing was asked of it yet");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_with_mistakes_and_a_request_that_cannot_be_read_are_told() {
    let rehearsal = Rehearsal::builder().config(ENFORCE).start().await;
    std::fs::write(rehearsal.dir().join("rehearsal.yaml"), "policies: [{name: images, mode: never}]")
        .expect("writable");
    let told = wait_for("the last good configuration", || async {
        let told = way(&health(&rehearsal).await, "configuration");
        (told["state"] == "degraded").then_some(told)
    })
    .await;
    assert!(said(&told, "now").starts_with("The last good configuration is in force, revision "), "{told}");
    assert_eq!(rehearsal.post("/review/lab", "{").await.status, 400);
    let refused = way(&health(&rehearsal).await, "refused");
    assert_eq!(
        (&refused["state"], said(&refused, "now").as_str()),
        (&"blocking".into(), "1 request was refused: unreadable 1.")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reviews_that_find_no_room_and_a_journal_that_is_full_are_told() {
    let backend = Backend::start(Script::allow());
    backend.hold();
    let config = format!(
        "warn_wait: 15s\nwebhook: {{limits: {{max_in_flight: 1}}}}\npolicies: [{{name: gate, mode: warn, webhook: {{url: '{}/', \
         speaks: admission-review}}}}]",
        backend.url
    );
    let rehearsal = Rehearsal::builder().config(&config).limited_disk().start().await;
    let (client, url) = (rehearsal.client().clone(), format!("{}/review/lab", rehearsal.webhook_url()));
    let body = pod_review("first", "shop", "web", &["nginx"]).to_string();
    let first = tokio::spawn(async move { client.post(&url, body).await.status });
    backend.wait_received(1).await;
    assert!(rehearsal.review("/review/lab", &pod_review("second", "shop", "web", &["nginx"])).await.allowed());
    let overload = way(&health(&rehearsal).await, "overload");
    assert_eq!(overload["state"], "degraded", "{overload}");
    assert_eq!(said(&overload, "now"), "1 of 1 places are taken; 1 review was answered allowed, unjudged.");
    backend.release();
    assert_eq!(first.await.expect("no panic"), 200);
    rehearsal.fill_disk();
    rehearsal.review("/review/lab", &pod_review("missed", "shop", "web", &["nginx"])).await;
    let journal = wait_for("a decision that is missed", || async {
        let journal = way(&health(&rehearsal).await, "journal");
        (journal["state"] == "degraded").then_some(journal)
    })
    .await;
    assert!(said(&journal, "now").contains("answers go out all the same, and a gap counts them"), "{journal}");
    assert!(said(&journal, "hour").contains("1 decision was not recorded"), "{journal}");
}

/// Those that begin with `rehearsal` are run, one after the other, against a process; so that none says what cannot be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_of_ours_in_the_runbook_runs() {
    let rehearsal = Rehearsal::builder().config(ENFORCE).start().await;
    let own = rehearsal.dir().join("rehearsal.yaml").display().to_string();
    let commands: Vec<String> = documented().into_iter().filter(|command| command.starts_with("rehearsal ")).collect();
    assert!(commands.len() >= 5, "{commands:?}");
    for command in commands {
        let here = command.replace(CONFIG, &own).replace("http://127.0.0.1:8080", rehearsal.report_url());
        let words: Vec<&str> = here.split_whitespace().skip(1).collect();
        let ended = run(rehearsal.dir(), &words);
        assert_eq!(ended.code, Some(0), "{command}: {}{}", ended.stdout, ended.stderr);
    }
    let in_pod = documented().into_iter().find(|command| command.contains(" exec ")).expect("one from a desk");
    let (_, inside) = in_pod.split_once(" -- ").expect("what runs there");
    assert!(documented().iter().any(|command| command == inside), "{inside}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_and_the_runbook_say_the_same() {
    let backend = Backend::start(Script::allow());
    let config = format!(
        "policies: [{{name: gate, mode: enforce, webhook: {{url: '{}/', speaks: admission-review}}}}]",
        backend.url
    );
    let rehearsal = Rehearsal::builder().config(&config).start().await;
    let served = rehearsal.get("/runbook").await;
    assert_eq!((served.status, served.text()), (200, runbook()));
    let documented = documented();
    for command in told(&health(&rehearsal).await, &rehearsal) {
        // Of one policy, and making certificates: in the text, not in a block.
        if command.contains("--policy") || command.starts_with("rehearsal certs") {
            continue;
        }
        assert!(documented.contains(&command), "the runbook has no\n{command}\nof\n{documented:#?}");
    }
    for way in health(&rehearsal).await["ways"].as_array().expect("a list") {
        let name = said(way, "name").replace("Webhook gate", "Webhook NAME");
        assert!(runbook().contains(&format!("| {name} |")), "the runbook has no row of {name}");
    }
}

/// What the patches make of the manifest that is shipped, by kubectl itself.
#[test]
fn the_patches_change_what_they_say() {
    let manifest = repository().join("deploy/kubernetes/webhook.yaml");
    let fails = std::fs::read_to_string(&manifest)
        .expect("the manifest")
        .replace("failurePolicy: Ignore", "failurePolicy: Fail");
    if Command::new("kubectl").arg("help").output().is_err() {
        not_run("there is no kubectl");
        return;
    }
    let local = |command: &str| {
        let here = command.replace("validatingwebhookconfiguration rehearsal", "--local -f - -o json");
        let mut shell = Command::new("sh");
        let child = shell.args(["-c", &here]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("a shell");
        child.stdin.take().expect("piped").write_all(fails.as_bytes()).expect("written");
        let output = child.wait_with_output().expect("an end");
        assert!(output.status.success(), "{command}");
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")["webhooks"][0].clone()
    };
    let patches: Vec<String> =
        documented().into_iter().filter(|command| command.starts_with("kubectl patch ")).collect();
    let found: Vec<(Value, Value)> = patches
        .iter()
        .map(|command| local(command))
        .map(|webhook| (webhook["failurePolicy"].clone(), webhook["timeoutSeconds"].clone()))
        .collect();
    assert_eq!(found, [("Ignore".into(), 5.into()), ("Fail".into(), 1.into())]);
}

#[test]
fn the_change_of_the_admission_configuration_is_made_by_sed() {
    let shipped =
        std::fs::read_to_string(repository().join("deploy/image-policy-webhook/admission.yaml")).expect("the file");
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("admission.yaml");
    std::fs::write(&file, shipped.replace("defaultAllow: true", "defaultAllow: false")).expect("writable");
    let command = documented().into_iter().find(|command| command.starts_with("sed ")).expect("a command");
    let here = command.replace("/etc/kubernetes/admission/admission.yaml", file.to_str().expect("UTF-8"));
    assert!(Command::new("sh").args(["-c", &here]).status().expect("a shell").success(), "{here}");
    assert_eq!(std::fs::read_to_string(&file).expect("the file"), shipped);
}
