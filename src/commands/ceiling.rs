//! `rehearsal ceiling`: hold modes back for a time.

mod way;
mod who;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;

use crate::config::{self, Config, ConfigErrors, suggestion};
use crate::logging::LogArgs;
use crate::policy::ceiling::{Ceiling, Lift};
use crate::policy::glob::{Glob, Subject};
use crate::policy::settings::{PolicySettings, SourceSettings, StageSettings};
use crate::review::clock::{DecisionId, Timestamp};
use crate::review::decision::Mode;

use super::config::{MISTAKEN, environment, print};
use super::{one_line, start_logging};

use self::way::{Purpose, Seen, Way};

#[derive(Debug, Subcommand)]
pub enum CeilingCommand {
    /// Let no policy do more than record, for a time.
    ///
    /// What it would have rejected is a would-be rejection, recorded as such. The process that runs here sees it within a
    /// second; where none runs, every process over the same Postgres hears of it within five.
    Audit(OrderArgs),
    /// Let no policy do more than warn, for a time.
    ///
    /// As `audit`, but whoever sent the request is told what would have rejected it.
    Warn(OrderArgs),
    /// Say which ceilings are in force: what each holds back, until when, who ordered it and why.
    Show {
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// End ceilings before their time: all of one ticket.
    Lift(LiftArgs),
}

#[derive(Debug, Clone, clap::Args)]
pub struct OrderArgs {
    /// For how long: 2h, 90m; at most 7d. It ends by itself.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    lasts: Duration,
    /// What it is ordered for: it stands on every page, in the log, and with every decision.
    #[arg(long, value_name = "TEXT", value_parser = one_line)]
    ticket: String,
    /// Of this policy alone. Without it: of every local policy.
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// In these namespaces alone: a name, or a glob such as 'team-*'. Without it: everywhere.
    #[arg(long, value_name = "GLOB", value_parser = glob)]
    namespace: Option<String>,
    /// Also of webhooks that are not `overridable`: what a backend denies is let through then.
    #[arg(long)]
    include_webhooks: bool,
    /// Why, for whoever reads it.
    #[arg(long, value_name = "TEXT", value_parser = one_line)]
    reason: Option<String>,
    #[command(flatten)]
    by: ByArgs,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Debug, Clone, clap::Args)]
pub struct LiftArgs {
    /// The one that they were ordered for.
    #[arg(long, value_name = "TEXT", value_parser = one_line)]
    ticket: String,
    #[command(flatten)]
    by: ByArgs,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Debug, Clone, clap::Args)]
pub struct ByArgs {
    /// Who orders it. Without it: the user and the machine that this runs as and on.
    #[arg(long, value_name = "NAME", value_parser = one_line)]
    by: Option<String>,
}

#[derive(Debug, Clone, clap::Args)]
pub struct PlaceArgs {
    /// YAML file that `rehearsal serve` runs on. Without one: the defaults, and the environment.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The configuration, as far as it could be read.
#[derive(Debug)]
struct Written {
    config: Config,
    is_whole: bool,
}

/// What comes of a command.
#[derive(Debug)]
enum Said {
    Done(String),
    /// Whether there is anything to do could not be found out.
    Unknown(String),
}

/// Longer than a night and a weekend: what is to last belongs into the configuration.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);
const SHORTEST: Duration = Duration::from_secs(1);

/// The fields that say where a ceiling goes.
const PLACE: [&str; 2] = ["data_dir", "store"];

/// # Errors
/// It could not be ordered, lifted or read.
pub fn run(command: &CeilingCommand, log: LogArgs) -> anyhow::Result<ExitCode> {
    let file = match command {
        CeilingCommand::Audit(OrderArgs { place, .. })
        | CeilingCommand::Warn(OrderArgs { place, .. })
        | CeilingCommand::Lift(LiftArgs { place, .. })
        | CeilingCommand::Show { place } => place.config.as_deref(),
    };
    let Some(written) = configuration(file) else { return Ok(ExitCode::from(MISTAKEN)) };
    start_logging(log, written.config.log);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match runtime.block_on(execute(command, &written))? {
        Said::Done(said) => print(&said),
        Said::Unknown(problem) => {
            eprintln!("error: {problem}");
            Ok(ExitCode::from(MISTAKEN))
        }
    }
}

/// A night has no time for mistakes that are elsewhere: the process that runs goes on without what is mistaken, too.
fn configuration(file: Option<&Path>) -> Option<Written> {
    let errors = match config::load(file, environment()) {
        Ok(loaded) => return Some(Written { config: loaded.config, is_whole: true }),
        Err(errors) => errors,
    };
    eprintln!("{errors}");
    let ConfigErrors { mistakes, read, .. } = errors;
    if mistakes.iter().any(|mistake| mistake.touches(&PLACE)) {
        eprintln!(
            "so it is not known where ceilings go: without --config, REHEARSAL_DATA_DIR names the data directory, and \
             REHEARSAL_STORE_URL the history"
        );
        return None;
    }
    eprintln!("warning: going on in spite of these mistakes: a ceiling needs {} alone", PLACE.join(" and "));
    Some(Written { config: read.config, is_whole: false })
}

async fn execute(command: &CeilingCommand, written: &Written) -> anyhow::Result<Said> {
    let config = &written.config;
    match command {
        CeilingCommand::Audit(args) => order(Mode::Audit, args, config).await.map(Said::Done),
        CeilingCommand::Warn(args) => order(Mode::Warn, args, config).await.map(Said::Done),
        CeilingCommand::Show { .. } => {
            let way = Way::find(config, Purpose::Look).await?;
            let seen = way.in_force().await?;
            way.close().await;
            Ok(Said::Done(table(&seen, written)))
        }
        CeilingCommand::Lift(args) => lift(args, config).await,
    }
}

async fn order(most: Mode, args: &OrderArgs, config: &Config) -> anyhow::Result<String> {
    let named = named(args, &config.policies)?;
    let left_alone = left_alone(args, &named);
    let from = Timestamp::now();
    let lasts = i64::try_from(args.lasts.as_millis()).expect("at most a week");
    let ceiling = Ceiling {
        id: DecisionId::at(from),
        most,
        policy: args.policy.clone(),
        namespace: args.namespace.clone(),
        include_webhooks: args.include_webhooks,
        ticket: args.ticket.clone(),
        reason: args.reason.clone(),
        by: who::orders(&args.by),
        from,
        until: Timestamp(from.0 + lasts),
        lifted: None,
    };
    let way = Way::find(config, Purpose::Change).await?;
    let done = way.order(&ceiling).await?;
    way.close().await;
    let mut said = format!("{ceiling}\n{done}\n");
    if !left_alone.is_empty() {
        let names = left_alone.join(", ");
        said.push_str(&format!(
            "left alone, and may still reject: {names} (--include-webhooks holds back webhooks, too)\n"
        ));
    }
    Ok(said)
}

async fn lift(args: &LiftArgs, config: &Config) -> anyhow::Result<Said> {
    let way = Way::find(config, Purpose::Change).await?;
    let Seen { ceilings: in_force, unasked } = way.in_force().await?;
    let named: Vec<&Ceiling> = in_force.iter().filter(|ceiling| ceiling.ticket == args.ticket).collect();
    if named.is_empty() {
        way.close().await;
        let tickets: Vec<&str> = in_force.iter().map(|ceiling| ceiling.ticket.as_str()).collect();
        let fix = match (tickets.is_empty(), &unasked) {
            (true, None) => "none is in force".to_owned(),
            (true, Some(_)) => "none is known".to_owned(),
            (false, _) => suggestion(&args.ticket, &tickets),
        };
        let ticket = &args.ticket;
        let Some(why) = unasked else { anyhow::bail!("no ceiling of the ticket {ticket} is in force: {fix}") };
        let problem = format!("no ceiling of the ticket {ticket} is known here: {fix}; {}", others(&why));
        return Ok(Said::Unknown(problem));
    }
    let lift = Lift { at: Timestamp::now(), by: who::orders(&args.by) };
    let mut said = String::new();
    for ceiling in named {
        let lifted = Ceiling { lifted: Some(lift.clone()), ..ceiling.clone() };
        let done = way.lift(&lifted, &lift).await?;
        said.push_str(&format!("lifted: {ceiling}\n{done}\n"));
    }
    way.close().await;
    if let Some(why) = unasked {
        said.push_str(&format!("{}\n", others(&why)));
    }
    Ok(Said::Done(said))
}

/// The policies that are configured and that it names.
fn named<'a>(args: &OrderArgs, policies: &'a [PolicySettings]) -> anyhow::Result<Vec<&'a PolicySettings>> {
    let Some(name) = &args.policy else { return Ok(policies.iter().collect()) };
    let Some(policy) = policies.iter().find(|policy| policy.name == *name) else {
        let names: Vec<&str> = policies.iter().map(|policy| policy.name.as_str()).collect();
        anyhow::bail!("--policy {name}: no policy is called so: {}", suggestion(name, &names));
    };
    if !policy.source.may_be_loosened() && !args.include_webhooks {
        anyhow::bail!(
            "--policy {name}: it is a webhook, and nothing here loosens one that is not `overridable`: add \
             --include-webhooks to let through what it denies"
        );
    }
    Ok(vec![policy])
}

/// Webhooks that may reject all the same.
fn left_alone<'a>(args: &OrderArgs, named: &[&'a PolicySettings]) -> Vec<&'a str> {
    let is_left = |policy: &&&PolicySettings| !args.include_webhooks && !policy.source.may_be_loosened();
    named.iter().filter(is_left).filter(|policy| may_enforce(policy)).map(|policy| policy.name.as_str()).collect()
}

fn may_enforce(policy: &PolicySettings) -> bool {
    let is_webhook = matches!(policy.source, SourceSettings::Webhook(_));
    let enforces = |stage: &StageSettings| stage.mode == Mode::Enforce;
    is_webhook && (policy.mode == Mode::Enforce || policy.rollout.iter().any(enforces))
}

fn table(seen: &Seen, written: &Written) -> String {
    let row = |ceiling: &Ceiling| {
        let names = written.config.policies.iter().map(|policy| policy.name.as_str());
        // Of a configuration with mistakes it is not known what it calls its policies.
        let idle = ceiling.idle(names).filter(|_| written.is_whole).map(|idle| format!("; {idle}"));
        format!("{ceiling}, since {}{}\n", ceiling.from, idle.unwrap_or_default())
    };
    let mut table: String = seen.ceilings.iter().map(row).collect();
    match &seen.unasked {
        None if table.is_empty() => "no ceiling is in force\n".to_owned(),
        None => table,
        Some(why) => {
            if table.is_empty() {
                table.push_str("no ceiling is known here\n");
            }
            table + &others(why) + "\n"
        }
    }
}

/// What a process elsewhere may be under.
fn others(why: &str) -> String {
    format!("the history could not be asked, so that others may be in force: {why}")
}

fn duration(text: &str) -> Result<Duration, String> {
    let lasts = config::duration(text).map_err(|wrong| wrong.to_string())?;
    if lasts > LONGEST {
        return Err(
            "it is longer than 7d; what is to last belongs into the configuration: change the modes there".into()
        );
    }
    if lasts < SHORTEST {
        return Err("it is shorter than 1s; write how long it is needed, such as 2h".into());
    }
    Ok(lasts)
}

fn glob(text: &str) -> Result<String, String> {
    match Glob::never_matches(text, Subject::Name) {
        Some((problem, fix)) => Err(format!("{problem}; write {fix}")),
        None => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lasts_as_long_as_a_person_can_answer_for() {
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7_200)));
        assert_eq!(duration("7d"), Ok(LONGEST));
        for (text, why) in
            [("8d", "longer than 7d"), ("0s", "shorter than 1s"), ("999ms", "shorter than 1s"), ("2", "no unit")]
        {
            assert!(duration(text).is_err_and(|said| said.contains(why)), "{text}");
        }
    }

    #[test]
    fn a_glob_that_matches_nothing_is_no_place() {
        assert_eq!(glob("team-*"), Ok("team-*".to_owned()));
        assert!(glob("").is_err_and(|said| said.contains("it is empty")));
    }
}
