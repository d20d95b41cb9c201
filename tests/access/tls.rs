//! The report by TLS.

use crate::harness::certs;
use crate::harness::http::{Alpn, HttpClient};
use crate::setup::{PASSWORD, Person, asking, field};

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
