//! Portico's event store at the work of `benches/peers`.

use std::{
    cell::RefCell,
    collections::HashMap,
    time::{Duration, Instant},
};

use portico_eventstore::{EventStore, Stream};

use crate::{
    log::{append_to, message, stream_of},
    peers::Task,
};

/// Streams that each client appends to in turn.
const EXISTING: usize = 10;
/// Streams to load, and the events of each.
const LOADED: (usize, usize) = (100, 20);
/// Events that one reading takes, and events of one page.
const READ: (i64, i64) = (5_000, 500);

/// The streams of a client, with their versions.
type OfClient = Vec<(Stream, i64)>;

/// A store without views and one with a view, and what earlier turns have left in them.
pub(crate) struct Ours {
    store: EventStore,
    viewed: EventStore,
    existing: RefCell<HashMap<usize, Vec<OfClient>>>,
    loaded: RefCell<Vec<Stream>>,
}

impl Ours {
    /// Two empty stores.
    pub(crate) fn new(store: EventStore, viewed: EventStore) -> Self {
        Self {
            store,
            viewed,
            existing: RefCell::default(),
            loaded: RefCell::default(),
        }
    }

    /// How often a second it does a work.
    pub(crate) async fn rate(&self, task: Task) -> Result<f64, String> {
        match task.work {
            "append-new" => repeat(task, async |_, _| append(&self.store).await).await,
            // The view is written in the transaction of the append, so nothing is left to wait for.
            "project" => repeat(task, async |_, _| append(&self.viewed).await).await,
            "append-existing" => self.append_existing(task).await,
            "load" => self.load(task).await,
            "read" => self.read(task).await,
            other => Err(format!("no such work: {other}")),
        }
    }

    async fn append_existing(&self, task: Task) -> Result<f64, String> {
        let known = self.existing.borrow_mut().remove(&task.clients);
        let mut streams = known.unwrap_or_default();
        while streams.len() < task.clients {
            let mut of_client = Vec::new();
            for _ in 0..EXISTING {
                let first = stream_of(1)?;
                of_client.push((first.stream.clone(), 1));
                self.store.append(first).await.map_err(message)?;
            }
            streams.push(of_client);
        }
        let streams: Vec<_> = streams.into_iter().map(RefCell::new).collect();
        let rate = repeat(task, async |client, turn| {
            let (stream, version) = streams[client].borrow()[turn % EXISTING].clone();
            let append = append_to(stream, version, 1)?;
            self.store.append(append).await.map_err(message)?;
            streams[client].borrow_mut()[turn % EXISTING].1 += 1;
            Ok(1)
        })
        .await;
        let streams = streams.into_iter().map(RefCell::into_inner).collect();
        self.existing.borrow_mut().insert(task.clients, streams);
        rate
    }

    async fn load(&self, task: Task) -> Result<f64, String> {
        while self.loaded.borrow().len() < LOADED.0 {
            let append = stream_of(LOADED.1)?;
            self.loaded.borrow_mut().push(append.stream.clone());
            self.store.append(append).await.map_err(message)?;
        }
        repeat(task, async |client, turn| {
            let stream = self.loaded.borrow()[(client * 7 + turn) % LOADED.0].clone();
            let events = self.store.read_stream(&stream).await.map_err(message)?;
            if events.len() == LOADED.1 {
                Ok(1)
            } else {
                Err(format!("{} events", events.len()))
            }
        })
        .await
    }

    async fn read(&self, task: Task) -> Result<f64, String> {
        while *self.store.head().borrow() <= READ.0 {
            self.store.append(stream_of(100)?).await.map_err(message)?;
        }
        repeat(task, async |_, _| {
            let (mut count, mut position) = (0, 1);
            while count < READ.0 {
                let page = self.store.read(position, READ.1).await.map_err(message)?;
                position = page.last().ok_or("the log ends")?.position;
                count += page.len() as i64;
            }
            Ok(count)
        })
        .await
    }
}

async fn append(store: &EventStore) -> Result<i64, String> {
    store.append(stream_of(1)?).await.map_err(message)?;
    Ok(1)
}

/// Repeats an operation with that many clients at once until the time is over; the sum of what it gives for a second.
async fn repeat(
    task: Task,
    operation: impl AsyncFn(usize, usize) -> Result<i64, String>,
) -> Result<f64, String> {
    let (began, length) = (Instant::now(), Duration::from_secs(task.seconds));
    let clients = (0..task.clients).map(async |client| {
        let (mut turn, mut sum) = (0, 0);
        while began.elapsed() < length {
            sum += operation(client, turn).await?;
            turn += 1;
        }
        Ok::<_, String>(sum)
    });
    let sums = futures::future::try_join_all(clients).await?;
    // Below 2^52, so the conversion is exact.
    Ok(sums.iter().sum::<i64>() as f64 / began.elapsed().as_secs_f64())
}
