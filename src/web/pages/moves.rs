//! A rollout's containers or services, and how far each is.

use super::layout::{class, ticked};
use jiff::Timestamp;
use lowtide_core::report::rollout as words;
use lowtide_model::preview::{PlannedState, RolloutPreview};
use maud::{Markup, html};

/// A row each; `caption` says which rollout it is.
pub(super) fn moves(preview: &RolloutPreview, caption: &Markup) -> Markup {
    html! {
        table {
            caption { (caption) }
            thead { tr {
                th scope="col" { "Replica" } th scope="col" { "Before" } th scope="col" { "Steps" } th scope="col" { "Order" }
                th scope="col" { "State" }
            } }
            tbody {
                @for (index, it) in preview.moves.iter().enumerate() {
                    tr {
                        th.name scope="row" { (it.name) }
                        td data-label="before" { @match &it.from { Some(from) => code { (from) }, None => "–" } }
                        td.soft data-label="steps" { (counted(preview, index)) }
                        td.soft.wide { (words::order(it)) }
                        td class={ "state " (it.phase.word()) } { (words::replica(preview, index)) }
                    }
                }
            }
        }
    }
}

/// All steps in their order, those ahead too.
pub(super) fn steps(preview: &RolloutPreview, now: Timestamp) -> Markup {
    html! {
        table.steps {
            caption.hidden { "Steps of the rollout, in their order" }
            thead { tr { th scope="col" { "Replica" } th scope="col" { "Step" } th scope="col" { "State" } } }
            tbody {
                @for [name, step, state] in words::step_rows(preview, now) {
                    tr {
                        td.soft { (name.text) }
                        td.wide class=(class(step.ink)) { (ticked(&step.text)) }
                        td class=(class(state.ink)) { @if state.text.is_empty() { span.soft { "ahead" } } @else { (state.text) } }
                    }
                }
            }
        }
    }
}

/// Steps taken, of how many.
fn counted(preview: &RolloutPreview, unit: usize) -> String {
    let of = preview.steps.iter().filter(|line| line.unit == Some(unit));
    let done = of
        .clone()
        .filter(|line| matches!(line.state, PlannedState::Done { .. }))
        .count();
    format!("{done} of {}", of.count())
}
