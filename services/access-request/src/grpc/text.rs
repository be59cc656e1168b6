//! Texts that people enter: trimmed, bounded, without control characters.

use portico_runtime::Problems;

/// Characters of a name.
const NAME: usize = 100;
/// Characters of a description, a note or a reason.
const LONG: usize = 2000;

/// A name of 1 to 100 characters in one line. `field` may be a path; its last part begins the codes.
pub(crate) fn name(problems: &mut Problems, field: &str, text: &str) -> String {
    let text = text.trim();
    let count = text.chars().count();
    let wrong = if count == 0 {
        Some("missing")
    } else if count > NAME {
        Some("too_long")
    } else if text.chars().any(char::is_control) {
        Some("invalid")
    } else {
        None
    };
    if let Some(wrong) = wrong {
        problems.add(
            field,
            &code(field, wrong),
            format!("`{field}` must have 1 to {NAME} characters in one line."),
        );
    }
    text.to_owned()
}

/// A text of at most 2000 characters, which may be empty and have several lines.
pub(crate) fn long(problems: &mut Problems, field: &str, text: &str) -> String {
    // Browsers send CR LF.
    let text = text.trim().replace("\r\n", "\n");
    let wrong = if text.chars().count() > LONG {
        Some("too_long")
    } else if text.chars().any(|c| c.is_control() && c != '\n') {
        Some("invalid")
    } else {
        None
    };
    if let Some(wrong) = wrong {
        problems.add(
            field,
            &code(field, wrong),
            format!(
                "`{field}` must have at most {LONG} characters, and no control characters but line breaks."
            ),
        );
    }
    text
}

fn code(field: &str, wrong: &str) -> String {
    let last = field.rsplit('.').next().unwrap_or(field);
    format!("{last}_{wrong}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(check: impl FnOnce(&mut Problems) -> String) -> Result<String, String> {
        let mut problems = Problems::default();
        let text = check(&mut problems);
        match problems.into_result() {
            Ok(()) => Ok(text),
            Err(error) => Err(error.code.to_string()),
        }
    }

    #[test]
    fn names_are_trimmed_and_bounded() {
        let name = |text: &str| checked(|p| name(p, "application.name", text));
        assert_eq!(name(" Shop "), Ok("Shop".into()));
        assert_eq!(name(&"ä".repeat(100)), Ok("ä".repeat(100)));
        assert_eq!(name(" "), Err("name_missing".into()));
        assert_eq!(name(&"a".repeat(101)), Err("name_too_long".into()));
        assert_eq!(name("a\tb"), Err("name_invalid".into()));
    }

    #[test]
    fn long_texts_may_have_lines() {
        let long = |text: &str| checked(|p| long(p, "reason", text));
        assert_eq!(long("a\r\nb "), Ok("a\nb".into()));
        assert_eq!(long(""), Ok(String::new()));
        assert_eq!(long(&"a".repeat(2001)), Err("reason_too_long".into()));
        assert_eq!(long("a\u{7}"), Err("reason_invalid".into()));
    }
}
