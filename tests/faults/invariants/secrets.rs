//! I5: no secret and no personal datum in logs, on the bus, in events, or anywhere in a database in clear.

use std::path::Path;

use crate::{
    process::{ADMIN_EMAIL, ADMIN_PASSWORD},
    stores::SERVICES,
    world::{DEVELOPER_EMAIL, DEVELOPER_NAME, DEVELOPER_PASSWORD, Portal, World},
};

pub(super) async fn in_no_log_event_or_message(world: &World, portal: &Portal) {
    let secrets = secrets(world, portal);
    let look = |place: &str, bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        for secret in &secrets {
            assert!(
                !text.contains(secret.as_str()),
                "I5: {place} holds {}…",
                &secret[..4]
            );
        }
    };
    for service in SERVICES {
        for (table, rows) in world.stores.dump(service).await {
            look(&format!("{service}.{table}"), rows.join("\n").as_bytes());
        }
    }
    let mut files = 0;
    let mut folders = vec![world.folder.clone()];
    folders.extend(world.backends.nats.as_ref().map(|nats| nats.data()));
    for folder in folders {
        visit(&folder, &mut |path, bytes| {
            files += 1;
            look(&path.display().to_string(), bytes);
        });
    }
    assert!(files > 1, "I5: the logs and stored messages were not found");
}

/// Everything that was issued or typed in this round.
fn secrets(world: &World, portal: &Portal) -> Vec<String> {
    let mut secrets: Vec<String> = [
        ADMIN_EMAIL,
        ADMIN_PASSWORD,
        DEVELOPER_EMAIL,
        DEVELOPER_NAME,
        DEVELOPER_PASSWORD,
        world.gateway.secret(),
    ]
    .map(str::to_owned)
    .to_vec();
    secrets.extend(
        [&portal.admin, &portal.developer]
            .into_iter()
            .filter_map(|who| who.token.clone()),
    );
    secrets.extend(world.provider.secrets());
    assert!(
        secrets.iter().all(|secret| secret.len() >= 8),
        "I5: a secret is too short to look for"
    );
    secrets
}

fn visit(folder: &Path, look: &mut impl FnMut(&Path, &[u8])) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            visit(&path, look);
        } else {
            look(&path, &std::fs::read(&path).unwrap());
        }
    }
}
