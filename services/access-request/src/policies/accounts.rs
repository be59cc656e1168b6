//! Following accounts: access lasts as long as its requester's account is active.

use portico_bus::Message;
use portico_eventstore::{Context, InboxEntry, consumer::PolicyError};
use portico_proto::accounts::v1 as accounts;
use portico_runtime::messages::{decode, header, id, unanswered};
use uuid::Uuid;

use super::{Policies, USER_ACTIVATED, USER_ERASED, USER_SUSPENDED, poison};
use crate::{
    access_request::{AccessRequest, Command},
    profiles,
    requester::{AccountChange, AccountStatus, Requester},
    views::access_requests,
};

/// Whose account became what.
pub(super) fn change(message: &Message) -> Result<(Uuid, AccountChange), PolicyError> {
    let (user, status) = match message.subject.as_str() {
        USER_SUSPENDED => (
            decode::<accounts::UserSuspended>(message)?.user_id,
            AccountStatus::Suspended,
        ),
        USER_ACTIVATED => (
            decode::<accounts::UserActivated>(message)?.user_id,
            AccountStatus::Active,
        ),
        USER_ERASED => (
            decode::<accounts::UserErased>(message)?.user_id,
            AccountStatus::Erased,
        ),
        other => return Err(poison(format!("nobody asked for {other}"))),
    };
    let change = AccountChange {
        position: header(message, "position")?,
        status,
    };
    Ok((id("user_id", &user)?, change))
}

impl Policies {
    /// Notes the newest first, and looks for requests then: one that is submitted or approved meanwhile is not found
    /// here, but finds the note itself.
    pub(super) async fn when_account_changed(
        &self,
        user: Uuid,
        change: AccountChange,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        self.store
            .execute_once::<Requester>(user, &change, context, entry)
            .await?;
        let requests = access_requests::of_requester(self.store.database().pool(), user).await?;
        for request in requests {
            self.follow_account(request, user, context).await?;
        }
        // After the requests: what is wanted of a client by then is that it goes.
        if change.status == AccountStatus::Erased {
            let erased = profiles::erase(&self.store, &self.profiles, user, context).await;
            erased.map_err(|error| unanswered(&error))?;
        }
        Ok(())
    }

    /// Has a request follow the newest that is noted of its requester's account. Where this changed the request, a newer
    /// one that was noted meanwhile may have found it unchanged: so it is looked at again.
    pub(super) async fn follow_account(
        &self,
        request: Uuid,
        user: Uuid,
        context: &Context,
    ) -> Result<(), PolicyError> {
        loop {
            let known = self.store.load::<Requester>(user).await?;
            let Some(AccountChange { position, status }) = known.state.newest else {
                return Ok(());
            };
            let step = context.step(&format!("{request} follows {user} as of {position}"));
            let done = self
                .store
                .execute::<AccessRequest>(request, &Command::Account(status), &step)
                .await?;
            if !done.events.is_empty() {
                continue;
            }
            return match status {
                // An automatic approval may have found the account suspended.
                AccountStatus::Active => {
                    let step = context.step(&format!("approval of {request} as of {position}"));
                    self.approve_automatically(request, &step, None).await
                }
                AccountStatus::Suspended => Ok(()),
                AccountStatus::Erased => self.forget_notes(request).await,
            };
        }
    }

    /// What was written about the request of somebody who is erased goes with them.
    async fn forget_notes(&self, request: Uuid) -> Result<(), PolicyError> {
        let erased = self.notes.erase(request).await;
        erased.map_err(|error| PolicyError::Retry(error.to_string()))
    }
}
