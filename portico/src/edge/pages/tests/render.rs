//! Pages in states that are rare: failures, pauses, things that are gone, several pages of a list.

use minijinja::{Value, context, value::Serde};
use portico_proto::{
    access::v1::{AccessRequest, AccessRequestStatus, RequestedItem, TimelineEntry, TimelineStep},
    catalog::v1::Product,
    gateway::v1::{ApiKey, ApiKeyStatus},
    notification::v1::{Delivery, DeliveryStatus, MailTemplate},
    operations::v1::{DriftItem, DriftKind},
    registration::v1::{
        ConformanceCheck, ConformanceOutcome, ConformanceStatus, ConformanceStep,
        ConformanceStepName, Difference, IdentityProvider, IdentityProviderStatus, OauthClient,
        OauthClientStatus, Orphan, OrphanReason, OrphanStatus,
    },
    rest::Enumeration as _,
    time::{self, parse},
};

use super::super::{lists::Listing, show, theme};
use crate::edge::rest::preview::Preview;

const HOSTILE: &str = "<script>alert(\"1\")</script>";

fn render(template: &str, shown: Value) -> String {
    let environment = theme::environment(None);
    let common = context! {
        csrf_token => "token",
        form_key => "key",
        path => "/admin/here",
        user => context! { id => "1", name => HOSTILE, admin => true },
        cart_size => 2,
        notice => "saved",
        signup => true,
        errors => context! {},
    };
    let page = environment.get_template(template).unwrap();
    let html = page
        .render(context! { ..shown, ..common })
        .unwrap_or_else(|error| panic!("{template}: {error:#}"));
    assert!(!html.contains("<script>alert"), "{template}: {html}");
    for part in ["<h1>", "lang=\"en\"", "<title>", "Saved."] {
        assert!(html.contains(part), "{template} has no {part}: {html}");
    }
    assert_eq!(html.matches("<h1>").count(), 1, "{template}");
    html
}

fn list() -> Value {
    Listing {
        q: "q".into(),
        after: "a".into(),
        ..Listing::default()
    }
    .shown("b")
}

fn request(status: AccessRequestStatus) -> AccessRequest {
    let at = time::parse("2026-11-04T03:05:09Z");
    let step = |step: i32| TimelineEntry {
        step,
        at,
        detail: HOSTILE.into(),
        ..Default::default()
    };
    let steps = TimelineStep::words().words;
    AccessRequest {
        id: "7".into(),
        status: status.into(),
        created_at: at,
        application_name: HOSTILE.into(),
        note: HOSTILE.into(),
        reason: Some(REFUSED.into()),
        failure: (status == AccessRequestStatus::Failed).then(|| REFUSED.into()),
        next_try_at: at,
        items: vec![RequestedItem {
            product_name: HOSTILE.into(),
            ..Default::default()
        }],
        timeline: steps.iter().map(|one| step(one.number)).collect(),
        ..Default::default()
    }
}

const REFUSED: &str = "invalid_client_metadata: Policy 'Trusted Hosts' rejected request";

#[test]
fn taking_access_away_can_fail_and_be_retried() {
    let revoked = AccessRequest {
        reason: Some("Left the company.".into()),
        failure: Some(REFUSED.into()),
        ..request(AccessRequestStatus::Revoked)
    };
    let revoked = show::access_request(&revoked, |by| by.to_owned());
    let html = render("admin/access_request.html", context! { request => revoked });
    for shown in [
        "Left the company.",
        "Policy &#x27;Trusted Hosts&#x27;",
        "/retry\"",
    ] {
        assert!(html.contains(shown), "{shown}: {html}");
    }
}

#[test]
fn access_that_is_suspended_by_the_account_and_by_an_admin_says_both() {
    let page = |steps: &[TimelineStep], account_suspended| {
        let step = |step: &TimelineStep| TimelineEntry {
            step: (*step).into(),
            ..Default::default()
        };
        let suspended = AccessRequest {
            account_suspended,
            timeline: steps.iter().map(step).collect(),
            ..request(AccessRequestStatus::Suspended)
        };
        let shown = show::access_request(&suspended, |by| by.to_owned());
        render("admin/access_request.html", context! { request => shown })
    };
    use TimelineStep::{AccountSuspended, Resumed, Suspended};
    let (by_admin, resume) = ("an admin has suspended this access as well", "/resume\"");
    let by_account = "account is suspended, and";
    for (steps, account, says) in [
        (&[Suspended][..], false, [false, false, true]),
        (&[AccountSuspended], true, [true, false, false]),
        (
            &[Suspended, Resumed, AccountSuspended],
            true,
            [true, false, false],
        ),
        (&[Suspended, AccountSuspended], true, [true, true, true]),
        (&[AccountSuspended, Suspended], true, [true, true, true]),
    ] {
        let html = page(steps, account);
        let found = [by_account, by_admin, resume].map(|words| html.contains(words));
        assert_eq!(found, says, "{steps:?}");
    }
}

#[test]
fn a_failure_stands_there_in_the_providers_words() {
    let preview = Preview {
        action: Some("register".into()),
        payload: serde_json::json!({ "client_name": "<script>alert(1)</script>" })
            .as_object()
            .cloned(),
        scopes_missing_at_provider: vec!["gold_plan".into()],
        mapping_changes: vec!["payments: gold_plan".into()],
        ..Default::default()
    };
    for word in AccessRequestStatus::words().words {
        let status = word.word;
        let request = request(AccessRequestStatus::from_word(status).unwrap());
        let request = show::access_request(&request, |by| by.to_owned());
        let shown =
            context! { request => &request, preview => show::preview(&preview), own => true };
        let admin = render("admin/access_request.html", shown.clone());
        let own = render("developer/access_request.html", shown);
        for html in [&admin, &own] {
            assert!(
                html.contains("Policy &#x27;Trusted Hosts&#x27; rejected"),
                "{html}"
            );
        }
        let under_way = ["approved", "provisioning"].contains(&status);
        assert_eq!(
            admin.contains("http-equiv=\"refresh\""),
            under_way,
            "{status}"
        );
        assert_eq!(
            own.contains("http-equiv=\"refresh\""),
            under_way,
            "{status}"
        );
        assert_eq!(own.contains("/withdraw\""), status == "pending");
        assert_eq!(admin.contains("/approve\""), status == "pending");
        assert_eq!(admin.contains("/retry\""), status == "failed");
        assert_eq!(admin.contains("/resume\""), status == "suspended");
        assert_eq!(
            admin.contains("/suspend\""),
            status == "active" || under_way || status == "failed"
        );
    }
}

#[test]
fn every_step_has_words() {
    let mut request = request(AccessRequestStatus::Active);
    let html = |request: &AccessRequest| {
        let request = show::access_request(request, |by| by.to_owned());
        render(
            "developer/access_request.html",
            context! { request, own => true },
        )
    };
    let known = html(&request);
    for step in TimelineStep::words().words {
        assert!(known.contains(&format!("<li class=\"{}\">", step.word)));
        assert!(!known.contains(&format!("<strong>{}", step.word)));
    }
    assert!(!known.contains("<strong>Changed</strong>"));
    // Of a newer service.
    request.timeline[0].step = 99;
    assert!(html(&request).contains("<strong>Changed</strong>"));
}

#[test]
fn a_paused_provider_is_loud() {
    let provider = show::identity_provider(&IdentityProvider {
        name: HOSTILE.into(),
        status: IdentityProviderStatus::Paused.into(),
        status_reason: Some("the initial access token was refused".into()),
        skip_tls_verify: true,
        ..Default::default()
    });
    let all = render(
        "admin/identity_providers.html",
        context! { providers => vec![provider.clone()], list => list() },
    );
    assert!(
        all.contains("is paused.") && all.contains("rel=\"next\""),
        "{all}"
    );
    let one = render("admin/identity_provider.html", context! { provider });
    assert!(
        one.contains("Paused: no clients are registered here."),
        "{one}"
    );
    assert!(one.contains("The certificate is not verified."), "{one}");
}

#[test]
fn what_the_provider_granted_otherwise_is_shown() {
    let client = OauthClient {
        client_id: Some("client".into()),
        status: OauthClientStatus::Failed.into(),
        last_error: Some(HOSTILE.into()),
        differences: vec![Difference {
            member: "grant_types".into(),
            asked: "client_credentials".into(),
            granted: "authorization_code".into(),
            consequence: "No token without a person.".into(),
        }],
        ..Default::default()
    };
    let client = context! {
    revealed => false, has_secret => true, auth_method => "client_secret_basic",
    calls => Vec::<Value>::new(), token_command => "curl", machine => true, ..show::oauth_client(&client) };
    let key = ApiKey {
        product_name: HOSTILE.into(),
        status: ApiKeyStatus::Failed.into(),
        last_error: Some("policy not found".into()),
        ..Default::default()
    };
    let shown = context! {
        application => context! { id => "1", name => "A", description => "", redirect_urls => Vec::<Value>::new(), created_at => "x", suspended => false, version => 1 },
        clients => vec![client],
        keys => vec![show::api_key(&key, None)],
        own => false,
    };
    let html = render("developer/application.html", shown);
    assert!(
        html.contains("No token without a person.") && html.contains("Setup failed."),
        "{html}"
    );
    assert!(!html.contains("Show the secret"), "{html}");
    assert!(html.contains("policy not found"), "{html}");
    assert!(!html.contains("Show the key"), "{html}");
}

#[test]
fn an_old_secret_that_still_works_can_be_ended() {
    let page = |until: Option<&str>, error: Option<&str>| {
        let client = OauthClient {
            client_id: Some("client".into()),
            identity_provider_id: "p1".into(),
            status: OauthClientStatus::Ready.into(),
            old_secret_valid_until: until.and_then(parse),
            old_secret_error: error.map(str::to_owned),
            ..Default::default()
        };
        let client = context! {
            revealed => false, has_secret => true, auth_method => "client_secret_basic", calls => Vec::<Value>::new(),
            token_command => "curl", machine => true,
            ..show::oauth_client(&client)
        };
        let application = context! {
            id => "a1", name => "A", description => "", redirect_urls => Vec::<Value>::new(), created_at => "x",
            suspended => false, version => 1,
        };
        render(
            "developer/application.html",
            context! { application, clients => vec![client], keys => Vec::<Value>::new(), own => true },
        )
    };
    assert!(!page(None, None).contains("Old secret"));
    let html = page(Some("2026-11-04T03:05:09Z"), Some(HOSTILE));
    let form = "action=\"/dashboard/applications/a1/old-secret\"";
    assert!(
        html.contains(form) && html.contains("Revoke it now"),
        "{html}"
    );
    assert!(
        html.contains("has not revoked it") && !html.contains(HOSTILE),
        "{html}"
    );
}

#[test]
fn what_a_provider_can_do_is_a_matrix() {
    let provider = show::identity_provider(&IdentityProvider {
        name: HOSTILE.into(),
        rotate_secrets_days_before: Some(7),
        ..Default::default()
    });
    let step = |name: ConformanceStepName, outcome: ConformanceOutcome| ConformanceStep {
        name: name.into(),
        outcome: outcome.into(),
        detail: Some(HOSTILE.into()),
    };
    let check = |status: ConformanceStatus| {
        show::conformance(&ConformanceCheck {
            status: status.into(),
            started_at: parse("2026-11-04T03:05:09Z"),
            steps: vec![
                step(ConformanceStepName::Register, ConformanceOutcome::Passed),
                step(ConformanceStepName::Rotate, ConformanceOutcome::NotOffered),
            ],
            left_behind: Some("left".into()),
            ..Default::default()
        })
    };
    let page = |status| {
        let shown = context! { provider => provider.clone(), check => check(status) };
        render("admin/conformance.html", shown)
    };
    let finished = page(ConformanceStatus::Finished);
    assert!(finished.contains("not offered") && finished.contains("<code>left</code>"));
    assert!(
        finished.contains("<option value=\"7\" selected>"),
        "{finished}"
    );
    assert!(page(ConformanceStatus::Running).contains("http-equiv=\"refresh\""));
    let none = page(ConformanceStatus::None);
    assert!(none.contains("Not checked yet."), "{none}");
}

#[test]
fn a_client_is_shown_as_it_is_at_its_provider() {
    let client = show::oauth_client(&OauthClient {
        client_id: Some(HOSTILE.into()),
        warnings: vec![HOSTILE.into()],
        old_secret_valid_until: parse("2026-11-04T03:05:09Z"),
        ..Default::default()
    });
    let item = show::drift(&DriftItem {
        kind: DriftKind::Disabled.into(),
        found: Some(HOSTILE.into()),
        ..Default::default()
    });
    let shown = context! {
        application_id => "1", client, state => "changed", reason => "", found => HOSTILE,
        items => vec![item],
    };
    let html = render("admin/oauth_client.html", shown);
    assert!(html.contains("Old secret valid until") && html.contains("/reissue-token\""));
}

#[test]
fn what_is_gone_can_be_taken_out() {
    let item = context! { product_id => "1", plan_id => "", plan_field => "items[0].plan_id", product_field => "items[0].product_id", product => () };
    let cart = render(
        "developer/cart.html",
        context! { items => vec![item.clone()], plans => Vec::<Value>::new(), version => 1 },
    );
    assert!(
        cart.contains("no longer in the catalogue") && cart.contains("name=\"remove\""),
        "{cart}"
    );
    let checkout = render(
        "developer/checkout.html",
        context! {
            items => vec![item], plans => Vec::<Value>::new(), applications => Vec::<Value>::new(),
            client_types => Vec::<Value>::new(), form => context! {},
        },
    );
    assert!(checkout.contains("no client type in common"), "{checkout}");
}

#[test]
fn lists_with_trouble_in_them() {
    let delivery = Delivery {
        template: MailTemplate::AccessSubmitted.into(),
        status: DeliveryStatus::Failed.into(),
        last_error: Some("550 no such user".into()),
        attempts: 8,
        created_at: Some(Default::default()),
        ..Default::default()
    };
    let delivery = show::delivery(&delivery, |id| id.to_owned());
    let mails = render(
        "admin/mails.html",
        context! { deliveries => vec![delivery], list => list() },
    );
    assert!(
        mails.contains("550 no such user") && mails.contains("Send again"),
        "{mails}"
    );
    let orphan = Value::from(Serde(Orphan {
        identity_provider_id: "9".into(),
        marker: HOSTILE.into(),
        detail: Some(HOSTILE.into()),
        reason: OrphanReason::DeleteRefused.into(),
        status: OrphanStatus::Open.into(),
        ..Default::default()
    }));
    let orphans = render(
        "admin/orphans.html",
        context! {
            orphans => vec![orphan], providers => context! {}, list => list(),
            searched => vec![context! { name => HOSTILE, failed => HOSTILE, looked_at => 3, found => 1 }],
        },
    );
    assert!(
        orphans.contains("/admin/identity-providers/9") && orphans.contains("/dismiss\""),
        "{orphans}"
    );
    let product = show::product(&Product {
        name: HOSTILE.into(),
        tags: vec!["a&b c".into()],
        ..Default::default()
    });
    let catalogue = render(
        "developer/catalogue.html",
        context! { products => vec![product], list => list() },
    );
    assert!(
        catalogue.contains("tag=a%26b%20c") && catalogue.contains("First page"),
        "{catalogue}"
    );
}
