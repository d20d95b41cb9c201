//! What to write into the configuration: the rollout that promotes what is ready, the exemptions that clear the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::review::clock::Timestamp;
use crate::review::reference::ImageReference;
use crate::review::workload::Workload;

use super::evidence::{Fault, Place};
use super::{ANY, Asked, cover};

/// A workload that would be rejected, and why.
#[derive(Debug, Clone)]
pub struct Need<'a> {
    pub place: &'a Place,
    pub workload: &'a Workload,
    pub faults: Vec<&'a Fault>,
}

/// The fewest exemptions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relief {
    pub exemptions: Vec<Proposed>,
    /// Workloads that no exemption is proposed for: their names are of a form that no glob can name.
    pub left: usize,
}

/// One exemption. Lists are alternatives, in alphabetical order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposed {
    pub cluster: String,
    pub namespaces: Vec<String>,
    /// Globs, as the configuration takes them.
    pub images: Vec<String>,
    /// `Kind/name`, of what no image is to blame for, or one that cannot be read; `images` are then none.
    pub workloads: Vec<String>,
    /// What it lets through, by namespace and `Kind/name`.
    pub covers: BTreeSet<(String, String)>,
}

/// What is needed of one cluster: in a namespace, a repository.
type Wanted = BTreeMap<(String, String), Needed>;

/// Of a repository in a namespace.
#[derive(Debug, Default)]
struct Needed {
    /// Of images.
    globs: BTreeSet<String>,
    covers: BTreeSet<(String, String)>,
}

/// Covered workloads that the YAML names.
const NAMED: usize = 3;

/// To be put before the other stages of the rule or its policy: the first that matches wins. `None`: there is nothing to
/// promote.
pub fn rollout(asked: &Asked, ready: &[&Place]) -> Option<String> {
    let mut clusters: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for place in ready.iter().filter(|place| is_plain(&place.namespace) && is_plain(&place.cluster)) {
        clusters.entry(&place.cluster).or_default().insert(&place.namespace);
    }
    if clusters.is_empty() {
        return None;
    }
    let mut yaml = "rollout:\n".to_owned();
    for (cluster, namespaces) in clusters {
        let rules = if asked.rule == ANY { String::new() } else { format!("rules: {}, ", list([&asked.rule])) };
        let namespaces = list(namespaces);
        line(
            &mut yaml,
            &format!("- {{{rules}clusters: {}, namespaces: {namespaces}, mode: enforce}}", list([cluster])),
        );
    }
    Some(yaml)
}

/// Nothing else is let through than what the workloads need.
pub fn relief(needs: &[Need<'_>]) -> Relief {
    let mut relief = Relief::default();
    let mut wanted: BTreeMap<&str, Wanted> = BTreeMap::new();
    let mut without: BTreeMap<(&str, &str), BTreeSet<String>> = BTreeMap::new();
    for need in needs {
        let Place { cluster, namespace, .. } = need.place;
        let name = format!("{}/{}", need.workload.kind, need.workload.name);
        let images: Option<BTreeSet<(String, String)>> =
            need.faults.iter().map(|fault| glob(fault.image.as_deref()?)).collect();
        match images.filter(|images| !images.is_empty()) {
            _ if !is_plain(cluster) || !is_plain(namespace) => relief.left += 1,
            Some(images) => {
                let of_cluster = wanted.entry(cluster).or_default();
                for (repository, glob) in images {
                    let needed = of_cluster.entry((namespace.clone(), repository)).or_default();
                    needed.globs.insert(glob);
                    needed.covers.insert((namespace.clone(), name.clone()));
                }
            }
            None if is_plain(&name) => {
                without.entry((cluster, namespace)).or_default().insert(name);
            }
            None => relief.left += 1,
        }
    }
    for (cluster, wanted) in wanted {
        relief.exemptions.extend(fewest(cluster, &wanted));
    }
    relief.exemptions.extend(without.into_iter().map(|((cluster, namespace), names)| Proposed {
        cluster: cluster.to_owned(),
        namespaces: vec![namespace.to_owned()],
        images: Vec::new(),
        covers: names.iter().map(|name| (namespace.to_owned(), name.clone())).collect(),
        workloads: names.into_iter().collect(),
    }));
    relief
}

/// Each of one namespace, or of one repository.
fn fewest(cluster: &str, wanted: &Wanted) -> Vec<Proposed> {
    let different = |names: BTreeSet<&'_ String>| names.into_iter().cloned().collect::<Vec<String>>();
    let namespaces = different(wanted.keys().map(|(namespace, _)| namespace).collect());
    let repositories = different(wanted.keys().map(|(_, repository)| repository).collect());
    let number = |of: &[String], name: &String| of.binary_search(name).expect("it is one of them");
    let pair = |(namespace, repository): &(String, String)| {
        (number(&namespaces, namespace), number(&repositories, repository))
    };
    let cover = cover::smallest(&wanted.keys().map(pair).collect());
    let mut proposed: BTreeMap<(bool, usize), Proposed> = BTreeMap::new();
    for (names, needed) in wanted {
        let (left, right) = pair(names);
        // Of a pair that both touch, the repository is let through where the others of it are.
        let key = if cover.rights.contains(&right) { (true, right) } else { (false, left) };
        let one = proposed.entry(key).or_insert_with(|| Proposed {
            cluster: cluster.to_owned(),
            namespaces: Vec::new(),
            images: Vec::new(),
            workloads: Vec::new(),
            covers: BTreeSet::new(),
        });
        add(&mut one.namespaces, &names.0);
        needed.globs.iter().for_each(|glob| add(&mut one.images, glob));
        one.covers.extend(needed.covers.iter().cloned());
    }
    proposed.into_values().collect()
}

fn add(names: &mut Vec<String>, name: &String) {
    if let Err(at) = names.binary_search(name) {
        names.insert(at, name.clone());
    }
}

/// Its repository, and all tags or all digests of that; `None`: it cannot be read, so that no glob of an image matches it.
fn glob(image: &str) -> Option<(String, String)> {
    let reference = ImageReference::parse(image).ok()?;
    let (name, whole) = (reference.name(), reference.normalised());
    let mark = if whole.strip_prefix(&name)?.starts_with(':') { ':' } else { '@' };
    (!name.contains('*')).then(|| (name.clone(), format!("{name}{mark}*")))
}

// === impl Relief ===

impl Relief {
    /// To be put into the configuration, or a file of exemptions. `until`: the last day.
    pub fn yaml(&self, asked: &Asked, until: &str) -> Option<String> {
        if self.exemptions.is_empty() {
            return None;
        }
        let mut yaml = "exemptions:\n".to_owned();
        for one in &self.exemptions {
            one.write(&mut yaml, asked, until);
        }
        Some(yaml)
    }
}

// === impl Proposed ===

impl Proposed {
    fn write(&self, yaml: &mut String, asked: &Asked, until: &str) {
        line(yaml, &format!("# {}", self.told()));
        line(yaml, &format!("- policy: {}", scalar(&asked.policy)));
        let mut field = |name: &str, value: String| line(yaml, &format!("  {name}: {value}"));
        if asked.rule != ANY {
            field("rule", scalar(&asked.rule));
        }
        field("clusters", list([&self.cluster]));
        field("namespaces", list(&self.namespaces));
        if !self.images.is_empty() {
            field("images", list(&self.images));
        }
        if !self.workloads.is_empty() {
            field("workloads", list(&self.workloads));
        }
        field("until", until.to_owned());
        field("reason", scalar("violates the rule, and is to be mended until then"));
    }

    /// `2 workloads: shop Deployment/web, shop Deployment/cart`.
    fn told(&self) -> String {
        let plain = |text: &str| text.replace(char::is_control, "?");
        let named: Vec<String> =
            self.covers.iter().take(NAMED).map(|(place, name)| plain(&format!("{place} {name}"))).collect();
        let more = self.covers.len() - named.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let plural = if self.covers.len() == 1 { "" } else { "s" };
        format!("{} workload{plural}: {}{more}", self.covers.len(), named.join(", "))
    }
}

/// The day that exemptions are proposed until: a month from `now`.
pub fn until(now: Timestamp) -> String {
    let day = Timestamp(now.0.saturating_add(30 * crate::review::clock::DAY));
    day.last_day()
}

/// Whether a glob of this text means this text and nothing else.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.contains('*') && !name.contains(char::is_control)
}

fn line(yaml: &mut String, text: &str) {
    writeln!(yaml, "  {text}").expect("a String takes every text");
}

fn list<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<String> = texts.into_iter().map(|text| scalar(text.as_ref())).collect();
    format!("[{}]", texts.join(", "))
}

/// Plain where every YAML reads it as this text, else quoted as JSON, which YAML reads too.
fn scalar(text: &str) -> String {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let is_word = WORDS.contains(&text.to_ascii_lowercase().as_str());
    let begins = text.starts_with(|first: char| first.is_ascii_alphabetic());
    let is_plain = begins && !is_word && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
    if is_plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}
