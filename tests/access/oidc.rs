//! A provider of OpenID Connect: a real one, at which a person signs in by its own forms.

use crate::harness::Rehearsal;
use crate::harness::http::Response;
use crate::harness::peers::OidcProvider;
use crate::setup::{POLICIES, Person, TEAMS, encoded, field, fill};

const SECRET: &str = "a secret of the tests";

/// Where people reach the report, as it and the provider are told. It is in front of a port that is only known when both
/// run, so a person goes the last step themselves.
const PUBLIC: &str = "https://rehearsal.test";

/// A report that asks the provider, and the provider; `None` where there is none.
async fn asking() -> Option<(Rehearsal, OidcProvider)> {
    let provider = OidcProvider::start(&format!("{PUBLIC}/sign-in/callback")).await?;
    let oidc = format!(
        "  oidc: {{issuer: '{}', client_id: rehearsal, client_secret_file: secret.txt, scopes: [email, groups]}}",
        provider.issuer
    );
    let front = format!("  public_url: {PUBLIC}\n  auth: oidc\n");
    let teams = TEAMS.replace("roles: {auditor: [audit]}", "roles: {admin: [root]}");
    let config = format!("report:\n{front}{oidc}{teams}{POLICIES}");
    Some((Rehearsal::builder().config(&config).file("secret.txt", SECRET).start().await, provider))
}

/// The path that the provider sends the person back to.
async fn at_provider(person: &mut Person, provider: &OidcProvider, url: &str, name: &str) -> String {
    let mut url = url.to_owned();
    for _ in 0..12 {
        if let Some(back) = url.strip_prefix(PUBLIC) {
            return back.to_owned();
        }
        let mut response = person.get(&url).await;
        if response.status == 200 {
            let page = response.text();
            let prompt = field(&page, "prompt");
            let fields = [("prompt", prompt.as_str()), ("login", name), ("password", "any")];
            response = person.post(&url, &fields).await;
        }
        let location = response.header("location").unwrap_or_else(|| panic!("{url}: {}", response.text()));
        url = if location.starts_with('/') { format!("{}{location}", provider.issuer) } else { location.to_owned() };
    }
    panic!("no way back from {url}");
}

/// The address of the provider that the form leads to.
async fn begun(person: &mut Person, to: &str) -> String {
    let page = person.get(&format!("/sign-in?to={}", encoded(to))).await.text();
    let csrf = field(&page, "csrf");
    let response = person.post("/sign-in", &[("csrf", &csrf), ("to", &field(&page, "to"))]).await;
    assert_eq!(response.status, 200, "{}", response.text());
    let refresh = response.header("refresh").expect("a way on").to_owned();
    refresh.strip_prefix("0; url=").expect("at once").to_owned()
}

async fn sign_in(person: &mut Person, provider: &OidcProvider, name: &str) -> Response {
    let url = begun(person, "/decisions?tz=UTC").await;
    let back = at_provider(person, provider, &url, name).await;
    person.get(&back).await
}

#[tokio::test]
async fn a_provider_vouches_for_people_and_their_groups_say_what_they_see() {
    let Some((rehearsal, provider)) = asking().await else { return };
    fill(&rehearsal).await;
    let mut root = Person::at(&rehearsal);
    let response = sign_in(&mut root, &provider, "root").await;
    assert_eq!((response.status, response.header("location")), (303, Some("/decisions?tz=UTC")), "{}", response.text());
    root.sees(7).await;
    let page = root.get("/").await.text();
    assert!(page.contains("root@id.test") && page.contains("Sign out"), "{page}");
    let mut sam = Person::at(&rehearsal);
    assert_eq!(sign_in(&mut sam, &provider, "sam").await.status, 303);
    sam.sees(3).await;
    assert_eq!(sam.get("/?namespace=blog").await.status, 403);
    let mut nil = Person::at(&rehearsal);
    let refused = sign_in(&mut nil, &provider, "nil").await;
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("nil@id.test is signed in, and neither a role nor a team"), "{}", refused.text());

    let csrf = field(&root.get("/").await.text(), "csrf");
    let mut log = root.accesses("").await;
    log.reverse();
    let told: Vec<String> =
        log.iter().map(|entry| format!("{} {} {}", entry["event"], entry["user"], entry["means"])).collect();
    let expected = [
        r#""sign-in" "root@id.test" "oidc""#,
        r#""sign-in" "sam@id.test" "oidc""#,
        r#""refusal" "sam@id.test" "oidc""#,
        r#""refusal" "nil@id.test" "oidc""#,
    ];
    assert_eq!(told, expected);
    assert_eq!(root.post("/sign-out", &[("csrf", &csrf)]).await.status, 303);
    assert_eq!(root.get("/").await.status, 303);
}

#[tokio::test]
async fn a_way_back_is_for_the_browser_that_went_and_once() {
    let Some((rehearsal, provider)) = asking().await else { return };
    let mut person = Person::at(&rehearsal);
    let url = begun(&mut person, "/").await;
    for part in
        ["response_type=code", "code_challenge_method=S256", "code_challenge=", "state=", "nonce=", "scope=openid"]
    {
        assert!(url.contains(part), "{part}: {url}");
    }
    let back = at_provider(&mut person, &provider, &url, "root").await;
    let mut other = Person::at(&rehearsal);
    assert_eq!(other.get(&back).await.status, 403, "another browser");
    begun(&mut other, "/").await;
    assert_eq!(other.get(&back).await.status, 403, "one that went for itself");
    assert_eq!(other.get("/").await.status, 303);
    assert_eq!(person.get(&back.replace("code=", "code=x")).await.status, 403, "another code");
    let refused = person
        .get(&format!(
            "/sign-in/callback?state={}&error=access_denied&error_description=%3Cscript%3E",
            encoded(&state(&back))
        ))
        .await;
    assert_eq!(refused.status, 403);
    assert!(
        !refused.text().contains("<script>") && refused.text().contains("did not vouch for anybody"),
        "{}",
        refused.text()
    );
    assert_eq!(person.get(&back).await.status, 303);
    assert_eq!(person.get("/").await.status, 200);
    assert_eq!(person.get(&back).await.status, 403, "once");
    let metrics = person.get("/metrics").await.text();
    assert!(metrics.contains("rehearsal_sign_ins_total{means=\"oidc\"} 1"), "{metrics}");
    assert!(metrics.contains("rehearsal_access_refusals_total{reason=\"form\"} 3"), "{metrics}");
}

fn state(back: &str) -> String {
    let state = back.split("state=").nth(1).expect("a state");
    state.split('&').next().expect("its end").to_owned()
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_said_to_be() {
    // Nobody can listen on port 0.
    let config =
        format!("report: {{auth: oidc, public_url: '{PUBLIC}', oidc: {{issuer: 'http://127.0.0.1:0', client_id: x}}}}");
    let rehearsal = Rehearsal::builder().config(&config).start().await;
    let mut person = Person::at(&rehearsal);
    let page = person.get("/sign-in").await.text();
    let response = person.post("/sign-in", &[("csrf", &field(&page, "csrf"))]).await;
    assert_eq!(response.status, 502);
    assert!(response.text().contains("the provider cannot be asked"), "{}", response.text());
}
