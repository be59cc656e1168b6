//! Checkout. Nothing is stored where anything does not fit.
//!
//! A new application and the request are two streams: the application first, the request next, in one commit where
//! nothing comes between, the cart last. Every id comes from the call, so a call repeated with its `Idempotency-Key` after a crash finds what
//! was done and completes the rest. Without a repetition what stays is an application without a request, which its
//! owner sees and can use, or a cart that still holds what was requested.

use portico_eventstore::{ExecuteError, Outcome, StoreError};
use portico_proto::{
    Error,
    access::v1::{self as api, submit_access_request_request::Target},
};
use portico_runtime::{Call, Problems, store_error, texts};
use tonic::Request;
use uuid::Uuid;

use super::{
    Grpc, answer,
    applications::{self, profile},
    checkout::{self, Order},
    requests::visible,
};
use crate::{
    access_request::{AccessRequest, Command, Submission, request},
    application::{Application, Profile, Visibility},
    cart::{self, Cart},
    views::{refused, rule},
};

/// Whom the request is for.
enum For {
    Existing(Uuid, Application),
    New(Uuid, Profile, Visibility),
}

impl For {
    fn id(&self) -> Uuid {
        match self {
            Self::Existing(id, _) | Self::New(id, ..) => *id,
        }
    }

    fn has_redirect_urls(&self) -> bool {
        match self {
            Self::Existing(_, application) => application
                .profile
                .is_some_and(|kept| kept.has_redirect_urls),
            Self::New(_, profile, _) => !profile.redirect_urls.is_empty(),
        }
    }
}

/// For everybody signed in, with an application of their own.
pub(super) async fn submit_access_request(
    grpc: &Grpc,
    request: Request<api::SubmitAccessRequestRequest>,
) -> Result<api::AccessRequest, Error> {
    let call = grpc.call(&request, "submit_access_request")?;
    let (user, _) = call.caller.require_user()?;
    let given = request.get_ref();
    let id = call.new_id("access_request", &grpc.deps.clock);
    let submission = match submitted_before(grpc, &call, id).await? {
        Some(submission) => submission,
        None => submit(grpc, &call, user, id, given).await?,
    };
    empty_cart(grpc, &call, user, &submission).await;
    if submission.auto_approve {
        let context = call.context.step("auto_approve");
        // What fails here is tried again when the submission comes over the bus.
        if let Err(error) = grpc.approvals.automatically(id, &context, None).await {
            tracing::warn!(request_id = %id, code = %error.code, "request {id} not approved yet");
        }
    }
    let row = visible(grpc, &call.caller, id).await?;
    answer::access_request(&grpc.notes, row).await
}

/// The submission of an earlier call with the same key. It is looked for before anything is checked, since what
/// was fitting then need not be so now.
async fn submitted_before(grpc: &Grpc, call: &Call, id: Uuid) -> Result<Option<Submission>, Error> {
    if !call.may_be_repeated() {
        return Ok(None);
    }
    let loaded = grpc
        .store
        .load::<AccessRequest>(id)
        .await
        .map_err(store_error)?;
    if loaded.version == 0 {
        return Ok(None);
    }
    // The store recognises the repetition, or says that the key was used for another request.
    let command = Command::Request(request::Command::Submit(loaded.state.submission));
    let outcome: Outcome<AccessRequest> = grpc
        .store
        .execute(id, &command, &call.context)
        .await
        .map_err(refused)?;
    Ok(Some(outcome.state.submission))
}

async fn submit(
    grpc: &Grpc,
    call: &Call,
    user: Uuid,
    id: Uuid,
    given: &api::SubmitAccessRequestRequest,
) -> Result<Submission, Error> {
    let mut problems = Problems::default();
    let note = texts::description(&mut problems, "note", &given.note);
    let target = target(grpc, call, user, given, &mut problems).await?;
    let order = checkout::check(
        &grpc.neighbours,
        &call.caller,
        &given.items,
        given.client_type_id(),
        &mut problems,
    )
    .await?;
    if let (Some(target), Some(order)) = (&target, &order) {
        check_redirect_urls(target, order, &mut problems);
    }
    problems.into_result()?;
    let (Some(target), Some(order)) = (target, order) else {
        tracing::error!("checkout found no problem and no order");
        return Err(Error::internal());
    };
    // Its application may be refused, as another call's with the same key. So it comes first, before anything is kept.
    let may_be_repeated = call.may_be_repeated();
    if may_be_repeated {
        create(grpc, call, user, &target).await?;
    }
    let note = grpc.notes.keep(id, &call.context, &note).await?;
    let command = request::Command::Submit(Submission {
        requester_id: user,
        application_id: target.id(),
        credential: order.credential,
        items: order.items,
        auto_approve: order.auto_approve,
        note,
    });
    let command = Command::Request(command);
    let submit = || {
        grpc.store
            .execute::<AccessRequest>(id, &command, &call.context)
    };
    // Otherwise together, so that one transaction takes both, in this order. Where the application had to wait for its
    // turn, the request came first and was refused.
    let (created, mut outcome) = match may_be_repeated {
        true => (Ok(()), submit().await),
        false => futures::join!(create(grpc, call, user, &target), submit()),
    };
    if created.is_ok()
        && let Err(ExecuteError::Store(StoreError::Refused(rule::APPLICATION_GONE))) = outcome
    {
        outcome = submit().await;
    }
    grpc.notes.settle(note, &outcome).await;
    created?;
    Ok(outcome.map_err(refused)?.state.submission)
}

/// The application that the request names, or the one that it brings. Somebody else's is not found.
async fn target(
    grpc: &Grpc,
    call: &Call,
    user: Uuid,
    given: &api::SubmitAccessRequestRequest,
    problems: &mut Problems,
) -> Result<Option<For>, Error> {
    match &given.target {
        Some(Target::ApplicationId(text)) if !text.is_empty() => {
            let id = portico_runtime::parse_id("application_id", text)?;
            let loaded = grpc
                .store
                .load::<Application>(id)
                .await
                .map_err(store_error)?;
            if !loaded.state.is_usable_by(user) {
                return Err(Error::not_found("application"));
            }
            if loaded.state.suspended {
                problems.add(
                    "application_id",
                    "application_suspended",
                    "This application is suspended by an admin; it can ask for access when it is resumed.",
                );
            }
            Ok(Some(For::Existing(id, loaded.state)))
        }
        Some(Target::Application(application)) => {
            let id = call.new_id("application", &grpc.deps.clock);
            let (profile, visibility) =
                profile(problems, "application.", application, Visibility::Personal);
            Ok(Some(For::New(id, profile, visibility)))
        }
        Some(Target::ApplicationId(_)) | None => {
            problems.add(
                "application_id",
                "application_missing",
                "`application_id` must be given, or a new application.",
            );
            Ok(None)
        }
    }
}

fn check_redirect_urls(target: &For, order: &Order, problems: &mut Problems) {
    let client = order.credential.oauth_client();
    let needed = client.is_some_and(|client| client.needs_redirect_urls);
    if !needed || target.has_redirect_urls() {
        return;
    }
    let field = match target {
        For::Existing(..) => "application_id",
        For::New(..) => "application.redirect_urls",
    };
    problems.add(
        field,
        "redirect_urls_missing",
        "The application must have at least one redirect URL for this client type.",
    );
}

async fn create(grpc: &Grpc, call: &Call, user: Uuid, target: &For) -> Result<(), Error> {
    let For::New(id, profile, visibility) = target else {
        return Ok(());
    };
    let context = call.context.step("application");
    applications::create(grpc, user, *id, (profile, *visibility), &context).await
}

/// The request stands whether or not this succeeds.
async fn empty_cart(grpc: &Grpc, call: &Call, user: Uuid, submission: &Submission) {
    let product_ids = submission.items.iter().map(|item| item.product_id);
    let command = cart::Command::CheckOut {
        product_ids: product_ids.collect(),
    };
    let context = call.context.step("cart");
    if let Err(error) = grpc.store.execute::<Cart>(user, &command, &context).await {
        tracing::warn!(%error, "requested products stay in the cart");
    }
}
