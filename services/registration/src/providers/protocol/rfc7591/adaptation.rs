//! Retries refused requests with another body that means the same. Providers differ in what they demand and what they mind beyond what RFC 7591 says;
//! a definite refusal made no client and changed none, so another request that means the same may follow it. Each
//! change is tried once.

use serde_json::{Map, Value, json};

use super::{UNUSED_REDIRECT, marked_name};
use crate::providers::client::{Prepared, WantedClient};
use crate::providers::failure::{Disposition, Failure};
use crate::providers::metadata::registration_members;

/// Most names are taken up to this length.
const NAME: usize = 255;

/// A change of the body that changes nothing of what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Adaptation {
    /// The marker in the name, instead of members of its own; it also makes the name unique.
    MarkerInName,
    /// Empty lists instead of none: where `response_types` is absent its default is `code`, which does not fit a
    /// client without the grant type `authorization_code` (RFC 7591 section 2.1).
    EmptyLists,
    /// A redirect URL that leads nowhere.
    UnusedRedirect,
    /// The same, and no word on response types: an empty list of them is refused.
    RedirectAlone,
    /// Nothing but what is wanted, instead of all that the provider said (RFC 7592 section 2.2).
    OnlyWanted,
    /// Without the secret, which some providers take for a choice of it.
    WithoutSecret,
    /// No scope at all instead of an empty one. What the provider gives then is its own choice, and is shown.
    WithoutScope,
}
use Adaptation::{
    EmptyLists, MarkerInName, OnlyWanted, RedirectAlone, UnusedRedirect, WithoutScope,
    WithoutSecret,
};

#[derive(Debug, Default)]
pub(super) struct Adaptations(Vec<Adaptation>);

impl Adaptations {
    /// Another registration request, where one may help.
    pub(super) fn of_registration(
        &mut self,
        prepared: &Prepared,
        failure: &Failure,
    ) -> Option<Prepared> {
        let complaint = Complaint::of(failure)?;
        let redirects = [EmptyLists, UnusedRedirect, RedirectAlone];
        let candidates: &[Adaptation] = match complaint {
            Complaint::Name | Complaint::Member => &[MarkerInName],
            Complaint::Redirect | Complaint::Response => &redirects,
            Complaint::EmptyResponse => &[RedirectAlone],
            Complaint::Scope => &[WithoutScope],
            Complaint::Secret | Complaint::Unclear => return None,
            Complaint::Unsaid => &[
                EmptyLists,
                MarkerInName,
                WithoutScope,
                UnusedRedirect,
                RedirectAlone,
            ],
        };
        let mut adapted = prepared.clone();
        self.first(candidates, |adaptation| match adaptation {
            MarkerInName => marker_in_name(&mut adapted),
            WithoutScope => without_scope(&mut adapted.body, &prepared.wanted),
            other => lists(&mut adapted.body, &prepared.wanted, other),
        })
        .then_some(adapted)
    }

    /// Another body of an update, where one may help. `had_no_scopes`: none were asked for before either.
    pub(super) fn of_update(
        &mut self,
        body: &Map<String, Value>,
        wanted: &WantedClient,
        had_no_scopes: bool,
        failure: &Failure,
    ) -> Option<Map<String, Value>> {
        let complaint = Complaint::of(failure)?;
        let candidates: &[Adaptation] = match complaint {
            Complaint::Secret => &[WithoutSecret],
            Complaint::Name => return None,
            Complaint::Member => &[OnlyWanted, WithoutSecret],
            Complaint::Redirect | Complaint::Response => {
                &[EmptyLists, UnusedRedirect, RedirectAlone, OnlyWanted]
            }
            Complaint::EmptyResponse => &[RedirectAlone, OnlyWanted],
            Complaint::Scope => &[WithoutScope],
            Complaint::Unclear => &[OnlyWanted],
            Complaint::Unsaid => &[OnlyWanted, EmptyLists, WithoutSecret, WithoutScope],
        };
        let mut adapted = body.clone();
        self.first(candidates, |adaptation| match adaptation {
            OnlyWanted => only_wanted(&mut adapted, wanted),
            WithoutSecret => adapted.remove("client_secret").is_some(),
            // Absent may mean as before, so scopes are never taken away like this.
            WithoutScope => had_no_scopes && without_scope(&mut adapted, wanted),
            other => lists(&mut adapted, wanted, other),
        })
        .then_some(adapted)
    }

    /// Takes the first that was not tried and changes something.
    fn first(
        &mut self,
        candidates: &[Adaptation],
        mut apply: impl FnMut(Adaptation) -> bool,
    ) -> bool {
        for adaptation in candidates.iter().copied() {
            if !self.0.contains(&adaptation) {
                self.0.push(adaptation);
                if apply(adaptation) {
                    return true;
                }
            }
        }
        false
    }
}

fn marker_in_name(prepared: &mut Prepared) -> bool {
    let name = Value::from(marked_name(&prepared.wanted, NAME));
    prepared.body.remove("software_id");
    prepared.body.remove("software_version");
    prepared.body.insert("client_name".into(), name.clone()) != Some(name)
}

/// Changes the lists of a client for which nobody wants redirects.
fn lists(body: &mut Map<String, Value>, wanted: &WantedClient, adaptation: Adaptation) -> bool {
    if !wanted.redirect_uris.is_empty() {
        return false;
    }
    let before = body.clone();
    if wanted.response_types.is_empty() && adaptation == RedirectAlone {
        body.remove("response_types");
    } else if wanted.response_types.is_empty() {
        body.insert("response_types".into(), json!([]));
    }
    let redirects = match adaptation {
        UnusedRedirect | RedirectAlone => json!([UNUSED_REDIRECT]),
        _ => json!([]),
    };
    body.insert("redirect_uris".into(), redirects);
    *body != before
}

fn without_scope(body: &mut Map<String, Value>, wanted: &WantedClient) -> bool {
    wanted.scopes.is_empty() && body.remove("scope").is_some()
}

fn only_wanted(body: &mut Map<String, Value>, wanted: &WantedClient) -> bool {
    let names = registration_members(wanted);
    let before = body.len();
    let kept = [
        "client_id",
        "client_secret",
        "redirect_uris",
        "response_types",
    ];
    body.retain(|name, _| names.contains_key(name) || kept.contains(&name.as_str()));
    body.len() != before
}

/// What a refusal is about, as far as its message tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Complaint {
    Name,
    Member,
    Redirect,
    Response,
    EmptyResponse,
    Scope,
    Secret,
    /// It has a message, but about nothing that is known here.
    Unclear,
    Unsaid,
}

impl Complaint {
    /// `None` where nothing that may be left out can be meant.
    fn of(failure: &Failure) -> Option<Self> {
        let words = failure.description.to_lowercase();
        let has = |some: &[&str]| some.iter().any(|word| words.contains(word));
        let status = failure.status?;
        // Ory Hydra refuses a secret in an update with 403.
        if status == 403 && has(&["secret"]) {
            return Some(Self::Secret);
        }
        if failure.outcome_unknown
            || !matches!(status, 400 | 409 | 422)
            || failure.disposition == Disposition::Unmanageable
        {
            return None;
        }
        let complaint = if failure.code == "scope_unknown_at_provider" {
            Self::Scope
        } else if has(&["already", "duplicate", "unique"]) || status == 409 {
            Self::Name
        } else if has(&["software"]) {
            Self::Member
        } else if has(&["client_secret", "client secret"]) {
            Self::Secret
        } else if has(&["response_types", "response types"]) && has(&["empty"]) {
            Self::EmptyResponse
        } else if has(&["redirect"]) || failure.code == "invalid_redirect_uri" {
            Self::Redirect
        } else if has(&["response_type", "response type", "authorization_code"]) {
            Self::Response
        } else if has(&[
            "unknown",
            "unrecogni",
            "unexpected",
            "unsupported",
            "not supported",
            "not allowed",
            "must not",
            "additional",
            "read-only",
            "read only",
        ]) {
            Self::Member
        } else if has(&["scope"]) {
            Self::Scope
        } else if failure.says_nothing() {
            Self::Unsaid
        } else {
            Self::Unclear
        };
        Some(complaint)
    }
}
