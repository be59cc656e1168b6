//! The context of a call: the caller, and the context of its command.

use portico_eventstore::{Context, Metadata, trace};
use portico_proto::Error;
use prost::Message;
use sha2::{Digest as _, Sha256};
use tonic::Request;
use uuid::Uuid;

use super::Caller;
use crate::{
    Clock,
    channel::{IDEMPOTENCY_KEY, REQUEST_ID},
};

const LONGEST_KEY: usize = 255;

/// The caller, and the context that its command runs in.
pub struct Call {
    /// Verified.
    pub caller: Caller,
    /// For the event store. Commands of one call need one [`Context::step`] each.
    pub context: Context,
    keyed: bool,
}

impl Call {
    /// Reads the metadata of a request. `command` names the method, so that one key can be used for several.
    pub fn of<T: Message>(
        request: &Request<T>,
        command: &str,
        clock: &Clock,
    ) -> Result<Self, Error> {
        let caller = Caller::of(request);
        let text = |name: &str| {
            request
                .metadata()
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let keys = request.metadata().get_all(IDEMPOTENCY_KEY);
        if keys.iter().nth(1).is_some() {
            return Err(Error::field(
                "Idempotency-Key",
                "header_duplicate",
                "`Idempotency-Key` must be sent only once.",
            ));
        }
        let key = text(IDEMPOTENCY_KEY);
        if key.is_some_and(|key| key.is_empty() || key.len() > LONGEST_KEY) {
            return Err(Error::field(
                "Idempotency-Key",
                "idempotency_key_invalid",
                format!("Idempotency-Key must have 1 to {LONGEST_KEY} characters."),
            ));
        }
        let command_id = match key {
            Some(key) => Uuid::new_v5(
                &Uuid::NAMESPACE_OID,
                format!("{}\n{command}\n{key}", caller.actor()).as_bytes(),
            ),
            None => clock.new_id(),
        };
        let metadata = Metadata {
            actor: caller.actor(),
            correlation: Some(
                text(REQUEST_ID)
                    .and_then(|id| id.parse().ok())
                    .unwrap_or(command_id),
            ),
            command_digest: key.map(|_| digest(request.get_ref())),
            ..Metadata::default()
        }
        .at(trace::TraceContext::given(text));
        Ok(Self {
            caller,
            context: Context {
                metadata,
                now: clock.now(),
                command_id,
            },
            keyed: key.is_some(),
        })
    }

    /// Id of what this call creates: the same again when the call is repeated with its idempotency key.
    pub fn new_id(&self, what: &str, clock: &Clock) -> Uuid {
        if self.keyed {
            Uuid::new_v5(&self.context.command_id, what.as_bytes())
        } else {
            clock.new_id()
        }
    }

    /// Whether it came with an `Idempotency-Key`, so that it may be a repetition.
    pub fn may_be_repeated(&self) -> bool {
        self.keyed
    }
}

fn digest<T: Message>(message: &T) -> String {
    portico_vault::hex(&Sha256::digest(message.encode_to_vec()))
}
