//! Parts of the pages that mails say too, in the same words.

use super::page::{Block, Section};
use super::{change, clean, incident, words};
use lowtide_model::failure::Failure;
use lowtide_model::halt::Incident;
use lowtide_model::inventory::Change;

/// Rows of packages on a page.
const PACKAGES: usize = 500;

/// Why something failed, what helps, and who that is up to.
#[must_use]
pub fn why(failure: &Failure) -> Vec<Section> {
    let mut why = vec![Block::Text(words::failure(failure))];
    if !failure.excerpt.is_empty() {
        let lines = failure.excerpt.iter().map(|line| clean::log_line(line)).collect();
        why.push(Block::Log { lines, earlier: 0 });
    }
    let text = |text: &str| vec![Block::Text(text.to_owned())];
    vec![
        Section::new("Why", why),
        Section::new("What to do next", text(words::advice(failure.kind))),
        Section::new("Who needs to act", text(words::fault(failure.fault()))),
    ]
}

/// The same of a rollout, with the logs of its new containers: what helps refers to them.
#[must_use]
pub fn why_of_rollout(failure: &Failure, of: &Incident) -> Vec<Section> {
    let mut sections = why(failure);
    if let Some(why) = sections.first_mut() {
        why.blocks.extend(incident::all_logs(of));
    }
    sections
}

/// What a release brought, against the one before.
#[must_use]
pub fn changed(change: Option<&Change>) -> Section {
    Section::new("What changed", change::blocks_up_to(change, PACKAGES))
}

/// Of a run or rollout whose page was asked for; `what` is one of the two.
#[must_use]
pub fn no_such_record(what: &str, id: &str) -> String {
    match clean::one_line(id, 80) {
        id if id.is_empty() => format!("no such {what}"),
        id => format!("no {what} {id}, or its journal is past its time (`retention.history`)"),
    }
}

/// Of a log that was asked for.
#[must_use]
pub fn no_such_log(name: &str) -> String {
    format!(
        "no log {} of this run: it wrote none, or it is past its time (`retention.logs`)",
        clean::one_line(name, 40)
    )
}
