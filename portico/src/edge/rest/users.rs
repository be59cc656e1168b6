//! `/users`: who has an account.

use http::StatusCode;
use portico_proto::accounts::v1::{
    ActivateUserRequest, EraseUserRequest, GetUserRequest, LetInUserRequest, ListUsersRequest,
    ShutOutUserRequest, SignUpRequest, SuspendUserRequest, User,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{List, Single},
    input::{Body, Id, IfMatch, Query},
};
use crate::edge::{Edge, problem::Result, request::RequestContext};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default()
        .routes(routes!(list_users, sign_up))
        .routes(routes!(get_user, erase_user))
        .routes(routes!(activate_user))
        .routes(routes!(suspend_user))
        .routes(routes!(let_in_user))
        .routes(routes!(shut_out_user))
}

impl From<User> for Single<User> {
    fn from(from: User) -> Self {
        Self::ok(from.version, from)
    }
}

/// Users; admins only.
#[utoipa::path(get, path = "/users", tag = "Accounts", params(ListUsersRequest), responses((status = 200, body = List<User>)))]
async fn list_users(
    ctx: RequestContext,
    Query(query): Query<ListUsersRequest>,
) -> Result<List<User>> {
    let request = ctx.request(query);
    let page = ctx.accounts().list_users(request).await?.into_inner();
    Ok(List::new(page.users, page.next))
}

/// Signs up, where the operator allows it.
#[utoipa::path(post, path = "/users", tag = "Accounts", request_body = SignUpRequest, responses((status = 201, body = User)))]
async fn sign_up(ctx: RequestContext, Body(new): Body<SignUpRequest>) -> Result<Single<User>> {
    let request = ctx.request(SignUpRequest {
        remote_address: ctx.remote_address(),
        ..new
    });
    let user = ctx.accounts().sign_up(request).await?.into_inner();
    let path = format!("users/{}", user.id);
    Ok(Single::created(&path, user.version, user))
}

/// One user.
#[utoipa::path(get, path = "/users/{id}", tag = "Accounts", responses((status = 200, body = User)))]
async fn get_user(ctx: RequestContext, Id(id): Id) -> Result<Single<User>> {
    let request = ctx.request(GetUserRequest { id });
    Ok(ctx.accounts().get_user(request).await?.into_inner().into())
}

async fn version(ctx: &RequestContext, id: &str) -> Result<u64> {
    let request = ctx.request(GetUserRequest { id: id.to_owned() });
    Ok(ctx.accounts().get_user(request).await?.into_inner().version)
}

/// Erases the user's personal data permanently; the history stays. Their access is revoked, what is pending withdrawn.
#[utoipa::path(delete, path = "/users/{id}", tag = "Accounts", responses((status = 204)))]
async fn erase_user(ctx: RequestContext, Id(id): Id, expected: IfMatch) -> Result<StatusCode> {
    expected.require(version(&ctx, &id)).await?;
    let request = ctx.request(EraseUserRequest { id });
    ctx.accounts().erase_user(request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Activates a pending or suspended user. One whose sign-up waited for it is let in with it. Access that was suspended with the account comes back.
#[utoipa::path(post, path = "/users/{id}/activate", tag = "Accounts", responses((status = 200, body = User)))]
async fn activate_user(ctx: RequestContext, Id(id): Id, expected: IfMatch) -> Result<Single<User>> {
    expected.require(version(&ctx, &id)).await?;
    let request = ctx.request(ActivateUserRequest { id });
    let user = ctx.accounts().activate_user(request).await?;
    Ok(user.into_inner().into())
}

/// Suspends a user; their sessions and API tokens stop working, and their access is suspended until they are activated.
/// Tokens that were issued before work until they expire.
#[utoipa::path(post, path = "/users/{id}/suspend", tag = "Accounts", responses((status = 200, body = User)))]
async fn suspend_user(ctx: RequestContext, Id(id): Id, expected: IfMatch) -> Result<Single<User>> {
    expected.require(version(&ctx, &id)).await?;
    let request = ctx.request(SuspendUserRequest { id });
    let user = ctx.accounts().suspend_user(request).await?.into_inner();
    Ok(user.into())
}

/// Lets a user in: they may see and request internal products from now on.
#[utoipa::path(post, path = "/users/{id}/let-in", tag = "Accounts", responses((status = 200, body = User)))]
async fn let_in_user(ctx: RequestContext, Id(id): Id, expected: IfMatch) -> Result<Single<User>> {
    expected.require(version(&ctx, &id)).await?;
    let request = ctx.request(LetInUserRequest { id });
    let user = ctx.accounts().let_in_user(request).await?.into_inner();
    Ok(user.into())
}

/// Takes back that a user was let in: internal products are no longer there for them. Access that they have stays. An admin
/// is let in by their role.
#[utoipa::path(post, path = "/users/{id}/shut-out", tag = "Accounts", responses((status = 200, body = User)))]
async fn shut_out_user(ctx: RequestContext, Id(id): Id, expected: IfMatch) -> Result<Single<User>> {
    expected.require(version(&ctx, &id)).await?;
    let request = ctx.request(ShutOutUserRequest { id });
    let user = ctx.accounts().shut_out_user(request).await?.into_inner();
    Ok(user.into())
}
