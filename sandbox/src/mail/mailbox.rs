//! The caught messages and the faults that wait for the next ones.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::message::Message;

/// What goes wrong with one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The recipient is refused with this code, for instance 550.
    RefuseRecipient(u16),
    /// The message is refused with this code after its last byte, for instance 451.
    RefuseMessage(u16),
    /// The connection ends where the answer to the last byte should come; nothing is kept.
    Close,
    /// The message is kept, then the connection ends without an answer.
    KeepThenClose,
}

#[derive(Default)]
struct Inner {
    messages: VecDeque<Message>,
    faults: VecDeque<Fault>,
    last_id: u64,
}

pub(super) struct Mailbox {
    inner: Mutex<Inner>,
    capacity: usize,
    arrived: Notify,
}

impl Mailbox {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            inner: Mutex::default(),
            capacity: capacity.max(1),
            arrived: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a message under the next id; the oldest makes room when it is full.
    pub(super) fn keep(&self, mut message: Message) {
        {
            let mut inner = self.lock();
            inner.last_id += 1;
            message.id = inner.last_id;
            while inner.messages.len() >= self.capacity {
                inner.messages.pop_front();
            }
            inner.messages.push_back(message);
        }
        self.arrived.notify_waiters();
    }

    pub(super) fn messages(&self) -> Vec<Message> {
        self.lock().messages.iter().cloned().collect()
    }

    pub(super) fn message(&self, id: u64) -> Option<Message> {
        self.lock()
            .messages
            .iter()
            .find(|message| message.id == id)
            .cloned()
    }

    pub(super) fn clear(&self) {
        self.lock().messages.clear();
    }

    pub(super) fn fail_next(&self, times: usize, fault: Fault) {
        self.lock().faults.extend(std::iter::repeat_n(fault, times));
    }

    /// Takes the next fault if it is of the kind that is due now.
    pub(super) fn take_fault(&self, due: impl FnOnce(&Fault) -> bool) -> Option<Fault> {
        let mut inner = self.lock();
        if inner.faults.front().is_some_and(due) {
            inner.faults.pop_front()
        } else {
            None
        }
    }

    /// Waits until `found` gives something.
    pub(super) async fn wait<T>(&self, mut found: impl FnMut(&[Message]) -> Option<T>) -> T {
        loop {
            let arrived = self.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            if let Some(result) = found(self.lock().messages.make_contiguous()) {
                return result;
            }
            arrived.await;
        }
    }
}
