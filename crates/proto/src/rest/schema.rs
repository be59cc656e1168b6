//! The schemas of messages (OpenAPI 3.1): one of what is answered, one of what callers write, one of changes.

use std::borrow::Cow;

use utoipa::openapi::{
    KnownFormat, Ref, RefOr, Required, Schema, SchemaFormat, Type,
    path::{Parameter, ParameterBuilder, ParameterIn, ParameterStyle},
    schema::{
        AdditionalProperties, ArrayBuilder, ObjectBuilder, OneOfBuilder, RefBuilder, SchemaType,
    },
};

use super::{EnumWords, LARGEST_NUMBER, Member, MemberType, Message, Shape};

/// Whose side of a message a schema is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Output,
    Input,
    Change,
}

/// What a method takes is written; everything else is answered, if it is not a [`New`](super::New).
fn side(shape: &Shape) -> Side {
    match shape.request {
        true => Side::Input,
        false => Side::Output,
    }
}

/// A message's schema, for [`utoipa::PartialSchema`].
pub fn schema<T: Message>() -> RefOr<Schema> {
    object(T::shape(), side(T::shape()))
}

/// Its name, for [`utoipa::ToSchema`].
pub fn name<T: Message>() -> Cow<'static, str> {
    name_of(T::shape(), side(T::shape()))
}

/// Those of the messages and enums in it, for [`utoipa::ToSchema`].
pub fn schemas<T: Message>(to: &mut Vec<(String, RefOr<Schema>)>) {
    collect(T::shape(), side(T::shape()), to);
}

/// The members as parameters of a query, for [`utoipa::IntoParams`].
pub fn parameters<T: Message>(place: Option<ParameterIn>) -> Vec<Parameter> {
    let one = |member: &'static Member| {
        let parameter = ParameterBuilder::new()
            .name(member.name)
            .parameter_in(place.clone().unwrap_or(ParameterIn::Query))
            .required(Required::False)
            .description(said(member.doc));
        match &member.kind {
            MemberType::Enumeration(words) => parameter.schema(Some(enumeration(words()))),
            // One text with commas, as a query cannot name a parameter twice.
            MemberType::Commas => parameter
                .schema(Some(list(&MemberType::Text, Side::Input, "")))
                .style(Some(ParameterStyle::Form))
                .explode(Some(false)),
            kind => parameter.schema(Some(of(kind, Side::Input, "", false))),
        }
        .build()
    };
    T::shape().writable().into_iter().map(one).collect()
}

pub(super) fn name_of(shape: &Shape, side: Side) -> Cow<'static, str> {
    let name = shape.name;
    match side {
        Side::Change => format!("{name}Change").into(),
        Side::Input if !shape.request && !alike(shape, 0) => format!("New{name}").into(),
        Side::Input | Side::Output => name.into(),
    }
}

/// Whether what callers write looks as what is answered. Messages that contain themselves never do.
fn alike(shape: &Shape, depth: usize) -> bool {
    fn kind(of: &MemberType, depth: usize) -> bool {
        match of {
            MemberType::Scopes | MemberType::Commas => false,
            MemberType::Message(inner) => alike(inner(), depth + 1),
            MemberType::List(inner) | MemberType::Map(inner) => kind(inner, depth),
            _ => true,
        }
    }
    let member = |member: &Member| {
        member.input && member.output && member.required && kind(&member.kind, depth)
    };
    depth < 8 && shape.shorthand.is_none() && shape.members.iter().all(member)
}

pub(super) fn object(shape: &Shape, side: Side) -> RefOr<Schema> {
    let shown = |(member, _): &(&'static Member, bool)| match side {
        Side::Output => member.output,
        Side::Input | Side::Change => member.input,
    };
    let doc = match side {
        Side::Change => {
            "Only the members in the body change (RFC 7396). Lists and objects are replaced as a whole; null takes \
             away what may be absent."
        }
        Side::Input | Side::Output => shape.doc,
    };
    let mut object = ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(said(doc));
    for (member, always) in shape.answered().into_iter().filter(shown) {
        let required = match side {
            // Null where there is nothing.
            Side::Output => always,
            Side::Input => member.required,
            Side::Change => false,
        };
        if required {
            object = object.required(member.name);
        }
        object = object.property(
            member.name,
            of(&member.kind, side, member.doc, member.nullable),
        );
    }
    match (shape.shorthand, side) {
        (None, _) | (_, Side::Output) => object.into(),
        (Some(name), _) => OneOfBuilder::new()
            .item(ObjectBuilder::new().schema_type(Type::String))
            .item(object)
            .description(Some(format!("{} A text is its `{name}`.", shape.doc)))
            .into(),
    }
}

fn of(kind: &MemberType, side: Side, doc: &str, nullable: bool) -> RefOr<Schema> {
    let plain = |r#type: Type, format: Option<SchemaFormat>| {
        let types = match nullable {
            true => SchemaType::Array(vec![r#type, Type::Null]),
            false => SchemaType::Type(r#type),
        };
        let object = ObjectBuilder::new().schema_type(types).format(format);
        object.description(said(doc))
    };
    let known = |format| Some(SchemaFormat::KnownFormat(format));
    let custom = |format: &str| Some(SchemaFormat::Custom(format.to_owned()));
    match kind {
        MemberType::Text => plain(Type::String, None).into(),
        MemberType::Uuid => plain(Type::String, custom("uuid")).into(),
        MemberType::Uri => plain(Type::String, custom("uri")).into(),
        MemberType::Email => plain(Type::String, custom("email")).into(),
        MemberType::Time => plain(Type::String, known(KnownFormat::DateTime)).into(),
        MemberType::Bool => plain(Type::Boolean, None).into(),
        MemberType::I32 => plain(Type::Integer, known(KnownFormat::Int32)).into(),
        MemberType::I64 => plain(Type::Integer, known(KnownFormat::Int64)).into(),
        // Not `int32`, which is signed.
        MemberType::U32 => plain(Type::Integer, known(KnownFormat::Int64))
            .minimum(Some(0))
            .maximum(Some(u32::MAX))
            .into(),
        MemberType::U64 => plain(Type::Integer, known(KnownFormat::Int64))
            .minimum(Some(0))
            .maximum(Some(LARGEST_NUMBER))
            .into(),
        MemberType::Number => plain(Type::Number, None).into(),
        MemberType::Json => ObjectBuilder::new()
            .schema_type(SchemaType::AnyValue)
            .description(said(doc))
            .into(),
        MemberType::Scopes if side == Side::Output => plain(Type::String, None).into(),
        MemberType::Commas if side == Side::Output => list(&MemberType::Text, side, doc),
        MemberType::Scopes | MemberType::Commas => OneOfBuilder::new()
            .item(ObjectBuilder::new().schema_type(Type::String))
            .item(list(&MemberType::Text, side, ""))
            .description(said(doc))
            .into(),
        MemberType::List(inner) => list(inner, side, doc),
        MemberType::Map(inner) => ObjectBuilder::new()
            .additional_properties(Some(AdditionalProperties::RefOr(of(
                inner, side, "", false,
            ))))
            .description(said(doc))
            .into(),
        MemberType::Enumeration(words) => reference(words().name, doc, nullable),
        MemberType::Message(shape) => reference(&name_of(shape(), inner(side)), doc, nullable),
    }
}

/// A message inside a change is replaced as a whole.
fn inner(side: Side) -> Side {
    match side {
        Side::Change => Side::Input,
        other => other,
    }
}

fn list(kind: &MemberType, side: Side, doc: &str) -> RefOr<Schema> {
    ArrayBuilder::new()
        .items(of(kind, side, "", false))
        .description(said(doc))
        .into()
}

fn reference(name: &str, doc: &str, nullable: bool) -> RefOr<Schema> {
    let to = Ref::from_schema_name(name);
    if nullable {
        let null = ObjectBuilder::new().schema_type(Type::Null);
        return OneOfBuilder::new()
            .item(null)
            .item(to)
            .description(said(doc))
            .into();
    }
    let to = RefBuilder::new().ref_location_from_schema_name(name);
    RefOr::Ref(to.description(said(doc)).build())
}

fn enumeration(words: &EnumWords) -> ObjectBuilder {
    let mut doc = words.doc.to_owned();
    for word in words.words.iter().filter(|word| !word.doc.is_empty()) {
        doc.push_str(&format!("\n- `{}`: {}", word.word, word.doc));
    }
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words.words.iter().map(|one| one.word)))
        .description(said(doc.trim()))
}

pub(super) fn collect(shape: &Shape, side: Side, to: &mut Vec<(String, RefOr<Schema>)>) {
    for member in shape.all() {
        let shown = match side {
            Side::Output => member.output,
            Side::Input | Side::Change => member.input,
        };
        if shown {
            collect_kind(&member.kind, inner(side), to);
        }
    }
}

fn collect_kind(kind: &MemberType, side: Side, to: &mut Vec<(String, RefOr<Schema>)>) {
    match kind {
        MemberType::List(inner) | MemberType::Map(inner) => collect_kind(inner, side, to),
        MemberType::Enumeration(words) => {
            let words = words();
            if !to.iter().any(|(name, _)| name == words.name) {
                to.push((words.name.to_owned(), enumeration(words).into()));
            }
        }
        MemberType::Message(shape) => {
            let (shape, name) = (shape(), name_of(shape(), side).into_owned());
            if !to.iter().any(|(known, _)| *known == name) {
                to.push((name, object(shape, side)));
                collect(shape, side, to);
            }
        }
        _ => {}
    }
}

fn said(doc: &str) -> Option<String> {
    (!doc.is_empty()).then(|| doc.to_owned())
}
