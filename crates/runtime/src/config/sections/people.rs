//! Sign-up, the first admin, sessions, passwords and attempts.

use std::time::Duration;

use portico_vault::Secret;

use super::super::reader::Reader;

const SHORTEST_PASSWORD: usize = 8;

/// Sign-up policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signup {
    /// Anybody.
    Open,
    /// People whom an admin approves.
    Approval,
    /// Nobody.
    Closed,
}

impl Signup {
    pub(in crate::config) fn read(reader: &mut Reader) -> Self {
        let choices = [
            ("open", Self::Open),
            ("approval", Self::Approval),
            ("closed", Self::Closed),
        ];
        reader.choice("signup", &choices)
    }
}

/// Admin that is created on an empty store.
#[derive(Debug, Clone)]
pub struct Admin {
    /// E-mail address, to sign in with.
    pub email: Secret,
    /// Password.
    pub password: Secret,
}

impl Admin {
    pub(in crate::config) fn read(reader: &mut Reader) -> Option<Self> {
        let email = reader.optional("admin.email");
        let password = reader.secret("admin.password");
        let (email, password) =
            reader.both(("admin.email", email), ("admin.password", password))?;
        if !is_mail_address(&email) {
            reader.problem("admin.email", "must be an e-mail address");
        }
        if password.expose().chars().count() < SHORTEST_PASSWORD {
            let message = format!("must have {SHORTEST_PASSWORD} characters or more");
            reader.problem("admin.password", message);
        }
        Some(Self {
            email: email.into(),
            password,
        })
    }
}

/// How long people stay signed in.
#[derive(Debug, Clone, Copy)]
pub struct Session {
    /// At most.
    pub lifetime: Duration,
    /// Without doing anything.
    pub idle: Duration,
}

impl Session {
    pub(in crate::config) fn read(reader: &mut Reader) -> Self {
        let session = Self {
            lifetime: reader.duration("session.lifetime"),
            idle: reader.duration("session.idle"),
        };
        if session.idle > session.lifetime {
            reader.problem("session.idle", "must not be longer than session.lifetime");
        }
        session
    }
}

/// How many passwords are hashed at the same time, and how many wait for it.
#[derive(Debug, Clone, Copy)]
pub struct Passwords {
    /// Of people who sign in.
    pub sign_ins: u16,
    /// Of people who sign up.
    pub sign_ups: u16,
    /// Waiting at most, of each kind.
    pub max_waiting: u16,
    /// Longest wait.
    pub max_wait: Duration,
}

impl Passwords {
    pub(in crate::config) fn read(reader: &mut Reader) -> Self {
        Self {
            sign_ins: reader.number("passwords.sign_ins"),
            sign_ups: reader.number("passwords.sign_ups"),
            max_waiting: reader.number("passwords.max_waiting"),
            max_wait: reader.duration("passwords.max_wait"),
        }
    }
}

/// How often signing in may fail, and how often an address may sign up.
#[derive(Debug, Clone, Copy)]
pub struct Attempts {
    /// Failed sign-ins of an account within the window.
    pub account: u32,
    /// Failed sign-ins from a network address within the window.
    pub address: u32,
    /// From the first failure.
    pub window: Duration,
    /// Successful sign-ins from a network address within the window, of one process.
    pub successes: u32,
    /// Sign-ups from a network address within their window.
    pub sign_ups: u32,
    /// From the first sign-up.
    pub sign_up_window: Duration,
    /// How long an address or device from which somebody signed in counts as theirs.
    pub known_for: Duration,
}

impl Attempts {
    pub(in crate::config) fn read(reader: &mut Reader) -> Self {
        Self {
            account: reader.number("attempts.account"),
            address: reader.number("attempts.address"),
            window: reader.duration("attempts.window"),
            successes: reader.number("attempts.successes"),
            sign_ups: reader.number("attempts.sign_ups"),
            sign_up_window: reader.duration("attempts.sign_up_window"),
            known_for: reader.duration("attempts.known_for"),
        }
    }
}

/// A rough check: only sending shows whether an address is right.
pub(super) fn is_mail_address(text: &str) -> bool {
    let odd = |c: char| c.is_whitespace() || c.is_control() || "<>,;".contains(c);
    match text.rsplit_once('@') {
        Some((name, host)) => !name.is_empty() && !host.is_empty() && !text.contains(odd),
        None => false,
    }
}
