//! Messages about one event: what happened, what runs now, why, what to do next, who needs to act.

use super::link::Place;
use super::page::{Block, Page, Rendered, Section, Tone};
use super::words::{self, counted, short_commit};
use super::{change, clean, halt, incident, late_rollout, outstanding, run_record, unfixable};
use jiff::Timestamp;
use lowtide_model::failure::{Failure, FailureKind, Fault, HaltReason};
use lowtide_model::halt::{Incident, Require};
use lowtide_model::inventory::Change;
use lowtide_model::message::{Built, MessageBody};
use lowtide_model::name::{AppName, RolloutId, RunId, TargetName};
use lowtide_model::policy::PublicUrl;
use lowtide_model::run::Stage;

/// Lines of a container's log in a mail; `lowtide show` has them all.
const LOG_LINES: usize = 20;
/// Lines of configuration problems: each one has to be fixed, so more of them are shown.
const PROBLEM_LINES: usize = 60;

const UNTOUCHED: &str = "Nothing changed in production: what ran before still runs.";

/// Whose message this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// Name of this lowtide, stable over restarts.
    pub instance: String,
    /// IANA zone that times are shown in. A daily report has its own.
    pub timezone: String,
    /// Where the pages are; `None`: no message links there.
    pub public_url: Option<PublicUrl>,
}

/// The page of a message that was made `at` that time.
#[must_use]
#[expect(clippy::too_many_lines, reason = "a table: an arm for each message")]
pub fn page(body: &MessageBody, at: Timestamp, sender: &Sender) -> Rendered {
    let rendered = match body {
        MessageBody::RunFailed {
            app,
            run,
            stage,
            commit,
            failure,
            ..
        } => run_failed(app, *run, *stage, commit.as_deref(), failure),
        MessageBody::RunRecovered { app, run } | MessageBody::RunPassed { app, run, .. } => run_recovered(app, *run),
        MessageBody::RunStarted { app, run, commit } => run_record::started(app, *run, commit),
        MessageBody::RunEnded(ended) => run_record::ended(ended),
        MessageBody::UnfixableUpdates {
            app,
            packages,
            unavailable_pins,
        } => unfixable::page(app, packages, unavailable_pins),
        MessageBody::RolledOut {
            app,
            target,
            rollout,
            tag,
            digest,
            change,
            units,
            ..
        } => {
            let facts = release_facts(target, tag, digest, *units);
            rolled_out(app, target, *rollout, facts, change.as_ref())
        }
        MessageBody::RolloutRefused {
            app,
            target,
            rollout,
            failure,
        } => refused(app, target, *rollout, failure),
        MessageBody::WentBack(back) => outstanding::went_back(back),
        MessageBody::PromotionFailed(of) => outstanding::unpromoted(of),
        MessageBody::Promoted { app, channel, tag } => outstanding::promoted(app, channel, tag),
        MessageBody::RolloutWaits(wait) => late_rollout::waits(wait, at),
        MessageBody::RolloutUntimely(rollout) => late_rollout::untimely(rollout),
        MessageBody::Halted {
            app,
            target,
            rollout,
            reason,
            tag,
            back,
            log,
            incident,
            require,
        } => halted(&Halt {
            app,
            target: target.as_ref(),
            rollout: *rollout,
            reason,
            tag: tag.as_deref(),
            back: *back,
            log,
            incident: incident.as_deref(),
            require: *require,
        }),
        MessageBody::Resumed {
            app,
            by,
            why,
            form,
            probation,
        } => resumed(app, by, why, halt::sections(form.as_deref(), *probation)),
        MessageBody::ConfigRefused { revision, problems, .. } => config_refused(revision, problems),
        MessageBody::ConfigAccepted { revision, apps, .. } => run_record::config_accepted(revision, *apps),
        MessageBody::DailyReport(body) => return super::daily_report::page(body, sender),
    };
    signed(linked(rendered, &Place::of(body), sender), at, sender)
}

/// Puts the page's address first: a reader of mail or GitHub has no shell on lowtide's host.
pub(super) fn linked(mut rendered: Rendered, place: &Place, sender: &Sender) -> Rendered {
    if let Some(url) = &sender.public_url {
        rendered.page.sections.insert(0, place.section(url));
    }
    rendered
}

/// Adds the sender and the time to the footer.
fn signed(mut rendered: Rendered, at: Timestamp, sender: &Sender) -> Rendered {
    let when = words::moment(at, &sender.timezone);
    rendered.page.footer = format!("{} {}, {when}.", rendered.page.footer, sent_by(sender));
    rendered
}

/// Who writes.
pub(super) fn sent_by(sender: &Sender) -> String {
    format!("Sent by lowtide {}", clean::one_line(&sender.instance, 63))
}

pub(super) fn run_failed(
    app: &AppName,
    run: RunId,
    stage: Stage,
    built: Option<&Built>,
    failure: &Failure,
) -> Rendered {
    let at = built.map_or_else(String::new, |built| format!(" at {}", short_commit(&built.commit.id)));
    let what = failure.kind.words();
    let count = failing(failure).map_or_else(String::new, |n| format!(" ({n} failing)"));
    let title = format!("{app}: {what}{at}{count}");
    let fault = failure.fault();
    let mut commands = vec![(
        "Everything recorded about this run".to_owned(),
        format!("lowtide show {run}"),
    )];
    match fault {
        Fault::Repo | Fault::Operator => {
            commands.push((
                "Once fixed, try now instead of tonight".to_owned(),
                format!("lowtide run {app}"),
            ));
        }
        Fault::Infra => commands.push(("Try now instead of later".to_owned(), format!("lowtide run {app}"))),
        Fault::Bug => {}
    }
    let mut why = vec![Block::Text(words::failure(failure))];
    why.extend(log(&failure.excerpt, Failure::EXCERPT_LINES));
    Rendered {
        subject: title.clone(),
        lead: false,
        page: Page {
            tone: tone(fault),
            pill: format!("{stage} failed"),
            title,
            now: UNTOUCHED.to_owned(),
            sections: vec![
                Section::new("What happened", what_happened(stage, failure, built)),
                Section::new("Why", why),
                Section::new(
                    "What to do next",
                    vec![
                        Block::Text(words::advice(failure.kind).to_owned()),
                        Block::Commands(commands),
                    ],
                ),
                Section::new("Who needs to act", vec![Block::Text(words::fault(fault).to_owned())]),
            ],
            footer: often(fault).to_owned(),
        },
    }
}

/// The commit, its author and its page: half of all failures are understood from that alone.
fn what_happened(stage: Stage, failure: &Failure, built: Option<&Built>) -> Vec<Block> {
    let mut blocks = vec![Block::Text(words::failed_at(stage, failure.kind))];
    if let Some(Built { commit, link }) = built {
        blocks.push(Block::Facts(vec![
            (
                "Commit",
                format!("{} {}", short_commit(&commit.id), clean::one_line(&commit.subject, 120)),
            ),
            ("Author", clean::one_line(&commit.author, 80)),
        ]));
        blocks.extend(link.clone().map(|link| Block::Link("Page", link)));
    }
    blocks
}

/// How often people are notified of a failure. `decide::notify` implements this.
fn often(fault: Fault) -> &'static str {
    match fault {
        Fault::Repo | Fault::Bug => {
            "You get one mail per problem; the daily report lists it until it is resolved, and the last message of \
             this thread says when that is."
        }
        Fault::Infra | Fault::Operator => {
            "You get at most one mail a day per problem; the daily report lists it until it is resolved."
        }
    }
}

fn run_recovered(app: &AppName, run: RunId) -> Rendered {
    let title = format!("{app}: runs succeed again");
    Rendered {
        subject: title.clone(),
        lead: false,
        page: Page {
            tone: Tone::Good,
            pill: "recovered".to_owned(),
            title,
            now: "All stages passed again. Nothing to do.".to_owned(),
            sections: vec![Section::new(
                "If you want to know more",
                vec![Block::Commands(vec![(
                    "What this run did".to_owned(),
                    format!("lowtide show {run}"),
                )])],
            )],
            footer: "This closes the thread.".to_owned(),
        },
    }
}

fn release_facts(target: &TargetName, tag: &str, digest: &str, units: usize) -> Vec<(&'static str, String)> {
    let target = match units {
        // What a command moved is not counted.
        0 => target.to_string(),
        units => format!("{target} ({})", counted(units, "container", "containers")),
    };
    vec![
        ("Target", target),
        ("Release", clean::one_line(tag, 128)),
        ("Digest", clean::one_line(digest, 128)),
    ]
}

fn rolled_out(
    app: &AppName,
    target: &TargetName,
    rollout: RolloutId,
    facts: Vec<(&'static str, String)>,
    change: Option<&Change>,
) -> Rendered {
    let tag = facts.get(1).map(|(_, tag)| tag.clone()).unwrap_or_default();
    let title = format!("{app}: {tag} runs on {target}");
    Rendered {
        subject: title.clone(),
        lead: false,
        page: Page {
            tone: Tone::Good,
            pill: "rolled out".to_owned(),
            title,
            now: "The new release serves: exactly the image that passed the tests, watched until it was steady. \
                  Nothing to do."
                .to_owned(),
            sections: vec![
                Section::new("What runs now", vec![Block::Facts(facts)]),
                Section::new("What changed", change::blocks(change)),
                Section::new(
                    "If it was not good",
                    vec![Block::Commands(vec![
                        (
                            "Go back to the release before".to_owned(),
                            format!("lowtide revert {app} --reason \"…\""),
                        ),
                        ("Each step that was taken".to_owned(), format!("lowtide show {rollout}")),
                    ])],
                ),
            ],
            footer: "One message per release and target.".to_owned(),
        },
    }
}

fn refused(app: &AppName, target: &TargetName, rollout: RolloutId, failure: &Failure) -> Rendered {
    let title = format!("{app}: rollout to {target} not begun, {}", failure.kind.words());
    let mut why = vec![Block::Text(words::failure(failure))];
    why.extend(log(&failure.excerpt, Failure::EXCERPT_LINES));
    Rendered {
        subject: title.clone(),
        lead: false,
        page: Page {
            tone: Tone::Warn,
            pill: "not begun".to_owned(),
            title,
            now: "Nothing was touched: what ran before still runs.".to_owned(),
            sections: vec![
                Section::new("Why", why),
                Section::new(
                    "What to do next",
                    vec![
                        Block::Text(words::advice(failure.kind).to_owned()),
                        Block::Commands(vec![
                            (
                                "Everything recorded about this rollout".to_owned(),
                                format!("lowtide show {rollout}"),
                            ),
                            (
                                "Once it is fixed, try again now instead of after the next night's run".to_owned(),
                                format!("lowtide run {app}"),
                            ),
                        ]),
                    ],
                ),
                Section::new(
                    "Who needs to act",
                    vec![Block::Text(words::fault(failure.fault()).to_owned())],
                ),
            ],
            footer: "You get one message per problem; the daily report lists it until a release arrives.".to_owned(),
        },
    }
}

struct Halt<'a> {
    app: &'a AppName,
    target: Option<&'a TargetName>,
    rollout: Option<RolloutId>,
    reason: &'a HaltReason,
    tag: Option<&'a str>,
    back: bool,
    log: &'a [String],
    incident: Option<&'a Incident>,
    require: Require,
}

fn halted(halt: &Halt<'_>) -> Rendered {
    let reason = halt.reason;
    let mut on = halt.target.map_or_else(String::new, |t| format!(" on {t}"));
    if halt.incident.is_some_and(|incident| incident.probation) {
        on.push_str(" during probation");
    }
    let (tone, pill, title, now) = halt_words(halt, &on);
    let failure = match reason {
        HaltReason::Reverted { failure } | HaltReason::Irreversible { failure } | HaltReason::Stuck { failure } => {
            Some(failure)
        }
        HaltReason::Operator { .. } | HaltReason::Withdrawn { .. } => None,
    };
    let mut why = vec![Block::Text(words::halted(reason))];
    let logs = halt.incident.map(incident::logs).unwrap_or_default();
    if halt.log.is_empty() {
        why.extend(logs);
        why.extend(log(failure.map_or(&[][..], |f| &f.excerpt), LOG_LINES));
    } else if logs.is_empty() {
        why.extend(log(halt.log, LOG_LINES));
    } else {
        why.extend(logs);
    }
    let mut sections = vec![
        Section::new("Why", why),
        Section::new("What is halted", halt_scope(halt)),
    ];
    sections.extend(halt.incident.map(incident::sections).unwrap_or_default());
    let mut next: Vec<Block> = failure
        .map(|f| Block::Text(words::advice(f.kind).to_owned()))
        .into_iter()
        .collect();
    next.push(Block::Commands(halt_commands(halt)));
    sections.push(Section::new("What to do next", next));
    if let Some(failure) = failure {
        sections.push(Section::new(
            "Who needs to act",
            vec![Block::Text(words::fault(failure.fault()).to_owned())],
        ));
    }
    Rendered {
        subject: title.clone(),
        lead: false,
        page: Page {
            tone,
            pill: pill.to_owned(),
            title,
            now,
            sections,
            footer: "One message per halt; the daily report lists it until it is resumed.".to_owned(),
        },
    }
}

fn halt_commands(of: &Halt<'_>) -> Vec<(String, String)> {
    let app = of.app;
    let mut commands = Vec::new();
    if let Some(rollout) = of.rollout {
        commands.push(("Each step that was taken".to_owned(), format!("lowtide show {rollout}")));
    }
    match halt::required(of.reason, of.require) {
        Require::Reason => {
            let resume = format!("lowtide resume {app} --reason \"…\"");
            commands.push(("To resume it".to_owned(), resume));
        }
        Require::Countermeasure => {
            let form = format!("lowtide incident {app} --form > form.yml");
            commands.push(("The form that lifts the halt".to_owned(), form));
            let resume = format!("lowtide resume {app} --form form.yml");
            commands.push(("Once a countermeasure is in place".to_owned(), resume));
        }
    }
    commands
}

/// Tone, pill, title, and what runs now.
fn halt_words(halt: &Halt<'_>, on: &str) -> (Tone, &'static str, String, String) {
    let app = halt.app;
    let because = |f: &Failure| f.kind.words();
    let unclear = "Please look at the target now: it is not certain that it serves.".to_owned();
    let back = "Rolled back: what ran before serves again.".to_owned();
    let now = if halt.back { back } else { unclear };
    match halt.reason {
        HaltReason::Reverted { failure } => {
            let title = format!("{app}: rolled back{on}, {}", because(failure));
            (
                if halt.back { Tone::Warn } else { Tone::Bad },
                "rolled back",
                title,
                now,
            )
        }
        HaltReason::Irreversible { failure } => {
            let title = format!("{app}: stopped{on}, needs you: {}", because(failure));
            let now = if halt.back {
                now
            } else {
                "The rollout stopped where it was and was not rolled back: its data may have moved on, and the old \
                 release might not understand it. Please look at the target now."
                    .to_owned()
            };
            (Tone::Bad, "needs you", title, now)
        }
        HaltReason::Stuck { failure } => {
            let title = format!("{app}: stuck{on}, needs you: {}", because(failure));
            (Tone::Bad, "needs you", title, now)
        }
        HaltReason::Operator { by, .. } => {
            let title = format!("{app}: halted by {}", clean::one_line(by, 60));
            (Tone::Calm, "halted", title, "What runs now keeps running.".to_owned())
        }
        HaltReason::Withdrawn { by, tag, .. } => {
            let (by, tag) = (clean::one_line(by, 60), clean::one_line(tag, 128));
            let title = format!("{app}: {tag} was rolled back by {by}");
            (
                Tone::Calm,
                "rolled back",
                title,
                "What ran before runs again.".to_owned(),
            )
        }
    }
}

fn halt_scope(halt: &Halt<'_>) -> Vec<Block> {
    let mut text = format!(
        "Rollouts and promotions of {} wait until it is resumed. It is still built and tested every night.",
        halt.app
    );
    if let Some(tag) = halt.tag {
        let tag = clean::one_line(tag, 128);
        text.push_str(&format!(
            " Release {tag} is not tried again by itself, nor is the same content under another name."
        ));
    }
    if halt.incident.is_some_and(|incident| incident.probation) {
        text.push_str(
            " It was on probation after an earlier incident: what was done about that one was not enough, or not all.",
        );
    }
    vec![Block::Text(text)]
}

fn resumed(app: &AppName, by: &str, why: &str, more: Vec<Section>) -> Rendered {
    let by = clean::one_line(by, 60);
    let title = format!("{app}: resumed by {by}");
    Rendered {
        subject: title.clone(),
        lead: false,
        page: Page {
            tone: Tone::Good,
            pill: "resumed".to_owned(),
            title,
            now: format!("Rollouts and promotions of {app} continue in their next window."),
            sections: std::iter::once(Section::new(
                "Why",
                vec![Block::Text(format!("{by}: {}", clean::one_line(why, 500)))],
            ))
            .chain(more)
            .collect(),
            footer: "This closes the thread.".to_owned(),
        },
    }
}

fn config_refused(revision: &str, problems: &str) -> Rendered {
    let short = short_commit(revision);
    let title = format!("configuration {short} is refused");
    let lines: Vec<String> = problems.lines().map(ToOwned::to_owned).collect();
    let (shown, more) = super::page::capped(lines, PROBLEM_LINES);
    let mut found = vec![Block::Log {
        lines: shown.iter().map(|l| clean::log_line(l)).collect(),
        earlier: 0,
    }];
    if more > 0 {
        found.push(Block::Text(format!(
            "and {more} more {}",
            words::plural(more, "line", "lines")
        )));
    }
    Rendered {
        subject: title.clone(),
        lead: false,
        page: Page {
            tone: Tone::Warn,
            pill: "config refused".to_owned(),
            title,
            now: "The last valid configuration stays in effect, all of it.".to_owned(),
            sections: vec![
                Section::new("What is wrong", found),
                Section::new(
                    "What to do next",
                    vec![
                        Block::Text(
                            "Correct the places above and push; the next check of the repository picks it up."
                                .to_owned(),
                        ),
                        Block::Commands(vec![(
                            "See the same before you push".to_owned(),
                            "lowtide check --config FILE".to_owned(),
                        )]),
                    ],
                ),
                Section::new(
                    "Who needs to act",
                    vec![Block::Text(words::fault(Fault::Operator).to_owned())],
                ),
            ],
            footer: "One message per refused revision.".to_owned(),
        },
    }
}

/// The end of a log, where the error is.
fn log(lines: &[String], cap: usize) -> Option<Block> {
    let earlier = lines.len().saturating_sub(cap);
    (!lines.is_empty()).then(|| Block::Log {
        lines: lines[earlier..].iter().map(|l| clean::log_line(l)).collect(),
        earlier,
    })
}

fn tone(fault: Fault) -> Tone {
    match fault {
        Fault::Repo | Fault::Bug => Tone::Bad,
        Fault::Infra | Fault::Operator => Tone::Warn,
    }
}

/// How many tests failed, parsed from the *test* stage's detail: `3 of 128 tests failed`.
fn failing(failure: &Failure) -> Option<usize> {
    let counted = failure.detail.split(" tests failed").next()?;
    let mut words = counted.rsplit(' ');
    let (all, of, failing) = (words.next()?, words.next()?, words.next()?);
    let known = failure.kind == FailureKind::TestFailed && of == "of" && all.parse::<usize>().is_ok();
    if known { failing.parse().ok() } else { None }
}

#[cfg(test)]
mod tests;
