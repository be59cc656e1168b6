//! `q`: words that a row must have.

use portico_proto::Error;

use crate::texts;

/// Characters of `q`.
const MOST: usize = 200;

/// Search words in lower case; none finds everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search(Vec<String>);

impl Search {
    /// Reads `q`: words, of which each must be found.
    ///
    /// # Errors
    /// It is too long, or has control characters.
    pub fn parse(q: &str) -> Result<Self, Error> {
        if q.chars().count() > MOST || q.contains(char::is_control) {
            return Err(Error::field(
                "q",
                "q_invalid",
                format!("`q` must have at most {MOST} characters, without control characters."),
            ));
        }
        // As names are stored: in NFC, whichever way the words were typed.
        let words = texts::composed(&q.to_lowercase());
        Ok(Self(words.split_whitespace().map(str::to_owned).collect()))
    }

    /// A pattern for each word, for `LIKE ... ESCAPE '\'` on a lower-case column.
    pub(super) fn patterns(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|word| {
            let mut pattern = String::from("%");
            for character in word.chars() {
                if matches!(character, '%' | '_' | '\\') {
                    pattern.push('\\');
                }
                pattern.push(character);
            }
            pattern.push('%');
            pattern
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(q: &str) -> Vec<String> {
        Search::parse(q).unwrap().patterns().collect()
    }

    #[test]
    fn words_are_texts_and_no_wildcards() {
        assert_eq!(patterns("  "), [""; 0]);
        assert_eq!(patterns("Web  SHOP"), ["%web%", "%shop%"]);
        assert_eq!(patterns("50%_A\\"), ["%50\\%\\_a\\\\%"]);
        assert_eq!(patterns("CAFE\u{301}"), patterns("Caf\u{e9}"));
    }

    #[test]
    fn what_no_row_can_have_is_refused() {
        assert!(Search::parse(&"ü".repeat(200)).is_ok());
        for wrong in ["ü".repeat(201), "a\0b".to_owned(), "a\nb".to_owned()] {
            assert_eq!(
                Search::parse(&wrong).unwrap_err().fields[0].code,
                "q_invalid"
            );
        }
    }
}
