//! A decision as a line of a list.

use super::address::Address;
use super::frame::Visit;
use super::let_through::Passage;
use super::sentence::{Fate, rule_name, workload};
use crate::review::decision::{Decision, ReviewRecord};
use crate::store::read::StoredDecision;

/// Images of one decision that its row names.
const IMAGES: usize = 3;

#[derive(Debug)]
pub struct Row {
    /// Of the decision.
    pub id: String,
    pub href: Address,
    pub time: String,
    pub date: String,
    pub datetime: String,
    pub fate: Fate,
    pub dry_run: bool,
    pub cluster: String,
    pub namespace: Option<String>,
    pub workload: String,
    pub operation: &'static str,
    pub images: Vec<String>,
    pub more_images: usize,
    pub against: Vec<Against>,
}

/// A rule that has a violation.
#[derive(Debug, PartialEq)]
pub struct Against {
    /// `policy/rule`.
    pub rule: String,
    /// The mode, or what lets it through.
    pub word: &'static str,
    /// Nothing lets it through.
    pub acts: bool,
}

// === impl Row ===

impl Row {
    pub fn of(stored: &StoredDecision, visit: &Visit) -> Self {
        let zone = &visit.zone;
        let StoredDecision { decision, review } = stored;
        let images = names(review);
        Self {
            id: decision.id.to_string(),
            href: visit.to(&format!("/decisions/{}", decision.id)),
            time: zone.time(decision.at),
            date: zone.date(decision.at),
            datetime: decision.at.to_string(),
            fate: Fate::of(decision),
            dry_run: decision.dry_run,
            cluster: decision.cluster.clone(),
            namespace: review.namespace.clone(),
            workload: workload(&review.workload),
            operation: review.operation.as_str(),
            more_images: images.len().saturating_sub(IMAGES),
            images: images.into_iter().take(IMAGES).collect(),
            against: against(decision),
        }
    }
}

/// A digest is told from others by its first twelve digits.
fn short(image: &str) -> String {
    match image.split_once("@sha256:") {
        Some((name, hex)) if hex.len() == 64 && hex.is_ascii() => format!("{name}@sha256:{}…", &hex[..12]),
        _ => image.to_owned(),
    }
}

/// Each image once.
fn names(review: &ReviewRecord) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for image in &review.images {
        let name = short(&image.text);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Each rule that stood against it once, standing violations left out; what is let through after what is not.
fn against(decision: &Decision) -> Vec<Against> {
    let passage = Passage::of(decision);
    let (mut acting, mut let_through) = (Vec::new(), Vec::new());
    for verdict in &decision.verdicts {
        for violation in &verdict.violations {
            let rule = rule_name(verdict, violation);
            let (rows, row) = match &violation.exempted {
                None => (&mut acting, Against { rule, word: violation.mode.as_str(), acts: true }),
                Some(by) => (&mut let_through, Against { rule, word: passage.word(by), acts: false }),
            };
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
    }
    acting.append(&mut let_through);
    acting
}
