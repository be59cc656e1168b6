//! Plans.

use portico_proto::{Error, Kind, catalog::v1::*};
use portico_runtime::Caller;

use crate::support::*;

#[tokio::test]
async fn a_plan_is_created_changed_and_deleted() {
    let app = App::start().await;
    let created = app.create_plan(free_plan()).await.unwrap();
    assert_eq!((created.status(), created.version), (PlanStatus::Active, 1));
    let change = Plan {
        quota: Some(Quota {
            requests: 1000,
            renews_every_seconds: 3600,
        }),
        auto_approve: true,
        ..Plan::default()
    };
    let mask = ["rate", "quota", "auto_approve"];
    let changed = app
        .update_plan(&created.id, &mask, change.clone())
        .await
        .unwrap();
    assert_eq!((changed.rate, changed.quota), (None, change.quota));
    assert!(changed.auto_approve);
    assert_eq!(changed.scopes, created.scopes);
    assert_eq!(app.get_plan(&admin(), &created.id).await.unwrap(), changed);

    let message = DeletePlanRequest {
        id: created.id.clone(),
        if_version: changed.version,
    };
    let request = app.request(&admin(), message);
    answer(app.client().delete_plan(request).await).unwrap();
    for caller in [admin(), developer()] {
        let error = app.get_plan(&caller, &created.id).await.unwrap_err();
        assert_eq!(error.kind, Kind::NotFound);
    }
    let service = Caller::service("access-request");
    assert_eq!(
        app.get_plan(&service, &created.id).await.unwrap().status(),
        PlanStatus::Deleted
    );
}

#[tokio::test]
async fn a_plan_needs_a_scope_and_limits_that_allow_something() {
    let app = App::start().await;
    let error = app
        .create_plan(Plan {
            scopes: Vec::new(),
            rate: Some(Rate {
                requests: 0,
                per_seconds: 1,
            }),
            quota: Some(Quota {
                requests: 5,
                renews_every_seconds: 0,
            }),
            ..free_plan()
        })
        .await
        .unwrap_err();
    assert_eq!(
        fields(&error),
        [
            ("rate.requests", "requests_invalid"),
            ("quota.renews_every_seconds", "renews_every_seconds_invalid"),
            ("scopes", "scopes_missing"),
        ]
    );
    let id = app.create_plan(free_plan()).await.unwrap().id;
    let error = app
        .update_plan(&id, &["scopes"], Plan::default())
        .await
        .unwrap_err();
    assert_eq!(fields(&error), [("scopes", "scopes_missing")]);
    let message = UpdatePlanRequest {
        id,
        ..UpdatePlanRequest::default()
    };
    let request = app.request(&admin(), message);
    let error = Error::from(app.client().update_plan(request).await.unwrap_err());
    assert_eq!(fields(&error), [("plan", "plan_missing")]);
}

/// What a merge patch sets to null.
#[tokio::test]
async fn a_policy_is_taken_away_again() {
    let app = App::start().await;
    let gold = Plan {
        mapping: Some(PolicyMapping {
            policy_id: Some("gold".into()),
        }),
        ..free_plan()
    };
    let created = app.create_plan(gold).await.unwrap();
    assert_eq!(created.mapping.unwrap().policy_id(), "gold");
    let bare = Plan {
        mapping: Some(PolicyMapping::default()),
        ..Plan::default()
    };
    let changed = app.update_plan(&created.id, &["policy_id"], bare).await;
    assert_eq!(changed.unwrap().mapping.unwrap().policy_id, None);
}

#[tokio::test]
async fn limits_stay_within_what_json_keeps_exactly() {
    let app = App::start().await;
    let largest = (1 << 53) - 1;
    let limited = |requests, per_seconds| Plan {
        rate: Some(Rate {
            requests,
            per_seconds,
        }),
        ..free_plan()
    };
    let plan = app.create_plan(limited(largest, largest)).await.unwrap();
    assert_eq!(plan.rate.unwrap().requests, largest);
    let refused = app.create_plan(limited(1 << 63, largest + 1)).await;
    let refused = refused.unwrap_err();
    assert_eq!(
        fields(&refused),
        [
            ("rate.requests", "requests_invalid"),
            ("rate.per_seconds", "per_seconds_invalid"),
        ]
    );
    assert!(refused.message.contains("from 1 to 9007199254740991"));
}

#[tokio::test]
async fn visitors_do_not_see_plans() {
    let app = App::start().await;
    let id = app.create_plan(free_plan()).await.unwrap().id;
    let error = app.get_plan(&Caller::Anonymous, &id).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unauthenticated);
    let list = |caller| {
        let request = app.request(&caller, ListPlansRequest::default());
        async { answer(app.client().list_plans(request).await) }
    };
    assert_eq!(
        list(Caller::Anonymous).await.unwrap_err().kind,
        Kind::Unauthenticated
    );
    assert_eq!(list(developer()).await.unwrap().plans.len(), 1);
    let registration = Caller::service("registration");
    assert_eq!(list(registration).await.unwrap_err().kind, Kind::Forbidden);
}

#[tokio::test]
async fn plans_are_searched_and_paged() {
    let app = App::start().await;
    for name in ["Gold", "Silver", "Bronze"] {
        app.create_plan(Plan {
            name: name.into(),
            scopes: vec![name.to_lowercase()],
            ..Plan::default()
        })
        .await
        .unwrap();
    }
    let list = |message: ListPlansRequest| {
        let request = app.request(&developer(), message);
        async { answer(app.client().list_plans(request).await).unwrap() }
    };
    let first = list(ListPlansRequest {
        limit: 2,
        ..ListPlansRequest::default()
    })
    .await;
    let second = list(ListPlansRequest {
        limit: 2,
        after: first.next.clone(),
        ..ListPlansRequest::default()
    })
    .await;
    let names: Vec<_> = first
        .plans
        .iter()
        .chain(&second.plans)
        .map(|p| &p.name)
        .collect();
    assert_eq!(names, ["Bronze", "Gold", "Silver"]);
    assert_eq!(second.next, "");
    let found = list(ListPlansRequest {
        q: "SILV".into(),
        ..ListPlansRequest::default()
    })
    .await;
    assert_eq!(found.plans[0].name, "Silver");
    assert_eq!(found.plans.len(), 1);
}

#[tokio::test]
async fn a_plan_that_somebody_has_or_waits_for_stays() {
    let app = App::start().await;
    let plan = app.create_plan(free_plan()).await.unwrap();
    app.wanted.lock().unwrap().insert(plan.id.clone());
    let delete = async || {
        let message = DeletePlanRequest {
            id: plan.id.clone(),
            if_version: 0,
        };
        answer(
            app.client()
                .delete_plan(app.request(&admin(), message))
                .await,
        )
    };
    let error = delete().await.unwrap_err();
    assert_eq!(
        (error.kind, error.code.as_ref()),
        (Kind::Conflict, "plan_in_use")
    );
    assert_eq!(app.get_plan(&admin(), &plan.id).await.unwrap(), plan);
    app.wanted.lock().unwrap().clear();
    delete().await.unwrap();
}
