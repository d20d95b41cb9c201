//! The way to a field, as mistakes tell it: `policies[1].webhook.url`.

use std::fmt::{self, Display};

use super::mistake::shown;

/// Written out only where something is wrong: most of ten thousand rules are right.
#[derive(Debug, Clone, Copy)]
pub enum Path<'a> {
    /// Of the whole document: nothing.
    Root,
    Field(&'a Self, &'a str),
    Item(&'a Self, usize),
}

// === impl Path ===

impl Path<'_> {
    pub fn field<'a>(&'a self, name: &'a str) -> Path<'a> {
        Path::Field(self, name)
    }

    pub fn item(&self, at: usize) -> Path<'_> {
        Path::Item(self, at)
    }
}

impl Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Item(list, at) => write!(f, "{list}[{at}]"),
            Self::Field(mapping, name) => {
                if !matches!(mapping, Self::Root) {
                    write!(f, "{mapping}.")?;
                }
                // One that could be taken for more than one step is quoted.
                let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
                match !name.is_empty() && name.bytes().all(is_plain) {
                    true => f.write_str(name),
                    false => f.write_str(&shown(name)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_joined_and_odd_names_are_quoted() {
        let (root, policies) = (Path::Root, Path::Root.field("policies").to_string());
        assert_eq!((root.to_string().as_str(), policies.as_str()), ("", "policies"));
        let list = root.field("policies");
        let policy = list.item(1);
        let webhook = policy.field("webhook");
        assert_eq!(webhook.field("url").to_string(), "policies[1].webhook.url");
        assert_eq!(webhook.field("a.b").to_string(), r#"policies[1].webhook."a.b""#);
        assert_eq!(root.field("").to_string(), r#""""#);
    }
}
