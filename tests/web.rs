//! A small HTTP client and a browser, for tests that look at the pages from outside. Std only.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use notafter_lab::{NotRun, Port};
use serde_json::{Value, json};

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("no JSON ({e}): {}", self.body))
    }
}

/// Asks `http://127.0.0.1:PORT/path`.
pub(crate) fn ask(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    try_ask(method, url, headers, body).unwrap_or_else(|e| panic!("{method} {url}: {e}"))
}

pub(crate) fn get(url: &str) -> Answer {
    ask("GET", url, &[], "")
}

pub(crate) fn try_ask(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> std::io::Result<Answer> {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut request = format!("{method} /{path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request.push_str(&format!("Host: {host}\r\n"));
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || method != "GET" {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    stream.write_all(format!("{request}\r\n{body}").as_bytes())?;
    let mut bytes = Vec::new();
    let mut part = [0; 16 * 1024];
    // Not every server closes when it is asked to: what was announced is enough.
    while !is_whole(&bytes) {
        let read = stream.read(&mut part)?;
        if read == 0 {
            break;
        }
        bytes.extend_from_slice(&part[..read]);
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split_whitespace().nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { unchunk(body) } else { body.to_owned() };
    Ok(Answer { status, head: head.to_owned(), body })
}

/// Is the body as long as the head says?
fn is_whole(bytes: &[u8]) -> bool {
    let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|l| l.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    length.is_some_and(|length| bytes.len() >= end + 4 + length)
}

fn unchunk(mut text: &str) -> String {
    let mut out = String::new();
    while let Some((size, rest)) = text.split_once("\r\n") {
        let Ok(size) = usize::from_str_radix(size.trim(), 16) else { break };
        if size == 0 {
            break;
        }
        // Characters may be cut by a chunk's end only in bytes, which the lossy reading has made whole.
        let end = (0..=size.min(rest.len())).rev().find(|n| rest.is_char_boundary(*n)).unwrap_or(0);
        out.push_str(&rest[..end]);
        text = rest[end..].trim_start_matches("\r\n");
    }
    out
}

/// A headless Chromium, driven over W3C WebDriver.
pub(crate) struct Browser {
    driver: Child,
    base: String,
}

impl Browser {
    /// Starts one with a window so wide.
    pub(crate) fn start(width: u32, dark: bool) -> Result<Self, NotRun> {
        let missing =
            |what: &str| NotRun::new(what, format!("{what} is not installed: cargo xtask test gets it"));
        let here = |program: &str| {
            std::env::var("PATH")
                .unwrap_or_default()
                .split(':')
                .any(|p| std::path::Path::new(p).join(program).exists())
        };
        if !here("chromedriver") {
            return Err(missing("chromedriver"));
        }
        if !here("chromium") {
            return Err(missing("chromium"));
        }
        let port = Port::free();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={}", port.number()))
            .arg("--allowed-ips=127.0.0.1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| NotRun::new("chromedriver", e.to_string()))?;
        let mut browser = Self { driver, base: format!("http://127.0.0.1:{}", port.number()) };
        let begun = Instant::now();
        while try_ask("GET", &format!("{}/status", browser.base), &[], "").is_err() {
            if begun.elapsed() > Duration::from_secs(20) {
                return Err(NotRun::new("chromedriver", "it does not answer"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let mut arguments = vec![
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-quic".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            format!("--window-size={width},900"),
        ];
        if dark {
            arguments.push("--force-dark-mode".to_owned());
        }
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments, "binary": "/usr/bin/chromium",
                "mobileEmulation": { "deviceMetrics": { "width": width, "height": 900, "pixelRatio": 1.0, "mobile": false } } },
            "goog:loggingPrefs": { "browser": "ALL" }, "unhandledPromptBehavior": "ignore" } } });
        let made = browser.call("POST", "/session", &wanted);
        let Some(id) = made["sessionId"].as_str() else {
            return Err(NotRun::new("chromium", made.to_string()));
        };
        browser.base = format!("{}/session/{id}", browser.base);
        Ok(browser)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let text = if method == "GET" { String::new() } else { body.to_string() };
        let answer =
            ask(method, &format!("{}{path}", self.base), &[("Content-Type", "application/json")], &text);
        answer.json()["value"].clone()
    }

    /// Goes to a page.
    pub(crate) fn go(&self, url: &str) {
        let gone = self.call("POST", "/url", &json!({ "url": url }));
        assert!(gone.is_null(), "{url}: {gone}");
    }

    /// Where it is.
    pub(crate) fn at(&self) -> String {
        self.call("GET", "/url", &Value::Null).as_str().unwrap_or_default().to_owned()
    }

    /// What a script in the page returns.
    pub(crate) fn script(&self, script: &str) -> Value {
        self.call("POST", "/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Does this to what a selector finds first.
    fn with(&self, selector: &str, doing: &str, body: &Value) {
        let found = self.call("POST", "/element", &json!({ "using": "css selector", "value": selector }));
        let id = found.as_object().and_then(|o| o.values().next()).and_then(Value::as_str);
        let id = id.unwrap_or_else(|| panic!("{selector} is not on {}: {found}", self.at()));
        let done = self.call("POST", &format!("/element/{id}/{doing}"), body);
        assert!(done.is_null(), "{selector}: {done}");
    }

    /// Clicks what a selector finds first.
    pub(crate) fn click(&self, selector: &str) {
        self.with(selector, "click", &json!({}));
    }

    /// Types into a field, or chooses this file where it asks for one.
    pub(crate) fn fill(&self, selector: &str, text: &str) {
        self.with(selector, "value", &json!({ "text": text }));
    }

    /// Types keys into the page.
    pub(crate) fn keys(&self, keys: &str) {
        let actions: Vec<_> = keys
            .chars()
            .flat_map(|c| {
                [
                    json!({ "type": "keyDown", "value": c.to_string() }),
                    json!({ "type": "keyUp", "value": c.to_string() }),
                ]
            })
            .collect();
        self.call(
            "POST",
            "/actions",
            &json!({ "actions": [{ "type": "key", "id": "k", "actions": actions }] }),
        );
    }

    /// Is a dialog open? Only a script of a stranger would open one.
    pub(crate) fn dialog(&self) -> Option<String> {
        self.call("GET", "/alert/text", &Value::Null).as_str().map(str::to_owned)
    }

    /// What the console complained of since the last time.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.call("POST", "/se/log", &json!({ "type": "browser" }));
        let lines = log.as_array().cloned().unwrap_or_default();
        lines
            .iter()
            .filter(|l| l["level"] == "SEVERE" || l["level"] == "WARNING")
            .filter_map(|l| l["message"].as_str().map(str::to_owned))
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = try_ask("DELETE", &self.base, &[], "");
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
