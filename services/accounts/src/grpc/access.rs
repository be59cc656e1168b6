//! Sign-up, sessions, token authentication.

use std::sync::Arc;

use portico_eventstore::trace;
use portico_proto::{
    Error, Kind,
    accounts::v1::{
        AuthenticateRequest, AuthenticateResponse, CreateSessionRequest, CreateSessionResponse,
        DeleteSessionRequest, DeleteSessionResponse, GetEndedTokensRequest, GetEndedTokensResponse,
        ReportRefusalsRequest, ReportRefusalsResponse, SignUpRequest, User,
    },
    time,
};
use portico_runtime::{Call, Caller, Role, config::Signup, parse_id, query_error};
use portico_vault::Secret;
use tonic::Request;
use tracing::{Instrument as _, instrument::WithSubscriber as _};
use uuid::Uuid;

use super::Accounts;
use crate::{
    sign_in::{
        limits::Origin,
        password::Turn,
        sessions,
        token::{self, TokenKind},
    },
    sign_up::NewUser,
    user::Status,
    views::{self, UserRow, proto_role},
};

/// Tokens that one question may name.
const MOST_TOKENS: usize = 1000;
/// Users and minutes in one report.
const MOST_REFUSALS: usize = 1000;

impl Accounts {
    /// Anybody, as far as the configuration lets them.
    pub(super) async fn sign_up(&self, request: &Request<SignUpRequest>) -> Result<User, Error> {
        let status = match self.config.signup {
            Signup::Open => Status::Active,
            Signup::Approval => Status::Pending,
            Signup::Closed => {
                return Err(forbidden(
                    "signup_closed",
                    "Sign-up is switched off; ask an admin of this portal.",
                ));
            }
        };
        let mut call = Call::of(request, "sign_up", &self.clock)?;
        let sign_up = request.get_ref();
        let new = NewUser::parse(&sign_up.name, &sign_up.email, &sign_up.password)?;
        // Before the password is hashed, which is what a flood of sign-ups costs most.
        self.limits.sign_up(&sign_up.remote_address).await?;
        // The digest would be one of the password too, and fast to guess.
        let keyed = call.context.metadata.command_digest.take().is_some();
        let id = self
            .signup
            .register(&new, Role::Developer, status, &call.context, keyed)
            .await?;
        let row = views::user(self.pool(), id).await.map_err(query_error)?;
        let row = row.ok_or_else(Error::internal)?;
        // In the words of the call: whoever repeats it with a key that they know learns nothing, neither a name nor whether
        // the password that they try is right.
        Ok(row.message(Some(new.person())))
    }

    /// Anybody who knows the password, within the limits. Why signing in fails is told only to who does.
    ///
    /// It goes on where the caller hangs up: a guess that nobody waits for counts as any other, or guesses would have no
    /// limit.
    pub(super) async fn create_session(
        &self,
        request: &Request<CreateSessionRequest>,
    ) -> Result<CreateSessionResponse, Error> {
        let permit = Arc::clone(&self.sign_ins).try_acquire_owned();
        let permit = permit.map_err(|_| self.passwords.busy())?;
        let (accounts, wanted) = (self.clone(), request.get_ref().clone());
        let sign_in = async move {
            let _permit = permit;
            accounts.sign_in(&wanted).await
        };
        let sign_in = sign_in.in_current_span().with_current_subscriber();
        let task = match trace::correlation() {
            Some(request_id) => self.tasks.spawn(trace::correlated(request_id, sign_in)),
            None => self.tasks.spawn(sign_in),
        };
        task.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a sign-in did not end");
            Err(Error::internal())
        })
    }

    async fn sign_in(&self, wanted: &CreateSessionRequest) -> Result<CreateSessionResponse, Error> {
        let email_index = self.people.email_index(&wanted.email);
        let from = Origin {
            address: &wanted.remote_address,
            device: &wanted.device,
        };
        let attempt = match self.limits.begin(&email_index, from).await {
            Ok(attempt) => attempt,
            Err(error) => {
                if error.kind == Kind::Limited {
                    self.security.limited(from.address);
                }
                return Err(error);
            }
        };
        let user = self.people.by_email(&email_index).await?;
        // Where this fails it was not decided whether the password is right, for a reason of ours: not counted.
        let right = self
            .check_password(&attempt.turn(), user.as_ref(), &wanted.password)
            .await?;
        let Some(user) = user.as_ref().filter(|_| right) else {
            let locked = attempt.failed().await?;
            let account = user.map(|user| user.id);
            self.security.failed(account, from.address, locked);
            return Err(Error::new(
                Kind::Unauthenticated,
                "credentials_wrong",
                "E-mail address or password is wrong.",
            ));
        };
        let address_ref = attempt.succeeded(&self.people.vault, user.id).await?;
        let session = self.open_session(user).await?;
        self.security
            .signed_in(user.id, from.address, address_ref)
            .await;
        Ok(session)
    }

    /// Whether the password is the user's. The same work where there is no such user.
    async fn check_password(
        &self,
        turn: &Turn,
        user: Option<&UserRow>,
        password: &str,
    ) -> Result<bool, Error> {
        let (id, reference) = user.map_or((Uuid::nil(), None), |user| (user.id, user.password_ref));
        let hash = self.people.password_hash(id, reference).await?;
        self.passwords
            .verify(turn, Secret::new(password), hash)
            .await
    }

    async fn open_session(&self, user: &UserRow) -> Result<CreateSessionResponse, Error> {
        let suspended = || {
            forbidden(
                "account_suspended",
                "This account is suspended; ask an admin.",
            )
        };
        match user.status.as_str() {
            "active" => {}
            "pending" => {
                return Err(forbidden(
                    "account_pending",
                    "An admin has not let you in yet; you get an e-mail.",
                ));
            }
            _ => return Err(suspended()),
        }
        let token = token::generate(TokenKind::Session);
        let digest = token::digest(token.expose());
        let session = &self.config.session;
        let expires_at = sessions::create(self.pool(), session, user.id, digest, self.clock.now())
            .await
            .map_err(query_error)?
            .ok_or_else(suspended)?;
        Ok(CreateSessionResponse {
            token: token.expose().to_owned(),
            user: Some(self.people.describe_one(user.clone()).await?),
            expires_at: Some(time::to_proto(expires_at)),
        })
    }

    /// Anybody who has the token. An unknown one is as good as ended; an API token is refused, since it would go on
    /// working.
    pub(super) async fn delete_session(
        &self,
        request: &Request<DeleteSessionRequest>,
    ) -> Result<DeleteSessionResponse, Error> {
        let token = &request.get_ref().token;
        if TokenKind::of(token) == Some(TokenKind::Api) {
            return Err(Error::new(
                Kind::Conflict,
                "token_is_no_session",
                "This is an API token and no session, so it was not ended: revoke it among your API tokens.",
            ));
        }
        let digest = token::digest(token);
        let whose = sessions::delete(self.pool(), digest)
            .await
            .map_err(query_error)?;
        if let Some(account) = whose {
            self.security.signed_out(account).await;
        }
        Ok(DeleteSessionResponse {})
    }

    /// The edge, which ends the streams of those who may no longer see anything.
    pub(super) async fn get_ended_tokens(
        &self,
        request: &Request<GetEndedTokensRequest>,
    ) -> Result<GetEndedTokensResponse, Error> {
        Caller::of(request).require_service()?;
        let asked = &request.get_ref().digests;
        if asked.len() > MOST_TOKENS {
            let message = format!("`digests` must have at most {MOST_TOKENS} items.");
            return Err(Error::field("digests", "digests_invalid", message));
        }
        let valid = sessions::valid(self.pool(), &self.config.session, asked, self.clock.now())
            .await
            .map_err(query_error)?;
        let ended = asked.iter().filter(|digest| !valid.contains(*digest));
        Ok(GetEndedTokensResponse {
            digests: ended.cloned().collect(),
        })
    }

    /// The edge, which sees what every service refuses.
    pub(super) async fn report_refusals(
        &self,
        request: &Request<ReportRefusalsRequest>,
    ) -> Result<ReportRefusalsResponse, Error> {
        Caller::of(request).require_service()?;
        let report = request.get_ref();
        if report.refusals.len() > MOST_REFUSALS {
            let message = format!("`refusals` must have at most {MOST_REFUSALS} items.");
            return Err(Error::field("refusals", "refusals_invalid", message));
        }
        let reporter = parse_id("reporter", &report.reporter)?;
        let mut events = Vec::with_capacity(report.refusals.len());
        for refusals in &report.refusals {
            let account_id = parse_id("refusals.user_id", &refusals.user_id)?;
            let minute = refusals.minute.as_ref().and_then(time::from_proto);
            let minute = minute.ok_or_else(|| {
                let message = "`refusals.minute` must be a time.";
                Error::field("refusals.minute", "minute_invalid", message)
            })?;
            events.push((account_id, minute, refusals.count));
        }
        let stored = self.security.refused(reporter, &events).await;
        stored.map_err(|error| {
            tracing::warn!(%error, "refusals were not stored");
            Error::unavailable(
                "store_unavailable",
                "The refusals were not stored; report them again.",
            )
        })?;
        Ok(ReportRefusalsResponse {})
    }

    /// Anybody who has the token: it is the proof.
    pub(super) async fn authenticate(
        &self,
        request: &Request<AuthenticateRequest>,
    ) -> Result<AuthenticateResponse, Error> {
        let token = &request.get_ref().token;
        let bearer = sessions::bearer(self.pool(), &self.config.session, token, self.clock.now())
            .await
            .map_err(query_error)?
            .ok_or_else(|| {
                Error::new(
                    Kind::Unauthenticated,
                    "token_invalid",
                    "The session or API token is unknown or over; sign in again.",
                )
            })?;
        if let Some(token) = bearer.first_use {
            self.security
                .api_token_first_used(bearer.user_id, token)
                .await;
        }
        let caller = Caller::User {
            id: bearer.user_id,
            role: bearer.role,
            let_in: bearer.let_in,
        };
        let identity = self.identity.sign(&caller).ok_or_else(|| {
            tracing::error!("identity could not be signed");
            Error::internal()
        })?;
        Ok(AuthenticateResponse {
            identity,
            user_id: bearer.user_id.to_string(),
            role: proto_role(bearer.role).into(),
            expires_at: Some(time::to_proto(bearer.expires_at)),
            let_in: bearer.let_in,
        })
    }
}

fn forbidden(code: &'static str, message: &str) -> Error {
    Error::new(Kind::Forbidden, code, message)
}
