//! The projection: events -> rows.

use async_trait::async_trait;
use portico_eventstore::{
    Change, Projection, ProjectionError, RecordedEvent, StoreError, Table, cells,
};
use sqlx::{AnyConnection, Row as _};
use uuid::Uuid;

use crate::user::{AccountEvent, ApiTokenEvent, Event, Status, User};

/// Keeps `users` and `api_tokens`.
pub(crate) struct Users;

const TOKENS: Table = Table {
    name: "api_tokens",
    key: "id",
    columns: "id user_id digest name name_ref created_at expires_at expires_at_ms",
    once: "",
};

#[async_trait]
impl Projection for Users {
    fn tables(&self) -> &'static [&'static str] {
        &["users", "api_tokens"]
    }

    async fn apply(
        &self,
        tx: &mut AnyConnection,
        change: &Change<'_>,
    ) -> Result<(), ProjectionError> {
        for (recorded, event) in change.decoded::<User>()? {
            let id = recorded.stream_id();
            let user_id = id.to_string();
            match &event {
                Event::Account(event) => account(tx, id, recorded, event).await?,
                Event::ApiToken(event) => api_token(tx, id, recorded, event).await?,
            }
            sqlx::query("UPDATE users SET version = $1 WHERE id = $2")
                .bind(recorded.version)
                .bind(user_id)
                .execute(&mut *tx)
                .await?;
        }
        Ok(())
    }
}

async fn account(
    tx: &mut AnyConnection,
    id: Uuid,
    recorded: &RecordedEvent,
    event: &AccountEvent,
) -> Result<(), ProjectionError> {
    let user_id = &id.to_string();
    match event {
        AccountEvent::SignedUp {
            status,
            role,
            name_ref,
            email_ref,
        } => {
            sqlx::query(
                "INSERT INTO users (id, role, status, name_ref, email_ref, password_ref, version, created_at) \
                 VALUES ($1, $2, $3, $4, $5, '', $6, $7)",
            )
            .bind(user_id.to_owned())
            .bind(role.as_str())
            .bind(status.as_str())
            .bind(name_ref.0.to_string())
            .bind(email_ref.0.to_string())
            .bind(recorded.version)
            .bind(recorded.recorded_at.to_string())
            .execute(tx)
            .await?;
        }
        AccountEvent::Activated => set_status(tx, user_id, Status::Active).await?,
        AccountEvent::Suspended => {
            set_status(tx, user_id, Status::Suspended).await?;
            require_admin_left(tx, user_id).await?;
        }
        AccountEvent::Erased => {
            erase(tx, user_id).await?;
            TOKENS.delete_by(tx, "user_id", [id]).await?;
            require_admin_left(tx, user_id).await?;
        }
        AccountEvent::PasswordSet { password_ref } => {
            sqlx::query("UPDATE users SET password_ref = $1 WHERE id = $2")
                .bind(password_ref.0.to_string())
                .bind(user_id.to_owned())
                .execute(tx)
                .await?;
        }
    }
    Ok(())
}

async fn set_status(tx: &mut AnyConnection, user_id: &str, status: Status) -> sqlx::Result<()> {
    sqlx::query("UPDATE users SET status = $1 WHERE id = $2")
        .bind(status.as_str())
        .bind(user_id.to_owned())
        .execute(tx)
        .await
        .map(drop)
}

async fn erase(tx: &mut AnyConnection, user_id: &str) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE users SET status = 'erased', name_ref = '', email_ref = '', password_ref = '' \
         WHERE id = $1",
    )
    .bind(user_id.to_owned())
    .execute(tx)
    .await
    .map(drop)
}

/// The decider knows one user only. When two admins suspend each other at the same moment, both commands are right by
/// what they were told; here, under the log's append lock, the second one fails.
async fn require_admin_left(tx: &mut AnyConnection, user_id: &str) -> Result<(), ProjectionError> {
    let row = sqlx::query(
        "SELECT (SELECT COUNT(*) FROM users WHERE id = $1 AND role = 'admin'), \
         (SELECT COUNT(*) FROM users WHERE role = 'admin' AND status = 'active')",
    )
    .bind(user_id.to_owned())
    .fetch_one(tx)
    .await?;
    let (is_admin, left): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    if is_admin > 0 && left == 0 {
        return Err(StoreError::Projection("no active admin would be left".to_owned()).into());
    }
    Ok(())
}

async fn api_token(
    tx: &mut AnyConnection,
    user: Uuid,
    recorded: &RecordedEvent,
    event: &ApiTokenEvent,
) -> Result<(), ProjectionError> {
    match event {
        ApiTokenEvent::Issued {
            token_id,
            digest,
            name_ref,
            name,
            expires_at,
        } => {
            let row = cells![
                *token_id,
                user,
                digest.clone(),
                name.clone().unwrap_or_default(),
                name_ref.map(|name| name.0),
                recorded.recorded_at.to_string(),
                expires_at.to_string(),
                expires_at.as_millisecond(),
            ];
            TOKENS.write(tx, [row]).await?;
        }
        ApiTokenEvent::Revoked { token_id } => TOKENS.delete(tx, [*token_id]).await?,
    }
    Ok(())
}
