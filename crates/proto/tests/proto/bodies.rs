//! One body of each resource as REST answers it.

use portico_proto::{
    Error, FieldError, Kind,
    accounts::v1::{
        ApiToken, CreateApiTokenResponse, CreateSessionResponse, Role, User, UserStatus,
    },
    catalog::v1::{
        Api, ApiMapping, ImportAction, ImportedPolicy, Plan, PlanStatus, PolicyMapping, PolicyRole,
        Product, ProductStatus, Quota, Rate, Visibility,
    },
    gateway::v1::{
        ApiKey, ApiKeyStatus, Gateway, GatewayApi, GatewayPolicy, GatewayStatus, GatewayType,
        HeldScope, OpenedApi, ResolvedPolicy, RevealApiKeyResponse, SimulateGatewayCallResponse,
        SimulatedLimit,
    },
    notification::v1::{Delivery, DeliveryStatus, MailTemplate, Template},
    operations::v1::{
        ListParkedMessagesResponse, ListRelaysResponse, ParkedMessage, ParkedStatus, Relay,
        Republishing,
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
    imported_policy: ImportedPolicy {
        policy_id: "p1".into(),
        name: "Payments".into(),
        role: Some(PolicyRole::Product.into()),
        action: ImportAction::NotPossible.into(),
        detail: Some("It is not active at the gateway.".into()),
        api_ids: vec!["payments".into()],
        ..ImportedPolicy::default()
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
        user: Some(user()),
        expires_at: noon(),
    };
    api_token: CreateApiTokenResponse {
        api_token: Some(ApiToken {
            id: ID.into(),
            name: "ci".into(),
            created_at: noon(),
            expires_at: noon(),
            last_used_at: None,
        }),
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
            api_id: "weather".into(),
            header_name: "X-Api-Key".into(),
            ..OpenedApi::default()
        }],
        version: 5,
        ..ApiKey::default()
    }
}

fn user() -> User {
    User {
        id: ID.into(),
        name: "Ada".into(),
        email: "ada@example.org".into(),
        role: Role::Developer.into(),
        status: UserStatus::Active.into(),
        version: 1,
        created_at: noon(),
    }
}
