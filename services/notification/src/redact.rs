//! Removes personal data from messages of mail servers and providers, before they are stored or logged.

/// In characters; a longer message is cut.
const LONGEST: usize = 300;
/// Replaces an address or a name.
const MARK: &str = "<address>";
/// Shorter parts of an address are left: they would be found in every sentence.
const SHORTEST_PART: usize = 3;

/// Returns the text on one line, without anything that looks like an e-mail address and without the recipient's address,
/// the part of it before the `@`, and the recipient's name. Servers quote them in many forms
/// (`<jane@example.org>: user jane unknown`).
pub fn without_addresses(text: &str, address: &str, name: &str) -> String {
    let local = address.split('@').next().unwrap_or_default();
    let mut private: Vec<&str> = vec![address, name, local];
    private.extend(name.split_whitespace());
    private.retain(|part| part.chars().count() >= SHORTEST_PART);
    // The longest first: a name must not break up the address that contains it.
    private.sort_by_key(|part| std::cmp::Reverse(part.len()));
    let clean = private
        .iter()
        .fold(text.to_owned(), |text, part| replace(&text, part));
    let words: Vec<String> = clean
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .map(without_address)
        .collect();
    let line = words.join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Replaces a part in any case, where it is a word of its own.
fn replace(text: &str, part: &str) -> String {
    let (lower, part) = (text.to_lowercase(), part.to_lowercase());
    if lower.len() != text.len() {
        // A few letters change their length in lower case, so positions do not match: drop the whole text if in doubt.
        return if lower.contains(&part) {
            MARK.to_owned()
        } else {
            text.to_owned()
        };
    }
    let (mut result, mut at) = (String::new(), 0);
    for (start, _) in lower.match_indices(&part) {
        let end = start + part.len();
        let alone = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
        let stands_alone =
            alone(lower[..start].chars().next_back()) && alone(lower[end..].chars().next());
        let (Some(between), true) = (text.get(at..start), stands_alone) else {
            continue;
        };
        result.push_str(between);
        result.push_str(MARK);
        at = end;
    }
    result.push_str(text.get(at..).unwrap_or_default());
    result
}

/// `RCPT TO:<jane@example.org>:` becomes `RCPT TO:<address>`.
fn without_address(word: &str) -> String {
    if !word.contains('@') {
        return word.to_owned();
    }
    let kept = word
        .find('<')
        .filter(|start| word[..*start].find('@').is_none())
        .map_or("", |start| &word[..start]);
    format!("{kept}{MARK}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_are_removed_and_the_rest_stays() {
        let clean = |text| without_addresses(text, "jane.doe@example.org", "Jane Doe");
        for (reply, kept) in [
            (
                "550 5.1.1 <Jane.Doe@example.org>: Recipient address rejected: User unknown",
                "550 5.1.1 <<address>>: Recipient address rejected: User unknown",
            ),
            (
                "550 no mailbox jane.doe here",
                "550 no mailbox <address> here",
            ),
            (
                "550 Dear JANE DOE,\r\n\tgo away",
                "550 Dear <address>, go away",
            ),
            ("451 greylisted, try later", "451 greylisted, try later"),
            (
                "554 relay for <other@example.net> denied by postmaster@mx.example",
                "554 relay for <address> denied by <address>",
            ),
            ("550 RCPT TO:<a@b.example>: no", "550 RCPT TO:<address> no"),
        ] {
            assert_eq!(clean(reply), kept);
        }
    }

    #[test]
    fn short_names_do_not_shred_the_text() {
        let clean = without_addresses("550 an error, no b", "b@example.org", "An");
        assert_eq!(clean, "550 an error, no b");
        let inside = without_addresses("doer of deeds", "doe@example.org", "");
        assert_eq!(inside, "doer of deeds");
    }

    #[test]
    fn letters_that_change_their_length_do_not_panic() {
        assert_eq!(without_addresses("İ jane İ", "jane@example.org", ""), MARK);
        assert_eq!(without_addresses("İ x", "jane@example.org", ""), "İ x");
        assert_eq!(
            without_addresses("ÄÖÜ Jäne ß", "jäne@example.org", ""),
            format!("ÄÖÜ {MARK} ß")
        );
    }

    #[test]
    fn long_words_are_cut() {
        let text = without_addresses(&"é ".repeat(500), "jane@example.org", "");
        assert_eq!(text.chars().count(), LONGEST + 1);
    }
}
