//! Ports for servers that must be told where to listen before they start, and listen there again after a restart.
//!
//! The system assigns ports of its ephemeral range to outgoing connections, so a free one may be taken before the server
//! starts. The ports here are below that range (32768 on Linux). A process hands each out once, and processes begin at
//! different places.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

const FIRST: u32 = 10_000;
const COUNT: u32 = 22_000;
/// Distance between the first ports of two processes with consecutive ids.
const STRIDE: u32 = 211;

/// A free address on 127.0.0.1.
///
/// # Panics
/// Every port is taken.
#[must_use]
pub fn free_port() -> SocketAddr {
    static NEXT: LazyLock<AtomicU32> =
        LazyLock::new(|| AtomicU32::new(std::process::id().wrapping_mul(STRIDE) % COUNT));
    (0..COUNT)
        .filter_map(|_| {
            let port = FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
            u16::try_from(port).ok()
        })
        .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .find(|address| TcpListener::bind(address).is_ok())
        .expect("a free port")
}
