//! The catalogue over REST and gRPC, and signing in.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use argon2::{Algorithm, Argon2, Params, Version};
use http::StatusCode;
use portico_proto::catalog::v1::{
    ListProductsRequest, ListProductsResponse, catalog_service_client::CatalogServiceClient,
};
use tonic::{metadata::AsciiMetadataValue, transport::Channel};

use crate::{
    bare, load,
    log::message,
    portal::{Process, product},
    ratio::compare,
    rounds::Rounds,
    row::{Aim, median},
};

const CONNECTIONS: usize = 16;
const PRODUCTS: usize = 200;
const PAGE: u32 = 20;

/// The catalogue is compared with a server that answers the same bytes and does nothing else.
pub(crate) async fn measure(rounds: &Rounds) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(message)?;
    let portal = Process::start(&folder.path().join("data")).await?;
    let admin = portal.admin().await?;
    for number in 0..PRODUCTS {
        product(
            &admin,
            &format!("Product {number}"),
            &format!("scope_{number}"),
            None,
        )
        .await?;
    }
    let developer = portal.developer().await?;
    let token = developer.token().ok_or("no token")?.to_owned();
    let path = format!("/api/v1/products?limit={PAGE}");
    let json = developer
        .get(&path)
        .await?
        .expect(StatusCode::OK)?
        .to_string();
    let bearer: AsciiMetadataValue = format!("Bearer {token}").parse().map_err(message)?;
    let mine = connect(portal.grpc()).await?;
    let mut client = CatalogServiceClient::new(mine.clone());
    let protobuf = client
        .list_products(list_request(&bearer))
        .await
        .map_err(message)?;
    let bare = bare::start(folder.path(), &json, protobuf.get_ref()).await?;

    let request =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    let http = async |address| load::http(address, &request, CONNECTIONS, rounds.seconds).await;
    let row = "catalogue over REST, signed in";
    let layered = "axum with the same middleware";
    for (peer, address, aim) in [(layered, bare.layered, 0.8), ("bare axum", bare.rest, 0.2)] {
        compare(
            rounds,
            row,
            peer,
            Aim::AtLeast(aim),
            async || Ok(http(portal.rest()).await?.rate),
            async || Ok(http(address).await?.rate),
        )
        .await?;
    }
    compare(
        rounds,
        &format!("{row}, p99 in seconds"),
        layered,
        Aim::AtMost(2.0),
        async || Ok(http(portal.rest()).await?.p99),
        async || Ok(http(bare.layered).await?.p99),
    )
    .await?;
    let theirs = connect(bare.grpc).await?;
    compare(
        rounds,
        "catalogue over gRPC, signed in",
        "bare tonic, the same message",
        Aim::AtLeast(0.7),
        async || call_rate(&mine, &bearer, rounds.seconds).await,
        async || call_rate(&theirs, &bearer, rounds.seconds).await,
    )
    .await?;
    sign_in(rounds, &portal).await
}

async fn connect(address: SocketAddr) -> Result<Channel, String> {
    let endpoint = Channel::from_shared(format!("http://{address}")).map_err(message)?;
    endpoint.connect().await.map_err(message)
}

fn list_request(bearer: &AsciiMetadataValue) -> tonic::Request<ListProductsRequest> {
    let mut request = tonic::Request::new(ListProductsRequest {
        limit: PAGE,
        ..ListProductsRequest::default()
    });
    request
        .metadata_mut()
        .insert("authorization", bearer.clone());
    request
}

async fn call_rate(
    channel: &Channel,
    bearer: &AsciiMetadataValue,
    seconds: u64,
) -> Result<f64, String> {
    let began = Instant::now();
    let end = began + Duration::from_secs(seconds);
    let clients = (0..CONNECTIONS).map(|_| {
        let mut client = CatalogServiceClient::new(channel.clone());
        let bearer = bearer.clone();
        tokio::spawn(async move {
            let mut count = 0_u32;
            while Instant::now() < end {
                let answer: ListProductsResponse = client
                    .list_products(list_request(&bearer))
                    .await
                    .map_err(message)?
                    .into_inner();
                if answer.products.is_empty() {
                    return Err("an empty answer".to_owned());
                }
                count += 1;
            }
            Ok(count)
        })
    });
    let mut total = 0;
    for client in futures::future::join_all(clients).await {
        total += client.map_err(message)??;
    }
    Ok(f64::from(total) / began.elapsed().as_secs_f64())
}

/// Seconds for one sign-in, against one hash with the parameters of the accounts service.
async fn sign_in(rounds: &Rounds, portal: &Process) -> Result<(), String> {
    const TIMES: usize = 10;
    let params = Params::new(19_456, 2, 1, None).map_err(message)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    compare(
        rounds,
        "sign-in, seconds",
        "one argon2id hash, m=19456 t=2 p=1",
        Aim::AtMost(1.2),
        async || {
            let mut times = Vec::new();
            for _ in 0..TIMES {
                let began = Instant::now();
                portal.admin().await?;
                times.push(began.elapsed().as_secs_f64());
            }
            Ok(median(&mut times))
        },
        async || {
            let mut times = Vec::new();
            for _ in 0..TIMES {
                let began = Instant::now();
                let mut hash = [0; 32];
                argon2
                    .hash_password_into(b"a-long-admin-password", b"sixteen bytes of", &mut hash)
                    .map_err(message)?;
                times.push(began.elapsed().as_secs_f64());
            }
            Ok(median(&mut times))
        },
    )
    .await
}
