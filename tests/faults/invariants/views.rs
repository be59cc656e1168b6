//! I4: the views equal a rebuild from the log.

use crate::{stores::SERVICES, world::World};

/// What a start alone may change.
const NOT_COMPARED: [&str; 1] = ["leases"];

/// Portico must not be running.
pub async fn equal_a_rebuild(world: &World) {
    let mut before = Vec::new();
    for service in SERVICES {
        before.push(world.stores.dump(service).await);
    }
    let (succeeded, words) = world.portico.run(&["replay"], None).await;
    assert!(succeeded, "I4: replay failed: {words}");
    for (service, before) in SERVICES.into_iter().zip(before) {
        let after = world.stores.dump(service).await;
        for (table, rows) in before {
            if NOT_COMPARED.contains(&table.as_str()) {
                continue;
            }
            let rebuilt = &after[&table];
            if let Some((live, rebuilt)) = rows
                .iter()
                .zip(rebuilt)
                .find(|(live, rebuilt)| live != rebuilt)
            {
                panic!("I4: {service}.{table} is not what a rebuild gives:\n{live}\n{rebuilt}");
            }
            assert_eq!(
                rows.len(),
                rebuilt.len(),
                "I4: rows of {service}.{table}, live and rebuilt"
            );
        }
    }
}
