//! What is fuzzed: bytes that others write, read without a panic, and what must be so of the result.
//!
//! `cargo fuzz run TARGET` drives these on a nightly toolchain; `tests/fuzz.rs` drives the same for a few seconds on any.

use rehearsal::recorder::inspect::{FaultKind, Inspected};
use rehearsal::review::decision::{Record, ReviewRecord};
use rehearsal::review::decode::decode;
use rehearsal::review::peek::peek;
use rehearsal::review::redact::Redaction;
use rehearsal::review::reference::ImageReference;
use rehearsal::review::strict;
use rehearsal::review::view::ObjectView;
use rehearsal::web::export::csv;

/// The body of a request.
pub fn review(input: &[u8]) {
    let peeked = peek(input);
    let Ok(review) = decode(input) else { return };
    if let Some(peeked) = peeked {
        assert_eq!(peeked.protocol, review.protocol, "a glance sees what a look sees");
        assert_eq!(peeked.uid, review.uid);
    }
    let again = decode(input).expect("what was read once");
    assert_eq!(again.record, review.record, "reading is a function of the bytes");
    let json = serde_json::to_vec(&*review.record).expect("it goes to the journal");
    let record: ReviewRecord = serde_json::from_slice(&json).expect("and comes back");
    assert_eq!(record, *review.record);
    let document = strict::parse(input).expect("what was read once");
    let view = ObjectView::of(&review, &document).encode();
    for text in [view.as_str(), review.view.encoded()] {
        strict::check(text.as_bytes()).expect("a view is JSON");
    }
    let redacted = Redaction::of(input).object(&view);
    strict::check(redacted.as_bytes()).expect("and so it is without its secrets");
}

/// The name of an image.
pub fn reference(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(reference) = ImageReference::parse(text) else { return };
    let normalised = reference.normalised();
    // Capitals decide what is a host, and what is none has no registry: neither shows any more when it is spelled out.
    let first = text.split('/').next().unwrap_or_default();
    if first.chars().any(char::is_uppercase) || reference.registry.is_empty() {
        return;
    }
    let again = ImageReference::parse(&normalised).expect("what is spelled out can be read");
    assert_eq!(again.normalised(), normalised);
    assert_eq!(again.name(), reference.name());
    assert_eq!((again.effective_tag(), &again.digest), (reference.effective_tag(), &reference.digest));
}

/// The cells of one row of an export, a zero byte between them.
pub fn csv(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let cells: Vec<&str> = text.split('\0').collect();
    let mut row = Vec::new();
    csv::write_row(&mut row, &cells).expect("memory");
    let read = read_row(&String::from_utf8(row).expect("UTF-8 stays UTF-8"));
    assert_eq!(read.len(), cells.len(), "no cell becomes two");
    for (read, cell) in read.iter().zip(cells) {
        assert!(!read.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']), "a formula: {read:?}");
        let parts = read.split([',', ';', '\t', '\r', '\n']);
        assert!(parts.clone().all(|part| !part.starts_with(['=', '+', '-', '@'])), "a formula: {read:?}");
        assert_eq!(read.replace('\'', ""), cell.replace('\'', ""));
    }
}

/// As RFC 4180 has it read.
fn read_row(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut is_quoted = false;
    let mut letters = line.strip_suffix("\r\n").expect("a line end").chars().peekable();
    while let Some(letter) = letters.next() {
        let cell = cells.last_mut().expect("one at least");
        match letter {
            '"' if is_quoted && letters.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => cells.push(String::new()),
            letter => cell.push(letter),
        }
    }
    cells
}

/// The first 16 bytes of every segment of format 1.
const HEADER: &[u8; 16] = b"RHRSLJNL\x01\x00\x00\x00\xfe\x48\xf6\x20";

/// A segment of the journal, with or without its header.
pub fn journal(input: &[u8]) {
    looks_right(input, &Inspected::of_bytes(input));
    let body = input.strip_prefix(HEADER).unwrap_or(input);
    let segment = [HEADER, body].concat();
    let found = Inspected::of_bytes(&segment);
    looks_right(&segment, &found);
    // Whatever is damaged, the whole record behind it is found.
    let whole = frame(&Record::Unjudged {
        id: serde_json::from_str("\"01a2148e-1e81-732e-b31a-8323bfcc6527\"").expect("an id"),
        cluster: "prod".to_owned(),
        bucket: serde_json::from_str("0").expect("a time"),
        count: 1,
    });
    let longer = Inspected::of_bytes(&[&segment, &whole[..]].concat());
    let unjudged = |segment: &Inspected| segment.records.get("unjudged").copied().unwrap_or_default();
    assert_eq!(unjudged(&longer), unjudged(&found) + 1, "a record behind damage");
}

/// Records and faults lie in the file, one after the other.
fn looks_right(bytes: &[u8], segment: &Inspected) {
    let len = bytes.len() as u64;
    assert!(segment.bytes == len && segment.good <= len);
    let mut end = 0;
    for fault in &segment.faults {
        assert!(fault.offset >= end && fault.bytes <= len - fault.offset, "{:?}", segment.faults);
        end = fault.offset + fault.bytes;
        assert!(fault.kind != FaultKind::Torn || end == len, "only an end is torn: {:?}", segment.faults);
    }
    let records: u64 = segment.records.values().sum();
    let damaged: u64 = segment.faults.iter().map(|fault| fault.bytes).sum();
    // Length, checksum and a payload of a byte at least.
    assert!(records * 9 + damaged <= len, "{records} records and {damaged} bytes of damage in {len} bytes");
}

/// As it stands in a segment.
fn frame(record: &Record) -> Vec<u8> {
    let payload = serde_json::to_vec(record).expect("a record");
    let length = u32::try_from(payload.len()).expect("short").to_le_bytes();
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&length), &payload).to_le_bytes();
    [&length[..], &checksum[..], &payload[..]].concat()
}
