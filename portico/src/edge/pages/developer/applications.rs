//! My applications: details, credentials, editing, deleting.

use axum::{Router, extract::Path, routing::get};
use minijinja::{Value, context};
use portico_proto::{
    Error,
    access::v1::{
        AccessRequest, Application, CreateApplicationRequest, DeleteApplicationRequest,
        GetApplicationRequest, ListAccessRequestsRequest, RedirectUrls, UpdateApplicationRequest,
    },
};

use super::{
    api_keys,
    confirm::Question,
    credentials::{self, Revealed},
    dashboard::own_id,
    form::Posted,
    show,
    view::{Page, Shown, done, mendable},
};
use crate::edge::{Edge, ask::Ask, problem::Result};

pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/dashboard/applications/new", get(new).post(create))
        .route("/dashboard/applications/{id}", get(application))
        .route("/dashboard/applications/{id}/edit", get(edit).post(save))
        .route(
            "/dashboard/applications/{id}/delete",
            get(ask_to_delete).post(delete),
        )
}

async fn application(ask: Ask, Path(id): Path<String>) -> Shown {
    page(&ask, &id, Revealed::Nothing, None).await
}

/// The page of an application; with its secrets only where they were asked for.
pub(super) async fn page(ask: &Ask, id: &str, revealed: Revealed, error: Option<&Error>) -> Shown {
    let application = find(ask, id).await?;
    let requests = requests(ask, id).await?;
    let keys = api_keys::of_application(ask, id, &revealed).await?;
    let clients = credentials::clients(ask, &application, &requests, revealed).await?;
    let under_way = |value: &Value| value.get_attr("under_way").is_ok_and(|flag| flag.is_true());
    let requests: Vec<Value> = requests
        .iter()
        .map(|one| show::access_request(one, |by| by.to_owned()))
        .collect();
    let shown = context! {
        under_way => requests.iter().chain(&clients).chain(&keys).any(under_way),
        pending => requests.iter().any(|one| one.get_attr("status").is_ok_and(|status| status.as_str() == Some("pending"))),
        own => application.owner_id == own_id(ask),
        application => show::application(&application),
        requests,
        clients,
        keys,
    };
    Page::new("developer/application.html")
        .refused_if(error)
        .show(ask, shown)
        .await
}

async fn find(ask: &Ask, id: &str) -> Result<Application> {
    let request = ask.request(GetApplicationRequest { id: id.to_owned() });
    Ok(ask.access().get_application(request).await?.into_inner())
}

async fn requests(ask: &Ask, application_id: &str) -> Result<Vec<AccessRequest>> {
    let request = ListAccessRequestsRequest {
        limit: 100,
        application_id: application_id.to_owned(),
        ..Default::default()
    };
    let page = ask
        .access()
        .list_access_requests(ask.request(request))
        .await?;
    Ok(page.into_inner().access_requests)
}

async fn new(ask: Ask) -> Shown {
    ask.caller().require_user()?;
    let shown = context! { form => context! {} };
    Page::new("developer/application_edit.html")
        .show(&ask, shown)
        .await
}

async fn create(Posted { ask, form }: Posted) -> Shown {
    let request = CreateApplicationRequest {
        name: form.text("name"),
        description: form.text("description"),
        redirect_urls: form.by_commas("redirect_urls"),
        visibility: "personal".to_owned(),
    };
    match ask.access().create_application(ask.request(request)).await {
        Ok(made) => Ok(done(&path(&made.get_ref().id), "saved")),
        Err(status) => {
            let page = Page::new("developer/application_edit.html").refused(&mendable(status)?);
            page.show(&ask, context! { form => form.typed(&[]) }).await
        }
    }
}

fn path(id: &str) -> String {
    format!("/dashboard/applications/{id}")
}

async fn edit(ask: Ask, Path(id): Path<String>) -> Shown {
    let application = find(&ask, &id).await?;
    let form = context! {
        name => &application.name,
        description => &application.description,
        redirect_urls => application.redirect_urls.join(", "),
        version => &application.version,
    };
    Page::new("developer/application_edit.html")
        .show(&ask, context! { id, form })
        .await
}

async fn save(Path(id): Path<String>, Posted { ask, form }: Posted) -> Shown {
    let request = UpdateApplicationRequest {
        id: id.clone(),
        if_version: form.version(),
        name: Some(form.text("name")),
        description: Some(form.text("description")),
        redirect_urls: Some(RedirectUrls {
            values: form.by_commas("redirect_urls"),
        }),
        visibility: None,
    };
    match ask.access().update_application(ask.request(request)).await {
        Ok(_) => Ok(done(&path(&id), "saved")),
        Err(status) => {
            let page = Page::new("developer/application_edit.html").refused(&mendable(status)?);
            page.show(&ask, context! { id, form => form.typed(&[]) })
                .await
        }
    }
}

async fn ask_to_delete(ask: Ask, Path(id): Path<String>) -> Shown {
    question(&ask, &id, None).await
}

async fn question(ask: &Ask, id: &str, error: Option<&Error>) -> Shown {
    let application = find(ask, id).await?;
    let question = Question {
        title: format!("Delete \u{201c}{}\u{201d}?", application.name),
        consequence: "Its access is revoked. Its OAuth clients are deleted at the identity providers and its API keys at \
            the gateways. Its credentials stop working at once.",
        button: "Delete the application",
        back: path(id),
        version: application.version,
        reason: false,
        admin: false,
    };
    question.show(ask, error).await
}

async fn delete(Path(id): Path<String>, Posted { ask, form }: Posted) -> Shown {
    let request = DeleteApplicationRequest {
        id: id.clone(),
        if_version: form.version(),
    };
    match ask.access().delete_application(ask.request(request)).await {
        Ok(_) => Ok(done("/dashboard", "deleted")),
        Err(status) => question(&ask, &id, Some(&mendable(status)?)).await,
    }
}
