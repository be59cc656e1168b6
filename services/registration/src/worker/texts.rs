//! What people wrote of an application: asked of access-request whenever it is sent, and never stored. What a provider
//! repeats of it is in the vault under the application, whose owner may be erased.

use std::collections::BTreeSet;
use std::time::Duration;

use portico_proto::Error;
use portico_proto::access::v1::GetApplicationProfileRequest;
use portico_proto::access::v1::access_service_client::AccessServiceClient;
use portico_runtime::config::Retry;
use portico_runtime::outgoing::KnownSecrets;
use portico_runtime::{Caller, ServiceName, service_unavailable};
use portico_vault::{Changes, Owner, Secret};
use url::{Host, Url};
use uuid::Uuid;

use super::{Job, WorkError, Worker};
use crate::client_metadata::{Echo, Profile, WantedClient};
use crate::oauth_client::{
    APPLICATION_OWNER, Answered, Command, FailedAttempt, FailureCommand, Problem,
};
use crate::providers::{Failure, KnownClient};

/// The pause before access-request is asked again is that before so many tries.
const WAITS: u32 = 4;
/// For one question.
const TIMEOUT: Duration = Duration::from_secs(10);

impl Worker {
    /// Name and redirect URLs as a version of the application has them. `None` where access-request does not tell: that was
    /// recorded, and it is asked again, however long that takes.
    pub(super) async fn texts(
        &self,
        job: &Job,
        profile: Uuid,
    ) -> Result<Option<Profile>, WorkError> {
        match self.texts_of(job.state.application_id, profile).await {
            Ok(profile) => Ok(Some(profile)),
            Err(error) => {
                let reason = format!(
                    "the name and the redirect URLs of the application cannot be had of access-request: {error}"
                );
                self.wait(job, "application_not_told", reason).await?;
                Ok(None)
            }
        }
    }

    /// As [`Worker::texts`], for what is to be made anew: nothing is, of what is erased. The news that nobody wants it any
    /// more is on its way.
    pub(super) async fn living_texts(
        &self,
        job: &Job,
        profile: Uuid,
    ) -> Result<Option<Profile>, WorkError> {
        let texts = self.texts(job, profile).await?;
        if texts.as_ref().is_some_and(|texts| texts.erased) {
            let reason = "the account of the application's owner was erased".to_owned();
            self.wait(job, "application_erased", reason).await?;
            return Ok(None);
        }
        Ok(texts)
    }

    /// Has the client wait for another service; that is no failed attempt of its provider's.
    async fn wait(&self, job: &Job, code: &str, reason: String) -> Result<(), WorkError> {
        tracing::warn!(oauth_client_id = %job.id, code, reason, "waiting for access-request");
        // It is not known how often before, and each time is an event for each request.
        let pause = self.deps.config.retry.pause(WAITS, rand::random());
        let command = FailureCommand::Delay {
            failed: FailedAttempt {
                problem: Problem {
                    code: code.to_owned(),
                    reason,
                },
                attempt_over: false,
            },
            next_try_at: Retry::after(self.deps.clock.now(), pause),
            counted: false,
        };
        self.record(job, &Command::Failure(command)).await.map(drop)
    }

    pub(super) async fn texts_of(
        &self,
        application: Uuid,
        profile: Uuid,
    ) -> Result<Profile, Error> {
        let service = ServiceName::AccessRequest;
        let mut access = AccessServiceClient::new(self.deps.channels.to(service));
        let message = GetApplicationProfileRequest {
            application_id: application.to_string(),
            profile_id: profile.to_string(),
        };
        let caller = Caller::service(ServiceName::Registration.as_str());
        let request = self.deps.identity.request(&caller, message);
        let asked = access.get_application_profile(request);
        let told = tokio::time::timeout(TIMEOUT, asked).await;
        let told = told
            .map_err(|_| service_unavailable(service))??
            .into_inner();
        Ok(Profile {
            name: told.name,
            redirect_urls: told.redirect_urls,
            erased: told.erased,
        })
    }

    /// An answer with what the provider repeated of what people wrote, and the redirect URLs in force.
    pub(crate) async fn whole(
        &self,
        application: Uuid,
        answer: &Answered,
    ) -> Result<(Answered, Vec<String>), WorkError> {
        let mut whole = answer.clone();
        let Some(echo_ref) = answer.echo_ref else {
            return Ok((whole, Vec::new()));
        };
        // Erased, perhaps.
        let Some(kept) = self.vault.get(&owner(application), &echo_ref).await? else {
            return Ok((whole, Vec::new()));
        };
        let echo: Echo = serde_json::from_str(kept.expose())
            .map_err(|_| WorkError::Other("a provider's echo cannot be read".to_owned()))?;
        echo.put_back(&mut whole.granted, &mut whole.differences);
        Ok((whole, echo.redirect_urls))
    }

    /// Takes what is personal out of an answer into the vault; of an erased application it is not kept.
    pub(super) fn keep_echo(
        job: &Job,
        sent: &WantedClient,
        answer: &mut Answered,
        changes: &mut Changes,
    ) -> Result<(), WorkError> {
        let echo = Echo::taken_from(sent, &mut answer.granted, &mut answer.differences);
        if job.state.application.erased || sent.erased || echo == Echo::default() {
            return Ok(());
        }
        let text = serde_json::to_string(&echo)
            .map_err(|_| WorkError::Other("a provider's echo cannot be written".to_owned()))?;
        let owner = owner(job.state.application_id);
        answer.echo_ref = Some(changes.put(&owner, &Secret::new(text)));
        Ok(())
    }

    /// Erases what providers repeated of what people wrote of an application.
    pub(super) async fn forget_texts(&self, application: Uuid) -> Result<(), WorkError> {
        Ok(self.vault.erase(&owner(application)).await?)
    }
}

/// A failure, which is stored and told to others, without what people wrote: providers quote what they refuse. Once that is
/// erased it cannot be recognized any more, so nothing of what the provider says is kept.
pub(super) fn impersonal(mut failure: Failure, sent: &WantedClient) -> Failure {
    if sent.erased {
        return wordless(failure);
    }
    let urls = sent.redirect_uris.iter().map(String::as_str);
    let hosts = sent.redirect_uris.iter().filter_map(|url| host(url));
    // Often they are one; too many values hide everything.
    let hosts: BTreeSet<String> = hosts.collect();
    let hosts = hosts.iter().map(String::as_str);
    let texts = KnownSecrets::new(urls.chain(hosts).chain([sent.name.as_str()]));
    failure.description = texts.hidden_in(&failure.description);
    failure.unread = failure.unread.map(|unread| texts.hidden_in(&unread));
    failure
}

/// As [`impersonal`]; a provider may also quote what it was told before, which is known by its echo. Without that, and
/// without `sent`, the failure keeps its code and status alone.
pub(super) fn unquoted(
    failure: Failure,
    known: &KnownClient,
    sent: Option<&WantedClient>,
) -> Failure {
    let before = known.granted.text("client_name").map(|name| WantedClient {
        name: name.to_owned(),
        redirect_uris: known
            .granted
            .list("redirect_uris")
            .unwrap_or_default()
            .into_iter()
            .collect(),
        ..WantedClient::default()
    });
    if before.is_none() && sent.is_none() {
        return wordless(failure);
    }
    before.iter().chain(sent).fold(failure, impersonal)
}

/// A failure that does not come from an answer is in our own words.
fn wordless(mut failure: Failure) -> Failure {
    let Some(status) = failure.status else {
        return failure;
    };
    failure.description = format!(
        "the provider answered status {status}; its message is not kept, because it could quote texts that are erased"
    );
    failure.unread = failure.unread.map(|_| failure.description.clone());
    failure
}

/// The host of a redirect URL, where it tells whose it is.
fn host(url: &str) -> Option<String> {
    match Url::parse(url).ok()?.host()? {
        Host::Domain(name) if name != "localhost" => Some(name.to_owned()),
        Host::Domain(_) | Host::Ipv4(_) | Host::Ipv6(_) => None,
    }
}

fn owner(application: Uuid) -> Owner {
    Owner::new(APPLICATION_OWNER, application)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_failure_quotes_nobody() {
        let sent = WantedClient {
            name: "Annas Wetter".into(),
            redirect_uris: vec![
                "https://anna.example/cb?a=b".into(),
                "http://localhost:8/".into(),
            ],
            ..WantedClient::default()
        };
        let words = "the redirect URI 'https:\\/\\/anna.example\\/cb?a=b' of \"Annas Wetter\" is not allowed: \
                     anna.example is no host of ours, localhost is none";
        let mut failure = Failure::fail("invalid_redirect_uri", words);
        failure.unread = Some("client_name=Annas%20Wetter".into());
        let failure = impersonal(failure, &sent);
        assert_eq!(
            failure.description,
            "the redirect URI '[redacted]' of \"[redacted]\" is not allowed: [redacted] is no host of ours, \
             localhost is none"
        );
        assert_eq!(failure.unread.as_deref(), Some("client_name=[redacted]"));
    }

    /// A provider goes on to quote what it was told when nobody here knows it any more.
    #[test]
    fn what_is_erased_is_quoted_by_no_failure() {
        let mut failure = Failure::fail("server_error", "cannot delete Annas Wetter");
        failure.status = Some(500);
        failure.unread = Some("Annas Wetter".into());
        let erased = WantedClient {
            name: "(erased)".into(),
            erased: true,
            ..WantedClient::default()
        };
        let mut known = KnownClient::default();
        for kept in [
            impersonal(failure.clone(), &erased),
            unquoted(failure.clone(), &known, Some(&erased)),
            unquoted(failure.clone(), &known, None),
        ] {
            assert_eq!(
                (kept.code.as_str(), kept.status),
                ("server_error", Some(500))
            );
            assert!(!format!("{kept:?}").contains("Anna"), "{kept:?}");
        }
        // After a change of the name an answer may quote either.
        let granted = serde_json::json!({"client_name": "Annas Wetter"});
        known.granted =
            crate::client_metadata::Metadata::from_answer(granted.as_object().unwrap().clone());
        let renamed = WantedClient {
            name: "Regen".into(),
            ..WantedClient::default()
        };
        failure.description = "Annas Wetter cannot be Regen".into();
        let kept = unquoted(failure, &known, Some(&renamed));
        assert_eq!(kept.description, "[redacted] cannot be [redacted]");
        let own = Failure::fail("provider_unreachable", "cannot connect: connection refused");
        assert_eq!(impersonal(own.clone(), &erased), own);
    }
}
