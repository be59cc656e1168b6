//! Who sees which key, and how often. The access-request service is a double that knows one application.

use portico_proto::registration::v1 as api;
use portico_proto::registration::v1::registration_service_client::RegistrationServiceClient;
use portico_proto::{Error, Kind};
use portico_runtime::{Caller, ServiceChannel, ServiceName};
use uuid::Uuid;

use crate::grpc::clients::tests::{ADMIN, OWNER, STRANGER, access};
use crate::key_worker::tests::world::Keys;

struct Test {
    keys: Keys,
    service: RegistrationServiceClient<ServiceChannel>,
    request: Uuid,
}

impl Test {
    /// With one key that is ready.
    async fn start() -> Self {
        let mut keys = Keys::start(None).await;
        keys.world.provide_access(access(&keys.world));
        keys.world.provide_registration();
        let request = keys.approve(&["weather"]).await;
        keys.world.until_public("access_provisioned", 1).await;
        let channel = keys.world.deps.channels.to(ServiceName::Registration);
        Self {
            service: RegistrationServiceClient::new(channel),
            keys,
            request,
        }
    }

    async fn list(&mut self, caller: &Caller) -> Result<Vec<api::ApiKey>, Error> {
        let message = api::ListApiKeysRequest {
            application_id: self.keys.world.application_id.to_string(),
        };
        let request = self.keys.world.deps.identity.request(caller, message);
        let answer = self.service.list_api_keys(request).await?;
        Ok(answer.into_inner().api_keys)
    }

    async fn reveal(
        &mut self,
        caller: &Caller,
        id: &str,
        if_version: u64,
        idempotency_key: Option<&'static str>,
    ) -> Result<api::RevealApiKeyResponse, Error> {
        let id = id.to_owned();
        let message = api::RevealApiKeyRequest { id, if_version };
        let mut request = self.keys.world.deps.identity.request(caller, message);
        if let Some(key) = idempotency_key {
            let metadata = request.metadata_mut();
            metadata.insert("idempotency-key", key.parse().unwrap());
        }
        Ok(self.service.reveal_api_key(request).await?.into_inner())
    }

    async fn replace(&mut self, caller: &Caller, id: &str) -> Result<api::ApiKey, Error> {
        let message = api::ReplaceApiKeyRequest {
            id: id.to_owned(),
            if_version: 0,
        };
        let request = self.keys.world.deps.identity.request(caller, message);
        Ok(self.service.replace_api_key(request).await?.into_inner())
    }
}

#[tokio::test]
async fn a_key_is_listed_without_itself_and_shown_to_its_owner_once() {
    let mut test = Test::start().await;
    let listed = test.list(&OWNER).await.unwrap();
    assert_eq!(listed, test.list(&ADMIN).await.unwrap());
    let key = &listed[0];
    assert_eq!(
        (key.status.as_str(), key.revealed_at.as_str()),
        ("ready", "")
    );
    assert_eq!(
        (key.product_name.as_str(), key.plan_name.as_str()),
        ("WEATHER", "FREE")
    );
    assert_eq!(
        (key.gateway_name.as_str(), key.header_name.as_str()),
        ("Tyk", "Authorization")
    );
    assert_eq!(key.request_id, test.request.to_string());
    assert!(test.keys.gateway.key_hashes()[0].starts_with(&key.hash_prefix));
    let id = key.id.clone();

    let stale = test.reveal(&OWNER, &id, key.version + 1, None).await;
    assert_eq!(stale.unwrap_err().code, "version_mismatch");
    let shown = test
        .reveal(&OWNER, &id, key.version, Some("once"))
        .await
        .unwrap();
    assert_eq!(test.keys.call("weather", &shown.key).await, 200);
    assert_ne!(shown.api_key.unwrap().revealed_at, "");
    for idempotency_key in [None, Some("once")] {
        let again = test
            .reveal(&OWNER, &id, 0, idempotency_key)
            .await
            .unwrap_err();
        let known = ["api_key_already_revealed", "idempotency_key_reused"];
        assert_eq!(again.kind, Kind::Conflict);
        assert!(known.contains(&again.code.as_ref()), "{again:?}");
    }
    let wiped = |order: &crate::key_order::KeyOrder| {
        order
            .keys
            .values()
            .all(|key| key.made().is_some_and(|made| !made.kept))
    };
    test.keys.until(test.request, "wiped", wiped).await;
    assert!(!test.keys.said().await.contains(&shown.key));
    let listed = test.list(&OWNER).await.unwrap();
    assert_ne!(listed[0].revealed_at, "");
    let credentials = api::GetCredentialsRequest {
        application_id: test.keys.world.application_id.to_string(),
    };
    let credentials = test.keys.world.deps.identity.request(&OWNER, credentials);
    let credentials = test.service.get_credentials(credentials).await.unwrap();
    assert_eq!(credentials.into_inner().api_keys, listed);
}

#[tokio::test]
async fn nobody_but_the_owner_is_shown_a_key() {
    let mut test = Test::start().await;
    let id = test.list(&OWNER).await.unwrap()[0].id.clone();
    for (caller, kind) in [
        (&ADMIN, Kind::Forbidden),
        (&STRANGER, Kind::NotFound),
        (&Caller::Anonymous, Kind::Unauthenticated),
    ] {
        let refused = test.reveal(caller, &id, 0, None).await.unwrap_err();
        assert_eq!(refused.kind, kind, "{caller:?}");
        let refused = test.replace(caller, &id).await.unwrap_err();
        assert_eq!(refused.kind, kind, "{caller:?}");
    }
    assert_eq!(test.list(&STRANGER).await.unwrap_err().kind, Kind::NotFound);
    let unknown = Uuid::nil().to_string();
    let refused = test.reveal(&OWNER, &unknown, 0, None).await.unwrap_err();
    assert_eq!(refused.kind, Kind::NotFound);
    assert_eq!(test.list(&OWNER).await.unwrap()[0].revealed_at, "");
}

#[tokio::test]
async fn a_lost_key_is_replaced_by_another_that_is_shown_once() {
    let mut test = Test::start().await;
    let id = test.list(&OWNER).await.unwrap()[0].id.clone();
    let old = test.reveal(&OWNER, &id, 0, None).await.unwrap().key;
    test.replace(&OWNER, &id).await.unwrap();
    let replaced = |order: &crate::key_order::KeyOrder| {
        let mut keys = order.keys.values();
        keys.all(|key| key.attempt == 2 && key.made().is_some() && key.old.is_none())
    };
    test.keys.until(test.request, "replaced", replaced).await;
    let new = test.reveal(&OWNER, &id, 0, None).await.unwrap().key;
    assert_ne!(old, new);
    assert_eq!(test.keys.call("weather", &new).await, 200);
    assert_eq!(test.keys.call("weather", &old).await, 403);

    test.keys.revoke(test.request).await;
    test.keys
        .world
        .until_public("access_deprovisioned", 1)
        .await;
    assert!(test.list(&OWNER).await.unwrap().is_empty());
    let refused = test.reveal(&OWNER, &id, 0, None).await.unwrap_err();
    assert_eq!(refused.kind, Kind::NotFound);
}
