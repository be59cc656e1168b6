//! What an access request costs on disk: in the database by table, in its write-ahead log, on the bus, and what is left when
//! everything is as old as the default settings let it become.
//!
//! A few requests go all the way to *active*. What one of them has written in the tables is copied in bulk under new ids.

use std::{collections::BTreeMap, path::Path, time::Duration};

use portico_trials::{NATS, NatsServer, POSTGRESQL, Postgres};
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Row as _};

use crate::{
    log::message,
    portal::Process,
    ratio::row,
    rounds::Rounds,
    row::Aim,
    stage::{Outside, Setting},
};

/// Requests for the figures of the log and the bus.
const SAMPLES: u32 = 20;
/// For the mails and reports after a request is active, and for the checkpoint of the relay.
const SETTLE: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_mins(10);
/// Not of a request.
const SHARED: &str =
    "'_sqlx_migrations', 'leases', 'checkpoints', 'low_water_marks', 'published', 'republishing'";

type Sizes = BTreeMap<String, i64>;

/// With so many requests.
pub(crate) async fn measure(rounds: &Rounds, requests: i64) -> Result<(), String> {
    if let Some(missing) = (POSTGRESQL.missing)().or_else(NATS.missing) {
        rounds.skipped("bytes", missing);
        return Ok(());
    }
    let folder = tempfile::tempdir().map_err(message)?;
    let postgres = Postgres::start_with(&["fsync=off", "max_wal_size=4GB"]).await;
    let nats = NatsServer::start().await.map_err(message)?;
    let outside = Outside::start().await?;
    let mut environment = outside.environment();
    environment.push(("PORTICO_DATABASE_URL".to_owned(), postgres.url()));
    environment.push(("PORTICO_NATS_URL".to_owned(), nats.url()));
    let mut database = Database::connect(&postgres.url()).await?;

    rounds.progress("a few requests, all the way");
    let portal = start(folder.path(), &environment).await?;
    let gateway = Some(&outside.gateway);
    let setting = Setting::configure(&portal.anonymous()?, &outside.provider, gateway).await?;
    all_the_way(&setting, 1).await?;
    let (log, bus) = (database.log().await?, bus_bytes(&nats).await?);
    all_the_way(&setting, SAMPLES).await?;
    let each = |before: f64, after: f64| vec![(after - before) / f64::from(SAMPLES)];
    let what = "write-ahead log of a request, until it is active";
    rounds.figure(what, "bytes", each(log, database.log().await?));
    let what = "JetStream of a request, for `nats.max_age`";
    rounds.figure(what, "bytes", each(bus, bus_bytes(&nats).await?));
    let since = database.number("SELECT txid_current()").await?;
    all_the_way(&setting, 1).await?;
    drop(portal);

    rounds.progress(&format!("copies the last one {requests} times"));
    let before = database.sizes().await?;
    let json = database.multiply(since, requests).await?;
    let full = database.sizes().await?;
    tell(rounds, "before pruning", &before, &full, requests, json);

    rounds.progress("prunes by the default settings");
    database.age().await?;
    let portal = start(folder.path(), &environment).await?;
    database.wait_until_pruned().await?;
    drop(portal);
    let pruned = database.sizes().await?;
    tell(rounds, "after pruning", &before, &pruned, requests, json);
    Ok(())
}

async fn start(folder: &Path, environment: &[(String, String)]) -> Result<Process, String> {
    Process::start_with(&folder.join("data"), environment).await
}

async fn all_the_way(setting: &Setting, requests: u32) -> Result<(), String> {
    for _ in 0..requests {
        let request = setting.submit().await?;
        setting.approve(&request).await?;
        setting.wait_until_active(&request).await?;
    }
    tokio::time::sleep(SETTLE).await;
    Ok(())
}

/// Bytes of the stream.
async fn bus_bytes(nats: &NatsServer) -> Result<f64, String> {
    let client = async_nats::connect(nats.url()).await.map_err(message)?;
    let context = async_nats::jetstream::new(client);
    let stream = context.get_stream("PORTICO").await.map_err(message)?;
    Ok(stream.cached_info().state.bytes as f64)
}

fn tell(rounds: &Rounds, when: &str, before: &Sizes, after: &Sizes, requests: i64, json: f64) {
    let mut sum = 0.0;
    for (table, bytes) in after {
        let grown = bytes - before.get(table).copied().unwrap_or_default();
        let each = grown as f64 / requests as f64;
        sum += each;
        if each >= 1.0 {
            let what = format!("{when}: {table}, of a request");
            rounds.figure(&what, "bytes", vec![each]);
        }
    }
    let what = format!("{when}: bytes in the database of a request");
    let against = "its events as JSON";
    rounds.push(row(&what, against, Aim::AtMost(3.0), &[(sum, json)]));
}

struct Database(AnyConnection);

impl Database {
    async fn connect(url: &str) -> Result<Self, String> {
        sqlx::any::install_default_drivers();
        Ok(Self(AnyConnection::connect(url).await.map_err(message)?))
    }

    async fn number(&mut self, sql: &str) -> Result<i64, String> {
        let row = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_one(&mut self.0);
        row.await.map_err(message)?.try_get(0).map_err(message)
    }

    async fn execute(&mut self, sql: &str) -> Result<(), String> {
        let done = sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut self.0);
        done.await.map(drop).map_err(message)
    }

    async fn log(&mut self) -> Result<f64, String> {
        let sql = "SELECT CAST(pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') AS BIGINT)";
        Ok(self.number(sql).await? as f64)
    }

    /// The tables of requests, as `schema.table`.
    async fn tables(&mut self) -> Result<Vec<String>, String> {
        let sql = format!(
            "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname LIKE 'portico_%' \
             AND tablename NOT IN ({SHARED}) ORDER BY 1"
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut self.0).await;
        let rows = rows.map_err(message)?;
        let name = |row: &sqlx::any::AnyRow| row.try_get(0).map_err(message);
        rows.iter().map(name).collect()
    }

    /// With indexes, and without what was deleted.
    async fn sizes(&mut self) -> Result<Sizes, String> {
        let mut sizes = Sizes::new();
        for table in self.tables().await? {
            self.execute(&format!("VACUUM FULL {table}")).await?;
            let sql = format!("SELECT pg_total_relation_size('{table}')");
            let bytes = self.number(&sql).await?;
            sizes.insert(table, bytes);
        }
        Ok(sizes)
    }

    /// Copies the rows that were written since a transaction, with the end of each id replaced by a number. Gives the size
    /// of the events among them as JSON.
    async fn multiply(&mut self, since: i64, times: i64) -> Result<f64, String> {
        let mut json = 0;
        for table in self.tables().await? {
            let new = format!("xmin::text::bigint > {since}");
            if table.ends_with(".events") {
                let sql = format!(
                    "SELECT COALESCE(SUM(LENGTH(id) + LENGTH(stream) + LENGTH(type) + LENGTH(data) + LENGTH(metadata) \
                     + LENGTH(recorded_at)), 0)::bigint FROM {table} WHERE {new}"
                );
                json += self.number(&sql).await?;
            }
            let sql = format!(
                "INSERT INTO {table} SELECT filled.* FROM ( \
                 SELECT regexp_replace(one::text, \
                 '([0-9a-f]{{8}}-[0-9a-f]{{4}}-[0-9a-f]{{4}}-[0-9a-f]{{4}}-)[0-9a-f]{{12}}', \
                 '\\1' || lpad(to_hex(n), 12, '0'), 'g')::jsonb || CASE WHEN one ? 'position' \
                 THEN jsonb_build_object('position', (one ->> 'position')::bigint + n * rows) ELSE '{{}}' END AS copy \
                 FROM (SELECT to_jsonb(t) AS one, COUNT(*) OVER () AS rows FROM {table} t WHERE {new}) AS template, \
                 generate_series(1, {times}) AS n OFFSET 0) AS copies \
                 CROSS JOIN LATERAL jsonb_populate_record(NULL::{table}, copy) AS filled ON CONFLICT DO NOTHING"
            );
            self.execute(&sql).await?;
        }
        Ok(json as f64)
    }

    /// As if all of it had happened long ago, and the service had kept up since.
    async fn age(&mut self) -> Result<(), String> {
        for table in self.tables().await? {
            let (schema, name) = table.split_once('.').unwrap_or_default();
            let sql = match name {
                "inbox" => format!(
                    "UPDATE {table} SET handled_ms = 0; UPDATE {schema}.low_water_marks SET since_ms = 0, \
                     reached_ms = caught_up_ms - 30 * 86400000::bigint"
                ),
                "deliveries" => {
                    format!("UPDATE {table} SET created_at = '2020-01-01T00:00:00Z'")
                }
                _ => continue,
            };
            for sql in sql.split(';') {
                self.execute(sql).await?;
            }
        }
        Ok(())
    }

    /// Until nothing is left that has ended.
    async fn wait_until_pruned(&mut self) -> Result<(), String> {
        let began = std::time::Instant::now();
        let mut left = Vec::new();
        for table in self.tables().await? {
            if table.ends_with(".inbox") {
                left.push(format!(
                    "(SELECT COUNT(*) FROM {table} WHERE handled_ms = 0)"
                ));
            } else if table.ends_with(".deliveries") {
                left.push(format!(
                    "(SELECT COUNT(*) FROM {table} WHERE created_at < '2021')"
                ));
            }
        }
        let sql = format!("SELECT {}", left.join(" + "));
        while self.number(&sql).await? > 0 {
            if began.elapsed() > PATIENCE {
                return Err("what has ended is not pruned".to_owned());
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    }
}
