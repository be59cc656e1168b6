//! What a gateway would say to a call.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use portico_proto::{Error, gateway::v1 as api};
use portico_runtime::{Caller, Problems, parse_id};
use serde_json::{Map, Value};
use tonic::Request;

use super::super::refusal::failed;
use super::contents::limit;
use crate::gateways::{Presented, Simulation};
use crate::grpc::Grpc;

/// Characters of a token; those that hold many groups are long.
const TOKEN: usize = 32_768;
/// Scopes of a token.
const SCOPES: usize = 200;

/// An admin. The token is read here and forgotten.
pub(crate) async fn simulate_gateway_call(
    grpc: &Grpc,
    request: Request<api::SimulateGatewayCallRequest>,
) -> Result<api::SimulateGatewayCallResponse, Error> {
    Caller::of(&request).require_admin()?;
    let message = request.into_inner();
    let gateway = parse_id("gateway_id", &message.gateway_id)?;
    let mut problems = Problems::default();
    let presented = presented(&message, &mut problems);
    let api_id = message.api_id.trim();
    if api_id.is_empty() {
        let right = "`api_id` must be the id of an API at the gateway.";
        problems.add("api_id", "api_id_missing", right);
    }
    problems.into_result()?;
    let Some(presented) = presented else {
        return Err(Error::internal());
    };
    let now = grpc.deps.clock.now().as_second();
    let reached = grpc.mapper.reach(gateway).await.map_err(failed)?;
    let simulated = reached
        .driver
        .simulate(&reached.session(), api_id, &presented, now)
        .await
        .map_err(|failure| failed(failure.into()))?;
    let Some(mut simulation) = simulated else {
        return Err(Error::field(
            "api_id",
            "api_not_at_gateway",
            format!("`api_id` must be the id of an API at the gateway; {api_id} is not there."),
        ));
    };
    if token(&message).is_some() {
        let note = "The signature of the token is not checked here; the gateway refuses one that is not its provider's.";
        simulation.notes.push(note.to_owned());
    }
    Ok(answer(simulation))
}

fn token(message: &api::SimulateGatewayCallRequest) -> Option<&str> {
    let token = message.token.as_deref().map(str::trim);
    token.filter(|token| !token.is_empty())
}

fn presented(
    message: &api::SimulateGatewayCallRequest,
    problems: &mut Problems,
) -> Option<Presented> {
    let Some(token) = token(message) else {
        return scopes(&message.scopes, problems).map(Presented::Scopes);
    };
    if !message.scopes.is_empty() {
        let right = "Either `scopes` or `token` must be given, not both.";
        problems.add("token", "token_and_scopes", right);
        return None;
    }
    let claims = (token.len() <= TOKEN).then(|| claims(token)).flatten();
    if claims.is_none() {
        let right =
            "`token` must be a JSON Web Token: three parts of base64url with a dot between them.";
        problems.add("token", "token_invalid", right);
    }
    claims.map(Presented::Claims)
}

fn scopes(given: &[String], problems: &mut Problems) -> Option<Vec<String>> {
    let scopes = given.iter().map(|scope| scope.trim().to_owned());
    let scopes: Vec<String> = scopes.filter(|scope| !scope.is_empty()).collect();
    let wrong = |scope: &String| scope.contains(char::is_whitespace);
    if scopes.len() > SCOPES || scopes.iter().any(wrong) {
        let right = format!("`scopes` must be at most {SCOPES} scopes, without spaces in them.");
        problems.add("scopes", "scopes_invalid", right);
        return None;
    }
    Some(scopes)
}

/// RFC 7519 section 7.2, without the signature.
fn claims(token: &str) -> Option<Map<String, Value>> {
    let token = token.strip_prefix("Bearer ").unwrap_or(token);
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let json = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice(&json).ok()
}

fn answer(simulation: Simulation) -> api::SimulateGatewayCallResponse {
    let policies = simulation
        .policies
        .into_iter()
        .map(|policy| api::ResolvedPolicy {
            id: policy.id,
            name: Some(policy.name).filter(|name| !name.is_empty()),
            because: policy.because,
            found: policy.found,
            opens: policy.opens,
            limits: policy.limits,
        });
    api::SimulateGatewayCallResponse {
        status: simulation.status.into(),
        message: Some(simulation.message).filter(|message| !message.is_empty()),
        policies: policies.collect(),
        rate: simulation.rate.map(limit),
        quota: simulation.quota.map(limit),
        unmapped_scopes: simulation.unmapped_scopes,
        notes: simulation.notes,
    }
}
