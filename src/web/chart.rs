//! Stacked columns over time, drawn as SVG. Across, everything is in percent, so that one drawing fits every width without
//! scaling its text; upwards it is in pixels.
//!
//! What went wrong stands at the bottom, on one base line, and is never thinner than can be seen; what went well is on top.

use super::address::Address;
use super::filters::{count, group, plain};
use super::zone::Zone;
use crate::review::clock::{DAY, Timestamp};
use crate::review::decision::Gap;
use crate::store::read::{Bucket, Figures};

/// Room above the highest column for the grid's topmost number.
const TOP: f64 = 18.0;
const PLOT: f64 = 176.0;
const BASE: f64 = TOP + PLOT;
/// Room below the columns for one line of times.
const HEIGHT: f64 = BASE + 24.0;
/// A part with anything in it is at least this high: one denial among ten thousand reviews must be seen.
const LEAST: f64 = 2.5;
/// More labels than this touch each other on a narrow screen, even with every other one hidden there.
const MAX_LABELS: usize = 8;
/// Of a column's share of the width.
const FILLED: f64 = 0.78;
/// Percent; so that four columns do not look like a wall.
const WIDEST: f64 = 4.0;

#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    pub columns: Vec<Column>,
    pub grid: Vec<GridLine>,
    pub labels: Vec<Label>,
    pub gaps: Vec<GapMark>,
}

/// One bucket before it is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Stack {
    pub from: Timestamp,
    pub to: Timestamp,
    /// From the bottom up, each with its class.
    pub parts: Vec<(&'static str, u64)>,
    /// For the grid.
    pub all: u64,
    /// On hover, under the span.
    pub said: String,
    /// For the table, each with what of the bucket's decisions it counts; `None`: all.
    pub figures: Vec<(u64, Option<(&'static str, &'static str)>)>,
}

/// One bucket: its parts from the bottom up, and the whole height for the pointer.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    pub x: String,
    pub width: String,
    pub hit_x: String,
    pub hit_width: String,
    pub parts: Vec<Part>,
    pub span: String,
    /// The decisions in it.
    pub href: Address,
    pub title: String,
    /// In the order of the table's columns, each with the decisions that it counts.
    pub figures: Vec<(u64, Address)>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    pub class: &'static str,
    pub y: String,
    pub height: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct GridLine {
    pub y: String,
    pub text_y: String,
    pub text: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    pub x: String,
    pub anchor: &'static str,
    pub text: String,
    /// Hidden where there is little room.
    pub class: &'static str,
}

#[derive(Debug, Clone, PartialEq)]
pub struct GapMark {
    pub x: String,
    pub width: String,
    pub title: String,
}

// === impl Chart ===

impl Chart {
    /// `list` is where the decisions behind the figures are. Nothing to draw without buckets.
    pub fn of(buckets: Vec<Bucket>, gaps: &[Gap], zone: &Zone, list: &Address) -> Option<Self> {
        Self::of_stacks(buckets.iter().map(Stack::of).collect(), gaps, zone, list)
    }

    /// The same of any stacks.
    pub fn of_stacks(stacks: Vec<Stack>, gaps: &[Gap], zone: &Zone, list: &Address) -> Option<Self> {
        let axis = Axis { from: stacks.first()?.from.0, to: stacks.last()?.to.0 };
        if axis.to <= axis.from {
            return None;
        }
        let step = grid_step(stacks.iter().map(|stack| stack.all).max().unwrap_or(0));
        let labels = labels(&stacks, axis, zone);
        let gaps = gaps.iter().filter_map(|gap| GapMark::of(gap, axis, zone)).collect();
        let top = step.saturating_mul(GRID_LINES);
        let columns = stacks.into_iter().map(|stack| Column::of(stack, axis, top, zone, list)).collect();
        Some(Self { columns, grid: grid(step), labels, gaps })
    }

    /// Where the columns stand, from the drawing's upper edge.
    pub fn base(&self) -> f64 {
        BASE
    }

    /// Where the highest may end.
    pub fn top(&self) -> f64 {
        TOP
    }

    /// From there to the base.
    pub fn plot(&self) -> f64 {
        PLOT
    }

    pub fn height(&self) -> f64 {
        HEIGHT
    }
}

// === impl Stack ===

impl Stack {
    fn of(bucket: &Bucket) -> Self {
        let figures = &bucket.figures;
        let clean = figures.allowed.saturating_sub(figures.would_reject);
        Self {
            from: bucket.from,
            to: bucket.to,
            parts: vec![
                ("denied", figures.denied),
                ("failed", figures.failed),
                ("would", figures.would_reject),
                ("allowed", clean),
            ],
            all: figures.reviews,
            said: said(figures),
            figures: vec![
                (figures.reviews, None),
                (figures.would_reject, Some(("would_reject", "true"))),
                (figures.denied, Some(("answer", "denied"))),
                (figures.failed, Some(("answer", "failed"))),
                (figures.dry_runs, Some(("dry_run", "true"))),
            ],
        }
    }
}

// === impl Column ===

impl Column {
    fn of(stack: Stack, axis: Axis, top: u64, zone: &Zone, list: &Address) -> Self {
        let (from, to) = (axis.percent(stack.from), axis.percent(stack.to));
        let width = ((to - from) * FILLED).min(WIDEST);
        let span = span(&stack, zone);
        let href = list.clone().with("since", stack.from.to_string()).with("until", stack.to.to_string());
        let figure = |(number, of): (u64, Option<(&'static str, &'static str)>)| {
            (number, of.map_or_else(|| href.clone(), |(name, value)| href.clone().with(name, value)))
        };
        Self {
            x: percent(from + (to - from - width) / 2.0),
            width: percent(width),
            hit_x: percent(from),
            hit_width: percent(to - from),
            parts: parts(&stack.parts, top),
            title: format!("{span}\n{}", stack.said),
            span,
            figures: stack.figures.into_iter().map(figure).collect(),
            href,
        }
    }
}

fn parts(stack: &[(&'static str, u64)], top: u64) -> Vec<Part> {
    let mut base = BASE;
    let mut parts = Vec::new();
    for (class, number) in stack.iter().filter(|(_, number)| *number > 0) {
        let height = (share(*number, top) * PLOT).max(LEAST);
        // The least heights may add up to more than the plot is high.
        base = (base - height).max(TOP - LEAST);
        parts.push(Part { class, y: pixels(base), height: pixels(height) });
    }
    parts
}

fn said(figures: &Figures) -> String {
    let mut lines = vec![count(figures.reviews, "review")];
    for (number, what) in
        [(figures.would_reject, "would be rejected"), (figures.denied, "denied"), (figures.failed, "failed")]
    {
        if number > 0 {
            lines.push(format!("{} {what}", group(number)));
        }
    }
    if figures.dry_runs > 0 {
        lines.push(format!("and {}", count(figures.dry_runs, "dry run")));
    }
    lines.join("\n")
}

fn span(stack: &Stack, zone: &Zone) -> String {
    if stack.to.0 - stack.from.0 > DAY {
        return format!("{} to {}", zone.prose(stack.from), zone.prose(stack.to));
    }
    format!("{} to {}", zone.prose(stack.from), zone.clock(stack.to))
}

// === impl GapMark ===

impl GapMark {
    fn of(gap: &Gap, axis: Axis, zone: &Zone) -> Option<Self> {
        let from = gap.from.0.max(axis.from);
        let to = gap.to.map_or(axis.to, |to| to.0).min(axis.to);
        if from > to {
            return None;
        }
        let (start, end) = (axis.percent(Timestamp(from)), axis.percent(Timestamp(to)));
        // A gap of a second is as worth seeing as one of an hour.
        let width = (end - start).max(0.4);
        let until = gap.to.map_or_else(|| "now".to_owned(), |to| zone.prose(to));
        let title = format!("Gap from {} to {until}\n{}", zone.prose(gap.from), plain(&gap.reason));
        Some(Self { x: percent(start.min(100.0 - width)), width: percent(width), title })
    }
}

// === The axes ===

/// Milliseconds.
#[derive(Debug, Clone, Copy)]
struct Axis {
    from: i64,
    to: i64,
}

impl Axis {
    #[expect(clippy::cast_precision_loss, reason = "a hundredth of a percent is drawn")]
    fn percent(self, at: Timestamp) -> f64 {
        at.0.saturating_sub(self.from) as f64 / (self.to - self.from) as f64 * 100.0
    }
}

const GRID_LINES: u64 = 4;

/// The least of 1, 2, 2.5, 5 times a power of ten with which [`GRID_LINES`] steps reach `most`.
fn grid_step(most: u64) -> u64 {
    let least = u128::from(most.div_ceil(GRID_LINES).max(1));
    let mut power = 1_u128;
    loop {
        for tenths in [10, 20, 25, 50] {
            let step = power * tenths / 10;
            if step >= least && (tenths != 25 || power >= 10) {
                return u64::try_from(step).unwrap_or(u64::MAX);
            }
        }
        power *= 10;
    }
}

fn grid(step: u64) -> Vec<GridLine> {
    let top = step.saturating_mul(GRID_LINES);
    let line = |at: u64| {
        let y = BASE - share(step.saturating_mul(at), top) * PLOT;
        GridLine { y: pixels(y), text_y: pixels(y - 4.0), text: group(step.saturating_mul(at)) }
    };
    (1..=GRID_LINES).map(line).collect()
}

/// Times under the columns that begin at a round one.
fn labels(stacks: &[Stack], axis: Axis, zone: &Zone) -> Vec<Label> {
    const MINUTES: [i64; 13] = [5, 15, 30, 60, 120, 180, 360, 720, 1_440, 2_880, 7_200, 14_400, 43_200];
    let minute = |stack: &Stack| minute_of_calendar(zone, stack.from);
    let round = |unit: i64| stacks.iter().filter(move |stack| minute(stack).is_some_and(|minute| minute % unit == 0));
    let unit = MINUTES.into_iter().find(|unit| (2..=MAX_LABELS).contains(&round(*unit).count()));
    let chosen: Vec<&Stack> = match unit {
        Some(unit) => round(unit).collect(),
        None => stacks.iter().step_by(stacks.len().div_ceil(MAX_LABELS)).collect(),
    };
    let days = axis.to - axis.from > 36 * 3_600_000;
    let label = |(at, stack): (usize, &&Stack)| {
        let x = axis.percent(stack.from);
        Label {
            x: percent(x),
            anchor: if x < 4.0 {
                "start"
            } else if x > 96.0 {
                "end"
            } else {
                "middle"
            },
            text: if days { zone.day(stack.from) } else { zone.clock(stack.from) },
            class: if at % 2 == 1 { "minor" } else { "major" },
        }
    };
    chosen.iter().enumerate().map(label).collect()
}

/// Minutes on the zone's wall clock since 1 January 1970, for a time at a whole minute.
fn minute_of_calendar(zone: &Zone, at: Timestamp) -> Option<i64> {
    let zoned = zone.at(at)?;
    let wall = at.0 + i64::from(zoned.offset().seconds()) * 1_000;
    (wall % 60_000 == 0).then_some(wall / 60_000)
}

#[expect(clippy::cast_precision_loss, reason = "a tenth of a pixel is drawn")]
fn share(number: u64, top: u64) -> f64 {
    number as f64 / top as f64
}

fn percent(value: f64) -> String {
    format!("{value:.2}%")
}

fn pixels(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests;
