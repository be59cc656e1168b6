//! The contract by tools that nobody here wrote: the served document is valid and clean, clients that are generated from it
//! walk through the main flow, and gRPC clients of other languages understand what is refused. The programs are in
//! `tests/peers/contract`.

use std::{
    env, fs, iter,
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use portico_trials::{Server, Trial, trials, works};
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::{
    actions::{Configured, DEVELOPER_EMAIL, DEVELOPER_PASSWORD},
    process::{ADMIN_EMAIL, ADMIN_PASSWORD},
    world::{Backends, Provider, World},
};

const TOOLS: Server = Server {
    name: "tools of the contract",
    missing: || {
        let ours = ["ogen", "oapi-codegen", "grpcurl", "python"];
        let there = folder().join("node_modules/.bin/redocly").is_file()
            && ours.iter().all(|tool| installed().join(tool).exists());
        (!there || !works("go", "version") || !works("node", "--version"))
            .then_some("not installed (tests/peers/contract/install)")
    },
};

/// For one tool; far more than any needs.
const LIMIT: Duration = Duration::from_mins(5);

/// In their order: what a program makes, others need.
const STEPS: [&str; 16] = [
    "openapi-spec-validator openapi.json",
    "redocly lint --config redocly.yaml openapi.json",
    "spectral lint --ruleset spectral.yaml --fail-severity hint openapi.json",
    "openapi-python-client generate --fail-on-warning --path openapi.json --output-path python",
    "python flow.py",
    "openapi-typescript openapi.json --output api.d.ts",
    "tsc",
    "node flow.mjs",
    "oapi-codegen -generate types,client -package oapi -o oapi/oapi.go openapi.json",
    "ogen --config ogen.yml --target ogenapi --package ogenapi openapi.json",
    "go build -trimpath -o bin/ ./cmd/...",
    "bin/oapi",
    "bin/ogen",
    "bin/streams",
    "python streams.py",
    "node streams.mjs",
];

pub(crate) fn trials() -> Vec<Trial> {
    trials!(single, [TOOLS]; other_peoples_tools_understand_it)
}

async fn other_peoples_tools_understand_it() {
    let world = World::start(Provider::sandbox().await, Backends::embedded()).await;
    let portal = world.configure().await;
    let document = portal.developer.get("/api/v1/openapi.json").await.unwrap();
    let workshop = Workshop::new(&world, &portal);
    fs::write(
        workshop.folder.path().join("openapi.json"),
        document.body.to_string(),
    )
    .unwrap();
    for step in STEPS {
        let words: Vec<&str> = step.split(' ').collect();
        let output = workshop.run(&words).await;
        assert!(output.status.success(), "{step}\n{}", said(&output));
    }
    workshop.reflection(&world).await;
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/peers/contract")
}

fn installed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers/contract/bin")
}

fn said(output: &Output) -> String {
    let words = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    words.concat()
}

/// A copy of the programs, beside which the generated clients are put.
struct Workshop {
    folder: TempDir,
    given: String,
}

impl Workshop {
    fn new(world: &World, portal: &Configured) -> Self {
        let copy = tempfile::tempdir().unwrap();
        let programs = folder().canonicalize().unwrap();
        copy_files(&programs, copy.path());
        let modules = "node_modules";
        std::os::unix::fs::symlink(programs.join(modules), copy.path().join(modules)).unwrap();
        for made in ["oapi", "bin"] {
            fs::create_dir(copy.path().join(made)).unwrap();
        }
        let account = |email: &str, password: &str| json!({"email": email, "password": password});
        let given = json!({
            "url": format!("http://{}", world.portico.rest),
            "grpc": world.portico.grpc.to_string(),
            "admin": account(ADMIN_EMAIL, ADMIN_PASSWORD),
            "developer": account(DEVELOPER_EMAIL, DEVELOPER_PASSWORD),
            "token": portal.developer.token(),
            "product_id": portal.payments,
            "plan_id": portal.free,
            "client_type_id": portal.client_type_id,
        });
        Self {
            folder: copy,
            given: given.to_string(),
        }
    }

    async fn run(&self, words: &[&str]) -> Output {
        let folder = self.folder.path();
        let own = installed().canonicalize().unwrap();
        let path = env::var_os("PATH").unwrap_or_default();
        let path = [own, folder.join("node_modules/.bin")]
            .into_iter()
            .chain(env::split_paths(&path));
        let path = env::join_paths(path).unwrap();
        // `env` looks for the program in the new path.
        let output = Command::new("env")
            .args(words)
            .current_dir(folder)
            .env("PATH", path)
            .env("PYTHONPATH", folder.join("python"))
            .env("PORTICO_CONTRACT", &self.given)
            .env("REDOCLY_TELEMETRY", "off")
            .env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true")
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(LIMIT, output).await;
        output.expect("a tool ends").unwrap()
    }

    async fn grpcurl(&self, world: &World, before: &[&str], after: &[&str]) -> String {
        let address = world.portico.grpc.to_string();
        let begin = iter::once("grpcurl").chain(["-plaintext"]);
        let words = begin.chain(before.iter().copied());
        let words = words.chain([address.as_str()]).chain(after.iter().copied());
        said(&self.run(&words.collect::<Vec<_>>()).await)
    }

    /// Reflection names the services, describes messages, and has what the details of an error are decoded by.
    async fn reflection(&self, world: &World) {
        let services = self.grpcurl(world, &[], &["list"]).await;
        assert!(
            services.contains("portico.access.v1.AccessService"),
            "{services}"
        );
        let plan = self
            .grpcurl(world, &[], &["describe", "portico.catalog.v1.Plan"])
            .await;
        assert!(plan.contains("string name = 2"), "{plan}");
        let bearer = format!("authorization: Bearer {}", world.admin.token().unwrap());
        let create = "portico.catalog.v1.CatalogService/CreatePlan";
        for (plan, code, field) in [
            (json!({"scopes": ["a"]}), "name_missing", "name"),
            (
                json!({"name": "a", "scopes": ["a", "b\0"]}),
                "null_character",
                "scopes[1]",
            ),
        ] {
            let body = json!({"plan": plan}).to_string();
            let given = ["-H", bearer.as_str(), "-d", body.as_str()];
            let refused = self.grpcurl(world, &given, &[create]).await;
            for word in [
                "Code: InvalidArgument",
                "google.rpc.BadRequest",
                code,
                field,
            ] {
                assert!(refused.contains(word), "{word} is missing: {refused}");
            }
        }
    }
}

/// The files of a folder and those in its folders, without what was installed there.
fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if path.is_file() {
            fs::copy(&path, &copy).unwrap();
        } else if entry.file_name() != "node_modules" {
            fs::create_dir(&copy).unwrap();
            copy_files(&path, &copy);
        }
    }
}
