//! Values that may be written in more than one way.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, SeqAccess, Visitor},
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema, schema},
};

/// OAuth 2.0 scopes, written as RFC 6749 section 3.3 does: `"a b"`. An array is taken, too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Scopes(pub(super) Vec<String>);

/// Redirect URLs, an array; a text with commas is taken, too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RedirectUrls(pub(super) Vec<String>);

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.join(" "))
    }
}

impl Serialize for RedirectUrls {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0)
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let visitor = ListVisitor {
            what: "scopes separated by spaces, or an array of them",
            cut: |text| text.split_whitespace().map(str::to_owned).collect(),
        };
        deserializer.deserialize_any(visitor).map(Self)
    }
}

impl<'de> Deserialize<'de> for RedirectUrls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let visitor = ListVisitor {
            what: "an array of URLs, or URLs separated by commas",
            cut: |text| {
                text.split(',')
                    .map(str::trim)
                    .filter(|one| !one.is_empty())
                    .map(str::to_owned)
                    .collect()
            },
        };
        deserializer.deserialize_any(visitor).map(Self)
    }
}

struct ListVisitor {
    what: &'static str,
    cut: fn(&str) -> Vec<String>,
}

impl<'de> Visitor<'de> for ListVisitor {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok((self.cut)(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = all.next_element()? {
            list.push(item);
        }
        Ok(list)
    }
}

fn text_or_array(description: &str) -> RefOr<Schema> {
    let text = schema::Object::with_type(schema::Type::String);
    let array = schema::Array::new(schema::Object::with_type(schema::Type::String));
    schema::OneOfBuilder::new()
        .item(text)
        .item(Schema::Array(array))
        .description(Some(description))
        .into()
}

impl PartialSchema for Scopes {
    fn schema() -> RefOr<Schema> {
        text_or_array(
            "OAuth 2.0 scopes separated by spaces, as RFC 6749 section 3.3 writes them; answered so. An array is taken, too.",
        )
    }
}

impl ToSchema for Scopes {}

impl PartialSchema for RedirectUrls {
    fn schema() -> RefOr<Schema> {
        text_or_array(
            "Redirect URLs, an array; answered so. A text with commas between them is taken, too.",
        )
    }
}

impl ToSchema for RedirectUrls {}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_ways_mean_the_same() {
        for scopes in [json!(" a  b "), json!(["a", "b"])] {
            let scopes: Scopes = serde_json::from_value(scopes).unwrap();
            assert_eq!(serde_json::to_value(scopes).unwrap(), json!("a b"));
        }
        for urls in [
            json!("https://a/x, https://b/y,"),
            json!(["https://a/x", "https://b/y"]),
        ] {
            let urls: RedirectUrls = serde_json::from_value(urls).unwrap();
            assert_eq!(
                serde_json::to_value(urls).unwrap(),
                json!(["https://a/x", "https://b/y"])
            );
        }
        assert!(serde_json::from_value::<Scopes>(json!([7])).is_err());
        assert!(serde_json::from_value::<Scopes>(json!(7)).is_err());
    }
}
