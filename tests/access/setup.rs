//! People who look at a report that asks who they are.

use std::collections::BTreeMap;

use argon2::password_hash::{PasswordHasher, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use http::Method;
use serde_json::Value;

use crate::harness::http::{Alpn, HttpClient, Response};
use crate::harness::reviews::pod_review;
use crate::harness::{Builder, Rehearsal, wait_for};

/// A browser, as far as a sign-in needs one.
#[derive(Debug, Clone)]
pub struct Person {
    pub client: HttpClient,
    pub base: String,
    pub cookies: BTreeMap<String, String>,
}

/// Cheap: a test is not to wait for it.
pub fn hash(password: &str) -> String {
    let params = Params::new(8, 1, 1, None).expect("parameters");
    let salt = SaltString::from_b64("c29tZXNhbHRvZnRlc3Rz").expect("a salt");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password(password.as_bytes(), &salt).expect("a hash").to_string()
}

pub const PASSWORD: &str = "correct horse & battery + staple";

/// Everybody has [`PASSWORD`]: `root` admin, `ada` auditor, `vic` viewer, `sam` of the shop, `bo` of the blog, `nil` of nothing.
pub fn users() -> String {
    let hash = hash(PASSWORD);
    let user = |name: &str, more: &str| format!("    - {{name: {name}, hash: '{hash}', {more}}}\n");
    [
        user("root", "role: admin"),
        user("ada", "groups: [audit]"),
        user("vic", "role: viewer"),
        user("sam", "groups: [shop-people]"),
        user("bo", "groups: [blog-people]"),
        user("nil", "groups: [nobody]"),
    ]
    .concat()
}

pub const TEAMS: &str = "
  contact: platform@example.com
  roles: {auditor: [audit]}
  teams:
    - {name: Shop, group: shop-people, clusters: [prod], namespaces: [shop, 'shop-*'], contact: '#shop'}
    - {name: Blog, group: blog-people, namespaces: [blog], contact: blog@example.com}
";

pub const POLICIES: &str = "
exemptions:
  - {rule: hub, namespaces: [shop, secret-project], permanent: true, ticket: SEC-7, reason: is being mended}
policies:
  - name: images
    mode: audit
    rules:
      - {id: no-latest, deny: {tag: latest}, message: '{image} uses the tag latest'}
      - {id: blocked, deny: {registry: blocked.test}, mode: enforce}
      - {id: hub, deny: {registry: docker.io}}
";

/// A report that asks for a password; `more` is of `report`.
pub fn asking(more: &str) -> Builder {
    let users = users();
    Rehearsal::builder().config(&format!("report:\n  auth: users\n  users:\n{users}{TEAMS}{more}{POLICIES}"))
}

/// Reviews of the shop, of the blog, and of no namespace that a team has.
pub async fn fill(rehearsal: &Rehearsal) {
    for (cluster, namespace, uid, image) in [
        ("prod", "shop", "uid-s1", "nginx"),
        ("prod", "shop", "uid-s2", "blocked.test/shop:1"),
        ("prod", "shop-eu", "uid-s3", "shop.test/web:latest"),
        ("seventh", "shop", "uid-l1", "seventh.test/web:latest"),
        ("prod", "blog", "uid-b1", "blog.test/web:latest"),
        ("prod", "blog", "uid-b2", "blocked.test/blog:1"),
        ("prod", "secret-project", "uid-x1", "secret.test/plan:latest"),
    ] {
        let review = pod_review(uid, namespace, &format!("{namespace}-{uid}"), &[image]);
        rehearsal.review(&format!("/review/{cluster}"), &review).await;
    }
}

/// The value of a field of a form on a page.
pub fn field(page: &str, name: &str) -> String {
    let at = page.find(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("no field {name} in {page}"));
    let rest = page[at..].split("value=\"").nth(1).expect("a value");
    rest.split('"').next().expect("closed").replace("&#38;", "&").replace("&amp;", "&")
}

pub fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

pub fn form(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    pairs.join("&")
}

// === impl Person ===

impl Person {
    pub fn at(rehearsal: &Rehearsal) -> Self {
        let client = HttpClient::new(None, None, Alpn::H1);
        Self { client, base: rehearsal.report_url().to_owned(), cookies: BTreeMap::new() }
    }

    /// # Panics
    /// They are not let in.
    pub async fn signed_in(rehearsal: &Rehearsal, name: &str) -> Self {
        let mut person = Self::at(rehearsal);
        let response = person.sign_in(name, PASSWORD).await;
        assert_eq!(response.status, 303, "{}", response.text());
        person
    }

    /// By the form, as a browser does.
    pub async fn sign_in(&mut self, name: &str, password: &str) -> Response {
        let page = self.get("/sign-in").await;
        assert_eq!(page.status, 200, "{}", page.text());
        let csrf = field(&page.text(), "csrf");
        self.post("/sign-in", &[("csrf", &csrf), ("to", "/decisions?tz=UTC"), ("name", name), ("password", password)])
            .await
    }

    pub async fn get(&mut self, path: &str) -> Response {
        self.send(Method::GET, path, &[], "").await
    }

    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Response {
        let body = form(fields);
        self.send(Method::POST, path, &[("content-type", "application/x-www-form-urlencoded")], &body).await
    }

    pub async fn send(&mut self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let mut headers = headers.to_vec();
        if !cookies.is_empty() {
            headers.push(("cookie", &cookies));
        }
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        let response = self.client.send(method, &url, &headers, body.to_owned()).await;
        let response = response.unwrap_or_else(|error| panic!("{url}: {}", error.0));
        for set in response.headers.get_all("set-cookie") {
            let set = set.to_str().expect("ASCII");
            let (name, value) = set.split(';').next().and_then(|pair| pair.split_once('=')).expect("a pair");
            if set.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        response
    }

    pub async fn json(&mut self, path: &str) -> Value {
        let response = self.get(path).await;
        assert_eq!(response.status, 200, "{path}: {}", response.text());
        response.json()
    }

    /// Waits until so many decisions are in the history, as far as this person sees.
    pub async fn sees(&self, count: usize) -> Vec<Value> {
        wait_for(&format!("{count} decisions"), || async {
            let mut person = self.clone();
            let mut page = person.json("/api/v1/decisions?limit=1000").await;
            let decisions = page["decisions"].as_array_mut().expect("a list");
            (decisions.len() == count).then(|| std::mem::take(decisions))
        })
        .await
    }

    /// Of the access log, newest first.
    pub async fn accesses(&mut self, query: &str) -> Vec<Value> {
        let mut page = self.json(&format!("/api/v1/access?{query}")).await;
        std::mem::take(page["accesses"].as_array_mut().expect("a list"))
    }
}
