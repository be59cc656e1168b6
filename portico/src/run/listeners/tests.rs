//! Listeners on real sockets, with an attacker before them.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    routing::{get, post},
};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use portico_runtime::config::Connections;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use futures::{FutureExt as _, StreamExt as _};

use super::{Server, listen};

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const LONG: Duration = Duration::from_mins(10);
const SHORT: Duration = Duration::from_millis(200);

pub(super) fn limits(max: usize, max_per_address: usize) -> Connections {
    Connections {
        max,
        max_per_address,
        header_timeout: LONG,
        idle_timeout: LONG,
        stall_timeout: LONG,
        min_read_rate: 1,
        requests_per_connection: 10,
        max_body_bytes: 1 << 20,
        streams_per_user: 1,
        health_streams: 1,
    }
}

/// `/readyz` and `/` answer at once, `/work` when the work is let go.
struct Listener {
    address: SocketAddr,
    work: watch::Sender<bool>,
    /// Requests that have begun to work.
    begun: watch::Receiver<usize>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Listener {
    async fn start(limits: Connections) -> Self {
        Self::behind(limits, &[]).await
    }

    async fn behind(limits: Connections, proxies: &[&str]) -> Self {
        let proxies = proxies.iter().map(|net| net.parse().unwrap()).collect();
        Self::on(|tasks, shutdown| Server::within(limits, proxies, tasks, shutdown)).await
    }

    async fn on(server: impl FnOnce(TaskTracker, CancellationToken) -> Server) -> Self {
        let (work, let_go) = watch::channel(false);
        let (begin, begun) = watch::channel(0);
        let working = move || {
            let (mut let_go, begin) = (let_go.clone(), begin.clone());
            async move {
                begin.send_modify(|count| *count += 1);
                let_go.wait_for(|go| *go).await.unwrap();
                "done"
            }
        };
        let router = Router::new()
            .route("/", get(async || "here"))
            .route("/readyz", get(async || "ready"))
            .route("/work", get(working.clone()))
            .route("/upload", post(async move |_: Bytes| working().await))
            .route("/endless", get(endless));
        let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let server = server(tasks.clone(), shutdown.clone());
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        server.serve(listener, None, router);
        Self {
            address,
            work,
            begun,
            shutdown,
            tasks,
        }
    }

    async fn connect(&self, from: Ipv4Addr) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((IpAddr::V4(from), 0).into()).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    /// A request that is at work when this returns.
    async fn at_work(&mut self, from: Ipv4Addr) -> TcpStream {
        let before = *self.begun.borrow();
        let mut stream = self.connect(from).await;
        stream.write_all(&request("/work")).await.unwrap();
        self.begun.wait_for(|count| *count > before).await.unwrap();
        stream
    }

    /// One HTTP/2 connection that reads so much of an answer before it says that it has; and what resolves when it ends.
    async fn http2(&self, window: u32) -> (Http2, JoinHandle<()>) {
        let io = TokioIo::new(self.connect(HERE).await);
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(window);
        let (client, connection) = builder.handshake(io).await.unwrap();
        // Whichever side ends it.
        (client, tokio::spawn(connection.map(drop)))
    }

    /// An upload of so many bytes, of which these are sent.
    async fn upload(&self, from: Ipv4Addr, length: usize, sent: usize, kind: &str) -> TcpStream {
        let mut stream = self.connect(from).await;
        let head = format!(
            "POST /upload HTTP/1.1\r\nhost: portal\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b'a'; sent]).await.unwrap();
        stream
    }

    /// The whole answer on a connection of its own.
    async fn ask(&self, from: Ipv4Addr, path: &str) -> String {
        self.send(from, &format!("GET {path} HTTP/1.1\r\n")).await
    }

    async fn send(&self, from: Ipv4Addr, head: &str) -> String {
        let mut stream = self.connect(from).await;
        let request = format!("{head}host: portal\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        rest(&mut stream).await
    }
}

type Http2 = http2::SendRequest<Body>;

/// One event, and then nothing.
async fn endless() -> Body {
    let event = futures::stream::iter([Ok::<_, std::io::Error>("event")]);
    Body::from_stream(event.chain(futures::stream::pending()))
}

fn get_request(path: &str) -> http::Request<Body> {
    let uri = format!("http://portal{path}");
    http::Request::get(uri).body(Body::empty()).unwrap()
}

fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: portal\r\n\r\n").into_bytes()
}

/// What comes until the other side closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut bytes));
    // A reset ends a connection, too.
    let _ = read.await.expect("the connection stays open");
    String::from_utf8(bytes).unwrap()
}

/// One answer on a connection that stays open.
async fn one(stream: &mut TcpStream) -> String {
    let mut bytes = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut bytes));
    let count = read.await.expect("no answer").unwrap();
    String::from_utf8(bytes[..count].to_vec()).unwrap()
}

#[tokio::test]
async fn a_slow_head_is_not_waited_for() {
    let listener = Listener::start(Connections {
        header_timeout: SHORT,
        ..limits(10, 10)
    })
    .await;
    for half in [
        &b""[..],
        b"GET / HTT",
        b"GET / HTTP/1.1\r\nhost: portal\r\nx-more: ",
        b"PRI * HTTP/2.0\r\n",
    ] {
        let mut stream = listener.connect(HERE).await;
        stream.write_all(half).await.unwrap();
        assert_eq!(rest(&mut stream).await, "");
    }
    // Also after a whole request.
    let mut stream = listener.connect(HERE).await;
    stream.write_all(&request("/")).await.unwrap();
    assert!(one(&mut stream).await.ends_with("here"));
    stream.write_all(b"GET / HTT").await.unwrap();
    assert_eq!(rest(&mut stream).await, "");
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_one_at_work_is_not() {
    let mut listener = Listener::start(Connections {
        idle_timeout: SHORT,
        ..limits(10, 10)
    })
    .await;
    let mut at_work = listener.at_work(HERE).await;
    let mut idle = listener.connect(HERE).await;
    idle.write_all(&request("/")).await.unwrap();
    assert!(rest(&mut idle).await.ends_with("here"), "and then closed");
    listener.work.send_replace(true);
    assert!(one(&mut at_work).await.ends_with("done"));
}

#[tokio::test]
async fn half_open_requests_keep_nobody_out() {
    let listener = Listener::start(limits(100, 40)).await;
    let mut flood = Vec::new();
    for _ in 0..300 {
        let mut stream = listener.connect(HERE).await;
        stream.write_all(b"GET / HTT").await.unwrap();
        flood.push(stream);
    }
    for path in ["/readyz", "/"] {
        for from in [HERE, ELSEWHERE] {
            let answer = listener.ask(from, path).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        }
    }
    // The first ones gave way, the last ones have their time.
    assert_eq!(rest(&mut flood[0]).await, "");
    let last = flood.last_mut().unwrap();
    last.write_all(b"P/1.1\r\nhost: portal\r\n\r\n")
        .await
        .unwrap();
    assert!(one(last).await.ends_with("here"));
}

#[tokio::test]
async fn an_address_with_too_many_at_work_is_told_so() {
    let mut listener = Listener::start(limits(10, 2)).await;
    let mut first = listener.at_work(HERE).await;
    let _second = listener.at_work(HERE).await;
    let refused = listener.ask(HERE, "/").await;
    assert!(refused.starts_with("HTTP/1.1 429"), "{refused}");
    for part in [
        "retry-after: 5",
        "application/problem+json",
        "\"code\":\"too_many_connections\"",
    ] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    let grpc = "POST /x HTTP/1.1\r\ncontent-type: application/grpc\r\ncontent-length: 0\r\n";
    let refused = listener.send(HERE, grpc).await;
    assert!(refused.contains("grpc-status: 8"), "{refused}");
    // Neither the probes nor anybody else are kept out.
    assert!(listener.ask(HERE, "/readyz").await.ends_with("ready"));
    assert!(listener.ask(ELSEWHERE, "/").await.ends_with("here"));
    // What has finished makes room.
    listener.work.send_replace(true);
    assert!(one(&mut first).await.ends_with("done"));
    assert!(listener.ask(HERE, "/").await.ends_with("here"));
}

#[tokio::test]
async fn a_listener_with_too_many_at_work_says_so() {
    let mut listener = Listener::start(limits(2, 2)).await;
    let _first = listener.at_work(HERE).await;
    let _second = listener.at_work(HERE).await;
    let refused = listener.ask(ELSEWHERE, "/").await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("connections_exhausted") && refused.contains("retry-after: 5"));
    assert!(listener.ask(ELSEWHERE, "/readyz").await.ends_with("ready"));
}

#[tokio::test]
async fn a_trusted_proxy_has_no_limit_of_its_own() {
    let mut listener = Listener::behind(limits(10, 1), &["127.0.0.2/32"]).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(listener.at_work(ELSEWHERE).await);
    }
    assert!(listener.ask(ELSEWHERE, "/").await.ends_with("here"));
}

#[tokio::test]
async fn what_has_begun_is_finished_at_the_end_and_nothing_else_is_waited_for() {
    let mut listener = Listener::start(Connections {
        header_timeout: SHORT,
        ..limits(10, 10)
    })
    .await;
    let mut at_work = listener.at_work(HERE).await;
    let mut half_open = listener.connect(HERE).await;
    half_open.write_all(b"GET / HTT").await.unwrap();
    listener.shutdown.cancel();
    listener.tasks.close();
    assert_eq!(rest(&mut half_open).await, "");
    listener.work.send_replace(true);
    assert!(rest(&mut at_work).await.ends_with("done"));
    listener.tasks.wait().await;
}

#[tokio::test]
async fn an_http2_peer_that_lets_nothing_be_sent_is_not_waited_for() {
    let listener = Listener::start(Connections {
        stall_timeout: SHORT,
        ..limits(10, 10)
    })
    .await;
    let (mut client, connection) = listener.http2(0).await;
    let answer = client.send_request(get_request("/endless")).await.unwrap();
    assert_eq!(answer.status(), 200);
    let ended = tokio::time::timeout(Duration::from_secs(20), connection);
    ended.await.expect("the connection stays open").unwrap();
}

#[tokio::test]
async fn a_body_that_is_silent_is_refused() {
    let listener = Listener::start(Connections {
        stall_timeout: SHORT,
        ..limits(10, 10)
    })
    .await;
    let mut silent = listener.upload(HERE, 100, 99, "text/plain").await;
    let refused = rest(&mut silent).await;
    assert!(refused.starts_with("HTTP/1.1 408"), "{refused}");
    assert!(refused.contains("\"code\":\"body_stalled\"") && refused.contains("\"status\":408"));
    let mut silent = listener.upload(HERE, 100, 0, "application/grpc").await;
    let refused = rest(&mut silent).await;
    assert!(refused.contains("grpc-status: 3"), "{refused}");
}

#[tokio::test]
async fn bodies_that_are_not_answered_have_so_much_memory() {
    let listener = Listener::start(Connections {
        max_body_bytes: 1000,
        ..limits(10, 5)
    })
    .await;
    let upload = async |from| listener.upload(from, 400, 400, "text/plain").await;
    let mut begun = listener.begun.clone();
    let mut first = upload(HERE).await;
    begun.wait_for(|count| *count == 1).await.unwrap();
    let refused = one(&mut upload(HERE).await).await;
    assert!(refused.starts_with("HTTP/1.1 429"), "{refused}");
    assert!(refused.contains("too_many_bodies") && refused.contains("retry-after: 5"));
    let mut second = upload(ELSEWHERE).await;
    begun.wait_for(|count| *count == 2).await.unwrap();
    let refused = one(&mut upload(Ipv4Addr::new(127, 0, 0, 3)).await).await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("bodies_exhausted") && refused.contains("retry-after: 5"));
    // What was answered makes room.
    listener.work.send_replace(true);
    for stream in [&mut first, &mut second, &mut upload(HERE).await] {
        assert!(one(stream).await.ends_with("done"));
    }
}

#[tokio::test]
async fn a_service_takes_a_stream_for_each_that_an_edge_has() {
    const STREAMS: usize = 250;
    let listener = Listener::on(|tasks, shutdown| {
        let limits = limits(STREAMS, STREAMS);
        Server::within(limits, Vec::new(), tasks, shutdown).for_services()
    })
    .await;
    let (mut client, _connection) = listener.http2(1 << 16).await;
    let answers: Vec<_> = (0..STREAMS)
        .map(|_| client.send_request(get_request("/work")))
        .collect();
    let answers = tokio::spawn(futures::future::join_all(answers));
    let mut begun = listener.begun.clone();
    begun.wait_for(|count| *count == STREAMS).await.unwrap();
    listener.work.send_replace(true);
    assert!(answers.await.unwrap().iter().all(Result::is_ok));
}
