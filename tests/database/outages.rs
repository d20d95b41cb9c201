//! A database that is down, lost, slow, or that does not say what it did.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::setup::{Database, answers, degraded};
use crate::harness::link::Link;
use crate::harness::postgres;
use crate::harness::{Rehearsal, wait_for};

/// A replica that has stored the decisions of three reviews over a link that can fail.
struct Behind {
    database: Database,
    link: Link,
    rehearsal: Rehearsal,
    uids: BTreeSet<String>,
}

impl Behind {
    async fn a_link(config: &str) -> Self {
        let database = Database::new();
        let link = database.link().await;
        let rehearsal = database.replica(link.port, config).start().await;
        let uids = answers(&rehearsal, "before", 3).await.0;
        database.stores(3).await;
        Self { database, link, rehearsal, uids }
    }
}

/// What an answer may take while the database is in trouble: it waits for the journal alone. (A loaded machine.)
const PROMPT: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_database_that_is_down_at_start_is_waited_for_and_gets_everything() {
    let database = Database::new();
    let link = database.link().await;
    link.cut();
    let rehearsal = database.replica(link.port, "").start().await;
    degraded(&rehearsal, Some("cannot be reached")).await;
    let (uids, slowest) = answers(&rehearsal, "down", 30).await;
    assert!(slowest < PROMPT, "{slowest:?}");
    let page = rehearsal.get("/").await;
    assert_eq!(page.status, 503, "{}", page.text());
    assert!(page.text().contains("cannot be reached"), "{}", page.text());
    link.heal();
    database.stores(30).await;
    database.holds_exactly(&uids);
    degraded(&rehearsal, None).await;
    assert_eq!(rehearsal.get("/").await.status, 200);
}

#[tokio::test]
async fn a_database_lost_in_the_middle_of_a_batch_gets_each_decision_once() {
    let Behind { database, link, rehearsal, mut uids } = Behind::a_link("").await;
    for round in 0..5 {
        // A statement has its text on the wire once for each connection.
        link.cut();
        link.heal();
        // The server has begun with the batch's rows, and nobody hears what becomes of them.
        link.lose_the_answer_to(b"INSERT INTO decisions ");
        let lost = async {
            link.has_lost(round + 1).await;
            link.cut();
        };
        let name = format!("round{round}");
        let (answered, ()) = tokio::join!(answers(&rehearsal, &name, 20), lost);
        uids.extend(answered.0);
        link.heal();
        database.stores(uids.len()).await;
    }
    database.holds_exactly(&uids);
}

/// Many rows go by COPY: the server has them all, and nobody hears that it took them.
#[tokio::test]
async fn a_database_lost_in_the_middle_of_a_large_batch_gets_each_decision_once() {
    let Behind { database, link, rehearsal, mut uids } = Behind::a_link("").await;
    link.cut();
    uids.extend(answers(&rehearsal, "large", 700).await.0);
    link.lose_the_answer_to(b"large-699");
    link.heal();
    link.has_lost(1).await;
    database.stores(703).await;
    database.holds_exactly(&uids);
}

#[tokio::test]
async fn a_commit_whose_acknowledgement_is_lost_is_not_stored_twice() {
    let Behind { database, link, rehearsal, mut uids } = Behind::a_link("").await;
    for round in 0..10 {
        link.lose_the_answer_to(b"COMMIT");
        uids.extend(answers(&rehearsal, &format!("round{round}"), 4).await.0);
        link.has_lost(round + 1).await;
        database.stores(uids.len()).await;
    }
    database.holds_exactly(&uids);
    rehearsal.drained().await;
    database.holds_exactly(&uids);
    // A heartbeat may have taken one or another of them.
    assert!(rehearsal.metric("rehearsal_journal_drain_failures_total", &[]).await >= 5.0);
}

#[tokio::test]
async fn a_database_that_is_slow_by_30_seconds_slows_no_answer_and_loses_nothing() {
    let Behind { database, link, rehearsal, mut uids } = Behind::a_link("").await;
    link.freeze();
    let thawed = Cell::new(false);
    let thaw = async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        link.heal();
        thawed.set(true);
    };
    let answering = async {
        let (mut all, mut lag) = (BTreeSet::new(), 0.0_f64);
        let mut pace = tokio::time::interval(Duration::from_millis(100));
        for round in 0.. {
            pace.tick().await;
            let (uids, slowest) = answers(&rehearsal, &format!("slow{round}"), 5).await;
            assert!(slowest < PROMPT, "{slowest:?}");
            all.extend(uids);
            if thawed.get() {
                break;
            }
            // How far behind it is, is said meanwhile.
            lag = lag.max(rehearsal.metric("rehearsal_journal_lag_seconds", &[]).await);
        }
        assert!(lag > 10.0, "behind by no more than {lag} s");
        all
    };
    let (slow, ()) = tokio::join!(answering, thaw);
    uids.extend(slow);
    database.stores(uids.len()).await;
    database.holds_exactly(&uids);
}

#[tokio::test]
async fn a_replica_that_ends_with_its_database_gone_drains_at_its_next_start() {
    let Behind { database, link, mut rehearsal, mut uids } = Behind::a_link("shutdown: {grace: 1s}").await;
    link.cut();
    uids.extend(answers(&rehearsal, "gone", 40).await.0);
    rehearsal.sigterm();
    assert_eq!(rehearsal.exit_code().await, Some(0));
    link.heal();
    let rehearsal = rehearsal.restart().await;
    database.stores(43).await;
    database.holds_exactly(&uids);
    rehearsal.drained().await;
}

#[tokio::test]
async fn a_database_that_hangs_is_said_to_by_pages_the_log_and_readyz_until_it_goes_on() {
    let Behind { database, link, rehearsal, mut uids } = Behind::a_link("").await;
    link.freeze();
    let begun = Instant::now();
    uids.extend(answers(&rehearsal, "hung", 20).await.0);
    let page = async {
        let page = rehearsal.get("/").await;
        (page, begun.elapsed())
    };
    let (page, api, _) =
        tokio::join!(page, rehearsal.get("/api/v1/summary"), degraded(&rehearsal, Some("has not answered for 10 s")));
    let (page, took) = page;
    assert!(took < Duration::from_secs(45), "{took:?}");
    for answer in [page, api] {
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(answer.text().contains("the database does not answer"), "{}", answer.text());
    }
    assert!(rehearsal.log().contains("the store has not answered for 10 s"));
    link.heal();
    degraded(&rehearsal, None).await;
    database.stores(23).await;
    database.holds_exactly(&uids);
    says(&rehearsal, "the store takes decisions again").await;
}

#[tokio::test]
async fn a_database_that_is_back_is_said_to_be_with_how_many_records_wait() {
    let database = Database::new();
    let link = database.link().await;
    let rehearsal = database.replica(link.port, "").start().await;
    link.cut();
    answers(&rehearsal, "gone", 5).await;
    says(&rehearsal, "the store does not take decisions").await;
    link.heal();
    database.stores(5).await;
    let log = says(&rehearsal, "the store takes decisions again:").await;
    assert!(log.contains("more records wait in the journal"), "{log}");
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_said_to_and_how_it_is_made() {
    let mut database = Database::new();
    database.name = "nowhere".to_owned();
    let ended = database.replica(database.port(), "").ends().await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("database \"nowhere\" does not exist. Create it"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("at line"), "{}", ended.stderr);
}

/// As a standby is, and as a primary becomes that follows another.
#[tokio::test]
async fn a_database_that_only_lets_itself_be_read_is_said_to() {
    let Behind { database, link, rehearsal, mut uids } = Behind::a_link("").await;
    let only_read = |value: &str| {
        let alter = format!("ALTER DATABASE {} SET default_transaction_read_only = {value}", database.name);
        postgres::shared().psql("postgres", &alter);
    };
    only_read("on");
    link.cut();
    link.heal();
    uids.extend(answers(&rehearsal, "standby", 3).await.0);
    let ready = degraded(&rehearsal, Some("the history can be read but not written")).await.to_string();
    assert!(!ready.contains("at line"), "{ready}");
    assert_eq!(rehearsal.get("/").await.status, 200);
    only_read("off");
    link.cut();
    link.heal();
    database.stores(6).await;
    database.holds_exactly(&uids);
    degraded(&rehearsal, None).await;
}

/// The log, once it has the line.
async fn says(rehearsal: &Rehearsal, line: &str) -> String {
    wait_for(&format!("in the log: {line}"), || async { Some(rehearsal.log()).filter(|log| log.contains(line)) }).await
}

/// What has to hold of the link itself, or the tests above say nothing.
#[tokio::test]
async fn the_link_cuts_freezes_and_swallows() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let link = Link::to(server.local_addr().expect("an address")).await;
    let connect = || async { tokio::net::TcpStream::connect(("127.0.0.1", link.port)).await.expect("the link") };
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = server.accept().await {
            tokio::spawn(async move {
                let mut bytes = [0; 16];
                while let Ok(read @ 1..) = stream.read(&mut bytes).await {
                    stream.write_all(&bytes[..read]).await.expect("the echo");
                }
            });
        }
    });
    let mut echo = [0; 4];
    let mut stream = connect().await;
    stream.write_all(b"ping").await.expect("sent");
    stream.read_exact(&mut echo).await.expect("the echo");
    link.freeze();
    stream.write_all(b"late").await.expect("sent");
    assert!(tokio::time::timeout(Duration::from_millis(100), stream.read_exact(&mut echo)).await.is_err());
    link.heal();
    stream.read_exact(&mut echo).await.expect("the echo");
    assert_eq!(&echo, b"late");
    link.lose_the_answer_to(b"lost");
    stream.write_all(b"lost").await.expect("sent");
    link.has_lost(1).await;
    assert_eq!(stream.read(&mut echo).await.unwrap_or(0), 0);
    link.cut();
    let mut stream = connect().await;
    assert_eq!(stream.read(&mut echo).await.unwrap_or(0), 0);
}
