//! A load balancer as people have one before their edges: connections go in turn to those that say they are ready.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

/// How often each edge is asked whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// Ends when it is dropped.
pub(super) struct Balancer {
    address: SocketAddr,
    edges: Arc<Vec<Edge>>,
    _tasks: JoinSet<()>,
}

struct Edge {
    address: SocketAddr,
    ready: AtomicBool,
}

impl Balancer {
    pub(super) async fn start(edges: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let edge = |address| Edge {
            address,
            ready: AtomicBool::new(false),
        };
        let edges = Arc::new(edges.into_iter().map(edge).collect::<Vec<_>>());
        let mut tasks = JoinSet::new();
        tasks.spawn(watch(Arc::clone(&edges)));
        tasks.spawn(accept(listener, Arc::clone(&edges)));
        Self {
            address,
            edges,
            _tasks: tasks,
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until every edge was found ready.
    pub(super) async fn all_are_known(&self) {
        while !self
            .edges
            .iter()
            .all(|edge| edge.ready.load(Ordering::SeqCst))
        {
            sleep(ASK_EVERY).await;
        }
    }
}

async fn watch(edges: Arc<Vec<Edge>>) {
    loop {
        let asked = edges.iter().map(async |edge| {
            let ready = is_ready(edge.address).await;
            edge.ready.store(ready, Ordering::SeqCst);
        });
        join_all(asked).await;
        sleep(ASK_EVERY).await;
    }
}

async fn accept(listener: TcpListener, edges: Arc<Vec<Edge>>) {
    let turn = AtomicUsize::new(0);
    let mut connections = JoinSet::new();
    while let Ok((mut client, _)) = listener.accept().await {
        let first = turn.fetch_add(1, Ordering::SeqCst);
        let edges = Arc::clone(&edges);
        connections.spawn(async move {
            let mut order: Vec<&Edge> = edges.iter().collect();
            order.rotate_left(first % edges.len());
            order.sort_by_key(|edge| !edge.ready.load(Ordering::SeqCst));
            for edge in order {
                if let Ok(mut server) = TcpStream::connect(edge.address).await {
                    // Either side may hang up.
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                    return;
                }
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Whether `/readyz` there says 200.
pub(super) async fn is_ready(address: SocketAddr) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        let request =
            format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer.starts_with(b"HTTP/1.1 200"))
    };
    matches!(timeout(Duration::from_secs(5), ask).await, Ok(Ok(true)))
}
