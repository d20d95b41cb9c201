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
    pub clusters: Vec<String>,
    pub namespaces: Vec<String>,
    /// Globs, as the configuration takes them.
    pub images: Vec<String>,
    /// `Kind/name`, of what no image is to blame for, or one that cannot be read; `images` are then none.
    pub workloads: Vec<String>,
    /// What it lets through.
    pub covers: BTreeSet<Covered>,
}

/// A workload that an exemption is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Covered {
    pub cluster: String,
    pub namespace: String,
    /// `Kind/name`.
    pub workload: String,
}

/// What is needed of one cluster: in a namespace, a glob of images, by the workloads of these names. The tags of a
/// repository are one and its digests are another: what needs only the one is not let through with the other.
type Wanted = BTreeMap<(String, String), BTreeSet<String>>;

/// What makes two proposals one: all but the clusters.
type Alike = (Vec<String>, Vec<String>, Vec<String>);

/// Covered workloads that the YAML names.
const NAMED: usize = 3;

/// To be put before the other stages of [`Asked::rollout_of`]: the first that matches wins. `None`: there is nothing to
/// promote.
pub fn rollout(asked: &Asked, ready: &[&Place]) -> Option<String> {
    let mut clusters: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for place in ready.iter().filter(|place| can_be_named(place)) {
        clusters.entry(&place.cluster).or_default().insert(&place.namespace);
    }
    if clusters.is_empty() {
        return None;
    }
    let mut stages: Vec<(Vec<&str>, BTreeSet<&str>)> = Vec::new();
    for (cluster, namespaces) in clusters {
        match stages.iter_mut().find(|(_, same)| *same == namespaces) {
            Some((clusters, _)) => clusters.push(cluster),
            None => stages.push((vec![cluster], namespaces)),
        }
    }
    // In the rollout of a rule there is no other that a stage could name.
    let names_none = asked.rule == ANY || asked.is_staged;
    let rules = if names_none { String::new() } else { format!("rules: {}, ", list([&asked.rule])) };
    let mut yaml = "rollout:\n".to_owned();
    for (clusters, namespaces) in stages {
        let (clusters, namespaces) = (list(clusters), list(namespaces));
        line(&mut yaml, &format!("- {{{rules}clusters: {clusters}, namespaces: {namespaces}, mode: enforce}}"));
    }
    Some(yaml)
}

/// Whether a configuration can name it, and nothing else by that.
pub fn can_be_named(place: &Place) -> bool {
    is_plain(&place.namespace) && is_plain(&place.cluster)
}

/// Nothing else is let through than what the workloads need.
pub fn relief(needs: &[Need<'_>]) -> Relief {
    let mut relief = Relief::default();
    let mut wanted: BTreeMap<&str, Wanted> = BTreeMap::new();
    let mut without: BTreeMap<(&str, &str), BTreeSet<String>> = BTreeMap::new();
    for need in needs {
        let Place { cluster, namespace, .. } = need.place;
        let name = format!("{}/{}", need.workload.kind, need.workload.name);
        let images: Option<BTreeSet<String>> = need.faults.iter().map(|fault| glob(fault.image.as_deref()?)).collect();
        match images.filter(|images| !images.is_empty()) {
            _ if !can_be_named(need.place) => relief.left += 1,
            Some(images) => {
                let of_cluster = wanted.entry(cluster).or_default();
                for glob in images {
                    of_cluster.entry((namespace.clone(), glob)).or_default().insert(name.clone());
                }
            }
            None if is_plain(&name) => {
                without.entry((cluster, namespace)).or_default().insert(name);
            }
            None => relief.left += 1,
        }
    }
    let of_images = wanted.into_iter().flat_map(|(cluster, wanted)| fewest(cluster, &wanted));
    relief.exemptions = of_several(of_images);
    relief.exemptions.extend(of_several(without.into_iter().map(|((cluster, namespace), names)| Proposed {
        namespaces: vec![namespace.to_owned()],
        covers: names.iter().map(|name| Covered::of(cluster, namespace, name)).collect(),
        workloads: names.into_iter().collect(),
        ..Proposed::of(cluster)
    })));
    relief
}

/// Each of one namespace, or of one glob.
fn fewest(cluster: &str, wanted: &Wanted) -> Vec<Proposed> {
    let different = |names: BTreeSet<&'_ String>| names.into_iter().cloned().collect::<Vec<String>>();
    let namespaces = different(wanted.keys().map(|(namespace, _)| namespace).collect());
    let globs = different(wanted.keys().map(|(_, glob)| glob).collect());
    let number = |of: &[String], name: &String| of.binary_search(name).expect("it is one of them");
    let pair = |(namespace, glob): &(String, String)| (number(&namespaces, namespace), number(&globs, glob));
    let cover = cover::smallest(&wanted.keys().map(pair).collect());
    let mut proposed: BTreeMap<(bool, usize), Proposed> = BTreeMap::new();
    for (needed, workloads) in wanted {
        let (left, right) = pair(needed);
        let (namespace, glob) = needed;
        // Of a pair that both touch, the glob is let through where the others of it are.
        let key = if cover.rights.contains(&right) { (true, right) } else { (false, left) };
        let one = proposed.entry(key).or_insert_with(|| Proposed::of(cluster));
        add(&mut one.namespaces, namespace);
        add(&mut one.images, glob);
        one.covers.extend(workloads.iter().map(|name| Covered::of(cluster, namespace, name)));
    }
    proposed.into_values().collect()
}

/// Those that are equal but for the cluster are one of all these clusters.
fn of_several(proposed: impl Iterator<Item = Proposed>) -> Vec<Proposed> {
    let mut places: BTreeMap<Alike, usize> = BTreeMap::new();
    let mut merged: Vec<Proposed> = Vec::new();
    for one in proposed {
        let alike = (one.namespaces.clone(), one.images.clone(), one.workloads.clone());
        let at = *places.entry(alike).or_insert(merged.len());
        match merged.get_mut(at) {
            None => merged.push(one),
            Some(same) => {
                one.clusters.iter().for_each(|cluster| add(&mut same.clusters, cluster));
                same.covers.extend(one.covers);
            }
        }
    }
    merged
}

fn add(names: &mut Vec<String>, name: &String) {
    if let Err(at) = names.binary_search(name) {
        names.insert(at, name.clone());
    }
}

/// All tags or all digests of its repository; `None`: it cannot be read, so that no glob of an image matches it.
fn glob(image: &str) -> Option<String> {
    let reference = ImageReference::parse(image).ok()?;
    let (name, whole) = (reference.name(), reference.normalised());
    let mark = if whole.strip_prefix(&name)?.starts_with(':') { ':' } else { '@' };
    (!name.contains('*')).then(|| format!("{name}{mark}*"))
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
    /// What lets nothing through yet.
    fn of(cluster: &str) -> Self {
        Self {
            clusters: vec![cluster.to_owned()],
            namespaces: Vec::new(),
            images: Vec::new(),
            workloads: Vec::new(),
            covers: BTreeSet::new(),
        }
    }

    /// The first of what it covers: `shop Deployment/web`, with the cluster where there are several.
    pub fn covered(&self, number: usize) -> Vec<String> {
        let has_several = self.clusters.len() > 1;
        let name = |Covered { cluster, namespace, workload }: &Covered| {
            let cluster = if has_several { format!("{cluster} ") } else { String::new() };
            format!("{cluster}{namespace} {workload}")
        };
        self.covers.iter().take(number).map(name).collect()
    }

    fn write(&self, yaml: &mut String, asked: &Asked, until: &str) {
        line(yaml, &format!("# {}", self.told()));
        line(yaml, &format!("- policy: {}", scalar(&asked.policy)));
        let mut field = |name: &str, value: String| line(yaml, &format!("  {name}: {value}"));
        if asked.rule != ANY {
            field("rule", scalar(&asked.rule));
        }
        field("clusters", list(&self.clusters));
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
        let named: Vec<String> = self.covered(NAMED).iter().map(|name| name.replace(char::is_control, "?")).collect();
        let more = self.covers.len() - named.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let plural = if self.covers.len() == 1 { "" } else { "s" };
        format!("{} workload{plural}: {}{more}", self.covers.len(), named.join(", "))
    }
}

// === impl Covered ===

impl Covered {
    fn of(cluster: &str, namespace: &str, workload: &str) -> Self {
        Self { cluster: cluster.to_owned(), namespace: namespace.to_owned(), workload: workload.to_owned() }
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
