//! Which digests an image as written was seen to stand for: of what ran, by every inventory that is kept, and of references
//! that name its tag and a digest.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::database::Database;
use super::error::StoreError;
use super::images::OF_PLACE;
use super::reach::within;
use super::read::Scope;
use super::runners::{FROM_INVENTORIES, named};
use super::sql::Sql;
use crate::review::reference::ImageReference;

/// Tags looked for in one statement.
const AT_ONCE: usize = 100;

/// By text.
type Digests = HashMap<String, BTreeSet<String>>;

/// Of these texts, as far as they are in the scope's place.
pub(super) async fn of(
    database: &Database,
    texts: impl Iterator<Item = &str>,
    scope: &Scope,
) -> Result<Digests, StoreError> {
    let texts: BTreeSet<&str> = texts.collect();
    let mut digests = Digests::new();
    if texts.is_empty() {
        return Ok(digests);
    }
    running(database, &texts, scope, &mut digests).await?;
    // By repository and tag, the texts that name both.
    let mut tags: BTreeMap<String, BTreeMap<String, Vec<&str>>> = BTreeMap::new();
    for text in texts {
        let Ok(reference) = ImageReference::parse(text) else { continue };
        let Some(tag) = reference.effective_tag() else { continue };
        tags.entry(reference.name()).or_default().entry(tag.to_owned()).or_default().push(text);
    }
    for (repository, tags) in &tags {
        let names: Vec<&String> = tags.keys().collect();
        for names in names.chunks(AT_ONCE) {
            for (tag, digest) in written(database, repository, names, scope).await? {
                for text in tags.get(&tag).into_iter().flatten() {
                    digests.entry((*text).to_owned()).or_default().insert(digest.clone());
                }
            }
        }
    }
    Ok(digests)
}

async fn running(
    database: &Database,
    texts: &BTreeSet<&str>,
    scope: &Scope,
    digests: &mut Digests,
) -> Result<(), StoreError> {
    // Of all places it does not matter which they are.
    let place = if scope.reach.is_everything() { "'', ''" } else { "v.cluster, w.namespace" };
    let mut sql = Sql::new(&format!("SELECT DISTINCT i.image, i.digest, {place}{FROM_INVENTORIES} AND i.digest <> ''"));
    sql.push(" AND i.image IN ").list(texts.iter().copied()).append(named(scope));
    for mut row in database.fetch(sql).await? {
        if scope.reach.covers(&row.text(2)?, &row.text(3)?) {
            digests.entry(row.text(0)?).or_default().insert(row.text(1)?);
        }
    }
    Ok(())
}

/// Tags and digests of the references of a repository that name both.
async fn written(
    database: &Database,
    repository: &str,
    tags: &[&String],
    scope: &Scope,
) -> Result<Vec<(String, String)>, StoreError> {
    let mut sql =
        Sql::new("SELECT m.text FROM images m WHERE m.repository = (SELECT id FROM repositories WHERE name = ");
    sql.bind(repository).push(") AND (");
    for (at, tag) in tags.iter().enumerate() {
        sql.push(if at == 0 { "" } else { " OR " }).append(database.glob("m.text", &format!("*:{tag}@*")));
    }
    sql.push(&format!(
        ") AND EXISTS (SELECT 1 FROM image_workloads w{OF_PLACE} WHERE w.image = m.id AND NOT w.dry_run AND w.reviews > 0"
    ));
    sql.append(within(scope)).push(")");
    let mut found = Vec::new();
    for mut row in database.fetch(sql).await? {
        if let Ok(ImageReference { tag: Some(tag), digest: Some(digest), .. }) = ImageReference::parse(&row.text(0)?) {
            found.push((tag, digest));
        }
    }
    Ok(found)
}
