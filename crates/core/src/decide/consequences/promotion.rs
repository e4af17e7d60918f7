//! The outcome of a promotion, and who is notified.

use super::Consequences;
use crate::decide::app_state::{ChannelState, Promotion};
use crate::decide::notify::{self, PromotionMessage};
use crate::fleet::app::App;
use crate::fleet::app_state::AppEvent;
use jiff::Timestamp;
use lowtide_model::failure::Failure;
use lowtide_model::message::{Addressees, MessageBody, Unpromoted};

/// The channel has the release. If people were notified of a failure, they are notified of the recovery.
#[must_use]
pub fn promoted(app: &App, promotion: &Promotion, state: &ChannelState, now: Timestamp) -> Consequences {
    let (channel, release) = (&promotion.channel.name, &promotion.release);
    let mut out = Consequences::default();
    out.facts.push(AppEvent::Promoted {
        channel: channel.clone(),
        release: release.run,
    });
    if let Some((failing, first)) = state
        .failing
        .as_deref()
        .and_then(|failing| Some((failing, failing.told.as_ref()?)))
    {
        let incident = (channel, failing.since, first.as_str());
        let keys = notify::promotion_keys(&app.name, incident, PromotionMessage::Recovered);
        let body = MessageBody::Promoted {
            app: app.name.clone(),
            channel: channel.clone(),
            tag: release.tag.clone(),
        };
        out.push_message(keys, Addressees::Operators, body, now);
    }
    out
}

/// The promotion failed. People are notified once per cause, and only if it is not retried automatically.
#[must_use]
pub fn promotion_failed(
    app: &App,
    promotion: &Promotion,
    state: &ChannelState,
    failure: &Failure,
    now: Timestamp,
) -> Consequences {
    let (channel, release) = (&promotion.channel.name, &promotion.release);
    let since = state.failing.as_ref().map_or(now, |failing| failing.since);
    let failed = state.failed(release.run, since, failure, now);
    let mut out = Consequences::default();
    out.facts.push(AppEvent::PromoteFailed {
        channel: channel.clone(),
        release: release.run,
        since,
        failure: failure.clone(),
    });
    if let (None, Some(first)) = (failed.due(), &failed.told) {
        let incident = (channel, since, first.as_str());
        let keys = notify::promotion_keys(&app.name, incident, PromotionMessage::Failed(failure));
        let body = MessageBody::PromotionFailed(Box::new(Unpromoted {
            app: app.name.clone(),
            channel: channel.clone(),
            tag: release.tag.clone(),
            failure: failure.clone(),
        }));
        // Channels belong to the operators, so even a fault of the repository is reported to them.
        out.push_message(keys, Addressees::Operators, body, now);
    }
    out
}
