//! Drift at identity providers and at gateways: registration's report and the gateway service's as one.

use futures::future::OptionFuture;
use portico_proto::operations::v1::{DriftReport, PlanDriftRequest, RepairDriftRequest};
use portico_runtime::ServiceName;
use tonic::{Response, Status};

use super::Halves;
use crate::edge::{problem::Result, request::RequestContext};

type Answer = std::result::Result<Response<DriftReport>, Status>;

struct Scope {
    registration: bool,
    gateway: bool,
}

impl Scope {
    /// Whoever has what is named; both where nothing is.
    fn of(identity_provider_id: &str, gateway_id: &str, after: &str) -> Self {
        Self {
            registration: gateway_id.is_empty() || !identity_provider_id.is_empty(),
            gateway: after.is_empty()
                && (identity_provider_id.is_empty() || !gateway_id.is_empty()),
        }
    }

    /// Asks both at once.
    async fn report(
        &self,
        registration: impl Future<Output = Answer>,
        gateway: impl Future<Output = Answer>,
    ) -> Result<DriftReport> {
        let registration = OptionFuture::from(self.registration.then_some(registration));
        let gateway = OptionFuture::from(self.gateway.then_some(gateway));
        let (registration, gateway) = futures::join!(registration, gateway);
        let mut halves = Halves::default();
        let mut take = |name, answer: Option<_>| match answer {
            Some(answer) => halves.take(name, answer),
            None => Ok(DriftReport::default()),
        };
        let gateways = take(ServiceName::Gateway, gateway)?;
        let clients = take(ServiceName::Registration, registration)?;
        // What is at gateways comes first; each half finds its own part in the plan of both.
        let plans: Vec<String> = gateways.plan.into_iter().chain(clients.plan).collect();
        Ok(DriftReport {
            items: [gateways.items, clients.items].concat(),
            next: clients.next,
            looked_at: clients.looked_at,
            plan: (!plans.is_empty()).then(|| plans.join(".")),
            incomplete: halves.incomplete()?,
        })
    }
}

/// Looks, and changes nothing.
pub(in crate::edge) async fn plan(
    ctx: &RequestContext,
    query: PlanDriftRequest,
) -> Result<DriftReport> {
    let scope = Scope::of(&query.identity_provider_id, &query.gateway_id, &query.after);
    let clients = PlanDriftRequest {
        gateway_id: String::new(),
        ..query.clone()
    };
    let gateways = PlanDriftRequest {
        identity_provider_id: String::new(),
        ..query
    };
    let (mut registration, mut gateway) = (ctx.registration(), ctx.gateway());
    let registration = registration.plan_drift(ctx.request(clients));
    let gateway = gateway.plan_drift(ctx.request(gateways));
    scope.report(registration, gateway).await
}

/// Restores what a plan has shown; without a plan, whatever is found.
pub(in crate::edge) async fn repair(
    ctx: &RequestContext,
    query: RepairDriftRequest,
) -> Result<DriftReport> {
    let scope = Scope::of(&query.identity_provider_id, &query.gateway_id, &query.after);
    let clients = RepairDriftRequest {
        gateway_id: String::new(),
        ..query.clone()
    };
    let gateways = RepairDriftRequest {
        identity_provider_id: String::new(),
        ..query
    };
    let (mut registration, mut gateway) = (ctx.registration(), ctx.gateway());
    let registration = registration.repair_drift(ctx.request(clients));
    let gateway = gateway.repair_drift(ctx.request(gateways));
    scope.report(registration, gateway).await
}
