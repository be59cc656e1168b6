//! given / when / then: does it, refuses it, stays quiet.

mod account;
mod catalogue;
mod joining;
mod orders;

use jiff::Timestamp;
use portico_eventstore::{Aggregate as _, testing::given};
use portico_proto::Error;
use uuid::Uuid;

use super::*;
use crate::terms::{Plan, Product};

const ALL: [Status; 9] = [
    Status::Pending,
    Status::Approved,
    Status::Provisioning,
    Status::Active,
    Status::Suspended,
    Status::Failed,
    Status::Rejected,
    Status::Withdrawn,
    Status::Revoked,
];

fn submission() -> Submission {
    Submission {
        requester_id: Uuid::from_u128(1),
        application_id: Uuid::from_u128(2),
        credential: Credential::OauthClient(OauthClient {
            client_type_id: Uuid::from_u128(3),
            identity_provider_id: Uuid::from_u128(4),
            needs_redirect_urls: false,
        }),
        items: vec![RequestedItem {
            product_id: Uuid::from_u128(5),
            product_name: "Payments".into(),
            product_scopes: vec!["product_payments".into()],
            plan_id: Uuid::from_u128(6),
            plan_name: "Free".into(),
            plan_scopes: vec!["free_plan".into()],
        }],
        ..Submission::default()
    }
}

fn submitted() -> Event {
    request::Event::Submitted(submission()).into()
}

fn keys_submitted() -> Event {
    request::Event::Submitted(Submission {
        credential: Credential::ApiKey,
        ..submission()
    })
    .into()
}

fn product(version: u64, scopes: &[&str]) -> Product {
    Product {
        product_id: Uuid::from_u128(5),
        version,
        name: "Payments".into(),
        scopes: scopes.iter().map(|s| (*s).to_owned()).collect(),
        ..Product::default()
    }
}

fn items() -> Vec<ApprovedItem> {
    vec![ApprovedItem {
        product: product(7, &["product_payments"]),
        plan: Plan {
            plan_id: Uuid::from_u128(6),
            version: 3,
            name: "Free".into(),
            scopes: ["free_plan".to_owned()].into(),
            ..Plan::default()
        },
    }]
}

fn approve() -> Command {
    Command::Request(request::Command::Approve {
        items: items(),
        note: None,
        account: AccountStatus::Active,
    })
}

fn approved() -> Event {
    request::Event::Approved {
        items: items(),
        note: None,
    }
    .into()
}

/// The half's report at this position of its log, made that many seconds into its life.
fn report(half: Half, revision: u64, position: i64, outcome: Outcome) -> Report {
    Report {
        half,
        revision,
        position,
        at: Timestamp::from_second(position).unwrap(),
        neighbour: None,
        outcome,
    }
}

fn done() -> Outcome {
    Outcome::Done {
        client_id: None,
        client_deleted: false,
    }
}

fn failed() -> Outcome {
    Outcome::Failed {
        code: "insufficient_scope".into(),
        reason: "Scope is not allowed".into(),
    }
}

fn reported(half: Half, revision: u64, position: i64, outcome: Outcome) -> Event {
    join::Event::Reported(report(half, revision, position, outcome)).into()
}

fn text() -> VaultRef {
    VaultRef(Uuid::from_u128(7))
}

fn access(command: access::Command) -> Command {
    Command::Access(command)
}

fn suspended(reason: Option<VaultRef>) -> Event {
    access::Event::Suspended { reason }.into()
}

fn revoked() -> Event {
    access::Event::Revoked { reason: None }.into()
}

/// A past that leads to each status.
fn past(status: Status) -> Vec<Event> {
    use Half::{Gateway, Registration};
    let first = reported(Registration, 1, 1, Outcome::Started);
    let both = vec![
        approved(),
        reported(Registration, 1, 2, done()),
        reported(Gateway, 1, 1, done()),
    ];
    let tail = match status {
        Status::Pending => vec![],
        Status::Approved => vec![approved()],
        Status::Provisioning => vec![approved(), first],
        Status::Active => both,
        Status::Suspended => [both, vec![suspended(None)]].concat(),
        Status::Failed => vec![approved(), reported(Registration, 1, 1, failed())],
        Status::Rejected => vec![request::Event::Rejected { reason: text() }.into()],
        Status::Withdrawn => vec![request::Event::Withdrawn { reason: None }.into()],
        Status::Revoked => vec![approved(), revoked()],
    };
    [vec![submitted()], tail].concat()
}

#[test]
fn the_pasts_lead_where_they_say() {
    for status in ALL {
        let state = given::<AccessRequest>(past(status)).state();
        assert_eq!(state.status(), Some(status));
    }
}

#[test]
fn it_is_submitted_once() {
    let submit = Command::Request(request::Command::Submit(submission()));
    given::<AccessRequest>([]).when(&submit).then([submitted()]);
    let refused = given::<AccessRequest>([submitted()])
        .when(&submit)
        .then_refused();
    assert_eq!(refused, Rejection::AlreadySubmitted);
}

#[test]
fn a_pending_one_is_decided_or_withdrawn() {
    let pending = || given::<AccessRequest>([submitted()]);
    pending().when(&approve()).then([approved()]);
    let reason = text();
    pending()
        .when(&Command::Request(request::Command::Reject { reason }))
        .then([request::Event::Rejected { reason }.into()]);
    let reason = Some(text());
    pending()
        .when(&Command::Request(request::Command::Withdraw { reason }))
        .then([request::Event::Withdrawn { reason }.into()]);
}

#[test]
fn an_approved_one_is_revoked_wherever_its_halves_are() {
    for status in [
        Status::Approved,
        Status::Provisioning,
        Status::Active,
        Status::Suspended,
        Status::Failed,
    ] {
        given::<AccessRequest>(past(status))
            .when(&access(access::Command::Revoke { reason: None }))
            .then([revoked()]);
    }
}

#[test]
fn a_failed_one_is_retried_also_while_it_is_suspended() {
    let retry = access(access::Command::Retry);
    let retried = || [Event::from(access::Event::Retried)];
    given::<AccessRequest>(past(Status::Failed))
        .when(&retry)
        .then(retried());
    let state = given::<AccessRequest>([past(Status::Failed), retried().to_vec()].concat()).state();
    assert_eq!(state.status(), Some(Status::Approved));
    assert_eq!(state.failure(), None);

    let taking_away = reported(Half::Gateway, 2, 9, failed());
    given::<AccessRequest>([past(Status::Suspended), vec![taking_away]].concat())
        .when(&retry)
        .then(retried());
}

#[test]
fn a_revocation_that_failed_is_retried_and_stays_one() {
    let retry = access(access::Command::Retry);
    let refused = given::<AccessRequest>(past(Status::Revoked))
        .when(&retry)
        .then_refused();
    assert_eq!(refused, Rejection::AlreadyRevoked);
    let revision = given::<AccessRequest>(past(Status::Revoked))
        .state()
        .revision();
    let taking_away = reported(Half::Registration, revision, 9, failed());
    let stuck = [past(Status::Revoked), vec![taking_away]].concat();
    given::<AccessRequest>(stuck.clone())
        .when(&retry)
        .then([access::Event::Retried.into()]);
    let again = [stuck, vec![access::Event::Retried.into()]].concat();
    let state = given::<AccessRequest>(again.clone()).state();
    assert_eq!(state.wanted(), Some(Wanted::Revoked));
    assert_eq!(state.status(), Some(Status::Revoked));
    // What is under way again is not retried a second time.
    let refused = given::<AccessRequest>(again).when(&retry).then_refused();
    assert_eq!(refused, Rejection::AlreadyRevoked);
}

#[test]
fn an_approved_one_is_suspended_and_resumed() {
    let reason = Some(text());
    let events = [past(Status::Active), vec![suspended(reason)]].concat();
    given::<AccessRequest>(past(Status::Active))
        .when(&access(access::Command::Suspend { reason }))
        .then([suspended(reason)]);
    given::<AccessRequest>(events.clone())
        .when(&access(access::Command::Resume))
        .then([access::Event::Resumed.into()]);
    let events = [events, vec![access::Event::Resumed.into()]].concat();
    let state = given::<AccessRequest>(events).state();
    // Both halves have to answer that it is to work again.
    assert_eq!(
        (state.status(), state.reason),
        (Some(Status::Approved), None)
    );
    assert_eq!(state.revision(), 3);
}

#[test]
fn every_change_of_what_is_wanted_raises_the_revision() {
    let mut state = given::<AccessRequest>([submitted()]).state();
    assert_eq!((state.revision(), state.wanted()), (0, None));
    let steps: [(Event, Wanted); 6] = [
        (approved(), Wanted::Granted),
        (access::Event::Retried.into(), Wanted::Granted),
        (suspended(None), Wanted::Suspended),
        (
            access::Event::ScopesChanged { items: items() }.into(),
            Wanted::Suspended,
        ),
        (access::Event::Resumed.into(), Wanted::Granted),
        (revoked(), Wanted::Revoked),
    ];
    for (revision, (event, wanted)) in (1..).zip(steps) {
        state.evolve(&event);
        assert_eq!((state.revision(), state.wanted()), (revision, Some(wanted)));
    }
    assert_eq!(state.wanted_at(2), Some(Wanted::Granted));
    assert_eq!(state.wanted_at(9), None);
}

#[test]
fn what_happens_to_the_client_says_nothing_of_where_a_request_stands() {
    let change = credential::Change {
        half: Half::Registration,
        position: 9,
        at: Timestamp::UNIX_EPOCH,
        change: credential::ChangeKind::SecretRotated,
        detail: String::new(),
        by: "service:registration".into(),
    };
    let command = Command::Credential(change.clone());
    let event = Event::from(credential::Event::CredentialChanged(change));
    for status in ALL {
        given::<AccessRequest>(past(status))
            .when(&command)
            .then([event.clone()]);
        let events = [past(status), vec![event.clone()]].concat();
        let state = given::<AccessRequest>(events).state();
        assert_eq!(state.status(), Some(status));
    }
    let refused = given::<AccessRequest>([]).when(&command).then_refused();
    assert_eq!(refused, Rejection::NotFound);
}

#[test]
fn every_refusal_has_its_name() {
    let commands = [
        ("approve", approve()),
        (
            "reject",
            Command::Request(request::Command::Reject { reason: text() }),
        ),
        (
            "withdraw",
            Command::Request(request::Command::Withdraw { reason: None }),
        ),
        ("revoke", access(access::Command::Revoke { reason: None })),
        ("retry", access(access::Command::Retry)),
        ("suspend", access(access::Command::Suspend { reason: None })),
        ("resume", access(access::Command::Resume)),
    ];
    let mut table = Vec::new();
    for (name, command) in &commands {
        let nothing = given::<AccessRequest>([]).when(command).then_refused();
        assert_eq!(nothing, Rejection::NotFound, "{name}");
        let codes: Vec<String> = ALL
            .into_iter()
            .map(|status| {
                let state = given::<AccessRequest>(past(status)).state();
                match state.decide(command) {
                    Ok(_) => "ok".to_owned(),
                    Err(rejection) => Error::from(rejection).code.to_string(),
                }
            })
            .collect();
        table.push(format!("{name}: {}", codes.join(" ")));
    }
    assert_eq!(
        table,
        [
            // pending approved provisioning active suspended failed rejected withdrawn revoked
            "approve: ok already_approved already_approved already_approved already_approved already_approved \
             already_rejected already_withdrawn already_revoked",
            "reject: ok already_approved already_approved already_approved already_approved already_approved \
             already_rejected already_withdrawn already_revoked",
            "withdraw: ok not_pending not_pending not_pending not_pending not_pending already_rejected \
             already_withdrawn already_revoked",
            "revoke: not_approved ok ok ok ok ok already_rejected already_withdrawn already_revoked",
            "retry: not_failed not_failed not_failed not_failed not_failed ok already_rejected already_withdrawn \
             already_revoked",
            "suspend: not_approved ok ok ok already_suspended ok already_rejected already_withdrawn already_revoked",
            "resume: not_approved not_suspended not_suspended not_suspended ok not_suspended already_rejected \
             already_withdrawn already_revoked",
        ]
    );
}
