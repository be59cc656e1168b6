//! What is read: products, plans, and who owns which scope.

pub(crate) mod imported;
pub(crate) mod plans;
pub(crate) mod products;
pub(crate) mod scopes;

use async_trait::async_trait;
use jiff::Timestamp;
use portico_eventstore::{Change, Projection, ProjectionError, Tx};
use portico_proto::catalog::v1::{ProductStatus, Visibility};
use portico_runtime::{Caller, Role, lists::SortColumns};

/// What products and plans can be sorted by.
pub(crate) const SORT: SortColumns = SortColumns::BY_NAME;

/// Projection that keeps the catalogue's tables.
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

    async fn apply(&self, tx: &mut Tx, change: &Change<'_>) -> Result<(), ProjectionError> {
        let mut claims = products::apply(tx, change).await?;
        claims.extend(plans::apply(tx, change).await?);
        scopes::claim(tx, claims).await
    }
}

/// RFC 3339 with six digits of a second, so that texts sort as times do.
fn time(at: Timestamp) -> String {
    format!("{at:.6}")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Not signed in: published public products.
    Visitor,
    /// Signed in: published products.
    SignedIn,
    /// An admin: drafts too, but nothing that is deleted.
    Admin,
    /// Another service: deleted ones too when asked for by id, because access that was granted refers to them.
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

    /// Whether what is at the gateway is shown.
    fn sees_mappings(self) -> bool {
        match self {
            Self::Admin | Self::Service => true,
            Self::SignedIn | Self::Visitor => false,
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
