//! Header fields: unfolding (RFC 5322 section 2.2.3), encoded words (RFC 2047) and the
//! parameters of a content type (RFC 2045 section 5.1). Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Fields in their order, names as written, values unfolded and decoded.
pub(super) type Fields = Vec<(String, String)>;

/// Splits a message or a part at its first empty line.
pub(super) fn split(raw: &[u8]) -> (Fields, &[u8]) {
    let mut at = 0;
    while at < raw.len() {
        let end = raw[at..]
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(raw.len(), |found| at + found + 1);
        if raw[at..end]
            .iter()
            .all(|byte| matches!(byte, b'\r' | b'\n'))
        {
            return (fields(&raw[..at]), &raw[end..]);
        }
        at = end;
    }
    (fields(raw), &[])
}

fn fields(head: &[u8]) -> Fields {
    let mut fields: Fields = Vec::new();
    for line in String::from_utf8_lossy(head).lines() {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    for (_, value) in &mut fields {
        *value = decoded_words(value);
    }
    fields
}

/// The first field of that name, in any case; empty if there is none.
pub(super) fn field<'a>(fields: &'a Fields, name: &str) -> &'a str {
    fields
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map_or("", |(_, value)| value)
}

/// The value before the first `;`, in lower case.
pub(super) fn main_value(value: &str) -> String {
    value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

/// A parameter after a `;`, quotes taken off.
pub(super) fn parameter(value: &str, name: &str) -> Option<String> {
    value.split(';').skip(1).find_map(|part| {
        let (known, value) = part.split_once('=')?;
        known
            .trim()
            .eq_ignore_ascii_case(name)
            .then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// Replaces `=?charset?B|Q?...?=`; white space between two of them goes.
fn decoded_words(value: &str) -> String {
    let (mut text, mut rest, mut after_word) = (String::new(), value, false);
    while let Some(start) = rest.find("=?") {
        let Some((word, length)) = encoded_word(&rest[start..]) else {
            text.push_str(&rest[..start + 2]);
            rest = &rest[start + 2..];
            after_word = false;
            continue;
        };
        if !(after_word && rest[..start].trim().is_empty()) {
            text.push_str(&rest[..start]);
        }
        text.push_str(&word);
        rest = &rest[start + length..];
        after_word = true;
    }
    text + rest
}

/// The decoded word at the start of `text`, and how long it was.
fn encoded_word(text: &str) -> Option<(String, usize)> {
    let mut parts = text[2..].splitn(3, '?');
    let (charset, encoding, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let (payload, _) = rest.split_once("?=")?;
    let bytes = if encoding.eq_ignore_ascii_case("b") {
        STANDARD.decode(payload).ok()?
    } else if encoding.eq_ignore_ascii_case("q") {
        quoted_printable(payload.replace('_', " ").as_bytes())
    } else {
        return None;
    };
    let length = 2 + charset.len() + 1 + encoding.len() + 1 + payload.len() + 2;
    Some((in_charset(&bytes, charset), length))
}

/// Text of a known charset; an unknown one is read as UTF-8.
pub(super) fn in_charset(bytes: &[u8], charset: &str) -> String {
    if charset.eq_ignore_ascii_case("iso-8859-1") {
        bytes.iter().copied().map(char::from).collect()
    } else {
        String::from_utf8_lossy(bytes).into_owned()
    }
}

/// RFC 2045 section 6.7. What is no valid escape stays as it is.
pub(super) fn quoted_printable(encoded: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'=' {
            decoded.push(byte);
        } else if let Some(soft_break) = after
            .strip_prefix(b"\r\n")
            .or_else(|| after.strip_prefix(b"\n"))
        {
            rest = soft_break;
        } else if let Some(value) = after.get(..2).and_then(hex) {
            decoded.push(value);
            rest = &after[2..];
        } else {
            decoded.push(byte);
        }
    }
    decoded
}

fn hex(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfolds_and_decodes() {
        let raw = b"Subject: =?utf-8?b?R3LDvMOf?=\r\n =?UTF-8?Q?e_aus?= K\xc3\xb6ln\r\nX: a=?b\r\n\r\nbody\r\n";
        let (fields, body) = split(raw);
        assert_eq!(field(&fields, "subject"), "Gr\u{fc}\u{df}e aus K\u{f6}ln");
        assert_eq!(field(&fields, "x"), "a=?b");
        assert_eq!(field(&fields, "absent"), "");
        assert_eq!(body, b"body\r\n");
    }

    #[test]
    fn reads_parameters() {
        let value = r#"Multipart/Alternative; Charset=utf-8; boundary="a b""#;
        assert_eq!(main_value(value), "multipart/alternative");
        assert_eq!(parameter(value, "boundary").as_deref(), Some("a b"));
        assert_eq!(parameter(value, "charset").as_deref(), Some("utf-8"));
        assert_eq!(parameter(value, "name"), None);
    }

    #[test]
    fn quoted_printable_joins_soft_breaks_and_keeps_nonsense() {
        assert_eq!(quoted_printable(b"a=3Db=\r\nc=\nd=XYe="), b"a=bcd=XYe=");
        assert_eq!(
            in_charset(&quoted_printable(b"=FC"), "ISO-8859-1"),
            "\u{fc}"
        );
    }
}
