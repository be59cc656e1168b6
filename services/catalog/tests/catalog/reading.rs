//! Who sees which product, search and paging.

use portico_proto::{Kind, catalog::v1::*};
use portico_runtime::Caller;

use crate::support::*;

#[tokio::test]
async fn everybody_sees_what_is_meant_for_them() {
    let app = App::start().await;
    let mut ids = Vec::new();
    for (name, visibility, published) in [
        ("a public", Visibility::Public, true),
        ("b internal", Visibility::Internal, true),
        ("c default", Visibility::Unspecified, true),
        ("d draft", Visibility::Public, false),
    ] {
        let message = Product {
            visibility: visibility.into(),
            ..plain(name, &[])
        };
        let product = app.create(message).await.unwrap();
        if published {
            app.publish(&product.id).await.unwrap();
        }
        ids.push(product.id);
    }
    for (caller, sees) in [
        (Caller::Anonymous, [true, false, true, false]),
        (developer(), [true, false, true, false]),
        (let_in(), [true, true, true, false]),
        (admin(), [true, true, true, true]),
    ] {
        let listed = app
            .list(&caller, ListProductsRequest::default())
            .await
            .unwrap();
        let listed: Vec<_> = listed.products.into_iter().map(|p| p.id).collect();
        for (id, sees) in ids.iter().zip(sees) {
            assert_eq!(listed.contains(id), sees, "list {caller:?}");
            match app.get(&caller, id).await {
                Ok(_) => assert!(sees, "get {caller:?}"),
                Err(error) => {
                    assert!(!sees, "get {caller:?}");
                    assert_eq!(error.kind, Kind::NotFound);
                }
            }
        }
    }
    // The service that has to know all of them.
    for id in &ids {
        let service = Caller::service("access-request");
        assert!(app.get(&service, id).await.is_ok());
    }
    // A filter does not open what is closed.
    let drafts = ListProductsRequest {
        status: ProductStatus::Draft.into(),
        ..ListProductsRequest::default()
    };
    let found = app.list(&developer(), drafts.clone()).await.unwrap();
    assert_eq!(found.products, []);
    assert_eq!(app.list(&admin(), drafts).await.unwrap().products.len(), 1);
    app.delete(&ids[0]).await.unwrap();
    let left = app
        .list(&admin(), ListProductsRequest::default())
        .await
        .unwrap();
    assert_eq!(left.products.len(), 3);
    let deleted = ListProductsRequest {
        status: ProductStatus::Deleted.into(),
        ..ListProductsRequest::default()
    };
    assert_eq!(app.list(&admin(), deleted).await.unwrap().products, []);
}

#[tokio::test]
async fn neither_a_search_nor_the_next_page_tells_of_what_is_not_there() {
    let app = App::start().await;
    for (name, visibility) in [
        ("a public", Visibility::Public),
        ("b internal", Visibility::Internal),
    ] {
        let message = Product {
            visibility: visibility.into(),
            ..plain(name, &["shared"])
        };
        let product = app.create(message).await.unwrap();
        app.publish(&product.id).await.unwrap();
    }
    let (page, words, tag) = ((1, "", ""), (0, "internal", ""), (1, "", "shared"));
    for (caller, found) in [
        (Caller::Anonymous, [(1, false), (0, false), (1, false)]),
        (developer(), [(1, false), (0, false), (1, false)]),
        (let_in(), [(1, true), (1, false), (1, true)]),
    ] {
        for ((limit, q, tag), found) in [page, words, tag].into_iter().zip(found) {
            let message = ListProductsRequest {
                limit,
                q: q.into(),
                tag: tag.into(),
                ..ListProductsRequest::default()
            };
            let page = app.list(&caller, message).await.unwrap();
            let seen = (page.products.len(), !page.next.is_empty());
            assert_eq!(seen, found, "{caller:?}, {q} {tag}");
        }
    }
}

/// Policies, APIs' ids and gateways are the operators' business.
#[tokio::test]
async fn what_is_at_the_gateway_is_for_operators() {
    let app = App::start().await;
    let message = Product {
        mapping: policy("opens"),
        ..payments()
    };
    let product = app.create(message).await.unwrap();
    app.publish(&product.id).await.unwrap();
    let plan = Plan {
        mapping: policy("limits"),
        ..free_plan()
    };
    let plan = app.create_plan(plan).await.unwrap();
    let (service, anybody) = (Caller::service("access-request"), Caller::Anonymous);
    for (caller, sees) in [
        (admin(), true),
        (service, true),
        (developer(), false),
        (let_in(), false),
        (anybody, false),
    ] {
        let mut products = vec![app.get(&caller, &product.id).await.unwrap()];
        if !matches!(caller, Caller::Service(_)) {
            let listed = app.list(&caller, ListProductsRequest::default()).await;
            products.extend(listed.unwrap().products);
        }
        for found in products {
            assert_eq!(found.mapping.is_some(), sees, "{caller:?}");
            assert_eq!(found.apis[0].mapping.is_some(), sees, "{caller:?}");
            assert_eq!(found.apis[0].name, "Payments API");
        }
        if caller != Caller::Anonymous {
            let found = app.get_plan(&caller, &plan.id).await.unwrap();
            assert_eq!(found.mapping.is_some(), sees, "{caller:?}");
        }
    }
}

fn policy(id: &str) -> Option<PolicyMapping> {
    let policy_id = Some(id.to_owned());
    Some(PolicyMapping { policy_id })
}

async fn names(app: &App, message: ListProductsRequest) -> Vec<String> {
    let found = app.list(&admin(), message).await.unwrap();
    found.products.into_iter().map(|p| p.name).collect()
}

#[tokio::test]
async fn products_are_found_by_words_tag_and_client_type() {
    let app = App::start().await;
    app.create(payments()).await.unwrap();
    app.create(plain("Weather_100%", &["sky", "money"]))
        .await
        .unwrap();
    app.create(plain("Überweisung", &["geld"])).await.unwrap();
    let q = |q: &str| ListProductsRequest {
        q: q.into(),
        ..ListProductsRequest::default()
    };
    assert_eq!(names(&app, q("RECEIVE money")).await, ["Payments"]);
    assert_eq!(names(&app, q("money")).await, ["Payments", "Weather_100%"]);
    assert_eq!(names(&app, q("ÜBER")).await, ["Überweisung"]);
    assert_eq!(names(&app, q("r_1")).await, ["Weather_100%"]);
    assert_eq!(names(&app, q("%")).await, ["Weather_100%"]);
    assert_eq!(names(&app, q("nothing")).await, [""; 0]);
    assert_eq!(names(&app, q("' OR 1=1 --")).await, [""; 0]);
    let tag = ListProductsRequest {
        tag: "Sky".into(),
        ..ListProductsRequest::default()
    };
    assert_eq!(names(&app, tag).await, ["Weather_100%"]);
    let client_type = ListProductsRequest {
        client_type_id: CLIENT_TYPE.to_string(),
        ..ListProductsRequest::default()
    };
    assert_eq!(names(&app, client_type).await, ["Payments"]);
}

#[tokio::test]
async fn a_name_is_found_however_it_is_written_and_wears_no_disguise() {
    let app = App::start().await;
    let made = app
        .create(plain("Cafe\u{301} API", &["Cre\u{300}me"]))
        .await;
    let made = made.unwrap();
    assert_eq!(
        (made.name.as_str(), made.tags[0].as_str()),
        ("Caf\u{e9} API", "cr\u{e8}me")
    );
    for q in ["CAF\u{c9}", "cafe\u{301}", "CRE\u{300}ME"] {
        let message = ListProductsRequest {
            q: q.into(),
            ..ListProductsRequest::default()
        };
        assert_eq!(names(&app, message).await, ["Caf\u{e9} API"], "{q}");
    }
    let tag = ListProductsRequest {
        tag: "cr\u{c8}me".into(),
        ..ListProductsRequest::default()
    };
    assert_eq!(names(&app, tag).await.len(), 1);
    for (name, words) in [
        ("Pay\u{202E}ments", "U+202E RIGHT-TO-LEFT OVERRIDE"),
        ("Pay\u{200B}ments", "U+200B ZERO WIDTH SPACE"),
        ("P\u{0430}yments", "U+0430"),
    ] {
        let refused = app.create(plain(name, &[])).await.unwrap_err();
        assert_eq!(fields(&refused), [("name", "name_invalid")]);
        assert!(refused.message.contains(words), "{}", refused.message);
    }
}

#[tokio::test]
async fn a_cursor_leads_nowhere_else() {
    let app = App::start().await;
    for name in ["alpha", "bravo", "charlie"] {
        app.create(plain(name, &["letters"])).await.unwrap();
    }
    let list = |after: &str| ListProductsRequest {
        limit: 1,
        sort: "name".into(),
        after: after.to_owned(),
        ..ListProductsRequest::default()
    };
    let next = app.list(&admin(), list("")).await.unwrap().next;
    let second = app.list(&admin(), list(&next)).await.unwrap();
    assert_eq!(second.products[0].name, "bravo");
    let words = "letters".to_owned();
    for another in [
        ListProductsRequest {
            sort: "-created_at".into(),
            ..list(&next)
        },
        ListProductsRequest {
            q: words.clone(),
            ..list(&next)
        },
        ListProductsRequest {
            tag: words,
            ..list(&next)
        },
        ListProductsRequest {
            status: ProductStatus::Draft.into(),
            ..list(&next)
        },
    ] {
        let refused = app.list(&admin(), another).await.unwrap_err();
        assert_eq!(fields(&refused), [("after", "cursor_of_another_list")]);
    }
}

#[tokio::test]
async fn every_order_pages_through_everything_once() {
    let app = App::start().await;
    let made = ["delta", "Alpha", "charlie", "alpha", "Bravo"];
    for name in made {
        app.create(plain(name, &[])).await.unwrap();
    }
    for (sort, expected) in [
        ("", ["alpha", "alpha", "bravo", "charlie", "delta"]),
        ("-name", ["delta", "charlie", "bravo", "alpha", "alpha"]),
        (
            "created_at",
            ["delta", "alpha", "charlie", "alpha", "bravo"],
        ),
        (
            "-created_at",
            ["bravo", "alpha", "charlie", "alpha", "delta"],
        ),
    ] {
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let message = ListProductsRequest {
                limit: 2,
                after,
                sort: sort.into(),
                ..ListProductsRequest::default()
            };
            let page = app.list(&admin(), message).await.unwrap();
            assert!(page.products.len() <= 2);
            found.extend(page.products.into_iter().map(|p| p.name.to_lowercase()));
            if page.next.is_empty() {
                break;
            }
            after = page.next;
        }
        assert_eq!(found, expected, "{sort}");
    }
}

#[tokio::test]
async fn wrong_questions_are_refused() {
    let app = App::start().await;
    for (message, field) in [
        (
            ListProductsRequest {
                sort: "price".into(),
                ..ListProductsRequest::default()
            },
            "sort",
        ),
        (
            ListProductsRequest {
                status: 99,
                ..ListProductsRequest::default()
            },
            "status",
        ),
        (
            ListProductsRequest {
                q: "x".repeat(201),
                ..ListProductsRequest::default()
            },
            "q",
        ),
        (
            ListProductsRequest {
                client_type_id: "x".into(),
                ..ListProductsRequest::default()
            },
            "client_type_id",
        ),
        (
            ListProductsRequest {
                limit: 101,
                ..ListProductsRequest::default()
            },
            "limit",
        ),
    ] {
        let error = app.list(&admin(), message).await.unwrap_err();
        assert_eq!(error.fields[0].field, field);
    }
}

#[tokio::test]
async fn documentation_is_for_the_single_product() {
    let app = App::start().await;
    let id = app.create(payments()).await.unwrap().id;
    assert_eq!(
        app.get(&admin(), &id).await.unwrap().documentation,
        "# Payments"
    );
    let listed = app
        .list(&admin(), ListProductsRequest::default())
        .await
        .unwrap();
    assert_eq!(listed.products[0].documentation, "");
}
