//! The secrets of a client: two at most, one at least. From
//! <https://developer.okta.com/docs/guides/client-secret-rotation-key/main/> and
//! <https://developer.okta.com/docs/api/openapi/okta-management/management/tag/ApplicationSSOCredentialOAuth2ClientAuth/>.

use serde_json::{Value, json};

use super::{error, no_method, not_valid, not_well_formed};
use crate::doubles::stage::{Answer, ReceivedRequest, Reply};
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
    ) -> Answer {
        match (method, rest) {
            ("GET", []) => {
                let all: Vec<Value> = self.0.iter().map(shown).collect();
                Ok(Reply::json(200, &all.into()))
            }
            ("POST", []) => self.add(asked, now),
            ("POST", [id, "lifecycle", "deactivate"]) => self.deactivate(id),
            ("DELETE", [id]) => self.delete(id),
            _ => Err(no_method(405)),
        }
    }

    fn add(&mut self, asked: &ReceivedRequest, now: i64) -> Answer {
        let body = asked.object().ok_or_else(not_well_formed)?;
        let known = ["client_secret", "status"];
        if let Some(name) = body.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(not_valid(&format!("{name}: unknown")));
        }
        if self.0.len() >= 2 {
            let why = "You've reached the maximum number of client secrets per client.";
            return Err(not_valid(why));
        }
        let secret = match body.get("client_secret") {
            Some(Value::String(chosen)) if (14..=100).contains(&chosen.len()) => chosen.clone(),
            Some(_) => return Err(not_valid("client_secret: must have 14 to 100 characters")),
            None => secret::random(30),
        };
        let active = body.get("status").is_none_or(|status| status == "ACTIVE");
        let added = One {
            active,
            ..one(secret, now)
        };
        let reply = Reply::json(201, &shown(&added));
        self.0.push(added);
        Ok(reply)
    }

    fn deactivate(&mut self, id: &str) -> Answer {
        let others = self.0.iter().any(|one| one.id != id && one.active);
        let mut all = self.0.iter_mut();
        let one = all.find(|one| one.id == id).ok_or_else(|| missing(id))?;
        if !others {
            return Err(not_valid(
                "the only active client secret cannot be deactivated",
            ));
        }
        one.active = false;
        Ok(Reply::json(200, &shown(one)))
    }

    fn delete(&mut self, id: &str) -> Answer {
        let at = self.0.iter().position(|one| one.id == id);
        let at = at.ok_or_else(|| missing(id))?;
        if self.0[at].active {
            return Err(not_valid("an active client secret cannot be deleted"));
        }
        self.0.remove(at);
        Ok(Reply::empty(204))
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

fn missing(id: &str) -> Reply {
    let why = format!("Not found: Resource not found: {id} (ClientSecret)");
    error(404, "E0000007", &why)
}
