//! Access lasts as long as its requester's account is active.

use super::*;

const ACCOUNTS: [AccountStatus; 3] = [
    AccountStatus::Active,
    AccountStatus::Suspended,
    AccountStatus::Erased,
];

fn account_suspended() -> Event {
    access::Event::AccountSuspended.into()
}

fn account_activated() -> Event {
    access::Event::AccountActivated.into()
}

fn resumed() -> Event {
    access::Event::Resumed.into()
}

fn following(events: &[Event], account: AccountStatus) -> Vec<Event> {
    let state = given::<AccessRequest>(events.to_vec()).state();
    state.decide(&Command::Account(account)).unwrap()
}

fn status(events: &[Event]) -> Status {
    let state = given::<AccessRequest>(events.to_vec()).state();
    state.status().unwrap()
}

#[test]
fn granted_access_is_suspended_with_the_account_and_comes_back_with_it() {
    for granted in [
        Status::Approved,
        Status::Provisioning,
        Status::Active,
        Status::Failed,
    ] {
        let mut events = past(granted);
        assert_eq!(following(&events, AccountStatus::Active), []);
        assert_eq!(
            following(&events, AccountStatus::Suspended),
            [account_suspended()]
        );
        events.push(account_suspended());
        assert_eq!(status(&events), Status::Suspended);
        // Once.
        assert_eq!(following(&events, AccountStatus::Suspended), []);
        assert_eq!(
            following(&events, AccountStatus::Active),
            [account_activated()]
        );
        events.push(account_activated());
        let state = given::<AccessRequest>(events).state();
        assert_eq!(state.wanted(), Some(Wanted::Granted));
        // Both halves have to answer that it is to work again.
        assert_eq!(state.status(), Some(Status::Approved));
    }
}

#[test]
fn erasure_revokes_what_is_granted_and_withdraws_what_is_pending() {
    for granted in [
        Status::Approved,
        Status::Provisioning,
        Status::Active,
        Status::Suspended,
        Status::Failed,
    ] {
        assert_eq!(
            following(&past(granted), AccountStatus::Erased),
            [revoked()]
        );
    }
    let withdrawn = Event::from(request::Event::Withdrawn { reason: None });
    assert_eq!(
        following(&past(Status::Pending), AccountStatus::Erased),
        [withdrawn]
    );
}

#[test]
fn what_has_ended_follows_no_account() {
    for ended in [Status::Rejected, Status::Withdrawn, Status::Revoked] {
        for account in ACCOUNTS {
            assert_eq!(following(&past(ended), account), []);
        }
    }
    let refused = given::<AccessRequest>([])
        .when(&Command::Account(AccountStatus::Erased))
        .then_refused();
    assert_eq!(refused, Rejection::NotFound);
}

#[test]
fn nothing_is_granted_to_somebody_who_is_not_active() {
    let approve = |account| {
        Command::Request(request::Command::Approve {
            items: items(),
            note: None,
            account,
        })
    };
    let pending = || given::<AccessRequest>(past(Status::Pending));
    for (account, rejection) in [
        (AccountStatus::Suspended, Rejection::RequesterSuspended),
        (AccountStatus::Erased, Rejection::RequesterErased),
    ] {
        assert_eq!(pending().when(&approve(account)).then_refused(), rejection);
    }
    // A suspension leaves a pending request as it is: it waits.
    assert_eq!(
        following(&past(Status::Pending), AccountStatus::Suspended),
        []
    );
    pending()
        .when(&approve(AccountStatus::Active))
        .then([approved()]);
}

#[test]
fn an_admins_suspension_and_the_accounts_do_not_end_each_other() {
    let resume = access(access::Command::Resume);
    let suspend = access(access::Command::Suspend { reason: None });
    let both = [
        [
            past(Status::Active),
            vec![suspended(None), account_suspended()],
        ]
        .concat(),
        [
            past(Status::Active),
            vec![account_suspended(), suspended(None)],
        ]
        .concat(),
    ];
    for both in both {
        let only_account = [both.clone(), vec![resumed()]].concat();
        let only_admin = [both.clone(), vec![account_activated()]].concat();
        given::<AccessRequest>(both.clone())
            .when(&resume)
            .then([resumed()]);
        assert_eq!(
            following(&both, AccountStatus::Active),
            [account_activated()]
        );
        for one in [&only_account, &only_admin] {
            assert_eq!(status(one), Status::Suspended);
        }
        let refused = given::<AccessRequest>(only_account.clone())
            .when(&resume)
            .then_refused();
        assert_eq!(refused, Rejection::RequesterSuspended);
        let refused = given::<AccessRequest>(only_admin.clone())
            .when(&suspend)
            .then_refused();
        assert_eq!(refused, Rejection::AlreadySuspended);
        for (one, end) in [(only_account, account_activated()), (only_admin, resumed())] {
            let neither = [one, vec![end]].concat();
            let state = given::<AccessRequest>(neither).state();
            assert_eq!(state.wanted(), Some(Wanted::Granted));
        }
    }
}

#[test]
fn an_admin_may_suspend_what_the_account_suspends() {
    let away = [past(Status::Active), vec![account_suspended()]].concat();
    given::<AccessRequest>(away)
        .when(&access(access::Command::Suspend {
            reason: Some(text()),
        }))
        .then([suspended(Some(text()))]);
}

#[test]
fn each_step_raises_the_revision_with_what_is_wanted_then() {
    let mut state = given::<AccessRequest>([submitted(), approved()]).state();
    let steps = [
        (account_suspended(), Wanted::Suspended),
        (suspended(None), Wanted::Suspended),
        (account_activated(), Wanted::Suspended),
        (resumed(), Wanted::Granted),
        (account_suspended(), Wanted::Suspended),
        (revoked(), Wanted::Revoked),
    ];
    for (revision, (event, wanted)) in (2..).zip(steps) {
        state.evolve(&event);
        assert_eq!((state.revision(), state.wanted()), (revision, Some(wanted)));
    }
}
