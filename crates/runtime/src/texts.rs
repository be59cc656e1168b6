//! Texts that people enter: trimmed, bounded, without control characters. Every service has the same rules and the same
//! codes: `<field>_missing`, `<field>_too_long` and `<field>_invalid`, where `<field>` is the last part of a path such as
//! `apis[0].name`. Names and descriptions are stored in NFC, so that a search finds them however it was typed.

mod characters;

pub(crate) use characters::is_unseen;
pub use characters::{composed, visible};

use crate::Problems;

/// Most characters of a name.
pub const NAME: usize = 100;
/// Most characters of a description, a note or a reason.
pub const DESCRIPTION: usize = 2000;

/// A name: 1 to [`NAME`] characters in one line, all of which can be seen, without words of several scripts that look alike
/// (UTS 39).
pub fn name(problems: &mut Problems, field: &str, text: &str) -> String {
    let text = composed(text.trim());
    let wrong = match text.as_str() {
        "" => Some("missing"),
        text => wrong(text.chars().count(), NAME, text.contains(char::is_control)),
    };
    note(problems, field, wrong, || {
        format!("must have 1 to {NAME} characters in one line")
    });
    if wrong.is_none() {
        no_disguise(problems, field, &text);
    }
    text
}

/// Refuses, by its name, a character that cannot be seen, that turns the text around or that looks like another one.
pub fn no_disguise(problems: &mut Problems, field: &str, text: &str) {
    if let Some(refused) = characters::refused(text) {
        note(problems, field, Some("invalid"), || {
            format!("must not have {refused}")
        });
    }
}

/// One line of at most so many characters; it may be empty.
pub fn line(problems: &mut Problems, field: &str, text: &str, most: usize) -> String {
    let text = text.trim();
    let wrong = wrong(text.chars().count(), most, text.contains(char::is_control));
    note(problems, field, wrong, || {
        format!("must have at most {most} characters in one line")
    });
    text.to_owned()
}

/// A description, a note or a reason: at most [`DESCRIPTION`] characters; it may be empty and have several lines.
pub fn description(problems: &mut Problems, field: &str, text: &str) -> String {
    let text = composed(&lines(text));
    let wrong = wrong(text.chars().count(), DESCRIPTION, text.contains(is_control));
    note(problems, field, wrong, || {
        format!(
            "must have at most {DESCRIPTION} characters, without control characters other than line breaks and tabs"
        )
    });
    text
}

/// A document of at most so many bytes; it may be empty and has lines.
pub fn document(problems: &mut Problems, field: &str, text: &str, most_bytes: usize) -> String {
    let text = lines(text);
    let wrong = wrong(text.len(), most_bytes, text.contains(is_control));
    note(problems, field, wrong, || {
        format!(
            "must have at most {} kB, without control characters other than line breaks and tabs",
            most_bytes / 1000
        )
    });
    text
}

/// Browsers and files of some systems end lines with CR LF.
fn lines(text: &str) -> String {
    text.trim().replace("\r\n", "\n")
}

fn is_control(character: char) -> bool {
    character.is_control() && !matches!(character, '\n' | '\t')
}

fn wrong(length: usize, most: usize, has_control: bool) -> Option<&'static str> {
    if length > most {
        Some("too_long")
    } else if has_control {
        Some("invalid")
    } else {
        None
    }
}

fn note(problems: &mut Problems, field: &str, wrong: Option<&str>, rule: impl FnOnce() -> String) {
    if let Some(wrong) = wrong {
        let last = field.rsplit('.').next().unwrap_or(field);
        problems.add(
            field,
            &format!("{last}_{wrong}"),
            format!("`{field}` {}.", rule()),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(check: impl FnOnce(&mut Problems) -> String) -> Result<String, String> {
        let mut problems = Problems::default();
        let text = check(&mut problems);
        match problems.into_result() {
            Ok(()) => Ok(text),
            Err(error) => Err(format!(
                "{} {}",
                error.fields[0].field, error.fields[0].code
            )),
        }
    }

    #[test]
    fn names_are_trimmed_and_bounded() {
        let name = |text: &str| checked(|p| name(p, "apis[0].name", text));
        assert_eq!(name(" Shop "), Ok("Shop".into()));
        assert_eq!(name(&"ä".repeat(100)), Ok("ä".repeat(100)));
        assert_eq!(name(" \n"), Err("apis[0].name name_missing".into()));
        assert_eq!(
            name(&"a".repeat(101)),
            Err("apis[0].name name_too_long".into())
        );
        assert_eq!(name("a\tb"), Err("apis[0].name name_invalid".into()));
        assert_eq!(name("Cafe\u{301}"), Ok("Caf\u{e9}".into()));
        for disguised in ["a\u{202E}b", "a\u{200B}b", "P\u{0430}y"] {
            assert_eq!(name(disguised), Err("apis[0].name name_invalid".into()));
        }
    }

    #[test]
    fn lines_may_be_empty() {
        let line = |text: &str| checked(|p| line(p, "reason", text, 3));
        assert_eq!(line(" "), Ok(String::new()));
        assert_eq!(line(" abc "), Ok("abc".into()));
        assert_eq!(line("abcd"), Err("reason reason_too_long".into()));
        assert_eq!(line("a\nb"), Err("reason reason_invalid".into()));
    }

    #[test]
    fn descriptions_and_documents_have_lines() {
        let description = |text: &str| checked(|p| description(p, "note", text));
        assert_eq!(description("a\r\n\tb "), Ok("a\n\tb".into()));
        assert_eq!(description(&"ä".repeat(2000)), Ok("ä".repeat(2000)));
        assert_eq!(
            description(&"a".repeat(2001)),
            Err("note note_too_long".into())
        );
        assert_eq!(description("a\u{7}"), Err("note note_invalid".into()));
        let document = |text: &str| checked(|p| document(p, "text", text, 4));
        assert_eq!(document("ää"), Ok("ää".into()));
        assert_eq!(document("äää"), Err("text text_too_long".into()));
        assert_eq!(document("a\0"), Err("text text_invalid".into()));
    }
}
