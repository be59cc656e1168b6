//! `/users`: who has an account.

use http::StatusCode;
use portico_proto::accounts::v1::{
    ActivateUserRequest, EraseUserRequest, GetUserRequest, ListUsersRequest, SignUpRequest,
    SuspendUserRequest, User,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{List, Single},
    input::{Body, Id, IfMatch, Query},
};
use crate::edge::{Edge, ask::Ask, problem::Result};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list_users, sign_up))
        .routes(routes!(get_user, erase_user))
        .routes(routes!(activate_user))
        .routes(routes!(suspend_user))
}

impl From<User> for Single<User> {
    fn from(from: User) -> Self {
        Self::ok(from.version, from)
    }
}

/// Users; admins only.
#[utoipa::path(get, path = "/users", tag = "Accounts", params(ListUsersRequest), responses((status = 200, body = List<User>)))]
async fn list_users(ask: Ask, Query(query): Query<ListUsersRequest>) -> Result<List<User>> {
    let request = ask.request(query);
    let page = ask.accounts().list_users(request).await?.into_inner();
    Ok(List::new(page.users, page.next))
}

/// Signs up, where the operator allows it.
#[utoipa::path(post, path = "/users", tag = "Accounts", request_body = SignUpRequest, responses((status = 201, body = User)))]
async fn sign_up(ask: Ask, Body(new): Body<SignUpRequest>) -> Result<Single<User>> {
    let user = ask.accounts().sign_up(ask.request(new)).await?.into_inner();
    let path = format!("users/{}", user.id);
    Ok(Single::created(&path, user.version, user))
}

/// One user.
#[utoipa::path(get, path = "/users/{id}", tag = "Accounts", responses((status = 200, body = User)))]
async fn get_user(ask: Ask, Id(id): Id) -> Result<Single<User>> {
    let request = ask.request(GetUserRequest { id });
    Ok(ask.accounts().get_user(request).await?.into_inner().into())
}

async fn version(ask: &Ask, id: &str) -> Result<u64> {
    let request = ask.request(GetUserRequest { id: id.to_owned() });
    Ok(ask.accounts().get_user(request).await?.into_inner().version)
}

/// Deletes the personal data for ever; the history stays.
#[utoipa::path(delete, path = "/users/{id}", tag = "Accounts", responses((status = 204)))]
async fn erase_user(ask: Ask, Id(id): Id, expected: IfMatch) -> Result<StatusCode> {
    expected.require(version(&ask, &id)).await?;
    let request = ask.request(EraseUserRequest { id: id.clone() });
    ask.accounts().erase_user(request).await?;
    ask.edge().auth.forget_user(&id);
    Ok(StatusCode::NO_CONTENT)
}

/// Lets somebody in who signed up or was suspended.
#[utoipa::path(post, path = "/users/{id}/activate", tag = "Accounts", responses((status = 200, body = User)))]
async fn activate_user(ask: Ask, Id(id): Id, expected: IfMatch) -> Result<Single<User>> {
    expected.require(version(&ask, &id)).await?;
    let request = ask.request(ActivateUserRequest { id });
    Ok(ask
        .accounts()
        .activate_user(request)
        .await?
        .into_inner()
        .into())
}

/// Locks somebody out; their sessions and API tokens stop to work.
#[utoipa::path(post, path = "/users/{id}/suspend", tag = "Accounts", responses((status = 200, body = User)))]
async fn suspend_user(ask: Ask, Id(id): Id, expected: IfMatch) -> Result<Single<User>> {
    expected.require(version(&ask, &id)).await?;
    let request = ask.request(SuspendUserRequest { id: id.clone() });
    let user = ask.accounts().suspend_user(request).await?.into_inner();
    ask.edge().auth.forget_user(&id);
    Ok(user.into())
}
