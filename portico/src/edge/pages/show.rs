//! Messages of services as templates see them: in their REST form, with what pages need beside it.

use minijinja::{Value, context, value::Serde};
use portico_proto::{
    access::v1::{
        AccessRequest, AccessRequestStatus, CredentialKind, RequestedItem, TimelineEntry,
        TimelineStep,
    },
    catalog::v1::{Plan, Product, ProductStatus},
    gateway::v1::{ApiKey, ApiKeyStatus, OpenedApi},
    notification::v1::Delivery,
    operations::v1::{DriftItem, DriftPlace},
    registration::v1::{
        ConformanceCheck, ConformanceStatus, IdentityProvider, OauthClient, OauthClientStatus,
    },
    time,
};

use super::field_errors;
use crate::edge::{curl::call_with_key, rest::preview::Preview};

pub(super) fn product(from: &Product) -> Value {
    let published = from.status() == ProductStatus::Published;
    context! {
        scopes => &from.scopes,
        orderable => published && (from.dcr_enabled || !from.apis.is_empty()),
        ..Value::from(Serde(from))
    }
}

pub(super) fn plan(from: &Plan) -> Value {
    let rate = from.rate.map(|rate| {
        let every = every(rate.per_seconds);
        context! { requests => rate.requests, per_seconds => rate.per_seconds, every }
    });
    let quota = from.quota.map(|quota| {
        let every = every(quota.renews_every_seconds);
        context! { requests => quota.requests, renews_every_seconds => quota.renews_every_seconds, every }
    });
    context! { scopes => &from.scopes, rate, quota, ..Value::from(Serde(from)) }
}

/// A length of time in words.
pub(super) fn every(seconds: u64) -> String {
    match seconds {
        1 => "second".to_owned(),
        60 => "minute".to_owned(),
        3600 => "hour".to_owned(),
        86_400 => "day".to_owned(),
        other if other > 0 && other.is_multiple_of(86_400) => format!("{} days", other / 86_400),
        other if other > 0 && other.is_multiple_of(3600) => format!("{} hours", other / 3600),
        other if other > 0 && other.is_multiple_of(60) => format!("{} minutes", other / 60),
        other => format!("{other} seconds"),
    }
}

/// A failure, which is `code: message` for programs, without its code.
fn failure(text: &str) -> String {
    let is_code = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    match text.split_once(": ") {
        Some((code, message)) if is_code(code) => message.to_owned(),
        _ if is_code(text) => text.replace('_', " "),
        _ => text.to_owned(),
    }
}

/// The detail of a step, without the codes that programs read.
fn detail(entry: &TimelineEntry) -> String {
    match (entry.step(), entry.detail.as_str()) {
        (TimelineStep::Deprovisioned, "client_deleted") => {
            "The OAuth client was deleted.".to_owned()
        }
        (TimelineStep::Deprovisioned, "scopes_removed") => {
            "Its scopes were removed from the OAuth client.".to_owned()
        }
        (TimelineStep::Failed, text) => failure(text),
        (_, text) => text.to_owned(),
    }
}

/// A request; the names of people come from `name`, which is given a user's id.
pub(super) fn access_request(from: &AccessRequest, name: impl Fn(&str) -> String) -> Value {
    let entry = |entry: &TimelineEntry| {
        context! { by => name(&entry.by), detail => detail(entry), ..Value::from(Serde(entry)) }
    };
    let reason = match from.status() {
        AccessRequestStatus::Failed => failure(from.reason()),
        _ => from.reason().to_owned(),
    };
    let products: Vec<&str> = from
        .items
        .iter()
        .map(|item| item.product_name.as_str())
        .collect();
    context! {
        requester => name(&from.requester_id),
        items => from.items.iter().map(item).collect::<Vec<_>>(),
        products => products.join(", "),
        api_key => from.credential() == CredentialKind::ApiKey,
        reason,
        failure => from.failure.as_deref().map(failure),
        timeline => from.timeline.iter().map(entry).collect::<Vec<_>>(),
        tokens_issued_before => time::text(tokens_issued_before(from).as_ref()),
        admin_suspended => is_suspended_by_admin(from),
        under_way => matches!(
            from.status(),
            AccessRequestStatus::Approved | AccessRequestStatus::Provisioning
        ),
        ..Value::from(Serde(from))
    }
}

/// Since when no token gets the scopes of access that was taken away; an API key does not outlast it.
fn tokens_issued_before(from: &AccessRequest) -> Option<time::Timestamp> {
    use TimelineStep::{AccountSuspended, ClientSuspended, Deprovisioned, Revoked, Suspended};
    let taken_away = matches!(
        from.status(),
        AccessRequestStatus::Suspended | AccessRequestStatus::Revoked
    );
    let ends = |entry: &&TimelineEntry| {
        matches!(
            entry.step(),
            Suspended | AccountSuspended | ClientSuspended | Revoked | Deprovisioned
        )
    };
    if !taken_away || from.credential() != CredentialKind::OauthClient {
        return None;
    }
    from.timeline.iter().rev().find(ends)?.at
}

/// Whether an admin has suspended the access itself, also where it is suspended with the account as well.
fn is_suspended_by_admin(from: &AccessRequest) -> bool {
    use TimelineStep::{Resumed, Suspended};
    let mut steps = from.timeline.iter().rev().map(TimelineEntry::step);
    let last = steps.find(|step| matches!(step, Suspended | Resumed));
    from.status() == AccessRequestStatus::Suspended && last == Some(Suspended)
}

fn item(from: &RequestedItem) -> Value {
    let scopes = from.product_scopes.iter().chain(&from.plan_scopes);
    context! { scopes => scopes.cloned().collect::<Vec<_>>(), ..Value::from(Serde(from)) }
}

pub(super) fn oauth_client(from: &OauthClient) -> Value {
    use OauthClientStatus::{Deleting, Registering, Updating, Waiting};
    context! {
        scopes => &from.scopes,
        wanted_scopes => &from.wanted_scopes,
        under_way => matches!(from.status(), Waiting | Registering | Updating | Deleting),
        ..Value::from(Serde(from))
    }
}

/// An API key; with the key itself only where it was just revealed.
pub(super) fn api_key(from: &ApiKey, key: Option<&str>) -> Value {
    let call = |api: &OpenedApi| {
        let name = match api.name.as_str() {
            "" => from.product_name.as_str(),
            name => name,
        };
        let url = api.url.as_deref()?;
        let command = call_with_key(url, &api.header_name, key);
        Some(context! { name, url, command })
    };
    let under_way = matches!(
        from.status(),
        ApiKeyStatus::Waiting | ApiKeyStatus::Replacing | ApiKeyStatus::Deleting
    );
    let calls: Vec<Value> = from.apis.iter().filter_map(call).collect();
    context! { calls, key, under_way, ..Value::from(Serde(from)) }
}

pub(super) fn identity_provider(from: &IdentityProvider) -> Value {
    let warnings = from
        .warnings
        .iter()
        .map(|warning| field_errors::for_people(warning));
    context! {
        allowed_origins => from.allowed_origins.join("\n"),
        warnings => warnings.collect::<Vec<_>>(),
        ..Value::from(Serde(from))
    }
}

pub(super) fn preview(from: &Preview) -> Value {
    context! {
        action => &from.action,
        method => &from.method,
        endpoint => &from.endpoint,
        payload => serde_json::to_string_pretty(&from.payload).unwrap_or_default(),
        scopes_missing => &from.scopes_missing_at_provider,
        mapping_changes => &from.mapping_changes,
        obstacles => &from.obstacles,
        incomplete => &from.incomplete,
    }
}

pub(super) fn delivery(from: &Delivery, name: impl Fn(&str) -> String) -> Value {
    context! { recipient => name(&from.recipient_id), ..Value::from(Serde(from)) }
}

pub(super) fn drift(from: &DriftItem) -> Value {
    let at_provider = from.place() == DriftPlace::IdentityProvider;
    context! { at_provider, ..Value::from(Serde(from)) }
}

pub(super) fn conformance(from: &ConformanceCheck) -> Value {
    let under_way = from.status() == ConformanceStatus::Running;
    context! { under_way, ..Value::from(Serde(from)) }
}

/// JSON on several lines; empty where there is none.
pub(super) fn pretty(json: &str) -> String {
    let value = serde_json::from_str::<serde_json::Value>(json);
    let text = value.and_then(|value| serde_json::to_string_pretty(&value));
    text.unwrap_or_else(|_| json.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{TimelineEntry, TimelineStep, detail, every, failure};

    #[test]
    fn lengths_of_time_in_words() {
        for (seconds, words) in [
            (1, "second"),
            (60, "minute"),
            (86_400, "day"),
            (120, "2 minutes"),
            (7200, "2 hours"),
            (172_800, "2 days"),
            (90, "90 seconds"),
            (0, "0 seconds"),
        ] {
            assert_eq!(every(seconds), words);
        }
    }

    #[test]
    fn codes_are_for_programs() {
        assert_eq!(
            failure("scope_unknown: \"a: b\" is not known"),
            "\"a: b\" is not known"
        );
        assert_eq!(failure("timed_out"), "timed out");
        assert_eq!(failure("No such scope: a"), "No such scope: a");
        let shown = |step: TimelineStep, text: &str| {
            detail(&TimelineEntry {
                step: step.into(),
                detail: text.to_owned(),
                ..TimelineEntry::default()
            })
        };
        assert_eq!(
            shown(TimelineStep::Deprovisioned, "client_deleted"),
            "The OAuth client was deleted."
        );
        // What a person wrote stays as it is.
        assert_eq!(shown(TimelineStep::Rejected, "no: not now"), "no: not now");
        assert_eq!(shown(TimelineStep::Registered, "client_1"), "client_1");
    }
}
