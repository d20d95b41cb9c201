//! A table for a terminal and for `docs/performance.md` alike.

use super::statistics::{Estimate, Pairs, Target};

#[derive(Debug)]
pub struct Table {
    title: String,
    rows: Vec<Vec<String>>,
}

// === impl Table ===

impl Table {
    pub fn new<const N: usize>(title: &str, head: [&str; N]) -> Self {
        Self { title: title.to_owned(), rows: vec![head.map(str::to_owned).to_vec()] }
    }

    /// Of pairs: measure, ours, the other, ratio with its interval and spread, target, whether it is met.
    pub fn of_pairs(title: &str, other: &str) -> Self {
        Self::new(title, ["measure", "ours", other, "ratio [95 %]", "spread", "target", "met"])
    }

    pub fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// What a row of [`Self::of_pairs`] says of `pairs`.
    pub fn push_pairs(&mut self, measure: &str, unit: &str, pairs: &Pairs, target: Target) {
        let ratio = pairs.ratio();
        self.push(vec![
            measure.to_owned(),
            format!("{} {unit}", number(pairs.ours().median)),
            format!("{} {unit}", number(pairs.theirs().median)),
            interval(&ratio),
            format!("{}..{}", number(ratio.least), number(ratio.most)),
            target.to_string(),
            met(&ratio, target),
        ]);
    }

    /// Of one figure: measure, figure with its interval, spread, target, whether it is met.
    pub fn of_figures(title: &str) -> Self {
        Self::new(title, ["measure", "median [95 %]", "spread", "target", "met"])
    }

    /// What a row of [`Self::of_figures`] says of `figure`.
    pub fn push_figure(&mut self, measure: &str, unit: &str, figure: &Estimate, target: Target) {
        self.push(vec![
            measure.to_owned(),
            format!("{} {unit}", interval(figure)),
            format!("{}..{}", number(figure.least), number(figure.most)),
            format!("{target} {unit}"),
            met(figure, target),
        ]);
    }

    /// Nothing where there is no row.
    pub fn print(&self) {
        if self.rows.len() == 1 {
            return;
        }
        let columns = self.rows[0].len();
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        println!("\n{}\n", self.title);
        for (at, row) in self.rows.iter().enumerate() {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}", width = *width)).collect();
            println!("| {} |", cells.join(" | "));
            if at == 0 {
                let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
                println!("| {} |", rules.join(" | "));
            }
        }
    }
}

fn met(estimate: &Estimate, target: Target) -> String {
    if estimate.meets(target) { "yes" } else { "NO" }.to_owned()
}

fn interval(estimate: &Estimate) -> String {
    let (low, high) = estimate.interval;
    format!("{} [{}, {}]", number(estimate.median), number(low), number(high))
}

/// Three digits or more that say something.
pub fn number(value: f64) -> String {
    match value.abs() {
        small if small < 10.0 => format!("{value:.3}"),
        middle if middle < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, ">= {least}"),
            Self::AtMost(most) => write!(f, "<= {most}"),
        }
    }
}
