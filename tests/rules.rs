//! Image rules over the real binary: which image violates which rule, where a rule holds, and when it never denies.

mod harness;

use std::collections::BTreeSet;

use harness::Rehearsal;
use harness::reviews::{image_review, pod_review};
use serde_json::{Value, json};

const DIGEST: &str = "sha256:beb6bd6a68f114c1dc2ea4b28db81bdf91de202a9014972bec5e4d9171d90ed0";

async fn with_rules(mode: &str, rules: &str) -> Rehearsal {
    let config = format!("policies: [{{name: images, mode: {mode}, rules: [{rules}]}}]");
    Rehearsal::builder().config(&config).start().await
}

/// The decision on `review`, posted for a cluster of its own.
async fn decided(rehearsal: &Rehearsal, cluster: &str, review: &Value) -> Value {
    rehearsal.review(&format!("/review/{cluster}"), review).await;
    rehearsal.decision(&format!("cluster={cluster}")).await
}

/// The ids of the rules under `list` (`violations` or `standing`).
fn rules_of<'a>(decision: &'a Value, list: &str) -> BTreeSet<&'a str> {
    let found = decision["verdicts"][0][list].as_array().unwrap_or_else(|| panic!("{list} of {decision}"));
    found.iter().map(|violation| violation["rule"].as_str().expect("a rule")).collect()
}

fn words(text: &str) -> BTreeSet<&str> {
    text.split_whitespace().collect()
}

#[tokio::test]
async fn deny_allow_and_require_by_every_field() {
    let rehearsal = with_rules(
        "audit",
        r"{id: d-tag, deny: {tag: [latest, 'dev-*']}},
          {id: d-both, deny: {registry: docker.io, repository: 'library/*'}},
          {id: a-image, allow: {image: ['registry.acmecorp.com/**', 'eu.gcr.io/acme-prod/**']}},
          {id: a-host, allow: {registry: ['*.acme.test', 'localhost:5000']}},
          {id: a-regex, allow: {image_matches: '^registry\.acmecorp\.com/.+$'}},
          {id: digest, require: [digest]},
          {id: tag, require: tag}",
    )
    .await;
    let pinned = format!("registry.acmecorp.com/web@{DIGEST}");
    let both = format!("localhost:5000/web:1@{DIGEST}");
    let cases = [
        ("nginx", "d-tag d-both a-image a-host a-regex digest tag"),
        ("index.docker.io/library/nginx:1", "d-both a-image a-host a-regex digest"),
        ("docker.io/acme/nginx:1", "a-image a-host a-regex digest"),
        ("registry.acmecorp.com/web", "d-tag a-host digest tag"),
        ("registry.acmecorp.com/deep/er/web:1", "a-host digest"),
        ("registry.acmecorp.com.evil.test/web:1", "a-image a-host a-regex digest"),
        ("evil.test/registry.acmecorp.com/web:1", "a-image a-host a-regex digest"),
        ("registry.acmecorp.com:5000/web:1", "a-image a-host a-regex digest"),
        ("eu.gcr.io/acme-prod/a/b:1", "a-host a-regex digest"),
        ("eu.gcr.io/acme-prod-evil/a:1", "a-image a-host a-regex digest"),
        ("eu.acme.test/web:dev-12", "d-tag a-image a-regex digest"),
        ("EU.Acme.Test/web:1", "a-image a-regex digest"),
        ("a.b.acme.test/web:1", "a-image a-host a-regex digest"),
        (pinned.as_str(), "a-host tag"),
        (both.as_str(), "a-image a-regex"),
        ("UPPER/Case:bad tag!", "a-image a-host a-regex digest tag"),
    ];
    for (n, (image, expected)) in cases.into_iter().enumerate() {
        let decision = decided(&rehearsal, &format!("pod-{n}"), &pod_review("u", "team-a", "web", &[image])).await;
        assert_eq!(rules_of(&decision, "violations"), words(expected), "{image}");
        let decision = decided(&rehearsal, &format!("image-{n}"), &image_review("team-a", &[image])).await;
        assert_eq!(rules_of(&decision, "violations"), words(expected), "{image} in an ImageReview");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_said_so_and_never_a_400() {
    let rehearsal = with_rules("enforce", "{id: approved, allow: {image: '**'}}").await;
    let short = format!("myrepo/myimage@{}", &DIGEST[..70]);
    for image in [short.as_str(), "UPPER/Case:bad tag!", "http://x/y", "a b", &"x/".repeat(3000)] {
        let response = rehearsal.review("/", &pod_review("u", "team-a", "web", &[image])).await;
        assert!(!response.allowed(), "{image}");
        let message = response.verdict()["status"]["message"].as_str().expect("a message").to_owned();
        assert!(message.contains("cannot be read"), "{message}");
    }
}

#[tokio::test]
async fn a_rule_holds_where_its_scope_says() {
    let rehearsal = with_rules(
        "audit",
        "{id: everywhere, deny: {tag: latest}},
         {id: prod, deny: {tag: latest}, namespaces: ['prod-*', shop]},
         {id: not-system, deny: {tag: latest}, except_namespaces: [kube-system, 'prod-*']},
         {id: east, deny: {tag: latest}, clusters: ['east-*']},
         {id: pods, deny: {tag: latest}, kinds: Pod},
         {id: deployments, deny: {tag: latest}, kinds: [Deployment]},
         {id: creates, deny: {tag: latest}, operations: [CREATE]},
         {id: updates, deny: {tag: latest}, operations: [UPDATE]},
         {id: inits, deny: {tag: latest}, containers: [init]}",
    )
    .await;
    for (cluster, namespace, expected) in [
        ("east-1", "prod-a", "everywhere prod east pods creates"),
        ("west-1", "shop", "everywhere prod not-system pods creates"),
        ("west-2", "kube-system", "everywhere pods creates"),
        ("west-3", "team-a", "everywhere not-system pods creates"),
    ] {
        let decision = decided(&rehearsal, cluster, &pod_review("u", namespace, "web", &["nginx"])).await;
        assert_eq!(rules_of(&decision, "violations"), words(expected), "{cluster} {namespace}");
    }
    // Its images stand nowhere in particular, its pod is being created.
    let decision = decided(&rehearsal, "plugin", &image_review("team-a", &["nginx"])).await;
    assert_eq!(rules_of(&decision, "violations"), words("everywhere not-system pods creates inits"));
    let mut init = pod_review("u", "team-a", "web", &["nginx:1"]);
    init["request"]["object"]["spec"]["initContainers"] = json!([{"name": "i", "image": "busybox"}]);
    let decision = decided(&rehearsal, "init", &init).await;
    assert_eq!(rules_of(&decision, "violations"), words("everywhere not-system pods creates inits"));
}

#[tokio::test]
async fn a_rule_s_mode_wins_over_its_policy_s() {
    let rehearsal = with_rules(
        "enforce",
        "{id: heard, mode: audit, deny: {tag: heard}}, {id: told, mode: warn, deny: {tag: told}},
         {id: held, deny: {tag: held}}",
    )
    .await;
    for (tag, allowed, warnings) in [("heard", true, 0), ("told", true, 1), ("held", false, 0), ("other", true, 0)] {
        let image = format!("nginx:{tag}");
        let response = rehearsal.review(&format!("/review/{tag}"), &pod_review("u", "n", "p", &[&image])).await;
        assert_eq!(response.allowed(), allowed, "{tag}");
        assert_eq!(response.verdict()["warnings"].as_array().map_or(0, Vec::len), warnings, "{tag}");
        let decision = rehearsal.decision(&format!("cluster={tag}")).await;
        assert_eq!(decision["would_reject"], json!(tag == "heard" || tag == "told"), "{tag}");
    }
}

#[tokio::test]
async fn messages_name_what_their_placeholders_say() {
    let message = "{container} of {namespace}: {image} is {repository} {tag} at {registry}, {{sorry}}";
    let rehearsal =
        with_rules("enforce", &format!("{{id: m, deny: {{registry: quay.io}}, message: '{message}', help: Ask us}}"))
            .await;
    let response = rehearsal.review("/", &pod_review("u", "team-a", "web", &["quay.io/acme/agent"])).await;
    let said = response.verdict()["status"]["message"].as_str().expect("a message").to_owned();
    let filled = "images/m: c0 of team-a: quay.io/acme/agent is acme/agent latest at quay.io, {sorry}";
    assert!(said.starts_with(filled) && said.ends_with("Ask us"), "{said}");
}

#[tokio::test]
async fn a_placeholder_is_judged_on_pods_only() {
    let rehearsal = with_rules(
        "audit",
        "{id: default, deny: {tag: latest}}, {id: named, deny: {tag: latest}, placeholders: [other]}",
    )
    .await;
    let decision = decided(&rehearsal, "pod", &pod_review("u", "n", "p", &["auto"])).await;
    assert_eq!(rules_of(&decision, "violations"), words("default named"));
    let mut deployment = pod_review("u", "n", "p", &[]);
    let spec = json!({"containers": [{"name": "a", "image": "auto"}]});
    deployment["request"]["kind"] = json!({"group": "apps", "version": "v1", "kind": "Deployment"});
    deployment["request"]["object"] = json!({
        "kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "p", "namespace": "n"},
        "spec": {"template": {"metadata": {}, "spec": spec}}
    });
    let decision = decided(&rehearsal, "deployment", &deployment).await;
    assert_eq!(rules_of(&decision, "violations"), words("named"), "`auto` is a placeholder where none is named");
}

/// An UPDATE of a pod from `old` to `new`.
fn update(old: &[&str], new: &[&str]) -> Value {
    let mut review = pod_review("u", "n", "p", new);
    review["request"]["operation"] = json!("UPDATE");
    review["request"]["oldObject"] = pod_review("u", "n", "p", old)["request"]["object"].clone();
    review
}

#[tokio::test]
async fn an_update_is_denied_only_for_the_images_that_it_brings() {
    let rehearsal = with_rules("enforce", "{id: no-latest, deny: {tag: latest}}").await;
    let cases = [
        ("kept", update(&["nginx", "a:1"], &["nginx", "a:2"]), true, "", "no-latest"),
        ("brought", update(&["nginx:1"], &["nginx"]), false, "no-latest", ""),
        ("both", update(&["nginx", "a:1"], &["nginx", "a"]), false, "no-latest", "no-latest"),
        // The same text in another container is an image of its own.
        ("moved", update(&["nginx", "a:1"], &["a:1", "nginx"]), false, "no-latest", ""),
    ];
    for (cluster, review, allowed, violations, standing) in cases {
        let response = rehearsal.review(&format!("/review/{cluster}"), &review).await;
        assert_eq!(response.allowed(), allowed, "{cluster}");
        let decision = rehearsal.decision(&format!("cluster={cluster}")).await;
        assert_eq!(rules_of(&decision, "violations"), words(violations), "{cluster}");
        assert_eq!(rules_of(&decision, "standing"), words(standing), "{cluster}");
        assert_eq!(decision["would_reject"], false, "{cluster}: nothing stood against what was let through");
    }
}

#[tokio::test]
async fn what_is_going_away_or_unchanged_is_never_denied() {
    let rehearsal = with_rules("enforce", "{id: no-latest, deny: {tag: latest}}").await;
    let mut going = update(&["nginx:1"], &["nginx"]);
    going["request"]["object"]["metadata"]["deletionTimestamp"] = json!("2026-11-23T10:00:00Z");
    assert!(rehearsal.review("/review/going", &going).await.allowed());
    let mut labelled = update(&["nginx"], &["nginx"]);
    labelled["request"]["object"]["metadata"]["labels"] = json!({"a": "b"});
    assert!(rehearsal.review("/review/labelled", &labelled).await.allowed());
    let mut deleted = pod_review("u", "n", "p", &["nginx"]);
    deleted["request"]["operation"] = json!("DELETE");
    deleted["request"]["oldObject"] = deleted["request"]["object"].take();
    assert!(rehearsal.review("/review/deleted", &deleted).await.allowed());
    let decision = rehearsal.decision("cluster=deleted").await;
    assert_eq!((&decision["verdicts"][0]["verdict"], &decision["images"]), (&json!("none"), &json!([])));
}

#[tokio::test]
async fn a_hundred_violations_are_kept_and_a_thousand_images_judged() {
    let rehearsal = with_rules("enforce", "{id: no-latest, deny: {tag: latest}}").await;
    let images: Vec<String> = (0..1_001).map(|n| format!("nginx-{n}")).collect();
    let images: Vec<&str> = images.iter().map(String::as_str).collect();
    let response = rehearsal.review("/review/many", &pod_review("u", "n", "p", &images[..1_000])).await;
    assert!(!response.allowed());
    let decision = rehearsal.decision("cluster=many").await;
    assert_eq!(decision["verdicts"][0]["violations"].as_array().map(Vec::len), Some(100));
    let page = rehearsal.get(&format!("/decisions/{}", decision["id"].as_str().expect("an id"))).await;
    assert!(page.text().contains("900"), "the rest is counted");
    let response = rehearsal.review("/review/too-many", &pod_review("u", "n", "p", &images)).await;
    assert_eq!(response.status, 503, "an error of an enforcing policy: {}", response.text());
    let decision = rehearsal.decision("cluster=too-many").await;
    assert_eq!(decision["verdicts"][0]["verdict"], "error");
}

#[tokio::test]
async fn images_of_every_place_are_judged() {
    let rehearsal = with_rules("audit", "{id: no-latest, deny: {tag: latest}}").await;
    let mut review = pod_review("u", "n", "p", &["container"]);
    let spec = &mut review["request"]["object"]["spec"];
    spec["initContainers"] = json!([{"name": "i", "image": "init"}]);
    spec["ephemeralContainers"] = json!([{"name": "e", "image": "ephemeral"}]);
    spec["volumes"] = json!([{"name": "v", "image": {"reference": "volume", "pullPolicy": "Always"}}, {"name": "w"}]);
    let decision = decided(&rehearsal, "places", &review).await;
    let found: BTreeSet<(&str, &str)> = decision["images"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|image| (image["role"].as_str().expect("a role"), image["text"].as_str().expect("a text")))
        .collect();
    let roles = ["container", "ephemeral", "init", "volume"];
    assert_eq!(found, roles.map(|role| (role, role)).into());
    assert_eq!(decision["verdicts"][0]["violations"].as_array().map(Vec::len), Some(4));
}
