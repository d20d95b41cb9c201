//! Which changes are seen.

use super::harness::backend::{Backend, Script};
use super::harness::reviews::image_review;
use super::harness::{Rehearsal, wait_for};
use super::setup::{allows, degraded, denies, mount, on, reloads, revision, wait_for_reloads, write};

#[tokio::test]
async fn a_changed_rule_judges_without_a_restart() {
    let rehearsal = on(&denies("latest")).start().await;
    let first = revision(&rehearsal).await;
    assert!(!allows(&rehearsal, "latest").await && allows(&rehearsal, "dev").await);
    write(rehearsal.dir(), "c.yaml", &denies("dev"));
    wait_for_reloads(&rehearsal, "changed", 1).await;
    assert!(allows(&rehearsal, "latest").await && !allows(&rehearsal, "dev").await);
    let second = revision(&rehearsal).await;
    assert_ne!(first, second);
    let judged_by: Vec<String> = rehearsal
        .decisions("", 4)
        .await
        .iter()
        .map(|decision| decision["revision"].as_str().expect("a name").to_owned())
        .collect();
    assert_eq!(judged_by, [second.as_str(), &second, &first, &first], "newest first");
    assert!(rehearsal.log().contains(&format!("revision {second} is in force")), "{}", rehearsal.log());
    // The same meaning, in other words.
    write(rehearsal.dir(), "c.yaml", &format!("# a comment\n{}", denies("dev")));
    wait_for_reloads(&rehearsal, "unchanged", 1).await;
    assert_eq!((revision(&rehearsal).await, degraded(&rehearsal).await), (second, vec![]));
}

#[tokio::test]
async fn sighup_reads_it_again_and_says_what_came_of_it() {
    let rehearsal = on(&denies("latest")).start().await;
    rehearsal.sighup();
    wait_for("a line of the log", || async {
        rehearsal.log().contains("reloaded: no policy is another").then_some(())
    })
    .await;
    write(rehearsal.dir(), "c.yaml", &denies("dev"));
    rehearsal.sighup();
    wait_for_reloads(&rehearsal, "changed", 1).await;
    assert!(allows(&rehearsal, "latest").await && !allows(&rehearsal, "dev").await);
}

const REGO: &str = "policies:\n  - {name: images, mode: enforce, rego: {files: [mounted], entrypoint: data.p.deny}}\n";

fn module(tag: &str) -> String {
    let text = format!("endswith(input.spec.containers[_].image, \":{tag}\")");
    format!("package p\n\ndeny[msg] {{ {text}; msg := data.words.message }}\n")
}

#[tokio::test]
async fn a_config_map_swap_is_one_reload() {
    let builder = on(REGO);
    let mounted = builder.dir().join("mounted");
    let words = |word: &str| format!("words: {{message: {word}}}\n");
    mount(&mounted, "..2026_1", &[("a.rego", &module("latest")), ("words.yaml", &words("first"))]);
    let rehearsal = builder.start().await;
    assert!(!allows(&rehearsal, "latest").await && allows(&rehearsal, "dev").await);
    mount(&mounted, "..2026_2", &[("a.rego", &module("dev")), ("words.yaml", &words("second"))]);
    std::fs::remove_dir_all(mounted.join("..2026_1")).expect("the kubelet cleans up");
    wait_for_reloads(&rehearsal, "changed", 1).await;
    let answer = rehearsal.review("/review/lab", &image_review("team-a", &["nginx:dev"])).await;
    assert!(answer.text().contains("second") && !answer.allowed(), "both files are the new ones: {}", answer.text());
    // The same content in a new generation, then one that is other: only that is a reload.
    mount(&mounted, "..2026_3", &[("a.rego", &module("dev")), ("words.yaml", &words("second"))]);
    mount(&mounted, "..2026_4", &[("a.rego", &module("dev")), ("words.yaml", &words("third"))]);
    wait_for_reloads(&rehearsal, "changed", 2).await;
    assert_eq!((reloads(&rehearsal, "unchanged").await, reloads(&rehearsal, "failed").await), (0, 0));
}

#[tokio::test]
async fn a_file_that_comes_into_a_folder_is_read_and_one_that_goes_is_gone() {
    let builder = on(REGO);
    let folder = builder.dir().join("mounted");
    std::fs::create_dir(&folder).expect("a folder");
    write(&folder, "a.rego", &module("latest"));
    write(&folder, "words.yaml", "words: {message: refused}\n");
    let rehearsal = builder.start().await;
    assert!(allows(&rehearsal, "dev").await);
    write(&folder, "b.rego", &module("dev"));
    wait_for_reloads(&rehearsal, "changed", 1).await;
    assert!(!allows(&rehearsal, "dev").await && !allows(&rehearsal, "latest").await);
    write(&folder, "b.rego", &module("edge"));
    wait_for_reloads(&rehearsal, "changed", 2).await;
    assert!(!allows(&rehearsal, "edge").await, "it is watched since it came");
    std::fs::remove_file(folder.join("b.rego")).expect("it was there");
    wait_for_reloads(&rehearsal, "changed", 3).await;
    assert!(allows(&rehearsal, "edge").await && !allows(&rehearsal, "latest").await);
}

#[tokio::test]
async fn a_file_that_is_named_newly_is_watched() {
    let rehearsal = on(&denies("latest")).start().await;
    let named = "policies: [{name: images, mode: enforce, rego: {files: [late/p.rego], entrypoint: data.p.deny}}]\n";
    let refuses = |tag: &str| {
        format!("package p\n\ndeny[msg] {{ endswith(input.spec.containers[_].image, \":{tag}\"); msg := \"no\" }}\n")
    };
    write(rehearsal.dir(), "c.yaml", named);
    wait_for_reloads(&rehearsal, "failed", 1).await;
    let said = degraded(&rehearsal).await.join("\n");
    assert!(said.contains("late/p.rego cannot be read") && said.contains("c.yaml:1:"), "{said}");
    std::fs::create_dir(rehearsal.dir().join("late")).expect("a folder");
    write(&rehearsal.dir().join("late"), "p.rego", &refuses("dev"));
    wait_for_reloads(&rehearsal, "changed", 1).await;
    assert!(!allows(&rehearsal, "dev").await && degraded(&rehearsal).await.is_empty());
    write(&rehearsal.dir().join("late"), "p.rego", &refuses("edge"));
    wait_for_reloads(&rehearsal, "changed", 2).await;
    assert!(allows(&rehearsal, "dev").await && !allows(&rehearsal, "edge").await);
}

fn beside(webhook: &Backend, tag: &str) -> String {
    let url = format!("{}/", webhook.url);
    format!("{}  - {{name: gate, mode: warn, webhook: {{url: '{url}', speaks: image-review}}}}\n", denies(tag))
}

#[tokio::test]
async fn a_webhook_that_stays_as_it_was_keeps_its_connections_and_one_that_is_gone_its_metrics_not() {
    let webhook = Backend::start(Script::allow());
    let rehearsal = on(&beside(&webhook, "latest")).start().await;
    assert!(allows(&rehearsal, "1").await);
    webhook.wait_received(1).await;
    write(rehearsal.dir(), "c.yaml", &beside(&webhook, "dev"));
    wait_for_reloads(&rehearsal, "changed", 1).await;
    assert!(allows(&rehearsal, "2").await);
    webhook.wait_received(2).await;
    assert_eq!(webhook.connections(), 1, "the same as before");
    assert!(has_metric_of_gate(&rehearsal).await);
    write(rehearsal.dir(), "c.yaml", &denies("dev"));
    wait_for_reloads(&rehearsal, "changed", 2).await;
    assert!(!has_metric_of_gate(&rehearsal).await);
}

async fn has_metric_of_gate(rehearsal: &Rehearsal) -> bool {
    let text = rehearsal.get("/metrics").await.text();
    text.lines().any(|line| line.starts_with("rehearsal_backend_") && line.contains("policy=\"gate\""))
}
