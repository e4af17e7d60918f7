//! The page of one rollout: what it moves, its steps, how it ended and why, and what helps.

use super::blocks::sections;
use super::fleet::state_of;
use super::layout::{Frame, UNDER_WAY, WAITS, app_at, card, cell, facts, page, run_at, ticked};
use super::moves::{moves, steps};
use crate::runtime::fleet_status::{AppStatus, FleetStatus, OpenRollout};
use jiff::Timestamp;
use lowtide_core::report::incident;
use lowtide_core::report::sections as parts;
use lowtide_core::report::terminal::{rollout_facts, rollout_result};
use lowtide_core::report::views::RolloutView;
use lowtide_core::report::{halt, words};
use lowtide_model::failure::Failure;
use lowtide_model::halt::{HaltPolicy, OperatorRollback};
use lowtide_model::name::RunId;
use lowtide_model::preview::{Chosen, RolloutPreview};
use lowtide_model::rollout::RolloutConclusion;
use maud::{Markup, html};

/// What the page is made of.
pub(in crate::web) struct Seen {
    pub(in crate::web) view: RolloutView,
    pub(in crate::web) preview: RolloutPreview,
    /// The run that made its release; `None`: none of ours did, or it is past its time.
    pub(in crate::web) release: Option<RunId>,
    /// Of its app; `None`: the app is no longer configured.
    pub(in crate::web) fleet_status: Option<FleetStatus>,
    pub(in crate::web) policy: HaltPolicy,
    /// Since when the app has been halted by it, if it still is.
    pub(in crate::web) halted: Option<Timestamp>,
    pub(in crate::web) operator_rollback: Option<OperatorRollback>,
    pub(in crate::web) now: Timestamp,
    pub(in crate::web) zone: String,
}

pub(in crate::web) fn html(seen: &Seen) -> Markup {
    let view = &seen.view;
    let open = view.conclusion.is_none();
    let link = |label: &str| match label {
        "app" => Some(app_at(&view.app)),
        "release" => seen.release.map(run_at),
        _ => None,
    };
    let body = html! {
        h1 { "Rollout " (view.rollout.short()) " of " (view.app) " to " (view.target) }
        p.lead { (cell(&rollout_result(view.conclusion.as_ref()))) }
        (card("About this rollout", &facts(&rollout_facts(view, &seen.zone), link)))
        (halted(seen))
        section.card.stack { h2 { "Containers and services" } (moves(&seen.preview, &caption(seen))) }
        @if let Some(failure) = failure(view.conclusion.as_ref()) { (sections(&parts::why_of_rollout(failure, &view.incident))) }
        section.card {
            h2 { "Steps" }
            @if open && seen.preview.chosen == Chosen::Assumed {
                p.body { "Each container or service that preflight finds takes them in turn." }
            }
            (steps(&seen.preview, seen.now))
        }
        (sections(&incident::in_full(&view.incident)))
    };
    let frame = Frame {
        title: &format!("Rollout {} of {} to {}", view.rollout.short(), view.app, view.target),
        refresh: open.then(|| refresh(seen)),
        above: &[(view.app.to_string(), app_at(&view.app))],
    };
    page(&frame, &body)
}

/// As the status of its app has it, while it is open.
fn as_open(seen: &Seen) -> Option<(&AppStatus, &OpenRollout)> {
    let app = seen.fleet_status.as_ref()?.apps.first()?;
    let open = app.rollouts.iter().find(|open| open.id == seen.view.rollout)?;
    Some((app, open))
}

fn refresh(seen: &Seen) -> u32 {
    match as_open(seen) {
        Some((_, open)) if open.waits.is_some() => WAITS,
        Some(_) | None => UNDER_WAY,
    }
}

/// What an open one waits for; of another one what it moved.
fn caption(seen: &Seen) -> Markup {
    match as_open(seen) {
        Some((app, open)) => state_of(app, open, seen.now),
        None => html! {
            strong { (seen.view.app) " → " (seen.view.target) } " " code { (seen.view.tag) }
        },
    }
}

fn failure(conclusion: Option<&RolloutConclusion>) -> Option<&Failure> {
    match conclusion {
        Some(
            RolloutConclusion::Refused { failure }
            | RolloutConclusion::Reverted { failure }
            | RolloutConclusion::Stuck { failure },
        ) => Some(failure),
        Some(RolloutConclusion::Done | RolloutConclusion::AlreadyThere | RolloutConclusion::Superseded { .. })
        | None => None,
    }
}

/// What lifts the halt that it caused.
fn halted(seen: &Seen) -> Markup {
    let incident = &seen.view.incident;
    html! {
        @if let Some(back) = &seen.operator_rollback {
            div.card.note { p.ink { "Rolled back: " (incident::rolled_back(back, &seen.zone)) "." } }
        }
        @if let Some(since) = seen.halted {
            div.card.note.bad {
                p.ink { (seen.view.app) " is halted for " (words::span(since, seen.now)) ", until it is resumed." }
                @if seen.operator_rollback.is_some() {
                    p.ink { (ticked(&halt::lifts_withdrawal(&seen.view.app))) }
                } @else {
                    p.ink { "What lifts the halt: " (ticked(&halt::what_lifts(&seen.view.app, &seen.policy))) }
                    details { summary { "The form" } pre tabindex="0" { (halt::form(incident, &seen.policy)) } }
                }
            }
        }
    }
}
