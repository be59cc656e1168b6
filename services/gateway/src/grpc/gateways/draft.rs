//! What an admin enters of a gateway, and whether it works.

use std::time::Duration;

use portico_proto::{Error, gateway::v1 as api, rest::Enumeration as _};
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

/// Settings as they would be, trimmed and right by themselves.
pub(super) struct Draft {
    pub(super) settings: Settings,
    /// Where one was given.
    pub(super) secret: Option<Secret>,
    /// No default policy was named: one is found or made.
    default_policy_free: bool,
}

impl Draft {
    /// Of a gateway that is to be added. Everything that is wrong is told at once.
    pub(super) fn new(message: api::Gateway, outgoing: &Outgoing) -> Result<Self, Error> {
        let mut problems = Problems::default();
        let draft = Self::read(&message, outgoing, &mut problems);
        let secret = Some(secret(&mut problems, &message.secret));
        problems.into_result()?;
        Ok(Self { secret, ..draft })
    }

    /// Of a gateway that is there, with everything that stays.
    pub(super) fn changed(
        message: api::Gateway,
        with_secret: bool,
        before: &Settings,
        outgoing: &Outgoing,
    ) -> Result<Self, Error> {
        let mut problems = Problems::default();
        let mut draft = Self::read(&message, outgoing, &mut problems);
        let settings = &draft.settings;
        if driver_for(&settings.kind).is_some() && settings.kind != before.kind {
            let right = "`type` must stay as it is; add another gateway instead.";
            problems.add("type", "type_fixed", right);
        }
        if with_secret {
            draft.secret = Some(secret(&mut problems, &message.secret));
        } else if !same_place(&before.url, &settings.url) {
            let right = "Give the `secret` too: the stored one was given for another address.";
            problems.add("secret", "secret_missing", right);
        }
        problems.into_result()?;
        Ok(draft)
    }

    /// Everything but the secret.
    fn read(message: &api::Gateway, outgoing: &Outgoing, problems: &mut Problems) -> Self {
        let named = id(problems, "default_policy_id", message.default_policy_id());
        let default_policy_free = named.is_empty();
        let settings = Settings {
            name: texts::name(problems, "name", &message.name),
            kind: kind(problems, message.r#type),
            url: base_url(problems, outgoing, message.url.trim()),
            org_id: id(problems, "org_id", message.org_id()),
            default_policy_id: match default_policy_free {
                true => DEFAULT_POLICY.to_owned(),
                false => named,
            },
        };
        Self {
            settings,
            secret: None,
            default_policy_free,
        }
    }

    /// Whether only the name may differ.
    pub(super) fn is_reached_as(&self, before: &Settings) -> bool {
        let name = self.settings.name.clone();
        self.settings
            == Settings {
                name,
                ..before.clone()
            }
    }

    /// Takes Portico's default policy where none was named and an earlier try took it.
    pub(super) fn find_default_policy(&mut self, earlier: &str) {
        if self.default_policy_free && earlier == NO_OPERATION {
            NO_OPERATION.clone_into(&mut self.settings.default_policy_id);
        }
    }

    /// Whether the gateway answers, takes the secret, and has the default policy. Where none was named and the usual one
    /// is not there, it is Portico's, which is made with the first mapping.
    pub(super) async fn verify(&mut self, grpc: &Grpc, secret: &Secret) -> Result<(), Error> {
        let settings = &mut self.settings;
        let (Some(driver), Ok(url)) = (driver_for(&settings.kind), settings.url.parse::<Url>())
        else {
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
            Err(failure) if self.default_policy_free && failure.code == "policy_not_at_gateway" => {
                NO_OPERATION.clone_into(&mut settings.default_policy_id);
                Ok(())
            }
            Err(failure) => Err(refused(&failure, settings)),
        }
    }
}

/// The word of a type that has a driver.
fn kind(problems: &mut Problems, number: i32) -> String {
    let kind = api::GatewayType::try_from(number).unwrap_or_default();
    if driver_for(kind.as_word()).is_none() {
        let code = match number {
            0 => "type_missing",
            _ => "type_invalid",
        };
        let kinds = DRIVERS.iter().map(|(kind, _)| format!("`{kind}`"));
        let kinds = kinds.collect::<Vec<_>>().join(" or ");
        problems.add("type", code, format!("`type` must be {kinds}."));
    }
    kind.as_word().to_owned()
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

fn secret(problems: &mut Problems, text: &str) -> Secret {
    let text = text.trim();
    if text.is_empty() {
        let message = "`secret` must be the secret of the gateway's control API, or a user's key of the Dashboard.";
        problems.add("secret", "secret_missing", message);
    } else if text.len() > SECRET || !text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        let message = format!("`secret` must have at most {SECRET} characters, all of them ASCII.");
        problems.add("secret", "secret_invalid", message);
    }
    Secret::new(text)
}

/// Empty where it is wrong.
fn base_url(problems: &mut Problems, outgoing: &Outgoing, text: &str) -> String {
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
        return String::new();
    };
    if let Err(refusal) = outgoing.check(&url) {
        let message = format!("`url` may not be called: {refusal}.");
        problems.add("url", "gateway_address_forbidden", message);
    }
    url.to_string()
}

/// An address that is wrong is told by itself.
fn same_place(stored: &str, url: &str) -> bool {
    match (stored.parse::<Url>(), url.parse::<Url>()) {
        (Ok(stored), Ok(url)) => stored.origin() == url.origin(),
        (Ok(_), Err(_)) => true,
        (Err(_), _) => false,
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
