//! API gateways.

mod import;
mod simulator;

use axum::{
    Router,
    extract::{Path, Query},
    routing::get,
};
use minijinja::context;
use portico_proto::{
    Error,
    registration::v1::{
        CreateGatewayRequest, DeleteGatewayRequest, Gateway, GetGatewayRequest,
        ListGatewaysRequest, UpdateGatewayRequest,
    },
};

use super::super::{
    confirm::Question,
    form::Posted,
    lists::Listing,
    show,
    view::{Page, Shown, done, mendable},
};
use crate::edge::{Edge, ask::Ask, problem::Result};

const EDIT: &str = "admin/gateway_edit.html";
const LIST: &str = "/admin/gateways";

pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/gateways", get(list))
        .route("/gateways/new", get(new).post(create))
        .route("/gateways/{id}/edit", get(edit).post(save))
        .route("/gateways/{id}/delete", get(ask_to_delete).post(delete))
        .merge(simulator::routes())
        .merge(import::routes())
}

async fn list(ask: Ask, Query(listing): Query<Listing>) -> Shown {
    let request = ListGatewaysRequest {
        after: listing.after.clone(),
        ..Default::default()
    };
    let page = ask
        .registration()
        .list_gateways(ask.request(request))
        .await?
        .into_inner();
    let shown = context! {
        gateways => page.gateways.iter().map(show::gateway).collect::<Vec<_>>(),
        list => listing.shown(&page.next),
    };
    Page::new("admin/gateways.html").show(&ask, shown).await
}

async fn find(ask: &Ask, id: &str) -> Result<Gateway> {
    let request = ask.request(GetGatewayRequest { id: id.to_owned() });
    Ok(ask.registration().get_gateway(request).await?.into_inner())
}

async fn new(ask: Ask) -> Shown {
    Page::new(EDIT)
        .show(&ask, context! { form => context! { type => "tyk" } })
        .await
}

async fn create(Posted { ask, form }: Posted) -> Shown {
    let request = CreateGatewayRequest {
        name: form.text("name"),
        r#type: form.text("type"),
        url: form.text("url"),
        secret: form.text("secret"),
        org_id: form.text("org_id"),
        default_policy_id: form.text("default_policy_id"),
    };
    match ask
        .registration()
        .create_gateway(ask.request(request))
        .await
    {
        Ok(_) => Ok(done(LIST, "saved")),
        Err(status) => {
            let page = Page::new(EDIT).refused(&mendable(status)?);
            page.show(&ask, context! { form => form.typed(&[]) }).await
        }
    }
}

async fn edit(ask: Ask, Path(id): Path<String>) -> Shown {
    let form = show::gateway(&find(&ask, &id).await?);
    Page::new(EDIT).show(&ask, context! { id, form }).await
}

/// The form again, with what went wrong beside it.
async fn question_of(ask: &Ask, id: &str, error: &Error) -> Shown {
    let form = show::gateway(&find(ask, id).await?);
    let page = Page::new(EDIT).refused(error);
    page.show(ask, context! { id, form }).await
}

async fn save(Path(id): Path<String>, Posted { ask, form }: Posted) -> Shown {
    let request = UpdateGatewayRequest {
        id: id.clone(),
        if_version: form.version(),
        name: Some(form.text("name")),
        url: Some(form.text("url")),
        secret: form.secret("secret"),
        org_id: Some(form.text("org_id")),
        default_policy_id: Some(form.text("default_policy_id")),
    };
    match ask
        .registration()
        .update_gateway(ask.request(request))
        .await
    {
        Ok(_) => Ok(done(LIST, "saved")),
        Err(status) => {
            let page = Page::new(EDIT).refused(&mendable(status)?);
            page.show(&ask, context! { id, form => form.typed(&[]) })
                .await
        }
    }
}

async fn ask_to_delete(ask: Ask, Path(id): Path<String>) -> Shown {
    question(&ask, &id, None).await
}

async fn question(ask: &Ask, id: &str, error: Option<&Error>) -> Shown {
    let gateway = find(ask, id).await?;
    let question = Question {
        title: format!("Delete the gateway \u{201c}{}\u{201d}?", gateway.name),
        consequence: "Portico removes the policies and scope mappings it created there. The APIs are kept.",
        button: "Delete the gateway",
        back: LIST.to_owned(),
        version: gateway.version,
        reason: false,
        admin: true,
    };
    question.show(ask, error).await
}

async fn delete(Path(id): Path<String>, Posted { ask, form }: Posted) -> Shown {
    let request = DeleteGatewayRequest {
        id: id.clone(),
        if_version: form.version(),
    };
    match ask
        .registration()
        .delete_gateway(ask.request(request))
        .await
    {
        Ok(_) => Ok(done(LIST, "deleted")),
        Err(status) => question(&ask, &id, Some(&mendable(status)?)).await,
    }
}
