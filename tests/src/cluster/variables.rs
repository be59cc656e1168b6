//! What each process of a cluster is told.

use std::collections::BTreeMap;

use portico_runtime::ServiceName;

use super::{Cluster, IDENTITY_KEY, KEK, Part, Replica};

impl Cluster {
    pub(super) fn variables(&self, replica: Replica) -> BTreeMap<String, String> {
        let place = &self.places[replica.place];
        let certificate = |kind: &str| {
            let file = format!("{}.{kind}", place.part.as_str());
            self.settings.folder.join(file).display().to_string()
        };
        // In this time the balancer has learnt that it goes.
        let notice = match place.part {
            Part::Service(_) => "300ms",
            Part::Edge => "2s",
        };
        let mut variables = BTreeMap::from(
            [
                (
                    "DATA_DIR",
                    self.settings
                        .folder
                        .join(place.name())
                        .display()
                        .to_string(),
                ),
                ("PUBLIC_URL", format!("http://{}", self.address())),
                ("KEK", KEK.to_owned()),
                ("SERVICES_IDENTITY_KEY", IDENTITY_KEY.to_owned()),
                ("SERVICES_TLS_CERT_FILE", certificate("pem")),
                ("SERVICES_TLS_KEY_FILE", certificate("key")),
                (
                    "SERVICES_TLS_CA_FILE",
                    self.settings
                        .folder
                        .join("authority.pem")
                        .display()
                        .to_string(),
                ),
                ("SHUTDOWN_NOTICE", notice.to_owned()),
            ]
            .map(|(name, value)| (format!("PORTICO_{name}"), value)),
        );
        for name in ServiceName::ALL {
            let replicas = self
                .places
                .iter()
                .filter(|place| place.part == Part::Service(name));
            let addresses: Vec<String> = replicas
                .map(|place| format!("https://{}", place.main))
                .collect();
            let key = name.as_str().replace('-', "_").to_uppercase();
            variables.insert(format!("PORTICO_SERVICES_{key}"), addresses.join(","));
        }
        let (first, second) = match place.part {
            Part::Service(_) => ("SERVICES_LISTEN", "HEALTH_LISTEN"),
            Part::Edge => ("LISTEN", "GRPC_LISTEN"),
        };
        variables.insert(format!("PORTICO_{first}"), place.main.to_string());
        variables.insert(format!("PORTICO_{second}"), place.second.to_string());
        variables.extend(self.settings.environment.iter().cloned());
        if let Part::Service(name) = place.part {
            let word = name.as_str().replace('-', "_");
            let database_url = self.settings.database_url.replace("{service}", &word);
            variables.insert("PORTICO_DATABASE_URL".to_owned(), database_url);
            let nats_url = (self.settings.nats_url)(place.part);
            variables.insert("PORTICO_NATS_URL".to_owned(), nats_url);
        }
        variables
    }
}
