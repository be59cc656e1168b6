//! What can be wrong with an operator's template.

use minijinja::ErrorKind;

/// A mistake in a template. Holds none of the values that it was rendered with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("mail/{file}{}: {problem}", line.map(|n| format!(", line {n}")).unwrap_or_default())]
pub struct Mistake {
    /// Relative to `mail` in the theme folder.
    pub file: String,
    /// From 1, if it is known.
    pub line: Option<usize>,
    /// For the operator.
    pub problem: String,
}

impl Mistake {
    /// The engine's detail may quote the value of a variable: use `with_detail` only with example data.
    pub(super) fn of(error: &minijinja::Error, with_detail: bool) -> Self {
        let detail = error.detail().filter(|_| with_detail);
        // The source of the template, not the data; known in debug mode only.
        let location = error.template_source().zip(error.range());
        let variable = location.and_then(|(source, range)| source.get(range));
        let problem = match (error.kind(), detail, variable) {
            (ErrorKind::UndefinedError, _, Some(name)) => format!("`{name}` does not exist"),
            (ErrorKind::UndefinedError, _, None) => "a variable does not exist".to_owned(),
            (kind, None, _) => kind.to_string(),
            (kind, Some(detail), _) => format!("{kind}: {detail}"),
        };
        Self {
            file: error.name().unwrap_or("?").to_owned(),
            line: error.line(),
            problem,
        }
    }
}
