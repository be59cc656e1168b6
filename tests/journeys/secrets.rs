//! Nothing that was issued, and nothing personal, stands anywhere in clear.

use portico_trials::{Trial, trials};
use std::path::Path;

use crate::support::{
    actions::{DEVELOPER_EMAIL, DEVELOPER_PASSWORD},
    process::ADMIN_PASSWORD,
    until,
    world::{Backends, Provider, World},
};

pub(crate) fn trials() -> Vec<Trial> {
    trials!(single, []; not_in_databases_logs_or_mails)
}

async fn not_in_databases_logs_or_mails() {
    let world = World::start(Provider::sandbox().await, Backends::embedded()).await;
    let portal = world.configure().await;
    let (request, application) = portal.submit(&portal.payments, None).await;
    world.approve(&request).await;
    let credentials = portal.credentials(&application).await;
    until("the mails", || async {
        (world.mail.messages().len() >= 2).then_some(())
    })
    .await;
    let registered = match &world.provider {
        Provider::Sandbox(provider) => provider.clients().remove(0),
        Provider::Keycloak(_)
        | Provider::KeycloakThrough(..)
        | Provider::Double(_)
        | Provider::Stranger(_) => {
            panic!("this world has the sandbox's provider")
        }
    };
    let secrets = [
        credentials.client_secret.as_str(),
        registered.registration_access_token.as_deref().unwrap(),
        crate::support::world::INITIAL_ACCESS_TOKEN,
        world.gateway.secret(),
        ADMIN_PASSWORD,
        DEVELOPER_PASSWORD,
        DEVELOPER_EMAIL,
        "Ada Lovelace",
        portal.developer.token().unwrap(),
    ];
    // Files first: a secret that is looked for must be one that could be found.
    assert!(
        secrets.iter().all(|secret| secret.len() >= 8),
        "a secret is too short to look for"
    );
    let mut files = 0;
    visit(&world.portico.data_dir(), &mut |path, bytes| {
        files += 1;
        for secret in secrets {
            assert!(
                !contains(bytes, secret.as_bytes()),
                "{} holds {}",
                path.display(),
                &secret[..4]
            );
        }
    });
    assert!(files >= 5, "the databases were not found");
    others_can_read_nothing(&world.portico.data_dir());
    let log = world.portico.log();
    assert!(log.contains("TRACE"), "the log has not every level");
    for secret in secrets {
        assert!(!log.contains(secret), "the log holds {}", &secret[..4]);
    }
    for mail in world.mail.messages() {
        let raw = String::from_utf8_lossy(&mail.raw);
        assert!(
            !raw.contains(&credentials.client_secret) && !raw.contains(secrets[1]),
            "a mail holds a secret"
        );
    }
}

/// Folder and files are their user's only.
fn others_can_read_nothing(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let closed = |path: &Path| {
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
    };
    closed(folder);
    visit(folder, &mut |path, _| closed(path));
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

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}
