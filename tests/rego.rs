//! Policies in Rego over the real binary.

mod harness;

use std::time::Instant;

use harness::reviews::{image_review, pod_review};
use harness::{Rehearsal, wait_for};
use serde_json::Value;

const WHITELIST: &str = include_str!("fixtures/examples/container-image-whitelist.rego");

/// The configuration of one policy, `p`, in `policy.rego`.
fn config(mode: &str, entrypoint: &str) -> String {
    format!(
        "policies: [{{name: p, mode: {mode}, rego: {{files: [policy.rego], entrypoint: {entrypoint}}}}}]\nlog: {{level: debug}}"
    )
}

async fn with(mode: &str, entrypoint: &str, text: &str) -> Rehearsal {
    Rehearsal::builder().config(&config(mode, entrypoint)).file("policy.rego", text).start().await
}

/// As the API has it by its id.
async fn whole(rehearsal: &Rehearsal, decision: &Value) -> Value {
    rehearsal.get_json(&format!("/api/v1/decisions/{}", decision["id"].as_str().expect("an id"))).await
}

#[tokio::test]
async fn the_missions_policy_rejects_on_both_protocols_and_says_why() {
    let rehearsal = with("enforce", "data.admission.deny", WHITELIST).await;
    let message = "p/container-image-whitelist: invalid container registry image \"nginx:1.2\"";
    let denied = rehearsal.review("/review/pods", &pod_review("u", "shop", "web", &["nginx:1.2"])).await;
    assert!(!denied.allowed());
    assert_eq!(denied.verdict()["status"]["message"], message);
    let denied = rehearsal.review("/review/images", &image_review("shop", &["nginx:1.2"])).await;
    assert!(!denied.allowed());
    assert_eq!(denied.verdict()["reason"], message);
    let fine = rehearsal.review("/review/fine", &pod_review("u", "shop", "web", &["registry.acmecorp.com/a:1"])).await;
    assert!(fine.allowed());

    let of_pod = rehearsal.decision("cluster=pods").await;
    let violation = &of_pod["verdicts"][0]["violations"][0];
    assert_eq!((&violation["rule"], &violation["image"]), (&"container-image-whitelist".into(), &"nginx:1.2".into()));
    assert_eq!(whole(&rehearsal, &of_pod).await["verdicts"][0].get("presented"), None);
    let of_image = rehearsal.decision("cluster=images").await;
    assert_eq!(whole(&rehearsal, &of_image).await["verdicts"][0]["presented"], "pod");
    let page = rehearsal.get(&format!("/decisions/{}", of_image["id"].as_str().expect("an id"))).await.text();
    assert!(page.contains("It judged this ImageReview as a Pod, of which user, labels and names are not known."));
}

#[tokio::test]
async fn what_it_prints_is_in_the_log_with_the_decision() {
    let text = "package p\ndeny[msg] { image := input.spec.containers[_].image; print(\"saw\", image); msg := image }";
    let rehearsal = with("audit", "data.p.deny", text).await;
    rehearsal.review("/review/c", &image_review("shop", &["nginx"])).await;
    let id = rehearsal.decision("cluster=c").await["id"].as_str().expect("an id").to_owned();
    wait_for("the printed line", || async {
        let log = rehearsal.log();
        log.lines().any(|line| line.contains("saw nginx") && line.contains(&id)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_secret_that_a_policy_repeats_is_in_no_record() {
    let text = "package p\ndeny[msg] { msg := sprintf(\"env is %v\", [input.request.object.spec.containers[_].env[_].value]) }";
    let rehearsal = with("audit", "data.p.deny", text).await;
    let mut review = pod_review("u", "shop", "web", &["nginx"]);
    review["request"]["object"]["spec"]["containers"][0]["env"] =
        serde_json::json!([{"name": "PASSWORD", "value": "canary-4711"}]);
    rehearsal.review("/review/c", &review).await;
    let decision = rehearsal.decision("cluster=c").await;
    assert_eq!(decision["redacted"], true);
    let message = decision["verdicts"][0]["violations"][0]["message"].as_str().expect("a message");
    assert!(message.starts_with("env is ") && !decision.to_string().contains("canary-4711"), "{decision}");
}

/// 9 million steps, of which it may have one.
const ENDLESS: &str = "package p
deny[msg] {
    input.spec.namespace == \"slow\"
    xs := numbers.range(1, 3000)
    xs[_] * xs[_] == -1
    msg := \"never\"
}
deny[msg] { input.spec.namespace == \"fast\"; msg := \"fast\" }";

#[tokio::test]
async fn a_policy_that_overruns_is_an_error_and_suspended_after_three() {
    let rehearsal = with("enforce", "data.p.deny", ENDLESS).await;
    // Where both threads are still busy with it, it is not even begun.
    let suspended = wait_for("its suspension", || async {
        let begun = Instant::now();
        let failed = rehearsal.review("/review/slow", &image_review("slow", &["nginx"])).await;
        assert_eq!(failed.status, 503);
        assert!(begun.elapsed().as_secs() < 5, "a review waits 100 ms for it, not for its end");
        let message = failed.text();
        message.contains("it is suspended for ").then_some(message)
    })
    .await;
    assert!(suspended.contains(" ms more, since it overran its limit 3 times running"), "{suspended}");
    let fast = rehearsal.review("/review/fast", &image_review("fast", &["nginx"])).await;
    assert_eq!(fast.status, 503, "whatever it would say of this one");
    let metrics = rehearsal.get("/metrics").await.text();
    assert!(metrics.contains("rehearsal_policy_overruns_total{policy=\"p\"} 3"), "{metrics}");
    assert!(metrics.contains("rehearsal_policy_suspensions_total{policy=\"p\"} 1"));
}

#[tokio::test]
async fn one_that_only_audits_is_never_felt() {
    let rehearsal = with("audit", "data.p.deny", ENDLESS).await;
    let allowed = rehearsal.review("/review/slow", &image_review("slow", &["nginx"])).await;
    assert!(allowed.allowed());
    assert_eq!(rehearsal.decision("cluster=slow").await["verdicts"][0]["verdict"], "error");
}

#[test]
fn mistakes_are_told_with_their_place_in_both_files() {
    let builder = Rehearsal::builder();
    let told = |text: &str, entrypoint: &str| {
        let builder = builder.clone().file("policy.rego", text).file("r.yaml", config("audit", entrypoint));
        let ended = harness::run(builder.dir(), &["config", "check", "r.yaml"]);
        assert_eq!(ended.code, Some(2));
        ended.stderr
    };
    let stderr = told("package p\ndeny[msg] { startsWith(input.spec.namespace, \"a\"); msg := \"b\" }", "data.p.deny");
    let expected =
        "policies[0].rego.files: policy.rego:2:13: there is no function startsWith; right would be startswith";
    assert!(stderr.contains(expected), "{stderr}");
    let stderr = told("package p\ndeny[msg] { msg := \"b\" }", "data.q.deny");
    assert!(stderr.contains("policies[0].rego.entrypoint: `data.q.deny` is no rule of these files"), "{stderr}");
}

#[test]
fn folders_bundles_and_documents_are_read() {
    let builder = Rehearsal::builder();
    let folder = builder.dir().join("policies/lists");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("data.yaml"), "allowed: {nginx: true}\n").expect("a file");
    std::fs::write(folder.join("x_test.rego"), "not rego").expect("a file");
    std::fs::write(folder.join(".hidden.rego"), "not rego").expect("a file");
    let policy =
        "package p\nimport data.lists.allowed\ndeny[msg] { msg := input.spec.containers[_].image; not allowed[msg] }";
    std::fs::write(builder.dir().join("policies/p.rego"), policy).expect("a file");
    let yaml = "policies: [{name: p, rego: {files: [policies], entrypoint: data.p.deny}}]";
    let builder = builder.file("r.yaml", yaml);
    let ended = harness::run(builder.dir(), &["config", "check", "r.yaml"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("policy   p (audit): rego data.p.deny of policies"), "{}", ended.stdout);

    let tar = std::process::Command::new("tar")
        .args(["-czf", "bundle.tar.gz", "-C", "policies", "p.rego", "lists/data.yaml"])
        .current_dir(builder.dir())
        .status();
    assert!(tar.expect("tar runs").success());
    let builder = builder.file("r.yaml", yaml.replace("[policies]", "[bundle.tar.gz]"));
    let ended = harness::run(builder.dir(), &["config", "check", "r.yaml"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);

    std::fs::remove_file(folder.join("data.yaml")).expect("it was there");
    let builder = builder.file("r.yaml", yaml);
    let ended = harness::run(builder.dir(), &["config", "check", "r.yaml"]);
    assert!(
        ended.stderr.contains("policies/p.rego:2:8: data.lists.allowed is in no file of this policy"),
        "{}",
        ended.stderr
    );
}
