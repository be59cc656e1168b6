//! Whoever comes to the portal with one request at a time, each on a connection of its own.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use super::attack::PROXY;
use crate::{log::message, portal::DEVELOPER};

/// Network addresses from which the honest one has signed in before.
const HOMES: u8 = 10;
/// Who comes from elsewhere each time; so many places are kept of one account.
const TRAVELLER: &str = "traveller@bench.example";
/// What a log-in that is refused counts as, in seconds.
const REFUSED: f64 = 10.0;
/// For all log-ins of one kind, after so many; and for all probes.
const ALL: Duration = Duration::from_secs(6);
const FEWEST: usize = 10;
const LONGEST: Duration = Duration::from_secs(10);
/// Requests for `/readyz`, and the pause between them.
const PROBES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// A connection from one of this machine's addresses.
pub(super) async fn connect(from: Ipv4Addr, to: SocketAddr) -> Result<TcpStream, String> {
    let socket = TcpSocket::new_v4().map_err(message)?;
    socket.bind((from, 0).into()).map_err(message)?;
    socket.connect(to).await.map_err(message)
}

/// Status and body of the answer to a request through the proxy.
pub(super) async fn send(
    to: SocketAddr,
    head: &str,
    from: Ipv4Addr,
    body: &Value,
) -> Result<(u16, String), String> {
    let mut stream = connect(PROXY, to).await?;
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let request = format!(
        "{head} HTTP/1.1\r\nHost: portal\r\nConnection: close\r\nX-Forwarded-For: {from}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream
        .write_all(request.as_bytes())
        .await
        .map_err(message)?;
    let mut answer = String::new();
    let read = tokio::time::timeout(LONGEST, stream.read_to_string(&mut answer));
    read.await.map_err(message)?.map_err(message)?;
    let status = answer.get(9..12).and_then(|status| status.parse().ok());
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    Ok((status.ok_or("no answer")?, body.to_owned()))
}

/// The percentage of `/readyz` that is answered well.
pub(super) async fn ready_share(to: SocketAddr) -> f64 {
    let (mut asked, mut ready) = (0_u32, 0_u32);
    let end = Instant::now() + ALL;
    while asked < PROBES && Instant::now() < end {
        asked += 1;
        let answer = send(to, "GET /readyz", PROXY, &Value::Null).await;
        ready += u32::from(answer.is_ok_and(|(status, _)| status == 200));
        tokio::time::sleep(PAUSE).await;
    }
    f64::from(ready) * 100.0 / f64::from(asked)
}

/// From where somebody logs in.
#[derive(Clone, Copy)]
pub(super) enum Origin {
    /// An address from which they have before.
    Home,
    /// Another one each time.
    Elsewhere,
}

/// Log-ins of somebody honest.
pub(super) struct LogIns {
    to: SocketAddr,
    token: String,
}

impl LogIns {
    /// Signs somebody up, and in from every place that is to be known.
    pub(super) async fn prepare(to: SocketAddr) -> Result<Self, String> {
        for email in [DEVELOPER.0, TRAVELLER] {
            let user = json!({"name": "Dev Eloper", "email": email, "password": DEVELOPER.1});
            let (status, body) = send(to, "POST /api/v1/users", home(0), &user).await?;
            if status != 201 {
                return Err(format!("no sign-up: {status} {body}"));
            }
        }
        let mut honest = Self {
            to,
            token: String::new(),
        };
        for place in 0..HOMES {
            let session: Value =
                serde_json::from_str(&honest.log_in(DEVELOPER.0, home(place)).await?)
                    .map_err(message)?;
            let token = session["token"].as_str().unwrap_or_default();
            token.clone_into(&mut honest.token);
        }
        Ok(honest)
    }

    /// Of one of the sessions.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    async fn log_in(&self, email: &str, from: Ipv4Addr) -> Result<String, String> {
        let body = json!({"email": email, "password": DEVELOPER.1});
        let (status, body) = send(self.to, "POST /api/v1/session", from, &body).await?;
        match status {
            200 | 201 => Ok(body),
            refused => Err(format!("no log-in: {refused} {body}")),
        }
    }

    /// Seconds of so many log-ins, one after the other; fewer where they take too long.
    pub(super) async fn take(&self, count: usize, from: Origin) -> Vec<f64> {
        let mut times = Vec::with_capacity(count);
        let end = Instant::now() + ALL;
        for number in 0..count {
            if Instant::now() > end && number >= FEWEST {
                break;
            }
            let [.., high, low] = number.to_be_bytes();
            let (email, from) = match from {
                Origin::Home => (DEVELOPER.0, home(low % HOMES)),
                Origin::Elsewhere => (TRAVELLER, Ipv4Addr::new(198, 18, high, low)),
            };
            let began = Instant::now();
            times.push(match self.log_in(email, from).await {
                Ok(_) => began.elapsed().as_secs_f64(),
                Err(_) => REFUSED,
            });
        }
        times
    }
}

fn home(place: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, place)
}
