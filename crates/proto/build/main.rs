//! Compiles `proto/` with protox, so that no `protoc` needs to be installed, and gives the messages that services take
//! and answer their REST form.

#![expect(
    clippy::print_stdout,
    reason = "a build script talks to cargo on standard output"
)]

mod emit;
mod model;
mod names;

use std::{
    collections::BTreeMap,
    env,
    error::Error,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    find(&root.join("portico"), &mut files)?;
    files.sort();
    let mut compiler = protox::Compiler::new([&root])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(&files)?;

    let out = PathBuf::from(env::var("OUT_DIR")?);
    // With the options of `portico.rest.v1`, which the typed descriptors below have lost.
    fs::write(
        out.join("descriptors.bin"),
        compiler.encode_file_descriptor_set(),
    )?;
    tonic_prost_build::configure()
        .build_transport(false)
        .codec_path("crate::null::CheckedCodec")
        .compile_fds(compiler.file_descriptor_set())?;

    let mut packages: BTreeMap<String, String> = BTreeMap::new();
    let messages = model::messages(&compiler.descriptor_pool())?;
    for message in &messages {
        let package = packages.entry(message.package.clone()).or_default();
        package.push_str(&emit::message(message, model::is_part(message, &messages)));
    }
    let requests: String = messages
        .iter()
        .filter(|one| one.request)
        .map(emit::request)
        .collect();
    fs::write(out.join("requests.rs"), format!("&[{requests}]"))?;
    for one in model::enumerations(&compiler.descriptor_pool()) {
        let package = packages.entry(one.package.clone()).or_default();
        package.push_str(&emit::enumeration(&one));
    }
    for (package, code) in packages {
        let path = out.join(format!("{package}.rs"));
        let mut file = fs::OpenOptions::new().append(true).open(path)?;
        file.write_all(code.as_bytes())?;
    }
    Ok(())
}

fn find(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, found)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "proto")
        {
            found.push(path);
        }
    }
    Ok(())
}
