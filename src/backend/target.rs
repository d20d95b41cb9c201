//! Where a webhook is, and what each request line says.

use std::fmt;
use std::time::Duration;

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

/// A webhook's URL, ready for `?timeout=`.
#[derive(Debug, Clone)]
pub(super) struct Target {
    scheme: Scheme,
    authority: Authority,
    /// Up to the number: `/judge?team=a&timeout=`.
    before_timeout: String,
}

// === impl Target ===

impl Target {
    /// # Errors
    /// What is wrong with the URL, and what would be right.
    pub(super) fn of(url: &Uri) -> Result<Self, String> {
        let right = "write it as https://HOST:PORT/PATH";
        let (Some(scheme), Some(authority)) = (url.scheme(), url.authority()) else {
            return Err(format!("{url} names no scheme and host; {right}"));
        };
        if scheme != &Scheme::HTTP && scheme != &Scheme::HTTPS {
            return Err(format!("{url} is neither http nor https; {right}"));
        }
        if authority.as_str().contains('@') {
            // The URL itself is not repeated: it holds a password.
            return Err("the URL holds a user name; put a token into token_file instead".to_owned());
        }
        if authority.host().is_empty() {
            return Err(format!("{url} names no host; {right}"));
        }
        let own = url.query().unwrap_or_default().split('&');
        let kept = own.filter(|pair| !pair.is_empty() && pair.split('=').next() != Some("timeout"));
        let mut before_timeout = format!("{}?", url.path());
        for pair in kept {
            before_timeout.push_str(pair);
            before_timeout.push('&');
        }
        before_timeout.push_str("timeout=");
        Ok(Self { scheme: scheme.clone(), authority: authority.clone(), before_timeout })
    }

    pub(super) fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// The URL with what is left, in whole milliseconds and at least one.
    pub(super) fn with_timeout(&self, left: Duration) -> Uri {
        let path = format!("{}{}ms", self.before_timeout, left.as_millis().max(1));
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(PathAndQuery::try_from(path).expect("a checked path and query with digits behind it"))
            .build()
            .expect("scheme, authority and path are all there")
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &'static str) -> Target {
        Target::of(&Uri::from_static(url)).expect("a good URL")
    }

    #[test]
    fn what_is_left_is_sent_on_and_the_configured_query_kept() {
        let left = Duration::from_micros(1_850_999);
        for (url, sent) in [
            ("http://a", "http://a/?timeout=1850ms"),
            ("https://a:1323/image_policy", "https://a:1323/image_policy?timeout=1850ms"),
            ("https://a/p?x=1&y", "https://a/p?x=1&y&timeout=1850ms"),
            ("https://a/p?timeout=5s&x=1&timeout=7s", "https://a/p?x=1&timeout=1850ms"),
            ("https://a/p?timeouts=5s&", "https://a/p?timeouts=5s&timeout=1850ms"),
            ("http://[::1]:8080/", "http://[::1]:8080/?timeout=1850ms"),
        ] {
            assert_eq!(target(url).with_timeout(left).to_string(), sent);
        }
        assert_eq!(target("http://a/").with_timeout(Duration::ZERO).query(), Some("timeout=1ms"));
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        for (url, why) in
            [("/path", "names no scheme"), ("ftp://a/", "neither http nor https"), ("https://u:secret@a/", "user name")]
        {
            let error = Target::of(&Uri::from_static(url)).expect_err("refused");
            assert!(error.contains(why) && !error.contains("secret"), "{error}");
        }
    }
}
