//! Lists: filters, words, order, pages, and whose.

use portico_proto::access::v1 as api;

use crate::support::{FREE, ORDERS, PAYMENTS, Portal, codes, new_application, order};

fn names(list: &api::ListAccessRequestsResponse) -> Vec<&str> {
    list.access_requests
        .iter()
        .map(|request| request.application_name.as_str())
        .collect()
}

#[tokio::test]
async fn requests_are_found_by_everything_they_have() {
    requests(&Portal::running().await).await;
}

pub(crate) async fn requests(portal: &Portal) {
    let (anna, bert, admin) = (portal.developer(1), portal.developer(2), portal.admin());
    for (who, name, product) in [
        (&anna, "Alpha", PAYMENTS),
        (&anna, "Beta 100%", ORDERS),
        (&bert, "Gamma", PAYMENTS),
    ] {
        let mut request = order(product, FREE);
        request.target = Some(new_application(name));
        let made = who.submit_access_request(request).await.unwrap();
        if name == "Alpha" {
            admin.approve(&made.id).await.unwrap();
        }
    }
    let all = || api::ListAccessRequestsRequest {
        sort: "created_at".into(),
        ..Default::default()
    };
    assert_eq!(
        names(&admin.list_access_requests(all()).await.unwrap()),
        ["Alpha", "Beta 100%", "Gamma"]
    );
    assert_eq!(
        names(
            &admin
                .list_access_requests(Default::default())
                .await
                .unwrap()
        ),
        ["Gamma", "Beta 100%", "Alpha"]
    );
    type Filter = fn(&mut api::ListAccessRequestsRequest);
    let cases: [(Filter, &[&str]); 7] = [
        (
            |f| f.set_status(api::AccessRequestStatus::Approved),
            &["Alpha"],
        ),
        (|f| f.set_status(api::AccessRequestStatus::Revoked), &[]),
        (|f| f.product_id = ORDERS.to_string(), &["Beta 100%"]),
        (|f| f.q = "PAYM".into(), &["Alpha", "Gamma"]),
        (|f| f.q = "amma".into(), &["Gamma"]),
        (|f| f.q = "0%".into(), &["Beta 100%"]),
        (|f| f.q = "_".into(), &[]),
    ];
    for (set, expected) in cases {
        let mut filter = all();
        set(&mut filter);
        let found = admin.list_access_requests(filter.clone()).await.unwrap();
        assert_eq!(names(&found), expected, "{filter:?}");
    }
    let mut of_bert = all();
    of_bert.requester_id = bert.id.to_string();
    assert_eq!(
        names(&admin.list_access_requests(of_bert.clone()).await.unwrap()),
        ["Gamma"]
    );
    // A developer's list is their own, whatever it asks for.
    assert_eq!(
        names(&anna.list_access_requests(of_bert).await.unwrap()),
        ["Alpha", "Beta 100%"]
    );

    let mut page = all();
    page.limit = 2;
    let first = admin.list_access_requests(page.clone()).await.unwrap();
    assert_eq!(names(&first), ["Alpha", "Beta 100%"]);
    page.after = first.next;
    let second = admin.list_access_requests(page).await.unwrap();
    assert_eq!((names(&second), second.next.as_str()), (vec!["Gamma"], ""));

    let wrong = api::ListAccessRequestsRequest {
        status: 99,
        product_id: "x".into(),
        ..Default::default()
    };
    assert_eq!(
        codes(admin.list_access_requests(wrong).await),
        ["status status_invalid", "product_id id_invalid"]
    );
}

#[tokio::test]
async fn applications_are_sorted_and_cut_into_pages() {
    applications(&Portal::running().await).await;
}

pub(crate) async fn applications(portal: &Portal) {
    let (anna, bert, admin) = (portal.developer(1), portal.developer(2), portal.admin());
    for (who, name) in [(&anna, "beta"), (&anna, "Alpha"), (&bert, "Gamma")] {
        let application = api::Application {
            name: name.into(),
            ..Default::default()
        };
        who.create(application).await.unwrap();
    }
    let list = async |who: &crate::actor::Actor, sort: &str, q: &str| {
        let request = api::ListApplicationsRequest {
            sort: sort.into(),
            q: q.into(),
            ..Default::default()
        };
        let found = who.list_applications(request).await.unwrap();
        let names = found.applications.into_iter().map(|a| a.name);
        names.collect::<Vec<_>>()
    };
    assert_eq!(list(&admin, "", "").await, ["Alpha", "beta", "Gamma"]);
    assert_eq!(list(&admin, "-name", "").await, ["Gamma", "beta", "Alpha"]);
    assert_eq!(
        list(&admin, "created_at", "").await,
        ["beta", "Alpha", "Gamma"]
    );
    assert_eq!(
        list(&admin, "-created_at", "").await,
        ["Gamma", "Alpha", "beta"]
    );
    assert_eq!(list(&anna, "", "").await, ["Alpha", "beta"]);
    assert_eq!(list(&anna, "", "PH").await, ["Alpha"]);
    let wrong = api::ListApplicationsRequest {
        sort: "owner".into(),
        ..Default::default()
    };
    assert_eq!(
        codes(anna.list_applications(wrong).await),
        ["sort sort_invalid"]
    );
    let mut after = String::new();
    let mut seen = Vec::new();
    loop {
        let request = api::ListApplicationsRequest {
            limit: 1,
            after,
            sort: "-name".into(),
            ..Default::default()
        };
        let page = admin.list_applications(request).await.unwrap();
        seen.extend(page.applications.into_iter().map(|a| a.name));
        after = page.next;
        if after.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ["Gamma", "beta", "Alpha"]);
}
