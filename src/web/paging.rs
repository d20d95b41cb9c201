//! The ways through a list of which all is known, a page at a time.

use super::address::Address;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pages {
    pub first: Option<Address>,
    pub next: Option<Address>,
}

// === impl Pages ===

impl Pages {
    /// From row `start` on `rows` of `all`. `name` is the parameter that says where a page begins.
    pub fn of(here: &Address, name: &'static str, (start, rows): (usize, usize), all: usize) -> Self {
        let end = start + rows;
        Self {
            first: (start > 0).then(|| here.clone().without(name)),
            next: (end < all).then(|| here.clone().with(name, end.to_string())),
        }
    }
}
