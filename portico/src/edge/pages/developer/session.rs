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
    view::{Page, Shown, done},
};
use crate::edge::{
    Edge,
    ask::Ask,
    auth::Credential,
    rest::session::{end, lasts},
};

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

async fn login(ask: Ask, Query(arrival): Query<Arrival>) -> Shown {
    let form = context! { next => own_path(&arrival.next) };
    Page::new("developer/login.html")
        .show(&ask, context! { form })
        .await
}

async fn log_in(Posted { ask, form }: Posted) -> Shown {
    let request = CreateSessionRequest {
        email: form.text("email"),
        password: form.raw("password"),
        remote_address: ask.remote_address(),
    };
    let made = match ask.accounts().create_session(ask.request(request)).await {
        Ok(made) => made.into_inner(),
        Err(status) => {
            let page = Page::new("developer/login.html").refused(&status.into());
            return page.show(&ask, context! { form => form.typed(&[]) }).await;
        }
    };
    if let Credential::Cookie(former) = ask.credential() {
        // The browser forgets it now; nobody else should be able to use it either.
        end(&ask, former.expose()).await;
    }
    let edge = ask.edge();
    let lasts = lasts(&made, edge.deps.clock.now());
    let cookie = edge.auth.cookies().set_session(&made.token, lasts)?;
    let to = Redirect::to(&own_path(&form.text("next")));
    Ok((AppendHeaders([(header::SET_COOKIE, cookie)]), to).into_response())
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

async fn log_out(Posted { ask, .. }: Posted) -> Shown {
    if let Some(session) = ask.session() {
        end(&ask, session.expose()).await;
    }
    let cookie = ask.edge().auth.cookies().clear_session()?;
    let to = Redirect::to("/login?notice=logged_out");
    Ok((AppendHeaders([(header::SET_COOKIE, cookie)]), to).into_response())
}

async fn signup(ask: Ask) -> Shown {
    Page::new("developer/signup.html")
        .show(&ask, context! {})
        .await
}

async fn sign_up(Posted { ask, form }: Posted) -> Shown {
    let request = SignUpRequest {
        name: form.text("name"),
        email: form.text("email"),
        password: form.raw("password"),
    };
    match ask.accounts().sign_up(ask.request(request)).await {
        Ok(user) if user.get_ref().status() == UserStatus::Active => {
            Ok(done("/login", "signed_up"))
        }
        Ok(_) => Ok(done("/login", "signed_up_pending")),
        Err(status) => {
            let page = Page::new("developer/signup.html").refused(&status.into());
            page.show(&ask, context! { form => form.typed(&[]) }).await
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
