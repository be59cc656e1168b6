//! The memory of hashes: a fixed number of buffers that are used again and again. Allocating 19 MiB and having them mapped
//! page by page costs a third of a hash, and what many threads have freed stays with the process.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use argon2::Block;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Buffers, and who waits for one. Cheap to clone.
#[derive(Clone)]
pub(super) struct Pool {
    /// One for each buffer that may be in use.
    permits: Arc<Semaphore>,
    /// One for each who may wait.
    places: Arc<Semaphore>,
    max_wait: Duration,
    idle: Arc<Mutex<Vec<Vec<Block>>>>,
}

/// A buffer, for one hash at a time; goes back to its pool.
pub(super) struct Buffer {
    blocks: Vec<Block>,
    idle: Arc<Mutex<Vec<Vec<Block>>>>,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(super) fn new(buffers: u16, max_waiting: u16, max_wait: Duration) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(buffers.into())),
            places: Arc::new(Semaphore::new(max_waiting.into())),
            max_wait,
            idle: Arc::default(),
        }
    }

    /// A buffer, in the order of asking; `None` where too many wait already or the wait was too long.
    pub(super) async fn buffer(&self) -> Option<Buffer> {
        let _place = self.places.try_acquire().ok()?;
        let permit = Arc::clone(&self.permits).acquire_owned();
        let permit = tokio::time::timeout(self.max_wait, permit)
            .await
            .ok()?
            .ok()?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Buffer {
            // The one used last, so that a quiet process has one and not all of them.
            blocks: idle.pop().unwrap_or_default(),
            idle: Arc::clone(&self.idle),
            _permit: permit,
        })
    }

    /// Buffers ever made, while none is in use.
    #[cfg(test)]
    pub(super) fn made(&self) -> Vec<usize> {
        let idle = self.idle.lock().unwrap();
        idle.iter().map(Vec::len).collect()
    }

    #[cfg(test)]
    pub(super) fn is_clean(&self) -> bool {
        let idle = self.idle.lock().unwrap();
        let mut words = idle.iter().flatten().flat_map(AsRef::as_ref);
        words.all(|word: &u64| *word == 0)
    }
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
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(std::mem::take(&mut self.blocks));
    }
}
