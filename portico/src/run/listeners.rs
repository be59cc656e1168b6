//! Listening: the edge's addresses, those at which services call each other, and those for probes.
//!
//! - [`server`]: takes connections and serves a router on them
//! - [`handshake`]: TLS of a connection, and why it failed
//! - [`places`]: how many at the same time, in all and from one address
//! - [`activity`]: what a connection does, and until when it has to do something
//! - [`refusal`]: what a connection too many is answered
//! - [`uploads`]: bodies of requests, their pace and their memory
//! - [`descriptors`]: how many the process can have

mod activity;
mod descriptors;
mod handshake;
mod places;
mod refusal;
mod server;
#[cfg(test)]
mod tests;
mod uploads;

use std::net::SocketAddr;

use portico_runtime::Config;
use tokio::net::{TcpListener, TcpSocket};

pub(crate) use self::server::Server;

/// Bytes that the system keeps for a peer; it takes twice as many. Of megabytes, which it would grow to, a slow reader frees
/// too little within a minute for the next write to begin, and looks like one that has stopped.
const SEND_BUFFER: u32 = 128 << 10;
/// Connections that wait to be taken.
const BACKLOG: u32 = 1024;

/// Takes an address.
///
/// # Errors
/// In words for the person at the terminal.
pub(crate) fn listen(address: SocketAddr) -> Result<TcpListener, String> {
    let listen = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        // As of any server: what is left of the connections of the process before keeps the address for a minute.
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        // Connections have it from their listener.
        socket.set_send_buffer_size(SEND_BUFFER)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|error: std::io::Error| format!("cannot listen on {address}: {error}"))
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
    pub fn bind(config: &Config) -> Result<Self, String> {
        Ok(Self {
            rest: listen(config.listen)?,
            grpc: listen(config.grpc.listen)?,
            health: config.health_listen.map(listen).transpose()?,
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
