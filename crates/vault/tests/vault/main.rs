//! The vault's contract, the same on every database.

#![expect(clippy::unwrap_used, reason = "a failure is the end of the test")]

mod support;

use portico_trials::{POSTGRESQL, Trial, single, trials};
use portico_vault::{KekRing, Owner, Rewrapped, Secret, Vault, VaultError, VaultRef, migrations};
use sqlx::Row as _;
use support::{Database, kek, postgres, sqlite};
use uuid::Uuid;

/// Makes of every function a test on SQLite and one on PostgreSQL.
macro_rules! on_every_database {
    ($($test:ident),+ $(,)?) => {
        fn on_every_database() -> Vec<Trial> {
            let mut trials = Vec::new();
            $(
                let name = stringify!($test);
                let test = || async { $test(sqlite().await).await };
                trials.push(Trial::new(module_path!(), &format!("sqlite::{name}"), &[], single(test)));
                let test = || async { $test(postgres().await).await };
                trials.push(Trial::new(module_path!(), &format!("postgres::{name}"), &[POSTGRESQL], single(test)));
            )+
            trials
        }
    };
}

on_every_database!(
    what_is_put_is_got_back,
    another_owner_gets_nothing,
    another_key_opens_nothing_and_is_found_at_start,
    put_at_is_idempotent_and_never_replaces,
    many_are_read_in_the_order_asked_for,
    a_rolled_back_transaction_leaves_nothing,
    deleting_takes_one_and_erasing_takes_all,
    a_text_restored_from_a_backup_after_erasing_stays_unreadable,
    swapping_texts_or_owners_in_the_database_is_found,
    rotation_is_online_and_lets_the_old_key_go,
    rotation_counts_what_no_key_opens_and_goes_on,
    writers_at_once_share_one_data_key,
    erasing_beside_writers_leaves_no_text_without_its_key,
    index_keys_outlive_rotation,
    migrations_run_again_beside_those_of_others
);

fn main() -> std::process::ExitCode {
    let sqlite = trials!(single, []; more_than_one_batch_is_read, nothing_is_on_disk_in_clear_and_erased_keys_are_gone_from_it);
    portico_trials::run([on_every_database(), sqlite])
}

fn user() -> Owner {
    Owner::new("user", random())
}

fn random() -> Uuid {
    uuid::Builder::from_random_bytes(rand::random()).into_uuid()
}

async fn what_is_put_is_got_back(database: Database) {
    let vault = Vault::new(database.pool.clone(), kek());
    let owner = user();
    for text in ["", "hunter2", "żółć 🗝", &"x".repeat(100_000)] {
        let reference = vault.put(&owner, &text.into()).await.unwrap();
        let got = vault.get(&owner, &reference).await.unwrap();
        assert_eq!(got, Some(Secret::new(text)));
    }
    let unknown = vault.get(&owner, &VaultRef(random())).await.unwrap();
    assert_eq!(unknown, None);
}

async fn another_owner_gets_nothing(database: Database) {
    let vault = Vault::new(database.pool.clone(), kek());
    let owner = user();
    let reference = vault.put(&owner, &"s".into()).await.unwrap();
    let same_id = Owner::new("oauth_client", owner.id);
    for other in [user(), same_id] {
        let refused = vault.get(&other, &reference).await;
        assert!(matches!(refused, Err(VaultError::WrongOwner)));
    }
}

async fn another_key_opens_nothing_and_is_found_at_start(database: Database) {
    let (right, owner) = (Vault::new(database.pool.clone(), kek()), user());
    let reference = right.put(&owner, &"s".into()).await.unwrap();
    right.check().await.unwrap();

    let wrong = Vault::new(database.pool.clone(), kek());
    assert!(matches!(
        wrong.check().await,
        Err(VaultError::UnknownKek(_))
    ));
    let refused = wrong.get(&owner, &reference).await;
    assert!(matches!(refused, Err(VaultError::UnknownKek(_))));
    let refused = wrong.put(&owner, &"t".into()).await;
    assert!(matches!(refused, Err(VaultError::UnknownKek(_))));
}

async fn put_at_is_idempotent_and_never_replaces(database: Database) {
    let vault = Vault::new(database.pool.clone(), kek());
    let (owner, reference) = (user(), VaultRef(random()));
    for _ in 0..2 {
        vault
            .put_at(reference, &owner, &"one".into())
            .await
            .unwrap();
    }
    let other_text = vault.put_at(reference, &owner, &"two".into()).await;
    assert!(matches!(other_text, Err(VaultError::Taken)));
    let other_owner = vault.put_at(reference, &user(), &"one".into()).await;
    assert!(matches!(other_owner, Err(VaultError::WrongOwner)));
    let kept = vault.get(&owner, &reference).await.unwrap();
    assert_eq!(kept, Some("one".into()));
}

async fn many_are_read_in_the_order_asked_for(database: Database) {
    let vault = Vault::new(database.pool.clone(), kek());
    let (ann, bob) = (user(), user());
    let a = vault.put(&ann, &"a".into()).await.unwrap();
    let b = vault.put(&bob, &"b".into()).await.unwrap();
    let wanted = [(bob, b), (ann, VaultRef(random())), (ann, a), (bob, b)];
    let got = vault.get_many(&wanted).await.unwrap();
    let expected = [Some("b".into()), None, Some("a".into()), Some("b".into())];
    assert_eq!(got, expected);
    assert_eq!(vault.get_many(&[]).await.unwrap(), []);
}

async fn more_than_one_batch_is_read() {
    let database = sqlite().await;
    let (vault, owner) = (Vault::new(database.pool.clone(), kek()), user());
    let mut wanted = Vec::new();
    let mut tx = database.pool.begin().await.unwrap();
    for n in 0..501 {
        let text = Secret::new(n.to_string());
        wanted.push((owner, vault.put_in(&mut tx, &owner, &text).await.unwrap()));
    }
    tx.commit().await.unwrap();
    let got = vault.get_many(&wanted).await.unwrap();
    assert_eq!(got.len(), 501);
    assert_eq!(got[500], Some("500".into()));
}

async fn a_rolled_back_transaction_leaves_nothing(database: Database) {
    let vault = Vault::new(database.pool.clone(), kek());
    let owner = user();
    let mut tx = database.pool.begin().await.unwrap();
    let reference = vault.put_in(&mut tx, &owner, &"s".into()).await.unwrap();
    let inside = vault.get_in(&mut tx, &owner, &reference).await.unwrap();
    assert_eq!(inside, Some("s".into()));
    tx.rollback().await.unwrap();
    assert_eq!(vault.get(&owner, &reference).await.unwrap(), None);
}

async fn deleting_takes_one_and_erasing_takes_all(database: Database) {
    let vault = Vault::new(database.pool.clone(), kek());
    let (ann, bob) = (user(), user());
    let name = vault.put(&ann, &"Ann".into()).await.unwrap();
    let mail = vault.put(&ann, &"ann@example.org".into()).await.unwrap();
    let other = vault.put(&bob, &"Bob".into()).await.unwrap();

    vault.delete(&name).await.unwrap();
    vault.delete(&name).await.unwrap();
    assert_eq!(vault.get(&ann, &name).await.unwrap(), None);
    assert!(vault.get(&ann, &mail).await.unwrap().is_some());

    vault.erase(&ann).await.unwrap();
    vault.erase(&ann).await.unwrap();
    assert_eq!(vault.get(&ann, &mail).await.unwrap(), None);
    assert!(vault.get(&bob, &other).await.unwrap().is_some());

    let again = vault.put(&ann, &"Ann".into()).await.unwrap();
    assert!(vault.get(&ann, &again).await.unwrap().is_some());
}

async fn a_text_restored_from_a_backup_after_erasing_stays_unreadable(database: Database) {
    let vault = Vault::new(database.pool.clone(), kek());
    let owner = user();
    let reference = vault.put(&owner, &"s".into()).await.unwrap();
    let sealed: String = sqlx::query("SELECT sealed FROM vault_value WHERE id = $1")
        .bind(reference.0.to_string())
        .fetch_one(&database.pool)
        .await
        .unwrap()
        .get(0);
    vault.erase(&owner).await.unwrap();
    vault.put(&owner, &"new".into()).await.unwrap();
    sqlx::query("INSERT INTO vault_value (id, subject, sealed) VALUES ($1, $2, $3)")
        .bind(reference.0.to_string())
        .bind(format!("user/{}", owner.id))
        .bind(sealed)
        .execute(&database.pool)
        .await
        .unwrap();
    let refused = vault.get(&owner, &reference).await;
    assert!(matches!(refused, Err(VaultError::Unreadable)));
}

async fn swapping_texts_or_owners_in_the_database_is_found(database: Database) {
    let vault = Vault::new(database.pool.clone(), kek());
    let (ann, bob) = (user(), user());
    let a = vault.put(&ann, &"a".into()).await.unwrap();
    let b = vault.put(&ann, &"b".into()).await.unwrap();
    vault.put(&bob, &"c".into()).await.unwrap();

    sqlx::query(
        "UPDATE vault_value SET sealed = (SELECT sealed FROM vault_value WHERE id = $1) \
             WHERE id = $2",
    )
    .bind(b.0.to_string())
    .bind(a.0.to_string())
    .execute(&database.pool)
    .await
    .unwrap();
    let swapped = vault.get(&ann, &a).await;
    assert!(matches!(swapped, Err(VaultError::Unreadable)));

    sqlx::query("UPDATE vault_value SET subject = $1 WHERE id = $2")
        .bind(format!("user/{}", bob.id))
        .bind(b.0.to_string())
        .execute(&database.pool)
        .await
        .unwrap();
    let moved = vault.get(&bob, &b).await;
    assert!(matches!(moved, Err(VaultError::Unreadable)));
}

async fn rotation_is_online_and_lets_the_old_key_go(database: Database) {
    let (old, new) = (kek(), kek());
    let before = Vault::new(database.pool.clone(), old.clone());
    let mut texts = Vec::new();
    for n in 0..250 {
        let (owner, text) = (user(), Secret::new(n.to_string()));
        texts.push((owner, before.put(&owner, &text).await.unwrap(), text));
    }

    // Replicas know both keys before the first of them writes with the new one.
    let knowing = KekRing::new(old.clone(), [new.clone()]);
    let knowing = Vault::new(database.pool.clone(), knowing);
    let ring = KekRing::new(new.clone(), [old]);
    let during = Vault::new(database.pool.clone(), ring);
    let (owner, reference, text) = &texts[0];
    let read = during.get(owner, reference).await.unwrap();
    assert_eq!(read.as_ref(), Some(text));
    during.put(owner, text).await.unwrap();
    for (one, other) in [(&during, &knowing), (&knowing, &during)] {
        let somebody = user();
        let reference = one.put(&somebody, text).await.unwrap();
        let read = other.get(&somebody, &reference).await.unwrap();
        assert_eq!(read.as_ref(), Some(text));
    }

    let did = during.rewrap().await.unwrap();
    assert_eq!(
        did,
        Rewrapped {
            done: 251,
            failed: 0
        }
    );
    assert_eq!(during.rewrap().await.unwrap(), Rewrapped::default());

    let after = Vault::new(database.pool.clone(), new);
    after.check().await.unwrap();
    for (owner, reference, text) in &texts {
        let read = after.get(owner, reference).await.unwrap();
        assert_eq!(read.as_ref(), Some(text));
    }
}

async fn rotation_counts_what_no_key_opens_and_goes_on(database: Database) {
    let (lost, old, new) = (kek(), kek(), kek());
    let vault = |ring: KekRing| Vault::new(database.pool.clone(), ring);
    vault(lost.into()).put(&user(), &"s".into()).await.unwrap();
    vault(old.clone().into())
        .put(&user(), &"s".into())
        .await
        .unwrap();
    let did = vault(KekRing::new(new, [old])).rewrap().await.unwrap();
    assert_eq!(did, Rewrapped { done: 1, failed: 1 });
}

async fn writers_at_once_share_one_data_key(database: Database) {
    let vault = Vault::new(database.pool.clone(), kek());
    let owner = user();
    let mut writers = tokio::task::JoinSet::new();
    for n in 0..20 {
        let vault = vault.clone();
        writers.spawn(async move {
            let text = Secret::new(format!("{n}"));
            let reference = vault.put(&owner, &text).await.unwrap();
            (reference, text)
        });
    }
    for (reference, text) in writers.join_all().await {
        let read = vault.get(&owner, &reference).await.unwrap();
        assert_eq!(read, Some(text));
    }
}

async fn erasing_beside_writers_leaves_no_text_without_its_key(database: Database) {
    let vault = Vault::new(database.pool.clone(), kek());
    let owner = user();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..40 {
        let vault = vault.clone();
        tasks.spawn(async move {
            if n % 4 == 0 {
                vault.erase(&owner).await.unwrap();
                return None;
            }
            Some(vault.put(&owner, &"s".into()).await.unwrap())
        });
    }
    for reference in tasks.join_all().await.into_iter().flatten() {
        // Readable or gone, never damaged.
        vault.get(&owner, &reference).await.unwrap();
    }
}

async fn index_keys_outlive_rotation(database: Database) {
    let (old, new) = (kek(), kek());
    let before = Vault::new(database.pool.clone(), old.clone());
    let index = before.index_key("email").await.unwrap();
    let other = before.index_key("name").await.unwrap();
    assert_ne!(index.blind_index("a"), other.blind_index("a"));

    let ring = KekRing::new(new.clone(), [old]);
    Vault::new(database.pool.clone(), ring)
        .rewrap()
        .await
        .unwrap();
    let after = Vault::new(database.pool.clone(), new);
    let again = after.index_key("email").await.unwrap();
    assert_eq!(index.blind_index("a"), again.blind_index("a"));
}

async fn nothing_is_on_disk_in_clear_and_erased_keys_are_gone_from_it() {
    let database = sqlite().await;
    let (old, new) = (kek(), kek());
    let vault = Vault::new(database.pool.clone(), old.clone());
    let owner = user();
    let text = "correct horse battery staple";
    let mut keys = vec![database.wrapped_keys().await];
    for _ in 0..50 {
        vault.put(&owner, &text.into()).await.unwrap();
    }
    keys.push(database.wrapped_keys().await);
    let rotated = Vault::new(database.pool.clone(), KekRing::new(new, [old]));
    rotated.rewrap().await.unwrap();
    keys.push(database.wrapped_keys().await);

    assert!(!database.contains(text));
    let keys: Vec<String> = keys.into_iter().flatten().collect();
    assert_eq!(keys.len(), 2);
    assert!(
        database.contains(&keys[1]),
        "the test can see what is there"
    );
    rotated.erase(&owner).await.unwrap();
    for key in keys {
        assert!(!database.contains(&key), "an erased data key is on disk");
    }
}

async fn migrations_run_again_beside_those_of_others(database: Database) {
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             SELECT 1, 'other', success, checksum, 0 FROM _sqlx_migrations WHERE version = 101",
    )
    .execute(&database.pool)
    .await
    .unwrap();
    migrations().run(&database.pool).await.unwrap();
}
