//! Sessions that the history vouched for a short while ago, for the pages that are read while it is away.
//!
//! Nowhere else: what is signed out at another replica is heard of only there. So one is remembered for an hour, and what
//! ends here ends in memory, too.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::store::session::{Ended, Session};

#[derive(Debug, Default)]
pub struct Remembered(Mutex<Sessions>);

#[derive(Debug, Default)]
struct Sessions {
    known: HashMap<[u8; 32], Vouched>,
    /// How often something was forgotten.
    ended: u64,
}

/// When the history was asked for a session: what it vouches for may have ended before it is remembered.
#[derive(Debug, Clone, Copy)]
pub struct Asked(u64);

#[derive(Debug)]
struct Vouched {
    session: Session,
    at: Instant,
}

const LASTS: Duration = Duration::from_secs(3_600);
/// More people than look at one replica's report within the hour.
const MOST: usize = 2_000;

// === impl Remembered ===

impl Remembered {
    /// To be called before the history is.
    pub fn asked(&self) -> Asked {
        Asked(self.hold().ended)
    }

    /// Where anything ended meanwhile it may be this one, and the next request is vouched for, too.
    pub fn vouched(&self, session: &Session, Asked(ended): Asked) {
        let mut sessions = self.hold();
        if sessions.ended != ended {
            return;
        }
        let known = &mut sessions.known;
        if known.len() >= MOST && !known.contains_key(&session.key) {
            known.retain(|_, vouched| vouched.at.elapsed() < LASTS);
        }
        if known.len() < MOST || known.contains_key(&session.key) {
            known.insert(session.key, Vouched { session: session.clone(), at: Instant::now() });
        }
    }

    pub fn recall(&self, key: [u8; 32]) -> Option<Session> {
        self.recall_at(key, Instant::now())
    }

    fn recall_at(&self, key: [u8; 32], now: Instant) -> Option<Session> {
        let sessions = self.hold();
        let vouched = sessions.known.get(&key).filter(|vouched| now.duration_since(vouched.at) < LASTS);
        vouched.map(|vouched| vouched.session.clone())
    }

    /// The history says that there is none.
    pub fn gone(&self, key: [u8; 32]) {
        self.hold().known.remove(&key);
    }

    /// Somebody ends it.
    pub fn forget(&self, ended: Ended<'_>) {
        let mut sessions = self.hold();
        sessions.ended += 1;
        match ended {
            Ended::One(key) => drop(sessions.known.remove(&key)),
            Ended::Of(subject, means) => {
                sessions
                    .known
                    .retain(|_, Vouched { session, .. }| session.subject != subject || session.means != means);
            }
        }
    }

    fn hold(&self) -> MutexGuard<'_, Sessions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::clock::Timestamp;
    use crate::store::access::Means;

    fn session(key: u8, subject: &str) -> Session {
        Session {
            key: [key; 32],
            who: subject.to_owned(),
            subject: subject.to_owned(),
            means: Means::Users,
            proof: None,
            groups: Vec::new(),
            began_at: Timestamp(0),
            seen_at: Timestamp(0),
            ends_at: Timestamp(1),
        }
    }

    #[test]
    fn what_ends_here_is_not_remembered() {
        let remembered = Remembered::default();
        let is_known = |key: u8| remembered.recall([key; 32]).is_some();
        for (key, subject) in [(1, "ana"), (2, "ana"), (3, "bo")] {
            remembered.vouched(&session(key, subject), remembered.asked());
        }
        remembered.forget(Ended::One([1; 32]));
        assert_eq!([is_known(1), is_known(2), is_known(3)], [false, true, true]);
        remembered.forget(Ended::Of("ana", Means::Oidc));
        remembered.forget(Ended::Of("ana", Means::Users));
        assert_eq!([is_known(2), is_known(3)], [false, true]);
    }

    #[test]
    fn what_was_vouched_for_before_it_ended_is_not_remembered_after() {
        let remembered = Remembered::default();
        let asked = remembered.asked();
        remembered.forget(Ended::One([1; 32]));
        remembered.vouched(&session(1, "ana"), asked);
        assert!(remembered.recall([1; 32]).is_none());
        remembered.vouched(&session(1, "ana"), remembered.asked());
        assert!(remembered.recall([1; 32]).is_some());
    }

    #[test]
    fn a_session_is_remembered_for_an_hour() {
        let remembered = Remembered::default();
        let before = Instant::now();
        remembered.vouched(&session(1, "ana"), remembered.asked());
        let after = Instant::now();
        assert!(remembered.recall_at([1; 32], before + LASTS - Duration::from_nanos(1)).is_some());
        assert!(remembered.recall_at([1; 32], after + LASTS).is_none());
    }
}
