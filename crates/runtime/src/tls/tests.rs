//! Certificates that change while connections are made.

use std::{fs, path::Path};

use http::Uri;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::mpsc,
};
use tower::ServiceExt as _;

use super::*;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// Certificate and key, in PEM.
    fn issue(&self, name: &str, last_year: i32) -> (String, String) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = date_time_ymd(last_year, 1, 1);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

/// The files of one process.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new(authorities: &[&Authority], (cert, key): (String, String)) -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        place.write("cert", &cert);
        place.write("key", &key);
        place.trust(authorities);
        place
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn trust(&self, authorities: &[&Authority]) {
        let bundle: String = authorities
            .iter()
            .map(|authority| authority.0.pem())
            .collect();
        self.write("ca", &bundle);
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        Path::new(self.folder.path()).join(name)
    }

    fn load(&self) -> Certificates {
        let files = Files {
            cert: self.path("cert"),
            key: self.path("key"),
            ca: Some(self.path("ca")),
        };
        Certificates::load("services", files).unwrap()
    }
}

const LATER: i32 = 2090;

fn now() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

#[test]
fn what_cannot_be_used_changes_nothing_and_is_told_once() {
    let authority = Authority::new("ours");
    let first = authority.issue("catalog", LATER);
    let place = Place::new(&[&authority], first.clone());
    let certificates = place.load();
    assert_eq!(certificates.look(now()), Look::Nothing);
    let before = certificates.expiries();

    let second = authority.issue("catalog", LATER - 1);
    let half = &second.0[..second.0.len() / 2];
    for (cert, key) in [
        (half, &first.1),
        ("", &first.1),
        // The key of another certificate: one file is replaced, the other one not yet.
        (second.0.as_str(), &first.1),
        (authority.issue("catalog", 2020).0.as_str(), &first.1),
    ] {
        place.write("cert", cert);
        place.write("key", key);
        let look = certificates.look(now());
        assert!(matches!(look, Look::Unusable(_)), "{look:?}");
        assert!(certificates.unusable().is_some());
        assert_eq!(certificates.look(now()), Look::Nothing, "told already");
        assert_eq!(certificates.expiries(), before);
    }
    place.write("cert", &first.0);
    assert_eq!(certificates.look(now()), Look::Restored);
    assert_eq!(certificates.unusable(), None);
    place.write("cert", &second.0);
    place.write("key", &second.1);
    assert_eq!(certificates.look(now()), Look::Renewed);
    assert_eq!(certificates.unusable(), None);
    assert_ne!(certificates.expiries(), before);
}

#[test]
fn an_expired_certificate_replaces_none_that_is_valid_and_is_replaced_itself() {
    let authority = Authority::new("ours");
    let (valid, expired) = (
        authority.issue("catalog", LATER),
        authority.issue("catalog", 2020),
    );
    let place = Place::new(&[&authority], valid.clone());
    let certificates = place.load();
    place.write("cert", &expired.0);
    place.write("key", &expired.1);
    let Look::Unusable(reason) = certificates.look(now()) else {
        panic!("an expired certificate is taken");
    };
    assert!(reason.ends_with("it has expired"), "{reason}");
    // A process that starts with it waits for another one.
    let late = place.load();
    place.write("cert", &valid.0);
    place.write("key", &valid.1);
    assert_eq!(late.look(now()), Look::Renewed);
}

/// Serves one byte on every connection, for as long as it stays open; says how each handshake went.
async fn serve(
    certificates: Certificates,
) -> (
    std::net::SocketAddr,
    mpsc::UnboundedReceiver<Result<(), &'static str>>,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (told, handshakes) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, told) = (certificates.acceptor(), told.clone());
            tokio::spawn(async move {
                let accepted = acceptor.accept(stream).await;
                let reason = |error: &std::io::Error| tls_reason(error).unwrap_or("no reason");
                told.send(accepted.as_ref().map(|_| ()).map_err(reason))
                    .unwrap();
                let Ok(mut stream) = accepted else { return };
                while let Ok(byte) = stream.read_u8().await {
                    stream.write_u8(byte).await.unwrap();
                }
            });
        }
    });
    (address, handshakes)
}

/// A connection that has been used.
async fn connect(
    address: std::net::SocketAddr,
    service: &'static str,
    certificates: &Certificates,
) -> Result<impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin, std::io::Error> {
    let connector = Connector::new(address, service, certificates.clone());
    let mut stream = connector
        .oneshot(Uri::from_static("http://replica"))
        .await?
        .into_inner();
    // A server that refuses us may have hung up; what it said comes first.
    let _ = stream.write_u8(7).await;
    stream.read_u8().await.map(|byte| assert_eq!(byte, 7))?;
    Ok(stream)
}

#[tokio::test]
async fn authorities_change_step_by_step_and_open_connections_go_on() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let server = Place::new(&[&old], old.issue("catalog", LATER));
    let client = Place::new(&[&old], old.issue("edge", LATER));
    let (serving, calling) = (server.load(), client.load());
    let (address, _handshakes) = serve(serving.clone()).await;
    let mut before = connect(address, "catalog", &calling).await.unwrap();

    let renew = |place: &Place, all: &Certificates| {
        assert_eq!(
            all.look(now()),
            Look::Renewed,
            "{}",
            place.folder.path().display()
        );
    };
    for (place, all) in [(&server, &serving), (&client, &calling)] {
        place.trust(&[&old, &new]);
        renew(place, all);
        connect(address, "catalog", &calling).await.unwrap();
    }
    for (place, all, name) in [(&server, &serving, "catalog"), (&client, &calling, "edge")] {
        let (cert, key) = new.issue(name, LATER);
        place.write("cert", &cert);
        place.write("key", &key);
        renew(place, all);
        connect(address, "catalog", &calling).await.unwrap();
    }
    for (place, all) in [(&server, &serving), (&client, &calling)] {
        place.trust(&[&new]);
        renew(place, all);
        connect(address, "catalog", &calling).await.unwrap();
    }
    before.write_u8(9).await.unwrap();
    assert_eq!(before.read_u8().await.unwrap(), 9);
}

#[tokio::test]
async fn both_sides_know_why_a_handshake_failed() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let edge = || ours.issue("edge", LATER);
    let catalog = || ours.issue("catalog", LATER);
    for (server, client, called, server_says, client_says) in [
        (
            Place::new(&[&ours], ours.issue("catalog", 2020)),
            Place::new(&[&ours], edge()),
            "catalog",
            "peer_says_certificate_expired",
            "certificate_expired",
        ),
        (
            Place::new(&[&ours], theirs.issue("catalog", LATER)),
            Place::new(&[&ours], edge()),
            "catalog",
            "peer_says_unknown_issuer",
            "unknown_issuer",
        ),
        (
            Place::new(&[&ours], catalog()),
            Place::new(&[&ours], edge()),
            "accounts",
            "peer_refuses_certificate",
            "name_mismatch",
        ),
        (
            Place::new(&[&ours], catalog()),
            Place::new(&[&ours], ours.issue("edge", 2020)),
            "catalog",
            "certificate_expired",
            "peer_says_certificate_expired",
        ),
        (
            Place::new(&[&ours], catalog()),
            Place::new(&[&ours], theirs.issue("edge", LATER)),
            "catalog",
            "unknown_issuer",
            "peer_says_unknown_issuer",
        ),
    ] {
        let (address, mut handshakes) = serve(server.load()).await;
        let failed = connect(address, called, &client.load())
            .await
            .err()
            .unwrap();
        assert_eq!(tls_reason(&failed), Some(client_says));
        assert_eq!(handshakes.recv().await, Some(Err(server_says)));
    }
}
