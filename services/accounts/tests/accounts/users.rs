//! What admins do with users, what others may not, and whom services may write to.

use portico_eventstore::EventStore;
use portico_proto::{
    Kind,
    accounts::v1::{
        self as api, ActivateUserRequest, EraseUserRequest, GetContactsRequest, GetUserRequest,
        LetInUserRequest, ListUsersRequest, ShutOutUserRequest, SuspendUserRequest, User,
        UserStatus,
    },
};
use portico_runtime::{Caller, Role};
use portico_trials::Trial;
use uuid::Uuid;

use crate::support::{ADMIN, Place, World, code, developer, on_every_database};

pub(crate) fn trials() -> Vec<Trial> {
    on_every_database!(
        admins_see_everybody_developers_only_themselves,
        only_admins_list_and_change_users,
        lists_come_in_pages_and_filtered,
        admins_activate_suspend_and_activate_again,
        admins_let_in_and_shut_out,
        the_last_admin_stays,
        of_two_admins_who_suspend_each_other_one_stays_active,
        services_get_the_contacts_of_active_users,
        an_erased_user_is_signed_out_and_may_sign_up_again
    )
}

fn list(limit: u32, after: &str) -> ListUsersRequest {
    ListUsersRequest {
        limit,
        after: after.into(),
        ..ListUsersRequest::default()
    }
}

async fn activate(world: &World, caller: &Caller, id: &str) -> Result<User, tonic::Status> {
    let request = world.request(caller, ActivateUserRequest { id: id.into() });
    Ok(world.client().activate_user(request).await?.into_inner())
}

async fn suspend(world: &World, caller: &Caller, id: &str) -> Result<User, tonic::Status> {
    let request = world.request(caller, SuspendUserRequest { id: id.into() });
    Ok(world.client().suspend_user(request).await?.into_inner())
}

async fn let_in(world: &World, caller: &Caller, id: &str) -> Result<User, tonic::Status> {
    let request = world.request(caller, LetInUserRequest { id: id.into() });
    Ok(world.client().let_in_user(request).await?.into_inner())
}

async fn shut_out(world: &World, caller: &Caller, id: &str) -> Result<User, tonic::Status> {
    let request = world.request(caller, ShutOutUserRequest { id: id.into() });
    Ok(world.client().shut_out_user(request).await?.into_inner())
}

async fn erase(world: &World, caller: &Caller, id: &str) -> Result<User, tonic::Status> {
    let request = world.request(caller, EraseUserRequest { id: id.into() });
    Ok(world.client().erase_user(request).await?.into_inner())
}

async fn contacts(world: &World, ids: &[&str], role: api::Role) -> Vec<String> {
    let message = GetContactsRequest {
        user_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        role: role.into(),
    };
    let request = world.request(&Caller::service("notification"), message);
    let answer = world.client().get_contacts(request).await.unwrap();
    let contacts = answer.into_inner().contacts.into_iter();
    let mut emails: Vec<_> = contacts.map(|contact| contact.email).collect();
    emails.sort();
    emails
}

/// There is no way to a second admin but the log.
async fn make_admin(store: &EventStore, pool: &sqlx::AnyPool, id: &str) {
    for sql in [
        "UPDATE events SET data = REPLACE(data, 'developer', 'admin') WHERE stream = $1",
        "UPDATE users SET role = 'admin' WHERE 'user-' || id = $1",
    ] {
        sqlx::query(sql)
            .bind(format!("user-{id}"))
            .execute(pool)
            .await
            .unwrap();
    }
    store.replay(|_| {}).await.unwrap();
}

async fn admins_see_everybody_developers_only_themselves(place: Place) {
    let world = World::start(&place).await;
    let admin = world.admin().await;
    let ada = world.sign_up("Ada", "ada@example.org").await.unwrap();
    let eve = world.sign_up("Eve", "eve@example.org").await.unwrap();
    let message = |id: &str| GetUserRequest { id: id.into() };
    for (caller, id, seen) in [
        (&admin, &ada.id, true),
        (&developer(&ada), &ada.id, true),
        (&developer(&eve), &ada.id, false),
        (&admin, &Uuid::nil().to_string(), false),
    ] {
        let request = world.request(caller, message(id));
        match world.client().get_user(request).await {
            Ok(user) if seen => assert_eq!(user.into_inner(), ada),
            Err(status) if !seen => assert_eq!(code(Err::<(), _>(status)), "not_found"),
            other => panic!("{caller:?}: {other:?}"),
        }
    }
    let request = world.request(&Caller::Anonymous, message(&ada.id));
    assert_eq!(
        code(world.client().get_user(request).await),
        "unauthenticated"
    );
}

async fn only_admins_list_and_change_users(place: Place) {
    let world = World::start(&place).await;
    let ada = world.sign_up("Ada", "ada@example.org").await.unwrap();
    for (caller, expected) in [
        (Caller::Anonymous, "unauthenticated"),
        (developer(&ada), "forbidden"),
        (Caller::service("registration"), "forbidden"),
    ] {
        let request = world.request(&caller, list(0, ""));
        assert_eq!(code(world.client().list_users(request).await), expected);
        assert_eq!(code(activate(&world, &caller, &ada.id).await), expected);
        assert_eq!(code(suspend(&world, &caller, &ada.id).await), expected);
        assert_eq!(code(let_in(&world, &caller, &ada.id).await), expected);
        assert_eq!(code(shut_out(&world, &caller, &ada.id).await), expected);
        assert_eq!(code(erase(&world, &caller, &ada.id).await), expected);
    }
    let admin = world.admin().await;
    let nobody = Uuid::nil().to_string();
    assert_eq!(code(activate(&world, &admin, &nobody).await), "not_found");
    assert_eq!(code(let_in(&world, &admin, &nobody).await), "not_found");
    assert_eq!(code(shut_out(&world, &admin, &nobody).await), "not_found");
    assert_eq!(code(erase(&world, &admin, "x").await), "id_invalid");
}

async fn lists_come_in_pages_and_filtered(place: Place) {
    let world = World::start(&place).await;
    let admin = world.admin().await;
    let mut ids = Vec::new();
    for n in 0..3 {
        let email = format!("user{n}@example.org");
        ids.push(world.sign_up("User", &email).await.unwrap().id);
    }
    suspend(&world, &admin, &ids[1]).await.unwrap();
    let fetch = |message| {
        let request = world.request(&admin, message);
        async {
            world
                .client()
                .list_users(request)
                .await
                .map(tonic::Response::into_inner)
        }
    };
    let first = fetch(list(3, "")).await.unwrap();
    assert_eq!(first.users[0].email(), ADMIN);
    let second = fetch(list(3, &first.next)).await.unwrap();
    assert_eq!((first.users.len(), second.next.as_str()), (3, ""));
    assert_eq!(second.users[0].id, ids[2]);
    let active = ListUsersRequest {
        status: UserStatus::Active.into(),
        role: api::Role::Developer.into(),
        ..ListUsersRequest::default()
    };
    let active = fetch(active).await.unwrap();
    let found: Vec<_> = active.users.iter().map(|user| &user.id).collect();
    assert_eq!(found, [&ids[0], &ids[2]]);
    let_in(&world, &admin, &ids[2]).await.unwrap();
    for (let_in, expected) in [(true, vec![&ids[2]]), (false, vec![&ids[0], &ids[1]])] {
        let filtered = ListUsersRequest {
            role: api::Role::Developer.into(),
            let_in: Some(let_in),
            ..ListUsersRequest::default()
        };
        let filtered = fetch(filtered).await.unwrap();
        let found: Vec<_> = filtered.users.iter().map(|user| &user.id).collect();
        assert_eq!(found, expected);
    }
    let newest = ListUsersRequest {
        sort: "-created_at".to_owned(),
        ..list(1, "")
    };
    assert_eq!(fetch(newest).await.unwrap().users[0].id, ids[2]);
    for (status, role, wrong) in [(99, 0, "status_invalid"), (0, 99, "role_invalid")] {
        let message = ListUsersRequest {
            status,
            role,
            ..ListUsersRequest::default()
        };
        assert_eq!(code(fetch(message).await), wrong);
    }
}

async fn admins_activate_suspend_and_activate_again(place: Place) {
    let world = World::with(&place, &[("PORTICO_SIGNUP", "approval")]).await;
    let admin = world.admin().await;
    let ada = world.sign_up("Ada", "ada@example.org").await.unwrap();
    for _ in 0..2 {
        let user = activate(&world, &admin, &ada.id).await.unwrap();
        assert_eq!((user.status(), user.version), (UserStatus::Active, 4));
        assert!(user.let_in, "the approval of a sign-up lets in");
    }
    let token = world.sign_in("ada@example.org").await.unwrap().token;
    let user = suspend(&world, &admin, &ada.id).await.unwrap();
    assert_eq!((user.status(), user.version), (UserStatus::Suspended, 5));
    activate(&world, &admin, &ada.id).await.unwrap();
    // The old session does not come back to life.
    assert_eq!(code(world.authenticate(&token).await), "token_invalid");
    assert!(world.sign_in("ada@example.org").await.is_ok());
}

async fn admins_let_in_and_shut_out(place: Place) {
    let world = World::start(&place).await;
    let admin = world.admin().await;
    let ada = world.sign_up("Ada", "ada@example.org").await.unwrap();
    let session = world.sign_in("ada@example.org").await.unwrap().token;
    let known = async || {
        let answer = world.authenticate(&session).await.unwrap();
        let signed = world.deps.identity.verify(&answer.identity).unwrap();
        let signed = matches!(signed, Caller::User { let_in: true, .. });
        assert_eq!(signed, answer.let_in);
        signed
    };
    assert!(!ada.let_in && !known().await, "she signed up by herself");
    for _ in 0..2 {
        let user = let_in(&world, &admin, &ada.id).await.unwrap();
        assert_eq!((user.let_in, user.version), (true, 3));
        assert!(known().await);
    }
    for _ in 0..2 {
        let user = shut_out(&world, &admin, &ada.id).await.unwrap();
        assert_eq!((user.let_in, user.version), (false, 4));
        assert!(!known().await);
    }
    let id = admin.require_admin().unwrap().to_string();
    assert!(let_in(&world, &admin, &id).await.unwrap().let_in);
    let refused = shut_out(&world, &admin, &id).await;
    assert_eq!(code(refused), "let_in_by_role");
    erase(&world, &admin, &ada.id).await.unwrap();
    assert_eq!(code(let_in(&world, &admin, &ada.id).await), "user_erased");
}

async fn the_last_admin_stays(place: Place) {
    let world = World::start(&place).await;
    let admin = world.admin().await;
    let id = admin.require_admin().unwrap().to_string();
    for refused in [
        suspend(&world, &admin, &id).await,
        erase(&world, &admin, &id).await,
    ] {
        let error: portico_proto::Error = refused.unwrap_err().into();
        assert_eq!(
            (error.kind, error.code.as_ref()),
            (Kind::Conflict, "last_admin")
        );
    }
    let ada = world.sign_up("Ada", "ada@example.org").await.unwrap();
    make_admin(&world.store, world.pool(), &ada.id).await;
    assert!(suspend(&world, &admin, &id).await.is_ok());
    let ada_admin = Caller::User {
        id: ada.id.parse().unwrap(),
        role: Role::Admin,
        let_in: false,
    };
    assert_eq!(code(erase(&world, &ada_admin, &ada.id).await), "last_admin");
}

async fn of_two_admins_who_suspend_each_other_one_stays_active(place: Place) {
    let world = World::start(&place).await;
    let admin = world.admin().await;
    let id = admin.require_admin().unwrap().to_string();
    let ada = world.sign_up("Ada", "ada@example.org").await.unwrap();
    make_admin(&world.store, world.pool(), &ada.id).await;
    for round in 0..20 {
        let (one, other) = tokio::join!(
            suspend(&world, &admin, &ada.id),
            suspend(&world, &admin, &id)
        );
        let (gone, refused) = match (one, other) {
            (Ok(user), Err(status)) | (Err(status), Ok(user)) => (user.id, status),
            both => panic!("round {round}: {both:?}"),
        };
        assert_eq!(code(Err::<(), _>(refused)), "last_admin");
        activate(&world, &admin, &gone).await.unwrap();
    }
}

async fn services_get_the_contacts_of_active_users(place: Place) {
    let world = World::start(&place).await;
    let admin = world.admin().await;
    let ada = world.sign_up("Ada", "ada@example.org").await.unwrap();
    let bob = world.sign_up("Bob", "bob@example.org").await.unwrap();
    let eve = world.sign_up("Eve", "eve@example.org").await.unwrap();
    suspend(&world, &admin, &bob.id).await.unwrap();
    erase(&world, &admin, &eve.id).await.unwrap();
    let nobody = Uuid::nil().to_string();
    let ids = [&ada.id, &bob.id, &eve.id, &nobody, &ada.id].map(String::as_str);
    assert_eq!(
        contacts(&world, &ids, api::Role::Unspecified).await,
        ["ada@example.org"]
    );
    assert_eq!(contacts(&world, &[], api::Role::Admin).await, [ADMIN]);
    assert_eq!(
        contacts(&world, &[], api::Role::Developer).await,
        ["ada@example.org"]
    );
    for (caller, expected) in [
        (Caller::Anonymous, "unauthenticated"),
        (developer(&ada), "forbidden"),
        (admin, "forbidden"),
        (Caller::service("notification"), "user_ids_invalid"),
    ] {
        let request = world.request(&caller, GetContactsRequest::default());
        assert_eq!(code(world.client().get_contacts(request).await), expected);
    }
}

async fn an_erased_user_is_signed_out_and_may_sign_up_again(place: Place) {
    let world = World::start(&place).await;
    let admin = world.admin().await;
    let ada = world.sign_up("Ada", "ada@example.org").await.unwrap();
    let session = world.sign_in("ada@example.org").await.unwrap().token;
    let message = portico_proto::accounts::v1::CreateApiTokenRequest {
        name: "ci".into(),
        expires_in_days: Some(1),
    };
    let request = world.request(&developer(&ada), message);
    let created = world.client().create_api_token(request).await.unwrap();

    for _ in 0..2 {
        let erased = erase(&world, &admin, &ada.id).await.unwrap();
        let shown = (erased.status(), erased.name, erased.email);
        assert_eq!(shown, (UserStatus::Erased, None, None));
    }
    assert_eq!(
        code(world.sign_in("ada@example.org").await),
        "credentials_wrong"
    );
    for token in [session, created.into_inner().token] {
        assert_eq!(code(world.authenticate(&token).await), "token_invalid");
    }
    assert_eq!(code(activate(&world, &admin, &ada.id).await), "user_erased");

    let again = world.sign_up("Ada", "ada@example.org").await.unwrap();
    assert_ne!(again.id, ada.id);
    assert!(world.sign_in("ada@example.org").await.is_ok());
}
