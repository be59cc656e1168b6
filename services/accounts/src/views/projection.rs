//! How the views follow the log.

use async_trait::async_trait;
use portico_eventstore::{Projection, ProjectionError, RecordedEvent, StoreError};
use sqlx::{AnyConnection, Row as _};

use crate::user::{Event, Status, User};

/// Keeps `users` and `api_tokens`.
pub(crate) struct Users;

#[async_trait]
impl Projection for Users {
    fn tables(&self) -> &'static [&'static str] {
        &["users", "api_tokens"]
    }

    async fn apply(
        &self,
        tx: &mut AnyConnection,
        recorded: &RecordedEvent,
    ) -> Result<(), ProjectionError> {
        let Some(event) = recorded.decode::<User>()? else {
            return Ok(());
        };
        let user_id = recorded.stream_id().to_string();
        match &event {
            Event::SignedUp { .. } => insert(tx, &user_id, recorded, &event).await?,
            Event::Activated => set_status(tx, &user_id, Status::Active).await?,
            Event::Suspended => {
                set_status(tx, &user_id, Status::Suspended).await?;
                an_admin_is_left(tx, &user_id).await?;
            }
            Event::Erased => {
                erase(tx, &user_id).await?;
                an_admin_is_left(tx, &user_id).await?;
            }
            Event::PasswordSet { password_ref } => {
                sqlx::query("UPDATE users SET password_ref = $1 WHERE id = $2")
                    .bind(password_ref.0.to_string())
                    .bind(user_id.clone())
                    .execute(&mut *tx)
                    .await?;
            }
            Event::ApiTokenIssued { .. } => issue(tx, &user_id, recorded, &event).await?,
            Event::ApiTokenRevoked { token_id } => {
                sqlx::query("DELETE FROM api_tokens WHERE id = $1")
                    .bind(token_id.to_string())
                    .execute(&mut *tx)
                    .await?;
            }
        }
        sqlx::query("UPDATE users SET version = $1 WHERE id = $2")
            .bind(recorded.version)
            .bind(user_id)
            .execute(tx)
            .await?;
        Ok(())
    }
}

async fn insert(
    tx: &mut AnyConnection,
    user_id: &str,
    recorded: &RecordedEvent,
    event: &Event,
) -> Result<(), ProjectionError> {
    let Event::SignedUp {
        status,
        role,
        name_ref,
        email_ref,
    } = event
    else {
        return Ok(());
    };
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
    Ok(())
}

async fn set_status(
    tx: &mut AnyConnection,
    user_id: &str,
    status: Status,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE users SET status = $1 WHERE id = $2")
        .bind(status.as_str())
        .bind(user_id.to_owned())
        .execute(tx)
        .await
        .map(|_| ())
}

async fn erase(tx: &mut AnyConnection, user_id: &str) -> Result<(), sqlx::Error> {
    for sql in [
        "UPDATE users SET status = 'erased', name_ref = '', email_ref = '', password_ref = '' \
         WHERE id = $1",
        "DELETE FROM api_tokens WHERE user_id = $1",
    ] {
        sqlx::query(sql)
            .bind(user_id.to_owned())
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

/// The decider knows one user only. Two admins who suspend each other at the same moment are both right by what
/// they know; here, under the log's lock, the second append fails.
async fn an_admin_is_left(tx: &mut AnyConnection, user_id: &str) -> Result<(), ProjectionError> {
    let row = sqlx::query(
        "SELECT (SELECT COUNT(*) FROM users WHERE id = $1 AND role = 'admin'), \
         (SELECT COUNT(*) FROM users WHERE role = 'admin' AND status = 'active')",
    )
    .bind(user_id.to_owned())
    .fetch_one(tx)
    .await?;
    let (concerned, left): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    if concerned > 0 && left == 0 {
        return Err(StoreError::Projection("no active admin would be left".to_owned()).into());
    }
    Ok(())
}

async fn issue(
    tx: &mut AnyConnection,
    user_id: &str,
    recorded: &RecordedEvent,
    event: &Event,
) -> Result<(), ProjectionError> {
    let Event::ApiTokenIssued {
        token_id,
        digest,
        name,
        expires_at,
    } = event
    else {
        return Ok(());
    };
    sqlx::query(
        "INSERT INTO api_tokens (id, user_id, digest, name, created_at, expires_at, expires_at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(token_id.to_string())
    .bind(user_id.to_owned())
    .bind(digest.clone())
    .bind(name.clone())
    .bind(recorded.recorded_at.to_string())
    .bind(expires_at.to_string())
    .bind(expires_at.as_millisecond())
    .execute(tx)
    .await?;
    Ok(())
}
