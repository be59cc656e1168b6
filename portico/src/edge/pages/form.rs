//! Reading forms.

use std::collections::{BTreeMap, HashMap};

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
};
use minijinja::Value;
use portico_proto::{Error, rest::bounds};

use crate::edge::{
    Edge,
    problem::{Failure, Result},
    request::{RequestContext, csrf, encoded, media},
};

/// Browsers say no charset with it; a form is read as UTF-8 (WHATWG URL section 5.1).
const MEDIA_TYPE: &str = "application/x-www-form-urlencoded";
/// Name of the hidden field with the one-use key of a form that creates something.
const KEY_FIELD: &str = "form_key";

/// A posted form and its sender. Its CSRF token has been verified against the session or the visit.
pub(super) struct Posted {
    pub(super) ctx: RequestContext,
    pub(super) form: Form,
}

impl FromRequest<Edge> for Posted {
    type Rejection = Failure;

    async fn from_request(request: Request, edge: &Edge) -> Result<Self> {
        let (parts, body) = request.into_parts();
        let right = "A form must be sent as `application/x-www-form-urlencoded`.";
        media::require(&parts.headers, &[MEDIA_TYPE], right)?;
        let mut ctx = RequestContext::of_form(&parts, edge).await?;
        let body = Bytes::from_request(Request::from_parts(parts, body), edge)
            .await
            .map_err(|rejection| {
                let message = "The form could not be read; it may be larger than 1 MiB.";
                Failure::with_status(rejection.status(), "form_unreadable", message)
            })?;
        let form = Form::parse(&body);
        let owner = ctx.session().or_else(|| ctx.visit());
        edge.csrf
            .verify(owner.unwrap_or(&"".into()), &form.text(csrf::FIELD))?;
        encoded::refuse_unreadable(&body, "body")?;
        let key = form.text(KEY_FIELD);
        if !key.is_empty() {
            ctx.set_form_key(key)?;
        }
        Ok(Self { ctx, form })
    }
}

/// The fields of a form. They may occur several times (check boxes).
#[derive(Debug, Default)]
pub(super) struct Form(HashMap<String, Vec<String>>);

impl Form {
    fn parse(body: &[u8]) -> Self {
        let mut fields: HashMap<String, Vec<String>> = HashMap::new();
        for (name, value) in url::form_urlencoded::parse(body) {
            let values = fields.entry(name.into_owned()).or_default();
            values.push(value.into_owned());
        }
        Self(fields)
    }

    fn values(&self, name: &str) -> &[String] {
        self.0.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// One field, trimmed; empty where it is not there.
    pub(super) fn text(&self, name: &str) -> String {
        self.raw(name).trim().to_owned()
    }

    /// One field as it was typed, for passwords.
    pub(super) fn raw(&self, name: &str) -> String {
        self.values(name).first().cloned().unwrap_or_default()
    }

    /// A secret that stays as it is where nothing was typed.
    pub(super) fn secret(&self, name: &str) -> Option<String> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// Every value of a field, trimmed, without empty ones.
    pub(super) fn all(&self, name: &str) -> Vec<String> {
        let values = self.values(name).iter().map(|value| value.trim());
        values
            .filter(|value| !value.is_empty())
            .map(str::to_owned)
            .collect()
    }

    pub(super) fn checked(&self, name: &str) -> bool {
        !self.text(name).is_empty()
    }

    /// A field whose values are separated by spaces, commas or line ends.
    pub(super) fn words(&self, name: &str) -> Vec<String> {
        let text = self.text(name);
        text.split(|c: char| c.is_whitespace() || c == ',')
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// A field whose values are separated by commas.
    pub(super) fn by_commas(&self, name: &str) -> Vec<String> {
        let text = self.text(name);
        text.split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// URLs, one in a line. Several in one line are separated by commas, which URLs may hold themselves: so a comma ends
    /// one only where another one begins. A line that is one of `kept` is that one: what was not touched stays as it is.
    pub(super) fn urls(&self, name: &str, kept: &[String]) -> Vec<String> {
        let text = self.text(name);
        let lines = text.lines().map(str::trim);
        let urls = lines.flat_map(|line| match kept.iter().any(|kept| kept == line) {
            true => vec![line],
            false => separated(line),
        });
        let urls = urls.filter(|url| !url.is_empty());
        urls.map(str::to_owned).collect()
    }

    /// The expected version of an edited thing; 0, any, where the form does not say.
    pub(super) fn version(&self) -> u64 {
        self.text("version").parse().unwrap_or_default()
    }

    /// A number, `None` where the field is empty.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn number(&self, name: &str) -> std::result::Result<Option<u64>, Error> {
        let text = self.text(name);
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| {
            let last = name.rsplit('.').next().unwrap_or(name);
            let (least, most) = bounds(name).into_inner();
            let message = format!("`{name}` must be a whole number from {least} to {most}.");
            Error::field(name, format!("{last}_invalid"), message)
        })
    }

    /// What was typed, to show the form again; the named fields as lists. Never a secret.
    pub(super) fn typed(&self, lists: &[&str]) -> Value {
        let secret = |name: &str| {
            ["password", "secret", "token", "statement"]
                .iter()
                .any(|word| name.contains(word))
        };
        let shown = self.0.iter().filter(|(name, _)| !secret(name));
        let typed: BTreeMap<&str, Value> = shown
            .filter_map(|(name, values)| {
                let value = match lists.contains(&name.as_str()) {
                    true => Value::from(values.clone()),
                    false => Value::from(values.first()?),
                };
                Some((name.as_str(), value))
            })
            .collect();
        Value::from(typed)
    }
}

/// The URLs of a line.
fn separated(line: &str) -> Vec<&str> {
    let mut urls = Vec::new();
    let mut begin = 0;
    for (comma, _) in line.match_indices(',') {
        let next = &line[comma + 1..];
        if next.trim().is_empty() || begins_url(next) {
            urls.push(line[begin..comma].trim());
            begin = comma + 1;
        }
    }
    urls.push(line[begin..].trim());
    urls
}

/// A scheme (RFC 3986 section 3.1) with its colon and a slash, or after a space anything.
fn begins_url(text: &str) -> bool {
    let scheme = text.split_once(":/").map_or("", |(scheme, _)| scheme);
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_scheme || text.starts_with(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_within_a_url_ends_none() {
        let urls = |text: &str, kept: &[&str]| {
            let kept: Vec<String> = kept.iter().map(|url| (*url).to_owned()).collect();
            let fields = [("urls".to_owned(), vec![text.to_owned()])];
            Form(fields.into()).urls("urls", &kept)
        };
        let comma = "https://a.example/cb?list=1,2,b:c";
        assert_eq!(urls(comma, &[]), [comma]);
        assert_eq!(
            urls("https://a/1,2, https://b,org.example.app:/cb ,", &[]),
            ["https://a/1,2", "https://b", "org.example.app:/cb"]
        );
        assert_eq!(
            urls(&format!(" https://a \r\n\r\n{comma}\r\n"), &[]),
            ["https://a", comma]
        );
        // Untouched.
        let odd = "https://a.example/cb?also=x,https://b.example/";
        assert_eq!(
            urls(&format!("{odd}\r\nhttps://c"), &[odd]),
            [odd, "https://c"]
        );
        assert_eq!(urls("", &[odd]), [""; 0]);
    }

    #[test]
    fn fields_are_read_in_every_shape() {
        let form = Form::parse(
            b"name=+Shop+&scopes=a+b%0D%0Ac&ids=1&ids=2&on=on&version=7&urls=https%3A%2F%2Fa%2C+https%3A%2F%2Fb%2C",
        );
        assert_eq!(form.text("name"), "Shop");
        assert_eq!(form.words("scopes"), ["a", "b", "c"]);
        assert_eq!(form.all("ids"), ["1", "2"]);
        assert!(form.checked("on") && !form.checked("off"));
        assert_eq!((form.version(), Form::default().version()), (7, 0));
        assert_eq!(form.by_commas("urls"), ["https://a", "https://b"]);
        assert_eq!(form.number("version").unwrap(), Some(7));
        assert_eq!(form.number("absent").unwrap(), None);
        assert_eq!(form.number("name").unwrap_err().fields[0].field, "name");
    }

    #[test]
    fn secrets_are_never_shown_again() {
        let form =
            Form::parse(b"name=a&password=canary&initial_access_token=canary&secret=canary&ids=1");
        let typed = form.typed(&["ids"]);
        assert!(!typed.to_string().contains("canary"), "{typed}");
        assert_eq!(typed.get_attr("name").unwrap().to_string(), "a");
        assert_eq!(typed.get_attr("ids").unwrap().len(), Some(1));
    }
}
