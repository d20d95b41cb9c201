//! Whom somebody else vouches for: a proxy in front, or a provider.

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    pub name: String,
    pub groups: Vec<String>,
}
