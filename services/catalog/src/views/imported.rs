//! Finds the product or plan that refers to a gateway policy.

use portico_eventstore::rows::json;
use sqlx::{AnyPool, Row as _};
use uuid::Uuid;

use crate::{import::Becomes, plan, product};

/// The product or plan that refers to this policy and is not deleted; the oldest if there are several.
pub(crate) async fn find(
    pool: &AnyPool,
    becomes: Becomes,
    policy_id: &str,
) -> sqlx::Result<Option<Uuid>> {
    let sql = match becomes {
        Becomes::Product => {
            "SELECT id, details FROM products WHERE status <> 'deleted' AND details LIKE $1 ORDER BY created_at, id"
        }
        Becomes::Plan => {
            "SELECT id, details FROM plans WHERE status <> 'deleted' AND details LIKE $1 ORDER BY created_at, id"
        }
    };
    // `policy_id` has no column: LIKE narrows the rows down, and each is compared below, because `_` and `%` in an id
    // match more than themselves. A backslash escapes in PostgreSQL but not in SQLite, so a wildcard stands for it.
    let pattern = format!("%{}%", policy_id.replace(['\\', '"'], "%"));
    let rows = sqlx::query(sql).bind(pattern).fetch_all(pool).await?;
    for row in &rows {
        let (id, details): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        if policy_id_of(becomes, &details)? == policy_id {
            return Ok(id.parse().ok());
        }
    }
    Ok(None)
}

fn policy_id_of(becomes: Becomes, details: &str) -> sqlx::Result<String> {
    Ok(match becomes {
        Becomes::Product => json::<product::Details>(details)?.policy_id,
        Becomes::Plan => json::<plan::Details>(details)?.policy_id,
    })
}
