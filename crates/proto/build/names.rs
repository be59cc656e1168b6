//! Names in Rust and in the schemas, and the comments of the contract.

use protox::prost_reflect::FileDescriptor;

/// The Rust type that prost makes of a message or enum.
pub(crate) fn rust_path(package: &str, full_name: &str) -> String {
    let mut path = String::from("crate");
    for module in package.split('.').skip(1) {
        path.push_str("::");
        path.push_str(module);
    }
    let names = full_name.strip_prefix(package).unwrap_or(full_name);
    let mut names = names.split('.').filter(|name| !name.is_empty()).peekable();
    while let Some(name) = names.next() {
        path.push_str("::");
        match names.peek() {
            Some(_) => path.push_str(&snake(name)),
            None => path.push_str(name),
        }
    }
    path
}

/// The name without the package; what stands inside a message begins with that one's name. What a method answers is its
/// result: `<operation>Response` is what generators of clients call the whole HTTP response.
pub(crate) fn schema_name(package: &str, full_name: &str) -> String {
    let names = full_name.strip_prefix(package).unwrap_or(full_name);
    let name = names.replace('.', "");
    match name.strip_suffix("Response") {
        Some(operation) => format!("{operation}Result"),
        None => name,
    }
}

/// The comment before a definition, or on its line.
pub(crate) fn comment(file: &FileDescriptor, path: &[i32]) -> String {
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let location = info
        .into_iter()
        .flat_map(|info| &info.location)
        .find(|location| location.path == path);
    let text = location.map_or("", |location| match location.leading_comments() {
        "" => location.trailing_comments(),
        leading => leading,
    });
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.join(" ").trim().to_owned()
}

pub(crate) fn snake(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.extend(letter.to_lowercase());
    }
    text
}

pub(crate) fn camel(name: &str) -> String {
    name.split('_')
        .map(|word| {
            let mut letters = word.chars();
            let first = letters.next().map(|first| first.to_ascii_uppercase());
            first.into_iter().chain(letters).collect::<String>()
        })
        .collect()
}

pub(crate) fn ident(name: &str) -> String {
    let keywords = [
        "as", "break", "const", "continue", "else", "enum", "fn", "for", "if", "impl", "in", "let",
        "loop", "match", "mod", "move", "ref", "return", "static", "struct", "trait", "type",
        "use", "where", "while",
    ];
    if keywords.contains(&name) {
        format!("r#{name}")
    } else {
        name.to_owned()
    }
}
