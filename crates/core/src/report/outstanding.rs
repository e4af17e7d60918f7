//! Good releases that are not where they should be: refused rollouts, failed promotions, targets that were changed.

use super::page::{Block, Page, Rendered, Section, Tone};
use super::quantity;
use super::words::{self, counted};
use super::{clean, live};
use jiff::Timestamp;
use lowtide_model::drift::Drift;
use lowtide_model::failure::{Failure, HaltReason};
use lowtide_model::image::Reference;
use lowtide_model::message::{Unpromoted, WentBack};
use lowtide_model::name::{AppName, ChannelName, TargetName};
use lowtide_model::registry_tag::RegistryDrift;

/// For a run that an operator requested: it retries a refused rollout.
#[must_use]
pub fn tries_rollout(app: &AppName, target: &TargetName, tag: &str, failure: &Failure) -> String {
    format!(
        "after it, {} is rolled out to {target} of {app} again, where it was refused: {}",
        short(tag),
        live::because(failure)
    )
}

/// For a run that an operator requested: it retries a failed promotion.
#[must_use]
pub fn tries_promotion(app: &AppName, channel: &ChannelName, tag: &str, failure: &Failure) -> String {
    format!(
        "after it, {} is promoted to {channel} of {app} again, which failed: {}",
        short(tag),
        live::because(failure)
    )
}

/// For a run that an operator requested: it restores a target that was changed.
#[must_use]
pub fn restores(app: &AppName, target: &TargetName, tag: &str, drift: &Drift) -> String {
    format!(
        "after it, {} is rolled out to {target} of {app} again: {}",
        short(tag),
        instead(drift)
    )
}

/// Why none of these retries happens yet.
#[must_use]
pub fn is_halted(app: &AppName, reason: &HaltReason) -> String {
    format!(
        "but {app} is halted, so that waits until it is resumed. {}",
        words::halted(reason)
    )
}

/// Once nothing more happens automatically: which target does not run its release, why, and what helps.
#[must_use]
pub fn still_refused(app: &AppName, target: &TargetName, tag: &str, failure: &Failure) -> String {
    format!(
        "{app}: {target} does not run {}. {} {}",
        short(tag),
        words::failure(failure),
        words::advice(failure.kind)
    )
}

/// The same for a target that something other than lowtide changed.
#[must_use]
pub fn still_drifted(app: &AppName, target: &TargetName, tag: &str, drift: &Drift) -> String {
    format!(
        "{app}: {target} no longer runs {}: {}. `lowtide run {app}` rolls it out again.",
        short(tag),
        instead(drift)
    )
}

/// `front no longer runs t2, for 2 days: it runs shop:1`, of a target in a table.
#[must_use]
pub fn drifted(target: &TargetName, tag: &str, since: Timestamp, drift: &Drift, now: Timestamp) -> String {
    format!("{target} {}", no_longer_runs(tag, since, drift, now))
}

/// The same without the target.
#[must_use]
pub fn no_longer_runs(tag: &str, since: Timestamp, drift: &Drift, now: Timestamp) -> String {
    format!(
        "no longer runs {}, for {}: {}",
        short(tag),
        words::span(since, now),
        instead(drift)
    )
}

/// `registry.example.org/web:stable was moved by someone else to sha256:…, for 2 days`
#[must_use]
pub fn registry_drifted(reference: &Reference, since: Timestamp, drift: &RegistryDrift, now: Timestamp) -> String {
    let since = words::span(since, now);
    match drift {
        RegistryDrift::Missing => format!("{reference} is no longer in its registry, for {since}"),
        RegistryDrift::Untagged => format!("{reference} no longer exists, for {since}"),
        RegistryDrift::NoRepository => {
            format!("the registry shows no repository {}, for {since}", reference.repository)
        }
        RegistryDrift::Moved { to } => format!("{reference} was moved by someone else to {}, for {since}", to.short()),
    }
}

/// What follows from it, in a sentence.
#[must_use]
pub fn registry_advice(drift: &RegistryDrift) -> &'static str {
    match drift {
        RegistryDrift::Missing => "A host that has to pull it fails. A new release replaces it.",
        RegistryDrift::NoRepository => "It was deleted, or lowtide's credential may not read it.",
        RegistryDrift::Untagged | RegistryDrift::Moved { .. } => "The next promotion to the channel sets it again.",
    }
}

/// What the target runs instead of its release.
fn instead(drift: &Drift) -> String {
    match drift {
        Drift::Gone => "nothing of it is there any more".to_owned(),
        Drift::Runs { image, others, of } => {
            let image = clean::one_line(image, 120);
            match (others, of) {
                (_, 1) => format!("it runs {image}"),
                (others, of) if others == of => format!("all {of} run {image}"),
                (others, of) => format!("{others} of {of} run {image}"),
            }
        }
    }
}

/// The same for a channel. `again`: when the promotion is retried automatically.
#[must_use]
pub fn still_unpromoted(
    app: &AppName,
    channel: &ChannelName,
    tag: &str,
    (failure, again): (&Failure, Option<Timestamp>),
    now: Timestamp,
) -> String {
    let tried = tried(again, now);
    format!(
        "{app}: {channel} does not have {}. {} {tried} {}",
        short(tag),
        words::failure(failure),
        words::advice(failure.kind)
    )
}

/// One failed promotion, while a command follows it.
#[must_use]
pub fn failed(channel: &str, tag: &str, failure: &Failure, again: Option<Timestamp>, now: Timestamp) -> String {
    let when = again.map_or_else(String::new, |at| {
        format!("; tried again {}", quantity::relative(at, now))
    });
    format!(
        "{} could not be promoted to {}: {}{when}",
        short(tag),
        clean::one_line(channel, 63),
        live::because(failure)
    )
}

/// `front refused the release 2 days ago: …`, of a target in a table.
#[must_use]
pub fn refuses(target: &TargetName, since: Timestamp, failure: &Failure, now: Timestamp) -> String {
    format!(
        "{target} refused the release {} ago: {}",
        words::span(since, now),
        failure.kind.words()
    )
}

/// `production has been missing the release for 2 days: …`, of a channel in a table.
#[must_use]
pub fn missing(
    channel: &ChannelName,
    since: Timestamp,
    failure: &Failure,
    again: Option<Timestamp>,
    now: Timestamp,
) -> String {
    let when = again.map_or_else(String::new, |at| {
        format!("; tried again {}", quantity::relative(at, now))
    });
    format!(
        "{channel} has been missing the release for {}: {}{when}",
        words::span(since, now),
        failure.kind.words()
    )
}

/// When what was refused is tried again.
#[must_use]
pub fn next_try(app: &AppName) -> String {
    format!("tried again after the next night's run, or by `lowtide run {app}`")
}

/// How a target gets back what it ran.
#[must_use]
pub fn puts_back(app: &AppName) -> String {
    format!("`lowtide run {app}` rolls it out again, and so does the next release")
}

fn tried(again: Option<Timestamp>, now: Timestamp) -> String {
    match again {
        Some(at) => format!("It is tried again {}.", quantity::relative(at, now)),
        None => "It is tried again after the next night's run, or when its configuration changes.".to_owned(),
    }
}

fn short(tag: &str) -> String {
    clean::one_line(tag, 128)
}

/// The mail about a release that was rolled back on a target.
pub(super) fn went_back(back: &WentBack) -> Rendered {
    let WentBack {
        app,
        target,
        rollout,
        tag,
        from,
        asked,
        units,
        ..
    } = back;
    let tag = short(tag);
    let from = from.as_deref().map_or_else(|| "a release".to_owned(), short);
    let (title, why) = match asked {
        Some(asked) => {
            let by = clean::one_line(&asked.by, 60);
            (
                format!("{app}: {from} was rolled back on {target} by {by}"),
                format!("{by}: {}", clean::one_line(&asked.why, 500)),
            )
        }
        None => (
            format!("{app}: {from} was rolled back on {target}"),
            format!("{from} is quarantined: it failed on another target."),
        ),
    };
    let shown = match units {
        0 => target.to_string(),
        units => format!("{target} ({})", counted(*units, "container", "containers")),
    };
    Rendered {
        subject: title.clone(),
        lead: false,
        page: Page {
            tone: Tone::Calm,
            pill: "rolled back".to_owned(),
            title,
            now: format!(
                "{tag} runs again, as before {from}. {app} is halted: nothing is rolled out until it is resumed."
            ),
            sections: vec![
                Section::new("Why", vec![Block::Text(why)]),
                Section::new(
                    "What runs now",
                    vec![Block::Facts(vec![
                        ("Target", shown),
                        ("Release", tag),
                        ("Rolled back", format!("{from}; it is not tried again by itself")),
                    ])],
                ),
                Section::new(
                    "What to do next",
                    vec![Block::Commands(vec![
                        ("What happened".to_owned(), format!("lowtide incident {app}")),
                        ("Each step that was taken".to_owned(), format!("lowtide show {rollout}")),
                        (
                            "To resume it".to_owned(),
                            format!("lowtide resume {app} --reason \"…\""),
                        ),
                    ])],
                ),
            ],
            footer: "One message per target that was rolled back.".to_owned(),
        },
    }
}

/// The mail about a channel that does not get its release.
pub(super) fn unpromoted(of: &Unpromoted) -> Rendered {
    let Unpromoted {
        app,
        channel,
        tag,
        failure,
    } = of;
    let tag = short(tag);
    let title = format!(
        "{app}: {tag} could not be promoted to {channel}, {}",
        failure.kind.words()
    );
    Rendered {
        subject: title.clone(),
        lead: false,
        page: Page {
            tone: Tone::Warn,
            pill: "not promoted".to_owned(),
            title,
            now: format!(
                "{channel} still has the release before. Later channels, and targets of {channel}, wait for it."
            ),
            sections: vec![
                Section::new("Why", vec![Block::Text(words::failure(failure))]),
                Section::new(
                    "What to do next",
                    vec![
                        Block::Text(words::advice(failure.kind).to_owned()),
                        Block::Text(tried(None, Timestamp::UNIX_EPOCH)),
                        Block::Commands(vec![(
                            "Once it is fixed, try now".to_owned(),
                            format!("lowtide run {app}"),
                        )]),
                    ],
                ),
                Section::new(
                    "Who needs to act",
                    vec![Block::Text(words::fault(failure.fault()).to_owned())],
                ),
            ],
            footer: "You get one message per problem; the daily report lists it until the channel has a release."
                .to_owned(),
        },
    }
}

/// The mail about a channel that has its release after all.
pub(super) fn promoted(app: &AppName, channel: &ChannelName, tag: &str) -> Rendered {
    let title = format!("{app}: {channel} has {}", short(tag));
    Rendered {
        subject: title.clone(),
        lead: false,
        page: Page {
            tone: Tone::Good,
            pill: "promoted".to_owned(),
            title,
            now: "The promotion that had failed came through. Nothing to do.".to_owned(),
            sections: Vec::new(),
            footer: "This closes the thread.".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowtide_model::failure::FailureKind;

    #[test]
    fn a_target_that_somebody_else_changed_is_reported_with_what_it_runs() {
        let (app, target) = ("shop".parse().unwrap(), "front".parse().unwrap());
        let runs = |others, of| Drift::Runs {
            image: "shop:1\u{7}".to_owned(),
            others,
            of,
        };
        let now = at(2 * 86_400);
        let lines = [
            drifted(&target, "t2", at(0), &runs(1, 1), now),
            drifted(&target, "t2", at(0), &runs(3, 3), now),
            drifted(&target, "t2", at(0), &runs(1, 3), now),
            drifted(&target, "t2", at(0), &Drift::Gone, now),
            restores(&app, &target, "t2", &runs(1, 1)),
            still_drifted(&app, &target, "t2", &Drift::Gone),
            puts_back(&app),
        ];
        insta::assert_snapshot!(lines.join("\n"), @"
        front no longer runs t2, for 2 days: it runs shop:1
        front no longer runs t2, for 2 days: all 3 run shop:1
        front no longer runs t2, for 2 days: 1 of 3 run shop:1
        front no longer runs t2, for 2 days: nothing of it is there any more
        after it, t2 is rolled out to front of shop again: it runs shop:1
        shop: front no longer runs t2: nothing of it is there any more. `lowtide run shop` rolls it out again.
        `lowtide run shop` rolls it out again, and so does the next release
        ");
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    #[test]
    fn a_run_says_what_it_tries_again_and_what_is_left_when_it_has_come_to_rest() {
        let (app, target, channel) = (
            "web".parse().unwrap(),
            "front".parse().unwrap(),
            "production".parse().unwrap(),
        );
        let sick = Failure::new(FailureKind::TargetSick, "web is unhealthy");
        let taken = Failure::new(
            FailureKind::TagTaken,
            "prod.example.org/web:t2 is sha256:aa already, not sha256:bb",
        );
        let away = Failure::new(FailureKind::RegistryUnreachable, "prod.example.org");
        let halted = HaltReason::Withdrawn {
            by: "ana".to_owned(),
            why: "it answers 500".to_owned(),
            tag: "t3".to_owned(),
            release: lowtide_model::name::RunId(ulid::Ulid(3)),
        };
        let lines = [
            tries_rollout(&app, &target, "t2", &sick),
            tries_promotion(&app, &channel, "t2", &taken),
            is_halted(&app, &halted),
            still_refused(&app, &target, "t2", &sick),
            still_unpromoted(&app, &channel, "t2", (&taken, None), at(0)),
            still_unpromoted(&app, &channel, "t2", (&away, Some(at(120))), at(0)),
            failed("production", "t2", &taken, None, at(0)),
            failed("production", "t2", &away, Some(at(120)), at(0)),
            refuses(&target, at(-7200), &sick, at(0)),
            missing(&channel, at(-7200), &away, Some(at(120)), at(0)),
        ];
        insta::assert_snapshot!(lines.join("\n"), @"
        after it, t2 is rolled out to front of web again, where it was refused: the container was not healthy before the rollout: web is unhealthy
        after it, t2 is promoted to production of web again, which failed: the tag exists with another digest: prod.example.org/web:t2 is sha256:aa already, not sha256:bb
        but web is halted, so that waits until it is resumed. ana withdrew t3: it answers 500.
        web: front does not run t2. The container was not healthy before the rollout: web is unhealthy. Repair the containers, or replace them anyway: `lowtide run APP --now --replace-unhealthy`.
        web: production does not have t2. The tag exists with another digest: prod.example.org/web:t2 is sha256:aa already, not sha256:bb. It is tried again after the next night's run, or when its configuration changes. Find out who pushed that tag; lowtide never overwrites it. A template with {run} avoids this.
        web: production does not have t2. The registry does not answer: prod.example.org. It is tried again in 2 min. Nothing to do if the registry comes back: the next run tries again.
        t2 could not be promoted to production: the tag exists with another digest: prod.example.org/web:t2 is sha256:aa already, not sha256:bb
        t2 could not be promoted to production: the registry does not answer: prod.example.org; tried again in 2 min
        front refused the release 2 hours ago: the container was not healthy before the rollout
        production has been missing the release for 2 hours: the registry does not answer; tried again in 2 min
        ");
    }
}
