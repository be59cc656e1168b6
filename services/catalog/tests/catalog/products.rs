//! Writing products.

use portico_proto::{Error, Kind, catalog::v1::*};
use portico_runtime::{Caller, IDEMPOTENCY_KEY};

use crate::support::*;

#[tokio::test]
async fn a_product_is_created_changed_published_and_deleted() {
    let app = App::start().await;
    let created = app.create(payments()).await.unwrap();
    assert_eq!(
        (created.status(), created.version),
        (ProductStatus::Draft, 1)
    );
    assert_eq!(created.tags, ["money"]);
    assert_eq!(app.get(&admin(), &created.id).await.unwrap(), created);

    let changed = app
        .update(&created.id, &["name"], plain(" Money ", &["ignored"]))
        .await
        .unwrap();
    let expected = Product {
        name: "Money".into(),
        version: 2,
        updated_at: changed.updated_at,
        ..created.clone()
    };
    assert_eq!(changed, expected);

    let published = app.publish(&created.id).await.unwrap();
    assert_eq!(
        (published.status(), published.version),
        (ProductStatus::Published, 3)
    );
    // Again: no event, success.
    assert_eq!(app.publish(&created.id).await.unwrap(), published);
    assert_eq!(app.get(&admin(), &created.id).await.unwrap(), published);

    app.delete(&created.id).await.unwrap();
    app.delete(&created.id).await.unwrap();
    assert_eq!(
        app.get(&admin(), &created.id).await.unwrap_err().kind,
        Kind::NotFound
    );
    let for_services = app
        .get(&Caller::service("access-request"), &created.id)
        .await
        .unwrap();
    assert_eq!(for_services.status(), ProductStatus::Deleted);
    assert_eq!(
        app.publish(&created.id).await.unwrap_err().kind,
        Kind::NotFound
    );
}

#[tokio::test]
async fn only_admins_write() {
    let app = App::start().await;
    let id = app.create(payments()).await.unwrap().id;
    for (caller, kind) in [
        (Caller::Anonymous, Kind::Unauthenticated),
        (developer(), Kind::Forbidden),
        (Caller::service("registration"), Kind::Forbidden),
    ] {
        let mut client = app.client();
        let id = || id.clone();
        macro_rules! refused {
            ($method:ident, $message:expr) => {
                let request = app.request(&caller, $message);
                let error = answer(client.$method(request).await).unwrap_err();
                assert_eq!(error.kind, kind, "{} {caller:?}", stringify!($method));
            };
        }
        refused!(create_product, creation(payments()));
        refused!(
            update_product,
            UpdateProductRequest {
                id: id(),
                ..UpdateProductRequest::default()
            }
        );
        refused!(publish_product, PublishProductRequest { id: id() });
        refused!(unpublish_product, UnpublishProductRequest { id: id() });
        refused!(
            delete_product,
            DeleteProductRequest {
                id: id(),
                if_version: 0
            }
        );
        refused!(create_plan, CreatePlanRequest::default());
        refused!(update_plan, UpdatePlanRequest::default());
        refused!(delete_plan, DeletePlanRequest::default());
    }
}

#[tokio::test]
async fn every_problem_is_told_at_once() {
    let app = App::start().await;
    let error = app
        .create(Product {
            name: String::new(),
            description: "x".repeat(2001),
            dcr_enabled: true,
            scopes: Vec::new(),
            client_type_ids: vec![DELETED_CLIENT_TYPE.to_string(), "nonsense".into()],
            visibility: 7,
            tags: vec!["x".repeat(41)],
            apis: vec![Api {
                url: "/relative".into(),
                mapping: Some(ApiMapping {
                    gateway_id: Some("nonsense".into()),
                    ..ApiMapping::default()
                }),
                ..Api::default()
            }],
            mapping: Some(PolicyMapping {
                policy_id: Some("x".repeat(201)),
            }),
            documentation: "x".repeat(100_001),
            ..Product::default()
        })
        .await
        .unwrap_err();
    assert_eq!(error.kind, Kind::Invalid);
    let mut found = fields(&error);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            ("apis[0].api_id", "api_id_missing"),
            ("apis[0].gateway_id", "id_invalid"),
            ("apis[0].url", "url_invalid"),
            ("client_type_ids[0]", "client_type_unknown"),
            ("client_type_ids[1]", "id_invalid"),
            ("description", "description_too_long"),
            ("documentation", "documentation_too_long"),
            ("name", "name_missing"),
            ("policy_id", "policy_id_too_long"),
            ("scopes", "scopes_missing"),
            ("tags", "tags_invalid"),
            ("visibility", "visibility_invalid"),
        ]
    );
}

#[tokio::test]
async fn registration_needs_scopes_at_once_and_client_types_when_published() {
    let app = App::start().await;
    let created = app
        .create(Product {
            client_type_ids: Vec::new(),
            ..payments()
        })
        .await
        .unwrap();
    let error = app.publish(&created.id).await.unwrap_err();
    assert_eq!(
        fields(&error),
        [("client_type_ids", "client_type_ids_missing")]
    );
    let types = Product {
        client_type_ids: vec![CLIENT_TYPE.to_string(), CLIENT_TYPE.to_string()],
        ..Product::default()
    };
    let mask = ["client_type_ids"];
    let changed = app.update(&created.id, &mask, types).await.unwrap();
    assert_eq!(changed.client_type_ids, [CLIENT_TYPE.to_string()]);
    app.publish(&created.id).await.unwrap();
    let none = Product::default();
    let error = app
        .update(&created.id, &mask, none.clone())
        .await
        .unwrap_err();
    assert_eq!(error.code, "client_type_ids_missing");
    let error = app
        .update(&created.id, &["scopes"], none)
        .await
        .unwrap_err();
    assert_eq!(fields(&error), [("scopes", "scopes_missing")]);
}

#[tokio::test]
async fn a_product_that_somebody_has_or_waits_for_stays() {
    let app = App::start().await;
    let product = app.create(payments()).await.unwrap();
    app.wanted.lock().unwrap().insert(product.id.clone());
    let error = app.delete(&product.id).await.unwrap_err();
    assert_eq!(
        (error.kind, error.code.as_ref()),
        (Kind::Conflict, "product_in_use")
    );
    assert_eq!(app.get(&admin(), &product.id).await.unwrap(), product);
    app.wanted.lock().unwrap().clear();
    app.delete(&product.id).await.unwrap();
}

#[tokio::test]
async fn without_the_registration_service_client_types_are_not_taken() {
    let app = App::start_without_registration().await;
    let error = app.create(payments()).await.unwrap_err();
    assert_eq!(
        (error.kind, error.code.as_ref()),
        (Kind::Unavailable, "registration_unavailable")
    );
    // What names none needs nobody to be asked.
    app.create(plain("Weather", &[])).await.unwrap();
}

#[tokio::test]
async fn a_repeated_call_has_one_effect() {
    let app = App::start().await;
    let keyed = |product: Product| {
        let mut request = app.request(&admin(), creation(product));
        let key = "8c1f".parse().unwrap();
        request.metadata_mut().insert(IDEMPOTENCY_KEY, key);
        request
    };
    let first = answer(app.client().create_product(keyed(payments())).await).unwrap();
    let again = answer(app.client().create_product(keyed(payments())).await).unwrap();
    assert_eq!(first, again);
    let other = Product {
        name: "Other".into(),
        ..payments()
    };
    let error = answer(app.client().create_product(keyed(other)).await).unwrap_err();
    assert_eq!(
        (error.kind, error.code.as_ref()),
        (Kind::Conflict, "idempotency_key_reused")
    );
}

#[tokio::test]
async fn an_old_version_is_not_changed() {
    let app = App::start().await;
    let id = app.create(payments()).await.unwrap().id;
    app.publish(&id).await.unwrap();
    let message = UpdateProductRequest {
        id,
        if_version: 1,
        product: Some(plain("Late", &[])),
        update_mask: Some(members(&["name"])),
    };
    let request = app.request(&admin(), message);
    let error = answer(app.client().update_product(request).await).unwrap_err();
    assert_eq!(error.code, "version_mismatch");
}

/// Changes of different members at the same time all take effect, although each is merged onto what it has read.
#[tokio::test]
async fn changes_at_once_do_not_undo_each_other() {
    let app = App::start().await;
    let id = app.create(plain("Weather", &[])).await.unwrap().id;
    let change = Product {
        name: "Money".into(),
        description: "Sent".into(),
        tags: vec!["new".into()],
        documentation: "# Money".into(),
        ..Product::default()
    };
    let one = |mask: &'static str| {
        let (app, id, change) = (&app, &id, change.clone());
        async move { app.update(id, &[mask], change).await.unwrap() }
    };
    tokio::join!(
        one("name"),
        one("description"),
        one("tags"),
        one("documentation")
    );
    let found = app.get(&admin(), &id).await.unwrap();
    assert_eq!(
        (
            found.name,
            found.description,
            found.tags,
            found.documentation
        ),
        (
            change.name,
            change.description,
            change.tags,
            change.documentation
        )
    );
    assert_eq!(found.version, 5);
}

#[tokio::test]
async fn a_mask_names_what_can_be_written() {
    let app = App::start().await;
    let product = app.create(payments()).await.unwrap();
    for wrong in ["status", "colour", "apis[0]"] {
        let error = app
            .update(&product.id, &[wrong], Product::default())
            .await
            .unwrap_err();
        assert_eq!(
            fields(&error),
            [("update_mask", "field_unknown")],
            "{wrong}"
        );
    }
    assert_eq!(app.get(&admin(), &product.id).await.unwrap(), product);
}

#[tokio::test]
async fn an_update_needs_the_product_and_a_word_for_who_sees_it() {
    let app = App::start().await;
    let product = app.create(payments()).await.unwrap();
    let message = UpdateProductRequest {
        id: product.id.clone(),
        ..UpdateProductRequest::default()
    };
    let request = app.request(&admin(), message);
    let error = Error::from(app.client().update_product(request).await.unwrap_err());
    assert_eq!(fields(&error), [("product", "product_missing")]);
    let error = app
        .update(&product.id, &["visibility"], Product::default())
        .await
        .unwrap_err();
    assert_eq!(fields(&error), [("visibility", "visibility_missing")]);
    assert_eq!(app.get(&admin(), &product.id).await.unwrap(), product);
}
