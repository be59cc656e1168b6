//! What it says of a client that is to be changed or deleted: only a definite answer is the end of a client.

use axum::http::Method;
use portico_proto::registration::v1::{self as public, client_changed::Change};
use portico_sandbox::doubles::Reply;
use prost::Message as _;

use super::search::CLIENTS;
use super::*;

#[tokio::test]
async fn a_client_that_cannot_be_managed_is_not_taken_for_deleted() {
    for status in [401, 403, 404] {
        let mut world = World::start().await;
        let request = world.approve("pay", "free").await;
        world.until_done(request).await;
        let there = world.only_client();
        // Its secret was regenerated at the provider: the token endpoint says `invalid_client`.
        let regenerate = |client: &mut portico_sandbox::identity_provider::Client| {
            client.client_secret = Some("regenerated-there".into());
        };
        assert!(world.provider.edit_client(&there.client_id, regenerate));
        for operation in [Operation::Delete, Operation::Update, Operation::Read] {
            world.provider.fail_next(operation, 50, refuse(status));
        }
        world.revoke(request).await;
        world.until_outcome(request, "failed 2").await;
        let client = world.client().await;
        assert_eq!(
            client.live().unwrap().answer.client_id,
            there.client_id,
            "{status}"
        );
        assert_eq!(client.status(), "failed");
        let listed = "SELECT client_id FROM orphans WHERE status = 'open' AND manageable = 1";
        assert_eq!(world.texts(listed).await, [there.client_id.as_str()]);
        let words = world.texts("SELECT detail FROM orphans").await;
        assert!(words[0].contains("deleted or disabled there"), "{words:?}");
        assert_eq!(world.only_client().metadata.scopes, there.metadata.scopes);
        // Nobody else may have its scopes, and what it is managed with is kept for another try.
        world.until_held(&["free_plan", "product_pay"]).await;
        world.provider.clear_faults();
        retry_now(&world).await;
        world.until_ended(request).await;
        assert_eq!(world.provider.client_count(), 0);
        assert!(open_orphans(&world).await.is_empty());
        assert_equal_a_rebuild(&world.store).await;
    }
}

/// An update finds the client neither manageable nor known: only somebody who looks at the provider can tell.
#[tokio::test]
async fn a_client_that_may_be_gone_is_replaced_when_somebody_says_so() {
    let mut world = World::start().await;
    let first = world.approve("pay", "free").await;
    world.until_done(first).await;
    world.activate(first).await;
    let gone = world.only_client().client_id;
    assert!(world.provider.delete_client(&gone));
    let second = world.approve("ship", "free").await;
    let client = world.until("failed", has_failed(second)).await;
    assert_eq!(problem(&client, second).code, "client_perhaps_gone");
    assert_eq!(
        world.provider.client_count(),
        0,
        "nothing is registered on a suspicion"
    );
    assert_eq!(open_orphans(&world).await, [gone.as_str()]);
    let (marker, _) = client.orphans.iter().next().unwrap();
    dismiss(&world, marker).await;
    let is_another = |client: &OauthClient| {
        let live = client.live();
        live.is_some_and(|live| live.answer.client_id != gone) && client.status() == "ready"
    };
    world.until("replaced", is_another).await;
    assert_ne!(world.only_client().client_id, gone);
    world.until_public("client_changed", 1).await;
    assert_eq!(changes(&world), [(Change::Replaced, true)]);
    world.retry(second).await;
    world.until_done(second).await;
}

/// What was told of the client, and whether the service did it by itself.
fn changes(world: &World) -> Vec<(Change, bool)> {
    let messages = world.public("client_changed").into_iter();
    let changed = messages.map(|message| public::ClientChanged::decode(message.payload).unwrap());
    changed
        .map(|changed| (changed.change(), changed.by.starts_with("service:")))
        .collect()
}

#[tokio::test]
async fn people_hear_of_every_other_id_or_secret() {
    // The client vanished, which shows while something else is done.
    let mut world = World::start().await;
    let first = world.approve("pay", "free").await;
    world.until_done(first).await;
    world.activate(first).await;
    let gone = world.only_client().client_id;
    assert!(world.provider.delete_client(&gone));
    // Once more after a look whether the provider has moved.
    world.provider.fail_next(Operation::Update, 2, refuse(410));
    let second = world.approve("ship", "free").await;
    world.until_done(second).await;
    assert_ne!(world.only_client().client_id, gone);
    world.until_public("client_changed", 1).await;
    assert_eq!(changes(&world), [(Change::Replaced, true)]);
    // An update brings another secret (RFC 7592 section 2.2).
    world
        .provider
        .behave(|provider| provider.new_secret_on_update = true);
    world.revoke(second).await;
    world.until_ended(second).await;
    world.until_public("client_changed", 2).await;
    assert_eq!(changes(&world)[1], (Change::SecretRotated, true));
    // One that keeps it is no news.
    world
        .provider
        .behave(|provider| provider.new_secret_on_update = false);
    let third = world.approve("ship", "free").await;
    world.until_done(third).await;
    world.until_outcome(third, "done 1").await;
    assert_eq!(changes(&world).len(), 2);
}

/// Until its own word comes, a revocation is tried, and everybody sees that the client may be there.
#[tokio::test]
async fn a_page_of_a_proxy_is_no_word_on_a_client() {
    let (org, mut world) = super::search::start().await;
    let request = world.approve("pay", "free").await;
    world.until_done(request).await;
    let id = org.double().client_ids().pop().unwrap();
    let path = format!("{CLIENTS}/{id}");
    for _ in 0..5 {
        let page = Reply::text(404, "text/html", "<h1>Not Found</h1>");
        org.refuse_next(Method::DELETE, &path, page);
    }
    world.revoke(request).await;
    world.until_outcome(request, "failed 2").await;
    assert_eq!(org.calls(&Method::DELETE, &path), 5, "it was tried again");
    assert_eq!(open_orphans(&world).await, [id.as_str()]);
    assert_eq!(org.double().client_count(), 1);
    world.until_held(&["free_plan", "product_pay"]).await;
    retry_now(&world).await;
    world.until_ended(request).await;
    assert_eq!(org.double().client_count(), 0);
    assert!(open_orphans(&world).await.is_empty());
}

/// What the endpoint of former times says of a client is nothing.
#[tokio::test]
async fn a_client_at_a_provider_that_has_moved_is_not_gone() {
    let mut world = World::start().await;
    let first = world.approve("pay", "free").await;
    world.until_done(first).await;
    let there = world.only_client().client_id;
    world.provider.behave(|provider| provider.moved = true);
    world.provider.fail_next(Operation::Update, 1, refuse(410));
    let second = world.approve("ship", "free").await;
    let client = world.until_done(second).await;
    assert_eq!(client.live().unwrap().answer.client_id, there);
    assert_eq!(world.provider.requests(Operation::Register), 1);
}

/// Its registration access token has ended with it, so it is deleted no more.
#[tokio::test]
async fn an_expired_client_that_cannot_be_deleted_is_given_up() {
    for (kind, ends) in [("gluu", true), ("other", false)] {
        let mut world = World::start().await;
        world.use_type(kind).await;
        let expired = Some(json!(1_000_000_000));
        world
            .provider
            .behave(|provider| provider.secret_expires_at = expired);
        for operation in [Operation::Delete, Operation::Update, Operation::Read] {
            world.provider.fail_next(operation, 50, refuse(401));
        }
        let request = world.approve("pay", "free").await;
        let listed = |client: &OauthClient| !client.orphans.is_empty();
        let client = world.until("listed", listed).await;
        assert_eq!(problem(&client, request).code, "client_secret_expired");
        let there = world.only_client().client_id;
        assert_eq!(open_orphans(&world).await, [there.as_str()]);
        assert_eq!(client.live().is_none(), ends, "{kind}");
        let orphan = client.orphans.values().next().unwrap();
        assert_eq!(orphan.powerless, ends, "{kind}");
        assert_eq!(orphan.detail.contains("has expired"), ends, "{orphan:?}");
        if ends {
            assert_eq!(world.provider.requests(Operation::Delete), 1);
            assert_equal_a_rebuild(&world.store).await;
        }
    }
}

/// It has no credentials by which the provider could be asked whether the first request did it.
#[tokio::test]
async fn a_public_client_whose_deletion_got_no_answer_ends_and_stays_listed() {
    let mut world = World::start().await;
    world.use_public_clients().await;
    let request = world.approve("pay", "free").await;
    let client = world.until_done(request).await;
    let id = client.live().unwrap().answer.client_id.clone();
    let lost = Fault::CommitThenClose;
    world.provider.fail_next(Operation::Delete, 1, lost);
    world.revoke(request).await;
    let client = world.until_ended(request).await;
    assert_eq!((client.live(), world.provider.client_count()), (None, 0));
    assert_eq!(open_orphans(&world).await, [id.as_str()]);
    let orphan = client.orphans.values().next().unwrap();
    assert!(orphan.scopes.contains("product_pay") && !orphan.powerless);
    let (marker, _) = client.orphans.iter().next().unwrap();
    dismiss(&world, marker).await;
    assert!(open_orphans(&world).await.is_empty());
    assert_equal_a_rebuild(&world.store).await;
}
