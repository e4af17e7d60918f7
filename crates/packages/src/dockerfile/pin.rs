//! Writing digests into a Dockerfile, so that a build uses what was resolved and nothing newer.

use super::bases::{FRONTEND, Named};
use super::lines::continued;
use super::parse::{Dockerfile, Word};
use lowtide_model::image::{Reference, ServedDigest};
use std::collections::BTreeMap;

impl Dockerfile {
    /// `text` (the same this was parsed from) with every FROM, COPY --from and mount `from` whose image is in `pins`
    /// carrying its digest. Line numbers stay what they were. An image that has a digest already keeps it.
    #[must_use]
    pub fn pin(&self, text: &str, args: &BTreeMap<String, String>, pins: &BTreeMap<Reference, ServedDigest>) -> String {
        // A stage that cannot be resolved is one the target does not need: `external_bases` has judged the others.
        let values = self.values(args).unwrap_or_default();
        let mut edits: Vec<(&Word, String)> = Vec::new();
        let mut note = |word, named| {
            if let Ok(Named::Image(reference)) = named
                && let Some(pinned) = pinned(word, &reference, pins)
            {
                edits.push((word, pinned));
            }
        };
        if let Some(word) = &self.syntax
            && let Ok(reference) = word.text.parse()
        {
            note(word, Ok(Named::Image(reference)));
        }
        for (index, stage) in self.stages.iter().enumerate() {
            note(&stage.base, self.base(index, &values));
            for source in stage.sources.iter().chain(&stage.triggers.sources) {
                note(&source.word, self.source(&source.word));
            }
        }
        edits.sort_by_key(|(word, _)| word.place.start);
        let mut result = String::with_capacity(text.len() + edits.len() * 80);
        let mut done = 0;
        for (word, pinned) in edits {
            let (Some(before), Some(old)) = (text.get(done..word.place.start), text.get(word.place.clone())) else {
                continue;
            };
            result.push_str(before);
            // A word broken over lines gets its breaks in front, for the sake of the line numbers.
            result.push_str(&breaks(old, self.escape));
            result.push_str(&pinned);
            done = word.place.end;
        }
        result.push_str(text.get(done..).unwrap_or_default());
        result
    }
}

/// The build's arguments with the frontend that they name, if they do, carrying its digest.
#[must_use]
pub fn pinned_args(
    args: &BTreeMap<String, String>,
    pins: &BTreeMap<Reference, ServedDigest>,
) -> BTreeMap<String, String> {
    let mut args = args.clone();
    if let Some(said) = args.get_mut(FRONTEND) {
        let (image, rest) = said.split_at(said.find(' ').unwrap_or(said.len()));
        let reference = image.parse::<Reference>().ok().filter(|found| found.digest.is_none());
        if let Some(digest) = reference.and_then(|reference| pins.get(&reference)) {
            *said = format!("{image}@{digest}{rest}");
        }
    }
    args
}

/// The line breaks inside a word, each with its escape character and the comments that follow it.
fn breaks(word: &str, escape: char) -> String {
    let mut breaks = String::new();
    for line in word.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        match continued(line.trim_end_matches(['\r', '\n']), escape) {
            Some(at) if !line.trim_start().starts_with('#') => breaks.push_str(&line[at..]),
            Some(_) | None => breaks.push_str(line),
        }
    }
    breaks
}

/// As its author wrote it where that is plain, in full where it came out of variables.
fn pinned(word: &Word, reference: &Reference, pins: &BTreeMap<Reference, ServedDigest>) -> Option<String> {
    if reference.digest.is_some() {
        return None;
    }
    let digest = pins.get(reference)?;
    let plain = word
        .text
        .parse::<Reference>()
        .is_ok_and(|written| written == *reference);
    Some(if plain {
        format!("{}@{digest}", word.text)
    } else {
        format!("{reference}@{digest}")
    })
}

#[cfg(test)]
#[path = "pin_tests.rs"]
mod tests;
