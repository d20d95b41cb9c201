//! How a number stands beside that of as long a time before.

use super::filters::group;
use crate::store::read::Hit;

#[derive(Debug, PartialEq, Eq)]
pub struct Trend {
    pub class: &'static str,
    /// `▲ 12`
    pub word: String,
    /// `12 more than the 30 in the time before`
    pub told: String,
}

// === impl Trend ===

impl Trend {
    pub fn of(now: u64, before: u64) -> Self {
        let (class, word, told) = match (now, before) {
            (0, 0) => ("same", "–".to_owned(), "none, and none in the time before".to_owned()),
            (_, 0) => ("new", "new".to_owned(), "none in the time before".to_owned()),
            (now, before) if now > before => {
                let more = group(now - before);
                ("up", format!("▲ {more}"), format!("{more} more than the {} in the time before", group(before)))
            }
            (now, before) if now < before => {
                let fewer = group(before - now);
                ("down", format!("▼ {fewer}"), format!("{fewer} fewer than the {} in the time before", group(before)))
            }
            (_, before) => ("same", "=".to_owned(), format!("as many as in the time before, {}", group(before))),
        };
        Self { class, word, told }
    }

    /// Of would-be rejections and denials together.
    pub fn of_hit(hit: &Hit) -> Self {
        Self::of(hit.would_reject + hit.denied, hit.before.would_reject + hit.before.denied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_told_beside_the_one_before() {
        let told = |now, before| {
            let trend = Trend::of(now, before);
            (trend.class, trend.word, trend.told)
        };
        assert_eq!(told(0, 0).0, "same");
        assert_eq!(told(3, 0), ("new", "new".into(), "none in the time before".into()));
        assert_eq!(told(1_300, 100), ("up", "▲ 1,200".into(), "1,200 more than the 100 in the time before".into()));
        assert_eq!(told(1, 3), ("down", "▼ 2".into(), "2 fewer than the 3 in the time before".into()));
        assert_eq!(told(3, 3), ("same", "=".into(), "as many as in the time before, 3".into()));
    }
}
