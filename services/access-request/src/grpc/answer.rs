//! Rows of views as answers.

use portico_proto::{Error, access::v1 as api, time};
use uuid::Uuid;

use crate::{
    access_request::{OauthClient, RequestedItem, Status},
    application::{Profile, Visibility},
    notes::Notes,
    profiles::Profiles,
    views::{access_requests::AccessRequestRow, applications::ApplicationRow, timeline},
};

/// Applications, with what their owners wrote, read at once.
pub(crate) async fn applications(
    profiles: &Profiles,
    rows: Vec<ApplicationRow>,
) -> Result<Vec<api::Application>, Error> {
    let written = profiles.of_all(rows.iter().map(|row| &row.state)).await?;
    Ok(rows.into_iter().zip(written).map(application).collect())
}

fn application((row, written): (ApplicationRow, Profile)) -> api::Application {
    let status = match row.state.is_erased() {
        true => api::ApplicationStatus::Erased,
        false => api::ApplicationStatus::Active,
    };
    api::Application {
        id: row.id,
        owner_id: row.state.owner_id.to_string(),
        status: status.into(),
        suspended: row.state.suspended,
        version: version(row.version),
        created_at: time::parse(&row.created_at),
        updated_at: time::parse(&row.updated_at),
        ..profile(written, row.state.visibility)
    }
}

/// What can be changed of an application.
pub(crate) fn profile(profile: Profile, visibility: Visibility) -> api::Application {
    api::Application {
        redirect_urls: urls(&profile),
        name: profile.name,
        description: profile.description,
        visibility: api::ApplicationVisibility::from(visibility).into(),
        ..api::Application::default()
    }
}

pub(crate) fn urls(profile: &Profile) -> Vec<String> {
    profile
        .redirect_urls
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// One access request, with what people wrote.
pub(crate) async fn access_request(
    notes: &Notes,
    row: AccessRequestRow,
) -> Result<api::AccessRequest, Error> {
    let mut answers = access_requests(notes, vec![row]).await?;
    answers.pop().ok_or_else(Error::internal)
}

/// Access requests, with what people wrote, read at once.
pub(crate) async fn access_requests(
    notes: &Notes,
    rows: Vec<AccessRequestRow>,
) -> Result<Vec<api::AccessRequest>, Error> {
    let mut wanted = Vec::new();
    for row in &rows {
        let id: Uuid = row.id.parse().map_err(|_| Error::internal())?;
        let state = &row.state;
        let texts = [state.submission.note, state.reason].into_iter();
        let texts = texts.chain(row.timeline.iter().map(|entry| entry.text));
        wanted.extend(texts.flatten().map(|text| (id, text)));
    }
    let mut texts = notes.read(&wanted).await?.into_iter();
    // In the order of the loop above.
    let mut text = |there: bool| {
        if there {
            texts.next().unwrap_or_default()
        } else {
            String::new()
        }
    };
    Ok(rows.into_iter().map(|row| build(row, &mut text)).collect())
}

fn build(row: AccessRequestRow, text: &mut impl FnMut(bool) -> String) -> api::AccessRequest {
    let state = row.state;
    let note = text(state.submission.note.is_some());
    let written = text(state.reason.is_some());
    let timeline = row
        .timeline
        .into_iter()
        .map(|entry| api::TimelineEntry {
            step: entry.step.into(),
            at: Some(time::to_proto(entry.at)),
            by: entry.by,
            detail: match entry.text {
                Some(_) => text(true),
                None => entry.detail,
            },
        })
        .collect();
    let status = state.status();
    let failure = state
        .failure()
        .map(|failure| timeline::failure(failure.code, failure.reason));
    let reason = match &failure {
        Some(failure) if status == Some(Status::Failed) => Some(failure.clone()),
        _ => Some(written).filter(|text| !text.is_empty()),
    };
    let account_suspended = status == Some(Status::Suspended) && state.account_suspended();
    let next_try_at = match status {
        Some(Status::Provisioning) => state.standing().next_try_at(),
        _ => None,
    };
    let submission = state.submission;
    let client = submission.credential.oauth_client();
    let id = |id: fn(&OauthClient) -> Uuid| client.map(|client| id(client).to_string());
    api::AccessRequest {
        id: row.id,
        status: status
            .map(api::AccessRequestStatus::from)
            .unwrap_or_default()
            .into(),
        application_id: submission.application_id.to_string(),
        application_name: row.application_name,
        requester_id: submission.requester_id.to_string(),
        credential: api::CredentialKind::from(submission.credential).into(),
        client_type_id: id(|client| client.client_type_id),
        identity_provider_id: id(|client| client.identity_provider_id),
        items: submission.items.into_iter().map(item).collect(),
        note,
        reason,
        failure,
        account_suspended,
        next_try_at: next_try_at.map(time::to_proto),
        timeline,
        version: version(row.version),
        created_at: time::parse(&row.created_at),
        updated_at: time::parse(&row.updated_at),
    }
}

fn item(item: RequestedItem) -> api::RequestedItem {
    api::RequestedItem {
        product_id: item.product_id.to_string(),
        product_name: item.product_name,
        plan_id: item.plan_id.to_string(),
        plan_name: item.plan_name,
        product_scopes: item.product_scopes,
        plan_scopes: item.plan_scopes,
    }
}

/// A stream's version as an ETag; never negative.
pub(crate) fn version(version: i64) -> u64 {
    u64::try_from(version).unwrap_or_default()
}
