//! Import of products and plans from the policies of a gateway.

use std::collections::BTreeSet;

use portico_eventstore::{Aggregate, Context};
use portico_proto::{
    Error,
    catalog::v1::{self, ImportAction},
    gateway::v1::{GatewayPolicy, ListGatewayContentsRequest},
};
use portico_runtime::{Call, Caller, Problems, parse_id, query_error, store_error};
use tonic::Request;
use uuid::Uuid;

use super::Grpc;
use crate::{
    import::{self, Becomes},
    input::Input,
    neighbours::gateways,
    plan::{self, Plan},
    product::{self, Product},
    views::imported,
};

/// Policies of one call.
const MOST: usize = 100;
const NO_SCOPE: &str =
    "A plan needs a scope, and none leads to this policy at any API: give it one here.";

/// An admin. Writes nothing.
pub(super) async fn preview_gateway_import(
    grpc: &Grpc,
    request: Request<v1::PreviewGatewayImportRequest>,
) -> Result<v1::GatewayImport, Error> {
    Caller::of(&request).require_admin()?;
    let message = request.into_inner();
    let gateway = parse_id("gateway_id", &message.gateway_id)?;
    let asked = ListGatewayContentsRequest {
        gateway_id: gateway.to_string(),
        limit: message.limit,
        after: message.after,
    };
    let page = gateways::policies(&grpc.deps, asked).await?;
    let mut items = Vec::with_capacity(page.policies.len());
    for policy in &page.policies {
        items.push(proposed(grpc, policy).await?);
    }
    Ok(v1::GatewayImport {
        items,
        next: page.next,
    })
}

async fn proposed(grpc: &Grpc, policy: &GatewayPolicy) -> Result<v1::ImportedPolicy, Error> {
    let item = shown(policy);
    let becomes = match import::becomes(policy) {
        Ok(becomes) => becomes,
        Err(why) => return Ok(not_possible(item, why)),
    };
    let pool = grpc.store.database().pool();
    let known = imported::find(pool, becomes, &policy.id)
        .await
        .map_err(query_error)?;
    Ok(match known {
        Some(id) => v1::ImportedPolicy {
            action: ImportAction::Update.into(),
            id: Some(id.to_string()),
            ..item
        },
        None => v1::ImportedPolicy {
            action: ImportAction::Create.into(),
            detail: (becomes == Becomes::Plan && policy.scopes.is_empty())
                .then(|| NO_SCOPE.to_owned()),
            ..item
        },
    })
}

/// An admin. Each policy by itself: what one cannot have does not stop the others.
pub(super) async fn import_from_gateway(
    grpc: &Grpc,
    request: Request<v1::ImportFromGatewayRequest>,
) -> Result<v1::GatewayImport, Error> {
    let call = Call::of(&request, "import_from_gateway", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let message = request.into_inner();
    let gateway = parse_id("gateway_id", &message.gateway_id)?;
    check(&message.items)?;
    let all = gateways::all_policies(&grpc.deps, &message.gateway_id).await?;
    let mut items = Vec::with_capacity(message.items.len());
    for asked in message.items {
        let Some(policy) = all.get(asked.policy_id.trim()) else {
            items.push(not_possible(
                v1::ImportedPolicy {
                    policy_id: asked.policy_id,
                    ..v1::ImportedPolicy::default()
                },
                "There is no such policy at the gateway.",
            ));
            continue;
        };
        items.push(one(grpc, &call, gateway, policy, &asked.scopes).await?);
    }
    Ok(v1::GatewayImport {
        items,
        next: String::new(),
    })
}

fn check(items: &[v1::ImportItem]) -> Result<(), Error> {
    let mut problems = Problems::default();
    if items.is_empty() || items.len() > MOST {
        let right = format!("`items` must name 1 to {MOST} policies of the gateway.");
        problems.add("items", "items_invalid", right);
    }
    for (index, item) in items.iter().enumerate() {
        if item.policy_id.trim().is_empty() {
            let field = format!("items[{index}].policy_id");
            let right = format!("`{field}` must be the id of a policy at the gateway.");
            problems.add(field, "policy_id_missing", right);
        }
    }
    problems.into_result()
}

async fn one(
    grpc: &Grpc,
    call: &Call,
    gateway: Uuid,
    policy: &GatewayPolicy,
    given: &[String],
) -> Result<v1::ImportedPolicy, Error> {
    let item = shown(policy);
    let becomes = match import::becomes(policy) {
        Ok(becomes) => becomes,
        Err(why) => return Ok(not_possible(item, why)),
    };
    let mut input = Input::default();
    let scopes = if given.is_empty() {
        input.scopes(&policy.scopes)
    } else {
        input.scopes(given)
    };
    if let Err(error) = input.problems.into_result() {
        return Ok(failed(item, &error));
    }
    let pool = grpc.store.database().pool();
    let known = imported::find(pool, becomes, &policy.id)
        .await
        .map_err(query_error)?;
    let at = call.context.now;
    let context = call.context.step(&format!("import {}", policy.id));
    let done = match (becomes, known) {
        (Becomes::Product, Some(id)) => {
            update::<Product>(grpc, &context, id, &scopes, |before| {
                let details = import::product_change(gateway, policy, &before.details, &scopes);
                product::Command::Change { details, at }
            })
            .await
        }
        (Becomes::Plan, Some(id)) => {
            update::<Plan>(grpc, &context, id, &BTreeSet::new(), |before| {
                let details = import::plan_change(policy, &before.details);
                plan::Command::Change { details, at }
            })
            .await
        }
        (Becomes::Plan, None) if scopes.is_empty() => return Ok(not_possible(item, NO_SCOPE)),
        (_, None) => create(grpc, call, gateway, policy, becomes, &scopes).await,
    };
    Ok(match done {
        Ok((action, id)) => v1::ImportedPolicy {
            action: action.into(),
            id: Some(id.to_string()),
            scopes: scopes.into_iter().collect(),
            ..item
        },
        Err(error) => failed(item, &error),
    })
}

type Done = Result<(ImportAction, Uuid), Error>;

async fn create(
    grpc: &Grpc,
    call: &Call,
    gateway: Uuid,
    policy: &GatewayPolicy,
    becomes: Becomes,
    scopes: &BTreeSet<String>,
) -> Done {
    let at = call.context.now;
    let mut id = import::id(gateway, becomes, &policy.id);
    // One that was imported and deleted is gone for ever; it comes as another one.
    if gone(grpc, becomes, id).await? {
        id = call.new_id(&format!("import {}", policy.id), &grpc.deps.clock);
    }
    let context = call.context.step(&format!("import {}", policy.id));
    match becomes {
        Becomes::Product => {
            let details = import::product(gateway, policy, scopes.clone());
            let command = product::Command::Create { details, at };
            grpc.run::<Product>(id, 0, &command, &context, scopes)
                .await?;
        }
        Becomes::Plan => {
            let details = import::plan(policy, scopes.clone());
            let command = plan::Command::Create { details, at };
            grpc.run::<Plan>(id, 0, &command, &context, scopes).await?;
        }
    }
    Ok((ImportAction::Created, id))
}

async fn gone(grpc: &Grpc, becomes: Becomes, id: Uuid) -> Result<bool, Error> {
    let version = match becomes {
        Becomes::Product => grpc.store.load::<Product>(id).await.map(|it| it.version),
        Becomes::Plan => grpc.store.load::<Plan>(id).await.map(|it| it.version),
    };
    Ok(version.map_err(store_error)? > 0)
}

/// At the version that was read: what an admin writes meanwhile must not be lost.
async fn update<A: Aggregate>(
    grpc: &Grpc,
    context: &Context,
    id: Uuid,
    scopes: &BTreeSet<String>,
    change: impl FnOnce(&A) -> A::Command,
) -> Done
where
    A::Rejection: Into<Error>,
{
    let found = grpc.store.load::<A>(id).await.map_err(store_error)?;
    let (before, command) = (found.version, change(&found.state));
    let done = grpc
        .run::<A>(id, before.unsigned_abs(), &command, context, scopes)
        .await?;
    let action = match done.version == before {
        true => ImportAction::Unchanged,
        false => ImportAction::Updated,
    };
    Ok((action, id))
}

fn shown(policy: &GatewayPolicy) -> v1::ImportedPolicy {
    v1::ImportedPolicy {
        policy_id: policy.id.clone(),
        name: policy.name.clone(),
        role: Some(policy.role),
        scopes: policy.scopes.clone(),
        api_ids: policy.apis.iter().map(|api| api.api_id.clone()).collect(),
        rate: policy.rate.as_ref().map(|rate| v1::Rate {
            requests: rate.requests,
            per_seconds: rate.seconds,
        }),
        quota: policy.quota.as_ref().map(|quota| v1::Quota {
            requests: quota.requests,
            renews_every_seconds: quota.seconds,
        }),
        ..v1::ImportedPolicy::default()
    }
}

fn not_possible(item: v1::ImportedPolicy, why: &str) -> v1::ImportedPolicy {
    v1::ImportedPolicy {
        action: ImportAction::NotPossible.into(),
        detail: Some(why.to_owned()),
        ..item
    }
}

fn failed(item: v1::ImportedPolicy, error: &Error) -> v1::ImportedPolicy {
    v1::ImportedPolicy {
        action: ImportAction::Failed.into(),
        detail: Some(error.message.clone()),
        ..item
    }
}
