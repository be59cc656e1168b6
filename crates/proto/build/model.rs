//! What the descriptors say about messages: everything that decides how they look in REST.

use std::collections::BTreeMap;

use protox::prost_reflect::{
    DescriptorPool, EnumDescriptor, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor,
    MethodDescriptor,
};

use crate::names::{camel, comment, ident, rust_path, schema_name, snake};

pub(crate) struct Message {
    pub(crate) package: String,
    /// Name in the contract, without package.
    pub(crate) name: String,
    /// Path of the Rust type.
    pub(crate) path: String,
    pub(crate) doc: String,
    pub(crate) shorthand: Option<String>,
    /// A method takes it.
    pub(crate) request: bool,
    pub(crate) members: Vec<Member>,
    /// Also of what REST hides.
    pub(crate) texts: Vec<TextField>,
}

/// A field that holds text, or a message that may.
pub(crate) struct TextField {
    pub(crate) number: u32,
    pub(crate) name: String,
    pub(crate) repeated: bool,
    /// Path of the Rust type, where it is a message.
    pub(crate) message: Option<String>,
    /// Errors leave it out of their paths.
    pub(crate) unnamed: bool,
}

impl Message {
    /// Whether callers write some of its members and read others: updates are merged onto it.
    pub(crate) fn is_resource(&self) -> bool {
        self.members.iter().any(|member| !member.input)
            && self.members.iter().any(|member| member.input)
    }

    /// An update names what it changes, and an alternative cannot be taken by itself. A number of 64 bits is read within
    /// what JSON keeps exactly, which only a plain member is.
    fn checked(self) -> Result<Self, String> {
        let written = || self.members.iter().filter(|member| member.input);
        let mut numbers = written().filter(|member| matches!(member.of, Type::Scalar("U64")));
        if let Some(member) = numbers.find(|member| member.cardinality != Cardinality::Plain)
            && (self.request || self.is_resource())
        {
            return Err(format!(
                "{}.{}: only a plain member may be of 64 bits",
                self.name, member.name
            ));
        }
        match written().find(|member| matches!(member.cardinality, Cardinality::Oneof(..))) {
            Some(member) if self.is_resource() => Err(format!(
                "{}.{}: a resource has no `oneof` that callers write",
                self.name, member.name
            )),
            _ => Ok(self),
        }
    }
}

pub(crate) struct Member {
    pub(crate) name: String,
    /// Name of the Rust field.
    pub(crate) ident: String,
    pub(crate) doc: String,
    pub(crate) cardinality: Cardinality,
    pub(crate) of: Type,
    /// Callers may write it.
    pub(crate) input: bool,
    /// It is answered.
    pub(crate) output: bool,
    pub(crate) required: bool,
    pub(crate) flat: bool,
}

/// How the Rust field holds it.
#[derive(PartialEq)]
pub(crate) enum Cardinality {
    Plain,
    Optional,
    List,
    Map,
    /// Field, type of the enum and its variant.
    Oneof(String, String, String),
}

pub(crate) enum Type {
    /// Variant of `rest::MemberType`.
    Scalar(&'static str),
    Scopes,
    Commas,
    Json,
    Time,
    Enumeration(String),
    Message(String),
}

pub(crate) struct Enumeration {
    pub(crate) package: String,
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) doc: String,
    /// Number, word and documentation.
    pub(crate) words: Vec<(i32, String, String)>,
}

/// The messages that methods of services take or answer, and those inside them.
pub(crate) fn messages(pool: &DescriptorPool) -> Result<Vec<Message>, String> {
    let options = Options::new(pool);
    let requests: Vec<MessageDescriptor> = methods(pool).map(|method| method.input()).collect();
    reachable(pool)
        .values()
        .map(|message| {
            let request = requests.contains(message);
            options.message(message, request)?.checked()
        })
        .collect()
}

/// Whether its members stand among those of another one.
pub(crate) fn is_part(message: &Message, all: &[Message]) -> bool {
    let mut members = all.iter().flat_map(|one| &one.members);
    members.any(|member| {
        member.flat && matches!(&member.of, Type::Message(path) if *path == message.path)
    })
}

/// Every enum of the contracts.
pub(crate) fn enumerations(pool: &DescriptorPool) -> Vec<Enumeration> {
    pool.all_enums()
        .filter(|one| one.package_name().starts_with("portico."))
        .map(|one| enumeration(&one))
        .collect()
}

fn methods(pool: &DescriptorPool) -> impl Iterator<Item = MethodDescriptor> {
    pool.services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
}

fn reachable(pool: &DescriptorPool) -> BTreeMap<String, MessageDescriptor> {
    let mut waiting: Vec<MessageDescriptor> = methods(pool)
        .flat_map(|method| [method.input(), method.output()])
        .collect();
    let mut found = BTreeMap::new();
    while let Some(message) = waiting.pop() {
        let foreign = !message.package_name().starts_with("portico.");
        if foreign || found.contains_key(message.full_name()) {
            continue;
        }
        waiting.extend(message.fields().filter_map(|field| match field.kind() {
            Kind::Message(inner) if inner.is_map_entry() => {
                inner.map_entry_value_field().kind().as_message().cloned()
            }
            Kind::Message(inner) => Some(inner),
            _ => None,
        }));
        found.insert(message.full_name().to_owned(), message);
    }
    found
}

fn enumeration(from: &EnumDescriptor) -> Enumeration {
    let prefix = format!("{}_", snake(from.name())).to_uppercase();
    let file = from.parent_file();
    let words = from
        .values()
        .filter(|value| value.number() != 0)
        .map(|value| {
            let word = value.name().strip_prefix(&prefix).unwrap_or(value.name());
            let doc = comment(&file, value.path());
            (value.number(), word.to_lowercase(), doc)
        })
        .collect();
    Enumeration {
        package: from.package_name().to_owned(),
        name: schema_name(from.package_name(), from.full_name()),
        path: rust_path(from.package_name(), from.full_name()),
        doc: comment(&file, from.path()),
        words,
    }
}

/// The options of `portico.rest.v1` and `google.api`.
struct Options {
    format: Option<ExtensionDescriptor>,
    hidden: Option<ExtensionDescriptor>,
    flat: Option<ExtensionDescriptor>,
    shorthand: Option<ExtensionDescriptor>,
    behaviour: Option<ExtensionDescriptor>,
}

const REQUIRED: i32 = 2;
const OUTPUT_ONLY: i32 = 3;
const INPUT_ONLY: i32 = 4;

impl Options {
    fn new(pool: &DescriptorPool) -> Self {
        Self {
            format: pool.get_extension_by_name("portico.rest.v1.format"),
            hidden: pool.get_extension_by_name("portico.rest.v1.hidden"),
            flat: pool.get_extension_by_name("portico.rest.v1.flat"),
            shorthand: pool.get_extension_by_name("portico.rest.v1.shorthand"),
            behaviour: pool.get_extension_by_name("google.api.field_behavior"),
        }
    }

    fn message(&self, from: &MessageDescriptor, request: bool) -> Result<Message, String> {
        let mut fields: Vec<FieldDescriptor> = from.fields().collect();
        // In the order in which they are written, which is the one to read them in.
        fields.sort_by_key(|field| field.path().last().copied());
        let shorthand = self.shorthand.as_ref().and_then(|extension| {
            let options = from.options();
            let name = options.get_extension(extension);
            name.as_str()
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
        });
        Ok(Message {
            package: from.package_name().to_owned(),
            name: schema_name(from.package_name(), from.full_name()),
            path: rust_path(from.package_name(), from.full_name()),
            doc: comment(&from.parent_file(), from.path()),
            shorthand,
            request,
            texts: fields.iter().filter_map(|field| self.text(field)).collect(),
            members: fields
                .iter()
                .filter(|field| !self.flag(field, self.hidden.as_ref()) && !is_mask(field))
                .map(|field| self.member(field))
                .collect::<Result<_, _>>()?,
        })
    }

    fn member(&self, field: &FieldDescriptor) -> Result<Member, String> {
        let behaviours = self.behaviours(field);
        let value = if field.is_map() {
            let entry = field.kind().as_message().cloned();
            entry.map(|entry| entry.map_entry_value_field())
        } else {
            None
        };
        Ok(Member {
            name: field.name().to_owned(),
            ident: ident(field.name()),
            doc: comment(&field.parent_file(), field.path()),
            cardinality: cardinality(field),
            of: self.kind(value.as_ref().unwrap_or(field))?,
            input: !behaviours.contains(&OUTPUT_ONLY),
            output: !behaviours.contains(&INPUT_ONLY),
            required: behaviours.contains(&REQUIRED),
            flat: self.flag(field, self.flat.as_ref()),
        })
    }

    fn text(&self, field: &FieldDescriptor) -> Option<TextField> {
        let (message, unnamed) = match field.kind() {
            Kind::String => (None, false),
            Kind::Message(one) if one.package_name().starts_with("portico.") => {
                // What is created, updated or checked is the whole body in REST.
                let request = format!("{}Request", one.name());
                let is_body = field.parent_message().name().ends_with(&request);
                let path = rust_path(one.package_name(), one.full_name());
                (Some(path), is_body || self.flag(field, self.flat.as_ref()))
            }
            _ => return None,
        };
        Some(TextField {
            number: field.number(),
            name: field.name().to_owned(),
            repeated: field.is_list(),
            message,
            unnamed,
        })
    }

    fn behaviours(&self, field: &FieldDescriptor) -> Vec<i32> {
        let Some(extension) = &self.behaviour else {
            return Vec::new();
        };
        let options = field.options();
        let value = options.get_extension(extension);
        let all = value.as_list().unwrap_or_default();
        all.iter().filter_map(|one| one.as_enum_number()).collect()
    }

    fn flag(&self, field: &FieldDescriptor, extension: Option<&ExtensionDescriptor>) -> bool {
        extension.is_some_and(|extension| {
            field.options().get_extension(extension).as_bool() == Some(true)
        })
    }

    fn kind(&self, field: &FieldDescriptor) -> Result<Type, String> {
        let format = self.format.as_ref().and_then(|extension| {
            let options = field.options();
            options.get_extension(extension).as_enum_number()
        });
        Ok(match (field.kind(), format.unwrap_or_default()) {
            (Kind::String, 0) => Type::Scalar("Text"),
            (Kind::String, 1) => Type::Scalar("Uuid"),
            (Kind::String, 2) => Type::Scalar("Uri"),
            (Kind::String, 3) => Type::Scalar("Email"),
            (Kind::String, 4) if field.is_list() => Type::Scopes,
            (Kind::String, 5) if field.is_list() => Type::Commas,
            (Kind::String, 6) => Type::Json,
            (Kind::Bool, 0) => Type::Scalar("Bool"),
            (Kind::Uint32 | Kind::Fixed32, 0) => Type::Scalar("U32"),
            (Kind::Uint64 | Kind::Fixed64, 0) => Type::Scalar("U64"),
            (Kind::Int32 | Kind::Sint32 | Kind::Sfixed32, 0) => Type::Scalar("I32"),
            (Kind::Int64 | Kind::Sint64 | Kind::Sfixed64, 0) => Type::Scalar("I64"),
            (Kind::Double | Kind::Float, 0) => Type::Scalar("Number"),
            (Kind::Enum(one), 0) => {
                Type::Enumeration(rust_path(one.package_name(), one.full_name()))
            }
            (Kind::Message(one), 0) if one.full_name() == "google.protobuf.Timestamp" => Type::Time,
            (Kind::Message(one), 0) if one.package_name().starts_with("portico.") => {
                Type::Message(rust_path(one.package_name(), one.full_name()))
            }
            (kind, format) => {
                return Err(format!(
                    "{}: {kind:?} with format {format} has no form in REST",
                    field.full_name()
                ));
            }
        })
    }
}

/// REST says by what a body holds which members an update is about.
fn is_mask(field: &FieldDescriptor) -> bool {
    matches!(field.kind(), Kind::Message(one) if one.full_name() == "google.protobuf.FieldMask")
}

fn cardinality(field: &FieldDescriptor) -> Cardinality {
    if field.is_map() {
        return Cardinality::Map;
    }
    if field.is_list() {
        return Cardinality::List;
    }
    match field.containing_oneof() {
        Some(oneof) if !oneof.is_synthetic() => {
            let message = field.parent_message();
            let parent = rust_path(message.package_name(), message.full_name());
            let (module, name) = parent.rsplit_once("::").unwrap_or(("", &parent));
            let path = format!("{module}::{}::{}", snake(name), camel(oneof.name()));
            Cardinality::Oneof(ident(oneof.name()), path, camel(field.name()))
        }
        Some(_) => Cardinality::Optional,
        None if field.supports_presence() => Cardinality::Optional,
        None => Cardinality::Plain,
    }
}
