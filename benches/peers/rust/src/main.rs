//! Event stores on crates.io at one command line: `portico-bench-peers STORE URL`.
//!
//! Reads a task a line, `WORK CLIENTS SECONDS`, and answers each with a line of JSON: `{"rate": 123.4}` or
//! `{"error": "why not"}`. The first line it prints names the store, when it is ready. Ends with its standard input.

mod cqrs;
mod disintegrate_store;
mod umadb;
mod work;

use std::{error::Error, sync::Arc};

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::work::Store;

/// Any failure; its text goes into the answer.
pub type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let (Some(name), Some(url)) = (arguments.next(), arguments.next()) else {
        return Err("usage: portico-bench-peers STORE URL".into());
    };
    let store = match open(&name, &url).await {
        Ok(store) => store,
        Err(error) => {
            println!("{}", json!({ "error": error.to_string() }));
            return Ok(());
        }
    };
    println!(
        "{}",
        json!({ "ready": format!("{name} {}", version(&name)) })
    );
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut prepared = work::Prepared::default();
    while let Some(line) = lines.next_line().await? {
        let answer = match work::run(&store, &mut prepared, &line).await {
            Ok(rate) => json!({ "rate": rate }),
            Err(error) => json!({ "error": error.to_string() }),
        };
        println!("{answer}");
    }
    Ok(())
}

async fn open(name: &str, url: &str) -> Result<Arc<dyn Store>, Failure> {
    Ok(match name {
        "postgres-es" => Arc::new(cqrs::postgres(url).await?),
        "sqlite-es" => Arc::new(cqrs::sqlite(url).await?),
        "disintegrate-postgres" => Arc::new(disintegrate_store::open(url).await?),
        "umadb" => Arc::new(umadb::open(url).await?),
        other => return Err(format!("no such store: {other}").into()),
    })
}

/// As the lock file pins it; UmaDB's client has the version of its server.
fn version(name: &str) -> &'static str {
    let lock = include_str!("../Cargo.lock");
    let package = if name == "umadb" {
        "umadb-client"
    } else {
        name
    };
    let after = lock.split_once(&format!("name = \"{package}\"\nversion = \""));
    after
        .and_then(|(_, rest)| rest.split('"').next())
        .unwrap_or_default()
}
