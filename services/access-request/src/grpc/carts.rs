//! The caller's own cart.

use portico_proto::{Error, access::v1 as api};
use portico_runtime::{Caller, Problems, require, store_error};
use tonic::Request;

use super::{Grpc, answer::version};
use crate::{
    cart::{Cart, CartItem, Command},
    views::refused,
};

/// For everybody signed in.
pub(super) async fn get_cart(
    grpc: &Grpc,
    request: Request<api::GetCartRequest>,
) -> Result<api::Cart, Error> {
    let (user, _) = Caller::of(&request).require_user()?;
    let loaded = grpc.store.load::<Cart>(user).await.map_err(store_error)?;
    Ok(answer(loaded.state, loaded.version))
}

/// For everybody signed in.
pub(super) async fn put_cart(
    grpc: &Grpc,
    request: Request<api::PutCartRequest>,
) -> Result<api::Cart, Error> {
    let call = grpc.call(&request, "put_cart")?;
    let (user, _) = call.caller.require_user()?;
    let given = request.into_inner();
    let command = Command::Replace(items(&require("cart", given.cart)?.items)?);
    let outcome = grpc
        .store
        .execute_at::<Cart>(user, given.if_version, &command, &call.context)
        .await
        .map_err(refused)?;
    Ok(answer(outcome.state, outcome.version))
}

fn items(given: &[api::CartItem]) -> Result<Vec<CartItem>, Error> {
    let mut problems = Problems::default();
    let mut items = Vec::with_capacity(given.len());
    for (index, item) in given.iter().enumerate() {
        let mut id = |name: &str, text: &str| {
            text.parse()
                .inspect_err(|_| {
                    let field = format!("items[{index}].{name}");
                    let message = format!("`{field}` must be an id.");
                    problems.add(field, "id_invalid", message);
                })
                .ok()
        };
        let product_id = id("product_id", &item.product_id);
        let plan_id = match item.plan_id() {
            "" => None,
            text => id("plan_id", text),
        };
        items.extend(product_id.map(|product_id| CartItem {
            product_id,
            plan_id,
        }));
    }
    problems.into_result()?;
    Ok(items)
}

fn answer(cart: Cart, at: i64) -> api::Cart {
    let items = cart.items.into_iter().map(|item| api::CartItem {
        product_id: item.product_id.to_string(),
        plan_id: item.plan_id.map(|id| id.to_string()),
    });
    api::Cart {
        items: items.collect(),
        version: version(at),
    }
}
