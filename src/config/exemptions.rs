//! The meaning of what is written about exemptions, in the configuration itself and in files of their own.

use std::path::{Path, PathBuf};

use crate::policy::glob::{Glob, Subject};
use crate::policy::settings::{ExemptionSettings, PolicySettings};

use super::form::{Text, Written};
use super::listed::{self, Found};
use super::meaning::Ground;
use super::mistake::{Mistakes, Wrong};
use super::policies::texts;
use super::staging::globs;
use super::tree::Node;
use super::written::{self, Exemptions, OneOrMore};

/// Those that could be read, and where the others stand.
#[derive(Debug, Default)]
pub struct ReadExemptions {
    pub settings: Vec<ExemptionSettings>,
    /// As the configuration names them, in its order.
    files: Vec<PathBuf>,
}

/// The field that they stand in.
const FIELD: &str = "exemptions";

pub fn of(written: Option<Exemptions>, policies: &[PolicySettings], ground: &mut Ground<'_>) -> ReadExemptions {
    match written {
        None => ReadExemptions::default(),
        Some(Exemptions::Inline(list)) => {
            ReadExemptions { settings: all(list, FIELD, policies, ground), files: Vec::new() }
        }
        Some(Exemptions::Files(files)) => {
            let files = files.files.unwrap_or_default().iter().map(|path| ground.path(path)).collect();
            ReadExemptions { settings: Vec::new(), files }
        }
    }
}

/// What the files hold; those that were looked at go to `looked_at`, to be watched.
pub fn read_files(
    read: &mut ReadExemptions,
    policies: &[PolicySettings],
    tree: &Node,
    mistakes: &mut Mistakes,
    warnings: &mut Vec<String>,
    looked_at: &mut Vec<PathBuf>,
) {
    for (at, pattern) in read.files.iter().enumerate() {
        let field = format!("{FIELD}.files[{at}]");
        let files = match matching(pattern) {
            Ok(files) => files,
            Err(wrong) => {
                mistakes.add(tree.place_of(&field), &field, wrong);
                continue;
            }
        };
        if files.is_empty() {
            warnings.push(format!("{field}: there is no file {}", pattern.display()));
        }
        // A file that is added later is in the folder.
        looked_at.extend(pattern.parent().map(Path::to_owned).filter(|_| has_star(pattern)));
        for file in files {
            let mut found = Found { place: tree.place_of(&field), field: &field, mistakes, warnings };
            let more = listed::of_file(&file, FIELD, &mut found, |list, ground| all(list, "", policies, ground));
            read.settings.extend(more);
            looked_at.push(file);
        }
    }
}

fn has_star(pattern: &Path) -> bool {
    pattern.file_name().is_some_and(|name| name.to_string_lossy().contains('*'))
}

/// The files that a path with a `*` in its last part stands for, in the order of their names.
fn matching(pattern: &Path) -> Result<Vec<PathBuf>, Wrong> {
    if !has_star(pattern) {
        return Ok(vec![pattern.to_owned()]);
    }
    let name = pattern.file_name().unwrap_or_default().to_string_lossy();
    let glob = Glob::new(&name, Subject::Name);
    let folder = pattern.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(|error| {
        let problem = format!("{} cannot be read: {}", folder.display(), super::cause(&error));
        Wrong::new(problem, "name a folder that is there and that this user may read")
    })?;
    let names = entries.into_iter().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.') && glob.matches(name)).collect();
    names.sort();
    Ok(names.into_iter().map(|name| folder.join(name)).filter(|path| !path.is_dir()).collect())
}

fn all(
    list: Vec<written::Exemption>,
    path: &str,
    policies: &[PolicySettings],
    ground: &mut Ground<'_>,
) -> Vec<ExemptionSettings> {
    let list = list.into_iter().enumerate();
    list.map(|(at, one)| exemption(one, &format!("{path}[{at}]"), policies, ground)).collect()
}

fn exemption(
    written: written::Exemption,
    path: &str,
    policies: &[PolicySettings],
    ground: &mut Ground<'_>,
) -> ExemptionSettings {
    let field = |name: &str| format!("{path}.{name}");
    let mut list = |written: Option<OneOrMore<Written<Text>>>, name: &str, subject| {
        let patterns = texts(written);
        globs(&patterns, &field(name), subject, ground);
        patterns
    };
    let settings = ExemptionSettings {
        policies: list(written.policy, "policy", Subject::Name),
        rules: list(written.rule, "rule", Subject::Name),
        clusters: list(written.clusters, "clusters", Subject::Name),
        namespaces: list(written.namespaces, "namespaces", Subject::Name),
        workloads: list(written.workloads, "workloads", Subject::Name),
        images: list(written.images, "images", Subject::Image),
        containers: list(written.containers, "containers", Subject::Name),
        until: written.until.map(|until| until.0.0),
        warn_before: written.warn_before.map_or(ExemptionSettings::WARN_BEFORE, |before| before.0),
        ticket: written.ticket.map(|text| text.0.0),
        owner: written.owner.map(|text| text.0.0),
        reason: written.reason.map(|text| text.0.0),
    };
    match (ground.tree.at(&field("until")).is_some(), written.permanent == Some(true)) {
        (false, false) if !ground.mistakes.touch(&field("until")) => {
            let fix = "add `until: 2026-12-01`, or `permanent: true` where there is no such day";
            ground.wrong(&field("until"), Wrong::new("is missing", fix));
        }
        (true, true) => {
            ground.wrong(&field("permanent"), Wrong::new("stands beside until", "keep one of the two"));
        }
        (false, false) | (true, false) | (false, true) => {}
    }
    if ["namespaces", "workloads", "images"].iter().all(|name| ground.tree.at(&field(name)).is_none()) {
        let fix = "give namespaces, workloads or images";
        ground.wrong_once(path, Wrong::new("it exempts everything everywhere", fix));
    }
    for name in &settings.policies {
        let glob = Glob::new(name, Subject::Name);
        if !policies.iter().any(|policy| glob.matches(&policy.name)) {
            ground.warnings.push(format!("{}: no policy is called {name}", field("policy")));
        }
    }
    settings
}
