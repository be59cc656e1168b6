//! The rules, a list for each service. `tests/authz_coverage` fails where a method is in none of them.

use std::collections::BTreeMap;

use super::{EDGE, Rule, Users};

/// A method's name and who may call it.
type Rules = &'static [(&'static str, Rule)];

const ADMINS: Rule = Rule::of(Users::Admins);
const SIGNED_IN: Rule = Rule::of(Users::SignedIn);
const ANYBODY: Rule = Rule::of(Users::Anybody);
const NOBODY: Rule = Rule::of(Users::Nobody);

const ACCESS_REQUEST: &[&str] = &["access-request"];
const CATALOG: &[&str] = &["catalog"];
const NOTIFICATION: &[&str] = &["notification"];
const REGISTRATION: &[&str] = &["registration"];
const REGISTRATION_AND_GATEWAY: &[&str] = &["registration", "gateway"];

pub(super) fn all() -> BTreeMap<String, Rule> {
    let services = [
        ("portico.access.v1.AccessService", ACCESS_METHODS),
        ("portico.accounts.v1.AccountsService", ACCOUNTS_METHODS),
        ("portico.catalog.v1.CatalogService", CATALOG_METHODS),
        (
            "portico.notification.v1.NotificationService",
            NOTIFICATION_METHODS,
        ),
        (
            "portico.registration.v1.RegistrationService",
            REGISTRATION_METHODS,
        ),
        ("portico.gateway.v1.GatewayService", GATEWAY_METHODS),
        (
            "portico.operations.v1.OperationsService",
            OPERATIONS_METHODS,
        ),
    ];
    let rules = services.into_iter().flat_map(|(service, methods)| {
        let path = move |method: &str| format!("/{service}/{method}");
        methods
            .iter()
            .map(move |(method, rule)| (path(method), *rule))
    });
    rules.collect()
}

const ACCESS_METHODS: Rules = &[
    ("CreateApplication", SIGNED_IN),
    ("UpdateApplication", SIGNED_IN),
    ("DeleteApplication", SIGNED_IN),
    ("SuspendApplication", ADMINS),
    ("ResumeApplication", ADMINS),
    // Registration and gateway ask whose an application is before they show its credentials or keys.
    (
        "GetApplication",
        SIGNED_IN
            .or(REGISTRATION_AND_GATEWAY)
            .handed_on_by(REGISTRATION_AND_GATEWAY),
    ),
    ("ListApplications", SIGNED_IN),
    ("GetCart", SIGNED_IN),
    ("PutCart", SIGNED_IN),
    ("SubmitAccessRequest", SIGNED_IN),
    ("ApproveAccessRequest", ADMINS),
    ("RejectAccessRequest", ADMINS),
    ("RevokeAccessRequest", SIGNED_IN),
    ("WithdrawAccessRequest", SIGNED_IN),
    ("RetryAccessRequest", ADMINS),
    ("RetryAccessRequests", ADMINS),
    ("SuspendAccessRequest", ADMINS),
    ("ResumeAccessRequest", ADMINS),
    // Mails say what a request is about.
    ("GetAccessRequest", SIGNED_IN.or(NOTIFICATION)),
    // A product that is in use cannot be deleted.
    ("ListAccessRequests", SIGNED_IN.or(CATALOG)),
    // Credentials are shown once access has been active.
    ("GetActivation", NOBODY.or(REGISTRATION)),
    // Clients are named after their application.
    ("GetApplicationProfile", NOBODY.or(REGISTRATION)),
    ("WatchAccessRequests", SIGNED_IN),
];

const ACCOUNTS_METHODS: Rules = &[
    ("SignUp", ANYBODY),
    ("CreateSession", ANYBODY),
    ("DeleteSession", ANYBODY),
    // Hands out signed identities.
    ("Authenticate", NOBODY.or(&[EDGE])),
    ("GetEndedTokens", NOBODY.or(&[EDGE])),
    ("ReportRefusals", NOBODY.or(&[EDGE])),
    ("GetCurrentUser", SIGNED_IN),
    ("GetUser", SIGNED_IN),
    ("ListUsers", ADMINS),
    ("ActivateUser", ADMINS),
    ("SuspendUser", ADMINS),
    ("LetInUser", ADMINS),
    ("ShutOutUser", ADMINS),
    ("EraseUser", ADMINS),
    ("CreateApiToken", SIGNED_IN),
    ("ListApiTokens", SIGNED_IN),
    ("RevokeApiToken", SIGNED_IN),
    // Hands out e-mail addresses.
    ("GetContacts", NOBODY.or(NOTIFICATION)),
];

const CATALOG_METHODS: Rules = &[
    ("CreateProduct", ADMINS),
    ("UpdateProduct", ADMINS),
    ("PublishProduct", ADMINS),
    ("UnpublishProduct", ADMINS),
    ("DeleteProduct", ADMINS),
    // At checkout as the developer, at an automatic approval by itself.
    (
        "GetProduct",
        ANYBODY.or(ACCESS_REQUEST).handed_on_by(ACCESS_REQUEST),
    ),
    ("ListProducts", ANYBODY),
    ("CreatePlan", ADMINS),
    ("UpdatePlan", ADMINS),
    ("DeletePlan", ADMINS),
    (
        "GetPlan",
        SIGNED_IN.or(ACCESS_REQUEST).handed_on_by(ACCESS_REQUEST),
    ),
    ("ListPlans", SIGNED_IN),
    ("PreviewGatewayImport", ADMINS),
    ("ImportFromGateway", ADMINS),
];

const OPERATIONS_METHODS: Rules = &[
    ("ListParkedMessages", ADMINS),
    ("ReplayParkedMessages", ADMINS),
    ("DropParkedMessages", ADMINS),
    ("ListRelays", ADMINS),
    ("Republish", ADMINS),
];

const NOTIFICATION_METHODS: Rules = &[
    ("ListDeliveries", ADMINS),
    ("GetDelivery", ADMINS),
    ("ResendDelivery", ADMINS),
    ("ListTemplates", ADMINS),
    ("PreviewTemplate", ADMINS),
    ("SendTestMail", ADMINS),
];

const REGISTRATION_METHODS: Rules = &[
    ("CreateIdentityProvider", ADMINS),
    ("UpdateIdentityProvider", ADMINS),
    ("DeleteIdentityProvider", ADMINS),
    ("GetIdentityProvider", ADMINS),
    ("ListIdentityProviders", ADMINS),
    ("CheckIdentityProvider", ADMINS),
    ("CreateClientType", ADMINS),
    ("UpdateClientType", ADMINS),
    ("DeleteClientType", ADMINS),
    // At checkout as the developer, at an automatic approval by itself.
    (
        "GetClientType",
        SIGNED_IN.or(ACCESS_REQUEST).handed_on_by(ACCESS_REQUEST),
    ),
    // A product may only have client types that there are.
    ("ListClientTypes", SIGNED_IN.or(CATALOG)),
    ("ListOauthClients", SIGNED_IN),
    ("ReadOauthClient", SIGNED_IN),
    ("ReissueRegistrationToken", ADMINS),
    ("GetCredentials", SIGNED_IN),
    ("RotateCredentials", SIGNED_IN),
    ("EndOldSecret", SIGNED_IN),
    ("PreviewRegistration", ADMINS),
    ("ListOrphans", ADMINS),
    ("FindOrphans", ADMINS),
    ("AdoptOrphan", ADMINS),
    ("DeleteOrphan", ADMINS),
    ("DismissOrphan", ADMINS),
    ("RetryIdentityProvider", ADMINS),
    ("SetSecretRotation", ADMINS),
    ("StartConformanceCheck", ADMINS),
    ("GetConformanceCheck", ADMINS),
    ("PlanDrift", ADMINS),
    ("RepairDrift", ADMINS),
];

const GATEWAY_METHODS: Rules = &[
    ("CreateGateway", ADMINS),
    ("UpdateGateway", ADMINS),
    ("DeleteGateway", ADMINS),
    ("GetGateway", ADMINS),
    ("ListGateways", ADMINS),
    ("SimulateGatewayCall", ADMINS),
    // Products and plans are made of what is at a gateway.
    ("ListGatewayContents", ADMINS.or(CATALOG)),
    ("RefreshGatewayKeys", ADMINS),
    // Whose the application is, the method finds out.
    ("ListApiKeys", SIGNED_IN),
    ("RevealApiKey", SIGNED_IN),
    ("ReplaceApiKey", SIGNED_IN),
    ("PreviewMapping", ADMINS),
    ("ListHeldScopes", ADMINS),
    ("ReleaseHeldScope", ADMINS),
    ("PlanDrift", ADMINS),
    ("RepairDrift", ADMINS),
];
