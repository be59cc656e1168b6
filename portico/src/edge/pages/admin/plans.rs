//! Plans: scopes and limits that a product is used under.

use std::collections::BTreeMap;

use axum::{
    Router,
    extract::{Path, Query},
    routing::get,
};
use minijinja::{Value, context};
use portico_proto::{
    Error, FieldError,
    catalog::v1::{
        CreatePlanRequest, DeletePlanRequest, GetPlanRequest, ListPlansRequest, Plan,
        PolicyMapping, Quota, Rate, UpdatePlanRequest,
    },
};

use super::super::{
    confirm::Question,
    form::{Form, Posted},
    lists::Listing,
    page::{PageResponse, done, mendable, refused, render},
    show,
};
use crate::edge::{Edge, problem::Result, request::RequestContext};

const EDIT: &str = "admin/plan_edit.html";
const LIST: &str = "/admin/plans";

pub(super) fn routes() -> Router<Edge> {
    Router::new()
        .route("/plans", get(list))
        .route("/plans/new", get(new).post(create))
        .route("/plans/{id}/edit", get(edit).post(save))
        .route("/plans/{id}/delete", get(confirm_delete).post(delete))
}

async fn list(ctx: RequestContext, Query(listing): Query<Listing>) -> PageResponse {
    let request = ctx.request(ListPlansRequest {
        after: listing.after.clone(),
        sort: listing.sort.clone(),
        q: listing.q.clone(),
        ..Default::default()
    });
    let page = ctx.catalog().list_plans(request).await?.into_inner();
    let shown = context! {
        plans => page.plans.iter().map(show::plan).collect::<Vec<_>>(),
        list => listing.shown(&page.next),
    };
    render(&ctx, "admin/plans.html", shown, None).await
}

async fn find(ctx: &RequestContext, id: &str) -> Result<Plan> {
    let request = ctx.request(GetPlanRequest { id: id.to_owned() });
    Ok(ctx.catalog().get_plan(request).await?.into_inner())
}

/// The plan that was typed. A limit has both of its numbers, or none of them.
fn read(form: &Form) -> std::result::Result<Plan, Error> {
    let mut wrong = Vec::new();
    let mut pair = |first: &str, second: &str| {
        let mut number = |name: &str| {
            form.number(name).unwrap_or_else(|error| {
                wrong.extend(error.fields);
                Some(1)
            })
        };
        match (number(first), number(second)) {
            (Some(first), Some(second)) => Some((first, second)),
            (None, None) => None,
            (Some(_), None) => {
                wrong.push(incomplete(second));
                None
            }
            (None, Some(_)) => {
                wrong.push(incomplete(first));
                None
            }
        }
    };
    let rate = pair("rate.requests", "rate.per_seconds");
    let quota = pair("quota.requests", "quota.renews_every_seconds");
    match Error::fields(wrong) {
        Some(error) => Err(error),
        None => Ok(Plan {
            name: form.text("name"),
            description: form.text("description"),
            scopes: form.words("scopes"),
            rate: rate.map(|(requests, per_seconds)| Rate {
                requests,
                per_seconds,
            }),
            quota: quota.map(|(requests, renews_every_seconds)| Quota {
                requests,
                renews_every_seconds,
            }),
            auto_approve: form.checked("auto_approve"),
            mapping: Some(PolicyMapping {
                policy_id: Some(form.text("policy_id")),
            }),
            ..Plan::default()
        }),
    }
}

fn incomplete(field: &str) -> FieldError {
    FieldError {
        field: field.to_owned(),
        code: format!("{}_missing", field.rsplit('.').next().unwrap_or(field)),
        message: format!("`{field}`: enter both numbers, or leave both empty for no limit."),
    }
}

async fn new(ctx: RequestContext) -> PageResponse {
    render(&ctx, EDIT, context! { form => context! {} }, None).await
}

async fn create(Posted { ctx, form }: Posted) -> PageResponse {
    match try_create(&ctx, &form).await {
        Ok(()) => Ok(done(LIST, "saved")),
        Err(error) => refused(&ctx, EDIT, &form, context! {}, error).await,
    }
}

async fn try_create(ctx: &RequestContext, form: &Form) -> std::result::Result<(), Error> {
    let request = ctx.request(CreatePlanRequest {
        plan: Some(read(form)?),
    });
    ctx.catalog().create_plan(request).await?;
    Ok(())
}

async fn edit(ctx: RequestContext, Path(id): Path<String>) -> PageResponse {
    let plan = find(&ctx, &id).await?;
    let limits = [
        ("rate.requests", plan.rate.map(|rate| rate.requests)),
        ("rate.per_seconds", plan.rate.map(|rate| rate.per_seconds)),
        ("quota.requests", plan.quota.map(|quota| quota.requests)),
        (
            "quota.renews_every_seconds",
            plan.quota.map(|quota| quota.renews_every_seconds),
        ),
    ];
    let limits = limits
        .into_iter()
        .filter_map(|(field, number)| Some((field, number?)));
    let limits = Value::from(limits.collect::<BTreeMap<&str, u64>>());
    let stored = context! { ..limits, ..show::plan(&plan) };
    let form = context! { scopes => plan.scopes.join(" "), ..stored };
    render(&ctx, EDIT, context! { id, form }, None).await
}

async fn save(Path(id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    match try_save(&ctx, &id, &form).await {
        Ok(()) => Ok(done(LIST, "saved")),
        Err(error) => refused(&ctx, EDIT, &form, context! { id }, error).await,
    }
}

async fn try_save(ctx: &RequestContext, id: &str, form: &Form) -> std::result::Result<(), Error> {
    // The form has every member, so nothing of what is there stays.
    let request = ctx.request(UpdatePlanRequest {
        id: id.to_owned(),
        if_version: form.version(),
        plan: Some(read(form)?),
        update_mask: None,
    });
    ctx.catalog().update_plan(request).await?;
    Ok(())
}

async fn confirm_delete(ctx: RequestContext, Path(id): Path<String>) -> PageResponse {
    question(&ctx, &id, None).await
}

async fn question(ctx: &RequestContext, id: &str, error: Option<&Error>) -> PageResponse {
    let plan = find(ctx, id).await?;
    let question = Question {
        title: format!("Delete the plan \u{201c}{}\u{201d}?", plan.name),
        consequence: "Developers can no longer choose it. Access granted under it is kept.",
        button: "Delete the plan",
        back: LIST.to_owned(),
        version: plan.version,
    };
    question.show(ctx, error).await
}

async fn delete(Path(id): Path<String>, Posted { ctx, form }: Posted) -> PageResponse {
    let request = ctx.request(DeletePlanRequest {
        id: id.clone(),
        if_version: form.version(),
    });
    match ctx.catalog().delete_plan(request).await {
        Ok(_) => Ok(done(LIST, "deleted")),
        Err(status) => question(&ctx, &id, Some(&mendable(status)?)).await,
    }
}
