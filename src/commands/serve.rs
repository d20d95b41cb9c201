//! `rehearsal serve`.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tracing::warn;

use crate::app::{Addresses, App};
use crate::config::{self, Config, Loaded};
use crate::logging::LogArgs;
use crate::server::settings::TlsSettings;

use super::config::{MISTAKEN, environment};

#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// YAML file. `rehearsal config example` prints one to begin with.
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Runs on the configuration until SIGTERM or SIGINT; a second one ends it at once, with exit code 1.
pub fn run(args: &ServeArgs, log: LogArgs) -> anyhow::Result<ExitCode> {
    match config::check(args.config.as_deref(), environment(), &super::compile) {
        Ok(loaded) => start(loaded, log),
        Err(mistakes) => {
            eprintln!("{mistakes}");
            Ok(ExitCode::from(MISTAKEN))
        }
    }
}

/// Runs on `loaded`.
pub(super) fn start(loaded: Loaded, log: LogArgs) -> anyhow::Result<ExitCode> {
    super::start_logging(log, loaded.config.log);
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(serve(loaded));
    // A thread that hangs on a disk must not keep the process.
    runtime.shutdown_background();
    ended
}

async fn serve(loaded: Loaded) -> anyhow::Result<ExitCode> {
    let config = loaded.config.clone();
    // First of all: nothing else ends the first process of a container.
    let mut signals = Signals::listen().context("signals")?;
    let app = App::start(loaded.config, loaded.files).await?;
    let lines = Lines::of(&config, &app.addresses());
    if let Err(error) = lines.print() {
        // Whoever read them may have read enough; reviews are answered all the same.
        warn!("the start lines could not be written to standard output: {error}");
    }
    let (stop, stopping) = oneshot::channel();
    let run = app.run(lines.first_review, async { drop(stopping.await) });
    let twice = async {
        signals.next().await;
        stop.send(()).ok();
        signals.next().await;
    };
    tokio::select! {
        _ = run => Ok(ExitCode::SUCCESS),
        () = twice => {
            warn!("stopped at once by a second signal: what is recorded remains in the journal for the next start");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

// === impl Signals ===

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// What a person sees first.
struct Lines {
    listening: Vec<String>,
    /// A command line that sends a first review.
    first_review: String,
    look: String,
}

// === impl Lines ===

impl Lines {
    fn of(config: &Config, addresses: &Addresses) -> Self {
        let scheme = if config.webhook.tls == TlsSettings::Off { "http" } else { "https" };
        let report = format!("http://{}", addresses.report);
        let mut listening = vec![format!("webhook {scheme}://{}", addresses.webhook), format!("report {report}")];
        listening.extend(addresses.admin.map(|admin| format!("admin http://{admin}")));
        let webhook = format!("{scheme}://{}/review", reachable(addresses.webhook));
        Self {
            listening,
            first_review: format!("curl -sS{}{} {webhook}", trust(&config.webhook.tls), FIRST_REVIEW),
            look: format!("http://{}/decisions", reachable(addresses.report)),
        }
    }

    fn print(&self) -> std::io::Result<()> {
        let listening = self.listening.join("\n");
        let text =
            format!("{listening}\n\nSend a first review:\n\n  {}\n\nand look at {}\n", self.first_review, self.look);
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

const FIRST_REVIEW: &str = concat!(
    " -H 'Content-Type: application/json' -d '",
    r#"{"apiVersion":"imagepolicy.k8s.io/v1alpha1","kind":"ImageReview","#,
    r#""spec":{"containers":[{"image":"nginx"}],"namespace":"default"}}'"#
);

/// What curl needs to trust us, and for us to trust it.
fn trust(tls: &TlsSettings) -> String {
    let (trust, client_ca) = match tls {
        TlsSettings::Off => return String::new(),
        TlsSettings::SelfMade { dir, client_ca, .. } => {
            (format!(" --cacert {}", quoted(&dir.join("ca.crt").display().to_string())), client_ca)
        }
        // Its names need not be the address; this is the same machine.
        TlsSettings::Files { client_ca, .. } => (" --insecure".to_owned(), client_ca),
    };
    match client_ca {
        None => trust,
        Some(_) => format!("{trust} --cert client.crt --key client.key"),
    }
}

/// As one word of a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// An address that a client on this machine can use.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port())
    } else {
        address
    }
}
