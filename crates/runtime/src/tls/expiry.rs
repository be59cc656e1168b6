//! Until when certificates are valid (RFC 5280 section 4.1.2.5). Nothing here verifies anything: that is rustls'.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

/// Tags of DER (X.690 section 8.1.2).
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// When the first of the certificates in a PEM file ends; `None` where there is none that can be read.
#[must_use]
pub fn expires(pem: &[u8]) -> Option<Timestamp> {
    let certificates = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok);
    certificates
        .filter_map(|certificate| not_after(&certificate))
        .min()
}

/// `notAfter` of a certificate in DER.
fn not_after(der: &[u8]) -> Option<Timestamp> {
    let (_, certificate, _) = element(der)?;
    let (_, mut fields, _) = element(certificate)?;
    if fields.first() == Some(&VERSION) {
        fields = element(fields)?.2;
    }
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        fields = element(fields)?.2;
    }
    let (_, validity, _) = element(fields)?;
    let (_, _, after) = element(validity)?;
    let (tag, text, _) = element(after)?;
    time(tag, std::str::from_utf8(text).ok()?)
}

/// Tag, content and what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..0x80 => (usize::from(first), rest),
        _ => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = bytes.iter().try_fold(0_usize, |length, byte| {
                Some(length.checked_mul(256)? + usize::from(*byte))
            });
            (length?, rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// `YYMMDDhhmmssZ`, of the years 1950 to 2049, or `YYYYMMDDhhmmssZ`.
fn time(tag: u8, text: &str) -> Option<Timestamp> {
    let digits = text.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = digits.split_at_checked(2)?;
            let year: i16 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = digits.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let part = |place: usize| rest.get(2 * place..2 * place + 2)?.parse::<i8>().ok();
    let time = DateTime::new(year, part(0)?, part(1)?, part(2)?, part(3)?, part(4)?, 0).ok()?;
    // The last second of 9999 stands for "never", and is beyond what a timestamp can be.
    Some(TimeZone::UTC.to_timestamp(time).unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &[u8] = include_bytes!("../../tests/fixtures/server.pem");
    const AUTHORITY: &[u8] = include_bytes!("../../tests/fixtures/authority.pem");

    #[test]
    fn the_first_of_several_that_ends_counts() {
        let (server, authority) = (expires(SERVER).unwrap(), expires(AUTHORITY).unwrap());
        let both = [SERVER, AUTHORITY].concat();
        assert_eq!(expires(&both), Some(server.min(authority)));
        assert_eq!(expires(b"no certificate"), None);
    }

    #[test]
    fn both_forms_of_a_time_are_read() {
        let read = |tag, text| time(tag, text).map(|time| time.to_string());
        let utc = |text| read(UTC_TIME, text).unwrap();
        assert_eq!(utc("491231235959Z"), "2049-12-31T23:59:59Z");
        assert_eq!(utc("500101000000Z"), "1950-01-01T00:00:00Z");
        let general = read(GENERALIZED_TIME, "20500102030405Z");
        assert_eq!(general.unwrap(), "2050-01-02T03:04:05Z");
        assert_eq!(
            time(GENERALIZED_TIME, "99991231235959Z"),
            Some(Timestamp::MAX)
        );
        for wrong in ["", "Z", "26013100000Z", "261301000000Z", "2601010000é0Z"] {
            assert_eq!(read(UTC_TIME, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_cut_off_is_no_certificate() {
        let der = CertificateDer::pem_slice_iter(SERVER)
            .next()
            .unwrap()
            .unwrap();
        assert!(not_after(&der).is_some());
        for length in 0..der.len() {
            assert_eq!(not_after(&der[..length]), None, "{length}");
        }
    }
}
