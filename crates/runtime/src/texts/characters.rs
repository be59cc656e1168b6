//! What a name may be made of, so that two names that look alike are one, and none looks like something else: Unicode
//! Technical Standard 39. Names are in NFC, without characters that cannot be seen, that turn the text around or that are
//! none, and without heaps of marks; no word mixes scripts whose letters look alike, no letter is another form of a plain one,
//! and no name of another script looks like Latin altogether.

use std::ops::RangeInclusive;

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};
use unicode_script::{Script, UnicodeScript as _};
use unicode_security::{GeneralSecurityProfile as _, MixedScript as _, skeleton};

/// A text in NFC (UAX 15): one spelling for what looks the same.
pub fn composed(text: &str) -> String {
    text.nfc().collect()
}

/// What of a text cannot stand in a name, in words that go on after "must not have". `None` where all of it can.
pub(super) fn refused(text: &str) -> Option<String> {
    unseen(text)
        .or_else(|| unassigned(text))
        .or_else(|| heaped(text))
        .or_else(|| dressed(text))
        .or_else(|| mixed(text))
        .or_else(|| borrowed(text))
}

/// The first code point that is no character to others: unassigned, a noncharacter or for private use.
fn unassigned(text: &str) -> Option<String> {
    let odd = text.chars().find(|c| c.script() == Script::Unknown)?;
    let code = u32::from(odd);
    Some(format!("U+{code:04X}, which is no character of Unicode"))
}

/// UTS 39 section 5.4: more than four marks upon one letter, which run into the lines above and below.
fn heaped(text: &str) -> Option<String> {
    let mut marks = 0;
    let odd = text.nfd().find(|c| {
        marks = if is_combining_mark(*c) { marks + 1 } else { 0 };
        marks > 4
    })?;
    let code = u32::from(odd);
    Some(format!("U+{code:04X} as the fifth mark upon one letter"))
}

/// The first letter or digit that is another form of plain Latin ones: full width, mathematical, a ligature, phonetic.
fn dressed(text: &str) -> Option<String> {
    let wide_or_mathematical =
        |c: char| matches!(c, '\u{FF10}'..='\u{FF19}' | '\u{1D7CE}'..='\u{1D7FF}');
    let (odd, plain) = text.chars().find_map(|c| {
        // The ordinal signs of Spanish, Portuguese and Italian.
        let letter = c.is_alphabetic() && !matches!(c, 'ª' | 'º');
        if c.is_ascii() || c.identifier_allowed() || !(letter || wide_or_mathematical(c)) {
            return None;
        }
        let normal: String = [c].into_iter().nfkc().collect();
        let plain = if is_plain(&normal) {
            normal
        } else {
            prototype(c)
        };
        is_plain(&plain).then_some((c, plain))
    })?;
    let code = u32::from(odd);
    Some(format!("U+{code:04X} {odd}, another form of {plain}"))
}

/// The first letter of a text whose letters of scripts that look like Latin all do: UTS 39 section 4, a whole-script
/// confusable. A single one is a symbol or a word, such as α or the Russian с, and any other letter shows the script.
fn borrowed(text: &str) -> Option<String> {
    let alike: Vec<char> = text.chars().filter(|c| looks_like_latin(*c)).collect();
    if alike.len() < 2 || !alike.iter().all(|c| is_plain(&prototype(*c))) {
        return None;
    }
    let odd = *alike.first()?;
    let code = u32::from(odd);
    let script = odd.script().full_name();
    Some(format!(
        "U+{code:04X} {odd}, a letter of the script {script}, in a name all of whose letters look like Latin ones"
    ))
}

/// What a character looks like (UTS 39 section 4).
fn prototype(c: char) -> String {
    let mut buffer = [0; 4];
    skeleton(c.encode_utf8(&mut buffer)).collect()
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Whether a character is of a script of which many letters look like Latin ones.
fn looks_like_latin(c: char) -> bool {
    use Script::{Armenian, Cherokee, Coptic, Cyrillic, Greek, Lisu};
    matches!(
        c.script(),
        Armenian | Cherokee | Coptic | Cyrillic | Greek | Lisu
    )
}

/// A name from outside with what [`refused`] names left out, where nobody can be asked for another one.
pub fn visible(text: &str) -> String {
    let text = composed(text);
    let visible = text.char_indices().filter(|(at, character)| {
        !character.is_control() && (name(*character).is_none() || belongs(&text, *at))
    });
    visible.map(|(_, character)| character).collect()
}

/// The first character that cannot be seen or turns the text around, by its name.
fn unseen(text: &str) -> Option<String> {
    text.char_indices().find_map(|(at, character)| {
        let name = name(character).filter(|_| !belongs(text, at))?;
        let code = u32::from(character);
        Some(format!("U+{code:04X} {name}, which cannot be seen"))
    })
}

/// The first word with letters of scripts that look alike.
fn mixed(text: &str) -> Option<String> {
    // Marks belong to the letter before them.
    let inside = |c: char| c.is_alphanumeric() || c.script() == Script::Inherited;
    text.split(|c| !inside(c)).find_map(|word| {
        let odd = mixed_in(word)?;
        let code = u32::from(odd);
        let script = odd.script().full_name();
        Some(format!(
            "U+{code:04X} {odd}, a letter of the script {script}, in one word with letters of another script"
        ))
    })
}

/// UTS 39 section 5.2, "moderately restrictive": one script, the usual companions of Chinese, Japanese and Korean, or Latin
/// beside one other script, save those whose letters look like Latin ones. Gives a letter that does not fit.
fn mixed_in(word: &str) -> Option<char> {
    if word.is_single_script() {
        return None;
    }
    let beside = [Script::Latin, Script::Common, Script::Inherited];
    let others: String = word
        .chars()
        .filter(|c| !beside.contains(&c.script()))
        .collect();
    let alike = others.chars().find(|c| looks_like_latin(*c));
    match others.is_single_script() {
        true => alike,
        false => alike.or_else(|| others.chars().next()),
    }
}

/// Whether an invisible character does what it is there for: a joiner in a script that needs it (UAX 31 section 2.3) or in
/// an emoji, or the choice of how an emoji looks.
fn belongs(text: &str, at: usize) -> bool {
    let (before, rest) = text.split_at(at);
    let mut rest = rest.chars();
    let character = rest.next();
    let (Some(before), after) = (before.chars().next_back(), rest.next()) else {
        return false;
    };
    let picture =
        |c: char| !c.is_ascii() && !c.is_alphanumeric() && name(c).is_none_or(|_| c == EMOJI_STYLE);
    let shaped = |c: char| {
        use Script::{Common, Cyrillic, Greek, Han, Inherited, Latin, Unknown};
        !matches!(
            c.script(),
            Common | Cyrillic | Greek | Han | Inherited | Latin | Unknown
        ) || (c.script() == Inherited && !c.is_ascii() && name(c).is_none())
    };
    match (character, after) {
        (Some(TEXT_STYLE | EMOJI_STYLE), _) => picture(before) || "#*0123456789©®".contains(before),
        (Some(JOINER), Some(after)) => {
            (picture(before) && picture(after)) || (shaped(before) && shaped(after))
        }
        (Some(NON_JOINER), Some(after)) => shaped(before) && shaped(after),
        _ => false,
    }
}

const NON_JOINER: char = '\u{200C}';
const JOINER: char = '\u{200D}';
const TEXT_STYLE: char = '\u{FE0E}';
const EMOJI_STYLE: char = '\u{FE0F}';

/// The name of a character that cannot be seen or turns the text around: line separators, bidirectional controls, and those
/// of the property `Default_Ignorable_Code_Point`.
fn name(character: char) -> Option<&'static str> {
    let one = UNSEEN.iter().find(|(range, _)| range.contains(&character));
    one.map(|(_, name)| *name)
}

/// Whether a character cannot be seen or turns the text around.
pub(crate) fn is_unseen(character: char) -> bool {
    name(character).is_some()
}

const fn one(character: char) -> RangeInclusive<char> {
    character..=character
}

/// In the order of their code points.
const UNSEEN: [(RangeInclusive<char>, &str); 46] = [
    (one('\u{00AD}'), "SOFT HYPHEN"),
    (one('\u{034F}'), "COMBINING GRAPHEME JOINER"),
    (one('\u{061C}'), "ARABIC LETTER MARK"),
    (one('\u{115F}'), "HANGUL CHOSEONG FILLER"),
    (one('\u{1160}'), "HANGUL JUNGSEONG FILLER"),
    (one('\u{17B4}'), "KHMER VOWEL INHERENT AQ"),
    (one('\u{17B5}'), "KHMER VOWEL INHERENT AA"),
    ('\u{180B}'..='\u{180D}', "MONGOLIAN FREE VARIATION SELECTOR"),
    (one('\u{180E}'), "MONGOLIAN VOWEL SEPARATOR"),
    (one('\u{180F}'), "MONGOLIAN FREE VARIATION SELECTOR FOUR"),
    (one('\u{200B}'), "ZERO WIDTH SPACE"),
    (one(NON_JOINER), "ZERO WIDTH NON-JOINER"),
    (one(JOINER), "ZERO WIDTH JOINER"),
    (one('\u{200E}'), "LEFT-TO-RIGHT MARK"),
    (one('\u{200F}'), "RIGHT-TO-LEFT MARK"),
    (one('\u{2028}'), "LINE SEPARATOR"),
    (one('\u{2029}'), "PARAGRAPH SEPARATOR"),
    (one('\u{202A}'), "LEFT-TO-RIGHT EMBEDDING"),
    (one('\u{202B}'), "RIGHT-TO-LEFT EMBEDDING"),
    (one('\u{202C}'), "POP DIRECTIONAL FORMATTING"),
    (one('\u{202D}'), "LEFT-TO-RIGHT OVERRIDE"),
    (one('\u{202E}'), "RIGHT-TO-LEFT OVERRIDE"),
    (one('\u{2060}'), "WORD JOINER"),
    (one('\u{2061}'), "FUNCTION APPLICATION"),
    (one('\u{2062}'), "INVISIBLE TIMES"),
    (one('\u{2063}'), "INVISIBLE SEPARATOR"),
    (one('\u{2064}'), "INVISIBLE PLUS"),
    (one('\u{2065}'), "<reserved>"),
    (one('\u{2066}'), "LEFT-TO-RIGHT ISOLATE"),
    (one('\u{2067}'), "RIGHT-TO-LEFT ISOLATE"),
    (one('\u{2068}'), "FIRST STRONG ISOLATE"),
    (one('\u{2069}'), "POP DIRECTIONAL ISOLATE"),
    ('\u{206A}'..='\u{206F}', "a deprecated format character"),
    (one('\u{2800}'), "BRAILLE PATTERN BLANK"),
    (one('\u{3164}'), "HANGUL FILLER"),
    ('\u{FE00}'..='\u{FE0F}', "VARIATION SELECTOR"),
    (one('\u{FEFF}'), "ZERO WIDTH NO-BREAK SPACE"),
    (one('\u{FFA0}'), "HALFWIDTH HANGUL FILLER"),
    ('\u{FFF0}'..='\u{FFF8}', "<reserved>"),
    (one('\u{FFF9}'), "INTERLINEAR ANNOTATION ANCHOR"),
    (one('\u{FFFA}'), "INTERLINEAR ANNOTATION SEPARATOR"),
    (one('\u{FFFB}'), "INTERLINEAR ANNOTATION TERMINATOR"),
    ('\u{1BCA0}'..='\u{1BCA3}', "SHORTHAND FORMAT CONTROL"),
    ('\u{1D173}'..='\u{1D17A}', "MUSICAL SYMBOL FORMAT CONTROL"),
    ('\u{E0000}'..='\u{E00FF}', "TAG CHARACTER"),
    ('\u{E0100}'..='\u{E0FFF}', "VARIATION SELECTOR"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_language_are_fine() {
        for name in [
            "Payments API",
            "Zahlungs-API für Österreich",
            "Платежи API",
            "決済のAPI テスト",
            "결제 API",
            "支付API",
            "می‌خواهم",
            "क्‍ष",
            "שלום עולם",
            "β-Carotin 5 µg",
            "naïve café №1",
            "Team 👩‍💻 ❤️ 1️⃣",
            "Сервис с ключом",
            "Сор и роса Платежи",
            "Πληρωμές",
            "α-Tocopherol Nº 1",
            "Kapı Fæste Øl Straße ŋɛɔ",
            "日本語ﾃｽﾄ",
            "مدفوعات",
            "ที่นี่ Tiếng Việt",
            "བསྒྲུབས",
        ] {
            assert_eq!(refused(&composed(name)), None, "{name}");
        }
    }

    #[test]
    fn what_cannot_be_seen_is_named() {
        for (text, words) in [
            ("a\u{202E}b", "U+202E RIGHT-TO-LEFT OVERRIDE"),
            ("a\u{200B}b", "U+200B ZERO WIDTH SPACE"),
            ("a\u{200D}b", "U+200D ZERO WIDTH JOINER"),
            ("\u{200C}", "U+200C ZERO WIDTH NON-JOINER"),
            ("a\u{2066}", "U+2066 LEFT-TO-RIGHT ISOLATE"),
            ("a\u{FE0F}", "U+FE0F VARIATION SELECTOR"),
            ("a\u{2028}b", "U+2028 LINE SEPARATOR"),
            ("\u{FEFF}a", "U+FEFF ZERO WIDTH NO-BREAK SPACE"),
            ("a\u{E0041}", "U+E0041 TAG CHARACTER"),
            ("\u{3164}", "U+3164 HANGUL FILLER"),
        ] {
            let found = refused(text).unwrap();
            assert_eq!(found, format!("{words}, which cannot be seen"));
        }
    }

    #[test]
    fn a_word_of_scripts_that_look_alike_is_named() {
        for (text, words) in [
            (
                "P\u{0430}yments",
                "U+0430 \u{0430}, a letter of the script Cyrillic",
            ),
            (
                "Pay \u{0420}ayments",
                "U+0420 \u{0420}, a letter of the script Cyrillic",
            ),
            (
                "\u{039F}kta",
                "U+039F \u{039F}, a letter of the script Greek",
            ),
            (
                "\u{0430}\u{03B1}",
                "U+0430 \u{0430}, a letter of the script Cyrillic",
            ),
        ] {
            let found = refused(text).unwrap();
            assert!(found.starts_with(words), "{found}");
        }
    }

    #[test]
    fn what_looks_like_plain_letters_is_named() {
        for (text, words) in [
            ("\u{FF30}ayments API", "U+FF30 \u{FF30}, another form of P"),
            ("\u{1D40F}ay", "U+1D40F \u{1D40F}, another form of P"),
            ("\u{0261}oogle", "U+0261 \u{0261}, another form of g"),
            ("\u{FB01}nance", "U+FB01 \u{FB01}, another form of fi"),
            ("API \u{FF11}", "U+FF11 \u{FF11}, another form of 1"),
            (
                "\u{0440}\u{0430}\u{0443}",
                "U+0440 \u{0440}, a letter of the script Cyrillic",
            ),
            (
                "\u{0440}\u{0430}\u{0443} API",
                "U+0440 \u{0440}, a letter of the script Cyrillic",
            ),
        ] {
            let found = refused(text).unwrap();
            assert!(found.starts_with(words), "{found}");
        }
    }

    #[test]
    fn what_is_no_character_and_heaps_of_marks_are_named() {
        for (text, words) in [
            ("a\u{FFFF}", "U+FFFF, which is no character"),
            ("a\u{0378}", "U+0378, which is no character"),
            ("\u{E000}", "U+E000, which is no character"),
        ] {
            let found = refused(text).unwrap();
            assert!(found.starts_with(words), "{found}");
        }
        let heap = |marks: usize| format!("Z{}", "\u{301}".repeat(marks));
        assert_eq!(refused(&heap(4)), None);
        assert!(
            refused(&heap(5))
                .unwrap()
                .starts_with("U+0301 as the fifth mark")
        );
    }

    #[test]
    fn one_spelling_for_what_looks_the_same() {
        assert_eq!(composed("Cafe\u{301}"), "Caf\u{e9}");
        assert_eq!(visible("Pay\u{202E}\u{7}ments\u{200B} 👩‍💻"), "Payments 👩‍💻");
    }

    #[test]
    fn the_table_is_in_order() {
        let pairs = UNSEEN.iter().zip(UNSEEN.iter().skip(1));
        for ((one, _), (next, _)) in pairs {
            assert!(one.end() < next.start(), "{next:?}");
        }
    }
}
