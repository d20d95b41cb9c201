//! `rehearsal serve`.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, oneshot};
use tracing::warn;

use crate::app::last_good::LastGood;
use crate::app::reload::{Beginning, Read};
use crate::app::{Addresses, App};
use crate::config::{self, Config, ConfigErrors, Loaded, Mistake};
use crate::logging::LogArgs;
use crate::server::certificates::CA_CERTIFICATE;
use crate::server::settings::TlsSettings;

use super::config::{MISTAKEN, environment};

#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// YAML file. `rehearsal config example` prints one to begin with.
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// End with exit code 2 when the policies have mistakes, also where a revision is kept that loaded before.
    #[arg(long)]
    pub strict: bool,
}

/// Runs on the configuration until SIGTERM or SIGINT; a second one ends it at once, with exit code 1. SIGHUP has it read
/// again.
pub fn run(args: &ServeArgs, log: LogArgs) -> anyhow::Result<ExitCode> {
    let (file, named) = (args.config.clone(), args.config.clone());
    let read: Read = Arc::new(move || config::check(named.as_deref(), environment(), &super::compile));
    match read() {
        Ok(loaded) => start(Beginning { file, read, loaded, mistakes: None }, log),
        Err(mistakes) => match on_last_good(&mistakes, args.strict) {
            Ok(loaded) => start(Beginning { file, read, loaded, mistakes: Some(mistakes) }, log),
            Err(why) => {
                eprintln!("{mistakes}{why}");
                Ok(ExitCode::from(MISTAKEN))
            }
        },
    }
}

/// The configuration with the policies that loaded last, where only the policies are mistaken. Else what there is to say
/// beside the mistakes.
fn on_last_good(errors: &ConfigErrors, strict: bool) -> Result<Loaded, String> {
    if strict || !errors.mistakes.iter().all(Mistake::is_of_policies) {
        return Err(String::new());
    }
    let data_dir = &errors.read.config.data_dir;
    match LastGood::of(data_dir).read() {
        Ok(Some((policies, staging))) => {
            let mut loaded = Loaded::clone(&errors.read);
            (loaded.config.policies, loaded.config.staging) = (policies, staging);
            Ok(loaded)
        }
        Ok(None) => {
            Err(format!("\nno revision that loaded before is kept in {} to run on instead", data_dir.display()))
        }
        Err(error) => Err(format!("\nthe revision that loaded before cannot be run on instead: {error}")),
    }
}

/// Runs on what is loaded.
pub(super) fn start(beginning: Beginning, log: LogArgs) -> anyhow::Result<ExitCode> {
    super::start_logging(log, beginning.loaded.config.log);
    for warning in &beginning.loaded.warnings {
        warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(serve(beginning));
    // A thread that hangs on a disk must not keep the process.
    runtime.shutdown_background();
    ended
}

async fn serve(beginning: Beginning) -> anyhow::Result<ExitCode> {
    let config = beginning.loaded.config.clone();
    // First of all: nothing else ends the first process of a container.
    let mut signals = Signals::listen().context("signals")?;
    let reload = signals.reload();
    let app = App::start(beginning).await?;
    let lines = Lines::of(&config, &app.addresses());
    if let Err(error) = lines.print() {
        // Whoever read them may have read enough; reviews are answered all the same.
        warn!("the start lines could not be written to standard output: {error}");
    }
    let (stop, stopping) = oneshot::channel();
    let run = app.run(lines.first_review, reload, async { drop(stopping.await) });
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

/// SIGTERM and SIGINT; SIGHUP beside them.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    reload: Arc<Notify>,
}

// === impl Signals ===

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            reload: Arc::default(),
        })
    }

    /// Is told of each SIGHUP, those at the start too.
    fn reload(&self) -> Arc<Notify> {
        Arc::clone(&self.reload)
    }

    /// The next that ends the process.
    async fn next(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => self.reload.notify_one(),
            }
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
        let report_scheme = if config.report_tls == TlsSettings::Off { "http" } else { "https" };
        let report = format!("{report_scheme}://{}", addresses.report);
        let mut listening = vec![format!("webhook {scheme}://{}", addresses.webhook), format!("report {report}")];
        listening.extend(addresses.admin.map(|admin| format!("admin http://{admin}")));
        let webhook = format!("{scheme}://{}/review", reachable(addresses.webhook));
        Self {
            listening,
            first_review: format!("curl -sS{}{} {webhook}", trust(&config.webhook.tls), FIRST_REVIEW),
            look: format!("{report_scheme}://{}/decisions", reachable(addresses.report)),
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
            // Whole, since it may be pasted anywhere.
            let ca = dir.join(CA_CERTIFICATE);
            let ca = std::path::absolute(&ca).unwrap_or(ca);
            (format!(" --cacert {}", quoted(&ca.display().to_string())), client_ca)
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
