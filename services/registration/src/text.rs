//! Texts that people enter: trimmed, bounded, without control characters.

use portico_runtime::Problems;

/// Characters of a name.
const NAME: usize = 100;
/// Characters of a description.
const DESCRIPTION: usize = 2000;

/// A name of 1 to 100 characters, in one line.
pub(crate) fn name(problems: &mut Problems, field: &str, text: &str) -> String {
    let text = text.trim();
    if text.is_empty() {
        let message = format!("`{field}` must have 1 to {NAME} characters.");
        problems.add(field, &format!("{field}_missing"), message);
    } else {
        line(problems, field, text, NAME);
    }
    text.to_owned()
}

/// One line of at most so many characters; may be empty.
pub(crate) fn line(problems: &mut Problems, field: &str, text: &str, most: usize) {
    if text.chars().count() > most {
        let message = format!("`{field}` must have at most {most} characters.");
        problems.add(field, &format!("{field}_too_long"), message);
    } else if text.chars().any(char::is_control) {
        let message = format!("`{field}` must be one line without control characters.");
        problems.add(field, &format!("{field}_invalid"), message);
    }
}

/// A description of at most 2000 characters; may be empty and have several lines.
pub(crate) fn description(problems: &mut Problems, field: &str, text: &str) -> String {
    let text = text.trim();
    if text.chars().count() > DESCRIPTION {
        let message = format!("`{field}` must have at most {DESCRIPTION} characters.");
        problems.add(field, &format!("{field}_too_long"), message);
    } else if text
        .chars()
        .any(|c| c.is_control() && c != '\n' && c != '\r')
    {
        let message = format!("`{field}` must not have control characters other than line breaks.");
        problems.add(field, &format!("{field}_invalid"), message);
    }
    text.to_owned()
}

/// A pattern for `LIKE ... ESCAPE '\'` on a lower-case column: finds the text anywhere, everything where it is
/// empty.
pub(crate) fn like(text: &str) -> String {
    let mut pattern = String::from("%");
    let text = text.trim().to_lowercase();
    // PostgreSQL refuses a text with a NUL; no name has a control character.
    for c in text.chars().filter(|c| !c.is_control()) {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    if pattern.len() > 1 {
        pattern.push('%');
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(check: impl FnOnce(&mut Problems)) -> Vec<String> {
        let mut problems = Problems::default();
        check(&mut problems);
        let fields = problems.into_result().err().map(|error| error.fields);
        fields
            .into_iter()
            .flatten()
            .map(|field| field.code)
            .collect()
    }

    #[test]
    fn names_are_bounded() {
        let name = |text: &str| {
            codes(|problems| {
                name(problems, "name", text);
            })
        };
        assert!(name(" a ").is_empty());
        assert!(name(&"ü".repeat(100)).is_empty());
        assert_eq!(name(" \n"), ["name_missing"]);
        assert_eq!(name(&"ü".repeat(101)), ["name_too_long"]);
        assert_eq!(name("a\nb"), ["name_invalid"]);
    }

    #[test]
    fn descriptions_may_have_lines() {
        let description = |text: &str| {
            codes(|problems| {
                description(problems, "description", text);
            })
        };
        assert!(description("").is_empty());
        assert!(description("a\r\nb").is_empty());
        assert_eq!(description("a\u{0}"), ["description_invalid"]);
        assert_eq!(description(&"a".repeat(2001)), ["description_too_long"]);
    }

    #[test]
    fn patterns_are_texts_not_wildcards() {
        assert_eq!(like(" "), "%");
        assert_eq!(like("a\u{0}b"), "%ab%");
        assert_eq!(like("50%_A\\"), "%50\\%\\_a\\\\%");
    }
}
