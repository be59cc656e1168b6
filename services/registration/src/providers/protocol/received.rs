//! The secrets of a body, read member by member: a reader that makes a map of an object forgets the first of two members of
//! one name.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Characters of a text that may be a secret: `true` is none.
const SHORTEST: usize = 6;

/// What a body in JSON brings.
#[derive(Default)]
pub(super) struct Received {
    /// Texts under members whose names tell of a secret, in whatever they are wrapped.
    pub(super) secrets: Vec<String>,
    /// An object has two members of one name.
    pub(super) is_ambiguous: bool,
}

impl Received {
    /// Nothing, of what is no JSON.
    pub(super) fn of(body: &[u8]) -> Self {
        let mut received = Self::default();
        let value = Value {
            is_secret: false,
            into: &mut received,
        };
        match value.deserialize(&mut serde_json::Deserializer::from_slice(body)) {
            Ok(()) => received,
            Err(_) => Self::default(),
        }
    }
}

/// One value, and whether the name of a member around it tells of a secret.
struct Value<'a> {
    is_secret: bool,
    into: &'a mut Received,
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        if self.is_secret && text.len() >= SHORTEST {
            self.into.secrets.push(text.to_owned());
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        let Self { is_secret, into } = self;
        while values
            .next_element_seed(Value { is_secret, into })?
            .is_some()
        {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            members.next_value_seed(Value {
                is_secret: self.is_secret || tells_of_a_secret(&name),
                into: self.into,
            })?;
            self.into.is_ambiguous |= !names.insert(name);
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
}

/// `client_secret`, `registrationAccessToken`, `api_secret`, and not `token_endpoint_auth_method`.
fn tells_of_a_secret(member: &str) -> bool {
    let name = member.to_ascii_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    let about = [
        "endpoint", "_alg", "_enc", "type", "method", "mode", "expire", "uri", "time",
    ];
    has(&[
        "secret",
        "token",
        "password",
        "private",
        "credential",
        "assertion",
        "statement",
    ]) && !has(&about)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_of_two_members_of_one_name_are_known() {
        let twice = br#"{"a": [{"client_secret": "first-one", "client_secret": "second-one"}], "n": [1, -1, 1.5, null, true]}"#;
        let received = Received::of(twice);
        assert_eq!(received.secrets, ["first-one", "second-one"]);
        assert!(received.is_ambiguous);
        let once =
            Received::of(br#"{"a": {"client_secret": "first-one"}, "b": {"client_secret": "x"}}"#);
        assert_eq!(once.secrets, ["first-one"]);
        assert!(!once.is_ambiguous);
        assert!(Received::of(b"<html>").secrets.is_empty());
    }
}
