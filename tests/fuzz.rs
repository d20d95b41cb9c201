//! The fuzz targets for a few seconds each, on any toolchain: seeds, and what random changes make of them.
//!
//! `FUZZ_SECONDS=600 cargo test --test fuzz` goes on for longer, `FUZZ_SEED=N` repeats a run as far as its time goes.

#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What a change puts in: where parsers decide.
const TOKENS: [&[u8]; 24] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b":",
    b",",
    b"null",
    b"true",
    b"1e400",
    b"-0",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x01\x00\x00\x00",
    b"\xef\xbb\xbf",
    b"@sha256:",
    b"/",
    b"..",
    b"\"uid\"",
    b"\"containers\"",
    b"\"request\"",
];

fn seconds() -> Duration {
    let asked = std::env::var("FUZZ_SECONDS").ok().map(|text| text.parse().expect("FUZZ_SECONDS is a number"));
    Duration::from_secs(asked.unwrap_or(4))
}

fn seeds(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).expect("seeds").map(|entry| entry.expect("readable").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} holds no seed", folder.display());
    files.into_iter().map(|file| std::fs::read(file).expect("readable")).collect()
}

fn changed(random: &mut fastrand::Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut input = seeds[random.usize(..seeds.len())].clone();
    for _ in 0..=random.u32(..6) {
        let at = random.usize(..=input.len());
        let end = (at + random.usize(..64)).min(input.len());
        match random.u32(..7) {
            0 if at < input.len() => input[at] ^= 1 << random.u32(..8),
            1 if at < input.len() => input[at] = random.u8(..),
            2 => drop(input.splice(at..at, TOKENS[random.usize(..TOKENS.len())].iter().copied())),
            3 => drop(input.drain(at..end)),
            4 => {
                let copied = input[at..end].to_vec();
                let to = random.usize(..=input.len());
                drop(input.splice(to..to, copied));
            }
            5 => input.truncate(at),
            _ => {
                let other = &seeds[random.usize(..seeds.len())];
                let from = random.usize(..=other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
        }
    }
    input
}

/// Every seed as it is, then changed ones until the time is up.
fn smoke(name: &str, target: fn(&[u8]), seeds: &[Vec<u8>]) {
    let seed = std::env::var("FUZZ_SEED").map_or_else(|_| fastrand::u64(..), |text| text.parse().expect("a number"));
    let (mut random, begun, mut runs) = (fastrand::Rng::with_seed(seed), Instant::now(), 0);
    let mut run = |input: &[u8]| {
        runs += 1;
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(input))) {
            let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}-{seed}"));
            std::fs::write(&kept, input).expect("a place for what was found");
            eprintln!("{name}: the input is kept in {} (FUZZ_SEED={seed})", kept.display());
            std::panic::resume_unwind(panic);
        }
    };
    seeds.iter().for_each(|seed| run(seed));
    while begun.elapsed() < seconds() {
        run(&changed(&mut random, seeds));
    }
    println!("{name}: {runs} inputs (FUZZ_SEED={seed})");
}

#[test]
fn a_review_is_read_or_refused() {
    smoke("review", targets::review, &seeds("tests/fixtures/captures"));
}

#[test]
fn a_reference_is_read_or_refused() {
    smoke("reference", targets::reference, &seeds("fuzz/seeds/reference"));
}

#[test]
fn a_journal_is_read_whatever_it_holds() {
    smoke("journal", targets::journal, &seeds("fuzz/seeds/journal"));
}

#[test]
fn a_row_of_a_table_is_read_as_it_was_written_and_is_no_formula() {
    smoke("csv", targets::csv, &seeds("fuzz/seeds/csv"));
}
