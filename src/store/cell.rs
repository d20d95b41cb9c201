//! Decisions by what was said in them by the one and by the other: by policies in force and a candidate, or by local
//! policies and a webhook.
//!
//! A cell is who is compared (a candidate, or a pair of [`super::agreement`]), what was said by the one, and what by the
//! other, as one number, so that the list behind a figure is a range of one index.

use super::error::StoreError;
use crate::review::comparison::{Comparison, Stance};

/// Its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Cell(pub i64);

const STANCES: i64 = Stance::ALL.len() as i64;

// === impl Cell ===

impl Cell {
    /// `subject` is the number of who is compared.
    pub fn of(subject: i64, one: Stance, other: Stance) -> Self {
        Self((subject * STANCES + number(one)) * STANCES + number(other))
    }

    /// `candidate` is the number of its name.
    pub fn of_comparison(candidate: i64, comparison: &Comparison<'_>) -> Self {
        Self::of(candidate, comparison.live, comparison.silent)
    }

    /// All cells of a subject that fit, each of which may be anything where it is `None`.
    pub fn all(subject: i64, one: Option<Stance>, other: Option<Stance>) -> Vec<Self> {
        let fits = |stance: Stance, wanted: Option<Stance>| wanted.is_none_or(|is| is == stance);
        Self::fitting(subject, |this, that| fits(this, one) && fits(that, other))
    }

    /// All cells of a subject of which `fits` says so.
    pub fn fitting(subject: i64, fits: impl Fn(Stance, Stance) -> bool) -> Vec<Self> {
        let all = Stance::ALL.into_iter().flat_map(|one| Stance::ALL.map(|other| (one, other)));
        all.filter(|(one, other)| fits(*one, *other)).map(|(one, other)| Self::of(subject, one, other)).collect()
    }

    /// In SQL, the number of who is compared in a `cell`.
    pub fn subject_of(cell: &str) -> String {
        format!("{cell} / {}", STANCES * STANCES)
    }

    /// What was said by the one, and what by the other.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_holds_who_is_compared_and_both_stances() {
        for (at, one) in Stance::ALL.into_iter().enumerate() {
            assert_eq!(number(one), at as i64, "it is found by its number");
            for other in Stance::ALL {
                let cell = Cell::of(7, one, other);
                assert_eq!((cell.0 / 25, cell.stances().unwrap()), (7, (one, other)));
            }
        }
        assert_eq!(Cell::all(7, None, None).len(), 25);
        let denied = Cell::all(7, Some(Stance::Allow), Some(Stance::Deny));
        assert_eq!(denied, [Cell(7 * 25 + 1)]);
    }
}
