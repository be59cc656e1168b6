//! I1: every acknowledged event is there, and positions have no gap.

use std::collections::BTreeSet;

use crate::{
    stores::SERVICES,
    world::{Portal, World},
};

pub(super) async fn acknowledged_events_are_there(world: &World, portal: &Portal) {
    for service in SERVICES {
        without_a_gap(world, service).await;
    }
    let sql = "SELECT stream, type FROM events WHERE stream LIKE 'access_request-%'";
    let events: BTreeSet<(String, String)> = world
        .stores
        .rows("access-request", sql)
        .await
        .into_iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect();
    for (id, request) in portal.ledger.requests() {
        for event in request.acknowledged {
            let wanted = (
                format!("access_request-{id}"),
                format!("access_request.{event}"),
            );
            assert!(
                events.contains(&wanted),
                "I1: {wanted:?} was acknowledged and is not there"
            );
        }
    }
}

async fn without_a_gap(world: &World, service: &str) {
    let sql = "SELECT CAST(COUNT(*) AS TEXT), CAST(COALESCE(MAX(position), 0) AS TEXT), \
               CAST(COUNT(DISTINCT position) AS TEXT) FROM events";
    let row = world.stores.rows(service, sql).await.remove(0);
    assert!(
        row[0] == row[1] && row[0] == row[2],
        "I1: positions of {service} have a gap: {row:?}"
    );
    let sql = "SELECT stream FROM events GROUP BY stream \
               HAVING COUNT(*) <> MAX(version) OR COUNT(DISTINCT version) <> MAX(version)";
    let streams = world.stores.rows(service, sql).await;
    assert!(streams.is_empty(), "I1: versions have a gap: {streams:?}");
}
