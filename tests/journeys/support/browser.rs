//! A headless Chromium, driven through its own chromedriver (W3C WebDriver).

use std::{net::TcpListener, process::Stdio};

use thirtyfour::prelude::*;
use tokio::process::{Child, Command};

use super::until;

/// Ends with its driver, which ends with this.
pub struct Browser {
    /// The one window.
    pub driver: WebDriver,
    portal: String,
    _chromedriver: Child,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// A window of this many pixels before the portal at this address.
    pub async fn open(portal: &str, width: u32, height: u32) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = port.local_addr().unwrap();
        drop(port);
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
        let mut capabilities = DesiredCapabilities::chrome();
        capabilities.set_headless().unwrap();
        for argument in [
            // The tests run as root in containers, where neither can be had.
            "--no-sandbox".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
        ] {
            capabilities.add_arg(&argument).unwrap();
        }
        let driver = WebDriver::new(format!("http://{address}"), capabilities)
            .await
            .unwrap();
        driver.set_window_rect(0, 0, width, height).await.unwrap();
        Self {
            driver,
            portal: portal.to_owned(),
            _chromedriver: chromedriver,
            _profile: profile,
        }
    }

    pub async fn go(&self, path: &str) {
        let url = format!("{}{path}", self.portal);
        self.driver.goto(url).await.unwrap();
        self.fits().await;
    }

    /// No page is wider than its window.
    async fn fits(&self) {
        let script = "return document.documentElement.scrollWidth - window.innerWidth";
        let answer = self.driver.execute(script, vec![]).await.unwrap();
        let over: i64 = answer.convert().unwrap();
        let url = self.driver.current_url().await.unwrap();
        assert!(over <= 0, "{url} is {over} pixels wider than its window");
    }

    /// The field of this label gets this text.
    pub async fn fill(&self, label: &str, text: &str) {
        let field = self.labelled(label).await;
        field.send_keys(text).await.unwrap();
    }

    /// Of the select box of this label, the option that begins so.
    pub async fn choose(&self, label: &str, option: &str) {
        let xpath = format!("./option[starts-with(normalize-space(), '{option}')]");
        let field = self.labelled(label).await;
        field
            .find(By::XPath(xpath))
            .await
            .unwrap()
            .click()
            .await
            .unwrap();
    }

    async fn labelled(&self, label: &str) -> WebElement {
        let xpath = format!("//main//label[starts-with(normalize-space(), '{label}')]");
        let id = self.shown(&xpath).await.attr("for").await.unwrap().unwrap();
        self.driver.find(By::Id(id)).await.unwrap()
    }

    /// The button or link of this text.
    pub async fn press(&self, text: &str) {
        let xpath =
            format!("//*[self::a or self::button or self::summary][normalize-space()='{text}']");
        self.shown(&xpath).await.click().await.unwrap();
        self.fits().await;
    }

    /// The first that can be seen.
    async fn shown(&self, xpath: &str) -> WebElement {
        for element in self.driver.find_all(By::XPath(xpath)).await.unwrap() {
            if element.is_displayed().await.unwrap() {
                return element;
            }
        }
        panic!("nobody sees {xpath} on:\n{}", self.text().await)
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
        match self.driver.find(By::Tag("body")).await {
            Ok(page) => page.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// Where these links lead.
    pub async fn links(&self, css: &str) -> Vec<String> {
        let mut links = Vec::new();
        for link in self.driver.find_all(By::Css(css)).await.unwrap() {
            links.push(link.attr("href").await.unwrap().unwrap());
        }
        links
    }

    /// The commands that stand there to be copied.
    pub async fn commands(&self) -> Vec<String> {
        let mut commands = Vec::new();
        for command in self.driver.find_all(By::Css("main pre")).await.unwrap() {
            commands.push(command.text().await.unwrap());
        }
        commands
    }

    pub async fn log_in(&self, email: &str, password: &str) {
        self.go("/login").await;
        self.fill("E-mail", email).await;
        self.fill("Password", password).await;
        let button = self.driver.find(By::Css("main form button")).await.unwrap();
        button.click().await.unwrap();
    }
}
