//! The client types of an identity provider.

use axum::{Router, extract::Path, routing::get};
use minijinja::{Value, context, value::Serde};
use portico_proto::{
    Error,
    registration::v1::{
        ClientType, CreateClientTypeRequest, DeleteClientTypeRequest, GetClientTypeRequest,
        OktaApplicationType, TokenEndpointAuthMethod, UpdateClientTypeRequest,
    },
    rest::Enumeration as _,
};

use super::{
    super::{
        confirm::Question,
        form::{Form, Posted},
        page::{PageResponse, done, mendable, render},
        show,
    },
    identity_providers,
};
use crate::edge::{Edge, problem::Result, request::RequestContext};

const EDIT: &str = "admin/client_type_edit.html";
const LISTS: [&str; 2] = ["response_types", "grant_types"];

pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route(
            "/identity-providers/{id}/client-types/new",
            get(new).post(create),
        )
        .route("/client-types/{id}/edit", get(edit).post(save))
        .route(
            "/client-types/{id}/delete",
            get(confirm_delete).post(delete),
        )
}

fn provider_path(id: &str) -> String {
    format!("/admin/identity-providers/{id}")
}

async fn find(ctx: &RequestContext, id: &str) -> Result<ClientType> {
    let request = ctx.request(GetClientTypeRequest { id: id.to_owned() });
    let answer = ctx.registration().get_client_type(request).await?;
    Ok(answer.into_inner())
}

async fn form_page(
    ctx: &RequestContext,
    provider_id: &str,
    shown: Value,
    error: Option<&Error>,
) -> PageResponse {
    let provider = identity_providers::find(ctx, provider_id).await?;
    let shown = context! { provider => show::identity_provider(&provider), ..shown };
    render(ctx, EDIT, shown, error).await
}

async fn new(ctx: RequestContext, Path(provider_id): Path<String>) -> PageResponse {
    let form = context! {
        grant_types => ["client_credentials"],
        token_endpoint_auth_method => "client_secret_basic",
    };
    form_page(&ctx, &provider_id, context! { form }, None).await
}

fn read(form: &Form) -> ClientType {
    let method = TokenEndpointAuthMethod::from_word(&form.text("token_endpoint_auth_method"));
    let okta = OktaApplicationType::from_word(&form.text("okta_application_type"));
    ClientType {
        name: form.text("name"),
        description: form.text("description"),
        response_types: form.all("response_types"),
        grant_types: form.all("grant_types"),
        token_endpoint_auth_method: method.unwrap_or_default().into(),
        okta_application_type: okta.map(Into::into),
        ..ClientType::default()
    }
}

async fn create(Path(provider_id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let request = ctx.request(CreateClientTypeRequest {
        identity_provider_id: provider_id.clone(),
        client_type: Some(read(&form)),
    });
    match ctx.registration().create_client_type(request).await {
        Ok(_) => Ok(done(&provider_path(&provider_id), "saved")),
        Err(status) => {
            let error = mendable(status)?;
            let shown = context! { form => form.typed(&LISTS) };
            form_page(&ctx, &provider_id, shown, Some(&error)).await
        }
    }
}

async fn edit(ctx: RequestContext, Path(id): Path<String>) -> PageResponse {
    let found = find(&ctx, &id).await?;
    let shown = context! { id, form => Value::from(Serde(&found)) };
    form_page(&ctx, &found.identity_provider_id, shown, None).await
}

async fn save(Path(id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let found = find(&ctx, &id).await?;
    // The form has every member, so nothing of what is there stays.
    let request = ctx.request(UpdateClientTypeRequest {
        id: id.clone(),
        if_version: form.version(),
        client_type: Some(read(&form)),
        update_mask: None,
    });
    match ctx.registration().update_client_type(request).await {
        Ok(_) => Ok(done(&provider_path(&found.identity_provider_id), "saved")),
        Err(status) => {
            let error = mendable(status)?;
            let shown = context! { id, form => form.typed(&LISTS) };
            form_page(&ctx, &found.identity_provider_id, shown, Some(&error)).await
        }
    }
}

async fn confirm_delete(ctx: RequestContext, Path(id): Path<String>) -> PageResponse {
    question(&ctx, find(&ctx, &id).await?, None).await
}

async fn question(ctx: &RequestContext, found: ClientType, error: Option<&Error>) -> PageResponse {
    let question = Question {
        title: format!("Delete the client type \u{201c}{}\u{201d}?", found.name),
        consequence: "Developers can no longer choose it. Clients registered with it are kept.",
        button: "Delete the client type",
        back: provider_path(&found.identity_provider_id),
        version: found.version,
    };
    question.show(ctx, error).await
}

async fn delete(Path(id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let found = find(&ctx, &id).await?;
    let request = ctx.request(DeleteClientTypeRequest {
        id,
        if_version: form.version(),
    });
    match ctx.registration().delete_client_type(request).await {
        Ok(_) => Ok(done(&provider_path(&found.identity_provider_id), "deleted")),
        Err(status) => question(&ctx, found, Some(&mendable(status)?)).await,
    }
}
