//! The secrets of a client: two at most, one at least. From
//! <https://developer.okta.com/docs/guides/client-secret-rotation-key/main/> and
//! <https://developer.okta.com/docs/api/openapi/okta-management/management/tag/ApplicationSSOCredentialOAuth2ClientAuth/>.

use serde_json::{Value, json};

use super::error;
use crate::doubles::stage::{ReceivedRequest, Reply};
use crate::secret;

struct One {
    id: String,
    secret: String,
    active: bool,
    /// Unix seconds.
    created: i64,
}

/// Of one client, in the order in which they were made.
pub(super) struct Secrets(Vec<One>);

impl Secrets {
    /// With one of Okta's choice.
    pub(super) fn new(now: i64) -> Self {
        Self(vec![one(secret::random(30), now)])
    }

    pub(super) fn work(&self, asked: &str) -> bool {
        self.0.iter().any(|one| one.active && one.secret == asked)
    }

    pub(super) fn newest(&self) -> String {
        let active = self.0.iter().rfind(|one| one.active);
        active.map(|one| one.secret.clone()).unwrap_or_default()
    }

    pub(super) fn all(&self) -> Vec<String> {
        self.0.iter().map(|one| one.secret.clone()).collect()
    }

    pub(super) fn answer(
        &mut self,
        method: &str,
        rest: &[&str],
        asked: &ReceivedRequest,
        now: i64,
    ) -> Reply {
        match (method, rest) {
            ("GET", []) => {
                let all: Vec<Value> = self.0.iter().map(shown).collect();
                Reply::json(200, &all.into())
            }
            ("POST", []) => self.add(asked, now),
            ("POST", [id, "lifecycle", "deactivate"]) => self.deactivate(id),
            ("DELETE", [id]) => self.delete(id),
            _ => error(
                405,
                "E0000022",
                "The endpoint does not support the provided HTTP method",
            ),
        }
    }

    fn add(&mut self, asked: &ReceivedRequest, now: i64) -> Reply {
        let Some(body) = asked.object() else {
            return error(400, "E0000003", "The request body was not well-formed.");
        };
        if let Some(name) = body
            .keys()
            .find(|name| !["client_secret", "status"].contains(&name.as_str()))
        {
            return refused(&format!("{name}: unknown"));
        }
        if self.0.len() >= 2 {
            return refused("You've reached the maximum number of client secrets per client.");
        }
        let secret = match body.get("client_secret") {
            Some(Value::String(chosen)) if (14..=100).contains(&chosen.len()) => chosen.clone(),
            Some(_) => return refused("client_secret: must have 14 to 100 characters"),
            None => secret::random(30),
        };
        let active = body.get("status").is_none_or(|status| status == "ACTIVE");
        let added = One {
            active,
            ..one(secret, now)
        };
        let reply = Reply::json(201, &shown(&added));
        self.0.push(added);
        reply
    }

    fn deactivate(&mut self, id: &str) -> Reply {
        let others = self.0.iter().any(|one| one.id != id && one.active);
        match self.0.iter_mut().find(|one| one.id == id) {
            None => missing(id),
            Some(_) if !others => refused("the only active client secret cannot be deactivated"),
            Some(one) => {
                one.active = false;
                Reply::json(200, &shown(one))
            }
        }
    }

    fn delete(&mut self, id: &str) -> Reply {
        match self.0.iter().position(|one| one.id == id) {
            None => missing(id),
            Some(at) if self.0[at].active => refused("an active client secret cannot be deleted"),
            Some(at) => {
                self.0.remove(at);
                Reply::empty(204)
            }
        }
    }
}

fn one(secret: String, created: i64) -> One {
    One {
        id: format!("ocs{}", secret::random(12).replace(['-', '_'], "x")),
        secret,
        active: true,
        created,
    }
}

fn shown(one: &One) -> Value {
    let created = jiff::Timestamp::from_second(one.created).unwrap_or_default();
    json!({
        "id": one.id,
        "status": if one.active { "ACTIVE" } else { "INACTIVE" },
        "client_secret": one.secret,
        "secret_hash": "digest-of-the-double",
        "created": created.to_string(),
        "lastUpdated": created.to_string(),
    })
}

fn refused(why: &str) -> Reply {
    error(400, "E0000001", &format!("Api validation failed: {why}"))
}

fn missing(id: &str) -> Reply {
    error(
        404,
        "E0000007",
        &format!("Not found: Resource not found: {id} (ClientSecret)"),
    )
}
