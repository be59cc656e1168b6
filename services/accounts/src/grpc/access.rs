//! Sign-up, sessions, token authentication.

use portico_proto::{
    Error, Kind,
    accounts::v1::{
        AuthenticateRequest, AuthenticateResponse, CreateSessionRequest, CreateSessionResponse,
        DeleteSessionRequest, DeleteSessionResponse, SignUpRequest, User,
    },
    time,
};
use portico_runtime::{Call, Caller, Role, config::Signup, query_error};
use portico_vault::Secret;
use tonic::Request;
use uuid::Uuid;

use super::Accounts;
use crate::{
    sign_in::{
        sessions,
        token::{self, TokenKind},
    },
    sign_up::NewUser,
    user::Status,
    views::{self, UserRow, proto_role},
};

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
        // The digest would be one of the password too, and fast to guess. Who repeats a call proves that it is
        // theirs by the password.
        let keyed = call.context.metadata.command_digest.take().is_some();
        let id = self
            .signup
            .register(&new, Role::Developer, status, &call.context, keyed)
            .await?;
        let row = views::user(self.pool(), id).await.map_err(query_error)?;
        let row = row.ok_or_else(Error::internal)?;
        self.people.describe_one(row).await
    }

    /// Anybody who knows the password, within the limits. Why signing in fails is told only to who does.
    pub(super) async fn create_session(
        &self,
        request: &Request<CreateSessionRequest>,
    ) -> Result<CreateSessionResponse, Error> {
        let wanted = request.get_ref();
        let email_index = self.people.email_index(&wanted.email);
        let limits = &self.limits;
        let attempt = limits.begin(&email_index, &wanted.remote_address).await?;
        match self.check_password(&email_index, &wanted.password).await {
            Ok(Some(user)) => {
                attempt.succeeded().await?;
                self.open_session(user).await
            }
            Ok(None) => {
                attempt.failed().await?;
                Err(Error::new(
                    Kind::Unauthenticated,
                    "credentials_wrong",
                    "E-mail address or password is wrong.",
                ))
            }
            // It was not decided whether the password is right, for a reason of ours: not counted.
            Err(error) => Err(error),
        }
    }

    /// The user, where the password is theirs. The same work where there is no such user.
    async fn check_password(
        &self,
        email_index: &str,
        password: &str,
    ) -> Result<Option<UserRow>, Error> {
        let user = self.people.by_email(email_index).await?;
        let (id, reference) = user
            .as_ref()
            .map_or((Uuid::nil(), None), |user| (user.id, user.password_ref));
        let hash = self.people.password_hash(id, reference).await?;
        let right = self.passwords.verify(Secret::new(password), hash).await?;
        Ok(user.filter(|_| right))
    }

    async fn open_session(&self, user: UserRow) -> Result<CreateSessionResponse, Error> {
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
            user: Some(self.people.describe_one(user).await?),
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
        sessions::delete(self.pool(), digest)
            .await
            .map_err(query_error)?;
        Ok(DeleteSessionResponse {})
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
        let caller = Caller::User {
            id: bearer.user_id,
            role: bearer.role,
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
        })
    }
}

fn forbidden(code: &'static str, message: &str) -> Error {
    Error::new(Kind::Forbidden, code, message)
}
