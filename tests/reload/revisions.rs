//! What judged is kept with its text.

use serde_json::Value;

use super::harness::postgres;
use super::harness::reviews::image_review;
use super::harness::{Rehearsal, wait_for};
use super::setup::{denies, on, revision, wait_for_reloads, write};

/// The text of a revision, once the history has it.
async fn text_of(rehearsal: &Rehearsal, id: &str) -> Value {
    wait_for(&format!("the text of {id}"), || async {
        let answer = rehearsal.get(&format!("/api/v1/revisions/{id}")).await;
        (answer.status == 200).then(|| answer.json()).filter(|answer| answer["text"].is_object())
    })
    .await
}

#[tokio::test]
async fn a_decision_leads_to_the_text_of_what_judged_it() {
    let builder = on("policies: [{name: p, rego: {files: [p.rego], entrypoint: data.p.deny}}]\n");
    let first = "package p\n\n# <b>first</b>\ndeny[msg] { input.spec.namespace == \"a\"; msg := \"no\" }\n";
    let rehearsal = builder.file("p.rego", first).start().await;
    rehearsal.review("/review/lab", &image_review("a", &["nginx:1"])).await;
    write(rehearsal.dir(), "p.rego", &first.replace("first", "second"));
    wait_for_reloads(&rehearsal, "changed", 1).await;
    rehearsal.review("/review/lab", &image_review("b", &["nginx:1"])).await;
    for (namespace, word) in [("a", "first"), ("b", "second")] {
        let decision = rehearsal.decision(&format!("namespace={namespace}")).await;
        let id = decision["revision"].as_str().expect("a name");
        let kept = text_of(&rehearsal, id).await;
        let module = &kept["text"]["policies"][0]["rego"]["modules"][0];
        assert_eq!((&module["file"], &module["text"][2]), (&"p.rego".into(), &format!("# <b>{word}</b>").into()));
        let of_decision =
            rehearsal.get(&format!("/decisions/{}", decision["id"].as_str().expect("an id"))).await.text();
        assert!(of_decision.contains(&format!("href=\"/revisions/{id}\"")), "{of_decision}");
        let page = rehearsal.get(&format!("/revisions/{id}")).await;
        assert_eq!(page.status, 200, "{}", page.text());
        assert!(page.text().contains(&format!("&lt;b&gt;{word}&lt;/b&gt;")), "{}", page.text());
    }
    let listed = rehearsal.get_json("/api/v1/revisions").await;
    assert_eq!(listed["in_force"], revision(&rehearsal).await.as_str());
    let ids: Vec<&Value> = listed["revisions"].as_array().expect("a list").iter().map(|listed| &listed["id"]).collect();
    assert!(ids.len() == 2 && ids[0] == &listed["in_force"], "{listed}");
    for path in ["/revisions/nothing", "/api/v1/revisions/nothing"] {
        assert_eq!(rehearsal.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn parameters_of_a_webhook_s_url_are_not_shown() {
    let rehearsal =
        on("policies: [{name: p, webhook: {url: 'http://127.0.0.1:9/judge?token=hunter2', speaks: image-review}}]\n")
            .start()
            .await;
    let kept = text_of(&rehearsal, &revision(&rehearsal).await).await;
    assert_eq!(kept["text"]["policies"][0]["webhook"]["url"], "http://127.0.0.1:9/judge?..");
}

#[tokio::test]
async fn texts_wait_for_a_history_that_is_away_over_a_kill_too() {
    let server = postgres::Server::start(&[]);
    let store = format!("store: {{url: '{}', password_file: pg.txt}}\n", server.url(&server.database()));
    server.stop();
    let configured = |tag: &str| format!("{}{store}", denies(tag));
    let rehearsal = on(&configured("latest")).file("pg.txt", postgres::PASSWORD).start().await;
    let first = revision(&rehearsal).await;
    write(rehearsal.dir(), "c.yaml", &configured("dev"));
    wait_for_reloads(&rehearsal, "changed", 1).await;
    let second = revision(&rehearsal).await;
    write(rehearsal.dir(), "c.yaml", &configured("edge"));
    let rehearsal = rehearsal.restart().await;
    let third = revision(&rehearsal).await;
    let waiting = rehearsal.data_dir().join("revisions");
    for id in [&first, &second, &third] {
        assert!(waiting.join(format!("{id}.json")).exists(), "{id}");
    }
    server.run();
    for id in [&first, &second, &third] {
        text_of(&rehearsal, id).await;
    }
    wait_for("nothing to wait", || async {
        std::fs::read_dir(&waiting).expect("the folder").next().is_none().then_some(())
    })
    .await;
}
