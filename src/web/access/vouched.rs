//! Whom somebody vouches for: a password, a proxy in front, a provider.

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    /// As people read it. A provider may give one name to several.
    pub name: String,
    /// Of one person alone.
    pub subject: String,
    pub groups: Vec<String>,
}

// === impl Vouched ===

impl Vouched {
    /// Of somebody whose name nobody else has.
    pub fn by_name(name: String, groups: Vec<String>) -> Self {
        Self { subject: name.clone(), name, groups }
    }
}
