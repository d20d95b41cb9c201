//! `rehearsal hold`: keep a span of the history whatever its age.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::logging::LogArgs;
use crate::review::clock::{DAY, Timestamp};
use crate::store::hold::{Hold, Holds};

use super::config::print;
use super::{existing, load, one_line, start_logging};

#[derive(Debug, Subcommand)]
pub enum HoldCommand {
    /// From now on delete nothing of a span: decisions, figures, gaps, and all that belongs to them.
    ///
    /// What is deleted already stays so. Works beside a running `serve`.
    Add(AddArgs),
    /// Say which holds there are, those that have ended too.
    List {
        #[command(flatten)]
        history: HistoryArgs,
    },
    /// Let go of a span: what of it is due goes within the hour.
    End {
        /// The number that `list` says.
        #[arg(value_name = "ID")]
        id: i64,
        #[command(flatten)]
        history: HistoryArgs,
    },
}

#[derive(Debug, Clone, clap::Args)]
pub struct AddArgs {
    /// Its beginning: RFC 3339 (2026-11-23T10:15:00Z), or a date in UTC.
    #[arg(long, value_name = "TIME", value_parser = beginning)]
    from: Timestamp,
    /// Its end, which is in it: RFC 3339, or a date in UTC, all of that day.
    #[arg(long, value_name = "TIME", value_parser = end)]
    to: Timestamp,
    /// Why, for whoever reads the list.
    #[arg(long, value_name = "TEXT", value_parser = one_line)]
    reason: String,
    #[command(flatten)]
    history: HistoryArgs,
}

#[derive(Debug, Clone, clap::Args)]
pub struct HistoryArgs {
    /// YAML file that names the history. Without one: the defaults, and the environment.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs one of the commands.
pub fn run(command: &HoldCommand, log: LogArgs) -> anyhow::Result<ExitCode> {
    let file = match command {
        HoldCommand::Add(args) => &args.history.config,
        HoldCommand::List { history } | HoldCommand::End { history, .. } => &history.config,
    };
    let config = match load(file.as_deref()) {
        Ok(loaded) => loaded.config,
        Err(code) => return Ok(code),
    };
    start_logging(log, config.log);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        existing(&config.store)?;
        let holds = Holds::open(&config.store).await?;
        let said = execute(command, &holds).await;
        holds.close().await;
        print(&said?)
    })
}

async fn execute(command: &HoldCommand, holds: &Holds) -> anyhow::Result<String> {
    match command {
        HoldCommand::Add(AddArgs { from, to, reason, .. }) => {
            if from > to {
                anyhow::bail!("--from {from} is after --to {to}: a hold's span begins before it ends");
            }
            let hold = holds.add(*from, *to, reason).await?;
            Ok(format!("hold {} keeps {} to {}: {}\n", hold.id, hold.from, hold.to, hold.reason))
        }
        HoldCommand::List { .. } => Ok(table(&holds.list().await?)),
        HoldCommand::End { id, .. } => match holds.end(*id).await? {
            Some(hold) => {
                let ended = hold.ended_at.map_or_else(String::new, |at| format!(" since {at}"));
                Ok(format!(
                    "hold {id} has ended{ended}: what of {} to {} is due goes within the hour\n",
                    hold.from, hold.to
                ))
            }
            None => anyhow::bail!("there is no hold {id}: `rehearsal hold list` says which there are"),
        },
    }
}

fn table(holds: &[Hold]) -> String {
    if holds.is_empty() {
        return "no holds\n".to_owned();
    }
    let line = |hold: &Hold| {
        let state = hold.ended_at.map_or_else(|| "holds".to_owned(), |at| format!("ended {at}"));
        let Hold { id, from, to, reason, added_at, .. } = hold;
        format!("{id}  {from} to {to}  {state}  added {added_at}  {reason}\n")
    };
    holds.iter().map(line).collect()
}

fn beginning(text: &str) -> Result<Timestamp, String> {
    date(text).or_else(|| instant(text)).ok_or_else(|| not_a_time(text))
}

fn end(text: &str) -> Result<Timestamp, String> {
    date(text).map(|start| Timestamp(start.0 + DAY - 1)).or_else(|| instant(text)).ok_or_else(|| not_a_time(text))
}

fn date(text: &str) -> Option<Timestamp> {
    let start = day(text)?.to_zoned(TimeZone::UTC).ok()?;
    Some(Timestamp(start.timestamp().as_millisecond()))
}

/// A date alone: one with a time but of no zone is none.
fn day(text: &str) -> Option<Date> {
    text.parse().ok().filter(|_| !text.contains(['T', 't', ' ']))
}

fn instant(text: &str) -> Option<Timestamp> {
    text.parse::<jiff::Timestamp>().ok().map(|at| Timestamp(at.as_millisecond()))
}

fn not_a_time(text: &str) -> String {
    if day(text).is_some() {
        return "it is past the end of the calendar: write 9999-12-29 for what has no end".to_owned();
    }
    "write RFC 3339 (2026-11-23T10:15:00Z), or a date in UTC (2026-11-23)".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_of_dates_is_of_whole_days() {
        let start = Timestamp(1_790_553_600_000);
        assert_eq!(beginning("2026-09-28"), Ok(start));
        assert_eq!(end("2026-09-28"), Ok(Timestamp(start.0 + DAY - 1)));
        for parse in [beginning, end] {
            assert_eq!(parse("2026-09-28T02:00:00+02:00"), Ok(start));
            assert!(parse("yesterday").is_err());
            assert!(parse("9999-12-31").is_err_and(|why| why.contains("9999-12-29")), "a date, and out of range");
            assert!(parse("9999-12-29").is_ok());
            assert!(parse("2026-09-28T02:00:00").is_err_and(|why| why.contains("RFC 3339")), "of no zone");
        }
    }

    #[test]
    fn a_reason_is_one_line() {
        assert_eq!(one_line(" audit 7 "), Ok("audit 7".to_owned()));
        assert!(one_line("  ").is_err());
        assert!(one_line("a\nb").is_err());
    }
}
