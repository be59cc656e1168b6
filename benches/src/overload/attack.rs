//! The attacks, each with as much at the same time as one machine easily has.

use std::{fmt, net::Ipv4Addr, net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinSet,
};

use super::visitor::{connect, send};

/// The proxy through which people come; believed about their addresses.
pub(super) const PROXY: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Log-ins and sign-ups under way.
const TRIES: usize = 30;
/// Between two tries of one attacker; without it an attack would measure who of both programs gets the processor.
const PAUSE: Duration = Duration::from_millis(50);
const HALF_OPEN: usize = 2000;
const STREAMS: usize = 1500;
/// Addresses from which connections come that do not go through the proxy.
const ADDRESSES: usize = 10;
/// Until a connection that was ended is replaced.
const AGAIN: Duration = Duration::from_secs(1);
/// Until a stream that was refused is asked for again.
const LATER: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Attack {
    /// Wrong passwords, from one address.
    LogIns,
    /// Wrong passwords, each from another address at another account.
    LogInsFromMany,
    /// Sign-ups from one address.
    SignUps,
    /// Sign-ups, each from another address.
    SignUpsFromMany,
    /// Connections on which the head of a request begins and does not end.
    HalfOpen,
    /// Event streams of one user.
    Streams,
}

impl Attack {
    pub(super) const ALL: [Self; 6] = [
        Self::LogIns,
        Self::LogInsFromMany,
        Self::SignUps,
        Self::SignUpsFromMany,
        Self::HalfOpen,
        Self::Streams,
    ];

    pub(super) fn is_of_log_ins(self) -> bool {
        matches!(self, Self::LogIns | Self::LogInsFromMany)
    }

    /// Goes on until what is returned is dropped.
    pub(super) fn begin(self, to: SocketAddr, token: &str) -> JoinSet<()> {
        let mut attackers = JoinSet::new();
        match self {
            Self::LogIns | Self::LogInsFromMany | Self::SignUps | Self::SignUpsFromMany => {
                for number in 0..TRIES {
                    attackers.spawn(tries(self, to, number));
                }
            }
            Self::HalfOpen => {
                let head = "GET / HTTP/1.1\r\nHost: portal\r\nX-More: ".to_owned();
                for number in 0..HALF_OPEN {
                    attackers.spawn(held(to, number, head.clone(), AGAIN));
                }
            }
            Self::Streams => {
                let head = format!(
                    "GET /api/v1/events HTTP/1.1\r\nHost: portal\r\nAuthorization: Bearer {token}\r\n\r\n"
                );
                for number in 0..STREAMS {
                    attackers.spawn(held(to, number, head.clone(), LATER));
                }
            }
        }
        attackers
    }

    fn body(self, number: usize, tried: usize) -> Value {
        let email = format!("user{number}.{tried}@attack.example");
        match self.is_of_log_ins() {
            true => json!({"email": email, "password": "not the password"}),
            false => json!({"name": "Some Body", "email": email, "password": "a-long-password"}),
        }
    }
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LogIns => "30 log-ins, one address",
            Self::LogInsFromMany => "30 log-ins, many addresses",
            Self::SignUps => "30 sign-ups, one address",
            Self::SignUpsFromMany => "30 sign-ups, many addresses",
            Self::HalfOpen => "2 000 half-open requests",
            Self::Streams => "1 500 streams of one user",
        })
    }
}

/// One attacker, who begins again when it is answered, however.
async fn tries(attack: Attack, to: SocketAddr, number: usize) {
    let head = match attack.is_of_log_ins() {
        true => "POST /api/v1/session",
        false => "POST /api/v1/users",
    };
    let many = matches!(attack, Attack::LogInsFromMany | Attack::SignUpsFromMany);
    let mut tried = 0_usize;
    loop {
        tried += 1;
        let [.., high, low] = (if many { tried } else { 0 }).to_be_bytes();
        let attacker = if many { low_byte(number) } else { 0 };
        // A refusal is what is wanted.
        let _ = send(
            to,
            head,
            Ipv4Addr::new(10, attacker, high, low),
            &attack.body(number, tried),
        )
        .await;
        tokio::time::sleep(PAUSE).await;
    }
}

/// One connection, opened again when it is closed.
async fn held(to: SocketAddr, number: usize, head: String, pause: Duration) {
    let from = Ipv4Addr::new(127, 0, 0, 2 + low_byte(number % ADDRESSES));
    let mut bytes = [0; 1024];
    loop {
        if let Ok(mut stream) = connect(from, to).await
            && stream.write_all(head.as_bytes()).await.is_ok()
        {
            while stream.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
        }
        tokio::time::sleep(pause).await;
    }
}

fn low_byte(number: usize) -> u8 {
    let [.., low] = number.to_be_bytes();
    low
}
