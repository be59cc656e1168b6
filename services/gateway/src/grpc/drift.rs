//! Changes made outside Portico at gateways, and their repair. What Portico did not make is neither reported
//! nor touched, save where it stands in the way.

use portico_eventstore::Context;
use portico_proto::operations::v1::{
    DriftItem, DriftKind, DriftPlace, DriftRepair, DriftReport, PlanDriftRequest,
    RepairDriftRequest,
};
use portico_proto::{Error, rest::Enumeration as _};
use portico_runtime::{Call, Caller, parse_id, query_error};
use tonic::Request;
use uuid::Uuid;

use super::Grpc;
use crate::gateway::Gateway;
use crate::views::gateways;
use crate::worker::mapper::{Drift, MappingFailure};

/// An admin. Writes nothing.
pub(crate) async fn plan_drift(
    grpc: &Grpc,
    request: Request<PlanDriftRequest>,
) -> Result<DriftReport, Error> {
    Caller::of(&request).require_admin()?;
    let message = request.into_inner();
    let ids = (
        message.identity_provider_id.as_str(),
        message.gateway_id.as_str(),
    );
    report(grpc, ids, &message.after, None, None).await
}

/// An admin. The answer says what came of it.
pub(crate) async fn repair_drift(
    grpc: &Grpc,
    request: Request<RepairDriftRequest>,
) -> Result<DriftReport, Error> {
    let call = Call::of(&request, "repair_drift", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let message = request.into_inner();
    let plan = message.plan.as_deref().filter(|plan| !plan.is_empty());
    let ids = (
        message.identity_provider_id.as_str(),
        message.gateway_id.as_str(),
    );
    report(grpc, ids, &message.after, Some(&call.context), plan).await
}

/// Repairs too, where a context says on whose behalf. Gateways go with the first page, and not where only an identity
/// provider is named.
async fn report(
    grpc: &Grpc,
    (provider, gateway): (&str, &str),
    after: &str,
    repair: Option<&Context>,
    plan: Option<&str>,
) -> Result<DriftReport, Error> {
    let mut report = DriftReport::default();
    let named = match gateway {
        "" => None,
        id => Some(parse_id("gateway_id", id)?),
    };
    if !after.is_empty() || (named.is_none() && !provider.is_empty()) {
        return Ok(report);
    }
    let pool = grpc.store.database().pool();
    let mut all = gateways::places(pool).await.map_err(query_error)?.gateways;
    all.retain(|id| named.is_none_or(|named| named == *id));
    if named.is_some() && all.is_empty() {
        return Err(Error::not_found("gateway"));
    }
    let mut shown: Vec<String> = Vec::new();
    for id in all {
        let (items, digest) = at_gateway(grpc, id, repair, plan).await?;
        report.items.extend(items);
        shown.extend(digest);
    }
    report.plan = (!shown.is_empty()).then(|| shown.join("."));
    Ok(report)
}

/// Without a plan everything is meant.
fn is_shown(plan: Option<&str>, digest: &str) -> bool {
    plan.is_none_or(|plan| plan.split('.').any(|shown| shown == digest))
}

/// It came after the plan, so it is left as it is.
fn not_in_plan(item: DriftItem) -> DriftItem {
    DriftItem {
        detail: Some("The plan did not show this; look again before it is repaired.".to_owned()),
        ..item
    }
}

async fn at_gateway(
    grpc: &Grpc,
    id: Uuid,
    repair: Option<&Context>,
    plan: Option<&str>,
) -> Result<(Vec<DriftItem>, Option<String>), Error> {
    let name = grpc.load::<Gateway>(id).await?.settings.name;
    let before = match grpc.mapper.drift(id).await {
        Ok(drift) => drift,
        Err(failure) => return Ok((vec![not_readable(id, &name, failure)], None)),
    };
    let digest = digest(id, &before);
    let as_shown = digest.as_ref().is_none_or(|digest| is_shown(plan, digest));
    let repair = repair.filter(|_| as_shown && before.iter().any(|one| one.repairable));
    let items = match repair {
        Some(context) => repaired(grpc, (id, &name), before, context).await,
        None => {
            let items = before.into_iter().map(|one| {
                let possible = match one.repairable {
                    true => DriftRepair::Possible,
                    false => DriftRepair::NotPossible,
                };
                let item = item(id, &name, one, possible);
                if as_shown { item } else { not_in_plan(item) }
            });
            items.collect()
        }
    };
    Ok((items, digest))
}

fn not_readable(gateway: Uuid, name: &str, failure: MappingFailure) -> DriftItem {
    let drift = Drift {
        kind: "not_readable",
        subject: name.to_owned(),
        found: failure.reason,
        ..Drift::default()
    };
    item(gateway, name, drift, DriftRepair::NotPossible)
}

/// What came of the repair of each, by another look.
async fn repaired(
    grpc: &Grpc,
    (gateway, name): (Uuid, &str),
    before: Vec<Drift>,
    context: &Context,
) -> Vec<DriftItem> {
    let done = grpc.mapper.repair(gateway, context).await;
    let after = match &done {
        Ok(_) => grpc.mapper.drift(gateway).await,
        Err(failure) => Err(failure.clone()),
    };
    let outcome = |one: &Drift| match &after {
        _ if !one.repairable => (DriftRepair::NotPossible, None),
        Err(failure) => (DriftRepair::Failed, Some(failure.reason.clone())),
        Ok(after) => {
            let same =
                |other: &Drift| (&other.subject, &other.member) == (&one.subject, &one.member);
            let why = done
                .as_ref()
                .ok()
                .and_then(|done| done.failed.get(&one.subject));
            match after.iter().any(same) {
                true => (DriftRepair::Failed, why.cloned()),
                false => (DriftRepair::Repaired, None),
            }
        }
    };
    let items = before.into_iter().map(|one| {
        let (repair, detail) = outcome(&one);
        DriftItem {
            detail,
            ..item(gateway, name, one, repair)
        }
    });
    items.collect()
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

fn item(gateway: Uuid, name: &str, one: Drift, repair: DriftRepair) -> DriftItem {
    let given = |text: String| (!text.is_empty()).then_some(text);
    DriftItem {
        place: DriftPlace::Gateway.into(),
        place_id: gateway.to_string(),
        place_name: name.to_owned(),
        kind: DriftKind::from_word(one.kind).unwrap_or_default().into(),
        subject: one.subject,
        member: given(one.member),
        wanted: given(one.wanted),
        found: given(one.found),
        repair: repair.into(),
        ..DriftItem::default()
    }
}
