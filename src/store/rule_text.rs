//! Under which versions of its policy a rule had which text, so that a change of another rule costs none of its evidence.
//!
//! Invariants: what a version of a policy that evidence is of says of its rules stays as long as that evidence; what the
//! newest version says stays, for it may judge yet.

use super::database::Transaction;
use super::error::StoreError;
use super::sql::{Insert, Sql};
use crate::policy::rules::{text_of, version_of};
use crate::policy::settings::SourceSettings;
use crate::policy::text;
use crate::review::clock::Timestamp;

/// Of the policies whose rules have texts of their own; of the others the policy's is the rule's. A text that this version
/// cannot read was kept by the one that wrote it.
pub(super) async fn keep(tx: &mut Transaction, revision: &str, loaded_at: Timestamp) -> Result<(), StoreError> {
    let Ok((policies, _)) = text::read(revision) else { return Ok(()) };
    let mut insert = Insert::into(
        "rule_texts",
        &["policy", "rule", "text", "version", "kept_at"],
        "ON CONFLICT (policy, rule, text, version) DO UPDATE SET kept_at = excluded.kept_at \
         WHERE excluded.kept_at > rule_texts.kept_at",
    );
    for policy in &policies {
        let SourceSettings::Rules(rules) = &policy.source else { continue };
        let version = version_of(rules);
        for rule in rules {
            insert.row([
                policy.name.as_str().into(),
                rule.id.as_str().into(),
                text_of(rule).into(),
                version.as_str().into(),
                loaded_at.0.into(),
            ]);
        }
    }
    tx.insert(insert).await
}

/// Deletes at most `limit` of those that were kept before, of which there is no evidence. How many they were.
pub(super) async fn forget(tx: &mut Transaction, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
    let mut sql = Sql::new(
        "DELETE FROM rule_texts WHERE (policy, rule, text, version) IN (\
         SELECT x.policy, x.rule, x.text, x.version FROM rule_texts x WHERE x.kept_at < ",
    );
    sql.bind(before.0).push(
        " AND EXISTS (SELECT 1 FROM rule_texts y WHERE y.policy = x.policy AND y.kept_at > x.kept_at) \
         AND NOT EXISTS (SELECT 1 FROM policies p JOIN versions v ON v.policy = p.id \
         JOIN workload_judged t ON t.version = v.id WHERE p.name = x.policy AND v.name = x.version) LIMIT ",
    );
    sql.bind(limit as i64).push(") RETURNING 1");
    Ok(tx.fetch(sql).await?.len())
}
