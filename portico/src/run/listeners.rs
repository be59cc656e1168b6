//! Listening: the edge's addresses, those at which services call each other, and those for probes.
//!
//! - [`server`]: takes connections and serves a router on them
//! - [`handshake`]: TLS of a connection, and why it failed
//! - [`places`]: how many at the same time, in all and from one address
//! - [`activity`]: what a connection does, and until when it has to do something
//! - [`refusal`]: what a connection too many is answered
//! - [`uploads`]: bodies of requests, their pace and their memory
//! - [`frames`]: content among what an HTTP/2 connection sends
//! - [`descriptors`]: how many the process can have

mod activity;
mod descriptors;
mod frames;
mod handshake;
mod places;
mod refusal;
mod server;
#[cfg(test)]
mod tests;
mod uploads;

use std::net::SocketAddr;

use portico_runtime::Config;
use tokio::net::TcpListener;

pub(crate) use self::server::Server;

/// Takes an address.
///
/// # Errors
/// In words for the person at the terminal.
pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}"))
}

/// The edge's addresses, taken.
pub struct EdgeListeners {
    pub(crate) rest: TcpListener,
    pub(crate) grpc: TcpListener,
    /// None: health is at REST's.
    pub(crate) health: Option<TcpListener>,
}

impl EdgeListeners {
    /// Takes the addresses of the configuration; with port 0 a free one.
    ///
    /// # Errors
    /// In words for the person at the terminal.
    pub async fn bind(config: &Config) -> Result<Self, String> {
        Ok(Self {
            rest: listen(config.listen).await?,
            grpc: listen(config.grpc.listen).await?,
            health: match config.health_listen {
                Some(address) => Some(listen(address).await?),
                None => None,
            },
        })
    }

    /// Where they are, REST's and gRPC's.
    ///
    /// # Errors
    /// In words for the person at the terminal.
    pub fn addresses(&self) -> Result<(SocketAddr, SocketAddr), String> {
        let address =
            |listener: &TcpListener| listener.local_addr().map_err(|error| error.to_string());
        Ok((address(&self.rest)?, address(&self.grpc)?))
    }
}
