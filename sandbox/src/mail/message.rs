//! A message that was caught, read far enough to be shown and tested: the fields and
//! the first text and HTML part of any multipart nesting.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Serialize;

use super::header::{self, Fields};

/// Multiparts inside multiparts, at most.
const DEEPEST: usize = 8;

/// A caught message.
#[derive(Clone, Debug, Serialize)]
pub struct Message {
    /// Counts up from 1.
    pub id: u64,
    /// When the last byte came.
    pub received_at: Timestamp,
    /// The address of `MAIL FROM`; empty for a bounce.
    pub envelope_from: String,
    /// The addresses of `RCPT TO`.
    pub envelope_to: Vec<String>,
    /// The `From` field, decoded.
    pub from: String,
    /// The `To` field, decoded.
    pub to: String,
    /// The `Subject` field, decoded.
    pub subject: String,
    /// The `Message-ID` field, angle brackets included.
    pub message_id: String,
    /// The first `text/plain` part.
    pub text: String,
    /// The first `text/html` part.
    pub html: String,
    /// Every field in its order, decoded.
    pub headers: Vec<(String, String)>,
    /// The message as it came, dots unstuffed.
    #[serde(skip)]
    pub raw: Vec<u8>,
}

impl Message {
    /// The first field of that name, in any case; empty if there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        header::field(&self.headers, name)
    }

    /// Reads a message. Never fails: what cannot be read is empty.
    pub(super) fn read(
        envelope_from: String,
        envelope_to: Vec<String>,
        raw: Vec<u8>,
        at: Timestamp,
    ) -> Self {
        let (fields, body) = header::split(&raw);
        let (mut text, mut html) = (None, None);
        collect(&fields, body, 0, &mut text, &mut html);
        let field = |name| header::field(&fields, name).to_owned();
        Self {
            id: 0,
            received_at: at,
            envelope_from,
            envelope_to,
            from: field("From"),
            to: field("To"),
            subject: field("Subject"),
            message_id: field("Message-ID"),
            text: text.unwrap_or_default(),
            html: html.unwrap_or_default(),
            headers: fields,
            raw,
        }
    }
}

fn collect(
    fields: &Fields,
    body: &[u8],
    depth: usize,
    text: &mut Option<String>,
    html: &mut Option<String>,
) {
    let content_type = header::field(fields, "Content-Type");
    let kind = header::main_value(content_type);
    if kind.starts_with("multipart/") {
        let boundary = header::parameter(content_type, "boundary").unwrap_or_default();
        for part in parts(body, &boundary)
            .into_iter()
            .filter(|_| depth < DEEPEST)
        {
            let (fields, body) = header::split(part);
            collect(&fields, body, depth + 1, text, html);
        }
        return;
    }
    let attached = header::main_value(header::field(fields, "Content-Disposition")) == "attachment";
    let slot = match kind.as_str() {
        _ if attached => return,
        "" | "text/plain" => text,
        "text/html" => html,
        _ => return,
    };
    if slot.is_none() {
        let charset = header::parameter(content_type, "charset").unwrap_or_default();
        let decoded = decoded(body, header::field(fields, "Content-Transfer-Encoding"));
        *slot = Some(header::in_charset(&decoded, &charset).replace("\r\n", "\n"));
    }
}

fn decoded(body: &[u8], encoding: &str) -> Vec<u8> {
    match header::main_value(encoding).as_str() {
        "base64" => {
            let dense: Vec<u8> = body
                .iter()
                .copied()
                .filter(|byte| !byte.is_ascii_whitespace())
                .collect();
            STANDARD.decode(dense).unwrap_or_default()
        }
        "quoted-printable" => header::quoted_printable(body),
        _ => body.to_vec(),
    }
}

/// The parts between the delimiter lines (RFC 2046 section 5.1.1). The line break
/// before a delimiter belongs to the delimiter.
fn parts<'a>(body: &'a [u8], boundary: &str) -> Vec<&'a [u8]> {
    let delimiter = format!("--{boundary}");
    let (mut parts, mut start, mut at) = (Vec::new(), None, 0);
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let trimmed = line.trim_ascii_end();
        if let Some(rest) = trimmed.strip_prefix(delimiter.as_bytes())
            && (rest.is_empty() || rest == b"--")
        {
            parts.extend(start.map(|start| without_line_break(&body[start..at])));
            if rest == b"--" {
                return parts;
            }
            start = Some(at + line.len());
        }
        at += line.len();
    }
    parts.extend(start.map(|start| &body[start..]));
    parts
}

fn without_line_break(part: &[u8]) -> &[u8] {
    let part = part.strip_suffix(b"\n").unwrap_or(part);
    part.strip_suffix(b"\r").unwrap_or(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &str) -> Message {
        let raw = raw.replace('\n', "\r\n").into_bytes();
        Message::read(
            "a@a.example".to_owned(),
            vec!["b@b.example".to_owned()],
            raw,
            Timestamp::UNIX_EPOCH,
        )
    }

    #[test]
    fn reads_alternatives_in_both_encodings() {
        let message = read(
            "From: Portico <portico@example.com>\nTo: dev@example.com\nSubject: Ready\nMessage-ID: <1@x>\n\
             MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=outer\n\nignored\n\
             --outer\nContent-Type: multipart/alternative; boundary=\"in ner\"\n\n\
             --in ner\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n\
             Gr=C3=BC=C3=9F=\ne\nBye\n\
             --in ner\nContent-Type: text/html\nContent-Transfer-Encoding: base64\n\nPGI+R3\nLDvMOfZTwvYj4=\n\
             --in ner--\n\
             --outer\nContent-Type: text/plain\nContent-Disposition: attachment; filename=a.txt\n\nattached\n--outer--\n",
        );
        assert_eq!(message.text, "Gr\u{fc}\u{df}e\nBye");
        assert_eq!(message.html, "<b>Gr\u{fc}\u{df}e</b>");
        assert_eq!(
            (message.subject.as_str(), message.message_id.as_str()),
            ("Ready", "<1@x>")
        );
        assert_eq!(
            (message.from.as_str(), message.to.as_str()),
            ("Portico <portico@example.com>", "dev@example.com")
        );
        assert_eq!(message.header("mime-version"), "1.0");
    }

    #[test]
    fn a_plain_message_has_no_html() {
        let message = read("Subject: x\n\nHello\n");
        assert_eq!(
            (message.text.as_str(), message.html.as_str()),
            ("Hello\n", "")
        );
    }

    #[test]
    fn a_broken_message_is_shown_as_far_as_it_goes() {
        let message = read("Content-Type: multipart/alternative; boundary=b\n\n--b\n\nno end");
        assert_eq!(message.text, "no end");
        assert_eq!(read("").text, "");
        let bad = read("Content-Type: text/html\nContent-Transfer-Encoding: base64\n\n!!!\n");
        assert_eq!(bad.html, "");
    }
}
