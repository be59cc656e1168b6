//! The identity provider of a round: one of each class of what can be found out about an attempt without an outcome.

use portico_sandbox::{
    doubles::{self, okta},
    identity_provider::{self, Behaviour},
};
use portico_tests::keycloak::Keycloak;
use serde_json::{Value, json};

pub const INITIAL_ACCESS_TOKEN: &str = "initial-access-token-of-the-sandbox";
const API_TOKEN: &str = "api-token-of-the-double";
const SCOPES: [&str; 3] = ["product_payments", "product_orders", "free_plan"];

/// Which provider a round has.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Class C: plain RFC 7591; what became of an attempt cannot be found out.
    #[default]
    Sandbox,
    /// Class A: a real one, which takes ids that are chosen.
    Keycloak,
    /// Class B: a double of Okta, where clients are found by a marker in their name.
    Okta,
}

/// A running one.
pub enum Provider {
    Sandbox(identity_provider::Handle),
    Keycloak(Keycloak),
    Okta(doubles::Handle<okta::Okta>),
}

impl Provider {
    pub async fn start(which: Which) -> Self {
        match which {
            Which::Sandbox => Self::Sandbox(sandbox().await),
            Which::Keycloak => Self::Keycloak(Keycloak::start().await),
            Which::Okta => Self::Okta(okta::start(API_TOKEN, &SCOPES).await.unwrap()),
        }
    }

    /// As an admin adds it.
    pub async fn definition(&self) -> Value {
        match self {
            Self::Sandbox(provider) => json!({
                "name": "Company login", "type": "other", "well_known_url": provider.well_known_url(),
                "initial_access_token": INITIAL_ACCESS_TOKEN,
            }),
            Self::Keycloak(keycloak) => json!({
                "name": "Company login", "type": "keycloak", "well_known_url": keycloak.well_known_url(),
                "initial_access_token": keycloak.initial_access_token(1000).await,
                "management_client_id": keycloak.management().0,
                "management_client_secret": keycloak.management().1,
            }),
            Self::Okta(org) => json!({
                "name": "Company login", "type": "okta", "authorization": "api_token", "api_token": API_TOKEN,
                "well_known_url": format!("{}/oauth2/default/.well-known/openid-configuration", org.url()),
            }),
        }
    }

    /// Whether what became of an attempt can be found out there, so that nobody has to help (classes A and B).
    pub fn reconciles(&self) -> bool {
        matches!(self, Self::Keycloak(_) | Self::Okta(_))
    }

    /// Whether a client gets tokens for its own scopes only; in Okta policies decide, not the client.
    pub fn limits_scopes(&self) -> bool {
        !matches!(self, Self::Okta(_))
    }

    /// What must stand nowhere: the portal's ways in, and the credentials of the clients that are known here.
    pub fn secrets(&self) -> Vec<String> {
        match self {
            Self::Sandbox(provider) => {
                let clients = provider.clients().into_iter();
                clients
                    .flat_map(|client| [client.client_secret, client.registration_access_token])
                    .flatten()
                    .chain([INITIAL_ACCESS_TOKEN.to_owned()])
                    .collect()
            }
            Self::Keycloak(keycloak) => vec![keycloak.management().1.to_owned()],
            Self::Okta(org) => {
                let mut secrets = org.double().secrets();
                secrets.push(API_TOKEN.to_owned());
                secrets
            }
        }
    }
}

async fn sandbox() -> identity_provider::Handle {
    let provider = identity_provider::start(identity_provider::Settings {
        scopes: SCOPES.map(str::to_owned).to_vec(),
        initial_access_token: Some(INITIAL_ACCESS_TOKEN.to_owned()),
        ..identity_provider::Settings::default()
    })
    .await
    .unwrap();
    provider.behave(steady);
    provider
}

/// The registration access token of a plain provider cannot be got back when the answer that rotates it is lost; a
/// client of such a provider needs an admin then, which is another test.
fn steady(behaviour: &mut Behaviour) {
    behaviour.keep_token_on_update = true;
}
