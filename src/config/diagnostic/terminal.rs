//! A problem as a person reads it in a terminal: place, line, underline, hint.

use super::{Lines, Problem, Span};
use crate::config::mask;
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report};

/// All problems with their lines, and a last line that counts them. No colours: the caller's terminal may have none.
#[must_use]
pub fn terminal(file: &str, text: &str, problems: &[Problem]) -> String {
    let shown = mask::masked(text, problems);
    let lines = Lines::new(&shown);
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_links(false)
        .with_width(110)
        .with_context_lines(1);
    let mut out = String::new();
    for problem in problems {
        let report = report(file, &shown, &lines, problem);
        // Writing into a String cannot fail; a renderer that gives up leaves the plain sentence.
        if handler.render_report(&mut out, report.as_ref()).is_err() {
            out.push_str(&format!("{file}:{}: {}\n", problem.span, problem.message));
        }
        out.push('\n');
    }
    let plural = if problems.len() == 1 { "" } else { "s" };
    out.push_str(&format!("{file}: {} problem{plural}. The configuration is not used.\n", problems.len()));
    out
}

fn report(file: &str, text: &str, lines: &Lines<'_>, problem: &Problem) -> Report {
    let label = |span: &Span, words: Option<String>, primary: bool| {
        let (offset, length) = lines.bytes(span);
        if primary {
            LabeledSpan::new_primary_with_span(words, (offset, length))
        } else {
            LabeledSpan::new_with_span(words, (offset, length))
        }
    };
    let mut diagnostic = MietteDiagnostic::new(problem.message.clone()).with_code(problem.code);
    if let Some(hint) = &problem.hint {
        diagnostic = diagnostic.with_help(hint.clone());
    }
    if !lines.holds(&problem.span) {
        return Report::new(diagnostic);
    }
    let words = problem.also.is_some().then(|| "here".to_owned());
    diagnostic = diagnostic.with_label(label(&problem.span, words, true));
    if let Some(also) = &problem.also {
        diagnostic = diagnostic.and_label(label(&also.span, Some(also.words.clone()), false));
    }
    Report::new(diagnostic).with_source_code(NamedSource::new(file, text.to_owned()))
}
