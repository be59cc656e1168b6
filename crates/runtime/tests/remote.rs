//! Calls over the network, to replicas that come and go.

#[cfg(test)]
mod remote {
    use std::{
        io::ErrorKind,
        net::SocketAddr,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::{Duration, Instant},
    };

    use axum::{Router, extract::Request};
    use http_body_util::BodyExt as _;
    use portico_proto::{
        Error, Kind,
        catalog::v1::{
            CreatePlanRequest, GetPlanRequest, catalog_service_client::CatalogServiceClient,
        },
    };
    use portico_runtime::{Remote, ServiceChannel, ServiceName};
    use tokio::{
        io::AsyncReadExt as _,
        net::{TcpListener, TcpStream},
        runtime::{Builder, Runtime},
    };
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic::{Status, transport::Server};
    use tower::ServiceExt as _;

    type Client = CatalogServiceClient<ServiceChannel>;

    /// A replica that answers every method with `not_found`, and counts.
    struct Replica {
        address: SocketAddr,
        asked: Arc<AtomicUsize>,
        /// Of its own, so that its connections end with it.
        runtime: Option<Runtime>,
    }

    impl Drop for Replica {
        fn drop(&mut self) {
            if let Some(runtime) = self.runtime.take() {
                runtime.shutdown_background();
            }
        }
    }

    impl Replica {
        async fn start() -> Self {
            Self::listen("127.0.0.1:0".parse().unwrap()).await
        }

        async fn listen(address: SocketAddr) -> Self {
            let not_found = || Status::from(Error::not_found("plan"));
            Self::that_answers(address, move || not_found().into_http()).await
        }

        /// One that refuses whoever calls, because of its clock.
        async fn with_another_clock() -> Self {
            let differs = || {
                let error = Error::unavailable("clock_differs", "The clocks differ.");
                let mut response = Status::from(error).into_http::<axum::body::Body>();
                let headers = response.headers_mut();
                headers.insert("x-portico-not-taken", "1".parse().unwrap());
                response
            };
            Self::that_answers("127.0.0.1:0".parse().unwrap(), differs).await
        }

        async fn that_answers(
            address: SocketAddr,
            answer: impl Fn() -> http::Response<axum::body::Body> + Clone + Send + Sync + 'static,
        ) -> Self {
            let deadline = Instant::now() + Duration::from_secs(20);
            let listener = loop {
                match std::net::TcpListener::bind(address) {
                    // Of the replica before, whose runtime is still ending.
                    Err(error)
                        if error.kind() == ErrorKind::AddrInUse && Instant::now() < deadline =>
                    {
                        tokio::task::yield_now().await;
                    }
                    bound => break bound.unwrap(),
                }
            };
            let address = listener.local_addr().unwrap();
            listener.set_nonblocking(true).unwrap();
            let runtime = Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap();
            let asked = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&asked);
            let router = Router::new().fallback(async move |request: Request| {
                assert_eq!(request.headers()["x-portico-service"], "catalog");
                count.fetch_add(1, Ordering::SeqCst);
                answer()
            });
            runtime.spawn(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                let incoming = TcpListenerStream::new(listener);
                Server::builder()
                    .add_routes(router.into())
                    .serve_with_incoming(incoming)
                    .await
            });
            Self {
                address,
                asked,
                runtime: Some(runtime),
            }
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }
    }

    fn client(addresses: &[SocketAddr]) -> Client {
        let addresses = addresses.iter().map(|address| format!("http://{address}"));
        let addresses: Vec<_> = addresses.map(|url| url.parse().unwrap()).collect();
        let remote = Remote::new(ServiceName::Catalog, &addresses, None);
        CatalogServiceClient::new(ServiceChannel::remote(remote))
    }

    async fn get(client: &Client) -> Error {
        let answer = client.clone().get_plan(GetPlanRequest::default()).await;
        answer.unwrap_err().into()
    }

    async fn create(client: &Client) -> Error {
        let answer = client
            .clone()
            .create_plan(CreatePlanRequest::default())
            .await;
        answer.unwrap_err().into()
    }

    /// An address at which nobody listens.
    async fn nowhere() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    }

    /// Takes requests and hangs up without an answer.
    async fn hangs_up() -> (SocketAddr, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let counted = Arc::clone(&counted);
                tokio::spawn(async move { swallow(&mut stream, &counted).await });
            }
        });
        (address, count)
    }

    /// Speaks as much of HTTP/2 as is needed to be sent a request, then hangs up.
    async fn swallow(stream: &mut TcpStream, counted: &AtomicUsize) {
        use tokio::io::AsyncWriteExt as _;
        const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        const HEADERS: u8 = 1;
        stream.write_all(&SETTINGS).await.unwrap();
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).await.unwrap();
        loop {
            let mut head = [0; 9];
            if stream.read_exact(&mut head).await.is_err() {
                return;
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            stream.read_exact(&mut payload).await.unwrap();
            if head[3] == HEADERS {
                counted.fetch_add(1, Ordering::SeqCst);
                return;
            }
        }
    }

    #[tokio::test]
    async fn replicas_take_turns_and_one_that_is_away_is_left_out() {
        let (one, two) = (Replica::start().await, Replica::start().await);
        let client = client(&[one.address, nowhere().await, two.address]);
        for _ in 0..20 {
            assert_eq!(get(&client).await.kind, Kind::NotFound);
            assert_eq!(create(&client).await.kind, Kind::NotFound);
        }
        assert_eq!(one.asked() + two.asked(), 40);
        assert!(one.asked() > 5 && two.asked() > 5);
    }

    #[tokio::test]
    async fn a_service_that_is_away_is_named_and_found_again() {
        let replica = Replica::start().await;
        let client = client(&[replica.address]);
        assert_eq!(create(&client).await.kind, Kind::NotFound);
        let address = replica.address;
        drop(replica);
        // It is gone some time after that.
        let error = loop {
            let error = create(&client).await;
            if error.kind != Kind::NotFound {
                break error;
            }
        };
        assert_eq!(
            (error.kind, error.code.as_ref()),
            (Kind::Unavailable, "catalog_unavailable")
        );
        assert!(error.retry_after.is_some());
        let _again = Replica::listen(address).await;
        while create(&client).await.kind != Kind::NotFound {}
    }

    #[tokio::test]
    async fn what_may_have_had_an_effect_is_not_repeated() {
        let (address, count) = hangs_up().await;
        let other = Replica::start().await;
        let client = client(&[address, other.address]);
        let error = create(&client).await;
        assert_eq!(error.code, "catalog_unavailable");
        assert_eq!((count.load(Ordering::SeqCst), other.asked()), (1, 0));
    }

    #[tokio::test]
    async fn who_refuses_our_identity_has_done_nothing_so_another_one_is_asked() {
        let (wrong, right) = (Replica::with_another_clock().await, Replica::start().await);
        let client = client(&[wrong.address, right.address]);
        for _ in 0..10 {
            assert_eq!(create(&client).await.kind, Kind::NotFound);
        }
        assert!(wrong.asked() > 0);
        assert_eq!(right.asked(), 10);
        drop(right);
        // It is gone some time after that, and a call may be under way then.
        let error = loop {
            let error = create(&client).await;
            if error.kind != Kind::NotFound && error.code != "catalog_unavailable" {
                break error;
            }
        };
        assert_eq!(
            (error.kind, error.code.as_ref()),
            (Kind::Unavailable, "clock_differs")
        );
    }

    #[tokio::test]
    async fn reads_and_commands_with_a_key_are_repeated() {
        let (address, count) = hangs_up().await;
        let other = Replica::start().await;
        let read = client(&[address, other.address]);
        assert_eq!(get(&read).await.kind, Kind::NotFound);
        let mut keyed = tonic::Request::new(CreatePlanRequest::default());
        let key = "a-key".parse().unwrap();
        keyed.metadata_mut().insert("idempotency-key", key);
        let error = client(&[address, other.address]).create_plan(keyed).await;
        assert_eq!(Error::from(error.unwrap_err()).kind, Kind::NotFound);
        assert_eq!((count.load(Ordering::SeqCst), other.asked()), (2, 2));
    }

    #[tokio::test]
    async fn streams_that_nobody_reads_hold_up_no_calls() {
        const STREAM: &str = "/portico.access.v1.AccessService/WatchAccessRequests";
        const CALL: &str = "/portico.access.v1.AccessService/GetCart";
        let router = Router::new().fallback(async |request: Request| {
            let stream = request.uri().path() == STREAM;
            vec![0_u8; if stream { 1 << 20 } else { 1 << 10 }]
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let incoming = TcpListenerStream::new(listener);
        tokio::spawn(
            Server::builder()
                .add_routes(router.into())
                .serve_with_incoming(incoming),
        );
        let remote = Remote::new(ServiceName::AccessRequest, &[url.parse().unwrap()], None);
        let channel = ServiceChannel::remote(remote);
        let call = async |path: &str| {
            let request = http::Request::post(path).body(tonic::body::Body::empty());
            channel.clone().oneshot(request.unwrap()).await.unwrap()
        };
        let mut unread = Vec::new();
        for _ in 0..20 {
            unread.push(call(STREAM).await);
        }
        let answer = call(CALL).await.into_body().collect().await.unwrap();
        assert_eq!(answer.to_bytes().len(), 1 << 10);
        // And each goes on when it is read, whatever the others do.
        let last = unread.pop().unwrap().into_body().collect().await.unwrap();
        assert_eq!(last.to_bytes().len(), 1 << 20);
    }
}
