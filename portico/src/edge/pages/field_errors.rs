//! Errors of a form as text for people: above the form, and beside the fields that they are about.

use std::collections::BTreeMap;

use minijinja::{Value, context};
use portico_proto::{Error, FieldError};

/// An error as it stands above the page: every problem where there are several, each with the code that REST and gRPC
/// give it, which the page keeps out of sight in `data-code`.
pub(super) fn problem(error: &Error) -> Value {
    match error.fields.as_slice() {
        [] | [_] => context! { message => sentence(error), code => &error.code },
        many => {
            let all: Vec<Value> = many
                .iter()
                .map(
                    |wrong| context! { message => for_people(&wrong.message), code => &wrong.code },
                )
                .collect();
            context! { message => sentence(error), code => &error.code, all }
        }
    }
}

/// An error in one sentence. What a list says about its links is about members of a query that nobody typed.
pub(super) fn sentence(error: &Error) -> String {
    match error.code.as_ref() {
        "cursor_invalid" | "cursor_of_another_list" => {
            "This page of the list no longer exists. Start at its first page.".into()
        }
        "idempotency_key_reused" => {
            "This form was already sent with other values, and created something then. To create another one, send it again."
                .into()
        }
        "sort_invalid" => "The list cannot be ordered like this. Choose one of its orders.".into(),
        _ => for_people(&error.message),
    }
}

/// Messages by the name of the form's field. An error about one of several values, such as `redirect_urls[1]`, is shown at
/// the field as well.
pub(super) fn by_field(error: &Error) -> BTreeMap<String, String> {
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    for wrong in &error.fields {
        let mut names = vec![wrong.field.as_str()];
        names.extend(wrong.field.split_once('[').map(|(field, _)| field));
        for name in names {
            let text = fields.entry(name.to_owned()).or_default();
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(&beside_field(wrong));
        }
    }
    fields
}

/// A message with the names of fields, which are for programs, replaced by their labels.
pub(super) fn for_people(message: &str) -> String {
    let mut text = String::new();
    for (index, part) in message.split('`').enumerate() {
        match index % 2 {
            1 if is_name(part) => text.push_str(&label(part)),
            1 => text.extend(["`", part, "`"]),
            _ => text.push_str(part),
        }
    }
    match message.starts_with('`') {
        true => capitalised(&text),
        false => text,
    }
}

fn is_name(text: &str) -> bool {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.[]".contains(c);
    text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(inside)
}

/// The message for display beside the field, where its name is visible already.
fn beside_field(wrong: &FieldError) -> String {
    let name = format!("`{}`", wrong.field);
    match wrong.message.strip_prefix(&format!("{name}: ")) {
        Some(message) => capitalised(&for_people(message)),
        // Which of several values it is, is not visible.
        None if wrong.field.contains('[') => for_people(&wrong.message),
        None => for_people(&wrong.message.replace(&name, "It")),
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// What pages call a field otherwise than by the words of its name.
const LABELS: [(&str, &str); 8] = [
    ("q", "search text"),
    ("sort", "order"),
    ("let_in", "internal products"),
    ("dcr_enabled", "dynamic client registration"),
    ("rate.requests", "requests of the rate"),
    ("rate.per_seconds", "seconds of the rate"),
    ("quota.requests", "requests of the quota"),
    ("quota.renews_every_seconds", "seconds of the quota"),
];

/// `application.redirect_urls[0]` as `redirect URLs (1)`, `items[1].plan_id` as `plan (2)`, `client_type_ids` as
/// `client types`.
fn label(field: &str) -> String {
    if let Some((_, label)) = LABELS.iter().find(|(name, _)| *name == field) {
        return (*label).to_owned();
    }
    let last = field.rsplit('.').next().unwrap_or(field);
    let name = last.split('[').next().unwrap_or(last);
    let name = match name.strip_suffix("_ids") {
        Some(one) => format!("{one}s"),
        None => name.strip_suffix("_id").unwrap_or(name).to_owned(),
    };
    let word = |word| match word {
        "api" => "API",
        "apis" => "APIs",
        "url" => "URL",
        "urls" => "URLs",
        "oauth" => "OAuth",
        other => other,
    };
    let mut text = name.split('_').map(word).collect::<Vec<_>>().join(" ");
    let index = field
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'))
        .and_then(|(index, _)| index.parse::<usize>().ok());
    if let Some(index) = index {
        text.push_str(&format!(" ({})", index + 1));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_stand_at_their_fields() {
        let wrong = |field: &str, message: &str| FieldError {
            field: field.into(),
            code: "wrong".into(),
            message: message.into(),
        };
        let error = Error::fields(vec![
            wrong("name", "A."),
            wrong("redirect_urls[0]", "B."),
            wrong("redirect_urls[2]", "C."),
        ])
        .unwrap();
        let fields = by_field(&error);
        assert_eq!(fields["name"], "A.");
        assert_eq!(fields["redirect_urls"], "B. C.");
        assert_eq!(fields["redirect_urls[2]"], "C.");
    }

    #[test]
    fn names_of_fields_become_words() {
        for (field, shown) in [
            ("name", "name"),
            ("application.redirect_urls[0]", "redirect URLs (1)"),
            ("items[1].plan_id", "plan (2)"),
            ("client_type_id", "client type"),
            ("client_type_ids", "client types"),
            ("apis[0].api_id", "API (1)"),
            ("rate.per_seconds", "seconds of the rate"),
            ("", ""),
        ] {
            assert_eq!(label(field), shown);
        }
        for (field, message, above, beside) in [
            (
                "client_type_id",
                "`client_type_id` must be given.",
                "Client type must be given.",
                "It must be given.",
            ),
            (
                "url",
                "`url`: the answer is no JSON.",
                "URL: the answer is no JSON.",
                "The answer is no JSON.",
            ),
            (
                "consumer",
                "`consumer` must be given where `message_id` is not.",
                "Consumer must be given where message is not.",
                "It must be given where message is not.",
            ),
            (
                "apis[1].url",
                "`apis[1].url` must be an absolute URL.",
                "URL (2) must be an absolute URL.",
                "URL (2) must be an absolute URL.",
            ),
            (
                "etag",
                "It must be `*`.",
                "It must be `*`.",
                "It must be `*`.",
            ),
        ] {
            let error = Error::field(field, "wrong", message);
            let shown = problem(&error).get_attr("message").unwrap().to_string();
            assert_eq!(
                (shown.as_str(), by_field(&error)[field].as_str()),
                (above, beside)
            );
        }
    }

    #[test]
    fn links_of_lists_are_not_named() {
        for (field, code, message) in [
            (
                "after",
                "cursor_invalid",
                "`after` must be the `next` of the page before.",
            ),
            (
                "after",
                "cursor_of_another_list",
                "`after` is the `next` of another list.",
            ),
            (
                "sort",
                "sort_invalid",
                "`sort` must be name or -created_at.",
            ),
        ] {
            let shown = sentence(&Error::field(field, code, message));
            assert!(
                shown.contains("the list") || shown.contains("The list"),
                "{shown}"
            );
            assert!(!shown.contains(['`', '_']), "{shown}");
        }
    }
}
