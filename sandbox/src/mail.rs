//! A mail catcher: it takes every message by SMTP, delivers none, and shows them on a page and to tests.
//!
//! | where | what |
//! |---|---|
//! | SMTP port | RFC 5321 without TLS or authentication |
//! | `GET /` and `/messages/{id}` | the page |
//! | `GET /api/messages` | `{"messages": [...]}`, oldest first; `DELETE` forgets them |
//! | `GET /api/messages/{id}` | one message |

mod header;
mod mailbox;
mod message;
mod page;
mod smtp;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use mailbox::Fault;
pub use message::Message;

use crate::clock::SandboxClock;
use crate::server::{Bound, Server, StartError, free_port};
use mailbox::Mailbox;
use smtp::Smtp;

/// Settings of the mail catcher.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where SMTP listens; port 0 takes a free one.
    pub smtp_listen: SocketAddr,
    /// Where the page listens; port 0 takes a free one.
    pub page_listen: SocketAddr,
    /// The largest message taken, in bytes.
    pub largest_message: usize,
    /// How many messages are kept; the oldest make room.
    pub capacity: usize,
    /// Whether addresses may have letters outside ASCII (RFC 6531).
    pub smtputf8: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            smtp_listen: free_port(),
            page_listen: free_port(),
            largest_message: 10 * 1024 * 1024,
            capacity: 1000,
            smtputf8: true,
        }
    }
}

/// The running catcher. Dropping it stops it.
pub struct Handle {
    smtp: Server,
    page: Server,
    mailbox: Arc<Mailbox>,
}

/// Starts both listeners. Fails when an address is taken.
pub async fn start(settings: Settings) -> Result<Handle, StartError> {
    let mailbox = Arc::new(Mailbox::new(settings.capacity));
    let (listener, smtp) = Bound::bind(settings.smtp_listen).await?.into_parts();
    let page = Bound::bind(settings.page_listen).await?;
    let shared = Arc::new(Smtp {
        mailbox: Arc::clone(&mailbox),
        clock: SandboxClock::default(),
        largest_message: settings.largest_message,
        smtputf8: settings.smtputf8,
    });
    smtp.tasks.spawn(smtp::accept(
        listener,
        shared,
        smtp.stop.clone(),
        smtp.tasks.clone(),
    ));
    let page = page.serve(page::router(Arc::clone(&mailbox)));
    Ok(Handle {
        smtp,
        page,
        mailbox,
    })
}

impl Handle {
    /// The page: `http://127.0.0.1:port`, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        self.page.url()
    }

    /// For `PORTICO_SMTP_URL`: `smtp://127.0.0.1:port`.
    #[must_use]
    pub fn smtp_url(&self) -> String {
        format!("smtp://{}", self.smtp.address())
    }

    /// Address of the SMTP listener.
    #[must_use]
    pub fn smtp_address(&self) -> SocketAddr {
        self.smtp.address()
    }

    /// Stops both, and returns when the ports are free. SMTP sessions are cut.
    pub async fn stop(&self) {
        self.smtp.stop().await;
        self.page.stop().await;
    }

    /// The messages, oldest first.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.mailbox.messages()
    }

    /// Forgets the messages.
    pub fn clear(&self) {
        self.mailbox.clear();
    }

    /// The next `times` messages suffer the fault, after those that are waiting.
    pub fn fail_next(&self, times: usize, fault: Fault) {
        self.mailbox.fail_next(times, fault);
    }

    /// The first message that fits, as soon as it is there; `None` after `patience`.
    pub async fn wait_for(
        &self,
        patience: Duration,
        fits: impl Fn(&Message) -> bool,
    ) -> Option<Message> {
        let found = self
            .mailbox
            .wait(|messages| messages.iter().find(|message| fits(message)).cloned());
        tokio::time::timeout(patience, found).await.ok()
    }

    /// All messages as soon as there are `count`; `None` after `patience`.
    pub async fn wait_for_count(&self, patience: Duration, count: usize) -> Option<Vec<Message>> {
        let found = self
            .mailbox
            .wait(|messages| (messages.len() >= count).then(|| messages.to_vec()));
        tokio::time::timeout(patience, found).await.ok()
    }
}
