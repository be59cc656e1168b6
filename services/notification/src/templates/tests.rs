use std::{fs, path::Path};

use super::*;

fn built_in() -> Templates {
    Templates::new(None, "Example portal", "https://portal.example/")
}

fn with_theme(folder: &Path) -> Templates {
    Templates::new(
        Some(folder.to_owned()),
        "Example portal",
        "https://portal.example",
    )
}

fn theme(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("mail")).unwrap();
    for (name, source) in files {
        fs::write(folder.path().join("mail").join(name), source).unwrap();
    }
    folder
}

#[test]
fn every_template_fills_with_example_data() {
    for template in Template::all() {
        let filled = built_in().preview(template).unwrap();
        insta::assert_snapshot!(format!("{}_subject", template.as_str()), filled.subject);
        insta::assert_snapshot!(format!("{}_text", template.as_str()), filled.text);
        insta::assert_snapshot!(format!("{}_html", template.as_str()), filled.html);
    }
}

#[test]
fn every_template_fills_where_nothing_optional_is_known() {
    let facts = Facts {
        request_id: "r".to_owned(),
        application_id: "a".to_owned(),
        application_name: "Shop".to_owned(),
        ..Facts::default()
    };
    for template in Template::all() {
        let filled = built_in().fill(template, &facts).unwrap();
        assert!(filled.text.starts_with("Hello,\n"), "{}", filled.text);
        assert!(filled.text.contains("Shop"), "{}", filled.text);
    }
}

#[test]
fn a_key_is_ready_in_other_words() {
    let facts = Facts {
        application_name: "Shop".to_owned(),
        api_key: true,
        ..Facts::default()
    };
    let filled = built_in().fill(Template::AccessProvisioned, &facts);
    let filled = filled.unwrap();
    assert_eq!(filled.subject, "Your API key for Shop is ready");
    for part in [&filled.text, &filled.html] {
        assert!(part.contains("view the key once"), "{part}");
        assert!(
            !part.contains("OAuth") && !part.contains("client ID"),
            "{part}"
        );
    }
}

#[test]
fn both_parts_carry_the_link() {
    for template in Template::all() {
        let facts = Facts::example(template);
        let link = format!("https://portal.example{}", link_path(template, &facts));
        let filled = built_in().preview(template).unwrap();
        assert!(filled.text.contains(&link), "{}", filled.text);
        assert!(filled.html.contains(&format!("href=\"{link}\"")));
    }
}

#[test]
fn what_people_wrote_is_neither_markup_nor_template_nor_header() {
    let nasty = "<script>alert(1)</script>{{ link }}\r\nBcc: all@victim.example";
    for template in Template::all() {
        let facts = Facts {
            recipient_name: nasty.to_owned(),
            requester_name: nasty.to_owned(),
            application_name: nasty.to_owned(),
            items: vec![Item {
                product_name: nasty.to_owned(),
                plan_name: nasty.to_owned(),
            }],
            note: nasty.to_owned(),
            reason: nasty.to_owned(),
            provider_name: nasty.to_owned(),
            ..Facts::example(template)
        };
        let filled = built_in().fill(template, &facts).unwrap();
        assert!(!filled.html.contains("<script>"), "{}", filled.html);
        assert!(filled.html.contains("&lt;script&gt;"));
        assert!(filled.html.contains("{{ link }}"));
        assert!(!filled.subject.contains(['\r', '\n']), "{}", filled.subject);
    }
}

#[test]
fn a_subject_has_a_length() {
    let facts = Facts {
        application_name: "long ".repeat(100),
        ..Facts::example(Template::AccessRevoked)
    };
    let filled = built_in().fill(Template::AccessRevoked, &facts).unwrap();
    assert_eq!(filled.subject.chars().count(), LONGEST_SUBJECT + 1);
    assert!(filled.subject.ends_with('…'));
}

#[test]
fn the_operators_files_override_one_by_one() {
    let theme = theme(&[(
        "access_revoked.subject.txt",
        "Bye, {{ application_name }}\n",
    )]);
    let templates = with_theme(theme.path());
    assert!(templates.overridden(Template::AccessRevoked));
    assert!(!templates.overridden(Template::AccessRejected));
    assert_eq!(templates.check(), []);
    let own = templates.preview(Template::AccessRevoked).unwrap();
    assert_eq!(own.subject, "Bye, Web shop");
    let default = built_in().preview(Template::AccessRevoked).unwrap();
    assert_eq!(own.text, default.text);
}

#[test]
fn a_layout_of_the_operator_is_for_all() {
    let theme = theme(&[(
        "layout.html",
        "<p>ours</p>{% block body %}{% endblock %}<a href=\"{{ link }}\">go</a>",
    )]);
    let templates = with_theme(theme.path());
    for template in Template::all() {
        assert!(templates.overridden(template));
        let html = templates.preview(template).unwrap().html;
        assert!(html.starts_with("<p>ours</p>"), "{html}");
    }
}

#[test]
fn a_broken_file_is_named_and_the_built_in_one_is_sent() {
    let broken = [
        ("Hello {{ recipient_nam }}", Some(1)),
        ("\n{% if %}", Some(2)),
        ("{% extends \"nothing.txt\" %}", Some(1)),
    ];
    for (source, line) in broken {
        let theme = theme(&[("access_rejected.txt", source)]);
        let templates = with_theme(theme.path());
        let mistake = templates.preview(Template::AccessRejected).unwrap_err();
        assert_eq!(
            (mistake.file.as_str(), mistake.line),
            ("access_rejected.txt", line),
            "{mistake}"
        );
        assert_eq!(templates.check(), [mistake]);
        let facts = Facts::example(Template::AccessRejected);
        assert_eq!(
            templates.fill(Template::AccessRejected, &facts),
            built_in().fill(Template::AccessRejected, &facts)
        );
    }
}

#[test]
fn a_file_that_is_no_text_is_named() {
    let theme = theme(&[]);
    fs::write(theme.path().join("mail/access_rejected.html"), [0xff, 0xfe]).unwrap();
    let templates = with_theme(theme.path());
    let mistake = templates.preview(Template::AccessRejected).unwrap_err();
    assert!(
        mistake
            .to_string()
            .starts_with("mail/access_rejected.html: cannot be read"),
        "{mistake}"
    );
}

#[test]
fn an_edit_shows_at_once() {
    let theme = theme(&[]);
    let templates = with_theme(theme.path());
    let subject = || templates.preview(Template::AccessRevoked).unwrap().subject;
    let before = subject();
    fs::write(
        theme.path().join("mail/access_revoked.subject.txt"),
        "Edited",
    )
    .unwrap();
    assert_ne!(subject(), before);
    assert_eq!(subject(), "Edited");
}
