//! Exemptions over the real binary: who uses which, who breaks when one ends, who needs one that is over, and who broke a
//! glass.

mod harness;

use harness::reviews::pod_review;
use harness::{Rehearsal, wait_for};
use serde_json::{Value, json};

const KEY: &str = "a.image-policy.k8s.io/ticket-7";

/// The last day of an exemption that ends in about `days` days.
fn day(days: i64) -> String {
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days);
    at.strftime("%Y-%m-%d").to_string()
}

fn config(exemptions: &str) -> String {
    format!(
        "policies:
  - {{name: images, mode: enforce, rules: [{{id: no-latest, deny: {{tag: latest}}}}, {{id: hub, mode: audit, deny: {{registry: quay.io}}}}]}}
break_glass: {{annotation: '*.image-policy.k8s.io/ticket-*', value: break-glass}}
exemptions:
{exemptions}"
    )
}

fn exemptions(soon: &str) -> String {
    format!(
        "  - {{rule: no-latest, namespaces: [shop], until: {soon}, ticket: SEC-1, owner: web, reason: is being mended}}
  - {{rule: hub, namespaces: [shop], until: {soon}, ticket: SEC-2}}
  - {{namespaces: [blog], until: 2020-01-01, ticket: OLD-3}}
  - {{rule: hub, namespaces: [wiki], permanent: true, ticket: SEC-4}}
"
    )
}

async fn review(rehearsal: &Rehearsal, namespace: &str, name: &str, image: &str) -> bool {
    rehearsal.review("/review/prod", &pod_review("u", namespace, name, &[image])).await.allowed()
}

fn one<'a>(answer: &'a Value, ticket: &str) -> &'a Value {
    let all = answer["exemptions"].as_array().expect("a list");
    all.iter().find(|one| one["ticket"] == ticket).unwrap_or_else(|| panic!("{ticket}: {answer}"))
}

/// Every figure of the page that leads to decisions, and how many rows stand there.
async fn figures(rehearsal: &Rehearsal, page: &str) -> Vec<(u64, usize)> {
    let links = regex::Regex::new(r#"<a[^>]*href="/decisions\?([^"]+)"[^>]*>([\d,]+)</a>"#).expect("a pattern");
    let mut found = Vec::new();
    for link in links.captures_iter(page) {
        let query = link[1].replace("&amp;", "&").replace("&#38;", "&");
        let listed = rehearsal.get_json(&format!("/api/v1/decisions?{query}&limit=1000")).await;
        let rows = listed["decisions"].as_array().unwrap_or_else(|| panic!("{query}: {listed}")).len();
        found.push((link[2].replace(',', "").parse().expect("a number"), rows));
    }
    found
}

async fn started(yaml: &str) -> Rehearsal {
    Rehearsal::builder().file("c.yaml", yaml).args(&["serve", "--config", "c.yaml"]).start().await
}

async fn filled() -> Rehearsal {
    let rehearsal = started(&config(&exemptions(&day(9)))).await;
    for (namespace, name, image, allowed) in [
        ("shop", "web", "nginx", true),
        ("shop", "web", "nginx", true),
        ("shop", "cart", "quay.io/shop/cart:1", true),
        ("shop", "fine", "registry.test/fine:1", true),
        ("blog", "tool", "nginx", false),
    ] {
        assert_eq!(review(&rehearsal, namespace, name, image).await, allowed, "{namespace}/{name}");
    }
    let mut broken = pod_review("u", "blog", "urgent", &["nginx"]);
    broken["request"]["object"]["metadata"]["annotations"] = json!({KEY: "break-glass"});
    assert!(rehearsal.review("/review/prod", &broken).await.allowed());
    rehearsal.decisions("", 6).await;
    rehearsal.drained().await;
    wait_for("the ticket and the exemptions", || async {
        let uses = rehearsal.get_json("/api/v1/break-glass").await;
        let all = rehearsal.get_json("/api/v1/exemptions").await;
        let is_loaded = one(&all, "SEC-4")["first_loaded_at"].is_string();
        (uses["uses"].as_array().is_some_and(|uses| uses.len() == 1) && is_loaded).then_some(())
    })
    .await;
    rehearsal
}

#[tokio::test]
async fn each_says_who_uses_it_who_breaks_at_its_end_and_who_needs_it_still() {
    let rehearsal = filled().await;
    let answer = rehearsal.get_json("/api/v1/exemptions").await;
    let tickets: Vec<&Value> =
        answer["exemptions"].as_array().expect("a list").iter().map(|one| &one["ticket"]).collect();
    assert!(tickets.len() == 4 && tickets[2..] == [&json!("SEC-4"), &json!("OLD-3")], "{answer}");
    let first = one(&answer, "SEC-1");
    assert_eq!((&first["state"], &first["uses"], &first["used_by_workloads"]), (&json!("until"), &json!(2), &json!(1)));
    let used = &first["used_by"][0];
    assert_eq!((&used["namespace"], &used["workload"], &used["uses"]), (&json!("shop"), &json!("Pod/web"), &json!(2)));
    let loses = |ticket: &str| {
        let all = one(&answer, ticket)["loses"].as_array().expect("a list").clone();
        all.iter().map(|one| json!([one["workload"], one["rules"], one["breaks"]])).collect::<Vec<_>>()
    };
    assert_eq!(loses("SEC-1"), [json!(["Pod/web", ["images/no-latest"], true])]);
    assert_eq!(loses("SEC-2"), [json!(["Pod/cart", ["images/hub"], false])], "it is only recorded");
    assert_eq!(loses("OLD-3").len(), 2, "its last review violates what that let through: {answer}");
    assert_eq!(loses("SEC-4"), [] as [Value; 0]);
    assert_eq!(
        (&one(&answer, "OLD-3")["state"], &one(&answer, "SEC-4")["last_used_at"]),
        (&json!("ended"), &json!(null))
    );

    let page = rehearsal.get("/exemptions").await.text();
    for said in [
        "2 of 3 exemptions were used, 3 times; 2 end within 30 days, and then <span class=\"is-denied\">1 workload</span> will break and <span class=\"is-would\">1</span> more would be rejected",
        "1 is over and still needed by <span class=\"is-would\">2 workloads</span>",
        "1 workload</span> will break on 20",
        "known since",
        "owner web · is being mended",
    ] {
        assert!(page.contains(said), "{said}\n{page}");
    }
    let figures_of_page = figures(&rehearsal, &page).await;
    assert!(
        figures_of_page.len() >= 4 && figures_of_page.iter().all(|(said, rows)| *said == *rows as u64),
        "{figures_of_page:?}"
    );

    let id = first["id"].as_str().expect("an id");
    let alone = rehearsal.get_json(&format!("/api/v1/exemptions/{id}")).await;
    assert_eq!((&alone["exemption"]["uses"], &alone["next"]), (&json!(2), &json!(null)), "{alone}");
    let page = rehearsal.get(&format!("/exemptions/{id}")).await.text();
    assert!(page.contains("SEC-1 ends 20") && page.contains("Used by 1 workload"), "{page}");
    assert!(figures(&rehearsal, &page).await.iter().all(|(said, rows)| *said == *rows as u64 && *said == 2));
    let exempted =
        &rehearsal.decisions(&format!("exemption={id}"), 2).await[0]["verdicts"][0]["violations"][0]["exempted"];
    assert_eq!(exempted["id"], id, "{exempted}");
    for path in ["/exemptions/none", "/api/v1/exemptions/none"] {
        assert_eq!(rehearsal.get(path).await.status, 404, "{path}");
    }
    let both = rehearsal.get(&format!("/api/v1/decisions?exemption={id}&ticket=x")).await;
    assert!(both.status == 400 && both.text().contains("give one of exemption and ticket"), "{}", both.text());
}

#[tokio::test]
async fn each_broken_glass_says_who_when_and_what_it_would_have_been() {
    let rehearsal = filled().await;
    let page = rehearsal.get("/exemptions").await.text();
    for said in
        [KEY, "Pod/urgent", "prod / blog", "lab-admin", "<code>nginx</code>", "denied</span>", "images/no-latest"]
    {
        assert!(page.contains(said), "{said}\n{page}");
    }
    let uses = rehearsal.get_json("/api/v1/break-glass?namespace=blog").await;
    assert_eq!(uses["uses"][0]["images"], json!(["nginx"]), "{uses}");
    let elsewhere = rehearsal.get("/exemptions?namespace=shop").await.text();
    assert!(
        elsewhere.contains("No break-glass ticket was first used in that time") && !elsewhere.contains("Pod/urgent"),
        "{elsewhere}"
    );
    for ticket in [KEY, "*"] {
        let decisions = rehearsal.decisions(&format!("ticket={}", ticket.replace('/', "%2F")), 1).await;
        assert_eq!(decisions[0]["name"], "urgent", "{decisions:?}");
    }
    let export = regex::Regex::new(r#"href="(/api/v1/export\?[^"]*format=ndjson[^"]*)""#).expect("a pattern");
    let export = export.captures(&page).expect("a link")[1].replace("&amp;", "&").replace("&#38;", "&");
    let exported = rehearsal.get(&export).await.text();
    assert!(exported.lines().count() == 1 && exported.contains("urgent"), "{exported}");
}

#[tokio::test]
async fn one_that_is_gone_from_the_configuration_is_told_as_long_as_it_is_needed() {
    let rehearsal = filled().await;
    let less = exemptions(&day(9)).lines().filter(|line| !line.contains("SEC-1")).collect::<Vec<_>>().join("\n");
    std::fs::write(rehearsal.dir().join("c.yaml"), config(&less)).expect("writable");
    let answer = wait_for("the configuration without it", || async {
        let answer = rehearsal.get_json("/api/v1/exemptions").await;
        (one(&answer, "SEC-1")["state"] == "gone").then_some(answer)
    })
    .await;
    let gone = one(&answer, "SEC-1");
    assert_eq!((&gone["loses"][0]["workload"], &gone["loses"][0]["at"]), (&json!("Pod/web"), &json!(null)), "{gone}");
    assert_eq!(gone["namespaces"], json!(["shop"]), "what it was is kept");
    let page = rehearsal.get("/exemptions").await.text();
    assert!(page.contains("not in the configuration any more, last loaded 20"), "{page}");
    assert!(page.contains("still needs it: a rule is enforced there"), "{page}");

    // What was another is told with the revision.
    let policies = wait_for("both loads", || async {
        let answer = rehearsal.get_json("/api/v1/policies").await;
        (answer["revisions"].as_array().is_some_and(|all| all.len() == 2)).then_some(answer)
    })
    .await;
    assert_eq!(policies["revisions"][0]["changes"], "exemption SEC-1 removed", "{policies}");
}
