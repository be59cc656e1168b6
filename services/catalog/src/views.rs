//! What is read: products, plans, and who owns which scope.

pub(crate) mod imported;
mod list;
pub(crate) mod plans;
pub(crate) mod products;
pub(crate) mod scopes;

use async_trait::async_trait;
use portico_eventstore::{Projection, ProjectionError, RecordedEvent};
use portico_proto::catalog::v1::{ProductStatus, Visibility};
use portico_runtime::{Caller, Role};
use sqlx::AnyConnection;

pub(crate) use list::{Listing, Words};

use crate::{plan::Plan, product::Product};

/// The catalogue's tables.
pub(crate) struct Catalog;

#[async_trait]
impl Projection for Catalog {
    fn tables(&self) -> &'static [&'static str] {
        &[
            "products",
            "product_tags",
            "product_client_types",
            "plans",
            "scope_owners",
        ]
    }

    async fn apply(
        &self,
        tx: &mut AnyConnection,
        event: &RecordedEvent,
    ) -> Result<(), ProjectionError> {
        if let Some(private) = event.decode::<Product>()? {
            return products::apply(tx, event, &private).await;
        }
        if let Some(private) = event.decode::<Plan>()? {
            return plans::apply(tx, event, &private).await;
        }
        Ok(())
    }
}

/// Who reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Not signed in: published public products.
    Visitor,
    /// Signed in: published products.
    SignedIn,
    /// An admin: all but what is deleted.
    Admin,
    /// Another service: what was deleted too, one by one.
    Service,
}

impl Audience {
    pub(crate) fn of(caller: &Caller) -> Self {
        match caller {
            Caller::Anonymous => Self::Visitor,
            Caller::User {
                role: Role::Developer,
                ..
            } => Self::SignedIn,
            Caller::User {
                role: Role::Admin, ..
            } => Self::Admin,
            Caller::Service(_) => Self::Service,
        }
    }

    /// Whether one product is shown.
    pub(crate) fn sees(self, status: ProductStatus, visibility: Visibility) -> bool {
        match self {
            Self::Service => true,
            Self::Admin => status != ProductStatus::Deleted,
            Self::SignedIn => status == ProductStatus::Published,
            Self::Visitor => status == ProductStatus::Published && visibility == Visibility::Public,
        }
    }
}
