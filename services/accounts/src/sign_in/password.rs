//! Password hashing: argon2id (RFC 9106) with m = 19456 KiB, t = 2, p = 1, a few at a time.

mod line;
mod pool;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{
        Error as HashError, Result as HashResult,
        phc::{Output, ParamsString, PasswordHash, Salt},
    },
};
use portico_proto::Error;
use portico_runtime::{Problems, config};
use portico_vault::Secret;
use tokio::sync::oneshot;
use unicode_normalization::UnicodeNormalization as _;

pub(crate) use self::line::Turn;
use self::pool::{Buffer, Memory, Pool};

const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Characters.
const LENGTH: std::ops::RangeInclusive<usize> = 8..=200;

/// Matches no password. Verified for an unknown user, so that the time taken does not tell whether an account exists.
const DUMMY_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5cyBzYWx0IQ\
                       $c3VyZWx5IG5vIHBhc3N3b3JkIGhhcyBnb3QgdGhpcyE";

/// Adds a problem when a new password is too short or too long, or has what no keyboard gives everywhere.
pub(crate) fn check(password: &str, problems: &mut Problems) {
    if password.contains(char::is_control) {
        let message = "`password` must not have control characters.";
        problems.add("password", "password_invalid", message);
        return;
    }
    let code = match enforced(password).expose().chars().count() {
        0 => "password_missing",
        length if LENGTH.contains(&length) => return,
        length if length > *LENGTH.end() => "password_too_long",
        _ => "password_invalid",
    };
    let (least, most) = (LENGTH.start(), LENGTH.end());
    let message = format!("`password` must have {least} to {most} characters.");
    problems.add("password", code, message);
}

/// A password as it is compared: OpaqueString of RFC 8265 section 4.2, so that it is the same one from every keyboard. Other
/// spaces become the ASCII one, and letters are in form NFC; upper and lower case stay.
fn enforced(password: &str) -> Secret {
    let space = |c: char| match c {
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => {
            ' '
        }
        other => other,
    };
    Secret::new(password.chars().map(space).nfc().collect::<String>())
}

/// Hashes and verifies as many at a time as there are buffers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Passwords {
    pool: Pool,
    /// Code and message where no buffer gets free in time.
    busy: (&'static str, String),
}

impl Passwords {
    /// For people who sign in, and for people who sign up. Where several may sign in at a time, one of the buffers is kept
    /// for those at known places: however many strangers try, they do not wait for them.
    pub(crate) fn of_sign_ins_and_sign_ups(limits: config::Passwords) -> (Self, Self) {
        let memory = Memory::default();
        let pool = |buffers, kept| {
            let (most, wait) = (limits.max_waiting, limits.max_wait);
            Pool::new((buffers, kept), most, wait, memory.clone())
        };
        let message =
            |who| format!("Too many people are {who} right now; try again in a few seconds.");
        let sign_ins = Self {
            pool: pool(limits.sign_ins, u16::from(limits.sign_ins > 1)),
            busy: ("sign_in_busy", message("signing in")),
        };
        let sign_ups = Self {
            pool: pool(limits.sign_ups, 0),
            busy: ("sign_up_busy", message("signing up")),
        };
        (sign_ins, sign_ups)
    }

    /// What somebody is told for whom there is no room now.
    pub(crate) fn busy(&self) -> Error {
        Error::unavailable(self.busy.0, self.busy.1.clone())
    }

    /// Returns the hash as a PHC string, with a new salt.
    ///
    /// # Errors
    /// `Unavailable` where too many wait, or after waiting too long.
    pub(crate) async fn hash(&self, password: Secret) -> Result<Secret, Error> {
        self.with_buffer(&Turn::default(), move |buffer| {
            let mut hash = unfinished()?;
            hash.hash = Some(output(&hash, &password, buffer)?);
            Ok(Secret::new(hash.to_string()))
        })
        .await
    }

    /// Whether the password matches the hash. Without a hash it does the same work and returns false.
    ///
    /// # Errors
    /// `Unavailable` where too many wait, or after waiting too long.
    pub(crate) async fn verify(
        &self,
        turn: &Turn,
        password: Secret,
        hash: Option<Secret>,
    ) -> Result<bool, Error> {
        self.with_buffer(turn, move |buffer| {
            let known = hash.is_some();
            let hash = hash.unwrap_or_else(|| Secret::new(DUMMY_HASH));
            let hash = PasswordHash::new(hash.expose())?;
            // `Output` compares in constant time.
            let matches = hash.hash == Some(output(&hash, &password, buffer)?);
            Ok(matches && known)
        })
        .await
    }

    async fn with_buffer<T: Send + 'static>(
        &self,
        turn: &Turn,
        work: impl FnOnce(&mut Buffer) -> HashResult<T> + Send + 'static,
    ) -> Result<T, Error> {
        let buffer = self.pool.buffer(turn).await;
        let mut buffer = buffer.ok_or_else(|| self.busy())?;
        let (done, result) = oneshot::channel();
        // The buffer moves into the closure: a blocking task cannot be cancelled, so when the caller hangs up it is still
        // in use. The caller need not wait until it is wiped.
        tokio::task::spawn_blocking(move || {
            // Nobody is there where the caller has hung up.
            let _ = done.send(work(&mut buffer));
            drop(buffer);
        });
        let result = result.await.map_err(|error| internal(&error))?;
        result.map_err(|error| internal(&error))
    }
}

/// A hash with today's parameters and a new salt, without its output.
fn unfinished() -> HashResult<PasswordHash> {
    Ok(PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(Params::new(MEMORY_KIB, PASSES, LANES, None)?)?,
        salt: Some(Salt::new(&argon2::password_hash::try_generate_salt()?)?),
        hash: None,
    })
}

/// What a password gives with a hash's algorithm, parameters and salt, which may be those of an earlier version.
fn output(hash: &PasswordHash, password: &Secret, buffer: &mut Buffer) -> HashResult<Output> {
    let algorithm = Algorithm::try_from(hash.algorithm.as_str())?;
    let version = hash.version.map(Version::try_from).transpose()?;
    let params = Params::try_from(hash)?;
    let blocks = buffer.blocks(params.block_count());
    let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
    let salt = hash.salt.as_ref().ok_or(HashError::EncodingInvalid)?;
    let argon2 = Argon2::new(algorithm, version.unwrap_or_default(), params);
    let mut bytes = [0; Output::MAX_LENGTH];
    let bytes = bytes.get_mut(..length).ok_or(HashError::OutputSize)?;
    let password = enforced(password.expose());
    argon2.hash_password_into_with_memory(password.expose().as_bytes(), salt, bytes, blocks)?;
    Ok(Output::new(bytes)?)
}

fn internal(error: &dyn std::fmt::Display) -> Error {
    tracing::error!(%error, "password hashing failed");
    Error::internal()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use argon2::password_hash::PasswordHasher as _;

    use super::*;

    fn passwords(buffers: u16, max_waiting: u16, max_wait: Duration) -> Passwords {
        both(buffers, max_waiting, max_wait).0
    }

    fn both(buffers: u16, max_waiting: u16, max_wait: Duration) -> (Passwords, Passwords) {
        Passwords::of_sign_ins_and_sign_ups(config::Passwords {
            sign_ins: buffers,
            sign_ups: 1,
            max_waiting,
            max_wait,
        })
    }

    static HERE: Turn = Turn {
        known: false,
        place: String::new(),
    };
    static KNOWN: Turn = Turn {
        known: true,
        place: String::new(),
    };
    const LONG: Duration = Duration::from_mins(10);

    #[tokio::test]
    async fn strangers_leave_one_buffer_to_known_places() {
        let (sign_ins, sign_ups) = both(2, 5, LONG);
        let stranger = sign_ins.pool.buffer(&HERE).await.unwrap();
        let mut waits = Box::pin(sign_ins.pool.buffer(&HERE));
        assert!(futures::poll!(&mut waits).is_pending());
        let known = sign_ins.pool.buffer(&KNOWN).await.unwrap();
        let mut known_waits = Box::pin(sign_ins.pool.buffer(&KNOWN));
        assert!(futures::poll!(&mut known_waits).is_pending());
        drop(known);
        drop(known_waits.await.unwrap());
        assert!(futures::poll!(&mut waits).is_pending());
        drop(stranger);
        let mut stranger = waits.await.unwrap();
        stranger.blocks(8);
        drop(stranger);
        let signs_up = sign_ups.pool.buffer(&HERE).await.unwrap();
        assert_eq!(sign_ups.pool.made().len(), 1, "the memory of both is one");
        drop(signs_up);
    }

    #[tokio::test]
    async fn a_password_is_the_same_from_every_keyboard() {
        let passwords = passwords(1, 1, LONG);
        let hash = passwords.hash("zo\u{eb} \u{1100}\u{1161} x".into());
        let hash = hash.await.unwrap();
        let verify = |password: &str| passwords.verify(&HERE, password.into(), Some(hash.clone()));
        assert!(verify("zoe\u{308}\u{a0}\u{ac00}\u{3000}x").await.unwrap());
        assert!(!verify("ZO\u{cb} \u{ac00} x").await.unwrap());
        assert!(!verify("zoe \u{ac00} x").await.unwrap());
    }

    #[test]
    fn control_characters_are_no_part_of_a_password() {
        for (password, code) in [
            ("long enough\0", Some("password_invalid")),
            ("long\nenough", Some("password_invalid")),
            // Eight code points and seven letters.
            ("seven c\u{327}", Some("password_invalid")),
            ("a\u{a0}b\u{a0}c\u{a0}d\u{a0}", None),
        ] {
            let mut problems = Problems::default();
            check(password, &mut problems);
            let found = problems.into_result().err();
            assert_eq!(found.map(|error| error.code.to_string()).as_deref(), code);
        }
    }

    #[tokio::test]
    async fn a_hash_matches_its_password_only() {
        let passwords = passwords(1, 1, LONG);
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let verify = |password: &str| passwords.verify(&HERE, password.into(), Some(hash.clone()));
        assert!(verify("correct horse").await.unwrap());
        assert!(!verify("correct horsf").await.unwrap());
        assert_ne!(
            passwords.hash("correct horse".into()).await.unwrap(),
            hash,
            "every hash has its own salt"
        );
    }

    /// Of the crate's own: as stored by earlier versions, with other parameters than today's, smaller and larger.
    #[tokio::test]
    async fn a_stored_hash_keeps_its_parameters() {
        let passwords = passwords(1, 1, LONG);
        let stored = [
            (
                Algorithm::Argon2id,
                Version::V0x13,
                (MEMORY_KIB, PASSES, LANES),
                None,
            ),
            (Algorithm::Argon2id, Version::V0x10, (64, 3, 2), Some(24)),
            (Algorithm::Argon2i, Version::V0x13, (32_768, 1, 4), Some(64)),
        ];
        for (algorithm, version, (memory, passes, lanes), length) in stored {
            let params = Params::new(memory, passes, lanes, length).unwrap();
            let hash = Argon2::new(algorithm, version, params);
            let hash: PasswordHash = hash.hash_password(b"correct horse").unwrap();
            let hash = Secret::new(hash.to_string());
            for (password, matches) in [("correct horse", true), ("correct horsf", false)] {
                let verified = passwords
                    .verify(&HERE, password.into(), Some(hash.clone()))
                    .await;
                assert_eq!(verified.unwrap(), matches, "{algorithm:?} {password}");
            }
        }
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
        let passwords = passwords(1, 1, LONG);
        let verified = passwords.verify(&HERE, "correct horse".into(), None).await;
        assert!(!verified.unwrap());
        let idle = passwords.pool.buffer(&HERE).await;
        drop(idle);
        assert_eq!(passwords.pool.made(), [MEMORY_KIB as usize]);
    }

    #[tokio::test]
    async fn five_hundred_tries_share_the_buffers_and_leave_nothing_in_them() {
        let passwords = passwords(2, 500, LONG);
        let cheap = Params::new(64, 1, 1, None).unwrap();
        let cheap: PasswordHash = Argon2::from(cheap).hash_password(b"correct horse").unwrap();
        let cheap = Secret::new(cheap.to_string());
        let tries = (0..500).map(|n| {
            let password = if n % 2 == 0 { "correct horse" } else { "no" };
            passwords.verify(&HERE, password.into(), Some(cheap.clone()))
        });
        for (n, verified) in futures::future::join_all(tries)
            .await
            .into_iter()
            .enumerate()
        {
            assert_eq!(verified.unwrap(), n % 2 == 0);
        }
        let both = futures::join!(passwords.pool.buffer(&KNOWN), passwords.pool.buffer(&HERE));
        drop(both);
        let made = passwords.pool.made();
        assert_eq!(made.len(), 2, "{made:?}");
        assert!(passwords.pool.is_clean());
    }

    #[tokio::test]
    async fn who_finds_no_buffer_is_refused_for_a_moment() {
        let busy = |tried: Result<Secret, Error>| {
            let error = tried.unwrap_err();
            assert_eq!(error.kind, portico_proto::Kind::Unavailable);
            assert_eq!(error.retry_after, Some(Duration::from_secs(2)));
            assert_eq!(error.code, "sign_in_busy");
        };
        let passwords = passwords(1, 1, LONG);
        let held = passwords.pool.buffer(&HERE).await.unwrap();
        let waits = passwords.hash("correct horse".into());
        let refused = async {
            busy(passwords.hash("correct horse".into()).await);
            drop(held);
        };
        let (waited, ()) = futures::join!(waits, refused);
        assert!(waited.is_ok());

        let passwords = self::passwords(1, 1, Duration::from_millis(1));
        let _held = passwords.pool.buffer(&HERE).await.unwrap();
        busy(passwords.hash("correct horse".into()).await);
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
