//! The theme: templates and styles from `web/`, built in, each of which the operator's theme folder can replace.

use std::{borrow::Cow, path::Path, sync::OnceLock};

use axum::{
    Router, extract,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, syntax::SyntaxConfig};
use rust_embed::RustEmbed;

use crate::edge::{Edge, problem::no_such_path};

#[derive(RustEmbed)]
#[folder = "../web/pages"]
struct Pages;

#[derive(RustEmbed)]
#[folder = "../web/static"]
struct Static;

pub(super) fn routes() -> Router<Edge> {
    Router::new().route("/static/{*path}", get(asset))
}

/// A style or an image. Names are looked up among those that are built in, so none leads out of the folder.
async fn asset(
    extract::State(edge): extract::State<Edge>,
    extract::Path(path): extract::Path<String>,
) -> Response {
    let Some(built_in) = Static::get(&path) else {
        return no_such_path().await.into_response();
    };
    let own = edge
        .deps
        .config
        .theme_dir
        .as_deref()
        .and_then(|folder| read(folder, "static", &path));
    let body = own.map_or(built_in.data, Cow::Owned);
    let kind = match Path::new(&path)
        .extension()
        .and_then(|extension| extension.to_str())
    {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    };
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "public, max-age=300"),
    ];
    (StatusCode::OK, headers, body.into_owned()).into_response()
}

fn read(folder: &Path, part: &str, name: &str) -> Option<Vec<u8>> {
    std::fs::read(folder.join(part).join(name)).ok()
}

/// The templates, read once: the operator's where there is one and it can be read, otherwise the built-in one.
pub(super) fn templates(edge: &Edge) -> &'static Environment<'static> {
    static TEMPLATES: OnceLock<Environment<'static>> = OnceLock::new();
    TEMPLATES.get_or_init(|| environment(edge.deps.config.theme_dir.as_deref()))
}

pub(super) fn environment(theme: Option<&Path>) -> Environment<'static> {
    let mut environment = Environment::new();
    // Errors would carry the values of the page, secrets among them.
    environment.set_debug(false);
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    match SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()
    {
        Ok(syntax) => environment.set_syntax(syntax),
        // Only white space is different then.
        Err(error) => tracing::error!(%error, "syntax of templates"),
    }
    environment.add_filter("time", time);
    environment.add_filter("as_words", as_words);
    for name in Pages::iter() {
        add(&mut environment, theme, &name);
    }
    environment
}

fn add(environment: &mut Environment<'static>, theme: Option<&Path>, name: &str) {
    let own = theme
        .and_then(|folder| read(folder, "pages", name))
        .and_then(|own| String::from_utf8(own).ok());
    if let Some(own) = own {
        match environment.add_template_owned(name.to_owned(), own) {
            Ok(()) => return,
            Err(error) => {
                tracing::error!(template = name, %error, "template of the theme is broken")
            }
        }
    }
    let built_in = Pages::get(name).map(|file| String::from_utf8_lossy(&file.data).into_owned());
    let added = built_in.map(|text| environment.add_template_owned(name.to_owned(), text));
    if let Some(Err(error)) = added {
        tracing::error!(template = name, %error, "built-in template is broken");
    }
}

/// A time of a service, in UTC; what is none stays as it is. Null, such as a value that a newer service knows, is nothing.
fn time(text: Option<&str>) -> Value {
    let text = text.unwrap_or_default();
    let Ok(at) = text.parse::<jiff::Timestamp>() else {
        return Value::from(text);
    };
    // Only digits and letters that we write ourselves.
    let shown = at.strftime("%e %b %Y, %H:%M UTC").to_string();
    let machine = at.strftime("%Y-%m-%dT%H:%M:%SZ");
    Value::from_safe_string(format!(
        "<time datetime=\"{machine}\">{}</time>",
        shown.trim_start()
    ))
}

/// `client_secret_basic` as `client secret basic`; null as nothing.
fn as_words(text: Option<&str>) -> String {
    text.unwrap_or_default().replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_for_people() {
        let shown = time(Some("2026-11-04T03:05:09.123456Z")).to_string();
        assert_eq!(
            shown,
            "<time datetime=\"2026-11-04T03:05:09Z\">4 Nov 2026, 03:05 UTC</time>"
        );
        assert_eq!(time(Some("soon")).to_string(), "soon");
        assert_eq!(time(None).to_string(), "");
    }

    #[test]
    fn every_built_in_template_can_be_read() {
        let environment = environment(None);
        let names: Vec<_> = Pages::iter().collect();
        assert!(names.len() > 3);
        for name in names {
            assert!(environment.get_template(&name).is_ok(), "{name}");
        }
    }
}
