//! Percent-encoded text of addresses and forms: it is UTF-8 (WHATWG URL section 5.1), and has no U+0000, which no text
//! that is stored can have, and of which `PostgreSQL` cannot even be asked.

use std::borrow::Cow;

use http::Uri;
use percent_encoding::percent_decode;
use portico_proto::Error;

/// Refuses an address that cannot be read; names the parameter of its query, or `path` or `query`.
///
/// # Errors
/// `not_utf8`, `null_character`.
pub(in crate::edge) fn refuse_unreadable_address(address: &Uri) -> Result<(), Error> {
    text(address.path().as_bytes(), "path")?;
    refuse_unreadable(address.query().unwrap_or_default().as_bytes(), "query")
}

/// Refuses `application/x-www-form-urlencoded` bytes that cannot be read; names the parameter, or where its name is what
/// cannot be read, the `whole`.
///
/// # Errors
/// `not_utf8`, `null_character`.
pub(in crate::edge) fn refuse_unreadable(encoded: &[u8], whole: &str) -> Result<(), Error> {
    for pair in encoded.split(|byte| *byte == b'&') {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let name = text(halves.next().unwrap_or_default(), whole)?;
        text(halves.next().unwrap_or_default(), &name)?;
    }
    Ok(())
}

fn text<'a>(encoded: &'a [u8], field: &str) -> Result<Cow<'a, str>, Error> {
    match percent_decode(encoded).decode_utf8() {
        Ok(text) if text.contains('\0') => Err(Error::null_character(field)),
        Ok(text) => Ok(text),
        Err(_) => {
            let message = format!("`{field}` must be text in UTF-8.");
            Err(Error::field(field, "not_utf8", message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_named() {
        for (encoded, refused) in [
            ("", None),
            ("name=Caf%C3%A9&q=100%&x=%zz", None),
            ("name=%EF%BF%BD", None),
            ("id=1&name=Caf%E9", Some(("not_utf8", "name"))),
            ("%ff=1", Some(("not_utf8", "query"))),
            ("q=a%00b", Some(("null_character", "q"))),
            ("%00=tag", Some(("null_character", "query"))),
        ] {
            let found = refuse_unreadable(encoded.as_bytes(), "query").err();
            let found = found
                .as_ref()
                .map(|error| (error.code.as_ref(), error.fields[0].field.as_str()));
            assert_eq!(found, refused, "{encoded}");
        }
        assert!(refuse_unreadable(b"name=Caf\xe9", "body").is_err());
        assert!(refuse_unreadable_address(&"/a/%ff".parse().unwrap()).is_err());
    }
}
