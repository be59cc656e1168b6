//! Logging in and out, signing up.

use axum::{
    Router,
    extract::Query,
    response::{AppendHeaders, IntoResponse, Redirect},
    routing::{get, post},
};
use http::header;
use minijinja::context;
use portico_proto::accounts::v1::{CreateSessionRequest, SignUpRequest, UserStatus};
use portico_runtime::{Caller, Role};
use serde::Deserialize;

use super::{
    form::Posted,
    page::{PageResponse, done, render},
};
use crate::edge::{
    Edge,
    request::RequestContext,
    request::auth::Credential,
    rest::session::{end, lasts, signed_in},
};

pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/", get(start))
        .route("/login", get(login).post(log_in))
        .route("/logout", post(log_out))
        .route("/signup", get(signup).post(sign_up))
}

/// Everybody begins at what concerns them.
async fn start(ctx: RequestContext) -> Redirect {
    match ctx.caller() {
        Caller::User {
            role: Role::Admin, ..
        } => Redirect::to("/admin/access-requests"),
        _ => Redirect::to("/catalogue"),
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Arrival {
    next: String,
}

async fn login(ctx: RequestContext, Query(arrival): Query<Arrival>) -> PageResponse {
    let form = context! { next => own_path(&arrival.next) };
    render(&ctx, "developer/login.html", context! { form }, None).await
}

async fn log_in(Posted { ctx, form }: Posted) -> PageResponse {
    let request = ctx.request(CreateSessionRequest {
        email: form.text("email"),
        password: form.raw("password"),
        remote_address: ctx.remote_address(),
        device: ctx.device(),
    });
    let made = match ctx.accounts().create_session(request).await {
        Ok(made) => made.into_inner(),
        Err(status) => {
            let shown = context! { form => form.typed(&[]) };
            return render(&ctx, "developer/login.html", shown, Some(&status.into())).await;
        }
    };
    if let Credential::Cookie(former) = ctx.credential() {
        // The browser forgets it now; nobody else should be able to use it either.
        end(&ctx, former.expose()).await;
    }
    let edge = ctx.edge();
    let lasts = lasts(&made, edge.deps.clock.now());
    let cookies = signed_in(&ctx, &made.token, lasts)?;
    let to = Redirect::to(&own_path(&form.text("next")));
    Ok((AppendHeaders(cookies), to).into_response())
}

/// A path of this portal; anything else, such as another host, becomes the start page.
fn own_path(next: &str) -> String {
    let inside = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains(|c: char| c == '\\' || c.is_control());
    if inside {
        next.to_owned()
    } else {
        "/".to_owned()
    }
}

async fn log_out(Posted { ctx, .. }: Posted) -> PageResponse {
    if let Some(session) = ctx.session() {
        end(&ctx, session.expose()).await;
    }
    let cookie = ctx.edge().auth.cookies().clear_session()?;
    let to = Redirect::to("/login?notice=logged_out");
    Ok((AppendHeaders([(header::SET_COOKIE, cookie)]), to).into_response())
}

async fn signup(ctx: RequestContext) -> PageResponse {
    render(&ctx, "developer/signup.html", context! {}, None).await
}

async fn sign_up(Posted { ctx, form }: Posted) -> PageResponse {
    let request = ctx.request(SignUpRequest {
        name: form.text("name"),
        email: form.text("email"),
        password: form.raw("password"),
        remote_address: ctx.remote_address(),
    });
    match ctx.accounts().sign_up(request).await {
        Ok(user) if user.get_ref().status() == UserStatus::Active => {
            Ok(done("/login", "signed_up"))
        }
        Ok(_) => Ok(done("/login", "signed_up_pending")),
        Err(status) => {
            let shown = context! { form => form.typed(&[]) };
            render(&ctx, "developer/signup.html", shown, Some(&status.into())).await
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
            ("/catalogue?q=a", "/catalogue?q=a"),
            ("//evil.example", "/"),
            ("https://evil.example", "/"),
            ("/\\evil.example", "/"),
            ("/\t/evil.example", "/"),
            ("", "/"),
        ] {
            assert_eq!(own_path(next), path);
        }
    }
}
