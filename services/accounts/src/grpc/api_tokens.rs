//! API tokens: everybody's own.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use portico_eventstore::{ExecuteError, Outcome};
use portico_proto::{
    Error, Kind,
    accounts::v1::{
        ApiToken, CreateApiTokenRequest, CreateApiTokenResponse, ListApiTokensRequest,
        ListApiTokensResponse, RevokeApiTokenRequest, RevokeApiTokenResponse,
    },
    rest::LONGEST_TOKEN_DAYS,
    time,
};
use portico_runtime::{
    Call, Caller, Problems, lists::ListQuery, parse_id, query_error, refuse, texts,
};
use portico_vault::Secret;
use tonic::Request;

use super::Accounts;
use crate::{
    sign_in::token::{self, TokenKind},
    user::{ApiTokenCommand, Command, User},
    views,
};

const DEFAULT_DAYS: u32 = 90;
const DAY: Duration = Duration::from_hours(24);

impl Accounts {
    /// A user, for themselves.
    pub(super) async fn create_api_token(
        &self,
        request: &Request<CreateApiTokenRequest>,
    ) -> Result<CreateApiTokenResponse, Error> {
        let call = Call::of(request, "create_api_token", &self.clock)?;
        let (user_id, _) = call.caller.require_user()?;
        let now = call.context.now;
        let (name, expires_at) = parse(request.get_ref(), now)?;
        let token = token::generate(TokenKind::Api);
        let token_id = call.new_id("api_token", &self.clock);
        let name_ref = self
            .people
            .keep_token_name(user_id, call.context.command_id, &Secret::new(name.clone()))
            .await?;
        let command = Command::ApiToken(ApiTokenCommand::Issue {
            token_id,
            digest: token::digest(token.expose()),
            name_ref,
            expires_at,
            now,
        });
        let done = self
            .store
            .execute::<User>(user_id, &command, &call.context)
            .await;
        if done.as_ref().is_err_and(ExecuteError::is_refusal) {
            self.people.vault.discard([name_ref]).await;
        }
        let done: Outcome<User> = done.map_err(refuse)?;
        if done.events.is_empty() {
            // A repeated call. Only the digest of the token that was made then is known.
            return Err(Error::new(
                Kind::Conflict,
                "api_token_shown_before",
                format!(
                    "This call made API token {token_id} before, and a token is shown once; revoke it and \
                     make another one."
                ),
            ));
        }
        Ok(CreateApiTokenResponse {
            api_token: Some(ApiToken {
                id: token_id.to_string(),
                name,
                created_at: Some(time::to_proto(now)),
                expires_at: Some(time::to_proto(expires_at)),
                last_used_at: None,
            }),
            token: token.expose().to_owned(),
        })
    }

    /// A user, their own.
    pub(super) async fn list_api_tokens(
        &self,
        request: &Request<ListApiTokensRequest>,
    ) -> Result<ListApiTokensResponse, Error> {
        let (user_id, _) = Caller::of(request).require_user()?;
        let wanted = request.get_ref();
        let query = ListQuery::parse(&views::API_TOKENS, wanted)?;
        let (rows, next) = views::api_tokens(self.pool(), user_id, &query)
            .await
            .map_err(query_error)?;
        let api_tokens = self.people.name_tokens(user_id, rows).await?;
        Ok(ListApiTokensResponse { api_tokens, next })
    }

    /// A user, their own; another's is not there.
    pub(super) async fn revoke_api_token(
        &self,
        request: &Request<RevokeApiTokenRequest>,
    ) -> Result<RevokeApiTokenResponse, Error> {
        let call = Call::of(request, "revoke_api_token", &self.clock)?;
        let (user_id, _) = call.caller.require_user()?;
        let token_id = parse_id("id", &request.get_ref().id)?;
        self.store
            .execute::<User>(
                user_id,
                &Command::ApiToken(ApiTokenCommand::Revoke { token_id }),
                &call.context,
            )
            .await
            .map_err(refuse)?;
        Ok(RevokeApiTokenResponse {})
    }
}

fn parse(wanted: &CreateApiTokenRequest, now: Timestamp) -> Result<(String, Timestamp), Error> {
    let mut problems = Problems::default();
    let name = texts::name(&mut problems, "name", &wanted.name);
    let days = wanted.expires_in_days.unwrap_or(DEFAULT_DAYS);
    if !(1..=LONGEST_TOKEN_DAYS).contains(&days) {
        problems.add(
            "expires_in_days",
            "expires_in_days_invalid",
            format!("`expires_in_days` must be 1 to {LONGEST_TOKEN_DAYS}; left out it is {DEFAULT_DAYS}."),
        );
    }
    problems.into_result()?;
    let lifetime = SignedDuration::try_from(DAY * days).unwrap_or(SignedDuration::MAX);
    Ok((name, now.checked_add(lifetime).unwrap_or(Timestamp::MAX)))
}
