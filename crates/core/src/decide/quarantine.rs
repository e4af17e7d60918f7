//! Quarantine: content that is never released or rolled out again by itself, whatever its digest. What puts a release into
//! it, what it means for an app, and how an operator names what is to leave it.

use super::app_state::AppState;
use super::rollout::RolloutState;
use crate::fleet::app_state::{AppEvent, Quarantined};
use lowtide_model::image::ContentDigest;
use lowtide_model::name::RunId;
use lowtide_model::release::{PlatformImage, Release};
use lowtide_model::rollout::{Purpose, RolloutConclusion};

/// Quarantines a release that is to blame: neither its digest nor the same content under another digest is tried again
/// automatically. The release that an operator's revert goes to is never quarantined: it is the last known good one,
/// whatever prevented the revert from completing.
#[must_use]
pub fn of_rollout(state: &RolloutState, conclusion: &RolloutConclusion) -> Vec<AppEvent> {
    let release = &state.release;
    let condemned = match state.purpose {
        Purpose::Release | Purpose::Probation => condemns(state, conclusion),
        Purpose::Revert => false,
    };
    if condemned { of_release(release) } else { Vec::new() }
}

/// Each of its images: the same content may come back on one platform only.
#[must_use]
pub fn of_release(release: &Release) -> Vec<AppEvent> {
    let quarantined = |one: &PlatformImage| AppEvent::Quarantined {
        content: one.content.clone(),
        image: one.image.clone(),
        digest: release.digest.clone(),
    };
    release.images.iter().map(quarantined).collect()
}

/// Is this conclusion evidence against the release, so that its content must not be tried again? Only if the
/// release's own process ran and misbehaved. If a rollback got stuck, the failure that started the rollback
/// decides.
fn condemns(state: &RolloutState, conclusion: &RolloutConclusion) -> bool {
    match conclusion {
        RolloutConclusion::Reverted { failure } => failure.kind.condemns(),
        RolloutConclusion::Stuck { failure } => state.reverting.as_ref().unwrap_or(failure).kind.condemns(),
        RolloutConclusion::Done
        | RolloutConclusion::AlreadyThere
        | RolloutConclusion::Refused { .. }
        | RolloutConclusion::Superseded { .. } => false,
    }
}

impl AppState {
    /// It goes by content: a rebuild of the same bits gets another digest.
    #[must_use]
    pub fn is_quarantined(&self, release: &Release) -> bool {
        release.images.iter().any(|one| self.quarantine.contains(&one.content))
    }

    pub(super) fn put_in_quarantine(&mut self, content: &ContentDigest) {
        if !self.quarantine.contains(content) {
            self.quarantine.push(content.clone());
        }
    }

    /// Takes the content out of quarantine: it may be released and rolled out as if it had never failed.
    pub(super) fn take_out_of_quarantine(&mut self, content: &ContentDigest) {
        self.quarantine.retain(|quarantined| quarantined != content);
        let of = |release: &&Release| release.images.has_content(content);
        let runs: Vec<RunId> = self.releases.iter().filter(of).map(|release| release.run).collect();
        for target in self.targets.values_mut() {
            target.last.take_if(|(run, _)| runs.contains(run));
            // The target runs the content that it was to be moved away from, and may now keep it.
            target.overtaken &= target.current.is_none_or(|good| !runs.contains(&good));
        }
        // The content was built but has no release: forget the last build, so that it is built again although no input
        // has changed.
        if runs.is_empty() {
            self.judged = None;
        }
    }
}

/// Minimum number of hex digits by which a digest can be named.
const LEAST: usize = 8;

/// The quarantined content that `text` names: by the tag of its release, or by the digest of its content, of its image, or in
/// the registry; at least the first eight hex digits.
///
/// # Errors
/// The whole quarantine, if `text` names none of its entries or more than one.
pub fn named(app_state: &AppState, text: &str) -> Result<Quarantined, Vec<Quarantined>> {
    let all: Vec<Quarantined> = app_state
        .quarantine
        .iter()
        .map(|content| Quarantined {
            content: content.clone(),
            tag: of(app_state, content).last().map(|release| release.tag.clone()),
        })
        .collect();
    let meant: Vec<&Quarantined> = all.iter().filter(|one| is_named(app_state, one, text)).collect();
    match meant.as_slice() {
        [one] => Ok((*one).clone()),
        [] | [..] => Err(all),
    }
}

fn of<'a>(app_state: &'a AppState, content: &ContentDigest) -> impl Iterator<Item = &'a Release> {
    let content = content.clone();
    app_state
        .releases
        .iter()
        .filter(move |release| release.images.has_content(&content))
}

fn is_named(app_state: &AppState, one: &Quarantined, text: &str) -> bool {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    let is_hex = digits.len() >= LEAST && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let begins = |digest: &str| {
        let full = digest.strip_prefix("sha256:").unwrap_or(digest);
        is_hex && full.starts_with(&digits.to_ascii_lowercase())
    };
    begins(one.content.as_str())
        || of(app_state, &one.content).any(|release| {
            let in_registry = release.digest.as_ref().is_some_and(|digest| begins(digest.as_str()));
            release.tag == text || release.images.iter().any(|one| begins(one.image.as_str())) || in_registry
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use lowtide_model::release::Images;

    fn digest(n: u128) -> String {
        format!("sha256:{n:032x}{n:032x}")
    }

    fn app_state() -> AppState {
        let release = |n: u128| Release {
            upstream: None,
            run: RunId(ulid::Ulid(n)),
            images: Images::one(digest(n + 0x10).parse().unwrap(), digest(n).parse().unwrap()),
            commit: Some("c".repeat(40)),
            tag: format!("t{n}"),
            digest: Some(digest(n + 0x20).parse().unwrap()),
            reference: format!("example.org/web:t{n}").parse().unwrap(),
            change: None,
            sidecars: std::collections::BTreeMap::new(),
            at: Timestamp::UNIX_EPOCH,
        };
        AppState {
            releases: vec![release(1), release(2), release(3)],
            // The release of the last one is forgotten.
            quarantine: vec![
                digest(1).parse().unwrap(),
                digest(2).parse().unwrap(),
                digest(0xabcdef).parse().unwrap(),
            ],
            ..AppState::default()
        }
    }

    #[test]
    fn what_is_meant() {
        let app_state = app_state();
        let named = |text: &str| match named(&app_state, text) {
            Ok(one) => one.tag.unwrap_or_else(|| "without a release".to_owned()),
            Err(all) => format!("one of {}", all.len()),
        };
        for (text, expected) in [
            ("t1", "t1"),
            (digest(2).as_str(), "t2"),
            (digest(0x12).as_str(), "t2"),
            (digest(0x21).as_str(), "t1"),
            (&digest(0x21)[7..60], "t1"),
            (digest(0xabcdef).as_str(), "without a release"),
            // Not quarantined.
            ("t3", "one of 3"),
            (digest(3).as_str(), "one of 3"),
            // More than one begins so.
            ("00000000", "one of 3"),
            ("0000", "one of 3"),
            ("t", "one of 3"),
            ("", "one of 3"),
        ] {
            assert_eq!(named(text), expected, "{text}");
        }
    }
}
