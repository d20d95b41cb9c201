//! Decisions in which an exemption or a ticket let something through.

use super::{Condition, MERGED, Predicate, Source, ids};
use crate::store::database::Database;
use crate::store::error::StoreError;
use crate::store::outcome;
use crate::store::read::LetThrough;
use crate::store::sql::Sql;

/// `None`: there is no such exemption or ticket.
pub(super) async fn of_way(database: &Database, way: &LetThrough) -> Result<Option<Predicate>, StoreError> {
    let named = || {
        let (kind, name) = match way {
            LetThrough::Exemption(id) => (outcome::EXEMPTION, id),
            LetThrough::Ticket(ticket) => (outcome::TICKET, ticket),
        };
        let mut sql = Sql::new("SELECT m.id FROM exemptions m WHERE m.kind = ");
        sql.bind(kind).push(" AND ");
        match way {
            LetThrough::Ticket(glob) if glob.contains('*') => sql.append(database.glob("m.name", glob)),
            _ => sql.push("m.name = ").bind(name.as_str()),
        };
        sql
    };
    let mut some = named();
    some.push(" LIMIT ").bind(MERGED as i64 + 1);
    let found = ids(database, some).await?;
    if found.is_empty() {
        return Ok(None);
    }
    let mut condition =
        Sql::new("EXISTS (SELECT 1 FROM decision_exemptions x WHERE x.key = d.key AND x.exemption IN (");
    condition.append(named()).push(")");
    let source = (found.len() <= MERGED).then_some(Source::Exemptions(found));
    Ok(Some(Predicate::new(Condition::Has(condition), source)))
}
