//! Reading our own pages: forms and what would be sent with them.

/// A form of a page.
#[derive(Debug, Clone, Default)]
pub(super) struct Form {
    pub(super) action: String,
    /// As a browser would send them, without buttons.
    pub(super) fields: Vec<(String, String)>,
}

/// Every form of a page that posts.
pub(super) fn forms(page: &str) -> Vec<Form> {
    let posting = |part: &&str| part.split('>').next().unwrap().contains("method=\"post\"");
    page.split("<form")
        .skip(1)
        .filter(posting)
        .map(form)
        .collect()
}

fn form(part: &str) -> Form {
    let part = part.split("</form>").next().unwrap();
    let mut fields = Vec::new();
    for (at, _) in part.match_indices('<') {
        let rest = &part[at..];
        let tag = rest.split('>').next().unwrap();
        let Some(name) = attribute(tag, "name") else {
            continue;
        };
        if tag.starts_with("<input") {
            let kind = attribute(tag, "type").unwrap_or_default();
            let boxed = kind == "checkbox" || kind == "radio";
            if !boxed || tag.contains(" checked") {
                let value = attribute(tag, "value");
                fields.push((
                    name,
                    value.unwrap_or_else(|| if boxed { "on".into() } else { String::new() }),
                ));
            }
        } else if tag.starts_with("<textarea") {
            let text = rest[tag.len() + 1..].split("</textarea>").next().unwrap();
            fields.push((name, decoded(text.strip_prefix('\n').unwrap_or(text))));
        } else if tag.starts_with("<select") {
            fields.push((name, selected(rest.split("</select>").next().unwrap())));
        }
    }
    let opening = part.split('>').next().unwrap();
    Form {
        action: attribute(opening, "action").unwrap_or_default(),
        fields,
    }
}

/// The selected option, otherwise the first.
fn selected(select: &str) -> String {
    let options: Vec<&str> = select.split("<option").skip(1).collect();
    let chosen = options
        .iter()
        .find(|option| option.split('>').next().unwrap().contains(" selected"));
    let Some(option) = chosen.or(options.first()) else {
        return String::new();
    };
    let (tag, text) = option.split_once('>').unwrap();
    attribute(tag, "value").unwrap_or_else(|| decoded(text.split('<').next().unwrap()))
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split('"').next().map(decoded)
}

/// The text of a page or attribute.
pub(super) fn decoded(text: &str) -> String {
    let pairs = [
        ("&#x2f;", "/"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#x27;", "'"),
        ("&amp;", "&"),
    ];
    pairs
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[test]
fn forms_are_read_as_browsers_do() {
    let page = r#"<form method="get" action="/search"><input name="q"></form>
        <form class="card" method="post" action="&#x2f;x"><input type="hidden" name="a" value="1&amp;2">
        <input type="checkbox" name="b" checked><input type="checkbox" name="c" value="3">
        <textarea name="d">
&lt;b&gt;</textarea><select name="e"><option value="">None</option><option value="9" selected>Nine</option></select>
        <select name="f"><option>first</option></select><button name="g" value="1">Go</button></form>"#;
    let all = forms(page);
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].action, "/x");
    let expected = [
        ("a", "1&2"),
        ("b", "on"),
        ("d", "<b>"),
        ("e", "9"),
        ("f", "first"),
    ];
    let found: Vec<(&str, &str)> = all[0]
        .fields
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    assert_eq!(found, expected);
}
