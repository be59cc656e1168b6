//! What an admin enters of a provider: read and checked, every problem noted.

#[cfg(test)]
mod tests;

use portico_proto::{Error, registration::v1 as api, rest::FieldMask};
use portico_runtime::{Problems, texts};
use portico_vault::{Secret, VaultRef};
use url::Url;

use super::trust;
use crate::grpc::word;
use crate::identity_provider::{
    IN_BODY, Location, ManagementRef, Method, Options, ProviderType, Settings, TokenChange,
};
use crate::providers::{DRIVERS, entry, requirements};

/// Where the scopes are in a token, unless the admin says otherwise (RFC 9068 section 2.2.3).
const SCOPE_CLAIM: &str = "scope";
/// Characters of a client id (RFC 6749 leaves it open; Keycloak takes 255).
const CLIENT_ID: usize = 255;
/// Characters of a token or secret.
const SECRET: usize = 8192;
/// Characters of a scope, an audience or a template's id.
const LINE: usize = 1000;
/// Whoever enters one of these, also as it is, has the well-known document verified.
const OF_DOCUMENT: [&str; 5] = [
    "well_known_url",
    "skip_tls_verify",
    "trusted_certificates",
    "allowed_origins",
    "registration_endpoint_override",
];

/// A secret as it was entered: nobody is shown the one that is stored.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entered {
    /// The stored one stays.
    Kept,
    /// None from now on.
    Nothing,
    New(Secret),
}

impl Entered {
    pub(super) fn secret(&self) -> Option<&Secret> {
        match self {
            Self::New(secret) => Some(secret),
            Self::Kept | Self::Nothing => None,
        }
    }

    /// Which is there after it: of the new one and the stored one.
    pub(super) fn or<T>(&self, new: T, stored: T) -> T {
        match self {
            Self::Kept => stored,
            Self::Nothing | Self::New(_) => new,
        }
    }
}

/// Where the well-known document is, and how it is fetched.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) well_known_url: String,
    pub(super) skip_tls_verify: bool,
    pub(super) trusted_certificates: String,
    pub(super) allowed_origins: Vec<String>,
    pub(super) registration_endpoint: Option<Url>,
}

/// A provider as it was entered, each member right by itself.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) name: String,
    kind: ProviderType,
    pub(super) document: Document,
    /// The document must be verified anew.
    pub(super) moves: bool,
    scope_claim: String,
    management_client_id: Option<String>,
    authorization: Option<Method>,
    options: Options,
    /// The initial access token, or the API token.
    pub(super) token: Entered,
    pub(super) management_secret: Option<Secret>,
    pub(super) software_statement: Entered,
}

impl Draft {
    /// `mask` names what was entered; without one everything was. `before` are the stored settings.
    ///
    /// # Errors
    /// All problems at once.
    pub(super) fn read(
        mut message: api::IdentityProvider,
        mask: Option<&FieldMask>,
        before: Option<&Settings>,
    ) -> Result<Self, Error> {
        let mut input = Input {
            problems: Problems::default(),
            mask,
        };
        let name = texts::name(&mut input.problems, "name", &message.name);
        let kind = input.kind(message.r#type, before);
        let scope_claim = input.scope_claim(&message.scope_claim);
        let token = input.token(&mut message, before);
        let (management_client_id, management_secret) = input.management(&mut message, before);
        let statement = message.software_statement.take();
        let draft = Self {
            name,
            kind,
            document: input.document(&message),
            moves: OF_DOCUMENT.iter().any(|member| input.is_entered(member)),
            scope_claim,
            management_client_id,
            authorization: input.authorization(&message),
            options: input.options(&message),
            token,
            management_secret,
            software_statement: input.secret("software_statement", statement),
        };
        input.problems.into_result()?;
        Ok(draft)
    }

    /// With nil references in place of the secrets'.
    pub(super) fn settings(&self, location: Location) -> Settings {
        Settings {
            name: self.name.clone(),
            kind: self.kind.clone(),
            location,
            scope_claim: self.scope_claim.clone(),
            management: self
                .management_client_id
                .clone()
                .map(ManagementRef::unknown),
            authorization: self.authorization,
            options: self.options.clone(),
            software_statement: None,
        }
    }

    /// `stored` is the reference to a new token.
    pub(super) fn token_change(&self, stored: Option<VaultRef>) -> TokenChange {
        match self.token {
            Entered::Kept => TokenChange::Keep,
            Entered::Nothing | Entered::New(_) => TokenChange::Replace(stored),
        }
    }
}

/// Reads members and notes what is wrong with them.
struct Input<'a> {
    problems: Problems,
    mask: Option<&'a FieldMask>,
}

impl Input<'_> {
    fn is_entered(&self, member: &str) -> bool {
        let named = |mask: &FieldMask| mask.paths.iter().any(|path| path == member);
        self.mask.is_none_or(named)
    }

    /// The type, which never changes: another provider's clients are nowhere to be found.
    fn kind(&mut self, number: i32, before: Option<&Settings>) -> ProviderType {
        let name = word::<api::IdentityProviderType>(&mut self.problems, "type", number);
        if let Some(before) = before {
            if name != entry(&before.kind).0 {
                let right = "`type` cannot be changed; add another identity provider instead.";
                self.problems.add("type", "type_fixed", right);
            }
            return before.kind.clone();
        }
        if number == 0 {
            let names: Vec<&str> = DRIVERS.iter().map(|(name, _)| *name).collect();
            let right = format!("`type` must be one of {}.", names.join(", "));
            self.problems.add("type", "type_missing", right);
        }
        ProviderType::new(name)
    }

    fn scope_claim(&mut self, text: &str) -> String {
        let claim = match text.trim() {
            "" => SCOPE_CLAIM,
            claim => claim,
        };
        if claim.chars().count() > 100 || !claim.chars().all(|c| c.is_ascii_graphic()) {
            let right = "`scope_claim` must be the name of a claim, for example `scope` or `scp`.";
            self.problems
                .add("scope_claim", "scope_claim_invalid", right);
        }
        claim.to_owned()
    }

    /// A token or secret, trimmed; it goes into a header, and so must fit one.
    fn secret(&mut self, member: &str, given: Option<String>) -> Entered {
        let given = Secret::new(given.unwrap_or_default());
        let text = given.expose().trim();
        if text.len() > SECRET || !text.chars().all(|c| c.is_ascii_graphic()) {
            let right = format!(
                "`{member}` must be at most {SECRET} visible ASCII characters without spaces."
            );
            self.problems
                .add(member, &format!("{member}_malformed"), right);
        }
        match text {
            "" if self.is_entered(member) => Entered::Nothing,
            "" => Entered::Kept,
            text => Entered::New(Secret::new(text)),
        }
    }

    /// The one token, whichever of the two members it came in. It is taken away by the member that it is answered under.
    fn token(&mut self, message: &mut api::IdentityProvider, before: Option<&Settings>) -> Entered {
        let stored = before.map(|before| requirements::method(before, true));
        let is_api_token = stored == Some(Method::ApiToken);
        let initial = message.initial_access_token.take();
        let initial = self.secret("initial_access_token", initial);
        match (initial, self.secret("api_token", message.api_token.take())) {
            (Entered::New(token), Entered::New(_)) => {
                let right = "Give `api_token` or `initial_access_token`, not both: a provider has one authorization \
                             method.";
                self.problems.add("api_token", "api_token_mismatch", right);
                Entered::New(token)
            }
            (Entered::New(token), _) | (_, Entered::New(token)) => Entered::New(token),
            (Entered::Nothing, _) if !is_api_token => Entered::Nothing,
            (_, Entered::Nothing) if is_api_token => Entered::Nothing,
            _ => Entered::Kept,
        }
    }

    /// Id and new secret of the management client. A stored secret is not used for another client than it was given
    /// for.
    fn management(
        &mut self,
        message: &mut api::IdentityProvider,
        before: Option<&Settings>,
    ) -> (Option<String>, Option<Secret>) {
        let id = message.management_client_id();
        let id = texts::line(&mut self.problems, "management_client_id", id, CLIENT_ID);
        let secret = message.management_client_secret.take();
        let entered = self.secret("management_client_secret", secret);
        if self.mask.is_some() && !id.is_empty() && matches!(entered, Entered::Nothing) {
            let right = "`management_client_secret` must be given with `management_client_id`; take both away to use none.";
            self.problems.add(
                "management_client_secret",
                "management_client_secret_missing",
                right,
            );
        }
        let secret = entered.secret().cloned();
        let known = before.and_then(|before| before.management.as_ref());
        let known = known.map(|known| known.client_id.as_str());
        match (id.as_str(), &secret) {
            ("", Some(_)) => self.problems.add(
                "management_client_id",
                "management_client_id_missing",
                "`management_client_id` must be given with `management_client_secret`.",
            ),
            (id, None) if !id.is_empty() && known != Some(id) => self.problems.add(
                "management_client_secret",
                "management_client_secret_missing",
                "`management_client_secret` must be given with a new `management_client_id`.",
            ),
            _ => {}
        }
        (Some(id).filter(|id| !id.is_empty()), secret)
    }

    /// None: by what is stored.
    fn authorization(&mut self, message: &api::IdentityProvider) -> Option<Method> {
        let number = message.authorization.unwrap_or_default();
        let problems = &mut self.problems;
        word::<api::RegistrationAuthorization>(problems, "authorization", number)
            .parse()
            .ok()
    }

    fn options(&mut self, message: &api::IdentityProvider) -> Options {
        let mut line =
            |member: &str, text: &str| texts::line(&mut self.problems, member, text, LINE);
        let options = Options {
            management_scope: line("management_scope", message.management_scope()),
            management_audience: line("management_audience", message.management_audience()),
            api_audience: line("api_audience", message.api_audience()),
            client_template: line("client_template", message.client_template()),
            management_in_body: false,
        };
        let member = "management_auth_method";
        let method = message.management_auth_method.unwrap_or_default();
        let method = word::<api::TokenEndpointAuthMethod>(&mut self.problems, member, method);
        if !["", "client_secret_basic", IN_BODY].contains(&method) {
            let right =
                "`management_auth_method` must be client_secret_basic or client_secret_post.";
            self.problems
                .add(member, "management_auth_method_invalid", right);
        }
        Options {
            management_in_body: method == IN_BODY,
            ..options
        }
    }

    fn document(&mut self, message: &api::IdentityProvider) -> Document {
        let trusted_certificates = message.trusted_certificates().trim().to_owned();
        if let Err(error) = trust::check(&trusted_certificates) {
            let right = format!("`trusted_certificates`: {error}.");
            self.problems
                .add("trusted_certificates", error.code(), right);
        }
        let allowed_origins: Vec<String> = message
            .allowed_origins
            .iter()
            .filter_map(|text| trust::origin(text))
            .collect();
        if allowed_origins.len() < message.allowed_origins.len() {
            let right = "`allowed_origins` must hold origins such as https://internal.example:8443, without path, \
                         query or user information.";
            self.problems
                .add("allowed_origins", "allowed_origin_invalid", right);
        }
        let endpoint = message.registration_endpoint_override().trim();
        let registration_endpoint = trust::endpoint(endpoint);
        if !endpoint.is_empty() && registration_endpoint.is_none() {
            let member = "registration_endpoint_override";
            let right = "`registration_endpoint_override` must be an http(s) URL such as \
                         https://id.example.org/oauth2/register, without fragment or user information.";
            self.problems
                .add(member, "registration_endpoint_override_invalid", right);
        }
        Document {
            well_known_url: message.well_known_url.trim().to_owned(),
            skip_tls_verify: message.skip_tls_verify,
            trusted_certificates,
            allowed_origins,
            registration_endpoint,
        }
    }
}
