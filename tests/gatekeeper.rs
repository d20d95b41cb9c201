//! Gatekeeper's templates and constraints over the real binary.

mod harness;

use harness::reviews::{image_review, pod_review};
use harness::{Rehearsal, fixtures};

async fn library(mode: &str, more: &str) -> Rehearsal {
    let files = fixtures().join("gatekeeper/repos");
    let files = ["template.yaml", "constraint.yaml"].map(|name| files.join(name).display().to_string());
    let config = format!("policies: [{{name: g, mode: {mode}, gatekeeper: {{files: {files:?}{more}}}}}]");
    Rehearsal::builder().config(&config).start().await
}

#[tokio::test]
async fn a_constraint_that_warns_never_does_more() {
    let rehearsal = library("enforce", "").await;
    let answer = rehearsal.review("/review/c", &pod_review("u", "shop", "web", &["nginx:1"])).await;
    assert!(answer.allowed());
    let warning = answer.verdict()["warnings"][0].as_str().expect("a warning").to_owned();
    assert!(
        warning.starts_with("would be rejected by g/OwnRepositories.pods-from-our-registry: container <"),
        "{warning}"
    );
    let decision = rehearsal.decision("cluster=c").await;
    let violation = &decision["verdicts"][0]["violations"][0];
    assert_eq!(
        (&violation["rule"], &violation["mode"]),
        (&"OwnRepositories.pods-from-our-registry".into(), &"warn".into())
    );
    assert_eq!((&violation["image"], &decision["would_reject"]), (&"nginx:1".into(), &true.into()));
}

#[tokio::test]
async fn the_policys_mode_caps_it_and_match_holds() {
    let rehearsal = library("audit", "").await;
    rehearsal.review("/review/a", &pod_review("u", "shop", "web", &["nginx:1"])).await;
    assert_eq!(rehearsal.decision("cluster=a").await["verdicts"][0]["violations"][0]["mode"], "audit");
    rehearsal.review("/review/b", &pod_review("u", "kube-system", "web", &["nginx:1"])).await;
    assert_eq!(rehearsal.decision("cluster=b").await["verdicts"][0]["verdict"], "none");
}

#[tokio::test]
async fn an_image_review_is_judged_where_that_is_asked_for() {
    for (more, verdict) in [("", "none"), (", judge_partial: true", "deny")] {
        let rehearsal = library("audit", more).await;
        rehearsal.review("/review/c", &image_review("shop", &["nginx:1"])).await;
        assert_eq!(rehearsal.decision("cluster=c").await["verdicts"][0]["verdict"], verdict);
    }
}

#[test]
fn mistakes_are_told_with_the_file_and_the_line_of_the_object() {
    let yaml = "policies: [{name: g, gatekeeper: {files: [all.yaml]}}]";
    let objects = "# ours\napiVersion: constraints.gatekeeper.sh/v1beta1\nkind: Repos\nmetadata: {name: a}\n---\n\
                   apiVersion: constraints.gatekeeper.sh/v1beta1\nkind: Repos\nmetadata: {name: b}\nspec: {enforcementAction: no-way}\n";
    let builder = Rehearsal::builder().file("r.yaml", yaml).file("all.yaml", objects);
    let ended = harness::run(builder.dir(), &["config", "check", "r.yaml"]);
    assert_eq!(ended.code, Some(2));
    for told in [
        "policies[0].gatekeeper.files: all.yaml:2: Repos.a has no template: none of the files defines the kind Repos",
        "policies[0].gatekeeper.files: all.yaml:6: Repos.b: spec.enforcementAction: `no-way` is no action",
    ] {
        assert!(ended.stderr.contains(told), "{}", ended.stderr);
    }
}
