//! A message as NATS carries it: the id and our headers as NATS headers.
//!
//! NATS trims header values and allows no line breaks in them; names are visible ASCII without `:`. Anything
//! else is percent-encoded, so headers arrive as they were given, and `traceparent` stays readable.

use async_nats::{HeaderMap, HeaderName, HeaderValue, header::NATS_MESSAGE_ID};
use uuid::Uuid;

use crate::{Message, REPUBLISHED};

const RESERVED: &str = "nats-";

/// The NATS headers of a message, without its id.
pub(super) fn headers(message: &Message) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &message.headers {
        // Encoded text is always a valid name and value.
        if let (Ok(name), Ok(value)) = (
            encode_name(name).parse::<HeaderName>(),
            encode(value, is_plain_value).parse::<HeaderValue>(),
        ) {
            headers.insert(name, value);
        }
    }
    headers
}

/// Under which the server recognises a repetition: the message's id, and the request to publish it again, if any.
pub(super) fn message_id(message: &Message) -> String {
    match message.headers.get(REPUBLISHED) {
        Some(request) => format!("{}/{request}", message.id),
        None => message.id.to_string(),
    }
}

/// The message, or `None` when it is not one of ours: without a UUID as its id.
pub(super) fn message(nats: async_nats::Message) -> Option<Message> {
    let headers = nats.headers.unwrap_or_default();
    let id = headers.get(NATS_MESSAGE_ID)?.as_str();
    let id = id.split_once('/').map_or(id, |(id, _)| id);
    let id = Uuid::parse_str(id).ok()?;
    let headers = headers
        .iter()
        .filter(|(name, _)| !is_reserved(name.as_ref()))
        .filter_map(|(name, values)| {
            Some((decode(name.as_ref()), decode(values.first()?.as_str())))
        })
        .collect();
    Some(Message {
        id,
        subject: nats.subject.to_string(),
        payload: nats.payload,
        headers,
    })
}

fn is_reserved(name: &str) -> bool {
    name.get(..RESERVED.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(RESERVED))
}

fn is_plain_value(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'%'
}

fn encode_name(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let encoded = encode(name, plain);
    // Our own header must not be taken for one of the server's.
    match encoded.split_at_checked(1) {
        Some((first, rest)) if is_reserved(&encoded) => encode(first, |_| false) + rest,
        _ => encoded,
    }
}

fn encode(text: &str, plain: impl Fn(u8) -> bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if plain(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn decode(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = (byte == b'%')
            .then(|| after.split_at_checked(2))
            .flatten()
            .and_then(|(hex, after)| {
                let hex = std::str::from_utf8(hex).ok()?;
                Some((u8::from_str_radix(hex, 16).ok()?, after))
            });
        let (byte, after) = escaped.unwrap_or((byte, after));
        decoded.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_survives() {
        for text in [
            "",
            " a b ",
            "100%",
            "%41",
            "é\r\nX: y",
            "\u{1F980}",
            "00-ab-cd-01",
        ] {
            assert_eq!(decode(&encode(text, is_plain_value)), text);
            assert_eq!(decode(&encode_name(text)), text);
        }
    }

    #[test]
    fn usual_headers_stay_readable() {
        assert_eq!(encode_name("traceparent"), "traceparent");
        assert_eq!(encode("00-0af7-b7ad-01", is_plain_value), "00-0af7-b7ad-01");
    }

    #[test]
    fn reserved_names_are_not_the_servers() {
        assert!(!is_reserved(&encode_name("Nats-Msg-Id")));
        assert_eq!(decode(&encode_name("Nats-Msg-Id")), "Nats-Msg-Id");
    }
}
