//! `portico.operations.v1`, the same for every service: its parked messages and its relay, for admins.

use portico_eventstore::{
    Database,
    consumer::{Parked, ParkedFilter, ParkedStatus, drop_parked, list_parked, release_parked},
    relay,
};
use portico_proto::{
    Error,
    operations::v1::{
        self as proto, ListParkedMessagesRequest, ListParkedMessagesResponse, ListRelaysRequest,
        ListRelaysResponse, ParkedMessagesRequest, ParkedMessagesResponse, RepublishRequest,
        operations_service_server::OperationsService,
    },
    rest::Enumeration as _,
    time,
};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::{Caller, Clock, Page, ServiceName, parse_id, store_error};

/// The implementation for one service.
pub(crate) struct Operations {
    pub(crate) name: ServiceName,
    pub(crate) database: Database,
    pub(crate) clock: Clock,
}

#[tonic::async_trait]
impl OperationsService for Operations {
    async fn list_parked_messages(
        &self,
        request: Request<ListParkedMessagesRequest>,
    ) -> Result<Response<ListParkedMessagesResponse>, Status> {
        Caller::of(&request).require_admin()?;
        let query = request.into_inner();
        let page = Page::parse(&query)?;
        let status = proto::ParkedStatus::try_from(query.status).map_err(|_| {
            let words = "`status` must be parked, replaying or dropped.";
            Error::field("status", "status_invalid", words)
        })?;
        let filter = ParkedFilter {
            consumer: query.consumer,
            subject: query.subject,
            status: status.as_word().to_owned(),
            after: page.after.clone(),
            limit: page.fetch(),
        };
        let rows = list_parked(&self.database, &filter).await;
        let (rows, next) = page.cut(rows.map_err(store_error)?, Parked::key);
        Ok(Response::new(ListParkedMessagesResponse {
            items: rows.into_iter().map(|one| self.shown(one)).collect(),
            next: Some(next).filter(|next| !next.is_empty()),
            unreachable: Vec::new(),
        }))
    }

    async fn replay_parked_messages(
        &self,
        request: Request<ParkedMessagesRequest>,
    ) -> Result<Response<ParkedMessagesResponse>, Status> {
        let by = Caller::of(&request).require_admin()?;
        let which = Selection::of(request.get_ref())?;
        let done = release_parked(&self.database, &which.consumer, which.id).await;
        let count = which.found(done.map_err(store_error)?)?;
        tracing::info!(service = self.name.as_str(), consumer = which.consumer, message_id = ?which.id, count, %by,
            "parked messages are handled again");
        Ok(Response::new(ParkedMessagesResponse { count }))
    }

    async fn drop_parked_messages(
        &self,
        request: Request<ParkedMessagesRequest>,
    ) -> Result<Response<ParkedMessagesResponse>, Status> {
        let by = Caller::of(&request).require_admin()?;
        let which = Selection::of(request.get_ref())?;
        let (consumer, now) = (&which.consumer, self.clock.now());
        let done = drop_parked(&self.database, consumer, which.id, &by.to_string(), now).await;
        let count = which.found(done.map_err(store_error)?)?;
        tracing::warn!(service = self.name.as_str(), consumer, message_id = ?which.id, count, %by,
            "parked messages were dropped");
        Ok(Response::new(ParkedMessagesResponse { count }))
    }

    async fn list_relays(
        &self,
        request: Request<ListRelaysRequest>,
    ) -> Result<Response<ListRelaysResponse>, Status> {
        Caller::of(&request).require_admin()?;
        Ok(Response::new(self.relays().await?))
    }

    async fn republish(
        &self,
        request: Request<RepublishRequest>,
    ) -> Result<Response<ListRelaysResponse>, Status> {
        let by = Caller::of(&request).require_admin()?;
        let from = request.get_ref().from;
        let position = i64::try_from(from).map_err(|_| {
            let words = "`from` is beyond every position of the log.";
            Error::field("from", "from_invalid", words)
        })?;
        let (now, id) = (self.clock.now(), self.clock.new_id());
        relay::republish(&self.database, position, &by.to_string(), now, id)
            .await
            .map_err(store_error)?;
        tracing::warn!(service = self.name.as_str(), from, %by, "events are to be published again");
        Ok(Response::new(self.relays().await?))
    }
}

impl Operations {
    async fn relays(&self) -> Result<ListRelaysResponse, Error> {
        let status = relay::status(&self.database).await.map_err(store_error)?;
        let relay = proto::Relay {
            service: self.name.as_str().to_owned(),
            position: status.position.unsigned_abs(),
            head: status.head.unsigned_abs(),
            republishing: status.republishing.map(|again| proto::Republishing {
                position: again.position.unsigned_abs(),
                until: again.until.unsigned_abs(),
                requested_at: Some(time::to_proto(again.requested_at)),
                requested_by: again.requested_by,
            }),
        };
        Ok(ListRelaysResponse {
            items: vec![relay],
            unreachable: Vec::new(),
        })
    }

    fn shown(&self, parked: Parked) -> proto::ParkedMessage {
        let (status, dropped_at, dropped_by) = match parked.status {
            ParkedStatus::Parked => (proto::ParkedStatus::Parked, None, None),
            ParkedStatus::Replaying => (proto::ParkedStatus::Replaying, None, None),
            ParkedStatus::Dropped { at, by } => (
                proto::ParkedStatus::Dropped,
                Some(time::to_proto(at)),
                Some(by),
            ),
        };
        proto::ParkedMessage {
            service: self.name.as_str().to_owned(),
            id: parked.message_id.to_string(),
            consumer: parked.consumer,
            subject: parked.subject,
            reason: parked.reason,
            attempts: u32::try_from(parked.attempts).unwrap_or(u32::MAX),
            first_parked_at: Some(time::to_proto(parked.first_parked_at)),
            last_parked_at: Some(time::to_proto(parked.parked_at)),
            status: status.into(),
            dropped_at,
            dropped_by,
        }
    }
}

/// One message, or all of a consumer.
struct Selection {
    consumer: String,
    id: Option<Uuid>,
}

impl Selection {
    fn of(request: &ParkedMessagesRequest) -> Result<Self, Error> {
        let id = match request.id.as_str() {
            "" => None,
            id => Some(parse_id("id", id)?),
        };
        if id.is_none() && request.consumer.is_empty() {
            let words = "`consumer` must be given where `id` is not.";
            return Err(Error::field("consumer", "consumer_missing", words));
        }
        Ok(Self {
            consumer: request.consumer.clone(),
            id,
        })
    }

    /// A consumer without parked messages is no error; an unknown message id is.
    fn found(&self, count: u64) -> Result<u32, Error> {
        if count == 0 && self.id.is_some() {
            return Err(Error::not_found("parked message"));
        }
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }
}
