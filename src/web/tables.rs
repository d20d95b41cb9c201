//! The figures and the tables of what is hit most, each with the list that it counts.

use super::address::Address;
use super::filters::count;
use super::trend::Trend;
use crate::store::reach::Reach;
use crate::store::read::{Figures, Hit};

#[derive(Debug)]
pub struct Cell {
    pub class: &'static str,
    pub label: &'static str,
    pub number: u64,
    pub note: String,
    /// There is no list of what was never recorded.
    pub href: Option<Address>,
}

#[derive(Debug)]
pub struct HitRow {
    pub name: String,
    pub href: Address,
    pub would_reject: u64,
    pub would_href: Address,
    pub denied: u64,
    pub denied_href: Address,
    /// Of a hundred, against the row that is hit most.
    pub would_width: u64,
    pub denied_width: u64,
    pub trend: Trend,
}

/// How many were not judged is of whole clusters: in no part of the history.
pub fn cells(figures: &Figures, list: &Address, reach: &Reach) -> Vec<Cell> {
    let of_reviews = |number| share(number, figures.reviews);
    let answered = |answer: &str| Some(list.clone().with("answer", answer));
    let mut cells = vec![
        Cell {
            class: "reviews",
            label: "Reviews",
            number: figures.reviews,
            note: "judged and answered".into(),
            href: Some(list.clone()),
        },
        Cell {
            class: "would",
            label: "Would be rejected",
            number: figures.would_reject,
            note: of_reviews(figures.would_reject),
            href: Some(list.clone().with("would_reject", "true")),
        },
        Cell {
            class: "denied",
            label: "Denied",
            number: figures.denied,
            note: of_reviews(figures.denied),
            href: answered("denied"),
        },
        Cell {
            class: "failed",
            label: "Failed",
            number: figures.failed,
            note: of_reviews(figures.failed),
            href: answered("failed"),
        },
        Cell {
            class: "unjudged",
            label: "Unjudged",
            number: figures.unjudged,
            note: "answered, not judged".into(),
            href: None,
        },
        Cell {
            class: "dry",
            label: "Dry runs",
            number: figures.dry_runs,
            note: "not in the other figures".into(),
            href: Some(list.clone().with("dry_run", "true")),
        },
    ];
    cells.retain(|cell| cell.class != "unjudged" || reach.is_everything());
    cells
}

/// `policy/rule`; a rule's name may hold no slash, a policy's neither.
pub fn rule_rows(hits: Vec<Hit>, list: &Address) -> Vec<HitRow> {
    let of_rule = |name: &str| {
        let (policy, rule) = name.split_once('/').unwrap_or((name, ""));
        list.clone().with("policy", policy).with("rule", rule)
    };
    rows(hits, of_rule).into_iter().map(HitRow::blaming).collect()
}

pub fn namespace_rows(hits: Vec<Hit>, list: &Address) -> Vec<HitRow> {
    rows(hits, |name| list.clone().with("namespace", name))
}

/// By `registry/repository`, however it was written.
pub fn image_rows(hits: Vec<Hit>, list: &Address) -> Vec<HitRow> {
    rows(hits, |name| list.clone().with("repository", name)).into_iter().map(HitRow::blaming).collect()
}

fn rows(hits: Vec<Hit>, list: impl Fn(&str) -> Address) -> Vec<HitRow> {
    let most = hits.iter().map(|hit| hit.would_reject + hit.denied).max().unwrap_or(0).max(1);
    let row = |hit: Hit| {
        let href = list(&hit.name);
        HitRow {
            would_href: href.clone().with("would_reject", "true"),
            denied_href: href.clone().with("answer", "denied"),
            would_width: width(hit.would_reject, most),
            denied_width: width(hit.denied, most),
            trend: Trend::of_hit(&hit),
            name: hit.name,
            href,
            would_reject: hit.would_reject,
            denied: hit.denied,
        }
    };
    hits.into_iter().map(row).collect()
}

// === impl HitRow ===

impl HitRow {
    /// Its numbers are of decisions that it is a reason of; others may name it and be rejected for another.
    fn blaming(self) -> Self {
        Self {
            would_href: self.would_href.with("to_blame", "true"),
            denied_href: self.denied_href.with("to_blame", "true"),
            ..self
        }
    }
}

/// At least one of a hundred for anything at all.
fn width(number: u64, most: u64) -> u64 {
    if number == 0 { 0 } else { (number.saturating_mul(100) / most).max(1) }
}

fn share(number: u64, of: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    let percent = number as f64 / of.max(1) as f64 * 100.0;
    match number {
        0 => "none".to_owned(),
        _ if percent < 0.1 => format!("1 in {}", count(of / number, "review")),
        _ if percent < 10.0 => format!("{percent:.1} % of reviews"),
        _ => format!("{percent:.0} % of reviews"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_said_so_that_rare_things_are_not_nothing() {
        assert_eq!(share(0, 100), "none");
        assert_eq!(share(212, 14_203), "1.5 % of reviews");
        assert_eq!(share(1, 3), "33 % of reviews");
        assert_eq!(share(1, 14_203), "1 in 14,203 reviews");
    }

    #[test]
    fn each_row_links_what_it_counts() {
        let list = Address::of("/decisions").with("dry_run", "false");
        let hit = |name: &str, would_reject, denied| Hit {
            name: name.into(),
            reviews: would_reject + denied,
            would_reject,
            denied,
            ..Hit::default()
        };
        let rows = rule_rows(vec![hit("images/no-latest", 200, 0), hit("bouncer/bouncer", 0, 1)], &list);
        assert_eq!(
            rows[0].would_href.to_string(),
            "/decisions?dry_run=false&policy=images&rule=no-latest&would_reject=true&to_blame=true"
        );
        assert_eq!((rows[0].would_width, rows[0].denied_width), (100, 0));
        assert_eq!(
            rows[1].denied_href.to_string(),
            "/decisions?dry_run=false&policy=bouncer&rule=bouncer&answer=denied&to_blame=true"
        );
        let images = image_rows(vec![hit("docker.io/library/nginx", 3, 0)], &list);
        assert_eq!(images[0].href.to_string(), "/decisions?dry_run=false&repository=docker.io/library/nginx");
        assert_eq!((rows[1].would_width, rows[1].denied_width), (0, 1));
    }
}
