//! The faults, in the order of the table.

mod apart;
mod approvers;
mod database;
mod kills;
mod messages;
mod outside;
mod trust;

use std::sync::Arc;

use futures::{FutureExt as _, future::BoxFuture};
use portico_tests::keycloak::KEYCLOAK;
use portico_trials::{NATS, POSTGRESQL, Server};

use crate::round::Round;

/// A row of the table, or a part of one.
pub struct Fault {
    /// For the command line.
    pub name: &'static str,
    /// For the table.
    pub title: &'static str,
    pub needs: &'static [Server],
    /// In CI.
    pub seeds: u64,
    /// About how long a round takes; long ones begin first.
    pub seconds: u32,
    pub run: fn(Arc<Round>) -> BoxFuture<'static, ()>,
}

macro_rules! fault {
    ($name:literal, $title:literal, $needs:expr, $seeds:literal, $seconds:literal, $run:path) => {
        Fault {
            name: $name,
            title: $title,
            needs: &$needs,
            seeds: $seeds,
            seconds: $seconds,
            run: |round| $run(round).boxed(),
        }
    };
}

pub const FAULTS: &[Fault] = &[
    fault!(
        "kill-embedded",
        "kill -9: SQLite, memory bus, plain provider",
        [],
        9,
        25,
        kills::embedded
    ),
    fault!(
        "kill-servers",
        "kill -9: PostgreSQL, NATS, plain provider",
        [POSTGRESQL, NATS],
        4,
        25,
        kills::servers
    ),
    fault!(
        "kill-steps",
        "kill -9: between every two commits of an access request, PostgreSQL, NATS",
        [POSTGRESQL, NATS],
        2,
        60,
        kills::steps
    ),
    fault!(
        "kill-replicas",
        "kill -9: two replicas in turn, PostgreSQL, NATS, plain provider",
        [POSTGRESQL, NATS],
        2,
        40,
        kills::replicas
    ),
    fault!(
        "kill-keycloak",
        "kill -9: SQLite, memory bus, Keycloak",
        [KEYCLOAK],
        3,
        30,
        kills::embedded_keycloak
    ),
    fault!(
        "kill-all-real",
        "kill -9: PostgreSQL, NATS, Keycloak",
        [POSTGRESQL, NATS, KEYCLOAK],
        2,
        30,
        kills::servers_keycloak
    ),
    fault!(
        "kill-okta",
        "kill -9: SQLite, memory bus, provider of class B (double of Okta)",
        [],
        4,
        25,
        kills::embedded_okta
    ),
    fault!(
        "kill-apart",
        "kill -9: every service apart, one of two replicas or all of a service",
        [POSTGRESQL, NATS],
        3,
        90,
        apart::kills
    ),
    fault!(
        "restart-apart",
        "every service apart, each replica restarted under load",
        [POSTGRESQL, NATS],
        1,
        80,
        apart::restarts
    ),
    fault!(
        "kill-rewrap",
        "kill -9: rotation of the key-encryption key",
        [POSTGRESQL, NATS],
        2,
        20,
        kills::key_rotation
    ),
    fault!(
        "nats-away",
        "NATS away (seconds for ten minutes), and its data deleted",
        [POSTGRESQL, NATS],
        2,
        25,
        messages::nats_away
    ),
    fault!(
        "nats-away-apart",
        "every service apart: NATS away, and its data deleted",
        [POSTGRESQL, NATS],
        2,
        60,
        messages::nats_away_apart
    ),
    fault!(
        "postgres-killed",
        "PostgreSQL killed, and its connections cut",
        [POSTGRESQL, NATS],
        1,
        40,
        database::postgres_killed
    ),
    fault!(
        "postgres-killed-apart",
        "every service apart: PostgreSQL killed, and its connections cut",
        [POSTGRESQL, NATS],
        1,
        80,
        database::postgres_killed_apart
    ),
    fault!(
        "idle-transaction",
        "long idle transaction in PostgreSQL",
        [POSTGRESQL, NATS],
        1,
        50,
        database::idle_transaction
    ),
    fault!(
        "provider-times-out",
        "provider times out after it committed",
        [],
        2,
        25,
        outside::times_out_after_commit
    ),
    fault!(
        "provider-misbehaves",
        "provider 500, 429, slow drip, garbage, cut, 10 MB, wrong types, 200 for 201, 400",
        [],
        9,
        15,
        outside::provider_misbehaves
    ),
    fault!(
        "provider-duplicates",
        "provider repeats another client's answer",
        [],
        1,
        10,
        outside::duplicate_answer
    ),
    fault!(
        "token-used-up",
        "initial access token used up, then replaced",
        [POSTGRESQL, NATS],
        2,
        15,
        outside::token_used_up
    ),
    fault!(
        "mail-server",
        "SMTP away, 451, cut after 250, 550 and resend",
        [POSTGRESQL, NATS],
        2,
        20,
        outside::mail_server
    ),
    fault!(
        "redelivery",
        "every message again, late, twice, in random order",
        [POSTGRESQL, NATS],
        2,
        20,
        messages::redelivered
    ),
    fault!(
        "poison",
        "poison message, replayed by `portico parked replay`",
        [POSTGRESQL, NATS],
        1,
        70,
        messages::poison
    ),
    fault!(
        "two-approvers",
        "two approvers at once, a thousand times, on two replicas",
        [POSTGRESQL, NATS],
        1,
        120,
        approvers::two_at_once
    ),
    fault!(
        "disk-full",
        "disk full (no file may grow)",
        [],
        2,
        20,
        database::disk_full
    ),
    fault!(
        "clock-apart",
        "every service apart: the clock of one replica 6 s ahead, 70 s behind, 5 min ahead",
        [POSTGRESQL, NATS],
        2,
        60,
        trust::clock_of_one_replica
    ),
    fault!(
        "certificates",
        "every service apart: certificates of a service expired, then replaced on disk",
        [POSTGRESQL, NATS],
        1,
        50,
        trust::certificates
    ),
    fault!(
        "clock",
        "clock one hour off",
        [POSTGRESQL, NATS],
        2,
        25,
        database::clock_off
    ),
];
