//! What a crash, a bad disk or another process leaves.

use proptest::prelude::*;

use super::*;
use crate::recorder::damage::Damages;
use crate::recorder::recovery::recover;
use crate::recorder::slots::GapFile;

/// A journal of `count` decisions in one segment: its path, its bytes, and where each record ends.
fn written(settings: &JournalSettings, count: i64) -> (PathBuf, Vec<u8>, Vec<usize>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let recorder = Recorder::open_on(settings, QUICK, Disk).unwrap();
        for at in 0..count {
            record(&recorder, at as u8, 1_000 + at).await.unwrap();
        }
        recorder.close(PATIENCE).await;
    });
    let path = segments(settings).pop().unwrap();
    let bytes = fs::read(&path).unwrap();
    let mut ends = Vec::new();
    let mut at = segment::HEADER_LEN;
    while let frame::Step::Frame(payload) = frame::step(&bytes, at) {
        at = payload.end;
        ends.push(at);
    }
    assert_eq!((ends.len() as i64, at), (count * 2, bytes.len()));
    (path, bytes, ends)
}

/// What recovery says of the segment: records, torn, damaged, and the file's length after it.
fn recovered(settings: &JournalSettings, path: &Path) -> (u64, u64, u64, usize) {
    let (shared, _threads) = Shared::new(settings, QUICK);
    let damages = Damages::default();
    let recovered = recover(&settings.dir, &damages).unwrap();
    recovered.shelve(&shared.shelf);
    let len = fs::metadata(path).map_or(0, |metadata| metadata.len() as usize);
    (shared.shelf.backlog().records, recovered.torn, damages.count(), len)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

#[test]
fn cut_at_every_byte_exactly_the_whole_records_before_are_recovered() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path());
    let (path, bytes, ends) = written(&settings, 2);
    for cut in 0..bytes.len() {
        fs::write(&path, &bytes[..cut]).unwrap();
        let whole = ends.iter().filter(|&&end| end <= cut).count();
        let good = ends[..whole].last().copied().unwrap_or(segment::HEADER_LEN);
        // A file without its header is deleted; so is one without a record, after its torn tail is counted.
        let torn = u64::from(cut > good && cut >= segment::HEADER_LEN);
        let len = if whole == 0 { 0 } else { good };
        assert_eq!(recovered(&settings, &path), (whole as u64, torn, 0, len), "cut at {cut}");
    }
}

#[test]
fn pages_that_a_crash_left_zero_are_torn_too() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path());
    let (path, mut bytes, ends) = written(&settings, 3);
    let last = bytes.len();
    bytes[ends[4] + 20..].fill(0);
    bytes.extend([0; 4096]);
    fs::write(&path, &bytes).unwrap();
    assert!(ends[4] + 20 < last);
    assert_eq!(recovered(&settings, &path), (5, 1, 0, ends[4]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// Against the model: a list of decisions, of which a cut keeps a prefix.
    #[test]
    fn a_crash_at_any_point_keeps_a_prefix(sizes in prop::collection::vec(0_usize..3000, 1..30), cut in 0.0..1.0) {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(dir.path());
        let (ids, found, acknowledged) = runtime().block_on(async {
            let recorder = Recorder::open_on(&settings, QUICK, Disk).unwrap();
            let mut ids = Vec::new();
            let mut acknowledged = Vec::new();
            for (at, size) in sizes.iter().enumerate() {
                let review = review(*size as u8);
                let decision = Decision { message: Some("\u{1}x\"".repeat(*size)), ..decision(&review, at as i64) };
                ids.push(decision.id);
                recorder.record(review, decision).await.unwrap();
                acknowledged.push(recorder.status().size);
            }
            recorder.close(PATIENCE).await;
            let path = segments(&settings).pop().unwrap();
            let whole = fs::read(&path).unwrap();
            let cut = (whole.len() as f64 * cut) as usize;
            fs::write(&path, &whole[..cut]).unwrap();
            let kept = acknowledged.iter().filter(|&&size| size <= cut as u64).count();
            (ids, drained(&settings).await, kept)
        });
        prop_assert_eq!(found.ids(), &ids[..acknowledged]);
        prop_assert_eq!(found.gaps(), []);
        prop_assert_eq!(hold(&found.0).orphans, 0);
    }

    #[test]
    fn a_flipped_bit_costs_one_record_and_is_said(at in 0.0..1.0, bit in 0_u8..8) {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(dir.path());
        let (path, mut bytes, ends) = written(&settings, 6);
        // Any byte of the middle four decisions.
        let (from, to) = (ends[1], ends[9]);
        let flipped = from + ((to - from) as f64 * at) as usize;
        bytes[flipped] ^= 1 << bit;
        fs::write(&path, &bytes).unwrap();
        let hit = ends.iter().position(|&end| flipped < end).unwrap();
        let lost = &bytes[ends[hit - 1]..ends[hit]];
        let first = runtime().block_on(drained(&settings));
        let expected = if hit % 2 == 1 { 5 } else { 6 };
        prop_assert_eq!(first.ids().len(), expected);
        prop_assert_eq!(damaged_files(&settings), [lost.to_vec()]);
        let gaps = first.gaps();
        prop_assert_eq!(gaps.len(), 1);
        // Between the decisions around it.
        let decision = hit as i64 / 2;
        prop_assert_eq!(gaps[0].from, Timestamp(1_000 + decision - 1));
        let next = if hit % 2 == 1 { decision + 1 } else { decision };
        prop_assert_eq!((gaps[0].to, gaps[0].count), (Some(Timestamp(1_000 + next)), None));
        // The same damage met again is the same gap.
        fs::write(&path, &bytes).unwrap();
        let again = runtime().block_on(drained(&settings));
        prop_assert_eq!(again.gaps(), gaps);
        prop_assert_eq!(damaged_files(&settings).len(), 1);
    }
}

#[tokio::test]
async fn a_flipped_bit_in_the_last_record_is_damage_not_a_torn_write() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path());
    let (path, mut bytes, ends) = tokio::task::spawn_blocking({
        let settings = settings.clone();
        move || written(&settings, 2)
    })
    .await
    .unwrap();
    bytes[ends[2] + 40] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert_eq!(recovered(&settings, &path), (3, 0, 1, bytes.len()));
    let sink = drained(&settings).await;
    assert_eq!((sink.ids().len(), sink.gaps().len()), (1, 1));
}

#[tokio::test]
async fn a_copy_taken_while_it_runs_holds_all_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path());
    let recorder = Recorder::open_on(&settings, QUICK, Disk).unwrap();
    let mut ids = Vec::new();
    for at in 0..20 {
        ids.push(record(&recorder, 1, at).await.unwrap());
    }
    // As a kill would leave it: nothing is flushed, nothing is closed.
    let copy = JournalSettings { dir: dir.path().join("copy"), ..settings.clone() };
    fs::create_dir(&copy.dir).unwrap();
    for file in fs::read_dir(&settings.dir).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.dir.join(file.file_name())).unwrap();
    }
    assert_eq!(drained(&copy).await.ids(), ids);
}

#[tokio::test]
async fn a_journal_belongs_to_one() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path());
    let recorder = Recorder::open(&settings).unwrap();
    let error = Recorder::open(&settings).unwrap_err();
    assert!(matches!(&error, JournalError::Held { holder: Holder::Process(pid), .. } if *pid == std::process::id()));
    assert!(error.to_string().contains(settings.dir.to_str().unwrap()), "{error}");
    recorder.close(PATIENCE).await;
    assert!(Recorder::open(&settings).is_ok());
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path());
    let (path, mut bytes, _) = written(&settings, 1);
    bytes[8] = 2;
    let checksum = crc32c::crc32c(&bytes[..12]).to_le_bytes();
    bytes[12..16].copy_from_slice(&checksum);
    bytes.pop();
    fs::write(&path, &bytes).unwrap();
    let error = Recorder::open(&settings).unwrap_err();
    assert!(matches!(error, JournalError::Newer { found: 2, known: 1, .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let settings = JournalSettings { dir: dir.path().join("file/journal"), ..settings(dir.path()) };
    let error = Recorder::open(&settings).unwrap_err().to_string();
    assert!(error.contains("file/journal") && error.contains("out of the way"), "{error}");
}

#[tokio::test]
async fn an_open_mark_is_a_gap_up_to_the_start_of_unknown_count() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path());
    fs::create_dir(&settings.dir).unwrap();
    let from = Timestamp(1_700_000_000_000);
    let id = DecisionId::at(from);
    let mark = Gap { id, cluster: None, from, to: None, count: Some(3), reason: "the disk was full".to_owned() };
    let (file, _) = GapFile::open(&settings.dir).unwrap();
    file.write(5, &mark).unwrap();
    let before = Timestamp::now();
    let gaps = drained(&settings).await.gaps();
    assert_eq!(gaps.len(), 1);
    assert_eq!((gaps[0].id, gaps[0].from, gaps[0].count), (id, from, None));
    assert!(gaps[0].to.unwrap() >= before);
    let (_, marks) = GapFile::open(&settings.dir).unwrap();
    assert_eq!(marks, []);
}
