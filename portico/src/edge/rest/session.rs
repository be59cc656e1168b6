//! `/session`: signing in and out.

use std::time::Duration;

use axum::{
    Json,
    response::{AppendHeaders, IntoResponse},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use portico_proto::{
    Error, Kind,
    accounts::v1::{
        CreateSessionRequest, CreateSessionResponse, DeleteSessionRequest, GetCurrentUserRequest,
        User,
    },
    time,
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer::{Single, Unstored},
    input::Body,
};
use crate::edge::{
    Edge,
    problem::Result,
    request::auth::Credential,
    request::{RequestContext, SignIn},
};

pub(super) fn routes() -> OpenApiRouter<Edge> {
    OpenApiRouter::default().routes(routes!(sign_in, current_session, sign_out))
}

#[derive(Serialize, ToSchema)]
struct CurrentSession {
    user: User,
}

/// Signs in. The token is returned once, and set as a cookie.
#[utoipa::path(post, path = "/session", tag = "Accounts", request_body = CreateSessionRequest, responses((status = 200, body = CreateSessionResponse)))]
async fn sign_in(
    SignIn(ctx): SignIn,
    Body(new): Body<CreateSessionRequest>,
) -> Result<impl IntoResponse> {
    let edge = ctx.edge();
    let request = ctx.request(CreateSessionRequest {
        remote_address: ctx.remote_address(),
        device: ctx.device(),
        ..new
    });
    let made = ctx.accounts().create_session(request).await?.into_inner();
    if let Credential::Cookie(former) = ctx.credential() {
        // The browser forgets it now; nobody else should be able to use it either.
        end(&ctx, former.expose()).await;
    }
    let lasts = lasts(&made, edge.deps.clock.now());
    let cookies = signed_in(&ctx, &made.token, lasts)?;
    Ok(Unstored((AppendHeaders(cookies), Json(made))))
}

/// The cookies of somebody who has signed in: the session, and the mark of the browser where it had one.
pub(in crate::edge) fn signed_in(
    ctx: &RequestContext,
    token: &str,
    lasts: Duration,
) -> Result<Vec<(HeaderName, HeaderValue)>> {
    let edge = ctx.edge();
    let cookies = edge.auth.cookies();
    let mut all = vec![(header::SET_COOKIE, cookies.set_session(token, lasts)?)];
    if let Some(visit) = ctx.visit() {
        let known_for = edge.deps.config.attempts.known_for;
        let mark = cookies.keep_visit(visit.expose(), known_for)?;
        all.push((header::SET_COOKIE, mark));
    }
    Ok(all)
}

/// How long a session still lasts.
pub(in crate::edge) fn lasts(session: &CreateSessionResponse, now: Timestamp) -> Duration {
    let ends = session.expires_at.as_ref().and_then(time::from_proto);
    Duration::try_from(now.duration_until(ends.unwrap_or(now))).unwrap_or_default()
}

/// Best effort: a session that nobody has any more ends by itself.
pub(in crate::edge) async fn end(ctx: &RequestContext, token: &str) {
    let request = ctx.request(DeleteSessionRequest {
        token: token.to_owned(),
    });
    if let Err(status) = ctx.accounts().delete_session(request).await {
        tracing::debug!(code = ?status.code(), "a replaced session was not deleted");
    }
}

/// The signed-in user.
#[utoipa::path(get, path = "/session", tag = "Accounts", responses((status = 200, body = CurrentSession)))]
async fn current_session(ctx: RequestContext) -> Result<Single<CurrentSession>> {
    let request = ctx.request(GetCurrentUserRequest {});
    let user = ctx.accounts().get_current_user(request).await?.into_inner();
    Ok(Single::ok(user.version, CurrentSession { user }))
}

/// Signs out: ends the session of this cookie or Bearer token.
#[utoipa::path(delete, path = "/session", tag = "Accounts", responses((status = 204)))]
async fn sign_out(ctx: RequestContext) -> Result<impl IntoResponse> {
    let cookie = ctx.edge().auth.cookies().clear_session()?;
    if let Some(token) = ctx.credential().token() {
        let request = ctx.request(DeleteSessionRequest {
            token: token.expose().to_owned(),
        });
        let deleted = ctx.accounts().delete_session(request).await;
        match deleted.map_err(Error::from) {
            Ok(_) => {}
            // It has ended already.
            Err(error) if matches!(error.kind, Kind::NotFound | Kind::Unauthenticated) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok((
        StatusCode::NO_CONTENT,
        AppendHeaders([(header::SET_COOKIE, cookie)]),
    ))
}
