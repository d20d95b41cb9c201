use jiff::tz::TimeZone;

use super::*;
use crate::review::clock::DecisionId;

const MIDNIGHT: i64 = 1_795_392_000_000; // 2026-11-23T00:00:00Z
const HOUR: i64 = 3_600_000;

fn buckets(count: i64, length: i64, figures: impl Fn(i64) -> Figures) -> Vec<Bucket> {
    let bucket = |at: i64| Bucket {
        from: Timestamp(MIDNIGHT + at * length),
        to: Timestamp(MIDNIGHT + (at + 1) * length),
        figures: figures(at),
    };
    (0..count).map(bucket).collect()
}

fn reviews(reviews: u64) -> Figures {
    Figures { reviews, allowed: reviews, ..Figures::default() }
}

fn list() -> Address {
    Address::of("/decisions").with("dry_run", "false")
}

fn utc() -> Zone {
    Zone::new(TimeZone::UTC)
}

#[test]
fn nothing_is_drawn_without_buckets() {
    assert_eq!(Chart::of(Vec::new(), &[], &utc(), &list()), None);
}

#[test]
fn grid_steps_are_round_and_reach_the_top() {
    for (most, step) in [
        (0, 1),
        (1, 1),
        (4, 1),
        (5, 2),
        (8, 2),
        (9, 5),
        (20, 5),
        (41, 20),
        (95, 25),
        (100, 25),
        (101, 50),
        (1_000, 250),
        (14_203, 5_000),
    ] {
        assert_eq!(grid_step(most), step, "{most}");
    }
    assert!(grid_step(u64::MAX) >= u64::MAX / 4);
}

fn drawn(figures: Figures, top: u64) -> Vec<Part> {
    parts(&Stack::of(&buckets(1, HOUR, |_| figures.clone())[0]).parts, top)
}

#[test]
fn parts_stand_on_each_other_and_the_highest_fits() {
    let figures = Figures { reviews: 100, allowed: 80, would_reject: 30, denied: 15, failed: 5, ..Figures::default() };
    let drawn = drawn(figures, 100);
    assert_eq!(drawn.iter().map(|part| part.class).collect::<Vec<_>>(), ["denied", "failed", "would", "allowed"]);
    let number = |text: &str| text.parse::<f64>().expect("a number");
    let mut base = BASE;
    for part in &drawn {
        assert!((number(&part.y) + number(&part.height) - base).abs() < 0.11, "{part:?} on {base}");
        base = number(&part.y);
    }
    assert!((base - TOP).abs() < 0.11, "{base}");
}

#[test]
fn one_denial_among_many_reviews_is_seen() {
    let figures = Figures { reviews: 1_000_000, allowed: 999_999, denied: 1, ..Figures::default() };
    let drawn = drawn(figures, 1_000_000);
    assert_eq!((drawn[0].class, drawn[0].height.as_str()), ("denied", "2.5"));
}

#[test]
fn columns_fill_the_width_in_order() {
    let chart = Chart::of(buckets(24, HOUR, |_| reviews(7)), &[], &utc(), &list()).expect("a chart");
    assert_eq!(chart.columns.len(), 24);
    assert_eq!((chart.columns[0].hit_x.as_str(), chart.columns[0].hit_width.as_str()), ("0.00%", "4.17%"));
    assert_eq!(chart.columns[12].hit_x, "50.00%");
    assert_eq!(chart.columns[1].title, "Mon 23 Nov, 01:00 to 02:00\n7 reviews");
    assert_eq!(
        chart.columns[1].href.to_string(),
        "/decisions?dry_run=false&since=2026-11-23T01:00:00.000Z&until=2026-11-23T02:00:00.000Z"
    );
}

#[test]
fn labels_are_few_and_at_round_times() {
    for (count, length, want) in [
        (4, HOUR / 4, vec!["00:00", "00:15", "00:30", "00:45"]),
        (24, HOUR, vec!["00:00", "03:00", "06:00", "09:00", "12:00", "15:00", "18:00", "21:00"]),
        (56, 3 * HOUR, vec!["23 Nov", "24 Nov", "25 Nov", "26 Nov", "27 Nov", "28 Nov", "29 Nov"]),
    ] {
        let chart = Chart::of(buckets(count, length, |_| reviews(1)), &[], &utc(), &list()).expect("a chart");
        assert_eq!(chart.labels.iter().map(|label| label.text.as_str()).collect::<Vec<_>>(), want);
    }
}

#[test]
fn buckets_that_never_begin_at_a_round_time_are_labelled_all_the_same() {
    let odd = Zone::new(TimeZone::fixed(jiff::tz::Offset::from_seconds(5 * 3_600 + 2_745).expect("an offset")));
    let chart = Chart::of(buckets(30, 24 * HOUR, |_| reviews(1)), &[], &odd, &list()).expect("a chart");
    assert!((2..=MAX_LABELS).contains(&chart.labels.len()), "{:?}", chart.labels);
}

#[test]
fn a_short_gap_is_wide_enough_to_see_and_one_outside_is_left_out() {
    let gap = |from: i64, to: Option<i64>| Gap {
        id: DecisionId::at(Timestamp(MIDNIGHT)),
        cluster: None,
        from: Timestamp(MIDNIGHT + from),
        to: to.map(|to| Timestamp(MIDNIGHT + to)),
        count: None,
        reason: "the disk was full".into(),
    };
    let gaps = [gap(HOUR, Some(HOUR + 1)), gap(23 * HOUR, None), gap(-5 * HOUR, Some(-4 * HOUR))];
    let chart = Chart::of(buckets(24, HOUR, |_| reviews(1)), &gaps, &utc(), &list()).expect("a chart");
    let drawn: Vec<_> = chart.gaps.iter().map(|gap| (gap.x.as_str(), gap.width.as_str())).collect();
    assert_eq!(drawn, [("4.17%", "0.40%"), ("95.83%", "4.17%")]);
}
