//! What callers may write, and what is refused.

use portico_proto::{
    access::v1::{
        Cart, NewCart, SubmitAccessRequestRequest, submit_access_request_request::Target,
    },
    accounts::v1::CreateSessionRequest,
    catalog::v1::{
        ImportItem, ListProductsRequest, NewPlan, NewProduct, Plan, PlanChange, PolicyMapping,
        Product, ProductChange, Rate, Visibility,
    },
    gateway::v1::GatewayChange,
    operations::v1::RepublishRequest,
    rest::{Enumeration, FieldMask, LARGEST_NUMBER, ListRequest as _, merge},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn read<T: DeserializeOwned>(body: Value) -> Result<T, String> {
    // The path is part of what the edge tells.
    serde_path_to_error::deserialize(body)
        .map_err(|error: serde_path_to_error::Error<serde_json::Error>| error.to_string())
}

#[test]
fn members_are_read_in_each_way_they_may_be_written() {
    let NewProduct { 0: product } = read(json!({
        "name": "Payments",
        "scopes": " a  b ",
        "visibility": "public",
        "apis": ["one", { "api_id": "two", "gateway_id": null }],
        "policy_id": null,
    }))
    .unwrap();
    assert_eq!(product.scopes, ["a", "b"]);
    assert_eq!(product.visibility(), Visibility::Public);
    let mapping = product.apis[0].mapping.clone().unwrap();
    assert_eq!((mapping.api_id.as_str(), mapping.gateway_id), ("one", None));
    assert_eq!(product.mapping, Some(PolicyMapping::default()));
    let array: ImportItem = read(json!({ "policy_id": "p", "scopes": ["a", "b"] })).unwrap();
    assert_eq!(array.scopes, ["a", "b"]);
    let large: RepublishRequest = read(json!({ "from": LARGEST_NUMBER })).unwrap();
    assert_eq!(large.from, 9_007_199_254_740_991);
}

/// Otherwise a cart would be emptied by a body that forgot them.
#[test]
fn missing_items_are_not_no_items() {
    let missing = read::<NewCart>(json!({})).unwrap_err();
    assert!(missing.contains("missing field `items`"), "{missing}");
    let emptied: NewCart = read(json!({ "items": [] })).unwrap();
    assert_eq!(emptied.0, Cart::default());
}

#[test]
fn what_does_not_fit_is_named_without_its_value() {
    for (body, words) in [
        (json!({ "colour": "canary" }), "unknown field `colour`"),
        (json!({ "id": "canary" }), "unknown field `id`"),
        (json!({ "version": 7 }), "unknown field `version`"),
        (
            json!({ "visibility": "canary" }),
            "visibility: unknown word, expected public or internal",
        ),
        (
            json!({ "name": null }),
            "name: invalid type: null, expected a string",
        ),
        (
            json!({ "apis": [{ "api": "canary" }] }),
            "apis[0]: unknown field `api`",
        ),
        (json!({ "apis": [7] }), "apis[0]: invalid type"),
        (json!({ "scopes": 7 }), "scopes: invalid type"),
        // Null would be taken for the default, and hide the product.
        (
            json!({ "visibility": null }),
            "empty field `visibility`, expected public or internal",
        ),
        (
            json!({ "visibility": "" }),
            "empty field `visibility`, expected public or internal",
        ),
        (
            json!({ "dcr_enabled": null }),
            "dcr_enabled: invalid type: null",
        ),
        (json!({ "tags": null }), "tags: invalid type: null"),
        (json!([]), "expected an object"),
    ] {
        let error = read::<NewProduct>(body.clone()).unwrap_err();
        assert!(error.contains(words), "{body}: {error}");
        assert!(!error.contains("canary"), "{error}");
    }
    let twice = serde_json::from_str::<NewProduct>(r#"{"name":"a","name":"b"}"#).unwrap_err();
    assert!(
        twice.to_string().contains("duplicate field `name`"),
        "{twice}"
    );
    // A number that is missing would be taken for 0.
    let error = read::<NewPlan>(json!({ "rate": { "requests": 1 } })).unwrap_err();
    assert!(
        error.contains("rate: missing field `per_seconds`"),
        "{error}"
    );
    // What cannot be absent is not taken away.
    for member in ["name", "url", "secret"] {
        let error = read::<GatewayChange>(json!({ member: null })).unwrap_err();
        assert!(error.contains("invalid type: null"), "{member}: {error}");
    }
    // What the edge fills in itself cannot be written.
    let forged = json!({ "email": "a", "password": "b", "remote_address": "::1" });
    assert!(read::<CreateSessionRequest>(forged).is_err());
}

#[test]
fn of_several_alternatives_one_is_taken() {
    let submitted = |application_id: Value, application: Value| {
        let body = json!({
            "items": [],
            "application_id": application_id,
            "application": application,
        });
        read::<SubmitAccessRequestRequest>(body)
    };
    let new = submitted(
        Value::Null,
        json!({ "name": "Shop", "redirect_urls": "a, b" }),
    );
    let Some(Target::Application(new)) = new.unwrap().target else {
        panic!("none");
    };
    assert_eq!(new.redirect_urls, ["a", "b"]);
    let both = submitted(json!("1"), json!({ "name": "Shop" })).unwrap_err();
    assert!(both.contains("ambiguous field `application"), "{both}");
    let forged = submitted(Value::Null, json!({ "owner_id": "canary" })).unwrap_err();
    assert!(
        forged.contains("application: unknown field `owner_id`"),
        "{forged}"
    );
}

#[test]
fn a_change_names_its_members_and_takes_away_what_is_null() {
    let present = Plan {
        name: "Gold".into(),
        scopes: vec!["gold".into()],
        rate: Some(Rate {
            requests: 1,
            per_seconds: 1,
        }),
        version: 7,
        ..Plan::default()
    };
    let PlanChange { message, mask } =
        read(json!({ "rate": null, "description": "Much." })).unwrap();
    let merged = merge(present.clone(), message, Some(&mask)).unwrap();
    let expected = Plan {
        rate: None,
        description: "Much.".into(),
        ..present.clone()
    };
    assert_eq!(merged, expected);
    // A member that stands beside those of the message is merged by its own name.
    let PlanChange { message, mask } = read(json!({ "policy_id": "gold" })).unwrap();
    let merged = merge(present.clone(), message, Some(&mask)).unwrap();
    assert_eq!(merged.mapping.unwrap().policy_id(), "gold");
    // Nothing in the body: nothing changes.
    let PlanChange { message, mask } = read(json!({})).unwrap();
    assert_eq!(
        merge(present.clone(), message, Some(&mask)).unwrap(),
        present
    );
    // Without a mask everything that can be written is replaced, and nothing else.
    let replaced = merge(present.clone(), Plan::default(), None).unwrap();
    assert_eq!(
        replaced,
        Plan {
            version: 7,
            mapping: Some(PolicyMapping::default()),
            ..Plan::default()
        }
    );
}

#[test]
fn a_change_cannot_take_away_what_must_be_there() {
    for body in [json!({ "visibility": null }), json!({ "visibility": "" })] {
        let error = read::<ProductChange>(body).unwrap_err();
        assert!(error.contains("empty field `visibility`"), "{error}");
    }
    let present = Product {
        name: "Payments".into(),
        visibility: Visibility::Public.into(),
        ..Product::default()
    };
    let mask = |paths: &[&str]| FieldMask {
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
    };
    for mask in [None, Some(mask(&["visibility"]))] {
        let error = merge(present.clone(), Product::default(), mask.as_ref()).unwrap_err();
        assert_eq!(error.code, "visibility_missing");
        assert_eq!(error.message, "`visibility` must be public or internal.");
    }
    // A member that is named twice is taken once.
    let patch = Product {
        name: "Money".into(),
        ..Product::default()
    };
    let merged = merge(present, patch, Some(&mask(&["name", "name"]))).unwrap();
    assert_eq!(merged.name, "Money");
    assert_eq!(merged.visibility(), Visibility::Public);
}

#[test]
fn a_filter_may_be_empty() {
    let all: ListProductsRequest = read(json!({ "status": "" })).unwrap();
    assert_eq!(all.status, 0);
}

#[test]
fn a_mask_cannot_name_what_is_only_answered() {
    let present = Product {
        version: 7,
        ..Product::default()
    };
    for path in ["version", "status", "colour", ""] {
        let mask = FieldMask {
            paths: vec![path.into()],
        };
        let error = merge(present.clone(), Product::default(), Some(&mask)).unwrap_err();
        assert_eq!(error.code, "field_unknown", "{path}");
    }
    assert!(read::<ProductChange>(json!({ "status": "published" })).is_err());
}

#[test]
fn words_are_those_of_the_contract() {
    assert_eq!(
        Visibility::from_word("internal"),
        Some(Visibility::Internal)
    );
    assert_eq!(Visibility::from_word("INTERNAL"), None);
    assert_eq!(Visibility::from_word(""), None);
    assert_eq!(
        (
            Visibility::Public.as_word(),
            Visibility::Unspecified.as_word()
        ),
        ("public", "")
    );
}

/// A cursor is bound to them.
#[test]
fn filters_are_all_but_the_page_and_the_order() {
    let list = |limit: u32, after: &str, sort: &str, q: &str| ListProductsRequest {
        limit,
        after: after.into(),
        sort: sort.into(),
        q: q.into(),
        ..ListProductsRequest::default()
    };
    let one = list(1, "x", "name", "pay");
    assert_eq!((one.limit(), one.after(), one.sort()), (1, "x", "name"));
    assert_eq!(one.filters(), list(2, "", "", "pay").filters());
    assert_ne!(one.filters(), list(1, "x", "name", "").filters());
}

#[test]
fn a_number_that_json_cannot_keep_is_refused() {
    for from in [LARGEST_NUMBER + 1, u64::MAX] {
        let error = read::<RepublishRequest>(json!({ "from": from })).unwrap_err();
        assert_eq!(error, "from: number too large, expected u64");
    }
}
