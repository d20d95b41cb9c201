//! Whether a rule is ready in a namespace, in words.

use crate::review::clock::{DAY, Timestamp};

use super::ReadinessSettings;

/// The heaviest reason against it, else that there is none: the heaviest is declared first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// So many workloads would be rejected when a pod of them is next made.
    NotReady(u64),
    /// None would, but one was a short while ago.
    NotQuiet { violated: Timestamp },
    /// So many of all were not reviewed by it.
    Unseen { unseen: u64, known: u64 },
    /// It has not judged there for long enough.
    New { since: Option<Timestamp> },
    /// Of all that runs, or, without an inventory, of what was seen.
    Ready { recorded: bool },
}

/// What a gate makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gate {
    Ready,
    Unknown,
    Not,
}

/// Counts of one namespace that a state follows from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub known: u64,
    /// Of them, reviewed within the window by the rule as it is now.
    pub seen: u64,
    /// Of all known ones.
    pub rejected: u64,
    pub exempted: u64,
}

// === impl Counts ===

impl Counts {
    pub fn unseen(&self) -> u64 {
        self.known - self.seen
    }

    pub fn add(&mut self, other: Self) {
        self.known += other.known;
        self.seen += other.seen;
        self.rejected += other.rejected;
        self.exempted += other.exempted;
    }
}

// === impl State ===

impl State {
    pub fn of(
        counts: Counts,
        recorded: bool,
        (violated, since): (Option<Timestamp>, Option<Timestamp>),
        settings: &ReadinessSettings,
        now: Timestamp,
    ) -> Self {
        let quiet = i64::try_from(settings.quiet.as_millis()).unwrap_or(i64::MAX);
        let is_recent = |at: Timestamp| now.0.saturating_sub(at.0) < quiet;
        match (violated, since) {
            _ if counts.rejected > 0 => Self::NotReady(counts.rejected),
            (Some(violated), _) if is_recent(violated) => Self::NotQuiet { violated },
            _ if counts.unseen() > 0 => Self::Unseen { unseen: counts.unseen(), known: counts.known },
            (None, since) if since.is_none_or(is_recent) => Self::New { since },
            _ => Self::Ready { recorded },
        }
    }

    pub fn gate(self) -> Gate {
        match self {
            Self::NotReady(_) | Self::NotQuiet { .. } => Gate::Not,
            Self::Unseen { .. } | Self::New { .. } => Gate::Unknown,
            Self::Ready { .. } => Gate::Ready,
        }
    }

    /// The heaviest has the least.
    pub fn rank(self) -> u8 {
        match self {
            Self::NotReady(_) => 0,
            Self::NotQuiet { .. } => 1,
            Self::Unseen { .. } => 2,
            Self::New { .. } => 3,
            Self::Ready { .. } => 4,
        }
    }

    /// As the API names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotReady(_) => "not-ready",
            Self::NotQuiet { .. } => "not-quiet",
            Self::Unseen { .. } => "unseen",
            Self::New { .. } => "new",
            Self::Ready { recorded: true } => "ready",
            Self::Ready { recorded: false } => "ready-of-seen",
        }
    }

    /// `not ready: 3 workloads`.
    pub fn words(self, now: Timestamp) -> String {
        match self {
            Self::NotReady(1) => "not ready: 1 workload".to_owned(),
            Self::NotReady(number) => format!("not ready: {number} workloads"),
            Self::NotQuiet { violated } => format!("not quiet: violated {}", ago(violated, now)),
            Self::Unseen { unseen, known } => format!("unseen: {unseen} of {known}"),
            Self::New { since: Some(since) } => format!("too new: first judged {}", ago(since, now)),
            Self::New { since: None } => "too new: it has judged nothing".to_owned(),
            Self::Ready { recorded: true } => "ready".to_owned(),
            Self::Ready { recorded: false } => "ready, of what was seen".to_owned(),
        }
    }
}

/// `3 days ago`: in whole days or hours, so that a page and a command say the same.
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    const HOUR: i64 = DAY / 24;
    let age = now.0.saturating_sub(at.0).max(0);
    let told = |number: i64, unit: &str| format!("{number} {unit}{} ago", if number == 1 { "" } else { "s" });
    match age {
        age if age < HOUR => "within the last hour".to_owned(),
        age if age < 2 * DAY => told(age / HOUR, "hour"),
        age => told(age / DAY, "day"),
    }
}
