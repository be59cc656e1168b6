//! Why a command on a delivery was refused.

use portico_proto::{Error, Kind};

/// The rules that commands can break.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Never queued.
    #[error("there is no such delivery")]
    Unknown,
    /// It has been sent or has failed.
    #[error("the delivery is settled")]
    Settled,
    /// It has neither been sent nor failed.
    #[error("the delivery is still under way")]
    UnderWay,
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Unknown => Self::not_found("delivery"),
            Rejection::Settled => Self::new(
                Kind::Conflict,
                "delivery_settled",
                "This message has been sent or has failed permanently; request a resend.",
            ),
            Rejection::UnderWay => Self::new(
                Kind::Conflict,
                "delivery_under_way",
                "This message is still waiting or being sent; it can be resent once it has been sent or has failed.",
            ),
        }
    }
}
