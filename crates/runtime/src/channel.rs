//! How services reach each other: the same clients over an in-process call or over the network.

mod headers;
pub mod methods;
mod remote;
mod replicas;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use axum::Router;
use futures::future::BoxFuture;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{BoxError, Service, ServiceExt as _};

pub(crate) use self::headers::NOT_TAKEN;
pub use self::headers::{IDEMPOTENCY_KEY, REQUEST_ID, SERVICE, TRACEPARENT, TRACESTATE};
pub use self::remote::{Remote, service_unavailable};

/// Names under which services find each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServiceName {
    /// Products and plans.
    Catalog,
    /// Applications, carts, access requests.
    AccessRequest,
    /// Identity providers, client types, OAuth clients.
    Registration,
    /// API gateways, scope mappings, API keys.
    Gateway,
    /// E-mail.
    Notification,
    /// Users, sessions, API tokens.
    Accounts,
}

impl ServiceName {
    /// Every service.
    pub const ALL: [Self; 6] = [
        Self::Catalog,
        Self::AccessRequest,
        Self::Registration,
        Self::Gateway,
        Self::Notification,
        Self::Accounts,
    ];

    /// As on the command line and for databases.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Catalog => "catalog",
            Self::AccessRequest => "access-request",
            Self::Registration => "registration",
            Self::Gateway => "gateway",
            Self::Notification => "notification",
            Self::Accounts => "accounts",
        }
    }

    /// The service of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }

    /// Package of its gRPC methods, for routing.
    pub fn package(self) -> &'static str {
        match self {
            Self::Catalog => "portico.catalog.v1",
            Self::AccessRequest => "portico.access.v1",
            Self::Registration => "portico.registration.v1",
            Self::Gateway => "portico.gateway.v1",
            Self::Notification => "portico.notification.v1",
            Self::Accounts => "portico.accounts.v1",
        }
    }

    /// The word for it in the subjects of its public events: `portico.<word>.<event>`.
    pub fn subject_word(self) -> &'static str {
        self.package().split('.').nth(1).unwrap_or_default()
    }

    /// The service that owns a gRPC path such as `/portico.access.v1.AccessService/GetCart`.
    pub fn of_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| {
            path.strip_prefix('/')
                .and_then(|rest| rest.strip_prefix(name.package()))
                .is_some_and(|rest| rest.starts_with('.'))
        })
    }
}

/// A channel to one service, for tonic's generated clients. Cheap to clone.
#[derive(Clone)]
pub struct ServiceChannel {
    way: Way,
    changes: Arc<AtomicU64>,
}

#[derive(Clone)]
enum Way {
    /// In the same process, without a network and without HTTP/2 framing.
    Local(ServiceName, Arc<OnceLock<Router>>),
    Remote(Remote),
}

impl ServiceChannel {
    fn new(way: Way) -> Self {
        Self {
            way,
            changes: Arc::default(),
        }
    }

    /// To a service of the same process, which is registered with [`Channels::provide`].
    #[must_use]
    pub fn local(name: ServiceName) -> Self {
        Self::new(Way::Local(name, Arc::default()))
    }

    /// Over the network.
    #[must_use]
    pub fn remote(remote: Remote) -> Self {
        Self::new(Way::Remote(remote))
    }

    /// Grows when a call over this channel or its clones has ended that may have changed something at the service. An
    /// answer is not older than what was changed from here while the number was the same since before it was asked for.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }
}

/// A call that may change something. Counts when it ends, also where the caller does not wait for that.
struct Changing(Option<Arc<AtomicU64>>);

impl Changing {
    /// What was refused has changed nothing; and who may not change anything must not be able to make everything be asked
    /// for again.
    fn answered(&mut self, response: &http::Response<Body>) {
        let status = response.headers().get("grpc-status");
        let code = status.map(|status| Code::from_bytes(status.as_bytes()));
        let refused = matches!(
            code,
            Some(
                Code::Unauthenticated
                    | Code::PermissionDenied
                    | Code::InvalidArgument
                    | Code::NotFound
                    | Code::Unimplemented
            )
        );
        if refused {
            self.0 = None;
        }
    }
}

impl Drop for Changing {
    fn drop(&mut self) {
        if let Some(changes) = &self.0 {
            changes.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Service<http::Request<Body>> for ServiceChannel {
    type Response = http::Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        headers::inject(request.headers_mut());
        let changes = methods::outdates(request.uri().path());
        let mut changing = Changing(changes.then(|| Arc::clone(&self.changes)));
        match &self.way {
            Way::Local(name, router) => {
                let (name, router) = (*name, router.get().cloned());
                Box::pin(async move {
                    let Some(router) = router else {
                        return Ok(Status::from(service_unavailable(name)).into_http());
                    };
                    let response = router.oneshot(request.map(axum::body::Body::new)).await?;
                    let response = response.map(Body::new);
                    changing.answered(&response);
                    Ok(response)
                })
            }
            Way::Remote(remote) => {
                let answer = remote.clone().call(request);
                Box::pin(async move {
                    let response = answer.await;
                    changing.answered(&response);
                    Ok(response)
                })
            }
        }
    }
}

/// A channel to every service.
#[derive(Clone)]
pub struct Channels {
    catalog: ServiceChannel,
    access_request: ServiceChannel,
    registration: ServiceChannel,
    gateway: ServiceChannel,
    notification: ServiceChannel,
    accounts: ServiceChannel,
}

impl Channels {
    /// Channels to services of the same process, which are registered with [`Channels::provide`] as they start.
    pub fn local() -> Self {
        Self::with(ServiceChannel::local)
    }

    /// Channels to services, each made from its name.
    pub fn with(mut way: impl FnMut(ServiceName) -> ServiceChannel) -> Self {
        Self {
            catalog: way(ServiceName::Catalog),
            access_request: way(ServiceName::AccessRequest),
            registration: way(ServiceName::Registration),
            gateway: way(ServiceName::Gateway),
            notification: way(ServiceName::Notification),
            accounts: way(ServiceName::Accounts),
        }
    }

    /// The channel to one service.
    pub fn to(&self, name: ServiceName) -> ServiceChannel {
        match name {
            ServiceName::Catalog => &self.catalog,
            ServiceName::AccessRequest => &self.access_request,
            ServiceName::Registration => &self.registration,
            ServiceName::Gateway => &self.gateway,
            ServiceName::Notification => &self.notification,
            ServiceName::Accounts => &self.accounts,
        }
        .clone()
    }

    /// Registers a local service; the first one stays.
    pub fn provide(&self, name: ServiceName, router: Router) {
        if let Way::Local(_, slot) = self.to(name).way {
            // A second service of the same name would be a programming error.
            let _ = slot.set(router);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_find_their_service() {
        let of = ServiceName::of_path;
        assert_eq!(
            of("/portico.access.v1.AccessService/GetCart"),
            Some(ServiceName::AccessRequest)
        );
        assert_eq!(of("/portico.access.v10.AccessService/GetCart"), None);
        assert_eq!(of("/grpc.health.v1.Health/Check"), None);
    }
}
