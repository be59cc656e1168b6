//! Code for a message: what `rest::Message` and `rest::Enumeration` need to know of it.

use std::fmt::Write as _;

use crate::model::{Cardinality, Enumeration, Member, Message, TextField, Type};

const REST: &str = "crate::rest";

/// `part`: its members stand among those of another one.
pub(crate) fn message(from: &Message, part: bool) -> String {
    let Message {
        path, name, doc, ..
    } = from;
    let resource = from.is_resource();
    let mut code = format!(
        "impl {REST}::Message for {path} {{\n\
         fn shape() -> &'static {REST}::Shape {{\n\
         static SHAPE: {REST}::Shape = {REST}::Shape {{ name: {name:?}, doc: {doc:?}, shorthand: {:?}, request: {}, members: &[{}], \
         texts: &[{}] }};\n\
         &SHAPE\n}}\n",
        from.shorthand,
        from.request,
        from.members.iter().map(member).collect::<String>(),
        from.texts.iter().map(text).collect::<String>(),
    );
    let _ = write!(
        code,
        "fn write<M: ::serde::ser::SerializeMap>(&self, to: &mut M) -> ::core::result::Result<(), M::Error> {{\n{}\
         let _ = to; ::core::result::Result::Ok(())\n}}\n",
        each(from, |member| member.output.then(|| write(member))),
    );
    let _ = write!(
        code,
        "fn read<'de, A: ::serde::de::MapAccess<'de>>(&mut self, name: &str, from: &mut A) \
         -> ::core::result::Result<(), A::Error> {{\nmatch name {{\n{}\
         _ => {{ let _ = from; }}\n}}\n::core::result::Result::Ok(())\n}}\n",
        each(from, |member| member.input.then(|| read(member))),
    );
    let _ = write!(
        code,
        "fn take(&mut self, name: &str, from: &mut Self) {{\nmatch name {{\n{}_ => {{ let _ = from; }}\n}}\n}}\n",
        each(from, |member| {
            ((resource || part) && member.input).then(|| take(member))
        }),
    );
    let _ = write!(
        code,
        "fn unsaid(&self, name: &str) -> bool {{\nmatch name {{\n{}_ => false,\n}}\n}}\n}}\n{REST}::implement!({path});\n",
        each(from, |member| if member.input {
            unsaid(member, from.request)
        } else {
            None
        }),
    );
    if let Some(list) = list_request(from) {
        code.push_str(&list);
    }
    if resource {
        let _ = write!(
            code,
            "/// What callers write of it.\npub type New{name} = {REST}::New<{path}>;\n\
             /// An update of it.\npub type {name}Change = {REST}::Change<{path}>;\n"
        );
    }
    code
}

fn text(from: &TextField) -> String {
    let message = from.message.as_ref().map_or_else(
        || "None".to_owned(),
        |path| format!("Some(<{path} as {REST}::Message>::shape)"),
    );
    format!(
        "{REST}::TextField {{ number: {}, name: {:?}, repeated: {}, message: {message}, unnamed: {} }},\n",
        from.number, from.name, from.repeated, from.unnamed
    )
}

/// Its shape, in a list of those of all requests.
pub(crate) fn request(from: &Message) -> String {
    format!("<{} as {REST}::Message>::shape,", from.path)
}

/// Of a request that asks for a page of a list.
fn list_request(from: &Message) -> Option<String> {
    let has = |name: &str| from.members.iter().any(|member| member.name == name);
    if !(from.request && has("limit") && has("after")) {
        return None;
    }
    let (sort, cleared) = match has("sort") {
        true => ("&self.sort", "rest.sort.clear();"),
        false => ("\"\"", ""),
    };
    let path = &from.path;
    Some(format!(
        "impl {REST}::ListRequest for {path} {{\n\
         fn limit(&self) -> u32 {{ self.limit }}\n\
         fn after(&self) -> &str {{ &self.after }}\n\
         fn sort(&self) -> &str {{ {sort} }}\n\
         fn filters(&self) -> ::std::vec::Vec<u8> {{\n\
         let mut rest = self.clone(); rest.limit = 0; rest.after.clear(); {cleared}\n\
         ::prost::Message::encode_to_vec(&rest)\n}}\n}}\n"
    ))
}

fn take(member: &Member) -> String {
    let ident = &member.ident;
    match &member.of {
        Type::Message(path) if member.flat => format!(
            "name if {REST}::knows::<{path}>(name) => {REST}::Message::take(\
             self.{ident}.get_or_insert_default(), name, from.{ident}.get_or_insert_default()),\n"
        ),
        _ => format!(
            "{:?} => ::core::mem::swap(&mut self.{ident}, &mut from.{ident}),\n",
            member.name
        ),
    }
}

fn each(from: &Message, code: impl Fn(&Member) -> Option<String>) -> String {
    // A member that holds others takes the names that are left, so it comes last.
    let (flat, own): (Vec<&Member>, Vec<&Member>) =
        from.members.iter().partition(|member| member.flat);
    own.into_iter().chain(flat).filter_map(code).collect()
}

fn member(from: &Member) -> String {
    let kind = kind(&from.of);
    let kind = match from.cardinality {
        Cardinality::List if !matches!(from.of, Type::Scopes | Type::Commas) => {
            format!("{REST}::MemberType::List(&{kind})")
        }
        Cardinality::Map => format!("{REST}::MemberType::Map(&{kind})"),
        _ => kind,
    };
    let nullable = !from.required
        && (matches!(
            from.cardinality,
            Cardinality::Optional | Cardinality::Oneof(..)
        ) || matches!(from.of, Type::Json));
    format!(
        "{REST}::Member {{ name: {:?}, doc: {:?}, kind: {kind}, input: {}, output: {}, required: {}, nullable: {nullable}, \
         flat: {} }},\n",
        from.name, from.doc, from.input, from.output, from.required, from.flat
    )
}

fn kind(of: &Type) -> String {
    match of {
        Type::Scalar(kind) => format!("{REST}::MemberType::{kind}"),
        Type::Scopes => format!("{REST}::MemberType::Scopes"),
        Type::Commas => format!("{REST}::MemberType::Commas"),
        Type::Json => format!("{REST}::MemberType::Json"),
        Type::Time => format!("{REST}::MemberType::Time"),
        Type::Enumeration(path) => {
            format!("{REST}::MemberType::Enumeration(<{path} as {REST}::Enumeration>::words)")
        }
        Type::Message(path) => {
            format!("{REST}::MemberType::Message(<{path} as {REST}::Message>::shape)")
        }
    }
}

fn write(member: &Member) -> String {
    let ident = &member.ident;
    if member.flat {
        return format!(
            "match &self.{ident} {{ Some(inner) => {REST}::Message::write(inner, to)?, None => {{}} }}\n"
        );
    }
    let value = match &member.cardinality {
        Cardinality::Oneof(field, path, variant) => {
            let value = converted("value", &member.of).unwrap_or_else(|| "value".to_owned());
            format!(
                "&match &self.{field} {{ Some({path}::{variant}(value)) => Some({value}), _ => None }}"
            )
        }
        cardinality => match (&member.of, cardinality) {
            (Type::Scopes, _) => format!("&self.{ident}.join(\" \")"),
            (Type::Json, _) => format!("&{REST}::json(&self.{ident})"),
            (Type::Time, _) => format!("&self.{ident}.as_ref().map({REST}::Time)"),
            (Type::Enumeration(path), Cardinality::List) => {
                format!("&{REST}::words::<{path}>(&self.{ident})")
            }
            (Type::Enumeration(path), Cardinality::Optional) => {
                format!("&self.{ident}.and_then({REST}::word::<{path}>)")
            }
            (Type::Enumeration(path), _) => format!("&{REST}::word::<{path}>(self.{ident})"),
            _ => format!("&self.{ident}"),
        },
    };
    format!("to.serialize_entry({:?}, {value})?;\n", member.name)
}

/// The value of an alternative, where it is not written as it is.
fn converted(value: &str, of: &Type) -> Option<String> {
    match of {
        Type::Enumeration(path) => Some(format!("{REST}::word::<{path}>(*{value})")),
        Type::Time => Some(format!("{REST}::Time({value})")),
        _ => None,
    }
}

fn read(member: &Member) -> String {
    let (name, ident) = (&member.name, &member.ident);
    if member.flat {
        let Type::Message(path) = &member.of else {
            return String::new();
        };
        return format!(
            "name if {REST}::knows::<{path}>(name) => \
             {REST}::Message::read(self.{ident}.get_or_insert_default(), name, from)?,\n"
        );
    }
    if let Cardinality::Oneof(field, path, variant) = &member.cardinality {
        let value = match &member.of {
            Type::Enumeration(of) => {
                format!("from.next_value::<{REST}::ReadWord<{of}>>()?.given()")
            }
            Type::Time => format!("from.next_value::<{REST}::ReadTime>()?.0"),
            _ => "from.next_value::<::core::option::Option<_>>()?".to_owned(),
        };
        return format!(
            "{name:?} => {REST}::alternative(&mut self.{field}, {name:?}, {value}.map({path}::{variant}))?,\n"
        );
    }
    let value = match (&member.of, &member.cardinality) {
        (Type::Scopes, _) => format!("from.next_value::<{REST}::Scopes>()?.0"),
        (Type::Commas, _) => format!("from.next_value::<{REST}::Commas>()?.0"),
        (Type::Json, _) => format!("from.next_value::<{REST}::Json>()?.0"),
        (Type::Time, _) => format!("from.next_value::<{REST}::ReadTime>()?.0"),
        (Type::Enumeration(path), Cardinality::List) => {
            format!("from.next_value::<{REST}::ReadWords<{path}>>()?.numbers()")
        }
        (Type::Enumeration(path), Cardinality::Optional) => {
            format!("from.next_value::<{REST}::ReadWord<{path}>>()?.given()")
        }
        (Type::Enumeration(path), _) => {
            format!("from.next_value::<{REST}::ReadWord<{path}>>()?.number()")
        }
        (Type::Scalar("U64"), Cardinality::Plain) => {
            format!("from.next_value::<{REST}::Whole>()?.0")
        }
        _ => "from.next_value()?".to_owned(),
    };
    format!("{name:?} => self.{ident} = {value},\n")
}

/// The condition under which a member that must be there has no value. In a request an enum is a filter, or what the
/// method itself has a default for, unless it is required.
fn unsaid(member: &Member, request: bool) -> Option<String> {
    let Member { name, ident, .. } = member;
    if let (true, Type::Message(path)) = (member.flat, &member.of) {
        return Some(format!(
            "name if {REST}::knows::<{path}>(name) => \
             self.{ident}.as_ref().is_some_and(|inner| {REST}::Message::unsaid(inner, name)),\n"
        ));
    }
    let condition = match (&member.cardinality, &member.of) {
        (Cardinality::Plain, Type::Enumeration(_)) if member.required || !request => "== 0",
        (Cardinality::Optional, _) if member.required => ".is_none()",
        _ => return None,
    };
    Some(format!("{name:?} => self.{ident} {condition},\n"))
}

pub(crate) fn enumeration(from: &Enumeration) -> String {
    let Enumeration {
        path,
        name,
        doc,
        words,
        ..
    } = from;
    let words: String = words
        .iter()
        .map(|(number, word, doc)| {
            format!("{REST}::Word {{ number: {number}, word: {word:?}, doc: {doc:?} }},")
        })
        .collect();
    format!(
        "impl {REST}::Enumeration for {path} {{\n\
         fn words() -> &'static {REST}::EnumWords {{\n\
         static WORDS: {REST}::EnumWords = {REST}::EnumWords {{ name: {name:?}, doc: {doc:?}, words: &[{words}] }};\n\
         &WORDS\n}}\n}}\n"
    )
}
