//! Checkout: what is refused, what a crash or a repetition leaves, and that one wins.

use portico_access_request::access_request::{AccessRequest, Command, request};
use portico_bus::MemoryBus;
use portico_eventstore::{
    sqlx::{self, Row as _},
    testing::context,
};
use portico_proto::{Kind, access::v1 as api, catalog};
use uuid::Uuid;

use crate::support::{
    AUTO, FREE, MACHINE, ORDERS, PAYMENTS, PROVIDER, Portal, WEB, codes, existing, item,
    new_application, order, status, steps, update,
};

#[tokio::test]
async fn a_request_is_submitted_and_leaves_the_cart() {
    let portal = Portal::running().await;
    let anna = portal.developer(1);
    let mut published = portal.published().await;
    let cart = api::PutCartRequest {
        cart: Some(api::Cart {
            items: vec![item(PAYMENTS, FREE), item(ORDERS, FREE)],
            version: 0,
        }),
        if_version: 0,
    };
    anna.put_cart(cart).await.unwrap();
    let mut request = order(PAYMENTS, FREE);
    request.note = " For our shop,\r\nplease. ".into();
    let made = anna.submit_access_request(request).await.unwrap();
    assert_eq!(status(&made), "pending");
    assert_eq!(made.note, "For our shop,\nplease.");
    assert_eq!(made.application_name, "Shop");
    assert_eq!(made.identity_provider_id(), PROVIDER.to_string());
    assert_eq!(made.items[0].product_scopes, ["product_payments"]);
    assert_eq!(made.items[0].plan_scopes, ["free_plan"]);
    assert_eq!(steps(&made), ["submitted"]);
    assert_eq!(made.timeline[0].by, anna.id.to_string());
    let cart = anna.get_cart(api::GetCartRequest {}).await.unwrap();
    assert_eq!(cart.items, [item(ORDERS, FREE)]);

    let public: api::AccessSubmitted = published.next("access_submitted").await;
    assert_eq!(public.request_id, made.id);
    assert_eq!(public.product_names, ["Payments"]);
    for event in portal.store.read(0, 100).await.unwrap() {
        assert!(!event.data.as_str().contains("our shop"), "{event:?}");
    }
}

#[tokio::test]
async fn all_that_does_not_fit_is_told_and_nothing_is_stored() {
    let portal = Portal::running().await;
    let anna = portal.developer(1);
    portal.world.change(|known| {
        let orders = known.products.get_mut(&ORDERS.to_string()).unwrap();
        orders.scopes = vec!["product_payments".into()];
        orders.client_type_ids = vec![WEB.to_string()];
    });
    let wrong = api::SubmitAccessRequestRequest {
        items: vec![
            item(PAYMENTS, FREE),
            api::CartItem {
                product_id: ORDERS.to_string(),
                plan_id: None,
            },
        ],
        target: Some(api::submit_access_request_request::Target::Application(
            api::Application {
                redirect_urls: vec!["http://a.example".into()],
                ..Default::default()
            },
        )),
        client_type_id: Some(MACHINE.to_string()),
        note: "x".repeat(2001),
    };
    assert_eq!(
        codes(anna.submit_access_request(wrong).await),
        [
            "note note_too_long",
            "application.name name_missing",
            "application.redirect_urls[0] redirect_url_not_https",
            "items[1].plan_id plan_missing",
            "items[1].product_id scope_shared",
            "client_type_id client_type_not_of_product",
        ]
    );
    let nothing = api::SubmitAccessRequestRequest::default();
    assert_eq!(
        codes(anna.submit_access_request(nothing).await),
        [
            "application_id application_missing",
            "items items_missing",
            "client_type_id client_type_missing",
        ]
    );
    portal.world.change(|known| known.away = true);
    let error = anna
        .submit_access_request(order(PAYMENTS, FREE))
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable);
    assert_eq!(portal.store.read(0, 10).await.unwrap(), []);
}

#[tokio::test]
async fn a_draft_is_unknown_even_to_an_admin() {
    let portal = Portal::running().await;
    portal.world.change(|known| {
        let payments = known.products.get_mut(&PAYMENTS.to_string()).unwrap();
        payments.status = catalog::v1::ProductStatus::Draft.into();
    });
    for actor in [portal.developer(1), portal.admin()] {
        assert_eq!(
            codes(actor.submit_access_request(order(PAYMENTS, FREE)).await),
            ["items[0].product_id product_unknown"]
        );
    }
}

#[tokio::test]
async fn one_living_request_for_a_product_and_one_client_type() {
    rules(&Portal::running().await).await;
}

pub(crate) async fn rules(portal: &Portal) {
    let anna = portal.developer(1);
    let first = anna
        .submit_access_request(order(PAYMENTS, FREE))
        .await
        .unwrap();
    let again = |product, client_type: Uuid| {
        let mut request = order(product, FREE);
        request.target = Some(existing(&first.application_id));
        request.client_type_id = Some(client_type.to_string());
        request.note = "again".into();
        request
    };
    assert_eq!(
        codes(anna.submit_access_request(again(PAYMENTS, MACHINE)).await),
        ["already_requested"]
    );
    let redirecting = api::Application {
        redirect_urls: vec!["https://shop.example/cb".into()],
        ..Default::default()
    };
    let update = update(&first.application_id, redirecting, &["redirect_urls"]);
    anna.update_application(update).await.unwrap();
    assert_eq!(
        codes(anna.submit_access_request(again(ORDERS, WEB)).await),
        ["client_type_differs"]
    );
    anna.submit_access_request(again(ORDERS, MACHINE))
        .await
        .unwrap();
    // What has ended is in nobody's way.
    portal.admin().reject(&first.id, "no").await.unwrap();
    anna.submit_access_request(again(PAYMENTS, MACHINE))
        .await
        .unwrap();
    // Refused notes are gone.
    let kept: i64 = {
        sqlx::query("SELECT COUNT(*) FROM vault_value WHERE subject LIKE 'access_request/%'")
            .fetch_one(portal.store.database().pool())
            .await
            .unwrap()
            .get(0)
    };
    assert_eq!(kept, 3);
}

#[tokio::test]
async fn of_many_at_once_one_is_submitted() {
    let portal = Portal::running().await;
    let anna = portal.developer(1);
    let made = anna
        .create(api::Application {
            name: "Shop".into(),
            ..Default::default()
        })
        .await
        .unwrap();
    let mut request = order(PAYMENTS, FREE);
    request.target = Some(existing(&made.id));
    let calls = (0..16).map(|_| anna.submit_access_request(request.clone()));
    let results = futures::future::join_all(calls).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    for result in results.into_iter().filter(Result::is_err) {
        assert_eq!(codes(result), ["already_requested"]);
    }
}

#[tokio::test]
async fn a_repeated_call_submits_once_whatever_changed_meanwhile() {
    let portal = Portal::running().await;
    let anna = portal.developer(1);
    let mut request = order(PAYMENTS, FREE);
    request.note = "please".into();
    let first = anna.submit_keyed("k1", request.clone()).await.unwrap();
    portal.world.change(|known| known.products.clear());
    let second = anna.submit_keyed("k1", request.clone()).await.unwrap();
    assert_eq!(first, second);
    request.client_type_id = Some(WEB.to_string());
    assert_eq!(
        codes(anna.submit_keyed("k1", request).await),
        ["idempotency_key_reused"]
    );
    let all = anna
        .list_applications(api::ListApplicationsRequest::default())
        .await
        .unwrap();
    assert_eq!(all.applications.len(), 1);
}

#[tokio::test]
async fn what_a_crash_left_half_is_completed_by_the_same_call() {
    let portal = Portal::running().await;
    let anna = portal.developer(1);
    let request = order(PAYMENTS, FREE);
    // The call dies between its two commits: the application is there, the request is not.
    let half = portal.store.database().pool().clone();
    let made = anna.submit_keyed("k1", request.clone()).await.unwrap();
    for statement in [
        "DELETE FROM events WHERE stream LIKE 'access_request-%'",
        "DELETE FROM access_requests",
        "DELETE FROM access_request_items",
    ] {
        sqlx::query(statement).execute(&half).await.unwrap();
    }
    assert_eq!(codes(anna.get(&made.id).await), ["not_found"]);
    let again = anna.submit_keyed("k1", request).await.unwrap();
    assert_eq!(
        (&again.id, &again.application_id),
        (&made.id, &made.application_id)
    );
    let all = anna
        .list_applications(api::ListApplicationsRequest::default())
        .await
        .unwrap();
    assert_eq!(all.applications.len(), 1);
}

#[tokio::test]
async fn plans_that_approve_by_themselves_do() {
    let portal = Portal::running().await;
    let anna = portal.developer(1);
    let mut published = portal.published().await;
    let made = anna
        .submit_access_request(order(PAYMENTS, AUTO))
        .await
        .unwrap();
    assert_eq!(status(&made), "approved");
    assert_eq!(made.timeline[1].by, "service:access-request");
    let public: api::AccessApproved = published.next("access_approved").await;
    assert_eq!(public.approved_by, "service:access-request");

    let mut mixed = order(PAYMENTS, AUTO);
    mixed.items.push(item(ORDERS, FREE));
    mixed.target = Some(new_application("Other"));
    let made = anna.submit_access_request(mixed).await.unwrap();
    assert_eq!(status(&made), "pending");
}

#[tokio::test]
async fn an_automatic_approval_that_did_not_happen_is_made_up_for() {
    let mut portal = Portal::still(MemoryBus::new()).await;
    let anna = portal.developer(1);
    let waits = anna
        .submit_access_request(order(PAYMENTS, FREE))
        .await
        .unwrap();
    // As if the process had died between the two commits: submitted with the flag, not approved.
    let waiting = portal
        .store
        .load::<AccessRequest>(waits.id.parse().unwrap());
    let mut submission = waiting.await.unwrap().state.submission;
    submission.auto_approve = true;
    submission.items[0].product_id = ORDERS;
    let id = Uuid::from_u128(0x99);
    let submit = Command::Request(request::Command::Submit(submission));
    portal
        .store
        .execute::<AccessRequest>(id, &submit, &context(id))
        .await
        .unwrap();
    portal.run().await;
    let late = anna.until(&id.to_string(), "approved").await;
    assert_eq!(steps(&late), ["submitted", "approved"]);
    assert_eq!(status(&anna.get(&waits.id).await.unwrap()), "pending");
}
