//! Parts of the page of one app.

use super::layout::{card, cell, class, rollout_at, run_at, ticked, took, when};
use super::plot::{Point, Series, figure};
use crate::runtime::app_history::{AppHistory, Measured, RolloutRow};
use crate::runtime::fleet_status::AppStatus;
use jiff::Timestamp;
use lowtide_core::report::table::Ink;
use lowtide_core::report::terminal::{rollout_result, run_result};
use lowtide_core::report::views::RunRow;
use lowtide_core::report::{clean, halt, outstanding, quantity, words};
use lowtide_model::failure::HaltReason;
use lowtide_model::name::RunId;
use maud::{Markup, html};

/// Packages that are listed by name.
const PACKAGES: usize = 200;

/// What is wrong, and what helps; empty when nothing is.
pub(super) fn troubles(app: &AppStatus, now: Timestamp) -> Markup {
    let state = &app.app_state;
    html! {
        @if let Some((since, reason)) = &state.halted { (halted(app, *since, reason, now)) }
        @if let Some(failing) = &state.failing {
            div.card.note.bad {
                "Its runs have been failing for " (words::span(failing.since, now)) ". The first of them: "
                a href=(run_at(failing.first)) { "run " (failing.first.short()) } "."
            }
        }
        @for difference in state.registry_differences(&app.app) {
            div.card.note.bad {
                (outstanding::registry_drifted(&difference.reference, difference.since, &difference.drift, now)) ". "
                (outstanding::registry_advice(&difference.drift))
            }
        }
    }
}

fn halted(app: &AppStatus, since: Timestamp, reason: &HaltReason, now: Timestamp) -> Markup {
    let name = &app.app.name;
    html! {
        div.card.note.bad {
            p.ink { strong.bad { "Halted" } " for " (words::span(since, now)) ". " (words::halted(reason)) }
            @for incident in &app.app_state.incidents {
                p.ink {
                    a href=(rollout_at(incident.rollout)) { "Rollout " (incident.rollout.short()) " to " (incident.target) }
                    " halted it " (when(Some(incident.at), now, &app.app.timezone)) "."
                }
            }
            @match reason {
                HaltReason::Withdrawn { .. } => p.ink { (ticked(&halt::lifts_withdrawal(name))) },
                HaltReason::Operator { .. } | HaltReason::Reverted { .. } | HaltReason::Irreversible { .. } | HaltReason::Stuck { .. } =>
                    p.ink { "What lifts the halt: " code { (halt::command(name.as_str(), reason, app.app.halt.require)) } },
            }
        }
    }
}

pub(super) fn release(app: &AppStatus, now: Timestamp) -> Markup {
    let Some(release) = app.app_state.current() else {
        return card("Last release", &html! { div.body { p { "There is none yet." } } });
    };
    let body = html! {
        dl {
            dt { "tag" } dd { code { (release.tag) } }
            dt { "image" } dd { code { (release.reference) } }
            @if let Some(digest) = &release.digest { dt { "digest" } dd { code { (digest) } } }
            @if let Some(commit) = &release.commit { dt { "commit" } dd { code { (commit) } } }
            dt { "built" } dd { (when(Some(release.at), now, &app.app.timezone)) ", by " a href=(run_at(release.run)) { "run " (release.run.short()) } }
        }
    };
    card("Last release", &body)
}

/// Of each configured target and channel: what it has, and what it had before.
pub(super) fn runs_where(app: &AppStatus) -> Markup {
    let state = &app.app_state;
    let tag = |run: Option<RunId>| {
        run.and_then(|run| state.release(run))
            .map(|release| release.tag.clone())
    };
    let targets = app.app.rollout.iter().map(|target| {
        let name = &target.settings.name;
        let known = state.targets.get(name);
        let before = known.and_then(|known| known.previous);
        (
            name.as_str(),
            "target",
            tag(known.and_then(|known| known.current)),
            tag(before),
        )
    });
    let channels = app
        .app
        .publish
        .iter()
        .flat_map(|publish| &publish.channels)
        .map(|channel| {
            let known = state.channels.get(&channel.name);
            let before = known.and_then(|known| known.previous);
            (
                channel.name.as_str(),
                "channel",
                tag(known.and_then(|known| known.current)),
                tag(before),
            )
        });
    let rows: Vec<_> = targets.chain(channels).collect();
    let shown = |tag: &Option<String>| html! { @match tag { Some(tag) => code { (tag) }, None => "–" } };
    let body = html! {
        table {
            caption.hidden { "Release of each target and channel" }
            thead { tr { th scope="col" { "Name" } th scope="col" { "Kind" } th scope="col" { "Has" } th scope="col" { "Had before" } } }
            tbody {
                @for (name, kind, has, had) in &rows {
                    tr {
                        th.name scope="row" { (name) }
                        td.soft { (kind) }
                        td data-label="has" { (shown(has)) }
                        td data-label="had" { (shown(had)) }
                    }
                }
            }
        }
    };
    html! { @if !rows.is_empty() { section.card.stack { h2 { "What runs" } (body) } } }
}

/// What is known to be missing in what runs.
pub(super) fn missing_fixes(app: &AppStatus, now: Timestamp) -> Markup {
    let exposed = halt::exposed(app.exposure(), now);
    let unfixable = app.app_state.unfixable.as_ref();
    // Nothing is known of an app without a release.
    if app.app_state.current().is_none() && exposed.is_empty() && unfixable.is_none() {
        return html! {};
    }
    let body = html! {
        div.body {
            @if !exposed.is_empty() { p.ink { (app.app.name) " " (exposed) "." } }
            @if app.exposure().security == 0 && unfixable.is_none() { p { "No missing security fix is known." } }
            @if let Some((since, unfixable)) = unfixable {
                p.ink { span.warn { (words::unfixable(unfixable)) } ", for " (words::span(*since, now)) "." }
                @if !unfixable.packages.is_empty() {
                    ul.plain {
                        @for (package, version) in unfixable.packages.iter().take(PACKAGES) {
                            li { (clean::one_line(package, 100)) " → " code { (clean::one_line(version, 100)) } }
                        }
                    }
                    @if unfixable.packages.len() > PACKAGES { p { "and " (unfixable.packages.len() - PACKAGES) " more" } }
                }
            }
        }
    };
    card("Missing fixes", &body)
}

/// A value of a run, and its colour.
type ValueOf = fn(&(RunRow, Measured)) -> Option<(u64, Ink)>;

/// What the runs say of themselves, over time; empty where there is too little.
pub(super) fn plots(history: &AppHistory, zone: &str) -> Markup {
    let points = |of: ValueOf| -> Vec<Point> {
        // Oldest first.
        let points = history.runs.iter().rev().filter_map(|run| {
            let (value, ink) = of(run)?;
            let at = run.0.started;
            Some(Point { at, value, ink })
        });
        points.collect()
    };
    let all = [
        Series {
            heading: "Length of runs",
            points: points(|(run, _)| Some((run.took_ms?, run_result(run).ink))),
            shown: quantity::duration,
        },
        Series {
            heading: "Pending security fixes before each run",
            points: points(|(_, found)| {
                let security = u64::try_from(found.pending?.security).unwrap_or(u64::MAX);
                Some((security, if security > 0 { Ink::Warn } else { Ink::Good }))
            }),
            shown: |fixes| fixes.to_string(),
        },
        Series {
            heading: "Image size",
            points: points(|(_, found)| Some((found.size?, Ink::Plain))),
            shown: quantity::bytes,
        },
    ];
    let drawn = all.iter().filter(|series| series.points.len() > 1);
    let drawn: Vec<Markup> = drawn.map(|series| figure(series, zone)).collect();
    html! {
        @if !drawn.is_empty() {
            section.card { h2 { "Over time" } div.body.plots { @for figure in &drawn { (figure) } } }
        }
    }
}

pub(super) fn runs(rows: &[(RunRow, Measured)], now: Timestamp, zone: &str) -> Markup {
    let body = html! {
        table {
            caption.hidden { "The last runs, newest first" }
            thead { tr { @for head in ["Run", "Started", "Took", "Trigger", "Result"] { th scope="col" { (head) } } } }
            tbody {
                @for (row, _) in rows {
                    tr {
                        th.name scope="row" { a href=(run_at(row.run)) { (row.run.short()) } }
                        td data-label="started" { (when(Some(row.started), now, zone)) }
                        td data-label="took" { (took(row.took_ms)) }
                        td.wide { (words::triggered(&row.trigger)) }
                        td.state { (cell(&run_result(row))) }
                    }
                }
                @if rows.is_empty() { tr { td colspan="5" { "No runs yet." } } }
            }
        }
    };
    html! { section.card.stack { h2 { "Last runs" } (body) } }
}

pub(super) fn rollouts(rows: &[RolloutRow], now: Timestamp, zone: &str) -> Markup {
    let body = html! {
        table {
            caption.hidden { "The last rollouts, newest first" }
            thead { tr { @for head in ["Rollout", "Target", "Release", "Started", "Took", "Result"] { th scope="col" { (head) } } } }
            tbody {
                @for row in rows {
                    tr {
                        th.name scope="row" { a href=(rollout_at(row.rollout)) { (row.rollout.short()) } }
                        td data-label="to" { (row.target) }
                        td { code { (row.tag) } }
                        td data-label="started" { (when(Some(row.started), now, zone)) }
                        td data-label="took" { (took(row.took_ms)) }
                        td class={ "state " (class(rollout_result(row.conclusion.as_ref()).ink)) } {
                            (rollout_result(row.conclusion.as_ref()).text)
                        }
                    }
                }
            }
        }
    };
    html! { @if !rows.is_empty() { section.card.stack { h2 { "Last rollouts" } (body) } } }
}
