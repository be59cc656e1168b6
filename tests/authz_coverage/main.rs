//! Every method of the protos has a rule, and the rule is kept over the wire: each service is called over mutual TLS,
//! method by method, by everybody who must not.
//!
//! What comes out of it for people, over REST, gRPC and the pages, is `matrix`.
//!
//! A method without a rule fails `every_method_has_a_rule`; its rule belongs into
//! `crates/runtime/src/call/authorization/rules.rs`.

#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a program of tests: what goes wrong ends the test"
)]

mod matrix;
mod world;

use portico_proto::Error;
use portico_runtime::{
    Caller, Role, ServiceName,
    authorization::{self, EDGE, Rule, Users},
    methods,
};
use uuid::Uuid;

use self::world::World;

const CODES: [&str; 2] = ["unauthenticated", "forbidden"];

fn user(role: Role) -> Caller {
    let id = Uuid::from_u128(7);
    Caller::User {
        id,
        role,
        let_in: false,
    }
}

/// Everybody there is, each through the process that would call in its name.
fn everybody() -> Vec<(Caller, &'static str)> {
    let users = [Caller::Anonymous, user(Role::Developer), user(Role::Admin)];
    let mut all: Vec<_> = users.into_iter().map(|user| (user, EDGE)).collect();
    all.push((Caller::service(EDGE), EDGE));
    for name in ServiceName::ALL {
        all.push((Caller::service(name.as_str()), name.as_str()));
    }
    all
}

/// Whether the rule lets somebody in; written down here a second time, and simply.
fn may(rule: &Rule, caller: &Caller) -> bool {
    match caller {
        Caller::Anonymous => rule.users == Users::Anybody,
        Caller::User { role, .. } => match rule.users {
            Users::Anybody | Users::SignedIn => true,
            Users::Admins => *role == Role::Admin,
            Users::Nobody => false,
        },
        Caller::Service(name) => rule.services.contains(&name.as_str()),
    }
}

#[test]
fn every_method_has_a_rule() {
    let missing: Vec<&String> = methods::all()
        .keys()
        .filter(|path| authorization::rule(path).is_none())
        .collect();
    assert!(missing.is_empty(), "without a rule: {missing:#?}");
    assert!(methods::all().len() > 70);
}

#[test]
fn the_rules_name_parts_that_there_are() {
    let known = |name: &&str| *name == EDGE || ServiceName::named(name).is_some();
    for path in methods::all().keys() {
        let Some(rule) = authorization::rule(path) else {
            continue;
        };
        assert!(rule.services.iter().all(known), "{path}");
        assert!(rule.handed_on_by.iter().all(known), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_must_not_is_refused_over_the_wire() {
    let world = World::start().await;
    let mut refused = 0;
    for (path, method) in methods::all() {
        let rule = authorization::rule(path).expect("a rule");
        let services = match method.service {
            Some(service) => vec![service],
            None => ServiceName::ALL.to_vec(),
        };
        for service in services {
            // Whom the rule lets in may still be refused by the method, for the object or the message.
            let kept_out = everybody()
                .into_iter()
                .filter(|(caller, _)| !may(rule, caller));
            for (caller, process) in kept_out {
                let answer = world.call(service, path, &caller, process).await;
                let code = answer.err().map(Error::from).map(|error| error.code);
                let refusal = code
                    .as_ref()
                    .is_some_and(|code| CODES.contains(&code.as_ref()));
                let who = caller.actor();
                assert!(refusal, "{path} at {service:?} answers {who}: {code:?}");
                refused += 1;
            }
        }
    }
    assert!(refused > 500, "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_calls_in_the_name_of_somebody_else() {
    let world = World::start().await;
    for (path, method) in methods::all() {
        let rule = authorization::rule(path).expect("a rule");
        let service = method.service.unwrap_or(ServiceName::Catalog);
        for process in ServiceName::ALL.map(ServiceName::as_str) {
            // A signed identity is not enough: the key is everybody's, the certificate is not.
            let mut others = vec![Caller::service(EDGE)];
            let services = ServiceName::ALL.map(|name| Caller::service(name.as_str()));
            others.extend(
                services
                    .into_iter()
                    .filter(|name| *name != Caller::service(process)),
            );
            if !rule.handed_on_by.contains(&process) {
                others.extend([Caller::Anonymous, user(Role::Admin)]);
            }
            for caller in others {
                let answer = world.call(service, path, &caller, process).await;
                let error = Error::from(answer.expect_err("a refusal"));
                let who = caller.actor();
                assert_eq!(
                    error.code, "certificate_mismatch",
                    "{path} as {who} from {process}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_certificate_of_the_authority_there_is_no_call() {
    let world = World::start().await;
    let path = "/portico.catalog.v1.CatalogService/ListProducts";
    let service = ServiceName::Catalog;
    world
        .call(service, path, &Caller::Anonymous, EDGE)
        .await
        .expect("the edge is served");
    for stranger in ["stranger", "nobody"] {
        let answer = world
            .call(service, path, &Caller::Anonymous, stranger)
            .await;
        assert!(answer.is_err(), "{stranger} is served");
    }
}
