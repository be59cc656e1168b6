//! Logging in and out, signing up.

use axum::{
    Router,
    extract::{Query, State},
    response::{AppendHeaders, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use http::header;
use minijinja::context;
use portico_proto::accounts::v1::{CreateSessionRequest, DeleteSessionRequest, SignUpRequest};
use portico_runtime::{Caller, Role};
use serde::Deserialize;

use super::{
    form::{Form, Posted},
    view::{Page, done, failed},
};
use crate::edge::{Edge, ask::Ask, auth::lasts};

pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/", get(start))
        .route("/login", get(login).post(log_in))
        .route("/logout", post(log_out))
        .route("/signup", get(signup).post(sign_up))
}

/// Everybody begins at what concerns them.
async fn start(ask: Ask) -> Redirect {
    match ask.caller() {
        Caller::User { role: Role::Admin, .. } => Redirect::to("/admin/access-requests"),
        _ => Redirect::to("/catalogue"),
    }
}

#[derive(Deserialize, Default)]
struct Arrival {
    #[serde(default)]
    next: String,
    #[serde(default)]
    notice: String,
}

async fn login(ask: Ask, Query(arrival): Query<Arrival>) -> Response {
    let shown = context! { next => own_path(&arrival.next), notice => arrival.notice };
    Page::new("login.html").show(&ask, shown).await
}

async fn log_in(State(edge): State<Edge>, posted: Posted) -> Response {
    let ask = &posted.ask;
    let form = match Form::read(ask, &posted.body) {
        Ok(form) => form,
        Err(error) => return failed(ask, error).await,
    };
    let request = CreateSessionRequest {
        email: form.text("email"),
        password: form.raw("password"),
        remote_address: ask.remote_address(),
    };
    match ask.accounts().create_session(ask.request(request)).await {
        Ok(made) => {
            let made = made.into_inner();
            let lasts = lasts(&made.expires_at, edge.deps.clock.now());
            match edge.auth.cookies().set_session(&made.token, lasts) {
                Ok(cookie) => {
                    let to = own_path(&form.text("next"));
                    (AppendHeaders([(header::SET_COOKIE, cookie)]), Redirect::to(&to)).into_response()
                }
                Err(error) => failed(ask, error).await,
            }
        }
        Err(status) => {
            let shown = context! { next => own_path(&form.text("next")), form => form.typed() };
            Page::new("login.html").refused(&status.into()).show(ask, shown).await
        }
    }
}

/// A path of this portal; anything else, such as another host, becomes the start page.
fn own_path(next: &str) -> String {
    let inside = next.starts_with('/') && !next.starts_with("//") && !next.contains(['\\', '\r', '\n']);
    if inside { next.to_owned() } else { "/".to_owned() }
}

async fn log_out(State(edge): State<Edge>, posted: Posted) -> Response {
    let ask = &posted.ask;
    if let Err(error) = Form::read(ask, &posted.body) {
        return failed(ask, error).await;
    }
    if let Some(session) = ask.session() {
        let request = DeleteSessionRequest { token: session.expose().to_owned() };
        if let Err(status) = ask.accounts().delete_session(ask.request(request)).await {
            tracing::debug!(code = ?status.code(), "the session was not deleted; it may have ended");
        }
        edge.auth.forget(session);
    }
    match edge.auth.cookies().clear_session() {
        Ok(cookie) => (AppendHeaders([(header::SET_COOKIE, cookie)]), Redirect::to("/login")).into_response(),
        Err(error) => failed(ask, error).await,
    }
}

async fn signup(ask: Ask) -> Response {
    Page::new("signup.html").show(&ask, context! {}).await
}

async fn sign_up(posted: Posted) -> Response {
    let ask = &posted.ask;
    let form = match Form::read(ask, &posted.body) {
        Ok(form) => form,
        Err(error) => return failed(ask, error).await,
    };
    let request =
        SignUpRequest { name: form.text("name"), email: form.text("email"), password: form.raw("password") };
    match ask.accounts().sign_up(ask.request(request)).await {
        Ok(user) if user.get_ref().status == "active" => done("/login", "signed_up"),
        Ok(_) => done("/login", "signed_up_pending"),
        Err(status) => {
            let shown = context! { form => form.typed() };
            Page::new("signup.html").refused(&status.into()).show(ask, shown).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::own_path;

    #[test]
    fn nobody_is_sent_to_another_host() {
        for (next, path) in [
            ("/cart", "/cart"),
            ("//evil.example", "/"),
            ("https://evil.example", "/"),
            ("/\\evil.example", "/"),
            ("", "/"),
        ] {
            assert_eq!(own_path(next), path);
        }
    }
}
