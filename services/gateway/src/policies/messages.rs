//! What is in the messages. One that cannot be read is poison: it is parked with the reason.

use portico_bus::Message;
use portico_eventstore::consumer::PolicyError;
use portico_proto::access::v1 as access;
use portico_proto::access::v1::wanted_access;
use portico_proto::catalog::v1 as catalog;
use portico_proto::registration::v1 as registration;
use portico_runtime::messages::{decode, header, id};
use uuid::Uuid;

use crate::entitlement::{Credential, Wanted, WantedState};
use crate::item::{CatalogueChange, Item};
use crate::known::{Application, Provider};

/// Every message that brings a revision holds all that is wanted, and little else.
pub(super) fn wanted(message: &Message) -> Result<(Uuid, Wanted), PolicyError> {
    let wanted = match message.subject.as_str() {
        "portico.access.access_approved" => decode::<access::AccessApproved>(message)?.wanted,
        "portico.access.access_retried" => decode::<access::AccessRetried>(message)?.wanted,
        "portico.access.access_suspended" => decode::<access::AccessSuspended>(message)?.wanted,
        "portico.access.access_resumed" => decode::<access::AccessResumed>(message)?.wanted,
        "portico.access.access_revoked" => decode::<access::AccessRevoked>(message)?.wanted,
        "portico.access.access_scopes_changed" => {
            decode::<access::AccessScopesChanged>(message)?.wanted
        }
        other => return Err(PolicyError::Poison(format!("nobody asked for {other}"))),
    };
    let wanted = wanted.ok_or_else(|| missing("wanted"))?;
    let state = match wanted.state() {
        wanted_access::State::Granted => WantedState::Granted,
        wanted_access::State::Suspended => WantedState::Suspended,
        wanted_access::State::Revoked => WantedState::Revoked,
        wanted_access::State::Unspecified => return Err(missing("state")),
    };
    let credential = match wanted.credential {
        Some(wanted_access::Credential::OauthClient(client)) => Credential::OauthClient {
            identity_provider_id: id("identity_provider_id", &client.identity_provider_id)?,
        },
        Some(wanted_access::Credential::ApiKey(_)) => Credential::ApiKey,
        None => return Err(missing("credential")),
    };
    let request = id("request_id", &wanted.request_id)?;
    let wanted = Wanted {
        revision: wanted.revision,
        state,
        credential,
        application_id: id("application_id", &wanted.application_id)?,
        application: Application {
            suspended: wanted.application_suspended,
            as_of: header(message, "position")?,
        },
        items: wanted.items.into_iter().map(Item::from).collect(),
    };
    Ok((request, wanted))
}

pub(super) fn application(message: &Message) -> Result<(Uuid, Application), PolicyError> {
    let changed: access::ApplicationChanged = decode(message)?;
    let application = Application {
        suspended: changed.suspended,
        as_of: header(message, "position")?,
    };
    Ok((id("application_id", &changed.application_id)?, application))
}

pub(super) fn provider(message: &Message) -> Result<(Uuid, Provider), PolicyError> {
    let changed: registration::IdentityProviderChanged = decode(message)?;
    let provider = Provider {
        version: changed.version,
        name: changed.name,
        issuer: changed.issuer,
        jwks_uri: changed.jwks_uri,
        scope_claim: changed.scope_claim,
    };
    Ok((
        id("identity_provider_id", &changed.identity_provider_id)?,
        provider,
    ))
}

/// `None` where the message says nothing of a product or plan.
pub(super) fn catalogue_change(message: &Message) -> Result<Option<CatalogueChange>, PolicyError> {
    let product = |product: Option<catalog::Product>| {
        product.map(|product| CatalogueChange::Product(product.into()))
    };
    Ok(match message.subject.as_str() {
        "portico.catalog.product_published" => {
            product(decode::<catalog::ProductPublished>(message)?.product)
        }
        "portico.catalog.product_changed" => {
            product(decode::<catalog::ProductChanged>(message)?.product)
        }
        "portico.catalog.product_deleted" => Some(CatalogueChange::ProductDeleted {
            product_id: decode::<catalog::ProductDeleted>(message)?.product_id,
        }),
        "portico.catalog.plan_changed" => {
            let plan = decode::<catalog::PlanChanged>(message)?.plan;
            plan.map(|plan| CatalogueChange::Plan(plan.into()))
        }
        other => return Err(PolicyError::Poison(format!("nobody asked for {other}"))),
    })
}

fn missing(what: &str) -> PolicyError {
    PolicyError::Poison(format!("{what} is missing"))
}
