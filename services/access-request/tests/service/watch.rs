//! The live stream: resumes, shows nobody else's, follows at once.

use portico_proto::{
    Kind,
    access::v1::{AccessRequestChange, TimelineStep as Step},
};
use tonic::Streaming;

use crate::actor::Actor;
use crate::support::{DEADLINE, FREE, ORDERS, PAYMENTS, Portal, codes, order, status};

async fn next(stream: &mut Streaming<AccessRequestChange>) -> AccessRequestChange {
    tokio::time::timeout(DEADLINE, stream.message())
        .await
        .unwrap()
        .unwrap()
        .unwrap()
}

async fn watching(actor: &Actor, after: &str) -> Streaming<AccessRequestChange> {
    actor.watch(after).await.unwrap()
}

#[tokio::test]
async fn a_stream_follows_and_resumes() {
    resumes(&Portal::running().await).await;
}

pub(crate) async fn resumes(portal: &Portal) {
    let (anna, bert, admin) = (portal.developer(1), portal.developer(2), portal.admin());
    let before = anna
        .submit_access_request(order(ORDERS, FREE))
        .await
        .unwrap();
    let mut live = watching(&anna, "").await;
    let hers = anna
        .submit_access_request(order(PAYMENTS, FREE))
        .await
        .unwrap();
    let his = bert
        .submit_access_request(order(PAYMENTS, FREE))
        .await
        .unwrap();
    admin.approve(&hers.id).await.unwrap();

    let first = next(&mut live).await;
    assert_eq!(first.step(), Step::Submitted);
    assert_eq!(first.access_request.unwrap().id, hers.id);
    let second = next(&mut live).await;
    assert_eq!(second.step(), Step::Approved);
    let request = second.access_request.unwrap();
    assert_eq!(request.id, hers.id);
    assert_eq!(status(&request), "approved");
    drop(live);

    admin.revoke(&hers.id).await.unwrap();
    let mut resumed = watching(&anna, &first.cursor).await;
    for step in [Step::Approved, Step::Revoked] {
        assert_eq!(next(&mut resumed).await.step(), step);
    }

    let mut all = watching(&admin, "0").await;
    let mut seen = Vec::new();
    for _ in 0..5 {
        let change = next(&mut all).await;
        seen.push((change.step(), change.access_request.unwrap().id));
    }
    let expected = [
        (Step::Submitted, &before.id),
        (Step::Submitted, &hers.id),
        (Step::Submitted, &his.id),
        (Step::Approved, &hers.id),
        (Step::Revoked, &hers.id),
    ];
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(step, id)| (step, id.clone()))
        .collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_wrong_cursor_is_named_and_a_stream_ends_with_the_process() {
    let portal = Portal::running().await;
    let anna = portal.developer(1);
    for after in ["x", "-1", "1.", ".1", " 1"] {
        let refused = codes(anna.watch(after).await);
        let expected = if after == "1." {
            "cursor_of_another_log"
        } else {
            "after cursor_invalid"
        };
        assert_eq!(refused, [expected], "{after}");
    }
    let nobody = portal.actor(portico_runtime::Caller::Anonymous);
    assert_eq!(codes(nobody.watch("").await), ["unauthenticated"]);
    let mut live = watching(&anna, "").await;
    portal.deps.shutdown.cancel();
    let end = tokio::time::timeout(DEADLINE, live.message())
        .await
        .unwrap();
    // An end that is well would tell a client that there is nothing more to come.
    let status = end.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert_eq!(portico_proto::Error::from(status).code, "stopping");
}

/// After a restore the log may have another event at a position that was given out, or none yet.
#[tokio::test]
async fn a_cursor_belongs_to_its_log() {
    let portal = Portal::running().await;
    let anna = portal.developer(1);
    let at_once = |stream: &tonic::Response<Streaming<AccessRequestChange>>| {
        let cursor = stream.metadata().get("x-portico-cursor").unwrap();
        cursor.to_str().unwrap().to_owned()
    };
    let begin = anna.watch_response("").await.unwrap();
    let before = at_once(&begin);
    anna.submit_access_request(order(ORDERS, FREE))
        .await
        .unwrap();
    let change = next(&mut begin.into_inner()).await;
    // The cursor that comes before anything happens resumes like any other.
    let resumed = anna.watch_response(&before).await.unwrap();
    assert_eq!(at_once(&resumed), before);
    assert_eq!(next(&mut resumed.into_inner()).await, change);

    let (position, mark) = change.cursor.split_once('.').unwrap();
    let newer = position.parse::<u64>().unwrap() + 1000;
    let other_event = if mark.starts_with('0') { "1" } else { "0" };
    for another in [
        format!("{newer}.{mark}"),
        format!("{position}.{other_event}{}", &mark[1..]),
        position.to_owned(),
    ] {
        let refused = anna.watch(&another).await.unwrap_err();
        assert_eq!(
            (refused.kind, refused.code.as_ref()),
            (Kind::Conflict, "cursor_of_another_log")
        );
    }
}
