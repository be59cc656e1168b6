//! The schemas that follow from the contract: of what is answered, of what is written, of a change.

use portico_proto::{
    access::v1::AccessRequest,
    accounts::v1::{CreateApiTokenRequest, CreateApiTokenResponse},
    catalog::v1::{ListProductsRequest, NewProduct, Plan, Product, ProductChange},
    registration::v1::ListClientTypesRequest,
};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema, openapi::path::ParameterIn};

/// A schema and those that it leads to.
fn all<T: ToSchema>() -> Value {
    let mut schemas = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut schemas);
    schemas
        .into_iter()
        .map(|(name, schema)| (name, serde_json::to_value(schema).unwrap()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[test]
fn what_is_answered_is_always_there() {
    let schemas = all::<Product>();
    insta::assert_json_snapshot!("product_schemas", schemas);
    let plan = &all::<Plan>()["Plan"];
    let members = plan["properties"].as_object().unwrap();
    let required = plan["required"].as_array().unwrap();
    // All but what only admins see.
    assert_eq!(required.len(), members.len() - 1);
    assert!(!required.contains(&json!("policy_id")));
    assert_eq!(members["created_at"]["format"], "date-time");
    assert_eq!(members["created_at"]["type"], "string");
    assert_eq!(members["policy_id"]["type"], json!(["string", "null"]));
    assert_eq!(members["id"]["format"], "uuid");
    // Answered, whatever it is called.
    let request = all::<AccessRequest>();
    assert!(request["RequestedItem"].is_object() && request["TimelineEntry"].is_object());
    let required = request["AccessRequest"]["required"].as_array().unwrap();
    assert!(required.contains(&json!("timeline")));
}

#[test]
fn what_is_written_lacks_what_is_only_answered() {
    let schemas = all::<NewProduct>();
    insta::assert_json_snapshot!("new_product_schemas", schemas);
    let change = &all::<ProductChange>()["ProductChange"];
    assert_eq!(change["required"], Value::Null);
    assert_eq!(change["properties"]["status"], Value::Null);
}

#[test]
fn flat_members_stand_beside_the_others() {
    let created = all::<CreateApiTokenResponse>();
    let members = created["CreateApiTokenResult"]["properties"]
        .as_object()
        .unwrap();
    assert!(members.contains_key("token") && members.contains_key("expires_at"));
    assert!(!members.contains_key("api_token"));
    let wanted = all::<CreateApiTokenRequest>();
    assert_eq!(wanted["CreateApiTokenRequest"]["required"], json!(["name"]));
}

#[test]
fn queries_are_parameters() {
    let parameters = ListProductsRequest::into_params(|| Some(ParameterIn::Query));
    let parameters = serde_json::to_value(parameters).unwrap();
    let several = ListClientTypesRequest::into_params(|| Some(ParameterIn::Query));
    let several = serde_json::to_value(several).unwrap();
    let mut several = several.as_array().unwrap().iter();
    let ids = several.find(|one| one["name"] == "ids").unwrap();
    // With commas: `ids=a,b`.
    assert_eq!(ids["schema"]["type"], "array");
    assert_eq!(
        (&ids["style"], &ids["explode"]),
        (&json!("form"), &json!(false))
    );
    let status = parameters
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == "status");
    let status = status.unwrap();
    assert_eq!(status["required"], false);
    assert_eq!(
        status["schema"]["enum"],
        json!(["draft", "published", "deleted"])
    );
}
