//! `/users`: who has an account.

use http::StatusCode;
use portico_proto::accounts::v1::{
    self as proto, ActivateUserRequest, EraseUserRequest, GetUserRequest, ListUsersRequest,
    SignUpRequest, SuspendUserRequest,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{List, Single, given},
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

#[derive(Serialize, ToSchema)]
pub(super) struct User {
    id: String,
    name: String,
    email: String,
    /// `admin` or `developer`.
    role: String,
    /// `pending`, `active`, `suspended` or `erased`.
    status: String,
    version: u64,
    created_at: Option<String>,
}

#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct NewUser {
    name: String,
    email: String,
    password: String,
}

#[derive(Deserialize, Default, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
struct UserQuery {
    /// 1 to 100; 20 where it is absent.
    limit: u32,
    /// `next` of the page before.
    after: String,
    status: String,
    role: String,
    /// `created_at` or `-created_at`.
    sort: String,
}

impl From<proto::User> for User {
    fn from(from: proto::User) -> Self {
        Self {
            id: from.id,
            name: from.name,
            email: from.email,
            role: from.role,
            status: from.status,
            version: from.version,
            created_at: given(from.created_at),
        }
    }
}

impl From<proto::User> for Single<User> {
    fn from(from: proto::User) -> Self {
        Self::ok(from.version, from.into())
    }
}

/// Users; admins only.
#[utoipa::path(get, path = "/users", tag = "Accounts", params(UserQuery), responses((status = 200, body = List<User>)))]
async fn list_users(ask: Ask, Query(query): Query<UserQuery>) -> Result<List<User>> {
    let request = ListUsersRequest {
        limit: query.limit,
        after: query.after,
        status: query.status,
        role: query.role,
        sort: query.sort,
    };
    let page = ask
        .accounts()
        .list_users(ask.request(request))
        .await?
        .into_inner();
    Ok(List::new(page.users, page.next))
}

/// Signs up, where the operator allows it.
#[utoipa::path(post, path = "/users", tag = "Accounts", request_body = NewUser, responses((status = 201, body = User)))]
async fn sign_up(ask: Ask, Body(new): Body<NewUser>) -> Result<Single<User>> {
    let request = SignUpRequest {
        name: new.name,
        email: new.email,
        password: new.password,
    };
    let user = ask
        .accounts()
        .sign_up(ask.request(request))
        .await?
        .into_inner();
    Ok(Single::created(
        &format!("users/{}", user.id),
        user.version,
        user.into(),
    ))
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
