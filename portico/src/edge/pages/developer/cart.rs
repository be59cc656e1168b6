//! The cart: products to ask access for, each with a plan.

use axum::{
    Router,
    response::{IntoResponse as _, Redirect},
    routing::{get, post},
};
use futures::future::try_join_all;
use minijinja::{Value, context};
use portico_proto::{
    Error,
    access::v1::{Cart, CartItem, GetCartRequest, PutCartRequest},
    catalog::v1::{GetProductRequest, ListPlansRequest, Plan, Product, ProductStatus},
};

use super::{
    form::{Form, Posted},
    page::{PageResponse, done, mendable, render},
    show,
};
use crate::edge::{
    Edge,
    problem::{Failure, Result},
    request::RequestContext,
    rest::preview::there,
};

/// The most pages of plans that are read; 1000 plans.
const PLAN_PAGES: usize = 10;

pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/cart", get(cart).post(change))
        .route("/cart/items", post(add))
}

/// A cart with what stands behind its items. A product that is not there any more has none.
pub(super) struct Filled {
    pub(super) version: u64,
    pub(super) lines: Vec<(CartItem, Option<Product>)>,
    pub(super) plans: Vec<Plan>,
}

impl Filled {
    pub(super) async fn read(ctx: &RequestContext) -> Result<Self> {
        let cart = read(ctx).await?;
        let lines = try_join_all(cart.items.into_iter().map(|item| async {
            let request = ctx.request(GetProductRequest {
                id: item.product_id.clone(),
            });
            let product = there(ctx.catalog().get_product(request).await)?;
            Ok::<_, Failure>((item, product))
        }));
        let (lines, plans) = futures::join!(lines, plans(ctx));
        Ok(Self {
            version: cart.version,
            lines: lines?,
            plans: plans?,
        })
    }

    /// For the template; with the plans that were chosen in a form, where there is one.
    pub(super) fn shown(&self, form: Option<&Form>) -> Value {
        let item = |(index, (item, product)): (usize, &(CartItem, Option<Product>))| {
            let field = format!("items[{index}].plan_id");
            let plan_id = form.map_or_else(|| item.plan_id().to_owned(), |form| form.text(&field));
            context! {
                product_id => &item.product_id,
                plan_id,
                plan_field => field,
                product_field => format!("items[{index}].product_id"),
                product => product.as_ref().filter(|product| product.status() == ProductStatus::Published).map(show::product),
            }
        };
        self.lines.iter().enumerate().map(item).collect()
    }

    /// For the template.
    pub(super) fn shown_plans(&self) -> Vec<Value> {
        self.plans.iter().map(show::plan).collect()
    }
}

async fn read(ctx: &RequestContext) -> Result<Cart> {
    let request = ctx.request(GetCartRequest {});
    Ok(ctx.access().get_cart(request).await?.into_inner())
}

async fn plans(ctx: &RequestContext) -> Result<Vec<Plan>> {
    let mut all = Vec::new();
    let mut after = String::new();
    for _ in 0..PLAN_PAGES {
        let request = ctx.request(ListPlansRequest {
            limit: 100,
            after,
            ..Default::default()
        });
        let page = ctx.catalog().list_plans(request).await?.into_inner();
        all.extend(page.plans);
        if page.next.is_empty() {
            break;
        }
        after = page.next;
    }
    Ok(all)
}

async fn cart(ctx: RequestContext) -> PageResponse {
    page(&ctx, None).await
}

async fn page(ctx: &RequestContext, error: Option<&Error>) -> PageResponse {
    let cart = Filled::read(ctx).await?;
    let shown = context! {
        items => cart.shown(None),
        plans => cart.shown_plans(),
        version => cart.version,
    };
    render(ctx, "developer/cart.html", shown, error).await
}

async fn put(
    ctx: &RequestContext,
    items: Vec<CartItem>,
    if_version: u64,
) -> std::result::Result<(), Error> {
    let cart = Some(Cart { items, version: 0 });
    let request = ctx.request(PutCartRequest { cart, if_version });
    ctx.access().put_cart(request).await?;
    Ok(())
}

async fn add(Posted { ctx, form }: Posted) -> PageResponse {
    let product_id = form.text("product_id");
    let Cart { mut items, version } = read(&ctx).await?;
    if items.iter().any(|item| item.product_id == product_id) {
        return Ok(done("/cart", "already_in_cart"));
    }
    items.push(CartItem {
        product_id,
        plan_id: None,
    });
    match put(&ctx, items, version).await {
        Ok(()) => Ok(done("/cart", "added_to_cart")),
        Err(error) => page(&ctx, Some(&mendable(error)?)).await,
    }
}

/// The items that a form lists, without the one that is to be removed.
pub(super) fn listed(form: &Form) -> Vec<CartItem> {
    let removed = form.text("remove");
    let field = |index: usize, name: &str| form.text(&format!("items[{index}].{name}"));
    (0..)
        .map(|index| CartItem {
            product_id: field(index, "product_id"),
            plan_id: Some(field(index, "plan_id")).filter(|id| !id.is_empty()),
        })
        .take_while(|item| !item.product_id.is_empty())
        .filter(|item| item.product_id != removed)
        .collect()
}

async fn change(Posted { ctx, form }: Posted) -> PageResponse {
    match put(&ctx, listed(&form), form.version()).await {
        Ok(()) if form.text("remove").is_empty() && form.checked("checkout") => {
            Ok(Redirect::to("/checkout").into_response())
        }
        Ok(()) => Ok(done("/cart", "cart_changed")),
        Err(error) => page(&ctx, Some(&mendable(error)?)).await,
    }
}
