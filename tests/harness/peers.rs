//! Programs of others that the binary is tried against. `./test` builds them into `target/peers`, where Go is there.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::http::{Alpn, HttpClient};
use super::process::Process;
use super::{free_port, not_run, repository, wait_for};

/// An OPA that serves the modules of some files. Dropping it ends it.
#[derive(Debug)]
pub struct Opa {
    /// `http://127.0.0.1:4711`
    pub url: String,
    _process: Process,
}

/// A program of `target/peers`; without it, a line says what is not run.
pub fn peer(name: &str) -> Option<PathBuf> {
    let path = repository().join("target/peers").join(name);
    if path.is_file() {
        return Some(path);
    }
    not_run(&format!("against the real {name}, which is not in target/peers (./test builds it, where Go is there)"));
    None
}

/// axe-core's script, which finds barriers in pages. `None` where it is not there: a line says so.
pub fn axe() -> Option<String> {
    let script = repository().join("target/peers/node_modules/axe-core/axe.min.js");
    let found = std::fs::read_to_string(script).ok();
    if found.is_none() {
        not_run("axe-core on pages, which is not in target/peers (./test installs it, where npm is there)");
    }
    found
}

/// A provider of OpenID Connect, with a form of its own to sign in. Dropping it ends it.
#[derive(Debug)]
pub struct OidcProvider {
    /// As it calls itself: `http://127.0.0.1:4711`
    pub issuer: String,
    _process: Process,
}

/// The oldest that the pinned oidc-provider runs on; `./test` names the same.
const OLDEST_NODE: u32 = 18;

fn has_node() -> bool {
    let output = Command::new("node").arg("--version").output().ok().filter(|output| output.status.success());
    let said = output.and_then(|output| String::from_utf8(output.stdout).ok());
    // v20.11.1
    let major = said.as_deref().and_then(|said| said.strip_prefix('v')?.split('.').next()?.parse::<u32>().ok());
    major.is_some_and(|major| major >= OLDEST_NODE)
}

// === impl OidcProvider ===

impl OidcProvider {
    /// One that sends people back to that URL. `None` where there is none: a line says so.
    pub async fn start(redirect: &str) -> Option<Self> {
        let modules = repository().join("target/peers");
        if !modules.join("node_modules/oidc-provider").is_dir() {
            not_run(
                "against the real oidc-provider, which is not in target/peers (./test installs it, where npm is there)",
            );
            return None;
        }
        if !has_node() {
            not_run(&format!("against the real oidc-provider, there is no Node.js of version {OLDEST_NODE} or newer"));
            return None;
        }
        let script = super::fixtures().join("oidc-provider.mjs");
        let mut command = Command::new("node");
        let process = Process::spawn(command.arg(script).arg(modules).arg(redirect));
        let issuer = wait_for("the issuer", || async {
            assert_eq!(process.ended(), None, "{}", process.stderr());
            process.stdout().lines().next().filter(|line| line.starts_with("http")).map(str::to_owned)
        });
        let issuer = issuer.await;
        Some(Self { issuer, _process: process })
    }
}

// === impl Opa ===

impl Opa {
    /// `None` where there is no OPA.
    pub async fn start(files: &[&Path]) -> Option<Self> {
        let program = peer("opa")?;
        let addr = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new(program);
        // The modules are of the time before OPA 1.0.
        command.args(["run", "--server", "--v0-compatible", "--skip-version-check", "--log-level", "error", "--addr"]);
        let process = Process::spawn(command.arg(&addr).args(files));
        let url = format!("http://{addr}");
        let client = HttpClient::new(None, None, Alpn::H1);
        wait_for("OPA's /health", || async {
            assert_eq!(process.ended(), None, "{}", process.stderr());
            let health = client.send(http::Method::GET, &format!("{url}/health"), &[], "").await;
            health.ok().filter(|health| health.status == 200)
        })
        .await;
        Some(Self { url, _process: process })
    }
}
