//! From the journal to the store.

use super::super::drain::MAX_RECORDS;
use super::super::entry::{Borrowed, DECISION, parse};
use super::*;

#[tokio::test]
async fn a_store_that_is_gone_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path());
    let recorder = Recorder::open_on(&settings, QUICK, Disk).unwrap();
    let sink = Collected::default();
    hold(&sink.0).failures = 3;
    let draining = Draining::of(&recorder, sink);
    let mut ids = Vec::new();
    for at in 0..30 {
        ids.push(record(&recorder, 1, at).await.unwrap());
    }
    until("the store is back and has all", || recorder.status().backlog_records == 0).await;
    assert_eq!(recorder.close(PATIENCE).await, 0);
    let sink = draining.stop().await;
    assert_eq!((sink.ids(), hold(&sink.0).failures), (ids, 0));
}

#[tokio::test]
async fn a_drain_cut_off_and_begun_again_has_each_record_once() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path());
    let sink = Collected::default();
    let mut ids = Vec::new();
    for run in 0..3 {
        let recorder = Recorder::open_on(&settings, QUICK, Disk).unwrap();
        for at in 0..20 {
            ids.push(record(&recorder, 1, run * 100 + at).await.unwrap());
        }
        let draining = Draining::of(&recorder, sink.clone());
        until("something is drained", || !hold(&sink.0).batches.is_empty()).await;
        hold(&sink.0).batches.clear();
        // Stopped before the segment could be left: it is there, and read again.
        draining.stop().await;
        recorder.close(PATIENCE).await;
    }
    let recorder = Recorder::open_on(&settings, QUICK, Disk).unwrap();
    let draining = Draining::of(&recorder, sink);
    until("all is drained", || recorder.status().backlog_records == 0).await;
    recorder.close(PATIENCE).await;
    let sink = draining.stop().await;
    assert_eq!(sink.ids(), ids);
    assert_eq!(hold(&sink.0).orphans, 0);
}

#[tokio::test]
async fn batches_are_bounded_in_records_and_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let settings = JournalSettings { durability: Durability::Process, ..settings(dir.path()) };
    let recorder = Recorder::open_on(&settings, QUICK, Disk).unwrap();
    let small = MAX_RECORDS as i64 * 3 / 2;
    for at in 0..small {
        record(&recorder, 1, at).await.unwrap();
    }
    for at in small..small + 4 {
        let review = review(2);
        let large = Decision { message: Some("x".repeat(3 << 20)), ..decision(&review, at) };
        recorder.record(review, large).await.unwrap();
    }
    recorder.close(PATIENCE).await;
    let sink = drained(&settings).await;
    let batches = hold(&sink.0).batches.clone();
    assert_eq!(sink.ids().len() as i64, small + 4);
    // The small records and a review, then a review and the first large one, then one at a time.
    assert!(batches.len() >= 5 && batches.iter().all(|&batch| batch <= MAX_RECORDS), "{batches:?}");
    assert_eq!(batches[batches.len() - 3..], [1, 1, 1]);
}

#[tokio::test]
async fn a_record_of_another_version_is_kept_aside_and_is_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path());
    let recorder = Recorder::open_on(&settings, QUICK, Disk).unwrap();
    record(&recorder, 1, 1_000).await.unwrap();
    recorder.close(PATIENCE).await;
    let path = segments(&settings).pop().unwrap();
    let unknown = serde_json::json!({"record": "prophecy", "at": 5});
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend(frame::encode(&unknown).unwrap());
    fs::write(&path, &bytes).unwrap();
    let recorder = Recorder::open_on(&settings, QUICK, Disk).unwrap();
    let draining = Draining::of(&recorder, Collected::default());
    until("all is drained", || recorder.status().backlog_records == 0).await;
    assert_eq!(recorder.status().damaged, 1);
    recorder.close(PATIENCE).await;
    let sink = draining.stop().await;
    assert_eq!((sink.ids().len(), sink.gaps().len()), (1, 1));
    assert_eq!(sink.gaps()[0].from, Timestamp(1_000));
    assert_eq!(damaged_files(&settings), [unknown.to_string().into_bytes()]);
}

#[tokio::test]
async fn a_segment_that_was_deleted_under_it_does_not_stop_the_drain() {
    let dir = tempfile::tempdir().unwrap();
    let settings = JournalSettings { max_size: 16 << 10, ..settings(dir.path()) };
    let recorder = Recorder::open_on(&settings, QUICK, Disk).unwrap();
    for at in 0..12 {
        record(&recorder, 1, at).await.unwrap();
    }
    fs::remove_file(&segments(&settings)[0]).unwrap();
    let draining = Draining::of(&recorder, Collected::default());
    until("all is drained", || recorder.status().backlog_records == 0).await;
    recorder.close(PATIENCE).await;
    let sink = draining.stop().await;
    assert!(!sink.ids().is_empty() && sink.ids().len() < 12);
    assert_eq!(sink.gaps().len(), 1);
}

#[tokio::test]
async fn a_drained_segment_is_left_for_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    // Segments of 2 KiB: what is drained of them is worth leaving at once.
    let settings = JournalSettings { max_size: 16 << 10, ..settings(dir.path()) };
    let recorder = Recorder::open_on(&settings, QUICK, Disk).unwrap();
    let draining = Draining::of(&recorder, Collected::default());
    for at in 0..5 {
        record(&recorder, 1, at).await.unwrap();
    }
    let empty = segment::HEADER_LEN as u64;
    until("only an empty segment is left", || recorder.status().size == empty).await;
    recorder.close(PATIENCE).await;
    assert_eq!(draining.stop().await.ids().len(), 5);
}

#[test]
fn a_record_is_read_as_what_was_written() {
    let review = review(1);
    let decision = decision(&review, 7);
    let text = serde_json::to_vec(&Borrowed::Decision(&decision)).unwrap();
    assert!(text.starts_with(DECISION), "else it is read the slow way");
    assert_eq!(parse(&text).unwrap(), Record::Decision(Box::new(decision)));
    let text = serde_json::to_vec(&Borrowed::Review(&review)).unwrap();
    assert_eq!(parse(&text).unwrap(), Record::Review((*review).clone()));
}
