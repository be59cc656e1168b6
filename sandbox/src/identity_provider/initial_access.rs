//! The initial access token (RFC 7591 section 3).

use super::error::OauthError;
use crate::secret;

/// The initial access token and how often it may still be used.
#[derive(Clone, Default)]
pub(super) struct InitialAccess {
    pub(super) token: Option<String>,
    pub(super) uses_left: Option<u32>,
}

impl InitialAccess {
    /// Refuses a registration without the token, where one is needed.
    pub(super) fn check(&self, presented: Option<&str>) -> Result<(), OauthError> {
        let Some(expected) = &self.token else {
            return Ok(());
        };
        match presented {
            None => Err(OauthError::token("an initial access token is needed")),
            Some(token) if !secret::same(token, expected) => {
                Err(OauthError::token("the initial access token is not known"))
            }
            Some(_) if self.uses_left == Some(0) => Err(OauthError::token(
                "No remaining count on initial access token",
            )),
            Some(_) => Ok(()),
        }
    }

    /// A registration that succeeded uses the token up by one; a failed one does not.
    pub(super) fn count(&mut self) {
        if let Some(left) = &mut self.uses_left {
            *left = left.saturating_sub(1);
        }
    }
}
