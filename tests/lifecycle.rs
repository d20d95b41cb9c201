//! From the first line on standard output to the exit code.

mod harness;

use std::time::{Duration, Instant};

use harness::backend::{Backend, Script};
use harness::http::{Alpn, HttpClient};
use harness::raw;
use harness::reviews::{fixture, pod_review};
use harness::{DEADLINE, Rehearsal, free_port, run, wait_for};
use serde_json::{Value, json};

const POD: &str = "002-admission-v1-create-pod.json";

// === start ===

#[tokio::test]
async fn without_any_file_it_does_the_whole_job() {
    let rehearsal = Rehearsal::builder().start().await;
    let stdout = rehearsal.stdout();
    let lines: Vec<&str> = stdout.lines().filter(|line| !line.trim().is_empty()).collect();
    assert!(lines[0].starts_with("webhook https://127.0.0.1:"), "{stdout}");
    assert!(lines[1].starts_with("report http://127.0.0.1:"), "{stdout}");
    assert!(lines.len() <= 6, "only the start lines: {stdout}");
    let curl = lines.iter().find(|line| line.trim_start().starts_with("curl ")).expect("a curl line");
    // As pasted: the shell reads it, the working directory is the user's.
    let pasted = std::process::Command::new("sh").arg("-c").arg(curl).current_dir(rehearsal.dir()).output();
    let pasted = pasted.expect("sh");
    let answer: Value = serde_json::from_slice(&pasted.stdout)
        .unwrap_or_else(|error| panic!("{error}: {curl}\n{}", String::from_utf8_lossy(&pasted.stderr)));
    let verdict = if answer["kind"] == "ImageReview" { &answer["status"] } else { &answer["response"] };
    assert_eq!(verdict["allowed"], true, "{answer}");
    assert_eq!(rehearsal.decision("").await["would_reject"], true, "a first review worth looking at");
    assert!(rehearsal.data_dir().is_dir());
}

#[tokio::test]
async fn live_ready_and_metrics_stand_on_the_report_or_on_their_own_listener() {
    let rehearsal = Rehearsal::builder().start().await;
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(rehearsal.get(path).await.status, 200, "{path}");
    }
    assert_eq!(rehearsal.get("/readyz").await.json()["degraded"], json!([]));
    let port = free_port();
    let rehearsal = Rehearsal::builder().config(&format!("admin: {{listen: '127.0.0.1:{port}'}}")).start().await;
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(rehearsal.get(path).await.status, 404, "{path} has moved");
        let own = rehearsal.client().get(&format!("http://127.0.0.1:{port}{path}")).await;
        assert_eq!(own.status, 200, "{path}");
    }
}

#[tokio::test]
async fn metrics_tell_of_reviews_violations_and_the_journal() {
    let rehearsal = Rehearsal::builder().start().await;
    rehearsal.post("/review/lab", fixture("006-admission-v1-create-pod.json")).await;
    rehearsal.decisions("", 1).await;
    let one = rehearsal.metric("rehearsal_reviews_total", &["AdmissionReview", "allowed"]).await;
    assert!((one - 1.0).abs() < 0.1, "{}", rehearsal.get("/metrics").await.text());
    let violations = ["policy=\"images\"", "rule=\"no-latest\"", "mode=\"audit\""];
    assert!((rehearsal.metric("rehearsal_violations_total", &violations).await - 1.0).abs() < 0.1);
    let text = rehearsal.get("/metrics").await.text();
    for about in ["journal", "gaps", "unjudged", "certificate", "revision", "last_review"] {
        let line = text.lines().find(|line| line.contains(about) && !line.starts_with('#'));
        assert!(line.is_some(), "nothing about {about} in\n{text}");
    }
    assert!(text.trim_end().ends_with("# EOF"), "the OpenMetrics text is whole");
}

#[tokio::test]
async fn logs_are_text_or_json_and_on_standard_error() {
    let rehearsal = Rehearsal::builder().args(&["serve", "--log-format", "json"]).config("{}").start().await;
    rehearsal.post("/review/lab", fixture(POD)).await;
    rehearsal.decisions("", 1).await;
    for line in rehearsal.log().lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object()), "{line}");
    }
}

// === configuration ===

#[tokio::test]
async fn the_example_works_and_matches_the_schema_s_field_names() {
    let builder = Rehearsal::builder();
    let example = run(builder.dir(), &["config", "example"]);
    assert_eq!(example.code, Some(0), "{}", example.stderr);
    assert!(example.stdout.contains('#'), "commented");
    std::fs::write(builder.dir().join("example.yaml"), &example.stdout).expect("writable");
    let check = run(builder.dir(), &["config", "check", "example.yaml"]);
    assert_eq!(check.code, Some(0), "{}{}", check.stdout, check.stderr);
    let schema = run(builder.dir(), &["config", "schema"]);
    let schema: Value = serde_json::from_str(&schema.stdout).expect("JSON");
    for field in ["cluster", "webhook", "report", "journal", "history", "overload", "warn_wait", "shutdown", "policies"]
    {
        assert!(schema["properties"][field].is_object(), "{field}: {schema}");
    }
    assert_eq!(schema["additionalProperties"], false, "unknown fields are mistakes");
}

#[tokio::test]
async fn every_mistake_is_reported_at_once_with_its_place() {
    let builder = Rehearsal::builder();
    let text = "cluster: Not_A_Label\n\
                webhook:\n  listn: 127.0.0.1:8443\n  limits: {max_body: lots}\n\
                warn_wait: 200\n\
                policies:\n  - name: images\n    mode: enforced\n    rules:\n      - {id: 'a b', deny: {tag: latest}}\n      \
                - {id: both, deny: {tag: x}, require: [digest]}\n      - {id: loose, allow: {image_matches: 'acmecorp.com/'}}\n";
    std::fs::write(builder.dir().join("broken.yaml"), text).expect("writable");
    for args in [&["config", "check", "broken.yaml"][..], &["serve", "--config", "broken.yaml"]] {
        let ended = run(builder.dir(), args);
        assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.stderr);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        for (place, words) in [
            ("broken.yaml:1:", "cluster"),
            ("broken.yaml:3:", "listen"),
            ("broken.yaml:4:", "max_body"),
            ("broken.yaml:5:", "warn_wait"),
            ("broken.yaml:8:", "enforce"),
            ("broken.yaml:10:", "id"),
            ("broken.yaml:11:", "deny and require"),
            ("broken.yaml:12:", "image_matches"),
        ] {
            let line = said.lines().find(|line| line.contains(place));
            let line = line.unwrap_or_else(|| panic!("{args:?}: nothing at {place}\n{said}"));
            assert!(line.contains(words), "{words} in {line}");
        }
        assert!(ended.stdout.is_empty() || args[0] == "config", "no start lines");
    }
}

#[tokio::test]
async fn an_unanchored_pattern_is_refused_with_a_name_that_would_slip_through() {
    let builder = Rehearsal::builder();
    let text =
        "policies: [{name: images, rules: [{id: acme, allow: {image_matches: 'registry[.]acmecorp[.]com/.+'}}]}]";
    std::fs::write(builder.dir().join("c.yaml"), text).expect("writable");
    let ended = run(builder.dir(), &["config", "check", "c.yaml"]);
    assert_eq!(ended.code, Some(2));
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(said.contains("registry.acmecorp.com/") && said.contains('^'), "{said}");
}

#[tokio::test]
async fn a_check_takes_no_lock() {
    let rehearsal = Rehearsal::builder().config("cluster: lab").start().await;
    let check = run(rehearsal.dir(), &["config", "check", "rehearsal.yaml"]);
    assert_eq!(check.code, Some(0), "{}", check.stderr);
}

#[tokio::test]
async fn variables_win_over_the_file_and_unknown_ones_are_one_warning() {
    let rehearsal = Rehearsal::builder()
        .config("cluster: from-file\nreport: {time_zone: UTC}")
        .env("REHEARSAL_CLUSTER", "from-env")
        .env("REHEARSAL_WARN_WAIT", "50ms")
        .env("REHEARSAL_WEBHOOK_LIMITS_MAX_BODY", "2KiB")
        .env("REHEARSAL_CLUSTR", "typo")
        .env("REHEARSAL_PORT", "tcp://10.0.0.1:443")
        .env("REHEARSAL_SERVICE_HOST", "10.0.0.1")
        .env("REHEARSAL_PORT_443_TCP_ADDR", "10.0.0.1")
        .start()
        .await;
    rehearsal.review("/review", &pod_review("u", "n", "p", &["nginx:1"])).await;
    assert_eq!(rehearsal.decision("").await["cluster"], "from-env");
    assert_eq!(rehearsal.post("/review", fixture(POD)).await.status, 413);
    let log = rehearsal.log();
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains("REHEARSAL_CLUSTR")).collect();
    assert_eq!(warnings.len(), 1, "{log}");
    assert!(warnings[0].contains("REHEARSAL_CLUSTER"), "the nearest name: {}", warnings[0]);
    for injected in ["REHEARSAL_PORT", "REHEARSAL_SERVICE_HOST"] {
        assert!(!log.contains(injected), "{injected} is Kubernetes' own: {log}");
    }
    let ended = Rehearsal::builder().config("{}").env("REHEARSAL_WARN_WAIT", "soon").ends().await;
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("REHEARSAL_WARN_WAIT"), "{}", ended.stderr);
}

#[tokio::test]
async fn no_policies_is_a_choice() {
    let rehearsal = Rehearsal::builder().config("policies: []").start().await;
    assert!(rehearsal.post("/", fixture(POD)).await.allowed());
    assert_eq!(rehearsal.decision("").await["verdicts"], json!([]));
}

// === the end ===

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_finishes_what_is_in_flight_and_ends_with_0() {
    let backend = Backend::start(Script::allow());
    backend.hold();
    let config = format!(
        "shutdown: {{delay: 1s, grace: 10s}}\n\
         policies: [{{name: gate, mode: enforce, webhook: {{url: '{}/', speaks: admission-review}}}}]",
        backend.url
    );
    let mut rehearsal = Rehearsal::builder().config(&config).start().await;
    let (client, url) = (rehearsal.client().clone(), format!("{}/review/lab", rehearsal.webhook_url()));
    let in_flight = tokio::spawn(async move { client.post(&url, fixture(POD)).await });
    backend.wait_received(1).await;
    let asked = Instant::now();
    rehearsal.sigterm();
    wait_for("/readyz to say so", || async { (rehearsal.get("/readyz").await.status == 503).then_some(()) }).await;
    assert!(asked.elapsed() < Duration::from_secs(1), "at once, while it still accepts: {:?}", asked.elapsed());
    let fresh = HttpClient::new(Some(&rehearsal.ca_pem()), None, Alpn::H1);
    let late = {
        let url = format!("{}/review/lab", rehearsal.webhook_url());
        tokio::spawn(async move { fresh.post(&url, fixture("016-image-review.json")).await })
    };
    assert!(late.await.expect("no panic").allowed(), "a new connection within the delay");
    wait_for("the listener to close", || async {
        tokio::net::TcpStream::connect(rehearsal.webhook().addr).await.err().map(drop)
    })
    .await;
    assert!(asked.elapsed() >= Duration::from_millis(900), "not before the delay is over");
    backend.release();
    let answer = in_flight.await.expect("no panic");
    assert!(answer.allowed(), "finished");
    assert_eq!(rehearsal.exit_code().await, Some(0));
    let rehearsal = rehearsal.restart().await;
    rehearsal.decisions("", 2).await;
}

#[tokio::test]
async fn an_idle_connection_is_told_to_close() {
    let mut rehearsal = Rehearsal::builder().start().await;
    let mut idle = raw::connect(rehearsal.webhook(), Some(&rehearsal.ca_pem()), Alpn::H1).await;
    let body = fixture(POD);
    let head = format!(
        "POST /review HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    idle.send([head.as_bytes(), &body].concat()).await;
    assert_eq!(idle.response().await.status, 200);
    let asked = Instant::now();
    rehearsal.sigterm();
    idle.closed(DEADLINE).await;
    assert_eq!(rehearsal.exit_code().await, Some(0));
    assert!(asked.elapsed() < Duration::from_secs(5), "nothing to wait for: {:?}", asked.elapsed());
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once_and_what_is_recorded_stays() {
    let mut rehearsal = Rehearsal::builder().config("shutdown: {delay: 1h}").start().await;
    assert!(rehearsal.post("/review/lab", fixture(POD)).await.allowed());
    rehearsal.sigterm();
    wait_for("/readyz to say so", || async { (rehearsal.get("/readyz").await.status == 503).then_some(()) }).await;
    rehearsal.sigterm();
    assert_eq!(rehearsal.exit_code().await, Some(1));
    wait_for("the log to say so", || async { rehearsal.log().contains("second signal").then_some(()) }).await;
    rehearsal.restart().await.decisions("", 1).await;
}

#[tokio::test]
async fn a_handshake_that_does_not_come_does_not_hold_up_the_end() {
    let mut rehearsal = Rehearsal::builder().config("shutdown: {grace: 1h}").start().await;
    let mut silent = raw::tcp(rehearsal.webhook()).await;
    wait_for("it to be accepted", || async {
        (rehearsal.metric("rehearsal_connections", &["listener=\"webhook\""]).await > 0.5).then_some(())
    })
    .await;
    let asked = Instant::now();
    rehearsal.sigterm();
    silent.closed(DEADLINE).await;
    assert_eq!(rehearsal.exit_code().await, Some(0));
    assert!(asked.elapsed() < Duration::from_secs(5), "nothing was in flight: {:?}", asked.elapsed());
}

#[tokio::test]
async fn it_goes_on_when_nobody_reads_its_start_lines() {
    let mut builder = std::process::Command::new(env!("CARGO_BIN_EXE_rehearsal"));
    let dir = tempfile::tempdir().expect("a directory");
    let (webhook, report) = (free_port(), free_port());
    builder.args(["serve", "--log-format", "text"]).current_dir(dir.path());
    builder.env("REHEARSAL_WEBHOOK_LISTEN", format!("127.0.0.1:{webhook}"));
    builder.env("REHEARSAL_REPORT_LISTEN", format!("127.0.0.1:{report}"));
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut child = builder.stdout(writer).stderr(std::process::Stdio::null()).spawn().expect("the binary runs");
    let client = HttpClient::new(None, None, Alpn::Any);
    let url = format!("http://127.0.0.1:{report}/readyz");
    wait_for("/readyz", || async {
        client.send(http::Method::GET, &url, &[], "").await.ok().filter(|ready| ready.status == 200)
    })
    .await;
    child.kill().expect("our own child");
    child.wait().expect("our own child");
}

#[tokio::test]
async fn a_stuck_request_does_not_outlast_the_grace() {
    let backend = Backend::start(Script::allow());
    backend.hold();
    let config = format!(
        "shutdown: {{grace: 1s}}\npolicies: [{{name: gate, mode: enforce, timeout: 20s, webhook: {{url: '{}/', speaks: \
         image-review}}}}]",
        backend.url
    );
    let mut rehearsal = Rehearsal::builder().config(&config).start().await;
    let (client, url) = (rehearsal.client().clone(), format!("{}/review/lab", rehearsal.webhook_url()));
    let stuck = tokio::spawn(async move { client.try_post(&url, fixture("016-image-review.json")).await.is_ok() });
    backend.wait_received(1).await;
    let asked = Instant::now();
    rehearsal.sigterm();
    assert_eq!(rehearsal.exit_code().await, Some(0));
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    stuck.abort();
}

#[tokio::test]
async fn a_decision_survives_a_kill_right_after_its_answer() {
    let mut rehearsal = Rehearsal::builder().start().await;
    for round in 0..5 {
        let uid = format!("killed-{round}");
        let review = pod_review(&uid, "team-a", "web", &["nginx"]);
        let answer = rehearsal.review("/review/lab", &review).await;
        rehearsal.kill9();
        assert!(answer.allowed());
        rehearsal = rehearsal.restart().await;
        let decision = rehearsal.decision(&format!("uid={uid}")).await;
        assert_eq!(decision["id"], answer.verdict()["auditAnnotations"]["decision"]);
    }
    let summary = wait_for("the roll-ups", || async {
        let summary = rehearsal.get_json("/api/v1/summary").await;
        (summary["reviews"] == 5).then_some(summary)
    })
    .await;
    assert_eq!(summary["would_reject"], 5, "each exactly once: {summary}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answered_review_is_lost_when_it_is_killed_under_load() {
    let mut rehearsal = Rehearsal::builder().start().await;
    let (client, url) = (rehearsal.client().clone(), format!("{}/review/lab", rehearsal.webhook_url()));
    let (answered, mut answers) = tokio::sync::mpsc::unbounded_channel();
    for worker in 0..8 {
        let (client, url, answered) = (client.clone(), url.clone(), answered.clone());
        tokio::spawn(async move {
            for n in 0.. {
                let uid = format!("load-{worker}-{n}");
                let review = pod_review(&uid, "team-a", "web", &["nginx"]).to_string();
                match client.try_post(&url, review).await {
                    Ok(response) if response.status == 200 => drop(answered.send(uid)),
                    _ => break,
                }
            }
        });
    }
    drop(answered);
    let mut uids = Vec::new();
    while uids.len() < 300 {
        uids.push(answers.recv().await.expect("it answers"));
    }
    rehearsal.kill9();
    while let Some(uid) = answers.recv().await {
        uids.push(uid);
    }
    let rehearsal = rehearsal.restart().await;
    let mut missing = uids;
    wait_for("every answered review", || async {
        let mut kept = std::collections::BTreeSet::new();
        let mut after = String::new();
        loop {
            let page = rehearsal.get_json(&format!("/api/v1/decisions?limit=1000{after}")).await;
            let decisions = page["decisions"].as_array().expect("a list").iter();
            kept.extend(decisions.map(|decision| decision["uid"].as_str().expect("a uid").to_owned()));
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        missing.iter().all(|uid| kept.contains(uid)).then_some(())
    })
    .await;
    missing.clear();
}
