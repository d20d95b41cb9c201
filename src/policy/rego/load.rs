//! From texts to an engine that is ready. What could only fail later, or silently allow, is a mistake here.

use std::collections::HashSet;

use regorus::unstable::{Module, Ref};
use regorus::{Engine, Value};

use crate::review::decision::Mode;

use super::super::rules::Mistake;
use super::super::settings::{Dialect, RegoModule, RegoSettings};
use super::input::Form;
use super::results::Entry;
use super::syntax::{self, Kind, Names};
use super::{builtins, helpers, shims};

/// All that is to be known of a policy before its first review.
#[derive(Debug)]
pub struct Loaded {
    /// Ready: clones of it share all but their evaluation.
    pub engine: Engine,
    pub form: Form,
    pub entry: Entry,
    /// A set `warn` beside the entry point, as conftest has it.
    pub warn: Option<Entry>,
    pub prints: bool,
}

/// A module, read.
struct Parsed {
    module: Ref<Module>,
    /// `data` and the steps of its package.
    package: Vec<String>,
    /// The names that imports give, with what they stand for.
    imports: Vec<(String, Vec<String>)>,
    /// Under the package.
    rules: Vec<(Vec<String>, Kind)>,
}

/// A place in a module, and what is wrong there.
struct Fault {
    /// `file:line:column`.
    place: String,
    problem: String,
    fix: String,
}

/// # Errors
/// Every mistake; those of one step only where the steps before it found none.
pub fn load(settings: &RegoSettings) -> Result<Loaded, Vec<Mistake>> {
    let mut engine = Engine::new();
    engine.set_strict_builtin_errors(false);
    let mut modules = parse(&mut engine, settings)?;
    let data = data(&mut engine, settings)?;
    add_helpers(&mut engine, &mut modules)?;
    let faults: Vec<Fault> = modules.iter().flat_map(|module| faults(module, &modules, &data)).collect();
    if !faults.is_empty() {
        return Err(faults.into_iter().map(Fault::into_mistake).collect());
    }
    let entry = entry(&settings.entrypoint, &modules)?;
    let sibling = entry.path.trim_end_matches(&entry.name).to_owned() + "warn";
    let warn = self::entry(&sibling, &modules).ok();
    let warn = warn.filter(|warn| warn.kind == Some(Kind::Set) && warn.name != entry.name);
    let warn = warn.map(|warn| Entry { most: Mode::Warn, ..warn });
    shims::add(&mut engine).map_err(|error| vec![engine_mistake(&error)])?;
    for entry in [Some(&entry), warn.as_ref()].into_iter().flatten() {
        engine.compile_with_entrypoint(&entry.path.as_str().into()).map_err(|error| vec![engine_mistake(&error)])?;
    }
    let form = settings.input.unwrap_or_else(|| form(settings, &modules));
    let prints = modules.iter().any(|module| Names::of(&module.module).calls.iter().any(|call| call.name == "print"));
    engine.set_gather_prints(prints);
    Ok(Loaded { engine, form, entry, warn, prints })
}

/// `data` and the steps of a module's package.
///
/// # Errors
/// It cannot be read.
pub fn package(module: &RegoModule, dialect: Dialect) -> Result<String, Mistake> {
    let parsed = add(&mut Engine::new(), module, dialect).map_err(Fault::into_mistake)?;
    Ok(parsed.package.join("."))
}

// === modules ===

fn parse(engine: &mut Engine, settings: &RegoSettings) -> Result<Vec<Parsed>, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let mut parsed = Vec::with_capacity(settings.modules.len());
    for module in &settings.modules {
        match add(engine, module, module.dialect.unwrap_or(settings.dialect)) {
            Ok(one) => parsed.push(one),
            Err(fault) => mistakes.push(fault.into_mistake()),
        }
    }
    if mistakes.is_empty() { Ok(parsed) } else { Err(mistakes) }
}

fn add(engine: &mut Engine, module: &RegoModule, dialect: Dialect) -> Result<Parsed, Fault> {
    let dialects: &[bool] = match dialect {
        Dialect::Auto => &[false, true],
        Dialect::V0 => &[true],
        Dialect::V1 => &[false],
    };
    let mut farthest: Option<Fault> = None;
    for &v0 in dialects {
        engine.set_rego_v0(v0);
        match engine.add_policy(module.file.clone(), module.text.clone()) {
            Ok(_) => {
                let module = engine.get_modules().last().cloned().expect("one was added");
                return Ok(Parsed::of(module));
            }
            // The dialect that it is in is the one that goes farther.
            Err(error) => {
                let fault = Fault::of(&error.to_string(), &module.file);
                if farthest.as_ref().is_none_or(|farthest| farthest.position() < fault.position()) {
                    farthest = Some(fault);
                }
            }
        }
    }
    Err(farthest.expect("there is at least one dialect"))
}

/// What kubernetes-policy-controller has under `data`, where a policy asks for it and brings none of its own.
fn add_helpers(engine: &mut Engine, modules: &mut Vec<Parsed>) -> Result<(), Vec<Mistake>> {
    let asked = |name: &str| {
        let references = modules.iter().flat_map(references).filter(|path| path.0[0] == "data");
        references.filter(|path| path.0.get(1).is_some_and(|step| step == name)).map(|path| path.0).collect::<Vec<_>>()
    };
    let (matches, kubernetes) = (asked("k8s"), asked("kubernetes"));
    let brings = |name: &str| modules.iter().any(|module| module.package.get(1).is_some_and(|step| step == name));
    let wants_kubernetes = !kubernetes.is_empty() && !brings("kubernetes");
    let wants_matches = (!matches.is_empty() || wants_kubernetes) && !brings("k8s");
    let resources = kubernetes.iter().filter_map(|path| path.get(2).map(String::as_str));
    let texts = [
        ("rehearsal/matches.rego", wants_matches.then(|| helpers::MATCHES.to_owned())),
        ("rehearsal/kubernetes.rego", wants_kubernetes.then(|| helpers::kubernetes(resources))),
    ];
    for (file, text) in texts {
        let Some(text) = text else { continue };
        let module = RegoModule { file: file.to_owned(), text, dialect: None };
        modules.push(add(engine, &module, Dialect::V1).map_err(|fault| vec![fault.into_mistake()])?);
    }
    Ok(())
}

fn data(engine: &mut Engine, settings: &RegoSettings) -> Result<Value, Vec<Mistake>> {
    for document in &settings.data {
        let added = Value::from_json_str(&document.json).and_then(|value| {
            let value = document.at.iter().rev().fold(value, |value, step| {
                std::collections::BTreeMap::from([(Value::from(step.as_str()), value)]).into()
            });
            engine.add_data(value)
        });
        added.map_err(|error| {
            let problem = format!("{}: {}", document.file, one_line(&error.to_string()));
            vec![Mistake::new(
                "files",
                problem,
                "one object in each document, and no value that another one has set otherwise",
            )]
        })?;
    }
    Ok(engine.get_data())
}

// === impl Parsed ===

impl Parsed {
    fn of(module: Ref<Module>) -> Self {
        let with_data = |path: Vec<String>| -> Vec<String> {
            let root = (path.first().map(String::as_str) != Some("data")).then(|| "data".to_owned());
            root.into_iter().chain(path).collect()
        };
        let package = with_data(syntax::constant_path(&module.package.refr).unwrap_or_default());
        let imports = module.imports.iter().filter_map(|import| {
            let path = syntax::constant_path(&import.refr)?;
            let name = import.r#as.as_ref().map(|name| name.text().to_owned()).or_else(|| path.last().cloned())?;
            Some((name, path))
        });
        let imports = imports.collect();
        let rules = module.policy.iter().filter_map(|rule| syntax::declared(rule)).collect();
        Self { module, package, imports, rules }
    }

    /// With an import's name replaced by what it stands for.
    fn expand(&self, path: &[String]) -> Vec<String> {
        match self.imports.iter().find(|(name, _)| *name == path[0]) {
            Some((_, stands_for)) => stands_for.iter().chain(&path[1..]).cloned().collect(),
            None => path.to_vec(),
        }
    }

    fn full(&self, rule: &[String]) -> Vec<String> {
        self.package.iter().chain(rule).cloned().collect()
    }

    /// Whether `path` leads to something in it, or leads it.
    fn has(&self, path: &[String]) -> bool {
        if self.package.starts_with(path) {
            return true;
        }
        let Some(rest) = path.strip_prefix(self.package.as_slice()) else { return false };
        self.rules.iter().any(|(rule, _)| rest.starts_with(rule) || rule.starts_with(rest))
    }
}

/// A path from `data` or `input`, with its place.
type Path = (Vec<String>, String);

/// Everything that a module names of `data` and `input`, its imports too.
fn references(module: &Parsed) -> Vec<Path> {
    let place = |span: &regorus::unstable::Span| format!("{}:{}:{}", span.source.file(), span.line, span.col);
    let imported = module
        .module
        .imports
        .iter()
        .filter_map(|import| Some((syntax::constant_path(&import.refr)?, place(syntax::start(&import.refr)))));
    let names = Names::of(&module.module);
    let named = names.references.iter().map(|reference| (module.expand(&reference.path), place(reference.span)));
    imported.chain(named).filter(|(path, _)| matches!(path[0].as_str(), "data" | "input")).collect()
}

// === what is wrong in a module ===

fn faults(module: &Parsed, modules: &[Parsed], data: &Value) -> Vec<Fault> {
    let mut faults: Vec<Fault> =
        Names::of(&module.module).calls.iter().filter_map(|call| call_fault(call, module, modules)).collect();
    let mut told = HashSet::new();
    for (path, place) in references(module) {
        let nowhere =
            path[0] == "data" && path.len() > 1 && !modules.iter().any(|one| one.has(&path)) && !in_data(data, &path);
        // A name that an import has brought is told once, there.
        if nowhere && told.insert(path[..2].to_vec()) {
            faults.push(nowhere_fault(&path, place));
        }
    }
    faults
}

fn nowhere_fault(path: &[String], place: String) -> Fault {
    let (problem, fix) = match path[1].as_str() {
        "inventory" => (
            "data.inventory is what Gatekeeper replicates of a cluster, which is not known here".to_owned(),
            "a policy that needs the review alone".to_owned(),
        ),
        _ => (
            format!("{} is in no file of this policy, so what needs it would silently allow", path.join(".")),
            "add the file that has it to `files` (an empty document, where it is meant to be empty)".to_owned(),
        ),
    };
    Fault { place, problem, fix }
}

fn call_fault(call: &syntax::Call<'_>, module: &Parsed, modules: &[Parsed]) -> Option<Fault> {
    let path: Vec<String> = call.name.split('.').map(str::to_owned).collect();
    let full = module.expand(&path);
    let is_function = |path: &[String]| {
        modules.iter().any(|one| one.rules.iter().any(|(rule, kind)| *kind == Kind::Function && one.full(rule) == path))
    };
    if is_function(&full) || is_function(&module.full(&path)) || builtins::is_pure(&call.name) {
        return None;
    }
    let span = call.span;
    let place = format!("{}:{}:{}", span.source.file(), span.line, span.col);
    let (problem, fix) = match builtins::why_refused(&call.name) {
        Some(why) => (
            format!("{} is refused: {why}, and the same review must always have the same verdict", call.name),
            "a policy without it".to_owned(),
        ),
        None => (
            format!("there is no function {}", call.name),
            match builtins::nearest(&call.name) {
                Some(near) => near.to_owned(),
                None => "a function of this policy's files, or a built-in of docs/rego.md".to_owned(),
            },
        ),
    };
    Some(Fault { place, problem, fix })
}

/// Whether the documents have it. What is inside a value that is no object is not known to be nowhere.
fn in_data(data: &Value, path: &[String]) -> bool {
    let mut value = data;
    for (at, step) in path[1..].iter().enumerate() {
        // What is replicated of a cluster is another for each.
        if at > 0 && path[1] == "inventory" {
            return true;
        }
        let Ok(object) = value.as_object() else { return true };
        match object.get(&Value::from(step.as_str())) {
            Some(inside) => value = inside,
            None => return false,
        }
    }
    true
}

// === entry point and input ===

fn entry(path: &str, modules: &[Parsed]) -> Result<Entry, Vec<Mistake>> {
    let steps: Vec<String> = path.split('.').map(str::to_owned).collect();
    let rules = || modules.iter().flat_map(|module| module.rules.iter().map(|(rule, kind)| (module.full(rule), *kind)));
    let mistaken = |problem: String, fix: String| Err(vec![Mistake::new("entrypoint", problem, fix)]);
    let found: Vec<Kind> = rules().filter(|(rule, _)| *rule == steps).map(|(_, kind)| kind).collect();
    // `default deny = ..` beside a set is the engine's to refuse.
    match found.iter().find(|kind| **kind != Kind::Complete).or(found.first()) {
        Some(Kind::Function) => mistaken(format!("{path} is a function"), "a rule".to_owned()),
        Some(&kind) => {
            let name = steps.last().cloned().unwrap_or_default();
            Ok(Entry { path: path.to_owned(), name, kind: Some(kind), most: Mode::Enforce })
        }
        None => {
            let known: Vec<String> = rules()
                .filter(|(rule, kind)| *kind != Kind::Function && rule.get(1).is_none_or(|step| step != "k8s"))
                .map(|(rule, _)| rule.join("."))
                .collect();
            let near = known
                .iter()
                .max_by(|one, other| strsim::jaro_winkler(path, one).total_cmp(&strsim::jaro_winkler(path, other)));
            let fix = near.map_or_else(|| "a file with a rule".to_owned(), Clone::clone);
            mistaken(format!("`{path}` is no rule of these files, so nothing would ever be denied"), fix)
        }
    }
}

fn form(settings: &RegoSettings, modules: &[Parsed]) -> Form {
    let paths: Vec<Vec<String>> = modules.iter().flat_map(references).map(|(path, _)| path).collect();
    let says = settings.modules.iter().any(|module| module.text.contains("\"ImageReview\""));
    Form::detect(&paths, says)
}

// === impl Fault ===

impl Fault {
    /// Of an error of the engine: it names file, line and column above a picture of the place.
    fn of(error: &str, file: &str) -> Self {
        let located = error.split_once("--> ").and_then(|(_, rest)| {
            let (place, picture) = rest.split_once('\n')?;
            let (_, problem) = picture.rsplit_once("error: ")?;
            Some((place.trim().to_owned(), problem.trim().to_owned()))
        });
        let (place, problem) = located.unwrap_or_else(|| (file.to_owned(), one_line(error)));
        Self {
            place,
            problem: one_line(&problem),
            fix: "Rego as OPA reads it (`opa check` names the same place)".to_owned(),
        }
    }

    fn position(&self) -> (u32, u32) {
        let mut numbers = self.place.rsplit(':').map_while(|number| number.parse().ok());
        let column = numbers.next().unwrap_or(0);
        (numbers.next().unwrap_or(0), column)
    }

    fn into_mistake(self) -> Mistake {
        Mistake::new("files", format!("{}: {}", self.place, self.problem), self.fix)
    }
}

fn engine_mistake(error: &anyhow::Error) -> Mistake {
    Fault::of(&error.to_string(), "the policy").into_mistake()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
