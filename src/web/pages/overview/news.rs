//! What a span has that the one before it had not.

use crate::review::clock::Timestamp;
use crate::store::read::{Figures, Ranking, Summary};
use crate::web::address::Address;
use crate::web::filters::count;
use crate::web::sentence::{Sentence, listed};
use crate::web::tables::{HitRow, image_rows, namespace_rows, rule_rows};
use crate::web::trend::Trend;
use crate::web::zone::Zone;

/// Names that are told of each kind.
const TOLD: usize = 5;

#[derive(Debug)]
pub struct News {
    pub sentence: Sentence,
    /// Nothing where nothing came in the time before.
    pub lines: Vec<Line>,
    pub kinds: Vec<Kind>,
}

/// A figure and the one before.
#[derive(Debug)]
pub struct Line {
    pub label: &'static str,
    pub now: u64,
    pub now_href: Address,
    pub before: u64,
    pub before_href: Address,
    pub trend: Trend,
}

/// Rules, namespaces or images that were not hit in the time before.
#[derive(Debug)]
pub struct Kind {
    pub heading: String,
    pub rows: Vec<HitRow>,
    pub more: u64,
}

/// What was hit in the span and not in the one before.
#[derive(Debug)]
pub struct New {
    pub rules: Ranking,
    pub namespaces: Ranking,
    pub images: Ranking,
}

// === impl News ===

impl News {
    /// `list` has the decisions of the span.
    pub fn of(summary: &Summary, new: New, list: &Address, zone: &Zone) -> Self {
        let before = &summary.before;
        let span = format!("{} to {}", zone.minute(before.since), zone.minute(before.until));
        if before.figures.reviews + before.figures.dry_runs == 0 {
            let text =
                format!("Nothing came in as long a time before ({span}), so that there is nothing to compare with.");
            return Self { sentence: Sentence::default().plain(text), lines: Vec::new(), kinds: Vec::new() };
        }
        let counted = [(new.rules.all, "rule"), (new.namespaces.all, "namespace"), (new.images.all, "image")];
        let news: Vec<String> =
            counted.into_iter().filter(|(number, _)| *number > 0).map(|(number, what)| count(number, what)).collect();
        let text = match news.as_slice() {
            [] => format!("No rule, namespace or image is hit that was not hit in the time before ({span})."),
            news => format!("Hit now, and not in the time before ({span}): {}.", listed(news)),
        };
        let at = |since: Timestamp, until: Timestamp| {
            list.clone().with("since", since.to_string()).with("until", until.to_string())
        };
        let past = at(before.since, before.until);
        Self {
            sentence: Sentence::default().plain(text),
            lines: lines((&summary.figures, list), (&before.figures, &past)),
            kinds: [
                Kind::of("New rules", new.rules.all, rule_rows(new.rules.hits, list)),
                Kind::of("New namespaces", new.namespaces.all, namespace_rows(new.namespaces.hits, list)),
                Kind::of("New images", new.images.all, image_rows(new.images.hits, list)),
            ]
            .into_iter()
            .flatten()
            .collect(),
        }
    }
}

fn lines((now, list): (&Figures, &Address), (before, past): (&Figures, &Address)) -> Vec<Line> {
    let line = |label, of: fn(&Figures) -> u64, filter: Option<(&'static str, &str)>| {
        let narrowed = |list: &Address| filter.map_or(list.clone(), |(name, value)| list.clone().with(name, value));
        let (now, before) = (of(now), of(before));
        Line {
            label,
            now,
            now_href: narrowed(list),
            before,
            before_href: narrowed(past),
            trend: Trend::of(now, before),
        }
    };
    vec![
        line("Reviews", |figures| figures.reviews, None),
        line("Would be rejected", |figures| figures.would_reject, Some(("would_reject", "true"))),
        line("Denied", |figures| figures.denied, Some(("answer", "denied"))),
        line("Failed", |figures| figures.failed, Some(("answer", "failed"))),
    ]
}

// === impl Line ===

impl Line {
    /// Now and before.
    pub fn figures(&self) -> [(u64, Address); 2] {
        [(self.now, self.now_href.clone()), (self.before, self.before_href.clone())]
    }
}

// === impl Kind ===

impl Kind {
    fn of(heading: &str, all: u64, mut rows: Vec<HitRow>) -> Option<Self> {
        rows.truncate(TOLD);
        let more = all.saturating_sub(rows.len() as u64);
        (!rows.is_empty()).then(|| Self { heading: heading.to_owned(), rows, more })
    }
}
