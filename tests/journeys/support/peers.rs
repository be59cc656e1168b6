//! Identity providers that are not the sandbox's own: doubles, each with what makes it different.

use portico_sandbox::doubles::{Handle, auth0, curity, gluu, okta};
use serde_json::{Value, json};

use super::world::SCOPES;

const API: &str = "https://api.customer.example/";
const PORTAL: (&str, &str) = ("portal", "secret-of-the-portal");

/// A double of a provider.
pub enum Double {
    Okta(Handle<okta::Okta>),
    Auth0(Handle<auth0::Auth0>),
    Gluu(Handle<gluu::Gluu>),
    Curity(Handle<curity::Curity>),
}

impl Double {
    pub async fn okta() -> Self {
        Self::Okta(okta::start("api-token-of-okta", &SCOPES).await.unwrap())
    }

    pub async fn auth0() -> Self {
        Self::Auth0(auth0::start(PORTAL, API, &SCOPES).await.unwrap())
    }

    pub async fn gluu() -> Self {
        let policy = gluu::Policy {
            scopes: SCOPES.map(str::to_owned).into(),
            ..gluu::Policy::default()
        };
        Self::Gluu(gluu::start(policy).await.unwrap())
    }

    pub async fn curity() -> Self {
        Self::Curity(curity::start(PORTAL, &SCOPES, "template").await.unwrap())
    }

    pub fn kind(&self) -> &'static str {
        match self {
            Self::Okta(_) => "okta",
            Self::Auth0(_) => "auth0",
            Self::Gluu(_) => "gluu",
            Self::Curity(_) => "curity",
        }
    }

    pub fn well_known_url(&self) -> String {
        let (url, issuer) = match self {
            Self::Okta(org) => (org.url(), "/oauth2/default"),
            Self::Auth0(tenant) => (tenant.url(), ""),
            Self::Gluu(server) => (server.url(), ""),
            Self::Curity(profile) => (profile.url(), "/oauth/v2/oauth-anonymous"),
        };
        format!("{url}{issuer}/.well-known/openid-configuration")
    }

    /// How the portal authorises itself there.
    pub fn authorization(&self) -> Value {
        match self {
            Self::Okta(_) => {
                json!({"authorization": "api_token", "api_token": "api-token-of-okta"})
            }
            Self::Auth0(_) => json!({
                "authorization": "client_credentials", "management_client_id": PORTAL.0,
                "management_client_secret": PORTAL.1, "api_audience": API,
            }),
            Self::Gluu(_) => json!({"authorization": "none"}),
            Self::Curity(_) => json!({
                "authorization": "client_credentials", "management_client_id": PORTAL.0,
                "management_client_secret": PORTAL.1,
            }),
        }
    }

    pub fn client_count(&self) -> usize {
        match self {
            Self::Okta(org) => org.double().client_count(),
            Self::Auth0(tenant) => tenant.double().client_count(),
            Self::Gluu(server) => server.double().client_count(),
            Self::Curity(profile) => profile.double().client_count(),
        }
    }
}
