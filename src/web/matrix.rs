//! What one said beside what another said of the same reviews, as a table of every two.

use super::address::Address;
use crate::review::comparison::Stance;

/// Of what is in it each figure leads to its decisions.
pub struct Matrix {
    pub stances: Vec<&'static str>,
    pub rows: Vec<Row>,
}

pub struct Row {
    /// What the one said.
    pub said: &'static str,
    pub cells: Vec<Cell>,
}

pub struct Cell {
    /// For its colour.
    pub class: &'static str,
    pub figure: (u64, Address),
}

// === impl Matrix ===

impl Matrix {
    /// Of stances in `always`, and those that occur. `cell` is of what the one said, and what the other.
    pub fn of(
        always: &[Stance],
        reviews: impl Fn(Stance, Stance) -> u64,
        cell: impl Fn(Stance, Stance) -> Cell,
    ) -> Self {
        let occurs = |one: Stance| Stance::ALL.into_iter().any(|other| reviews(one, other) + reviews(other, one) > 0);
        let stances: Vec<Stance> =
            Stance::ALL.into_iter().filter(|stance| always.contains(stance) || occurs(*stance)).collect();
        let row =
            |one: &Stance| Row { said: one.as_str(), cells: stances.iter().map(|other| cell(*one, *other)).collect() };
        Self { rows: stances.iter().map(row).collect(), stances: stances.iter().map(|one| one.as_str()).collect() }
    }
}
