//! One archive's `Release`: asked for once, kept, and judged once for each set of keys.

use super::known::{Proof, Unknown, Wanted};
use crate::clients::archive::error::ArchiveError;
use crate::clients::archive::fetch::{ArchiveClient, FileRequest, Got, Validators};
use crate::runtime::archives::record::{self, Record, SignedFile};
use crate::store::archives::ArchiveCache;
use jiff::Timestamp;
use lowtide_apt::release::Release;
use lowtide_packages::families::apt::believe::believe;
use lowtide_packages::openpgp::error::SignatureError;
use lowtide_packages::openpgp::verify::Signed;
use std::sync::Arc;

/// Debian's largest `Release` has 0.3 MB. Compressed or not, nobody needs more.
const RELEASE: u64 = 16 << 20;
const SIGNATURE: u64 = 256 << 10;

/// A `Release` that may be believed.
#[derive(Debug, Clone)]
pub(super) struct Believed {
    pub(super) release: Arc<Release>,
    pub(super) proof: Proof,
    /// Until when it may be believed. `None`: without a limit.
    pub(super) until: Option<Timestamp>,
}

/// How a cached `Release` may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CachePolicy {
    /// The archive was asked a moment ago.
    Fresh,
    /// The archive is asked whether there is a newer one.
    Revalidate,
    /// Nothing: index files did not match it.
    Ignore,
}

/// The `Release` of the archive at `base`.
pub(super) async fn fetch(
    client: &ArchiveClient,
    cache: &ArchiveCache,
    base: &str,
    policy: CachePolicy,
) -> Result<Record, ArchiveError> {
    let name = record::name("release", base);
    let cached = cache.read(&name).and_then(|bytes| Record::from_bytes(&bytes, base));
    let newest = cached.as_ref().and_then(|cached| cached.newest);
    let cached = cached.filter(|_| policy != CachePolicy::Ignore);
    if let (CachePolicy::Fresh, Some(cached)) = (policy, &cached) {
        return Ok(cached.clone());
    }
    let fresh = |signed, validators| {
        // Servers without conditional requests send the same file again; earlier verifications still hold.
        let same = cached.as_ref().filter(|cached| cached.signed == signed);
        Record {
            newest,
            verified: same.map(|cached| cached.verified.clone()).unwrap_or_default(),
            ..Record::new(signed, validators)
        }
    };
    let validators = |inrelease: bool| {
        let cached = cached.as_ref()?;
        (matches!(cached.signed, SignedFile::Inline(_)) == inrelease).then_some(&cached.validators)
    };
    let get = async |file: &str, limit: u64, cached: Option<&Validators>| {
        let url = format!("{base}{file}");
        let request = FileRequest {
            url: &url,
            limit,
            cached,
            expected: None,
        };
        client.get(&request).await
    };
    let got = match get("InRelease", RELEASE, validators(true)).await {
        // Some storage services respond with 403 to a request for a missing file.
        Err(ArchiveError::NotFound { .. } | ArchiveError::Denied { status: 403, .. }) => None,
        got => Some(got?),
    };
    let record = match got {
        Some(Got::Content { bytes, validators }) => fresh(SignedFile::Inline(bytes), validators),
        Some(Got::Unchanged) => return unchanged(cached, base),
        None => match get("Release", RELEASE, validators(false)).await? {
            Got::Unchanged => return unchanged(cached, base),
            Got::Content { bytes, validators } => {
                let signature = match get("Release.gpg", SIGNATURE, None).await {
                    Ok(Got::Content { bytes, .. }) => Some(bytes),
                    Ok(Got::Unchanged)
                    | Err(ArchiveError::NotFound { .. } | ArchiveError::Denied { status: 403, .. }) => None,
                    Err(error) => return Err(error),
                };
                let release = bytes;
                fresh(SignedFile::Detached { release, signature }, validators)
            }
        },
    };
    cache.write(&name, &record.to_bytes(base));
    Ok(record)
}

/// A server that responds "unchanged" although we have no copy is broken.
fn unchanged(cached: Option<Record>, base: &str) -> Result<Record, ArchiveError> {
    cached.ok_or_else(|| ArchiveError::Refused {
        url: base.to_owned(),
        status: 304,
    })
}

/// Verifies the record with one image's keys. The record remembers successful verifications, and the newest date that was believed, so
/// that a mirror cannot present an older state later.
pub(super) fn judge(
    cache: &ArchiveCache,
    base: &str,
    record: &mut Record,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<Believed, Unknown> {
    let before = (record.newest, record.verified.clone());
    let judged = examined(record, wanted, now);
    if let Ok(believed) = &judged {
        record.newest = record.newest.max(dated(believed, now));
    }
    if before.0 != record.newest || before.1 != record.verified {
        cache.write(&record::name("release", base), &record.to_bytes(base));
    }
    judged
}

/// The date of a `Release` that someone signed. One that is not signed, or from the future, must not make all later ones
/// look old.
fn dated(believed: &Believed, now: Timestamp) -> Option<Timestamp> {
    match believed.proof {
        Proof::Signed { .. } => believed.release.date.filter(|date| *date <= now),
        Proof::Unverified { .. } => None,
    }
}

fn examined(record: &mut Record, wanted: &Wanted, now: Timestamp) -> Result<Believed, Unknown> {
    let options = &wanted.source.options;
    if options.trusted == Some(false) {
        return Err(Unknown::Distrusted);
    }
    let (text, proof, expires) = match verify(record, wanted, now) {
        Ok(Signed { text, by, at, until }) => (text, Proof::Signed { by, at }, until),
        Err(why) if options.trusted == Some(true) => (record.signed.text(), Proof::Unverified { why }, None),
        Err(why) => return Err(why.into()),
    };
    let release = Release::parse(&text)?;
    let valid_until = believe(&release, options, record.newest, now)?;
    Ok(Believed {
        release: Arc::new(release),
        proof,
        until: expires.into_iter().chain(valid_until).min(),
    })
}

/// Verifies the signature unless these keys verified the same bytes before: RSA is most of the work when nothing has changed.
fn verify(record: &mut Record, wanted: &Wanted, now: Timestamp) -> Result<Signed, SignatureError> {
    let keys = wanted.trust.identity();
    if let Some(known) = record.verified_by(&keys, now) {
        return Ok(Signed {
            text: record.signed.text(),
            by: known.by.clone(),
            at: known.at,
            until: known.until,
        });
    }
    let signed = match &record.signed {
        SignedFile::Inline(file) => wanted.trust.inrelease(file, now),
        SignedFile::Detached {
            release,
            signature: Some(signature),
        } => wanted.trust.detached(release, signature, now),
        SignedFile::Detached { signature: None, .. } => Err(SignatureError::Unsigned),
    }?;
    record.remember(&keys, &signed, now);
    Ok(signed)
}
