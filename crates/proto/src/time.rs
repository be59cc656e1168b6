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

/// The first second of the year 1, before which RFC 3339 has no times.
const FIRST: i64 = -62_135_596_800;

/// The time; `None` where it is outside of the years 1 to 9999.
pub fn from_proto(at: &Timestamp) -> Option<jiff::Timestamp> {
    let found = jiff::Timestamp::new(at.seconds, at.nanos).ok();
    found.filter(|at| at.as_second() >= FIRST)
}

/// Reads RFC 3339; `None` where a text is none, such as an empty column of a view.
pub fn parse(text: &str) -> Option<Timestamp> {
    let at = to_proto(text.parse().ok()?);
    (at.seconds >= FIRST).then_some(at)
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
        let start = |seconds| from_proto(&Timestamp { seconds, nanos: 0 });
        assert_eq!(start(FIRST).unwrap().to_string(), "0001-01-01T00:00:00Z");
        assert_eq!((start(FIRST - 1), start(i64::MAX)), (None, None));
        assert_eq!(parse("0000-12-31T23:59:59Z"), None);
    }
}
