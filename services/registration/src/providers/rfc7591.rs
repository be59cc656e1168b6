//! Plain RFC 7591 (registration) and RFC 7592 (management): bodies, answers, and
//! the calls, without any provider's quirks but with patience for all of them.

use http::Method;
use portico_vault::Secret;
use serde_json::{Map, Value};
use url::Url;

use super::client::{Deleted, KnownClient, Prepared, REDACTED, RegisteredClient, WantedClient};
use super::discovery::Endpoints;
use super::failure::{Bearer, Disposition, Failure, refusal};
use super::metadata::{Metadata, registration_members};
use super::session::{Authorization, Body, Call, RawAnswer, Session, Step};

/// The registration request (RFC 7591 section 3.1). The marker goes into
/// `software_id` and `software_version`, which an operator can look for.
pub(crate) fn prepare(endpoints: &Endpoints, wanted: &WantedClient) -> Prepared {
    let mut body = registration_members(wanted);
    body.insert("software_id".into(), wanted.marker.id.clone().into());
    body.insert(
        "software_version".into(),
        wanted.marker.attempt.to_string().into(),
    );
    Prepared {
        endpoint: endpoints.registration_endpoint.clone(),
        wanted: wanted.clone(),
        chosen: None,
        body,
    }
}

/// Where and with which token the client is managed.
///
/// # Errors
/// [`Disposition::Unmanageable`], where the provider gave the one or the other not.
pub(crate) fn management(client: &KnownClient) -> Result<(&Url, &Secret), Failure> {
    match (
        &client.registration_client_uri,
        &client.registration_access_token,
    ) {
        (Some(uri), Some(token)) => Ok((uri, token)),
        _ => Err(Failure::unmanageable(
            "the provider gave no usable registration_client_uri and registration_access_token \
             (RFC 7592) for this client",
        )),
    }
}

/// The body of an update (RFC 7592 section 2.2): everything that the provider
/// returned, with what is wanted on top. The secret is not in it.
pub(crate) fn update_body(client: &KnownClient, wanted: &WantedClient) -> Map<String, Value> {
    let mut body = client.granted.for_update();
    for member in ["response_types", "redirect_uris"] {
        body.remove(member);
    }
    body.extend(registration_members(wanted));
    body.insert("client_id".into(), client.client_id.clone().into());
    body
}

/// The body of an update as an admin may see it.
pub(crate) fn redacted_update_body(client: &KnownClient, wanted: &WantedClient) -> Value {
    let mut body = update_body(client, wanted);
    if client.client_secret.is_some() {
        body.insert("client_secret".into(), REDACTED.into());
    }
    Value::Object(body)
}

/// Reads an answer to a registration, a read or an update (RFC 7591 section
/// 3.2.1). Status 200 is as good as 201. The secret in the answer to a read is
/// ignored: some providers answer with a hash or with asterisks.
pub(crate) fn parse(
    endpoints: &Endpoints,
    answer: &RawAnswer,
) -> Result<RegisteredClient, Failure> {
    if !answer.is_success() {
        let bearer = match answer.step {
            Step::Register => Bearer::Initial,
            _ => Bearer::Registration,
        };
        return Err(refusal(answer, bearer));
    }
    let Some(Value::Object(members)) = answer.json() else {
        return Err(invalid_answer(answer, "its body is no JSON object"));
    };
    let text = |member: &str| {
        let text = members.get(member)?.as_str()?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    let Some(client_id) = text("client_id") else {
        return Err(invalid_answer(answer, "it has no client_id"));
    };
    let secret = text("client_secret").filter(|secret| !is_masked(secret));
    let (uri, warning) = client_uri(endpoints, text("registration_client_uri"));
    let expires = members
        .get("client_secret_expires_at")
        .and_then(Value::as_u64);
    Ok(RegisteredClient {
        client_id,
        client_secret: secret
            .filter(|_| answer.step != Step::Read)
            .map(Secret::new),
        registration_access_token: text("registration_access_token").map(Secret::new),
        registration_client_uri: uri,
        client_secret_expires_at: expires.unwrap_or(0),
        granted: Metadata::from_answer(members),
        warnings: warning.into_iter().collect(),
    })
}

pub(crate) fn is_masked(secret: &str) -> bool {
    secret.chars().all(|c| c == '*')
}

/// A success that cannot be used. A client may exist because of it.
pub(crate) fn invalid_answer(answer: &RawAnswer, why: &str) -> Failure {
    let mut failure = Failure::new(
        Disposition::Fail,
        "provider_answer_invalid",
        format!("the provider answered status {}, but {why}", answer.status),
    );
    failure.status = Some(answer.status);
    failure.unknown_outcome()
}

/// The management URL, if a token may be sent there.
fn client_uri(endpoints: &Endpoints, text: Option<String>) -> (Option<Url>, Option<String>) {
    let Some(text) = text else {
        return (None, None);
    };
    match Url::parse(&text) {
        Ok(url) if endpoints.trusts(&url) => (Some(url), None),
        Ok(url) => {
            let origin = url.origin().ascii_serialization();
            let warning = format!(
                "registration_client_uri is at {origin}, not at the issuer's origin: no token is \
                 sent there, so the client cannot be managed"
            );
            (None, Some(warning))
        }
        Err(_) => (
            None,
            Some("registration_client_uri is no URL: the client cannot be managed".into()),
        ),
    }
}

/// A registration. A provider that takes no member it does not know may refuse the marker's; such a refusal made no
/// client, so the request is sent once more with the marker in the client's name instead.
pub(crate) async fn register(
    session: &Session<'_>,
    prepared: &Prepared,
    authorization: Authorization<'_>,
) -> Result<RegisteredClient, Failure> {
    let refused = match register_once(session, prepared, authorization).await {
        Err(failure) if may_mind_the_marker(&failure) => failure,
        outcome => return outcome,
    };
    let Some(bare) = with_marker_in_name(prepared) else {
        return Err(refused);
    };
    match register_once(session, &bare, authorization).await {
        // A token for one use may be used up by the refusal, whose words say more.
        Err(failure) if failure.disposition == Disposition::PauseProvider => Err(refused),
        outcome => outcome,
    }
}

async fn register_once(
    session: &Session<'_>,
    prepared: &Prepared,
    authorization: Authorization<'_>,
) -> Result<RegisteredClient, Failure> {
    let answer = session
        .call(Call {
            step: Step::Register,
            method: Method::POST,
            url: &prepared.endpoint,
            authorization,
            body: Body::Json(Value::Object(prepared.body.clone())),
        })
        .await?;
    if answer.is_success() {
        return parse(session.endpoints, &answer);
    }
    let mut failure = refusal(&answer, authorization.bearer());
    if failure.disposition == Disposition::Unmanageable {
        failure.disposition = Disposition::PauseProvider;
    }
    Err(failure)
}

/// Whether a refusal may be about `software_id`, and not about something that is wanted.
fn may_mind_the_marker(failure: &Failure) -> bool {
    let definite = failure.disposition == Disposition::Fail && !failure.outcome_unknown;
    let specific = matches!(
        failure.code.as_str(),
        "invalid_redirect_uri" | "scope_unknown_at_provider"
    );
    if !definite || specific || !matches!(failure.status, Some(400 | 422)) {
        return false;
    }
    let words = failure.description.to_lowercase();
    let of_members = [
        "unknown",
        "unrecogni",
        "unexpected",
        "unsupported",
        "not allowed",
        "additional",
    ];
    words.contains("software") || of_members.iter().any(|word| words.contains(word))
}

fn with_marker_in_name(prepared: &Prepared) -> Option<Prepared> {
    let mut bare = prepared.clone();
    bare.body.remove("software_id")?;
    bare.body.remove("software_version");
    let name = format!(
        "{} [{}]",
        prepared.wanted.client_name(),
        prepared.wanted.marker
    );
    bare.body.insert("client_name".into(), name.into());
    Some(bare)
}

/// Reads the client (RFC 7592 section 2.1).
pub(crate) async fn read(
    session: &Session<'_>,
    client: &KnownClient,
) -> Result<RegisteredClient, Failure> {
    let answer = managed(session, client, Step::Read, Method::GET, Body::None).await?;
    understood(session, client, &answer).await
}

/// Updates the client (RFC 7592 section 2.2).
pub(crate) async fn update(
    session: &Session<'_>,
    client: &KnownClient,
    wanted: &WantedClient,
) -> Result<RegisteredClient, Failure> {
    let mut body = update_body(client, wanted);
    if let Some(secret) = &client.client_secret {
        body.insert("client_secret".into(), secret.expose().into());
    }
    let body = Body::Json(Value::Object(body));
    let answer = managed(session, client, Step::Update, Method::PUT, body).await?;
    understood(session, client, &answer).await
}

/// Deletes the client (RFC 7592 section 2.3).
pub(crate) async fn delete(
    session: &Session<'_>,
    client: &KnownClient,
) -> Result<Deleted, Failure> {
    let answer = managed(session, client, Step::Other, Method::DELETE, Body::None).await?;
    match answer.status {
        200..=299 => Ok(Deleted::Deleted),
        404 | 410 => Ok(Deleted::AlreadyGone),
        // Already gone, or not allowed?
        401 | 403 if still_there(session, client).await? == Some(false) => Ok(Deleted::AlreadyGone),
        _ => Err(refusal(&answer, Bearer::Registration)),
    }
}

async fn managed(
    session: &Session<'_>,
    client: &KnownClient,
    step: Step,
    method: Method,
    body: Body,
) -> Result<RawAnswer, Failure> {
    let (url, token) = management(client)?;
    session
        .call(Call {
            step,
            method,
            url,
            authorization: Authorization::Bearer(Bearer::Registration, token),
            body,
        })
        .await
}

async fn understood(
    session: &Session<'_>,
    client: &KnownClient,
    answer: &RawAnswer,
) -> Result<RegisteredClient, Failure> {
    if answer.status == 401 && still_there(session, client).await? == Some(false) {
        return Err(
            refusal(answer, Bearer::Registration).with(Disposition::Gone, "client_not_at_provider")
        );
    }
    let registered = parse(session.endpoints, answer)?;
    if registered.client_id == client.client_id {
        Ok(registered)
    } else {
        Err(invalid_answer(answer, "it is about another client"))
    }
}

/// Whether the client's own credentials are known to the token endpoint; `None`
/// where that cannot be told.
async fn still_there(session: &Session<'_>, client: &KnownClient) -> Result<Option<bool>, Failure> {
    let Some(secret) = &client.client_secret else {
        return Ok(None);
    };
    let post = match client.granted.text("token_endpoint_auth_method") {
        None | Some("client_secret_basic") => false,
        Some("client_secret_post") => true,
        Some(_) => return Ok(None),
    };
    let answer = session
        .token_request(&client.client_id, secret, post)
        .await?;
    let error = answer
        .json()
        .and_then(|body| Some(body.get("error")?.as_str()?.to_owned()));
    Ok(match (answer.status, error.as_deref()) {
        (200..=299, _) => Some(true),
        (_, Some("invalid_client")) => Some(false),
        (400..=499, Some("unauthorized_client" | "invalid_scope" | "invalid_target")) => Some(true),
        _ => None,
    })
}
