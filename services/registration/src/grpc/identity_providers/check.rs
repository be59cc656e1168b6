//! The well-known document: verified before it is stored, and the connection test.

use portico_proto::{Error, registration::v1 as api};
use portico_runtime::{Call, Problems, parse_id, store_error};
use tonic::Request;
use url::Url;

use super::{Grpc, draft_of, kind_of};
use crate::grpc::refusal::access_error;
use crate::identity_provider::{
    Draft, IdentityProvider, Location, ManagementRef, Options, ProviderType, Settings,
};
use crate::providers::access::{self, Access, NoSpool, Unsaved};
use crate::providers::check::{self, Check, CheckStep, Outcome};
use crate::providers::discovery::{DiscoveryError, Overrides};
use crate::providers::session::Fetch;

/// An admin. Nothing is stored, also not where settings are given: their name does not matter here. What the portal
/// authorizes itself with is tried where that uses nothing up.
pub(crate) async fn check_identity_provider(
    grpc: &Grpc,
    request: Request<api::CheckIdentityProviderRequest>,
) -> Result<api::CheckIdentityProviderResponse, Error> {
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
            let provider = grpc.store.load::<IdentityProvider>(id).await;
            let provider = provider.map_err(store_error)?.state;
            let access = access::open(&grpc.deps, &grpc.vault, id, &provider).await;
            stored(&access.map_err(access_error)?).await
        }
        Some(Subject::Settings(settings)) => unsaved(grpc, settings).await?,
    };
    let ok = steps.iter().all(|step| step.outcome != Outcome::Failed);
    let steps = steps.into_iter().map(|step| api::CheckStep {
        name: step.name.to_owned(),
        outcome: step.outcome.as_str().to_owned(),
        detail: step.detail,
    });
    Ok(api::CheckIdentityProviderResponse {
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
    steps.push(check::tls(access.fetch()));
    steps
}

async fn unsaved(
    grpc: &Grpc,
    settings: api::CreateIdentityProviderRequest,
) -> Result<Vec<CheckStep>, Error> {
    let mut problems = Problems::default();
    let kind = kind_of(&mut problems, &settings.r#type);
    let draft = draft_of(api::CreateIdentityProviderRequest {
        name: "to be tried".into(),
        ..settings
    });
    let draft = draft.checked(problems)?;
    let found = run(grpc, &Document::of(&draft, None)).await;
    let mut steps = found.steps;
    let document = Document::of(&draft, None);
    match found.endpoints {
        Some(endpoints) => {
            let access = access_of(grpc, kind, &draft, document.located(endpoints))?;
            steps.push(authorization(&access, true).await);
        }
        None => steps.push(skipped()),
    }
    steps.push(check::tls(document.fetch(grpc)));
    Ok(steps)
}

fn access_of(
    grpc: &Grpc,
    kind: ProviderType,
    draft: &Draft,
    location: Location,
) -> Result<Access, Error> {
    let given = |secret: Option<&portico_vault::Secret>| {
        secret.filter(|secret| !secret.is_empty()).cloned()
    };
    let management = draft.management(None)?.map(|(client_id, _)| client_id);
    let settings = Settings {
        name: String::new(),
        kind,
        location,
        scope_claim: String::new(),
        management: management.map(ManagementRef::unknown),
        authorization: draft.authorization(None),
        options: draft.options(&Options::default()),
        software_statement: None,
    };
    Ok(Access::unsaved(
        &grpc.deps,
        settings,
        Unsaved {
            token: given(draft.token()?),
            management_secret: draft.management_client_secret.clone(),
            software_statement: given(draft.software_statement.as_ref()),
        },
    ))
}

async fn authorization(access: &Access, found: bool) -> CheckStep {
    if !found {
        return skipped();
    }
    let missing = access.missing().map(|missing| missing.right);
    check::authorization(access.driver(), &access.session(&NoSpool), missing).await
}

fn skipped() -> CheckStep {
    CheckStep {
        name: "authorization",
        outcome: Outcome::Skipped,
        detail: String::new(),
    }
}

/// Fetches and verifies the document that a draft names, or the one before with what the draft says of its document.
pub(super) async fn verified(
    grpc: &Grpc,
    draft: &Draft,
    before: Option<&Location>,
) -> Result<Location, Error> {
    let document = Document::of(draft, before);
    let refuse = |field, code, why: String| Error::field(field, code, format!("`{field}`: {why}."));
    if document.well_known_url.is_empty() {
        let right = "give the URL of the well-known document".to_owned();
        return Err(refuse("well_known_url", "well_known_url_missing", right));
    }
    let result = run(grpc, &document).await;
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

/// Where the document is, and how it is fetched.
struct Document {
    well_known_url: String,
    skip_tls_verify: bool,
    trusted_certificates: String,
    allowed_origins: Vec<String>,
    registration_endpoint: Option<Url>,
}

impl Document {
    fn of(draft: &Draft, before: Option<&Location>) -> Self {
        let text = |new: &Option<String>, before: Option<&String>| {
            new.as_ref().or(before).cloned().unwrap_or_default()
        };
        Self {
            well_known_url: text(
                &draft.well_known_url,
                before.map(|before| &before.well_known_url),
            ),
            skip_tls_verify: draft
                .skip_tls_verify
                .or(before.map(|before| before.skip_tls_verify))
                .unwrap_or_default(),
            trusted_certificates: text(
                &draft.trusted_certificates,
                before.map(|before| &before.trusted_certificates),
            ),
            allowed_origins: draft
                .allowed_origins
                .as_ref()
                .or(before.map(|before| &before.endpoints.allowed_origins))
                .cloned()
                .unwrap_or_default(),
            registration_endpoint: match &draft.registration_endpoint_override {
                Some(given) => given.parse().ok(),
                None => before
                    .and_then(|before| before.endpoints.registration_endpoint_override.clone()),
            },
        }
    }

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

    fn located(&self, endpoints: crate::identity_provider::Endpoints) -> Location {
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
