//! Which addresses are called, and which are not.

use portico_runtime::outgoing::{Outgoing, PortList};
use portico_runtime::outgoing::{OutgoingError, OutgoingSettings, Refusal};
use portico_vault::Secret;
use url::Url;

use crate::server::{Server, allow, get_from, outgoing};

fn not_public(host: &str) -> OutgoingError {
    Refusal::NotPublic {
        host: host.to_owned(),
    }
    .into()
}

#[tokio::test]
async fn literal_addresses_in_every_notation_are_refused() {
    let nothing = outgoing(&[]);
    for (written, meant) in [
        ("127.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0x7f.0.0.1", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1"),
        ("%31%32%37.0.0.1", "127.0.0.1"),
        ("①②⑦.0.0.1", "127.0.0.1"),
        ("0", "0.0.0.0"),
        ("169.254.169.254", "169.254.169.254"),
        ("10.0.0.1", "10.0.0.1"),
        ("100.64.0.1", "100.64.0.1"),
        ("224.0.0.1", "224.0.0.1"),
        ("[::1]", "::1"),
        ("[::]", "::"),
        ("[::ffff:127.0.0.1]", "::ffff:127.0.0.1"),
        ("[::ffff:7f00:1]", "::ffff:127.0.0.1"),
        ("[fd00::1]", "fd00::1"),
        ("[fe80::1]", "fe80::1"),
        ("[64:ff9b::7f00:1]", "64:ff9b::7f00:1"),
    ] {
        for scheme in ["http", "https"] {
            let url: Url = format!("{scheme}://{written}/").parse().unwrap();
            let refused = nothing.send(get_from(url)).await;
            assert_eq!(refused.unwrap_err(), not_public(meant), "{written}");
        }
    }
}

#[tokio::test]
async fn a_name_is_judged_by_what_it_resolves_to() {
    let server = Server::start().await;
    let url: Url = format!("http://localhost:{}/hello", server.port())
        .parse()
        .unwrap();
    let refused = outgoing(&[]).send(get_from(url.clone())).await;
    assert_eq!(refused.unwrap_err(), not_public("localhost"));
    assert_eq!(server.connections(), 0);

    let by_name = format!("localhost:{}", server.port());
    for entry in [
        "localhost",
        "LOCALHOST",
        "127.0.0.1",
        "127.0.0.0/8",
        &by_name,
    ] {
        let answer = outgoing(&[entry]).send(get_from(url.clone())).await;
        assert_eq!(answer.unwrap().body, "hello ", "{entry}");
    }
}

#[tokio::test]
async fn an_entry_with_a_port_allows_that_port_only() {
    let (listed, other) = (Server::start().await, Server::start().await);
    for entry in [
        format!("127.0.0.1:{}", listed.port()),
        format!("localhost:{}", listed.port()),
    ] {
        let outgoing = outgoing(&[&entry]);
        for host in ["127.0.0.1", "localhost"] {
            let url = |server: &Server| -> Url {
                format!("http://{host}:{}/hello", server.port())
                    .parse()
                    .unwrap()
            };
            outgoing.send(get_from(url(&listed))).await.unwrap();
            let refused = outgoing.send(get_from(url(&other))).await;
            assert_eq!(refused.unwrap_err(), not_public(host), "{entry} {host}");
        }
    }
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn schemes_credentials_and_ports_are_refused() {
    let nothing = outgoing(&["127.0.0.1"]);
    for (url, refusal) in [
        ("ftp://example.org/", Refusal::Scheme),
        ("file:///etc/passwd", Refusal::Scheme),
        ("gopher://127.0.0.1:80/", Refusal::Scheme),
        ("data:text/plain,x", Refusal::Scheme),
        ("http://user@127.0.0.1/", Refusal::Credentials),
        ("http://:password@127.0.0.1/", Refusal::Credentials),
        ("http://example.org:22/", Refusal::Port(22)),
        ("http://127.0.0.1:25/", Refusal::Port(25)),
    ] {
        let url: Url = url.parse().unwrap();
        assert_eq!(nothing.check(&url), Err(refusal.clone()), "{url}");
        let refused = nothing.send(get_from(url)).await;
        assert_eq!(refused.unwrap_err(), refusal.into());
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let server = Server::start().await;
    let answer = outgoing(&["127.0.0.1"])
        .send(get_from(server.url("/redirect")))
        .await
        .unwrap();
    assert_eq!(answer.status, 307);
    assert_eq!(answer.headers["location"], "/hello");
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_proxy_is_used_except_for_what_is_listed() {
    let (proxy, listed) = (Server::start_proxy().await, Server::start().await);
    let outgoing = Outgoing::new(OutgoingSettings {
        allow: allow(&[&listed.address.to_string()]),
        ports: PortList::default(),
        proxy: Some(Secret::new(format!("http://{}", proxy.address))),
        ..OutgoingSettings::default()
    });
    let far = get_from("http://name.invalid/far".parse().unwrap());
    let answer = outgoing.send(far).await.unwrap();
    assert_eq!(answer.body, "proxied http://name.invalid/far");

    let near = outgoing.send(get_from(listed.url("/hello"))).await.unwrap();
    assert_eq!(near.body, "hello ");

    let private = get_from("http://localhost/".parse().unwrap());
    let refused = outgoing.send(private).await;
    assert_eq!(refused.unwrap_err(), not_public("localhost"));
    assert_eq!(proxy.requests(), 1);
}
