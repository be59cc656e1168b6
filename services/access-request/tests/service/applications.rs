//! Applications: who may, what is refused.

use portico_proto::{Kind, access::v1 as api};
use portico_runtime::Caller;

use crate::support::{
    FREE, MACHINE, PAYMENTS, Portal, WEB, codes, existing, new_application, order, update,
};

fn shop() -> api::Application {
    api::Application {
        name: " Shop ".into(),
        redirect_urls: vec!["https://shop.example/cb".into(); 2],
        ..Default::default()
    }
}

fn rename(id: &str, name: &str, if_version: u64) -> api::UpdateApplicationRequest {
    let renamed = api::Application {
        name: name.into(),
        ..Default::default()
    };
    api::UpdateApplicationRequest {
        if_version,
        ..update(id, renamed, &["name"])
    }
}

fn get(id: &str) -> api::GetApplicationRequest {
    api::GetApplicationRequest { id: id.into() }
}

fn profile(changed: &api::ApplicationChanged) -> api::GetApplicationProfileRequest {
    api::GetApplicationProfileRequest {
        application_id: changed.application_id.clone(),
        profile_id: changed.profile_id.clone(),
    }
}

fn delete(id: &str) -> api::DeleteApplicationRequest {
    api::DeleteApplicationRequest {
        id: id.into(),
        if_version: 0,
    }
}

#[tokio::test]
async fn an_application_is_its_owners() {
    let portal = Portal::running().await;
    let (anna, bert, admin) = (portal.developer(1), portal.developer(2), portal.admin());
    let made = anna.create(shop()).await.unwrap();
    assert_eq!(made.name, "Shop");
    assert_eq!(made.visibility(), api::ApplicationVisibility::Personal);
    assert_eq!(made.redirect_urls, ["https://shop.example/cb"]);
    assert_eq!(made.owner_id, anna.id.to_string());

    assert_eq!(anna.get_application(get(&made.id)).await, Ok(made.clone()));
    assert_eq!(admin.get_application(get(&made.id)).await, Ok(made.clone()));
    let service = portal.actor(Caller::service("registration"));
    assert_eq!(
        service.get_application(get(&made.id)).await,
        Ok(made.clone())
    );

    assert_eq!(
        codes(bert.get_application(get(&made.id)).await),
        ["not_found"]
    );
    assert_eq!(
        codes(bert.update_application(rename(&made.id, "Mine", 0)).await),
        ["not_found"]
    );
    assert_eq!(
        codes(bert.delete_application(delete(&made.id)).await),
        ["not_found"]
    );
    let mut theirs = order(PAYMENTS, FREE);
    theirs.target = Some(existing(&made.id));
    for other in [&bert, &admin] {
        let error = other
            .submit_access_request(theirs.clone())
            .await
            .unwrap_err();
        assert_eq!(error.kind, Kind::NotFound);
    }
    assert_eq!(
        codes(admin.update_application(rename(&made.id, "Mine", 0)).await),
        ["forbidden"]
    );
    let nobody = portal.actor(Caller::Anonymous);
    assert_eq!(
        codes(nobody.get_application(get(&made.id)).await),
        ["unauthenticated"]
    );
    assert_eq!(codes(nobody.create(shop()).await), ["unauthenticated"]);
}

#[tokio::test]
async fn changes_are_versioned_and_published() {
    let portal = Portal::running().await;
    let anna = portal.developer(1);
    let mut published = portal.published().await;
    let made = anna.create(shop()).await.unwrap();
    assert_eq!(
        codes(anna.update_application(rename(&made.id, "Store", 9)).await),
        ["version_mismatch"]
    );
    let changed = anna
        .update_application(rename(&made.id, "Store", made.version))
        .await
        .unwrap();
    assert_eq!((changed.name.as_str(), changed.version), ("Store", 2));
    let public: api::ApplicationChanged = published.next("application_changed").await;
    let service = portal.actor(Caller::service("registration"));
    let profile = service.get_application_profile(profile(&public)).await;
    let profile = profile.unwrap();
    assert_eq!(profile.name, "Store");
    assert_eq!(profile.redirect_urls, ["https://shop.example/cb"]);
    assert_eq!(
        codes(anna.get_application_profile(self::profile(&public)).await),
        ["forbidden"]
    );

    let bare = api::Application {
        name: "Shop".into(),
        visibility: api::ApplicationVisibility::Personal.into(),
        ..Default::default()
    };
    for visibility in [
        api::ApplicationVisibility::Team,
        api::ApplicationVisibility::Organisation,
    ] {
        // There are no teams and organisations.
        let shared = api::Application {
            visibility: visibility.into(),
            ..bare.clone()
        };
        assert_eq!(
            codes(anna.create(shared.clone()).await),
            ["visibility visibility_invalid"]
        );
        assert_eq!(
            codes(
                anna.update_application(update(&made.id, shared, &["visibility"]))
                    .await
            ),
            ["visibility visibility_invalid"]
        );
    }
    let everything = api::UpdateApplicationRequest {
        update_mask: None,
        ..update(&made.id, bare, &[])
    };
    let replaced = anna.update_application(everything).await.unwrap();
    assert_eq!(
        (replaced.name.as_str(), replaced.redirect_urls.len()),
        ("Shop", 0)
    );
    let forged = update(&made.id, api::Application::default(), &["owner_id"]);
    assert_eq!(
        codes(anna.update_application(forged).await),
        ["update_mask field_unknown"]
    );

    anna.delete_application(delete(&made.id)).await.unwrap();
    assert_eq!(
        codes(anna.get_application(get(&made.id)).await),
        ["not_found"]
    );
    assert_eq!(
        codes(anna.delete_application(delete(&made.id)).await),
        ["not_found"]
    );
}

#[tokio::test]
async fn everything_wrong_is_told_at_once_and_nothing_is_stored() {
    let portal = Portal::running().await;
    let anna = portal.developer(1);
    let wrong = api::Application {
        name: String::new(),
        description: "x".repeat(2001),
        redirect_urls: [
            "https://a.example/#x",
            "https://*.a.example",
            "javascript:x",
        ]
        .map(str::to_owned)
        .to_vec(),
        visibility: 9,
        ..Default::default()
    };
    assert_eq!(
        codes(anna.create(wrong).await),
        [
            "name name_missing",
            "description description_too_long",
            "redirect_urls[0] redirect_url_fragment",
            "redirect_urls[1] redirect_url_wildcard",
            "redirect_urls[2] redirect_url_scheme",
            "visibility visibility_invalid",
        ]
    );
    assert_eq!(portal.store.read(0, 10).await.unwrap(), []);
}

#[tokio::test]
async fn an_application_in_use_stays() {
    in_use(&Portal::running().await).await;
}

pub(crate) async fn in_use(portal: &Portal) {
    let anna = portal.developer(1);
    let request = anna
        .submit_access_request(order(PAYMENTS, FREE))
        .await
        .unwrap();
    let id = &request.application_id;
    assert_eq!(
        codes(anna.delete_application(delete(id)).await),
        ["application_in_use"]
    );
    portal.admin().approve(&request.id).await.unwrap();
    assert_eq!(
        codes(anna.delete_application(delete(id)).await),
        ["application_in_use"]
    );
    anna.revoke(&request.id).await.unwrap();
    anna.delete_application(delete(id)).await.unwrap();

    let mut late = order(PAYMENTS, FREE);
    late.target = Some(existing(id));
    assert_eq!(codes(anna.submit_access_request(late).await), ["not_found"]);
}

#[tokio::test]
async fn a_redirecting_client_keeps_a_redirect_url() {
    let portal = Portal::running().await;
    let anna = portal.developer(1);
    let made = anna.create(shop()).await.unwrap();
    let none = update(&made.id, api::Application::default(), &["redirect_urls"]);
    let mut request = order(PAYMENTS, FREE);
    request.target = Some(existing(&made.id));
    request.client_type_id = Some(WEB.to_string());
    let request = anna.submit_access_request(request).await.unwrap();
    assert_eq!(
        codes(anna.update_application(none.clone()).await),
        ["redirect_urls redirect_urls_missing"]
    );
    anna.withdraw(&request.id).await.unwrap();
    let bare = anna.update_application(none).await.unwrap();
    assert!(bare.redirect_urls.is_empty());

    let mut request = order(PAYMENTS, FREE);
    request.target = Some(existing(&made.id));
    request.client_type_id = Some(WEB.to_string());
    assert_eq!(
        codes(anna.submit_access_request(request.clone()).await),
        ["application_id redirect_urls_missing"]
    );
    request.target = Some(new_application("Other"));
    assert_eq!(
        codes(anna.submit_access_request(request.clone()).await),
        ["application.redirect_urls redirect_urls_missing"]
    );
    request.client_type_id = Some(MACHINE.to_string());
    anna.submit_access_request(request).await.unwrap();
}

#[tokio::test]
async fn two_changes_at_once_both_stay() {
    let portal = Portal::running().await;
    let anna = portal.developer(1);
    let made = anna.create(shop()).await.unwrap();
    let described = api::Application {
        description: "Sells.".into(),
        ..Default::default()
    };
    let (renamed, described) = futures::join!(
        anna.update_application(rename(&made.id, "Store", 0)),
        anna.update_application(update(&made.id, described, &["description"])),
    );
    renamed.unwrap();
    described.unwrap();
    let now = anna.get_application(get(&made.id)).await.unwrap();
    assert_eq!(
        (now.name.as_str(), now.description.as_str()),
        ("Store", "Sells.")
    );
}
