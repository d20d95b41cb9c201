//! Logs go to standard error; standard output belongs to the start lines.

use std::io::IsTerminal;

use clap::Args;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, registry};

use crate::config::{LogFormat, LogLevel};

/// Each wins over `log` of the configuration.
#[derive(Debug, Clone, Copy, Args)]
pub struct LogArgs {
    /// How lines on standard error look.
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// The least important line that is shown.
    #[arg(long, global = true, value_enum, value_name = "LEVEL")]
    pub log_level: Option<LogLevel>,
}

/// Starts logging. Our own lines from `level` on; those of libraries from `warn` on, unless `level` is finer than `info`.
pub fn init(format: LogFormat, level: LogLevel) {
    let ours = filter(level);
    let theirs = if level > LogLevel::Info { ours } else { ours.min(LevelFilter::WARN) };
    let targets = tracing_subscriber::filter::Targets::new().with_default(theirs).with_target("rehearsal", ours);
    let lines = match format {
        LogFormat::Text => fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => fmt::layer().with_writer(std::io::stderr).json().flatten_event(true).boxed(),
    };
    // Only a second call in one process fails; the first one's choice holds.
    registry().with(lines.with_filter(targets)).try_init().ok();
    std::panic::set_hook(Box::new(|panic| tracing::error!("panic: {panic}")));
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}
