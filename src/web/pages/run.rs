//! The page of one run: its stages, its tests, what it changed, why it failed, and its logs.

use super::blocks::{log, section, sections};
use super::layout::{Frame, UNDER_WAY, app_at, card, cell, facts, page, run_at, took};
use crate::runtime::run_logs::Tail;
use lowtide_core::report::terminal::{run_facts, run_result};
use lowtide_core::report::views::{Progress, RunView, StageRow};
use lowtide_core::report::{clean, quantity, sections as parts};
use lowtide_model::run::Conclusion;
use lowtide_model::stages::test::TestReport;
use maud::{Markup, html};

/// `zone` is that of its app, or the fleet's.
pub(in crate::web) fn html(view: &RunView, logs: &[Tail], zone: &str) -> Markup {
    let row = &view.row;
    let failure = match &row.conclusion {
        Some(Conclusion::Failed { failure, .. }) => Some(failure),
        Some(
            Conclusion::Unchanged { .. }
            | Conclusion::Released { .. }
            | Conclusion::Retested { .. }
            | Conclusion::Observed { .. }
            | Conclusion::Cancelled { .. },
        )
        | None => None,
    };
    let link = |label: &str| match label {
        "app" => Some(app_at(&row.app)),
        "page" => view.link.clone(),
        _ => None,
    };
    let body = html! {
        h1 { "Run " (row.run.short()) " of " (row.app) }
        p.lead { (cell(&run_result(row))) @if let Some(stage) = under_way(view) { ": " (stage.stage) } }
        (card("About this run", &facts(&run_facts(view, zone), link)))
        (stages(&view.stages))
        @if let Some(failure) = failure { (sections(&parts::why(failure))) }
        @if let Some(tests) = &view.tests { (self::tests(tests)) }
        @if view.change.is_some() { (section(&parts::changed(view.change.as_ref()))) }
        (saved(view, logs))
    };
    let frame = Frame {
        title: &format!("Run {} of {}", row.run.short(), row.app),
        refresh: row.conclusion.is_none().then_some(UNDER_WAY),
        above: &[(row.app.to_string(), app_at(&row.app))],
    };
    page(&frame, &body)
}

/// The stage that an open run is at.
fn under_way(view: &RunView) -> Option<&StageRow> {
    let last = view.stages.last().filter(|_| view.row.conclusion.is_none());
    last.filter(|stage| stage.state == Progress::Running)
}

fn stages(rows: &[StageRow]) -> Markup {
    let body = html! {
        table {
            caption.hidden { "Stages, in the order they ran" }
            thead { tr { @for head in ["Stage", "State", "Took", "Note"] { th scope="col" { (head) } } } }
            tbody {
                @for stage in rows {
                    tr {
                        th.name scope="row" { (stage.stage) }
                        td.state { (progress(stage.state)) }
                        td data-label="took" { (took(stage.took_ms)) }
                        td { (clean::one_line(&stage.note, 200)) }
                    }
                }
            }
        }
    };
    html! { @if !rows.is_empty() { section.card.stack { h2 { "Stages" } (body) } } }
}

fn progress(progress: Progress) -> Markup {
    let (class, word) = match progress {
        Progress::Running => ("running", "under way"),
        Progress::Done => ("good", "✓ done"),
        Progress::Failed => ("bad", "✗ failed"),
        Progress::Abandoned => ("warn", "↻ interrupted"),
    };
    html! { span class=(class) { (word) } }
}

fn tests(report: &TestReport) -> Markup {
    let more = report.failed_count.saturating_sub(report.failed.len());
    let body = html! {
        div.body {
            p.ink {
                (report.passed) " passed, " (report.skipped) " skipped, "
                span class=(if report.failed_count > 0 { "bad" } else { "plain" }) { (report.failed_count) " failed" }
            }
            @for failed in &report.failed {
                h3 { (clean::one_line(&failed.name, 200)) }
                @if !failed.message.is_empty() {
                    (log(&failed.message.iter().map(|line| clean::log_line(line)).collect::<Vec<_>>(), 0))
                }
            }
            @if more > 0 { p { "and " (more) " more" } }
        }
    };
    card("Tests", &body)
}

/// The end of each log; that of an open run is shown as it grows.
fn saved(view: &RunView, logs: &[Tail]) -> Markup {
    let is_open = view.row.conclusion.is_none();
    // What is of interest is in the last of them.
    let shown = view
        .row
        .conclusion
        .as_ref()
        .is_none_or(|end| matches!(end, Conclusion::Failed { .. }));
    let last = logs.len().saturating_sub(1);
    let at = run_at(view.row.run);
    html! {
        section.card {
            h2 { "Logs" }
            @for (index, tail) in logs.iter().enumerate() {
                details open[shown && index == last] {
                    summary { (tail.name) ", " (quantity::bytes(tail.size)) }
                    p {
                        a href={ (at) "/log/" (tail.name) } { "The log as text" span.hidden { ", " (tail.name) } }
                        @if tail.cut { "; below is its end." }
                    }
                    (log(&tail.lines, 0))
                }
            }
            @if logs.is_empty() { div.body { p { (none(is_open)) } } }
        }
    }
}

fn none(open: bool) -> Markup {
    if open {
        html! { "It has written none yet." }
    } else {
        html! { "It wrote none, or they are past their time (" code { "retention.logs" } ")." }
    }
}
