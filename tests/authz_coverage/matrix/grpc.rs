//! The public gRPC services, as their descriptors have them.

use portico::demo::seed;
use portico_proto::FILE_DESCRIPTOR_SET;
use portico_runtime::{authorization::Users, methods};
use prost::{
    Message as _,
    bytes::{Buf as _, BufMut as _},
    encoding::{WireType, encode_key, encode_varint},
};
use prost_types::{DescriptorProto, FileDescriptorSet, field_descriptor_proto::Type};
use tonic::{
    Code, Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Endpoint,
};

use super::{
    Answer, Operation, Outcome, Surface,
    people::{Person, Portal, Victim},
};

pub(super) struct Grpc;

impl Surface for Grpc {
    const TITLE: &'static str = "gRPC";

    async fn operations(_: &Portal) -> Vec<Operation> {
        let operation = |path: &String| Operation {
            name: named(path),
            path: path.clone(),
            method: match methods::reads(path) {
                true => "GET",
                false => "POST",
            },
        };
        methods::all().keys().map(operation).collect()
    }

    async fn call(portal: &Portal, who: &Person, operation: &Operation, about: &Victim) -> Answer {
        let (outcome, text) = match ask(portal, who, &operation.path, about).await {
            Ok(text) => (Outcome::Yes, text),
            Err(status) => (judged(&status), String::new()),
        };
        Answer { outcome, text }
    }
}

/// Service and method.
fn named(path: &str) -> String {
    path.rsplit('.').next().unwrap().to_owned()
}

fn judged(status: &Status) -> Outcome {
    match status.code() {
        Code::Unauthenticated => Outcome::SignIn,
        Code::PermissionDenied => Outcome::Forbidden,
        // A method that is not public is not there either.
        Code::NotFound | Code::Unimplemented => Outcome::NotThere,
        Code::Internal | Code::Unknown | Code::Unavailable => panic!("{status}"),
        _ => Outcome::Yes,
    }
}

/// Whether a method is about what belongs to one person.
pub(super) fn is_personal(path: &str) -> bool {
    let (Some(method), Some(input)) = (path.rsplit('/').next(), input(path)) else {
        return false;
    };
    let has = |name: &str| input.field.iter().any(|field| field.name() == name);
    let words = [
        "applications",
        "access-requests",
        "api-keys",
        "api-tokens",
        "oauth-clients",
        "users",
        "deliveries",
    ];
    has("id") && words.contains(&word_of(method))
        || has("application_id") && !method.starts_with("List")
}

/// Whether nobody from outside may call it, and so its owner neither.
pub(super) fn is_internal(path: &str) -> bool {
    let rule = portico_runtime::authorization::rule(path);
    rule.is_some_and(|rule| rule.users == Users::Nobody)
}

async fn ask(portal: &Portal, who: &Person, path: &str, about: &Victim) -> Result<String, Status> {
    let channel = Endpoint::from_shared(portal.grpc_url())
        .unwrap()
        .connect_lazy();
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let mut request = tonic::Request::new(message(portal, path, about));
    if let Some(token) = &who.token {
        let bearer = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
    }
    let answer = grpc
        .server_streaming(request, path.parse().unwrap(), Bytes)
        .await?;
    if methods::streams(path) {
        return Ok(String::new());
    }
    let bytes = answer.into_inner().message().await?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A request with the ids of what it is about, and a name wherever one could be changed.
fn message(portal: &Portal, path: &str, about: &Victim) -> Vec<u8> {
    let method = path.rsplit('/').next().unwrap();
    let mut bytes = Vec::new();
    for field in input(path).into_iter().flat_map(|input| input.field) {
        let name = field.name();
        let number = u32::try_from(field.number()).unwrap();
        let text = match (field.r#type(), name) {
            (Type::String, "id") => portal.id_of(word_of(method), about).into_bytes(),
            (Type::String, "application_id") => about.application_for(method).as_bytes().to_vec(),
            (Type::String, "reason" | "scope" | "api_id") => b"Taken over.".to_vec(),
            (Type::String, "service") => b"access-request".to_vec(),
            (Type::String, "email") => seed::DEVELOPER_EMAIL.into(),
            (Type::String, "password") => seed::DEVELOPER_PASSWORD.into(),
            (Type::String, "marker") => portal.id_of("orphans", about).into_bytes(),
            (Type::String, of) if of.ends_with("_id") => {
                let word = format!("{}s", of.trim_end_matches("_id").replace('_', "-"));
                portal.id_of(&word, about).into_bytes()
            }
            // What is ordered for the application: product and plan.
            (Type::Message, "items") if method == "SubmitAccessRequest" => [
                member(1, portal.id_of("products", about).as_bytes()),
                member(2, portal.id_of("plans", about).as_bytes()),
            ]
            .concat(),
            // `name`, and the paths of a field mask.
            (Type::Message, "update_mask") => member(1, b"name"),
            (Type::Message, _) if method.starts_with("Update") => {
                let kind = descriptor(field.type_name());
                let name = kind.field.iter().find(|field| field.name() == "name");
                let number = name.map_or(1, |field| u32::try_from(field.number()).unwrap());
                member(number, b"Taken over")
            }
            _ => continue,
        };
        bytes.extend(member(number, &text));
    }
    bytes
}

/// A member of a message that has a length.
fn member(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    encode_key(number, WireType::LengthDelimited, &mut encoded);
    encode_varint(bytes.len() as u64, &mut encoded);
    encoded.extend_from_slice(bytes);
    encoded
}

/// What a method is about, in the words of the REST API.
fn word_of(method: &str) -> &'static str {
    let words = [
        ("AccessRequest", "access-requests"),
        ("Application", "applications"),
        ("ApiKey", "api-keys"),
        ("ApiToken", "api-tokens"),
        ("OauthClient", "oauth-clients"),
        ("RegistrationToken", "oauth-clients"),
        ("User", "users"),
        ("Delivery", "deliveries"),
        ("ClientType", "client-types"),
        ("IdentityProvider", "identity-providers"),
        ("Gateway", "gateways"),
        ("Product", "products"),
        ("Plan", "plans"),
    ];
    let found = words.iter().find(|(name, _)| method.ends_with(name));
    found.map_or("", |(_, word)| *word)
}

/// The request of a method.
fn input(path: &str) -> Option<DescriptorProto> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let services = set.file.iter().flat_map(|file| {
        let services = file.service.iter();
        services.map(|service| (format!("{}.{}", file.package(), service.name()), service))
    });
    let mut methods = services
        .filter(|(name, _)| name == service)
        .flat_map(|(_, service)| &service.method);
    let found = methods.find(|known| known.name() == method)?;
    Some(descriptor(found.input_type()))
}

/// A message by its name with a leading dot.
fn descriptor(name: &str) -> DescriptorProto {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let messages = set.file.into_iter().flat_map(|file| {
        let package = file.package().to_owned();
        let messages = file.message_type.into_iter();
        messages.map(move |message| (format!(".{package}.{}", message.name()), message))
    });
    let mut messages = messages.filter(|(known, _)| known == name);
    messages.next().unwrap_or_else(|| panic!("no {name}")).1
}

/// Messages as they are on the wire.
#[derive(Clone, Copy)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut message = vec![0; buffer.remaining()];
        buffer.copy_to_slice(&mut message);
        Ok(Some(message))
    }
}
