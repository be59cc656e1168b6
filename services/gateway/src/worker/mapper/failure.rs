//! Why a gateway is not as requests need it.

use std::time::Duration;

use portico_eventstore::sqlx;
use portico_eventstore::{ExecuteError, StoreError};
use portico_vault::VaultError;
use uuid::Uuid;

use crate::entitlement::IDENTITY_PROVIDER_UNKNOWN;
use crate::gateways::{Disposition, Failure};
use crate::views::grants::{ApiLocation, ApiLocations, Grant};

/// The gateways are not as the request needs them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {reason}")]
pub(crate) struct MappingFailure {
    /// Whether doing it again may help; otherwise somebody must change something.
    pub(crate) retry: bool,
    /// It goes on when another service has said something, so it is never given up.
    pub(crate) waits: bool,
    pub(crate) code: String,
    /// For people; holds no secret.
    pub(crate) reason: String,
    /// What the gateway asked for.
    pub(crate) retry_after: Option<Duration>,
    /// None: it is about no gateway, or several.
    pub(crate) gateway: Option<Uuid>,
}

impl MappingFailure {
    pub(crate) fn retry(code: &str, reason: impl Into<String>) -> Self {
        Self {
            retry: true,
            ..Self::fail(code, reason)
        }
    }

    pub(crate) fn wait(code: &str, reason: impl Into<String>) -> Self {
        Self {
            waits: true,
            ..Self::retry(code, reason)
        }
    }

    pub(crate) fn fail(code: &str, reason: impl Into<String>) -> Self {
        Self {
            retry: false,
            waits: false,
            code: code.to_owned(),
            reason: reason.into(),
            retry_after: None,
            gateway: None,
        }
    }

    pub(super) fn of_api(api: &str, failure: &Failure) -> Self {
        let failure = Self::from(failure.clone());
        Self {
            reason: format!("API {api}: {}", failure.reason),
            ..failure
        }
    }

    pub(crate) fn at(self, gateway: Uuid) -> Self {
        Self {
            gateway: Some(gateway),
            ..self
        }
    }

    /// One of two: what may go well by itself is waited for first.
    pub(super) fn and(self, other: Option<Self>) -> Self {
        match other {
            Some(other) if other.retry && !self.retry => other,
            _ => self,
        }
    }
}

/// What is granted at no gateway there is.
pub(super) fn misplaced(mine: &[Grant], places: &ApiLocations) -> Option<MappingFailure> {
    let mut apis = mine.iter().flat_map(|grant| &grant.apis);
    apis.find_map(|api| at(&api.api_id, places.of(api)))
}

pub(super) fn at(api: &str, place: ApiLocation) -> Option<MappingFailure> {
    match place {
        ApiLocation::At(_) | ApiLocation::NoGateway => None,
        ApiLocation::Unknown => Some(MappingFailure::fail(
            "gateway_not_found",
            format!("The product's API {api} names a gateway that is not there."),
        )),
        ApiLocation::Ambiguous => Some(MappingFailure::fail(
            "gateway_ambiguous",
            format!("The product's API {api} names no gateway, and there are several."),
        )),
    }
}

impl From<Failure> for MappingFailure {
    fn from(failure: Failure) -> Self {
        Self {
            retry: failure.disposition == Disposition::Retry,
            waits: failure.code == IDENTITY_PROVIDER_UNKNOWN,
            reason: failure.description,
            code: failure.code,
            retry_after: failure.retry_after,
            gateway: None,
        }
    }
}

impl From<sqlx::Error> for MappingFailure {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl From<StoreError> for MappingFailure {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "the store failed while mapping");
        Self::retry("store_unavailable", "Portico's database failed.")
    }
}

impl From<VaultError> for MappingFailure {
    fn from(error: VaultError) -> Self {
        tracing::warn!(%error, "the vault failed while mapping");
        Self::retry("store_unavailable", "Portico's vault failed.")
    }
}

impl<R: std::error::Error> From<ExecuteError<R>> for MappingFailure {
    fn from(error: ExecuteError<R>) -> Self {
        match error {
            ExecuteError::Store(error) => error.into(),
            other => {
                tracing::error!(error = %other, "the record of a mapping was refused");
                Self::retry("store_unavailable", "Portico's record was refused.")
            }
        }
    }
}
