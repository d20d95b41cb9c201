//! Passwords: held against their hashes, a few at a time, aside from everything else.

use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{Error, PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Bytes: longer ones are not looked at.
pub const LONGEST: usize = 1024;

/// Each takes tens of MiB and a processor for tens of milliseconds: reviews come first.
const AT_ONCE: usize = 2;
/// How long one waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// KiB and rounds of the most that a hash may cost.
const MOST: (u32, u32) = (256 * 1024, 16);

#[derive(Debug)]
pub struct Passwords(Arc<Semaphore>);

/// What is wrong with a hash, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; {FIX}")]
pub struct NoHash {
    pub problem: String,
}

pub const FIX: &str = "write what `rehearsal user hash` prints";

/// As [`check`] takes it.
///
/// # Errors
/// The password is empty or too long.
pub fn hash(password: &str) -> Result<String, String> {
    if password.is_empty() || password.len() > LONGEST {
        return Err(format!("a password has 1 to {LONGEST} bytes"));
    }
    let salt = SaltString::generate(&mut OsRng);
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt).map_err(|error| error.to_string())?;
    Ok(hash.to_string())
}

/// That a text is the hash of a password that can be held against it at a price that can be paid.
///
/// # Errors
/// What it is instead. The text itself is not in it.
pub fn check(text: &str) -> Result<(), NoHash> {
    let wrong = |problem: &str| NoHash { problem: problem.to_owned() };
    let hash = PasswordHash::new(text).map_err(|_| wrong("it is not the hash of a password"))?;
    if hash.algorithm != Algorithm::Argon2id.ident() {
        return Err(wrong("it is not made by Argon2id"));
    }
    if hash.hash.is_none() || hash.salt.is_none() {
        return Err(wrong("it is cut off"));
    }
    let params = Params::try_from(&hash).map_err(|_| wrong("its parameters cannot be used"))?;
    let (memory, rounds) = MOST;
    if params.m_cost() > memory || params.t_cost() > rounds {
        return Err(wrong(&format!("it costs more than {memory} KiB and {rounds} rounds")));
    }
    Ok(())
}

// === impl Passwords ===

impl Default for Passwords {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Passwords {
    /// Whether the password is that of the hash. `None`: there were too many before it.
    pub async fn holds(&self, password: String, hash: String) -> Option<bool> {
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&self.0).acquire_owned()).await.ok()?.ok()?;
        let held = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let parsed = PasswordHash::new(&hash)?;
            Argon2::default().verify_password(password.as_bytes(), &parsed)
        });
        match held.await {
            Ok(Ok(())) => Some(true),
            Ok(Err(Error::Password)) => Some(false),
            Ok(Err(error)) => {
                tracing::error!(%error, "a password could not be held against its hash");
                Some(false)
            }
            Err(_) => Some(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_held_against_its_hash() {
        let made = hash("correct horse").expect("a hash");
        check(&made).expect("as it is made");
        let passwords = Passwords::default();
        assert_eq!(passwords.holds("correct horse".into(), made.clone()).await, Some(true));
        assert_eq!(passwords.holds("correct horsE".into(), made.clone()).await, Some(false));
        for (bad, problem) in [
            ("correct horse", "not the hash"),
            ("$argon2i$v=19$m=16,t=2,p=1$c29tZXNhbHQ$c29tZWhhc2hzb21laGFzaA", "Argon2id"),
            ("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ", "cut off"),
            ("$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$c29tZWhhc2hzb21laGFzaA", "costs more"),
        ] {
            let error = check(bad).expect_err(bad);
            assert!(error.problem.contains(problem), "{error}");
            assert!(!error.to_string().contains("c29tZXNhbHQ"), "{error}");
        }
        assert!(hash("").is_err() && hash(&"x".repeat(LONGEST + 1)).is_err());
    }
}
