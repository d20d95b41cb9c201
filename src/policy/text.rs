//! All that judges, as one text: what a revision is named after.
//!
//! It is JSON in the words of the configuration, with the texts of all files that the policies name, so that whoever reads
//! it needs nothing else. Two forms differ in one thing: the one that is shown has no parameters of a webhook's URL, which
//! may be a password.

use serde::{Deserialize, Serialize};

use super::settings::{PolicySettings, SourceSettings, StagingSettings};

/// Raised when what was written before means something else.
const FORMAT: u32 = 1;

/// In place of what may be a password.
const HIDDEN: &str = "..";

#[derive(Debug, Serialize)]
struct Written<'a> {
    format: u32,
    policies: &'a [PolicySettings],
    #[serde(flatten)]
    staging: &'a StagingSettings,
}

#[derive(Debug, Deserialize)]
struct Read {
    format: u32,
    policies: Vec<PolicySettings>,
    #[serde(flatten)]
    staging: StagingSettings,
}

/// A text that is none of these.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    #[error("it is not what this version writes: {0}")]
    Json(#[from] serde_json::Error),
    #[error("it is of format {0}, and this version reads {FORMAT}")]
    Format(u32),
}

/// Whole, to load again.
pub fn whole(policies: &[PolicySettings], staging: &StagingSettings) -> String {
    let text = serde_json::to_string_pretty(&Written { format: FORMAT, policies, staging });
    text.expect("keys are strings, and every path of a configuration is text")
}

/// As it may be shown to whoever sees the report.
pub fn shown(policies: &[PolicySettings], staging: &StagingSettings) -> String {
    let mut policies = policies.to_vec();
    for policy in &mut policies {
        if let SourceSettings::Webhook(webhook) = &mut policy.source
            && webhook.url.query().is_some()
        {
            webhook.url = without_parameters(&webhook.url);
        }
    }
    whole(&policies, staging)
}

/// What a [`whole`] text holds.
///
/// # Errors
/// It is none.
pub fn read(text: &str) -> Result<(Vec<PolicySettings>, StagingSettings), TextError> {
    let Read { format, policies, staging } = serde_json::from_str(text)?;
    if format == FORMAT { Ok((policies, staging)) } else { Err(TextError::Format(format)) }
}

fn without_parameters(url: &http::Uri) -> http::Uri {
    let mut parts = url.clone().into_parts();
    let path = format!("{}?{HIDDEN}", url.path());
    parts.path_and_query = Some(path.parse().expect("a path and two dots"));
    http::Uri::from_parts(parts).expect("the parts of a URL")
}

/// A text of several lines as a list of them.
pub(super) mod lines {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(text.split('\n'))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
        Ok(Vec::<String>::deserialize(deserializer)?.join("\n"))
    }
}

pub(super) mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Ok(Duration::from_millis(u64::deserialize(deserializer)?))
    }
}

pub(super) mod url {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(url: &http::Uri, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(url)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<http::Uri, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;
    use crate::policy::rego::input::Form;
    use crate::policy::settings::{
        BreakGlassSettings, CheckSettings, DataDocument, Dialect, ExemptionSettings, MatchSettings, OnError,
        RegoModule, RegoSettings, Requirement, ScopeSettings, Speaks, StageSettings, WebhookSettings, built_in,
    };
    use crate::review::decision::{Mode, Operation};
    use crate::review::image::Role;

    fn policies() -> Vec<PolicySettings> {
        let mut all = built_in();
        let SourceSettings::Rules(rules) = &mut all[0].source else { panic!("it has rules") };
        let mut scoped = rules[0].clone();
        scoped.id = "scoped".to_owned();
        scoped.mode = Some(Mode::Enforce);
        scoped.check = CheckSettings::Require(vec![Requirement::Digest]);
        scoped.scope = ScopeSettings {
            namespaces: vec!["team-*".to_owned()],
            operations: vec![Operation::Create],
            containers: vec![Role::Init],
            ..ScopeSettings::default()
        };
        scoped.placeholders = Vec::new();
        let mut allowed = scoped.clone();
        allowed.id = "allowed".to_owned();
        allowed.check =
            CheckSettings::Allow(MatchSettings { image: vec!["a/**".to_owned()], ..MatchSettings::default() });
        rules.extend([scoped, allowed]);
        let policy = |name: &str, source| PolicySettings {
            name: name.to_owned(),
            mode: Mode::Warn,
            rollout: vec![StageSettings {
                rules: Vec::new(),
                namespaces: vec!["shop".to_owned()],
                clusters: Vec::new(),
                percent: 25,
                salt: Some("s".to_owned()),
                mode: Mode::Enforce,
            }],
            on_error: OnError::Deny,
            source,
        };
        all.push(policy(
            "rego",
            SourceSettings::Rego(RegoSettings {
                files: vec![PathBuf::from("p")],
                modules: vec![RegoModule {
                    file: "p/a.rego".to_owned(),
                    text: "package p\r\n\n\tdeny { false }\n".to_owned(),
                    dialect: Some(Dialect::V0),
                }],
                data: vec![DataDocument {
                    file: "p/b.json".to_owned(),
                    at: vec!["x".to_owned()],
                    json: "{}".to_owned(),
                }],
                entrypoint: "data.p.deny".to_owned(),
                dialect: Dialect::Auto,
                input: Some(Form::Object),
            }),
        ));
        all.push(policy(
            "webhook",
            SourceSettings::Webhook(WebhookSettings {
                url: "https://gate.test/judge?token=hunter2".parse().unwrap(),
                speaks: Speaks::AdmissionReview,
                bridge: false,
                timeout: Duration::from_millis(1_500),
                ca: Some(PathBuf::from("ca.crt")),
                client_identity: Some((PathBuf::from("a"), PathBuf::from("b"))),
                token_file: None,
                max_in_flight: 7,
                overridable: true,
            }),
        ));
        all
    }

    #[test]
    fn a_whole_text_is_read_as_what_it_was_written_from() {
        let exemption = ExemptionSettings { ticket: Some("SEC-1".to_owned()), ..ExemptionSettings::default() };
        let ticket = BreakGlassSettings {
            annotation: "**".to_owned(),
            value: "yes".to_owned(),
            policies: vec!["p".to_owned()],
            rules: Vec::new(),
            clusters: Vec::new(),
            namespaces: Vec::new(),
            users: vec!["alice".to_owned()],
            groups: vec!["sre".to_owned()],
            lasts: Duration::from_millis(7),
        };
        let (exemptions, break_glass) = (vec![exemption], vec![ticket]);
        let staging = StagingSettings { exemptions, break_glass, ..StagingSettings::default() };
        assert_eq!(read(&whole(&policies(), &staging)).unwrap(), (policies(), staging));
    }

    #[test]
    fn it_is_written_in_the_words_of_the_configuration() {
        let text: serde_json::Value = serde_json::from_str(&shown(&policies(), &StagingSettings::default())).unwrap();
        let rules = &text["policies"][0]["rules"];
        assert_eq!(rules[0]["deny"], serde_json::json!({"tag": ["latest"]}));
        assert_eq!((&rules[1]["require"][0], &rules[1]["namespaces"][0]), (&"digest".into(), &"team-*".into()));
        assert_eq!(rules[0].get("namespaces"), None, "what says nothing is left out");
        assert_eq!(text["policies"][1]["rego"]["modules"][0]["text"][0], "package p\r", "a line each");
        assert_eq!(text["policies"][2]["webhook"]["timeout_ms"], 1_500);
    }

    #[test]
    fn what_may_be_a_password_is_not_shown() {
        let text = shown(&policies(), &StagingSettings::default());
        assert!(!text.contains("hunter2") && text.contains("https://gate.test/judge?.."), "{text}");
    }

    #[test]
    fn what_another_version_wrote_is_named() {
        let newer = whole(&policies(), &StagingSettings::default()).replacen("\"format\": 1", "\"format\": 2", 1);
        assert_eq!(read(&newer).unwrap_err().to_string(), "it is of format 2, and this version reads 1");
        let error = read("{\"format\": 1}").unwrap_err().to_string();
        assert!(error.contains("missing field `policies`"), "{error}");
    }
}
