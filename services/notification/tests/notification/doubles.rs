//! The two services that are asked: they answer one method each, and only to services.

use std::sync::{Arc, Mutex};

use axum::{Router, middleware, routing::post};
use portico_proto::{
    access::v1::{
        AccessRequest, AccessRequestStatus, GetAccessRequestRequest, RequestedItem, TimelineEntry,
        TimelineStep,
    },
    accounts::v1::{Contact, GetContactsRequest, GetContactsResponse, Role},
};
use portico_runtime::{Caller, IdentityKey, identity};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use uuid::Uuid;

pub(crate) const ADMIN: Uuid = Uuid::from_u128(0xA1);
pub(crate) const SECOND_ADMIN: Uuid = Uuid::from_u128(0xA2);
pub(crate) const DEVELOPER: Uuid = Uuid::from_u128(0xD1);
pub(crate) const REQUEST: Uuid = Uuid::from_u128(0xF1);
pub(crate) const APPLICATION: Uuid = Uuid::from_u128(0xF2);

pub(crate) struct Person {
    pub(crate) id: Uuid,
    pub(crate) name: &'static str,
    pub(crate) email: &'static str,
    pub(crate) admin: bool,
}

/// What the doubles know.
pub(crate) struct World {
    pub(crate) people: Vec<Person>,
    pub(crate) requests: Vec<AccessRequest>,
    /// Calls that are answered UNAVAILABLE before any is answered again.
    pub(crate) accounts_away_for: u32,
}

pub(crate) type Shared = Arc<Mutex<World>>;

pub(crate) fn world() -> Shared {
    let person = |id, name, email, admin| Person {
        id,
        name,
        email,
        admin,
    };
    Arc::new(Mutex::new(World {
        people: vec![
            person(ADMIN, "Ada Admin", "ada.admin@people.example", true),
            person(SECOND_ADMIN, "Bo Boss", "bo.boss@people.example", true),
            person(DEVELOPER, "Dee Müller", "dee.mueller@people.example", false),
        ],
        requests: vec![access_request()],
        accounts_away_for: 0,
    }))
}

pub(crate) fn access_request() -> AccessRequest {
    AccessRequest {
        id: REQUEST.to_string(),
        status: AccessRequestStatus::Pending.into(),
        application_id: APPLICATION.to_string(),
        application_name: "Web shop <b>&</b> co".into(),
        requester_id: DEVELOPER.to_string(),
        items: vec![RequestedItem {
            product_name: "Payments".into(),
            plan_name: "Free".into(),
            ..RequestedItem::default()
        }],
        note: "Please, for the shop.".into(),
        reason: Some("words of a later step".into()),
        timeline: vec![
            step(TimelineStep::Rejected, "Not in this quarter."),
            step(TimelineStep::Revoked, "The trial is over."),
        ],
        ..AccessRequest::default()
    }
}

fn step(step: TimelineStep, detail: &str) -> TimelineEntry {
    TimelineEntry {
        step: step.into(),
        detail: detail.into(),
        ..TimelineEntry::default()
    }
}

pub(crate) fn accounts(world: Shared, key: IdentityKey) -> Router {
    let path = "/portico.accounts.v1.AccountsService/GetContacts";
    method(path, key, move |question: GetContactsRequest| {
        let mut world = world.lock().unwrap();
        if world.accounts_away_for > 0 {
            world.accounts_away_for -= 1;
            return Err(Status::unavailable("away"));
        }
        let asked = |person: &&Person| {
            question.user_ids.contains(&person.id.to_string())
                || (question.role() == Role::Admin && person.admin)
        };
        let contacts = world.people.iter().filter(asked).map(|person| Contact {
            user_id: person.id.to_string(),
            name: person.name.into(),
            email: person.email.into(),
        });
        Ok(GetContactsResponse {
            contacts: contacts.collect(),
        })
    })
}

pub(crate) fn access(world: Shared, key: IdentityKey) -> Router {
    let path = "/portico.access.v1.AccessService/GetAccessRequest";
    method(path, key, move |question: GetAccessRequestRequest| {
        let world = world.lock().unwrap();
        let found = world.requests.iter().find(|one| one.id == question.id);
        found
            .cloned()
            .ok_or_else(|| portico_proto::Error::not_found("access request").into())
    })
}

fn method<Q, A>(
    path: &str,
    key: IdentityKey,
    answer: impl Fn(Q) -> Result<A, Status> + Clone + Send + Sync + 'static,
) -> Router
where
    Q: prost::Message + Default + 'static,
    A: prost::Message + Default + 'static,
{
    let handler = move |request: axum::extract::Request| async move {
        let method = tower::service_fn(move |request: Request<Q>| {
            let answer = answer.clone();
            async move {
                assert_eq!(Caller::of(&request), Caller::service("notification"));
                answer(request.into_inner()).map(Response::new)
            }
        });
        tonic::server::Grpc::new(ProstCodec::<A, Q>::default())
            .unary(method, request)
            .await
    };
    Router::new()
        .route(path, post(handler))
        .layer(middleware::from_fn_with_state(key, identity::verify))
}
