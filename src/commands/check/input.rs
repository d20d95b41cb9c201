//! The objects of a text, those of lists each for itself.
//!
//! JSON is walked as it stands: what a cluster runs is a hundred megabytes of it. All else is read as YAML.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::config::{ManifestDocument, documents};

/// Lists of which the API server gave a part, and how many objects they say to lack, where they do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cut {
    pub lists: u64,
    pub missing: Option<u64>,
}

/// An object as it stands.
#[derive(Debug)]
pub struct Item<'a> {
    /// Where it begins.
    pub line: usize,
    pub json: &'a str,
    /// Kind and API version of one that says none, by the list that it stands in.
    pub listed_as: Option<(&'a str, &'a str)>,
}

/// A JSON document, as far as it may be a list.
#[derive(Deserialize)]
struct Head<'a> {
    kind: String,
    #[serde(rename = "apiVersion", default)]
    api_version: String,
    #[serde(default)]
    metadata: Metadata,
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(rename = "continue", default)]
    token: Option<String>,
    #[serde(rename = "remainingItemCount", default)]
    remaining: Option<u64>,
}

/// Where one is in a text, line by line.
struct Lines<'a> {
    text: &'a str,
    offset: usize,
    line: usize,
}

/// Hands each object to `take`, in the order of the text.
///
/// # Errors
/// The text is neither, or `take` says so.
pub fn each(file: &str, text: &str, mut take: impl FnMut(Item<'_>) -> Result<(), String>) -> Result<Cut, String> {
    let mut cut = Cut::default();
    if text.trim_start().starts_with('{') {
        let values: Result<Vec<&RawValue>, _> = serde_json::Deserializer::from_str(text).into_iter().collect();
        match values {
            Ok(values) => {
                let mut lines = Lines { text, offset: 0, line: 1 };
                for value in values {
                    json(value, &mut lines, &mut cut, &mut take)?;
                }
                return Ok(cut);
            }
            Err(error) if error.is_eof() => {
                return Err(format!(
                    "{file} ends in the middle of an object, in line {}: it is not whole",
                    error.line()
                ));
            }
            // YAML may begin so, too.
            Err(_) => {}
        }
    }
    for document in documents(file, text).map_err(|wrong| format!("{}; {}", wrong.problem, wrong.fix))? {
        yaml(&document, &mut cut, &mut take)?;
    }
    Ok(cut)
}

fn json(
    value: &RawValue,
    lines: &mut Lines<'_>,
    cut: &mut Cut,
    take: &mut impl FnMut(Item<'_>) -> Result<(), String>,
) -> Result<(), String> {
    let head: Option<Head<'_>> = serde_json::from_str(value.get()).ok();
    let Some(head) = head.filter(|head| head.kind.ends_with("List")) else {
        let line = lines.of(value.get());
        return take(Item { line, json: value.get(), listed_as: None });
    };
    cut.note(head.metadata);
    let listed_as = (head.kind.trim_end_matches("List"), head.api_version.as_str());
    let listed_as = Some(listed_as).filter(|(kind, _)| !kind.is_empty());
    for item in head.items {
        let line = lines.of(item.get());
        take(Item { line, json: item.get(), listed_as })?;
    }
    Ok(())
}

fn yaml(
    document: &ManifestDocument,
    cut: &mut Cut,
    take: &mut impl FnMut(Item<'_>) -> Result<(), String>,
) -> Result<(), String> {
    let ManifestDocument { line, json, items } = document;
    let Some(items) = items else {
        return take(Item { line: *line, json: &json.to_string(), listed_as: None });
    };
    cut.note(Metadata::deserialize(&json["metadata"]).unwrap_or_default());
    let text = |name: &str| json[name].as_str().unwrap_or_default();
    let listed_as = Some((text("kind").trim_end_matches("List"), text("apiVersion")));
    let listed_as = listed_as.filter(|(kind, _)| !kind.is_empty());
    for (line, item) in items {
        take(Item { line: *line, json: &item.to_string(), listed_as })?;
    }
    Ok(())
}

// === impl Cut ===

impl Cut {
    fn note(&mut self, list: Metadata) {
        let is_cut = list.token.is_some_and(|token| !token.is_empty()) || list.remaining.is_some_and(|left| left > 0);
        if is_cut {
            self.add(Self { lists: 1, missing: list.remaining });
        }
    }

    /// With others.
    pub fn add(&mut self, other: Self) {
        self.missing = match (self.lists, other.lists) {
            (0, _) => other.missing,
            (_, 0) => self.missing,
            _ => self.missing.zip(other.missing).map(|(one, two)| one + two),
        };
        self.lists += other.lists;
    }
}

// === impl Lines ===

impl Lines<'_> {
    /// The line of a part of the text that is behind the one before.
    fn of(&mut self, part: &str) -> usize {
        let offset = part.as_ptr().addr() - self.text.as_ptr().addr();
        let between = &self.text.as_bytes()[self.offset..offset];
        self.line += between.iter().filter(|byte| **byte == b'\n').count();
        self.offset = offset;
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> (Vec<(usize, String)>, Cut) {
        let mut found = Vec::new();
        let cut = each("f", text, |item| {
            let value: serde_json::Value = serde_json::from_str(item.json).expect("JSON");
            let kind = value["kind"].as_str().map(str::to_owned);
            let kind = kind.or(item.listed_as.map(|(kind, version)| format!("{version} {kind}")));
            found.push((item.line, kind.unwrap_or_default()));
            Ok(())
        });
        (found, cut.expect("it can be read"))
    }

    #[test]
    fn every_object_of_json_and_yaml_has_its_line_and_its_kind() {
        let json =
            "\n{\"kind\": \"List\", \"items\": [\n{\"kind\": \"A\"},\n\n{\"kind\": \"B\"}]}\n{\"kind\": \"C\"}\n";
        let expected = [(3, "A"), (5, "B"), (6, "C")].map(|(line, kind)| (line, kind.to_owned()));
        assert_eq!(found(json).0, expected);
        let yaml = "# x\nkind: List\nitems:\n- {kind: A}\n- kind: B\n---\n---\nkind: C\n";
        let expected = [(4, "A"), (5, "B"), (8, "C")].map(|(line, kind)| (line, kind.to_owned()));
        assert_eq!(found(yaml).0, expected);
        let flow = found("{kind: A, items: {}}").0;
        assert_eq!(flow, [(1, "A".to_owned())], "YAML that begins as JSON does");
        for text in [
            "{\"kind\": \"PodList\", \"apiVersion\": \"v1\", \"items\": [{}]}",
            "kind: PodList\napiVersion: v1\nitems: [{}]",
        ] {
            assert_eq!(found(text).0[0].1, "v1 Pod", "{text}");
        }
    }

    #[test]
    fn a_list_that_was_cut_is_told_with_what_it_lacks() {
        let list =
            |metadata: &str| found(&format!("{{\"kind\": \"PodList\", \"metadata\": {metadata}, \"items\": []}}")).1;
        assert_eq!(list("{}"), Cut::default());
        assert_eq!(list("{\"continue\": \"\", \"remainingItemCount\": null}"), Cut::default());
        assert_eq!(list("{\"continue\": \"x\"}"), Cut { lists: 1, missing: None });
        assert_eq!(list("{\"continue\": \"x\", \"remainingItemCount\": 7}"), Cut { lists: 1, missing: Some(7) });
        assert_eq!(found("kind: List\nmetadata: {continue: x}\nitems: []\n").1.lists, 1);
        let (known, unknown) = (Cut { lists: 1, missing: Some(2) }, Cut { lists: 1, missing: None });
        for (one, two, missing) in [(known, known, Some(4)), (known, unknown, None), (Cut::default(), known, Some(2))] {
            let mut both = one;
            both.add(two);
            assert_eq!(both, Cut { lists: one.lists + 1, missing });
        }
    }

    #[test]
    fn what_ends_in_the_middle_is_told() {
        let error = each("f", "{\"kind\": \"List\", \"items\": [\n{\"kind\":", |_| Ok(())).expect_err("cut off");
        assert_eq!(error, "f ends in the middle of an object, in line 2: it is not whole");
    }
}
