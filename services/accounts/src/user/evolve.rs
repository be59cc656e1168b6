//! State + event -> state.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::BTreeMap;

use portico_runtime::Role;

use super::{Account, AccountEvent, ApiToken, ApiTokenEvent, Event, Status, User};

pub(super) fn evolve(user: &mut User, event: &Event) {
    match event {
        Event::Account(event) => account(&mut user.account, event),
        Event::ApiToken(event) => change(&mut user.account, |account| api_token(account, event)),
    }
}

fn account(account: &mut Option<Account>, event: &AccountEvent) {
    match event {
        AccountEvent::SignedUp { status, role, .. } => {
            *account = Some(Account {
                role: *role,
                status: *status,
                awaits_approval: *status == Status::Pending,
                let_in: *role == Role::Admin,
                tokens: BTreeMap::new(),
            });
        }
        AccountEvent::Activated => change(account, |account| {
            account.status = Status::Active;
            account.awaits_approval = false;
        }),
        AccountEvent::Suspended => change(account, |account| account.status = Status::Suspended),
        AccountEvent::LetIn => change(account, |account| account.let_in = true),
        AccountEvent::ShutOut => change(account, |account| account.let_in = false),
        AccountEvent::Erased => change(account, |account| {
            account.status = Status::Erased;
            account.tokens.clear();
        }),
        // No rule depends on it; the view knows it.
        AccountEvent::PasswordSet { .. } => {}
    }
}

fn api_token(account: &mut Account, event: &ApiTokenEvent) {
    match event {
        ApiTokenEvent::Issued {
            token_id,
            expires_at,
            ..
        } => {
            let token = ApiToken {
                expires_at: *expires_at,
                revoked: false,
            };
            account.tokens.insert(*token_id, token);
        }
        ApiTokenEvent::Revoked { token_id } => {
            if let Some(token) = account.tokens.get_mut(token_id) {
                token.revoked = true;
            }
        }
    }
}

/// `decide` lets nothing happen before the sign-up, so there is always an account to change.
fn change(account: &mut Option<Account>, change: impl FnOnce(&mut Account)) {
    if let Some(account) = account {
        change(account);
    }
}
