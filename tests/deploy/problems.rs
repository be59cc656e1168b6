//! What is wrong, gathered, so that one run tells all of it.

/// What was found.
#[derive(Default)]
pub struct Problems(pub Vec<String>);

impl Problems {
    pub fn say(&mut self, words: impl Into<String>) {
        self.0.push(words.into());
    }

    pub fn unless(&mut self, fine: bool, words: impl FnOnce() -> String) {
        if !fine {
            self.0.push(words());
        }
    }

    /// The good half; the other is noted.
    pub fn good<T>(&mut self, at: &str, result: Result<T, impl ToString>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.say(format!("{at}: {}", error.to_string()));
                None
            }
        }
    }
}
