//! What fits and what does not, without the services that are asked.

use super::*;

const CLIENT_TYPE: Uuid = Uuid::from_u128(9);

fn product(id: u128, scopes: &[&str]) -> Found<Product> {
    let product = Product {
        id: Uuid::from_u128(id).to_string(),
        name: format!("Product {id}"),
        dcr_enabled: true,
        scopes: scopes.iter().map(|s| (*s).to_owned()).collect(),
        client_type_ids: vec![CLIENT_TYPE.to_string()],
        status: ProductStatus::Published.into(),
        ..Product::default()
    };
    Found::Known(Uuid::from_u128(id), product)
}

fn plan(scopes: &[&str], auto_approve: bool) -> Found<Plan> {
    let plan = Plan {
        name: "Free".into(),
        scopes: scopes.iter().map(|s| (*s).to_owned()).collect(),
        auto_approve,
        ..Plan::default()
    };
    Found::Known(Uuid::from_u128(50), plan)
}

fn client_type() -> Found<ClientType> {
    let client_type = ClientType {
        name: "Service".into(),
        identity_provider_id: Uuid::from_u128(8).to_string(),
        grant_types: vec!["client_credentials".into()],
        ..ClientType::default()
    };
    Found::Known(CLIENT_TYPE, client_type)
}

fn line(product: Found<Product>, plan: Found<Plan>) -> Line {
    Line { product, plan }
}

fn examined(lines: &[Line], client_type: &Found<ClientType>) -> Result<Option<Order>, Vec<String>> {
    let mut problems = Problems::default();
    let order = examine(lines, client_type, &mut problems);
    problems.into_result().map(|()| order).map_err(|error| {
        error
            .fields
            .into_iter()
            .map(|f| format!("{} {}", f.field, f.code))
            .collect()
    })
}

#[test]
fn what_fits_becomes_an_order() {
    let lines = [
        line(product(1, &["a"]), plan(&["free"], true)),
        line(product(2, &["b"]), plan(&["free"], true)),
    ];
    let order = examined(&lines, &client_type()).unwrap().unwrap();
    assert_eq!(order.items.len(), 2);
    assert_eq!(order.items[1].product_scopes, ["b"]);
    let client = OauthClient {
        identity_provider_id: Uuid::from_u128(8),
        client_type_id: CLIENT_TYPE,
        needs_redirect_urls: false,
    };
    assert_eq!(order.credential, Credential::OauthClient(client));
    assert!(order.auto_approve);
}

#[test]
fn one_plan_that_waits_for_an_admin_is_enough() {
    let lines = [
        line(product(1, &["a"]), plan(&["free"], true)),
        line(product(2, &["b"]), plan(&["gold"], false)),
    ];
    let order = examined(&lines, &client_type()).unwrap().unwrap();
    assert!(!order.auto_approve);
}

#[test]
fn all_that_does_not_fit_is_told_at_once() {
    let mut plain = product(3, &[]);
    let mut draft = product(4, &["d"]);
    if let (Found::Known(_, plain), Found::Known(_, draft)) = (&mut plain, &mut draft) {
        plain.dcr_enabled = false;
        plain.client_type_ids.clear();
        draft.status = ProductStatus::Draft.into();
    }
    let lines = [
        line(product(1, &["a", "b"]), plan(&[], false)),
        line(product(2, &["b"]), Found::Missing),
        line(plain, Found::Unknown),
        line(product(1, &["a", "b"]), Found::Malformed),
        line(Found::Unknown, plan(&["free"], false)),
        line(draft, plan(&["free"], false)),
    ];
    assert_eq!(
        examined(&lines, &client_type()).unwrap_err(),
        [
            "items[0].plan_id plan_scopes_missing",
            "items[1].plan_id plan_missing",
            "items[1].product_id scope_shared",
            "items[2].product_id product_without_api",
            "items[2].plan_id plan_unknown",
            "items[2].product_id credentials_mixed",
            "items[3].plan_id plan_unknown",
            "items[3].product_id product_repeated",
            "items[4].product_id product_unknown",
            "items[5].product_id product_unknown",
            "items[5].product_id credentials_mixed",
        ]
    );
    assert_eq!(
        examined(&[], &Found::Missing).unwrap_err(),
        ["items items_missing", "client_type_id client_type_missing"]
    );
    let lines = [line(product(1, &["a"]), plan(&["free"], false))];
    assert_eq!(
        examined(&lines, &Found::Unknown).unwrap_err(),
        ["client_type_id client_type_unknown"]
    );
}

#[test]
fn redirecting_clients_need_redirect_urls() {
    let needs = |grants: &[&str], responses: &[&str]| {
        needs_redirect_urls(&ClientType {
            grant_types: grants.iter().map(|g| (*g).to_owned()).collect(),
            response_types: responses.iter().map(|r| (*r).to_owned()).collect(),
            ..ClientType::default()
        })
    };
    assert!(needs(&["authorization_code"], &[]));
    assert!(needs(&[], &["code"]));
    assert!(needs(&[], &["code id_token"]));
    assert!(!needs(&["client_credentials"], &["token"]));
}
