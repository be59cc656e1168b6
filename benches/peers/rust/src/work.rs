//! The same work for every store.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::future::try_join_all;
use uuid::Uuid;

use crate::Failure;

/// Makes an event as large as one of Portico's.
pub const TEXT: &str =
    "Backend of the checkout, asks for payments on the free plan, about two thousand calls a day.";
/// Streams that each client appends to in turn.
const EXISTING: usize = 10;
/// Streams to load, and the events of each.
const LOADED: (usize, usize) = (100, 20);
/// Events that one reading of the log takes, from a position behind its beginning.
pub const READ: usize = 5_000;

/// What a store must be able to do to be measured.
#[async_trait]
pub trait Store: Send + Sync {
    /// Appends that many events if nothing came after `last`, which is 0 for a new stream, else what the append before
    /// gave. Gives `None` if the store asks for a repetition.
    async fn append(&self, stream: &str, last: i64, count: usize) -> Result<Option<i64>, Failure>;

    /// Loads a stream and gives the number of its events.
    async fn load(&self, stream: &str) -> Result<usize, Failure>;

    /// Reads [`READ`] events of the log, or all that there are, and gives their number.
    async fn read(&self) -> Result<usize, Failure>;

    /// Starts to keep a view of one row for each stream.
    async fn start_view(&self) -> Result<(), Failure>;

    /// Appends an event to a new stream, with the view.
    async fn append_viewed(&self, stream: &str) -> Result<(), Failure> {
        append(self, stream, 0, 1).await.map(drop)
    }

    /// The rows of the view.
    async fn viewed(&self) -> Result<i64, Failure>;
}

/// What earlier tasks have left in the store.
#[derive(Default)]
pub struct Prepared {
    existing: HashMap<usize, Vec<Vec<(String, i64)>>>,
    loaded: Vec<String>,
    filled: bool,
    viewing: bool,
}

/// Does what a line says and gives how often it was done in a second.
pub async fn run(
    store: &Arc<dyn Store>,
    prepared: &mut Prepared,
    line: &str,
) -> Result<f64, Failure> {
    let mut words = line.split(' ');
    let (Some(work), Some(clients), Some(seconds)) = (words.next(), words.next(), words.next())
    else {
        return Err("WORK CLIENTS SECONDS".into());
    };
    let (clients, length) = (clients.parse()?, Duration::from_secs_f64(seconds.parse()?));
    match work {
        "append-new" => {
            repeat(clients, length, async |_, _| {
                append(&**store, &new_stream(), 0, 1).await.map(|_| 1)
            })
            .await
        }
        "append-existing" => append_existing(store, prepared, clients, length).await,
        "load" => load(store, prepared, clients, length).await,
        "read" => read(store, prepared, clients, length).await,
        "project" => project(store, prepared, clients, length).await,
        other => Err(format!("no such work: {other}").into()),
    }
}

async fn append_existing(
    store: &Arc<dyn Store>,
    prepared: &mut Prepared,
    clients: usize,
    length: Duration,
) -> Result<f64, Failure> {
    if !prepared.existing.contains_key(&clients) {
        let mut streams = vec![Vec::new(); clients];
        for of_client in &mut streams {
            for _ in 0..EXISTING {
                let stream = new_stream();
                let last = append(&**store, &stream, 0, 1).await?;
                of_client.push((stream, last));
            }
        }
        prepared.existing.insert(clients, streams);
    }
    let streams = prepared.existing.remove(&clients).unwrap_or_default();
    let streams: Vec<_> = streams.into_iter().map(tokio::sync::Mutex::new).collect();
    let rate = repeat(clients, length, async |client, turn| {
        let mut streams = streams[client].lock().await;
        let (stream, last) = &mut streams[turn % EXISTING];
        *last = append(&**store, stream, *last, 1).await?;
        Ok(1)
    })
    .await;
    let streams = streams.into_iter().map(tokio::sync::Mutex::into_inner);
    prepared.existing.insert(clients, streams.collect());
    rate
}

async fn load(
    store: &Arc<dyn Store>,
    prepared: &mut Prepared,
    clients: usize,
    length: Duration,
) -> Result<f64, Failure> {
    while prepared.loaded.len() < LOADED.0 {
        let stream = new_stream();
        append(&**store, &stream, 0, LOADED.1).await?;
        prepared.loaded.push(stream);
    }
    repeat(clients, length, async |client, turn| {
        let stream = &prepared.loaded[(client * 7 + turn) % LOADED.0];
        match store.load(stream).await? {
            count if count == LOADED.1 => Ok(1),
            count => Err(format!("{count} events in a stream of {}", LOADED.1).into()),
        }
    })
    .await
}

async fn read(
    store: &Arc<dyn Store>,
    prepared: &mut Prepared,
    clients: usize,
    length: Duration,
) -> Result<f64, Failure> {
    if !prepared.filled {
        for _ in 0..=READ / 100 {
            append(&**store, &new_stream(), 0, 100).await?;
        }
        prepared.filled = true;
    }
    repeat(clients, length, async |_, _| store.read().await).await
}

/// Counts what can be seen in the view when it has caught up.
async fn project(
    store: &Arc<dyn Store>,
    prepared: &mut Prepared,
    clients: usize,
    length: Duration,
) -> Result<f64, Failure> {
    if !prepared.viewing {
        store.start_view().await?;
        prepared.viewing = true;
    }
    let before = store.viewed().await?;
    let began = Instant::now();
    let rate = repeat(clients, length, async |_, _| {
        store.append_viewed(&new_stream()).await.map(|()| 1)
    })
    .await?;
    let appended = (rate * began.elapsed().as_secs_f64()).round() as i64;
    while store.viewed().await? < before + appended {
        if began.elapsed() > length + Duration::from_secs(30) {
            return Err("the view does not catch up in 30 s".into());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(appended as f64 / began.elapsed().as_secs_f64())
}

/// Repeats an operation with that many clients at once until the time is over; the sum of what it gives for a second.
async fn repeat<F>(clients: usize, length: Duration, operation: F) -> Result<f64, Failure>
where
    F: AsyncFn(usize, usize) -> Result<usize, Failure>,
{
    let began = Instant::now();
    let clients = (0..clients).map(async |client| {
        let (mut turn, mut sum) = (0, 0);
        while began.elapsed() < length {
            sum += operation(client, turn).await?;
            turn += 1;
        }
        Ok::<_, Failure>(sum)
    });
    let sums = try_join_all(clients).await?;
    Ok(sums.iter().sum::<usize>() as f64 / began.elapsed().as_secs_f64())
}

async fn append<S: Store + ?Sized>(
    store: &S,
    stream: &str,
    last: i64,
    count: usize,
) -> Result<i64, Failure> {
    loop {
        if let Some(last) = store.append(stream, last, count).await? {
            return Ok(last);
        }
    }
}

fn new_stream() -> String {
    Uuid::now_v7().to_string()
}
