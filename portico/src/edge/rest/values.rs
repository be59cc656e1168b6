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

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.join(" "))
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
        assert!(serde_json::from_value::<Scopes>(json!([7])).is_err());
        assert!(serde_json::from_value::<Scopes>(json!(7)).is_err());
    }
}
