//! Messages about good releases that found no opening, or not enough of one.

use super::page::{Block, Page, Rendered, Section, Tone};
use super::{clean, words};
use jiff::Timestamp;
use lowtide_model::failure::WaitReason;
use lowtide_model::message::{LongWait, Untimely};

pub(super) fn waits(wait: &LongWait, now: Timestamp) -> Rendered {
    let LongWait { app, target, .. } = wait;
    let tag = clean::one_line(&wait.tag, 128);
    let title = format!(
        "{app}: a release has waited {} for {target}",
        words::span(wait.since, now)
    );
    let since = words::moment(wait.since, &wait.timezone);
    let waiting = words::waiting(&wait.reason, &wait.timezone);
    let is_busy = matches!(wait.reason, WaitReason::HookBusy { .. });
    let (why, now_line, advice) = if is_busy {
        (
            format!("{target} has waited for a newer release since {since}. It would get {tag}, but {waiting}."),
            "Its command keeps asking for a later retry.",
            "Run its program by hand where lowtide runs it, and see what it waits for.",
        )
    } else {
        (
            format!("{target} has waited for a newer release since {since}. {tag}, the one it would get, {waiting}."),
            "Nothing was touched: what ran before still runs, and grows older.",
            "Give the target a window in which a rollout fits, or take a quiet hour yourself.",
        )
    };
    let recorded = (
        "Everything recorded about this rollout".to_owned(),
        format!("lowtide show {}", wait.rollout),
    );
    let commands = if is_busy {
        vec![recorded]
    } else {
        vec![
            (
                "When its window opens, and what closes it".to_owned(),
                format!("lowtide windows --app {app} --target {target}"),
            ),
            (
                "To do it now, supervised".to_owned(),
                format!("lowtide run {app} --now"),
            ),
            recorded,
        ]
    };
    Rendered {
        subject: title.clone(),
        lead: false,
        page: Page {
            tone: Tone::Warn,
            pill: "waits".to_owned(),
            title,
            now: now_line.to_owned(),
            sections: vec![
                Section::new("Why", vec![Block::Text(why)]),
                Section::new(
                    "What to do next",
                    vec![Block::Text(advice.to_owned()), Block::Commands(commands)],
                ),
            ],
            footer:
                "You get one mail per wait, even if newer releases replace this one; the daily report lists it until \
                     it ends."
                    .to_owned(),
        },
    }
}

pub(super) fn untimely(untimely: &Untimely) -> Rendered {
    let Untimely {
        app,
        target,
        rollout,
        tag,
        failure,
    } = untimely;
    let tag = clean::one_line(tag, 128);
    let title = format!("{app}: rolled back on {target}, {}", failure.kind.words());
    let text = format!(
        "Nothing is wrong with {tag}: it is not tried again on {target} by itself, but newer releases are. Targets and \
         channels that come after it wait meanwhile."
    );
    let commands = vec![
        ("Each step that was taken".to_owned(), format!("lowtide show {rollout}")),
        (
            "How long its window is, and what a rollout needs".to_owned(),
            format!("lowtide windows --app {app} --target {target}"),
        ),
        (
            "Once it is longer, try this release again".to_owned(),
            format!("lowtide resume {app} --reason \"…\""),
        ),
    ];
    Rendered {
        subject: title.clone(),
        lead: false,
        page: Page {
            tone: Tone::Warn,
            pill: "rolled back".to_owned(),
            title,
            now: "Rolled back: what ran before serves again.".to_owned(),
            sections: vec![
                Section::new("Why", vec![Block::Text(words::failure(failure))]),
                Section::new(
                    "What to do next",
                    vec![
                        Block::Text(text),
                        Block::Text(words::advice(failure.kind).to_owned()),
                        Block::Commands(commands),
                    ],
                ),
                Section::new(
                    "Who needs to act",
                    vec![Block::Text(words::fault(failure.fault()).to_owned())],
                ),
            ],
            footer: "One message per rollout.".to_owned(),
        },
    }
}
