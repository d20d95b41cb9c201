//! The pages of who may look, in a real browser.

use serde_json::json;

use crate::harness::browser::{Browser, Scheme, Screen};
use crate::harness::peers;
use crate::setup::{PASSWORD, Person, asking, fill};

/// Elements that make a page scroll sideways.
const WIDER: &str = "
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    return [...document.querySelectorAll('*')]
        .filter(element => element.getBoundingClientRect().right > width + 1)
        .slice(0, 5).map(element => element.outerHTML.slice(0, 120));";

/// Fills the form in and sends it.
async fn sign_in(browser: &Browser, name: &str, password: &str) {
    let script = format!(
        "document.getElementById('name').value = {}; document.getElementById('password').value = {};
         document.querySelector('.sign-in button').click();",
        json!(name),
        json!(password)
    );
    browser.script(&script).await;
}

/// Once the browser is there.
async fn is_at(browser: &Browser, path: &str) {
    crate::harness::wait_for(path, || async {
        let at = browser.script("return location.pathname + location.search + document.readyState").await;
        (at == format!("{path}complete")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_signs_in_looks_and_signs_out() {
    let rehearsal = asking("").start().await;
    fill(&rehearsal).await;
    Person::signed_in(&rehearsal, "root").await.sees(7).await;
    let mut hostile = Person::at(&rehearsal);
    hostile.sign_in(&format!("<script>alert(1)</script>\u{202e}{}", "n".repeat(200)), "wrong").await;
    let browser = Browser::start().await;
    let axe = peers::axe();
    browser.look_from(Screen::Desk, Scheme::Light).await;
    let base = rehearsal.report_url();
    browser.open(&format!("{base}/decisions?answer=denied")).await;
    is_at(&browser, "/sign-in?to=/decisions%3Fanswer%3Ddenied").await;
    sign_in(&browser, "root", "wrong").await;
    is_at(&browser, "/sign-in").await;
    assert_eq!(
        browser.script("return document.querySelector('[role=alert]').textContent").await,
        json!("This name and this password do not go together.")
    );
    sign_in(&browser, "root", PASSWORD).await;
    is_at(&browser, "/decisions?answer=denied").await;
    assert_eq!(browser.script("return document.cookie").await, "", "no script reads it");
    for screen in [Screen::Phone, Screen::Desk] {
        for scheme in [Scheme::Light, Scheme::Dark] {
            browser.look_from(screen, scheme).await;
            for path in
                ["/access", "/access?event=refusal", "/access?user=nobody", "/", "/decisions", "/sign-in", "/none"]
            {
                browser.open(&format!("{base}{path}")).await;
                let what = format!("{path} {screen:?} {scheme:?}");
                assert_eq!(browser.script(WIDER).await, json!([]), "{what}: wider than the screen");
                if let Some(axe) = &axe {
                    assert_eq!(browser.barriers(axe).await, Vec::<String>::new(), "{what}");
                }
                let complaints: Vec<String> = browser.complaints().await;
                let of_ours = complaints.iter().filter(|complaint| {
                    !["401 (Unauthorized)", "404 (Not Found)"].iter().any(|status| complaint.contains(status))
                });
                assert_eq!(of_ours.count(), 0, "{what}: {complaints:?}");
            }
        }
    }
    browser.open(&format!("{base}/")).await;
    browser.script("document.querySelector('.person button').click()").await;
    is_at(&browser, "/sign-in").await;
    browser.open(&format!("{base}/access")).await;
    is_at(&browser, "/sign-in?to=/access").await;
    browser.close().await;
}
