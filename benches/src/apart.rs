//! The services as processes of their own, on PostgreSQL that syncs each commit and NATS.

use portico_tests::cluster::{Cluster, Settings};
use portico_trials::{NatsServer, Postgres};
use tempfile::TempDir;

use crate::log::message;

/// A running cluster with its servers.
pub(crate) struct Apart {
    pub(crate) cluster: Cluster,
    pub(crate) postgres: Postgres,
    _nats: NatsServer,
    _folder: TempDir,
}

impl Apart {
    /// Starts so many replicas of each service and of the edge.
    pub(crate) async fn start(
        environment: Vec<(String, String)>,
        replicas: usize,
    ) -> Result<Self, String> {
        let settings = ["fsync=on", "shared_preload_libraries=pg_stat_statements"];
        let postgres = Postgres::start_with(&settings).await;
        let nats = NatsServer::start().await.map_err(message)?;
        let folder = tempfile::tempdir().map_err(message)?;
        let nats_url = nats.url();
        let cluster = Cluster::start(Settings {
            binary: std::env::current_exe()
                .map_err(message)?
                .with_file_name("portico"),
            folder: folder.path().to_owned(),
            database_url: postgres.url(),
            nats_url: Box::new(move |_| nats_url.clone()),
            environment,
            replicas,
        })
        .await;
        Ok(Self {
            cluster,
            postgres,
            _nats: nats,
            _folder: folder,
        })
    }
}
