//! Users, for admins and for themselves; contacts, for services.

use portico_eventstore::{Context, ExecuteError, Outcome, StoreError};
use portico_proto::{
    Error,
    accounts::v1::{
        self as proto, ActivateUserRequest, Contact, EraseUserRequest, GetContactsRequest,
        GetContactsResponse, GetCurrentUserRequest, GetUserRequest, LetInUserRequest,
        ListUsersRequest, ListUsersResponse, ShutOutUserRequest, SuspendUserRequest,
        User as UserMessage, UserStatus,
    },
    rest::Enumeration as _,
};
use portico_runtime::{
    Call, Caller, Problems, Role, lists::ListQuery, parse_id, query_error, refuse,
};
use tonic::Request;
use uuid::Uuid;

use super::Accounts;
use crate::{
    sign_in::sessions,
    user::{AccountCommand, Command, User},
    views::{self, Person, UserFilter},
};

/// Ids that one question for contacts may have.
const MOST_CONTACTS: usize = 1000;

impl Accounts {
    /// A user, about themselves.
    pub(super) async fn get_current_user(
        &self,
        request: &Request<GetCurrentUserRequest>,
    ) -> Result<UserMessage, Error> {
        let (id, _) = Caller::of(request).require_user()?;
        self.user(id).await
    }

    /// An admin; a developer about themselves.
    pub(super) async fn get_user(
        &self,
        request: &Request<GetUserRequest>,
    ) -> Result<UserMessage, Error> {
        let (caller, role) = Caller::of(request).require_user()?;
        let id = parse_id("id", &request.get_ref().id)?;
        if role != Role::Admin && id != caller {
            return Err(Error::not_found("user"));
        }
        self.user(id).await
    }

    /// An admin.
    pub(super) async fn list_users(
        &self,
        request: &Request<ListUsersRequest>,
    ) -> Result<ListUsersResponse, Error> {
        Caller::of(request).require_admin()?;
        let wanted = request.get_ref();
        let mut problems = Problems::default();
        let status = UserStatus::try_from(wanted.status).unwrap_or_else(|_| {
            problems.add(
                "status",
                "status_invalid",
                "`status` must be pending, active, suspended or erased.",
            );
            UserStatus::Unspecified
        });
        let role = proto::Role::try_from(wanted.role).unwrap_or_else(|_| {
            problems.add("role", "role_invalid", "`role` must be admin or developer.");
            proto::Role::Unspecified
        });
        problems.into_result()?;
        let query = ListQuery::parse(&views::USERS, wanted)?;
        let filter = UserFilter {
            status: status.as_word(),
            role: role.as_word(),
            let_in: wanted.let_in,
        };
        let (rows, next) = views::users(self.pool(), &filter, &query)
            .await
            .map_err(query_error)?;
        let users = self.people.describe(&rows).await?;
        Ok(ListUsersResponse { users, next })
    }

    /// An admin.
    pub(super) async fn activate_user(
        &self,
        request: &Request<ActivateUserRequest>,
    ) -> Result<UserMessage, Error> {
        let call = Call::of(request, "activate_user", &self.clock)?;
        let (id, done) = self
            .change(&call, &request.get_ref().id, AccountCommand::Activate)
            .await?;
        if !done.events.is_empty() {
            // Who was kept out signs in again, also where ending the sessions failed then.
            self.end_sessions(id).await?;
        }
        self.user(id).await
    }

    /// An admin.
    pub(super) async fn let_in_user(
        &self,
        request: &Request<LetInUserRequest>,
    ) -> Result<UserMessage, Error> {
        let call = Call::of(request, "let_in_user", &self.clock)?;
        let changed = self.change(&call, &request.get_ref().id, AccountCommand::LetIn);
        self.user(changed.await?.0).await
    }

    /// An admin.
    pub(super) async fn shut_out_user(
        &self,
        request: &Request<ShutOutUserRequest>,
    ) -> Result<UserMessage, Error> {
        let call = Call::of(request, "shut_out_user", &self.clock)?;
        let changed = self.change(&call, &request.get_ref().id, AccountCommand::ShutOut);
        self.user(changed.await?.0).await
    }

    /// An admin; not the last one.
    pub(super) async fn suspend_user(
        &self,
        request: &Request<SuspendUserRequest>,
    ) -> Result<UserMessage, Error> {
        let call = Call::of(request, "suspend_user", &self.clock)?;
        call.caller.require_admin()?;
        let id = parse_id("id", &request.get_ref().id)?;
        let suspend = |other_admins| AccountCommand::Suspend { other_admins };
        self.let_go(id, suspend, &call.context).await?;
        self.end_sessions(id).await?;
        self.user(id).await
    }

    /// An admin; not the last one.
    pub(super) async fn erase_user(
        &self,
        request: &Request<EraseUserRequest>,
    ) -> Result<UserMessage, Error> {
        let call = Call::of(request, "erase_user", &self.clock)?;
        call.caller.require_admin()?;
        let id = parse_id("id", &request.get_ref().id)?;
        let erase = |other_admins| AccountCommand::Erase { other_admins };
        self.let_go(id, erase, &call.context).await?;
        // Also where there was no event: the time before may have been interrupted here.
        self.people.erase(id).await?;
        self.user(id).await
    }

    /// Another service: active users only, those that are unknown or erased are left out.
    pub(super) async fn get_contacts(
        &self,
        request: &Request<GetContactsRequest>,
    ) -> Result<GetContactsResponse, Error> {
        Caller::of(request).require_service()?;
        let wanted = request.get_ref();
        let rows = match proto::Role::try_from(wanted.role) {
            Ok(proto::Role::Unspecified) => {
                let ids = parse_ids(&wanted.user_ids)?;
                views::active_users(self.pool(), &ids).await
            }
            Ok(proto::Role::Admin) => views::active_with_role(self.pool(), Role::Admin).await,
            Ok(proto::Role::Developer) => {
                views::active_with_role(self.pool(), Role::Developer).await
            }
            Err(_) => {
                return Err(Error::field(
                    "role",
                    "role_invalid",
                    "`role` must be admin or developer, or be left out for `user_ids`.",
                ));
            }
        }
        .map_err(query_error)?;
        let people = self.people.read(&rows).await?;
        let contacts = rows
            .iter()
            .zip(people)
            .filter_map(|(row, person)| {
                // Erased between the two queries.
                let Person { name, email } = person?;
                let user_id = row.id.to_string();
                Some(Contact {
                    user_id,
                    name,
                    email,
                })
            })
            .collect();
        Ok(GetContactsResponse { contacts })
    }

    /// Runs a command of an admin's, and gives whom it was about.
    async fn change(
        &self,
        call: &Call,
        id: &str,
        command: AccountCommand,
    ) -> Result<(Uuid, Outcome<User>), Error> {
        call.caller.require_admin()?;
        let id = parse_id("id", id)?;
        let command = Command::Account(command);
        let done = self.store.execute::<User>(id, &command, &call.context);
        Ok((id, done.await.map_err(refuse)?))
    }

    async fn user(&self, id: Uuid) -> Result<UserMessage, Error> {
        let row = views::user(self.pool(), id).await.map_err(query_error)?;
        let row = row.ok_or_else(|| Error::not_found("user"))?;
        self.people.describe_one(row).await
    }

    async fn end_sessions(&self, id: Uuid) -> Result<(), Error> {
        sessions::delete_all(self.pool(), id)
            .await
            .map_err(query_error)
    }

    /// Runs a command after which an active admin must be left. The view refuses it where another admin went at
    /// the same moment; then what is known now decides.
    async fn let_go(
        &self,
        id: Uuid,
        command: impl Fn(bool) -> AccountCommand,
        context: &Context,
    ) -> Result<Outcome<User>, Error> {
        let mut first = true;
        loop {
            let others = views::other_admins(self.pool(), id)
                .await
                .map_err(query_error)?;
            match self
                .store
                .execute::<User>(id, &Command::Account(command(others)), context)
                .await
            {
                Err(ExecuteError::Store(StoreError::Projection(_))) if first => first = false,
                done => return done.map_err(refuse),
            }
        }
    }
}

fn parse_ids(texts: &[String]) -> Result<Vec<Uuid>, Error> {
    if texts.is_empty() || texts.len() > MOST_CONTACTS {
        return Err(Error::field(
            "user_ids",
            "user_ids_invalid",
            format!("`user_ids` must have 1 to {MOST_CONTACTS} ids, unless `role` is given."),
        ));
    }
    let parse = |(index, text): (usize, &String)| parse_id(&format!("user_ids[{index}]"), text);
    let mut ids: Vec<Uuid> = texts
        .iter()
        .enumerate()
        .map(parse)
        .collect::<Result<_, _>>()?;
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}
