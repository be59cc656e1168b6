//! What is at providers and gateways otherwise than Portico made it, and its repair. What Portico did not make is
//! neither reported nor touched, save where it stands in the way.

use futures::{StreamExt as _, stream};
use portico_eventstore::Context;
use portico_proto::{Error, registration::v1 as api};
use portico_runtime::{Call, Caller, Page, parse_id, query_error, store_error};
use tonic::Request;
use uuid::Uuid;

use super::Grpc;
use crate::gateway::Gateway;
use crate::mapping::{Drift, MappingFailure};
use crate::views::gateways;
use crate::views::oauth_clients::{self as clients, Registered};
use crate::worker::Look;

/// Clients that are looked at at once.
const PARALLEL: usize = 4;

/// An admin. Writes nothing.
pub(crate) async fn plan_drift(
    grpc: &Grpc,
    request: Request<api::PlanDriftRequest>,
) -> Result<api::DriftReport, Error> {
    Caller::of(&request).require_admin()?;
    let message = request.into_inner();
    let scope = Scope::of(&message.identity_provider_id, &message.gateway_id)?;
    let page = Page::parse(message.limit, &message.after)?;
    report(grpc, &scope, &page, None, None).await
}

/// An admin. Clients are repaired by the worker after the answer; gateways are when it comes.
pub(crate) async fn repair_drift(
    grpc: &Grpc,
    request: Request<api::RepairDriftRequest>,
) -> Result<api::DriftReport, Error> {
    let call = Call::of(&request, "repair_drift", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let message = request.into_inner();
    let scope = Scope::of(&message.identity_provider_id, &message.gateway_id)?;
    let page = Page::parse(message.limit, &message.after)?;
    let plan = Some(message.plan.as_str()).filter(|plan| !plan.is_empty());
    report(grpc, &scope, &page, Some(&call.context), plan).await
}

/// Where to look.
struct Scope {
    /// Empty: all; where only a gateway is named, none.
    provider: Option<String>,
    gateway: Option<Option<Uuid>>,
}

impl Scope {
    fn of(provider: &str, gateway: &str) -> Result<Self, Error> {
        if !provider.is_empty() {
            parse_id("identity_provider_id", provider)?;
        }
        let named = match gateway {
            "" => None,
            id => Some(parse_id("gateway_id", id)?),
        };
        Ok(Self {
            provider: (named.is_none() || !provider.is_empty()).then(|| provider.to_owned()),
            gateway: (named.is_some() || provider.is_empty()).then_some(named),
        })
    }
}

/// Repairs too, where a context says on whose behalf.
async fn report(
    grpc: &Grpc,
    scope: &Scope,
    page: &Page,
    repair: Option<&Context>,
    plan: Option<&str>,
) -> Result<api::DriftReport, Error> {
    let mut report = api::DriftReport::default();
    let mut shown: Vec<String> = Vec::new();
    // Gateways go with the first page.
    if let Some(named) = &scope.gateway
        && page.after.is_none()
    {
        let pool = grpc.store.database().pool();
        let mut all = gateways::places(pool).await.map_err(query_error)?.gateways;
        all.retain(|id| named.is_none_or(|named| named == *id));
        if let Some(named) = named
            && all.is_empty()
        {
            tracing::debug!(gateway = %named, "no such gateway");
            return Err(Error::not_found("gateway"));
        }
        for id in all {
            let (items, digest) = at_gateway(grpc, id, repair, plan).await?;
            report.items.extend(items);
            shown.extend(digest);
        }
    }
    if let Some(provider) = &scope.provider {
        let pool = grpc.store.database().pool();
        let (found, next) = clients::registered(pool, provider, page)
            .await
            .map_err(query_error)?;
        report.looked_at = u32::try_from(found.len()).unwrap_or(u32::MAX);
        report.next = next;
        let looks = stream::iter(found).map(|one| async move {
            let look = match repair {
                Some(_) => grpc.worker.repair(one.id, plan).await,
                None => grpc.worker.look_at(one.id).await,
            };
            (one, look)
        });
        let mut looks = looks.buffered(PARALLEL);
        while let Some((one, look)) = looks.next().await {
            let look = look.map_err(|error| {
                tracing::error!(oauth_client_id = %one.id, %error, "a client could not be looked at");
                Error::internal()
            })?;
            let digest = look.digest();
            let as_shown = is_shown(plan, &digest);
            let items = at_provider(&one, look, repair.is_some() && as_shown);
            report.items.extend(match as_shown {
                true => items,
                false => items.into_iter().map(not_in_plan).collect(),
            });
            if !digest.is_empty() {
                shown.push(digest);
            }
        }
    }
    report.plan = shown.join(".");
    Ok(report)
}

/// Without a plan everything is meant.
fn is_shown(plan: Option<&str>, digest: &str) -> bool {
    plan.is_none_or(|plan| plan.split('.').any(|shown| shown == digest))
}

/// It came after the plan, so it is left as it is.
fn not_in_plan(item: api::DriftItem) -> api::DriftItem {
    api::DriftItem {
        detail: "The plan did not show this; look again before it is repaired.".to_owned(),
        ..item
    }
}

pub(super) fn at_provider(client: &Registered, look: Look, repair: bool) -> Vec<api::DriftItem> {
    let item = |kind: &str, client_id: String, repairable: bool| api::DriftItem {
        place: "identity_provider".to_owned(),
        place_id: client.provider_id.clone(),
        place_name: client.provider_name.clone(),
        kind: kind.to_owned(),
        subject: client_id,
        application_id: client.application_id.clone(),
        repair: if repairable {
            "possible"
        } else {
            "not_possible"
        }
        .to_owned(),
        ..api::DriftItem::default()
    };
    let mut items = match look {
        Look::AsMade => Vec::new(),
        Look::UnderWay => vec![api::DriftItem {
            repair: "under_way".to_owned(),
            detail: "It is being changed right now; look again in a moment.".to_owned(),
            ..item("being_changed", String::new(), false)
        }],
        Look::Missing { client_id } => vec![api::DriftItem {
            detail: "The client was deleted at the provider. The repair registers it again; where the provider \
                     chooses ids and secrets, the developer gets new ones and is told."
                .to_owned(),
            ..item("client_deleted", client_id, true)
        }],
        Look::NotReadable { client_id, reason } => vec![api::DriftItem {
            detail: reason,
            ..item("not_readable", client_id, false)
        }],
        Look::Changed { client_id, members } => members
            .into_iter()
            .map(|one| {
                let kind = match one.member.as_str() {
                    "scope" if !one.repairable => "scopes_added",
                    "scope" => "scopes_changed",
                    "redirect_uris" => "redirect_urls_changed",
                    "client_name" => "name_changed",
                    "client_secret" => "secret_changed",
                    "enabled" if one.found == "true" => "enabled",
                    "enabled" => "disabled",
                    _ => "client_type_changed",
                };
                let detail = match one.repairable {
                    true => String::new(),
                    false => "Portico did not add these scopes, so it does not take them away.".to_owned(),
                };
                api::DriftItem {
                    member: one.member,
                    wanted: one.wanted,
                    found: one.found,
                    detail,
                    ..item(kind, client_id.clone(), one.repairable)
                }
            })
            .collect(),
    };
    if repair {
        for item in items.iter_mut().filter(|item| item.repair == "possible") {
            item.repair = "under_way".to_owned();
        }
    }
    items
}

async fn at_gateway(
    grpc: &Grpc,
    id: Uuid,
    repair: Option<&Context>,
    plan: Option<&str>,
) -> Result<(Vec<api::DriftItem>, Option<String>), Error> {
    let name = grpc
        .store
        .load::<Gateway>(id)
        .await
        .map_err(store_error)?
        .state
        .settings
        .name;
    let item = |one: Drift, repair: &str| item(id, &name, one, repair);
    let failed = |failure: &MappingFailure| {
        let drift = Drift {
            kind: "not_readable",
            subject: name.clone(),
            member: String::new(),
            wanted: String::new(),
            found: failure.reason.clone(),
            repairable: false,
        };
        vec![item(drift, "not_possible")]
    };
    let before = match grpc.mapper.drift(id).await {
        Ok(drift) => drift,
        Err(failure) => return Ok((failed(&failure), None)),
    };
    let digest = digest(id, &before);
    let as_shown = digest.as_ref().is_none_or(|digest| is_shown(plan, digest));
    let words = |one: &Drift| {
        if one.repairable {
            "possible"
        } else {
            "not_possible"
        }
    };
    let repair = repair.filter(|_| as_shown && before.iter().any(|one| one.repairable));
    let Some(context) = repair else {
        let items = before.into_iter().map(|one| {
            let words = words(&one);
            let item = item(one, words);
            if as_shown { item } else { not_in_plan(item) }
        });
        return Ok((items.collect(), digest));
    };
    let done = grpc.mapper.repair(id, context).await;
    let after = match &done {
        Ok(_) => grpc.mapper.drift(id).await,
        Err(failure) => Err(failure.clone()),
    };
    let items = before
        .into_iter()
        .map(|one| {
            let left = after.as_ref().is_ok_and(|after| {
                after
                    .iter()
                    .any(|other| (&other.subject, &other.member) == (&one.subject, &one.member))
            });
            let why = done
                .as_ref()
                .ok()
                .and_then(|d| d.failed.get(&one.subject).cloned());
            let (words, detail) = match &after {
                _ if !one.repairable => ("not_possible", String::new()),
                Err(failure) => ("failed", failure.reason.clone()),
                Ok(_) if left => ("failed", why.unwrap_or_default()),
                Ok(_) => ("repaired", String::new()),
            };
            api::DriftItem {
                detail,
                ..item(one, words)
            }
        })
        .collect();
    Ok((items, digest))
}

/// Names what was found at a gateway; none where nothing was.
fn digest(gateway: Uuid, found: &[Drift]) -> Option<String> {
    let lines = found
        .iter()
        .map(|one| format!("{} {} {} {}", one.kind, one.subject, one.member, one.found));
    let lines: Vec<String> = lines.collect();
    (!lines.is_empty()).then(|| {
        Uuid::new_v5(&gateway, lines.join("\n").as_bytes())
            .simple()
            .to_string()
    })
}

fn item(gateway: Uuid, name: &str, one: Drift, repair: &str) -> api::DriftItem {
    api::DriftItem {
        place: "gateway".to_owned(),
        place_id: gateway.to_string(),
        place_name: name.to_owned(),
        kind: one.kind.to_owned(),
        subject: one.subject,
        member: one.member,
        wanted: one.wanted,
        found: one.found,
        repair: repair.to_owned(),
        ..api::DriftItem::default()
    }
}
