//! What was said by the one beside what was said by the other: decisions by cell.
//!
//! A cell is a candidate, what was said by the policies in force, and what by it, as one number, so that the list behind a
//! figure is a range of one index. The cells of local policies and a webhook ([`super::agreement`]) are made alike.

use super::database::Transaction;
use super::error::StoreError;
use super::sql::{Insert, Sql};
use crate::review::comparison::{Comparison, Stance};

/// The number of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Cell(pub i64);

/// The rows of decisions in cells of candidates, and in those of local policies and webhooks.
pub(super) const CANDIDATES: &str = "decision_candidates";
pub(super) const AGREEMENTS: &str = "decision_agreements";

const STANCES: i64 = Stance::ALL.len() as i64;

/// Rows deleted in one statement.
const AT_ONCE: usize = 1_000;

// === impl Cell ===

impl Cell {
    /// `candidate` is a number: of its name, or of a pair that is compared.
    pub fn of(candidate: i64, live: Stance, silent: Stance) -> Self {
        Self((candidate * STANCES + number(live)) * STANCES + number(silent))
    }

    /// `candidate` is the number of its name.
    pub fn of_comparison(candidate: i64, comparison: &Comparison<'_>) -> Self {
        Self::of(candidate, comparison.live, comparison.silent)
    }

    /// All cells of a candidate that fit, each of which may be anything where it is `None`.
    pub fn of_candidate(candidate: i64, live: Option<Stance>, silent: Option<Stance>) -> Vec<Self> {
        let fits = |one: Stance, wanted: Option<Stance>| wanted.is_none_or(|is| is == one);
        Self::fitting(candidate, |one, other| fits(one, live) && fits(other, silent))
    }

    /// All cells of a candidate of which `fits` says so.
    pub fn fitting(candidate: i64, fits: impl Fn(Stance, Stance) -> bool) -> Vec<Self> {
        let all = Stance::ALL.into_iter().flat_map(|one| Stance::ALL.map(|other| (one, other)));
        all.filter(|(one, other)| fits(*one, *other)).map(|(one, other)| Self::of(candidate, one, other)).collect()
    }

    /// In SQL, the number of the candidate of a `cell`.
    pub fn candidate_of(cell: &str) -> String {
        format!("{cell} / {}", STANCES * STANCES)
    }

    /// What was said by the policies in force, and what by the candidate.
    pub fn stances(self) -> Result<(Stance, Stance), StoreError> {
        let stance = |number: i64| {
            let at = usize::try_from(number.rem_euclid(STANCES)).unwrap_or_default();
            Stance::ALL.get(at).copied().ok_or_else(|| StoreError::broken(format!("a stance is {number}")))
        };
        Ok((stance(self.0 / STANCES)?, stance(self.0)?))
    }
}

/// As in the tables: it never changes.
fn number(stance: Stance) -> i64 {
    match stance {
        Stance::Allow => 0,
        Stance::Deny => 1,
        Stance::Error => 2,
        Stance::None => 3,
        Stance::Pending => 4,
    }
}

/// Each cell with the key of its decision.
pub(super) async fn insert(
    tx: &mut Transaction,
    table: &'static str,
    mut cells: Vec<(Cell, i64)>,
) -> Result<(), StoreError> {
    cells.sort_unstable();
    let mut insert = Insert::into(table, &["cell", "key"], "");
    for (Cell(cell), key) in cells {
        insert.row([cell.into(), key.into()]);
    }
    tx.insert(insert).await
}

pub(super) async fn delete(
    tx: &mut Transaction,
    table: &'static str,
    mut cells: Vec<(Cell, i64)>,
) -> Result<(), StoreError> {
    cells.sort_unstable();
    for cells in cells.chunks(AT_ONCE) {
        // The keys' ends leave the other days' partitions alone.
        let keys = || cells.iter().map(|(_, key)| *key);
        let mut sql = Sql::new(&format!("DELETE FROM {table} WHERE key >= "));
        sql.bind(keys().min()).push(" AND key <= ").bind(keys().max()).push(" AND (cell, key) IN (");
        sql.values(cells.iter().map(|(Cell(cell), key)| [*cell, *key])).push(")");
        tx.execute(sql).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_holds_its_candidate_and_both_stances() {
        for (at, live) in Stance::ALL.into_iter().enumerate() {
            assert_eq!(number(live), at as i64, "it is found by its number");
            for silent in Stance::ALL {
                let cell = Cell::of(7, live, silent);
                assert_eq!((cell.0 / 25, cell.stances().unwrap()), (7, (live, silent)));
            }
        }
        assert_eq!(Cell::of_candidate(7, None, None).len(), 25);
        let denied = Cell::of_candidate(7, Some(Stance::Allow), Some(Stance::Deny));
        assert_eq!(denied, [Cell(7 * 25 + 1)]);
    }
}
