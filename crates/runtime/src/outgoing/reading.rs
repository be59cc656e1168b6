//! How other programs may write a text: escaped, also several times over, and with characters that nobody sees.

use crate::texts::is_unseen;

/// How often a text may be escaped over and over.
const LAYERS: usize = 4;

/// Puts what an escape at the beginning stands for into the bytes, and says how long the escape is.
type Reader = fn(&[u8], &mut Vec<u8>) -> Option<usize>;

/// Each by itself: what is an escape in one of them may stand for itself in another.
const ALONE: [Reader; 3] = [percent_encoded, json_escaped, quoted_printable];
/// All at once, in a layer.
const TOGETHER: [Reader; 4] = [percent_encoded, json_escaped, entity, unseen];

/// References of HTML section 13.5 to ASCII characters beside letters and digits.
const ENTITIES: [(&str, u8); 38] = [
    ("quot", b'"'),
    ("QUOT", b'"'),
    ("apos", b'\''),
    ("amp", b'&'),
    ("AMP", b'&'),
    ("lt", b'<'),
    ("LT", b'<'),
    ("gt", b'>'),
    ("GT", b'>'),
    ("sol", b'/'),
    ("bsol", b'\\'),
    ("plus", b'+'),
    ("equals", b'='),
    ("colon", b':'),
    ("semi", b';'),
    ("num", b'#'),
    ("excl", b'!'),
    ("quest", b'?'),
    ("percnt", b'%'),
    ("ast", b'*'),
    ("midast", b'*'),
    ("lowbar", b'_'),
    ("period", b'.'),
    ("comma", b','),
    ("dollar", b'$'),
    ("commat", b'@'),
    ("lpar", b'('),
    ("rpar", b')'),
    ("lsqb", b'['),
    ("lbrack", b'['),
    ("rsqb", b']'),
    ("rbrack", b']'),
    ("Hat", b'^'),
    ("grave", b'`'),
    ("lcub", b'{'),
    ("rcub", b'}'),
    ("verbar", b'|'),
    ("vert", b'|'),
];

/// What a text says, and where each byte of that begins in the text; one place more than bytes.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) bytes: Vec<u8>,
    pub(super) places: Vec<usize>,
}

impl Reading {
    fn verbatim(text: &str) -> Self {
        Self {
            bytes: text.as_bytes().to_vec(),
            places: (0..=text.len()).collect(),
        }
    }

    /// Every way to read a text, that as it stands first.
    pub(super) fn all(text: &str) -> Vec<Self> {
        let verbatim = Self::verbatim(text);
        let mut readings: Vec<Self> = ALONE
            .iter()
            .filter_map(|reader| verbatim.read(&[*reader]))
            .collect();
        readings.insert(0, verbatim);
        let layers =
            std::iter::successors(readings[0].read(&TOGETHER), |layer| layer.read(&TOGETHER));
        let layers: Vec<Self> = layers.take(LAYERS).collect();
        readings.extend(layers);
        readings
    }

    /// `None` where there is nothing to read in another way.
    fn read(&self, readers: &[Reader]) -> Option<Self> {
        let (mut bytes, mut places, mut at) = (Vec::new(), Vec::new(), 0);
        while let Some(first) = self.bytes.get(at) {
            let rest = &self.bytes[at..];
            let read = readers.iter().find_map(|reader| reader(rest, &mut bytes));
            if read.is_none() {
                bytes.push(*first);
            }
            places.resize(bytes.len(), self.places[at]);
            at += read.unwrap_or(1);
        }
        places.extend(self.places.last());
        (bytes != self.bytes).then_some(Self { bytes, places })
    }
}

/// What a part of a URL stands for.
pub(super) fn percent_decoded(text: &str) -> String {
    let read = Reading::verbatim(text).read(&[percent_encoded]);
    read.map_or_else(
        || text.to_owned(),
        |read| String::from_utf8_lossy(&read.bytes).into_owned(),
    )
}

/// What a text stands for when nothing in it is escaped any more.
pub(super) fn unescaped(text: &str) -> String {
    let last = Reading::all(text).pop();
    last.map_or_else(String::new, |read| {
        String::from_utf8_lossy(&read.bytes).into_owned()
    })
}

fn hexadecimal(high: u8, low: u8) -> Option<u8> {
    let digit = |digit: u8| u8::try_from(char::from(digit).to_digit(16)?).ok();
    Some(digit(high)? * 16 + digit(low)?)
}

/// RFC 3986 section 2.1.
fn percent_encoded(rest: &[u8], into: &mut Vec<u8>) -> Option<usize> {
    let [b'%', high, low, ..] = rest else {
        return None;
    };
    into.push(hexadecimal(*high, *low)?);
    Some(3)
}

/// RFC 8259 section 7, less the control characters; and the `\x41` of other languages.
fn json_escaped(rest: &[u8], into: &mut Vec<u8>) -> Option<usize> {
    let [b'\\', kind, digits @ ..] = rest else {
        return None;
    };
    match (kind, digits) {
        (b'"' | b'\\' | b'/', _) => {
            into.push(*kind);
            Some(2)
        }
        (b'x', [high, low, ..]) => {
            into.push(hexadecimal(*high, *low)?);
            Some(4)
        }
        (b'u', _) => {
            let digits = std::str::from_utf8(digits.get(..4)?).ok()?;
            let character = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
            into.extend(character.to_string().bytes());
            Some(6)
        }
        _ => None,
    }
}

/// RFC 2045 section 6.7, also where the line break of a soft one has become a space.
fn quoted_printable(rest: &[u8], into: &mut Vec<u8>) -> Option<usize> {
    match rest {
        [b'=', b'\r', b'\n', ..] => Some(3),
        [b'=', b'\n' | b' ', ..] => Some(2),
        [b'=', high, low, ..] => {
            into.push(hexadecimal(*high, *low)?);
            Some(3)
        }
        _ => None,
    }
}

/// HTML section 13.2.5.72; a number may lack the semicolon.
fn entity(rest: &[u8], into: &mut Vec<u8>) -> Option<usize> {
    let reference = rest.strip_prefix(b"&")?;
    let Some(number) = reference.strip_prefix(b"#") else {
        return ENTITIES.iter().find_map(|(name, character)| {
            let after = reference.strip_prefix(name.as_bytes())?;
            after.strip_prefix(b";")?;
            into.push(*character);
            Some(name.len() + 2)
        });
    };
    let (number, base, before) = match number {
        [b'x' | b'X', number @ ..] => (number, 16, 3),
        number => (number, 10, 2),
    };
    let is_digit = |byte: &&u8| char::from(**byte).is_digit(base);
    let length = number.iter().take_while(is_digit).count();
    let digits = std::str::from_utf8(&number[..length]).ok()?;
    let character = char::from_u32(u32::from_str_radix(digits, base).ok()?)?;
    into.extend(character.to_string().bytes());
    let ends = usize::from(number.get(length) == Some(&b';'));
    Some(before + length + ends)
}

/// A character that nobody sees stands for nothing.
fn unseen(rest: &[u8], _: &mut Vec<u8>) -> Option<usize> {
    let length = match rest.first()? {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => return None,
    };
    let text = std::str::from_utf8(rest.get(..length)?).ok()?;
    text.chars().all(is_unseen).then_some(length)
}
