//! Where the tokens come from that calls carry: what the admin gave, or the token endpoint.

use http::Method as Verb;
use portico_vault::Secret;

use super::failure::{Bearer, Disposition, Failure, Result, refusal};
use super::session::{Authorization, Body, RawAnswer, Session, Step};
use crate::identity_provider::Method;
use crate::providers::Tried;

/// What a token must be good for, where the admin did not say otherwise.
#[derive(Debug, Clone, Copy, Default)]
pub struct Need<'a> {
    /// RFC 6749 section 3.3; empty: none is asked for.
    pub scope: &'a str,
    /// Empty: none is asked for.
    pub audience: &'a str,
}

/// A token with its kind, or none.
#[derive(Debug, Clone)]
pub(crate) struct Credential {
    bearer: Bearer,
    token: Option<Secret>,
}

impl Credential {
    /// As a bearer token (RFC 6750 section 2.1).
    pub(crate) fn authorization(&self) -> Authorization<'_> {
        match &self.token {
            Some(token) => Authorization::Bearer(self.bearer, token),
            None => Authorization::Nobody,
        }
    }
}

impl Session<'_> {
    /// What authorizes the portal, by the method that the admin chose. A fetched token may be good for one call
    /// only, so each call asks anew.
    ///
    /// # Errors
    /// [`Disposition::PauseProvider`] where what is needed is not there or is refused; nothing was sent to the
    /// registration endpoint yet.
    pub(crate) async fn credential(&self, need: Need<'_>) -> Result<Credential> {
        let (bearer, token) = match self.method {
            Method::None => (Bearer::None, None),
            Method::InitialAccessToken => {
                (Bearer::Initial, Some(self.stored("initial access token")?))
            }
            Method::ApiToken => (Bearer::Api, Some(self.stored("API token")?)),
            Method::ClientCredentials => {
                let token = self
                    .management_token(need)
                    .await
                    .map_err(|failure| Failure {
                        outcome_unknown: false,
                        ..failure.of_provider()
                    })?;
                let token = token.ok_or_else(|| missing("management credentials"))?;
                (Bearer::Management, Some(token))
            }
        };
        Ok(Credential { bearer, token })
    }

    /// See [`Driver::try_authorization`](crate::providers::Driver::try_authorization).
    ///
    /// # Errors
    /// As [`Session::credential`].
    pub(crate) async fn try_authorization(&self, need: Need<'_>) -> Result<Tried> {
        self.credential(need).await?;
        let not_tried = |why: &str| Tried::NotTried(why.to_owned());
        Ok(match self.method {
            Method::None => not_tried(
                "no authorization is configured; whether the provider registers clients without one was not tried",
            ),
            Method::InitialAccessToken => not_tried(
                "an initial access token is stored; it may be good for one use only, so it was not tried",
            ),
            Method::ApiToken => not_tried("an API token is stored; it was not tried"),
            Method::ClientCredentials => Tried::Accepted(
                "the management credentials were given an access token; whether it may register clients was not tried"
                    .to_owned(),
            ),
        })
    }

    fn stored(&self, what: &str) -> Result<Secret> {
        self.token.cloned().ok_or_else(|| missing(what))
    }

    /// A fresh access token of the management credentials, where there are any.
    ///
    /// # Errors
    /// [`Disposition::Unmanageable`] where they are refused.
    pub(crate) async fn management_token(&self, need: Need<'_>) -> Result<Option<Secret>> {
        let Some(management) = self.management else {
            return Ok(None);
        };
        let chosen = |chosen: &str, needed: &str| {
            let text = if chosen.is_empty() { needed } else { chosen };
            (!text.is_empty()).then(|| text.to_owned())
        };
        let scope = chosen(&self.options.management_scope, need.scope);
        let audience = chosen(&self.options.management_audience, need.audience);
        let more = [("scope", scope), ("audience", audience)];
        let more = more
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        let answer = self
            .token_request(
                &management.client_id,
                &management.client_secret,
                self.options.management_in_body || self.endpoints.only_secrets_in_the_body(),
                more.collect(),
            )
            .await?;
        if !answer.is_success() {
            let failure = refusal(&answer, Bearer::Management);
            return Err(match failure.disposition {
                Disposition::Retry => failure,
                _ => failure.with(Disposition::Unmanageable, "management_credentials_refused"),
            });
        }
        let token = answer.json().and_then(|body| {
            let token = body.get("access_token")?.as_str()?;
            (!token.is_empty()).then(|| Secret::new(token))
        });
        token.map(Some).ok_or_else(|| {
            Failure::new(
                Disposition::Retry,
                "token_answer_invalid",
                "the token endpoint answered without an access_token",
            )
        })
    }

    /// A token request by client credentials (RFC 6749 section 4.4), whatever it is answered with. `in_body` sends
    /// them in the body instead of the header.
    pub(crate) async fn token_request(
        &self,
        client_id: &str,
        client_secret: &Secret,
        in_body: bool,
        more: Vec<(&'static str, String)>,
    ) -> Result<RawAnswer> {
        let mut form = vec![("grant_type", "client_credentials".to_owned())];
        form.extend(more);
        let mut authorization = Authorization::Basic(client_id, client_secret);
        if in_body {
            form.push(("client_id", client_id.to_owned()));
            form.push(("client_secret", client_secret.expose().to_owned()));
            authorization = Authorization::Nobody;
        }
        self.call(
            Step::Other,
            Verb::POST,
            &self.endpoints.token_endpoint,
            authorization,
            Body::Form(form),
        )
        .await
    }
}

/// It was there when the settings were saved; a newer one is on its way.
fn missing(what: &str) -> Failure {
    Failure::new(
        Disposition::PauseProvider,
        "authorization_missing",
        format!("the provider has no {what}, which its authorization needs"),
    )
}
