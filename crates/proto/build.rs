//! Compiles `proto/` with protox, so that no `protoc` needs to be installed.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

const SERVICES: [&str; 6] = [
    "catalog",
    "access",
    "registration",
    "gateway",
    "notification",
    "accounts",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo::rerun-if-changed={}", root.display());
    let files: Vec<PathBuf> = SERVICES
        .iter()
        .flat_map(|service| {
            ["service", "events"]
                .map(|file| root.join(format!("portico/{service}/v1/{file}.proto")))
        })
        .chain(
            [
                "access/v1/report",
                "operations/v1/service",
                "operations/v1/drift",
            ]
            .map(|file| root.join(format!("portico/{file}.proto"))),
        )
        .collect();
    let descriptors = protox::compile(&files, [&root])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .build_transport(false)
        .compile_fds(descriptors)?;
    Ok(())
}
