//! What is refused on the pages: with the code that REST and gRPC give, and with what was typed still there.

use super::{Browser, Portal};
use crate::demo::seed;

#[tokio::test]
async fn well_known_urls_of_providers() {
    let portal = Portal::start().await;
    let mut admin = portal.admin().await;
    let new = "/admin/identity-providers/new";
    let right = portal.world.well_known_url();
    let html = format!(
        "{}/.well-known/openid-configuration",
        portal.world.mail_url()
    );
    let cases = [
        ("not a url", "well_known_url_invalid"),
        (
            "ftp://idp.example/.well-known/openid-configuration",
            "well_known_url_invalid",
        ),
        (
            "http://127.0.0.1:1/.well-known/openid-configuration",
            "well_known_",
        ),
        (html.as_str(), "well_known_"),
        (&right.replace("127.0.0.1", "localhost"), "issuer_mismatch"),
    ];
    for (url, code) in cases {
        admin.get(new).await.is(200);
        let typed = [("name", "Mine"), ("type", "other"), ("well_known_url", url)];
        admin
            .submit(new, &typed)
            .await
            .is(400)
            .shows(code)
            .shows("value=\"Mine\"");
        admin.page.shows("aria-invalid=\"true\"");
    }
    admin.get("/admin/identity-providers").await.hides("Mine");
    portal.world.stop().await;
}

#[tokio::test]
async fn products_and_plans_that_do_not_fit() {
    let portal = Portal::start().await;
    let mut admin = portal.admin().await;
    let product = |scopes| {
        [
            ("name", "Mine"),
            ("dcr_enabled", "on"),
            ("scopes", scopes),
            ("client_type_ids", portal.catalogue.client_type_id.as_str()),
        ]
    };
    for (scopes, status, code) in [
        ("", 400, "scopes_missing"),
        ("bad\"scope", 400, "scopes_invalid"),
        ("product_payments", 409, "scope_taken"),
    ] {
        admin.get("/admin/products/new").await.is(200);
        admin
            .submit("/admin/products/new", &product(scopes))
            .await
            .is(status)
            .shows(code);
    }
    admin.get("/admin/plans/new").await.is(200);
    admin
        .submit("/admin/plans/new", &[("name", "Mine"), ("scopes", "")])
        .await
        .is(400)
        .shows("scopes_missing");
    admin.get("/admin/products").await.hides("Mine");
    admin.get("/admin/plans").await.hides("Mine");
    portal.world.stop().await;
}

#[tokio::test]
async fn redirect_urls() {
    let portal = Portal::start().await;
    let mut dana = portal.developer().await;
    let new = "/dashboard/applications/new";
    for (url, code) in [
        ("https://app.example/cb#part", "redirect_url_fragment"),
        ("https://*.example/cb", "redirect_url_wildcard"),
        ("javascript:alert(1)", "redirect_url_scheme"),
        ("http://app.example/cb", "redirect_url_not_https"),
    ] {
        dana.get(new).await.is(200);
        dana.submit(new, &[("name", "Mine"), ("redirect_urls", url)])
            .await
            .is(400)
            .shows(code)
            .shows(url);
    }
    dana.get("/dashboard").await.hides("Mine");
    portal.world.stop().await;
}

#[tokio::test]
async fn a_checkout_with_what_is_not_ones_own() {
    let portal = Portal::start().await;
    let (mut dana, mut admin) = (portal.developer().await, portal.admin().await);
    let new = "/dashboard/applications/new";
    admin.get(new).await.is(200);
    admin.submit(new, &[("name", "Theirs")]).await.is(200);
    let theirs = admin.page.path.split('?').next().unwrap().to_owned();
    dana.get(&theirs).await.is(404).shows("not_found");
    let theirs = theirs.rsplit('/').next().unwrap();

    to_checkout(&portal, &mut dana, 0).await;
    let plan = ("items[0].plan_id", portal.catalogue.plan_ids[0].as_str());
    dana.submit(
        "/checkout",
        &[plan, ("target", "existing"), ("application_id", theirs)],
    )
    .await
    .is(404)
    .shows("not_found");
    to_checkout(&portal, &mut dana, 0).await;
    let add = format!("{}/client-types/new", provider(&mut admin).await);
    admin.get(&add).await.is(200);
    admin.submit(&add, &[("name", "Another")]).await.is(200);
    let html = admin.page.text();
    let ids = html.split("/admin/client-types/").skip(1);
    let other = ids
        .filter_map(|rest| rest.split("/edit").next())
        .find(|id| *id != portal.catalogue.client_type_id)
        .unwrap();
    let fields = [
        plan,
        ("target", "new"),
        ("application.name", "Mine"),
        ("client_type_id", other),
    ];
    dana.submit("/checkout", &fields)
        .await
        .is(400)
        .shows("client_type_not_of_product");
    dana.get("/dashboard").await.hides("Mine");
    portal.world.stop().await;
}

#[tokio::test]
async fn deciding_what_is_decided() {
    let portal = Portal::start().await;
    let (mut dana, mut admin) = (portal.developer().await, portal.admin().await);
    let withdrawn = submit(&portal, &mut dana, 0, "One").await;
    let approved = submit(&portal, &mut dana, 1, "Two").await;
    for (request, before, code) in [
        (&withdrawn, "withdraw", "already_withdrawn"),
        (&approved, "approve", "already_approved"),
    ] {
        let decide = format!("/admin/access-requests/{request}/approve");
        let page = format!("/admin/access-requests/{request}");
        admin.get(&page).await.is(200);
        let form = admin.form(&decide);
        if before == "withdraw" {
            let own = format!("/dashboard/access-requests/{request}");
            dana.get(&own).await.is(200);
            dana.submit(&format!("{own}/withdraw"), &[]).await.is(200);
        } else {
            admin.send(&decide, form.clone(), &[]).await.is(200);
            admin.get_until(&page, "Revoke this access").await;
        }
        admin.send(&decide, form, &[]).await.is(409).shows(code);
    }
    portal.world.stop().await;
}

#[tokio::test]
async fn what_the_provider_refuses_can_be_mended() {
    let portal = Portal::start().await;
    let (mut dana, mut admin) = (portal.developer().await, portal.admin().await);
    let new = "/admin/products/new";
    admin.get(new).await.is(200);
    let typed = [
        ("name", "Mine"),
        ("dcr_enabled", "on"),
        ("scopes", "product_nobody_knows"),
        ("client_type_ids", &portal.catalogue.client_type_id),
    ];
    admin.submit(new, &typed).await.is(200);
    let product = admin.page.between("/admin/products/", "/publish");
    admin
        .submit(&format!("/admin/products/{product}/publish"), &[])
        .await
        .is(200);
    dana.get(&format!("/catalogue/{product}")).await.is(200);
    dana.submit("/cart/items", &[]).await.is(200);
    let request = check_out(&portal, &mut dana, "Shop").await;
    approve(&mut admin, &request).await;
    let page = format!("/admin/access-requests/{request}");
    admin
        .get_until(&page, "Retry")
        .await
        .shows("product_nobody_knows");

    // A token that is wrong pauses the provider; the page says so and takes a new one.
    let provider = provider(&mut admin).await;
    let token = format!("{provider}/token");
    admin
        .submit(&token, &[("initial_access_token", "canary-token")])
        .await
        .is(200);
    let request = submit(&portal, &mut dana, 0, "Second shop").await;
    approve(&mut admin, &request).await;
    admin
        .get_until(&provider, "paused")
        .await
        .hides("canary-token");
    let right = [(
        "initial_access_token",
        crate::demo::world::INITIAL_ACCESS_TOKEN,
    )];
    admin.submit(&token, &right).await.is(200);
    dana.get_until(
        &format!("/dashboard/access-requests/{request}"),
        "Ready to use",
    )
    .await;
    portal.world.stop().await;
}

#[tokio::test]
async fn signing_in_with_a_wrong_password() {
    let portal = Portal::start().await;
    let mut visitor = portal.visitor();
    visitor.get("/login").await.is(200);
    let fields = [("email", seed::ADMIN_EMAIL), ("password", "wrong")];
    visitor
        .submit("/login", &fields)
        .await
        .is(401)
        .shows("credentials_wrong")
        .hides("\"wrong\"");
    for _ in 1..10 {
        visitor.submit("/login", &fields).await.is(401);
    }
    visitor
        .submit("/login", &fields)
        .await
        .is(429)
        .shows("Too many failed sign-ins");
    assert!(visitor.page.headers.contains_key("retry-after"));
    portal.world.stop().await;
}

/// The page of the only identity provider, which the browser is on then.
async fn provider(admin: &mut Browser) -> String {
    admin.get("/admin/identity-providers").await.is(200);
    let id = admin.page.between(
        "<td data-label=\"Name\"><a href=\"/admin/identity-providers/",
        "\"",
    );
    let path = format!("/admin/identity-providers/{id}");
    admin.get(&path).await.is(200);
    path
}

async fn to_checkout(portal: &Portal, browser: &mut Browser, product: usize) {
    let product = &portal.catalogue.product_ids[product];
    browser.get(&format!("/catalogue/{product}")).await.is(200);
    browser.submit("/cart/items", &[]).await.is(200);
    browser.get("/checkout").await.is(200);
}

/// Asks for a product under a plan, for a new application; the request's id.
async fn submit(
    portal: &Portal,
    browser: &mut Browser,
    product: usize,
    application: &str,
) -> String {
    to_checkout(portal, browser, product).await;
    check_out(portal, browser, application).await
}

async fn check_out(portal: &Portal, browser: &mut Browser, application: &str) -> String {
    browser.get("/checkout").await.is(200);
    let fields = [
        ("items[0].plan_id", portal.catalogue.plan_ids[0].as_str()),
        ("target", "new"),
        ("application.name", application),
    ];
    browser.submit("/checkout", &fields).await.is(200);
    let path = browser.page.path.split('?').next().unwrap();
    path.rsplit('/').next().unwrap().to_owned()
}

async fn approve(admin: &mut Browser, request: &str) {
    let page = format!("/admin/access-requests/{request}");
    admin.get(&page).await.is(200);
    admin.submit(&format!("{page}/approve"), &[]).await.is(200);
}
