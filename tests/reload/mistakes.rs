//! Mistakes that come while it runs.

use super::harness::wait_for;
use super::setup::{allows, degraded, denies, on, reloads, revision, wait_for_reloads, write};

#[tokio::test]
async fn a_mistake_keeps_the_old_and_is_said_everywhere_until_it_is_mended() {
    let rehearsal = on(&denies("latest")).start().await;
    let before = revision(&rehearsal).await;
    let mistaken = "policies:\n  - name: images\n    mode: enforced\n    rules:\n      - {id: a, deny: {tga: dev}}\n";
    write(rehearsal.dir(), "c.yaml", mistaken);
    wait_for_reloads(&rehearsal, "failed", 1).await;
    assert!(!allows(&rehearsal, "latest").await, "the old judges");
    let (said, log) = (degraded(&rehearsal).await.join("\n"), rehearsal.log());
    let page = rehearsal.get("/").await.text();
    for place in ["c.yaml:3:11: policies[0].mode: ", "c.yaml:5:24: policies[0].rules[0].deny.tga: "] {
        assert!(
            said.contains(place) && log.contains(place) && page.contains(place),
            "{place} in {said}\n{log}\n{page}"
        );
    }
    assert!(said.contains(&format!("Revision {before} is in force")), "{said}");
    assert!(rehearsal.metric("rehearsal_reload_failed", &[]).await > 0.5);
    // Another mistake takes its place.
    write(rehearsal.dir(), "c.yaml", "policies: [\n");
    wait_for_reloads(&rehearsal, "failed", 2).await;
    let said = degraded(&rehearsal).await;
    assert!(said.len() == 1 && said[0].contains("c.yaml:1:11: "), "{said:?}");
    write(rehearsal.dir(), "c.yaml", &denies("latest"));
    wait_for_reloads(&rehearsal, "unchanged", 1).await;
    assert_eq!((degraded(&rehearsal).await, revision(&rehearsal).await), (vec![], before));
    assert!(rehearsal.metric("rehearsal_reload_failed", &[]).await < 0.5);
    assert!(!rehearsal.get("/").await.text().contains("Degraded"));
    assert_eq!(reloads(&rehearsal, "changed").await, 0);
}

#[tokio::test]
async fn what_needs_a_restart_is_said() {
    let rehearsal = on(&denies("latest")).start().await;
    write(rehearsal.dir(), "c.yaml", &format!("warn_wait: 1s\nretention: {{notable: 500d}}\n{}", denies("dev")));
    wait_for_reloads(&rehearsal, "changed", 1).await;
    assert!(!allows(&rehearsal, "dev").await, "policies are taken on");
    let said = degraded(&rehearsal).await;
    let expected = "Changed in the configuration, and needs a restart to be in force: retention, warn_wait";
    assert_eq!(said, [expected]);
    assert!(rehearsal.log().contains("needs a restart: retention, warn_wait"), "{}", rehearsal.log());
    assert!(rehearsal.get("/").await.text().contains(expected));
    write(rehearsal.dir(), "c.yaml", &denies("dev"));
    wait_for("/readyz to be content again", || async { degraded(&rehearsal).await.is_empty().then_some(()) }).await;
}
