//! One ConstraintTemplate.

use serde_json::Value as Json;

use super::super::rego::evaluator::Evaluator;
use super::super::rego::load;
use super::super::rules::Mistake;
use super::super::settings::{DataDocument, Dialect, Manifest, RegoModule, RegoSettings};

/// Compiled.
#[derive(Debug)]
pub struct Template {
    /// Of its constraints.
    pub kind: String,
    pub evaluator: Evaluator,
}

/// The target that admission is.
const TARGET: &str = "admission.k8s.gatekeeper.sh";

/// The text of a template, with its grammar.
struct Source<'a> {
    rego: &'a str,
    libs: Vec<&'a str>,
    dialect: Dialect,
}

// === impl Template ===

impl Template {
    /// With `inventory` as `data.inventory`, where there is one.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn compile(manifest: &Manifest, inventory: Option<&Json>) -> Result<Self, Vec<Mistake>> {
        let alone = |mistake| vec![mistake];
        let kind = kind(manifest).ok_or_else(|| {
            alone(manifest.mistake("the template names no spec.crd.spec.names.kind", "the kind of its constraints"))
        })?;
        let source = source(manifest, kind).map_err(alone)?;
        let file = |part: &str| format!("{}:{} ({kind}, {part})", manifest.file, manifest.line);
        let module = |part: &str, text: &str| RegoModule { file: file(part), text: text.to_owned(), dialect: None };
        let libs = source.libs.iter().enumerate().map(|(at, text)| module(&format!("libs[{at}]"), text));
        let own = module("rego", source.rego);
        let package = load::package(&own, source.dialect).map_err(alone)?;
        let data = inventory.map(|inventory| DataDocument {
            file: "inventory".to_owned(),
            at: vec!["inventory".to_owned()],
            json: inventory.to_string(),
        });
        let settings = RegoSettings {
            files: Vec::new(),
            modules: std::iter::once(own).chain(libs).collect(),
            data: data.into_iter().collect(),
            entrypoint: format!("{package}.violation"),
            dialect: source.dialect,
            input: None,
        };
        let loaded = load::load(&settings).map_err(|mistakes| {
            mistakes.into_iter().map(|mistake| Mistake { field: "files".to_owned(), ..mistake }).collect::<Vec<_>>()
        })?;
        Ok(Self { kind: kind.to_owned(), evaluator: Evaluator::new(loaded) })
    }
}

/// The kind of a template's constraints.
pub fn kind(manifest: &Manifest) -> Option<&str> {
    manifest.text("/spec/crd/spec/names/kind")
}

fn source<'a>(manifest: &'a Manifest, kind: &str) -> Result<Source<'a>, Mistake> {
    let targets = manifest.json.pointer("/spec/targets").and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
    let [target] = targets else {
        let problem = format!("template {kind} has {} targets", targets.len());
        return Err(manifest.mistake(problem, format!("one, `target: {TARGET}`")));
    };
    if target["target"] != TARGET {
        let problem = format!("template {kind} has the target {}", target["target"]);
        return Err(manifest.mistake(problem, format!("`target: {TARGET}`")));
    }
    let texts = |libs: &'a Json| libs.as_array().into_iter().flatten().filter_map(Json::as_str).collect::<Vec<_>>();
    let code = target["code"].as_array().into_iter().flatten();
    let of_engine = code.clone().find(|code| code["engine"] == "Rego").map(|code| &code["source"]);
    if let Some(source) = of_engine.filter(|source| source["rego"].is_string()) {
        let dialect = if source["version"] == "v1" { Dialect::V1 } else { Dialect::V0 };
        let rego = source["rego"].as_str().unwrap_or_default();
        return Ok(Source { rego, libs: texts(&source["libs"]), dialect });
    }
    if let Some(rego) = target["rego"].as_str().filter(|rego| !rego.trim().is_empty()) {
        return Ok(Source { rego, libs: texts(&target["libs"]), dialect: Dialect::V0 });
    }
    let others: Vec<&str> = code.filter_map(|code| code["engine"].as_str()).collect();
    Err(match others[..] {
        [] => manifest.mistake(format!("template {kind} has no code"), "targets[0].rego"),
        _ => manifest.mistake(
            format!("template {kind} is written for {} alone (CEL), which is not judged here", others.join(", ")),
            "the same in Rego beside it (`engine: Rego`)",
        ),
    })
}
