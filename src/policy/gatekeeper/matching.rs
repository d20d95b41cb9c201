//! A constraint's `match`.

use serde::Deserialize;
use serde_json::Value as Json;

use super::review::{Identity, Labels, Reviewed};

/// Each part that is absent matches everything.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Match {
    kinds: Vec<Kinds>,
    namespaces: Vec<String>,
    excluded_namespaces: Vec<String>,
    scope: Option<String>,
    name: String,
    label_selector: Option<Selector>,
    namespace_selector: Option<Selector>,
    source: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Kinds {
    api_groups: Vec<String>,
    kinds: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Selector {
    match_labels: Labels,
    match_expressions: Vec<Expression>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expression {
    key: String,
    operator: Operator,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

type Wrong = (&'static str, String, String);

// === impl Match ===

impl Match {
    /// # Errors
    /// The field that cannot be held to, why, and what would be right.
    pub fn parse(json: &Json, knows_namespaces: bool) -> Result<Self, Wrong> {
        if json.is_null() {
            return Ok(Self::default());
        }
        let parsed: Self = serde_json::from_value(json.clone())
            .map_err(|error| ("match", error.to_string(), "a match as Gatekeeper documents it".to_owned()))?;
        if parsed.namespace_selector.is_some() && !knows_namespaces {
            let problem = "it needs the labels of namespaces, which a review does not have";
            return Err(("match.namespaceSelector", problem.to_owned(), "namespaces or excludedNamespaces".to_owned()));
        }
        if let Some(scope) = parsed.scope.as_deref().filter(|scope| !["*", "Cluster", "Namespaced"].contains(scope)) {
            return Err(("match.scope", format!("`{scope}` is no scope"), "`*`, Cluster or Namespaced".to_owned()));
        }
        if let Some(source) = parsed.source.as_deref().filter(|source| !["All", "Original"].contains(source)) {
            let problem = format!("`{source}` is about objects that Gatekeeper expands, which is not done here");
            return Err(("match.source", problem, "Original or All".to_owned()));
        }
        Ok(parsed)
    }

    /// Of an update both what was and what comes is looked at.
    pub fn holds_for(&self, reviewed: &Reviewed) -> bool {
        self.kinds_hold(reviewed)
            && self.scope_holds(reviewed)
            && reviewed.objects.iter().any(|object| self.object_holds(object, reviewed))
    }

    fn kinds_hold(&self, reviewed: &Reviewed) -> bool {
        let any = |names: &[String], name: &str| names.is_empty() || names.iter().any(|one| one == "*" || one == name);
        let holds = |kinds: &Kinds| any(&kinds.kinds, &reviewed.kind) && any(&kinds.api_groups, &reviewed.group);
        self.kinds.is_empty() || self.kinds.iter().any(holds)
    }

    fn scope_holds(&self, reviewed: &Reviewed) -> bool {
        let is_of_cluster = reviewed.is_namespace() || reviewed.namespace.is_empty();
        match self.scope.as_deref() {
            Some("Cluster") => is_of_cluster,
            Some("Namespaced") => !is_of_cluster,
            _ => true,
        }
    }

    fn object_holds(&self, object: &Identity, reviewed: &Reviewed) -> bool {
        let namespace = if reviewed.is_namespace() { &object.name } else { &reviewed.namespace };
        let listed = |patterns: &[String]| patterns.iter().any(|pattern| wildcard(pattern, namespace));
        // An object of the cluster is in no namespace that could be named.
        let is_of_cluster = namespace.is_empty();
        (self.namespaces.is_empty() || is_of_cluster || listed(&self.namespaces))
            && (is_of_cluster || !listed(&self.excluded_namespaces))
            && (self.name.is_empty() || wildcard(&self.name, &object.name))
            && self.label_selector.as_ref().is_none_or(|selector| selector.selects(&object.labels))
            && self.namespace_holds(object, reviewed)
    }

    fn namespace_holds(&self, object: &Identity, reviewed: &Reviewed) -> bool {
        let Some(selector) = &self.namespace_selector else { return true };
        match &reviewed.namespace_labels {
            _ if reviewed.is_namespace() => selector.selects(&object.labels),
            _ if reviewed.namespace.is_empty() => true,
            Some(labels) => selector.selects(labels),
            None => false,
        }
    }
}

// === impl Selector ===

impl Selector {
    fn selects(&self, labels: &Labels) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|expression| expression.holds(labels))
    }
}

// === impl Expression ===

impl Expression {
    fn holds(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        let listed = value.is_some_and(|value| self.values.contains(value));
        match self.operator {
            Operator::In => listed,
            Operator::NotIn => !listed,
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

/// A star may stand at either end.
fn wildcard(pattern: &str, text: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(_), Some(_)) => text.contains(pattern.trim_matches('*')),
        (Some(end), None) => text.ends_with(end),
        (None, Some(start)) => text.starts_with(start),
        (None, None) => pattern == text,
    }
}
