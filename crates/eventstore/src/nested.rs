//! Events of an aggregate, nested by subject: an enum of enums that is stored as if it were flat.

/// Declares an event enum whose variants each hold the events of one subject, so that `evolve` and `publish` match a
/// subject at a time and leave none out.
///
/// The inner enums carry `#[serde(tag = "type", content = "data", rename_all = "snake_case")]` and no two of them share a
/// variant name: what is stored is `<category>.<inner variant>`. Makes `Serialize`, `Deserialize`, and `From` for
/// each inner enum.
///
/// ```
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// #[serde(tag = "type", content = "data", rename_all = "snake_case")]
/// enum Stay { Begun, Ended { nights: u32 } }
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// #[serde(tag = "type", content = "data", rename_all = "snake_case")]
/// enum Payment { Paid }
///
/// portico_eventstore::nested_events! {
///     /// What happened to a room.
///     #[derive(Debug, PartialEq)]
///     enum Event {
///         /// Guests come and go.
///         Stay(Stay),
///         /// The bill.
///         Payment(Payment),
///     }
/// }
///
/// let event = Event::from(Stay::Ended { nights: 2 });
/// let stored = serde_json::json!({"type": "ended", "data": {"nights": 2}});
/// assert_eq!(serde_json::to_value(&event).unwrap(), stored);
/// assert_eq!(serde_json::from_value::<Event>(stored).unwrap(), event);
/// let paid = serde_json::json!({"type": "paid"});
/// assert_eq!(serde_json::from_value::<Event>(paid).unwrap(), Payment::Paid.into());
/// // A payload that does not fit is named as such, and not as a type that nobody knows.
/// let broken = serde_json::json!({"type": "ended", "data": {}});
/// let error = serde_json::from_value::<Event>(broken).unwrap_err().to_string();
/// assert_eq!(error, "missing field `nights`");
/// let newer = serde_json::json!({"type": "moved"});
/// let error = serde_json::from_value::<Event>(newer).unwrap_err().to_string();
/// assert!(error.starts_with("unknown variant `moved`"), "{error}");
/// ```
#[macro_export]
macro_rules! nested_events {
    (
        $(#[$of_enum:meta])*
        $visibility:vis enum $event:ident {
            $($(#[$of_variant:meta])* $variant:ident($inner:ty),)+
        }
    ) => {
        $(#[$of_enum])*
        $visibility enum $event {
            $($(#[$of_variant])* $variant($inner),)+
        }

        $(
            impl From<$inner> for $event {
                fn from(event: $inner) -> Self {
                    Self::$variant(event)
                }
            }
        )+

        impl $crate::serde::Serialize for $event {
            fn serialize<S: $crate::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$variant(event) => event.serialize(serializer),)+
                }
            }
        }

        impl<'de> $crate::serde::Deserialize<'de> for $event {
            fn deserialize<D: $crate::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                use $crate::serde::de::Error as _;
                let stored = $crate::serde_json::Value::deserialize(deserializer)?;
                let mut unknown = String::new();
                $(
                    match <$inner as $crate::serde::Deserialize>::deserialize(&stored) {
                        Ok(event) => return Ok(Self::$variant(event)),
                        // Of another subject, or of a newer version.
                        Err(error) if $crate::is_of_another_subject(&stored, &error) => {
                            unknown.push_str(&error.to_string());
                        }
                        Err(error) => return Err(D::Error::custom(error)),
                    }
                )+
                Err(D::Error::custom(unknown))
            }
        }
    };
}

/// Whether an event could not be read because its type is none of the enum's. For [`nested_events`](crate::nested_events).
#[doc(hidden)]
pub fn is_of_another_subject(stored: &serde_json::Value, error: &serde_json::Error) -> bool {
    let kind = stored.get("type").and_then(serde_json::Value::as_str);
    kind.is_some_and(|kind| {
        error
            .to_string()
            .starts_with(&format!("unknown variant `{kind}`"))
    })
}
