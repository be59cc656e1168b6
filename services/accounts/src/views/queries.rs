//! What is asked of the views.

use jiff::Timestamp;
use portico_eventstore::Row;
use portico_proto::{Error, accounts::v1 as proto, rest::Enumeration as _, time};
use portico_runtime::{Page, Role};
use portico_vault::VaultRef;
use sqlx::{AnyPool, AssertSqlSafe, Row as _};
use uuid::Uuid;

use crate::people::Person;

/// Most ids in one query.
const BATCH: usize = 500;
const COLUMNS: &str =
    "u.id, u.role, u.status, u.name_ref, u.email_ref, u.password_ref, u.version, u.created_at";

/// A user without what is in the vault.
#[derive(Debug, Clone)]
pub(crate) struct UserRow {
    pub(crate) id: Uuid,
    pub(crate) role: String,
    pub(crate) status: String,
    /// None once erased, as the other references.
    pub(crate) name_ref: Option<VaultRef>,
    pub(crate) email_ref: Option<VaultRef>,
    pub(crate) password_ref: Option<VaultRef>,
    version: i64,
    created_at: String,
}

impl UserRow {
    fn read(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: uuid(&row.try_get::<String, _>(0)?)?,
            role: row.try_get(1)?,
            status: row.try_get(2)?,
            name_ref: reference(&row.try_get::<String, _>(3)?)?,
            email_ref: reference(&row.try_get::<String, _>(4)?)?,
            password_ref: reference(&row.try_get::<String, _>(5)?)?,
            version: row.try_get(6)?,
            created_at: row.try_get(7)?,
        })
    }

    /// As the API shows it.
    pub(crate) fn message(&self, person: Person) -> proto::User {
        proto::User {
            id: self.id.to_string(),
            name: person.name,
            email: person.email,
            role: proto::Role::from_word(&self.role)
                .unwrap_or_default()
                .into(),
            status: proto::UserStatus::from_word(&self.status)
                .unwrap_or_default()
                .into(),
            version: u64::try_from(self.version).unwrap_or_default(),
            created_at: time::parse(&self.created_at),
        }
    }
}

/// Which users of a list; empty: all.
pub(crate) struct UserFilter {
    pub(crate) status: &'static str,
    pub(crate) role: &'static str,
}

/// Whether nobody has ever signed up.
pub(crate) async fn is_empty(pool: &AnyPool) -> Result<bool, sqlx::Error> {
    let row = sqlx::query("SELECT id FROM users LIMIT 1")
        .fetch_optional(pool)
        .await?;
    Ok(row.is_none())
}

/// One user.
pub(crate) async fn user(pool: &AnyPool, id: Uuid) -> Result<Option<UserRow>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM users u WHERE u.id = $1");
    one(pool, sql, id.to_string()).await
}

/// The user with this e-mail address.
pub(crate) async fn user_by_email(
    pool: &AnyPool,
    email_index: &str,
) -> Result<Option<UserRow>, sqlx::Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM user_emails e JOIN users u ON u.id = e.user_id WHERE e.email_index = $1"
    );
    one(pool, sql, email_index.to_owned()).await
}

async fn one(pool: &AnyPool, sql: String, key: String) -> Result<Option<UserRow>, sqlx::Error> {
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(key)
        .fetch_optional(pool)
        .await?;
    row.as_ref().map(UserRow::read).transpose()
}

/// The order of a list by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    OldestFirst,
    NewestFirst,
}

impl Order {
    /// Reads `sort`.
    pub(crate) fn parse(sort: &str) -> Result<Self, Error> {
        match sort {
            "" | "created_at" => Ok(Self::OldestFirst),
            "-created_at" => Ok(Self::NewestFirst),
            _ => Err(Error::field(
                "sort",
                "sort_invalid",
                "`sort` must be created_at or -created_at.",
            )),
        }
    }

    /// The condition of a page that begins after a row, whose time and id are the first two values, and its order.
    fn of(self, alias: &str) -> (String, String) {
        let (compare, direction) = match self {
            Self::OldestFirst => (">", "ASC"),
            Self::NewestFirst => ("<", "DESC"),
        };
        (
            format!("($1 = '' OR ({alias}.created_at, {alias}.id) {compare} ($1, $2))"),
            format!("{alias}.created_at {direction}, {alias}.id {direction}"),
        )
    }
}

/// A page of users.
pub(crate) async fn users(
    pool: &AnyPool,
    filter: &UserFilter,
    order: Order,
    page: &Page,
) -> Result<(Vec<UserRow>, String), sqlx::Error> {
    let (after, order) = order.of("u");
    let sql = format!(
        "SELECT {COLUMNS} FROM users u WHERE {after} AND ($3 = '' OR u.status = $3) \
         AND ($4 = '' OR u.role = $4) ORDER BY {order} LIMIT $5"
    );
    let (time, id) = page.after.clone().unwrap_or_default();
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(time)
        .bind(id)
        .bind(filter.status)
        .bind(filter.role)
        .bind(page.fetch())
        .fetch_all(pool)
        .await?;
    let rows = rows.iter().map(UserRow::read).collect::<Result<_, _>>()?;
    Ok(page.cut(rows, |row| (row.created_at.clone(), row.id.to_string())))
}

/// The active ones among these users.
pub(crate) async fn active_users(
    pool: &AnyPool,
    ids: &[Uuid],
) -> Result<Vec<UserRow>, sqlx::Error> {
    let mut found = Vec::with_capacity(ids.len());
    for batch in ids.chunks(BATCH) {
        let places: Vec<String> = (1..=batch.len()).map(|n| format!("${n}")).collect();
        let sql = format!(
            "SELECT {COLUMNS} FROM users u WHERE u.status = 'active' AND u.id IN ({}) ORDER BY u.id",
            places.join(", ")
        );
        let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(batch.len() == 1);
        for id in batch {
            query = query.bind(id.to_string());
        }
        for row in query.fetch_all(pool).await? {
            found.push(UserRow::read(&row)?);
        }
    }
    Ok(found)
}

/// Every active user with this role.
pub(crate) async fn active_with_role(
    pool: &AnyPool,
    role: Role,
) -> Result<Vec<UserRow>, sqlx::Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM users u WHERE u.role = $1 AND u.status = 'active' ORDER BY u.id"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(role.as_str())
        .fetch_all(pool)
        .await?;
    rows.iter().map(UserRow::read).collect()
}

/// Whether there is an active admin beside this user.
pub(crate) async fn other_admins(pool: &AnyPool, user_id: Uuid) -> Result<bool, sqlx::Error> {
    let row = sqlx::query(
        "SELECT id FROM users WHERE role = 'admin' AND status = 'active' AND id <> $1 LIMIT 1",
    )
    .bind(user_id.to_string())
    .fetch_optional(pool)
    .await?;
    Ok(row.is_some())
}

/// Erased users whose address is still known: their erasure was interrupted.
pub(crate) async fn half_erased(pool: &AnyPool) -> Result<Vec<Uuid>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT u.id FROM users u JOIN user_emails e ON e.user_id = u.id WHERE u.status = 'erased'",
    )
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| uuid(&row.try_get::<String, _>(0)?))
        .collect()
}

/// A page of a user's API tokens that were not revoked.
pub(crate) async fn api_tokens(
    pool: &AnyPool,
    user_id: Uuid,
    order: Order,
    page: &Page,
) -> Result<(Vec<proto::ApiToken>, String), sqlx::Error> {
    let (after, order) = order.of("t");
    let sql = format!(
        "SELECT t.id, t.name, t.created_at, t.expires_at, COALESCE(l.last_used_ms, 0) FROM api_tokens t \
         LEFT JOIN api_token_uses l ON l.token_id = t.id WHERE {after} AND t.user_id = $3 ORDER BY {order} LIMIT $4"
    );
    let (time, id) = page.after.clone().unwrap_or_default();
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(time)
        .bind(id)
        .bind(user_id.to_string())
        .bind(page.fetch())
        .fetch_all(pool)
        .await?;
    let tokens = rows
        .iter()
        .map(|row| {
            let last_used: i64 = row.try_get(4)?;
            let last_used = (last_used > 0)
                .then(|| Timestamp::from_millisecond(last_used).ok())
                .flatten();
            let created_at: String = row.try_get(2)?;
            let token = proto::ApiToken {
                id: row.try_get(0)?,
                name: row.try_get(1)?,
                created_at: time::parse(&created_at),
                expires_at: time::parse(row.try_get(3)?),
                last_used_at: last_used.map(time::to_proto),
            };
            Ok((created_at, token))
        })
        .collect::<Result<Vec<_>, sqlx::Error>>()?;
    let (tokens, next) = page.cut(tokens, |(created_at, token)| {
        (created_at.clone(), token.id.clone())
    });
    Ok((tokens.into_iter().map(|(_, token)| token).collect(), next))
}

/// An id in a row.
pub(crate) fn uuid(text: &str) -> Result<Uuid, sqlx::Error> {
    text.parse()
        .map_err(|error: uuid::Error| sqlx::Error::Decode(error.into()))
}

fn reference(text: &str) -> Result<Option<VaultRef>, sqlx::Error> {
    if text.is_empty() {
        return Ok(None);
    }
    uuid(text).map(|id| Some(VaultRef(id)))
}

/// A role as the contract has it.
pub(crate) fn proto_role(role: Role) -> proto::Role {
    match role {
        Role::Admin => proto::Role::Admin,
        Role::Developer => proto::Role::Developer,
    }
}

/// A role in a row. Anything unknown may do the least.
pub(crate) fn role(text: &str) -> Role {
    if text == Role::Admin.as_str() {
        Role::Admin
    } else {
        Role::Developer
    }
}
