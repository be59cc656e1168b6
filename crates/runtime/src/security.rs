//! The security log: one line for each thing that matters to the safety of accounts, with the target `security`, so that
//! it can be kept, sent on or silenced apart (`log.level = "warn,security=info"`).
//!
//! A line names accounts by their ids. It never holds a name, a mail address or a secret; the network address is
//! shortened as `log.addresses` says.

use std::fmt::Display;

use uuid::Uuid;

/// Target of the lines.
pub const TARGET: &str = "security";

/// Writes one line: what happened, in a stable word, to which account, from where, and what it is about, such as the id of
/// a token or a method.
pub fn line(
    what: &'static str,
    account: Option<Uuid>,
    address: Option<&str>,
    about: Option<&dyn Display>,
) {
    tracing::info!(
        target: "security",
        event = what,
        account = account.map(tracing::field::display),
        address,
        about = about.map(tracing::field::display),
        "{what}"
    );
}

/// What a method means to the security log, where it has succeeded for a user: secrets that were shown, and changes of who
/// may do what and of where credentials come from. What changed is an event with the same request id.
pub(crate) fn meaning(path: &str) -> Option<&'static str> {
    let (service, method) = path.strip_prefix("/portico.")?.split_once('/')?;
    Some(match (service, method) {
        ("accounts.v1.AccountsService", "CreateApiToken") => "api_token_made",
        ("accounts.v1.AccountsService", "RevokeApiToken") => "api_token_revoked",
        ("accounts.v1.AccountsService", "ActivateUser") => "account_activated",
        ("accounts.v1.AccountsService", "SuspendUser") => "account_suspended",
        ("accounts.v1.AccountsService", "LetInUser") => "account_let_in",
        ("accounts.v1.AccountsService", "ShutOutUser") => "account_shut_out",
        ("accounts.v1.AccountsService", "EraseUser") => "account_erased",
        ("registration.v1.RegistrationService", "GetCredentials") => "credentials_shown",
        ("registration.v1.RegistrationService", "RotateCredentials") => "credentials_rotated",
        (
            "registration.v1.RegistrationService",
            "CreateIdentityProvider"
            | "UpdateIdentityProvider"
            | "DeleteIdentityProvider"
            | "SetSecretRotation",
        ) => "identity_provider_changed",
        ("gateway.v1.GatewayService", "RevealApiKey") => "api_key_shown",
        ("gateway.v1.GatewayService", "ReplaceApiKey") => "api_key_replaced",
        ("gateway.v1.GatewayService", "CreateGateway" | "UpdateGateway" | "DeleteGateway") => {
            "gateway_changed"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::methods;

    /// A method that is renamed must not lose its line.
    #[test]
    fn secrets_and_authority_change_with_a_line() {
        let told = methods::all().keys().filter_map(|path| {
            let method = path.rsplit('/').next()?;
            Some(format!("{method} {}", meaning(path)?))
        });
        let expected = [
            "ActivateUser account_activated",
            "CreateApiToken api_token_made",
            "EraseUser account_erased",
            "LetInUser account_let_in",
            "RevokeApiToken api_token_revoked",
            "ShutOutUser account_shut_out",
            "SuspendUser account_suspended",
            "CreateGateway gateway_changed",
            "DeleteGateway gateway_changed",
            "ReplaceApiKey api_key_replaced",
            "RevealApiKey api_key_shown",
            "UpdateGateway gateway_changed",
            "CreateIdentityProvider identity_provider_changed",
            "DeleteIdentityProvider identity_provider_changed",
            "GetCredentials credentials_shown",
            "RotateCredentials credentials_rotated",
            "SetSecretRotation identity_provider_changed",
            "UpdateIdentityProvider identity_provider_changed",
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }
}
