//! Enums: one word for each value.

/// An enum of the contract.
pub trait Enumeration: Copy + Into<i32> + TryFrom<i32> {
    /// Name, documentation and values, as generated from the descriptor.
    fn words() -> &'static EnumWords;

    /// As in REST; empty for the value that stands for nothing said.
    fn as_word(self) -> &'static str {
        word::<Self>(self.into()).unwrap_or_default()
    }

    /// The value of a word.
    fn from_word(text: &str) -> Option<Self> {
        let word = Self::words().words.iter().find(|one| one.word == text)?;
        Self::try_from(word.number).ok()
    }
}

/// What the contract says of an enum.
#[derive(Debug)]
pub struct EnumWords {
    /// Name of the enum's schema.
    pub name: &'static str,
    /// Comment in the proto file, which becomes the description.
    pub doc: &'static str,
    /// Without the value that stands for nothing said.
    pub words: &'static [Word],
}

/// One value of an enum.
#[derive(Debug)]
pub struct Word {
    /// In protobuf.
    pub number: i32,
    /// In REST.
    pub word: &'static str,
    /// Comment in the proto file, which becomes the description.
    pub doc: &'static str,
}

impl EnumWords {
    /// As people list them: "a, b or c".
    pub(super) fn listed(&self) -> String {
        let words: Vec<&str> = self.words.iter().map(|one| one.word).collect();
        match words.split_last() {
            Some((last, [])) => (*last).to_owned(),
            Some((last, others)) => format!("{} or {last}", others.join(", ")),
            None => String::new(),
        }
    }
}

/// The word of a number; `None` where nothing is said.
pub fn word<E: Enumeration>(number: i32) -> Option<&'static str> {
    let mut all = E::words().words.iter();
    all.find(|one| one.number == number).map(|one| one.word)
}

/// The words of numbers.
pub fn words<E: Enumeration>(numbers: &[i32]) -> Vec<&'static str> {
    numbers.iter().filter_map(|one| word::<E>(*one)).collect()
}
