//! What Postgres does in its own way for a history that is made up.

use sqlx::AssertSqlSafe;

use super::super::database::{Dialect as _, Statements as _, Words};
use super::super::error::StoreError;
use super::super::sql::Sql;
use super::{BY_DAY, Postgres};

pub(in super::super) const WORDS: Words = Words {
    bytes: |integer| format!("int8send({integer})"),
    digits: |integer| format!("lpad(to_hex({integer}), 5, '0')"),
    random_uuid: "gen_random_uuid()",
};

impl Postgres {
    pub async fn drop_indexes(&self) -> Result<Vec<String>, StoreError> {
        let indexes = "SELECT replace(indexdef, ' ON ONLY ', ' ON '), 'DROP INDEX ' || indexname FROM pg_indexes \
                   WHERE schemaname = current_schema() AND tablename = 'decisions' AND indexname <> 'decisions_pkey'";
        let mut tx = self.begin().await?;
        let mut made = Vec::new();
        for mut row in tx.fetch(Sql::new(indexes)).await? {
            made.push(row.text(0)?);
            tx.execute(Sql::new(&row.text(1)?)).await?;
        }
        tx.commit().await?;
        Ok(made)
    }

    pub async fn make_indexes(&self, indexes: &[String]) -> Result<(), StoreError> {
        let mut lent = self.writer.lend().await?;
        let tidy = BY_DAY.map(|table| format!("VACUUM (ANALYZE) {table}"));
        for text in indexes.iter().chain(&tidy) {
            sqlx::query(AssertSqlSafe(text.as_str())).persistent(false).execute(&mut lent.connection).await?;
        }
        lent.give_back();
        Ok(())
    }
}
