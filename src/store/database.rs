//! The two databases behind one face.
//!
//! Both run the same statements, so that a figure means the same on either. What only one of them does is a method of
//! [`Dialect`] or of [`Statements`], and each is one file: `sqlite.rs`, `postgres.rs`.

use super::bucket::Day;
use super::error::StoreError;
use super::postgres::{self, Postgres};
use super::read::Range;
use super::retention::Sweep;
use super::schema::{self, Found, Migrated};
use super::settings::StoreSettings;
use super::sql::{FOR_EACH_JOIN, Insert, Row, Sql};
use super::sqlite::{self, Sqlite};
use super::stretch::Bounds;
use crate::review::clock::Timestamp;

/// What a database does in its own way, apart from a transaction.
pub(super) trait Dialect {
    type Transaction: Statements;

    /// Reads, beside whoever writes.
    async fn fetch(&self, sql: Sql) -> Result<Vec<Row>, StoreError>;

    /// Waits for the transaction before it: a process writes one at a time.
    async fn begin(&self) -> Result<Self::Transaction, StoreError>;

    /// Makes the room for the decisions of these days, which is there ahead of them.
    async fn make_room(&self, days: &[Day]) -> Result<(), StoreError>;

    /// A transaction of what is done beside the drain.
    async fn begin_upkeep(&self) -> Result<Self::Transaction, StoreError>;

    /// The right to delete, until it is dropped. `None`: another process has it.
    async fn claim_retention(&self) -> Result<Option<Claim>, StoreError>;

    /// Bytes that the history takes, but for what is free for its own use.
    async fn size(&self) -> Result<u64, StoreError>;

    /// Whether this version has anything to migrate there; an error where it is too old, or the database not ours.
    fn check(&self, found: Found) -> Result<bool, StoreError>;

    /// After an error that may have come from what was remembered of the database, or of a connection.
    fn forget(&self);

    async fn close(&self);
}

/// What a transaction does in its own way. One that is dropped is rolled back.
pub(super) trait Statements {
    async fn fetch(&mut self, sql: Sql) -> Result<Vec<Row>, StoreError>;

    async fn execute(&mut self, sql: Sql) -> Result<(), StoreError>;

    /// In as few statements as can be. Nothing where there are no rows.
    async fn insert(&mut self, insert: Insert) -> Result<(), StoreError>;

    /// Key and id of the decisions that are stored at these keys.
    async fn stored_at(&mut self, keys: Vec<i64>) -> Result<Vec<Row>, StoreError>;

    async fn commit(self) -> Result<(), StoreError>;
}

/// Expressions in a database's own words.
#[derive(Debug)]
pub(super) struct Words {
    /// The 8 bytes of an integer.
    pub bytes: fn(&str) -> String,
    /// 5 hexadecimal digits of an integer.
    pub digits: fn(&str) -> String,
    pub random_uuid: &'static str,
}

/// The right to delete.
#[derive(Debug)]
pub(super) struct Claim {
    /// A connection that holds a lock for as long as it is open.
    pub _connection: Option<postgres::Connection>,
}

/// The order by key.
pub(super) const NEWEST: &str = "d.key DESC";

#[derive(Debug, Clone)]
pub(super) enum Database {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

#[derive(Debug)]
pub(super) enum Transaction {
    Sqlite(sqlite::Transaction),
    Postgres(postgres::Transaction),
}

// === impl Database ===

impl Database {
    /// Creates what is missing and brings the schema up to date.
    pub async fn open(settings: &StoreSettings) -> Result<Self, StoreError> {
        Ok(match settings {
            StoreSettings::Sqlite(directory) => Self::Sqlite(Sqlite::open(directory).await?),
            StoreSettings::Postgres(settings) => Self::Postgres(Postgres::open(settings).await?),
        })
    }

    /// Does nothing but that.
    pub async fn migrate(settings: &StoreSettings) -> Result<Migrated, StoreError> {
        match settings {
            StoreSettings::Sqlite(directory) => Sqlite::migrate(directory).await,
            StoreSettings::Postgres(settings) => Postgres::migrate(settings).await,
        }
    }

    /// Opens what is there for reading alone.
    pub async fn open_for_reading(settings: &StoreSettings) -> Result<Self, StoreError> {
        Ok(match settings {
            StoreSettings::Sqlite(directory) => Self::Sqlite(Sqlite::open_for_reading(directory).await?),
            StoreSettings::Postgres(settings) => Self::Postgres(Postgres::open_for_reading(settings).await?),
        })
    }

    pub async fn fetch(&self, sql: Sql) -> Result<Vec<Row>, StoreError> {
        #[cfg(test)]
        super::tests::plans::note(&sql);
        match self {
            Self::Sqlite(database) => database.fetch(sql).await,
            Self::Postgres(database) => database.fetch(sql).await,
        }
    }

    pub async fn begin(&self) -> Result<Transaction, StoreError> {
        Ok(match self {
            Self::Sqlite(database) => Transaction::Sqlite(database.begin().await?),
            Self::Postgres(database) => Transaction::Postgres(database.begin().await?),
        })
    }

    /// A transaction for what many batches share, to be committed before that of the batch. `None`: nobody else writes,
    /// and the batch's own does.
    pub async fn begin_beside(&self) -> Result<Option<Transaction>, StoreError> {
        match self {
            Self::Sqlite(_) => Ok(None),
            Self::Postgres(database) => Ok(Some(Transaction::Postgres(database.begin_beside().await?))),
        }
    }

    /// A transaction that does not wait behind a long batch, where the database can.
    pub async fn begin_soon(&self) -> Result<Transaction, StoreError> {
        match self.begin_beside().await? {
            Some(tx) => Ok(tx),
            None => self.begin().await,
        }
    }

    pub async fn make_room(&self, days: &[Day]) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(database) => database.make_room(days).await,
            Self::Postgres(database) => database.make_room(days).await,
        }
    }

    /// That this version still works with the schema: another replica may be newer by now.
    pub async fn check_schema(&self, tx: &mut Transaction) -> Result<(), StoreError> {
        let rows = tx.fetch(Sql::new(schema::VERSIONS)).await?;
        let row = rows.first().ok_or_else(|| StoreError::broken("the schema has no number"))?;
        let found = Found { tables: true, version: row.opt_int(0)?, works_with: row.opt_int(1)? };
        match self {
            Self::Sqlite(database) => database.check(found).map(drop),
            Self::Postgres(database) => database.check(found).map(drop),
        }
    }

    /// A transaction of what is done beside the drain.
    pub async fn begin_upkeep(&self) -> Result<Transaction, StoreError> {
        Ok(match self {
            Self::Sqlite(database) => Transaction::Sqlite(database.begin_upkeep().await?),
            Self::Postgres(database) => Transaction::Postgres(database.begin_upkeep().await?),
        })
    }

    pub async fn claim_retention(&self) -> Result<Option<Claim>, StoreError> {
        match self {
            Self::Sqlite(database) => database.claim_retention().await,
            Self::Postgres(database) => database.claim_retention().await,
        }
    }

    pub async fn size(&self) -> Result<u64, StoreError> {
        match self {
            Self::Sqlite(database) => database.size().await,
            Self::Postgres(database) => database.size().await,
        }
    }

    /// Deletes the decisions that are due.
    pub async fn delete_decisions(&self, sweep: &mut Sweep) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => sqlite::retention::delete_decisions(self, sweep).await,
            Self::Postgres(database) => postgres::retention::delete_decisions(database, self, sweep).await,
        }
    }

    /// Deletes the oldest plain decisions before their time, until the history is no larger than that.
    pub async fn shed(&self, sweep: &mut Sweep, max_size: u64) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => sqlite::retention::shed(self, sweep, max_size).await,
            Self::Postgres(database) => postgres::retention::shed(database, self, sweep, max_size).await,
        }
    }

    /// Gives back to the disk what was deleted.
    pub async fn shrink(&self, sweep: &mut Sweep) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => sqlite::retention::shrink(self, sweep).await,
            // A partition that is dropped is given back at once, and the rest is autovacuum's.
            Self::Postgres(_) => Ok(()),
        }
    }

    pub fn forget(&self) {
        match self {
            Self::Sqlite(database) => database.forget(),
            Self::Postgres(database) => database.forget(),
        }
    }

    /// Drops the indexes of `decisions`, but for the key's, where so much is to be inserted that they are better made
    /// afterwards. What makes them again.
    pub async fn drop_indexes(&self) -> Result<Vec<String>, StoreError> {
        match self {
            Self::Sqlite(database) => database.drop_indexes().await,
            Self::Postgres(database) => database.drop_indexes().await,
        }
    }

    pub async fn make_indexes(&self, indexes: &[String]) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(database) => database.make_indexes(indexes).await,
            Self::Postgres(database) => database.make_indexes(indexes).await,
        }
    }

    pub async fn close(&self) {
        match self {
            Self::Sqlite(database) => database.close().await,
            Self::Postgres(database) => database.close().await,
        }
    }

    /// A test of `column` against a pattern in which only `*` is special; it stands for any run of characters.
    pub fn glob(&self, column: &str, pattern: &str) -> Sql {
        match self {
            Self::Sqlite(_) => sqlite::glob(column, pattern),
            Self::Postgres(_) => postgres::glob(column, pattern),
        }
    }

    /// The stretches that a search of the bounds reads one after the other, the newest first.
    pub fn stretches(&self, bounds: Bounds) -> Vec<Bounds> {
        match self {
            // One table: all of it costs no more than a part.
            Self::Sqlite(_) => vec![bounds],
            Self::Postgres(_) => bounds.stretches(Timestamp::now()),
        }
    }

    /// ` AND ..`: that the key of `row`, which other tests find already, is in the bounds. Only to let a plan leave out
    /// what they leave out.
    pub fn pruned(&self, row: &str, bounds: Bounds) -> Sql {
        match self {
            Self::Sqlite(_) => Sql::default(),
            Self::Postgres(_) => bounds.of(row),
        }
    }

    /// ` AND ..`: that the key of `d` is in the bounds, and what orders the rows by key, newest first; of an index that
    /// has an entry for every decision beside the key's own.
    pub fn by_index(&self, bounds: Bounds) -> (Sql, &'static str) {
        match self {
            Self::Sqlite(_) => (bounds.of("d"), NEWEST),
            Self::Postgres(_) => (postgres::order::within(bounds), postgres::order::NEWEST),
        }
    }

    /// The newest `most` keys of ranges of `rows` (a table `d` and a column), each where it has one of the numbers.
    pub fn merged(&self, rows: &str, ids: &[i64], bounded: Sql, order: &str, most: usize) -> Sql {
        match self {
            Self::Sqlite(_) => sqlite::ranges::merged(rows, ids, bounded, order, most),
            Self::Postgres(_) => postgres::order::merged(rows, ids, bounded, order, most),
        }
    }

    /// All keys of such ranges in no order, each as often as it is in one.
    pub fn of_any(&self, rows: &str, ids: &[i64], bounded: Sql) -> Sql {
        match self {
            Self::Sqlite(_) => sqlite::ranges::of_any(rows, ids, bounded),
            Self::Postgres(_) => postgres::order::of_any(rows, ids, bounded),
        }
    }

    /// A join with the rows `t` of a table that each row on the left looks up by the index that the condition names.
    pub fn looked_up(&self, table: &str, condition: &str) -> String {
        match self {
            Self::Sqlite(_) => format!("{FOR_EACH_JOIN} {table} t "),
            // Its planner takes the part of the condition that is of one table, and reads all of a namespace's time.
            Self::Postgres(_) => format!("CROSS JOIN LATERAL (SELECT * FROM {table} t WHERE {condition} OFFSET 0) t "),
        }
    }

    /// The words for what is computed in a statement that makes rows up.
    pub fn words(&self) -> &'static Words {
        match self {
            Self::Sqlite(_) => &sqlite::WORDS,
            Self::Postgres(_) => &postgres::WORDS,
        }
    }

    /// A statement for the keys of a uid, where to find them first is better; the uid and `)` follow.
    pub fn keys_of_uid(&self) -> Option<Sql> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(_) => Some(Sql::new("SELECT * FROM keys_of_uid(")),
        }
    }

    /// Decisions `d` of a uid, at least those in the range, as the index over uids finds them: what follows `FROM`.
    pub fn of_uid(&self, uid: uuid::Uuid, range: Range) -> Sql {
        match self {
            Self::Sqlite(_) => sqlite::of_uid(uid, range),
            Self::Postgres(_) => postgres::of_uid(uid),
        }
    }
}

// === impl Transaction ===

impl Transaction {
    pub async fn fetch(&mut self, sql: Sql) -> Result<Vec<Row>, StoreError> {
        #[cfg(test)]
        super::tests::plans::note_in_transaction(&sql);
        match self {
            Self::Sqlite(tx) => tx.fetch(sql).await,
            Self::Postgres(tx) => tx.fetch(sql).await,
        }
    }

    pub async fn execute(&mut self, sql: Sql) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => tx.execute(sql).await,
            Self::Postgres(tx) => tx.execute(sql).await,
        }
    }

    pub async fn insert(&mut self, insert: Insert) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => tx.insert(insert).await,
            Self::Postgres(tx) => tx.insert(insert).await,
        }
    }

    pub async fn stored_at(&mut self, keys: Vec<i64>) -> Result<Vec<Row>, StoreError> {
        match self {
            Self::Sqlite(tx) => tx.stored_at(keys).await,
            Self::Postgres(tx) => tx.stored_at(keys).await,
        }
    }

    /// What ends a SELECT of decisions `d` that this transaction is about to change, in the order of their keys.
    pub fn for_update(&self) -> &'static str {
        match self {
            // Nobody else writes.
            Self::Sqlite(_) => "",
            Self::Postgres(_) => " FOR UPDATE OF d",
        }
    }

    /// Lets what is done beside the drain ([`Database::begin_upkeep`]) wait for the end of this transaction, as this one
    /// waits for it.
    pub async fn exclude_upkeep(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(tx) => tx.exclude_upkeep().await,
        }
    }

    pub async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => tx.commit().await,
            Self::Postgres(tx) => tx.commit().await,
        }
    }
}
