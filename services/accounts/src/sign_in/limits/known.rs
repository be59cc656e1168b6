//! Places from which an account's owner has signed in: network addresses and devices.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use portico_proto::Error;
use portico_runtime::{config::Attempts, query_error};
use sqlx::{AnyPool, Row as _};

use super::Limits;

/// Places kept of one account; the one that was used longest ago gives way.
const MOST: i64 = 20;
/// Precision of the last use of a place; recording it is a write.
const SEEN: SignedDuration = SignedDuration::from_hours(24);

/// Where an attempt comes from, and what is known of it.
#[derive(Debug)]
pub(super) struct Places {
    /// Blind index of the e-mail address.
    account: String,
    address: Option<Place>,
    device: Option<Place>,
}

#[derive(Debug)]
struct Place {
    /// Blind index of account and place together.
    index: String,
    /// When the owner last signed in from there, to the day; `None`: it is not known.
    seen: Option<Timestamp>,
}

impl Places {
    pub(super) fn device_is_known(&self) -> bool {
        self.device.as_ref().is_some_and(Place::is_known)
    }

    /// The index under which failures of the account are counted: that of a known place, or one for all strangers.
    pub(super) fn counter(&self) -> &str {
        let places = [&self.device, &self.address].into_iter().flatten();
        let mut known = places.filter(|place| place.is_known());
        known.next().map_or(&self.account, |place| &place.index)
    }
}

impl Place {
    fn is_known(&self) -> bool {
        self.seen.is_some()
    }
}

impl Limits {
    pub(super) async fn places(
        &self,
        account: &str,
        network: Option<&str>,
        device: &str,
        now: Timestamp,
    ) -> Result<Places, Error> {
        let index = |kind: &str, place: &str| {
            let together = format!("{kind}\n{account}\n{place}");
            self.address_key.blind_index(&together)
        };
        let device = Some(device).filter(|device| !device.is_empty());
        let indexes = [
            network.map(|network| index("address", network)),
            device.map(|device| index("device", device)),
        ];
        let mut places = Vec::with_capacity(indexes.len());
        for index in indexes {
            places.push(match index {
                None => None,
                Some(index) => {
                    let seen = self.seen(&index, now).await?;
                    Some(Place { index, seen })
                }
            });
        }
        let device = places.pop().flatten();
        let address = places.pop().flatten();
        Ok(Places {
            account: account.to_owned(),
            address,
            device,
        })
    }

    async fn seen(&self, index: &str, now: Timestamp) -> Result<Option<Timestamp>, Error> {
        let sql = "SELECT seen_ms FROM known_places WHERE place_index = $1 AND seen_ms > $2";
        let row = sqlx::query(sql)
            .bind(index.to_owned())
            .bind(outdated(&self.settings, now))
            .fetch_optional(&self.pool)
            .await
            .map_err(query_error)?;
        let Some(row) = row else {
            return Ok(None);
        };
        let seen = row.try_get(0).map_err(query_error)?;
        Ok(Some(Timestamp::from_millisecond(seen).unwrap_or(now)))
    }

    /// The owner has signed in from there now.
    pub(super) async fn remember(&self, places: &Places) -> Result<(), Error> {
        let now = self.clock.now();
        let outdated = |place: &&Place| {
            place
                .seen
                .is_none_or(|seen| now.duration_since(seen) >= SEEN)
        };
        let mut written = false;
        for place in [&places.address, &places.device]
            .into_iter()
            .flatten()
            .filter(outdated)
        {
            let sql = "INSERT INTO known_places (place_index, account_index, seen_ms) VALUES ($1, $2, $3) \
                       ON CONFLICT (place_index) DO UPDATE SET seen_ms = excluded.seen_ms";
            sqlx::query(sql)
                .bind(place.index.clone())
                .bind(places.account.clone())
                .bind(now.as_millisecond())
                .execute(&self.pool)
                .await
                .map_err(query_error)?;
            written = true;
        }
        match written {
            true => self.forget_oldest(&places.account).await,
            false => Ok(()),
        }
    }

    async fn forget_oldest(&self, account: &str) -> Result<(), Error> {
        let sql = "DELETE FROM known_places WHERE account_index = $1 AND place_index NOT IN \
                   (SELECT place_index FROM known_places WHERE account_index = $1 \
                   ORDER BY seen_ms DESC, place_index LIMIT $2)";
        sqlx::query(sql)
            .bind(account.to_owned())
            .bind(MOST)
            .execute(&self.pool)
            .await
            .map(|_| ())
            .map_err(query_error)
    }
}

/// Deletes places where nobody has signed in for as long as they count as known.
pub(super) async fn delete_outdated(
    pool: &AnyPool,
    settings: &Attempts,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM known_places WHERE seen_ms <= $1")
        .bind(outdated(settings, now))
        .execute(pool)
        .await
        .map(|_| ())
}

fn outdated(settings: &Attempts, now: Timestamp) -> i64 {
    let known_for: Duration = settings.known_for;
    let since = now.checked_sub(known_for).unwrap_or(Timestamp::MIN);
    since.as_millisecond()
}
