//! Which product or plan names a policy of a gateway.

use sqlx::{AnyPool, Row as _};
use uuid::Uuid;

use crate::{import::Becomes, plan, product};

/// The one that is there and names this policy; the first one that was made, if there are several.
pub(crate) async fn find(
    pool: &AnyPool,
    becomes: Becomes,
    policy_id: &str,
) -> Result<Option<Uuid>, sqlx::Error> {
    let sql = match becomes {
        Becomes::Product => {
            "SELECT id, details FROM products WHERE status <> 'deleted' AND details LIKE $1 ORDER BY created_at, id"
        }
        Becomes::Plan => {
            "SELECT id, details FROM plans WHERE status <> 'deleted' AND details LIKE $1 ORDER BY created_at, id"
        }
    };
    // `_` and `%` find more than is meant, so each is looked at. A backslash would mean nothing to SQLite and escape
    // to PostgreSQL, so it is left to a wildcard.
    let pattern = format!("%{}%", policy_id.replace(['\\', '"'], "%"));
    let rows = sqlx::query(sql).bind(pattern).fetch_all(pool).await?;
    for row in &rows {
        let (id, details): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        if named(becomes, &details)? == policy_id {
            return Ok(id.parse().ok());
        }
    }
    Ok(None)
}

fn named(becomes: Becomes, details: &str) -> Result<String, sqlx::Error> {
    let decode = |error: serde_json::Error| sqlx::Error::Decode(error.into());
    Ok(match becomes {
        Becomes::Product => {
            serde_json::from_str::<product::Details>(details)
                .map_err(decode)?
                .policy_id
        }
        Becomes::Plan => {
            serde_json::from_str::<plan::Details>(details)
                .map_err(decode)?
                .policy_id
        }
    })
}
