//! Floor 2: the history in a database.
//!
//! [`Store::apply`] writes whole batches, each in one transaction, and takes a batch that was sent before as if it
//! had not been. Figures and charts are read from roll-ups that are written in that same transaction; lists read a
//! bounded number of rows of one index. What is asked of the history, and what comes back, is in [`read`].
//!
//! The statements are the same for both databases; what only one of them does is in one file, `sqlite.rs` or
//! `postgres.rs`, behind the traits of `database.rs`.

pub mod access;
mod against;
mod agreement;
mod amendment;
mod batch;
mod behind;
mod bucket;
pub mod ceiling;
mod cell;
mod census;
pub mod coverage;
mod database;
mod days;
mod digests;
mod driver;
mod error;
mod evidence;
mod examples;
pub mod exemption;
mod fact;
mod figures;
mod find;
pub mod fleet;
mod generate;
mod hits;
pub mod hold;
mod horizon;
mod images;
pub mod inventory;
mod key;
mod list;
mod locate;
mod name;
mod objects;
mod outcome;
pub mod places;
mod postgres;
mod presence;
pub mod reach;
pub mod read;
mod recount;
mod replica;
mod retention;
mod review;
mod revision;
mod rollup;
mod row;
mod rule_text;
mod runners;
mod running;
mod schema;
mod search;
pub mod session;
pub mod settings;
mod spans;
mod sql;
mod sqlite;
mod standing;
mod stretch;
pub mod synthetic;
mod tail;
#[cfg(test)]
pub(crate) mod tests;
mod ticket;
mod window;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

pub use batch::Applied;
pub use error::StoreError;
pub use generate::{Progress, Synthetic};
pub use retention::Swept;
pub use revision::{Load, StoredRevision};
pub use schema::Migrated;
pub use standing::{Drained, Heartbeat};
pub use ticket::{Broken, UsePage};

use uuid::Uuid;

use self::batch::Memory;
use self::database::Database;
use self::places::{KnownRule, Namespace};
use self::reach::{Reach, Rights, of_cluster};
use self::read::{
    AgainstPage, Bucket, ByCluster, Comparisons, Cursor, Filter, Followed, Hits, Horizons, Names, News, Page,
    PolicyRules, Range, Ranking, Scope, Slice, Standing, StoredDecision, Summary, Uses, Which,
};
use self::settings::{HistorySettings, RetentionSettings, StoreSettings};
use self::sql::Sql;
use self::stretch::Bounds;
use crate::policy::ceiling::Ceiling;
use crate::policy::readiness::Asked;
use crate::policy::readiness::census::Faults;
use crate::policy::readiness::evidence::Evidence;
use crate::review::clock::{DecisionId, Timestamp};
use crate::review::decision::{Gap, Record};
use crate::review::ticket::Ticket;

/// A handle; its copies are one store.
#[derive(Debug, Clone)]
pub struct Store {
    database: Database,
    memory: Arc<Memory>,
}

// === impl Store ===

impl Store {
    /// Creates what is missing and brings the schema up to date. What is written is of `replica`.
    pub async fn open(store: &StoreSettings, history: &HistorySettings, replica: Uuid) -> Result<Self, StoreError> {
        let database = Database::open(store).await?;
        Ok(Self { database, memory: Arc::new(Memory::new(history, replica)) })
    }

    /// Creates what is missing and brings the schema up to date, and nothing else. Whoever does the same at that moment
    /// waits for it, or is waited for.
    pub async fn migrate(store: &StoreSettings) -> Result<Migrated, StoreError> {
        Database::migrate(store).await
    }

    /// Opens what is there for reading alone: for a process that may not write it. [`Store::apply`] fails.
    pub async fn open_for_reading(store: &StoreSettings, history: &HistorySettings) -> Result<Self, StoreError> {
        let database = Database::open_for_reading(store).await?;
        Ok(Self { database, memory: Arc::new(Memory::new(history, Uuid::nil())) })
    }

    /// Stores a batch in one transaction, all of it or none. What is stored already is left as it is and not counted
    /// again. Calls wait for each other.
    ///
    /// A batch is held in memory about twice over: bound it in bytes.
    pub async fn apply(&self, records: &[Record]) -> Result<Applied, StoreError> {
        self.apply_at(records, Timestamp::now()).await
    }

    async fn apply_at(&self, records: &[Record], now: Timestamp) -> Result<Applied, StoreError> {
        let applied = self.memory.apply(&self.database, records, now).await;
        if applied.is_err() {
            self.memory.forget();
            self.database.forget();
        }
        applied
    }

    /// Says how the replica is that this store is of, in a small transaction of its own. Answers when the process began
    /// that said so last, if one did.
    pub async fn beat(&self, heartbeat: &Heartbeat) -> Result<Option<Timestamp>, StoreError> {
        standing::beat(&self.database, self.memory.replica(), heartbeat).await
    }

    /// The clusters that the replica that this store is of said last to serve.
    pub async fn served_last(&self) -> Result<Vec<String>, StoreError> {
        standing::clusters(&self.database, self.memory.replica()).await
    }

    /// Says that nothing of the replica that this store is of waits in its journal any more. To be called with the lock
    /// on its data directory.
    pub async fn emptied(&self) -> Result<(), StoreError> {
        standing::emptied(&self.database, self.memory.replica()).await
    }

    /// Of every replica but `own` that may have decided what is not stored; the one that is furthest behind first.
    pub async fn others(&self, own: Uuid) -> Result<Vec<Standing>, StoreError> {
        standing::others(&self.database, own).await
    }

    /// Keeps the text of a revision, where it is not kept already, and when this replica loaded it: in a small transaction of
    /// its own.
    pub async fn keep_revision(&self, id: &str, text: &str, loads: &[Timestamp]) -> Result<(), StoreError> {
        revision::keep(&self.database, id, text, (loads, self.memory.replica())).await
    }

    /// Without their texts, those that were loaded last first; at most 1,000.
    pub async fn revisions(&self) -> Result<Vec<StoredRevision>, StoreError> {
        revision::list(&self.database).await
    }

    pub async fn revision(&self, id: &str) -> Result<Option<StoredRevision>, StoreError> {
        revision::one(&self.database, id).await
    }

    /// Keeps what is known of break-glass tickets beside what others know of them, in a small transaction of its own; gives
    /// what is kept of them now.
    pub async fn keep_tickets(&self, tickets: &[Ticket]) -> Result<Vec<Ticket>, StoreError> {
        ticket::keep(&self.database, tickets).await
    }

    /// What is new of break-glass tickets since the number `known`, some of it perhaps not for the first time, and the number
    /// now. `None`: all.
    pub async fn tickets(&self, known: Option<i64>) -> Result<(Vec<Ticket>, i64), StoreError> {
        ticket::news(&self.database, known).await
    }

    /// What these rights come to now.
    pub async fn reach(&self, rights: &Rights) -> Result<Reach, StoreError> {
        reach::resolve(&self.database, rights).await
    }

    /// At most `limit` break-glass tickets that were used, newest use first, after the cursor.
    pub async fn uses(&self, asked: &Uses, limit: u16, after: Option<Cursor>) -> Result<UsePage, StoreError> {
        ticket::uses(&self.database, asked, limit, after).await
    }

    /// Keeps a ceiling, or that it was lifted: in a small transaction of its own.
    pub async fn keep_ceiling(&self, ceiling: &Ceiling) -> Result<(), StoreError> {
        ceiling::keep(&self.database, ceiling).await
    }

    /// Those that have not ended by themselves at `now`, lifted ones too.
    pub async fn current_ceilings(&self, now: Timestamp) -> Result<Vec<Ceiling>, StoreError> {
        ceiling::current(&self.database, now).await
    }

    /// All that held something back that is in reach, the newest first; at most 1,000.
    pub async fn ceilings(&self, reach: &Reach) -> Result<Vec<Ceiling>, StoreError> {
        ceiling::list(&self.database, reach).await
    }

    /// Those of them that were in force in the range; oldest first.
    pub async fn ceilings_within(&self, range: Range, reach: &Reach) -> Result<Vec<Ceiling>, StoreError> {
        ceiling::within(&self.database, range, reach).await
    }

    /// Clusters in reach that have an inventory, in alphabetical order.
    pub async fn inventoried_clusters(&self, reach: &Reach) -> Result<Vec<String>, StoreError> {
        inventory::read::clusters(&self.database, reach).await
    }

    /// The inventories of a cluster that are kept, newest first, each as far as it is in reach.
    pub async fn inventories(&self, cluster: &str, reach: &Reach) -> Result<Vec<inventory::read::Stored>, StoreError> {
        // The newest whole one may be one more.
        inventory::narrow::of_cluster(&self.database, cluster, reach, inventory::KEPT + 1).await
    }

    /// The newest of them.
    pub async fn newest_inventory(
        &self,
        cluster: &str,
        reach: &Reach,
    ) -> Result<Option<inventory::read::Stored>, StoreError> {
        Ok(inventory::narrow::of_cluster(&self.database, cluster, reach, 1).await?.pop())
    }

    /// At most `limit` workloads in reach of an inventory, after the place.
    pub async fn inventory(
        &self,
        of: &inventory::read::Stored,
        shown: &inventory::read::Shown,
        reach: &Reach,
        limit: u16,
        after: Option<i64>,
    ) -> Result<inventory::read::Page, StoreError> {
        let names = inventory::narrow::names(&self.database, of, reach).await?;
        inventory::read::page(&self.database, of.id, (shown, names), limit, after).await
    }

    /// Of a namespace's workloads in an inventory, how many have each outlook, in the order of [`Outlook::ALL`].
    ///
    /// [`Outlook::ALL`]: inventory::Outlook::ALL
    pub async fn outlooks(&self, id: i64, namespace: &str) -> Result<[u64; 6], StoreError> {
        inventory::read::outlooks(&self.database, id, namespace).await
    }

    /// Every namespace that something came of.
    pub async fn reviewed_namespaces(&self) -> Result<Vec<Namespace>, StoreError> {
        places::namespaces(&self.database).await
    }

    /// Every rule that was violated.
    pub async fn known_rules(&self) -> Result<Vec<KnownRule>, StoreError> {
        places::rules(&self.database).await
    }

    /// What is known of the scope's workloads since its beginning, and of these rules as they are now.
    pub async fn evidence(&self, scope: &Scope, asked: &[Asked]) -> Result<Evidence, StoreError> {
        census::evidence(&self.database, scope, asked).await
    }

    /// What the decisions at these keys say of a policy's rules, standing violations included; without those that are
    /// deleted.
    pub async fn faults(&self, policy: &str, keys: &[i64]) -> Result<Faults, StoreError> {
        evidence::faults(&self.database, policy, keys).await
    }

    /// The ids of the decisions at these keys; without those that are deleted.
    pub async fn ids(&self, keys: &[i64]) -> Result<HashMap<i64, DecisionId>, StoreError> {
        evidence::ids(&self.database, keys).await
    }

    /// At most `limit` decisions, newest first, after the cursor.
    pub async fn decisions(&self, filter: &Filter, limit: u16, after: Option<Cursor>) -> Result<Page, StoreError> {
        list::decisions(&self.database, filter, limit, after).await
    }

    /// How far the history reaches now, for [`Store::news`].
    pub async fn end(&self) -> Result<Followed, StoreError> {
        tail::end(&self.database).await
    }

    /// At most `limit` decisions that were stored since, in whatever order they were decided.
    pub async fn news(&self, filter: &Filter, followed: Followed, limit: u16) -> Result<News, StoreError> {
        tail::news(&self.database, filter, followed, limit).await
    }

    /// Names that hold the text; namespaces and workloads of the scope's place.
    pub async fn names(&self, scope: &Scope, text: &str) -> Result<Names, StoreError> {
        find::names(&self.database, scope, text).await
    }

    /// `None`: there is none, or none in reach; one is found out as fast as the other.
    pub async fn decision(&self, id: DecisionId, reach: &Reach) -> Result<Option<StoredDecision>, StoreError> {
        match list::key_within(&self.database, id, reach).await? {
            Some(key) => list::decision(&self.database, key).await,
            None => Ok(None),
        }
    }

    /// The redacted object of a decision in reach, else the sample of the same review on the same day: JSON.
    pub async fn object(&self, id: DecisionId, reach: &Reach) -> Result<Option<String>, StoreError> {
        match list::key_within(&self.database, id, reach).await? {
            Some(key) => objects::read(&self.database, id, key).await,
            None => Ok(None),
        }
    }

    /// Without `since`, from the oldest bucket; without `until`, up to now.
    pub async fn summary(&self, scope: &Scope) -> Result<Summary, StoreError> {
        figures::summary(&self.database, scope, Timestamp::now()).await
    }

    /// The same by cluster, in alphabetical order; those of which nothing came are left out.
    pub async fn by_cluster(&self, scope: &Scope) -> Result<ByCluster, StoreError> {
        figures::by_cluster(&self.database, scope, Timestamp::now()).await
    }

    /// Bars over the same span as the [`summary`](Self::summary), empty ones too; at most `max_buckets`, but two where
    /// that is less.
    pub async fn chart(&self, scope: &Scope, max_buckets: usize) -> Result<Vec<Bucket>, StoreError> {
        figures::chart(&self.database, scope, max_buckets, Timestamp::now()).await
    }

    /// What was hit in the same span, beside the span of that length before it.
    pub async fn hits(&self, of: Hits, scope: &Scope, which: Which, slice: Slice) -> Result<Ranking, StoreError> {
        hits::ranking(&self.database, of, scope, (which, slice), Timestamp::now()).await
    }

    /// What stands against the workloads of the one namespace that the scope names with its cluster. `None`: nothing ever
    /// came of such a namespace.
    pub async fn against(&self, scope: &Scope, slice: Slice) -> Result<Option<AgainstPage>, StoreError> {
        against::page(&self.database, scope, slice).await
    }

    /// How often candidates said what beside the policies in force, over the same span as the [`summary`](Self::summary).
    pub async fn comparisons(&self, scope: &Scope) -> Result<Comparisons, StoreError> {
        figures::comparisons(&self.database, scope, Timestamp::now()).await
    }

    /// Those that touch the range, of the cluster (any, when `None`) and of every cluster, as far as they are in reach;
    /// oldest first.
    pub async fn gaps(&self, range: Range, cluster: Option<&str>, reach: &Reach) -> Result<Vec<Gap>, StoreError> {
        let gaps = spans::gaps(&self.database, range, cluster, Timestamp::now()).await?;
        Ok(reach.narrow_gaps(gaps))
    }

    /// How many clusters no replica serves now that one served before. This one serves `served`, of which the store may not
    /// know yet.
    pub async fn silent_clusters(&self, served: &[String]) -> Result<u64, StoreError> {
        presence::silent(&self.database, served, Timestamp::now()).await
    }

    /// What of the history is deleted.
    pub async fn horizons(&self) -> Result<Horizons, StoreError> {
        horizon::all(&self.database).await
    }

    /// Deletes what is due: in small steps, beside everything else. `None`: another process is at it. What was deleted
    /// before an error is in `swept` all the same.
    pub async fn sweep(&self, settings: &RetentionSettings, swept: &mut Swept) -> Result<Option<()>, StoreError> {
        self.sweep_at(settings, swept, Timestamp::now()).await
    }

    async fn sweep_at(
        &self,
        settings: &RetentionSettings,
        swept: &mut Swept,
        now: Timestamp,
    ) -> Result<Option<()>, StoreError> {
        retention::sweep(&self.database, settings, now, swept).await
    }

    /// Those that are in reach, in alphabetical order.
    pub async fn clusters(&self, reach: &Reach) -> Result<Vec<String>, StoreError> {
        if let Some(places) = reach.places(None, None) {
            return Ok(in_order(places.map(|place| &place.cluster_name)));
        }
        let rows = self.database.fetch(Sql::new("SELECT name FROM clusters ORDER BY name")).await?;
        rows.into_iter().map(|mut row| row.text(0)).collect()
    }

    /// How many reviews of the scope's span came from senders that are not declared: they are in no figure, unless the
    /// scope names the cluster [`UNDECLARED`](crate::review::decision::UNDECLARED).
    pub async fn undeclared(&self, scope: &Scope) -> Result<u64, StoreError> {
        figures::undeclared(&self.database, scope, Timestamp::now()).await
    }

    /// Those in reach of one cluster, or of all that are declared; in alphabetical order.
    pub async fn namespaces(&self, cluster: Option<&str>, reach: &Reach) -> Result<Vec<String>, StoreError> {
        if let Some(places) = reach.places(cluster, None) {
            return Ok(in_order(places.map(|place| &place.name)));
        }
        let text = "SELECT DISTINCT n.name FROM namespaces n JOIN clusters c ON c.id = n.cluster WHERE n.name <> ''";
        let mut sql = Sql::new(text);
        sql.append(of_cluster(cluster)).push(" ORDER BY n.name");
        self.database.fetch(sql).await?.into_iter().map(|mut row| row.text(0)).collect()
    }

    /// The names are the installation's, no namespace's: everybody may know them.
    pub async fn policies_and_rules(&self) -> Result<Vec<PolicyRules>, StoreError> {
        let text = "SELECT p.name, r.name FROM policies p LEFT JOIN rules r ON r.policy = p.id ORDER BY p.name, r.name";
        let mut policies: Vec<PolicyRules> = Vec::new();
        for mut row in self.database.fetch(Sql::new(text)).await? {
            let policy = row.text(0)?;
            if policies.last().is_none_or(|last| last.policy != policy) {
                policies.push(PolicyRules { policy, rules: Vec::new() });
            }
            if let (Some(last), Some(rule)) = (policies.last_mut(), row.opt_text(1)?) {
                last.rules.push(rule);
            }
        }
        Ok(policies)
    }

    /// The time of the oldest decision.
    pub async fn first_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let rows = self.database.fetch(Sql::new("SELECT min(key) FROM decisions")).await?;
        Ok(rows.first().map_or(Ok(None), |row| row.opt_int(0))?.map(key::at))
    }

    /// The time of the newest decision in reach.
    pub async fn last_at(&self, reach: &Reach) -> Result<Option<Timestamp>, StoreError> {
        if !reach.is_everything() {
            let page = self.decisions(&Filter::of(reach.clone()), 1, None).await?;
            return Ok(page.decisions.first().map(|newest| newest.decision.at));
        }
        for stretch in self.database.stretches(Bounds::ALL) {
            let mut sql = Sql::new("SELECT max(d.key) FROM decisions d WHERE 1 = 1");
            sql.append(stretch.of("d"));
            let rows = self.database.fetch(sql).await?;
            if let Some(key) = rows.first().map_or(Ok(None), |row| row.opt_int(0))? {
                return Ok(Some(key::at(key)));
            }
        }
        Ok(None)
    }

    /// Ends its connections, which copies the log into the database file.
    pub async fn close(&self) {
        self.database.close().await;
    }
}

/// Each once, in alphabetical order.
fn in_order<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    names.collect::<BTreeSet<_>>().into_iter().cloned().collect()
}
