//! One body of each resource as REST answers it.

use portico_proto::{
    Error, FieldError, Kind,
    access::v1::{
        AccessRequest, AccessRequestChange, AccessRequestStatus, Application, ApplicationStatus,
        ApplicationVisibility, Cart, CartItem, CredentialKind, RequestedItem, TimelineEntry,
        TimelineStep,
    },
    accounts::v1::{
        ApiToken, CreateApiTokenResponse, CreateSessionResponse, Role, User, UserStatus,
    },
    catalog::v1::{
        Api, ApiMapping, GatewayImport, ImportAction, ImportedPolicy, Plan, PlanStatus,
        PolicyMapping, PolicyRole, Product, ProductStatus, Quota, Rate, Visibility,
    },
    gateway::v1::{
        ApiAtGateway, ApiKey, ApiKeyStatus, Gateway, GatewayApi, GatewayPolicy, GatewayStatus,
        GatewayType, HeldScope, OpenedApi, ResolvedPolicy, RevealApiKeyResponse,
        SimulateGatewayCallResponse, SimulatedLimit,
    },
    notification::v1::{
        Delivery, DeliveryStatus, MailTemplate, PreviewTemplateResponse, SendTestMailResponse,
        Template,
    },
    operations::v1::{
        DriftItem, DriftKind, DriftPlace, DriftRepair, DriftReport, ListParkedMessagesResponse,
        ListRelaysResponse, ParkedMessage, ParkedMessagesResponse, ParkedStatus, Relay,
        Republishing,
    },
    registration::v1::{
        CheckOutcome, CheckedPart, ClientAtProvider, ClientState, ClientType, ClientTypeStatus,
        ConformanceCheck, ConformanceOutcome, ConformanceStatus, ConformanceStep,
        ConformanceStepName, ConnectionCheck, ConnectionCheckStep, Credentials, Difference,
        IdentityProvider, IdentityProviderStatus, IdentityProviderType, OauthClient,
        OauthClientStatus, OktaApplicationType, Orphan, OrphanReason, OrphanStatus,
        RegistrationAuthorization, TokenEndpointAuthMethod,
    },
    time::{Timestamp, parse},
};

const ID: &str = "0190b6f1-7c3e-7d2a-9b1e-5f3c2a1b0d4e";

fn noon() -> Option<Timestamp> {
    parse("2026-01-02T12:00:00.5Z")
}

/// A snapshot for each, named by the resource.
macro_rules! snapshots {
    ($($name:ident: $body:expr;)*) => {$(
        #[test]
        fn $name() {
            let body = $body;
            insta::assert_json_snapshot!(stringify!($name), body);
        }
    )*};
}

snapshots! {
    product: Product {
        id: ID.into(),
        name: "Payments".into(),
        description: "Send and receive money.".into(),
        dcr_enabled: true,
        scopes: vec!["pay".into(), "refund".into()],
        client_type_ids: vec![ID.into()],
        visibility: Visibility::Public.into(),
        tags: vec!["money".into()],
        apis: vec![Api {
            mapping: Some(ApiMapping {
                api_id: "payments".into(),
                gateway_id: None,
            }),
            name: "Payments API".into(),
            url: "https://gateway.example/payments/".into(),
        }],
        status: ProductStatus::Published.into(),
        mapping: Some(PolicyMapping::default()),
        documentation: "# Payments".into(),
        version: 3,
        created_at: noon(),
        updated_at: noon(),
    };
    plan: Plan {
        id: ID.into(),
        name: "Gold".into(),
        scopes: vec!["gold".into()],
        rate: Some(Rate { requests: 10, per_seconds: 60 }),
        quota: Some(Quota { requests: u64::MAX, renews_every_seconds: 3600 }),
        auto_approve: true,
        mapping: Some(PolicyMapping {
            policy_id: Some("gold-policy".into()),
        }),
        status: PlanStatus::Active.into(),
        version: 1,
        created_at: noon(),
        updated_at: noon(),
        ..Plan::default()
    };
    plan_without_anything: Plan::default();
    application: Application {
        id: ID.into(),
        name: "Shop".into(),
        description: "Sells.".into(),
        redirect_urls: vec!["https://shop.example/cb".into()],
        visibility: ApplicationVisibility::Personal.into(),
        owner_id: ID.into(),
        status: ApplicationStatus::Active.into(),
        suspended: true,
        version: 2,
        created_at: noon(),
        updated_at: noon(),
    };
    cart: Cart {
        items: vec![
            CartItem { product_id: ID.into(), plan_id: Some(ID.into()) },
            CartItem { product_id: ID.into(), plan_id: None },
        ],
        version: 3,
    };
    access_request: AccessRequest {
        credential: CredentialKind::OauthClient.into(),
        client_type_id: Some(ID.into()),
        identity_provider_id: Some(ID.into()),
        reason: Some("invalid_scope: No such scope.".into()),
        failure: Some("invalid_client_metadata: no".into()),
        next_try_at: noon(),
        ..requested(AccessRequestStatus::Failed)
    };
    access_request_change: AccessRequestChange {
        cursor: "41".into(),
        step: TimelineStep::KeyCreated.into(),
        access_request: Some(AccessRequest {
            credential: CredentialKind::ApiKey.into(),
            ..requested(AccessRequestStatus::Provisioning)
        }),
    };
    imported_policy: ImportedPolicy {
        policy_id: "p1".into(),
        name: "Payments".into(),
        role: Some(PolicyRole::Product.into()),
        action: ImportAction::NotPossible.into(),
        detail: Some("It is not active at the gateway.".into()),
        api_ids: vec!["payments".into()],
        ..ImportedPolicy::default()
    };
    gateway_import: GatewayImport {
        items: vec![ImportedPolicy {
            policy_id: "p2".into(),
            name: "Gold".into(),
            role: Some(PolicyRole::Plan.into()),
            action: ImportAction::Created.into(),
            id: Some(ID.into()),
            scopes: vec!["gold".into()],
            rate: Some(Rate { requests: 10, per_seconds: 60 }),
            ..ImportedPolicy::default()
        }],
        next: String::new(),
    };
    user: ada();
    erased_user: User {
        name: None,
        email: None,
        status: UserStatus::Erased.into(),
        ..ada()
    };
    api_token_in_a_list: ApiToken {
        last_used_at: noon(),
        ..token()
    };
    gateway: Gateway {
        id: ID.into(),
        name: "Main".into(),
        r#type: GatewayType::TykDashboard.into(),
        url: "https://gateway.example/".into(),
        secret: "canary".into(),
        org_id: None,
        default_policy_id: Some("noop".into()),
        status: GatewayStatus::Active.into(),
        version: 2,
        created_at: noon(),
        updated_at: noon(),
    };
    gateway_policy: GatewayPolicy {
        id: "p1".into(),
        name: "Payments".into(),
        role: PolicyRole::Both.into(),
        apis: vec![GatewayApi {
            api_id: "payments".into(),
            name: Some("Payments".into()),
            listen_path: None,
        }],
        rate: Some(SimulatedLimit { requests: 5, seconds: 60 }),
        quota: None,
        scopes: vec!["pay".into(), "refund".into()],
        active: true,
        own: false,
    };
    simulated_call: SimulateGatewayCallResponse {
        status: 403,
        message: Some("Access to this API has been disallowed".into()),
        policies: vec![ResolvedPolicy {
            id: "noop".into(),
            because: "default policy".into(),
            found: true,
            ..ResolvedPolicy::default()
        }],
        unmapped_scopes: vec!["pay".into(), "refund".into()],
        ..SimulateGatewayCallResponse::default()
    };
    revealed_api_key: RevealApiKeyResponse {
        api_key: Some(api_key()),
        key: "0".into(),
    };
    held_scope: HeldScope {
        scope: "pay".into(),
        application_ids: vec![ID.into()],
        ..HeldScope::default()
    };
    session: CreateSessionResponse {
        token: "pts_0".into(),
        user: Some(ada()),
        expires_at: noon(),
    };
    api_token: CreateApiTokenResponse {
        api_token: Some(token()),
        token: "ptk_0".into(),
    };
    delivery: Delivery {
        id: ID.into(),
        template: MailTemplate::AccessRejected.into(),
        recipient_id: ID.into(),
        status: DeliveryStatus::Queued.into(),
        attempts: 2,
        last_error: Some("451 try again".into()),
        next_try_at: noon(),
        subject_id: Some(ID.into()),
        message_id: "<1@portico.example>".into(),
        created_at: noon(),
        version: 4,
        ..Delivery::default()
    };
    mail_template: Template {
        name: MailTemplate::ClientSecretExpiring.into(),
        overridden: false,
        description: "To the developers, before a client secret ends.".into(),
    };
    mail_preview: PreviewTemplateResponse {
        subject: "Your access is ready".into(),
        text: "It is ready.".into(),
        html: "<p>It is ready.</p>".into(),
    };
    test_mail: SendTestMailResponse {
        delivery_id: ID.into(),
    };
    parked_messages_done: ParkedMessagesResponse { count: 3 };
    parked_messages: ListParkedMessagesResponse {
        items: vec![ParkedMessage {
            service: "registration".into(),
            id: ID.into(),
            consumer: "registration".into(),
            subject: "portico.access.access_approved".into(),
            reason: "no such provider".into(),
            attempts: 8,
            first_parked_at: noon(),
            last_parked_at: noon(),
            status: ParkedStatus::Dropped.into(),
            dropped_at: noon(),
            dropped_by: Some(ID.into()),
        }],
        next: None,
        unreachable: vec!["catalog".into()],
    };
    relays: ListRelaysResponse {
        items: vec![Relay {
            service: "catalog".into(),
            position: 5,
            head: 7,
            republishing: Some(Republishing {
                position: 2,
                until: 5,
                requested_at: noon(),
                requested_by: ID.into(),
            }),
        }],
        unreachable: Vec::new(),
    };
    identity_provider: IdentityProvider {
        id: ID.into(),
        name: "Keycloak".into(),
        r#type: IdentityProviderType::Keycloak.into(),
        well_known_url: "https://id.example/.well-known/openid-configuration".into(),
        scope_claim: "scope".into(),
        allowed_origins: vec!["https://internal.example:8443".into()],
        authorization: Some(RegistrationAuthorization::InitialAccessToken.into()),
        initial_access_token: Some("never answered".into()),
        has_initial_access_token: true,
        issuer: "https://id.example".into(),
        registration_endpoint: "https://id.example/register".into(),
        token_endpoint: "https://id.example/token".into(),
        jwks_uri: Some("https://id.example/jwks".into()),
        scopes_supported: vec!["pay".into(), "refund".into()],
        status: IdentityProviderStatus::Paused.into(),
        status_reason: Some("the initial access token was refused".into()),
        warnings: vec!["Give another one.".into()],
        rotate_secrets_days_before: Some(7),
        version: 2,
        created_at: noon(),
        updated_at: noon(),
        ..IdentityProvider::default()
    };
    connection_check: ConnectionCheck {
        ok: false,
        steps: vec![
            ConnectionCheckStep {
                name: CheckedPart::Discovery.into(),
                outcome: CheckOutcome::Failed.into(),
                detail: Some("the answer is no JSON".into()),
            },
            ConnectionCheckStep {
                name: CheckedPart::RegistrationEndpoint.into(),
                outcome: CheckOutcome::Skipped.into(),
                detail: None,
            },
        ],
    };
    client_type: ClientType {
        id: ID.into(),
        identity_provider_id: ID.into(),
        identity_provider_name: "Keycloak".into(),
        name: "Web".into(),
        response_types: vec!["code id_token".into()],
        grant_types: vec!["authorization_code".into()],
        token_endpoint_auth_method: TokenEndpointAuthMethod::PrivateKeyJwt.into(),
        okta_application_type: Some(OktaApplicationType::Web.into()),
        status: ClientTypeStatus::Active.into(),
        version: 1,
        created_at: noon(),
        updated_at: noon(),
        ..ClientType::default()
    };
    client_at_provider: ClientAtProvider {
        client: Some(OauthClient {
            id: ID.into(),
            application_id: ID.into(),
            identity_provider_id: ID.into(),
            identity_provider_name: "Keycloak".into(),
            client_id: Some("shop".into()),
            status: OauthClientStatus::Ready.into(),
            wanted_scopes: vec!["pay".into(), "refund".into()],
            scopes: vec!["pay".into()],
            token_endpoint: "https://id.example/token".into(),
            differences: vec![Difference {
                member: "scope".into(),
                asked: "pay refund".into(),
                granted: "pay".into(),
                consequence: "Tokens lack the scope refund.".into(),
            }],
            client_secret_expires_at: noon(),
            has_registration_access_token: true,
            created_at: noon(),
            updated_at: noon(),
            ..OauthClient::default()
        }),
        state: ClientState::Changed.into(),
        found: "{\"client_id\":\"shop\"}".into(),
        items: vec![drift()],
        reason: None,
    };
    credentials: Credentials {
        identity_provider_id: ID.into(),
        identity_provider_name: "Keycloak".into(),
        client_id: "shop".into(),
        client_secret: Some("secret".into()),
        old_secret_valid_until: noon(),
        token_endpoint: "https://id.example/token".into(),
        token_endpoint_auth_method: "client_secret_basic".into(),
        scopes: vec!["pay".into(), "refund".into()],
        granted: "{\"grant_types\":[\"client_credentials\"]}".into(),
        issuer: "https://id.example".into(),
        status: OauthClientStatus::Suspended.into(),
        ..Credentials::default()
    };
    orphan: Orphan {
        identity_provider_id: ID.into(),
        marker: format!("{ID}.1"),
        application_id: Some(ID.into()),
        suspected_at: noon(),
        reason: OrphanReason::OutcomeUnknown.into(),
        powerless: true,
        status: OrphanStatus::Open.into(),
        ..Orphan::default()
    };
    conformance_check: ConformanceCheck {
        identity_provider_id: ID.into(),
        status: ConformanceStatus::Running.into(),
        started_at: noon(),
        steps: vec![ConformanceStep {
            name: ConformanceStepName::Rotate.into(),
            outcome: ConformanceOutcome::NotOffered.into(),
            detail: None,
        }],
        ..ConformanceCheck::default()
    };
    drift_report: DriftReport {
        items: vec![drift()],
        looked_at: 1,
        plan: Some("5c1f".into()),
        incomplete: vec!["gateway".into()],
        ..DriftReport::default()
    };
    problem: Error::fields(vec![
        FieldError {
            field: "apis[0].api_id".into(),
            code: "api_id_invalid".into(),
            message: "`apis[0].api_id` must be the API's id at the gateway.".into(),
        },
        FieldError {
            field: "name".into(),
            code: "name_invalid".into(),
            message: "`name` must have 1 to 100 characters.".into(),
        },
    ])
    .unwrap()
    .problem("4bf92f3577b34da6a3ce929d0e0e4736");
    problem_of_another_version: Error::new(Kind::Conflict, "version_mismatch", "It was changed meanwhile.")
        .problem("4bf92f3577b34da6a3ce929d0e0e4736");
}

fn token() -> ApiToken {
    ApiToken {
        id: ID.into(),
        name: "ci".into(),
        created_at: noon(),
        expires_at: noon(),
        last_used_at: None,
    }
}

fn requested(status: AccessRequestStatus) -> AccessRequest {
    AccessRequest {
        id: ID.into(),
        status: status.into(),
        application_id: ID.into(),
        application_name: "Shop".into(),
        requester_id: ID.into(),
        items: vec![RequestedItem {
            product_id: ID.into(),
            product_name: "Payments".into(),
            plan_id: ID.into(),
            plan_name: "Gold".into(),
            product_scopes: vec!["pay".into(), "refund".into()],
            plan_scopes: vec!["gold".into()],
        }],
        timeline: vec![TimelineEntry {
            step: TimelineStep::Submitted.into(),
            at: noon(),
            by: ID.into(),
            detail: String::new(),
        }],
        version: 5,
        created_at: noon(),
        updated_at: noon(),
        ..AccessRequest::default()
    }
}

fn drift() -> DriftItem {
    DriftItem {
        place: DriftPlace::IdentityProvider.into(),
        place_id: ID.into(),
        place_name: "Keycloak".into(),
        kind: DriftKind::RedirectUrlsChanged.into(),
        subject: "shop".into(),
        member: Some("redirect_uris".into()),
        wanted: Some("https://shop.example/".into()),
        application_id: Some(ID.into()),
        repair: DriftRepair::Possible.into(),
        ..DriftItem::default()
    }
}

fn api_key() -> ApiKey {
    ApiKey {
        id: ID.into(),
        access_request_id: ID.into(),
        status: ApiKeyStatus::Ready.into(),
        hash_prefix: Some("1a2b3c4d".into()),
        created_at: noon(),
        revealed: true,
        revealed_at: noon(),
        header_name: "Authorization".into(),
        apis: vec![OpenedApi {
            mapping: Some(ApiAtGateway {
                api_id: "weather".into(),
            }),
            header_name: "X-Api-Key".into(),
            ..OpenedApi::default()
        }],
        version: 5,
        ..ApiKey::default()
    }
}

fn ada() -> User {
    User {
        id: ID.into(),
        name: Some("Ada".into()),
        email: Some("ada@example.org".into()),
        role: Role::Developer.into(),
        status: UserStatus::Active.into(),
        version: 1,
        created_at: noon(),
        let_in: false,
    }
}
