//! The queries.

use jiff::Timestamp;
use portico_eventstore::{
    Row,
    rows::{id, ids, parsed, places},
};
use portico_proto::{accounts::v1 as proto, rest::Enumeration as _, time};
use portico_runtime::{
    Role,
    lists::{ListQuery, Select, SortColumn, SortColumns},
};
use portico_vault::VaultRef;
use sqlx::{AnyPool, AssertSqlSafe, Row as _};
use uuid::Uuid;

/// Most ids in one query.
const BATCH: usize = 500;
const COLUMNS: &str = "u.id, u.role, u.status, u.name_ref, u.email_ref, u.password_ref, u.version, u.created_at, u.let_in";

/// A user without the personal data, which are in the vault.
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
    let_in: bool,
}

impl UserRow {
    fn read(row: &Row) -> sqlx::Result<Self> {
        Ok(Self {
            id: id(row)?,
            role: row.try_get(1)?,
            status: row.try_get(2)?,
            name_ref: reference(&row.try_get::<String, _>(3)?)?,
            email_ref: reference(&row.try_get::<String, _>(4)?)?,
            password_ref: reference(&row.try_get::<String, _>(5)?)?,
            version: row.try_get(6)?,
            created_at: row.try_get(7)?,
            let_in: row.try_get::<i64, _>(8)? != 0,
        })
    }

    /// Together with the personal data, as the API shows it; `None` once erased.
    pub(crate) fn message(&self, person: Option<Person>) -> proto::User {
        let (name, email) = person.map(|person| (person.name, person.email)).unzip();
        proto::User {
            id: self.id.to_string(),
            name,
            email,
            role: proto::Role::from_word(&self.role)
                .unwrap_or_default()
                .into(),
            status: proto::UserStatus::from_word(&self.status)
                .unwrap_or_default()
                .into(),
            version: u64::try_from(self.version).unwrap_or_default(),
            created_at: time::parse(&self.created_at),
            let_in: self.let_in,
        }
    }
}

/// Personal data of a user, out of the vault.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) email: String,
}

/// Conditions of a list; an empty string is no condition.
pub(crate) struct UserFilter {
    pub(crate) status: &'static str,
    pub(crate) role: &'static str,
    pub(crate) let_in: Option<bool>,
}

/// Whether nobody has ever signed up.
pub(crate) async fn is_empty(pool: &AnyPool) -> sqlx::Result<bool> {
    let row = sqlx::query("SELECT id FROM users LIMIT 1")
        .fetch_optional(pool)
        .await?;
    Ok(row.is_none())
}

pub(crate) async fn user(pool: &AnyPool, id: Uuid) -> sqlx::Result<Option<UserRow>> {
    let sql = format!("SELECT {COLUMNS} FROM users u WHERE u.id = $1");
    one(pool, sql, id.to_string()).await
}

/// The user with this e-mail address.
pub(crate) async fn user_by_email(
    pool: &AnyPool,
    email_index: &str,
) -> sqlx::Result<Option<UserRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM user_emails e JOIN users u ON u.id = e.user_id WHERE e.email_index = $1"
    );
    one(pool, sql, email_index.to_owned()).await
}

async fn one(pool: &AnyPool, sql: String, key: String) -> sqlx::Result<Option<UserRow>> {
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(key)
        .fetch_optional(pool)
        .await?;
    row.as_ref().map(UserRow::read).transpose()
}

/// What the list of users can be sorted by.
pub(crate) const USERS: SortColumns = SortColumns {
    columns: &[("created_at", SortColumn::Text("u.created_at"))],
    default: "created_at",
    id: "u.id",
};

/// What the list of API tokens can be sorted by.
pub(crate) const API_TOKENS: SortColumns = SortColumns {
    columns: &[("created_at", SortColumn::Text("t.created_at"))],
    default: "created_at",
    id: "t.id",
};

/// A page of users, and the cursor of the next one.
pub(crate) async fn users(
    pool: &AnyPool,
    filter: &UserFilter,
    query: &ListQuery,
) -> sqlx::Result<(Vec<UserRow>, String)> {
    let mut select = Select::new(COLUMNS, "users u WHERE true");
    select.and_given("u.status = ?", filter.status);
    select.and_given("u.role = ?", filter.role);
    if let Some(let_in) = filter.let_in {
        select.and("u.let_in = ?", i64::from(let_in));
    }
    let (rows, next) = select.page(pool, query).await?;
    let users = rows.iter().map(UserRow::read).collect::<Result<_, _>>()?;
    Ok((users, next))
}

/// Those of these users who are active.
pub(crate) async fn active_users(pool: &AnyPool, ids: &[Uuid]) -> sqlx::Result<Vec<UserRow>> {
    let mut found = Vec::with_capacity(ids.len());
    for batch in ids.chunks(BATCH) {
        let places = places(1, batch.len());
        let sql = format!(
            "SELECT {COLUMNS} FROM users u WHERE u.status = 'active' AND u.id IN {places} ORDER BY u.id"
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
pub(crate) async fn active_with_role(pool: &AnyPool, role: Role) -> sqlx::Result<Vec<UserRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM users u WHERE u.role = $1 AND u.status = 'active' ORDER BY u.id"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(role.as_str())
        .fetch_all(pool)
        .await?;
    rows.iter().map(UserRow::read).collect()
}

/// Whether there is an active admin other than this user.
pub(crate) async fn other_admins(pool: &AnyPool, user_id: Uuid) -> sqlx::Result<bool> {
    let row = sqlx::query(
        "SELECT id FROM users WHERE role = 'admin' AND status = 'active' AND id <> $1 LIMIT 1",
    )
    .bind(user_id.to_string())
    .fetch_optional(pool)
    .await?;
    Ok(row.is_some())
}

/// Erased users whose e-mail address is still claimed: their erasure was interrupted.
pub(crate) async fn half_erased(pool: &AnyPool) -> sqlx::Result<Vec<Uuid>> {
    let rows = sqlx::query(
        "SELECT u.id FROM users u JOIN user_emails e ON e.user_id = u.id WHERE u.status = 'erased'",
    )
    .fetch_all(pool)
    .await?;
    ids(&rows)
}

/// An API token without its name, which is in the vault.
pub(crate) struct ApiTokenRow {
    pub(crate) token: proto::ApiToken,
    pub(crate) name_ref: VaultRef,
}

/// A page of a user's API tokens that are not revoked, and the cursor of the next one.
pub(crate) async fn api_tokens(
    pool: &AnyPool,
    user_id: Uuid,
    query: &ListQuery,
) -> sqlx::Result<(Vec<ApiTokenRow>, String)> {
    let mut select = Select::new(
        "t.id, t.name_ref, t.created_at, t.expires_at, COALESCE(l.last_used_ms, 0)",
        "api_tokens t LEFT JOIN api_token_uses l ON l.token_id = t.id WHERE true",
    );
    select.and("t.user_id = ?", user_id.to_string());
    let (rows, next) = select.page(pool, query).await?;
    let tokens = rows.iter().map(token).collect::<sqlx::Result<_>>()?;
    Ok((tokens, next))
}

fn token(row: &Row) -> sqlx::Result<ApiTokenRow> {
    let last_used: i64 = row.try_get(4)?;
    let last_used = (last_used > 0)
        .then(|| Timestamp::from_millisecond(last_used).ok())
        .flatten();
    Ok(ApiTokenRow {
        token: proto::ApiToken {
            id: row.try_get(0)?,
            name: String::new(),
            created_at: time::parse(row.try_get(2)?),
            expires_at: time::parse(row.try_get(3)?),
            last_used_at: last_used.map(time::to_proto),
        },
        name_ref: VaultRef(parsed(row.try_get(1)?)?),
    })
}

fn reference(text: &str) -> sqlx::Result<Option<VaultRef>> {
    if text.is_empty() {
        return Ok(None);
    }
    parsed(text).map(|id| Some(VaultRef(id)))
}

/// A role as the contract has it.
pub(crate) fn proto_role(role: Role) -> proto::Role {
    match role {
        Role::Admin => proto::Role::Admin,
        Role::Developer => proto::Role::Developer,
    }
}

/// A role in a row. An unknown one, of a newer version, gets the least rights.
pub(crate) fn role(text: &str) -> Role {
    if text == Role::Admin.as_str() {
        Role::Admin
    } else {
        Role::Developer
    }
}
