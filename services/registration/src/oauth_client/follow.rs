//! What the client follows: its application, its client types, its provider. Pure.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::grant::Grant;
use super::state::OauthClient;
use super::{Event as Any, only_if};
use crate::application::Application;

/// Something that the client follows has changed.
#[derive(Debug, Clone)]
pub enum Command {
    /// The application has another name, other redirect URLs, or is suspended or resumed.
    Application(Application),
    /// A client type was changed: clients of it follow.
    ClientType {
        /// Which may be one of several of this client.
        client_type_id: Uuid,
    },
    /// The provider was changed, or takes registrations again.
    Provider,
    /// An admin wants everything tried now that waits at the provider.
    RetryNow,
}

/// Changes outside the client that it follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// The application, as it is now.
    ApplicationChanged(Application),
    /// A client type of the client was changed.
    ClientTypeChanged {
        /// One of the client's.
        client_type_id: Uuid,
    },
    /// Whatever waits is tried again.
    Resumed,
}

impl OauthClient {
    pub(super) fn decide_follow(&self, command: &Command) -> Vec<Any> {
        match command {
            Command::Application(application) => only_if(
                !self.application_id.is_nil() && application.as_of > self.application.as_of,
                Event::ApplicationChanged(application.clone()),
            ),
            Command::ClientType { client_type_id } => only_if(
                self.live()
                    .is_some_and(|live| live.applied.client_type_ids.contains(client_type_id)),
                Event::ClientTypeChanged {
                    client_type_id: *client_type_id,
                },
            ),
            // A pause with back-off goes on: the provider's settings have nothing to do with it.
            Command::Provider => only_if(
                self.paused.is_some() || self.refused.is_some() || self.is_stuck(),
                Event::Resumed,
            ),
            Command::RetryNow => only_if(
                self.paused.is_some() || self.refused.is_some() || self.delay.is_some(),
                Event::Resumed,
            ),
        }
    }

    /// From here on its name, redirect URLs and suspension are these.
    pub(super) fn follow_application(&mut self, application: &Application) {
        if self.application.suspended && !application.suspended {
            // The client has lost what it had kept for a revision that was refused.
            self.grants.values_mut().for_each(Grant::try_anew);
        }
        self.application = application.clone();
    }

    pub(super) fn apply_follow(&mut self, event: &Event) {
        match event {
            Event::ApplicationChanged(application) => {
                self.follow_application(application);
                // What is stuck is tried hours apart: a suspension does not wait for that.
                if self.is_stuck() {
                    self.delay = None;
                }
            }
            Event::ClientTypeChanged { .. } => {
                if let Some(live) = self.live_mut() {
                    live.drifted = true;
                }
            }
            Event::Resumed => {
                self.paused = None;
                self.delay = None;
            }
        }
        self.refused = None;
    }
}
