//! A product that gives an API key, from the catalogue to the key that was replaced and given back.

use super::{Browser, Portal};

async fn submit(portal: &Portal, browser: &mut Browser) -> String {
    let product = &portal.catalogue.key_product_id;
    browser
        .get(&format!("/catalogue/{product}"))
        .await
        .is(200)
        .shows("get an API key");
    browser.submit("/cart/items", &[]).await.is(200);
    browser
        .submit("/cart", &[("checkout", "yes")])
        .await
        .is(200)
        .shows("You will get an API key for each product.")
        .hides("3. Client type");
    let fields = [
        ("items[0].plan_id", portal.catalogue.plan_ids[0].as_str()),
        ("application.name", "Route planner"),
    ];
    browser
        .submit("/checkout", &fields)
        .await
        .is(200)
        .shows("Your request was submitted.");
    browser.page.path.split('?').next().unwrap().to_owned()
}

/// Status of a call, as the curl command on the page makes it.
async fn call(portal: &Portal, key: &str) -> u16 {
    portico_sandbox::outgoing::http_client()
        .unwrap()
        .get(format!("{}/weather/", portal.world.gateway_url()))
        .header("authorization", key)
        .send()
        .await
        .unwrap()
        .status()
        .as_u16()
}

#[tokio::test]
async fn a_key_is_shown_once_replaced_and_given_back() {
    let portal = Portal::start().await;
    let (mut dana, mut admin) = (portal.developer().await, portal.admin().await);
    let request = submit(&portal, &mut dana).await;
    let id = request.rsplit('/').next().unwrap();
    let decided = format!("/admin/access-requests/{id}");
    admin.get(&decided).await.is(200).shows("an API key");
    admin
        .submit(&format!("{decided}/preview"), &[])
        .await
        .is(200)
        .shows("An API key is created at the gateway")
        .shows("portico-product-");
    admin
        .submit(&format!("{decided}/approve"), &[])
        .await
        .is(200);
    dana.get_until(&request, "Ready to use").await;
    dana.get_until(&request, "API key created")
        .await
        .shows("Get the API key");
    let application = dana
        .page
        .between("<a class=\"button\" href=\"/dashboard/applications/", "\"");
    let application = format!("/dashboard/applications/{application}");
    admin
        .get(&application)
        .await
        .is(200)
        .shows("visible only to the owner of the application")
        .hides("Show the key");
    dana.get(&application)
        .await
        .is(200)
        .shows("Authorization: $API_KEY")
        .hides("code class=\"secret\"");
    let reveal = dana
        .page
        .between("action=\"/dashboard/applications", "/reveal\"");
    let reveal = format!("/dashboard/applications{reveal}/reveal");
    let again = dana.form(&reveal);
    dana.submit(&reveal, &[])
        .await
        .is(200)
        .shows("Copy it now. It will not be shown again.");
    assert_eq!(dana.page.headers["cache-control"], "no-store");
    let key = dana.page.between("<code class=\"secret\">", "<");
    assert_eq!(call(&portal, &key).await, 200);
    dana.send(&reveal, again, &[])
        .await
        .is(409)
        .shows("was shown once and is not kept here")
        .hides(&key);
    dana.get(&application)
        .await
        .is(200)
        .shows("Portico does not keep it");

    let replace = reveal.replace("/reveal", "/replace");
    dana.submit(&replace, &[])
        .await
        .is(200)
        .shows("A new key is being created.");
    dana.get_until(&application, "Show the key").await;
    dana.submit(&reveal, &[]).await.is(200);
    let new = dana.page.between("<code class=\"secret\">", "<");
    assert_ne!(key, new);
    assert_eq!(call(&portal, &new).await, 200);

    dana.get(&format!("{request}/revoke"))
        .await
        .is(200)
        .shows("Its API keys are deleted and stop working.");
    dana.submit(&format!("{request}/revoke"), &[]).await.is(200);
    dana.get_until(&application, "No credentials yet").await;
    assert_eq!(call(&portal, &new).await, 403);
    portal.world.stop().await;
}
