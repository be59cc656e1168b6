//! What is read: products, plans, and who owns which scope.

pub(crate) mod imported;
pub(crate) mod plans;
pub(crate) mod products;
pub(crate) mod scopes;

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;
use portico_eventstore::{Change, Projection, ProjectionError, RecordedEvent, Table};
use portico_proto::catalog::v1::{ProductStatus, Visibility};
use portico_runtime::{Caller, Role, lists::SortColumns};
use sqlx::{AnyConnection, AssertSqlSafe};
use uuid::Uuid;

use crate::wire;

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

    async fn apply(
        &self,
        tx: &mut AnyConnection,
        change: &Change<'_>,
    ) -> Result<(), ProjectionError> {
        let mut claims = products::apply(tx, change).await?;
        claims.extend(plans::apply(tx, change).await?);
        scopes::claim(tx, claims).await
    }
}

/// What events change in a row; what they do not say stays.
#[derive(Default)]
struct RowChange<D> {
    is_new: bool,
    details: Option<D>,
    status: Option<&'static str>,
    created_at: Timestamp,
    updated_at: Timestamp,
    version: i64,
}

impl<D> RowChange<D> {
    fn follow(
        &mut self,
        event: &RecordedEvent,
        details: Option<D>,
        status: Option<&'static str>,
        at: Timestamp,
    ) {
        if event.version == 1 {
            (self.is_new, self.created_at) = (true, at);
        }
        self.details = details.or(self.details.take());
        self.status = status.or(self.status);
        (self.updated_at, self.version) = (at, event.version);
    }

    /// The scopes that it has then, where that is said.
    fn scopes(&self, of: impl Fn(&D) -> &BTreeSet<String>) -> Option<BTreeSet<String>> {
        if self.status == Some(DELETED) {
            return Some(BTreeSet::new());
        }
        self.details.as_ref().map(|details| of(details).clone())
    }

    /// Where nothing is said of the details.
    async fn write_status(
        &self,
        tx: &mut AnyConnection,
        table: &Table,
        id: Uuid,
    ) -> sqlx::Result<()> {
        let sql = format!(
            "UPDATE {} SET status = COALESCE($1, status), version = $2, updated_at = $3 WHERE id = $4",
            table.name
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(self.status)
            .bind(self.version)
            .bind(wire::time(self.updated_at))
            .bind(id.to_string())
            .execute(tx)
            .await
            .map(drop)
    }
}

/// As products and plans have it.
const DELETED: &str = "deleted";

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
