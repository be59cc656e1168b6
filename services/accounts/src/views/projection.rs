//! The projection: events -> rows.

use async_trait::async_trait;
use portico_eventstore::{
    Change, Projection, ProjectionError, RecordedEvent, StoreError, Table, Tx, cells,
};
use portico_runtime::Role;
use uuid::Uuid;

use crate::user::{AccountEvent, ApiTokenEvent, Event, Status, User};

/// Keeps `users` and `api_tokens`.
pub(crate) struct Users;

const TOKENS: Table = Table {
    name: "api_tokens",
    key: "id",
    columns: "id user_id digest name_ref created_at expires_at expires_at_ms",
    once: "",
};

#[async_trait]
impl Projection for Users {
    fn tables(&self) -> &'static [&'static str] {
        &["users", "api_tokens"]
    }

    async fn apply(&self, tx: &mut Tx, change: &Change<'_>) -> Result<(), ProjectionError> {
        for (recorded, event) in change.decoded::<User>()? {
            let id = recorded.stream_id();
            match &event {
                Event::Account(event) => account(tx, id, recorded, event).await?,
                Event::ApiToken(event) => api_token(tx, id, recorded, event).await?,
            }
            tx.execute(
                "UPDATE users SET version = $1 WHERE id = $2",
                cells![recorded.version, id],
            )
            .await?;
        }
        Ok(())
    }
}

async fn account(
    tx: &mut Tx,
    id: Uuid,
    recorded: &RecordedEvent,
    event: &AccountEvent,
) -> Result<(), ProjectionError> {
    match event {
        AccountEvent::SignedUp {
            status,
            role,
            name_ref,
            email_ref,
        } => {
            tx.execute(
                "INSERT INTO users (id, role, status, let_in, name_ref, email_ref, password_ref, version, created_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, '', $7, $8)",
                cells![
                    id,
                    role.as_str(),
                    status.as_str(),
                    i64::from(*role == Role::Admin),
                    name_ref.0,
                    email_ref.0,
                    recorded.version,
                    recorded.recorded_at.to_string()
                ],
            )
            .await?;
        }
        AccountEvent::Activated => set_status(tx, id, Status::Active).await?,
        AccountEvent::Suspended => {
            set_status(tx, id, Status::Suspended).await?;
            require_admin_left(tx, id).await?;
        }
        AccountEvent::LetIn => set_let_in(tx, id, true).await?,
        AccountEvent::ShutOut => set_let_in(tx, id, false).await?,
        AccountEvent::Erased => {
            erase(tx, id).await?;
            TOKENS.delete_by(tx, "user_id", [id]).await?;
            require_admin_left(tx, id).await?;
        }
        AccountEvent::PasswordSet { password_ref } => {
            let sql = "UPDATE users SET password_ref = $1 WHERE id = $2";
            tx.execute(sql, cells![password_ref.0, id]).await?;
        }
    }
    Ok(())
}

async fn set_status(tx: &mut Tx, id: Uuid, status: Status) -> sqlx::Result<()> {
    let sql = "UPDATE users SET status = $1 WHERE id = $2";
    tx.execute(sql, cells![status.as_str(), id]).await
}

async fn set_let_in(tx: &mut Tx, id: Uuid, let_in: bool) -> sqlx::Result<()> {
    let sql = "UPDATE users SET let_in = $1 WHERE id = $2";
    tx.execute(sql, cells![i64::from(let_in), id]).await
}

async fn erase(tx: &mut Tx, id: Uuid) -> sqlx::Result<()> {
    let sql = "UPDATE users SET status = 'erased', name_ref = '', email_ref = '', password_ref = '' \
               WHERE id = $1";
    tx.execute(sql, cells![id]).await
}

/// The decider knows one user only. When two admins suspend each other at the same moment, both commands are right by
/// what they were told; here, under the log's append lock, the second one fails.
async fn require_admin_left(tx: &mut Tx, id: Uuid) -> Result<(), ProjectionError> {
    let none_left = "SELECT 1 FROM users WHERE id = $1 AND role = 'admin' \
                     AND NOT EXISTS (SELECT 1 FROM users WHERE role = 'admin' AND status = 'active')";
    if tx.finds(none_left, cells![id]).await? {
        return Err(StoreError::Projection("no active admin would be left".to_owned()).into());
    }
    Ok(())
}

async fn api_token(
    tx: &mut Tx,
    user: Uuid,
    recorded: &RecordedEvent,
    event: &ApiTokenEvent,
) -> Result<(), ProjectionError> {
    match event {
        ApiTokenEvent::Issued {
            token_id,
            digest,
            name_ref,
            expires_at,
        } => {
            let row = cells![
                *token_id,
                user,
                digest.clone(),
                name_ref.0,
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
