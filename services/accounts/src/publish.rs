//! Private events as public ones.

use async_trait::async_trait;
use portico_eventstore::{
    EventStore, RecordedEvent, StoreError,
    relay::{PublicEvent, Publish},
};
use portico_proto::{
    accounts::v1::{
        UserActivated, UserErased, UserLetIn, UserShutOut, UserSignedUp, UserStatus, UserSuspended,
    },
    rest::Enumeration as _,
};
use portico_runtime::messages::encode;

use crate::user::{AccountEvent, Event, User};

/// `portico.accounts.*`, without personal data.
pub(crate) struct PublicEvents;

#[async_trait]
impl Publish for PublicEvents {
    async fn publish(
        &self,
        _store: &EventStore,
        recorded: &RecordedEvent,
    ) -> Result<Option<PublicEvent>, StoreError> {
        let event = recorded.decode::<User>()?;
        Ok(event.and_then(|event| public(recorded.stream_id().to_string(), &event)))
    }
}

fn public(user_id: String, event: &Event) -> Option<PublicEvent> {
    let event = match event {
        Event::Account(event) => event,
        Event::ApiToken(_) => return None,
    };
    match event {
        AccountEvent::SignedUp { status, .. } => Some(encode(
            "portico.accounts.user_signed_up",
            &UserSignedUp {
                user_id,
                status: UserStatus::from_word(status.as_str())
                    .unwrap_or_default()
                    .into(),
            },
        )),
        AccountEvent::Activated => Some(encode(
            "portico.accounts.user_activated",
            &UserActivated { user_id },
        )),
        AccountEvent::Suspended => Some(encode(
            "portico.accounts.user_suspended",
            &UserSuspended { user_id },
        )),
        AccountEvent::LetIn => Some(encode(
            "portico.accounts.user_let_in",
            &UserLetIn { user_id },
        )),
        AccountEvent::ShutOut => Some(encode(
            "portico.accounts.user_shut_out",
            &UserShutOut { user_id },
        )),
        AccountEvent::Erased => Some(encode(
            "portico.accounts.user_erased",
            &UserErased { user_id },
        )),
        AccountEvent::PasswordSet { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use portico_runtime::Role;
    use portico_vault::VaultRef;
    use prost::Message as _;
    use uuid::Uuid;

    use super::*;
    use crate::user::{ApiTokenEvent, Status};

    #[test]
    fn a_sign_up_is_public_without_its_references() {
        let reference = VaultRef(Uuid::from_u128(9));
        let event = Event::Account(AccountEvent::SignedUp {
            status: Status::Pending,
            role: Role::Developer,
            name_ref: reference,
            email_ref: reference,
        });
        let published = public("u".into(), &event).unwrap();
        assert_eq!(published.subject, "portico.accounts.user_signed_up");
        let expected = UserSignedUp {
            user_id: "u".into(),
            status: UserStatus::Pending.into(),
        };
        assert_eq!(
            UserSignedUp::decode(&published.payload[..]).unwrap(),
            expected
        );
    }

    #[test]
    fn passwords_and_api_tokens_stay_private() {
        let token_id = Uuid::from_u128(9);
        for event in [
            Event::Account(AccountEvent::PasswordSet {
                password_ref: VaultRef(token_id),
            }),
            Event::ApiToken(ApiTokenEvent::Revoked { token_id }),
        ] {
            assert_eq!(public("u".into(), &event), None);
        }
    }
}
