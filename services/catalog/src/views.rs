//! What is read: products, plans, and who owns which scope.

pub(crate) mod imported;
pub(crate) mod plans;
pub(crate) mod products;
pub(crate) mod scopes;

use async_trait::async_trait;
use jiff::Timestamp;
use portico_eventstore::{Change, Projection, ProjectionError, Tx};
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
    /// Not signed in, or not let in by an admin: published public products.
    Public,
    /// Let in by an admin: published products.
    LetIn,
    /// An admin: drafts too, but nothing that is deleted.
    Admin,
    /// Another service: deleted ones too, because access that was granted refers to them.
    Service,
}

impl Audience {
    pub(crate) fn of(caller: &Caller) -> Self {
        match caller {
            Caller::User {
                role: Role::Admin, ..
            } => Self::Admin,
            Caller::User { let_in: true, .. } => Self::LetIn,
            Caller::User { let_in: false, .. } | Caller::Anonymous => Self::Public,
            Caller::Service(_) => Self::Service,
        }
    }

    /// Whether what is at the gateway is shown.
    fn sees_mappings(self) -> bool {
        match self {
            Self::Admin | Self::Service => true,
            Self::LetIn | Self::Public => false,
        }
    }

    /// The products that there are for it, as a table with its first condition. What is not for it is not even read, so that
    /// it differs from what does not exist neither in an answer nor in its time.
    fn products(self) -> &'static str {
        match self {
            Self::Service => "products WHERE true",
            Self::Admin => "products WHERE status <> 'deleted'",
            Self::LetIn => "products WHERE status = 'published'",
            Self::Public => "products WHERE status = 'published' AND visibility = 'public'",
        }
    }
}
