//! Users: letting in, locking out, erasing.

use axum::{
    Router,
    extract::{Path, Query},
    routing::{get, post},
};
use minijinja::{Value, context, value::Serde};
use portico_proto::{
    Error,
    accounts::v1::{
        ActivateUserRequest, EraseUserRequest, GetUserRequest, ListUsersRequest, Role,
        SuspendUserRequest, UserStatus,
    },
};

use super::super::{
    confirm::Question,
    form::Posted,
    lists::{Listing, word},
    view::{Page, Shown, done, mendable},
};
use crate::edge::{Edge, ask::Ask};

const LIST: &str = "/admin/users";

pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/users", get(list))
        .route("/users/{id}/activate", post(activate))
        .route("/users/{id}/suspend", post(suspend))
        .route("/users/{id}/erase", get(ask_to_erase).post(erase))
}

async fn list(ask: Ask, Query(listing): Query<Listing>) -> Shown {
    page(&ask, &listing, None).await
}

async fn page(ask: &Ask, listing: &Listing, error: Option<&Error>) -> Shown {
    let request = ListUsersRequest {
        after: listing.after.clone(),
        sort: listing.sort.clone(),
        status: word::<UserStatus>(&listing.status),
        role: word::<Role>(&listing.role),
        ..Default::default()
    };
    let page = ask
        .accounts()
        .list_users(ask.request(request))
        .await?
        .into_inner();
    let shown = context! {
        users => Value::from(Serde(page.users)),
        list => listing.shown(&page.next),
    };
    Page::new("admin/users.html")
        .refused_if(error)
        .show(ask, shown)
        .await
}

async fn activate(Path(id): Path<String>, Posted { ask, .. }: Posted) -> Shown {
    let request = ask.request(ActivateUserRequest { id });
    match ask.accounts().activate_user(request).await {
        Ok(_) => Ok(done(LIST, "user_activated")),
        Err(status) => page(&ask, &Listing::default(), Some(&mendable(status)?)).await,
    }
}

async fn suspend(Path(id): Path<String>, Posted { ask, .. }: Posted) -> Shown {
    let request = ask.request(SuspendUserRequest { id: id.clone() });
    match ask.accounts().suspend_user(request).await {
        Ok(_) => {
            ask.edge().auth.forget_user(&id);
            Ok(done(LIST, "user_suspended"))
        }
        Err(status) => page(&ask, &Listing::default(), Some(&mendable(status)?)).await,
    }
}

async fn ask_to_erase(ask: Ask, Path(id): Path<String>) -> Shown {
    question(&ask, &id, None).await
}

async fn question(ask: &Ask, id: &str, error: Option<&Error>) -> Shown {
    let request = ask.request(GetUserRequest { id: id.to_owned() });
    let user = ask.accounts().get_user(request).await?.into_inner();
    let question = Question {
        title: format!("Erase {}?", user.name),
        consequence: "Their name, e-mail address and password are deleted permanently, and they can no longer log \
            in. Their actions stay in the history, without a name.",
        button: "Erase the user",
        back: LIST.to_owned(),
        version: 0,
        reason: false,
        admin: true,
    };
    question.show(ask, error).await
}

async fn erase(Path(id): Path<String>, Posted { ask, .. }: Posted) -> Shown {
    let request = ask.request(EraseUserRequest { id: id.clone() });
    match ask.accounts().erase_user(request).await {
        Ok(_) => {
            ask.edge().auth.forget_user(&id);
            Ok(done(LIST, "user_erased"))
        }
        Err(status) => question(&ask, &id, Some(&mendable(status)?)).await,
    }
}
