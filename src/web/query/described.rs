//! What the parameters of the API are, for the document that describes it.

use serde_json::{Value, json};

use super::{ANSWERS, BLAME, DRY_RUNS, FORMATS, FORMS, HITS, YES, YES_NO};
use crate::review::agreement::Accord;
use crate::review::comparison::Stance;
use crate::store::access::Event;
use crate::store::inventory::Outlook;
use crate::web::readiness::Shown;

#[derive(Debug)]
pub struct Described {
    pub says: &'static str,
    /// A JSON Schema.
    pub schema: Value,
    pub is_required: bool,
}

const MOMENT: &str = "RFC 3339, a date, a date and time in `report.time_zone`, or how long ago: `24h`, `7d`";

// === impl Described ===

impl Described {
    /// The parameter `name`, as the address at `path` takes it.
    pub fn of(name: &str, path: &str) -> Option<Self> {
        let text = |says| Some(Self { says, schema: json!({"type": "string"}), is_required: false });
        let words = |says, words: Vec<&str>| {
            Some(Self { says, schema: json!({"type": "string", "enum": words}), is_required: false })
        };
        let required = |described: Option<Self>| described.map(|described| Self { is_required: true, ..described });
        match (name, path) {
            ("since", _) => text("The span's start, which is in it.").map(Self::moment),
            ("until", _) => text("The span's end, which is not in it.").map(Self::moment),
            ("cluster", _) => text("Exactly this cluster."),
            ("namespace", _) => text("Exactly this namespace."),
            ("cluster_wide", _) => words("Only what is in no namespace.", first(&YES)),
            ("workload", _) => text("Exactly this workload, as lists show it: `Deployment/checkout`."),
            ("user", "/api/v1/access") => text("Exactly whoever is called so."),
            ("user", _) => text("Exactly who made or changed the object."),
            ("policy", _) => text("Decisions with a violation of this policy, standing ones included."),
            ("rule", "/api/v1/policies") => text("As `policy/rule`: its modes are listed."),
            ("rule", _) => text("Decisions with a violation of this rule, standing ones included."),
            ("image", "/api/v1/images/reference") => required(text("The image, exactly as it was written.")),
            ("image", _) => text("An image exactly as it was written, or a glob when it holds `*`."),
            ("repository", _) => text("An image of this `registry/repository`, however it was written."),
            ("unreadable", _) => words("Only references that cannot be read.", first(&YES)),
            ("to_blame", _) => words("Only what was denied, or would be rejected, because of them.", first(&BLAME)),
            ("uid", _) => text("The AdmissionReview's `request.uid`."),
            ("answer", _) => words("What the API server got.", first(&ANSWERS)),
            ("would_reject", _) => words("Let through although a violation stood against it.", first(&YES_NO)),
            ("dry_run", "/api/v1/decisions" | "/api/v1/export") => {
                words("Only dry runs, or none of them.", first(&YES_NO))
            }
            ("dry_run", _) => words("Whether dry runs are counted too, or alone.", first(&DRY_RUNS)),
            ("candidate", _) => text("Decisions on which this candidate said something."),
            ("candidate_live", _) => words("What the policies in force said of it.", stances()),
            ("candidate_verdict", _) => words("What the candidate said.", stances()),
            ("format", "/api/v1/report/file") => words("How it is written.", first(&FORMS)),
            ("tz", _) => text("The zone in which times are written, as `Europe/Berlin`; else `report.time_zone`."),
            ("webhook", "/api/v1/agreement") => text("The webhook of the pair whose bars and causes are given."),
            ("webhook", _) => text("Decisions on which this webhook and local policies said something."),
            ("local", _) => text("Beside the webhook this local policy; without it all of them together."),
            ("local_verdict", _) => words("What local policies said, beside the webhook.", stances()),
            ("webhook_verdict", _) => words("What the webhook said.", stances()),
            ("agreement", _) => {
                words("Whether they agreed.", Accord::ALL.iter().map(|accord| accord.as_str()).collect())
            }
            ("exemption", _) => text("Decisions in which the exemption of this id let something through."),
            ("ticket", _) => text("Decisions that this break-glass ticket let through, or a glob when it holds `*`."),
            ("mode", _) => words("Only where the rule has this mode.", vec!["audit", "warn", "enforce"]),
            ("held_back", _) => {
                words("Only where something holds the rule back, or where nothing does.", first(&YES_NO))
            }
            ("before", _) => text("The `next` of the part before."),
            ("from", _) => text("The revision it is compared with; what was in force before without it."),
            ("format", _) => words("How lines are written.", first(&FORMATS)),
            ("of", _) => required(words("What is ranked.", first(&HITS))),
            ("new", _) => words("Only what was not hit in the span before.", first(&YES)),
            ("q", _) => required(text("A part of a name.")),
            ("event", _) => words("What was done.", Event::ALL.iter().map(|event| event.as_str()).collect()),
            ("id", _) => text("Of the inventory; the newest without it."),
            ("outlook", _) => words("What would become of it.", Outlook::ALL.iter().map(|one| one.as_str()).collect()),
            ("unreviewed", _) => words("Whether no review of it is known.", first(&YES_NO)),
            ("workloads", _) => words("Which workloads are listed.", first(&Shown::ALL)),
            ("limit", _) => Some(Self {
                says: "At most so many.",
                schema: json!({"type": "integer", "minimum": 1, "maximum": 1000}),
                is_required: false,
            }),
            ("after", _) => text("The `next` of the part before."),
            _ => None,
        }
    }

    fn moment(self) -> Self {
        Self { schema: json!({"type": "string", "description": MOMENT}), ..self }
    }
}

fn first<T>(choices: &[(&'static str, T)]) -> Vec<&'static str> {
    choices.iter().map(|(word, _)| *word).collect()
}

fn stances() -> Vec<&'static str> {
    Stance::ALL.iter().map(|stance| stance.as_str()).collect()
}
