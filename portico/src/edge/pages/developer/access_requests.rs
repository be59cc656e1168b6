//! A developer's access request: its progress; withdrawing and revoking it.

use axum::{
    Router,
    extract::Path,
    routing::{get, post},
};
use minijinja::context;
use portico_proto::{
    Error,
    access::v1::{CredentialKind, RevokeAccessRequestRequest, WithdrawAccessRequestRequest},
};

use super::{
    confirm::Question,
    dashboard::own_id,
    fetch,
    form::Posted,
    page::{ANY_VERSION, PageResponse, done, mendable, render},
    show,
};
use crate::edge::{Edge, request::RequestContext};

pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/dashboard/access-requests/{id}", get(request))
        .route("/dashboard/access-requests/{id}/withdraw", post(withdraw))
        .route(
            "/dashboard/access-requests/{id}/revoke",
            get(confirm_revoke).post(revoke),
        )
}

fn path(id: &str) -> String {
    format!("/dashboard/access-requests/{id}")
}

async fn request(ctx: RequestContext, Path(id): Path<String>) -> PageResponse {
    page(&ctx, &id, None).await
}

async fn page(ctx: &RequestContext, id: &str, error: Option<&Error>) -> PageResponse {
    let request = fetch::access_request(ctx, id).await?;
    let own = own_id(ctx);
    let shown = context! {
        own => request.requester_id == own,
        request => show::access_request(&request, |by| who(&own, by)),
    };
    render(ctx, "developer/access_request.html", shown, error).await
}

/// Who did something, for a developer: they are not told which admin it was.
fn who(own: &str, by: &str) -> String {
    if by == own {
        "you".to_owned()
    } else if by.parse::<uuid::Uuid>().is_ok() {
        "an administrator".to_owned()
    } else {
        "Portico".to_owned()
    }
}

async fn withdraw(Path(id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let request = ctx.request(WithdrawAccessRequestRequest {
        id: id.clone(),
        reason: form.text("reason"),
        if_version: ANY_VERSION,
    });
    match ctx.access().withdraw_access_request(request).await {
        Ok(_) => Ok(done(&path(&id), "withdrawn")),
        Err(status) => page(&ctx, &id, Some(&mendable(status)?)).await,
    }
}

async fn confirm_revoke(ctx: RequestContext, Path(id): Path<String>) -> PageResponse {
    question(&ctx, &id, None).await
}

async fn question(ctx: &RequestContext, id: &str, error: Option<&Error>) -> PageResponse {
    let request = fetch::access_request(ctx, id).await?;
    let question = Question {
        title: "Give up this access?".to_owned(),
        consequence: if request.credential() == CredentialKind::ApiKey {
            "Its API keys are deleted and stop working. Access from other requests is kept."
        } else {
            "The application can no longer get tokens with these scopes. Access from other requests is kept."
        },
        button: "Give up access",
        back: path(id),
        version: ANY_VERSION,
    };
    question.show(ctx, error).await
}

async fn revoke(Path(id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let request = ctx.request(RevokeAccessRequestRequest {
        id: id.clone(),
        reason: form.text("reason"),
        if_version: ANY_VERSION,
    });
    match ctx.access().revoke_access_request(request).await {
        Ok(_) => Ok(done(&path(&id), "revoked")),
        Err(status) => question(&ctx, &id, Some(&mendable(status)?)).await,
    }
}

#[cfg(test)]
mod tests {
    use super::who;

    #[test]
    fn admins_stay_unnamed() {
        let (own, other) = (
            uuid::Uuid::from_u128(1).to_string(),
            uuid::Uuid::from_u128(2).to_string(),
        );
        assert_eq!(who(&own, &own), "you");
        assert_eq!(who(&own, &other), "an administrator");
        assert_eq!(who(&own, "service:registration"), "Portico");
    }
}
