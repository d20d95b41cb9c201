//! Programs of others that the binary is tried against. `./test` builds them into `target/peers`, where Go is there.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

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
    // Once, whoever asks.
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        not_run(&format!(
            "against the real {name}, which is not in target/peers (./test builds it, where Go is there)"
        ));
    });
    None
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
