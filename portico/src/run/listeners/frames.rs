//! Frames of HTTP/2 (RFC 9113 section 4.1), told apart as far as content goes.

/// How a frame begins: 3 bytes of length, the type, flags, and 4 bytes of the stream's number.
const HEAD: usize = 9;
/// The type DATA.
const DATA: u8 = 0;

/// One direction of a connection, in whatever pieces it comes.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// Bytes of the head that have been there.
    head: usize,
    /// Bytes of the payload that are still to come.
    payload: usize,
    data: bool,
}

impl Frames {
    /// Takes the next bytes, and says whether content is among them.
    pub(super) fn have_content(&mut self, mut bytes: &[u8]) -> bool {
        let mut content = false;
        loop {
            if self.head == HEAD {
                let taken = self.payload.min(bytes.len());
                content |= self.data && taken > 0;
                self.payload -= taken;
                bytes = bytes.get(taken..).unwrap_or_default();
                if self.payload > 0 {
                    return content;
                }
                *self = Self::default();
            }
            let Some((first, rest)) = bytes.split_first() else {
                return content;
            };
            match self.head {
                0..=2 => self.payload = (self.payload << 8) | usize::from(*first),
                3 => self.data = *first == DATA,
                _ => {}
            }
            self.head += 1;
            bytes = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, 0, 0, 0, 0, 1];
        frame.resize(HEAD + usize::from(length), DATA);
        frame
    }

    #[test]
    fn only_data_frames_have_content() {
        let (ping, settings, headers) = (frame(6, 8), frame(4, 0), frame(1, 200));
        let nothing = [settings, ping.clone(), headers, frame(DATA, 0), ping].concat();
        let all = [&nothing[..], &frame(DATA, 3), &nothing].concat();
        for size in [1, 2, 7, 9, 100, all.len()] {
            let mut frames = Frames::default();
            let pieces = all.chunks(size);
            let found: usize = pieces.filter(|piece| frames.have_content(piece)).count();
            assert!((1..=3).contains(&found), "{size}: {found}");
            let mut frames = Frames::default();
            assert!(!nothing.chunks(size).any(|piece| frames.have_content(piece)));
        }
    }
}
