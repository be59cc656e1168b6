//! What registration and gateway each say about their own neighbours, put together. Where one of them cannot be
//! reached, the word of the other stands, and the answer names who is missing.
//!
//! - [`drift`]: what was changed outside Portico

pub(super) mod drift;

use portico_proto::Error;
use portico_runtime::ServiceName;
use tonic::{Response, Status};

use super::operations::reached;

/// Who has answered so far.
#[derive(Default)]
pub(super) struct Halves {
    answered: bool,
    unreachable: Vec<String>,
}

impl Halves {
    /// What a service answered; nothing where it cannot be reached now.
    ///
    /// # Errors
    /// It refused.
    pub(super) fn take<T: Default>(
        &mut self,
        name: ServiceName,
        answer: Result<Response<T>, Status>,
    ) -> Result<T, Error> {
        let answer = reached(name, answer, &mut self.unreachable)?;
        self.answered |= answer.is_some();
        Ok(answer.unwrap_or_default())
    }

    /// The services that are missing from the answer, by name.
    ///
    /// # Errors
    /// Nobody could be reached, so there is no answer.
    pub(super) fn incomplete(self) -> Result<Vec<String>, Error> {
        if self.answered || self.unreachable.is_empty() {
            return Ok(self.unreachable);
        }
        Err(Error::unavailable(
            "service_unavailable",
            "A part of Portico is not reachable.",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away() -> Result<Response<String>, Status> {
        Err(Status::unavailable("away"))
    }

    #[test]
    fn who_cannot_be_reached_is_named() {
        let mut halves = Halves::default();
        let found = halves.take(ServiceName::Registration, Ok(Response::new("x".to_owned())));
        assert_eq!(found, Ok("x".to_owned()));
        assert_eq!(halves.take(ServiceName::Gateway, away()), Ok(String::new()));
        assert_eq!(halves.incomplete(), Ok(vec!["gateway".to_owned()]));
    }

    #[test]
    fn a_refusal_is_one_of_the_whole() {
        let refused = Err::<Response<String>, _>(Status::from(Error::not_found("gateway")));
        let mut halves = Halves::default();
        let error = halves.take(ServiceName::Gateway, refused).unwrap_err();
        assert_eq!(error, Error::not_found("gateway"));
    }

    #[test]
    fn nobody_is_no_answer() {
        let mut halves = Halves::default();
        assert!(halves.take(ServiceName::Gateway, away()).is_ok());
        assert_eq!(halves.incomplete().unwrap_err().code, "service_unavailable");
    }
}
