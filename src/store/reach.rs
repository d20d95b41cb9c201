//! What of the history somebody may see: all of it, or some namespaces of some clusters.
//!
//! Every read takes a [`Reach`], so that nobody forgets to ask for whom it is. What is of no namespace (a review of a
//! cluster's own objects, what an undeclared sender says) is in no part.

use std::sync::Arc;

use super::database::Database;
use super::error::StoreError;
use super::read::Scope;
use super::sql::Sql;
use crate::policy::glob::{Glob, Subject};
use crate::review::decision::{Gap, UNDECLARED};

/// By names, as somebody was given them.
#[derive(Debug, Clone)]
pub enum Rights {
    Everything,
    /// Any of these.
    Only(Vec<Realm>),
}

/// Namespaces of clusters.
#[derive(Debug, Clone)]
pub struct Realm {
    clusters: Vec<Pattern>,
    namespaces: Vec<Pattern>,
}

#[derive(Debug, Clone)]
struct Pattern {
    text: String,
    glob: Glob,
}

/// The same, resolved to what there is in the history now.
#[derive(Debug, Clone)]
#[cfg_attr(test, derive(Default))]
pub enum Reach {
    #[cfg_attr(test, default)]
    Everything,
    Part(Arc<Part>),
}

#[derive(Debug)]
pub struct Part {
    realms: Vec<Realm>,
    /// In the order of their numbers.
    places: Vec<Place>,
}

/// A namespace of a cluster, by numbers and by names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub cluster: i64,
    pub namespace: i64,
    pub cluster_name: String,
    pub name: String,
}

pub(super) async fn resolve(database: &Database, rights: &Rights) -> Result<Reach, StoreError> {
    let Rights::Only(realms) = rights else { return Ok(Reach::Everything) };
    let text = "SELECT c.id, n.id, c.name, n.name FROM namespaces n JOIN clusters c ON c.id = n.cluster \
                WHERE n.name <> '' ORDER BY c.id, n.id";
    let mut places = Vec::new();
    for mut row in database.fetch(Sql::new(text)).await? {
        let (cluster_name, name) = (row.text(2)?, row.text(3)?);
        if realms.iter().any(|realm| realm.covers(&cluster_name, &name)) {
            places.push(Place { cluster: row.int(0)?, namespace: row.int(1)?, cluster_name, name });
        }
    }
    Ok(Reach::Part(Arc::new(Part { realms: realms.clone(), places })))
}

/// ` AND ..`, of rows `c` of clusters: the one that is named, else all that are declared.
pub(super) fn of_cluster(name: Option<&str>) -> Sql {
    let mut sql = Sql::default();
    match name {
        Some(name) => sql.push(" AND c.name = ").bind(name),
        None => sql.push(" AND c.name <> ").bind(UNDECLARED),
    };
    sql
}

/// ` AND ..`, of rows `n` of namespaces and `c` of their clusters: those that the scope names, as far as they are in reach.
pub(super) fn within(scope: &Scope) -> Sql {
    let (cluster, namespace) = (scope.cluster.as_deref(), scope.namespace.as_deref());
    let mut sql = of_cluster(cluster);
    if let Some(namespace) = namespace {
        sql.push(" AND n.name = ").bind(namespace);
    }
    if let Some(places) = scope.reach.places(cluster, namespace) {
        let mut numbers = places.map(|place| place.namespace).peekable();
        match numbers.peek() {
            None => sql.push(" AND 1 = 0"),
            Some(_) => sql.push(" AND n.id IN ").numbers(numbers),
        };
    }
    sql
}

// === impl Rights ===

impl Rights {
    /// Whether something may be seen of what an address names, whether there is such a thing or not.
    pub fn reaches(&self, cluster: Option<&str>, namespace: Option<&str>) -> bool {
        match self {
            Self::Everything => true,
            Self::Only(realms) => realms.iter().any(|realm| realm.reaches(cluster, namespace)),
        }
    }
}

// === impl Realm ===

impl Realm {
    /// Of globs.
    pub fn new(clusters: &[String], namespaces: &[String]) -> Self {
        let patterns = |texts: &[String]| texts.iter().map(|text| Pattern::new(text)).collect();
        Self { clusters: patterns(clusters), namespaces: patterns(namespaces) }
    }

    pub fn covers(&self, cluster: &str, namespace: &str) -> bool {
        !namespace.is_empty() && self.reaches(Some(cluster), Some(namespace))
    }

    /// Whether something of what is named is in it; `None` names anything.
    pub fn reaches(&self, cluster: Option<&str>, namespace: Option<&str>) -> bool {
        // What undeclared senders say of themselves is nobody's by a star.
        let is_cluster = |pattern: &Pattern, name: &str| {
            if name == UNDECLARED { pattern.text == UNDECLARED } else { pattern.glob.matches(name) }
        };
        cluster.is_none_or(|name| self.clusters.iter().any(|pattern| is_cluster(pattern, name)))
            && namespace.is_none_or(|name| self.namespaces.iter().any(|pattern| pattern.glob.matches(name)))
    }
}

// === impl Pattern ===

impl Pattern {
    fn new(text: &str) -> Self {
        Self { text: text.to_owned(), glob: Glob::new(text, Subject::Name) }
    }
}

// === impl Reach ===

impl Reach {
    pub fn is_everything(&self) -> bool {
        matches!(self, Self::Everything)
    }

    /// The namespaces of a part that are of the cluster and have the name; `None`: everything is in reach.
    pub(super) fn places<'a>(
        &'a self,
        cluster: Option<&'a str>,
        namespace: Option<&'a str>,
    ) -> Option<impl Iterator<Item = &'a Place>> {
        let Self::Part(part) = self else { return None };
        Some(part.places.iter().filter(move |place| {
            cluster.is_none_or(|name| place.cluster_name == name) && namespace.is_none_or(|name| place.name == name)
        }))
    }

    /// Whether a namespace of a cluster is in it, be it known to the history or not.
    pub fn covers(&self, cluster: &str, namespace: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Part(part) => part.realms.iter().any(|realm| realm.covers(cluster, namespace)),
        }
    }

    /// Whether anything of the cluster is.
    pub fn touches(&self, cluster: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Part(part) => part.realms.iter().any(|realm| realm.reaches(Some(cluster), None)),
        }
    }

    /// Whether anything that is held back in these namespaces (a glob; `None`: in all) is.
    pub fn is_under(&self, namespaces: Option<&str>) -> bool {
        let (Self::Part(part), Some(glob)) = (self, namespaces) else { return true };
        let glob = Glob::new(glob, Subject::Name);
        part.places.iter().any(|place| glob.matches(&place.name))
    }

    /// Without those of clusters that are not in it. How many reviews a gap is of is of all namespaces: left out.
    pub fn narrow_gaps(&self, mut gaps: Vec<Gap>) -> Vec<Gap> {
        if !self.is_everything() {
            gaps.retain(|gap| gap.cluster.as_deref().is_none_or(|cluster| self.touches(cluster)));
            gaps.iter_mut().for_each(|gap| gap.count = None);
        }
        gaps
    }
}

impl PartialEq for Reach {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Everything, Self::Everything) => true,
            (Self::Part(one), Self::Part(other)) => one.places == other.places,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn realm(clusters: &[&str], namespaces: &[&str]) -> Realm {
        let own = |texts: &[&str]| -> Vec<String> { texts.iter().map(|text| (*text).to_owned()).collect() };
        Realm::new(&own(clusters), &own(namespaces))
    }

    #[test]
    fn a_realm_is_pairs_and_nothing_of_no_namespace() {
        let shop = realm(&["prod-*"], &["shop", "shop-*"]);
        for (cluster, namespace, expected) in [
            ("prod-eu", "shop", true),
            ("prod-eu", "shop-a", true),
            ("prod-eu", "shops", false),
            ("lab", "shop", false),
            ("prod-eu", "", false),
        ] {
            assert_eq!(shop.covers(cluster, namespace), expected, "{cluster} {namespace}");
        }
        let rights = Rights::Only(vec![realm(&["a"], &["x"]), realm(&["b"], &["y"])]);
        assert!(
            rights.reaches(Some("a"), Some("x")) && rights.reaches(None, Some("y")) && rights.reaches(Some("b"), None)
        );
        assert!(!rights.reaches(Some("a"), Some("y")) && !rights.reaches(Some("c"), None));
        assert!(!realm(&["*"], &["**"]).covers("prod", ""));
    }

    #[test]
    fn undeclared_is_in_reach_only_by_its_name() {
        assert!(!realm(&["*"], &["*"]).covers(UNDECLARED, "shop"));
        assert!(!realm(&["**"], &["*"]).covers(UNDECLARED, "shop"));
        assert!(realm(&[UNDECLARED], &["*"]).covers(UNDECLARED, "shop"));
    }
}
