//! Authorization: one rule for each method, enforced in front of every service. A method without a rule is refused.
//!
//! The caller is the one in the signed identity. Where services call each other over TLS, the certificate of the
//! peer counts as well: a service must have its own certificate, and a user's identity is accepted only from the edge, or
//! from a service that the rule allows to forward it.
//!
//! Whether the caller owns an object is checked by the methods.

mod rules;

use std::{collections::BTreeMap, sync::OnceLock};

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use portico_proto::{Error, Kind};
use tonic::{
    Status,
    transport::server::{TcpConnectInfo, TlsConnectInfo},
};

use super::{
    Caller, Role,
    identity::{forbidden, unauthenticated},
};
use crate::{
    channel::{ServiceName, methods},
    security,
};

/// DNS name in the certificate of the edge.
pub const EDGE: &str = "edge";
/// gRPC's own health service, which needs no protection.
const HEALTH: &str = "/grpc.health.v1.Health/";

/// Which users may call a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Users {
    /// No user; only services.
    Nobody,
    /// Signed-in admins.
    Admins,
    /// Signed-in users.
    SignedIn,
    /// Anonymous visitors, too.
    Anybody,
}

/// Who may call a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Users, through the edge.
    pub users: Users,
    /// Services on their own account, by name.
    pub services: &'static [&'static str],
    /// Services beside the edge that may forward the identity of the user who called them.
    pub handed_on_by: &'static [&'static str],
}

impl Rule {
    const fn of(users: Users) -> Self {
        Self {
            users,
            services: &[],
            handed_on_by: &[],
        }
    }

    const fn or(mut self, services: &'static [&'static str]) -> Self {
        self.services = services;
        self
    }

    const fn handed_on_by(mut self, services: &'static [&'static str]) -> Self {
        self.handed_on_by = services;
        self
    }

    /// Whether the rule allows this caller, coming from this process. Without `peer` the call comes from this process,
    /// or over a network that the operator did not want TLS for.
    ///
    /// # Errors
    /// Unauthenticated where somebody else might be let in, otherwise forbidden.
    pub fn check(&self, caller: &Caller, peer: Option<&Peer>) -> Result<(), Error> {
        if let Some(peer) = peer {
            self.check_peer(caller, peer)?;
        }
        match (caller, self.users) {
            (Caller::Anonymous, Users::Anybody)
            | (Caller::User { .. }, Users::Anybody | Users::SignedIn) => Ok(()),
            (Caller::Anonymous, _) => Err(unauthenticated()),
            (Caller::User { role, .. }, Users::Admins) => match role {
                Role::Admin => Ok(()),
                Role::Developer => Err(forbidden("Only an admin may do this.")),
            },
            (Caller::User { .. }, Users::Nobody) => Err(forbidden("Only a service may do this.")),
            (Caller::Service(name), _) if self.services.contains(&name.as_str()) => Ok(()),
            (Caller::Service(_), Users::Nobody) => Err(forbidden("Another service may do this.")),
            (Caller::Service(_), _) => Err(forbidden("This is for users, not for services.")),
        }
    }

    fn check_peer(&self, caller: &Caller, peer: &Peer) -> Result<(), Error> {
        let right = match caller {
            Caller::Service(name) => peer.is(name),
            Caller::User { .. } | Caller::Anonymous => {
                peer.is(EDGE) || self.handed_on_by.iter().any(|name| peer.is(name))
            }
        };
        if right {
            return Ok(());
        }
        tracing::warn!(certificate = ?peer.names, caller = %caller.actor(), "a process calls in somebody else's name");
        Err(Error::new(
            Kind::Forbidden,
            "certificate_mismatch",
            "The certificate of the calling process does not let it call in this name.",
        ))
    }
}

/// The rule of a method, by its path.
pub fn rule(path: &str) -> Option<&'static Rule> {
    static ALL: OnceLock<BTreeMap<String, Rule>> = OnceLock::new();
    ALL.get_or_init(rules::all).get(path)
}

/// The process at the other end of a TLS connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    names: Vec<String>,
}

impl Peer {
    /// The process whose certificate has these DNS names.
    #[must_use]
    pub fn named(names: &[&str]) -> Self {
        Self {
            names: names.iter().map(ToString::to_string).collect(),
        }
    }

    /// What it runs, for log and metrics: the first of its names that is a service's or the edge's, from a small set.
    pub(crate) fn process(&self) -> &'static str {
        let mut names = self.names.iter();
        let known = names.find_map(|name| match name.as_str() {
            EDGE => Some(EDGE),
            name => ServiceName::named(name).map(ServiceName::as_str),
        });
        known.unwrap_or("unknown")
    }

    fn is(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// From the certificate that the handshake has verified.
    fn of(request: &Request) -> Self {
        let info = request.extensions().get::<TlsConnectInfo<TcpConnectInfo>>();
        let certificates = info.and_then(TlsConnectInfo::peer_certs);
        let names = certificates
            .as_ref()
            .and_then(|all| all.first())
            .and_then(|own| webpki::EndEntityCert::try_from(own).ok())
            .map(|own| own.valid_dns_names().map(str::to_owned).collect());
        Self {
            names: names.unwrap_or_default(),
        }
    }
}

/// Axum middleware of a listener with mutual TLS: records the peer.
pub async fn certified(mut request: Request, next: Next) -> Response {
    let peer = Peer::of(&request);
    request.extensions_mut().insert(peer);
    next.run(request).await
}

/// Axum middleware in front of every service, after [`super::identity::verify`].
pub async fn enforce(request: Request, next: Next) -> Response {
    match allowed(&request) {
        Ok(()) => noted(request, next).await,
        Err(status) => status.into_http::<axum::body::Body>().into_response(),
    }
}

/// Runs a call, and has it in the security log where it matters to it.
async fn noted(request: Request, next: Next) -> Response {
    let account = match request.extensions().get::<Caller>() {
        Some(Caller::User { id, .. }) => Some(*id),
        Some(Caller::Anonymous | Caller::Service(_)) | None => None,
    };
    let meaning = security::meaning(request.uri().path()).zip(account);
    let response = next.run(request).await;
    // A refusal has its status in the headers, as an answer without messages has.
    if let Some((what, account)) = meaning
        && !response.headers().contains_key("grpc-status")
    {
        security::line(what, Some(account), None, None);
    }
    response
}

fn allowed(request: &Request) -> Result<(), Status> {
    let path = request.uri().path();
    if path.starts_with(HEALTH) {
        return Ok(());
    }
    let Some(rule) = rule(path) else {
        if methods::all().contains_key(path) {
            tracing::error!(
                path,
                "a method has no rule in authorization/rules.rs and is refused to everybody"
            );
            return Err(forbidden("Nobody may do this.").into());
        }
        return Err(Status::unimplemented("there is no such method here"));
    };
    let caller = request.extensions().get::<Caller>();
    let caller = caller.unwrap_or(&Caller::Anonymous);
    // The edge has refusals in the security log: it sees those of every service, and its own.
    Ok(rule.check(caller, request.extensions().get::<Peer>())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const RULE: Rule = Rule::of(Users::SignedIn)
        .or(&["catalog"])
        .handed_on_by(&["registration"]);

    fn user(role: Role) -> Caller {
        let id = Uuid::from_u128(1);
        Caller::User {
            id,
            role,
            let_in: false,
        }
    }

    fn code(rule: Rule, caller: &Caller, peer: Option<&[&str]>) -> String {
        let peer = peer.map(Peer::named);
        rule.check(caller, peer.as_ref())
            .map_or_else(|error| error.code.into_owned(), |()| "ok".to_owned())
    }

    #[test]
    fn users_and_services_as_the_rule_says() {
        let admins = Rule::of(Users::Admins);
        let developer = user(Role::Developer);
        assert_eq!(code(RULE, &Caller::Anonymous, None), "unauthenticated");
        assert_eq!(code(RULE, &developer, None), "ok");
        assert_eq!(code(RULE, &Caller::service("catalog"), None), "ok");
        assert_eq!(code(RULE, &Caller::service("accounts"), None), "forbidden");
        assert_eq!(code(admins, &developer, None), "forbidden");
        assert_eq!(code(admins, &user(Role::Admin), None), "ok");
        assert_eq!(code(admins, &Caller::service("catalog"), None), "forbidden");
        let nobody = Rule::of(Users::Nobody);
        assert_eq!(code(nobody, &user(Role::Admin), None), "forbidden");
        assert_eq!(
            code(Rule::of(Users::Anybody), &Caller::Anonymous, None),
            "ok"
        );
    }

    #[test]
    fn nobody_calls_in_somebody_elses_name() {
        let (catalog, developer) = (Caller::service("catalog"), user(Role::Developer));
        let mismatch = "certificate_mismatch";
        assert_eq!(code(RULE, &catalog, Some(&["catalog"])), "ok");
        assert_eq!(code(RULE, &catalog, Some(&["edge"])), mismatch);
        assert_eq!(
            code(RULE, &catalog, Some(&["notification", "catalog"])),
            "ok"
        );
        assert_eq!(code(RULE, &developer, Some(&["edge"])), "ok");
        assert_eq!(code(RULE, &developer, Some(&["registration"])), "ok");
        assert_eq!(code(RULE, &developer, Some(&["catalog"])), mismatch);
        assert_eq!(code(RULE, &Caller::Anonymous, Some(&[])), mismatch);
    }
}
