//! What callers write of a resource: a new one, or what is to change.

use std::borrow::Cow;

use prost_types::FieldMask;
use serde::{Deserialize, Deserializer};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use super::{
    Member, Message, knows,
    read::read,
    schema::{Side, collect, name_of, object},
};
use crate::Error;

/// A resource as a caller writes it: without the members that are only answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct New<T>(pub T);

/// A merge patch (RFC 7396) whose members are replaced as a whole.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change<T> {
    /// The new values.
    pub message: T,
    /// Which members the body has.
    pub mask: FieldMask,
}

impl<'de, T: Message> Deserialize<'de> for New<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        read(from, false).map(|(message, _)| Self(message))
    }
}

impl<'de, T: Message> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (message, given) = read(from, true)?;
        let paths = given.into_iter().map(str::to_owned).collect();
        Ok(Self {
            message,
            mask: FieldMask { paths },
        })
    }
}

/// The present resource with the members that the mask names taken from the patch; without a mask, with all that
/// callers may write.
///
/// # Errors
/// The mask names what callers may not write, or what is not there; or the patch takes away what cannot be absent.
pub fn merge<T: Message>(
    mut present: T,
    mut patch: T,
    mask: Option<&FieldMask>,
) -> Result<T, Error> {
    let mut changed = T::shape().writable();
    if let Some(mask) = mask {
        if let Some(path) = mask.paths.iter().find(|path| !knows::<T>(path)) {
            let message =
                format!("`update_mask` must name members that can be written; `{path}` is none.");
            return Err(Error::field("update_mask", "field_unknown", message));
        }
        // Each once, however often the mask names it: taking a member exchanges it.
        changed.retain(|member| mask.paths.iter().any(|path| path == member.name));
    }
    for member in changed {
        present.take(member.name, &mut patch);
        if present.unsaid(member.name) {
            return Err(unsaid(member));
        }
    }
    Ok(present)
}

fn unsaid(member: &Member) -> Error {
    let name = member.name;
    let message = match member.kind.words() {
        Some(words) => format!("`{name}` must be {words}."),
        None => format!("`{name}` is needed."),
    };
    Error::field(name, format!("{name}_missing"), message)
}

impl<T: Message> PartialSchema for New<T> {
    fn schema() -> RefOr<Schema> {
        object(T::shape(), Side::Input)
    }
}

impl<T: Message> ToSchema for New<T> {
    fn name() -> Cow<'static, str> {
        name_of(T::shape(), Side::Input)
    }

    fn schemas(to: &mut Vec<(String, RefOr<Schema>)>) {
        collect(T::shape(), Side::Input, to);
    }
}

impl<T: Message> PartialSchema for Change<T> {
    fn schema() -> RefOr<Schema> {
        object(T::shape(), Side::Change)
    }
}

impl<T: Message> ToSchema for Change<T> {
    fn name() -> Cow<'static, str> {
        name_of(T::shape(), Side::Change)
    }

    fn schemas(to: &mut Vec<(String, RefOr<Schema>)>) {
        collect(T::shape(), Side::Change, to);
    }
}
