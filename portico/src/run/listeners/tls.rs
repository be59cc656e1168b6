//! TLS of listeners and of calls to services.

use std::{path::Path, sync::Arc};

use portico_runtime::{
    ServiceName,
    config::{MutualTls, Tls},
};
use rustls::{
    RootCertStore, ServerConfig,
    client::verify_server_name,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    server::{ParsedCertificate, WebPkiClientVerifier},
};
use tokio_rustls::TlsAcceptor;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

fn read(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))
}

/// TLS of a gRPC server that anybody may call.
///
/// # Errors
/// The file that cannot be used, and why.
pub(crate) fn public_tls(files: &Tls) -> Result<TlsAcceptor, String> {
    acceptor(files, None)
}

/// TLS of a gRPC server that only services may call, which prove who they are.
///
/// # Errors
/// The file that cannot be used, and why.
pub(crate) fn mutual_tls(files: &MutualTls) -> Result<TlsAcceptor, String> {
    acceptor(&files.own, Some(&files.ca_file))
}

/// TLS of calls to services.
///
/// # Errors
/// The file that cannot be read, and why.
pub(crate) fn client_tls(files: &MutualTls) -> Result<ClientTlsConfig, String> {
    let identity = Identity::from_pem(read(&files.own.cert_file)?, read(&files.own.key_file)?);
    let authority = Certificate::from_pem(read(&files.ca_file)?);
    Ok(ClientTlsConfig::new()
        .ca_certificate(authority)
        .identity(identity))
}

/// Whether the certificate of this process names all of these services: the others know them by it.
///
/// # Errors
/// The services that it does not name, or the file that cannot be used.
pub(crate) fn check_names(files: &MutualTls, services: &[ServiceName]) -> Result<(), String> {
    let file = &files.own.cert_file;
    let chain = certificates(file)?;
    let own = chain.first().map(ParsedCertificate::try_from);
    let own = own.ok_or_else(|| unusable(file, &"no certificate in it"))?;
    let own = own.map_err(|error| unusable(file, &error))?;
    let is_named = |service: &&str| {
        ServerName::try_from(*service).is_ok_and(|name| verify_server_name(&own, &name).is_ok())
    };
    let names = services.iter().map(|service| service.as_str());
    let others: Vec<&str> = names.filter(|service| !is_named(service)).collect();
    match others.is_empty() {
        true => Ok(()),
        false => Err(unusable(
            file,
            &format!("the certificate does not name {}", others.join(", ")),
        )),
    }
}

fn acceptor(files: &Tls, authority: Option<&Path>) -> Result<TlsAcceptor, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match authority {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(file)? {
                roots
                    .add(certificate)
                    .map_err(|error| unusable(file, &error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
                .build()
                .map_err(|error| unusable(file, &error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain = certificates(&files.cert_file)?;
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key_file)?)
        .map_err(|error| unusable(&files.key_file, &error))?;
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| unusable(&files.cert_file, &error))?;
    // gRPC is HTTP/2, and clients insist on its being negotiated (RFC 9113 section 3.3).
    config.alpn_protocols.push(b"h2".to_vec());
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(file)?).collect();
    match all {
        Ok(all) if all.is_empty() => Err(unusable(file, &"no certificate in it")),
        Ok(all) => Ok(all),
        Err(error) => Err(unusable(file, &error)),
    }
}

fn unusable(file: &Path, error: &dyn std::fmt::Display) -> String {
    format!("TLS: {}: {error}", file.display())
}
