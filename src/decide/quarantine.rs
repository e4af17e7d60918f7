//! Finds the content that an operator wants to take out of quarantine.

use super::app_state::AppState;
use crate::fleet::app_state::Quarantined;
use crate::model::image::ContentDigest;
use crate::model::release::Release;

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
        .filter(move |release| release.content == content)
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
            release.tag == text || begins(release.image.as_str()) || in_registry
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::name::RunId;
    use jiff::Timestamp;

    fn digest(n: u128) -> String {
        format!("sha256:{n:032x}{n:032x}")
    }

    fn app_state() -> AppState {
        let release = |n: u128| Release {
            run: RunId(ulid::Ulid(n)),
            image: digest(n + 0x10).parse().unwrap(),
            content: digest(n).parse().unwrap(),
            commit: "c".repeat(40),
            tag: format!("t{n}"),
            digest: Some(digest(n + 0x20).parse().unwrap()),
            reference: format!("example.org/web:t{n}").parse().unwrap(),
            change: None,
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
