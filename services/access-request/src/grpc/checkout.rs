//! Checkout: does what the cart holds fit together? Everything that does not is told at once, by field.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use portico_proto::{
    Error,
    access::v1::CartItem,
    catalog::v1::{Plan, Product, ProductStatus},
    registration::v1::ClientType,
};
use portico_runtime::{Caller, Problems};
use uuid::Uuid;

use crate::{
    access_request::{Credential, OauthClient, RequestedItem},
    cart::{MOST, items_too_many, product_repeated},
    neighbours::Neighbours,
};

/// What is asked for, found and fitting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) items: Vec<RequestedItem>,
    pub(crate) credential: Credential,
    pub(crate) auto_approve: bool,
}

/// What a reference of the request leads to.
#[derive(Debug, Clone)]
enum Found<T> {
    Missing,
    Malformed,
    Unknown,
    Known(Uuid, T),
}

impl<T> Found<T> {
    fn known(&self) -> Option<&T> {
        match self {
            Self::Known(_, thing) => Some(thing),
            Self::Missing | Self::Malformed | Self::Unknown => None,
        }
    }
}

/// An item with what it refers to.
struct Line {
    product: Found<Product>,
    plan: Found<Plan>,
}

impl Line {
    /// Whether the product gives API keys; a product that is not known is taken for one with OAuth credentials.
    fn gives_keys(&self) -> bool {
        self.product
            .known()
            .is_some_and(|product| !product.dcr_enabled)
    }
}

/// What an order leads to, by its first product that there is.
fn asks_for_keys(lines: &[Line]) -> bool {
    let first = lines.iter().find(|line| line.product.known().is_some());
    first.is_some_and(Line::gives_keys)
}

/// Looks everything up in the caller's name and checks it.
///
/// # Errors
/// Another service is away. What is wrong with the request is noted in `problems`; `None` then.
pub(crate) async fn check(
    neighbours: &Neighbours,
    caller: &Caller,
    items: &[CartItem],
    client_type_id: &str,
    problems: &mut Problems,
) -> Result<Option<Order>, Error> {
    if items.len() > MOST {
        let error = items_too_many();
        problems.add(error.field, &error.code, error.message);
        return Ok(None);
    }
    let lines = futures::future::try_join_all(items.iter().map(|item| async {
        let (product, plan) = futures::try_join!(
            find(&item.product_id, |id| neighbours.product(caller, id)),
            find(item.plan_id(), |id| neighbours.plan(caller, id)),
        )?;
        Ok::<_, Error>(Line { product, plan })
    }));
    let client_type = find(client_type_id, |id| neighbours.client_type(caller, id));
    let (lines, client_type) = futures::try_join!(lines, client_type)?;
    Ok(examine(&lines, &client_type, problems))
}

async fn find<T, F>(text: &str, get: impl FnOnce(Uuid) -> F) -> Result<Found<T>, Error>
where
    F: Future<Output = Result<Option<T>, Error>>,
{
    if text.is_empty() {
        return Ok(Found::Missing);
    }
    let Ok(id) = text.parse() else {
        return Ok(Found::Malformed);
    };
    Ok(match get(id).await? {
        Some(thing) => Found::Known(id, thing),
        None => Found::Unknown,
    })
}

fn examine(
    lines: &[Line],
    client_type: &Found<ClientType>,
    problems: &mut Problems,
) -> Option<Order> {
    if lines.is_empty() {
        problems.add(
            "items",
            "items_missing",
            "`items` must have at least one product.",
        );
    }
    for (index, line) in lines.iter().enumerate() {
        check_product(index, &line.product, problems);
        check_plan(index, line, problems);
        check_against_earlier(index, lines, problems);
    }
    // Keys have no client type; one that is given says nothing.
    if asks_for_keys(lines) {
        return order(lines, Credential::ApiKey);
    }
    check_client_type(client_type, lines, problems);
    let Found::Known(client_type_id, client_type) = client_type else {
        return None;
    };
    let client = OauthClient {
        identity_provider_id: client_type.identity_provider_id.parse().ok()?,
        client_type_id: *client_type_id,
        needs_redirect_urls: needs_redirect_urls(client_type),
    };
    order(lines, Credential::OauthClient(client))
}

fn check_product(index: usize, product: &Found<Product>, problems: &mut Problems) {
    let field = format!("items[{index}].product_id");
    let published = |product: &&Product| product.status() == ProductStatus::Published;
    let Some(product) = product.known().filter(published) else {
        let message = format!("`{field}` must be the id of a published product.");
        return problems.add(&field, "product_unknown", message);
    };
    let name = &product.name;
    if !product.dcr_enabled && product.apis.is_empty() {
        problems.add(
            &field,
            "product_without_api",
            format!(
                "\u{201c}{name}\u{201d} gives API keys, but has no API at a gateway; an admin must give it one."
            ),
        );
    }
    if product.dcr_enabled && product.scopes.is_empty() {
        problems.add(
            &field,
            "product_scopes_missing",
            format!("\u{201c}{name}\u{201d} has no scope; an admin must give it one."),
        );
    }
}

fn check_plan(index: usize, line: &Line, problems: &mut Problems) {
    let field = format!("items[{index}].plan_id");
    let needs_scopes = !line.gives_keys();
    match &line.plan {
        Found::Missing => problems.add(
            &field,
            "plan_missing",
            format!("`{field}` must be given: choose a plan for each product."),
        ),
        Found::Malformed | Found::Unknown => problems.add(
            &field,
            "plan_unknown",
            format!("`{field}` must be the id of a plan."),
        ),
        Found::Known(_, plan) if plan.scopes.is_empty() && needs_scopes => problems.add(
            &field,
            "plan_scopes_missing",
            format!(
                "The plan \u{201c}{}\u{201d} has no scope; an admin must give it one.",
                plan.name
            ),
        ),
        Found::Known(..) => {}
    }
}

/// Two products under one scope could not be told apart at the gateway, and a request has credentials of one kind, so
/// that its status means one thing.
fn check_against_earlier(index: usize, lines: &[Line], problems: &mut Problems) {
    let Some(Found::Known(id, product)) = lines.get(index).map(|line| &line.product) else {
        return;
    };
    for earlier in lines.iter().take(index) {
        let Found::Known(earlier_id, earlier) = &earlier.product else {
            continue;
        };
        if earlier_id == id {
            let error = product_repeated(index);
            problems.add(error.field, &error.code, error.message);
            return;
        }
        if product.dcr_enabled != earlier.dcr_enabled {
            problems.add(
                format!("items[{index}].product_id"),
                "credentials_mixed",
                format!(
                    "\u{201c}{}\u{201d} and \u{201c}{}\u{201d} give different credentials, an API key and an OAuth \
                     client; order them separately.",
                    product.name, earlier.name
                ),
            );
            return;
        }
        if !product.dcr_enabled {
            continue;
        }
        let scopes: BTreeSet<&String> = earlier.scopes.iter().collect();
        if let Some(shared) = product.scopes.iter().find(|scope| scopes.contains(scope)) {
            problems.add(
                format!("items[{index}].product_id"),
                "scope_shared",
                format!(
                    "\u{201c}{}\u{201d} and \u{201c}{}\u{201d} share the scope \u{201c}{shared}\u{201d}; request one of them only.",
                    product.name, earlier.name
                ),
            );
        }
    }
}

fn check_client_type(client_type: &Found<ClientType>, lines: &[Line], problems: &mut Problems) {
    const FIELD: &str = "client_type_id";
    match client_type {
        Found::Missing => problems.add(
            FIELD,
            "client_type_missing",
            "`client_type_id` must be given: choose a client type.",
        ),
        Found::Malformed | Found::Unknown => problems.add(
            FIELD,
            "client_type_unknown",
            "`client_type_id` must be the id of a client type.",
        ),
        Found::Known(id, client_type) => {
            let products = lines.iter().filter_map(|line| line.product.known());
            for product in products.filter(|product| product.dcr_enabled) {
                let allowed = |text: &String| text.parse::<Uuid>().is_ok_and(|other| other == *id);
                if !product.client_type_ids.iter().any(allowed) {
                    problems.add(
                        FIELD,
                        "client_type_not_of_product",
                        format!(
                            "\u{201c}{}\u{201d} does not allow the client type \u{201c}{}\u{201d}.",
                            product.name, client_type.name
                        ),
                    );
                }
            }
        }
    }
}

/// RFC 6749 section 3.1.2.2: clients that the provider redirects to must register where.
fn needs_redirect_urls(client_type: &ClientType) -> bool {
    client_type
        .grant_types
        .iter()
        .any(|grant| grant == "authorization_code" || grant == "implicit")
        || client_type
            .response_types
            .iter()
            .any(|response| response.split_whitespace().any(|word| word == "code"))
}

fn order(lines: &[Line], credential: Credential) -> Option<Order> {
    let mut items = Vec::with_capacity(lines.len());
    let mut auto_approve = true;
    for line in lines {
        let (Found::Known(product_id, product), Found::Known(plan_id, plan)) =
            (&line.product, &line.plan)
        else {
            return None;
        };
        auto_approve &= plan.auto_approve;
        items.push(RequestedItem {
            product_id: *product_id,
            product_name: product.name.clone(),
            product_scopes: product.scopes.clone(),
            plan_id: *plan_id,
            plan_name: plan.name.clone(),
            plan_scopes: plan.scopes.clone(),
        });
    }
    Some(Order {
        items,
        credential,
        auto_approve,
    })
}
