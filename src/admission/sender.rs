//! Who sent a review, and for which cluster that counts.

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// That the review is recorded for.
    pub cluster: String,
    /// That an undeclared sender says it is of. Whoever lost its proof is still judged as ever.
    pub claimed: Option<String>,
    /// The subject of its certificate, or the name of its token.
    pub caller: Option<String>,
}

// === impl Sender ===

impl Sender {
    /// The cluster whose policies judge it.
    pub fn judged_as(&self) -> &str {
        self.claimed.as_deref().unwrap_or(&self.cluster)
    }
}
