//! Would publishing change anything? For now the answer comes after the build: same packages, configuration and files
//! as the last release means that nothing is pushed, promoted, restarted or mailed.

use crate::model::failure::SkipReason;
use crate::model::image::ContentDigest;
use crate::model::stages::inspect::Inspected;
use crate::model::standing::Release;

/// Why the candidate goes no further, if it does not.
#[must_use]
pub fn skip(inspected: &Inspected, last: Option<&Release>, quarantine: &[ContentDigest]) -> Option<SkipReason> {
    let content = &inspected.inventory.content;
    // A rebuild gives the same bits another digest: the content is what must not be tried again.
    if quarantine.contains(content) {
        return Some(SkipReason::Quarantined {
            digest: content.to_string(),
        });
    }
    let same = last.is_some_and(|release| release.content == *content);
    same.then_some(SkipReason::SameContent)
}
