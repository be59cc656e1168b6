//! The same work for our event store and for others: on one PostgreSQL server that syncs each commit, on SQLite with
//! `synchronous=FULL`, and for UmaDB on its own server, which syncs each commit too.

use std::{path::Path, process::Stdio, time::Duration};

use portico_eventstore::Database;
use portico_trials::postgres::{Postgres, programs};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

use crate::{
    log::{message, store},
    ours::Ours,
    peers::{AtWork, Peer, Program, Task, installed, target},
    portal::free_port,
    ratio::{Contender, contest},
    rounds::Rounds,
    row::{Aim, some},
};

/// A peer that runs, or why not, under the name of its row.
type Started = (Program, Result<Peer, String>);

/// The libraries on PostgreSQL, and UmaDB.
pub(crate) async fn on_postgresql(rounds: &Rounds) -> Result<(), String> {
    if programs().is_none() {
        rounds.skipped("libraries, PostgreSQL", "PostgreSQL is not installed");
        return Ok(());
    }
    let server = Postgres::start_with(&["fsync=on"]).await;
    let mut peers = Vec::new();
    for program in [
        Program::PostgresEs,
        Program::Disintegrate,
        Program::Eventsourcing,
        Program::EmmettPostgresql,
    ] {
        peers.push((
            program,
            Peer::start(program, &server.fresh_database().await).await,
        ));
    }
    let folder = tempfile::tempdir().map_err(message)?;
    let uma = UmaDb::start(folder.path()).await;
    let uma_peer = match &uma {
        Ok(uma) => Peer::start(Program::UmaDb, &uma.url).await,
        Err(reason) => Err(reason.clone()),
    };
    peers.push((Program::UmaDb, uma_peer));
    let mut stores = Vec::new();
    for view in [false, true] {
        let url = server.fresh_database().await;
        let database = Database::open(&url, "bench", &[]).await.map_err(message)?;
        stores.push(store(database, view).await?);
    }
    measure(rounds, &[1, 16, 64], stores, peers).await
}

/// The libraries on SQLite.
pub(crate) async fn on_sqlite(rounds: &Rounds) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(message)?;
    let mut peers = Vec::new();
    for program in [Program::SqliteEs, Program::EmmettSqlite] {
        let file = folder.path().join(program.name()).display().to_string();
        let url = if program == Program::SqliteEs {
            format!("sqlite://{file}")
        } else {
            file
        };
        peers.push((program, Peer::start(program, &url).await));
    }
    let mut stores = Vec::new();
    for (name, view) in [("bench", false), ("viewed", true)] {
        let database = Database::sqlite(folder.path(), name, &[])
            .await
            .map_err(message)?;
        stores.push(store(database, view).await?);
    }
    measure(rounds, &[1, 64], stores, peers).await
}

async fn measure(
    rounds: &Rounds,
    clients: &[usize],
    mut stores: Vec<portico_eventstore::EventStore>,
    mut peers: Vec<Started>,
) -> Result<(), String> {
    let (Some(viewed), Some(bare)) = (stores.pop(), stores.pop()) else {
        return Err("two stores".into());
    };
    let ours = Ours::new(bare, viewed);
    let mut tasks = Vec::new();
    for work in ["append-new", "append-existing"] {
        tasks.extend(clients.iter().map(|clients| (work, *clients)));
    }
    tasks.extend([("load", 16), ("read", 1), ("project", 16)]);
    for (work, clients) in tasks {
        let task = Task {
            work,
            clients,
            seconds: rounds.seconds,
        };
        let contenders = peers.iter_mut().map(|(program, peer)| Contender {
            against: match &peer {
                Ok(peer) => peer.name.clone(),
                Err(_) => program.name().to_owned(),
            },
            aim: aim(*program, work, clients),
            side: match peer {
                Ok(peer) => Ok(Box::new(AtWork(peer, task)) as Box<_>),
                Err(reason) => Err(reason.clone()),
            },
        });
        let contenders = contenders.collect();
        contest(
            rounds,
            &title(task),
            async || ours.rate(task).await,
            contenders,
        )
        .await?;
    }
    Ok(())
}

/// The aims are about appends of several clients: one alone waits for its sync, here as there.
fn aim(program: Program, work: &str, clients: usize) -> Aim {
    match program {
        _ if clients == 1 || !work.starts_with("append") => Aim::Open,
        Program::SqliteEs | Program::EmmettSqlite => Aim::AtLeast(3.0),
        Program::UmaDb => Aim::AtLeast(1.0),
        _ => Aim::AtLeast(5.0),
    }
}

fn title(task: Task) -> String {
    let what = match task.work {
        "append-new" => "append, new streams",
        "append-existing" => "append, existing streams",
        "load" => "load a stream of 20",
        "read" => "read the log, events",
        _ => "append with a view kept up",
    };
    format!("{what}, {}", some(task.clients))
}

/// Its server with the default settings; killed when dropped.
struct UmaDb {
    url: String,
    _child: Child,
}

impl UmaDb {
    async fn start(folder: &Path) -> Result<Self, String> {
        let program = target().join("python/bin/umadb");
        installed("python", std::slice::from_ref(&program))?;
        let address = free_port()?;
        let child = Command::new(program)
            .args(["--listen", &address.to_string(), "--db-path"])
            .arg(folder.join("uma.db"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(message)?;
        for _ in 0..500 {
            if TcpStream::connect(address).await.is_ok() {
                return Ok(Self {
                    url: format!("http://{address}"),
                    _child: child,
                });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err("its server does not start".into())
    }
}
