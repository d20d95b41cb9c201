//! Sessions that the history vouched for a short while ago, for the pages that are read while it is away.
//!
//! Nowhere else: what is signed out at another replica is heard of only there. So one is remembered for an hour, and what
//! ends here ends in memory, too.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::store::session::{Ended, Session};

#[derive(Debug, Default)]
pub struct Remembered(Mutex<HashMap<[u8; 32], Vouched>>);

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
    pub fn vouched(&self, session: &Session) {
        let mut sessions = self.hold();
        if sessions.len() >= MOST && !sessions.contains_key(&session.key) {
            sessions.retain(|_, vouched| vouched.at.elapsed() < LASTS);
        }
        if sessions.len() < MOST || sessions.contains_key(&session.key) {
            sessions.insert(session.key, Vouched { session: session.clone(), at: Instant::now() });
        }
    }

    pub fn recall(&self, key: [u8; 32]) -> Option<Session> {
        let sessions = self.hold();
        sessions.get(&key).filter(|vouched| vouched.at.elapsed() < LASTS).map(|vouched| vouched.session.clone())
    }

    /// The history says that there is none, or somebody ends it.
    pub fn forget(&self, ended: Ended<'_>) {
        let mut sessions = self.hold();
        match ended {
            Ended::One(key) => drop(sessions.remove(&key)),
            Ended::Of(subject, means) => {
                sessions.retain(|_, Vouched { session, .. }| session.subject != subject || session.means != means);
            }
        }
    }

    fn hold(&self) -> MutexGuard<'_, HashMap<[u8; 32], Vouched>> {
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
            remembered.vouched(&session(key, subject));
        }
        remembered.forget(Ended::One([1; 32]));
        assert_eq!([is_known(1), is_known(2), is_known(3)], [false, true, true]);
        remembered.forget(Ended::Of("ana", Means::Oidc));
        remembered.forget(Ended::Of("ana", Means::Users));
        assert_eq!([is_known(2), is_known(3)], [false, true]);
    }
}
