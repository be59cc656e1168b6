//! Users: activating, suspending, letting in, erasing.

use axum::{
    Router,
    extract::{Path, Query},
    routing::{get, post},
};
use minijinja::{Value, context, value::Serde};
use portico_proto::{
    Error,
    accounts::v1::{
        ActivateUserRequest, EraseUserRequest, GetUserRequest, LetInUserRequest, ListUsersRequest,
        Role, ShutOutUserRequest, SuspendUserRequest, User, UserStatus,
    },
};
use tonic::{Response, Status};

use super::super::{
    confirm::Question,
    form::Posted,
    lists::{Listing, word, yes_or_no},
    page::{PageResponse, done, mendable, render},
};
use crate::edge::{Edge, request::RequestContext};

const LIST: &str = "/admin/users";

pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/users", get(list))
        .route("/users/{id}/activate", post(activate))
        .route("/users/{id}/suspend", post(suspend))
        .route("/users/{id}/let-in", post(let_in))
        .route("/users/{id}/shut-out", post(shut_out))
        .route("/users/{id}/erase", get(confirm_erase).post(erase))
}

async fn list(ctx: RequestContext, Query(listing): Query<Listing>) -> PageResponse {
    page(&ctx, &listing, None).await
}

async fn page(ctx: &RequestContext, listing: &Listing, error: Option<&Error>) -> PageResponse {
    let request = ctx.request(ListUsersRequest {
        after: listing.after.clone(),
        sort: listing.sort.clone(),
        status: word::<UserStatus>(&listing.status),
        role: word::<Role>(&listing.role),
        let_in: yes_or_no("let_in", &listing.let_in)?,
        ..Default::default()
    });
    let page = ctx.accounts().list_users(request).await?.into_inner();
    let shown = context! {
        users => Value::from(Serde(page.users)),
        list => listing.shown(&page.next),
    };
    render(ctx, "admin/users.html", shown, error).await
}

async fn answer(
    ctx: &RequestContext,
    changed: Result<Response<User>, Status>,
    notice: &'static str,
) -> PageResponse {
    match changed {
        Ok(_) => Ok(done(LIST, notice)),
        Err(status) => page(ctx, &Listing::default(), Some(&mendable(status)?)).await,
    }
}

async fn activate(Path(id): Path<String>, Posted { ctx, .. }: Posted) -> PageResponse {
    let request = ctx.request(ActivateUserRequest { id });
    let changed = ctx.accounts().activate_user(request).await;
    answer(&ctx, changed, "user_activated").await
}

async fn suspend(Path(id): Path<String>, Posted { ctx, .. }: Posted) -> PageResponse {
    let request = ctx.request(SuspendUserRequest { id });
    let changed = ctx.accounts().suspend_user(request).await;
    answer(&ctx, changed, "user_suspended").await
}

async fn let_in(Path(id): Path<String>, Posted { ctx, .. }: Posted) -> PageResponse {
    let request = ctx.request(LetInUserRequest { id });
    let changed = ctx.accounts().let_in_user(request).await;
    answer(&ctx, changed, "user_let_in").await
}

async fn shut_out(Path(id): Path<String>, Posted { ctx, .. }: Posted) -> PageResponse {
    let request = ctx.request(ShutOutUserRequest { id });
    let changed = ctx.accounts().shut_out_user(request).await;
    answer(&ctx, changed, "user_shut_out").await
}

async fn confirm_erase(ctx: RequestContext, Path(id): Path<String>) -> PageResponse {
    question(&ctx, &id, None).await
}

async fn question(ctx: &RequestContext, id: &str, error: Option<&Error>) -> PageResponse {
    let request = ctx.request(GetUserRequest { id: id.to_owned() });
    let user = ctx.accounts().get_user(request).await?.into_inner();
    let question = Question {
        title: format!("Erase {}?", user.name.as_deref().unwrap_or("the user")),
        consequence: "Their name, e-mail address and password are deleted permanently, and they can no longer log \
            in. Their access to APIs is revoked, and what they have requested is withdrawn; tokens issued before remain \
            valid until they expire. Their actions stay in the history, without a name.",
        button: "Erase the user",
        back: LIST.to_owned(),
        version: 0,
    };
    question.show(ctx, error).await
}

async fn erase(Path(id): Path<String>, Posted { ctx, .. }: Posted) -> PageResponse {
    let request = ctx.request(EraseUserRequest { id: id.clone() });
    match ctx.accounts().erase_user(request).await {
        Ok(_) => Ok(done(LIST, "user_erased")),
        Err(status) => question(&ctx, &id, Some(&mendable(status)?)).await,
    }
}
