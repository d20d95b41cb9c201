//! The report by TLS.

use crate::harness::certs;
use crate::harness::http::{Alpn, HttpClient};
use crate::harness::run;
use crate::setup::{PASSWORD, Person, asking, field, fill};
use crate::tokens::token;

#[tokio::test]
async fn by_tls_a_cookie_is_for_this_host_and_for_tls_alone() {
    let ca = certs::Authority::new("tests");
    let leaf = ca.server(&[]);
    let rehearsal = asking("  tls: {certificate: r.crt, key: r.key}\n")
        .file("r.crt", leaf.certificate_pem)
        .file("r.key", leaf.key_pem)
        .start()
        .await;
    assert!(rehearsal.report_url().starts_with("https://"), "{}", rehearsal.report_url());
    let mut person = Person::at(&rehearsal);
    person.client = HttpClient::new(Some(&ca.pem), None, Alpn::Any);
    let csrf = field(&person.get("/sign-in").await.text(), "csrf");
    let fields = [("csrf", csrf.as_str()), ("name", "root"), ("password", PASSWORD)];
    let response = person.post("/sign-in", &fields).await;
    assert_eq!(response.status, 303, "{}", response.text());
    let set: Vec<&str> = response.headers.get_all("set-cookie").iter().filter_map(|set| set.to_str().ok()).collect();
    let session = set.iter().find(|set| set.starts_with("__Host-rehearsal=")).expect("a session");
    assert!(session.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"), "{session}");
    assert_eq!(person.get("/").await.status, 200);
}

#[tokio::test]
async fn what_asks_a_report_trusts_who_the_file_of_ca_names() {
    let ca = certs::Authority::new("tests");
    let leaf = ca.server(&[]);
    let more = format!(
        "  tls: {{certificate: r.crt, key: r.key}}\n  tokens:\n{}",
        token("gate", "role: viewer, until: 2100-01-01")
    );
    let rehearsal = asking(&more)
        .file("r.crt", leaf.certificate_pem)
        .file("r.key", leaf.key_pem)
        .file("ca.crt", &ca.pem)
        .file("other.crt", certs::Authority::new("others").pem)
        .file("none.crt", "no certificate")
        .file("token.txt", "rhp_gate\n")
        .start()
        .await;
    fill(&rehearsal).await;
    let mut person = Person::at(&rehearsal);
    person.client = HttpClient::new(Some(&ca.pem), None, Alpn::Any);
    assert_eq!(person.sign_in("root", PASSWORD).await.status, 303);
    person.sees(7).await;
    let url = rehearsal.report_url();
    for (command, answered, said) in
        [(&["ready", "--rule", "images/no-latest"][..], 1, "not ready"), (&["report"], 0, "<!doctype html>")]
    {
        let asked = [command, &["--url", url, "--token-file", "token.txt"]].concat();
        let ask = |more: &[&str]| run(rehearsal.dir(), &[&asked, more].concat());
        for (more, why) in [
            (&[][..], "does not answer"),
            (&["--ca", "other.crt"], "does not answer"),
            (&["--ca", "none.crt"], "none.crt: it holds no certificate in PEM"),
            (&["--ca", "missing.crt"], "missing.crt: No such file"),
        ] {
            let refused = ask(more);
            assert_ne!(refused.code, Some(answered), "{more:?}: {}", refused.stdout);
            assert!(refused.stderr.contains(why), "{more:?}: {}", refused.stderr);
        }
        let trusted = ask(&["--ca", "ca.crt"]);
        assert_eq!(trusted.code, Some(answered), "{}", trusted.stderr);
        assert!(trusted.stdout.to_lowercase().contains(said), "{}", trusted.stdout);
    }
}
