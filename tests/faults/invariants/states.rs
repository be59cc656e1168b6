//! I3: one final state per request, and it is the acknowledged one.

use std::collections::BTreeMap;

use crate::world::{Portal, World};

pub(super) async fn one_final_state(world: &World, portal: &Portal) {
    let sql =
        "SELECT stream, type FROM events WHERE stream LIKE 'access_request-%' ORDER BY position";
    let mut streams: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in world.stores.rows("access-request", sql).await {
        streams
            .entry(row[0].clone())
            .or_default()
            .push(row[1].clone());
    }
    let requests = portal.ledger.requests();
    // A submission that was repeated, as its first answer was lost, is one request.
    assert_eq!(
        streams.len(),
        requests.len(),
        "I3: requests in the log, and acknowledged"
    );
    for (id, request) in requests {
        let events = &streams[&format!("access_request-{id}")];
        let count = |name: &str| events.iter().filter(|event| event.ends_with(name)).count();
        for decision in [
            ".submitted",
            ".approved",
            ".rejected",
            ".withdrawn",
            ".revoked",
        ] {
            assert!(
                count(decision) <= 1,
                "I3: {id} has two {decision}: {events:?}"
            );
        }
        let ends = count(".rejected") + count(".withdrawn") + count(".revoked");
        assert!(ends <= 1, "I3: {id} ended twice: {events:?}");
        let sql = format!("SELECT status FROM access_requests WHERE id = '{id}'");
        let status = world
            .stores
            .rows("access-request", &sql)
            .await
            .remove(0)
            .remove(0);
        assert_eq!(status, request.expected.as_str(), "I3: {id}: {events:?}");
    }
}
