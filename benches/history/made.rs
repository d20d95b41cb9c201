//! Two made-up histories of different sizes, as the real binary makes them.
//!
//! `SIZES=1000000,100000000` says how many decisions each has (on Postgres `POSTGRES_SIZES`), `HISTORIES` a folder in
//! which SQLite's are made once and kept: a hundred million take 17 GB.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::harness::postgres::{PASSWORD, Server};
use crate::support::Run;

/// Nothing is due while it is measured.
const KEPT: &str = "retention: {decisions: 3650d, notable: 3650d, dry_run: 3650d, events: 3650d, rollups: 3650d}";

/// Each of three clusters has a third of five thousand.
const NAMESPACES: &str = "1667";

const RULES: usize = 200;

/// The small one first.
pub struct Made {
    pub sizes: [u64; 2],
    /// Data directories.
    pub folders: [PathBuf; 2],
    /// YAML that names them.
    pub configs: [String; 2],
    _directory: TempDir,
}

// === impl Made ===

impl Made {
    pub fn on_sqlite(run: &Run) -> Self {
        let sizes = sizes(run, "SIZES", "1000000,100000000");
        let directory = tempfile::tempdir().expect("a folder");
        let kept = std::env::var_os("HISTORIES").filter(|_| !run.smoke).map(PathBuf::from);
        let folder = kept.as_deref().unwrap_or(directory.path());
        let folders = sizes.map(|size| folder.join(size.to_string()));
        let configs = folders.each_ref().map(|data| format!("data_dir: '{}'\n{KEPT}\n{}", data.display(), policies()));
        for ((size, data), config) in sizes.iter().zip(&folders).zip(&configs) {
            if !data.join("history.sqlite").exists() {
                generate(run, data, config, *size);
            }
        }
        Self { sizes, folders, configs, _directory: directory }
    }

    pub fn on_postgres(run: &Run, server: &Server) -> Self {
        let sizes = sizes(run, "POSTGRES_SIZES", "1000000,10000000");
        let directory = tempfile::tempdir().expect("a folder");
        let password = directory.path().join("password");
        fs::write(&password, PASSWORD).expect("a password file");
        let folders = sizes.map(|size| directory.path().join(size.to_string()));
        let configs = folders.each_ref().map(|data| {
            let url = server.url(&server.database());
            let store = format!("store: {{url: '{url}', password_file: '{}'}}", password.display());
            format!("data_dir: '{}'\n{store}\n{KEPT}\n{}", data.display(), policies())
        });
        for ((size, data), config) in sizes.iter().zip(&folders).zip(&configs) {
            generate(run, data, config, *size);
        }
        Self { sizes, folders, configs, _directory: directory }
    }
}

/// So many rules, of which the made-up images break the first by their nature.
fn policies() -> String {
    let own = (2..=RULES).map(|number| format!("{{id: rule-{number:03}, deny: {{registry: registry-{number}.test}}}}"));
    let rules: Vec<String> = ["{id: no-latest, deny: {tag: latest}}".to_owned()].into_iter().chain(own).collect();
    format!("policies: [{{name: images, mode: audit, rules: [{}]}}]", rules.join(", "))
}

fn sizes(run: &Run, variable: &str, usual: &str) -> [u64; 2] {
    let text = std::env::var(variable).unwrap_or_else(|_| usual.to_owned());
    let sizes: Vec<u64> = text.split(',').map(|size| size.parse().expect("a number")).collect();
    if run.smoke { [100, 200] } else { sizes.try_into().expect("two sizes") }
}

fn generate(run: &Run, folder: &Path, config: &str, size: u64) {
    fs::create_dir_all(folder).expect("a folder");
    fs::write(folder.join("generate.yaml"), config).expect("a file");
    // In a smoke run few days: each takes as long as its decisions would.
    let (size, days) = (size.to_string(), if run.smoke { "2" } else { "90" });
    let namespaces = if run.smoke { "20" } else { NAMESPACES };
    let args = [
        &["generate", "--decisions", &size, "--days", days][..],
        &["--namespaces", namespaces, "--config", "generate.yaml"],
    ]
    .concat();
    let output = Command::new(env!("CARGO_BIN_EXE_rehearsal")).args(args).current_dir(folder).output();
    let output = output.expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    println!("{}", String::from_utf8_lossy(&output.stdout).trim());
}
