//! Products without OAuth credentials: what their requests need, and what others are foreign.

use portico_proto::access::v1 as api;
use portico_proto::catalog::v1::Api;
use portico_proto::gateway::v1::{ApiKeyChanged, api_key_changed::Change};

use crate::support::{
    DEADLINE, FREE, ORDERS, PAYMENTS, Portal, at_gateway, by_gateway, codes, done, existing,
    foreign, item, order, status, steps,
};

/// Orders give keys, and are served at a gateway.
async fn portal() -> Portal {
    let portal = Portal::running().await;
    portal.world.change(|known| {
        let orders = known.products.get_mut(&ORDERS.to_string()).unwrap();
        orders.dcr_enabled = false;
        orders.scopes.clear();
        orders.client_type_ids.clear();
        orders.apis = vec![Api {
            mapping: at_gateway("orders".into()),
            ..Api::default()
        }];
        let free = known.plans.get_mut(&FREE.to_string()).unwrap();
        free.scopes.clear();
    });
    portal
}

fn key_order() -> api::SubmitAccessRequestRequest {
    api::SubmitAccessRequestRequest {
        client_type_id: None,
        ..order(ORDERS, FREE)
    }
}

#[tokio::test]
async fn a_key_needs_no_client_type_no_redirect_url_and_no_scope() {
    let portal = portal().await;
    let (anna, admin) = (portal.developer(1), portal.admin());
    let mut published = portal.published().await;
    let made = anna.submit_access_request(key_order()).await.unwrap();
    assert_eq!(
        (status(&made), made.credential()),
        ("pending", api::CredentialKind::ApiKey)
    );
    assert_eq!(
        (made.client_type_id, made.identity_provider_id),
        (None, None)
    );

    let again = api::SubmitAccessRequestRequest {
        target: Some(existing(&made.application_id)),
        ..key_order()
    };
    assert_eq!(
        codes(anna.submit_access_request(again).await),
        ["already_requested"]
    );

    admin
        .approve_access_request(api::ApproveAccessRequestRequest {
            id: made.id.clone(),
            ..Default::default()
        })
        .await
        .unwrap();
    let approved: api::AccessApproved = published.next("access_approved").await;
    let wanted = approved.wanted.unwrap();
    let keys = api::wanted_access::Credential::ApiKey(api::ApiKeyCredential {});
    assert_eq!(wanted.credential, Some(keys));
    assert_eq!(wanted.items[0].apis[0].api_id, "orders");
    // It needs no OAuth client: the gateway is all that is waited for.
    portal.bus_publish(by_gateway(&made.id, 1, 1, done())).await;
    let active = anna.until(&made.id, "active").await;
    assert_eq!(steps(&active), ["submitted", "approved", "provisioned"]);
    let activated: api::AccessActivated = published.next("access_activated").await;
    let keys = api::access_activated::Credential::ApiKey(api::ApiKeyCredential {});
    assert_eq!(
        (activated.request_id, activated.credential),
        (made.id.clone(), Some(keys))
    );
    admin
        .revoke_access_request(api::RevokeAccessRequestRequest {
            id: made.id.clone(),
            ..Default::default()
        })
        .await
        .unwrap();
    let revoked: api::AccessRevoked = published.next("access_revoked").await;
    assert_eq!(revoked.wanted.unwrap().request_id, made.id);
    portal.bus_publish(by_gateway(&made.id, 2, 2, done())).await;
    let ended: api::AccessEnded = published.next("access_ended").await;
    assert_eq!((&ended.request_id, ended.revision), (&made.id, 2));
    let last = anna.get(&made.id).await.unwrap().timeline.pop().unwrap();
    assert_eq!(
        (last.step(), last.detail.as_str()),
        (api::TimelineStep::Deprovisioned, "")
    );
}

#[tokio::test]
async fn what_does_not_fit_is_told_by_name() {
    let portal = portal().await;
    let anna = portal.developer(1);
    portal.world.change(|known| {
        let free = known.plans.get_mut(&FREE.to_string()).unwrap();
        free.scopes = vec!["free_plan".into()];
    });
    let mixed = api::SubmitAccessRequestRequest {
        items: vec![item(PAYMENTS, FREE), item(ORDERS, FREE)],
        ..order(PAYMENTS, FREE)
    };
    assert_eq!(
        codes(anna.submit_access_request(mixed).await),
        ["items[1].product_id credentials_mixed"]
    );
    portal.world.change(|known| {
        known
            .products
            .get_mut(&ORDERS.to_string())
            .unwrap()
            .apis
            .clear();
    });
    assert_eq!(
        codes(anna.submit_access_request(key_order()).await),
        ["items[0].product_id product_without_api"]
    );
    assert_eq!(portal.store.read(0, 10).await.unwrap(), []);
}

/// The request as soon as it is so.
async fn until(portal: &Portal, id: &str, is_so: impl Fn(&api::AccessRequest) -> bool) {
    let admin = portal.admin();
    let wait = async {
        loop {
            let get = api::GetAccessRequestRequest { id: id.to_owned() };
            let request = admin.get_access_request(get).await.unwrap();
            if is_so(&request) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.unwrap();
}

#[tokio::test]
async fn what_happens_to_a_key_is_in_the_timeline() {
    let portal = portal().await;
    let anna = portal.developer(1);
    let made = anna.submit_access_request(key_order()).await.unwrap();
    for (position, change) in [
        (1, Change::Created),
        (2, Change::Revealed),
        (3, Change::Deleted),
    ] {
        let changed = ApiKeyChanged {
            request_id: made.id.clone(),
            change: change.into(),
            product_name: "Orders".into(),
            by: anna.id.to_string(),
            ..Default::default()
        };
        let message = foreign("gateway.api_key_changed", position, &changed);
        portal.bus_publish(message).await;
    }
    until(&portal, &made.id, |request| {
        steps(request) == ["submitted", "key_created", "key_revealed", "key_deleted"]
    })
    .await;
}
