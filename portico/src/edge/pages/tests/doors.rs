//! Who gets in, and what everybody else sees.

use super::{Portal, html::forms};
use crate::demo::seed;

#[tokio::test]
async fn visitors_see_what_is_public_and_are_led_to_the_login() {
    let portal = Portal::start().await;
    let mut visitor = portal.visitor();
    visitor
        .get("/")
        .await
        .is(200)
        .shows("Payments API")
        .hides("Product Catalogue API")
        .hides("Add to cart");
    visitor
        .get("/catalogue?q=ship")
        .await
        .is(200)
        .shows("Shipping API")
        .hides("Payments API");
    visitor
        .get("/catalogue?q=nothing+like+it")
        .await
        .is(200)
        .shows("No products match.");
    let internal = portal.catalogue.product_ids[3].clone();
    visitor.get(&format!("/catalogue/{internal}")).await.is(404);
    visitor
        .get("/nothing")
        .await
        .is(404)
        .shows("Page not found");
    assert!(
        visitor.page.headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/html")
    );
    visitor.get("/api/v1/nothing").await.is(404);
    assert_eq!(
        visitor.page.headers["content-type"],
        "application/problem+json"
    );

    visitor.get("/dashboard").await.is(200).shows("Log in");
    assert_eq!(visitor.page.path, "/login?next=%2Fdashboard");
    let wrong = [
        ("email", seed::DEVELOPER_EMAIL),
        ("password", "canary-password"),
    ];
    visitor
        .submit("/login", &wrong)
        .await
        .is(401)
        .shows(seed::DEVELOPER_EMAIL)
        .hides("canary-password");
    let right = [
        ("email", seed::DEVELOPER_EMAIL),
        ("password", seed::DEVELOPER_PASSWORD),
    ];
    visitor
        .submit("/login", &right)
        .await
        .is(200)
        .shows("My dashboard")
        .shows("Dana Developer");
    assert_eq!(visitor.page.path, "/dashboard");
    visitor
        .submit("/logout", &[])
        .await
        .is(200)
        .shows("You have been logged out.");
    assert!(!visitor.cookies.contains_key("portico_session"));
    portal.world.stop().await;
}

#[tokio::test]
async fn every_admin_page_is_for_admins_only() {
    let portal = Portal::start().await;
    let (mut visitor, mut dana, mut admin) = (
        portal.visitor(),
        portal.developer().await,
        portal.admin().await,
    );
    let pages = [
        "access-requests",
        "products",
        "products/new",
        "plans",
        "plans/new",
        "identity-providers",
        "identity-providers/new",
        "gateways",
        "gateways/new",
        "users",
        "mails",
        "mail-templates",
        "mail-templates/access_submitted",
        "orphans",
        "drift",
    ];
    for page in pages {
        let path = format!("/admin/{page}");
        admin
            .get(&path)
            .await
            .is(200)
            .shows("aria-current=\"page\"");
        dana.get(&path).await.is(403).shows("Not allowed");
        visitor.get(&path).await.is(200);
        assert!(
            visitor.page.path.starts_with("/login?next=%2Fadmin%2F"),
            "{}",
            visitor.page.path
        );
    }
    admin
        .get("/admin/mail-templates/access_submitted/html")
        .await
        .is(200);
    assert!(
        admin.page.headers["content-security-policy"]
            .to_str()
            .unwrap()
            .contains("sandbox")
    );
    portal.world.stop().await;
}

#[tokio::test]
async fn a_form_without_its_token_is_refused() {
    let portal = Portal::start().await;
    let mut admin = portal.admin().await;
    for page in [
        "/admin/plans/new",
        "/admin/products",
        "/admin/users",
        "/dashboard/applications/new",
        "/cart",
    ] {
        admin.get(page).await.is(200);
        for form in forms(&admin.page.html) {
            let sent = form
                .fields
                .iter()
                .any(|(name, value)| name == "csrf_token" && !value.is_empty());
            assert!(sent, "{} on {page}", form.action);
        }
    }
    admin.get("/admin/plans/new").await;
    let form = admin.form("/admin/plans/new");
    let fields = [
        ("csrf_token", "x"),
        ("name", "Forged"),
        ("scopes", "extra_plan"),
    ];
    admin
        .send("/admin/plans/new", form.clone(), &fields)
        .await
        .is(403);
    admin.get("/admin/plans").await.is(200).hides("Forged");
    // Another session's token does not help either.
    let mut dana = portal.developer().await;
    dana.get("/dashboard/applications/new").await;
    dana.send("/dashboard/applications/new", form, &[("name", "Forged")])
        .await
        .is(403);
    portal.world.stop().await;
}

/// Text that is not UTF-8 would be saved with U+FFFD in its place; `text/plain` is what a forged form may have.
#[tokio::test]
async fn a_form_that_cannot_be_read_is_refused() {
    let portal = Portal::start().await;
    let mut admin = portal.admin().await;
    admin.get("/admin/plans/new").await.is(200);
    let token = admin.page.between("name=\"csrf_token\" value=\"", "\"");
    let form = "application/x-www-form-urlencoded";
    for (media_type, name, status, words) in [
        (form, "Caf%E9", 400, "Name must be text in UTF-8."),
        ("text/plain", "Plain", 415, "A form must be sent as"),
        (form, "Caf%C3%A9", 200, "Caf\u{e9}"),
    ] {
        let body = format!("csrf_token={token}&name={name}&scopes=extra_plan");
        admin
            .post("/admin/plans/new", media_type, body)
            .await
            .is(status)
            .shows(words);
    }
    admin
        .get("/admin/plans")
        .await
        .is(200)
        .hides("\u{fffd}")
        .hides("Plain");
    portal.world.stop().await;
}

#[tokio::test]
async fn signing_up() {
    let portal = Portal::start().await;
    let mut visitor = portal.visitor();
    visitor.get("/signup").await.is(200);
    let short = [
        ("name", "Robin"),
        ("email", "robin@example.com"),
        ("password", "short"),
    ];
    visitor
        .submit("/signup", &short)
        .await
        .is(400)
        .shows("robin@example.com")
        .shows("aria-invalid");
    let fields = [
        ("name", "Robin"),
        ("email", "robin@example.com"),
        ("password", "long enough 42"),
    ];
    visitor
        .submit("/signup", &fields)
        .await
        .is(200)
        .shows("You can log in now.");
    let login = [
        ("email", "robin@example.com"),
        ("password", "long enough 42"),
    ];
    visitor
        .submit("/login", &login)
        .await
        .is(200)
        .shows("Robin");
    portal.world.stop().await;
}
