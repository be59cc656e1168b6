//! The page of the mail catcher: a list, a message, and the same as JSON. Everything in a message is foreign text: it
//! is escaped, and its HTML is shown only in a sandboxed frame that may load and run nothing.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderName, StatusCode};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::get;
use serde_json::json;

use super::mailbox::Mailbox;
use super::message::Message;

const STYLE: &str = include_str!("page.css");
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; base-uri 'none'; form-action 'none'";
const MESSAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
     sandbox allow-popups allow-popups-to-escape-sandbox";

type Shared = State<Arc<Mailbox>>;

pub(super) fn router(mailbox: Arc<Mailbox>) -> Router {
    Router::new()
        .route("/", get(list))
        .route("/messages/{id}", get(view))
        .route("/messages/{id}/html", get(html_part))
        .route("/api/messages", get(api_list).delete(api_clear))
        .route("/api/messages/{id}", get(api_message))
        .with_state(mailbox)
}

/// Text for HTML content and quoted attributes.
fn escaped(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => result.push_str("&amp;"),
            '<' => result.push_str("&lt;"),
            '>' => result.push_str("&gt;"),
            '"' => result.push_str("&quot;"),
            '\'' => result.push_str("&#39;"),
            other => result.push(other),
        }
    }
    result
}

/// Escaped text in which web addresses can be followed.
fn linked(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for piece in text.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end();
        let address = word.trim_end_matches(['.', ',', ';', ')', '>', '"', '\'']);
        if address.starts_with("http://") || address.starts_with("https://") {
            let safe = escaped(address);
            let _ = write!(
                result,
                r#"<a href="{safe}" target="_blank" rel="noopener noreferrer">{safe}</a>"#
            );
            result.push_str(&escaped(&piece[address.len()..]));
        } else {
            result.push_str(&escaped(piece));
        }
    }
    result
}

fn with_policy(policy: &'static str, html: String) -> Response {
    let headers = [
        (HeaderName::from_static("content-security-policy"), policy),
        (HeaderName::from_static("referrer-policy"), "no-referrer"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
        (HeaderName::from_static("cache-control"), "no-store"),
    ];
    (headers, Html(html)).into_response()
}

fn page(title: &str, body: &str) -> Response {
    let title = escaped(title);
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head><body>\
         <header><a href=\"/\">Mail catcher</a><span>Nothing here was really sent.</span></header>\
         <main>{body}</main></body></html>"
    );
    with_policy(PAGE_POLICY, html)
}

fn not_found() -> Response {
    (
        StatusCode::NOT_FOUND,
        page(
            "No such message",
            "<h1>No such message</h1><p><a href=\"/\">All messages</a></p>",
        ),
    )
        .into_response()
}

/// Newest first.
async fn list(State(mailbox): Shared) -> Response {
    let messages = mailbox.messages();
    if messages.is_empty() {
        return page(
            "Mail catcher",
            "<h1>No mail yet</h1><p>What the portal sends appears here. <a href=\"/\">Look again</a></p>",
        );
    }
    let mut rows = String::new();
    for message in messages.iter().rev() {
        let _ = write!(
            rows,
            "<li><a href=\"/messages/{}\"><strong>{}</strong><span>to {}</span><time>{}</time></a></li>",
            message.id,
            escaped(subject(message)),
            escaped(&message.envelope_to.join(", ")),
            time(message),
        );
    }
    page(
        "Mail catcher",
        &format!(
            "<h1>{} caught</h1><ul>{rows}</ul><p><a href=\"/\">Look again</a></p>",
            count(messages.len())
        ),
    )
}

fn count(messages: usize) -> String {
    if messages == 1 {
        "1 message".to_owned()
    } else {
        format!("{messages} messages")
    }
}

fn subject(message: &Message) -> &str {
    if message.subject.is_empty() {
        "(no subject)"
    } else {
        &message.subject
    }
}

fn time(message: &Message) -> String {
    message
        .received_at
        .strftime("%Y-%m-%d %H:%M:%S UTC")
        .to_string()
}

async fn view(State(mailbox): Shared, Path(id): Path<u64>) -> Response {
    let Some(message) = mailbox.message(id) else {
        return not_found();
    };
    let mut fields = String::new();
    let recipients = message.envelope_to.join(", ");
    let time = time(&message);
    for (name, value) in [
        ("From", &message.from),
        ("To", &message.to),
        ("Delivered to", &recipients),
        ("Received", &time),
        ("Message-ID", &message.message_id),
    ] {
        let _ = write!(fields, "<dt>{name}</dt><dd>{}</dd>", escaped(value));
    }
    let mut body = format!("<h1>{}</h1><dl>{fields}</dl>", escaped(subject(&message)));
    if !message.html.is_empty() {
        let _ = write!(
            body,
            "<h2>HTML</h2><iframe title=\"The message as HTML\" src=\"/messages/{id}/html\" \
             sandbox=\"allow-popups allow-popups-to-escape-sandbox\"></iframe>"
        );
    }
    if !message.text.is_empty() {
        let _ = write!(body, "<h2>Text</h2><pre>{}</pre>", linked(&message.text));
    }
    page(subject(&message), &body)
}

/// The HTML of a message, for the frame. Its links open in a tab of their own.
async fn html_part(State(mailbox): Shared, Path(id): Path<u64>) -> Response {
    match mailbox.message(id) {
        Some(message) => with_policy(
            MESSAGE_POLICY,
            format!("<base target=\"_blank\">{}", message.html),
        ),
        None => not_found(),
    }
}

/// Oldest first.
async fn api_list(State(mailbox): Shared) -> Response {
    Json(json!({"messages": mailbox.messages()})).into_response()
}

async fn api_message(State(mailbox): Shared, Path(id): Path<u64>) -> Response {
    match mailbox.message(id) {
        Some(message) => Json(message).into_response(),
        None => (
            StatusCode::NOT_FOUND,
            Json(json!({"error": "no such message"})),
        )
            .into_response(),
    }
}

async fn api_clear(State(mailbox): Shared) -> StatusCode {
    mailbox.clear();
    StatusCode::NO_CONTENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_links() {
        assert_eq!(
            escaped("<a href='x'>&\""),
            "&lt;a href=&#39;x&#39;&gt;&amp;&quot;"
        );
        assert_eq!(
            linked("See https://a.example/?a=1&b=2.\n<i>"),
            "See <a href=\"https://a.example/?a=1&amp;b=2\" target=\"_blank\" rel=\"noopener noreferrer\">\
             https://a.example/?a=1&amp;b=2</a>.\n&lt;i&gt;"
        );
        assert_eq!(
            linked("javascript:alert(1) https"),
            "javascript:alert(1) https"
        );
    }
}
