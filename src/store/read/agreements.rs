//! What local policies and webhooks said of the same reviews.

use super::Horizons;
use crate::review::agreement::Accord;
use crate::review::clock::Timestamp;
use crate::review::comparison::Stance;

/// What is compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    pub webhook: String,
    /// A local policy; `None`: all of them together.
    pub local: Option<String>,
}

/// Decisions on which both of a pair said something; `None` is anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgreedFilter {
    pub pair: Pair,
    pub local_said: Option<Stance>,
    pub webhook_said: Option<Stance>,
    pub accord: Option<Accord>,
}

/// How many reviews both of a pair said that of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paired {
    pub pair: Pair,
    pub local_said: Stance,
    pub webhook_said: Stance,
    pub reviews: u64,
}

/// Over a span that is widened to roll-up bucket edges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreements {
    pub since: Timestamp,
    pub until: Timestamp,
    /// By webhook and local policy in alphabetical order, all local policies together first.
    pub paired: Vec<Paired>,
    /// Nothing older was counted; `None`: everything was.
    pub counted_since: Option<Timestamp>,
    /// What of its rows is gone.
    pub horizons: Horizons,
}

/// Reviews by what came of them, in the order of [`Accord::ALL`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Accords(pub [u64; Accord::ALL.len()]);

/// One bar of a chart over time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccordBucket {
    pub from: Timestamp,
    pub to: Timestamp,
    pub accords: Accords,
}

/// What the reviews on which one of a pair denies alone have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Causes {
    /// Those of the one that denies that are violated in them.
    Rules,
    /// Each of its cluster; what is in none has no name.
    Namespaces,
    /// Those that they name an image of.
    Repositories,
}

/// Those with the most reviews first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Side {
    pub causes: Vec<Cause>,
    /// How many there are of them.
    pub all: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// `policy/rule`, a namespace, or `registry/repository`.
    pub name: String,
    /// Of a namespace.
    pub cluster: String,
    pub reviews: u64,
}

/// What is behind it that one of a pair denies alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Disagreed {
    pub only_local: Side,
    pub only_webhook: Side,
}

// === impl AgreedFilter ===

impl AgreedFilter {
    pub fn fits(&self, local: Stance, webhook: Stance) -> bool {
        self.local_said.is_none_or(|said| said == local)
            && self.webhook_said.is_none_or(|said| said == webhook)
            && self.accord.is_none_or(|accord| accord == Accord::of(local, webhook))
    }
}

// === impl Agreements ===

impl Agreements {
    /// Of one pair.
    pub fn accords(&self, pair: &Pair) -> Accords {
        let mut accords = Accords::default();
        for one in self.paired.iter().filter(|one| one.pair == *pair) {
            accords.add(Accord::of(one.local_said, one.webhook_said), one.reviews);
        }
        accords
    }
}

// === impl Accords ===

impl Accords {
    pub fn add(&mut self, accord: Accord, reviews: u64) {
        let place = Accord::ALL.iter().zip(&mut self.0).find(|(one, _)| **one == accord);
        place.into_iter().for_each(|(_, sum)| *sum += reviews);
    }

    pub fn of(&self, accord: Accord) -> u64 {
        Accord::ALL.iter().zip(self.0).find(|(one, _)| **one == accord).map_or(0, |(_, reviews)| reviews)
    }

    pub fn reviews(&self) -> u64 {
        self.0.iter().sum()
    }
}

// === impl Side ===

impl Side {
    /// How many are left out.
    pub fn more(&self) -> u64 {
        self.all.saturating_sub(self.causes.len() as u64)
    }
}
