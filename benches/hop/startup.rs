//! From the start of the process to the first `/readyz` that says 200, with the default configuration.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::Run;
use crate::support::statistics::{Estimate, Target};
use crate::support::table::Table;
use tempfile::TempDir;

pub fn measure(run: &Run) {
    if !run.wants("startup") {
        return;
    }
    let dir = TempDir::with_prefix("rehearsal-bench-").expect("a temporary directory");
    // The first start of all makes certificates and the database; every other one finds them.
    let first: Vec<f64> = run.alone(|| ready_in(TempDir::with_prefix("rehearsal-bench-").expect("a directory").path()));
    ready_in(dir.path());
    let again: Vec<f64> = run.alone(|| ready_in(dir.path()));
    let mut table = Table::of_figures("Start to ready, default configuration");
    table.push_figure("the first start", "ms", &Estimate::of(&first), Target::AtMost(100.0));
    table.push_figure("a start over its own history", "ms", &Estimate::of(&again), Target::AtMost(100.0));
    table.print();
}

/// Milliseconds.
fn ready_in(dir: &Path) -> f64 {
    let report = SocketAddr::from(([127, 0, 0, 1], crate::harness::free_port()));
    let begun = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_rehearsal"))
        .arg("serve")
        .current_dir(dir)
        .env("REHEARSAL_WEBHOOK_LISTEN", "127.0.0.1:0")
        .env("REHEARSAL_REPORT_LISTEN", report.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    while !is_ready(report) {
        assert!(begun.elapsed() < crate::harness::DEADLINE, "it is not ready");
        std::thread::sleep(Duration::from_micros(500));
    }
    let took = begun.elapsed().as_secs_f64() * 1e3;
    Command::new("kill").arg(child.id().to_string()).status().expect("kill, of procps or a shell");
    child.wait().expect("our own child");
    took
}

fn is_ready(report: SocketAddr) -> bool {
    use std::io::{Read, Write};
    let Ok(mut stream) = TcpStream::connect(report) else { return false };
    let request = "GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let mut answer = String::new();
    let read = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_string(&mut answer));
    read.is_ok() && answer.starts_with("HTTP/1.1 200")
}
