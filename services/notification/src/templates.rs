//! The messages: what they are, what they are filled with, and how.
//!
//! The built-in templates are those of `web/mail`; files of the operator's theme folder override them one by one.
//! They are read at every filling, so that an edit shows at once. An operator's template with a mistake never
//! costs a mail: the built-in ones are used, and the mistake is logged by file and line.

mod facts;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, path::PathBuf};

use minijinja::{Environment, ErrorKind, UndefinedBehavior, context};
use rust_embed::RustEmbed;
use serde::{Deserialize, Serialize};

pub use facts::{Facts, Item};

/// The default theme.
#[derive(RustEmbed)]
#[folder = "../../web/mail"]
struct BuiltIn;

/// A longer subject is cut; RFC 5322 section 2.1.1 allows 998 bytes, people read less.
const LONGEST_SUBJECT: usize = 200;

/// Every message that Portico sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Template {
    /// A developer asks for access; to the admins.
    AccessSubmitted,
    /// Approved, and the credentials work; to the developer.
    AccessProvisioned,
    /// Not approved; to the developer.
    AccessRejected,
    /// Taken away; to the developer.
    AccessRevoked,
    /// The provider or gateway refused; to the admins.
    RegistrationFailed,
    /// Taken away for a time; to the developer.
    AccessSuspended,
    /// A client secret ends soon, or has ended; to the developers.
    ClientSecretExpiring,
    /// Credentials are other ones by now; to the developers.
    CredentialsChanged,
}

impl Template {
    /// Every one.
    pub const ALL: [Self; 8] = [
        Self::AccessSubmitted,
        Self::AccessProvisioned,
        Self::AccessRejected,
        Self::AccessRevoked,
        Self::RegistrationFailed,
        Self::AccessSuspended,
        Self::ClientSecretExpiring,
        Self::CredentialsChanged,
    ];

    /// Its name, also of its files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessSubmitted => "access_submitted",
            Self::AccessProvisioned => "access_provisioned",
            Self::AccessRejected => "access_rejected",
            Self::AccessRevoked => "access_revoked",
            Self::RegistrationFailed => "registration_failed",
            Self::AccessSuspended => "access_suspended",
            Self::ClientSecretExpiring => "client_secret_expiring",
            Self::CredentialsChanged => "credentials_changed",
        }
    }

    /// The one of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }

    /// When it is sent and to whom, for a person.
    pub fn description(self) -> &'static str {
        match self {
            Self::AccessSubmitted => "To every admin, when a developer asks for access.",
            Self::AccessProvisioned => {
                "To the developer, when access was approved and the credentials work. Never holds the secret."
            }
            Self::AccessRejected => "To the developer, when access was not approved.",
            Self::AccessRevoked => "To the developer, when access was taken away.",
            Self::RegistrationFailed => {
                "To every admin, when the identity provider or the gateway refused."
            }
            Self::AccessSuspended => "To the developer, when access was suspended.",
            Self::ClientSecretExpiring => {
                "To the developers, 30, 7 and 1 days before a client secret ends, and at its end."
            }
            Self::CredentialsChanged => {
                "To the developers, when a client got another secret or was replaced without their doing. Never \
                 holds the secret."
            }
        }
    }

    /// Page of the portal that it leads to.
    fn path(self, facts: &Facts) -> String {
        match self {
            Self::AccessSubmitted | Self::RegistrationFailed => {
                format!("/admin/access-requests/{}", facts.request_id)
            }
            Self::AccessProvisioned
            | Self::AccessRejected
            | Self::AccessRevoked
            | Self::AccessSuspended
            | Self::ClientSecretExpiring
            | Self::CredentialsChanged => {
                format!("/dashboard/applications/{}", facts.application_id)
            }
        }
    }
}

/// A filled template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    /// One line.
    pub subject: String,
    /// Complete by itself.
    pub text: String,
    /// The same, as HTML.
    pub html: String,
}

/// What is wrong with a template. Holds no value that it was filled with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("mail/{file}{}: {problem}", line.map(|n| format!(", line {n}")).unwrap_or_default())]
pub struct Mistake {
    /// File below the theme folder's `mail`.
    pub file: String,
    /// Where in it, from 1, if that is known.
    pub line: Option<usize>,
    /// What.
    pub problem: String,
}

impl Mistake {
    /// The engine's detail may quote what a variable holds, so it is taken only where the data are examples.
    fn of(error: &minijinja::Error, with_detail: bool) -> Self {
        let detail = error.detail().filter(|_| with_detail);
        // Text of the template, not of the data; known only where debugging is on.
        let place = error.template_source().zip(error.range());
        let variable = place.and_then(|(source, range)| source.get(range));
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

/// Fills templates.
#[derive(Debug, Clone)]
pub struct Templates {
    /// The theme folder's `mail`, if a theme folder is configured.
    folder: Option<PathBuf>,
    portal_name: String,
    /// Without a slash at the end.
    public_url: String,
}

impl Templates {
    /// `theme_dir` as configured; `portal_name` as people know it; `public_url` for links.
    pub fn new(theme_dir: Option<PathBuf>, portal_name: &str, public_url: &str) -> Self {
        Self {
            folder: theme_dir.map(|folder| folder.join("mail")),
            portal_name: portal_name.to_owned(),
            public_url: public_url.trim_end_matches('/').to_owned(),
        }
    }

    /// Fills a template. A mistake of the operator's is logged, and the built-in templates are used.
    ///
    /// # Errors
    /// The built-in templates do not take the facts; a test excludes it.
    pub fn fill(&self, template: Template, facts: &Facts) -> Result<Filled, Mistake> {
        if self.any_override() {
            match self.fill_from(true, template, facts, false) {
                Ok(filled) => return Ok(filled),
                Err(mistake) => tracing::error!(
                    template = template.as_str(), %mistake,
                    "a template of the theme folder has a mistake; the built-in ones are used"
                ),
            }
        }
        self.fill_from(false, template, facts, false)
    }

    /// Fills a template with example data, from the operator's files only where they are right.
    ///
    /// # Errors
    /// The first mistake in what would be sent.
    pub fn preview(&self, template: Template) -> Result<Filled, Mistake> {
        self.fill_from(true, template, &Facts::example(template), true)
    }

    /// Every mistake in the operator's files, one for each template at most.
    pub fn check(&self) -> Vec<Mistake> {
        let mistakes = Template::ALL
            .into_iter()
            .filter_map(|template| self.preview(template).err());
        let mut found: Vec<Mistake> = Vec::new();
        for mistake in mistakes {
            if !found.contains(&mistake) {
                found.push(mistake);
            }
        }
        found
    }

    /// Whether the operator has a file of that template, or of what all share.
    pub fn overridden(&self, template: Template) -> bool {
        BuiltIn::iter()
            .filter(|file| is_part_of(file, template))
            .any(|file| self.file(&file).is_some_and(|path| path.is_file()))
    }

    fn any_override(&self) -> bool {
        BuiltIn::iter().any(|file| self.file(&file).is_some_and(|path| path.is_file()))
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(name))
    }

    fn fill_from(
        &self,
        overrides: bool,
        template: Template,
        facts: &Facts,
        with_detail: bool,
    ) -> Result<Filled, Mistake> {
        let mut environment = self.environment(overrides, template)?;
        // Where the data are people's, no error is to remember them.
        environment.set_debug(with_detail);
        let link = format!("{}{}", self.public_url, template.path(facts));
        let base = context! {
            portal_name => &self.portal_name,
            public_url => url(self.public_url.clone()),
            link => url(link),
            ..facts.context()
        };
        let fill = |ending: &str, values: &minijinja::Value| {
            environment
                .get_template(&format!("{}.{ending}", template.as_str()))
                .and_then(|template| template.render(values.clone()))
                .map_err(|error| Mistake::of(&error, with_detail))
        };
        let subject = one_line(&fill("subject.txt", &base)?);
        let values = context! { subject => &subject, ..base };
        Ok(Filled {
            text: fill("txt", &values)?,
            html: fill("html", &values)?,
            subject,
        })
    }

    /// The files of one template and what all share. File endings decide about escaping.
    fn environment(
        &self,
        overrides: bool,
        template: Template,
    ) -> Result<Environment<'static>, Mistake> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        for name in BuiltIn::iter().filter(|file| is_part_of(file, template)) {
            let Some(source) = self.source(overrides, &name)? else {
                continue;
            };
            environment
                .add_template_owned(name.into_owned(), source)
                .map_err(|error| Mistake::of(&error, true))?;
        }
        Ok(environment)
    }

    fn source(&self, overrides: bool, name: &str) -> Result<Option<String>, Mistake> {
        let mistake = |problem: String| Mistake {
            file: name.to_owned(),
            line: None,
            problem,
        };
        if overrides && let Some(path) = self.file(name) {
            match std::fs::read_to_string(path) {
                Ok(source) => return Ok(Some(source)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => (),
                Err(error) => return Err(mistake(format!("cannot be read: {error}"))),
            }
        }
        let Some(file) = BuiltIn::get(name) else {
            return Ok(None);
        };
        let bytes: Cow<'static, [u8]> = file.data;
        String::from_utf8(bytes.into_owned())
            .map(Some)
            .map_err(|_| mistake("is not UTF-8".to_owned()))
    }
}

/// `layout.*` and `parts.*` are part of every template.
fn is_part_of(file: &str, template: Template) -> bool {
    let stem = file.split('.').next().unwrap_or_default();
    stem == template.as_str() || stem == "layout" || stem == "parts"
}

/// An address that needs no escaping is taken as it is: `&#x2f;` for every slash would look like something to hide.
fn url(text: String) -> minijinja::Value {
    if text.contains(['<', '>', '"', '\'', '&']) {
        text.into()
    } else {
        minijinja::Value::from_safe_string(text)
    }
}

/// A subject without line breaks or other control characters: nobody adds a header through a name.
fn one_line(text: &str) -> String {
    let spaced: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(LONGEST_SUBJECT) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
