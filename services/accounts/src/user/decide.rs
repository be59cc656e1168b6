//! Command + state -> events.

#![deny(clippy::wildcard_enum_match_arm)]

use jiff::Timestamp;
use portico_runtime::Role;
use uuid::Uuid;

use super::{
    Account, AccountCommand, AccountEvent, ApiToken, ApiTokenCommand, ApiTokenEvent, Command,
    Event, MOST_API_TOKENS, Rejection, Status, User,
};

pub(super) fn decide(user: &User, command: &Command) -> Result<Vec<Event>, Rejection> {
    match command {
        Command::Account(command) => {
            let events = account(user, command)?;
            Ok(events.into_iter().map(Event::from).collect())
        }
        Command::ApiToken(command) => {
            let event = api_token(present(user)?, command)?;
            Ok(event.map(Event::from).into_iter().collect())
        }
    }
}

fn present(user: &User) -> Result<&Account, Rejection> {
    user.account.as_ref().ok_or(Rejection::NoSuchUser)
}

/// An account that is not erased.
fn there(user: &User) -> Result<&Account, Rejection> {
    match present(user)? {
        account if account.status == Status::Erased => Err(Rejection::Erased),
        account => Ok(account),
    }
}

fn account(user: &User, command: &AccountCommand) -> Result<Vec<AccountEvent>, Rejection> {
    match command {
        AccountCommand::SignUp {
            status,
            role,
            name_ref,
            email_ref,
            password_ref,
        } => {
            // A repetition is refused too: the second caller may be somebody else with the same address.
            if user.account.is_some() {
                return Err(Rejection::EmailTaken);
            }
            Ok(vec![
                AccountEvent::SignedUp {
                    status: *status,
                    role: *role,
                    name_ref: *name_ref,
                    email_ref: *email_ref,
                },
                AccountEvent::PasswordSet {
                    password_ref: *password_ref,
                },
            ])
        }
        AccountCommand::Activate => Ok(activate(there(user)?)),
        AccountCommand::LetIn => Ok(match there(user)?.let_in {
            true => vec![],
            false => vec![AccountEvent::LetIn],
        }),
        AccountCommand::ShutOut => match there(user)? {
            account if account.role == Role::Admin => Err(Rejection::LetInByRole),
            account if account.let_in => Ok(vec![AccountEvent::ShutOut]),
            _ => Ok(vec![]),
        },
        AccountCommand::Suspend { other_admins } => {
            let account = there(user)?;
            if account.status == Status::Suspended {
                return Ok(vec![]);
            }
            keep_an_admin(account, *other_admins)?;
            Ok(vec![AccountEvent::Suspended])
        }
        AccountCommand::Erase { other_admins } => {
            let account = present(user)?;
            if account.status == Status::Erased {
                return Ok(vec![]);
            }
            keep_an_admin(account, *other_admins)?;
            Ok(vec![AccountEvent::Erased])
        }
    }
}

/// Whoever approves a sign-up lets them in with it.
fn activate(account: &Account) -> Vec<AccountEvent> {
    if account.status == Status::Active {
        return vec![];
    }
    match account.awaits_approval && !account.let_in {
        true => vec![AccountEvent::Activated, AccountEvent::LetIn],
        false => vec![AccountEvent::Activated],
    }
}

/// Refuses to take the last active admin away. What is known of the others comes with the command and may be outdated;
/// the projection checks again in the transaction of the append.
fn keep_an_admin(account: &Account, other_admins: bool) -> Result<(), Rejection> {
    let active_admin = account.role == Role::Admin && account.status == Status::Active;
    if active_admin && !other_admins {
        return Err(Rejection::LastAdmin);
    }
    Ok(())
}

fn api_token(
    account: &Account,
    command: &ApiTokenCommand,
) -> Result<Option<ApiTokenEvent>, Rejection> {
    match command {
        ApiTokenCommand::Issue {
            token_id,
            digest,
            name_ref,
            expires_at,
            now,
        } => {
            let new = is_new_token(account, *token_id, *now)?;
            Ok(new.then(|| ApiTokenEvent::Issued {
                token_id: *token_id,
                digest: digest.clone(),
                name_ref: *name_ref,
                expires_at: *expires_at,
            }))
        }
        ApiTokenCommand::Revoke { token_id } => match account.tokens.get(token_id) {
            None => Err(Rejection::NoSuchApiToken),
            Some(token) if token.revoked => Ok(None),
            Some(_) => Ok(Some(ApiTokenEvent::Revoked {
                token_id: *token_id,
            })),
        },
    }
}

/// False for a repetition, which needs no free place.
fn is_new_token(account: &Account, token_id: Uuid, now: Timestamp) -> Result<bool, Rejection> {
    if account.status != Status::Active {
        return Err(Rejection::NotActive);
    }
    if account.tokens.contains_key(&token_id) {
        return Ok(false);
    }
    let live = |token: &&ApiToken| !token.revoked && token.expires_at > now;
    if account.tokens.values().filter(live).count() >= MOST_API_TOKENS {
        return Err(Rejection::TooManyApiTokens);
    }
    Ok(true)
}
