//! The sessions table, and authentication by a session or API token. Sessions are rows and not events, because who was
//! signed in when must not stay in a history for ever.

use std::{collections::HashSet, time::Duration};

use jiff::Timestamp;
use portico_eventstore::{
    Row,
    retention::{Expiry, Format},
    rows::{self, places},
};
use portico_runtime::{Role, config::Session};
use sqlx::{AnyPool, AssertSqlSafe, Row as _};
use uuid::Uuid;

use super::token::{self, TokenKind};
use crate::views;

/// Precision of the last use of a token; recording it is a write.
const LAST_SEEN: Duration = Duration::from_mins(1);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bearer {
    pub(crate) user_id: Uuid,
    pub(crate) role: Role,
    pub(crate) let_in: bool,
    /// When the token stops working at the latest; a session may end earlier when it is idle.
    pub(crate) expires_at: Timestamp,
    /// The id of an API token that was not used before.
    pub(crate) first_use: Option<Uuid>,
}

/// Creates a session and returns when it ends at the latest; `None` when the user is no longer active.
pub(crate) async fn create(
    pool: &AnyPool,
    session: &Session,
    user_id: Uuid,
    digest: String,
    now: Timestamp,
) -> sqlx::Result<Option<Timestamp>> {
    let expires_at = now.checked_add(session.lifetime).unwrap_or(Timestamp::MAX);
    let done = sqlx::query(
        "INSERT INTO sessions (digest, user_id, expires_at_ms, last_seen_ms) \
         SELECT $1, id, $2, $3 FROM users WHERE id = $4 AND status = 'active'",
    )
    .bind(digest)
    .bind(expires_at.as_millisecond())
    .bind(now.as_millisecond())
    .bind(user_id.to_string())
    .execute(pool)
    .await?;
    Ok((done.rows_affected() == 1).then_some(expires_at))
}

/// Ends a session, and returns whose it was. Idempotent.
pub(crate) async fn delete(pool: &AnyPool, digest: String) -> sqlx::Result<Option<Uuid>> {
    let row = sqlx::query("DELETE FROM sessions WHERE digest = $1 RETURNING user_id")
        .bind(digest)
        .fetch_optional(pool)
        .await?;
    row.as_ref().map(rows::id).transpose()
}

/// Ends all sessions of a user.
pub(crate) async fn delete_all(pool: &AnyPool, user_id: Uuid) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM sessions WHERE user_id = $1")
        .bind(user_id.to_string())
        .execute(pool)
        .await
        .map(|_| ())
}

/// Sessions that are expired or idle are pruned.
pub(crate) fn expiries(session: &Session) -> [Expiry; 2] {
    let expiry = |ended, keep| Expiry {
        table: "sessions",
        ended,
        key: "digest",
        time: Format::Milliseconds,
        keep,
    };
    [
        expiry(
            "SELECT digest FROM sessions WHERE expires_at_ms <= $1 LIMIT $2",
            Duration::ZERO,
        ),
        expiry(
            "SELECT digest FROM sessions WHERE last_seen_ms <= $1 LIMIT $2",
            session.idle,
        ),
    ]
}

/// Authenticates a token; `None` when it is unknown or has ended, or when its user is not active. One indexed query, and
/// once a minute a write.
pub(crate) async fn bearer(
    pool: &AnyPool,
    session: &Session,
    token: &str,
    now: Timestamp,
) -> sqlx::Result<Option<Bearer>> {
    match TokenKind::of(token) {
        None => Ok(None),
        Some(TokenKind::Session) => by_session(pool, session, token::digest(token), now).await,
        Some(TokenKind::Api) => by_api_token(pool, token::digest(token), now).await,
    }
}

/// Those of the digests whose session or API token works: not ended, and of an active user. Being asked about is no use of
/// a token, so an idle session ends also while it is watched.
pub(crate) async fn valid(
    pool: &AnyPool,
    session: &Session,
    digests: &[String],
    now: Timestamp,
) -> sqlx::Result<HashSet<String>> {
    let mut valid = HashSet::with_capacity(digests.len());
    if digests.is_empty() {
        return Ok(valid);
    }
    let asked = places(1, digests.len());
    let (at, idle_since) = (digests.len() + 1, digests.len() + 2);
    let sessions = format!(
        "SELECT s.digest FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.digest IN {asked} \
         AND u.status = 'active' AND s.expires_at_ms > ${at} AND s.last_seen_ms > ${idle_since}"
    );
    let api_tokens = format!(
        "SELECT t.digest FROM api_tokens t JOIN users u ON u.id = t.user_id WHERE t.digest IN {asked} \
         AND u.status = 'active' AND t.expires_at_ms > ${at}"
    );
    let now = now.as_millisecond();
    for (sql, idle_since) in [
        (sessions, Some(now - milliseconds(session.idle))),
        (api_tokens, None),
    ] {
        let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(digests.len() == 1);
        for digest in digests {
            query = query.bind(digest.clone());
        }
        query = query.bind(now);
        if let Some(idle_since) = idle_since {
            query = query.bind(idle_since);
        }
        for row in query.fetch_all(pool).await? {
            valid.insert(row.try_get(0)?);
        }
    }
    Ok(valid)
}

async fn by_session(
    pool: &AnyPool,
    session: &Session,
    digest: String,
    now: Timestamp,
) -> sqlx::Result<Option<Bearer>> {
    let row = sqlx::query(
        "SELECT u.id, u.role, u.let_in, s.expires_at_ms, s.last_seen_ms FROM sessions s \
         JOIN users u ON u.id = s.user_id WHERE s.digest = $1 AND u.status = 'active'",
    )
    .bind(digest.clone())
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let (expires_at, last_seen): (i64, i64) = (row.try_get(3)?, row.try_get(4)?);
    let (at, idle) = (now.as_millisecond(), milliseconds(session.idle));
    if expires_at <= at || last_seen + idle <= at {
        return Ok(None);
    }
    // With a short idle timeout a minute is too coarse: a session in use would end.
    let precision = milliseconds(LAST_SEEN).min(idle / 4);
    if last_seen + precision <= at {
        let update = sqlx::query(
            "UPDATE sessions SET last_seen_ms = $1 WHERE digest = $2 AND last_seen_ms < $3",
        );
        record_use(update.bind(at).bind(digest).bind(at), pool).await;
    }
    bearer_of(&row, expires_at).map(Some)
}

async fn by_api_token(
    pool: &AnyPool,
    digest: String,
    now: Timestamp,
) -> sqlx::Result<Option<Bearer>> {
    let row = sqlx::query(
        "SELECT u.id, u.role, u.let_in, t.expires_at_ms, t.id, COALESCE(l.last_used_ms, 0) FROM api_tokens t \
         JOIN users u ON u.id = t.user_id LEFT JOIN api_token_uses l ON l.token_id = t.id \
         WHERE t.digest = $1 AND u.status = 'active'",
    )
    .bind(digest)
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let (expires_at, last_used): (i64, i64) = (row.try_get(3)?, row.try_get(5)?);
    let at = now.as_millisecond();
    if expires_at <= at {
        return Ok(None);
    }
    let token_id: String = row.try_get(4)?;
    let first_use = (last_used == 0).then(|| token_id.parse().ok()).flatten();
    if last_used + milliseconds(LAST_SEEN) <= at {
        let upsert = sqlx::query(
            "INSERT INTO api_token_uses (token_id, last_used_ms) VALUES ($1, $2) \
             ON CONFLICT (token_id) DO UPDATE SET last_used_ms = excluded.last_used_ms",
        );
        record_use(upsert.bind(token_id).bind(at), pool).await;
    }
    let bearer = bearer_of(&row, expires_at)?;
    Ok(Some(Bearer {
        first_use,
        ..bearer
    }))
}

/// A call does not fail because the last use of its token cannot be recorded.
async fn record_use(
    query: sqlx::query::Query<'_, sqlx::Any, sqlx::any::AnyArguments>,
    pool: &AnyPool,
) {
    if let Err(error) = query.execute(pool).await {
        tracing::warn!(%error, "could not record the last use of a token");
    }
}

fn bearer_of(row: &Row, expires_at_ms: i64) -> sqlx::Result<Bearer> {
    Ok(Bearer {
        user_id: rows::id(row)?,
        role: views::role(&row.try_get::<String, _>(1)?),
        let_in: row.try_get::<i64, _>(2)? != 0,
        expires_at: Timestamp::from_millisecond(expires_at_ms).unwrap_or(Timestamp::MAX),
        first_use: None,
    })
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}
