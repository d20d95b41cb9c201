//! Under which versions of its policy a rule had which text, so that a change of another rule costs none of its evidence.

use super::database::Transaction;
use super::error::StoreError;
use super::sql::Insert;
use crate::policy::rules::{text_of, version_of};
use crate::policy::settings::SourceSettings;
use crate::policy::text;

/// Of the policies whose rules have texts of their own; of the others the policy's is the rule's. A text that this version
/// cannot read was kept by the one that wrote it.
pub(super) async fn keep(tx: &mut Transaction, revision: &str) -> Result<(), StoreError> {
    let Ok((policies, _)) = text::read(revision) else { return Ok(()) };
    let mut insert = Insert::into("rule_texts", &["policy", "rule", "text", "version"], "ON CONFLICT DO NOTHING");
    for policy in &policies {
        let SourceSettings::Rules(rules) = &policy.source else { continue };
        let version = version_of(rules);
        for rule in rules {
            insert.row([
                policy.name.as_str().into(),
                rule.id.as_str().into(),
                text_of(rule).into(),
                version.as_str().into(),
            ]);
        }
    }
    tx.insert(insert).await
}
