//! How often people are notified of one thing, and when the daily report is due.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::message::{Addressees, DailyReport, DailyReportLine, Keys};
use lowtide_model::name::{AppName, ChannelName, RolloutId, RunId, TargetName};
use lowtide_model::run::Stage;
use sha2::{Digest as _, Sha256};

/// After this many days without a report, one is sent even if nothing happened.
const HEARTBEAT_DAYS: i32 = 7;

/// The failing run that opened an app's incident: the first one after its last success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    pub run: RunId,
    /// Its [`cause`].
    pub cause: String,
}

/// Stable key for the cause of a failed run: stage, kind, and the detail without its numbers and ids. A fault outside
/// the repository that would hit any app (a registry that is down) is one cause for all apps.
#[must_use]
pub fn cause(app: &AppName, stage: Stage, failure: &Failure) -> String {
    let kind = kind_text(failure.kind);
    let detail = fingerprint(&failure.detail);
    if shared(failure.kind) {
        format!("{kind}/{detail}")
    } else {
        format!("{app}/{stage}/{kind}/{detail}")
    }
}

/// Keys of *run failed*: one message per cause while the incident lasts, all of them in one thread. A shared cause (see
/// [`cause`]) is reported once per day (`day`: the local date), however many apps it affects.
#[must_use]
pub fn run_failure_keys(app: &AppName, stage: Stage, failure: &Failure, opened: &Opened, day: Date) -> Keys {
    let cause = cause(app, stage, failure);
    if shared(failure.kind) {
        return alone(format!("shared/{day}/{cause}"));
    }
    let incident = format!("run-failed/{app}/{}", opened.run);
    Keys {
        dedup: format!("{incident}/{cause}"),
        thread: format!("{incident}/{}", opened.cause),
    }
}

/// Stable key for the reason of a refused rollout or a failed promotion; see [`cause`].
#[must_use]
pub fn trouble(failure: &Failure) -> String {
    format!("{}/{}", kind_text(failure.kind), fingerprint(&failure.detail))
}

/// Keys of *rollout refused*: one message per cause until a rollout arrives, all of them in one thread. `first`: the
/// rollout that began it, and its [`trouble`].
#[must_use]
pub fn refusal_keys(first: &(RolloutId, String), failure: &Failure) -> Keys {
    let (rollout, cause) = first;
    let incident = format!("rollout/{rollout}/refused");
    Keys {
        dedup: format!("{incident}/{}", trouble(failure)),
        thread: format!("{incident}/{cause}"),
    }
}

/// Which message of a promotion's trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromotionMessage<'a> {
    Failed(&'a Failure),
    Recovered,
}

/// Keys of *promotion failed* and of its end: one message per cause until the channel has a release, all of them in one
/// thread. `incident`: the channel, since when, and the [`trouble`] that was reported first.
#[must_use]
pub fn promotion_keys(
    app: &AppName,
    (channel, since, first): (&ChannelName, Timestamp, &str),
    what: PromotionMessage<'_>,
) -> Keys {
    let incident = format!("promotion/{app}/{channel}/{}", since.as_millisecond());
    let end = match what {
        PromotionMessage::Failed(failure) => trouble(failure),
        PromotionMessage::Recovered => "recovered".to_owned(),
    };
    Keys {
        dedup: format!("{incident}/{end}"),
        thread: format!("{incident}/{first}"),
    }
}

/// Keys of *runs succeed again*, and whom it concerns. An incident that a shared cause opened has no thread of the app's
/// own; the daily report shows its end.
#[must_use]
pub fn recovered_keys(app: &AppName, opened: &Opened) -> (Keys, Addressees) {
    let incident = format!("run-failed/{app}/{}", opened.run);
    let dedup = format!("{incident}/recovered");
    if opened.cause.starts_with(&format!("{app}/")) {
        let thread = format!("{incident}/{}", opened.cause);
        (Keys { dedup, thread }, Addressees::Maintainers)
    } else {
        (alone(dedup), Addressees::Nobody)
    }
}

/// Keys of *a run proved its commit*. `epoch`: the run that made this news; see [`super::consequences`].
#[must_use]
pub fn passed_keys(app: &AppName, commit: &str, epoch: RunId) -> Keys {
    alone(format!("run-passed/{app}/{commit}/{epoch}"))
}

/// Keys of the records of one run.
#[must_use]
pub fn run_record_keys(run: RunId, what: RunRecord) -> Keys {
    let thread = format!("run/{run}");
    match what {
        RunRecord::Started => alone(thread),
        RunRecord::Ended => Keys {
            dedup: format!("{thread}/ended"),
            thread,
        },
    }
}

/// Which record of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunRecord {
    Started,
    Ended,
}

/// Keys of *no rebuild can mend this*: one message per run that finds something new.
#[must_use]
pub fn unfixable_keys(app: &AppName, run: RunId) -> Keys {
    alone(format!("unfixable/{app}/{run}"))
}

/// Keys of *has waited too long*: one message per target and wait.
#[must_use]
pub fn waits_keys(app: &AppName, target: &TargetName, since: Timestamp) -> Keys {
    alone(format!("waits/{app}/{target}/{}", since.as_second()))
}

/// Keys of a rollout's messages. Each rollout is an incident of its own; a halt and its resume share the thread.
#[must_use]
pub fn rollout_keys(rollout: RolloutId, what: RolloutMessage) -> Keys {
    let thread = format!("rollout/{rollout}");
    match what {
        RolloutMessage::First => alone(thread),
        RolloutMessage::Resumed => Keys {
            dedup: format!("{thread}/resumed"),
            thread,
        },
    }
}

/// Which message of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutMessage {
    /// How it ended: done, refused, or halted.
    First,
    /// The halt it caused was lifted.
    Resumed,
}

/// Keys of *the halt was lifted* where no rollout caused the halt: an operator knows of both.
#[must_use]
pub fn resumed_keys(app: &AppName, halted: Timestamp) -> Keys {
    alone(format!("halt/{app}/{}/resumed", halted.as_millisecond()))
}

/// Keys of *this revision is refused*: one message per revision, however often it is looked at.
#[must_use]
pub fn config_keys(revision: &str) -> Keys {
    alone(format!("config/{revision}"))
}

/// Keys of *this revision is in force*.
#[must_use]
pub fn config_accepted_keys(revision: &str) -> Keys {
    alone(format!("config/{revision}/accepted"))
}

/// Keys of the report of one local day.
#[must_use]
pub fn daily_report_keys(day: Date) -> Keys {
    alone(format!("daily-report/{day}"))
}

/// A message that opens its thread.
fn alone(key: String) -> Keys {
    Keys {
        dedup: key.clone(),
        thread: key,
    }
}

/// The latest scheduled time of the report, if that report is still due. `last`: time of the last report (sent, or
/// skipped because it was empty), or of lowtide's first start. Missed days collapse into one. An unknown zone is read
/// as UTC.
#[must_use]
pub fn daily_report_due(last: Timestamp, now: Timestamp, at: Time, zone: &str) -> Option<Timestamp> {
    let slot = latest(now, at, zone)?;
    (slot > last).then_some(slot)
}

/// Is a report due as a heartbeat, although nothing happened? `last_sent`: when the last report was actually sent.
#[must_use]
pub fn heartbeat_due(last_sent: Timestamp, now: Timestamp, at: Time, zone: &str) -> bool {
    let tz = time_zone(zone);
    let Some(slot) = latest(now, at, zone) else {
        return false;
    };
    // Civil days, so that the change to summer time does not move it by a day.
    let days = |t: Timestamp| t.to_zoned(tz.clone()).date();
    days(slot) >= days(last_sent).saturating_add(Span::new().days(HEARTBEAT_DAYS))
}

/// Does the report contain anything that justifies sending it?
#[must_use]
pub fn has_news(body: &DailyReport) -> bool {
    !body.blind.is_empty()
        || body.apps.iter().flat_map(|app| &app.lines).any(|line| match line {
            // Part of a report, but no reason to send one.
            DailyReportLine::Unchanged { .. } | DailyReportLine::Lacks { .. } => false,
            // Everything runs all the same: one report is sent for it, and it is listed in those that have another reason.
            DailyReportLine::RegistryDrifted { since, .. } => (body.from..body.to).contains(since),
            DailyReportLine::Released { .. }
            | DailyReportLine::Observed { .. }
            | DailyReportLine::Failing { .. }
            | DailyReportLine::RolledOut { .. }
            | DailyReportLine::WentBack { .. }
            | DailyReportLine::Refused { .. }
            | DailyReportLine::Unpromoted { .. }
            | DailyReportLine::Drifted { .. }
            | DailyReportLine::Waiting { .. }
            | DailyReportLine::Halted { .. } => true,
        })
}

/// The latest moment at which the clock in `zone` showed `at`. A time that a DST change skips falls after the gap; of a
/// repeated time the first one counts.
fn latest(now: Timestamp, at: Time, zone: &str) -> Option<Timestamp> {
    let tz = time_zone(zone);
    let today = now.to_zoned(tz.clone()).date();
    [Some(today), today.yesterday().ok()]
        .into_iter()
        .flatten()
        .filter_map(|day| Some(day.to_datetime(at).to_zoned(tz.clone()).ok()?.timestamp()))
        .find(|moment| *moment <= now)
}

fn time_zone(zone: &str) -> TimeZone {
    TimeZone::get(zone).unwrap_or(TimeZone::UTC)
}

/// Would every app that needs the same resource fail in the same way? Only kinds whose detail names that resource.
fn shared(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::RegistryUnreachable
            | FailureKind::RegistryBusy
            | FailureKind::RegistryDenied
            | FailureKind::EngineUnreachable
            | FailureKind::DiskFull
            | FailureKind::MirrorUnreachable
            | FailureKind::SecretMissing
            | FailureKind::LocalTrouble
    )
}

/// The kind as the journal writes it.
fn kind_text(kind: FailureKind) -> String {
    match serde_json::to_value(kind) {
        Ok(serde_json::Value::String(text)) => text,
        // A unit variant always serialises to a string; should that change, the words still distinguish kinds.
        Ok(_) | Err(_) => kind.words().to_owned(),
    }
}

/// Twelve hex digits of the detail's hash. What changes from night to night is left out: numbers, hex ids, ULIDs.
fn fingerprint(detail: &str) -> String {
    let mut normal = String::new();
    for word in detail
        .to_lowercase()
        .split(|c: char| !c.is_alphanumeric())
        .filter(|w| !w.is_empty())
    {
        let has_digit = word.bytes().any(|b| b.is_ascii_digit());
        let id = word.len() >= 7 && has_digit && word.bytes().all(|b| b.is_ascii_hexdigit());
        let ulid = word.len() == 26 && has_digit;
        if id || ulid {
            normal.push('#');
        } else {
            let mut previous = ' ';
            for c in word.chars() {
                let c = if c.is_ascii_digit() { '#' } else { c };
                if c != '#' || previous != '#' {
                    normal.push(c);
                }
                previous = c;
            }
        }
        normal.push(' ');
    }
    let hash = Sha256::digest(normal.as_bytes());
    hash.iter().take(6).map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests;
