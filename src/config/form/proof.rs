//! What stands for a secret: hashes, which are not shown all the same; and where somebody connects from.

use ipnet::IpNet;

use super::super::mistake::{Wrong, shown};
use super::Form;
use crate::web::access::password;

/// Of a password: Argon2id, as PHC writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

/// Of a token: `sha256:` and 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenHash(pub [u8; 32]);

const SHA_256: &str = "sha256:";

// === impl PasswordHash ===

impl Form for PasswordHash {
    const NAME: &'static str = "password-hash";
    const WHAT: &'static str = "the hash of a password";
    const PATTERN: Option<&'static str> = Some(r"^\$argon2id\$");

    fn read(text: &str) -> Result<Self, Wrong> {
        match password::check(text) {
            Ok(()) => Ok(Self(text.to_owned())),
            // Not shown: it may be the password itself.
            Err(no_hash) => Err(Wrong::new(no_hash.problem, password::FIX)),
        }
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

// === impl TokenHash ===

impl Form for TokenHash {
    const NAME: &'static str = "token-hash";
    const WHAT: &'static str = "the hash of a token";
    const PATTERN: Option<&'static str> = Some("^sha256:[0-9a-f]{64}$");

    fn read(text: &str) -> Result<Self, Wrong> {
        let digits = text.strip_prefix(SHA_256).filter(|digits| digits.len() == 64);
        let byte = |digits: &str, at: usize| u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok();
        let bytes = digits.and_then(|digits| (0..32).map(|at| byte(digits, at)).collect::<Option<Vec<u8>>>());
        match bytes.and_then(|bytes| bytes.try_into().ok()) {
            Some(bytes) => Ok(Self(bytes)),
            // Not shown: it may be the token itself.
            None => {
                Err(Wrong::new("it is not the hash of a token", "write what `rehearsal user token` prints as its hash"))
            }
        }
    }

    fn write(&self) -> String {
        let Self(bytes) = self;
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{SHA_256}{digits}")
    }
}

// === impl IpNet ===

impl Form for IpNet {
    const NAME: &'static str = "address-range";
    const WHAT: &'static str = "an address or a range of addresses";

    fn read(text: &str) -> Result<Self, Wrong> {
        let one = || text.parse().ok().map(|ip: std::net::IpAddr| Self::from(ip));
        text.parse().ok().or_else(one).ok_or_else(|| {
            let problem = format!("{} is neither an address nor a range of addresses", shown(text));
            Wrong::new(problem, "write one like 10.0.0.7 or 10.0.0.0/24")
        })
    }

    fn write(&self) -> String {
        self.to_string()
    }
}
