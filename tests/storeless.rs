//! Answers go on as before while the database does nothing: no call of it stands on the way of a review.

mod harness;

use std::time::{Duration, Instant};

use harness::backend::{Backend, Script};
use harness::reviews::pod_review;
use harness::{Rehearsal, wait_for};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor};

/// What a writer waits for another one's lock before it gives up: an answer that called the store would take as long.
const BUSY: Duration = Duration::from_secs(5);
const REVIEWS: usize = 300;

#[tokio::test]
async fn reviews_are_answered_and_kept_while_the_store_is_locked() {
    let backend = Backend::start(Script::allow());
    let config = format!(
        "policies:\n  - {{name: images, rules: [{{id: no-latest, deny: {{tag: latest}}}}]}}\n  \
         - {{name: real, mode: enforce, webhook: {{url: '{}/', speaks: admission-review}}}}",
        backend.url
    );
    let rehearsal = Rehearsal::builder().config(&config).start().await;
    assert!(rehearsal.review("/review", &review(0)).await.allowed());
    rehearsal.decisions("", 1).await;

    let database = rehearsal.data_dir().join("history.sqlite");
    let mut lock = SqliteConnectOptions::new().filename(database).connect().await.expect("it is there");
    lock.execute("BEGIN EXCLUSIVE").await.expect("nobody else holds it for long");
    let mut longest = Duration::ZERO;
    for number in 1..REVIEWS {
        let begun = Instant::now();
        assert!(rehearsal.review("/review", &review(number)).await.allowed());
        longest = longest.max(begun.elapsed());
    }
    wait_for("all of them in the journal", || async {
        let waiting = rehearsal.metric("rehearsal_journal_backlog_records", &[]).await;
        (waiting >= (REVIEWS - 1) as f64).then_some(())
    })
    .await;
    assert!(longest < BUSY, "an answer took {longest:?}: it waited for the store");

    lock.execute("COMMIT").await.expect("our own transaction");
    lock.close().await.expect("our own connection");
    rehearsal.decisions("", REVIEWS).await;
}

fn review(number: usize) -> serde_json::Value {
    pod_review(&format!("uid-{number}"), "team-a", &format!("web-{number}"), &["nginx:1.27"])
}
