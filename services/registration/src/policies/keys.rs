//! Access requests for API keys: those that name no identity provider.

use portico_eventstore::consumer::PolicyError;
use portico_eventstore::{Context, InboxEntry, sqlx};
use portico_proto::access::v1 as access;
use uuid::Uuid;

use super::messages::{id, item};
use super::{Policies, failed};
use crate::application::KnownApplication;
use crate::catalogue::KnownEntry;
use crate::granted::{Application, CatalogueChange};
use crate::key_order::{Command, Granted, KeyOrder};
use crate::views::key_orders as view;

impl Policies {
    /// What was changed before this message came has been noted, and is newer.
    pub(super) async fn when_keys_approved(
        &self,
        approved: access::AccessApproved,
        as_of: i64,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        let request = id("request_id", &approved.request_id)?;
        let application = id("application_id", &approved.application_id)?;
        let granted = Granted {
            application_id: application,
            requester_id: approved.requester_id,
            application: Application {
                name: approved.application_name,
                redirect_urls: Vec::new(),
                as_of,
                suspended: approved.application_suspended,
            },
            items: approved.items.into_iter().map(item).collect(),
        };
        let entries: Vec<Uuid> = granted
            .items
            .iter()
            .flat_map(|item| [&item.product_id, &item.plan_id])
            .filter_map(|id| id.parse().ok())
            .collect();
        self.once::<KeyOrder>(request, &Command::Grant(granted), context, entry)
            .await?;
        let known = self.store.load::<KnownApplication>(application).await?;
        if let Some(newest) = known.state.newest {
            self.tell(request, Command::ChangeApplication(newest), context)
                .await?;
        }
        for entry in entries {
            let known = self.store.load::<KnownEntry>(entry).await?;
            if let Some(newest) = known.state.newest {
                self.tell(request, Command::FollowCatalogue(newest), context)
                    .await?;
            }
        }
        Ok(())
    }

    pub(super) async fn when_keys_revoked(
        &self,
        revoked: &access::AccessRevoked,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        let request = id("request_id", &revoked.request_id)?;
        let command = Command::Withdraw {
            application_id: id("application_id", &revoked.application_id)?,
        };
        self.once::<KeyOrder>(request, &command, context, entry)
            .await
    }

    pub(super) async fn when_keys_retried(
        &self,
        retried: &access::AccessRetried,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        let request = id("request_id", &retried.request_id)?;
        self.once::<KeyOrder>(request, &Command::Retry, context, entry)
            .await
    }

    pub(super) async fn when_key_suspension_changed(
        &self,
        request: &str,
        suspended: bool,
        as_of: i64,
        context: &Context,
        entry: InboxEntry,
    ) -> Result<(), PolicyError> {
        let request = id("request_id", request)?;
        let command = Command::Suspend { suspended, as_of };
        self.once::<KeyOrder>(request, &command, context, entry)
            .await
    }

    /// Idempotent: only what is newer has an effect.
    pub(super) async fn keys_follow(
        &self,
        subject: Uuid,
        change: &CatalogueChange,
        context: &Context,
    ) -> Result<(), PolicyError> {
        let pool = self.store.database().pool();
        let orders = view::of_catalogue(pool, subject)
            .await
            .map_err(|error: sqlx::Error| PolicyError::Retry(error.to_string()))?;
        for order in orders {
            let command = Command::FollowCatalogue(change.clone());
            self.tell(order, command, context).await?;
        }
        Ok(())
    }

    /// Idempotent: only what is newer has an effect.
    pub(super) async fn keys_follow_application(
        &self,
        application: Uuid,
        newest: &Application,
        context: &Context,
    ) -> Result<(), PolicyError> {
        let pool = self.store.database().pool();
        let orders = view::of_application(pool, application)
            .await
            .map_err(|error: sqlx::Error| PolicyError::Retry(error.to_string()))?;
        for listed in orders {
            let command = Command::ChangeApplication(newest.clone());
            self.tell(listed.id, command, context).await?;
        }
        Ok(())
    }

    async fn tell(
        &self,
        order: Uuid,
        command: Command,
        context: &Context,
    ) -> Result<(), PolicyError> {
        let label = match &command {
            Command::FollowCatalogue(change) => {
                format!("keys: {} version {}", change.subject(), change.version())
            }
            Command::ChangeApplication(application) => {
                format!("keys: application as of {}", application.as_of)
            }
            _ => "keys".to_owned(),
        };
        let context = context.step(&label);
        let done = self.store.execute::<KeyOrder>(order, &command, &context);
        done.await.map(drop).map_err(failed)
    }
}
