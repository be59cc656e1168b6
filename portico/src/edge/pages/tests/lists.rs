//! Lists: their order.

use super::Portal;

const LISTS: [&str; 7] = [
    "/catalogue",
    "/admin/access-requests",
    "/admin/identity-providers",
    "/admin/mails",
    "/admin/plans",
    "/admin/products",
    "/admin/users",
];

#[tokio::test]
async fn every_order_that_is_offered_is_taken_and_no_other() {
    let portal = Portal::start().await;
    let mut admin = portal.admin().await;
    for list in LISTS {
        let page = admin.get(list).await.is(200);
        let choices = page.between("name=\"sort\"", "</select>");
        let choices: Vec<String> = choices
            .split("value=\"")
            .skip(1)
            .map(|choice| choice.split('"').next().unwrap().to_owned())
            .collect();
        assert!(choices.len() > 1, "{list}: {choices:?}");
        for choice in &choices {
            let chosen = format!("value=\"{choice}\" selected");
            admin
                .get(&format!("{list}?sort={choice}"))
                .await
                .is(200)
                .shows(&chosen);
        }
        admin
            .get(&format!("{list}?sort=colour"))
            .await
            .is(400)
            .shows("Choose one of its orders")
            .hides("`");
        admin
            .get(&format!("{list}?after=here"))
            .await
            .is(400)
            .shows("Start at its first page");
    }
    portal.world.stop().await;
}

#[tokio::test]
async fn a_filter_that_does_not_exist_does_not_show_everything() {
    let portal = Portal::start().await;
    let mut admin = portal.admin().await;
    for (list, query, words) in [
        (
            "products",
            "status",
            "Status must be draft, published or deleted.",
        ),
        (
            "users",
            "status",
            "Status must be pending, active, suspended or erased.",
        ),
        ("users", "role", "Role must be admin or developer."),
        (
            "users",
            "let_in",
            "Internal products must be true or false.",
        ),
        (
            "mails",
            "status",
            "Status must be queued, sending, sent or failed.",
        ),
        (
            "parked-messages",
            "status",
            "Status must be parked, replaying or dropped.",
        ),
        ("parked-messages", "service", "Service must be one of"),
    ] {
        let path = format!("/admin/{list}?{query}=colour");
        admin.get(&path).await.is(400).shows(words);
    }
    let deleted = admin.get("/admin/products?status=deleted").await;
    deleted.is(200).shows("No products match");
    portal.world.stop().await;
}

#[tokio::test]
async fn the_catalogue_is_shown_in_the_order_that_was_chosen() {
    let portal = Portal::start().await;
    let mut developer = portal.developer().await;
    let mut order = Vec::new();
    for query in ["", "?sort=-name"] {
        let page = developer.get(&format!("/catalogue{query}")).await.is(200);
        let text = page.text();
        let at = |name| {
            text.find(name)
                .unwrap_or_else(|| panic!("no {name}: {text}"))
        };
        order.push(at("Details of Orders API") < at("Details of Shipping API"));
    }
    assert_eq!(order, [true, false]);
    portal.world.stop().await;
}
