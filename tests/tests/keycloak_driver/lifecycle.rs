//! Deletion and suspension.

use portico_registration::providers::{Deleted, Disposition};
use portico_tests::keycloak::KEYCLOAK;
use portico_trials::{Trial, trials};
use portico_vault::Secret;

use super::provider::{PAYMENTS, Provider, driver, set, wanted};

pub fn trials() -> Vec<Trial> {
    trials!(single, [KEYCLOAK];
        deletes_once_and_knows_what_is_gone,
        a_suspended_client_gets_no_token_until_it_is_resumed,
        lists_clients_by_their_marker,
    )
}

async fn deletes_once_and_knows_what_is_gone() {
    let mut provider = Provider::start().await;
    let known = provider.registered(&["product_payments"]).await;
    let deleted = driver().delete(&provider.session(), &known).await.unwrap();
    assert_eq!(deleted, Deleted::Deleted);
    assert!(
        provider
            .token(&known, "")
            .await
            .unwrap_err()
            .starts_with("401")
    );
    let deleted = driver().delete(&provider.session(), &known).await.unwrap();
    assert_eq!(deleted, Deleted::AlreadyGone);

    let known = provider.registered(&["product_payments"]).await;
    provider.keycloak.delete_client(&known.client_id).await;
    for management in [false, true] {
        if management {
            provider.give_management();
        }
        let failure = driver()
            .update(&provider.session(), &known, &wanted(&[]))
            .await
            .unwrap_err();
        assert_eq!(failure.disposition, Disposition::Gone, "{failure}");
    }
    let deleted = driver().delete(&provider.session(), &known).await.unwrap();
    assert_eq!(deleted, Deleted::AlreadyGone);

    // Not gone, but not ours to delete with a wrong token.
    provider.management = None;
    let mut known = provider.registered(&["product_payments"]).await;
    known.registration_access_token = Some(Secret::new("wrong"));
    let failure = driver()
        .delete(&provider.session(), &known)
        .await
        .unwrap_err();
    assert_eq!(failure.disposition, Disposition::Unmanageable);
    assert_eq!(provider.keycloak.client_count().await, 1);
}

async fn a_suspended_client_gets_no_token_until_it_is_resumed() {
    let mut provider = Provider::start().await;
    let known = provider
        .registered(&["product_payments", "free_plan"])
        .await;
    // Its own token could never switch it on again.
    let failure = driver()
        .suspend(&provider.session(), &known)
        .await
        .unwrap_err();
    assert_eq!(failure.code, "suspension_unsupported");
    assert!(provider.token(&known, PAYMENTS).await.is_ok());

    provider.give_management();
    for _ in 0..2 {
        driver().suspend(&provider.session(), &known).await.unwrap();
        assert!(provider.token(&known, PAYMENTS).await.is_err());
    }
    let wanted = wanted(&["product_payments", "free_plan"]);
    driver()
        .update(&provider.session(), &known, &wanted)
        .await
        .unwrap();
    assert!(provider.token(&known, PAYMENTS).await.is_err());
    driver()
        .resume(&provider.session(), &known, &wanted)
        .await
        .unwrap();
    let granted = provider.token(&known, PAYMENTS).await.unwrap();
    assert_eq!(granted, set(&["product_payments", "free_plan"]));
}

/// Keycloak's own clients have no marker, and a name says nothing.
async fn lists_clients_by_their_marker() {
    let mut provider = Provider::start().await;
    let known = provider.registered(&["product_payments"]).await;
    let unlisted = driver().list_clients(&provider.session(), None).await;
    assert_eq!(unlisted.unwrap_err().code, "listing_unsupported");
    provider.give_management();
    let page = driver().list_clients(&provider.session(), None).await;
    let page = page.unwrap();
    assert!(page.count > 5 && page.next.is_none(), "{page:?}");
    let [listed] = page.marked.as_slice() else {
        panic!("{page:?}")
    };
    assert_eq!(listed.client_id, known.client_id);
    assert_eq!(listed.scopes, set(&["product_payments"]));
    let read = driver().read(&provider.session(), &known).await.unwrap();
    assert_eq!(read.marker.as_ref(), Some(&listed.marker));
}
