//! The statements that a page has the database run, and how it runs them.

use std::cell::RefCell;

use super::line;
use crate::store::Store;
use crate::store::database::Database;
use crate::store::sql::Sql;

thread_local! {
    /// Of this thread's test: its runtime runs on it alone.
    static SEEN: RefCell<Vec<Sql>> = const { RefCell::new(Vec::new()) };
    /// Texts of what was read in transactions.
    static IN_TRANSACTIONS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

pub(in crate::store) fn note(sql: &Sql) {
    SEEN.with_borrow_mut(|seen| seen.push(sql.clone()));
}

pub(in crate::store) fn note_in_transaction(sql: &Sql) {
    IN_TRANSACTIONS.with_borrow_mut(|seen| seen.push(sql.text.clone()));
}

/// Since the last call.
pub(super) fn seen_in_transactions() -> Vec<String> {
    IN_TRANSACTIONS.take()
}

/// What a test itself has read until now is no page's.
pub(super) fn forget() {
    SEEN.take();
}

/// The reads since the last call.
pub(super) fn seen() -> Vec<Sql> {
    SEEN.take()
}

/// How many reads there were since the last call; none of them reads all of a table that grows with the history.
pub(crate) async fn taken(store: &Store, what: &str) -> usize {
    taken_but(store, what, &[]).await
}

/// The same of what does read all of `whole`: a census is of every workload.
pub(crate) async fn taken_but(store: &Store, what: &str, whole: &[&str]) -> usize {
    let seen = seen();
    let tables: Vec<&str> = GROWING.into_iter().filter(|table| !whole.contains(table)).collect();
    for sql in &seen {
        for step in plan(&store.database, sql.clone()).await {
            assert!(!reads_all(&tables, &step, &sql.text), "{what}: {step}\n{}", sql.text);
        }
    }
    seen.len()
}

/// How the database would run it. Postgres is told to read a whole table only where no index can answer: these are
/// too small for it to matter.
pub(super) async fn plan(database: &Database, sql: Sql) -> Vec<String> {
    let (setting, explain) = match database {
        Database::Sqlite(_) => (None, "EXPLAIN QUERY PLAN "),
        Database::Postgres(_) => (Some("SET LOCAL enable_seqscan = off"), "EXPLAIN "),
    };
    let mut tx = database.begin().await.expect("a transaction");
    if let Some(setting) = setting {
        tx.execute(Sql::new(setting)).await.expect("a setting");
    }
    let mut explained = Sql::new(explain);
    explained.append(sql);
    tx.fetch(explained).await.expect("a plan").iter().map(line).collect()
}

/// Tables that have a row for each decision, review, bucket or workload.
const GROWING: [&str; 24] = [
    "decision_exemptions",
    "exemption_uses",
    "image_workloads",
    "inventory_images",
    "inventory_workloads",
    "workload_judged",
    "workload_against",
    "workload_totals",
    "decisions",
    "decision_rules",
    "decision_repositories",
    "decision_candidates",
    "decision_agreements",
    "outcome_agreements",
    "reviews",
    "outcomes",
    "review_images",
    "rollup_totals",
    "rollup_rules",
    "rollup_repositories",
    "rollup_agreements",
    "rollup_disagreements",
    "workload_rules",
    "batches",
];

fn reads_all(tables: &[&str], step: &str, text: &str) -> bool {
    tables.iter().any(|table| {
        if step.contains(&format!("Seq Scan on {table}")) {
            return true;
        }
        // SQLite says only what the statement calls it.
        text.match_indices(&format!("{table} ")).any(|(at, _)| {
            let alias: String = text[at + table.len() + 1..].chars().take_while(|c| c.is_ascii_lowercase()).collect();
            let is_alias = (1..=2).contains(&alias.len()) && alias != "on";
            is_alias && (step.ends_with(&format!("SCAN {alias}")) || step.contains(&format!("SCAN {alias} USING")))
        })
    })
}
