//! The OAuth clients of an application. Their secrets are not on the page until the owner asks for them by a form,
//! which is recorded.

use std::collections::{BTreeSet, HashMap};

use axum::{Router, extract::Path, routing::post};
use futures::future::join_all;
use minijinja::{Value, context};
use portico_proto::{
    access::v1::{AccessRequest, AccessRequestStatus, Application},
    catalog::v1::Product,
    registration::v1::{
        ClientType, Credentials, EndOldSecretRequest, GetCredentialsRequest,
        ListOauthClientsRequest, OauthClient, OauthClientStatus, RotateCredentialsRequest,
    },
    rest::Enumeration as _,
};
use portico_vault::Secret;

use super::{applications, fetch, form::Posted, page::PageResponse, show};
use crate::edge::{
    Edge,
    curl::{Token, call},
    problem::Result,
    request::RequestContext,
};

pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/dashboard/applications/{id}/credentials", post(reveal))
        .route("/dashboard/applications/{id}/rotate", post(rotate))
        .route(
            "/dashboard/applications/{id}/old-secret",
            post(end_old_secret),
        )
}

/// What of the credentials is on the page.
pub(super) enum Revealed {
    Nothing,
    All(Vec<Credentials>),
    /// One API key, by its id.
    Key(String, Secret),
}

async fn reveal(Path(id): Path<String>, Posted { ctx, .. }: Posted) -> PageResponse {
    let request = ctx.request(GetCredentialsRequest {
        application_id: id.clone(),
    });
    match ctx.registration().get_credentials(request).await {
        Ok(all) => {
            let revealed = Revealed::All(all.into_inner().credentials);
            applications::page(&ctx, &id, revealed, None).await
        }
        Err(status) => applications::answered(&ctx, &id, Err(status)).await,
    }
}

async fn rotate(Path(id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let request = ctx.request(RotateCredentialsRequest {
        application_id: id.clone(),
        identity_provider_id: Some(form.text("identity_provider_id")),
        replace: form.checked("replace"),
    });
    let answer = ctx.registration().rotate_credentials(request).await;
    applications::answered(&ctx, &id, answer.map(|_| "rotated")).await
}

async fn end_old_secret(Path(id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let request = ctx.request(EndOldSecretRequest {
        application_id: id.clone(),
        identity_provider_id: Some(form.text("identity_provider_id")),
    });
    let answer = ctx.registration().end_old_secret(request).await;
    applications::answered(&ctx, &id, answer.map(|_| "old_secret_ended")).await
}

/// The application's clients with what developers need of them, for the template.
pub(super) async fn clients(
    ctx: &RequestContext,
    application: &Application,
    requests: &[AccessRequest],
    revealed: Revealed,
) -> Result<Vec<Value>> {
    let request = ctx.request(ListOauthClientsRequest {
        application_id: application.id.clone(),
    });
    let clients = ctx.registration().list_oauth_clients(request).await?;
    let mut clients = clients.into_inner().oauth_clients;
    clients.retain(|client| client.status() != OauthClientStatus::Deleted);
    if clients.is_empty() {
        return Ok(Vec::new());
    }
    let ids = clients
        .iter()
        .filter_map(|client| client.client_type_id.clone());
    let types = fetch::client_types(ctx, ids.collect()).await?;
    let products = products(ctx, requests).await;
    let client = |client: &OauthClient| {
        let client_type = types.iter().find(|one| one.id == client.client_type_id());
        let credentials = match &revealed {
            Revealed::Nothing | Revealed::Key(..) => None,
            Revealed::All(all) => all
                .iter()
                .find(|one| one.identity_provider_id == client.identity_provider_id),
        };
        let calls = calls(requests, &products, &client.identity_provider_id);
        shown(client, client_type, credentials, calls, application)
    };
    Ok(clients.iter().map(client).collect())
}

fn shown(
    client: &OauthClient,
    client_type: Option<&ClientType>,
    credentials: Option<&Credentials>,
    calls: Vec<Value>,
    application: &Application,
) -> Value {
    let granted = |member: &str| {
        let difference = client.differences.iter().find(|one| one.member == member);
        difference.map(|difference| difference.granted.clone())
    };
    let auth_method = credentials
        .map(|credentials| credentials.token_endpoint_auth_method.clone())
        .filter(|method| !method.is_empty())
        .or_else(|| granted("token_endpoint_auth_method"))
        .or_else(|| client_type.map(|one| one.token_endpoint_auth_method().as_word().to_owned()))
        .unwrap_or_default();
    let secret = credentials.and_then(|credentials| credentials.client_secret.as_deref());
    // As granted; where the provider said nothing, as asked.
    let grant_types: Vec<String> = match granted("grant_types") {
        Some(granted) => granted.split_whitespace().map(str::to_owned).collect(),
        None => client_type.map_or_else(Vec::new, |one| one.grant_types.clone()),
    };
    let token = Token {
        endpoint: &client.token_endpoint,
        client_id: client.client_id(),
        client_secret: secret.unwrap_or("CLIENT_SECRET"),
        auth_method: &auth_method,
        grant_types: &grant_types,
        redirect_url: application
            .redirect_urls
            .first()
            .map(String::as_str)
            .unwrap_or_default(),
        scopes: &client.scopes,
        audience: credentials.map_or("", |one| one.audience()),
    };
    let registered = client.client_id.is_some();
    let (command, instead) = match registered.then(|| token.command()) {
        Some(Ok(command)) => (Some(command), None),
        Some(Err(instead)) => (None, Some(instead)),
        None => (None, None),
    };
    context! {
        revealed => credentials.is_some(),
        client_secret => secret,
        has_secret => auth_method != "none",
        issuer => credentials.map(|one| one.issuer.as_str()),
        granted => credentials.map(|one| show::pretty(&one.granted)),
        auth_method => &auth_method,
        client_type => client_type.map(|one| one.name.as_str()),
        machine => token.is_for_machines(),
        redirect_urls_in_force => registered.then(|| in_force(client, application)).flatten(),
        token_command => command,
        instead_of_command => instead,
        calls => if registered { calls } else { Vec::new() },
        ..show::oauth_client(client)
    }
}

/// The redirect URLs that the provider accepts, where those of the application are others: a change may be under way, or
/// refused.
fn in_force(client: &OauthClient, application: &Application) -> Option<Vec<String>> {
    let sorted = |urls: &[String]| urls.iter().cloned().collect::<BTreeSet<_>>();
    let differ = sorted(&client.redirect_urls) != sorted(&application.redirect_urls);
    differ.then(|| client.redirect_urls.clone())
}

fn active(requests: &[AccessRequest]) -> impl Iterator<Item = &AccessRequest> {
    let all = requests.iter();
    all.filter(|request| request.status() == AccessRequestStatus::Active)
}

/// The products of the requests that are active, by id; one that was deleted meanwhile has no call to show.
async fn products(ctx: &RequestContext, requests: &[AccessRequest]) -> HashMap<String, Product> {
    let ids: BTreeSet<&String> = active(requests)
        .flat_map(|request| &request.items)
        .map(|item| &item.product_id)
        .collect();
    let found = join_all(ids.into_iter().map(|id| fetch::product(ctx, id.clone()))).await;
    found
        .into_iter()
        .flatten()
        .map(|product| (product.id.clone(), product))
        .collect()
}

/// A command for each API that the client may call.
fn calls(
    requests: &[AccessRequest],
    products: &HashMap<String, Product>,
    identity_provider_id: &str,
) -> Vec<Value> {
    let mut seen = BTreeSet::new();
    active(requests)
        .filter(|request| request.identity_provider_id() == identity_provider_id)
        .flat_map(|request| &request.items)
        .filter_map(|item| products.get(&item.product_id))
        .flat_map(|product| product.apis.iter().map(move |api| (product, api)))
        .filter(|(_, api)| !api.url.is_empty() && seen.insert(api.url.clone()))
        .map(|(product, api)| {
            let name = if api.name.is_empty() {
                &product.name
            } else {
                &api.name
            };
            context! { name, url => &api.url, command => call(&api.url) }
        })
        .collect()
}
