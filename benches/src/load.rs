//! Asks the same over and over, on connections that stay open. It does little itself, so that both sides of a
//! comparison are mostly the server.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{log::words, ratio::quantile};

/// What came of it.
pub(crate) struct Load {
    /// Answers a second.
    pub(crate) rate: f64,
    /// Seconds within which 99 of 100 were answered.
    pub(crate) p99: f64,
}

/// Repeats a request, whole as it goes over the wire (HTTP/1.1), on so many connections.
pub(crate) async fn http(
    address: SocketAddr,
    request: &str,
    connections: usize,
    seconds: u64,
) -> Result<Load, String> {
    let began = Instant::now();
    let end = began + Duration::from_secs(seconds);
    let clients = (0..connections).map(|_| {
        let request = request.to_owned();
        tokio::spawn(async move { client(address, &request, end).await })
    });
    let mut times = Vec::new();
    for client in futures::future::join_all(clients).await {
        times.extend(client.map_err(words)??);
    }
    Ok(Load {
        rate: times.len() as f64 / began.elapsed().as_secs_f64(),
        p99: quantile(&mut times, 0.99),
    })
}

async fn client(address: SocketAddr, request: &str, end: Instant) -> Result<Vec<f64>, String> {
    let mut stream = TcpStream::connect(address).await.map_err(words)?;
    stream.set_nodelay(true).map_err(words)?;
    let mut buffer = Vec::with_capacity(64 * 1024);
    let mut times = Vec::new();
    while Instant::now() < end {
        let asked = Instant::now();
        stream.write_all(request.as_bytes()).await.map_err(words)?;
        answer(&mut stream, &mut buffer).await?;
        times.push(asked.elapsed().as_secs_f64());
    }
    Ok(times)
}

/// Reads one answer with a `Content-Length`; anything but 200 is an error.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<(), String> {
    buffer.clear();
    let mut expected = None;
    loop {
        if let Some(whole) = expected
            && buffer.len() >= whole
        {
            return Ok(());
        }
        if stream.read_buf(buffer).await.map_err(words)? == 0 {
            return Err("the server closed the connection".into());
        }
        if expected.is_none()
            && let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n")
        {
            let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
            if !head.starts_with("http/1.1 200") {
                return Err(format!(
                    "answered {}",
                    head.lines().next().unwrap_or_default()
                ));
            }
            let length: usize = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
                .ok_or("no Content-Length")?;
            expected = Some(end + 4 + length);
        }
    }
}
