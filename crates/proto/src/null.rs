//! U+0000 at the border. PostgreSQL has no text with it and `SQLite` has, so what comes from outside is looked at once where
//! it enters, and refused by the field: gRPC messages by their codec, JSON and forms by the edge.

use std::{collections::HashMap, marker::PhantomData};

use bytes::{Buf as _, Bytes};
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use serde_json::Value;
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder},
};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

use crate::{
    Error, Kind,
    rest::{Message, Shape},
};

impl Error {
    /// A text holds U+0000; `field` is its path in the request.
    pub fn null_character(field: impl Into<String>) -> Self {
        let field = field.into();
        let message = format!("`{field}` must not have the character U+0000.");
        Self::field(field, "null_character", message)
    }
}

/// The path of the first text in a JSON document that holds U+0000; of an object with such a name, the object's. Empty
/// for the document itself.
pub fn in_json(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(all) => all.iter().enumerate().find_map(|(index, one)| {
            let path = in_json(one)?;
            Some(joined(&format!("[{index}]"), &path))
        }),
        Value::Object(members) => {
            members
                .iter()
                .find_map(|(name, value)| match name.contains('\0') {
                    true => Some(String::new()),
                    false => in_json(value).map(|path| joined(name, &path)),
                })
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn joined(outer: &str, inner: &str) -> String {
    match inner {
        "" => outer.to_owned(),
        inner if outer.is_empty() || inner.starts_with('[') => format!("{outer}{inner}"),
        inner => format!("{outer}.{inner}"),
    }
}

/// The path of the first text in an encoded message that holds U+0000. What cannot be read is left to the decoder.
fn in_message(shape: &Shape, mut bytes: Bytes) -> Option<String> {
    let mut counts: HashMap<u32, usize> = HashMap::new();
    while bytes.has_remaining() {
        let (number, wire) = decode_key(&mut bytes).ok()?;
        let field = shape.texts.iter().find(|field| field.number == number);
        let (Some(field), WireType::LengthDelimited) = (field, wire) else {
            skip_field(wire, number, &mut bytes, DecodeContext::default()).ok()?;
            continue;
        };
        let length = usize::try_from(decode_varint(&mut bytes).ok()?).ok()?;
        if length > bytes.remaining() {
            return None;
        }
        let value = bytes.split_to(length);
        let index = counts.entry(number).or_default();
        let found = match field.message {
            None => value.contains(&0).then(String::new),
            Some(inner) => in_message(inner(), value),
        };
        if let Some(path) = found {
            let name = match (field.unnamed, field.repeated) {
                (true, _) => String::new(),
                (_, true) => format!("{}[{index}]", field.name),
                _ => field.name.to_owned(),
            };
            return Some(joined(&name, &path));
        }
        *index += 1;
    }
    None
}

/// The codec of every service: tonic's for prost, but a request that cannot be read, or whose texts hold U+0000, is an
/// `INVALID_ARGUMENT` with details.
#[derive(Debug)]
pub struct CheckedCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for CheckedCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for CheckedCodec<T, U>
where
    T: prost::Message + Send + 'static,
    U: prost::Message + Message + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = CheckedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::default().encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        CheckedDecoder(PhantomData)
    }
}

/// Of a [`CheckedCodec`].
#[derive(Debug)]
pub struct CheckedDecoder<U>(PhantomData<U>);

impl<U: prost::Message + Message> Decoder for CheckedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        // An answer comes from a service, which has stored what is in it.
        if !U::shape().request {
            return ProstDecoder::default().decode(from);
        }
        checked(from.copy_to_bytes(from.remaining())).map(Some)
    }
}

fn checked<U: prost::Message + Message>(bytes: Bytes) -> Result<U, Status> {
    // Most messages have no zero byte at all.
    if bytes.contains(&0)
        && let Some(field) = in_message(U::shape(), bytes.clone())
    {
        return Err(Error::null_character(field).into());
    }
    U::decode(bytes).map_err(|_| {
        let message = format!("The message is no `{}`.", U::shape().name);
        Error::new(Kind::Invalid, "message_malformed", message).into()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        access::v1::{
            Application, CartItem, SubmitAccessRequestRequest,
            submit_access_request_request::Target,
        },
        catalog::v1::{
            Api, ApiMapping, CreateProductRequest, Plan, Product, Rate, UpdatePlanRequest,
        },
        rest::TextField,
    };

    fn refused<M: prost::Message + Message>(message: &M) -> Option<(String, String)> {
        let refused = checked::<M>(message.encode_to_vec().into()).err()?;
        let field = Error::from(refused).fields.remove(0);
        Some((field.field, field.code))
    }

    fn at(field: &str) -> Option<(String, String)> {
        Some((field.to_owned(), "null_character".to_owned()))
    }

    #[test]
    fn a_zero_byte_is_found_where_texts_are() {
        let api = |id: &str| Api {
            mapping: Some(ApiMapping {
                api_id: id.to_owned(),
                gateway_id: None,
            }),
            ..Api::default()
        };
        let product = |product| CreateProductRequest {
            product: Some(product),
        };
        let of_resource = product(Product {
            scopes: vec!["a".into(), "b\0".into()],
            ..Product::default()
        });
        assert_eq!(refused(&of_resource), at("scopes[1]"));
        let flat = product(Product {
            apis: vec![api(""), api("\0")],
            ..Product::default()
        });
        assert_eq!(refused(&flat), at("apis[1].api_id"));
        let item = |plan: &str| CartItem {
            plan_id: Some(plan.to_owned()),
            ..CartItem::default()
        };
        let submitted = SubmitAccessRequestRequest {
            items: vec![item("x"), item("\0")],
            ..SubmitAccessRequestRequest::default()
        };
        assert_eq!(refused(&submitted), at("items[1].plan_id"));
        let submitted = SubmitAccessRequestRequest {
            target: Some(Target::Application(Application {
                name: "a\0b".into(),
                ..Application::default()
            })),
            ..SubmitAccessRequestRequest::default()
        };
        assert_eq!(refused(&submitted), at("application.name"));
        // A zero that is no text: a number that is there although it is 0.
        let numbers = UpdatePlanRequest {
            plan: Some(Plan {
                rate: Some(Rate::default()),
                ..Plan::default()
            }),
            ..UpdatePlanRequest::default()
        };
        assert_eq!(refused(&numbers), None);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for bytes in [
            &b"\x0a\xff"[..],
            b"\x0a\x05\x0a\x00",
            b"\x00",
            b"\x0a\x03\x12\x01\xff",
        ] {
            let bytes = Bytes::copy_from_slice(bytes);
            let refused = checked::<CreateProductRequest>(bytes).unwrap_err();
            assert_eq!(Error::from(refused).code, "message_malformed");
        }
    }

    /// Every text of every request, by itself.
    #[test]
    fn no_text_of_any_request_may_hold_it() {
        let mut texts = 0;
        for shape in crate::rest::requests() {
            each_text(shape, &mut Vec::new(), &mut |encoded| {
                texts += 1;
                let found = in_message(shape, encoded.to_vec().into());
                assert!(
                    found.is_some_and(|path| !path.is_empty()),
                    "{} {encoded:?}",
                    shape.name
                );
            });
        }
        assert!(texts > 100, "{texts}");
    }

    /// Calls with the encoding of a message that has one text, for each of them.
    fn each_text(shape: &Shape, around: &mut Vec<&'static TextField>, call: &mut dyn FnMut(&[u8])) {
        for field in shape.texts {
            around.push(field);
            match field.message {
                Some(inner) if around.len() < 6 => each_text(inner(), around, call),
                Some(_) => {}
                None => {
                    let encoded = around.iter().rev().fold(vec![0], |inner, field| {
                        let mut outer = Vec::new();
                        prost::encoding::bytes::encode(field.number, &inner, &mut outer);
                        outer
                    });
                    call(&encoded);
                }
            }
            around.pop();
        }
    }

    #[test]
    fn paths_in_json_are_as_in_errors() {
        for (value, path) in [
            (json!("a\0"), Some("")),
            (
                json!({ "a": { "b": ["", { "c": "\0" }] } }),
                Some("a.b[1].c"),
            ),
            (json!({ "a": { "x\0": 1 } }), Some("a")),
            (json!([["\0"]]), Some("[0][0]")),
            (json!({ "a": ["\\u0000", 0, null, false] }), None),
        ] {
            assert_eq!(in_json(&value).as_deref(), path, "{value}");
        }
    }
}
