//! What is in the messages. One that cannot be read is poison: it is parked with the reason.

use std::collections::BTreeSet;

use portico_bus::Message;
use portico_eventstore::consumer::PolicyError;
use portico_proto::access::v1 as access;
use uuid::Uuid;

use crate::granted::{Api, Application, Item, Quota, Rate};
use crate::oauth_client::Granted;

pub(super) fn decode<M: prost::Message + Default>(message: &Message) -> Result<M, PolicyError> {
    M::decode(message.payload.clone()).map_err(|error| {
        PolicyError::Poison(format!("{} cannot be read: {error}", message.subject))
    })
}

/// Of the event in the access-request service's log: says which of two messages is newer.
pub(super) fn position(message: &Message) -> i64 {
    let position = message
        .headers
        .get("position")
        .and_then(|text| text.parse().ok());
    position.unwrap_or_default()
}

pub(super) fn id(field: &str, text: &str) -> Result<Uuid, PolicyError> {
    text.parse()
        .map_err(|_| PolicyError::Poison(format!("{field} is no id")))
}

pub(super) fn granted(
    approved: access::AccessApproved,
    as_of: i64,
) -> Result<Granted, PolicyError> {
    Ok(Granted {
        request_id: id("request_id", &approved.request_id)?,
        application_id: id("application_id", &approved.application_id)?,
        identity_provider_id: id("identity_provider_id", &approved.identity_provider_id)?,
        client_type_id: id("client_type_id", &approved.client_type_id)?,
        requester_id: approved.requester_id,
        application: Application {
            name: approved.application_name,
            redirect_urls: approved.redirect_urls,
            as_of,
            suspended: approved.application_suspended,
        },
        items: approved.items.into_iter().map(item).collect(),
    })
}

pub(super) fn item(item: access::ApprovedItem) -> Item {
    Item {
        product_id: item.product_id,
        product_name: item.product_name,
        product_scopes: BTreeSet::from_iter(item.product_scopes),
        product_policy_id: item.product_policy_id,
        apis: item.apis.into_iter().map(api).collect(),
        plan_id: item.plan_id,
        plan_name: item.plan_name,
        plan_scopes: BTreeSet::from_iter(item.plan_scopes),
        plan_policy_id: item.plan_policy_id,
        rate: item.rate.map(|rate| Rate {
            requests: rate.requests,
            per_seconds: rate.per_seconds,
        }),
        quota: item.quota.map(|quota| Quota {
            requests: quota.requests,
            renews_every_seconds: quota.renews_every_seconds,
        }),
        product_version: item.product_version,
        plan_version: item.plan_version,
    }
}

fn api(api: access::ApprovedApi) -> Api {
    Api {
        api_id: api.api_id,
        name: api.name,
        url: api.url,
        gateway_id: api.gateway_id,
    }
}
