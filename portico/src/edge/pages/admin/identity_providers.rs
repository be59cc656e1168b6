//! Identity providers, with the test of a connection before it is saved.

use axum::{
    Router,
    extract::{Path, Query},
    routing::{get, post},
};
use minijinja::{Value, context, value::Serde};
use portico_proto::{
    Error,
    registration::v1::{
        CheckIdentityProviderRequest, CreateIdentityProviderRequest, DeleteIdentityProviderRequest,
        GetIdentityProviderRequest, IdentityProvider, IdentityProviderType, ListClientTypesRequest,
        ListIdentityProvidersRequest, RegistrationAuthorization, TokenEndpointAuthMethod,
        UpdateIdentityProviderRequest, check_identity_provider_request::Subject,
    },
    rest::{Enumeration as _, FieldMask, Message as _},
};

use super::super::{
    confirm::Question,
    form::{Form, Posted},
    lists::Listing,
    page::{PageResponse, done, mendable, refused, render},
    show,
};
use crate::edge::{Edge, problem::Result, request::RequestContext};

const EDIT: &str = "admin/identity_provider_edit.html";

pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/identity-providers", get(list))
        .route("/identity-providers/new", get(new).post(create))
        .route("/identity-providers/check", post(check_settings))
        .route("/identity-providers/{id}", get(one))
        .route("/identity-providers/{id}/check", post(check))
        .route("/identity-providers/{id}/edit", get(edit).post(save))
        .route("/identity-providers/{id}/token", post(replace_token))
        .route(
            "/identity-providers/{id}/delete",
            get(confirm_delete).post(delete),
        )
}

fn path(id: &str) -> String {
    format!("/admin/identity-providers/{id}")
}

async fn list(ctx: RequestContext, Query(listing): Query<Listing>) -> PageResponse {
    let request = ctx.request(ListIdentityProvidersRequest {
        after: listing.after.clone(),
        sort: listing.sort.clone(),
        q: listing.q.clone(),
        ..Default::default()
    });
    let page = ctx.registration().list_identity_providers(request).await?;
    let page = page.into_inner();
    let shown = context! {
        providers => page.identity_providers.iter().map(show::identity_provider).collect::<Vec<_>>(),
        list => listing.shown(&page.next),
    };
    render(&ctx, "admin/identity_providers.html", shown, None).await
}

pub(super) async fn find(ctx: &RequestContext, id: &str) -> Result<IdentityProvider> {
    let request = ctx.request(GetIdentityProviderRequest { id: id.to_owned() });
    let answer = ctx.registration().get_identity_provider(request).await?;
    Ok(answer.into_inner())
}

async fn one(ctx: RequestContext, Path(id): Path<String>) -> PageResponse {
    page(&ctx, &id, context! {}, None).await
}

async fn page(ctx: &RequestContext, id: &str, more: Value, error: Option<&Error>) -> PageResponse {
    let provider = find(ctx, id).await?;
    let request = ctx.request(ListClientTypesRequest {
        limit: 100,
        identity_provider_id: id.to_owned(),
        ..Default::default()
    });
    let types = ctx.registration().list_client_types(request).await?;
    let types = types.into_inner();
    let shown = context! {
        provider => show::identity_provider(&provider),
        client_types => Value::from(Serde(types.client_types)),
        ..more
    };
    render(ctx, "admin/identity_provider.html", shown, error).await
}

async fn new(ctx: RequestContext) -> PageResponse {
    let form = context! { type => "keycloak", scope_claim => "scope" };
    render(&ctx, EDIT, context! { form }, None).await
}

/// Secrets are never shown: a field that was left empty keeps what is stored.
const SECRETS: [&str; 4] = [
    "initial_access_token",
    "api_token",
    "management_client_secret",
    "software_statement",
];

fn settings(form: &Form) -> IdentityProvider {
    let kind = IdentityProviderType::from_word(&form.text("type")).unwrap_or_default();
    let authorization = RegistrationAuthorization::from_word(&form.text("authorization"));
    let method = TokenEndpointAuthMethod::from_word(&form.text("management_auth_method"));
    IdentityProvider {
        name: form.text("name"),
        r#type: kind.into(),
        well_known_url: form.text("well_known_url"),
        scope_claim: form.text("scope_claim"),
        skip_tls_verify: form.checked("skip_tls_verify"),
        trusted_certificates: Some(form.text("trusted_certificates")),
        allowed_origins: form.words("allowed_origins"),
        registration_endpoint_override: Some(form.text("registration_endpoint_override")),
        authorization: authorization.map(Into::into),
        initial_access_token: form.secret("initial_access_token"),
        api_token: form.secret("api_token"),
        management_client_id: Some(form.text("management_client_id")),
        management_client_secret: form.secret("management_client_secret"),
        management_auth_method: method.map(Into::into),
        management_scope: Some(form.text("management_scope")),
        management_audience: Some(form.text("management_audience")),
        api_audience: Some(form.text("api_audience")),
        client_template: Some(form.text("client_template")),
        software_statement: form.secret("software_statement"),
        ..IdentityProvider::default()
    }
}

/// What the form has, without the secrets that were left empty. The form shows the authorization that is in effect, which
/// may follow from other settings; it is chosen only where somebody changes it.
fn entered(form: &Form) -> FieldMask {
    let unchanged = form.text("authorization") == form.text("authorization_before");
    let kept = |name: &str| match name {
        "authorization" => unchanged,
        name => SECRETS.contains(&name) && form.secret(name).is_none(),
    };
    let members = IdentityProvider::shape().members.iter();
    let names = members.filter(|member| member.input && !kept(member.name));
    FieldMask {
        paths: names.map(|member| member.name.to_owned()).collect(),
    }
}

async fn create(Posted { ctx, form }: Posted) -> PageResponse {
    let request = ctx.request(CreateIdentityProviderRequest {
        identity_provider: Some(settings(&form)),
    });
    match ctx.registration().create_identity_provider(request).await {
        Ok(made) => Ok(done(&path(&made.get_ref().id), "saved")),
        Err(status) => refused(&ctx, EDIT, &form, context! {}, status).await,
    }
}

/// The form again, with what a test of its settings found. Nothing is stored.
async fn check_settings(Posted { ctx, form }: Posted) -> PageResponse {
    let id = form.text("id");
    let id = (!id.is_empty()).then_some(id);
    match run_check(&ctx, Subject::Settings(settings(&form))).await {
        Ok(check) => {
            let shown = context! { check, id, form => form.typed(&[]) };
            render(&ctx, EDIT, shown, None).await
        }
        Err(status) => refused(&ctx, EDIT, &form, context! { id }, status).await,
    }
}

async fn run_check(
    ctx: &RequestContext,
    subject: Subject,
) -> std::result::Result<Value, tonic::Status> {
    let request = ctx.request(CheckIdentityProviderRequest {
        subject: Some(subject),
    });
    let answer = ctx.registration().check_identity_provider(request).await?;
    Ok(Value::from(Serde(answer.get_ref())))
}

async fn check(Path(id): Path<String>, Posted { ctx, .. }: Posted) -> PageResponse {
    match run_check(&ctx, Subject::Id(id.clone())).await {
        Ok(check) => page(&ctx, &id, context! { check }, None).await,
        Err(status) => page(&ctx, &id, context! {}, Some(&mendable(status)?)).await,
    }
}

async fn edit(ctx: RequestContext, Path(id): Path<String>) -> PageResponse {
    let provider = find(&ctx, &id).await?;
    let form = show::identity_provider(&provider);
    render(&ctx, EDIT, context! { id, form }, None).await
}

async fn save(Path(id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let request = ctx.request(UpdateIdentityProviderRequest {
        id: id.clone(),
        if_version: form.version(),
        identity_provider: Some(settings(&form)),
        update_mask: Some(entered(&form)),
    });
    match ctx.registration().update_identity_provider(request).await {
        Ok(_) => Ok(done(&path(&id), "saved")),
        Err(status) => refused(&ctx, EDIT, &form, context! { id }, status).await,
    }
}

/// A new initial access token or API token; it resumes a paused provider.
async fn replace_token(Path(id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let given = |name: &&str| form.secret(name).is_some();
    let paths: Vec<&str> = SECRETS[..2].iter().copied().filter(given).collect();
    if paths.is_empty() {
        let error = Error::field(
            "initial_access_token",
            "initial_access_token_missing",
            "Enter the new token.",
        );
        return page(&ctx, &id, context! {}, Some(&error)).await;
    }
    let request = ctx.request(UpdateIdentityProviderRequest {
        id: id.clone(),
        if_version: 0,
        identity_provider: Some(settings(&form)),
        update_mask: Some(FieldMask {
            paths: paths.into_iter().map(str::to_owned).collect(),
        }),
    });
    match ctx.registration().update_identity_provider(request).await {
        Ok(_) => Ok(done(&path(&id), "token_replaced")),
        Err(status) => page(&ctx, &id, context! {}, Some(&mendable(status)?)).await,
    }
}

async fn confirm_delete(ctx: RequestContext, Path(id): Path<String>) -> PageResponse {
    question(&ctx, &id, None).await
}

async fn question(ctx: &RequestContext, id: &str, error: Option<&Error>) -> PageResponse {
    let provider = find(ctx, id).await?;
    let question = Question {
        title: format!(
            "Delete the identity provider \u{201c}{}\u{201d}?",
            provider.name
        ),
        consequence: "Its client types can no longer be chosen. An identity provider cannot be deleted while applications \
            have clients there.",
        button: "Delete the identity provider",
        back: path(id),
        version: provider.version,
    };
    question.show(ctx, error).await
}

async fn delete(Path(id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let request = ctx.request(DeleteIdentityProviderRequest {
        id: id.clone(),
        if_version: form.version(),
    });
    match ctx.registration().delete_identity_provider(request).await {
        Ok(_) => Ok(done("/admin/identity-providers", "deleted")),
        Err(status) => question(&ctx, &id, Some(&mendable(status)?)).await,
    }
}
