//! A scope belongs to one product or plan.

use portico_proto::{Error, Kind, catalog::v1::*};
use tokio::task::JoinSet;

use crate::support::*;

fn assert_taken(error: &Error, words: &[&str]) {
    assert_eq!(
        (error.kind, error.code.as_ref()),
        (Kind::Conflict, "scope_taken")
    );
    assert_eq!(error.problem("").status, 409);
    for word in words {
        assert!(error.message.contains(word), "{}", error.message);
    }
}

fn with_scope(name: &str, scope: &str) -> Product {
    Product {
        scopes: vec![scope.into()],
        ..plain(name, &[])
    }
}

#[tokio::test]
async fn a_scope_of_another_is_refused_and_its_owner_named() {
    let app = App::start().await;
    let first = app.create(with_scope("First", "one")).await.unwrap();
    let second = app.create(with_scope("Second", "two")).await.unwrap();
    let plan = app.create_plan(free_plan()).await.unwrap();

    let error = app.create(with_scope("Third", "one")).await.unwrap_err();
    assert_taken(&error, &["`one`", "product \"First\"", &first.id]);
    let error = app
        .create(with_scope("Third", "free_plan"))
        .await
        .unwrap_err();
    assert_taken(&error, &["`free_plan`", "plan \"Free\"", &plan.id]);
    let error = app
        .update(&second.id, &["scopes"], with_scope("", "one"))
        .await
        .unwrap_err();
    assert_taken(&error, &["`one`", "product \"First\""]);
    for scope in ["one", "free_plan"] {
        let error = app
            .create_plan(Plan {
                scopes: vec![scope.into()],
                ..free_plan()
            })
            .await
            .unwrap_err();
        assert_taken(&error, &[scope]);
    }
    let error = app
        .update_plan(
            &plan.id,
            &["scopes"],
            Plan {
                scopes: vec!["two".into(), "one".into()],
                ..Plan::default()
            },
        )
        .await
        .unwrap_err();
    assert_taken(&error, &["`one`"]);
    assert_eq!(error.fields.len(), 2);

    // Nothing of what was refused is there.
    assert_eq!(app.get(&admin(), &second.id).await.unwrap(), second);
    assert_eq!(app.get_plan(&admin(), &plan.id).await.unwrap(), plan);
}

#[tokio::test]
async fn a_scope_is_free_again_after_a_change_or_a_deletion() {
    let app = App::start().await;
    let first = app.create(with_scope("First", "one")).await.unwrap();
    app.update(&first.id, &["scopes"], with_scope("", "other"))
        .await
        .unwrap();
    let second = app.create(with_scope("Second", "one")).await.unwrap();
    app.delete(&second.id).await.unwrap();
    app.create(with_scope("Third", "one")).await.unwrap();
    app.delete(&first.id).await.unwrap();
    let plan = Plan {
        scopes: vec!["other".into()],
        ..free_plan()
    };
    app.create_plan(plan).await.unwrap();
}

#[tokio::test]
async fn of_many_at_once_one_gets_the_scope() {
    let app = App::start().await;
    let mut calls = JoinSet::new();
    for n in 0..32 {
        let message = creation(with_scope(&format!("Product {n}"), "wanted"));
        let request = app.request(&admin(), message);
        let mut client = app.client();
        calls.spawn(async move { answer(client.create_product(request).await) });
    }
    let mut winners = 0;
    while let Some(result) = calls.join_next().await {
        match result.unwrap() {
            Ok(_) => winners += 1,
            Err(error) => assert_taken(&error, &["`wanted`", "product \"Product "]),
        }
    }
    assert_eq!(winners, 1);
    let listed = app
        .list(&admin(), ListProductsRequest::default())
        .await
        .unwrap();
    assert_eq!(listed.products.len(), 1);
}
