//! Repeats one request on open connections. It does little work itself, so that a comparison measures the servers.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{log::message, row::quantile};

/// The result of a run.
pub(crate) struct Load {
    /// Answers per second.
    pub(crate) rate: f64,
    /// 99th percentile of the latency, in seconds.
    pub(crate) p99: f64,
}

/// Sends `request`, a complete HTTP/1.1 message, again and again on each connection.
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
        times.extend(client.map_err(message)??);
    }
    Ok(Load {
        rate: times.len() as f64 / began.elapsed().as_secs_f64(),
        p99: quantile(&mut times, 0.99),
    })
}

async fn client(address: SocketAddr, request: &str, end: Instant) -> Result<Vec<f64>, String> {
    let mut stream = TcpStream::connect(address).await.map_err(message)?;
    stream.set_nodelay(true).map_err(message)?;
    let mut buffer = Vec::with_capacity(64 * 1024);
    let mut times = Vec::new();
    while Instant::now() < end {
        let sent = Instant::now();
        stream
            .write_all(request.as_bytes())
            .await
            .map_err(message)?;
        answer(&mut stream, &mut buffer).await?;
        times.push(sent.elapsed().as_secs_f64());
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
        if stream.read_buf(buffer).await.map_err(message)? == 0 {
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
