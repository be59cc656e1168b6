//! Checkout: a plan for each product, an application, a client type. What does not fit is explained at its field.

use std::collections::BTreeSet;

use axum::{
    Router,
    response::{IntoResponse as _, Redirect},
    routing::get,
};
use minijinja::{Value, context, value::Serde};
use portico_proto::{
    Error,
    access::v1::{
        AccessRequestStatus, SubmitAccessRequestRequest, submit_access_request_request::Target,
    },
    catalog::v1::Product,
};

use super::{
    applications::read,
    cart::{Filled, listed},
    dashboard::own_applications,
    fetch::client_types,
    form::{Form, Posted},
    page::{PageResponse, done, mendable, render},
};
use crate::edge::{Edge, request::RequestContext};

pub(super) fn routes() -> Router<Edge> {
    Router::new().route("/checkout", get(checkout).post(submit))
}

async fn checkout(ctx: RequestContext) -> PageResponse {
    page(&ctx, None).await
}

async fn page(ctx: &RequestContext, refused: Option<(&Form, &Error)>) -> PageResponse {
    let cart = Filled::read(ctx).await?;
    if cart.lines.is_empty() && refused.is_none() {
        return Ok(Redirect::to("/cart").into_response());
    }
    let products: Vec<&Product> = cart
        .lines
        .iter()
        .filter_map(|(_, product)| product.as_ref())
        .collect();
    let wants_keys = wants_keys(&products);
    let (types, applications) =
        futures::join!(client_types(ctx, common(&products)), own_applications(ctx));
    let (types, applications) = (types?, applications?);
    let form = match refused {
        Some((form, _)) => form.typed(&[]),
        None => context! {
            target => if applications.is_empty() { "new" } else { "existing" },
            client_type_id => if types.len() == 1 { types[0].id.clone() } else { String::new() },
        },
    };
    let shown = context! {
        items => cart.shown(refused.map(|(form, _)| form)),
        plans => cart.shown_plans(),
        applications => Value::from(Serde(applications)),
        wants_keys,
        client_types => Value::from(Serde(types)),
        form,
    };
    let error = refused.map(|(_, error)| error);
    render(ctx, "developer/checkout.html", shown, error).await
}

/// Nothing in the cart has a client type to be chosen.
fn wants_keys(products: &[&Product]) -> bool {
    !products.is_empty() && products.iter().all(|product| !product.dcr_enabled)
}

/// The client types that every product allows.
fn common(products: &[&Product]) -> Vec<String> {
    let ids = |product: &&Product| {
        product
            .client_type_ids
            .iter()
            .cloned()
            .collect::<BTreeSet<_>>()
    };
    let all = products.iter().map(ids).reduce(|one, other| &one & &other);
    all.unwrap_or_default().into_iter().collect()
}

async fn submit(Posted { ctx, form }: Posted) -> PageResponse {
    let target = match form.text("target").as_str() {
        "new" => Target::Application(read(&form, "application.", &[])),
        _ => Target::ApplicationId(form.text("application_id")),
    };
    let request = ctx.request(SubmitAccessRequestRequest {
        items: listed(&form),
        target: Some(target),
        client_type_id: Some(form.text("client_type_id")).filter(|id| !id.is_empty()),
        note: form.text("note"),
    });
    match ctx.access().submit_access_request(request).await {
        Ok(made) => {
            let made = made.into_inner();
            let notice = match made.status() {
                AccessRequestStatus::Pending => "submitted",
                _ => "submitted_approved",
            };
            Ok(done(
                &format!("/dashboard/access-requests/{}", made.id),
                notice,
            ))
        }
        Err(status) => page(&ctx, Some((&form, &mendable(status)?))).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_type_is_chosen_where_a_product_has_one() {
        let product = |dcr_enabled| Product {
            dcr_enabled,
            ..Product::default()
        };
        let (with, without) = (product(true), product(false));
        assert!(wants_keys(&[&without, &without]));
        assert!(!wants_keys(&[&without, &with]));
        assert!(!wants_keys(&[]));
    }

    #[test]
    fn only_what_every_product_allows_can_be_chosen() {
        let product = |ids: &[&str]| Product {
            client_type_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            ..Product::default()
        };
        let (one, other, third) = (product(&["a", "b"]), product(&["b", "c"]), product(&["d"]));
        assert_eq!(common(&[&one, &other]), ["b"]);
        assert!(common(&[&one, &other, &third]).is_empty());
        assert!(common(&[]).is_empty());
    }
}
