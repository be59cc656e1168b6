//! Renders messages.
//!
//! The built-in templates are those of `web/mail`; files in the operator's theme folder override them one by one. They
//! are read at every rendering, so that an edit shows at once. A mistake in an operator's template never costs a mail:
//! the built-in ones are used, and the mistake is logged by file and line.

mod facts;
mod mistake;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, path::PathBuf};

use minijinja::{Environment, UndefinedBehavior, context};
use rust_embed::RustEmbed;

pub use facts::{Facts, Item};
pub use mistake::Mistake;

pub use crate::delivery::Template;

/// The default theme.
#[derive(RustEmbed)]
#[folder = "../../web/mail"]
struct BuiltIn;

/// A longer subject is cut. RFC 5322 section 2.1.1 allows 998 bytes, but nobody reads as many.
const LONGEST_SUBJECT: usize = 200;

/// Subject and bodies of a rendered template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    /// Subject; a single line, so that no header can be injected.
    pub subject: String,
    /// For mail programs that show no HTML; complete by itself.
    pub text: String,
    /// The same, as HTML.
    pub html: String,
}

/// Renders templates. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Templates {
    /// `mail` in the theme folder, if one is configured.
    folder: Option<PathBuf>,
    portal_name: String,
    /// Without a slash at the end.
    public_url: String,
}

impl Templates {
    /// `portal_name` is shown to people; links begin with `public_url`.
    pub fn new(theme_dir: Option<PathBuf>, portal_name: &str, public_url: &str) -> Self {
        Self {
            folder: theme_dir.map(|folder| folder.join("mail")),
            portal_name: portal_name.to_owned(),
            public_url: public_url.trim_end_matches('/').to_owned(),
        }
    }

    /// Renders a template. A mistake in an operator's file is logged, and the built-in templates are used.
    ///
    /// # Errors
    /// A built-in template fails; the tests exclude it.
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

    /// Renders a template with example data, and does not fall back to the built-in ones.
    ///
    /// # Errors
    /// The first mistake in an operator's file.
    pub fn preview(&self, template: Template) -> Result<Filled, Mistake> {
        self.fill_from(true, template, &Facts::example(template), true)
    }

    /// The mistakes in the operator's files, at most one for each template; one in a shared file is listed once.
    pub fn check(&self) -> Vec<Mistake> {
        let mistakes = Template::all().filter_map(|template| self.preview(template).err());
        let mut found: Vec<Mistake> = Vec::new();
        for mistake in mistakes {
            if !found.contains(&mistake) {
                found.push(mistake);
            }
        }
        found
    }

    /// Whether the operator overrides a file of that template or one that all templates share.
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
        // In debug mode an error holds the values it met: only with example data.
        environment.set_debug(with_detail);
        let link = format!("{}{}", self.public_url, link_path(template, facts));
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

    /// With the files of one template and the shared ones. Escaping follows the file extension.
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

/// The page that the message links to.
fn link_path(template: Template, facts: &Facts) -> String {
    match template {
        Template::AccessSubmitted | Template::RegistrationFailed => {
            format!("/admin/access-requests/{}", facts.request_id)
        }
        Template::AccessProvisioned
        | Template::AccessRejected
        | Template::AccessRevoked
        | Template::AccessSuspended
        | Template::ClientSecretExpiring
        | Template::CredentialsChanged => {
            format!("/dashboard/applications/{}", facts.application_id)
        }
    }
}

/// `layout.*` and `parts.*` are shared by all templates.
fn is_part_of(file: &str, template: Template) -> bool {
    let stem = file.split('.').next().unwrap_or_default();
    stem == template.as_str() || stem == "layout" || stem == "parts"
}

/// Exempts a URL from escaping when nothing in it needs it: the engine would write every slash as `&#x2f;`, which spam
/// filters and readers distrust.
fn url(text: String) -> minijinja::Value {
    if text.contains(['<', '>', '"', '\'', '&']) {
        text.into()
    } else {
        minijinja::Value::from_safe_string(text)
    }
}

/// Removes line breaks and other control characters, so that nobody injects a mail header through a name.
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
