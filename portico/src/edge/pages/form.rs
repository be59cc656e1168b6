//! Reading forms.

use std::collections::HashMap;

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
};
use portico_proto::Error;

use crate::edge::{Edge, ask::Ask, csrf, problem::{Failure, Result}};

/// A posted form whose CSRF token fits the session or the visit. Fields may occur several times (check boxes).
pub(super) struct Form(HashMap<String, Vec<String>>);

impl Form {
    /// Reads and verifies the body of a form.
    ///
    /// # Errors
    /// `csrf_failed`.
    pub(super) fn read(ask: &Ask, body: &Bytes) -> std::result::Result<Self, Error> {
        let mut fields: HashMap<String, Vec<String>> = HashMap::new();
        for (name, value) in url::form_urlencoded::parse(body) {
            fields.entry(name.into_owned()).or_default().push(value.into_owned());
        }
        let form = Self(fields);
        let owner = ask.session().or_else(|| ask.visit());
        let token = form.text(csrf::FIELD);
        match owner {
            Some(owner) => ask.edge().csrf.verify(owner, &token)?,
            None => return Err(csrf::refused()),
        }
        Ok(form)
    }

    /// One field, trimmed; empty where it is not there.
    pub(super) fn text(&self, name: &str) -> String {
        self.0.get(name).and_then(|values| values.first()).map(|value| value.trim().to_owned()).unwrap_or_default()
    }

    /// One field as it was typed, for passwords.
    pub(super) fn raw(&self, name: &str) -> String {
        self.0.get(name).and_then(|values| values.first()).cloned().unwrap_or_default()
    }

    /// Every value of a field, trimmed, without empty ones.
    pub(super) fn all(&self, name: &str) -> Vec<String> {
        let values = self.0.get(name).map(Vec::as_slice).unwrap_or_default();
        values.iter().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty()).collect()
    }

    /// A check box.
    pub(super) fn checked(&self, name: &str) -> bool {
        !self.text(name).is_empty()
    }

    /// A field whose values are separated by spaces, commas or line ends.
    pub(super) fn words(&self, name: &str) -> Vec<String> {
        let text = self.text(name);
        let words = text.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty());
        words.map(str::to_owned).collect()
    }

    /// What was typed, to show the form again: single values as text, several as a list. Never a password.
    pub(super) fn typed(&self) -> HashMap<&str, minijinja::Value> {
        self.0
            .iter()
            .filter(|(name, _)| !name.contains("password") && !name.contains("secret") && !name.contains("token"))
            .map(|(name, values)| {
                let value = match values.as_slice() {
                    [one] => minijinja::Value::from(one.clone()),
                    several => minijinja::Value::from(several.to_vec()),
                };
                (name.as_str(), value)
            })
            .collect()
    }
}

/// The body of a form and who sends it.
pub(super) struct Posted {
    pub(super) ask: Ask,
    pub(super) body: Bytes,
}

impl FromRequest<Edge> for Posted {
    type Rejection = Failure;

    async fn from_request(request: Request, edge: &Edge) -> Result<Self> {
        use axum::extract::FromRequestParts as _;
        let (mut parts, body) = request.into_parts();
        let ask = Ask::from_request_parts(&mut parts, edge).await?;
        let body = Bytes::from_request(Request::from_parts(parts, body), edge)
            .await
            .map_err(|_| Failure::from(Error::field("form", "form_unreadable", "The form could not be read.")))?;
        Ok(Self { ask, body })
    }
}
