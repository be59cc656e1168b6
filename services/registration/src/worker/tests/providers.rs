//! What others hear of identity providers: nobody else calls them.

use portico_proto::registration::v1 as public;
use portico_sandbox::identity_provider as sandbox;
use prost::Message as _;

use super::world::World;
use crate::identity_provider::{Command, IdentityProvider};

#[tokio::test]
async fn settings_and_deletion_are_published() {
    let world = World::start().await;
    world.until_public("identity_provider_changed", 1).await;
    let message = world.public("identity_provider_changed").remove(0);
    let changed = public::IdentityProviderChanged::decode(message.payload).unwrap();
    let expected = public::IdentityProviderChanged {
        identity_provider_id: world.provider_id.to_string(),
        version: 1,
        name: "The provider".into(),
        issuer: world.provider.url(),
        jwks_uri: Some(format!("{}/jwks", world.provider.url())),
        scope_claim: "scope".into(),
    };
    assert_eq!(changed, expected);
    let delete = Command::Delete {
        client_types: 0,
        live_clients: 0,
    };
    let other = world.deps.clock.new_id();
    world.add_copy(other).await;
    world.execute::<IdentityProvider>(other, &delete).await;
    world.until_public("identity_provider_deleted", 1).await;
    let message = world.public("identity_provider_deleted").remove(0);
    let deleted = public::IdentityProviderDeleted::decode(message.payload).unwrap();
    assert_eq!(deleted.identity_provider_id, other.to_string());
}

#[tokio::test]
async fn other_signing_keys_of_a_provider_in_use_are_published() {
    let mut world = World::start().await;
    let worker = world.worker();
    // Nobody has tokens of it yet.
    worker.check_keys().await.unwrap();
    let request = world.approve("pay", "free").await;
    world.until_done(request).await;
    for _ in 0..2 {
        worker.check_keys().await.unwrap();
    }
    let before = world.store.read(0, 1000).await.unwrap().len();
    // The same provider, with another key.
    let listen = world.provider.address();
    world.provider.stop().await;
    let settings = sandbox::Settings {
        listen,
        ..sandbox::Settings::default()
    };
    world.provider = sandbox::start(settings).await.unwrap();
    worker.check_keys().await.unwrap();
    assert_eq!(world.store.read(0, 1000).await.unwrap().len(), before + 1);
    let changed = "identity_provider_keys_changed";
    world.until_public(changed, 1).await;
    let message = world.public(changed).remove(0);
    let keys = public::IdentityProviderKeysChanged::decode(message.payload).unwrap();
    assert_eq!(keys.identity_provider_id, world.provider_id.to_string());
    assert_eq!(world.public(changed).len(), 1);
}
