//! The memory of hashes: a fixed number of buffers that are used again and again. Allocating 19 MiB and having them mapped
//! page by page costs a third of a hash, and what many threads have freed stays with the process.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use argon2::Block;
use tokio::sync::oneshot;

use super::line::{Line, Turn};

/// Buffers, and who waits for one. Cheap to clone.
#[derive(Clone)]
pub(super) struct Pool {
    max_wait: Duration,
    state: Arc<Mutex<State>>,
}

struct State {
    /// Buffers that may be taken.
    free: u16,
    /// How many of them by strangers.
    for_strangers: u16,
    line: Line<oneshot::Sender<Permit>>,
    memory: Memory,
}

/// The memory of buffers that nobody uses. Pools share it, so that a process has as much as was ever in use at once.
#[derive(Clone, Default)]
pub(super) struct Memory(Arc<Mutex<Vec<Vec<Block>>>>);

/// The right to one buffer; goes to the next one in line.
struct Permit {
    state: Arc<Mutex<State>>,
    known: bool,
}

/// A buffer, for one hash at a time; goes back to its pool.
pub(super) struct Buffer {
    blocks: Vec<Block>,
    permit: Permit,
}

impl Pool {
    /// So many of the buffers are kept for those at a known place.
    pub(super) fn new(
        (buffers, kept): (u16, u16),
        max_waiting: u16,
        max_wait: Duration,
        memory: Memory,
    ) -> Self {
        Self {
            max_wait,
            state: Arc::new(Mutex::new(State {
                free: buffers,
                for_strangers: buffers.saturating_sub(kept),
                line: Line::new(max_waiting.into()),
                memory,
            })),
        }
    }

    /// A buffer, when it is their turn; `None` where too many wait already or the wait was too long.
    pub(super) async fn buffer(&self, turn: &Turn) -> Option<Buffer> {
        let permit = match self.join(turn)? {
            Ok(permit) => permit,
            Err(waits) => tokio::time::timeout(self.max_wait, waits)
                .await
                .ok()?
                .ok()?,
        };
        // The one used last, so that a quiet process has one and not all of them.
        let memory = lock(&permit.state).memory.clone();
        let blocks = lock(&memory.0).pop().unwrap_or_default();
        Some(Buffer { blocks, permit })
    }

    fn join(&self, turn: &Turn) -> Option<Result<Permit, oneshot::Receiver<Permit>>> {
        let mut state = lock(&self.state);
        if state.take(turn.known) {
            return Some(Ok(Permit {
                state: Arc::clone(&self.state),
                known: turn.known,
            }));
        }
        let (sender, receiver) = oneshot::channel();
        let joined = state.line.join(turn, sender, oneshot::Sender::is_closed);
        joined.then_some(Err(receiver))
    }

    /// Buffers ever made, while none is in use.
    #[cfg(test)]
    pub(super) fn made(&self) -> Vec<usize> {
        let memory = lock(&self.state).memory.clone();
        lock(&memory.0).iter().map(Vec::len).collect()
    }

    #[cfg(test)]
    pub(super) fn is_clean(&self) -> bool {
        let memory = lock(&self.state).memory.clone();
        let idle = lock(&memory.0);
        let mut words = idle.iter().flatten().flat_map(AsRef::as_ref);
        words.all(|word: &u64| *word == 0)
    }
}

impl State {
    /// Takes one for somebody, unless somebody else of their kind waits.
    fn take(&mut self, known: bool) -> bool {
        let is_free = self.free > 0 && (known || self.for_strangers > 0);
        if is_free {
            self.free -= 1;
            self.for_strangers -= u16::from(!known);
        }
        is_free
    }
}

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Buffer {
    /// As many blocks, of any content.
    pub(super) fn blocks(&mut self, count: usize) -> &mut [Block] {
        if self.blocks.len() < count {
            self.blocks.resize(count, Block::new());
        }
        &mut self.blocks[..count]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // The passes of argon2 can be undone from all of the memory; whoever reads it then guesses the password at the
        // price of one BLAKE2b a guess.
        self.blocks.fill(Block::new());
        let blocks = std::mem::take(&mut self.blocks);
        let memory = lock(&self.permit.state).memory.clone();
        lock(&memory.0).push(blocks);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.free += 1;
        state.for_strangers += u16::from(!self.known);
        let strangers = state.for_strangers > 0;
        // Who has gone away is passed over here: one after the other, dropping what they did not take would be as deep as
        // they are many.
        let next =
            std::iter::from_fn(|| state.line.next(strangers)).find(|(_, next)| !next.is_closed());
        if let Some((known, next)) = next {
            state.take(known);
            drop(state);
            let state = Arc::clone(&self.state);
            // One who goes away just now does not take it, and it goes to the next one when it is dropped here.
            drop(next.send(Self { state, known }));
        }
    }
}
