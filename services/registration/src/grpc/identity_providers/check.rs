//! The well-known document: verified before it is stored, and the connection test.

use portico_proto::{Error, registration::v1 as api};
use portico_runtime::{Call, Problems, parse_id, store_error};
use tonic::Request;

use super::{Grpc, draft_of, kind_of};
use crate::identity_provider::{self, Draft, Location};
use crate::providers::check::{Check, Outcome, check};
use crate::providers::session::Fetch;

/// An admin. Nothing is stored, also not where settings are given: their name and tokens do not matter here. An
/// initial access token cannot be tried without using it up.
pub(crate) async fn check_identity_provider(
    grpc: &Grpc,
    request: Request<api::CheckIdentityProviderRequest>,
) -> Result<api::CheckIdentityProviderResponse, Error> {
    use api::check_identity_provider_request::Subject;
    let call = Call::of(&request, "check_identity_provider", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let (url, skip_tls_verify) = match request.into_inner().subject {
        None => {
            return Err(Error::field(
                "id",
                "subject_missing",
                "Give the `id` of an identity provider, or its `settings`.",
            ));
        }
        Some(Subject::Id(id)) => {
            let id = parse_id("id", &id)?;
            let loaded = identity_provider::load(&grpc.store, id)
                .await
                .map_err(store_error)?;
            let location = loaded.state.present()?.location.clone();
            (location.well_known_url, location.skip_tls_verify)
        }
        Some(Subject::Settings(settings)) => {
            let mut problems = Problems::default();
            kind_of(&mut problems, &settings.r#type);
            problems.into_result()?;
            let draft = draft_of(settings);
            let url = draft.well_known_url.unwrap_or_default();
            (url, draft.skip_tls_verify.unwrap_or_default())
        }
    };
    let result = run(grpc, &url, skip_tls_verify).await;
    let ok = result.ok();
    let steps = result.steps.into_iter().map(|step| api::CheckStep {
        name: step.name.to_owned(),
        outcome: step.outcome.as_str().to_owned(),
        detail: step.detail,
    });
    Ok(api::CheckIdentityProviderResponse {
        ok,
        steps: steps.collect(),
    })
}

/// Fetches and verifies the document that a draft names, or the one before with the draft's TLS setting.
pub(super) async fn verified(
    grpc: &Grpc,
    draft: &Draft,
    before: Option<&Location>,
) -> Result<Location, Error> {
    let known = before.map(|before| before.well_known_url.clone());
    let well_known_url = draft.well_known_url.clone().or(known).unwrap_or_default();
    let skip_tls_verify = draft
        .skip_tls_verify
        .or(before.map(|before| before.skip_tls_verify))
        .unwrap_or_default();
    let refuse = |code, why: String| {
        Error::field("well_known_url", code, format!("`well_known_url`: {why}."))
    };
    if well_known_url.is_empty() {
        let right = "give the URL of the well-known document";
        return Err(refuse("well_known_url_missing", right.to_owned()));
    }
    let result = run(grpc, &well_known_url, skip_tls_verify).await;
    if let Some(error) = &result.error {
        return Err(refuse(error.code(), error.to_string()));
    }
    let failed = result
        .steps
        .iter()
        .find(|step| step.outcome == Outcome::Failed);
    if let Some(step) = failed {
        return Err(refuse("jwks_unusable", step.detail.clone()));
    }
    let endpoints = result.endpoints.ok_or_else(Error::internal)?;
    Ok(Location {
        well_known_url,
        skip_tls_verify,
        endpoints,
    })
}

async fn run(grpc: &Grpc, url: &str, skip_tls_verify: bool) -> Check {
    let fetch = Fetch {
        outgoing: &grpc.deps.outgoing,
        skip_tls_verify,
    };
    check(fetch, url.trim(), &[]).await
}
