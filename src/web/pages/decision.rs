//! `/decisions/{id}`: everything that is known of one decision.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Html;
use uuid::Uuid;

use self::object::{Fragment, fragments};
use super::html;
use crate::review::clock::DecisionId;
use crate::review::comparison::Comparison;
use crate::review::decision::{Decision, ImageRecord, PolicyVerdict, Verdict, Violation};
use crate::store::read::StoredDecision;
use crate::web::access::visitor::Visitor;
use crate::web::address::Address;
use crate::web::error::{PageError, WebError};
use crate::web::filters;
use crate::web::frame::{Frame, Visit};
use crate::web::let_through::Passage;
use crate::web::sentence::{self, Fate, Sentence, answer, rule_name, workload};
use crate::web::{Live, WebState, comparison};

mod object;

#[derive(Template)]
#[template(path = "pages/decision.html")]
struct DecisionPage {
    frame: Frame,
    stored: StoredDecision,
    fate: Fate,
    sentence: Sentence,
    at: String,
    zone: String,
    facts: Vec<Fact>,
    verdicts: Vec<VerdictCard>,
    candidates: Vec<CandidateCard>,
    images: Vec<ImageRow>,
    object: Option<Vec<Fragment>>,
    back: Address,
    /// What judged it.
    revision: Option<Address>,
    api: Address,
}

/// A line of what is known, and the decisions that have it in common.
struct Fact {
    name: &'static str,
    value: Option<String>,
    href: Option<Address>,
}

struct VerdictCard {
    verdict: PolicyVerdict,
    violations: Vec<ViolationLine>,
    standing: Vec<ViolationLine>,
}

/// What a candidate says, and how that compares.
struct CandidateCard {
    sentence: String,
    differs: bool,
    card: VerdictCard,
}

struct ViolationLine {
    violation: Violation,
    rule: String,
    /// The image to blame, unless the message names it.
    image: Option<String>,
    href: Address,
    /// `help`, where it is an address on the web; other schemes stay text.
    link: Option<String>,
    /// What lets it through, in a word and in more.
    let_through: Option<(&'static str, String)>,
}

struct ImageRow {
    image: ImageRecord,
    href: Address,
    /// Its own page.
    page: Address,
    /// Decisions about any image of its repository.
    of_repository: Option<Address>,
}

pub fn id_of(text: &str) -> Option<DecisionId> {
    Uuid::try_parse(text).ok().map(DecisionId)
}

/// No decision of this id is there, or none of theirs.
pub fn missing(visitor: &Visitor, id: String) -> WebError {
    visitor.missing(format!("decision with the id {id}"), WebError::NoSuchDecision(id))
}

pub async fn show(
    State(state): State<Arc<WebState>>,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Html<String>, PageError> {
    let live = state.live(&visit.reach).await?;
    let stored = match id_of(&id) {
        Some(known) => state.store.decision(known, &visit.reach).await?,
        None => None,
    };
    let stored = stored.ok_or_else(|| missing(&visit.visitor, id))?;
    let object = state.store.object(stored.decision.id, &visit.reach).await?;
    let object = object.map(|object| fragments(&object));
    html(&DecisionPage::of(&visit, &live, stored, object))
}

// === impl DecisionPage ===

impl DecisionPage {
    fn of(visit: &Visit, live: &Live, stored: StoredDecision, object: Option<Vec<Fragment>>) -> Self {
        let decision = &stored.decision;
        let here = visit.to(&format!("/decisions/{}", decision.id));
        let list = Address::of("/decisions").with_some("tz", visit.parameters.text("tz"));
        Self {
            frame: Frame::of(format!("Decision {}", decision.id), visit, live, here.clone()),
            fate: Fate::of(decision),
            sentence: answer(decision),
            at: visit.zone.millisecond(decision.at),
            zone: visit.zone.abbreviation(decision.at),
            facts: facts(&stored, &list),
            verdicts: VerdictCard::all(decision, &list),
            candidates: CandidateCard::all(decision, &list),
            images: stored.review.images.iter().map(|image| ImageRow::of(image, &list)).collect(),
            object,
            api: here.at(format!("/api/v1/decisions/{}", decision.id)).without("tz"),
            back: list,
            revision: visit.of_revision(&decision.revision),
            stored,
        }
    }
}

fn facts(stored: &StoredDecision, list: &Address) -> Vec<Fact> {
    let StoredDecision { decision, review } = stored;
    let fact = |name, value: Option<&str>| Fact { name, value: value.map(str::to_owned), href: None };
    let same = |name, value: Option<&str>, filter| Fact {
        name,
        value: value.map(str::to_owned),
        href: value.map(|value| list.clone().with("cluster", &decision.cluster).with(filter, value)),
    };
    let request = match &review.subresource {
        Some(subresource) => format!("{} of {subresource}", review.operation.as_str()),
        None => review.operation.as_str().to_owned(),
    };
    let kind = review.kind.as_deref().map(|kind| match review.group.as_deref() {
        Some(group) if !group.is_empty() => format!("{kind} ({group})"),
        _ => kind.to_owned(),
    });
    vec![
        same("Cluster", Some(&decision.cluster), "cluster"),
        same("Namespace", review.namespace.as_deref(), "namespace"),
        fact("Workload", Some(&workload(&review.workload))),
        fact("Request", Some(&request)),
        fact("Object", kind.as_deref()),
        fact("Name", decision.name.as_deref()),
        fact("User", decision.user.as_deref()),
        same("UID", decision.uid.as_deref(), "uid"),
        fact("Sent by", Some(decision.caller.as_deref().unwrap_or("unproven"))),
        fact("Protocol", Some(&format!("{} {}", review.protocol.as_str(), review.api_version))),
    ]
}

// === impl VerdictCard ===

impl VerdictCard {
    fn all(decision: &Decision, list: &Address) -> Vec<Self> {
        let passage = Passage::of(decision);
        decision.verdicts.iter().map(|verdict| Self::of(verdict, passage, list)).collect()
    }

    fn of(verdict: &PolicyVerdict, passage: Passage, list: &Address) -> Self {
        let lines = |violations: &[Violation]| {
            violations.iter().map(|violation| ViolationLine::of(verdict, violation, passage, list)).collect()
        };
        Self { violations: lines(&verdict.violations), standing: lines(&verdict.standing), verdict: verdict.clone() }
    }

    /// A denial that rejects looks another than one that is rehearsed.
    fn class(&self) -> &'static str {
        let enforced = |line: &ViolationLine| line.violation.rejects();
        match self.verdict.verdict {
            Verdict::Deny if self.violations.iter().any(enforced) => "enforced",
            Verdict::Deny if self.verdict.is_exempted() => "exempted",
            verdict => verdict.as_str(),
        }
    }

    /// It denied, and what comes of that is nothing.
    fn word(&self) -> &'static str {
        if self.verdict.is_exempted() { "deny, exempted" } else { self.verdict.verdict.as_str() }
    }
}

// === impl CandidateCard ===

impl CandidateCard {
    fn all(decision: &Decision, list: &Address) -> Vec<Self> {
        let card = |(verdict, compared): (&PolicyVerdict, Comparison<'_>)| {
            // No figure and no list of violations is of a candidate: its rules lead to what it said.
            let list = list.clone().with("candidate", &verdict.policy);
            let mut card = VerdictCard::of(verdict, Passage::Candidate, &list);
            for line in card.violations.iter_mut().chain(&mut card.standing) {
                line.href = list.clone().with("candidate_verdict", compared.silent.as_str());
            }
            let sentence = comparison::sentence(&compared, &decision.verdicts, verdict);
            Self { sentence, differs: compared.differs(), card }
        };
        decision.candidates.iter().zip(Comparison::of(decision)).map(card).collect()
    }
}

// === impl ViolationLine ===

impl ViolationLine {
    fn of(verdict: &PolicyVerdict, violation: &Violation, passage: Passage, list: &Address) -> Self {
        Self {
            rule: rule_name(verdict, violation),
            image: violation.image.clone().filter(|image| !violation.message.contains(image.as_str())),
            href: list.clone().with("policy", &verdict.policy).with("rule", &violation.rule),
            link: violation.help.as_deref().and_then(sentence::web).map(str::to_owned),
            let_through: violation.exempted.as_ref().map(|by| (passage.word(by), passage.told(by))),
            violation: violation.clone(),
        }
    }

    fn has_more(&self) -> bool {
        self.image.is_some() || self.violation.container.is_some() || self.violation.help.is_some()
    }
}

// === impl ImageRow ===

impl ImageRow {
    fn of(image: &ImageRecord, list: &Address) -> Self {
        let named = image.registry.as_deref().zip(image.repository.as_deref());
        Self {
            href: list.clone().with("image", &image.text),
            page: list.at("/images/reference").with("image", &image.text),
            of_repository: named
                .map(|(registry, repository)| list.clone().with("repository", format!("{registry}/{repository}"))),
            image: image.clone(),
        }
    }

    fn parts(&self) -> [(&'static str, Option<&str>, Option<&Address>); 4] {
        let image = &self.image;
        [
            ("Registry", image.registry.as_deref(), None),
            ("Repository", image.repository.as_deref(), self.of_repository.as_ref()),
            ("Tag", image.tag.as_deref(), None),
            ("Digest", image.digest.as_deref(), None),
        ]
    }
}
