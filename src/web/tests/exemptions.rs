//! What pages and the API say of exemptions and of tickets.

use std::sync::Arc;

use super::history::{Draft, History};
use super::{HOUR, Live, Report, StatusCode, Timestamp, ago, live};
use crate::policy::Revision;
use crate::policy::settings::{
    ExemptionSettings, PolicySettings, RuleSettings, SourceSettings, StagingSettings, built_in,
};
use crate::policy::text;
use crate::review::clock::{DAY, DecisionId};
use crate::review::decision::{Answer, Exempted};
use crate::review::ticket::{FirstUse, Ticket, TicketKey};
use crate::review::workload::Workload;
use crate::store::tests::plans::taken_but;

/// Of the namespace `shop`.
fn exemption(ticket: &str, until: Option<Timestamp>) -> ExemptionSettings {
    ExemptionSettings {
        namespaces: vec!["shop".to_owned()],
        until,
        ticket: Some(ticket.to_owned()),
        ..ExemptionSettings::default()
    }
}

fn staging(exemptions: &[ExemptionSettings]) -> StagingSettings {
    StagingSettings { exemptions: exemptions.to_vec(), ..StagingSettings::default() }
}

/// With these in force.
fn holding(policies: &[PolicySettings], exemptions: &[ExemptionSettings]) -> impl Fn() -> Live + Send + Sync + 'static {
    let loaded = Arc::new(Revision::load(policies, &staging(exemptions)).expect("it loads"));
    move || Live { loaded: Arc::clone(&loaded), ..live() }
}

/// Of the history alone: it was loaded, and is not any more.
async fn gone(history: &History, settings: &ExemptionSettings, days: i64) {
    let text = text::whole(&[], &staging(std::slice::from_ref(settings)));
    history.store.keep_revision("aaaa", &text, &[ago(history, days * DAY)]).await.expect("kept");
}

/// A review in which an exemption let everything through.
fn used(history: &History, hours: i64, by: &ExemptionSettings) -> Draft {
    let mut draft = Draft::pod(ago(history, hours * HOUR), "prod-eu", "shop", "web", &["busybox"]);
    let ExemptionSettings { ticket, owner, reason, until, .. } = by.clone();
    let exempted = Exempted::Exemption { id: Some(by.id()), ticket, owner, reason, until };
    for violation in &mut draft.decision.verdicts[0].violations {
        violation.exempted = Some(exempted.clone());
    }
    draft.decision.would_reject = false;
    draft
}

/// The list leaves it out; decisions that it let through lead to it.
#[tokio::test]
async fn one_that_is_gone_and_was_not_used_in_that_time_has_its_page() {
    let history = History::empty().await;
    let settings = exemption("SEC-12", None);
    gone(&history, &settings, 3).await;
    let report = Report::over(history);
    let path = format!("/exemptions/{}", settings.id());
    for target in [path.clone(), format!("{path}?since=1h"), format!("/api/v1{path}?since=1h")] {
        let answer = report.get(&target).await;
        assert_eq!(answer.status, StatusCode::OK, "{target}: {}", answer.text);
        assert!(answer.text.contains("SEC-12"), "{target}: {}", answer.text);
    }
    assert!(report.get(&path).await.text.contains("not in the configuration any more, last loaded 20"));
    assert_eq!(report.json("/api/v1/exemptions").await["exemptions"], serde_json::json!([]));
    assert!(report.get("/exemptions").await.text.contains("No exemptions"));
}

/// Of two that are over it counted uses as those of the one that holds.
#[tokio::test]
async fn the_sentence_counts_the_uses_of_those_that_hold() {
    let history = History::empty().await;
    let (held, ended) = (exemption("SEC-1", None), exemption("SEC-2", Some(ago(&history, HOUR))));
    for (hours, by) in [(2, &held), (3, &ended), (4, &ended)] {
        history.add(used(&history, hours, by)).await;
    }
    let report = Report::with(history, holding(&built_in(), &[held, ended]));
    let page = report.get("/exemptions?since=7d").await.text;
    assert!(page.contains("In the last 7 days the one exemption was used, once;"), "{page}");
}

/// The paper told of those that are loaded now, and of nothing that was in force before.
#[tokio::test]
async fn the_report_tells_of_exemptions_that_were_in_force_in_its_period_and_of_no_others() {
    let history = History::empty().await;
    let (settings, held) = (exemption("SEC-12", None), exemption("SEC-34", Some(Timestamp(4_000_000_000_000))));
    gone(&history, &settings, 5).await;
    history.add(used(&history, 1, &held)).await;
    let report = Report::with(history, holding(&built_in(), std::slice::from_ref(&held)));
    let page = report.get("/report?since=30d").await.text;
    for part in ["1 exemption is in force; 1 other was in this time.", "SEC-12", "last loaded 20", "SEC-34"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(page.contains("Deployment/web (prod-eu / shop)"), "{page}");
    // Neither was loaded then, as far as anybody knows.
    let before = report.get("/report?since=40d&until=10d").await.text;
    assert!(before.contains("No exemption is in force, and none was in this time."), "{before}");
    // The one was loaded last before.
    let after = report.get("/report?since=1d").await.text;
    assert!(!after.contains("SEC-12") && after.contains("SEC-34"), "{after}");
}

fn ticket(history: &History, workload: &str, ticket: &str, hours: i64) -> Ticket {
    let at = ago(history, hours * HOUR);
    let workload = Workload { kind: "Pod".to_owned(), name: workload.to_owned() };
    let key = TicketKey { cluster: "prod-eu".into(), namespace: "shop".into(), workload, ticket: ticket.to_owned() };
    let first_use = FirstUse {
        at,
        until: Timestamp(at.0 + DAY),
        person: "ana".to_owned(),
        rules: vec!["images/no-latest".to_owned()],
        decision: DecisionId::at(at),
        without: Answer::Allowed,
    };
    Ticket { first_use: Some(first_use), ..Ticket::new(key, at) }
}

/// A use is a ticket and a workload: the page counted uses as tickets, and the paper as workloads.
#[tokio::test]
async fn two_tickets_of_one_workload_and_one_of_two_are_two_tickets_and_two_workloads() {
    let history = History::empty().await;
    let uses = [("web", "SEC-1", 3), ("web", "SEC-2", 2), ("cart", "SEC-1", 1)];
    let uses = uses.map(|(workload, name, hours)| ticket(&history, workload, name, hours));
    history.store.keep_tickets(&uses).await.expect("kept");
    let report = Report::over(history);
    let page = report.get("/exemptions").await.text;
    assert!(page.contains("2 break-glass tickets, first used by 2 workloads in that time"), "{page}");
    let paper = report.get("/report").await.text;
    let said = "2 workloads were first let through by a break-glass ticket in this time, by 2 tickets.";
    assert!(paper.contains(said) && paper.contains("would be rejected</td>"), "{paper}");
    // They may have let something through since.
    let later = report.get("/exemptions?since=30m").await.text;
    assert!(later.contains("No break-glass ticket was first used in that time"), "{later}");
    assert!(later.contains("all that tickets let through"), "{later}");
    assert!(report.get("/report?since=30m").await.text.contains("No ticket was first used in this time."));
}

/// As many rules as a policy has, exempted all.
fn many_rules() -> Vec<PolicySettings> {
    let mut policy = built_in().remove(0);
    let SourceSettings::Rules(rules) = &mut policy.source else { panic!("rules") };
    let rule = rules[0].clone();
    *rules = (0..40).map(|number| RuleSettings { id: format!("r{number}"), ..rule.clone() }).collect();
    vec![policy]
}

#[tokio::test]
async fn pages_of_exemptions_ask_the_database_a_bounded_number_of_times() {
    let history = History::of(400, 48).await;
    let (held, policies) = (exemption("SEC-1", Some(Timestamp(4_000_000_000_000))), many_rules());
    gone(&history, &exemption("SEC-2", None), 5).await;
    let live = holding(&policies, std::slice::from_ref(&held));
    let mut draft = used(&history, 1, &held);
    let verdict = &mut draft.decision.verdicts[0];
    verdict.version = live().loaded.policies[0].version().map(str::to_owned);
    let violation = verdict.violations[0].clone();
    let of_rule = |number| crate::review::decision::Violation { rule: format!("r{number}"), ..violation.clone() };
    verdict.violations = (0..40).map(of_rule).collect();
    history.add(draft).await;
    let report = Report::with(history, live);
    let store = &report.history.store;
    let alone = format!("/exemptions/{}", held.id());
    assert!(report.get(&alone).await.text.contains("1 workload</span> would be rejected"), "it loses it");
    let census = ["workload_totals", "workload_judged", "workload_against"];
    for page in ["/exemptions", &alone, "/policies"] {
        taken_but(store, "before", &census).await;
        assert_eq!(report.get(page).await.status, StatusCode::OK, "{page}");
        let asked = taken_but(store, page, &census).await;
        assert!(asked > 3 && asked <= 28, "{page} asked {asked} times");
    }
}
