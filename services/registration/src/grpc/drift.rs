//! Clients that are not at their provider as Portico left them, and their repair. What Portico did not create is
//! neither reported nor touched, save where it stands in the way.

use futures::{StreamExt as _, stream};
use portico_proto::Error;
use portico_proto::operations::v1::{
    self as operations, DriftItem, DriftKind, DriftPlace, DriftRepair,
};
use portico_runtime::{Call, Caller, Page, parse_id, query_error};
use tonic::Request;

use super::Grpc;
use super::refusal::work_error;
use crate::views::oauth_clients::{self as view, Registered};
use crate::wire;
use crate::worker::{DriftResult, Edited};

/// Clients that are compared at once.
const PARALLEL: usize = 4;
const BUSY: &str = "It is being changed right now; look again in a moment.";
const DELETED: &str = "The client was deleted at the provider. The repair registers it again; where the provider \
                       chooses ids and secrets, the developer gets new ones and is told.";
const ADDED: &str = "Portico did not add these scopes, so it does not take them away.";

/// An admin. Writes nothing.
pub(crate) async fn plan_drift(
    grpc: &Grpc,
    request: Request<operations::PlanDriftRequest>,
) -> Result<operations::DriftReport, Error> {
    Caller::of(&request).require_admin()?;
    let message = request.into_inner();
    let page = Page::parse(&message)?;
    let Some(provider) = scope(&message.identity_provider_id, &message.gateway_id)? else {
        return Ok(operations::DriftReport::default());
    };
    report(grpc, &provider, &page, false, None).await
}

/// An admin. Clients are repaired by the worker after the answer.
pub(crate) async fn repair_drift(
    grpc: &Grpc,
    request: Request<operations::RepairDriftRequest>,
) -> Result<operations::DriftReport, Error> {
    let call = Call::of(&request, "repair_drift", &grpc.deps.clock)?;
    call.caller.require_admin()?;
    let message = request.into_inner();
    // A repair goes through the pages of its plan.
    let page = Page::parse(&operations::PlanDriftRequest {
        limit: message.limit,
        after: message.after,
        identity_provider_id: message.identity_provider_id.clone(),
        gateway_id: message.gateway_id.clone(),
    })?;
    let Some(provider) = scope(&message.identity_provider_id, &message.gateway_id)? else {
        return Ok(operations::DriftReport::default());
    };
    let plan = message.plan.as_deref().filter(|plan| !plan.is_empty());
    report(grpc, &provider, &page, true, plan).await
}

/// The provider whose clients are compared; empty: all. `None` where only a gateway is named.
fn scope(provider: &str, gateway: &str) -> Result<Option<String>, Error> {
    if !provider.is_empty() {
        parse_id("identity_provider_id", provider)?;
    }
    if !gateway.is_empty() {
        parse_id("gateway_id", gateway)?;
    }
    Ok((gateway.is_empty() || !provider.is_empty()).then(|| provider.to_owned()))
}

async fn report(
    grpc: &Grpc,
    provider: &str,
    page: &Page,
    repair: bool,
    plan: Option<&str>,
) -> Result<operations::DriftReport, Error> {
    let pool = grpc.pool();
    let registered = view::registered(pool, provider, page).await;
    let (found, next) = registered.map_err(query_error)?;
    let mut report = operations::DriftReport {
        looked_at: u32::try_from(found.len()).unwrap_or(u32::MAX),
        next: wire::given(next),
        ..operations::DriftReport::default()
    };
    let compared = stream::iter(found).map(|one| async move {
        let result = match repair {
            true => grpc.worker.repair(one.id, plan).await,
            false => grpc.worker.compare(one.id).await,
        };
        (one, result)
    });
    let mut compared = compared.buffered(PARALLEL);
    let mut shown: Vec<String> = Vec::new();
    while let Some((one, result)) = compared.next().await {
        let result = result.map_err(|error| work_error(one.id, &error))?;
        let digest = result.digest();
        let as_shown = is_shown(plan, &digest);
        let items = items(&one, result, repair && as_shown);
        report.items.extend(match as_shown {
            true => items,
            false => items.into_iter().map(not_in_plan).collect(),
        });
        if !digest.is_empty() {
            shown.push(digest);
        }
    }
    report.plan = wire::given(shown.join("."));
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

/// As the API has them. `repair`: the worker repairs what it can.
pub(super) fn items(client: &Registered, result: DriftResult, repair: bool) -> Vec<DriftItem> {
    let restored = match repair {
        true => DriftRepair::UnderWay,
        false => DriftRepair::Possible,
    };
    let item = |kind: DriftKind, subject: String, repair: DriftRepair, detail: &str| DriftItem {
        place: DriftPlace::IdentityProvider.into(),
        place_id: client.provider_id.clone(),
        place_name: client.provider_name.clone(),
        kind: kind.into(),
        subject,
        application_id: Some(client.application_id.clone()),
        repair: repair.into(),
        detail: wire::given(detail),
        ..DriftItem::default()
    };
    match result {
        DriftResult::Unchanged => Vec::new(),
        DriftResult::Busy => {
            let nobody = String::new();
            vec![item(
                DriftKind::BeingChanged,
                nobody,
                DriftRepair::UnderWay,
                BUSY,
            )]
        }
        DriftResult::Missing { client_id } => {
            vec![item(DriftKind::ClientDeleted, client_id, restored, DELETED)]
        }
        DriftResult::NotReadable { client_id, reason } => {
            let never = DriftRepair::NotPossible;
            vec![item(DriftKind::NotReadable, client_id, never, &reason)]
        }
        DriftResult::Changed { client_id, members } => {
            let edited = members.into_iter().map(|one| {
                let (repair, detail) = match one.repairable {
                    true => (restored, ""),
                    false => (DriftRepair::NotPossible, ADDED),
                };
                edited(item(kind(&one), client_id.clone(), repair, detail), one)
            });
            edited.collect()
        }
    }
}

fn edited(item: DriftItem, one: Edited) -> DriftItem {
    DriftItem {
        member: wire::given(one.member),
        wanted: wire::given(one.wanted),
        found: wire::given(one.found),
        ..item
    }
}

fn kind(change: &Edited) -> DriftKind {
    match change.member.as_str() {
        "scope" if !change.repairable => DriftKind::ScopesAdded,
        "scope" => DriftKind::ScopesChanged,
        "redirect_uris" => DriftKind::RedirectUrlsChanged,
        "client_name" => DriftKind::NameChanged,
        "client_secret" => DriftKind::SecretChanged,
        "enabled" if change.found == "true" => DriftKind::Enabled,
        "enabled" => DriftKind::Disabled,
        _ => DriftKind::ClientTypeChanged,
    }
}
