//! What a user has put aside for checkout. The stream's id is the user's.
#![deny(clippy::wildcard_enum_match_arm)]

#[cfg(test)]
mod tests;

use portico_eventstore::Aggregate;
use portico_proto::{Error, FieldError};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The most items of a cart, and of an access request.
pub(crate) const MOST: usize = 50;

/// A product, and the plan if it is chosen already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CartItem {
    /// Id of the product in the catalogue.
    pub product_id: Uuid,
    /// The plan, chosen at checkout at the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_id: Option<Uuid>,
}

/// What is wanted of a cart.
#[derive(Debug, Clone)]
pub enum Command {
    /// Makes these its items.
    Replace(Vec<CartItem>),
    /// Takes products out that were requested.
    CheckOut {
        /// The requested products.
        product_ids: Vec<Uuid>,
    },
}

/// What happened to a cart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// It has these items from now on.
    Replaced {
        /// The complete content, which replaces the previous one.
        items: Vec<CartItem>,
    },
    /// Products were requested and left the cart.
    CheckedOut {
        /// Those that were in it.
        product_ids: Vec<Uuid>,
    },
}

/// A user's cart: at most one item for each product.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cart {
    /// In the user's order.
    pub items: Vec<CartItem>,
}

/// Why a command was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The product at this index stands before, too.
    #[error("item {0} repeats a product")]
    Repeated(usize),
    /// More items than a cart holds.
    #[error("too many items")]
    TooMany,
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        let field = match rejection {
            Rejection::Repeated(index) => product_repeated(index),
            Rejection::TooMany => items_too_many(),
        };
        Self::field(field.field, field.code, field.message)
    }
}

/// The field error of a product that is asked for twice.
pub(crate) fn product_repeated(index: usize) -> FieldError {
    FieldError {
        field: format!("items[{index}].product_id"),
        code: "product_repeated".into(),
        message: format!(
            "`items[{index}].product_id` is in the list before; a product is asked for under one plan."
        ),
    }
}

/// The field error of too many items.
pub(crate) fn items_too_many() -> FieldError {
    FieldError {
        field: "items".into(),
        code: "items_too_many".into(),
        message: format!("`items` must have at most {MOST} items."),
    }
}

impl Aggregate for Cart {
    const CATEGORY: &'static str = "cart";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Replace(items) => {
                if items.len() > MOST {
                    return Err(Rejection::TooMany);
                }
                let repeated = items.iter().enumerate().find(|(index, item)| {
                    items
                        .iter()
                        .take(*index)
                        .any(|before| before.product_id == item.product_id)
                });
                if let Some((index, _)) = repeated {
                    return Err(Rejection::Repeated(index));
                }
                if *items == self.items {
                    return Ok(Vec::new());
                }
                Ok(vec![Event::Replaced {
                    items: items.clone(),
                }])
            }
            Command::CheckOut { product_ids } => {
                let product_ids: Vec<Uuid> = self
                    .items
                    .iter()
                    .map(|item| item.product_id)
                    .filter(|id| product_ids.contains(id))
                    .collect();
                if product_ids.is_empty() {
                    return Ok(Vec::new());
                }
                Ok(vec![Event::CheckedOut { product_ids }])
            }
        }
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Replaced { items } => self.items.clone_from(items),
            Event::CheckedOut { product_ids } => self
                .items
                .retain(|item| !product_ids.contains(&item.product_id)),
        }
    }
}
