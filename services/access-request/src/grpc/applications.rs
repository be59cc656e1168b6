//! Applications: their owner's to change, also for admins to see.

use portico_eventstore::{Context, ExecuteError};
use portico_proto::{Error, Kind, access::v1 as api, rest::merge};
use portico_runtime::{
    Call, Caller, Problems, concurrent_change,
    lists::{ListQuery, Search},
    parse_id, query_error, require, store_error, texts,
};
use portico_vault::VaultRef;
use tonic::Request;
use uuid::Uuid;

use super::{Grpc, answer, may_see};
use crate::{
    application::{
        Application, Changes, Command, Profile, ProfileChange, Rejection, Visibility, redirect_url,
    },
    profiles,
    requester::{AccountStatus, Requester},
    views::{applications, applications::ApplicationRow, refused},
};

/// How often a change is made anew because of another one at the same time.
const UPDATE_TRIES: usize = 10;

/// Checks an application; fields are named with a prefix such as `application.`. `before` is the visibility that it has.
pub(super) fn profile(
    problems: &mut Problems,
    prefix: &str,
    given: &api::Application,
    before: Visibility,
) -> (Profile, Visibility) {
    let field = |name: &str| format!("{prefix}{name}");
    let profile = Profile {
        name: texts::name(problems, &field("name"), &given.name),
        description: texts::description(problems, &field("description"), &given.description),
        redirect_urls: redirect_url::list(problems, &field("redirect_urls"), &given.redirect_urls),
    };
    let visibility = visibility(problems, &field("visibility"), given.visibility, before);
    (profile, visibility)
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
    let call = grpc.call(&request, "create_application")?;
    let (owner_id, _) = call.caller.require_user()?;
    let mut problems = Problems::default();
    let given = require("application", request.into_inner().application)?;
    let (profile, visibility) = profile(&mut problems, "", &given, Visibility::Personal);
    problems.into_result()?;
    let id = call.new_id("application", &grpc.deps.clock);
    create(grpc, owner_id, id, (&profile, visibility), &call.context).await?;
    found(grpc, id).await
}

/// Also finds out whether the owner was erased meanwhile: what accounts published of that may have been followed before
/// there was this application.
pub(super) async fn create(
    grpc: &Grpc,
    owner_id: Uuid,
    id: Uuid,
    (profile, visibility): (&Profile, Visibility),
    context: &Context,
) -> Result<(), Error> {
    let (kept, beside) = grpc.profiles.keep(owner_id, id, profile)?;
    let command = Command::Create {
        owner_id,
        kept,
        visibility,
    };
    grpc.store
        .execute_beside::<Application>(id, 0, &command, context, Some(beside))
        .await
        .map_err(refused)?;
    let owner = grpc.store.load::<Requester>(owner_id).await;
    let newest = owner.map_err(store_error)?.state.newest;
    if newest.is_some_and(|account| account.status == AccountStatus::Erased) {
        profiles::erase(&grpc.store, &grpc.profiles, owner_id, context).await?;
    }
    Ok(())
}

/// For its owner.
pub(super) async fn update_application(
    grpc: &Grpc,
    request: Request<api::UpdateApplicationRequest>,
) -> Result<api::Application, Error> {
    let call = grpc.call(&request, "update_application")?;
    let given = request.into_inner();
    let patch = require("application", given.application.clone())?;
    for _ in 0..UPDATE_TRIES {
        let (id, application) = owned(grpc, &call.caller, &given.id).await?;
        let before = grpc.profiles.of(&application).await?;
        let present = answer::profile(before.clone(), application.visibility);
        let merged = merge(present, patch.clone(), given.update_mask.as_ref())?;
        let mut problems = Problems::default();
        let (wanted, visibility) = profile(&mut problems, "", &merged, application.visibility);
        problems.into_result()?;
        let mut changes = Changes {
            profile: None,
            visibility: Some(visibility),
        };
        let mut beside = None;
        if wanted != before {
            let (kept, write) = grpc.profiles.keep(application.owner_id, id, &wanted)?;
            let concerns_clients = wanted.differs_for_clients(&before);
            changes.profile = Some(ProfileChange {
                kept,
                concerns_clients,
            });
            beside = Some(write);
        }
        let command = Command::Update {
            changes,
            instead_of: application.profile.map(|kept| kept.profile_ref),
        };
        let updated = grpc.store.execute_beside::<Application>(
            id,
            given.if_version,
            &command,
            &call.context,
            beside,
        );
        match updated.await {
            // What somebody else changes meanwhile stays: the change is made of that.
            Err(ExecuteError::Rejected(Rejection::Outdated)) => {}
            updated => {
                updated.map_err(refused)?;
                return found(grpc, id).await;
            }
        }
    }
    Err(concurrent_change())
}

/// For its owner.
pub(super) async fn delete_application(
    grpc: &Grpc,
    request: Request<api::DeleteApplicationRequest>,
) -> Result<api::DeleteApplicationResponse, Error> {
    let call = grpc.call(&request, "delete_application")?;
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
    let call = grpc.call(&request, "suspend_application")?;
    let given = request.get_ref();
    suspend(grpc, &call, &given.id, given.if_version, true).await
}

/// For admins.
pub(super) async fn resume_application(
    grpc: &Grpc,
    request: Request<api::ResumeApplicationRequest>,
) -> Result<api::Application, Error> {
    let call = grpc.call(&request, "resume_application")?;
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
    found(grpc, id).await
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
    shown(grpc, row).await
}

/// For registration and gateway, about whatever they were told to have at a provider or gateway.
pub(super) async fn get_application_profile(
    grpc: &Grpc,
    request: Request<api::GetApplicationProfileRequest>,
) -> Result<api::ApplicationProfile, Error> {
    Caller::of(&request).require_service()?;
    let given = request.get_ref();
    let id = parse_id("application_id", &given.application_id)?;
    let profile = VaultRef(parse_id("profile_id", &given.profile_id)?);
    let loaded = grpc.store.load::<Application>(id).await;
    let loaded = loaded.map_err(store_error)?;
    if loaded.version == 0 {
        return Err(Error::not_found("application"));
    }
    let kept = grpc.profiles.at(loaded.state.owner_id, profile).await?;
    if kept.is_none() && !loaded.state.is_erased() {
        // As after the restore of an older backup. Its clients keep what they have until it is there again, or another one.
        let message = "This version of the application is not known here.";
        return Err(Error::unavailable("profile_unknown", message));
    }
    let is_erased = kept.is_none();
    let kept = kept.unwrap_or_else(Profile::erased);
    Ok(api::ApplicationProfile {
        redirect_urls: answer::urls(&kept),
        name: kept.name,
        erased: is_erased,
    })
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
        applications: answer::applications(&grpc.profiles, rows).await?,
        next,
    })
}

async fn found(grpc: &Grpc, id: Uuid) -> Result<api::Application, Error> {
    shown(grpc, find(grpc, id).await?).await
}

async fn shown(grpc: &Grpc, row: ApplicationRow) -> Result<api::Application, Error> {
    let mut shown = answer::applications(&grpc.profiles, vec![row]).await?;
    shown.pop().ok_or_else(Error::internal)
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
        .map_err(store_error)?;
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
