//! What the provider is asked of an orphan, and what its answers mean to an admin.

use portico_proto::{Error, Kind};
use portico_vault::Secret;

use super::{Sent, Stop};
use crate::client_metadata::WantedClient;
use crate::providers::{
    Access, ChosenIds, Disposition, Failure, KnownClient, ReconcileClass, Reconciled,
    RegisteredClient,
};
use crate::worker::registration::random_secret;
use crate::worker::spool::AnswerSpool;

/// Asks the driver to find the client by what was sent.
pub(super) async fn search(
    access: &Access,
    spool: &AnswerSpool,
    sent: Option<&WantedClient>,
) -> Result<RegisteredClient, Stop> {
    let unknown = || {
        Error::field(
            "client_id",
            "client_id_missing",
            "`client_id` must be given: this identity provider cannot be searched for the mark.",
        )
    };
    let driver = access.driver();
    let searchable = driver.class() == ReconcileClass::Search;
    let sent = sent.filter(|_| searchable);
    let ids = ChosenIds {
        client_id: String::new(),
        client_secret: random_secret(),
    };
    let prepared = driver.prepare(access.site(), sent.ok_or_else(unknown)?, &ids);
    let prepared = prepared.map_err(|failure| refused(&failure))?;
    match driver.reconcile(&access.session(spool), &prepared).await {
        Ok(Reconciled::Registered(registered)) => Ok(*registered),
        Ok(Reconciled::NotThere) => Err(conflict(
            "orphan_not_there",
            "There is no client with this mark at the identity provider; dismiss the orphan.",
        )),
        Ok(Reconciled::Unknown) => Err(unknown().into()),
        Err(failure) => Err(refused(&failure).into()),
    }
}

pub(super) fn check_manageable(
    access: &Access,
    spool: &AnswerSpool,
    known: &KnownClient,
) -> Result<(), Error> {
    match access.driver().can_manage(&access.session(spool), known) {
        true => Ok(()),
        false => Err(Error::field(
            "registration_access_token",
            "registration_access_token_missing",
            "`registration_access_token` and `registration_client_uri` must be given: nothing at hand \
             allows to manage this client.",
        )),
    }
}

pub(super) async fn read(
    access: &Access,
    spool: &AnswerSpool,
    known: &KnownClient,
) -> Result<RegisteredClient, Stop> {
    let session = access.session(spool).about(known);
    match access.driver().read(&session, known).await {
        Ok(registered) => Ok(registered),
        Err(failure) if failure.disposition == Disposition::Gone => Err(conflict(
            "orphan_not_there",
            "There is no such client at the identity provider; dismiss the orphan.",
        )),
        Err(failure) => Err(refused(&failure).into()),
    }
}

/// Nobody knows the secret that the client has.
pub(super) async fn new_secret(
    access: &Access,
    spool: &AnswerSpool,
    known: &KnownClient,
) -> Result<(Option<Secret>, RegisteredClient), Stop> {
    let chosen = random_secret();
    let session = access.session(spool).about(known);
    let rotated = access.driver().rotate_secret(&session, known, &chosen);
    match rotated.await {
        Ok(rotated) => {
            let secret = rotated.client_secret.clone().unwrap_or(chosen);
            Ok((Some(secret), rotated))
        }
        Err(failure) if failure.code == "secret_rotation_unsupported" => Err(conflict(
            "orphan_not_adoptable",
            "This identity provider has no way to give the client a new secret, and nobody knows the one it has; \
             delete the orphan instead.",
        )),
        Err(failure) => Err(refused(&failure).into()),
    }
}

pub(super) fn conflict(code: &'static str, message: impl Into<String>) -> Stop {
    Error::new(Kind::Conflict, code, message).into()
}

/// Whether the client is the one that was asked for: by its mark, which lasts as long as the client. Where the provider
/// keeps no mark, by the application's name; once that is erased it says nothing, as every erased one reads alike.
pub(super) fn is_ours(sent: &Sent, found: &RegisteredClient) -> bool {
    let (marker, granted) = (&sent.client.marker, &found.granted);
    let is_marked = match &found.marker {
        Some(found) => found == marker,
        // A provider may keep one of the two.
        None => {
            granted.text("software_id") == Some(marker.id.as_str())
                && granted.text("software_version").is_none()
        }
    };
    let name = granted.text("client_name").unwrap_or_default();
    is_marked || (!sent.erased && found.marker.is_none() && name == sent.client.client_name())
}

/// The error that an admin gets when the provider refuses.
pub(crate) fn refused(failure: &Failure) -> Error {
    let kind = match failure.disposition {
        Disposition::Retry => Kind::Unavailable,
        _ => Kind::Conflict,
    };
    Error::new(
        kind,
        "provider_refused",
        format!(
            "The identity provider refused ({}): {}",
            failure.code, failure.description
        ),
    )
}
