//! The words that get Rehearsal out of a cluster's way. `docs/runbook.md` has the same, and a test runs each.

use super::super::vitals::Bounds;

/// What to do, and the command for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    pub what: String,
    /// To be pasted as it is, but for the ticket.
    pub command: Option<String>,
}

/// What stands for a ticket's number.
const TICKET: &str = "INC-1";

/// The gentlest first.
pub fn out(bounds: &Bounds) -> Vec<Remedy> {
    let gentle = vec![
        Remedy::ceiling(bounds),
        Remedy::in_the_pod(bounds),
        Remedy::ceiling_over_webhooks(bounds),
        Remedy::lift(bounds),
        Remedy::look_at_the_webhook(),
        Remedy::failure_policy(),
        Remedy::default_allow(),
    ];
    gentle.into_iter().chain(Remedy::take_out()).collect()
}

// === impl Remedy ===

impl Remedy {
    pub fn told(what: impl Into<String>) -> Self {
        Self { what: what.into(), command: None }
    }

    pub fn run(what: impl Into<String>, command: impl Into<String>) -> Self {
        Self { what: what.into(), command: Some(command.into()) }
    }

    /// No local policy rejects any more.
    pub fn ceiling(bounds: &Bounds) -> Self {
        Self::run(
            "Hold back every local policy for two hours: what it would reject is recorded and let through. It acts within a \
             second, without a restart or a database, and ends by itself.",
            format!("rehearsal ceiling audit --for 2h --ticket {TICKET}{}", config(bounds)),
        )
    }

    /// Nor does a webhook behind us.
    pub fn ceiling_over_webhooks(bounds: &Bounds) -> Self {
        Self::run(
            "Hold back the webhooks behind Rehearsal, too: what your backend denies is let through, and nobody waits for it.",
            format!("rehearsal ceiling audit --for 2h --ticket {TICKET} --include-webhooks{}", config(bounds)),
        )
    }

    pub fn ceiling_of(policy: &str, is_webhook: bool, bounds: &Bounds) -> Self {
        let webhooks = if is_webhook { " --include-webhooks" } else { "" };
        Self::run(
            format!("Hold back {policy} alone."),
            format!("rehearsal ceiling audit --for 2h --ticket {TICKET} --policy {policy}{webhooks}{}", config(bounds)),
        )
    }

    pub fn in_the_pod(bounds: &Bounds) -> Self {
        Self::run(
            "The same from a desk, inside one of the replicas.",
            format!(
                "kubectl -n rehearsal exec statefulset/rehearsal -- rehearsal ceiling audit --for 2h --ticket {TICKET}{}",
                config(bounds)
            ),
        )
    }

    pub fn lift(bounds: &Bounds) -> Self {
        Self::run(
            "Back again before the two hours are over.",
            format!("rehearsal ceiling lift --ticket {TICKET}{}", config(bounds)),
        )
    }

    /// What of the webhook configuration has to be known before it is changed.
    pub fn look_at_the_webhook() -> Self {
        Self::run(
            "What the API server does now when Rehearsal does not answer.",
            "kubectl get validatingwebhookconfiguration rehearsal -o \
             'custom-columns=NAME:.webhooks[*].name,FAILUREPOLICY:.webhooks[*].failurePolicy,TIMEOUT:.webhooks[*].timeoutSeconds'",
        )
    }

    pub fn failure_policy() -> Self {
        Self::run(
            "Have the API server go on without an answer of Rehearsal, when it fails or is late. What Rehearsal denies stays \
             denied: that a ceiling changes.",
            r#"kubectl patch validatingwebhookconfiguration rehearsal --type=json -p '[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Ignore"}]'"#,
        )
    }

    pub fn timeout() -> Self {
        Self::run(
            "Have the API server wait a second at most, where it is slow.",
            r#"kubectl patch validatingwebhookconfiguration rehearsal --type=json -p '[{"op":"replace","path":"/webhooks/0/timeoutSeconds","value":1}]'"#,
        )
    }

    /// As the last resort.
    pub fn take_out() -> Vec<Self> {
        vec![
            Self::run(
                "Take Rehearsal out altogether, whatever it answers: keep the configuration first. Nothing is judged or \
                 recorded from then on, and the backend behind it is not asked either.",
                "kubectl get validatingwebhookconfiguration rehearsal -o yaml > rehearsal-webhook.yaml",
            ),
            Self::run("Then delete it.", "kubectl delete validatingwebhookconfiguration rehearsal"),
        ]
    }

    pub fn default_allow() -> Self {
        Self::run(
            "On the path of the ImagePolicyWebhook plugin, on each control plane node: the API server goes on without an \
             answer. It reads the file at its start, so restart it afterwards.",
            "sed -i 's/defaultAllow: false/defaultAllow: true/' /etc/kubernetes/admission/admission.yaml",
        )
    }

    /// Whether another webhook is the cause.
    pub fn others() -> Vec<Self> {
        vec![
            Self::run(
                "All webhooks that the API server asks. A denial names the one that it is by: `admission webhook \"NAME\" denied \
                 the request`; a failure says `failed calling webhook \"NAME\"`.",
                "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations",
            ),
            Self::run(
                "What the API server counted of each of them: rejections, failures let through, and how long they took.",
                "kubectl get --raw /metrics | grep '^apiserver_admission_webhook_'",
            ),
        ]
    }

    pub fn check(bounds: &Bounds) -> Self {
        let what = "Every mistake, with its line; the log has them, too.";
        match file(bounds) {
            Some(file) => Self::run(what, format!("rehearsal config check {file}")),
            None => Self::told(what),
        }
    }
}

/// The flag that names it; none where `serve` needed none.
fn config(bounds: &Bounds) -> String {
    file(bounds).map(|file| format!(" --config {file}")).unwrap_or_default()
}

/// As one word of a shell.
fn file(bounds: &Bounds) -> Option<String> {
    let text = bounds.config.as_ref()?.display().to_string();
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    Some(if is_plain { text } else { format!("'{}'", text.replace('\'', r"'\''")) })
}
