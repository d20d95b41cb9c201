//! Addresses within the report: a path and a query that holds the whole state of a page.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What needs no escape in a query by RFC 3986 and is common in image names and times.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/')
    .remove(b':')
    .remove(b'@')
    .remove(b'*');

/// What needs no escape in one part of a path.
const SEGMENT: &AsciiSet = &QUERY.add(b'/').add(b'*');

/// Displays as a reference that begins with its path, percent-encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    path: String,
    query: Vec<(&'static str, String)>,
}

// === impl Address ===

impl Address {
    pub fn of(path: impl Into<String>) -> Self {
        Self { path: path.into(), query: Vec::new() }
    }

    /// A path that goes on with these names, whatever they hold.
    pub fn below(path: &str, names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(|name| format!("/{}", utf8_percent_encode(name, SEGMENT))).collect();
        Self::of(format!("{path}{}", names.concat()))
    }

    /// With `name` set to `value`; an empty value is an absent one.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        match self.query.iter_mut().find(|(known, _)| *known == name) {
            _ if value.is_empty() => return self.without(name),
            Some((_, old)) => *old = value,
            None => self.query.push((name, value)),
        }
        self
    }

    #[must_use]
    pub fn with_some(self, name: &'static str, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.query.retain(|(known, _)| *known != name);
        self
    }

    /// The same query on another path.
    #[must_use]
    pub fn at(&self, path: impl Into<String>) -> Self {
        Self { path: path.into(), query: self.query.clone() }
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn value(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    pub fn query(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.query.iter().map(|(name, value)| (*name, value.as_str()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        for (at, (name, value)) in self.query.iter().enumerate() {
            f.write_str(if at == 0 { "?" } else { "&" })?;
            write!(f, "{name}={}", utf8_percent_encode(value, QUERY))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_encoded_and_replaced() {
        let address =
            Address::of("/decisions").with("image", "a b&c=d#+%\u{202e}").with("since", "24h").with("since", "7d");
        assert_eq!(address.to_string(), "/decisions?image=a%20b%26c%3Dd%23%2B%25%E2%80%AE&since=7d");
        assert_eq!(address.clone().with("image", "").to_string(), "/decisions?since=7d");
        assert_eq!(address.without("since").at("/").without("image").to_string(), "/");
    }
}
