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

/// Nothing of ours loosens it: what a ticket lets through of a local policy, it does not of a backend.
#[tokio::test]
async fn a_backend_that_denies_in_a_system_namespace_still_denies() {
    let backend = Backend::start(Script::deny("not this one"));
    let rehearsal = with(&format!(
        "policies:
         - {{name: gate, mode: enforce, webhook: {{url: '{}/', speaks: admission-review}}}}
         - {{name: images, mode: enforce, rules: [{{id: no-latest, deny: {{tag: latest}}}}]}}
break_glass: {{annotation: '*.image-policy.k8s.io/ticket-*', value: break-glass}}",
        backend.url
    ))
    .await;
    let mut review = pod_review("u", "kube-system", "web", &["nginx"]);
    review["request"]["object"]["metadata"]["annotations"] = json!({"a.image-policy.k8s.io/ticket-7": "break-glass"});
    let response = rehearsal.review("/", &review).await;
    assert!(!response.allowed(), "{}", response.text());
    assert_eq!(response.verdict()["status"]["message"], "not this one");
    let decision = rehearsal.decision("").await;
    let exempted = |policy: usize| &decision["verdicts"][policy]["violations"][0]["exempted"];
    assert_eq!((exempted(0), &exempted(1)["by"]), (&json!(null), &json!("break-glass")), "{decision}");
}

#[tokio::test]
async fn an_exemption_lets_through_what_it_takes_in_until_it_ends() {
    let config = "
policies: [{name: images, mode: enforce, rules: [{id: no-latest, deny: {tag: latest}}]}]
exemptions: {files: ['exemptions-*.yaml']}";
    let rehearsal = Rehearsal::builder()
        .config(config)
        .file(
            "exemptions-shop.yaml",
            "- {policy: images, namespaces: shop, images: 'docker.io/library/nginx:*', until: 2020-01-01, ticket: OLD-1}
- {policy: images, namespaces: shop, images: 'docker.io/library/nginx:*', until: 2199-01-01, ticket: SEC-12, owner: web}
- {rule: no-*, workloads: [Pod/tool], until: 2199-01-01T00:00:00+02:00, warn_before: 3000d, owner: web}
- {workloads: [Pod/soon], until: 2199-01-01, warn_before: 3000d}",
        )
        .start()
        .await;
    assert_eq!(told(&rehearsal, "prod", "shop", "nginx").await, (true, 0));
    assert_eq!(told(&rehearsal, "prod", "shop", "redis").await, (false, 0), "another image");
    assert_eq!(told(&rehearsal, "prod", "blog", "nginx").await, (false, 0), "another namespace");
    let tool = rehearsal.review("/review/other", &pod_review("u", "blog", "tool", &["redis"])).await;
    assert!(tool.allowed(), "{}", tool.text());
    let decision = rehearsal.decision("namespace=shop&answer=allowed").await;
    assert_eq!((modes(&decision), &decision["would_reject"]), (vec![("no-latest", "enforce")], &json!(false)));
    let exempted = &decision["verdicts"][0]["violations"][0]["exempted"];
    let expected = json!({"by": "exemption", "id": exempted["id"], "ticket": "SEC-12", "owner": "web", "reason": null,
        "until": "2199-01-02T00:00:00.000Z"});
    assert_eq!(exempted, &expected);
    assert!(exempted["id"].as_str().is_some_and(|id| id.len() == 12), "{exempted}");
    let page = rehearsal.get(&format!("/decisions/{}", decision["id"].as_str().expect("an id"))).await.text();
    assert!(page.contains("exempted by SEC-12 of web until 2199-01-02T00:00:00.000Z"), "{page}");
    rehearsal.drained().await;
    let summary = rehearsal.get_json("/api/v1/summary?cluster=prod").await;
    assert_eq!((&summary["denied"], &summary["would_reject"]), (&json!(2), &json!(0)), "{summary}");
}

#[tokio::test]
async fn an_exemption_loosens_a_webhook_only_where_that_says_so() {
    let backend = Backend::start(Script::deny("not this one"));
    for (more, mode, allowed) in [("", "enforce", false), (", overridable: true", "enforce", true), ("", "audit", true)]
    {
        let rehearsal = with(&format!(
            "policies: [{{name: gate, mode: {mode}, webhook: {{url: '{}/', speaks: admission-review{more}}}}}]
exemptions: [{{namespaces: shop, permanent: true, ticket: SEC-1}}]",
            backend.url
        ))
        .await;
        assert_eq!(told(&rehearsal, "prod", "shop", "nginx").await, (allowed, 0), "{mode}{more}");
        let recorded = rehearsal.decision(if allowed { "rule=gate" } else { "answer=denied" }).await;
        assert_eq!(recorded["would_reject"], false, "{recorded}");
        assert_eq!(recorded["verdicts"][0]["violations"][0]["exempted"].is_null(), !allowed, "{recorded}");
    }
}

#[tokio::test]
async fn what_a_rollout_means_for_the_history_is_shown() {
    let rehearsal = with(
        "policies: [{name: images, mode: enforce, rollout: [{namespaces: blog, mode: warn}],
         rules: [{id: no-latest, deny: {tag: latest}}]}]",
    )
    .await;
    for namespace in ["blog", "shop", "shop", "kube-system"] {
        told(&rehearsal, "prod", namespace, "nginx").await;
    }
    rehearsal.drained().await;
    let config = rehearsal.dir().join("rehearsal.yaml").display().to_string();
    let shown = harness::run(rehearsal.dir(), &["rollout", "show", "--config", &config]);
    let expected = "\
images/no-latest
  enforce  1 namespace, 50.0 % of reviews, 33.3 % of workloads
           prod/shop
  warn     2 namespaces, 50.0 % of reviews, 66.7 % of workloads
           prod/blog, prod/kube-system
  capped   prod/kube-system

";
    assert!(shown.stdout.starts_with(expected), "{}{}", shown.stdout, shown.stderr);
    assert!(shown.stdout.contains("allowTTL") && shown.stdout.contains("denyTTL"), "{}", shown.stdout);
}
