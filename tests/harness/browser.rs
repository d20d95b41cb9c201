//! A real Chromium through chromedriver, for what only a browser can tell of a page.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use http::Method;
use serde_json::{Value, json};

use super::http::{Alpn, HttpClient};

/// One session; dropping it ends browser and driver.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    client: HttpClient,
    session: String,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Screen {
    /// 390 by 844 points, touch.
    Phone,
    /// 1280 by 900.
    Desk,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scheme {
    Light,
    Dark,
}

/// Every rule of axe, the best practices too.
const VIOLATIONS: &str = "
    const texts = one => one.nodes.map(node => one.id + ' (' + one.help + '): ' + node.html.slice(0, 200) + ' '
        + node.any.map(check => check.message).join(' '));
    return axe.run(document, {resultTypes: ['violations']}).then(found => found.violations.flatMap(texts));";

// === impl Browser ===

impl Browser {
    /// # Panics
    /// Where chromedriver or Chromium is missing: `./test` installs both.
    pub async fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("chromedriver: {error}; `./test` installs it and Chromium"));
        let stdout = BufReader::new(driver.stdout.take().expect("piped"));
        let port = stdout
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                let port = line.rsplit_once("started successfully on port ")?.1;
                port.trim_end_matches('.').parse::<u16>().ok()
            })
            .expect("chromedriver says its port");
        let client = HttpClient::new(None, None, Alpn::H1);
        let mut browser = Self { driver, client, session: format!("http://127.0.0.1:{port}/session") };
        let arguments =
            ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"];
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}
        }}});
        let session = browser.call("", &capabilities).await;
        let id = session["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {session}"));
        browser.session = format!("{}/{id}", browser.session);
        browser
    }

    /// As if on this screen, by a reader who prefers this scheme.
    pub async fn look_from(&self, screen: Screen, scheme: Scheme) {
        let (width, height, mobile) = match screen {
            Screen::Phone => (390, 844, true),
            Screen::Desk => (1280, 900, false),
        };
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        let scheme = if scheme == Scheme::Dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    /// As it would be printed on A4 with this much room for text, by a reader who prefers the dark.
    pub async fn look_at_paper(&self, width: u32) {
        let metrics = json!({"width": width, "height": 1010, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        let media = json!({"media": "print", "features": [{"name": "prefers-color-scheme", "value": "dark"}]});
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    /// The page as a PDF, on the paper that its own style asks for.
    pub async fn print(&self) -> Vec<u8> {
        let parameters = json!({"preferCSSPageSize": true, "printBackground": false});
        let printed = self.devtools("Page.printToPDF", parameters).await;
        let text = printed["data"].as_str().expect("base64");
        base64::engine::general_purpose::STANDARD.decode(text).expect("base64")
    }

    /// Loads a page and waits for its load event.
    pub async fn open(&self, url: &str) {
        self.call("/url", &json!({"url": url})).await;
    }

    /// The value of `return ...`.
    pub async fn script(&self, source: &str) -> Value {
        self.call("/execute/sync", &json!({"script": source, "args": []})).await
    }

    /// What axe-core finds wrong with the page for people who do not see it, or see it badly: rule, why, and where.
    pub async fn barriers(&self, axe: &str) -> Vec<String> {
        let found = self.script(&format!("{axe}; {VIOLATIONS}")).await;
        found.as_array().expect("a list").iter().map(|one| one.as_str().expect("text").to_owned()).collect()
    }

    /// What the console said since the last call, warnings and errors only.
    pub async fn complaints(&self) -> Vec<String> {
        let entries = self.call("/se/log", &json!({"type": "browser"})).await;
        let entries = entries.as_array().expect("a list").iter();
        entries
            .filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING")
            .map(|entry| entry["message"].to_string())
            .collect()
    }

    /// The URLs that pages asked for since the last call.
    pub async fn requests(&self) -> Vec<String> {
        let entries = self.call("/se/log", &json!({"type": "performance"})).await;
        let entries = entries.as_array().expect("a list").iter();
        entries
            .filter_map(|entry| {
                let event: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
                let message = &event["message"];
                let sent = message["method"] == "Network.requestWillBeSent";
                sent.then(|| message["params"]["request"]["url"].as_str().map(str::to_owned))?
            })
            .collect()
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.call("/goog/cdp/execute", &json!({"cmd": command, "params": parameters})).await
    }

    async fn call(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}{path}", self.session);
        let response = self.client.post(&url, body.to_string()).await;
        assert_eq!(response.status, 200, "{path}: {}", response.text());
        response.json()["value"].take()
    }

    /// Ends the session, and with it the browser.
    pub async fn close(self) {
        self.client.send(Method::DELETE, &self.session, &[], "").await.expect("chromedriver answers");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
