//! What every service tells an operator about itself, gathered: `portico.operations.v1` as the public address has
//! it. REST and the pages use the same.

use futures::future::join_all;
use portico_proto::{
    Error, Kind,
    operations::v1::{
        ListParkedMessagesRequest, ListParkedMessagesResponse, ListRelaysRequest,
        ListRelaysResponse, ParkedMessagesRequest, ParkedMessagesResponse, RepublishRequest,
        operations_service_client::OperationsServiceClient,
        operations_service_server::{OperationsService, OperationsServiceServer},
    },
};
use portico_runtime::{MAX_LIMIT, Page, ServiceChannel, ServiceName};
use tonic::{Request, Response, Status, body::Body, metadata::MetadataMap};
use tower::Service as _;

use super::Edge;

/// Asks the services, in the caller's name.
pub(super) struct Operations(Edge);

impl Operations {
    pub(super) fn new(edge: &Edge) -> Self {
        Self(edge.clone())
    }

    fn client(&self, name: ServiceName) -> OperationsServiceClient<ServiceChannel> {
        OperationsServiceClient::new(self.0.deps.channels.to(name))
    }
}

/// A call at the public gRPC address, with the identity of its caller.
pub(super) async fn serve(edge: &Edge, request: http::Request<Body>) -> http::Response<Body> {
    let mut server = OperationsServiceServer::new(Operations::new(edge));
    match server.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// The same call to another service.
fn like<T>(metadata: &MetadataMap, message: T) -> Request<T> {
    Request::from_parts(metadata.clone(), http::Extensions::new(), message)
}

/// The services that a filter means: empty is all of them.
fn named(name: &str) -> Result<Vec<ServiceName>, Error> {
    if name.is_empty() {
        return Ok(ServiceName::ALL.to_vec());
    }
    one(name).map(|name| vec![name])
}

fn one(name: &str) -> Result<ServiceName, Error> {
    ServiceName::named(name).ok_or_else(|| {
        let words = ServiceName::ALL.map(ServiceName::as_str).join(", ");
        let words = format!("`service` must be one of {words}.");
        Error::field("service", "service_invalid", words)
    })
}

/// An answer, or nothing where the service cannot be asked now.
pub(super) fn reached<T>(
    name: ServiceName,
    answer: Result<Response<T>, Status>,
    unreachable: &mut Vec<String>,
) -> Result<Option<T>, Status> {
    match answer.map_err(Error::from) {
        Ok(answer) => Ok(Some(answer.into_inner())),
        Err(error) if matches!(error.kind, Kind::Unavailable | Kind::Internal) => {
            unreachable.push(name.as_str().to_owned());
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// A cursor over several services: the service, and its own cursor.
fn split(after: &str) -> (&str, &str) {
    after.split_once('.').unwrap_or((after, ""))
}

#[tonic::async_trait]
impl OperationsService for Operations {
    /// One service after the other, so that a page may hold messages of several.
    async fn list_parked_messages(
        &self,
        request: Request<ListParkedMessagesRequest>,
    ) -> Result<Response<ListParkedMessagesResponse>, Status> {
        let (metadata, _, query) = request.into_parts();
        let limit = Page::rows(query.limit)?;
        let (begin, mut after) = split(&query.after);
        let wrong = || {
            Error::field(
                "after",
                "cursor_invalid",
                "`after` must be the `next` of the page before.",
            )
        };
        let begin = match begin {
            "" => None,
            name => Some(one(name).map_err(|_| wrong())?),
        };
        let services = named(&query.service)?.into_iter();
        let services = services.skip_while(|name| begin.is_some_and(|begin| begin != *name));
        let mut page = ListParkedMessagesResponse::default();
        for name in services {
            let room = limit - page.items.len();
            let asked = ListParkedMessagesRequest {
                // Where the page is full, only whether there is more.
                limit: u32::try_from(room.max(1)).unwrap_or(MAX_LIMIT),
                after: std::mem::take(&mut after).to_owned(),
                ..query.clone()
            };
            let answer = self
                .client(name)
                .list_parked_messages(like(&metadata, asked))
                .await;
            let Some(answer) = reached(name, answer, &mut page.unreachable)? else {
                continue;
            };
            if room == 0 && !answer.items.is_empty() {
                page.next = Some(name.as_str().to_owned());
                break;
            }
            page.items.extend(answer.items);
            if let Some(next) = answer.next {
                page.next = Some(format!("{}.{next}", name.as_str()));
                break;
            }
        }
        Ok(Response::new(page))
    }

    async fn replay_parked_messages(
        &self,
        request: Request<ParkedMessagesRequest>,
    ) -> Result<Response<ParkedMessagesResponse>, Status> {
        let service = one(&request.get_ref().service)?;
        self.client(service).replay_parked_messages(request).await
    }

    async fn drop_parked_messages(
        &self,
        request: Request<ParkedMessagesRequest>,
    ) -> Result<Response<ParkedMessagesResponse>, Status> {
        let service = one(&request.get_ref().service)?;
        self.client(service).drop_parked_messages(request).await
    }

    async fn list_relays(
        &self,
        request: Request<ListRelaysRequest>,
    ) -> Result<Response<ListRelaysResponse>, Status> {
        let (metadata, _, _) = request.into_parts();
        let asked = ServiceName::ALL.map(|name| {
            let request = like(&metadata, ListRelaysRequest {});
            async move { (name, self.client(name).list_relays(request).await) }
        });
        gathered(join_all(asked).await)
    }

    async fn republish(
        &self,
        request: Request<RepublishRequest>,
    ) -> Result<Response<ListRelaysResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let asked = named(&message.service)?.into_iter().map(|name| {
            let request = like(&metadata, message.clone());
            async move { (name, self.client(name).republish(request).await) }
        });
        gathered(join_all(asked).await)
    }
}

type Asked = (ServiceName, Result<Response<ListRelaysResponse>, Status>);

fn gathered(answers: Vec<Asked>) -> Result<Response<ListRelaysResponse>, Status> {
    let mut all = ListRelaysResponse::default();
    for (name, answer) in answers {
        if let Some(answer) = reached(name, answer, &mut all.unreachable)? {
            all.items.extend(answer.items);
        }
    }
    Ok(Response::new(all))
}
