//! `rehearsal rollout`: which rule is in which mode where.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use crate::app::ceilings;
use crate::config::{self, Loaded};
use crate::logging::LogArgs;
use crate::policy::Revision;
use crate::policy::ceiling::Ceilings;
use crate::policy::revision::{Policy, Source};
use crate::policy::rollout::Place;
use crate::review::clock::Timestamp;
use crate::review::decision::Mode;
use crate::store::Store;
use crate::store::places::{KnownRule, Namespace};
use crate::web::count;

use super::config::{MISTAKEN, environment, print};
use super::{existing, start_logging};

#[derive(Debug, Subcommand)]
pub enum RolloutCommand {
    /// Say for each rule in which mode it is in which namespace of the history, and how much of what came that is.
    ///
    /// Of the configuration as it is on disk: a change can be looked at before it is in force. Under the ceilings that
    /// are in force now. Exit code 2 for mistakes in it.
    Show {
        /// YAML file that names policies and history. Without one: the defaults, and the environment.
        #[arg(long, short, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

/// What the history has in it for one mode of a rule.
#[derive(Debug, Default)]
struct Share<'a> {
    namespaces: Vec<&'a Namespace>,
    reviews: u64,
    workloads: u64,
}

type Under<'a> = (&'a Ceilings, Timestamp);

/// What people who only know webhooks do not expect.
const IMAGE_REVIEW: &str = "\
On the path of the ImagePolicyWebhook plugin the API server remembers answers: a rule that is to reject does so once
allowTTL has passed, one that no longer is lets through once denyTTL has; and warn shows its user nothing there.
";

/// # Errors
/// The history cannot be read.
pub fn run(command: &RolloutCommand, log: LogArgs) -> anyhow::Result<ExitCode> {
    let RolloutCommand::Show { config } = command;
    let Loaded { config, .. } = match config::check(config.as_deref(), environment(), &super::compile) {
        Ok(loaded) => loaded,
        Err(mistakes) => {
            eprintln!("{mistakes}");
            return Ok(ExitCode::from(MISTAKEN));
        }
    };
    start_logging(log, config.log);
    existing(&config.store)?;
    let revision = Revision::load(&config.policies, &config.staging)
        .map_err(|_| anyhow::anyhow!("the policies do not load although they were checked"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let now = Timestamp::now();
    let (namespaces, known, stored) = runtime.block_on(async {
        let store = Store::open_for_reading(&config.store, &config.history).await?;
        let known = store.known_rules().await?;
        let found = (store.reviewed_namespaces().await?, known, store.current_ceilings(now).await?);
        store.close().await;
        Ok::<_, crate::store::StoreError>(found)
    })?;
    let ceilings = ceilings::over(&config.data_dir, stored);
    print(&report(&revision, (&ceilings, now), &namespaces, &known))
}

/// `under` are the ceilings in force, and when that is.
fn report(revision: &Revision, under: Under<'_>, namespaces: &[Namespace], known: &[KnownRule]) -> String {
    let mut text = String::new();
    for ceiling in under.0.in_force(under.1) {
        writeln!(text, "In force: {}\n", ceiling.told_among(revision.names())).expect("a String takes every text");
    }
    if namespaces.is_empty() {
        text.push_str("The history knows no namespace yet.\n\n");
    }
    for policy in &revision.policies {
        for rule in rules(policy, known) {
            text.push_str(&of_rule(policy, &rule, under, namespaces));
        }
    }
    text.push_str(IMAGE_REVIEW);
    text
}

/// Their ids. What a Rego policy calls its rules is known only of those that were violated.
fn rules(policy: &Policy, known: &[KnownRule]) -> Vec<String> {
    match &policy.source {
        Source::Rules(rules) => rules.rules().iter().map(|rule| rule.id().to_owned()).collect(),
        Source::Rego(_) => {
            known.iter().filter(|(name, _)| *name == policy.name).map(|(_, rule)| rule.clone()).collect()
        }
        Source::Gatekeeper(gatekeeper) => gatekeeper.rules().map(|rule| rule.rule.clone()).collect(),
        Source::Webhook(_) => vec![policy.name.clone()],
    }
}

fn of_rule(policy: &Policy, rule: &str, (ceilings, now): Under<'_>, namespaces: &[Namespace]) -> String {
    let mut shares: BTreeMap<Mode, Share<'_>> = BTreeMap::new();
    let mut capped: Vec<&Namespace> = Vec::new();
    for namespace in namespaces {
        let place = Place { cluster: &namespace.cluster, namespace: &namespace.name };
        let most = ceilings.over(policy, place, now).map_or(Mode::Enforce, |ceiling| ceiling.most);
        let mode = policy.mode_of(rule, place).min(most);
        let share = shares.entry(mode).or_default();
        share.namespaces.push(namespace);
        share.reviews += namespace.reviews;
        share.workloads += namespace.workloads;
        if policy.asked_mode_of(rule, place) > mode {
            capped.push(namespace);
        }
    }
    let all = |of: fn(&Namespace) -> u64| namespaces.iter().map(of).sum::<u64>();
    let (reviews, workloads) = (all(|one| one.reviews), all(|one| one.workloads));
    let mut text = format!("{}/{rule}\n", policy.name);
    for (mode, share) in shares.iter().rev() {
        let size = format!(
            "{}, {} of reviews, {} of workloads",
            count(share.namespaces.len() as u64, "namespace"),
            percent(share.reviews, reviews),
            percent(share.workloads, workloads),
        );
        line(&mut text, mode.as_str(), &size);
        line(&mut text, "", &names(&share.namespaces));
    }
    if !capped.is_empty() {
        line(&mut text, "capped", &names(&capped));
    }
    text.push('\n');
    text
}

fn line(text: &mut String, name: &str, value: &str) {
    writeln!(text, "  {name:<9}{value}").expect("a String takes every text");
}

/// `cluster/namespace`, in the order of the history.
fn names(namespaces: &[&Namespace]) -> String {
    let name = |one: &&Namespace| match one.name.as_str() {
        "" => format!("{} (no namespace)", one.cluster),
        name => format!("{}/{name}", one.cluster),
    };
    namespaces.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn percent(part: u64, all: u64) -> String {
    match all {
        0 => "none".to_owned(),
        _ => format!("{:.1} %", part as f64 * 100.0 / all as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::settings::{StageSettings, StagingSettings, built_in};

    #[test]
    fn each_rule_has_its_modes_with_their_namespaces_and_shares() {
        let mut policies = built_in();
        policies[0].rollout = vec![StageSettings {
            rules: Vec::new(),
            namespaces: vec!["shop".into(), "kube-*".into()],
            clusters: Vec::new(),
            percent: 100,
            salt: None,
            mode: Mode::Enforce,
        }];
        let revision = Revision::load(&policies, &StagingSettings::default()).unwrap();
        let namespace = |name: &str, reviews, workloads| Namespace {
            cluster: "prod".into(),
            name: name.into(),
            reviews,
            workloads,
        };
        let namespaces =
            [namespace("", 10, 1), namespace("blog", 30, 3), namespace("kube-system", 20, 2), namespace("shop", 40, 2)];
        let none = Ceilings::default();
        let text = report(&revision, (&none, Timestamp(0)), &namespaces, &[]);
        let expected = "\
images/no-latest
  enforce  1 namespace, 40.0 % of reviews, 25.0 % of workloads
           prod/shop
  warn     1 namespace, 20.0 % of reviews, 25.0 % of workloads
           prod/kube-system
  audit    2 namespaces, 40.0 % of reviews, 50.0 % of workloads
           prod (no namespace), prod/blog
  capped   prod/kube-system

";
        assert_eq!(text, format!("{expected}{IMAGE_REVIEW}"));
        let empty = report(&revision, (&none, Timestamp(0)), &[], &[]);
        assert!(empty.starts_with("The history knows no namespace yet.\n"));
    }
}
