//! Whom a provider's calls trust, and where its endpoints may be.

use std::sync::Arc;

use portico_proto::{Kind, registration::v1::*};
use portico_sandbox::identity_provider::Handle;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::support::{App, admin, answer, change, field, of, provider};

const AUTHORITY: &str = include_str!("../../../../crates/runtime/tests/fixtures/authority.pem");
const SERVER: &str = include_str!("../../../../crates/runtime/tests/fixtures/server.pem");
const KEY: &str = include_str!("../../../../crates/runtime/tests/fixtures/server-key.pem");

/// The sandbox's provider behind TLS, with a certificate of an authority of its own; its issuer. The other endpoints
/// stay where they are, without TLS, on another origin.
async fn behind_tls(sandbox: &Handle) -> String {
    let certificate = CertificateDer::from_pem_slice(SERVER.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("https://{}", listener.local_addr().unwrap());
    let to = sandbox.url().trim_start_matches("http://").to_owned();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, to) = (acceptor.clone(), to.clone());
            tokio::spawn(async move {
                // A client that does not trust us goes away here.
                let Ok(mut outer) = acceptor.accept(stream).await else {
                    return;
                };
                let mut inner = TcpStream::connect(to).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
            });
        }
    });
    let said = issuer.clone();
    sandbox.behave(move |behaviour| behaviour.issuer = Some(said));
    issuer
}

#[tokio::test]
async fn an_authority_of_its_own_is_trusted_in_every_call() {
    let (app, sandbox) = (App::start().await, provider().await);
    let issuer = behind_tls(&sandbox).await;
    let message = IdentityProvider {
        well_known_url: format!("{issuer}/.well-known/openid-configuration"),
        allowed_origins: vec![format!("{}/", sandbox.url())],
        ..of(&sandbox)
    };
    let error = app.create(message.clone()).await.unwrap_err();
    assert_eq!(field(&error), ("well_known_url", "well_known_unreachable"));
    assert!(error.message.contains("TLS"), "{error:?}");

    let trusting = IdentityProvider {
        trusted_certificates: Some(format!("\n{AUTHORITY}\n")),
        ..message.clone()
    };
    let created = app.create(trusting).await.unwrap();
    assert_eq!(created.issuer, issuer);
    assert_eq!(created.allowed_origins, [sandbox.url()]);
    assert_eq!(created.trusted_certificates(), AUTHORITY.trim());
    assert!(created.warnings.is_empty(), "{:?}", created.warnings);
    // What was stored is used again.
    let check = check(&app, &created.id).await;
    assert!(check.ok, "{check:?}");
    assert_eq!(outcome(&check), CheckOutcome::Passed);

    let without = change(&created.id, json!({"trusted_certificates": ""}));
    let error = app.update(without).await.unwrap_err();
    assert_eq!(field(&error), ("well_known_url", "well_known_unreachable"));
    let skipping = change(
        &created.id,
        json!({"trusted_certificates": "", "skip_tls_verify": true}),
    );
    let skipping = app.update(skipping).await.unwrap();
    assert!(
        skipping.warnings[0].contains("not verified"),
        "{skipping:?}"
    );
    let check = self::check(&app, &created.id).await;
    assert!(
        check.ok && outcome(&check) == CheckOutcome::Warning,
        "{check:?}"
    );
}

#[tokio::test]
async fn endpoints_elsewhere_need_to_be_allowed() {
    let (app, sandbox) = (App::start().await, provider().await);
    let issuer = behind_tls(&sandbox).await;
    let message = IdentityProvider {
        well_known_url: format!("{issuer}/.well-known/openid-configuration"),
        trusted_certificates: Some(AUTHORITY.into()),
        ..of(&sandbox)
    };
    let error = app.create(message).await.unwrap_err();
    assert_eq!(field(&error), ("well_known_url", "endpoint_foreign_origin"));
}

#[tokio::test]
async fn what_is_no_trust_store_is_refused_by_name() {
    let (app, sandbox) = (App::start().await, provider().await);
    for (pem, code) in [
        ("not a certificate", "trusted_certificates_invalid"),
        (KEY, "trusted_certificates_private_key"),
        (
            &format!("{AUTHORITY}{KEY}"),
            "trusted_certificates_private_key",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
            "trusted_certificates_invalid",
        ),
    ] {
        let message = IdentityProvider {
            trusted_certificates: Some(pem.into()),
            ..of(&sandbox)
        };
        let error = app.create(message).await.unwrap_err();
        assert_eq!(error.kind, Kind::Invalid);
        assert_eq!(field(&error), ("trusted_certificates", code));
        let typed = pem.lines().filter(|line| !line.starts_with("-----"));
        for line in typed.filter(|line| line.len() > 8) {
            assert!(!format!("{error:?}").contains(line), "{error:?}");
        }
    }
    let message = IdentityProvider {
        allowed_origins: vec!["https://a.example/path".into()],
        ..of(&sandbox)
    };
    let error = app.create(message).await.unwrap_err();
    assert_eq!(field(&error), ("allowed_origins", "allowed_origin_invalid"));
    assert_eq!(app.events().await, 0);
}

async fn check(app: &App, id: &str) -> ConnectionCheck {
    let request = app.request(
        &admin(),
        CheckIdentityProviderRequest {
            subject: Some(check_identity_provider_request::Subject::Id(id.into())),
        },
    );
    answer(app.client().check_identity_provider(request).await).unwrap()
}

/// Of the step about TLS.
fn outcome(check: &ConnectionCheck) -> CheckOutcome {
    let mut steps = check.steps.iter();
    let step = steps.find(|step| step.name() == CheckedPart::Tls);
    step.unwrap().outcome()
}
