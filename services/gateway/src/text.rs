//! Texts that people enter: trimmed, bounded, without control characters.

use portico_runtime::Problems;

/// Characters of a name.
const NAME: usize = 100;

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
