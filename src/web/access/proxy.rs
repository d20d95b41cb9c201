//! What a proxy in front says of who somebody is.

use http::HeaderMap;

use super::settings::{ProxyHeaders, ProxySettings};
use super::visitor::PeerAddress;
use super::vouched::Vouched;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    #[error("this report is reached through the proxy that signs people in, and this request did not come from there")]
    Elsewhere {
        /// It named somebody all the same.
        names_somebody: bool,
    },
    #[error("the proxy in front says nobody is signed in")]
    Nobody,
    #[error("the header {0} is given twice, or holds what no name is")]
    Header(&'static str),
}

/// Of a name.
const LONGEST: usize = 256;
/// Of all groups.
const LONGEST_GROUPS: usize = 32 * 1024;

// === impl ProxySettings ===

impl ProxySettings {
    /// Who a request is from.
    ///
    /// # Errors
    /// It is not from the proxy, or names nobody that can be.
    pub fn vouched(&self, headers: &HeaderMap, peer: PeerAddress) -> Result<Vouched, ProxyError> {
        let [user, email, groups] = self.headers.names();
        let is_trusted = peer.ip().is_some_and(|ip| self.from.iter().any(|range| range.contains(&ip)));
        if !is_trusted {
            let every = [ProxyHeaders::XForwarded, ProxyHeaders::Remote].map(ProxyHeaders::names);
            let names_somebody = every.iter().flatten().any(|name| headers.contains_key(*name));
            return Err(ProxyError::Elsewhere { names_somebody });
        }
        let (user, email) = (one(headers, user, LONGEST)?, one(headers, email, LONGEST)?);
        let name = email.or(user).ok_or(ProxyError::Nobody)?;
        let groups = one(headers, groups, LONGEST_GROUPS)?.unwrap_or_default();
        let groups = groups.split(',').map(str::trim).filter(|group| !group.is_empty()).map(str::to_owned).collect();
        Ok(Vouched::by_name(name, groups))
    }
}

/// An empty one is an absent one.
fn one(headers: &HeaderMap, name: &'static str, longest: usize) -> Result<Option<String>, ProxyError> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return if headers.contains_key(name) { Err(ProxyError::Header(name)) } else { Ok(None) };
    };
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| ProxyError::Header(name))?.trim();
    if text.len() > longest || text.contains(char::is_control) {
        return Err(ProxyError::Header(name));
    }
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}

// === impl ProxyHeaders ===

impl ProxyHeaders {
    /// Of the user, the e-mail address, the groups.
    fn names(self) -> [&'static str; 3] {
        match self {
            Self::XForwarded => ["x-forwarded-user", "x-forwarded-email", "x-forwarded-groups"],
            Self::Remote => ["remote-user", "remote-email", "remote-groups"],
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn vouched(peer: &str, headers: &[(&'static str, &[u8])]) -> Result<Vouched, ProxyError> {
        let settings =
            ProxySettings { from: vec!["10.0.0.0/30".parse().expect("a range")], headers: ProxyHeaders::XForwarded };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value).expect("a value"));
        }
        settings.vouched(&map, PeerAddress(Some(format!("{peer}:1").parse().expect("an address"))))
    }

    #[test]
    fn only_the_proxy_says_who_somebody_is() {
        let ana: [(&'static str, &[u8]); 2] = [("x-forwarded-user", b"ana"), ("x-forwarded-groups", b" sre, dev,,")];
        let expected = Vouched::by_name("ana".into(), vec!["sre".into(), "dev".into()]);
        assert_eq!(vouched("10.0.0.2", &ana), Ok(expected.clone()));
        assert_eq!(vouched("[::ffff:10.0.0.2]", &ana), Ok(expected));
        assert_eq!(vouched("10.0.0.4", &ana), Err(ProxyError::Elsewhere { names_somebody: true }));
        assert_eq!(
            vouched("10.0.0.4", &[("remote-user", b"ana")]),
            Err(ProxyError::Elsewhere { names_somebody: true })
        );
        assert_eq!(vouched("10.0.0.4", &[]), Err(ProxyError::Elsewhere { names_somebody: false }));
        assert_eq!(vouched("10.0.0.2", &[]), Err(ProxyError::Nobody));
        assert_eq!(vouched("10.0.0.2", &[("remote-user", b"ana")]), Err(ProxyError::Nobody), "not its headers");
    }

    #[test]
    fn what_no_name_is_is_refused() {
        let user = "x-forwarded-user";
        let long = [b'a'; LONGEST + 1];
        for hostile in [&b"\xff\xfe"[..], b"a\tb", &long] {
            assert_eq!(vouched("10.0.0.1", &[(user, hostile)]), Err(ProxyError::Header(user)));
        }
        assert_eq!(vouched("10.0.0.1", &[(user, b"ana"), (user, b"root")]), Err(ProxyError::Header(user)));
        assert_eq!(vouched("10.0.0.1", &[(user, b"  ")]), Err(ProxyError::Nobody));
    }
}
