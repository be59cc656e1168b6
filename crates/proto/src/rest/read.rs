//! Reading messages from JSON bodies and queries. The words of the errors are read again at the edge, which makes
//! problem details of them; no value of the caller's stands in them, because it may be a secret.

use std::{fmt, marker::PhantomData};

use prost_types::Timestamp;
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor, value::MapDeserializer},
};

use super::{Enumeration, Member, MemberType, Message};
use crate::time;

/// Reads a message that callers may write.
///
/// # Errors
/// What does not fit, by serde's words; an unknown word of an enum as `unknown word, expected ...`.
pub fn deserialize<'de, T: Message, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    read(from, false).map(|(message, _)| message)
}

/// As [`deserialize`], with the names of the members that were there. A partial one may lack any.
pub(super) fn read<'de, T: Message, D: Deserializer<'de>>(
    from: D,
    partial: bool,
) -> Result<(T, Vec<&'static str>), D::Error> {
    let of = PhantomData::<T>;
    let visitor = Members { of, partial };
    match T::shape().shorthand {
        Some(_) => from.deserialize_any(visitor),
        None => from.deserialize_map(visitor),
    }
}

struct Members<T> {
    of: PhantomData<T>,
    partial: bool,
}

impl<'de, T: Message> Visitor<'de> for Members<T> {
    type Value = (T, Vec<&'static str>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match T::shape().shorthand {
            Some(name) => write!(f, "a text, its `{name}`, or an object"),
            None => f.write_str("an object"),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        match T::shape().shorthand {
            Some(name) => self.visit_map(MapDeserializer::new([(name, text)].into_iter())),
            None => Err(E::invalid_type(de::Unexpected::Str(""), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
        let writable = T::shape().writable();
        let (mut message, mut given) = (T::default(), Vec::new());
        while let Some(name) = from.next_key::<String>()? {
            let Some(member) = writable.iter().find(|member| member.name == name) else {
                return Err(unknown(&name, &writable));
            };
            if given.contains(&member.name) {
                return Err(de::Error::duplicate_field(member.name));
            }
            message.read(member.name, &mut from)?;
            if message.unsaid(member.name) {
                return Err(unsaid(member));
            }
            given.push(member.name);
        }
        let missing = |member: &&&Member| needed(member) && !given.contains(&member.name);
        match writable.iter().find(missing) {
            Some(member) if !self.partial => Err(de::Error::missing_field(member.name)),
            _ => Ok((message, given)),
        }
    }
}

/// Whether reading must tell that a member is missing. An empty text or list of texts is refused by the service, together
/// with everything else that is wrong; but a missing number would be taken for 0, and missing items for none.
fn needed(member: &Member) -> bool {
    let told_by_the_service = match member.kind {
        MemberType::Text
        | MemberType::Uuid
        | MemberType::Uri
        | MemberType::Email
        | MemberType::Scopes
        | MemberType::Commas
        | MemberType::Enumeration(_)
        | MemberType::Map(_) => true,
        MemberType::List(of) => !matches!(of, MemberType::Message(_)),
        _ => false,
    };
    member.required && !told_by_the_service
}

fn unknown<E: de::Error>(name: &str, writable: &[&Member]) -> E {
    let known: Vec<String> = writable
        .iter()
        .map(|member| format!("`{}`", member.name))
        .collect();
    E::custom(format_args!(
        "unknown field `{name}`, expected one of {}",
        known.join(", ")
    ))
}

/// A member that is there, but null or empty although it cannot be absent.
fn unsaid<E: de::Error>(member: &Member) -> E {
    match member.kind.words() {
        Some(words) => E::custom(format_args!(
            "empty field `{}`, expected {words}",
            member.name
        )),
        None => E::missing_field(member.name),
    }
}

/// Takes an alternative of a `oneof`; null is none.
///
/// # Errors
/// There is another one.
pub fn alternative<T, E: de::Error>(
    present: &mut Option<T>,
    name: &str,
    given: Option<T>,
) -> Result<(), E> {
    if given.is_some() {
        if present.is_some() {
            return Err(E::custom(format_args!("ambiguous field `{name}`")));
        }
        *present = given;
    }
    Ok(())
}

/// Scopes in one text, or an array of them.
#[derive(Debug, Default)]
pub struct Scopes(pub Vec<String>);

/// An array of texts, or one text with commas.
#[derive(Debug, Default)]
pub struct Commas(pub Vec<String>);

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let texts = Texts {
            what: "scopes separated by spaces, or an array of them",
            cut: |text| text.split_whitespace().map(str::to_owned).collect(),
        };
        from.deserialize_any(texts).map(Self)
    }
}

impl<'de> Deserialize<'de> for Commas {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let cut = |text: &str| {
            let all = text.split(',').map(str::trim);
            all.filter(|one| !one.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let what = "an array of texts, or texts separated by commas";
        from.deserialize_any(Texts { what, cut }).map(Self)
    }
}

struct Texts {
    what: &'static str,
    cut: fn(&str) -> Vec<String>,
}

impl<'de> Visitor<'de> for Texts {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok((self.cut)(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Self::Value, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = all.next_element()? {
            texts.push(text);
        }
        Ok(texts)
    }
}

/// Any JSON, kept as a text.
#[derive(Debug, Default)]
pub struct Json(pub String);

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self(match serde_json::Value::deserialize(from)? {
            serde_json::Value::Null => String::new(),
            value => value.to_string(),
        }))
    }
}

/// A number up to [`LARGEST_NUMBER`](super::LARGEST_NUMBER): a larger one would be another one after a reader that has
/// only floating-point numbers.
#[derive(Debug, Default)]
pub struct Whole(pub u64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match u64::deserialize(from)? {
            number if number <= super::LARGEST_NUMBER => Ok(Self(number)),
            // The same words as for what does not fit into 64 bits.
            _ => Err(de::Error::custom("number too large, expected u64")),
        }
    }
}

/// A time of RFC 3339, or null.
#[derive(Debug, Default)]
pub struct ReadTime(pub Option<Timestamp>);

impl<'de> Deserialize<'de> for ReadTime {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else {
            return Ok(Self(None));
        };
        let wrong = || de::Error::custom("wrong time, expected a time as RFC 3339 writes it");
        time::parse(&text).ok_or_else(wrong).map(Some).map(Self)
    }
}

/// A word of an enum; null and an empty text are nothing said.
#[derive(Debug)]
pub struct ReadWord<E>(Option<E>);

impl<E: Enumeration> ReadWord<E> {
    /// The number of what was said.
    pub fn given(self) -> Option<i32> {
        self.0.map(Into::into)
    }

    /// The number; 0 where nothing was said.
    pub fn number(self) -> i32 {
        self.given().unwrap_or_default()
    }
}

/// Words of an enum, of which none is null or empty.
#[derive(Debug)]
pub struct ReadWords<E>(Vec<E>);

impl<E: Enumeration> ReadWords<E> {
    /// The numbers of what was said.
    pub fn numbers(self) -> Vec<i32> {
        self.0.into_iter().map(Into::into).collect()
    }
}

impl<'de, T: Enumeration> Deserialize<'de> for ReadWords<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let words = Vec::<ReadWord<T>>::deserialize(from)?.into_iter();
        let words: Option<Vec<T>> = words.map(|word| word.0).collect();
        words.map(Self).ok_or_else(unknown_word::<T, _>)
    }
}

fn unknown_word<T: Enumeration, E: de::Error>() -> E {
    E::custom(format_args!(
        "unknown word, expected {}",
        T::words().listed()
    ))
}

impl<'de, T: Enumeration> Deserialize<'de> for ReadWord<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Option::<String>::deserialize(from)?.unwrap_or_default();
        let text = text.trim();
        match T::from_word(text) {
            None if text.is_empty() => Ok(Self(None)),
            None => Err(unknown_word::<T, _>()),
            found => Ok(Self(found)),
        }
    }
}
