//! What an inventory says, for people.

use std::fmt::Write as _;

use crate::store::inventory::{Inventory, Outlook, Running};
use crate::web::{count, inventory as sentences};

use super::columns::aligned;

/// Workloads that a table has; pages and API have all.
const ROWS: usize = 50;

/// `known`: the clusters that reviews came of.
pub fn inventory(id: i64, inventory: &Inventory, known: &[String]) -> String {
    let Inventory { cluster, at, account, workloads, .. } = inventory;
    let mut out = format!("inventory {id} of {cluster}, {at}, judged by revision {}\n", account.revision);
    for sentence in sentences::of_inventory(account) {
        line(&mut out, &sentence);
    }
    if !known.contains(cluster) {
        line(&mut out, &unknown(cluster, known));
    }
    for outlook in Outlook::ALL.into_iter().filter(|outlook| *outlook != Outlook::Clear) {
        let of_it: Vec<&Running> = workloads.iter().filter(|one| one.contents.outlook() == outlook).collect();
        if !of_it.is_empty() {
            line(&mut out, &format!("\n{}", sentences::of_outlook(outlook, of_it.len() as u64)));
            against(&mut out, &of_it, cluster, outlook);
        }
    }
    let unreviewed: Vec<&Running> = workloads.iter().filter(|one| one.contents.is_unreviewed()).collect();
    if !unreviewed.is_empty() {
        line(&mut out, &format!("\n{}", sentences::of_unreviewed(unreviewed.len() as u64)));
        not_reviewed(&mut out, &unreviewed, cluster);
    }
    out
}

fn unknown(cluster: &str, known: &[String]) -> String {
    let known = match known {
        [] => "it knows none".to_owned(),
        known => format!("it knows {}", known.join(", ")),
    };
    format!("No review came of {cluster} so far, as far as the history goes: {known}. Is the name right?")
}

fn against(out: &mut String, workloads: &[&Running], cluster: &str, outlook: Outlook) {
    let mut rows = Vec::new();
    for one in workloads.iter().take(ROWS) {
        let mut reasons = sentences::against(&one.contents, outlook).into_iter();
        let [namespace, name, pods] = place(one);
        let (rule, message) = reasons.next().unwrap_or_default();
        rows.push([namespace, name, pods, rule, message]);
        rows.extend(reasons.map(|(rule, message)| [String::new(), String::new(), String::new(), rule, message]));
    }
    out.push_str(&aligned(&rows));
    more(out, workloads.len(), &format!("{cluster}&outlook={}", outlook.as_str()));
}

fn not_reviewed(out: &mut String, workloads: &[&Running], cluster: &str) {
    let row = |one: &&Running| {
        let [namespace, name, pods] = place(one);
        let last = one.contents.last_review.as_ref();
        let last = last.map_or_else(|| "never".to_owned(), |review| format!("last {}", review.at));
        let policies: Vec<&str> = one.contents.unreviewed_by().collect();
        [namespace, name, pods, last, policies.join(", ")]
    };
    let rows: Vec<[String; 5]> = workloads.iter().take(ROWS).map(row).collect();
    out.push_str(&aligned(&rows));
    more(out, workloads.len(), &format!("{cluster}&unreviewed=true"));
}

fn place(one: &Running) -> [String; 3] {
    let workload = &one.contents.workload;
    let namespace = format!("  {}", one.namespace);
    [namespace, format!("{}/{}", workload.kind, workload.name), count(one.contents.pods, "pod")]
}

fn more(out: &mut String, all: usize, query: &str) {
    if all > ROWS {
        line(out, &format!("  and {}: /inventory?cluster={query}", count((all - ROWS) as u64, "more workload")));
    }
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("a String takes everything");
}
