//! Messages of services as templates see them: in their REST form, with what pages need beside it.

use minijinja::{Value, context, value::Serde};
use portico_proto::{
    access::v1::{AccessRequest, Application, RequestedItem},
    catalog::v1::{Plan, Product, ProductStatus},
    gateway::v1::{ApiKey, ApiKeyStatus, OpenedApi},
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
    context! {
        id => &from.id,
        name => &from.name,
        description => &from.description,
        redirect_urls => &from.redirect_urls,
        owner_id => &from.owner_id,
        suspended => from.suspended,
        version => &from.version,
        created_at => &from.created_at,
    }
}

/// What the API says of a step or status, without its codes: a failure is `code: message` there, and the end of access
/// a code alone.
fn for_people(step: &str, text: &str) -> String {
    let is_code = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    match (step, text) {
        ("deprovisioned", "client_deleted") => "The OAuth client was deleted.".to_owned(),
        ("deprovisioned", "scopes_removed") => {
            "Its scopes were removed from the OAuth client.".to_owned()
        }
        ("failed", text) => match text.split_once(": ") {
            Some((code, message)) if is_code(code) => message.to_owned(),
            _ if is_code(text) => text.replace('_', " "),
            _ => text.to_owned(),
        },
        _ => text.to_owned(),
    }
}

/// A request; the names of people come from `name`, which is given a user's id.
pub(super) fn access_request(from: &AccessRequest, name: impl Fn(&str) -> String) -> Value {
    let timeline: Vec<Value> = from
        .timeline
        .iter()
        .map(|entry| {
            let detail = for_people(&entry.step, &entry.detail);
            context! { step => &entry.step, at => &entry.at, by => name(&entry.by), detail => detail }
        })
        .collect();
    context! {
        id => &from.id,
        status => &from.status,
        application_id => &from.application_id,
        application_name => &from.application_name,
        requester => name(&from.requester_id),
        requester_id => &from.requester_id,
        items => from.items.iter().map(item).collect::<Vec<_>>(),
        products => from.items.iter().map(|item| item.product_name.as_str()).collect::<Vec<_>>().join(", "),
        api_key => from.credential == "api_key",
        note => &from.note,
        reason => for_people(&from.status, &from.reason),
        next_try_at => &from.next_try_at,
        timeline,
        version => &from.version,
        created_at => &from.created_at,
        updated_at => &from.updated_at,
        under_way => matches!(from.status.as_str(), "approved" | "provisioning"),
    }
}

fn item(from: &RequestedItem) -> Value {
    context! {
        product_id => &from.product_id,
        product_name => &from.product_name,
        plan_name => &from.plan_name,
        scopes => from.product_scopes.iter().chain(&from.plan_scopes).cloned().collect::<Vec<_>>(),
    }
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
    use super::{every, for_people};

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
        let failed = |text| for_people("failed", text);
        assert_eq!(
            failed("scope_unknown: \"a: b\" is not known"),
            "\"a: b\" is not known"
        );
        assert_eq!(failed("timed_out"), "timed out");
        assert_eq!(failed("No such scope: a"), "No such scope: a");
        assert_eq!(
            for_people("deprovisioned", "client_deleted"),
            "The OAuth client was deleted."
        );
        // What a person wrote stays as it is.
        assert_eq!(for_people("rejected", "no: not now"), "no: not now");
        assert_eq!(for_people("registered", "client_1"), "client_1");
    }
}
