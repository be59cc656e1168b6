//! Password hashing: argon2id (RFC 9106) with m = 19456 KiB, t = 2, p = 1, a few at a time.

use std::{sync::Arc, time::Duration};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use portico_proto::Error;
use portico_runtime::Problems;
use portico_vault::Secret;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Concurrent hashes; each needs 19 MiB and a core.
const CONCURRENCY: usize = 2;
/// Longest wait for a free place.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// Characters.
const LENGTH: std::ops::RangeInclusive<usize> = 8..=200;

/// Matches no password. Verified for an unknown user, so that the time taken does not tell whether an account exists.
const DUMMY_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5cyBzYWx0IQ\
                       $c3VyZWx5IG5vIHBhc3N3b3JkIGhhcyBnb3QgdGhpcyE";

/// Adds a problem when a new password is too short or too long.
pub(crate) fn check(password: &str, problems: &mut Problems) {
    let code = match password.chars().count() {
        0 => "password_missing",
        length if LENGTH.contains(&length) => return,
        length if length > *LENGTH.end() => "password_too_long",
        _ => "password_invalid",
    };
    let (least, most) = (LENGTH.start(), LENGTH.end());
    let message = format!("`password` must have {least} to {most} characters.");
    problems.add("password", code, message);
}

/// Hashes and verifies, [`CONCURRENCY`] at a time.
#[derive(Clone)]
pub(crate) struct Passwords {
    permits: Arc<Semaphore>,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(CONCURRENCY)),
        }
    }

    /// Returns the hash as a PHC string, with a new salt.
    ///
    /// # Errors
    /// `Unavailable` after waiting too long for a free place.
    pub(crate) async fn hash(&self, password: Secret) -> Result<Secret, Error> {
        let hashed = self
            .blocking(move || {
                let hash = argon2()?.hash_password(password.expose().as_bytes())?;
                Ok(Secret::new(hash.to_string()))
            })
            .await?;
        hashed.map_err(|error: argon2::password_hash::Error| internal(&error))
    }

    /// Whether the password matches the hash. Without a hash it does the same work and returns false.
    ///
    /// # Errors
    /// `Unavailable` after waiting too long for a free place.
    pub(crate) async fn verify(
        &self,
        password: Secret,
        hash: Option<Secret>,
    ) -> Result<bool, Error> {
        let verified = self
            .blocking(move || {
                let known = hash.is_some();
                let hash = hash.unwrap_or_else(|| Secret::new(DUMMY_HASH));
                let hash = PasswordHash::new(hash.expose())?;
                match argon2()?.verify_password(password.expose().as_bytes(), &hash) {
                    Ok(()) => Ok(known),
                    Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
                    Err(error) => Err(error),
                }
            })
            .await?;
        verified.map_err(|error: argon2::password_hash::Error| internal(&error))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let permit = self.permit().await?;
        // The permit moves into the closure: a blocking task cannot be cancelled, so when the caller hangs up it still
        // occupies its place.
        let work = move || {
            let done = work();
            drop(permit);
            done
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| internal(&error))
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        let permit = Arc::clone(&self.permits).acquire_owned();
        match tokio::time::timeout(MAX_WAIT, permit).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Error::unavailable(
                "sign_in_busy",
                "Too many people are signing in right now; try again in a few seconds.",
            )),
        }
    }
}

fn argon2() -> Result<Argon2<'static>, argon2::password_hash::Error> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn internal(error: &dyn std::fmt::Display) -> Error {
    tracing::error!(%error, "password hashing failed");
    Error::internal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_matches_its_password_only() {
        let passwords = Passwords::new();
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let verify = |password: &str| passwords.verify(password.into(), Some(hash.clone()));
        assert!(verify("correct horse").await.unwrap());
        assert!(!verify("correct horsf").await.unwrap());
        assert_ne!(
            passwords.hash("correct horse".into()).await.unwrap(),
            hash,
            "every hash has its own salt"
        );
    }

    /// The same parameters mean the same work; a parse error would answer unknown users early.
    #[tokio::test]
    async fn an_unknown_user_costs_a_whole_hash_and_never_matches() {
        let dummy = PasswordHash::new(DUMMY_HASH).unwrap();
        let params = Params::try_from(&dummy).unwrap();
        assert_eq!(
            (params.m_cost(), params.t_cost(), params.p_cost()),
            (MEMORY_KIB, PASSES, LANES)
        );
        let passwords = Passwords::new();
        assert!(
            !passwords
                .verify("correct horse".into(), None)
                .await
                .unwrap()
        );
        assert_eq!(passwords.permits.available_permits(), CONCURRENCY);
    }

    #[test]
    fn length_is_counted_in_characters() {
        for (password, code) in [
            (String::new(), Some("password_missing")),
            ("1234567".to_owned(), Some("password_invalid")),
            ("12345678".to_owned(), None),
            ("ö".repeat(200), None),
            ("ö".repeat(201), Some("password_too_long")),
        ] {
            let mut problems = Problems::default();
            check(&password, &mut problems);
            let error = problems.into_result().err();
            let found = error.as_ref().map(|error| error.code.as_ref());
            assert_eq!(found, code, "{password}");
        }
    }
}
