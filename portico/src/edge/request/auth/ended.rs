//! Tokens of streams that stay open: accounts is asked about all of them at once, every second, so that a stream ends
//! within two of what ends its session, however many there are.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use portico_proto::{
    Error,
    accounts::v1::{GetEndedTokensRequest, accounts_service_client::AccountsServiceClient},
};
use portico_runtime::{Caller, Deps, ServiceName};
use portico_vault::{Secret, hex};
use tokio_util::sync::CancellationToken;

/// How often accounts is asked.
const PERIOD: Duration = Duration::from_secs(1);
/// Tokens in one question.
const AT_ONCE: usize = 1000;

/// Cheap to clone; clones share what is watched.
#[derive(Clone)]
pub(super) struct Ended {
    deps: Deps,
    watched: Arc<Mutex<Watched>>,
}

#[derive(Default)]
struct Watched {
    /// By the digest of the token, as accounts has it.
    tokens: HashMap<String, Token>,
    /// Whether there is somebody who asks.
    asking: bool,
}

struct Token {
    streams: usize,
    ended: CancellationToken,
}

/// A stream that waits for the end of its token.
struct Stream {
    digest: String,
    watched: Arc<Mutex<Watched>>,
}

impl Ended {
    pub(super) fn new(deps: &Deps) -> Self {
        Self {
            deps: deps.clone(),
            watched: Arc::default(),
        }
    }

    /// Resolves when the token has stopped working. While accounts cannot be asked, nothing has.
    pub(super) async fn wait(self, token: &Secret) {
        let (ended, _stream) = self.watch(hex(&super::digest(token)));
        ended.cancelled().await;
    }

    fn watch(&self, digest: String) -> (CancellationToken, Stream) {
        let mut watched = lock(&self.watched);
        let token = watched
            .tokens
            .entry(digest.clone())
            .or_insert_with(|| Token {
                streams: 0,
                ended: CancellationToken::new(),
            });
        token.streams += 1;
        let ended = token.ended.clone();
        if !std::mem::replace(&mut watched.asking, true) {
            let asking = self.clone().ask_on();
            let shutdown = self.deps.shutdown.clone();
            self.deps.spawn(async move {
                shutdown.run_until_cancelled(asking).await;
            });
        }
        let watched = Arc::clone(&self.watched);
        (ended, Stream { digest, watched })
    }

    /// Asks until there are no streams.
    async fn ask_on(self) {
        loop {
            self.deps.clock.sleep(PERIOD).await;
            let digests: Vec<String> = {
                let mut watched = lock(&self.watched);
                watched.asking = !watched.tokens.is_empty();
                if !watched.asking {
                    return;
                }
                watched.tokens.keys().cloned().collect()
            };
            for some in digests.chunks(AT_ONCE) {
                match self.ask(some.to_vec()).await {
                    Ok(ended) => self.end(&ended),
                    // Readiness says so; people who are signed in should not lose their streams over it.
                    Err(error) => tracing::debug!(%error, "accounts was not asked about streams"),
                }
            }
        }
    }

    async fn ask(&self, digests: Vec<String>) -> Result<Vec<String>, Error> {
        let request = GetEndedTokensRequest { digests };
        let request = self
            .deps
            .identity
            .request(&Caller::service("edge"), request);
        let channel = self.deps.channels.to(ServiceName::Accounts);
        let answer = AccountsServiceClient::new(channel)
            .get_ended_tokens(request)
            .await?;
        Ok(answer.into_inner().digests)
    }

    fn end(&self, digests: &[String]) {
        let watched = lock(&self.watched);
        for digest in digests {
            if let Some(token) = watched.tokens.get(digest) {
                token.ended.cancel();
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut watched = lock(&self.watched);
        if let Some(token) = watched.tokens.get_mut(&self.digest) {
            token.streams -= 1;
            if token.streams == 0 {
                watched.tokens.remove(&self.digest);
            }
        }
    }
}

fn lock(watched: &Mutex<Watched>) -> MutexGuard<'_, Watched> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}
