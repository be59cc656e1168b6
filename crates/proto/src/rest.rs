//! The REST form of messages: the generated types themselves are the bodies, the parameters and the schemas.
//!
//! The build script generates for every message that a service takes or answers a [`Shape`] and the code that reads and
//! writes its members; how that looks follows from the types and from the options of `portico/rest/v1/options.proto`:
//!
//! - members are in snake case; absent is `null`; 64-bit numbers are numbers, up to [`LARGEST_NUMBER`]
//! - an enum is its word in lower case, a `Timestamp` is RFC 3339, an alternative of a `oneof` is a member like others
//! - what is unknown, written twice, or only answered (`OUTPUT_ONLY`) is refused by its name
//!
//! [`New`] is what callers write of a resource, [`Change`] a merge patch of it, which [`merge`] applies to the
//! present one.

mod patch;
mod read;
mod schema;
mod word;
mod write;

use std::ops::RangeInclusive;

use serde::{de::MapAccess, ser::SerializeMap};

pub use patch::{Change, New, merge};
pub use prost_types::FieldMask;
pub use read::{
    Commas, Json, ReadTime, ReadWord, ReadWords, Scopes, Whole, alternative, deserialize,
};
pub use schema::{name, parameters, schema, schemas};
pub use word::{EnumWords, Enumeration, Word, word, words};
pub use write::{Time, json, serialize};

/// A message with a form in REST.
pub trait Message: Default {
    /// Name, documentation and members, as generated from the descriptor.
    fn shape() -> &'static Shape;

    /// Writes every member that is answered.
    ///
    /// # Errors
    /// The serializer's.
    fn write<M: SerializeMap>(&self, to: &mut M) -> Result<(), M::Error>;

    /// Reads the value of a member that callers may write.
    ///
    /// # Errors
    /// It is of another type.
    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, from: &mut A) -> Result<(), A::Error>;

    /// Takes over a member of another message that callers may write.
    fn take(&mut self, name: &str, from: &mut Self);

    /// Whether a member that cannot be absent has no value: an enum without a word, or a required message.
    fn unsaid(&self, name: &str) -> bool;
}

/// The largest number in REST: every reader of JSON keeps it exactly (RFC 8259 section 6), 2^53 - 1.
pub const LARGEST_NUMBER: u64 = (1 << 53) - 1;

/// The longest that an API token may live, in days.
pub const LONGEST_TOKEN_DAYS: u32 = 366;

/// From where to where the number at this path of a request may go, as services check it: for messages about what cannot be
/// sent to a service at all, such as a negative number.
#[must_use]
pub fn bounds(path: &str) -> RangeInclusive<u64> {
    match path.rsplit('.').next().unwrap_or(path) {
        "expires_in_days" => 1..=LONGEST_TOKEN_DAYS.into(),
        "requests" | "per_seconds" | "renews_every_seconds" => 1..=LARGEST_NUMBER,
        _ => 0..=LARGEST_NUMBER,
    }
}

/// A request for a page of a list.
pub trait ListRequest: Message {
    /// How many; 0 where the caller does not say.
    fn limit(&self) -> u32;

    /// `next` of the page before; empty for the first.
    fn after(&self) -> &str;

    /// The order; empty where the caller does not say.
    fn sort(&self) -> &str;

    /// Everything else that was asked for, encoded: it is the same for every page of one list.
    fn filters(&self) -> Vec<u8>;
}

/// What the contract says of a message.
#[derive(Debug)]
pub struct Shape {
    /// Name of the message's schema.
    pub name: &'static str,
    /// Comment in the proto file, which becomes the description.
    pub doc: &'static str,
    /// The member that may stand for the whole as a text.
    pub shorthand: Option<&'static str>,
    /// A method takes it.
    pub request: bool,
    /// In the order of the contract.
    pub members: &'static [Member],
    /// Where texts are in its encoding, also those that REST hides.
    pub texts: &'static [TextField],
}

/// A field of the encoding that holds text, or a message that may.
#[derive(Debug)]
pub struct TextField {
    /// In protobuf.
    pub number: u32,
    /// In the contract.
    pub name: &'static str,
    /// It may occur several times.
    pub repeated: bool,
    /// Where it is a message.
    pub message: Option<fn() -> &'static Shape>,
    /// Errors leave it out of their paths: its members stand in its place.
    pub unnamed: bool,
}

/// One member of a message.
#[derive(Debug)]
pub struct Member {
    /// Name of the JSON member, as in the proto file.
    pub name: &'static str,
    /// Comment in the proto file, which becomes the description.
    pub doc: &'static str,
    /// JSON type of the member.
    pub kind: MemberType,
    /// Callers may write it.
    pub input: bool,
    /// It is answered.
    pub output: bool,
    /// Callers must write it, and it is never null in answers.
    pub required: bool,
    /// It may be null.
    pub nullable: bool,
    /// The members of this message stand in its place.
    pub flat: bool,
}

/// The type of a member.
#[derive(Debug)]
#[expect(missing_docs, reason = "scalars are named as in the contract")]
pub enum MemberType {
    Text,
    Uuid,
    Uri,
    Email,
    Bool,
    U32,
    U64,
    I32,
    I64,
    Number,
    /// One text with spaces; an array is read, too.
    Scopes,
    /// An array; one text with commas is read, too.
    Commas,
    /// Whatever JSON a text holds.
    Json,
    /// RFC 3339.
    Time,
    Enumeration(fn() -> &'static EnumWords),
    Message(fn() -> &'static Shape),
    List(&'static MemberType),
    /// Object with arbitrary keys and values of this type.
    Map(&'static MemberType),
}

impl MemberType {
    /// The words of an enum, as people list them.
    fn words(&self) -> Option<String> {
        match self {
            Self::Enumeration(words) => Some(words().listed()),
            _ => None,
        }
    }
}

impl Shape {
    /// The members with those of flat ones in their place, each with whether it is always answered: those of a flat
    /// message that may be absent are not.
    fn answered(&self) -> Vec<(&'static Member, bool)> {
        let own = |member: &'static Member| match (member.flat, &member.kind) {
            (true, MemberType::Message(inner)) => {
                let all = inner().answered().into_iter();
                all.map(|(one, always)| (one, always && member.required))
                    .collect()
            }
            _ => vec![(member, true)],
        };
        self.members.iter().flat_map(own).collect()
    }

    /// The members with those of flat ones in their place.
    fn all(&self) -> Vec<&'static Member> {
        self.answered().into_iter().map(|(one, _)| one).collect()
    }

    /// Those that callers may write.
    fn writable(&self) -> Vec<&'static Member> {
        let mut all = self.all();
        all.retain(|member| member.input);
        all
    }
}

/// Those of every message that a method takes.
#[cfg(test)]
pub(crate) fn requests() -> impl Iterator<Item = &'static Shape> {
    let all: &[fn() -> &'static Shape] = include!(concat!(env!("OUT_DIR"), "/requests.rs"));
    all.iter().map(|shape| shape())
}

/// Whether callers may write a member of this name.
pub fn knows<T: Message>(name: &str) -> bool {
    T::shape()
        .writable()
        .iter()
        .any(|member| member.name == name)
}

/// Implements serde's and utoipa's traits for a [`Message`]; for generated code.
macro_rules! implement {
    ($message:ty) => {
        impl ::serde::Serialize for $message {
            fn serialize<S: ::serde::Serializer>(
                &self,
                to: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                $crate::rest::serialize(self, to)
            }
        }
        impl<'de> ::serde::Deserialize<'de> for $message {
            fn deserialize<D: ::serde::Deserializer<'de>>(
                from: D,
            ) -> ::core::result::Result<Self, D::Error> {
                $crate::rest::deserialize(from)
            }
        }
        impl ::utoipa::PartialSchema for $message {
            fn schema() -> ::utoipa::openapi::RefOr<::utoipa::openapi::Schema> {
                $crate::rest::schema::<Self>()
            }
        }
        impl ::utoipa::ToSchema for $message {
            fn name() -> ::std::borrow::Cow<'static, str> {
                $crate::rest::name::<Self>()
            }
            fn schemas(
                to: &mut ::std::vec::Vec<(
                    ::std::string::String,
                    ::utoipa::openapi::RefOr<::utoipa::openapi::Schema>,
                )>,
            ) {
                $crate::rest::schemas::<Self>(to);
            }
        }
        impl ::utoipa::IntoParams for $message {
            fn into_params(
                place: impl Fn() -> ::core::option::Option<::utoipa::openapi::path::ParameterIn>,
            ) -> ::std::vec::Vec<::utoipa::openapi::path::Parameter> {
                $crate::rest::parameters::<Self>(place())
            }
        }
    };
}
pub(crate) use implement;
