//! `rehearsal journal` over journals that the real binary left.

mod harness;

use std::fs;
use std::path::Path;

use harness::orphan::{orphan, segment};
use harness::process::Ended;
use harness::reviews::pod_review;
use harness::{Rehearsal, run, wait_for};

fn journal(rehearsal: &Rehearsal, args: &[&str]) -> Ended {
    run(rehearsal.dir(), &[&["journal"], args].concat())
}

/// `journal drain` of `orphan` into the history of `target`.
fn drain(orphan: &Rehearsal, target: &Path) -> Ended {
    let config = orphan.dir().join("drain.yaml");
    fs::write(&config, format!("data_dir: '{}'", target.display())).expect("the test's directory is writable");
    journal(orphan, &["drain", "rehearsal-data", "--config", config.to_str().expect("UTF-8")])
}

fn replica(data_dir: &Path) -> String {
    fs::read_to_string(data_dir.join("replica")).expect("it was started").trim().to_owned()
}

#[tokio::test]
async fn inspect_reads_a_journal_that_is_in_use_and_changes_nothing() {
    let rehearsal = Rehearsal::builder().start().await;
    for n in 0..3 {
        let review = pod_review(&format!("u{n}"), "n", "p", &["nginx"]);
        assert!(rehearsal.review("/review/lab", &review).await.allowed());
    }
    let before = rehearsal.decisions("", 3).await;
    // That the process is there is said a moment after its first reviews.
    let inspected = || journal(&rehearsal, &["inspect", "rehearsal-data"]).stdout;
    wait_for("its presence", || async { inspected().contains("presence 1").then_some(()) }).await;
    for dir in ["rehearsal-data", "rehearsal-data/journal"] {
        let ended = journal(&rehearsal, &["inspect", dir]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let text = ended.stdout;
        assert!(text.contains(&format!("by process {}, which may change it", rehearsal.pid())), "{text}");
        assert!(text.contains(&replica(&rehearsal.data_dir())), "{text}");
        assert!(text.contains("decision 3") && text.contains("presence 1") && text.contains("review 1"), "{text}");
        let (first, last) = (before[2]["at"].as_str().expect("a time"), before[0]["at"].as_str().expect("a time"));
        assert!(text.contains(&format!("{first} to {last}")), "{text}");
        assert!(!text.contains("fault"), "{text}");
    }
    let review = pod_review("after", "n", "p", &["nginx"]);
    assert!(rehearsal.review("/review/lab", &review).await.allowed(), "it goes on");
    assert!((rehearsal.metric("rehearsal_journal_failed", &[]).await).abs() < 0.1);
}

#[tokio::test]
async fn inspect_gives_the_offset_of_what_is_torn_and_of_what_is_damaged() {
    let orphan = orphan(Rehearsal::builder(), 3).await;
    let path = segment(&orphan.data_dir());
    let mut bytes = fs::read(&path).expect("ours");
    let whole = bytes.len();
    let damaged = 16 + bytes[16..].windows(10).position(|part| part == br#""decision""#).expect("a decision");
    bytes[damaged] ^= 1;
    bytes.extend([200, 1, 0, 0, 9]);
    fs::write(&path, &bytes).expect("ours");
    let ended = journal(&orphan, &["inspect", "rehearsal-data"]);
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    let text = ended.stdout;
    assert!(text.contains("by nobody"), "{text}");
    assert!(text.contains(&format!("fault     offset {whole}, 5 bytes, torn")), "{text}");
    assert!(text.contains("bytes, damaged: the next start keeps it aside"), "{text}");
    assert!(text.contains("decision 2"), "{text}");
    assert_eq!(fs::read(&path).expect("ours"), bytes, "nothing was changed");
}

#[tokio::test]
async fn an_orphan_is_drained_into_a_history_that_is_in_use_once() {
    let orphan = orphan(Rehearsal::builder(), 5).await;
    let target = Rehearsal::builder().start().await;
    let review = pod_review("own", "n", "p", &["nginx"]);
    assert!(target.review("/review/lab", &review).await.allowed());
    target.decisions("", 1).await;
    let copy = orphan.dir().join("copy");
    copy_dir(&orphan.data_dir(), &copy);
    // The text of what judged may wait, too.
    let texts = orphan.data_dir().join("revisions");
    fs::create_dir_all(&texts).expect("ours");
    fs::write(texts.join("0123456789ab.json"), r#"{"loaded_at": 1, "text": "{\"format\": 1}"}"#).expect("ours");
    let ended = drain(&orphan, &target.data_dir());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(target.get_json("/api/v1/revisions/0123456789ab").await["text"]["format"], 1);
    assert!(ended.stdout.contains(&format!("of replica {}", replica(&orphan.data_dir()))), "{}", ended.stdout);
    assert_eq!(target.decisions("", 6).await.len(), 6);
    let ended = journal(&orphan, &["inspect", "rehearsal-data"]);
    assert!(ended.stdout.contains("empty: all of it is in the history"), "{}", ended.stdout);
    // The same records once more, as after a kill before the segments were deleted.
    fs::remove_dir_all(orphan.data_dir().join("journal")).expect("ours");
    copy_dir(&copy.join("journal"), &orphan.data_dir().join("journal"));
    assert_eq!(drain(&orphan, &target.data_dir()).code, Some(0));
    let review = pod_review("own-2", "n", "p", &["nginx"]);
    assert!(target.review("/review/lab", &review).await.allowed(), "and the other goes on");
    target.decisions("", 7).await;
    wait_for("the summary", || async { (target.get_json("/api/v1/summary").await["reviews"] == 7).then_some(()) })
        .await;
}

#[tokio::test]
async fn damage_and_a_torn_end_are_said_by_a_drain() {
    let orphan = orphan(Rehearsal::builder(), 3).await;
    let target = Rehearsal::builder().start().await;
    let path = segment(&orphan.data_dir());
    let mut bytes = fs::read(&path).expect("ours");
    let at = 16 + bytes[16..].windows(10).position(|part| part == br#""decision""#).expect("a decision");
    bytes[at] ^= 1;
    bytes.extend([200, 1, 0, 0, 9]);
    fs::write(&path, &bytes).expect("ours");
    let ended = drain(&orphan, &target.data_dir());
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stdout.contains("torn by a crash") && ended.stdout.contains("1 part"), "{}", ended.stdout);
    target.decisions("", 2).await;
    let summary = target.get_json("/api/v1/summary").await;
    // Beside it there may be the span from the end of the one to the start of the other.
    let mut gaps = summary["gaps"].as_array().expect("a list").iter();
    assert!(gaps.any(|gap| gap["reason"] == "a part of the journal was damaged"), "{summary}");
}

#[tokio::test]
async fn a_journal_in_use_is_not_drained_and_a_history_that_is_not_there_takes_nothing() {
    let rehearsal = Rehearsal::builder().start().await;
    let ended = drain(&rehearsal, &rehearsal.data_dir());
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains(&format!("is held by process {}", rehearsal.pid())), "{}", ended.stderr);
    drop(rehearsal);
    let orphan = orphan(Rehearsal::builder(), 2).await;
    let path = segment(&orphan.data_dir());
    let before = fs::read(&path).expect("ours");
    let ended = drain(&orphan, &orphan.dir().join("nowhere"));
    assert_eq!(ended.code, Some(1), "{}", ended.stdout);
    assert!(ended.stderr.contains("nowhere"), "{}", ended.stderr);
    assert_eq!(fs::read(&path).expect("ours"), before, "all of it remains");
}

#[tokio::test]
async fn what_is_no_journal_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    for command in [&["journal", "inspect", "."], &["journal", "drain", "."]] {
        let ended = run(dir.path(), command);
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.contains(". holds no journal: name a data directory"), "{}", ended.stderr);
    }
    let ended = run(dir.path(), &["journal", "drain", ".", "--config", "absent.yaml"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("ours");
    for entry in fs::read_dir(from).expect("readable") {
        let entry = entry.expect("readable");
        let path = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_dir(&entry.path(), &path);
        } else {
            fs::copy(entry.path(), path).expect("copied");
        }
    }
}
