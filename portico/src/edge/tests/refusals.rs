//! Refusals of authority are in the security log, whichever way they were asked for and whoever refused.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::Method;
use portico_proto::{
    Error, Kind,
    accounts::v1::{Refusals, ReportRefusalsRequest, ReportRefusalsResponse},
    catalog::v1::{
        CreatePlanRequest, ListPlansRequest, ListPlansResponse, Plan,
        catalog_service_client::CatalogServiceClient,
    },
};
use portico_runtime::{Caller, Channels, ServiceName};

use super::support::{ADMIN, DEVELOPER, Double, Heard, Portal, request};

type Reports = Arc<Mutex<Vec<ReportRefusalsRequest>>>;

/// Plans are for admins; accounts is away for the first report.
fn set(reports: &Reports) -> impl Fn(ServiceName, Double) -> Double {
    let reports = reports.clone();
    let tried = Arc::new(Mutex::new(0));
    move |name, double| match name {
        ServiceName::Accounts => {
            let (reports, tried) = (reports.clone(), tried.clone());
            double.on(
                "/portico.accounts.v1.AccountsService/ReportRefusals",
                move |heard: Heard<ReportRefusalsRequest>| {
                    assert_eq!(heard.caller, Caller::service("edge"));
                    let mut tried = tried.lock().unwrap();
                    *tried += 1;
                    if *tried == 1 {
                        return Err(Error::unavailable("away", "Not now."));
                    }
                    reports.lock().unwrap().push(heard.message);
                    Ok(ReportRefusalsResponse {})
                },
            )
        }
        ServiceName::Catalog => double
            .on(
                "/portico.catalog.v1.CatalogService/CreatePlan",
                |heard: Heard<CreatePlanRequest>| {
                    heard.caller.require_admin()?;
                    Ok(Plan::default())
                },
            )
            .on(
                "/portico.catalog.v1.CatalogService/ListPlans",
                |heard: Heard<ListPlansRequest>| match heard.caller {
                    Caller::User { .. } => Ok(ListPlansResponse::default()),
                    _ => Err(Error::new(
                        Kind::Unauthenticated,
                        "unauthenticated",
                        "Sign in.",
                    )),
                },
            ),
        _ => double,
    }
}

async fn ask(portal: &Portal, method: Method, path: &str, header: (&str, String)) -> u16 {
    let request = request(method, path)
        .header(header.0, header.1)
        .header("content-type", "application/json");
    portal
        .send(request, r#"{"name": "x"}"#)
        .await
        .status
        .as_u16()
}

/// What was reported in the end: of each minute, how often.
async fn reported(portal: &Portal, reports: &Reports, count: usize) -> Vec<Refusals> {
    loop {
        portal.time.advance(Duration::from_mins(1));
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let reports = reports.lock().unwrap();
        if reports.len() >= count {
            return reports
                .iter()
                .flat_map(|report| report.refusals.clone())
                .collect();
        }
    }
}

#[tokio::test]
async fn they_are_counted_for_a_user_and_minute_and_reported() {
    let reports = Reports::default();
    let portal = Portal::new(set(&reports)).await;
    let bearer = |token: &str| ("authorization", format!("Bearer {token}"));
    let plans = "/api/v1/plans";
    for _ in 0..2 {
        assert_eq!(
            ask(&portal, Method::POST, plans, bearer(DEVELOPER)).await,
            403
        );
    }
    // By the edge itself, before any service was asked.
    let cookie = ("cookie", format!("portico_session={DEVELOPER}"));
    assert_eq!(
        ask(&portal, Method::GET, "/admin/plans", cookie.clone()).await,
        403
    );
    // None of these is a refusal of authority: allowed, nobody, forged.
    assert_eq!(
        ask(&portal, Method::GET, plans, bearer(DEVELOPER)).await,
        200
    );
    assert_eq!(
        ask(&portal, Method::POST, plans, bearer("unknown")).await,
        401
    );
    assert_eq!(
        ask(&portal, Method::POST, plans, ("accept", "*/*".to_owned())).await,
        401
    );
    assert_eq!(ask(&portal, Method::POST, plans, cookie).await, 403);

    let told = reported(&portal, &reports, 1).await;
    let expected = Refusals {
        user_id: uuid::Uuid::from_u128(2).to_string(),
        minute: portico_proto::time::parse("2026-01-02T12:00:00Z"),
        count: 3,
    };
    assert_eq!(told, [expected]);
    assert_ne!(ask(&portal, Method::POST, plans, bearer(ADMIN)).await, 403);
    assert_eq!(
        ask(&portal, Method::POST, plans, bearer(DEVELOPER)).await,
        403
    );
    let told = reported(&portal, &reports, 2).await;
    assert_eq!(told[1].count, 1);
}

#[tokio::test]
async fn those_of_grpc_and_of_the_last_minute_too() {
    let reports = Reports::default();
    let portal = Portal::new(set(&reports)).await;
    let channels = Channels::local();
    channels.provide(ServiceName::Catalog, crate::edge::grpc_router(&portal.deps));
    let mut catalog = CatalogServiceClient::new(channels.to(ServiceName::Catalog));
    let mut refused = tonic::Request::new(CreatePlanRequest::default());
    let bearer = format!("Bearer {DEVELOPER}").parse().unwrap();
    refused.metadata_mut().insert("authorization", bearer);
    assert!(catalog.create_plan(refused).await.is_err());
    assert!(
        catalog
            .create_plan(CreatePlanRequest::default())
            .await
            .is_err()
    );
    let told = reported(&portal, &reports, 1).await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].count, 1);

    let mut refused = tonic::Request::new(CreatePlanRequest::default());
    let bearer = format!("Bearer {DEVELOPER}").parse().unwrap();
    refused.metadata_mut().insert("authorization", bearer);
    assert!(catalog.create_plan(refused).await.is_err());
    portal.deps.shutdown.cancel();
    portal.deps.tasks.close();
    portal.deps.tasks.wait().await;
    assert_eq!(reports.lock().unwrap().len(), 2);
}
