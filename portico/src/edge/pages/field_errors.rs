//! Errors of a form as text for people: above the form, and beside the fields that they are about.

use std::collections::BTreeMap;

use minijinja::{Value, context};
use portico_proto::{Error, FieldError};

/// An error as it stands above the page: every problem where there are several, each with the code that REST and gRPC
/// give it, which the page keeps out of sight in `data-code`.
pub(super) fn problem(error: &Error) -> Value {
    let message = |wrong| for_people(wrong, &words(&wrong.field));
    match error.fields.as_slice() {
        [] => context! { message => &error.message, code => &error.code },
        [wrong] => context! { message => message(wrong), code => &error.code },
        many => {
            let all: Vec<Value> = many
                .iter()
                .map(|wrong| context! { message => message(wrong), code => &wrong.code })
                .collect();
            context! { message => &error.message, code => &error.code, all }
        }
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

/// The message with the name of the field, which is for programs, replaced by its label.
fn for_people(wrong: &FieldError, name: &str) -> String {
    wrong.message.replace(&format!("`{}`", wrong.field), name)
}

/// The message for display beside the field, where its name is visible already.
fn beside_field(wrong: &FieldError) -> String {
    match wrong.message.strip_prefix(&format!("`{}`: ", wrong.field)) {
        Some(message) => capitalised(message),
        None => for_people(wrong, "It"),
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// `application.redirect_urls[0]` as `Redirect urls (1)`, `items[1].plan_id` as `Plan (2)`.
fn words(field: &str) -> String {
    let number = field
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'))
        .and_then(|(index, _)| index.parse::<usize>().ok());
    let last = field.rsplit('.').next().unwrap_or(field);
    let name = last.split('[').next().unwrap_or(last);
    let name = name.strip_suffix("_id").unwrap_or(name).replace('_', " ");
    let mut text = capitalised(&name);
    if let Some(index) = number {
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
            ("name", "Name"),
            ("application.redirect_urls[0]", "Redirect urls (1)"),
            ("items[1].plan_id", "Plan (2)"),
            ("client_type_id", "Client type"),
            ("", ""),
        ] {
            assert_eq!(words(field), shown);
        }
        let error = Error::field(
            "client_type_id",
            "missing",
            "`client_type_id` must be given.",
        );
        assert_eq!(by_field(&error)["client_type_id"], "It must be given.");
        let shown = problem(&error).get_attr("message").unwrap().to_string();
        assert_eq!(shown, "Client type must be given.");
        let error = Error::field("url", "wrong", "`url`: the answer is no JSON.");
        assert_eq!(by_field(&error)["url"], "The answer is no JSON.");
    }
}
