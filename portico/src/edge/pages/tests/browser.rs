//! A browser without JavaScript: cookies, redirects, forms.

use std::{collections::BTreeMap, time::Duration};

use http::{HeaderMap, Method, StatusCode, header};

use super::html::{Form, decoded, forms};

/// Media type of forms.
const FORM: &str = "application/x-www-form-urlencoded";

pub(super) struct Browser {
    http: reqwest::Client,
    url: String,
    pub(super) cookies: BTreeMap<String, String>,
    pub(super) page: Page,
}

/// The page that is shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) html: String,
}

impl Page {
    pub(super) fn is(&self, status: u16) -> &Self {
        assert_eq!(
            self.status.as_u16(),
            status,
            "{}: {}",
            self.path,
            self.text()
        );
        self
    }

    pub(super) fn text(&self) -> String {
        decoded(&self.html)
    }

    pub(super) fn shows(&self, words: &str) -> &Self {
        assert!(
            self.text().contains(words),
            "{words:?} is not on {}: {}",
            self.path,
            self.text()
        );
        self
    }

    pub(super) fn hides(&self, words: &str) -> &Self {
        assert!(
            !self.text().contains(words),
            "{words:?} is on {}: {}",
            self.path,
            self.text()
        );
        self
    }

    /// The text between two others.
    pub(super) fn between(&self, from: &str, to: &str) -> String {
        let text = self.text();
        let (_, rest) = text
            .split_once(from)
            .unwrap_or_else(|| panic!("no {from:?} on {}: {text}", self.path));
        rest.split(to).next().unwrap().to_owned()
    }
}

impl Browser {
    pub(super) fn new(url: String) -> Self {
        Self {
            http: portico_sandbox::outgoing::http_client().unwrap(),
            url,
            cookies: BTreeMap::new(),
            page: Page::default(),
        }
    }

    /// Another window of it.
    pub(super) fn again(&self) -> Self {
        Self {
            http: self.http.clone(),
            url: self.url.clone(),
            cookies: self.cookies.clone(),
            page: self.page.clone(),
        }
    }

    pub(super) async fn get(&mut self, path: &str) -> &Page {
        self.go(Method::GET, path.to_owned(), FORM, String::new())
            .await
    }

    /// Loads a page again until it shows these words; what follows from a decision takes a moment.
    pub(super) async fn get_until(&mut self, path: &str, words: &str) -> &Page {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            self.get(path).await.is(200);
            if self.page.text().contains(words) {
                return &self.page;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "no {words:?}: {}",
                self.page.text()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Fills and sends a form of the page by its action; a field that the form does not have is a button's.
    pub(super) async fn submit(&mut self, action: &str, fields: &[(&str, &str)]) -> &Page {
        let form = self.form(action);
        self.send(action, form, fields).await
    }

    /// The form with this action on the page.
    pub(super) fn form(&self, action: &str) -> Form {
        let all = forms(&self.page.html);
        let found = all
            .iter()
            .find(|form| form.action.split('#').next() == Some(action));
        found
            .unwrap_or_else(|| panic!("no form {action} on {}: {all:?}", self.page.path))
            .clone()
    }

    /// Sends a form to another address than its own, as a button with `formaction` does.
    pub(super) async fn send(
        &mut self,
        action: &str,
        form: Form,
        fields: &[(&str, &str)],
    ) -> &Page {
        let mut sent: Vec<(String, String)> = form.fields;
        sent.retain(|(name, _)| !fields.iter().any(|(given, _)| given == name));
        sent.extend(
            fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(sent);
        self.post(action, FORM, body.finish()).await
    }

    /// Sends a body that no form of ours would make.
    pub(super) async fn post(&mut self, path: &str, media_type: &str, body: String) -> &Page {
        self.go(Method::POST, path.to_owned(), media_type, body)
            .await
    }

    async fn go(
        &mut self,
        mut method: Method,
        mut path: String,
        media_type: &str,
        body: String,
    ) -> &Page {
        for _ in 0..5 {
            let mut request = self
                .http
                .request(method.clone(), format!("{}{path}", self.url))
                .header(header::ACCEPT, "text/html")
                .header(header::COOKIE, self.cookie_line());
            if method == Method::POST {
                request = request
                    .header(header::ORIGIN, &self.url)
                    .header(header::CONTENT_TYPE, media_type)
                    .body(body.clone());
            }
            let response = request.send().await.unwrap();
            self.keep_cookies(response.headers());
            if let Some(to) = response.headers().get(header::LOCATION) {
                path = to.to_str().unwrap().to_owned();
                method = Method::GET;
                continue;
            }
            self.page = Page {
                status: response.status(),
                headers: response.headers().clone(),
                html: response.text().await.unwrap(),
                path,
            };
            return &self.page;
        }
        panic!("too many redirects: {path}");
    }

    fn cookie_line(&self) -> String {
        let pairs: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("; ")
    }

    fn keep_cookies(&mut self, headers: &HeaderMap) {
        for line in headers.get_all(header::SET_COOKIE) {
            let line = line.to_str().unwrap();
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            if line.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}
