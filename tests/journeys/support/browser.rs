//! A headless Chromium, driven by its chromedriver with the few calls of W3C WebDriver that the journeys need. The
//! libraries for it switch `preserve_order` of serde_json on, for everything that is built beside them.

use std::process::Stdio;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use portico_tests::{patience::Pauses, ports::free_port};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::{PATIENCE, until};

/// The member that names an element (W3C WebDriver section 12.1).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Ends with its driver, which ends with this.
pub struct Browser {
    http: Client,
    /// URL of the session.
    session: String,
    portal: String,
    _chromedriver: Child,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// A window of this many pixels before the portal at this address.
    pub async fn open(portal: &str, width: u32, height: u32) -> Self {
        let address = free_port();
        let chromedriver = Command::new("chromedriver")
            .arg(format!("--port={}", address.port()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        until("chromedriver", || async {
            tokio::net::TcpStream::connect(address).await.ok()
        })
        .await;
        let profile = tempfile::tempdir().unwrap();
        let arguments = [
            "--headless=new".to_owned(),
            // It ends when its driver does.
            "--remote-debugging-pipe".to_owned(),
            // The tests may run as root in containers, where neither can be had.
            "--no-sandbox".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            format!("--window-size={width},{height}"),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        let capabilities =
            json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": arguments}}}});
        let mut browser = Self {
            http: portico_sandbox::outgoing::http_client().unwrap(),
            session: format!("http://{address}/session"),
            portal: portal.to_owned(),
            _chromedriver: chromedriver,
            _profile: profile,
        };
        let session = browser.call(Method::POST, "", Some(capabilities)).await;
        let id = session.unwrap()["sessionId"].as_str().unwrap().to_owned();
        browser.session = format!("http://{address}/session/{id}");
        let size = json!({"width": width, "height": height});
        browser
            .call(Method::POST, "/window/rect", Some(size))
            .await
            .unwrap();
        browser
    }

    /// One command; `Err` has the error code of WebDriver and its words.
    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, String> {
        let mut request = self.http.request(method, format!("{}{path}", self.session));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let succeeded = answer.status().is_success();
        let mut answer: Value = answer.json().await.unwrap();
        let value = answer["value"].take();
        match succeeded {
            true => Ok(value),
            false => Err(format!("{}: {}", value["error"], value["message"])),
        }
    }

    async fn find(&self, using: &str, what: &str) -> Vec<String> {
        let body = json!({"using": using, "value": what});
        let found = self
            .call(Method::POST, "/elements", Some(body))
            .await
            .unwrap();
        let found = found.as_array().unwrap().iter();
        found
            .map(|element| format!("/element/{}", element[ELEMENT].as_str().unwrap()))
            .collect()
    }

    async fn click(&self, element: &str) {
        let path = format!("{element}/click");
        self.call(Method::POST, &path, Some(json!({})))
            .await
            .unwrap();
    }

    async fn attribute(&self, element: &str, name: &str) -> String {
        let path = format!("{element}/attribute/{name}");
        let value = self.call(Method::GET, &path, None).await.unwrap();
        value
            .as_str()
            .unwrap_or_else(|| panic!("{element} has no {name}"))
            .to_owned()
    }

    pub async fn go(&self, path: &str) {
        let url = json!({"url": format!("{}{path}", self.portal)});
        self.call(Method::POST, "/url", Some(url)).await.unwrap();
        self.fits().await;
    }

    /// The whole page in so many pixels, as PNG (Chromium's `Page.captureScreenshot`).
    pub async fn picture(&self, width: u32) -> Vec<u8> {
        let command = async |cmd: &str, params: Value| {
            let body = json!({"cmd": cmd, "params": params});
            let answer = self.call(Method::POST, "/goog/cdp/execute", Some(body));
            answer.await.unwrap()
        };
        let size = json!({"width": width, "height": 0, "deviceScaleFactor": 1, "mobile": true});
        command("Emulation.setDeviceMetricsOverride", size).await;
        self.fits().await;
        let whole = json!({"captureBeyondViewport": true});
        let picture = command("Page.captureScreenshot", whole).await;
        let picture = picture["data"].as_str().unwrap();
        STANDARD.decode(picture).unwrap()
    }

    /// No page is wider than its window.
    async fn fits(&self) {
        let script = "return document.documentElement.scrollWidth - window.innerWidth";
        let body = json!({"script": script, "args": []});
        let over = self
            .call(Method::POST, "/execute/sync", Some(body))
            .await
            .unwrap();
        let url = self.call(Method::GET, "/url", None).await.unwrap();
        assert!(
            over.as_i64() <= Some(0),
            "{url} is {over} pixels wider than its window"
        );
    }

    /// The field of this label gets this text.
    pub async fn fill(&self, label: &str, text: &str) {
        let path = format!("{}/value", self.labelled(label).await);
        self.call(Method::POST, &path, Some(json!({"text": text})))
            .await
            .unwrap();
    }

    /// Of the select box of this label, the option that begins so.
    pub async fn choose(&self, label: &str, option: &str) {
        let id = self.id_of(label).await;
        let xpath =
            format!("//select[@id='{id}']/option[starts-with(normalize-space(), '{option}')]");
        self.click(&self.find("xpath", &xpath).await[0]).await;
    }

    async fn labelled(&self, label: &str) -> String {
        let xpath = format!("//*[@id='{}']", self.id_of(label).await);
        self.find("xpath", &xpath).await.remove(0)
    }

    async fn id_of(&self, label: &str) -> String {
        let xpath = format!("//main//label[starts-with(normalize-space(), '{label}')]");
        self.attribute(&self.shown(&xpath).await, "for").await
    }

    /// The button or link of this text.
    pub async fn press(&self, text: &str) {
        let xpath =
            format!("//*[self::a or self::button or self::summary][normalize-space()='{text}']");
        self.click(&self.shown(&xpath).await).await;
        self.fits().await;
    }

    /// The first that can be seen; the page may still be on its way.
    async fn shown(&self, xpath: &str) -> String {
        let pauses = Pauses::begin();
        loop {
            for element in self.find("xpath", xpath).await {
                let path = format!("{element}/displayed");
                if self.call(Method::GET, &path, None).await == Ok(true.into()) {
                    return element;
                }
            }
            let text = self.text().await;
            assert!(
                pauses.waited() < PATIENCE,
                "nobody sees {xpath} on:\n{text}"
            );
            pauses.pause().await;
        }
    }

    /// Waits until the page says so, without loading it anew.
    pub async fn says(&self, text: &str) {
        until(text, || async {
            self.text().await.contains(text).then_some(())
        })
        .await;
    }

    /// What a person reads; nothing while the page is replaced under the hand.
    pub async fn text(&self) -> String {
        self.texts("body").await.pop().unwrap_or_default()
    }

    async fn texts(&self, css: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for element in self.find("css selector", css).await {
            let text = self
                .call(Method::GET, &format!("{element}/text"), None)
                .await;
            texts.extend(text.ok().and_then(|text| Some(text.as_str()?.to_owned())));
        }
        texts
    }

    /// Where these links lead.
    pub async fn links(&self, css: &str) -> Vec<String> {
        let mut links = Vec::new();
        for link in self.find("css selector", css).await {
            links.push(self.attribute(&link, "href").await);
        }
        links
    }

    /// The commands that stand there to be copied.
    pub async fn commands(&self) -> Vec<String> {
        self.texts("main pre").await
    }

    pub async fn log_in(&self, email: &str, password: &str) {
        self.go("/login").await;
        self.fill("E-mail", email).await;
        self.fill("Password", password).await;
        self.click(&self.shown("//main//form//button").await).await;
        self.says("Log out").await;
    }

    /// Closes the window and ends the browser.
    pub async fn quit(self) {
        self.call(Method::DELETE, "", None).await.unwrap();
    }
}
