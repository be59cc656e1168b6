//! Gluu Server and Janssen, whose `.../restv1/register` follows RFC 7591 and RFC 7592. From
//! <https://docs.jans.io/stable/janssen-server/auth-server/endpoints/client-registration>,
//! <https://docs.jans.io/stable/janssen-server/auth-server/client-management/software-statements> and
//! <https://gluu.org/docs/gluu-server/4.5/admin-guide/openid-connect/>:
//!
//! * Registration is open, or asks for a software statement (RFC 7591 section 2.3), a JWT that the admin gives.
//! * Scopes that are not open to dynamic registration are left out without a word, and the server's default scopes
//!   may be added; the answer says which there are.
//! * Access tokens are opaque unless the client says `access_token_as_jwt`, which a gateway needs; this is sent.
//! * Clients expire (`dynamicRegistrationExpirationTime`), one hour or one day after registration by default; the
//!   answer says when in `client_secret_expires_at`, and the expiry ends the client, not only its secret: its
//!   registration access token is refused then, so an expired client is deleted no more.
//! * `registration_client_uri` has the client in its query. A read or an update keeps the registration access token;
//!   an update must carry everything.
//! * There is no rotation of a secret.

use serde_json::{Map, Value};

use super::client::WantedClient;
use super::metadata::{self, Difference, Metadata};
use super::site::Site;
use super::{Driver, Method};

/// Beyond RFC 7591.
const AS_JWT: &str = "access_token_as_jwt";

/// Driver for Gluu.
pub struct Gluu;

impl Driver for Gluu {
    fn authorization_methods(&self) -> &'static [Method] {
        &[
            Method::InitialAccessToken,
            Method::ClientCredentials,
            Method::None,
        ]
    }

    fn customize(&self, _site: Site<'_>, body: &mut Map<String, Value>) {
        body.insert(AS_JWT.into(), true.into());
    }

    fn expiry_ends_client(&self) -> bool {
        true
    }

    fn differences(&self, wanted: &WantedClient, granted: &Metadata) -> Vec<Difference> {
        let mut found = metadata::differences(wanted, granted);
        for one in &mut found {
            if one.member == "client_secret_expires_at" {
                one.consequence = "the client, and not only its secret, stops working at that time (Unix seconds): \
                                   dynamicRegistrationExpirationTime of the server says so"
                    .into();
            }
        }
        if granted.members().get(AS_JWT) == Some(&Value::Bool(false)) {
            found.push(Difference {
                member: AS_JWT.into(),
                asked: "true".into(),
                granted: "false".into(),
                consequence:
                    "its access tokens are opaque, so a gateway that checks JWTs refuses them"
                        .into(),
            });
        }
        found
    }
}

#[cfg(test)]
mod tests;
