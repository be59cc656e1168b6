//! Ports for servers that must be told where to listen before they start, and listen there again after a restart.
//!
//! The system gives ports of its ephemeral range to outgoing connections, so that one of those may be taken by the time
//! that the server starts. These are below that range (Linux: from 32768) and are given once: in a process by counting,
//! to several processes by where each of them begins.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

const FIRST: u32 = 10_000;
const COUNT: u32 = 22_000;
/// Ports between where processes begin whose ids follow each other.
const STRIDE: u32 = 211;

/// An address of 127.0.0.1 that nobody listens at.
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
