//! What an admin configures and decides.

use super::Portal;

#[tokio::test]
#[expect(
    clippy::too_many_lines,
    reason = "a journey is read from top to bottom"
)]
async fn plans_and_products() {
    let portal = Portal::start().await;
    let mut admin = portal.admin().await;
    admin.get("/admin/plans/new").await.is(200);
    let wrong = [
        ("name", "Extra"),
        ("scopes", "extra_plan"),
        ("rate.requests", "5"),
        ("rate.per_seconds", ""),
    ];
    admin
        .submit("/admin/plans/new", &wrong)
        .await
        .is(400)
        .shows("Enter both numbers")
        .shows("value=\"Extra\"");
    admin
        .submit(
            "/admin/plans/new",
            &[("rate.per_seconds", "1"), ("scopes", "")],
        )
        .await
        .is(400);
    admin
        .submit("/admin/plans/new", &[("scopes", "extra_plan")])
        .await
        .is(200)
        .shows("5 requests per second");

    admin.get("/admin/products/new").await.is(200);
    let draft = [
        ("name", "Extra API"),
        ("scopes", "product_payments"),
        ("apis", "extra | Extra | https://gw.example/extra/"),
        ("documentation", "# Hello <script>alert(1)</script>"),
        ("client_type_ids", &portal.catalogue.client_type_id),
    ];
    // A scope belongs to one product.
    admin
        .submit("/admin/products/new", &draft)
        .await
        .shows("Extra API");
    assert!(admin.page.status.is_client_error(), "{}", admin.page.status);
    admin
        .submit("/admin/products/new", &[("scopes", "product_extra")])
        .await
        .is(200)
        .shows("Draft created.");
    let edit = admin.page.path.split('?').next().unwrap().to_owned();
    let product = edit.strip_suffix("/edit").unwrap().to_owned();
    let stale = admin.form(&edit);
    admin
        .submit(&edit, &[("name", "Extra API 2")])
        .await
        .is(200)
        .shows("Saved.")
        .shows("Extra API 2");
    admin
        .send(&edit, stale, &[])
        .await
        .is(412)
        .shows("Load the current version");
    admin
        .get(&edit)
        .await
        .is(200)
        .shows("extra | Extra | https://gw.example/extra/");
    admin
        .submit(&format!("{product}/publish"), &[])
        .await
        .is(200)
        .shows("Published.");
    let id = product.rsplit('/').next().unwrap();
    admin
        .get(&format!("/catalogue/{id}"))
        .await
        .is(200)
        .shows("Hello");
    assert!(
        !admin.page.html.contains("<script>alert"),
        "{}",
        admin.page.html
    );
    admin.get(&edit).await;
    admin
        .submit(&format!("{product}/unpublish"), &[])
        .await
        .is(200)
        .shows("Unpublished.");
    admin.get(&format!("{product}/delete")).await.is(200);
    admin
        .submit(&format!("{product}/delete"), &[])
        .await
        .is(200)
        .shows("Deleted.")
        .hides("Extra API 2");
    portal.world.stop().await;
}

/// The form shows what is in effect. A rename does not make a choice of it, so a token that comes later is used.
#[tokio::test]
async fn a_rename_does_not_choose_the_authorization_of_a_provider() {
    let portal = Portal::start().await;
    let mut admin = portal.admin().await;
    let new = "/admin/identity-providers/new";
    admin.get(new).await.is(200);
    let well_known = portal.world.well_known_url();
    let open = [
        ("name", "Second"),
        ("type", "other"),
        ("well_known_url", well_known.as_str()),
    ];
    admin.submit(new, &open).await.shows("Saved.");
    let provider = admin.page.path.split('?').next().unwrap().to_owned();
    let edit = format!("{provider}/edit");
    admin.get(&edit).await.is(200);
    let renamed = admin.submit(&edit, &[("name", "Third")]).await;
    renamed.is(200).shows("Saved.");
    let token = [("initial_access_token", "canary-token")];
    admin.submit(&format!("{provider}/token"), &token).await;
    let used = admin.page.between("<dt>Authorization</dt><dd>", "<");
    assert_eq!(used, "Initial access token");
    admin.get(&edit).await.is(200);
    let chosen = [("authorization", "none")];
    admin.submit(&edit, &chosen).await.shows("Saved.");
    let used = admin.page.between("<dt>Authorization</dt><dd>", "<");
    assert!(used.starts_with("None"), "{used}");
    portal.world.stop().await;
}

#[tokio::test]
#[expect(
    clippy::too_many_lines,
    reason = "a journey is read from top to bottom"
)]
async fn identity_providers_and_client_types() {
    let portal = Portal::start().await;
    let mut admin = portal.admin().await;
    let new = "/admin/identity-providers/new";
    admin.get(new).await.is(200);
    let unreachable = [
        ("name", "Second"),
        ("type", "other"),
        (
            "well_known_url",
            "http://127.0.0.1:1/.well-known/openid-configuration",
        ),
        ("initial_access_token", "canary-token"),
    ];
    let form = admin.form(new);
    let check = "/admin/identity-providers/check";
    admin
        .send(check, form.clone(), &unreachable)
        .await
        .is(200)
        .shows("The connection does not work");
    admin.page.shows("value=\"Second\"").hides("canary-token");
    admin
        .send(new, form.clone(), &unreachable)
        .await
        .shows("role=\"alert\"")
        .hides("canary-token");
    assert!(!admin.page.status.is_success(), "{}", admin.page.status);
    let well_known = portal.world.well_known_url();
    let right = [
        ("name", "Second"),
        ("type", "other"),
        ("well_known_url", well_known.as_str()),
    ];
    admin
        .send(check, form.clone(), &right)
        .await
        .is(200)
        .shows("The connection works");
    admin
        .send(new, form, &right)
        .await
        .is(200)
        .shows("Saved.")
        .shows("No client types yet.");
    let provider = admin.page.path.split('?').next().unwrap().to_owned();

    let add = format!("{provider}/client-types/new");
    admin.get(&add).await.is(200);
    admin
        .submit(&add, &[("name", "")])
        .await
        .is(400)
        .shows("aria-invalid");
    admin
        .submit(&add, &[("name", "Batch")])
        .await
        .is(200)
        .shows("Batch");
    let id = admin.page.between("/admin/client-types/", "/edit");
    let edit = format!("/admin/client-types/{id}/edit");
    admin.get(&edit).await.is(200).shows("value=\"Batch\"");
    admin
        .submit(&edit, &[("name", "Batch 2")])
        .await
        .is(200)
        .shows("Batch 2");
    admin
        .get(&format!("/admin/client-types/{id}/delete"))
        .await
        .is(200);
    admin
        .submit(&format!("/admin/client-types/{id}/delete"), &[])
        .await
        .is(200)
        .shows("No client types yet.");

    admin
        .submit(&format!("{provider}/token"), &[])
        .await
        .is(400)
        .shows("Enter the new token.");
    admin
        .submit(
            &format!("{provider}/token"),
            &[("initial_access_token", "canary-token")],
        )
        .await
        .is(200);
    admin
        .page
        .shows("The token was replaced.")
        .hides("canary-token");
    admin
        .submit(&format!("{provider}/check"), &[])
        .await
        .is(200)
        .shows("The connection works");
    admin.get(&format!("{provider}/edit")).await.is(200);
    admin
        .submit(&format!("{provider}/edit"), &[("name", "Third")])
        .await
        .is(200)
        .shows("Third");
    admin.get(&format!("{provider}/delete")).await.is(200);
    admin
        .submit(&format!("{provider}/delete"), &[])
        .await
        .is(200)
        .shows("Deleted.")
        .hides("Third");
    portal.world.stop().await;
}

#[tokio::test]
async fn gateways() {
    let portal = Portal::start().await;
    let mut admin = portal.admin().await;
    let new = "/admin/gateways/new";
    admin.get(new).await.is(200);
    let url = portal.world.gateway_url();
    let wrong = [
        ("name", "Second"),
        ("url", url.as_str()),
        ("secret", "canary-secret"),
    ];
    admin
        .submit(new, &wrong)
        .await
        .shows("role=\"alert\"")
        .shows("value=\"Second\"")
        .hides("canary-secret");
    assert!(admin.page.status.is_client_error(), "{}", admin.page.status);
    admin.get("/admin/gateways").await.is(200);
    let id = admin.page.between("/admin/gateways/", "/edit");
    let id = if id == "new" {
        panic!("no gateway: {}", admin.page.text())
    } else {
        id.rsplit('/').next().unwrap().to_owned()
    };
    let edit = format!("/admin/gateways/{id}/edit");
    admin
        .get(&edit)
        .await
        .is(200)
        .hides(portal.world.gateway_secret());
    admin
        .submit(&edit, &[("name", "Renamed gateway")])
        .await
        .is(200)
        .shows("Renamed gateway");
    admin.get(&edit).await.is(200);
    let refresh = format!("/admin/gateways/{id}/refresh-keys");
    admin
        .submit(&refresh, &[])
        .await
        .is(200)
        .shows("will fetch the keys again");
    portal.world.stop().await;
}

#[tokio::test]
async fn a_gateway_is_asked_what_it_would_say_and_what_is_there() {
    let portal = Portal::start().await;
    let mut admin = portal.admin().await;
    admin.get("/admin/gateways").await.is(200);
    let id = admin.page.between("/admin/gateways/", "/simulate");
    let id = id.rsplit('/').next().unwrap().to_owned();
    let simulator = format!("/admin/gateways/{id}/simulate");
    admin
        .get(&simulator)
        .await
        .is(200)
        .shows("Policy simulator");
    let call = [("api_id", "payments"), ("scopes", "not_mapped")];
    admin
        .submit(&simulator, &call)
        .await
        .is(200)
        .shows("The call is refused")
        .shows("value=\"not_mapped\"");
    let token = [
        ("api_id", "payments"),
        ("scopes", ""),
        ("token", "canary.token"),
    ];
    admin
        .submit(&simulator, &token)
        .await
        .shows("must be a JSON Web Token")
        .hides("canary.token");
    let nowhere = [("api_id", "nowhere"), ("scopes", "a")];
    admin
        .submit(&simulator, &nowhere)
        .await
        .shows("nowhere is not there");

    let import = format!("/admin/gateways/{id}/import");
    admin
        .get(&import)
        .await
        .is(200)
        .shows("noop")
        .shows("not possible");
    admin
        .submit(&import, &[])
        .await
        .is(400)
        .shows("must name 1 to 100 policies")
        .shows("noop");
    portal.world.stop().await;
}

#[tokio::test]
async fn users_are_let_in_locked_out_and_erased() {
    let portal = Portal::start().await;
    let (mut admin, mut dana) = (portal.admin().await, portal.developer().await);
    admin
        .get("/admin/users?role=developer")
        .await
        .is(200)
        .shows("Dana Developer");
    let id = admin.page.between("/admin/users/", "/suspend");
    admin
        .submit(&format!("/admin/users/{id}/suspend"), &[])
        .await
        .is(200)
        .shows("The user can no longer log in.");
    dana.get("/dashboard").await.shows("<h1>Log in</h1>");
    admin
        .submit(&format!("/admin/users/{id}/activate"), &[])
        .await
        .is(200)
        .shows("The user can log in now.");
    let mut dana = portal.developer().await;
    for (path, told, let_in) in [
        (
            "shut-out",
            "The user no longer sees internal products.",
            false,
        ),
        (
            "let-in",
            "The user can see and request internal products now.",
            true,
        ),
    ] {
        let path = format!("/admin/users/{id}/{path}");
        admin.submit(&path, &[]).await.is(200).shows(told);
        for (filter, shown) in [("true", let_in), ("false", !let_in)] {
            admin.get(&format!("/admin/users?let_in={filter}")).await;
            assert_eq!(admin.page.text().contains("Dana Developer"), shown);
        }
        dana.get("/catalogue").await.is(200);
        let internal = dana.page.text().contains("Product Catalogue API");
        assert_eq!(internal, let_in);
        admin.get("/admin/users").await.is(200);
    }
    admin
        .get(&format!("/admin/users/{id}/erase"))
        .await
        .is(200)
        .shows("Erase Dana Developer?");
    admin
        .submit(&format!("/admin/users/{id}/erase"), &[])
        .await
        .is(200)
        .hides("Dana Developer");
    admin
        .get("/admin/users?status=erased")
        .await
        .is(200)
        .hides("dana@example.com")
        .hides("/suspend");
    portal.world.stop().await;
}

#[tokio::test]
async fn a_rejection_needs_a_reason_and_reaches_the_developer() {
    let portal = Portal::start().await;
    let (mut admin, mut dana) = (portal.admin().await, portal.developer().await);
    dana.get(&format!("/catalogue/{}", portal.catalogue.product_ids[0]))
        .await;
    dana.submit("/cart/items", &[]).await.is(200);
    dana.get("/checkout").await;
    let fields = [
        ("items[0].plan_id", portal.catalogue.plan_ids[0].as_str()),
        ("application.name", "App"),
    ];
    dana.submit("/checkout", &fields).await.is(200);
    let id = dana
        .page
        .between("/dashboard/access-requests/", "/withdraw");
    let id = id.rsplit('/').next().unwrap();
    let path = format!("/admin/access-requests/{id}");
    admin.get(&path).await.is(200);
    let stale = admin.form(&format!("{path}/approve"));
    admin
        .submit(&format!("{path}/reject"), &[("reason", "")])
        .await
        .is(400)
        .shows("must be given");
    admin
        .submit(&format!("{path}/reject"), &[("reason", "Not \"now\"")])
        .await
        .is(200)
        .shows("Not \"now\"");
    admin.send(&format!("{path}/approve"), stale, &[]).await;
    assert!(admin.page.status.is_client_error(), "{}", admin.page.status);
    dana.get(&format!("/dashboard/access-requests/{id}"))
        .await
        .is(200)
        .shows("Not \"now\"");
    admin
        .get_until(
            &format!("/admin/mails?subject_id={id}&status=sent"),
            "access rejected",
        )
        .await;
    let mail = admin.page.between("/admin/mails/", "/resend");
    admin
        .submit(&format!("/admin/mails/{mail}/resend"), &[])
        .await
        .is(200)
        .shows("being sent again");
    portal.world.stop().await;
}

#[tokio::test]
async fn what_a_provider_can_do_and_what_is_tried_again_there() {
    let portal = Portal::start().await;
    let mut admin = portal.admin().await;
    admin.get("/admin/identity-providers").await.is(200);
    let link = admin.page.html.split("/admin/identity-providers/").skip(1);
    let id = link
        .filter_map(|rest| rest.split(['"', '/']).next())
        .find(|id| id.parse::<uuid::Uuid>().is_ok())
        .unwrap()
        .to_owned();
    let page = format!("/admin/identity-providers/{id}/conformance");
    admin.get(&page).await.is(200).shows("Not checked yet.");
    admin
        .submit(&page, &[("scopes", "")])
        .await
        .is(200)
        .shows("The check has started.");
    admin.get(&page).await.is(200);
    admin
        .submit(&format!("/admin/identity-providers/{id}/retry"), &[])
        .await
        .is(200)
        .shows("is being retried");
    admin.get(&page).await.is(200);
    admin
        .submit(
            &format!("/admin/identity-providers/{id}/secret-rotation"),
            &[("days_before", "7")],
        )
        .await
        .is(200)
        .shows("<option value=\"7\" selected>");
    portal.world.stop().await;
}
