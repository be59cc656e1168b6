//! Whom a call over TLS trusts.

use std::sync::Arc;

use portico_runtime::outgoing::{OutgoingError, OutgoingRequest, TlsSettings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::server::{get_from, outgoing};

const AUTHORITY: &str = include_str!("../fixtures/authority.pem");
const SERVER: &str = include_str!("../fixtures/server.pem");
const KEY: &str = include_str!("../fixtures/server-key.pem");

/// A server with a certificate for `localhost` and 127.0.0.1; its port.
async fn start() -> u16 {
    let certificate = CertificateDer::from_pem_slice(SERVER.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not trust us goes away here.
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let _ = stream.read(&mut [0; 1024]).await;
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsafe";
            let _ = stream.write_all(answer).await;
            let _ = stream.shutdown().await;
        }
    });
    port
}

fn request(host: &str, port: u16, tls: TlsSettings) -> OutgoingRequest {
    let mut request = get_from(format!("https://{host}:{port}/").parse().unwrap());
    request.tls = tls;
    request
}

fn authority(pem: &str) -> TlsSettings {
    TlsSettings {
        skip_verify: false,
        ca_pem: Some(pem.to_owned()),
    }
}

#[tokio::test]
async fn an_unknown_authority_is_not_trusted() {
    let port = start().await;
    let error = outgoing(&["localhost"])
        .send(request("localhost", port, TlsSettings::default()))
        .await
        .unwrap_err();
    assert!(matches!(error, OutgoingError::Tls { .. }), "{error:?}");
    assert!(error.never_sent());
}

#[tokio::test]
async fn one_given_with_the_call_is_and_for_this_call_only() {
    let port = start().await;
    let outgoing = outgoing(&["localhost"]);
    for host in ["localhost", "127.0.0.1"] {
        let answer = outgoing
            .send(request(host, port, authority(AUTHORITY)))
            .await;
        assert_eq!(answer.unwrap().body, "safe", "{host}");
    }
    let other = outgoing
        .send(request("localhost", port, TlsSettings::default()))
        .await;
    assert!(matches!(other, Err(OutgoingError::Tls { .. })));
}

#[tokio::test]
async fn verification_can_be_skipped_for_one_call() {
    let port = start().await;
    let skip = TlsSettings {
        skip_verify: true,
        ca_pem: None,
    };
    let outgoing = outgoing(&["localhost"]);
    let answer = outgoing.send(request("localhost", port, skip)).await;
    assert_eq!(answer.unwrap().body, "safe");
    let other = outgoing
        .send(request("localhost", port, TlsSettings::default()))
        .await;
    assert!(matches!(other, Err(OutgoingError::Tls { .. })));
}

#[tokio::test]
async fn certificates_that_are_none_are_a_tls_error() {
    for pem in ["nonsense", "", KEY] {
        let refused = outgoing(&["localhost"])
            .send(request("localhost", 1024, authority(pem)))
            .await;
        assert!(matches!(refused, Err(OutgoingError::Tls { .. })), "{pem}");
    }
}

#[tokio::test]
async fn an_answer_without_tls_is_a_tls_error() {
    let server = crate::server::Server::start().await;
    let error = outgoing(&["localhost"])
        .send(request("localhost", server.port(), TlsSettings::default()))
        .await
        .unwrap_err();
    assert!(matches!(error, OutgoingError::Tls { .. }), "{error:?}");
}
