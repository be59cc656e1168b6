//! The vault: encrypted storage of secrets and personal data, so that events, views, logs and messages need not hold
//! them.
//!
//! A text is sealed (XChaCha20-Poly1305) with the *data key* of its owner. The data key is sealed with a
//! *key-encryption key* ([`Kek`]) that is not in the database. Events hold a [`VaultRef`]. Deleting an owner's data key
//! erases all that was ever stored for it, in backups too.
//!
//! - [`secret`]: [`Secret`], a text that neither `Debug` nor a serializer shows
//! - [`kek`]: [`Kek`] and [`KekRing`], the keys from the configuration
//! - [`store`]: [`Vault`], put, get, delete, erase
//! - [`rewrap`](Vault::rewrap): rotation of the key-encryption key, online

mod at_once;
mod changes;
mod cipher;
mod data_key;
pub mod kek;
mod rewrap;
pub mod secret;
pub mod store;

use std::sync::LazyLock;

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

pub use at_once::Statement;
pub use changes::Changes;
pub use kek::{IndexKey, Kek, KekError, KekRing, hex};
pub use rewrap::Rewrapped;
pub use secret::Secret;
pub use store::{Owner, Vault, VaultError, VaultRef};

/// The tables of the vault. Versions 101 to 199 are ours; the event store and the services use other ranges in the same
/// history table, so versions that are not ours are ignored.
pub fn migrations() -> &'static Migrator {
    static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
        let mut migrator = Migrator::with_migrations(vec![Migration::new(
            101,
            "vault".into(),
            MigrationType::Simple,
            include_str!("../migrations/101_vault.sql").into_sql_str(),
            false,
        )]);
        migrator.set_ignore_missing(true);
        migrator
    });
    &MIGRATIONS
}
