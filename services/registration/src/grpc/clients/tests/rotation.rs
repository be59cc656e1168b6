//! Where the provider cannot rotate, and another client in place of one.

use std::cell::Cell;
use std::collections::BTreeSet;

use portico_proto::registration::v1 as api;
use portico_proto::{Error, Kind};

use super::{ADMIN, OWNER, Test};

#[tokio::test]
async fn a_provider_without_rotation_is_named_as_the_reason() {
    let mut test = Test::start().await;
    let secret = test.credentials(&OWNER).await.unwrap()[0]
        .client_secret
        .clone();
    let refused = test.rotate(&OWNER).await.unwrap_err();
    assert_eq!(
        (refused.kind, &*refused.code),
        (Kind::Conflict, "rotation_not_supported")
    );
    // Everything is as before.
    assert_eq!(
        test.credentials(&OWNER).await.unwrap()[0].client_secret,
        secret
    );
    let status = test.list(&OWNER).await.unwrap()[0].status();
    assert_eq!(status, api::OauthClientStatus::Ready);
    let second = test.world.approve("ship", "free").await;
    test.world.until_done(second).await;
}

#[tokio::test]
async fn where_there_is_no_rotation_the_client_is_replaced_on_demand() {
    let mut test = Test::start().await;
    let before = test.world.only_client();
    let refused = test.replace(&ADMIN).await.unwrap_err();
    assert_eq!(&*refused.code, "credentials_not_yours");
    let replaced = test.replace(&OWNER).await.unwrap();
    let after = test.world.only_client();
    assert_ne!(after.client_id, before.client_id);
    assert_eq!(replaced.client_id, after.client_id);
    assert_eq!(replaced.client_secret, after.client_secret);
    test.world.until_done(test.request).await;
}

/// Who looks when a secret goes and another comes gets one of them, or none.
#[tokio::test]
async fn a_look_during_a_replacement_is_no_failure() {
    let mut test = Test::start().await;
    let (mut service, identity) = (test.service.clone(), test.world.deps.identity.clone());
    let message = api::GetCredentialsRequest {
        application_id: test.world.application_id.to_string(),
    };
    let replaced = Cell::new(false);
    let look = async {
        let mut shown = BTreeSet::new();
        while !replaced.get() {
            let request = identity.request(&OWNER, message.clone());
            let answer = service.get_credentials(request).await;
            let credentials = answer.map_or_else(
                |status| {
                    let error = Error::from(status);
                    assert_ne!(error.kind, Kind::Internal, "{error:?}");
                    Vec::new()
                },
                |answer| answer.into_inner().credentials,
            );
            shown.extend(credentials.into_iter().map(|one| one.client_secret));
        }
        shown
    };
    let replace = async {
        for _ in 0..20 {
            test.replace(&OWNER).await.unwrap();
        }
        replaced.set(true);
    };
    let (shown, ()) = tokio::join!(look, replace);
    assert!(!shown.is_empty() && !shown.contains(&None), "{shown:?}");
}
