//! The cookies of the report: one for who is signed in, one for who is about to be.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use super::secret::Secret;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cookie {
    Session,
    /// Of the form of the sign-in.
    Form,
    /// Of a sign-in at a provider.
    Provider,
}

// === impl Cookie ===

impl Cookie {
    /// By TLS a browser takes `__Host-` only from this very host, for all of it and for TLS alone.
    fn name(self, is_by_tls: bool) -> &'static str {
        match (self, is_by_tls) {
            (Self::Session, true) => "__Host-rehearsal",
            (Self::Session, false) => "rehearsal",
            (Self::Form, true) => "__Host-rehearsal-form",
            (Self::Form, false) => "rehearsal-form",
            (Self::Provider, true) => "__Host-rehearsal-provider",
            (Self::Provider, false) => "rehearsal-provider",
        }
    }

    /// What a browser sent. A name that is sent twice is worth nothing: somebody may have put one beside ours.
    pub fn read(self, headers: &HeaderMap, is_by_tls: bool) -> Option<Secret> {
        let name = self.name(is_by_tls);
        let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut values = pairs.filter(|(known, _)| *known == name).map(|(_, value)| value);
        match (values.next(), values.next()) {
            (Some(value), None) => Secret::read(value),
            _ => None,
        }
    }

    pub fn set(self, secret: &Secret, is_by_tls: bool) -> HeaderValue {
        self.written(&secret.text(), "", is_by_tls)
    }

    pub fn unset(self, is_by_tls: bool) -> HeaderValue {
        self.written("", "; Max-Age=0", is_by_tls)
    }

    fn written(self, value: &str, more: &str, is_by_tls: bool) -> HeaderValue {
        let name = self.name(is_by_tls);
        let secure = if is_by_tls { "; Secure" } else { "" };
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{more}");
        HeaderValue::try_from(text).expect("a name, base64 and attributes are ASCII")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_read_as_it_was_set_and_only_once() {
        let (secret, mut headers) = (Secret::random(), HeaderMap::new());
        let set = Cookie::Session.set(&secret, true);
        let set = set.to_str().expect("ASCII");
        assert!(set.starts_with("__Host-rehearsal=") && set.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"));
        let pair = set.split(';').next().expect("a pair");
        headers.append(COOKIE, HeaderValue::try_from(format!("a=b; {pair}")).expect("ASCII"));
        assert_eq!(Cookie::Session.read(&headers, true), Some(secret));
        assert_eq!(Cookie::Session.read(&headers, false), None, "by another name");
        headers.append(COOKIE, HeaderValue::try_from(pair).expect("ASCII"));
        assert_eq!(Cookie::Session.read(&headers, true), None, "twice");
    }
}
