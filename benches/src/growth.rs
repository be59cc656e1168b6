//! What grows with the number of access requests: latency of frequent calls, start, backup, rebuild, and the disk.
//!
//! One request is submitted; its events are copied in bulk under new ids, and `portico replay` makes the views of them.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use http::StatusCode;
use sqlx::{AnyConnection, Connection as _, Row as _};

use crate::{
    log::message,
    portal::{Process, command},
    ratio::row,
    rounds::Rounds,
    row::{Aim, median},
    stage::{Outside, Setting},
};

/// Calls of each kind in a round.
const SAMPLES: usize = 50;
const LATENCIES: [&str; 5] = [
    "submit, seconds",
    "read one, seconds",
    "first page, seconds",
    "page of a status, seconds",
    "page of a search, seconds",
];

/// At each size in ascending order. Latencies are compared with those at the first size.
pub(crate) async fn measure(rounds: &Rounds, sizes: &[usize]) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(message)?;
    let data = folder.path().join("data");
    let outside = Outside::start().await?;
    let mut setting = submit_one(&outside, &data).await?;
    let (mut known, mut first) = (1, Vec::new());
    for size in sizes.iter().copied() {
        rounds.progress(&format!("{size} access requests: copies events"));
        let before = on_disk(&data)?;
        let json = multiply(&data, known, size).await?;
        rebuild(rounds, &data, size).await?;
        let each = (on_disk(&data)? - before) / (size - known) as f64;
        let what = format!("{size} access requests: bytes on disk each");
        rounds.push(row(
            &what,
            "its events as JSON",
            Aim::AtMost(3.0),
            &[(each, json)],
        ));
        known = size;
        let times = at_size(rounds, &data, &mut setting, size).await?;
        if first.is_empty() {
            first.clone_from(&times);
        }
        let against = format!("with {} access requests", sizes[0]);
        let names = LATENCIES.iter().chain(&["start, seconds"]);
        for (name, (now, then)) in names.zip(times.iter().zip(&first)) {
            let pairs: Vec<_> = now.iter().copied().zip(then.iter().copied()).collect();
            let what = format!("{size} access requests: {name}");
            rounds.push(row(&what, &against, Aim::AtMost(1.5), &pairs));
        }
    }
    Ok(())
}

/// Configures a portal, submits one request, which waits for a decision, and stops.
async fn submit_one(outside: &Outside, data: &Path) -> Result<Setting, String> {
    let portal = Process::start(data).await?;
    let anonymous = portal.anonymous()?;
    let setting = Setting::configure(&anonymous, &outside.provider, Some(&outside.gateway)).await?;
    setting.submit().await?;
    Ok(setting)
}

/// Copies the events of the first request and its application, with the end of each id replaced by a number, and tells
/// the relay that they are out. Gives the size of a request's events as JSON.
async fn multiply(data: &Path, known: usize, size: usize) -> Result<f64, String> {
    sqlx::any::install_default_drivers();
    let file = data.join("access-request.db");
    let url = format!("sqlite://{}", file.display());
    let mut database = AnyConnection::connect(&url).await.map_err(message)?;
    let template = "CREATE TEMP TABLE template AS SELECT ROW_NUMBER() OVER (ORDER BY position) AS number, * FROM events \
                    WHERE stream IN (SELECT stream FROM events WHERE position IN (SELECT MIN(position) FROM events \
                    WHERE type IN ('application.created', 'access_request.submitted') GROUP BY type))";
    sqlx::query(template)
        .execute(&mut database)
        .await
        .map_err(message)?;
    // Streams are `application-<id>` and `access-request-<id>`; ids have 36 characters.
    let first = "SELECT SUBSTR(MIN(stream), -36), SUBSTR(MAX(stream), -36), COUNT(*), SUM(LENGTH(id) + LENGTH(stream) + \
                 LENGTH(type) + LENGTH(data) + LENGTH(metadata) + LENGTH(recorded_at)) FROM template";
    let first = sqlx::query(first)
        .fetch_one(&mut database)
        .await
        .map_err(message)?;
    let id = |index| first.try_get::<String, _>(index).map_err(message);
    let (ids, events) = (
        [id(0)?, id(1)?],
        first.try_get::<i64, _>(2).map_err(message)?,
    );
    let copy = "WITH RECURSIVE numbers (n) AS (SELECT $1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $2 - 1), \
                ends (n, one, two, ending) AS (SELECT n, SUBSTR($4, 1, 24) || PRINTF('%012x', n), \
                SUBSTR($5, 1, 24) || PRINTF('%012x', n), PRINTF('%012x', n) FROM numbers), \
                head (position) AS MATERIALIZED (SELECT MAX(position) FROM events) \
                INSERT INTO events (position, id, stream, version, type, schema_version, data, metadata, recorded_at) \
                SELECT head.position + (n - $1) * $3 + number, SUBSTR(id, 1, 24) || ending, \
                REPLACE(REPLACE(stream, $4, one), $5, two), version, type, schema_version, \
                REPLACE(REPLACE(data, $4, one), $5, two), metadata, recorded_at FROM ends, head, template";
    let copied = sqlx::query(copy)
        .bind(known as i64)
        .bind(size as i64)
        .bind(events)
        .bind(&ids[0])
        .bind(&ids[1])
        .execute(&mut database);
    copied.await.map_err(message)?;
    let relayed = "UPDATE checkpoints SET position = (SELECT MAX(position) FROM events)";
    sqlx::query(relayed)
        .execute(&mut database)
        .await
        .map_err(message)?;
    let json: i64 = first.try_get(3).map_err(message)?;
    Ok(json as f64)
}

/// `portico replay` on everything.
async fn rebuild(rounds: &Rounds, data: &Path, size: usize) -> Result<(), String> {
    rounds.progress(&format!("{size} access requests: rebuilds the views"));
    let began = Instant::now();
    run(data, &["replay"]).await?;
    let seconds = began.elapsed().as_secs_f64();
    rounds.figure(
        &format!("{size} access requests: rebuild of all views"),
        "s",
        vec![seconds],
    );
    Ok(())
}

/// The latencies, then the time of a start, each with a value for every round; and how long a backup takes.
async fn at_size(
    rounds: &Rounds,
    data: &Path,
    setting: &mut Setting,
    size: usize,
) -> Result<Vec<Vec<f64>>, String> {
    let mut times = vec![Vec::new(); LATENCIES.len() + 1];
    for _ in 0..rounds.count {
        let portal = Process::start(data).await?;
        setting.again(&portal.anonymous()?).await?;
        let now = latencies(setting).await?;
        for (times, now) in times.iter_mut().zip(now) {
            times.push(now);
        }
        times[LATENCIES.len()].push(portal.ready_after.as_secs_f64());
    }
    let folder = tempfile::tempdir().map_err(message)?;
    let began = Instant::now();
    run(
        data,
        &[
            "backup",
            &folder.path().join("backup").display().to_string(),
        ],
    )
    .await?;
    let seconds = began.elapsed().as_secs_f64();
    rounds.figure(
        &format!("{size} access requests: backup"),
        "s",
        vec![seconds],
    );
    Ok(times)
}

async fn latencies(setting: &Setting) -> Result<[f64; LATENCIES.len()], String> {
    let mut times: [Vec<f64>; LATENCIES.len()] = Default::default();
    for _ in 0..SAMPLES {
        let began = Instant::now();
        let id = setting.submit().await?;
        times[0].push(began.elapsed().as_secs_f64());
        let one = format!("/api/v1/access-requests/{id}");
        let pages = [
            one.as_str(),
            "/api/v1/access-requests?limit=20",
            "/api/v1/access-requests?limit=20&status=pending",
            "/api/v1/access-requests?limit=20&q=checkout",
        ];
        for (path, times) in pages.iter().zip(times.iter_mut().skip(1)) {
            let began = Instant::now();
            setting.admin.get(path).await?.expect(StatusCode::OK)?;
            times.push(began.elapsed().as_secs_f64());
        }
    }
    Ok(times.map(|mut times| median(&mut times)))
}

/// A command of the portal that ends by itself.
async fn run(data: &Path, arguments: &[&str]) -> Result<(), String> {
    const PATIENCE: Duration = Duration::from_secs(3600);
    let mut child = tokio::process::Command::from(command(data)?)
        .args(arguments)
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(message)?;
    let status = tokio::time::timeout(PATIENCE, child.wait())
        .await
        .map_err(message)?;
    match status.map_err(message)?.success() {
        true => Ok(()),
        false => Err(format!("portico {} failed", arguments.join(" "))),
    }
}

/// Bytes of all files in a folder.
fn on_disk(folder: &Path) -> Result<f64, String> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).map_err(message)?.flatten() {
        let metadata = entry.metadata().map_err(message)?;
        bytes += if metadata.is_file() {
            metadata.len()
        } else {
            0
        };
    }
    Ok(bytes as f64)
}
