//! The house's own rules, held over its source text.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The floors of `src`, lowest first; a floor imports only from those before it.
const FLOORS: [&[&str]; 8] = [
    &["review"],
    &["policy"],
    &["store"],
    &["backend", "recorder"],
    &["admission", "web"],
    &["server"],
    &["config", "watch"],
    &["app", "cli", "commands", "logging", "main", "lib"],
];

/// What pure floors must not know.
const OUTSIDE_WORLD: [&str; 5] = ["tokio", "hyper", "hyper_util", "sqlx", "axum"];

/// Past this a file holds more than one noun.
const LINES: usize = 500;

/// Licences that ask no more of us than to name the authors. MPL-2.0 is by file, and we change none.
const LICENCES: [&str; 11] = [
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Zlib",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("UTF-8");
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has no source");
    found
}

/// `src/web/pages/x.rs` is of `web`, `src/config.rs` of `config`.
fn part(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).expect("in src");
    let first = inside.components().next().expect("a name").as_os_str().to_str().expect("UTF-8");
    first.trim_end_matches(".rs").to_owned()
}

fn floor(part: &str) -> usize {
    FLOORS.iter().position(|floor| floor.contains(&part)).unwrap_or_else(|| panic!("{part} stands on no floor"))
}

/// The parts that `text` names as `crate::PART`, nested `use crate::{a, b::c}` included.
fn imports(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => found.extend(top_level(list)),
            None => found.extend(first_word(rest)),
        }
    }
    found
}

fn top_level(list: &str) -> Vec<String> {
    let (mut depth, mut names, mut start) = (0_usize, Vec::new(), true);
    for (at, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            _ if start && character.is_alphabetic() => {
                names.extend(first_word(&list[at..]));
                start = false;
            }
            _ => {}
        }
    }
    names
}

fn first_word(text: &str) -> Option<String> {
    let word: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!word.is_empty()).then_some(word)
}

#[test]
fn a_floor_imports_only_floors_below_it() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        let own = part(&path);
        for imported in imports(&text) {
            // A macro or item of the crate's root is no floor.
            let known = FLOORS.iter().any(|floor| floor.contains(&imported.as_str()));
            if known && imported != own && floor(&imported) >= floor(&own) && floor(&own) < FLOORS.len() - 1 {
                wrong.push(format!("{} imports {imported}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_part_stands_on_a_floor_and_the_scan_sees_imports() {
    for (path, _) in sources("src") {
        floor(&part(&path));
    }
    let text =
        "use crate::{web::pages, review::{decision, image}, store};\nfn f() { crate::policy::load() }\n// crate::app";
    assert_eq!(imports(text), ["policy", "review", "store", "web"].map(str::to_owned).into());
}

#[test]
fn admission_and_web_never_meet() {
    for (path, text) in sources("src") {
        let other = match part(&path).as_str() {
            "admission" => "web",
            "web" => "admission",
            _ => continue,
        };
        assert!(!imports(&text).contains(other), "{} imports {other}", path.display());
    }
}

/// An answer never waits for the database: nothing on the way of a review can even name it. `tests/storeless.rs` sees
/// it happen.
#[test]
fn the_way_of_a_review_knows_no_store() {
    for (path, text) in sources("src") {
        let own = part(&path);
        if ["review", "policy", "backend", "recorder", "admission", "server"].contains(&own.as_str()) {
            assert!(!imports(&text).contains("store"), "{} imports store", path.display());
        }
    }
}

#[test]
fn the_floors_that_judge_know_no_runtime_and_no_database() {
    for (path, text) in sources("src") {
        if floor(&part(&path)) > 1 {
            continue;
        }
        for name in OUTSIDE_WORLD {
            let used = text.lines().any(|line| {
                !line.trim_start().starts_with("//")
                    && (line.contains(&format!("use {name}::")) || line.contains(&format!(" {name}::")))
            });
            assert!(!used, "{} uses {name}", path.display());
        }
    }
}

#[test]
fn a_file_holds_one_noun() {
    let long: Vec<String> = [sources("src"), sources("tests")]
        .concat()
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LINES)
        .map(|(path, lines)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "over {LINES}: {long:#?}");
}

#[test]
fn no_lint_is_waved_through_without_a_reason() {
    for (path, text) in sources("src") {
        for (number, line) in text.lines().enumerate() {
            let waved = line.contains("#[allow(") || line.contains("#![allow(");
            assert!(!waved, "{}:{} uses allow", path.display(), number + 1);
            let unfinished = ["todo!(", "unimplemented!(", "TODO", "FIXME"].iter().any(|word| line.contains(word));
            assert!(!unfinished, "{}:{} is unfinished", path.display(), number + 1);
        }
    }
}

// === what the documents promise ===

/// Everything that a reader is sent to: name and text.
fn documents() -> Vec<(PathBuf, String)> {
    let folder = std::fs::read_dir(root().join("docs")).expect("docs").map(|entry| entry.expect("readable").path());
    let pages = folder.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let all = pages.chain(["README.md", "CONTRIBUTING.md"].map(|name| root().join(name)));
    all.map(|path| (path.clone(), std::fs::read_to_string(&path).expect("UTF-8"))).collect()
}

/// The lines of a document's shell blocks that call the binary, continuation lines joined.
fn documented_commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut inside = false;
    for line in text.replace("\\\n", " ").lines() {
        if line.starts_with("```") {
            inside = line == "```sh" || line == "```console" || line == "```bash";
        } else if inside {
            let line = line.trim_start_matches("$ ");
            if line.starts_with("rehearsal ") {
                commands.push(line.to_owned());
            }
        }
    }
    commands
}

fn help(args: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_rehearsal")).args(args).arg("--help").output().expect("it runs");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn every_documented_command_and_flag_exists() {
    let commands: Vec<String> = documents().iter().flat_map(|(_, text)| documented_commands(text)).collect();
    assert!(commands.len() >= 5, "{commands:?}");
    for command in commands {
        let words: Vec<&str> = command.split_whitespace().skip(1).collect();
        let path: Vec<&str> = words
            .iter()
            .take_while(|word| word.chars().all(|c| c.is_ascii_lowercase()))
            .take(if ["ceiling", "config", "hold", "journal", "user"].contains(&words[0]) { 2 } else { 1 })
            .copied()
            .collect();
        let (known, text) = help(&path);
        assert!(known, "`{command}`: no such command");
        for flag in words.iter().filter(|word| word.starts_with("--")) {
            let flag = flag.split('=').next().expect("a name");
            assert!(text.contains(flag), "`{command}`: no {flag} in\n{text}");
        }
    }
}

#[test]
fn links_of_the_documents_lead_somewhere() {
    for (document, text) in documents() {
        let folder = document.parent().expect("a folder");
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split(')').next().expect("closed");
            let file = target.split('#').next().expect("a path");
            if file.is_empty() || file.contains("://") {
                continue;
            }
            assert!(folder.join(file).exists(), "{} links to {file}", document.display());
        }
    }
}

// === licences ===

#[test]
fn every_dependency_s_licence_is_on_the_list() {
    // Of this platform: what others would build is not fetched here, and `cargo deny` looks at it.
    let host = Command::new(env!("CARGO")).arg("-vV").output().expect("cargo");
    let host = String::from_utf8_lossy(&host.stdout).into_owned();
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", host])
        .current_dir(root())
        .output()
        .expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("a list");
    assert!(packages.len() > 100, "{} packages", packages.len());
    let mut refused = Vec::new();
    for package in packages {
        let licence = package["license"].as_str().unwrap_or_default();
        if !accepted(licence) {
            refused.push(format!("{} {}: {licence:?}", package["name"], package["version"]));
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn cargo_deny_accepts_the_same_licences() {
    let text = std::fs::read_to_string(root().join("deny.toml")).expect("the file");
    let list = text.split_once("\nallow = [").and_then(|(_, rest)| rest.split_once(']')).expect("a list").0;
    let accepted: Vec<&str> = list.split(',').map(|word| word.trim().trim_matches('"')).collect();
    assert_eq!(accepted.iter().filter(|word| !word.is_empty()).copied().collect::<Vec<_>>(), LICENCES);
}

/// An SPDX expression that the list satisfies: one side of each OR, every side of each AND.
fn accepted(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let holds = either(&words, &mut at);
    holds && at == words.len()
}

fn either(words: &[&str], at: &mut usize) -> bool {
    let mut holds = both(words, at);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        holds |= both(words, at);
    }
    holds
}

fn both(words: &[&str], at: &mut usize) -> bool {
    let mut holds = term(words, at);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        holds &= term(words, at);
    }
    holds
}

fn term(words: &[&str], at: &mut usize) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let holds = either(words, at);
        *at += 1;
        return holds;
    }
    if words.get(*at) == Some(&"WITH") {
        let exception = words.get(*at + 1).copied().unwrap_or_default();
        *at += 2;
        return LICENCES.contains(&format!("{word} WITH {exception}").as_str());
    }
    LICENCES.contains(word)
}

#[test]
fn licence_expressions_are_read_as_spdx_means_them() {
    for (expression, expected) in [
        ("MIT OR Apache-2.0", true),
        ("MIT/Apache-2.0", true),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("GPL-3.0", false),
        ("MIT AND GPL-3.0", false),
        ("MIT OR GPL-3.0", true),
        ("Apache-2.0 WITH LLVM-exception OR GPL-2.0", true),
        ("GPL-2.0 WITH Classpath-exception-2.0", false),
        ("", false),
    ] {
        assert_eq!(accepted(expression), expected, "{expression}");
    }
}
