//! A disk that fails, hangs or is full.

use super::*;

#[tokio::test]
async fn a_group_whose_fsync_failed_is_written_to_a_new_segment() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path());
    let faulty = Faulty::default();
    let recorder = Recorder::open_on(&settings, QUICK, faulty.clone()).unwrap();
    let first = record(&recorder, 1, 1).await.unwrap();
    let before = segments(&settings);
    let good = fs::metadata(&before[0]).unwrap().len();
    faulty.set(|state| state.syncs = 1);
    let second = record(&recorder, 1, 2).await.unwrap();
    // The failed file is as it was, the new one complete in itself.
    assert_eq!(fs::metadata(&before[0]).unwrap().len(), good);
    assert_eq!(segments(&settings).len(), 2);
    assert_eq!(recorder.status().backlog_records, 4);
    assert_eq!(recorder.status().failed, None);
    recorder.close(PATIENCE).await;
    let sink = drained(&settings).await;
    assert_eq!(sink.ids(), [first, second]);
    assert_eq!(sink.gaps(), []);
}

#[tokio::test]
async fn a_journal_that_fails_counts_every_decision_once_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path());
    let faulty = Faulty::default();
    let pace = Pace { retry: Duration::from_secs(3600), ..QUICK };
    let recorder = Recorder::open_on(&settings, pace, faulty.clone()).unwrap();
    let first = record(&recorder, 1, 1).await.unwrap();
    faulty.set(|state| state.appends = 2);
    let failed = record(&recorder, 1, 100).await.unwrap_err();
    assert!(matches!(&failed, NotRecorded::Failed(text) if text.contains("free space")), "{failed}");
    for at in 101..104 {
        assert!(matches!(record(&recorder, 1, at).await, Err(NotRecorded::Failed(_))));
    }
    let status = recorder.status();
    assert!(status.failed.unwrap().contains("segment-"));
    let gap = status.open_gap.unwrap();
    assert_eq!((gap.count, gap.from, gap.cluster.as_deref()), (Some(4), Timestamp(100), Some("prod")));
    // Closing tries once more, and has the gap recorded.
    recorder.close(PATIENCE).await;
    let sink = drained(&settings).await;
    assert_eq!(sink.ids(), [first]);
    assert_eq!(sink.gaps().len(), 1);
}

#[tokio::test]
async fn a_failed_journal_recovers_by_itself_and_its_gap_is_exact() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path());
    let faulty = Faulty::default();
    let recorder = Recorder::open_on(&settings, QUICK, faulty.clone()).unwrap();
    faulty.set(|state| (state.appends, state.creates) = (1, 6));
    record(&recorder, 1, 100).await.unwrap_err();
    until("the gap has ended", || recorder.status().open_gap.is_none()).await;
    let id = record(&recorder, 1, 200).await.unwrap();
    recorder.close(PATIENCE).await;
    let sink = drained(&settings).await;
    assert_eq!(sink.ids(), [id]);
    let gaps = sink.gaps();
    assert_eq!(gaps.len(), 1);
    assert_eq!((gaps[0].count, gaps[0].from), (Some(1), Timestamp(100)));
    assert!(gaps[0].reason.contains("no storage space") || gaps[0].reason.contains("read-only"), "{gaps:?}");
}

#[tokio::test]
async fn a_journal_that_fails_from_the_start_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path());
    let faulty = Faulty::default();
    faulty.set(|state| state.creates = usize::MAX);
    let error = Recorder::open_on(&settings, QUICK, faulty.clone()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("segment-") && text.contains("mount its disk writable"), "{text}");
    let recorder = Recorder::failed_on(&settings, QUICK, faulty.clone(), &error).unwrap();
    assert_eq!(recorder.status().failed, Some(text));
    assert!(recorder.status().open_gap.is_some());
    assert_eq!(recorder.status().drained_until, None);
    assert!(matches!(record(&recorder, 1, 1).await, Err(NotRecorded::Failed(_))));
    faulty.set(|state| state.creates = 0);
    until("the gap has ended", || recorder.status().open_gap.is_none()).await;
    assert_eq!(recorder.status().failed, None);
    let id = record(&recorder, 1, 2).await.unwrap();
    recorder.close(PATIENCE).await;
    let sink = drained(&settings).await;
    assert_eq!((sink.ids(), sink.missed()), (vec![id], 1));
}

#[tokio::test]
async fn a_fault_that_missed_nothing_is_no_gap() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path());
    let faulty = Faulty::default();
    faulty.set(|state| state.creates = 3);
    let error = Recorder::open_on(&settings, QUICK, faulty.clone()).unwrap_err();
    let recorder = Recorder::failed_on(&settings, QUICK, faulty, &error).unwrap();
    assert!(recorder.status().open_gap.is_some());
    until("the gap has ended", || recorder.status().open_gap.is_none()).await;
    recorder.close(PATIENCE).await;
    assert_eq!(drained(&settings).await.gaps(), []);
}

#[tokio::test]
async fn a_disk_that_hangs_delays_by_max_wait_at_most_and_every_decision_is_in_one_place() {
    let dir = tempfile::tempdir().unwrap();
    let settings = JournalSettings { max_wait: Duration::from_millis(50), ..settings(dir.path()) };
    let faulty = Faulty::default();
    let recorder = Recorder::open_on(&settings, QUICK, faulty.clone()).unwrap();
    faulty.set(|state| state.hang = true);
    let begun = std::time::Instant::now();
    let first = tokio::spawn(record_owned(recorder.clone(), 1, 100));
    until("the first is being written", || faulty.hangs()).await;
    // They wait behind it, then are given up.
    let behind: Vec<_> = (101..104).map(|at| tokio::spawn(record_owned(recorder.clone(), 1, at))).collect();
    assert!(matches!(first.await.unwrap(), Err(NotRecorded::Unsure(_))));
    for behind in behind {
        assert!(matches!(behind.await.unwrap(), Err(NotRecorded::Late(_))));
    }
    assert!(begun.elapsed() < PATIENCE / 2);
    // From now on nobody waits: these are not even sent.
    for at in 104..110 {
        assert!(matches!(record(&recorder, 1, at).await, Err(NotRecorded::Late(_))));
    }
    assert_eq!(recorder.shared().queue.len(), 4);
    let status = recorder.status();
    assert!(status.failed.unwrap().contains("has not answered"));
    assert_eq!(status.open_gap.unwrap().count, Some(9));
    faulty.set(|state| state.hang = false);
    until("the gap has ended", || recorder.status().open_gap.is_none()).await;
    let last = record(&recorder, 1, 200).await.unwrap();
    recorder.close(PATIENCE).await;
    let sink = drained(&settings).await;
    // The first came through in the end, and is in no gap.
    assert_eq!(sink.ids().len(), 2);
    assert!(sink.ids().contains(&last));
    assert_eq!(sink.missed(), 9);
}

#[tokio::test]
async fn a_late_write_that_fails_is_counted_although_nobody_waits() {
    let dir = tempfile::tempdir().unwrap();
    let settings = JournalSettings { max_wait: Duration::from_millis(20), ..settings(dir.path()) };
    let faulty = Faulty::default();
    let recorder = Recorder::open_on(&settings, QUICK, faulty.clone()).unwrap();
    faulty.set(|state| state.hang = true);
    assert!(matches!(record(&recorder, 1, 100).await, Err(NotRecorded::Unsure(_))));
    assert_eq!(recorder.status().open_gap.unwrap().count, Some(0));
    faulty.set(|state| (state.hang, state.syncs, state.creates) = (false, 1, 1));
    until("it is counted", || recorder.status().open_gap.is_some_and(|gap| gap.count == Some(1))).await;
    until("the gap has ended", || recorder.status().open_gap.is_none()).await;
    recorder.close(PATIENCE).await;
    let sink = drained(&settings).await;
    assert_eq!((sink.ids(), sink.missed()), (vec![], 1));
}

#[tokio::test]
async fn the_mark_of_a_gap_is_on_the_disk_while_the_disk_hangs() {
    let dir = tempfile::tempdir().unwrap();
    let settings = JournalSettings { max_wait: Duration::from_millis(20), ..settings(dir.path()) };
    let faulty = Faulty::default();
    let recorder = Recorder::open_on(&settings, QUICK, faulty.clone()).unwrap();
    faulty.set(|state| state.hang = true);
    assert!(matches!(record(&recorder, 1, 100).await, Err(NotRecorded::Unsure(_))));
    let marks = || slots::GapFile::open(&settings.dir).unwrap().1;
    until("it is marked", || marks().first().is_some_and(|mark| mark.gap.from == Timestamp(100))).await;
    faulty.set(|state| state.hang = false);
    until("it is cleared", || marks().is_empty()).await;
    recorder.close(PATIENCE).await;
}

#[tokio::test]
async fn close_does_not_wait_for_a_disk_that_hangs() {
    let dir = tempfile::tempdir().unwrap();
    let settings = JournalSettings { max_wait: Duration::from_millis(20), ..settings(dir.path()) };
    let faulty = Faulty::default();
    let recorder = Recorder::open_on(&settings, QUICK, faulty.clone()).unwrap();
    faulty.set(|state| state.hang = true);
    assert!(record(&recorder, 1, 100).await.is_err());
    assert_eq!(recorder.close(Duration::from_millis(50)).await, 1);
    faulty.set(|state| state.hang = false);
}

#[tokio::test]
async fn a_full_journal_refuses_and_takes_again_once_drained() {
    let dir = tempfile::tempdir().unwrap();
    let settings = JournalSettings { max_size: 32 << 10, ..settings(dir.path()) };
    let recorder = Recorder::open_on(&settings, QUICK, Disk).unwrap();
    let mut ids = Vec::new();
    let mut refused = 0;
    for at in 0..200 {
        match record(&recorder, 1, at).await {
            Ok(id) => ids.push(id),
            Err(why) => {
                assert_eq!(why, NotRecorded::Full(32 << 10));
                refused += 1;
            }
        }
    }
    assert!(ids.len() > 20 && refused > 20, "{} recorded, {refused} refused", ids.len());
    let status = recorder.status();
    assert!(status.size <= 32 << 10, "{status:?}");
    assert!(status.failed.unwrap().contains("max_size"));
    assert_eq!(status.open_gap.unwrap().count, Some(refused));
    let draining = Draining::of(&recorder, Collected::default());
    until("the gap has ended", || recorder.status().open_gap.is_none()).await;
    assert_eq!(recorder.status().failed, None);
    ids.push(record(&recorder, 1, 1_000).await.unwrap());
    assert_eq!(recorder.close(PATIENCE).await, 0);
    let sink = draining.stop().await;
    assert_eq!((sink.ids(), sink.missed()), (ids, refused));
}

#[tokio::test]
async fn a_journal_that_was_full_counts_as_full_while_its_gap_is_open() {
    let dir = tempfile::tempdir().unwrap();
    // No decision fits, and there is always room.
    let settings = JournalSettings { max_size: 1 << 8, ..settings(dir.path()) };
    let recorder = Recorder::open_on(&settings, Pace { quiet: PATIENCE, ..QUICK }, Disk).unwrap();
    assert_eq!(record(&recorder, 1, 100).await, Err(NotRecorded::Full(1 << 8)));
    let size = recorder.status().size;
    recorder.unjudged("prod");
    until("the keeper has made its round", || recorder.status().size > size).await;
    let status = recorder.status();
    assert!(status.open_gap.is_some() && status.failed.unwrap().contains("max_size"));
    recorder.close(PATIENCE).await;
    assert_eq!(recorder.status().failed, None);
}

#[tokio::test]
async fn what_the_recorder_says_itself_stays_within_max_size_and_loses_no_count() {
    let dir = tempfile::tempdir().unwrap();
    let settings = JournalSettings { max_size: 16 << 10, ..settings(dir.path()) };
    let recorder = Recorder::open_on(&settings, QUICK, Disk).unwrap();
    recorder.present(Uuid::now_v7(), ["prod".to_owned()]);
    let mut counted = 0;
    while recorder.status().size < settings.max_size {
        recorder.unjudged("prod");
        counted += 1;
        tokio::time::sleep(QUICK.tick / 5).await;
    }
    for _ in 0..500 {
        recorder.unjudged("prod");
        counted += 1;
        tokio::time::sleep(QUICK.tick / 5).await;
    }
    let size = recorder.status().size;
    assert!(size < settings.max_size + 1024, "one round more at most: {size}");
    recorder.close(PATIENCE).await;
    assert_eq!(hold(&drained(&settings).await.0).unjudged.values().sum::<u64>(), counted);
}

#[tokio::test]
async fn a_file_in_the_way_of_the_next_segment_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path());
    let faulty = Faulty::default();
    let recorder = Recorder::open_on(&settings, QUICK, faulty.clone()).unwrap();
    fs::write(segment::path(&settings.dir, 2), "left by a try that failed").unwrap();
    faulty.set(|state| state.syncs = 1);
    record(&recorder, 1, 100).await.unwrap_err();
    until("the gap has ended", || recorder.status().open_gap.is_none()).await;
    let id = record(&recorder, 1, 200).await.unwrap();
    recorder.close(PATIENCE).await;
    assert_eq!(drained(&settings).await.ids(), [id]);
}

#[tokio::test]
async fn an_ended_gap_is_shown_until_the_store_has_it_over_a_restart_too() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path());
    let faulty = Faulty::default();
    let recorder = Recorder::open_on(&settings, QUICK, faulty.clone()).unwrap();
    faulty.set(|state| (state.appends, state.creates) = (1, 1));
    record(&recorder, 1, 100).await.unwrap_err();
    until("the gap has ended", || recorder.status().open_gap.is_none()).await;
    let ended = recorder.status().ended_gaps;
    assert_eq!((ended.len(), ended[0].count, ended[0].to.is_some()), (1, Some(1), true));
    recorder.close(PATIENCE).await;
    let recorder = Recorder::open_on(&settings, QUICK, Disk).unwrap();
    assert_eq!(recorder.status().ended_gaps, ended);
    let draining = Draining::of(&recorder, Collected::default());
    until("the store has it", || recorder.status().ended_gaps.is_empty()).await;
    assert_eq!(draining.stop().await.gaps(), ended);
}
