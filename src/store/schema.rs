//! The schema's number, and which binaries work with it.
//!
//! Migrations only add. Each names in `compatibility` the oldest binary that still works with what it made, so that
//! replicas can be brought up one after the other: one that is too old stops its drain and report alone.

use std::borrow::Cow;

use sqlx::migrate::{MigrateError, Migrator};

use super::error::StoreError;

/// What a database says of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// Whether there are any tables, beside the one that migrations are noted in: it may be there before they are.
    pub tables: bool,
    /// The last migration that ran; `None`: it has none of ours.
    pub version: Option<i64>,
    /// The schema that a binary must know at least. `None`: from before this was said.
    pub works_with: Option<i64>,
}

/// The schema before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// Server and database, or the file.
    pub place: String,
    /// `None`: there was none.
    pub from: Option<i64>,
    /// More than this version knows where a later one was there, which this one works with.
    pub to: i64,
}

/// Columns of [`Found`] of a database without `compatibility`.
pub(super) const VERSION: &str = "SELECT max(version), CAST(NULL AS BIGINT) FROM _sqlx_migrations WHERE success";

/// Columns of [`Found`].
pub(super) const VERSIONS: &str = "SELECT max(version), (SELECT CAST(max(works_with) AS BIGINT) FROM compatibility) \
                                   FROM _sqlx_migrations WHERE success";

/// The same, that lets alone what a later version has run.
pub(super) fn lenient(migrations: &Migrator) -> Migrator {
    let mut lenient = Migrator { migrations: Cow::Owned(migrations.migrations.to_vec()), ..Migrator::DEFAULT };
    lenient.set_ignore_missing(true);
    lenient
}

/// Why a migration ended. What a later try may bring stays that.
pub(super) fn failed(error: MigrateError, place: String) -> StoreError {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => match StoreError::from(error) {
            StoreError::Broken(cause) => StoreError::Migrate { place, cause },
            passing => passing,
        },
        error => StoreError::migrate(place, error),
    }
}

/// The schema of this version.
pub(super) fn known(migrations: &Migrator) -> i64 {
    migrations.iter().map(|migration| migration.version).max().unwrap_or(0)
}

// === impl Found ===

impl Found {
    /// As [`Self::check`], of a history that is opened for reading alone.
    pub fn check_for_reading(self, migrations: &Migrator, place: impl Fn() -> String) -> Result<(), StoreError> {
        if self.check(migrations, &place)? {
            let cause = "its schema is not there yet, or older than this version's. Run `rehearsal migrate` first";
            return Err(StoreError::open(place(), cause));
        }
        Ok(())
    }

    /// Whether there is anything for this version to migrate.
    pub fn check(self, migrations: &Migrator, place: impl Fn() -> String) -> Result<bool, StoreError> {
        let known = known(migrations);
        match (self.version, self.works_with) {
            (None, _) if self.tables => {
                Err(StoreError::NotOurs { place: place(), problem: "it holds another application's tables" })
            }
            (None, _) => Ok(true),
            (Some(found), Some(wanted)) if wanted > known => {
                Err(StoreError::Newer { place: place(), found, wanted, known })
            }
            (Some(found), None) if found > known => {
                Err(StoreError::Newer { place: place(), found, wanted: found, known })
            }
            (Some(found), _) => Ok(found < known),
        }
    }
}
