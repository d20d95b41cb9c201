//! Starts whose policies have mistakes.

use super::harness::backend::{Backend, Script};
use super::harness::reviews::image_review;
use super::harness::{Builder, Rehearsal, wait_for};
use super::setup::{allows, degraded, denies, on, revision, wait_for_reloads, write};

const MISTAKEN: &str = "policies:\n  - name: images\n    rules:\n      - {id: a, deny: {tga: dev}}\n";
const PLACE: &str = "c.yaml:4:24: policies[0].rules[0].deny.tga: unknown field";

/// Another process over the data directory of one that was started.
fn over(rehearsal: &Rehearsal, text: &str) -> Builder {
    on(text).env("REHEARSAL_DATA_DIR", &rehearsal.data_dir().display().to_string())
}

#[tokio::test]
async fn a_start_whose_policies_have_mistakes_runs_on_what_loaded_last_until_they_are_mended() {
    let rehearsal = on(&denies("latest")).start().await;
    write(rehearsal.dir(), "c.yaml", &denies("dev"));
    wait_for_reloads(&rehearsal, "changed", 1).await;
    let (last, kept) = (revision(&rehearsal).await, rehearsal.data_dir().join("last-good/revision.json"));
    wait_for("it to be kept", || async {
        std::fs::read_to_string(&kept).is_ok_and(|text| text.contains("no-dev")).then_some(())
    })
    .await;
    write(rehearsal.dir(), "c.yaml", MISTAKEN);
    let rehearsal = rehearsal.restart().await;
    assert!(!allows(&rehearsal, "dev").await && allows(&rehearsal, "latest").await);
    assert_eq!(revision(&rehearsal).await, last, "by the same name");
    let (said, log) = (degraded(&rehearsal).await.join("\n"), rehearsal.log());
    let page = rehearsal.get("/").await.text();
    assert!(said.contains(PLACE) && log.contains(PLACE) && page.contains(PLACE), "{said}\n{log}\n{page}");
    assert!(log.contains("starting on the revision that loaded last"), "{log}");
    assert!(rehearsal.metric("rehearsal_reload_failed", &[]).await > 0.5);
    // Over another restart too.
    let rehearsal = rehearsal.restart().await;
    assert!(!allows(&rehearsal, "dev").await);
    write(rehearsal.dir(), "c.yaml", &denies("edge"));
    wait_for_reloads(&rehearsal, "changed", 1).await;
    assert!(allows(&rehearsal, "dev").await && !allows(&rehearsal, "edge").await);
    assert!(degraded(&rehearsal).await.is_empty());
}

#[tokio::test]
async fn what_loaded_last_is_whole_without_the_files_that_it_names() {
    let webhook = Backend::start(Script::allow());
    let text = format!(
        "policies:\n  - {{name: words, mode: enforce, rego: {{files: [words], entrypoint: data.p.deny}}}}\n  \
         - {{name: gate, mode: enforce, webhook: {{url: '{}/', speaks: image-review, token_file: gate.token}}}}\n",
        webhook.url
    );
    let builder = on(&text).file("gate.token", "its-token\n");
    let folder = builder.dir().join("words");
    std::fs::create_dir(&folder).expect("a folder");
    write(&folder, "p.rego", "package p\n\ndeny[msg] { input.spec.namespace == data.closed; msg := \"closed\" }\n");
    write(&folder, "data.json", "{\"closed\": \"team-b\"}");
    let rehearsal = builder.start().await;
    assert!(allows(&rehearsal, "1").await);
    std::fs::remove_dir_all(&folder).expect("it was there");
    let rehearsal = rehearsal.restart().await;
    assert!(allows(&rehearsal, "2").await);
    let answer = rehearsal.review("/review/lab", &image_review("team-b", &["nginx:3"])).await;
    assert!(!answer.allowed() && answer.text().contains("closed"), "{}", answer.text());
    let said = degraded(&rehearsal).await.join("\n");
    assert!(said.contains("words is no policy") || said.contains("words cannot be read"), "{said}");
    let tokens: Vec<String> = webhook
        .received()
        .iter()
        .filter_map(|received| Some(received.headers.get("authorization")?.to_str().ok()?.to_owned()))
        .collect();
    assert_eq!(tokens.len(), webhook.received().len(), "{tokens:?}");
    assert!(tokens.iter().all(|token| token == "Bearer its-token"), "{tokens:?}");
}

#[tokio::test]
async fn with_strict_or_nothing_kept_it_ends() {
    let ended = on(MISTAKEN).ends().await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains(PLACE), "{}", ended.stderr);
    assert!(ended.stderr.contains("no revision that loaded before is kept in rehearsal-data"), "{}", ended.stderr);
    let mut rehearsal = on(&denies("latest")).start().await;
    rehearsal.kill9();
    let strict = over(&rehearsal, MISTAKEN).args(&["serve", "--config", "c.yaml", "--strict"]);
    let ended = strict.ends().await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains(PLACE), "{}", ended.stderr);
}

#[tokio::test]
async fn a_mistake_elsewhere_ends_it() {
    let mut rehearsal = on(&denies("latest")).start().await;
    rehearsal.kill9();
    for (text, place) in
        [(format!("warn_wait: soon\n{MISTAKEN}"), "c.yaml:1:12: warn_wait"), ("policies: [".to_owned(), "c.yaml:1:11")]
    {
        let ended = over(&rehearsal, &text).ends().await;
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(place), "{place} in {}", ended.stderr);
    }
}

#[tokio::test]
async fn what_was_kept_and_cannot_be_read_is_named() {
    let mut rehearsal = on(&denies("latest")).start().await;
    rehearsal.kill9();
    let kept = rehearsal.data_dir().join("last-good/revision.json");
    std::fs::write(&kept, "{").expect("ours");
    let ended = over(&rehearsal, MISTAKEN).ends().await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains(PLACE) && ended.stderr.contains(&kept.display().to_string()), "{}", ended.stderr);
}
