//! The server's configuration, from what the services themselves say that they publish and consume.

use std::fmt::Write as _;

use portico::run::wiring;
use portico_bus::{ConsumerSpec, nats::durables};
use portico_runtime::{Clock, Config, ServiceName};

const STREAM: &str = "PORTICO";

const HEAD: &str = r#"# nats-server: one account, one user for each service.
#
# A service publishes its own events only, and reads through its own consumers only, each of which has the one subject that
# its permissions name. It makes the stream where it is missing, but can neither change nor delete it, nor the consumers of
# others. Its answers come to an inbox of its own.
#
# Generated: `UPDATE_NATS_CONFIG=1 cargo test -p portico --test nats_accounts` writes it again when a service
# publishes or consumes something else, and the test fails until then.
#
# Passwords come from the environment, or from a file that sets these variables and is not readable by others; each
# begins with a letter. A bcrypt hash (`nats server passwd`) does as well. In Portico:
#   PORTICO_NATS_URL=nats://catalog:password@nats:4222
# With `nsc` and .creds files instead, give each user these permissions and set PORTICO_NATS_CREDENTIALS_FILE.

# Start it with its data folder, and a port for probes if you want one:
#   nats-server -c nats-server.conf -sd /data -m 8222

jetstream {
  # An acknowledged message must survive a power cut, unless there are replicas on other machines.
  sync_interval: always
}

accounts {
  PORTICO {
    jetstream: enabled
    users: [
"#;

const TAIL: &str = r#"      # For people: `nats --user operator`. Changes the stream's limits, looks at what waits.
      { user: operator, password: $NATS_OPERATOR_PASSWORD }
    ]
  }
}
"#;

/// What each service consumes.
pub async fn consumers() -> Vec<(ServiceName, Vec<ConsumerSpec>)> {
    let folder = tempfile::tempdir().unwrap();
    let variables = [("PORTICO_DATA_DIR", folder.path().to_str().unwrap())];
    let config = Config::from_parts(None, variables).unwrap();
    let opened = wiring::open(config, Clock::system()).await.unwrap();
    let services = opened.services.iter();
    services
        .map(|service| (service.name, service.consumers.clone()))
        .collect()
}

pub fn password_variable(name: ServiceName) -> String {
    let name = name.as_str().replace('-', "_").to_uppercase();
    format!("NATS_{name}_PASSWORD")
}

pub fn server_config(services: &[(ServiceName, Vec<ConsumerSpec>)]) -> String {
    let mut text = HEAD.to_owned();
    for (name, consumers) in services {
        user(&mut text, *name, consumers);
    }
    text + TAIL
}

fn user(text: &mut String, name: ServiceName, consumers: &[ConsumerSpec]) {
    let mut publish = vec![
        format!("portico.{}.>", name.subject_word()),
        format!("$JS.API.STREAM.INFO.{STREAM}"),
        format!("$JS.API.STREAM.CREATE.{STREAM}"),
        // What readiness has stored there itself.
        format!(
            "$JS.API.DIRECT.GET.{STREAM}.{}",
            wiring::probe_subject(name)
        ),
    ];
    for (durable, subject) in consumers.iter().flat_map(durables) {
        // With another filter the server refuses to create or update it.
        let create = format!("$JS.API.CONSUMER.CREATE.{STREAM}.{durable}.{subject}");
        publish.push(create);
        for call in ["INFO", "MSG.NEXT"] {
            publish.push(format!("$JS.API.CONSUMER.{call}.{STREAM}.{durable}"));
        }
        publish.push(format!("$JS.ACK.{STREAM}.{durable}.>"));
    }
    let (user, password) = (name.as_str(), password_variable(name));
    let mut line = |line: &str| writeln!(text, "{line}").unwrap();
    line("      {");
    line(&format!("        user: \"{user}\", password: ${password}"));
    line("        permissions: {");
    line("          publish: { allow: [");
    for subject in publish {
        line(&format!("            \"{subject}\""));
    }
    line("          ] }");
    line(&format!(
        "          subscribe: {{ allow: [ \"_INBOX.{user}.>\" ] }}"
    ));
    line("        }");
    line("      }");
}
