//! A problem as a person reads it in a terminal: place, line, underline, hint.

use super::{Also, Lines, Problem, Span};
use crate::yaml::mask;
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report, Severity};

/// Lines between two places that are still shown in one piece.
const NEAR: usize = 5;

/// All problems with their lines, and a last line that counts them. No colours: the caller's terminal may have none.
#[must_use]
pub fn terminal(file: &str, text: &str, problems: &[Problem]) -> String {
    format!(
        "{} The configuration is not used.\n",
        errors(file, text, problems).trim_end()
    )
}

/// As [`terminal`], of a file that is no configuration.
#[must_use]
pub fn errors(file: &str, text: &str, problems: &[Problem]) -> String {
    let plural = if problems.len() == 1 { "" } else { "s" };
    format!(
        "{}{file}: {} problem{plural}.\n",
        rendered(file, text, problems, Severity::Error),
        problems.len()
    )
}

/// A problem in one line, as compilers write it: file, line, column (from 1), and what is wrong.
#[must_use]
pub fn line(file: &str, problem: &Problem) -> String {
    let hint = problem
        .hint
        .as_ref()
        .map(|hint| format!("; {hint}"))
        .unwrap_or_default();
    format!(
        "{file}:{}:{}: {}{hint}",
        problem.span.line, problem.span.column, problem.message
    )
}

/// All warnings with their lines, and a last line that counts them.
#[must_use]
pub fn warnings(file: &str, text: &str, warnings: &[Problem]) -> String {
    let plural = if warnings.len() == 1 { "" } else { "s" };
    format!(
        "{}{file}: {} warning{plural}.\n",
        rendered(file, text, warnings, Severity::Warning),
        warnings.len()
    )
}

fn rendered(file: &str, text: &str, problems: &[Problem], severity: Severity) -> String {
    let shown = mask::masked(text, problems);
    let lines = Lines::new(&shown);
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_links(false)
        .with_width(110)
        .with_context_lines(1);
    let mut out = String::new();
    for problem in problems {
        let near = problem
            .also
            .as_deref()
            .filter(|also| also.span.line.abs_diff(problem.span.line) <= NEAR);
        let mut render = |report: &Report, place: &Span| {
            let mut rendered = String::new();
            // Writing into a String cannot fail; a renderer that gives up leaves the plain sentence.
            if handler.render_report(&mut rendered, report.as_ref()).is_err() {
                rendered = format!("{file}:{place}: {report}\n");
            }
            out.push_str(&with_place(&rendered, file, place));
        };
        render(&report(file, &shown, &lines, (problem, severity), near), &problem.span);
        if let Some(far) = problem.also.as_deref().filter(|_| near.is_none()) {
            render(&second(file, &shown, &lines, far), &far.span);
        }
        out.push('\n');
    }
    out
}

/// miette counts a column in bytes; people and editors count characters.
fn with_place(rendered: &str, file: &str, span: &Span) -> String {
    let start = format!("[{file}:");
    match rendered
        .split_once(&start)
        .and_then(|(before, after)| Some((before, after.split_once(']')?.1)))
    {
        Some((before, after)) => format!("{before}[{file}:{span}]{after}"),
        None => rendered.to_owned(),
    }
}

fn report(
    file: &str,
    text: &str,
    lines: &Lines<'_>,
    (problem, severity): (&Problem, Severity),
    near: Option<&Also>,
) -> Report {
    let mut diagnostic = MietteDiagnostic::new(problem.message.clone())
        .with_code(problem.code)
        .with_severity(severity);
    if let Some(hint) = &problem.hint {
        diagnostic = diagnostic.with_help(hint.clone());
    }
    if !lines.holds(&problem.span) {
        return Report::new(diagnostic);
    }
    let words = near.is_some().then(|| "here".to_owned());
    diagnostic = diagnostic.with_label(LabeledSpan::new_primary_with_span(words, lines.bytes(&problem.span)));
    if let Some(also) = near {
        diagnostic = diagnostic.and_label(LabeledSpan::new_with_span(
            Some(also.words.clone()),
            lines.bytes(&also.span),
        ));
    }
    Report::new(diagnostic).with_source_code(NamedSource::new(file, text.to_owned()))
}

/// The second place when it is too far away for one excerpt.
fn second(file: &str, text: &str, lines: &Lines<'_>, also: &Also) -> Report {
    let diagnostic = MietteDiagnostic::new(also.words.clone())
        .with_severity(Severity::Advice)
        .with_label(LabeledSpan::new_primary_with_span(None, lines.bytes(&also.span)));
    Report::new(diagnostic).with_source_code(NamedSource::new(file, text.to_owned()))
}
