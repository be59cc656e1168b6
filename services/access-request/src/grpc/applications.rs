//! Applications: their owner's to change, also for admins to see.

use portico_proto::{Error, Kind, access::v1 as api, rest::merge};
use portico_runtime::{
    Call, Caller, Problems,
    lists::{ListQuery, Search},
    parse_id, query_error, require, texts,
};
use tonic::Request;
use uuid::Uuid;

use super::{Grpc, answer, may_see};
use crate::{
    application::{Application, Command, Profile, Visibility, redirect_url},
    views::{applications, applications::ApplicationRow, refused},
};

/// Checks an application; fields are named with a prefix such as `application.`. `before` is the visibility that it has.
pub(super) fn profile(
    problems: &mut Problems,
    prefix: &str,
    given: &api::Application,
    before: Visibility,
) -> Profile {
    let field = |name: &str| format!("{prefix}{name}");
    Profile {
        name: texts::name(problems, &field("name"), &given.name),
        description: texts::description(problems, &field("description"), &given.description),
        redirect_urls: redirect_url::list(problems, &field("redirect_urls"), &given.redirect_urls),
        visibility: visibility(problems, &field("visibility"), given.visibility, before),
    }
}

/// Others than personal are refused until there are teams and organisations; one that an application has stays.
fn visibility(problems: &mut Problems, field: &str, number: i32, before: Visibility) -> Visibility {
    use api::ApplicationVisibility as Given;
    let wanted = match Given::try_from(number) {
        Ok(Given::Unspecified | Given::Personal) => Some(Visibility::Personal),
        Ok(Given::Team) => Some(Visibility::Team),
        Ok(Given::Organisation) => Some(Visibility::Organisation),
        Err(_) => None,
    };
    match wanted.filter(|wanted| *wanted == Visibility::Personal || *wanted == before) {
        Some(wanted) => wanted,
        None => {
            let right =
                format!("`{field}` must be personal: Portico has no teams and organisations.");
            problems.add(field, "visibility_invalid", right);
            before
        }
    }
}

/// For everybody signed in.
pub(super) async fn create_application(
    grpc: &Grpc,
    request: Request<api::CreateApplicationRequest>,
) -> Result<api::Application, Error> {
    let call = Call::of(&request, "create_application", &grpc.deps.clock)?;
    let (owner_id, _) = call.caller.require_user()?;
    let mut problems = Problems::default();
    let given = require("application", request.into_inner().application)?;
    let profile = profile(&mut problems, "", &given, Visibility::Personal);
    problems.into_result()?;
    let id = call.new_id("application", &grpc.deps.clock);
    let command = Command::Create { owner_id, profile };
    grpc.store
        .execute::<Application>(id, &command, &call.context)
        .await
        .map_err(refused)?;
    find(grpc, id).await.map(answer::application)
}

/// For its owner.
pub(super) async fn update_application(
    grpc: &Grpc,
    request: Request<api::UpdateApplicationRequest>,
) -> Result<api::Application, Error> {
    let call = Call::of(&request, "update_application", &grpc.deps.clock)?;
    let given = request.into_inner();
    let (id, application) = owned(grpc, &call.caller, &given.id).await?;
    let present = answer::profile(application.profile.clone());
    let patch = require("application", given.application)?;
    let merged = merge(present, patch, given.update_mask.as_ref())?;
    let mut problems = Problems::default();
    let before = application.profile.visibility;
    let wanted = profile(&mut problems, "", &merged, before);
    problems.into_result()?;
    // Only what differs: what somebody else changes meanwhile stays.
    let command = Command::Update(application.profile.changes_to(&wanted));
    grpc.store
        .execute_at::<Application>(id, given.if_version, &command, &call.context)
        .await
        .map_err(refused)?;
    find(grpc, id).await.map(answer::application)
}

/// For its owner.
pub(super) async fn delete_application(
    grpc: &Grpc,
    request: Request<api::DeleteApplicationRequest>,
) -> Result<api::DeleteApplicationResponse, Error> {
    let call = Call::of(&request, "delete_application", &grpc.deps.clock)?;
    let given = request.get_ref();
    let (id, _) = owned(grpc, &call.caller, &given.id).await?;
    grpc.store
        .execute_at::<Application>(id, given.if_version, &Command::Delete, &call.context)
        .await
        .map_err(refused)?;
    Ok(api::DeleteApplicationResponse {})
}

/// For admins.
pub(super) async fn suspend_application(
    grpc: &Grpc,
    request: Request<api::SuspendApplicationRequest>,
) -> Result<api::Application, Error> {
    let call = Call::of(&request, "suspend_application", &grpc.deps.clock)?;
    let given = request.get_ref();
    suspend(grpc, &call, &given.id, given.if_version, true).await
}

/// For admins.
pub(super) async fn resume_application(
    grpc: &Grpc,
    request: Request<api::ResumeApplicationRequest>,
) -> Result<api::Application, Error> {
    let call = Call::of(&request, "resume_application", &grpc.deps.clock)?;
    let given = request.get_ref();
    suspend(grpc, &call, &given.id, given.if_version, false).await
}

async fn suspend(
    grpc: &Grpc,
    call: &Call,
    id: &str,
    if_version: u64,
    suspended: bool,
) -> Result<api::Application, Error> {
    call.caller.require_admin()?;
    let id = parse_id("id", id)?;
    find(grpc, id).await?;
    grpc.store
        .execute_at::<Application>(id, if_version, &Command::Suspend(suspended), &call.context)
        .await
        .map_err(refused)?;
    find(grpc, id).await.map(answer::application)
}

/// For its owner, admins and services.
pub(super) async fn get_application(
    grpc: &Grpc,
    request: Request<api::GetApplicationRequest>,
) -> Result<api::Application, Error> {
    let caller = Caller::of(&request);
    caller.require_known()?;
    let row = find(grpc, parse_id("id", &request.get_ref().id)?).await?;
    if !may_see(&caller, row.state.owner_id) {
        return Err(Error::not_found("application"));
    }
    Ok(answer::application(row))
}

/// For everybody signed in: their own; for admins and services all.
pub(super) async fn list_applications(
    grpc: &Grpc,
    request: Request<api::ListApplicationsRequest>,
) -> Result<api::ListApplicationsResponse, Error> {
    let caller = Caller::of(&request);
    caller.require_known()?;
    let owner = match caller {
        Caller::User { id, .. } if !caller.sees_all() => Some(id),
        _ => None,
    };
    let given = request.get_ref();
    let query = ListQuery::parse(&applications::SORT, given)?;
    let search = Search::parse(&given.q)?;
    let pool = grpc.store.database().pool();
    let (rows, next) = applications::list(pool, owner, &search, &query)
        .await
        .map_err(query_error)?;
    Ok(api::ListApplicationsResponse {
        applications: rows.into_iter().map(answer::application).collect(),
        next,
    })
}

async fn find(grpc: &Grpc, id: Uuid) -> Result<ApplicationRow, Error> {
    applications::find(grpc.store.database().pool(), id)
        .await
        .map_err(query_error)?
        .ok_or_else(|| Error::not_found("application"))
}

/// An application that the caller owns, with its id. Admins, who see it, are told that it is not theirs. The log and
/// not the view is asked, so that a repeated deletion finds what it deleted.
async fn owned(grpc: &Grpc, caller: &Caller, text: &str) -> Result<(Uuid, Application), Error> {
    let (user, _) = caller.require_user()?;
    let id = parse_id("id", text)?;
    let loaded = grpc
        .store
        .load::<Application>(id)
        .await
        .map_err(portico_runtime::store_error)?;
    let theirs = loaded.version > 0 && loaded.state.owner_id == user;
    if theirs {
        Ok((id, loaded.state))
    } else if loaded.version > 0 && caller.sees_all() {
        Err(Error::new(
            Kind::Forbidden,
            "forbidden",
            "Only its owner may change an application.",
        ))
    } else {
        Err(Error::not_found("application"))
    }
}
