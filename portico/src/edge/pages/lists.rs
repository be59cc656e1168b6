//! Lists: search, filters, order and paging.

use minijinja::{Value, context};
use portico_proto::{Error, rest::Enumeration};
use serde::Deserialize;

/// The query of a list's page. Each list uses the members that it supports.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Listing {
    pub(super) q: String,
    pub(super) tag: String,
    pub(super) status: String,
    pub(super) role: String,
    pub(super) let_in: String,
    pub(super) subject_id: String,
    pub(super) service: String,
    pub(super) consumer: String,
    pub(super) sort: String,
    pub(super) after: String,
}

/// The number of an enum's word; 0, all of them, where nothing is chosen. An unknown word must not show everything: it gets
/// a number that no enum has, and the service answers which words there are.
pub(super) fn word<E: Enumeration>(text: &str) -> i32 {
    match E::from_word(text) {
        Some(known) => known.into(),
        None if text.is_empty() => 0,
        None => -1,
    }
}

/// A filter of those who are something, or are not; nothing chosen is both. As with [`word`], what is neither is refused.
pub(super) fn yes_or_no(field: &'static str, text: &str) -> Result<Option<bool>, Error> {
    match text {
        "" => Ok(None),
        "true" => Ok(Some(true)),
        "false" => Ok(Some(false)),
        _ => {
            let message = format!("`{field}` must be true or false.");
            Err(Error::field(field, "field_type_wrong", message))
        }
    }
}

impl Listing {
    /// For the template: the filters, and the links to the first and the next page (`next` is the cursor).
    pub(super) fn shown(&self, next: &str) -> Value {
        context! {
            q => &self.q,
            tag => &self.tag,
            status => &self.status,
            role => &self.role,
            let_in => &self.let_in,
            subject_id => &self.subject_id,
            service => &self.service,
            consumer => &self.consumer,
            sort => &self.sort,
            filtered => !self.filters().is_empty(),
            first => (!self.after.is_empty()).then(|| self.link("")),
            next => (!next.is_empty()).then(|| self.link(next)),
        }
    }

    fn filters(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("q", &self.q),
            ("tag", &self.tag),
            ("status", &self.status),
            ("role", &self.role),
            ("let_in", &self.let_in),
            ("subject_id", &self.subject_id),
            ("service", &self.service),
            ("consumer", &self.consumer),
        ];
        let given = all.into_iter().filter(|(_, value)| !value.is_empty());
        given.map(|(name, value)| (name, value.as_str())).collect()
    }

    fn link(&self, after: &str) -> String {
        let mut query = url::form_urlencoded::Serializer::for_suffix(String::from("?"), 1);
        query.extend_pairs(self.filters());
        for (name, value) in [("sort", self.sort.as_str()), ("after", after)] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        query.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_keep_the_filters_and_the_order() {
        let listing = Listing {
            q: "pay & go".into(),
            status: "draft".into(),
            sort: "-name".into(),
            after: "here".into(),
            ..Listing::default()
        };
        let shown = listing.shown("there");
        assert_eq!(
            shown.get_attr("next").unwrap().to_string(),
            "?q=pay+%26+go&status=draft&sort=-name&after=there"
        );
        assert_eq!(
            shown.get_attr("first").unwrap().to_string(),
            "?q=pay+%26+go&status=draft&sort=-name"
        );
        assert!(listing.shown("").get_attr("next").unwrap().is_none());
        let ordered = Listing {
            sort: "-name".into(),
            ..Listing::default()
        };
        let filtered = ordered.shown("").get_attr("filtered").unwrap();
        assert!(!filtered.is_true(), "an order leaves nothing out");
    }
}
