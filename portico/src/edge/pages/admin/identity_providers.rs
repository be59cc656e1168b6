//! Identity providers, with the test of a connection before it is saved.

use axum::{
    Router,
    extract::{Path, Query},
    routing::{get, post},
};
use minijinja::{Value, context};
use portico_proto::{
    Error,
    registration::v1::{
        CheckIdentityProviderRequest, CreateIdentityProviderRequest, DeleteIdentityProviderRequest,
        GetIdentityProviderRequest, IdentityProvider, ListClientTypesRequest,
        ListIdentityProvidersRequest, OriginList, UpdateIdentityProviderRequest,
        check_identity_provider_request::Subject,
    },
};

use super::super::{
    confirm::Question,
    form::{Form, Posted},
    lists::Listing,
    page::{Page, PageResponse, done, mendable},
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
    let request = ListIdentityProvidersRequest {
        after: listing.after.clone(),
        sort: listing.sort.clone(),
        q: listing.q.clone(),
        ..Default::default()
    };
    let page = ctx
        .registration()
        .list_identity_providers(ctx.request(request))
        .await?
        .into_inner();
    let shown = context! {
        providers => page.identity_providers.iter().map(show::identity_provider).collect::<Vec<_>>(),
        list => listing.shown(&page.next),
    };
    Page::new("admin/identity_providers.html")
        .show(&ctx, shown)
        .await
}

pub(super) async fn find(ctx: &RequestContext, id: &str) -> Result<IdentityProvider> {
    let request = ctx.request(GetIdentityProviderRequest { id: id.to_owned() });
    Ok(ctx
        .registration()
        .get_identity_provider(request)
        .await?
        .into_inner())
}

async fn one(ctx: RequestContext, Path(id): Path<String>) -> PageResponse {
    page(&ctx, &id, context! {}, None).await
}

async fn page(ctx: &RequestContext, id: &str, more: Value, error: Option<&Error>) -> PageResponse {
    let provider = find(ctx, id).await?;
    let request = ListClientTypesRequest {
        limit: 100,
        identity_provider_id: id.to_owned(),
        ..Default::default()
    };
    let types = ctx
        .registration()
        .list_client_types(ctx.request(request))
        .await?
        .into_inner();
    let shown = context! {
        provider => show::identity_provider(&provider),
        client_types => types.client_types.iter().map(show::client_type).collect::<Vec<_>>(),
        ..more
    };
    Page::new("admin/identity_provider.html")
        .refused_if(error)
        .show(ctx, shown)
        .await
}

async fn new(ctx: RequestContext) -> PageResponse {
    let form = context! { type => "keycloak", scope_claim => "scope" };
    Page::new(EDIT).show(&ctx, context! { form }).await
}

fn settings(form: &Form) -> CreateIdentityProviderRequest {
    CreateIdentityProviderRequest {
        name: form.text("name"),
        r#type: form.text("type"),
        well_known_url: form.text("well_known_url"),
        initial_access_token: form.text("initial_access_token"),
        scope_claim: form.text("scope_claim"),
        skip_tls_verify: form.checked("skip_tls_verify"),
        management_client_id: form.text("management_client_id"),
        management_client_secret: form.text("management_client_secret"),
        authorization: form.text("authorization"),
        api_token: form.text("api_token"),
        management_scope: form.text("management_scope"),
        management_audience: form.text("management_audience"),
        management_auth_method: form.text("management_auth_method"),
        trusted_certificates: form.text("trusted_certificates"),
        allowed_origins: form.words("allowed_origins"),
        registration_endpoint_override: form.text("registration_endpoint_override"),
        api_audience: form.text("api_audience"),
        client_template: form.text("client_template"),
        software_statement: form.text("software_statement"),
    }
}

async fn create(Posted { ctx, form }: Posted) -> PageResponse {
    let request = ctx.request(settings(&form));
    match ctx.registration().create_identity_provider(request).await {
        Ok(made) => Ok(done(&path(&made.get_ref().id), "saved")),
        Err(status) => {
            let page = Page::new(EDIT).refused(&mendable(status)?);
            page.show(&ctx, context! { form => form.typed(&[]) }).await
        }
    }
}

/// The form again, with what a test of its settings found. Nothing is stored.
async fn check_settings(Posted { ctx, form }: Posted) -> PageResponse {
    let id = form.text("id");
    let id = (!id.is_empty()).then_some(id);
    let shown = context! { id, form => form.typed(&[]) };
    match run_check(&ctx, Subject::Settings(settings(&form))).await {
        Ok(check) => {
            Page::new(EDIT)
                .show(&ctx, context! { check, ..shown })
                .await
        }
        Err(status) => {
            Page::new(EDIT)
                .refused(&mendable(status)?)
                .show(&ctx, shown)
                .await
        }
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
    Ok(show::check(answer.get_ref()))
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
    Page::new(EDIT).show(&ctx, context! { id, form }).await
}

async fn save(Path(id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let request = UpdateIdentityProviderRequest {
        id: id.clone(),
        if_version: form.version(),
        name: Some(form.text("name")),
        well_known_url: Some(form.text("well_known_url")),
        initial_access_token: form.secret("initial_access_token"),
        scope_claim: Some(form.text("scope_claim")),
        skip_tls_verify: Some(form.checked("skip_tls_verify")),
        management_client_id: Some(form.text("management_client_id")),
        management_client_secret: form.secret("management_client_secret"),
        authorization: Some(form.text("authorization")),
        api_token: form.secret("api_token"),
        management_scope: Some(form.text("management_scope")),
        management_audience: Some(form.text("management_audience")),
        management_auth_method: Some(form.text("management_auth_method")),
        trusted_certificates: Some(form.text("trusted_certificates")),
        allowed_origins: Some(OriginList {
            values: form.words("allowed_origins"),
        }),
        registration_endpoint_override: Some(form.text("registration_endpoint_override")),
        api_audience: Some(form.text("api_audience")),
        client_template: Some(form.text("client_template")),
        software_statement: form.secret("software_statement"),
    };
    match ctx
        .registration()
        .update_identity_provider(ctx.request(request))
        .await
    {
        Ok(_) => Ok(done(&path(&id), "saved")),
        Err(status) => {
            let page = Page::new(EDIT).refused(&mendable(status)?);
            page.show(&ctx, context! { id, form => form.typed(&[]) })
                .await
        }
    }
}

/// A new initial access token or API token; it resumes a paused provider.
async fn replace_token(Path(id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let (initial, api) = (
        form.secret("initial_access_token"),
        form.secret("api_token"),
    );
    if initial.is_none() && api.is_none() {
        let error = Error::field(
            "initial_access_token",
            "initial_access_token_missing",
            "Enter the new token.",
        );
        return page(&ctx, &id, context! {}, Some(&error)).await;
    }
    let request = UpdateIdentityProviderRequest {
        id: id.clone(),
        initial_access_token: initial,
        api_token: api,
        ..Default::default()
    };
    match ctx
        .registration()
        .update_identity_provider(ctx.request(request))
        .await
    {
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
        reason: false,
        admin: true,
    };
    question.show(ctx, error).await
}

async fn delete(Path(id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let request = DeleteIdentityProviderRequest {
        id: id.clone(),
        if_version: form.version(),
    };
    match ctx
        .registration()
        .delete_identity_provider(ctx.request(request))
        .await
    {
        Ok(_) => Ok(done("/admin/identity-providers", "deleted")),
        Err(status) => question(&ctx, &id, Some(&mendable(status)?)).await,
    }
}
