//! The content of a message in a column of text, the same on both databases.

use bytes::Bytes;

use crate::{Result, StoreError};

pub(super) fn to_text(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

pub(super) fn of_text(text: &str) -> Result<Bytes> {
    let wrong = || StoreError::Codec("a parked payload is not hexadecimal".to_owned());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return Err(wrong());
    }
    pairs
        .iter()
        .map(|pair| {
            let digits = std::str::from_utf8(pair).map_err(|_| wrong())?;
            u8::from_str_radix(digits, 16).map_err(|_| wrong())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_survive_parking() {
        let payload: Vec<u8> = (0..=255).collect();
        assert_eq!(of_text(&to_text(&payload)).unwrap(), payload);
        assert!(of_text("0").is_err());
        assert!(of_text("zz").is_err());
    }
}
