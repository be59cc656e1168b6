//! What an admin enters of a gateway, and whether it works.

use std::time::Duration;

use portico_proto::{Error, gateway::v1 as api};
use portico_runtime::{Outgoing, Problems, texts};
use portico_vault::Secret;
use url::Url;

use crate::gateway::Settings;
use crate::gateways::{DRIVERS, Failure, GatewaySession, NO_OPERATION, driver_for};
use crate::grpc::Grpc;

/// The usual name of the No-Operation policy.
const DEFAULT_POLICY: &str = "noop";
/// Characters of a URL.
const URL: usize = 2000;
/// Characters of an id at the gateway.
const ID: usize = 255;
/// Characters of a secret.
const SECRET: usize = 8192;
/// How long the gateway has to answer the test.
const DEADLINE: Duration = Duration::from_secs(10);

/// Settings as they would be, and the secret where one was given.
pub(super) struct Draft {
    pub(super) settings: Settings,
    pub(super) secret: Option<Secret>,
    /// No default policy was named: one is found or made.
    pub(super) default_policy_free: bool,
    /// Where the stored secret may go; `None`: there is none.
    stored_for: Option<String>,
}

impl From<api::CreateGatewayRequest> for Draft {
    fn from(message: api::CreateGatewayRequest) -> Self {
        Self {
            settings: Settings {
                name: message.name,
                kind: message.r#type,
                url: message.url,
                org_id: message.org_id,
                default_policy_id: message.default_policy_id,
            },
            secret: Some(Secret::new(message.secret)),
            default_policy_free: false,
            stored_for: None,
        }
    }
}

impl Draft {
    /// What is not given stays.
    pub(super) fn of_change(message: api::UpdateGatewayRequest, before: &Settings) -> Self {
        let or = |given: Option<String>, before: &String| given.unwrap_or_else(|| before.clone());
        Self {
            settings: Settings {
                name: or(message.name, &before.name),
                kind: before.kind.clone(),
                url: or(message.url, &before.url),
                org_id: or(message.org_id, &before.org_id),
                default_policy_id: or(message.default_policy_id, &before.default_policy_id),
            },
            secret: message.secret.map(Secret::new),
            default_policy_free: false,
            stored_for: Some(before.url.clone()),
        }
    }

    /// Trimmed and right by itself; everything that is wrong is told at once.
    pub(super) fn checked(mut self, outgoing: &Outgoing) -> Result<Self, Error> {
        let mut problems = Problems::default();
        let settings = &mut self.settings;
        settings.name = texts::name(&mut problems, "name", &settings.name);
        settings.kind = settings.kind.trim().to_owned();
        if driver_for(&settings.kind).is_none() {
            let kinds = DRIVERS.iter().map(|(kind, _)| format!("`{kind}`"));
            let kinds = kinds.collect::<Vec<_>>().join(" or ");
            problems.add("type", "type_invalid", format!("`type` must be {kinds}."));
        }
        settings.org_id = id(&mut problems, "org_id", &settings.org_id);
        settings.default_policy_id = id(
            &mut problems,
            "default_policy_id",
            &settings.default_policy_id,
        );
        if settings.default_policy_id.is_empty() {
            self.default_policy_free = true;
            DEFAULT_POLICY.clone_into(&mut settings.default_policy_id);
        }
        let given = settings.url.trim().to_owned();
        if let Some(url) = base_url(&mut problems, outgoing, &given) {
            settings.url = url.to_string();
            if self.secret.is_none() && !same_place(self.stored_for.as_deref(), &url) {
                let message =
                    "Give the `secret` too: the stored one was given for another address.";
                problems.add("secret", "secret_missing", message);
            }
        }
        if let Some(secret) = self.secret.take() {
            self.secret = Some(checked_secret(&mut problems, &secret));
        }
        problems.into_result()?;
        Ok(self)
    }
}

fn id(problems: &mut Problems, field: &str, text: &str) -> String {
    let text = texts::line(problems, field, text, ID);
    // It becomes a segment of a path, which a URL would take for a step up.
    if text == "." || text == ".." {
        problems.add(
            field,
            &format!("{field}_invalid"),
            format!("`{field}` must be an id at the gateway."),
        );
    }
    text
}

fn checked_secret(problems: &mut Problems, secret: &Secret) -> Secret {
    let text = secret.expose().trim();
    if text.is_empty() {
        let message = "`secret` must be the secret of the gateway's control API, or a user's key of the Dashboard.";
        problems.add("secret", "secret_missing", message);
    } else if text.len() > SECRET || !text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        let message = format!("`secret` must have at most {SECRET} characters, all of them ASCII.");
        problems.add("secret", "secret_invalid", message);
    }
    Secret::new(text)
}

fn base_url(problems: &mut Problems, outgoing: &Outgoing, text: &str) -> Option<Url> {
    let right = "`url` must be the base URL of the control API, such as https://gateway.example:8080, \
                 without user name, query or fragment.";
    let url = text.parse::<Url>().ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
            && text.len() <= URL
    });
    let Some(url) = url else {
        let code = if text.is_empty() {
            "url_missing"
        } else {
            "url_invalid"
        };
        problems.add("url", code, right);
        return None;
    };
    if let Err(refusal) = outgoing.check(&url) {
        let message = format!("`url` may not be called: {refusal}.");
        problems.add("url", "gateway_address_forbidden", message);
    }
    Some(url)
}

fn same_place(stored: Option<&str>, url: &Url) -> bool {
    stored
        .and_then(|stored| stored.parse::<Url>().ok())
        .is_some_and(|stored| stored.origin() == url.origin())
}

/// Whether the gateway answers, takes the secret, and has the default policy. Where none was named and the usual one
/// is not there, it is Portico's, which is made with the first mapping.
pub(super) async fn verify(
    grpc: &Grpc,
    settings: &mut Settings,
    default_policy_free: bool,
    secret: &Secret,
) -> Result<(), Error> {
    let (Some(driver), Ok(url)) = (driver_for(&settings.kind), settings.url.parse::<Url>()) else {
        return Err(Error::internal());
    };
    let session = GatewaySession {
        outgoing: &grpc.deps.outgoing,
        url: &url,
        secret,
        org_id: &settings.org_id,
        default_policy_id: &settings.default_policy_id,
        deadline: DEADLINE,
    };
    match driver.check(&session).await {
        Ok(()) => Ok(()),
        Err(failure) if default_policy_free && failure.code == "policy_not_at_gateway" => {
            NO_OPERATION.clone_into(&mut settings.default_policy_id);
            Ok(())
        }
        Err(failure) => Err(refused(&failure, settings)),
    }
}

/// On the field that is to be mended.
fn refused(failure: &Failure, settings: &Settings) -> Error {
    let why = &failure.description;
    match failure.code.as_str() {
        "gateway_secret_refused" | "gateway_secret_malformed" => Error::field(
            "secret",
            "gateway_secret_wrong",
            "The gateway does not take this `secret`; give the one of its control API.",
        ),
        "policy_not_at_gateway" => Error::field(
            "default_policy_id",
            "policy_not_at_gateway",
            format!(
                "`default_policy_id` must be the id of the No-Operation policy; the gateway has no policy {}.",
                settings.default_policy_id
            ),
        ),
        "gateway_address_forbidden" => Error::field(
            "url",
            "gateway_address_forbidden",
            format!("`url` may not be called: {why}."),
        ),
        "gateway_answer_invalid" => Error::field(
            "url",
            "gateway_answer_invalid",
            format!("`url` must lead to the control API of a Tyk gateway: {why}."),
        ),
        _ => Error::field(
            "url",
            "gateway_unreachable",
            format!("The gateway does not answer at this `url`: {why}."),
        ),
    }
}
