//! The well-known document: verified before it is stored, and the connection test.

use portico_proto::{Error, registration::v1 as api};
use portico_runtime::{Call, parse_id};
use tonic::Request;

use super::Grpc;
use super::draft::{Document, Draft};
use crate::grpc::refusal::access_error;
use crate::identity_provider::{Endpoints, IdentityProvider, Location};
use crate::providers::access::{self, Access, NoSpool, Unsaved};
use crate::providers::check::{self, Check, CheckStep, Outcome};
use crate::providers::discovery::{DiscoveryError, Overrides};
use crate::providers::session::Fetch;
use crate::wire;

/// An admin. Nothing is stored, also not where settings are given: their name does not matter here. What the portal
/// authorizes itself with is tried where that uses nothing up.
pub(crate) async fn check_identity_provider(
    grpc: &Grpc,
    request: Request<api::CheckIdentityProviderRequest>,
) -> Result<api::ConnectionCheck, Error> {
    use api::check_identity_provider_request::Subject;
    let call = Call::of(&request, "check_identity_provider", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let steps = match request.into_inner().subject {
        None => {
            return Err(Error::field(
                "id",
                "subject_missing",
                "Give the `id` of an identity provider, or its `settings`.",
            ));
        }
        Some(Subject::Id(id)) => {
            let id = parse_id("id", &id)?;
            let provider = grpc.load::<IdentityProvider>(id).await?;
            let access = access::open(&grpc.deps, &grpc.vault, id, &provider).await;
            stored(&access.map_err(access_error)?).await
        }
        Some(Subject::Settings(settings)) => unsaved(grpc, settings).await?,
    };
    let ok = steps.iter().all(|step| step.outcome != Outcome::Failed);
    let steps = steps.into_iter().map(|step| api::ConnectionCheckStep {
        name: wire::word::<api::CheckedPart>(step.name),
        outcome: wire::word::<api::CheckOutcome>(step.outcome.as_str()),
        detail: wire::given(step.detail),
    });
    Ok(api::ConnectionCheck {
        ok,
        steps: steps.collect(),
    })
}

async fn stored(access: &Access) -> Vec<CheckStep> {
    let location = &access.settings.location;
    let found = check::check(
        access.fetch(),
        &location.well_known_url,
        location.endpoints.overrides(),
    )
    .await;
    let mut steps = found.steps;
    steps.push(authorization(access, found.endpoints.is_some()).await);
    steps.push(check::tls(access.fetch(), &location.well_known_url));
    steps
}

async fn unsaved(grpc: &Grpc, settings: api::IdentityProvider) -> Result<Vec<CheckStep>, Error> {
    let settings = api::IdentityProvider {
        name: "to be tried".into(),
        ..settings
    };
    let draft = Draft::read(settings, None, None)?;
    let found = run(grpc, &draft.document).await;
    let mut steps = found.steps;
    match found.endpoints {
        Some(endpoints) => {
            let secrets = Unsaved {
                token: draft.token.secret().cloned(),
                management_secret: draft.management_secret.clone(),
                software_statement: draft.software_statement.secret().cloned(),
            };
            let settings = draft.settings(draft.document.located(endpoints));
            let access = Access::unsaved(&grpc.deps, settings, secrets);
            steps.push(authorization(&access, true).await);
        }
        None => steps.push(skipped()),
    }
    let url = &draft.document.well_known_url;
    steps.push(check::tls(draft.document.fetch(grpc), url));
    Ok(steps)
}

async fn authorization(access: &Access, found: bool) -> CheckStep {
    if !found {
        return skipped();
    }
    let missing = access.missing().map(|missing| missing.right);
    check::authorization(access.driver(), &access.session(&NoSpool), missing).await
}

fn skipped() -> CheckStep {
    CheckStep::new("authorization", Outcome::Skipped, "")
}

/// Fetches and verifies the document.
pub(super) async fn verified(
    grpc: &Grpc,
    document: &Document,
    before: Option<&Location>,
) -> Result<Location, Error> {
    let refuse = |field, code, why: String| Error::field(field, code, format!("`{field}`: {why}."));
    if document.well_known_url.is_empty() {
        let right = "give the URL of the well-known document".to_owned();
        return Err(refuse("well_known_url", "well_known_url_missing", right));
    }
    let result = run(grpc, document).await;
    if let Some(error) = &result.error {
        return Err(refuse(
            document.field_of(error),
            error.code(),
            error.to_string(),
        ));
    }
    let failed = result
        .steps
        .iter()
        .find(|step| step.outcome == Outcome::Failed);
    if let Some(step) = failed {
        return Err(refuse(
            "well_known_url",
            "jwks_unusable",
            step.detail.clone(),
        ));
    }
    if document.skip_tls_verify && before.is_none_or(|before| !before.skip_tls_verify) {
        tracing::warn!(
            well_known_url = document.well_known_url,
            "TLS certificates of an identity provider are not verified from now on"
        );
    }
    Ok(document.located(result.endpoints.ok_or_else(Error::internal)?))
}

impl Document {
    fn overrides(&self) -> Overrides<'_> {
        Overrides {
            allowed_origins: &self.allowed_origins,
            registration_endpoint: self.registration_endpoint.as_ref(),
        }
    }

    /// The setting that is to blame.
    fn field_of(&self, error: &DiscoveryError) -> &'static str {
        match error {
            DiscoveryError::EndpointForeignOrigin {
                member: "registration_endpoint",
                ..
            } if self.registration_endpoint.is_some() => "registration_endpoint_override",
            _ => "well_known_url",
        }
    }

    fn fetch<'a>(&'a self, grpc: &'a Grpc) -> Fetch<'a> {
        Fetch {
            outgoing: &grpc.deps.outgoing,
            skip_tls_verify: self.skip_tls_verify,
            trusted_certificates: &self.trusted_certificates,
        }
    }

    fn located(&self, endpoints: Endpoints) -> Location {
        Location {
            well_known_url: self.well_known_url.clone(),
            skip_tls_verify: self.skip_tls_verify,
            trusted_certificates: self.trusted_certificates.clone(),
            endpoints,
        }
    }
}

async fn run(grpc: &Grpc, document: &Document) -> Check {
    check::check(
        document.fetch(grpc),
        &document.well_known_url,
        document.overrides(),
    )
    .await
}
