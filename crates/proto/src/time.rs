//! Times of the contract.

pub use prost_types::Timestamp;

/// A time as the contract has it: to the microsecond, which is what the views keep, so that an answer after a command
/// equals the one after a read.
pub fn to_proto(at: jiff::Timestamp) -> Timestamp {
    let micros = at.as_microsecond();
    let nanos = i32::try_from(micros.rem_euclid(1_000_000) * 1000).unwrap_or_default();
    Timestamp {
        // Protobuf counts nanoseconds forward, also before 1970.
        seconds: micros.div_euclid(1_000_000),
        nanos,
    }
}

/// The time; `None` where it is outside of the years 1 to 9999.
pub fn from_proto(at: &Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::new(at.seconds, at.nanos).ok()
}

/// Reads RFC 3339; `None` where a text is none, such as an empty column of a view.
pub fn parse(text: &str) -> Option<Timestamp> {
    text.parse().ok().map(to_proto)
}

/// RFC 3339; empty where there is no time. For templates and log lines.
pub fn text(at: Option<&Timestamp>) -> String {
    at.and_then(from_proto)
        .map(|at| at.to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back() {
        for text in [
            "2026-01-02T12:00:00Z",
            "2026-01-02T12:00:00.123456Z",
            "1969-12-31T23:59:59.75Z",
        ] {
            let at: jiff::Timestamp = text.parse().unwrap();
            let proto = to_proto(at);
            assert!((0..1_000_000_000).contains(&proto.nanos), "{proto:?}");
            assert_eq!(from_proto(&proto), Some(at));
            assert_eq!(super::text(Some(&proto)), text);
        }
        assert_eq!(super::text(None), "");
    }
}
