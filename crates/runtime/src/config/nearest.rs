//! What somebody meant who wrote something that does not exist.

use strsim::damerau_levenshtein;

/// The known word that is nearest to a given one, if any is near: letters may be wrong, missing, doubled or exchanged, in
/// the other case, and a section may be forgotten.
pub(super) fn nearest<'a>(
    given: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let given = given.to_ascii_lowercase();
    let distance = |known: &str| {
        let known = known.to_ascii_lowercase();
        match known.rsplit('.').next() {
            Some(last) if last == given => 1,
            _ => damerau_levenshtein(&given, &known),
        }
    };
    // Beyond a third of its letters it is another word.
    let near = known.into_iter().map(|known| (distance(known), known));
    near.filter(|(distance, _)| distance * 3 <= given.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// As a question to go on after a message; empty where nothing is near.
pub(super) fn did_you_mean<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let nearest = nearest(given, known);
    nearest.map_or_else(String::new, |known| format!("; did you mean {known}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found() {
        let known = ["log.level", "log.format", "smtp.url", "info", "listen"];
        for (given, found) in [
            ("log.levle", Some("log.level")),
            ("LOG.LEVEL", Some("log.level")),
            ("level", Some("log.level")),
            ("inof", Some("info")),
            ("lisen", Some("listen")),
            ("smtp.uri", Some("smtp.url")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(given, known), found, "{given}");
        }
    }
}
