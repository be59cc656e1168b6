//! The services behind a listener as separate processes have it.

use std::{collections::BTreeMap, path::Path};

use http::uri::PathAndQuery;
use portico::run::wiring::{self, Opened};
use portico_runtime::{Caller, Clock, Config, IdentityKey, SERVICE, ServiceName};
use portico_tests::cluster::Authority;
use tempfile::TempDir;
use tonic::{
    Status,
    client::Grpc,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};
use tonic_prost::ProstCodec;

pub struct World {
    identity: IdentityKey,
    channels: BTreeMap<&'static str, Channel>,
    _opened: Opened,
    _folder: TempDir,
}

impl World {
    pub async fn start() -> Self {
        // A second installation is refused; the first one serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(folder.path());
        for name in ServiceName::ALL.map(ServiceName::as_str) {
            authority.issue(name);
        }
        authority.issue("edge");
        let strangers = folder.path().join("strangers");
        std::fs::create_dir(&strangers).unwrap();
        Authority::new(&strangers).issue("edge");

        let file = |name: &str| folder.path().join(name).display().to_string();
        // One process has all services here, so it has to be called as one of them.
        let variables = [
            ("PORTICO_DATA_DIR", file("data")),
            ("PORTICO_SERVICES_LISTEN", "127.0.0.1:0".to_owned()),
            ("PORTICO_SERVICES_TLS_CERT_FILE", file("catalog.pem")),
            ("PORTICO_SERVICES_TLS_KEY_FILE", file("catalog.key")),
            ("PORTICO_SERVICES_TLS_CA_FILE", file("authority.pem")),
        ];
        let config = Config::from_parts(None, variables).unwrap();
        let opened = wiring::open(config, Clock::system()).await.unwrap();
        let address = portico::run::apart::serve_services(&opened.deps, &opened.services);
        let url = format!("https://{}", address.unwrap());
        let mut channels = BTreeMap::new();
        for name in ServiceName::ALL
            .map(ServiceName::as_str)
            .into_iter()
            .chain(["edge"])
        {
            channels.insert(
                name,
                channel(&url, folder.path(), Some((folder.path(), name))),
            );
        }
        channels.insert(
            "stranger",
            channel(&url, folder.path(), Some((&strangers, "edge"))),
        );
        channels.insert("nobody", channel(&url, folder.path(), None));
        Self {
            identity: opened.deps.identity.clone(),
            channels,
            _opened: opened,
            _folder: folder,
        }
    }

    /// An empty message to a method, as a caller, with the certificate of a process.
    pub async fn call(
        &self,
        service: ServiceName,
        path: &str,
        caller: &Caller,
        process: &str,
    ) -> Result<(), Status> {
        let mut grpc = Grpc::new(self.channels[process].clone());
        grpc.ready()
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let mut request = self.identity.request(caller, ());
        request
            .metadata_mut()
            .insert(SERVICE, service.as_str().parse().unwrap());
        let path = PathAndQuery::try_from(path).unwrap();
        let codec = ProstCodec::<(), ()>::default();
        // The first message is enough of a stream.
        grpc.server_streaming(request, path, codec).await.map(drop)
    }
}

fn channel(url: &str, folder: &Path, certificate: Option<(&Path, &str)>) -> Channel {
    let read = |folder: &Path, name: String| std::fs::read(folder.join(name)).unwrap();
    let authority = Certificate::from_pem(read(folder, "authority.pem".to_owned()));
    let mut tls = ClientTlsConfig::new()
        .ca_certificate(authority)
        .domain_name("catalog");
    if let Some((folder, name)) = certificate {
        let (own, key) = (format!("{name}.pem"), format!("{name}.key"));
        tls = tls.identity(Identity::from_pem(read(folder, own), read(folder, key)));
    }
    let endpoint = Endpoint::from_shared(url.to_owned()).unwrap();
    endpoint.tls_config(tls).unwrap().connect_lazy()
}
