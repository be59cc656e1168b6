//! Public events of other services as commands of this one.

mod messages;

use async_trait::async_trait;
use portico_bus::{ConsumerSpec, Message};
use portico_eventstore::consumer::{Policy, PolicyError};
use portico_eventstore::{Aggregate, Context, EventStore, InboxEntry};
use portico_proto::access::v1 as access;
use portico_proto::registration::v1 as registration;
use portico_vault::{Owner, Vault};
use uuid::Uuid;

use crate::application::{Application, KnownApplication};
use crate::oauth_client::{
    APPLICATION_OWNER, AccessCommand, Command, FollowCommand, GrantCommand, OauthClient,
};
use crate::views::oauth_clients as view;
use messages::{credential, requested};
use portico_runtime::messages::{decode, header, id};

const APPROVED: &str = "portico.access.access_approved";
const RETRIED: &str = "portico.access.access_retried";
const SUSPENDED: &str = "portico.access.access_suspended";
const RESUMED: &str = "portico.access.access_resumed";
const REVOKED: &str = "portico.access.access_revoked";
const SCOPES_CHANGED: &str = "portico.access.access_scopes_changed";
const ACTIVATED: &str = "portico.access.access_activated";
const APPLICATION_CHANGED: &str = "portico.access.application_changed";
/// Our own: so that every client follows, also where the process ends meanwhile.
const CLIENT_TYPE_CHANGED: &str = "portico.registration.client_type_changed";

pub(crate) const CONSUMER: ConsumerSpec = ConsumerSpec {
    name: "registration",
    subjects: &[
        APPROVED,
        RETRIED,
        SUSPENDED,
        RESUMED,
        REVOKED,
        SCOPES_CHANGED,
        ACTIVATED,
        APPLICATION_CHANGED,
        CLIENT_TYPE_CHANGED,
    ],
};

pub(crate) struct Policies {
    pub(crate) store: EventStore,
    pub(crate) vault: Vault,
}

#[async_trait]
impl Policy for Policies {
    async fn handle(
        &self,
        message: &Message,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        let wanted = match message.subject.as_str() {
            APPROVED => decode::<access::AccessApproved>(message)?.wanted,
            RETRIED => decode::<access::AccessRetried>(message)?.wanted,
            SUSPENDED => decode::<access::AccessSuspended>(message)?.wanted,
            RESUMED => decode::<access::AccessResumed>(message)?.wanted,
            REVOKED => decode::<access::AccessRevoked>(message)?.wanted,
            SCOPES_CHANGED => decode::<access::AccessScopesChanged>(message)?.wanted,
            ACTIVATED => {
                let activated = decode(message)?;
                return self.when_access_activated(activated, context, entry).await;
            }
            APPLICATION_CHANGED => {
                let changed = decode(message)?;
                return self
                    .when_application_changed(changed, header(message, "position")?, context, entry)
                    .await;
            }
            CLIENT_TYPE_CHANGED => {
                return self
                    .when_client_type_changed(decode(message)?, context)
                    .await;
            }
            other => return Err(PolicyError::Poison(format!("nobody asked for {other}"))),
        };
        let wanted = wanted.ok_or_else(|| PolicyError::Poison("nothing is wanted".into()))?;
        self.when_access_wanted(wanted, message, context, entry)
            .await
    }
}

impl Policies {
    /// The highest revision counts, so it does not matter which message brings it. A request for API keys is the
    /// gateway's alone.
    async fn when_access_wanted(
        &self,
        wanted: access::WantedAccess,
        message: &Message,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        let retried = message.subject == RETRIED;
        let Some(requested) = requested(wanted, header(message, "position")?, retried)? else {
            return Ok(());
        };
        let application = requested.application_id;
        let client = OauthClient::id(application, requested.identity_provider_id);
        let command = Command::Grant(GrantCommand::Want(requested));
        let now = self
            .store
            .execute_once::<OauthClient>(client, &command, context, entry)
            .await?
            .state;
        // A change that was handled before there was this client: it has been noted, and may be newer.
        let known = self.store.load::<KnownApplication>(application).await?;
        match known.state.newest {
            Some(newest) if newest.as_of > now.application.as_of => {
                self.change(client, newest, context).await
            }
            _ => Ok(()),
        }
    }

    async fn when_access_activated(
        &self,
        activated: access::AccessActivated,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        use access::access_activated::Credential;
        let Some(Credential::OauthClient(oauth_client)) = &activated.credential else {
            return Ok(());
        };
        let (provider, _) = credential(oauth_client)?;
        let application = id("application_id", &activated.application_id)?;
        let request_id = id("request_id", &activated.request_id)?;
        let command = Command::Access(AccessCommand::Activate { request_id });
        let client = OauthClient::id(application, provider);
        self.once::<OauthClient>(client, &command, context, entry)
            .await
    }

    /// Idempotent: a client that follows already is not told again by the same message.
    async fn when_client_type_changed(
        &self,
        changed: registration::ClientTypeChanged,
        context: &Context,
    ) -> Result<(), PolicyError> {
        let client_type_id = id("client_type_id", &changed.client_type_id)?;
        let provider = id("identity_provider_id", &changed.identity_provider_id)?;
        let pool = self.store.database().pool();
        let clients = view::streams_of_type(pool, provider, client_type_id).await;
        for client in clients? {
            let step = context.step(&format!("client type of {client}"));
            let command = FollowCommand::ClientType { client_type_id };
            self.follow(client, command, &step).await?;
        }
        Ok(())
    }

    /// Notes the change first, then tells the clients there are: one that is granted meanwhile finds the note.
    async fn when_application_changed(
        &self,
        changed: access::ApplicationChanged,
        as_of: i64,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        let id = id("application_id", &changed.application_id)?;
        let application = Application {
            profile: self::id("profile_id", &changed.profile_id)?,
            as_of,
            suspended: changed.suspended,
            erased: changed.erased,
        };
        self.once::<KnownApplication>(id, &application, context, entry)
            .await?;
        let clients = view::streams_of_application(self.store.database().pool(), id).await;
        for client in clients? {
            self.change(client, application.clone(), context).await?;
        }
        if application.erased {
            // Whoever keeps something from here on knows of it, and erases it again.
            let erased = self.vault.erase(&Owner::new(APPLICATION_OWNER, id)).await;
            erased.map_err(|error| PolicyError::Retry(error.to_string()))?;
        }
        Ok(())
    }

    /// Idempotent: only what is newer has an effect.
    async fn change(
        &self,
        client: Uuid,
        application: Application,
        context: &Context,
    ) -> Result<(), PolicyError> {
        let step = context.step(&format!("application as of {}", application.as_of));
        self.follow(client, FollowCommand::Application(application), &step)
            .await
    }

    async fn follow(
        &self,
        client: Uuid,
        command: FollowCommand,
        context: &Context,
    ) -> Result<(), PolicyError> {
        let command = Command::Follow(command);
        let told = self
            .store
            .execute::<OauthClient>(client, &command, context)
            .await;
        told.map(drop).map_err(PolicyError::from)
    }

    async fn once<A: Aggregate>(
        &self,
        id: Uuid,
        command: &A::Command,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        let done = self
            .store
            .execute_once::<A>(id, command, context, entry)
            .await;
        done.map(drop).map_err(PolicyError::from)
    }
}
