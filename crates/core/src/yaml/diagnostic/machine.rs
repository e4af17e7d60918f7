//! Problems for programs (JSON, SARIF) and for places that render Markdown (GitHub, mail).

use super::{Also, CODES, Lines, Problem, Span};
use crate::yaml::mask;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// `{version, file, problems: [{code, message, hint, route, line, column, length, also}]}`; lines and columns count from
/// 1, in characters.
#[must_use]
pub fn json(file: &str, problems: &[Problem]) -> Value {
    let also = |also: &Also| {
        json!({ "message": also.words, "route": also.route.to_string(), "line": also.span.line,
                "column": also.span.column, "length": also.span.len })
    };
    let problems: Vec<Value> = problems
        .iter()
        .map(|p| {
            json!({ "code": p.code, "message": p.message, "hint": p.hint, "route": p.route.to_string(),
                    "line": p.span.line, "column": p.span.column, "length": p.span.len,
                    "also": p.also.as_deref().map(also) })
        })
        .collect();
    json!({ "version": 1, "file": file, "problems": problems })
}

/// SARIF 2.1.0 (OASIS), as GitHub code scanning takes it.
#[must_use]
pub fn sarif(file: &str, problems: &[Problem], warnings: &[Problem]) -> Value {
    let errors = problems.iter().map(|problem| ("error", problem));
    let all: Vec<(&str, &Problem)> = errors.chain(warnings.iter().map(|it| ("warning", it))).collect();
    let place = |span: &Span| {
        json!({ "artifactLocation": { "uri": file },
                "region": { "startLine": span.line, "startColumn": span.column, "endColumn": span.column + span.len.max(1) } })
    };
    let codes: BTreeSet<&str> = all.iter().map(|(_, p)| p.code).collect();
    let rules: Vec<Value> = CODES
        .iter()
        .filter(|(code, _)| codes.contains(code))
        .map(|(code, words)| json!({ "id": code, "shortDescription": { "text": words } }))
        .collect();
    let results: Vec<Value> = all
        .iter()
        .map(|(level, p)| {
            let text = p
                .hint
                .as_ref()
                .map_or_else(|| p.message.clone(), |hint| format!("{}. {hint}", p.message));
            let related: Vec<Value> = p
                .also
                .iter()
                .map(|a| json!({ "physicalLocation": place(&a.span), "message": { "text": a.words } }))
                .collect();
            json!({ "ruleId": p.code, "level": level, "message": { "text": text },
                    "locations": [{ "physicalLocation": place(&p.span),
                                    "logicalLocations": [{ "fullyQualifiedName": p.route.to_string() }] }],
                    "relatedLocations": related })
        })
        .collect();
    json!({ "$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0",
            "runs": [{ "tool": { "driver": { "name": "lowtide", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
                       "columnKind": "unicodeCodePoints", "results": results }] })
}

/// One paragraph per problem with its line in a code block, for GitHub and mail.
#[must_use]
pub fn markdown(file: &str, text: &str, problems: &[Problem]) -> String {
    let shown = mask::masked(text, problems);
    let lines = Lines::new(&shown);
    let mut out = String::new();
    for p in problems {
        out.push_str(&format!("**{file}:{}** {} (`{}`)\n\n", p.span, p.message, p.code));
        let mut block = excerpt(&lines, &p.span);
        if let Some(also) = &p.also {
            block.push_str(&excerpt(&lines, &also.span));
        }
        if !block.is_empty() {
            out.push_str(&format!("````text\n{block}````\n\n"));
        }
        if let Some(hint) = &p.hint {
            out.push_str(&format!("> {hint}\n\n"));
        }
    }
    out
}

/// The line and a row of carets under the span. Lines are cut, so that a file without line breaks cannot flood a mail.
fn excerpt(lines: &Lines<'_>, span: &Span) -> String {
    const WIDTH: usize = 160;
    let Some(line) = lines.get(span.line) else {
        return String::new();
    };
    let skip = span.column.saturating_sub(1).saturating_sub(WIDTH / 2);
    let skip = if line.chars().count() <= WIDTH { 0 } else { skip };
    let cut: String = line.chars().skip(skip).take(WIDTH).collect();
    let at = span.column.saturating_sub(1) - skip;
    let carets = span.len.max(1).min(WIDTH.saturating_sub(at).max(1));
    format!(
        "{:>4} | {cut}\n     | {}{}\n",
        span.line,
        " ".repeat(at),
        "^".repeat(carets)
    )
}
