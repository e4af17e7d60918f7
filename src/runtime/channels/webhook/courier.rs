//! Posts each message to the webhook's receiver.

use super::payload::{Payload, payload, ping};
use super::request::{Key, headers};
use crate::clients::http::{Root, retry_after};
use crate::clients::{clock, secrets, tls};
use crate::runtime::channels::courier::{Courier, Delivering, Undelivered};
use crate::runtime::connectivity::Reached;
use crate::store::error::StoreError;
use jiff::{SignedDuration, Timestamp};
use lowtide_core::channels::webhook::policy::WebhookPolicy;
use lowtide_core::channels::webhook::route::Receiver;
use lowtide_core::fleet::app::Fleet;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Client, StatusCode, redirect};
use std::time::Duration;

const CONNECT: Duration = Duration::from_secs(10);
/// The specification advises 15 to 30 s.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// A receiver cannot silence us for longer.
const LONGEST_SILENCE: SignedDuration = SignedDuration::from_hours(24);

/// What makes the requests.
pub(crate) struct Sender {
    http: Client,
    url: String,
    key: Key,
}

impl Courier for WebhookPolicy {
    type Client = Sender;
    /// A receiver that keeps state must not see a halt after its end.
    const IN_ORDER: bool = true;

    fn connect(&self) -> Result<Sender, Undelivered> {
        connect(self).map_err(|error| Undelivered::Later {
            error,
            everywhere: true,
        })
    }

    async fn deliver(
        &self,
        sender: &Sender,
        of: &Delivering<'_, Receiver>,
    ) -> Result<Result<(), Undelivered>, StoreError> {
        let notice = &of.pending.notice;
        let payload = payload(notice, of.address, of.sender);
        Ok(post(sender, &of.sender.instance, &notice.keys.dedup, &payload).await)
    }

    async fn check(&self, _fleet: &Fleet, _mail_to: Option<&str>) -> Vec<Reached> {
        vec![Reached {
            what: "webhook".to_owned(),
            result: pinged(self).await,
        }]
    }
}

fn connect(policy: &WebhookPolicy) -> Result<Sender, String> {
    let secret = secrets::read(&policy.secret).map_err(|failure| failure.detail)?;
    let key = Key::read(secret.expose()).ok_or_else(|| {
        let place = &policy.secret;
        format!("{place} is no key: it has to be `whsec_` and 24 to 64 bytes in Base64")
    })?;
    let http = Client::builder()
        .tls_backend_preconfigured(tls::client())
        .connect_timeout(CONNECT)
        .timeout(RESPONSE_TIMEOUT)
        // By the specification a redirect is a failure: what is signed goes where the configuration says.
        .redirect(redirect::Policy::none())
        .user_agent(concat!("lowtide/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Root::of(&error).to_string())?;
    Ok(Sender {
        http,
        url: policy.url.clone(),
        key,
    })
}

async fn pinged(policy: &WebhookPolicy) -> Result<String, String> {
    let sender = connect(policy)?;
    let now = clock::now();
    match post(&sender, "check", &format!("ping/{now}"), &ping("check", now)).await {
        Ok(()) => Ok("the receiver takes a signed ping".to_owned()),
        Err(Undelivered::Later { error, .. } | Undelivered::Silence { error, .. } | Undelivered::Never { error }) => {
            Err(error)
        }
    }
}

async fn post(sender: &Sender, instance: &str, of: &str, payload: &Payload) -> Result<(), Undelivered> {
    let later = |error: String, everywhere: bool| Undelivered::Later { error, everywhere };
    let body = serde_json::to_string(payload).map_err(|error| Undelivered::Never {
        error: error.to_string(),
    })?;
    let signed = headers(&sender.key, instance, of, &body, clock::now());
    let request = sender
        .http
        .post(&sender.url)
        .header(CONTENT_TYPE, "application/json")
        .header("webhook-id", signed.id)
        .header("webhook-timestamp", signed.timestamp)
        .header("webhook-signature", signed.signature)
        .body(body);
    // The URL may hold a token of the receiver's, so no error repeats it.
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => {
            return Err(later(
                format!("the receiver does not answer: {}", Root::of(&error)),
                true,
            ));
        }
    };
    let status = response.status();
    let refused = format!("the receiver answers {status}");
    if status.is_success() {
        return Ok(());
    }
    match status {
        // It says that it wants no more of them.
        StatusCode::GONE => Err(Undelivered::Never { error: refused }),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Err(Undelivered::Silence {
            error: refused,
            until: silent_until(response.headers(), clock::now()),
        }),
        // Whatever else it says, its operator may mend it; the message is as good as any.
        _ => Err(later(refused, false)),
    }
}

/// When it wants the next one; `None`: it does not say.
fn silent_until(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    Some(retry_after(headers, now)?.min(now.checked_add(LONGEST_SILENCE).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::RETRY_AFTER;

    #[test]
    fn a_busy_receiver_is_left_alone_for_at_most_a_day() {
        let now: Timestamp = "2026-11-23T05:12:00Z".parse().unwrap();
        let until = |text: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            silent_until(&headers, now).map(|until| until.to_string())
        };
        assert_eq!(until("90").as_deref(), Some("2026-11-23T05:13:30Z"));
        assert_eq!(until("4294967295").as_deref(), Some("2026-11-24T05:12:00Z"));
        assert_eq!(until("soon"), None);
    }
}
