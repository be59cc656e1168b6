//! Messages of services as templates see them: in their REST form, with what pages need beside it.

use minijinja::{Value, context, value::Serde};
use portico_proto::{
    access::v1::{
        AccessRequest, AccessRequestStatus, Application, CredentialKind, RequestedItem,
        TimelineEntry, TimelineStep,
    },
    catalog::v1::{Plan, Product, ProductStatus},
    gateway::v1::{ApiKey, Gateway},
    notification::v1::Delivery,
    operations::v1::DriftItem,
    registration::v1::{
        CheckIdentityProviderResponse, ClientType, ConformanceCheck, Difference, IdentityProvider,
        OauthClient, Orphan,
    },
};

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

pub(super) fn application(from: &Application) -> Value {
    Value::from(Serde(from))
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
        timeline => from.timeline.iter().map(entry).collect::<Vec<_>>(),
        under_way => matches!(
            from.status(),
            AccessRequestStatus::Approved | AccessRequestStatus::Provisioning
        ),
        ..Value::from(Serde(from))
    }
}

fn item(from: &RequestedItem) -> Value {
    let scopes = from.product_scopes.iter().chain(&from.plan_scopes);
    context! { scopes => scopes.cloned().collect::<Vec<_>>(), ..Value::from(Serde(from)) }
}

pub(super) fn client_type(from: &ClientType) -> Value {
    context! {
        id => &from.id,
        identity_provider_id => &from.identity_provider_id,
        identity_provider_name => &from.identity_provider_name,
        name => &from.name,
        description => &from.description,
        response_types => &from.response_types,
        grant_types => &from.grant_types,
        token_endpoint_auth_method => &from.token_endpoint_auth_method,
        okta_application_type => &from.okta_application_type,
        version => &from.version,
    }
}

pub(super) fn oauth_client(from: &OauthClient) -> Value {
    context! {
        id => &from.id,
        secret_expires_at => &from.client_secret_expires_at,
        old_secret_valid_until => &from.old_secret_valid_until,
        old_secret_error => &from.old_secret_error,
        has_registration_access_token => from.has_registration_access_token,
        warnings => &from.warnings,
        identity_provider_id => &from.identity_provider_id,
        identity_provider_name => &from.identity_provider_name,
        client_id => &from.client_id,
        status => &from.status,
        scopes => &from.scopes,
        wanted_scopes => &from.wanted_scopes,
        token_endpoint => &from.token_endpoint,
        differences => differences(&from.differences),
        last_error => &from.last_error,
        next_try_at => &from.next_try_at,
        under_way => matches!(from.status.as_str(), "waiting" | "registering" | "updating" | "deleting"),
    }
}

/// An API key; with the key itself only where it was just revealed.
pub(super) fn api_key(from: &ApiKey, key: Option<&str>) -> Value {
    let calls: Vec<Value> = from
        .apis
        .iter()
        .filter(|api| !api.url.is_empty())
        .map(|api| {
            let name = if api.name.is_empty() {
                &from.product_name
            } else {
                &api.name
            };
            let header = from
                .header_names
                .get(&api.api_id)
                .unwrap_or(&from.header_name);
            let command = call_with_key(&api.url, header, key);
            context! { name, url => &api.url, command }
        })
        .collect();
    context! {
        id => &from.id,
        request_id => &from.request_id,
        product_name => &from.product_name,
        plan_name => &from.plan_name,
        gateway_name => &from.gateway_name,
        status => &from.status,
        hash_prefix => &from.hash_prefix,
        created_at => &from.created_at,
        revealed_at => &from.revealed_at,
        version => &from.version,
        last_error => &from.last_error,
        next_try_at => &from.next_try_at,
        header_name => &from.header_name,
        calls,
        key,
        under_way => matches!(from.status.as_str(), "waiting" | "replacing" | "deleting"),
    }
}

fn differences(from: &[Difference]) -> Vec<Value> {
    from.iter()
        .map(|difference| {
            context! {
                member => &difference.member,
                asked => &difference.asked,
                granted => &difference.granted,
                consequence => &difference.consequence,
            }
        })
        .collect()
}

pub(super) fn identity_provider(from: &IdentityProvider) -> Value {
    context! {
        id => &from.id,
        name => &from.name,
        type => &from.r#type,
        well_known_url => &from.well_known_url,
        has_initial_access_token => &from.has_initial_access_token,
        scope_claim => &from.scope_claim,
        skip_tls_verify => &from.skip_tls_verify,
        issuer => &from.issuer,
        registration_endpoint => &from.registration_endpoint,
        token_endpoint => &from.token_endpoint,
        jwks_uri => &from.jwks_uri,
        scopes_supported => &from.scopes_supported,
        management_client_id => &from.management_client_id,
        authorization => &from.authorization,
        has_api_token => &from.has_api_token,
        management_scope => &from.management_scope,
        management_audience => &from.management_audience,
        management_auth_method => &from.management_auth_method,
        trusted_certificates => &from.trusted_certificates,
        allowed_origins => from.allowed_origins.join("\n"),
        registration_endpoint_override => &from.registration_endpoint_override,
        api_audience => &from.api_audience,
        client_template => &from.client_template,
        has_software_statement => &from.has_software_statement,
        warnings => &from.warnings,
        status => &from.status,
        status_reason => &from.status_reason,
        rotate_secrets_days_before => from.rotate_secrets_days_before,
        version => &from.version,
    }
}

pub(super) fn check(from: &CheckIdentityProviderResponse) -> Value {
    let steps: Vec<Value> = from
        .steps
        .iter()
        .map(|step| context! { name => &step.name, outcome => &step.outcome, detail => &step.detail })
        .collect();
    context! { ok => &from.ok, steps }
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

pub(super) fn gateway(from: &Gateway) -> Value {
    context! {
        id => &from.id,
        name => &from.name,
        type => &from.r#type,
        url => &from.url,
        org_id => &from.org_id,
        default_policy_id => &from.default_policy_id,
        status => &from.status,
        version => &from.version,
    }
}

pub(super) fn delivery(from: &Delivery, name: impl Fn(&str) -> String) -> Value {
    context! { recipient => name(&from.recipient_id), ..Value::from(Serde(from)) }
}

pub(super) fn drift(from: &DriftItem) -> Value {
    context! {
        at_provider => from.place == "identity_provider",
        place_id => &from.place_id,
        place_name => &from.place_name,
        kind => &from.kind,
        subject => &from.subject,
        member => &from.member,
        wanted => &from.wanted,
        found => &from.found,
        application_id => &from.application_id,
        repair => &from.repair,
        detail => &from.detail,
    }
}

pub(super) fn conformance(from: &ConformanceCheck) -> Value {
    let steps: Vec<Value> = from
        .steps
        .iter()
        .map(|step| context! { name => &step.name, outcome => &step.outcome, detail => &step.detail })
        .collect();
    context! {
        status => &from.status,
        started_at => &from.started_at,
        finished_at => &from.finished_at,
        steps,
        left_behind => &from.left_behind,
        under_way => from.status == "running",
    }
}

pub(super) fn orphan(from: &Orphan) -> Value {
    context! {
        identity_provider_id => &from.identity_provider_id,
        marker => &from.marker,
        application_id => &from.application_id,
        suspected_at => &from.suspected_at,
        reason => &from.reason,
        detail => &from.detail,
        client_id => &from.client_id,
        powerless => from.powerless,
        manageable => from.manageable,
        status => &from.status,
        resolved_at => &from.resolved_at,
        note => &from.note,
    }
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
