//! From audit to enforce over the real binary: rollouts, the system namespaces, and what is let through meanwhile.

mod harness;

use harness::Rehearsal;
use harness::backend::{Backend, Script};
use harness::reviews::{image_review, pod_review};
use serde_json::{Value, json};

async fn with(config: &str) -> Rehearsal {
    Rehearsal::builder().config(config).start().await
}

/// Whether a pod with `image` is let in, and with how many warnings.
async fn told(rehearsal: &Rehearsal, cluster: &str, namespace: &str, image: &str) -> (bool, usize) {
    let response = rehearsal.review(&format!("/review/{cluster}"), &pod_review("u", namespace, "web", &[image])).await;
    let warnings = response.verdict()["warnings"].as_array().map_or(0, Vec::len);
    (response.allowed(), warnings)
}

/// Modes of the violations of the only decision under `query`, by rule.
fn modes(decision: &Value) -> Vec<(&str, &str)> {
    let violations = decision["verdicts"][0]["violations"].as_array().expect("a list").iter();
    violations.map(|one| (one["rule"].as_str().expect("a rule"), one["mode"].as_str().expect("a mode"))).collect()
}

#[tokio::test]
async fn a_violation_acts_by_the_mode_that_its_rule_has_where_the_review_is_of() {
    let rehearsal = with(
        "policies:
         - name: images
           mode: audit
           rollout:
             - {rules: [no-latest], namespaces: ['team-*'], mode: enforce}
             - {clusters: [test], mode: warn}
           rules:
             - {id: no-latest, deny: {tag: latest}}
             - {id: hub, deny: {registry: docker.io}, mode: audit, rollout: [{namespaces: [told], mode: warn}]}",
    )
    .await;
    for (cluster, namespace, expected) in [
        ("prod", "team-a", (false, 0)),
        ("test", "team-a", (false, 0)),
        ("prod", "other", (true, 0)),
        ("test", "other", (true, 1)),
        ("prod", "told", (true, 1)),
        ("test", "told", (true, 2)),
    ] {
        assert_eq!(told(&rehearsal, cluster, namespace, "nginx").await, expected, "{cluster} {namespace}");
    }
    let denied = rehearsal.decision("cluster=prod&namespace=team-a").await;
    assert_eq!(modes(&denied), [("no-latest", "enforce"), ("hub", "audit")], "{denied}");
    assert_eq!(denied["would_reject"], false);
    let by_plugin = rehearsal.review("/review/plugin", &image_review("team-a", &["nginx"])).await;
    assert!(!by_plugin.allowed(), "an ImageReview names its namespace, too");
}

#[tokio::test]
async fn a_part_of_the_namespaces_is_the_same_part_every_time_and_grows() {
    let config = |percent: u8| {
        format!(
            "policies: [{{name: images, rollout: [{{percent: {percent}, mode: enforce}}],
             rules: [{{id: no-latest, deny: {{tag: latest}}}}]}}]"
        )
    };
    let mut inside = Vec::new();
    for percent in [25, 60] {
        let rehearsal = with(&config(percent)).await;
        let mut denied = Vec::new();
        for n in 0..40 {
            let namespace = format!("team-{n}");
            let first = told(&rehearsal, "prod", &namespace, "nginx").await;
            assert_eq!(told(&rehearsal, "prod", &namespace, "nginx").await, first, "{namespace}");
            if !first.0 {
                denied.push(namespace);
            }
        }
        assert!(!denied.is_empty() && denied.len() < 40, "{percent}: {denied:?}");
        assert!(inside.iter().all(|namespace| denied.contains(namespace)), "{inside:?} {denied:?}");
        inside = denied;
    }
}

#[tokio::test]
async fn a_webhook_is_in_the_mode_that_its_rollout_says() {
    let backend = Backend::start(Script::deny("not this one"));
    let rehearsal = with(&format!(
        "policies: [{{name: gate, mode: enforce, rollout: [{{namespaces: [quiet], mode: audit}}],
         webhook: {{url: '{}/', speaks: admission-review}}}}]",
        backend.url
    ))
    .await;
    assert_eq!(told(&rehearsal, "prod", "loud", "nginx").await, (false, 0));
    backend.hold();
    assert_eq!(told(&rehearsal, "prod", "quiet", "nginx").await, (true, 0), "where it audits nobody waits for it");
    backend.release();
    let late = rehearsal.decision("namespace=quiet&would_reject=true").await;
    assert_eq!(modes(&late), [("gate", "audit")], "{late}");
}

#[tokio::test]
async fn a_cluster_is_not_locked_out_of_its_own_repair() {
    let yaml = "policies: [{name: images, mode: enforce, rules: [{id: no-latest, deny: {tag: latest}}]}]";
    let rehearsal = Rehearsal::builder().config(yaml).env("POD_NAMESPACE", "ours").start().await;
    assert_eq!(told(&rehearsal, "prod", "team-a", "nginx").await, (false, 0));
    for namespace in ["kube-system", "kube-public", "kube-node-lease", "ours"] {
        assert_eq!(told(&rehearsal, "prod", namespace, "nginx").await, (true, 1), "{namespace}");
    }
    let decision = rehearsal.decision("namespace=kube-system").await;
    assert_eq!((modes(&decision), decision["would_reject"].clone()), (vec![("no-latest", "warn")], json!(true)));
    // What cannot judge does not lock out either.
    let images: Vec<String> = (0..1_001).map(|n| format!("nginx:{n}")).collect();
    let images: Vec<&str> = images.iter().map(String::as_str).collect();
    assert_eq!(rehearsal.review("/", &pod_review("u", "team-a", "web", &images)).await.status, 503);
    assert!(rehearsal.review("/", &pod_review("u", "kube-system", "web", &images)).await.allowed());
    let page = rehearsal.get("/").await.text();
    assert!(page.contains("at most warn in kube-system, kube-public, kube-node-lease, ours"), "{page}");
    let config = rehearsal.dir().join("rehearsal.yaml").display().to_string();
    let checked = harness::run(rehearsal.dir(), &["config", "check", &config]);
    assert!(checked.stdout.contains("capped   images: at most warn in kube-system"), "{}", checked.stdout);
}

/// Nothing of ours loosens it.
#[tokio::test]
async fn a_backend_that_denies_in_a_system_namespace_still_denies() {
    let backend = Backend::start(Script::deny("not this one"));
    let rehearsal = with(&format!(
        "policies: [{{name: gate, mode: enforce, webhook: {{url: '{}/', speaks: admission-review}}}}]",
        backend.url
    ))
    .await;
    let mut review = pod_review("u", "kube-system", "web", &["nginx"]);
    review["request"]["object"]["metadata"]["annotations"] = json!({"a.image-policy.k8s.io/ticket-7": "break-glass"});
    let response = rehearsal.review("/", &review).await;
    assert!(!response.allowed(), "{}", response.text());
    assert_eq!(response.verdict()["status"]["message"], "not this one");
}
