//! What a developer does, from the catalogue to calling the API.

use std::collections::BTreeSet;

use super::{Browser, Portal};

/// Puts the first product into the cart and submits a request for it; the browser is on the request's page then.
async fn submit(portal: &Portal, browser: &mut Browser) -> String {
    let product = &portal.catalogue.product_ids[0];
    browser
        .get(&format!("/catalogue/{product}"))
        .await
        .is(200)
        .shows("Payments API");
    browser
        .submit("/cart/items", &[])
        .await
        .is(200)
        .shows("Added to your cart.");
    browser
        .submit("/cart", &[("checkout", "yes")])
        .await
        .is(200)
        .shows("1. Products and plans");
    let fields = [
        ("items[0].plan_id", portal.catalogue.plan_ids[0].as_str()),
        ("target", "new"),
        ("application.name", "Web shop"),
        ("note", "<b>please</b>"),
    ];
    browser
        .submit("/checkout", &fields)
        .await
        .is(200)
        .shows("Your request was submitted.");
    browser.page.path.split('?').next().unwrap().to_owned()
}

#[tokio::test]
async fn from_the_catalogue_to_a_token_and_back() {
    let portal = Portal::start().await;
    let (mut dana, mut admin) = (portal.developer().await, portal.admin().await);
    dana.get("/dashboard")
        .await
        .is(200)
        .shows("You have no applications yet.");
    let request = submit(&portal, &mut dana).await;
    dana.page
        .shows("pending")
        .shows("Withdraw the request")
        .shows("by you");
    assert!(
        !dana.page.html.contains("<b>please</b>"),
        "{}",
        dana.page.html
    );
    dana.get("/cart").await.is(200).shows("Your cart is empty.");

    let id = request.rsplit('/').next().unwrap();
    let decided = format!("/admin/access-requests/{id}");
    admin
        .get("/admin/access-requests?status=pending")
        .await
        .is(200)
        .shows("Web shop")
        .shows("Dana Developer");
    admin.get(&decided).await.is(200).shows("Dry run");
    admin
        .submit(&format!("{decided}/preview"), &[])
        .await
        .is(200)
        .shows("A new client is registered");
    admin
        .page
        .shows("product_payments")
        .hides("sandbox-initial-access-token");
    admin
        .submit(&format!("{decided}/approve"), &[("note", "Welcome")])
        .await
        .is(200)
        .shows("Approved.");
    dana.get_until(&request, "Ready to use")
        .await
        .shows("by an administrator")
        .shows("Get the credentials");

    let application = dana
        .page
        .between("<a class=\"button\" href=\"/dashboard/applications/", "\"");
    let application = format!("/dashboard/applications/{application}");
    dana.get(&application)
        .await
        .is(200)
        .shows("CLIENT_SECRET")
        .shows("scope=free_plan product_payments");
    dana.page.hides("code class=\"secret\"");
    dana.submit(&format!("{application}/credentials"), &[])
        .await
        .is(200)
        .hides("CLIENT_SECRET");
    assert_eq!(dana.page.headers["cache-control"], "no-store");
    let secret = dana.page.between("<code class=\"secret\">", "<");
    let client = dana.page.between("<dt>Client ID</dt><dd><code>", "<");
    let endpoint = dana.page.between("<dt>Token endpoint</dt><dd><code>", "<");
    assert_eq!(token(&endpoint, &client, &secret).await, 200);

    // This provider cannot; the secret that there is goes on working.
    dana.submit(&format!("{application}/rotate"), &[])
        .await
        .is(409)
        .shows("has no way to give a client a new secret");
    dana.page.hides(&secret);
    assert_eq!(token(&endpoint, &client, &secret).await, 200);

    dana.get(&format!("{request}/revoke"))
        .await
        .is(200)
        .shows("Give up this access?");
    dana.submit(&format!("{request}/revoke"), &[])
        .await
        .is(200)
        .shows("revoked");
    dana.get_until(&application, "No credentials yet").await;
    assert_eq!(token(&endpoint, &client, &secret).await, 401);
    portal.world.stop().await;
}

/// It does not show everything instead.
#[tokio::test]
async fn a_filter_word_that_is_none_is_refused() {
    let portal = Portal::start().await;
    let mut admin = portal.admin().await;
    admin
        .get("/admin/access-requests?status=lost")
        .await
        .is(400)
        .shows("must be pending, approved");
    portal.world.stop().await;
}

/// What is decided on a page that was opened earlier is done, though the request has gone on meanwhile.
#[tokio::test]
async fn a_request_that_went_on_meanwhile_can_still_be_decided() {
    let portal = Portal::start().await;
    let (mut dana, mut admin) = (portal.developer().await, portal.admin().await);
    let request = submit(&portal, &mut dana).await;
    let id = request.rsplit('/').next().unwrap();
    let decided = format!("/admin/access-requests/{id}");
    admin.get(&decided).await.is(200);
    admin
        .submit(&format!("{decided}/approve"), &[])
        .await
        .is(200);
    dana.get_until(&request, "Ready to use").await;

    dana.get(&format!("{request}/revoke")).await.is(200);
    let revoke = dana.form(&format!("{request}/revoke"));
    admin.get(&decided).await.is(200);
    let suspend = admin.form(&format!("{decided}/suspend"));
    for way in ["suspend", "resume"] {
        let path = format!("{decided}/{way}");
        admin.submit(&path, &[]).await.is(200);
    }
    admin
        .send(&format!("{decided}/suspend"), suspend, &[])
        .await
        .is(200);
    admin.page.shows("suspended");
    dana.send(&format!("{request}/revoke"), revoke, &[])
        .await
        .is(200)
        .shows("revoked");
    portal.world.stop().await;
}

/// What an account's suspension does is on the pages of its access, and nothing can be approved for it.
#[tokio::test]
async fn access_of_a_suspended_developer_is_suspended() {
    let portal = Portal::start().await;
    let (mut dana, mut admin) = (portal.developer().await, portal.admin().await);
    let mut requests = Vec::new();
    for _ in 0..2 {
        let request = submit(&portal, &mut dana).await;
        let id = request.rsplit('/').next().unwrap();
        requests.push(format!("/admin/access-requests/{id}"));
    }
    let [granted, pending] = &requests[..] else {
        panic!("two requests");
    };
    admin.get(granted).await.is(200);
    let approve = format!("{granted}/approve");
    admin.submit(&approve, &[]).await.is(200);
    admin.get_until(granted, "Ready to use").await;
    admin.get("/admin/users?role=developer").await.is(200);
    let user = admin.page.between("/admin/users/", "/suspend");
    let suspend = format!("/admin/users/{user}/suspend");
    admin
        .submit(&suspend, &[])
        .await
        .is(200)
        .shows("Their access to APIs is suspended");
    admin
        .get_until(granted, "Suspended with the developer\u{2019}s account")
        .await
        .shows("remains valid until it expires")
        .shows("It is resumed when the account is activated")
        .hides("/resume\"");
    admin.get(pending).await.is(200);
    admin
        .submit(&format!("{pending}/approve"), &[])
        .await
        .is(409)
        .shows("is suspended; activate the account first");
    portal.world.stop().await;
}

#[tokio::test]
async fn an_application_that_is_saved_untouched_stays_as_it_is() {
    let portal = Portal::start().await;
    let mut dana = portal.developer().await;
    let url = "https://app.example/cb?list=1,2";
    let fields = [("name", "Commas"), ("redirect_urls", url)];
    dana.get("/dashboard/applications/new").await.is(200);
    dana.submit("/dashboard/applications/new", &fields)
        .await
        .is(200)
        .shows(url);
    let page = dana.page.path.split('?').next().unwrap().to_owned();
    let edit = format!("{page}/edit");
    dana.get(&edit).await.is(200);
    let version = dana.page.between("name=\"version\" value=\"", "\"");
    dana.submit(&edit, &[]).await.is(200).shows(url);
    dana.get(&edit).await.is(200);
    let unchanged = dana.page.between("name=\"version\" value=\"", "\"");
    assert_eq!(unchanged, version);
    portal.world.stop().await;
}

/// Status of a request for a token, as the curl command on the page makes it.
async fn token(endpoint: &str, client: &str, secret: &str) -> u16 {
    let http = portico_sandbox::outgoing::http_client().unwrap();
    let form = [
        ("grant_type", "client_credentials"),
        ("scope", "product_payments free_plan"),
    ];
    let answer = http
        .post(endpoint)
        .basic_auth(client, Some(secret))
        .form(&form)
        .send()
        .await
        .unwrap();
    answer.status().as_u16()
}

#[tokio::test]
async fn the_cart_and_checkout_explain_what_does_not_fit() {
    let portal = Portal::start().await;
    let mut dana = portal.developer().await;
    dana.get("/checkout")
        .await
        .is(200)
        .shows("Your cart is empty.");
    for product in &portal.catalogue.product_ids[..2] {
        dana.get(&format!("/catalogue/{product}")).await.is(200);
        dana.submit("/cart/items", &[]).await.is(200);
    }
    dana.get(&format!("/catalogue/{}", portal.catalogue.product_ids[0]))
        .await;
    dana.submit("/cart/items", &[])
        .await
        .is(200)
        .shows("This product is already in your cart.");
    let stale = dana.form("/cart");
    dana.submit("/cart", &[("remove", &portal.catalogue.product_ids[1])])
        .await
        .shows("Your cart was updated.");
    dana.send("/cart", stale, &[])
        .await
        .is(412)
        .shows("Somebody else has changed this in the meantime.");

    dana.get("/checkout").await.is(200);
    let fields = [
        ("application.name", ""),
        (
            "application.redirect_urls",
            "https://a.example/cb#x, javascript:alert(1)",
        ),
        ("note", "kept"),
    ];
    dana.submit("/checkout", &fields)
        .await
        .is(400)
        .shows("choose a plan for each product")
        .shows("kept");
    dana.page
        .shows("Name must have 1 to 100 characters")
        .shows("Redirect URLs (1) must not have a fragment");
    dana.page
        .shows("aria-invalid=\"true\"")
        .shows("https://a.example/cb#x, javascript:alert(1)");
    dana.get("/dashboard")
        .await
        .shows("You have no applications yet.");
    portal.world.stop().await;
}

/// Double clicks, and going back to send it again.
#[tokio::test]
async fn a_form_that_is_sent_again_creates_nothing_more() {
    let portal = Portal::start().await;
    let mut dana = portal.developer().await;
    let product = &portal.catalogue.product_ids[0];
    dana.get(&format!("/catalogue/{product}")).await.is(200);
    dana.submit("/cart/items", &[]).await.is(200);
    dana.get("/checkout").await.is(200);
    let form = dana.form("/checkout");
    let fields = [
        ("items[0].plan_id", portal.catalogue.plan_ids[0].as_str()),
        ("target", "new"),
        ("application.name", "Web shop"),
    ];
    let mut others = [dana.again(), dana.again(), dana.again()];
    let at_once = others
        .iter_mut()
        .map(|browser| browser.send("/checkout", form.clone(), &fields));
    let paths: BTreeSet<&str> = futures::future::join_all(at_once)
        .await
        .into_iter()
        .map(|page| page.is(200).path.as_str())
        .collect();
    assert_eq!(paths.len(), 1, "{paths:?}");
    let path = paths.into_iter().next().unwrap_or_default().to_owned();
    dana.send("/checkout", form.clone(), &fields).await.is(200);
    assert_eq!(dana.page.path, path);
    dana.send("/checkout", form, &[("application.name", "Other")])
        .await
        .is(409)
        .shows("This form was already sent with other values");

    let new = "/dashboard/applications/new";
    dana.get(new).await.is(200);
    let form = dana.form(new);
    for _ in 0..2 {
        dana.send(new, form.clone(), &[("name", "Second")])
            .await
            .is(200);
    }
    dana.get("/dashboard").await.is(200);
    let links = dana.page.html.matches(">Second</a>").count();
    assert_eq!(links, 1, "{}", dana.page.html);
    portal.world.stop().await;
}

#[tokio::test]
async fn a_request_can_be_withdrawn_and_an_application_changed() {
    let portal = Portal::start().await;
    let mut dana = portal.developer().await;
    let request = submit(&portal, &mut dana).await;
    let withdraw = dana.form(&format!("{request}/withdraw"));
    dana.submit(&format!("{request}/withdraw"), &[])
        .await
        .is(200)
        .shows("withdrawn");
    dana.send(&format!("{request}/withdraw"), withdraw, &[])
        .await
        .is(409)
        .shows("already_withdrawn");

    dana.get("/dashboard").await.is(200).shows("Web shop");
    let application = dana
        .page
        .between("<h3><a href=\"/dashboard/applications/", "\"");
    let application = format!("/dashboard/applications/{application}");
    let edit = format!("{application}/edit");
    dana.get(&edit).await.is(200);
    let stale = dana.form(&edit);
    dana.submit(&edit, &[("name", " "), ("description", "still here")])
        .await
        .is(400)
        .shows("still here");
    dana.submit(&edit, &[("name", "Shop 2")])
        .await
        .is(200)
        .shows("Saved.")
        .shows("Shop 2");
    dana.send(&edit, stale, &[("name", "Shop 3")])
        .await
        .is(412)
        .shows("Somebody else has changed this in the meantime.");
    dana.get(&format!("{application}/delete"))
        .await
        .is(200)
        .shows("Delete \u{201c}Shop 2\u{201d}?");
    dana.submit(&format!("{application}/delete"), &[])
        .await
        .is(200)
        .shows("Deleted.");
    dana.get(&application)
        .await
        .is(404)
        .shows("There is no such application.");
    portal.world.stop().await;
}

#[tokio::test]
async fn api_tokens_are_shown_once() {
    let portal = Portal::start().await;
    let mut dana = portal.developer().await;
    let path = "/dashboard/api-tokens";
    dana.get(path)
        .await
        .is(200)
        .shows("You have no API tokens.");
    dana.submit(path, &[("name", "CI"), ("expires_in_days", "many")])
        .await
        .is(400)
        .shows("a whole number");
    dana.submit(path, &[("name", "C\0I"), ("expires_in_days", "7")])
        .await
        .is(400)
        .shows("must not have the character U+0000");
    dana.get(path).await.is(200);
    dana.submit(path, &[("name", "CI"), ("expires_in_days", "7")])
        .await
        .is(200)
        .shows("Copy it now, it will not be shown again");
    let token = dana.page.between("<code class=\"secret\">", "<");
    dana.get(path).await.is(200).shows("CI").hides(&token);
    let http = portico_sandbox::outgoing::http_client().unwrap();
    let url = format!("{}/api/v1/session", portal.world.portal_url());
    let status = async || {
        http.get(&url)
            .bearer_auth(&token)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(status().await, 200);
    let id = dana.page.between("/dashboard/api-tokens/", "/revoke");
    dana.submit(&format!("{path}/{id}/revoke"), &[])
        .await
        .is(200)
        .shows("The token no longer works.");
    assert_eq!(status().await, 401);
    portal.world.stop().await;
}
