//! Nothing that was issued, and nothing personal, stands anywhere in clear; and nothing that people wrote is left of who is
//! erased.

use http::StatusCode;
use portico::client::Portal;
use portico_trials::{Trial, trials};
use serde_json::json;
use std::path::Path;

use crate::support::{
    actions::{Configured, DEVELOPER_EMAIL, DEVELOPER_PASSWORD, id, made},
    process::{ADMIN_PASSWORD, command},
    until,
    world::{Backends, Provider, World},
};

pub(crate) fn trials() -> Vec<Trial> {
    trials!(single, []; not_in_databases_logs_or_mails)
}

async fn not_in_databases_logs_or_mails() {
    let world = World::start(Provider::sandbox().await, Backends::embedded()).await;
    let portal = world.configure().await;
    let application = written(&portal.developer, FORMER_NAME).await;
    let renamed = json!({"name": APPLICATION_NAME});
    let path = format!("/api/v1/applications/{application}");
    let answer = portal.developer.patch(&path, renamed).await.unwrap();
    answer.expect(StatusCode::OK).unwrap();
    let (request, _) = portal.submit(&portal.payments, Some(&application)).await;
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
        APPLICATION_DESCRIPTION,
        REDIRECT_URL,
        REDIRECT_HOST,
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
    leave(&world, &portal, &application).await;
}

/// What people write of an application; its name stands in clear for search, as long as its owner is there.
const APPLICATION_NAME: &str = "Wetterstation Petra Quasebarth";
const FORMER_NAME: &str = "Petra Quasebarths Versuch";
const APPLICATION_DESCRIPTION: &str = "Messwerte aus dem Garten in Wuemmersbach";
const REDIRECT_URL: &str = "https://wetter.wuemmersbach.example/cb";
const REDIRECT_HOST: &str = "wuemmersbach.example";

async fn written(developer: &Portal, name: &str) -> String {
    let body = json!({
        "name": name, "description": APPLICATION_DESCRIPTION, "redirect_urls": [REDIRECT_URL],
        "visibility": "personal",
    });
    id(&made(developer, "/api/v1/applications", body).await)
}

/// With the account goes all that its owner wrote, from the stores of every service and from backups made afterwards.
async fn leave(world: &World, portal: &Configured, application: &str) {
    let session = portal.developer.get("/api/v1/session").await.unwrap();
    let session = session.expect(StatusCode::OK).unwrap();
    let user = session["user"]["id"].as_str().unwrap();
    let path = format!("/api/v1/users/{user}");
    let erased = world.admin.delete(&path).await.unwrap();
    erased.expect(StatusCode::NO_CONTENT).unwrap();
    until("the client is deleted", || async {
        (world.provider.client_count().await == 0).then_some(())
    })
    .await;
    let texts = [
        APPLICATION_NAME,
        FORMER_NAME,
        "Quasebarth",
        APPLICATION_DESCRIPTION,
        REDIRECT_URL,
        REDIRECT_HOST,
    ];
    let holds = |bytes: &[u8]| {
        let bytes = bytes.to_ascii_lowercase();
        texts
            .iter()
            .find(|text| contains(&bytes, text.to_ascii_lowercase().as_bytes()))
    };
    until("nothing is left in the stores", || async {
        let mut left = None;
        visit(&world.portico.data_dir(), &mut |path, bytes| {
            left = holds(bytes)
                .map(|text| format!("{}: {text}", path.display()))
                .or(left.take());
        });
        left.is_none().then_some(())
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("portico.backup");
    let (well, said) = command(
        &world.portico.settings(),
        &["backup", file.to_str().unwrap()],
    )
    .await;
    assert!(well, "{said}");
    assert_eq!(holds(&std::fs::read(&file).unwrap()), None);
    assert_eq!(
        holds(world.portico.log().as_bytes()),
        None,
        "the log holds it"
    );

    let path = format!("/api/v1/applications/{application}");
    let shown = world.admin.get(&path).await.unwrap();
    let shown = shown.expect(StatusCode::OK).unwrap();
    assert_eq!(
        (shown["name"].as_str(), shown["status"].as_str()),
        (Some("Erased application"), Some("erased"))
    );
    assert_eq!(shown["redirect_urls"], json!([]));
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
