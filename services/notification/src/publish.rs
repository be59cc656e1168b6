//! Private event -> public event. No address leaves, and no words of a mail server.

use async_trait::async_trait;
use portico_eventstore::{
    EventStore, RecordedEvent, StoreError,
    relay::{PublicEvent, Publish},
};
use portico_proto::{
    notification::v1::{MailFailed, MailFailure, MailSent},
    rest::Enumeration as _,
};
use portico_runtime::messages::encode;

use crate::{
    delivery::{Delivery, Event, Mail},
    views,
};

/// Publishes `mail_sent` and `mail_failed`.
pub struct Publisher;

#[async_trait]
impl Publish for Publisher {
    async fn publish(
        &self,
        store: &EventStore,
        event: &RecordedEvent,
    ) -> Result<Option<PublicEvent>, StoreError> {
        let Some(happened) = event.decode::<Delivery>()? else {
            return Ok(None);
        };
        let reason = match happened {
            Event::Sent { .. } => None,
            Event::Failed { reason, .. } => Some(reason),
            Event::Queued(_)
            | Event::SendingStarted { .. }
            | Event::Delayed { .. }
            | Event::ResendRequested { .. } => return Ok(None),
        };
        let delivery = store
            .load_at::<Delivery>(event.stream_id(), event.version)
            .await?;
        let Some(Mail {
            template,
            subject_id,
            ..
        }) = delivery.mail
        else {
            return Ok(None);
        };
        let delivery_id = event.stream_id().to_string();
        let template = views::template(template.as_str()).into();
        let subject_id = subject_id.map(|id| id.to_string());
        Ok(Some(match reason {
            None => encode(
                "portico.notification.mail_sent",
                &MailSent {
                    delivery_id,
                    template,
                    subject_id,
                },
            ),
            Some(reason) => encode(
                "portico.notification.mail_failed",
                &MailFailed {
                    delivery_id,
                    template,
                    subject_id,
                    reason: MailFailure::from_word(reason.as_str())
                        .unwrap_or_default()
                        .into(),
                },
            ),
        }))
    }
}
