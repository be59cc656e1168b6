//! Places from which an account's owner has signed in: network addresses and devices.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use portico_proto::Error;
use portico_runtime::{config::Attempts, query_error, vault_error};
use portico_vault::{Owner, Secret, Vault, VaultRef};
use sqlx::Row as _;

use super::Limits;

/// Places kept of one account; the one that was used longest ago gives way.
const MOST: i64 = 20;
/// Precision of the last use of a place; recording it is a write.
const SEEN: SignedDuration = SignedDuration::from_hours(24);

/// Where an attempt comes from, and what is known of it.
#[derive(Debug, Default)]
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
    /// What it is, where that is kept: a network address.
    text: Option<String>,
    /// Where that is in the vault, where the place is known.
    text_ref: Option<VaultRef>,
}

impl Places {
    pub(super) fn device_is_known(&self) -> bool {
        self.device.as_ref().is_some_and(Place::is_known)
    }

    /// Whether the account's owner has signed in from there.
    pub(super) fn are_known(&self) -> bool {
        self.counter() != self.account
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
        let mut places = Places {
            account: account.to_owned(),
            address: None,
            device: None,
        };
        if let Some(network) = network {
            let place = self.place(index("address", network), now).await?;
            places.address = Some(Place {
                text: Some(network.to_owned()),
                ..place
            });
        }
        if let Some(device) = device {
            places.device = Some(self.place(index("device", device), now).await?);
        }
        Ok(places)
    }

    async fn place(&self, index: String, now: Timestamp) -> Result<Place, Error> {
        let sql =
            "SELECT seen_ms, address_ref FROM known_places WHERE place_index = $1 AND seen_ms > $2";
        let row = sqlx::query(sql)
            .bind(index.clone())
            .bind(outdated(&self.settings, now))
            .fetch_optional(&self.pool)
            .await
            .map_err(query_error)?;
        let mut place = Place {
            index,
            seen: None,
            text: None,
            text_ref: None,
        };
        if let Some(row) = row {
            let seen = row.try_get(0).map_err(query_error)?;
            place.seen = Some(Timestamp::from_millisecond(seen).unwrap_or(now));
            let reference: String = row.try_get(1).map_err(query_error)?;
            place.text_ref = reference.parse().ok().map(VaultRef);
        }
        Ok(place)
    }

    /// The owner has signed in from there now. Returns where the network address is in the vault: one record for each
    /// address, however often.
    pub(super) async fn remember(
        &self,
        mut places: Places,
        vault: &Vault,
        owner: &Owner,
    ) -> Result<Option<VaultRef>, Error> {
        let now = self.clock.now();
        let mut written = false;
        for place in [&mut places.address, &mut places.device]
            .into_iter()
            .flatten()
        {
            if place
                .seen
                .is_some_and(|seen| now.duration_since(seen) < SEEN)
            {
                continue;
            }
            if let (Some(text), None) = (&place.text, place.text_ref) {
                let text = Secret::new(text.clone());
                place.text_ref = Some(vault.put(owner, &text).await.map_err(vault_error)?);
            }
            self.write(&places.account, place, now).await?;
            written = true;
        }
        if written {
            self.forget_oldest(&places.account).await?;
        }
        Ok(places.address.and_then(|place| place.text_ref))
    }

    async fn write(&self, account: &str, place: &Place, now: Timestamp) -> Result<(), Error> {
        let sql = "INSERT INTO known_places (place_index, account_index, seen_ms, address_ref) \
                   VALUES ($1, $2, $3, $4) ON CONFLICT (place_index) DO UPDATE SET \
                   seen_ms = excluded.seen_ms, address_ref = excluded.address_ref";
        let reference = place.text_ref.map(|reference| reference.0.to_string());
        sqlx::query(sql)
            .bind(place.index.clone())
            .bind(account.to_owned())
            .bind(now.as_millisecond())
            .bind(reference.unwrap_or_default())
            .execute(&self.pool)
            .await
            .map(|_| ())
            .map_err(query_error)
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

fn outdated(settings: &Attempts, now: Timestamp) -> i64 {
    let known_for: Duration = settings.known_for;
    let since = now.checked_sub(known_for).unwrap_or(Timestamp::MIN);
    since.as_millisecond()
}
