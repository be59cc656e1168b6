//! Documentation in Markdown. Raw HTML is shown as text, links with dangerous schemes are disabled, and images become
//! links, so that other hosts do not learn who reads.

use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

/// HTML that is safe to show within a page whose own headings are of level 1 and 2.
pub(super) fn to_html(markdown: &str) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let events = Parser::new_ext(markdown, options).map(harmless);
    let mut text = String::with_capacity(markdown.len() * 3 / 2);
    html::push_html(&mut text, events);
    text
}

fn harmless(event: Event<'_>) -> Event<'_> {
    match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        Event::Start(Tag::HtmlBlock) => Event::Start(Tag::Paragraph),
        Event::End(TagEnd::HtmlBlock) => Event::End(TagEnd::Paragraph),
        Event::Start(
            Tag::Image {
                link_type,
                dest_url,
                title,
                id,
            }
            | Tag::Link {
                link_type,
                dest_url,
                title,
                id,
            },
        ) => Event::Start(Tag::Link {
            link_type,
            dest_url: address(dest_url),
            title,
            id,
        }),
        Event::End(TagEnd::Image) => Event::End(TagEnd::Link),
        Event::Start(Tag::Heading {
            level,
            classes,
            attrs,
            ..
        }) => Event::Start(Tag::Heading {
            level: lower(level),
            id: None,
            classes,
            attrs,
        }),
        Event::End(TagEnd::Heading(level)) => Event::End(TagEnd::Heading(lower(level))),
        other => other,
    }
}

/// Only addresses that open a page or a mail.
fn address(given: CowStr<'_>) -> CowStr<'_> {
    let lower = given.trim().to_ascii_lowercase();
    let known = ["https://", "http://", "mailto:", "/", "#"];
    if known.iter().any(|start| lower.starts_with(start)) {
        given
    } else {
        CowStr::Borrowed("#")
    }
}

/// Below the headings of the page.
fn lower(level: HeadingLevel) -> HeadingLevel {
    match level {
        HeadingLevel::H1 | HeadingLevel::H2 => HeadingLevel::H3,
        HeadingLevel::H3 => HeadingLevel::H4,
        HeadingLevel::H4 => HeadingLevel::H5,
        HeadingLevel::H5 | HeadingLevel::H6 => HeadingLevel::H6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_html() {
        let html = to_html(
            "# Payments\n\nUse `POST /payments`, see [more](https://example.org/a?b=1&c=2).\n\n|a|b|\n|-|-|\n|1|2|",
        );
        for part in [
            "<h3>Payments</h3>",
            "<code>POST /payments</code>",
            "<a href=\"https://example.org/a?b=1&amp;c=2\">more</a>",
            "<table>",
        ] {
            assert!(html.contains(part), "{html}");
        }
    }

    #[test]
    fn nothing_in_it_can_act() {
        for text in [
            "<script>alert(1)</script>",
            "a <img src=x onerror=alert(1)> b",
            "[x](javascript:alert(1))",
            "[x]( JaVaScRiPt:alert(1))",
            "[x](java&#x09;script:alert(1))",
            "[x](data:text/html;base64,AAAA)",
            "![x](https://evil.example/pixel.png)",
            "<https://evil.example/\"onmouseover=\"alert(1)>",
            "[x](//evil.example \"t\\\" onclick=\\\"alert(1)\")",
            "```\"><script>\ncode\n```",
            "# a {#id onclick=x .evil}",
            "<style>*{display:none}</style>\n\n<iframe src=//evil.example>",
        ] {
            let html = to_html(text);
            let lower = html.to_ascii_lowercase();
            for tag in [
                "<script",
                "<img",
                "<style",
                "<iframe",
                "href=\"java",
                "href=\"data",
                " onclick=\"",
            ] {
                assert!(!lower.contains(tag), "{text} became {html}");
            }
        }
    }
}
