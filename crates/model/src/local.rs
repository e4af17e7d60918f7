//! Trouble of the machine that lowtide itself runs on. It is never a verdict about a release, nor a broken rule.

use crate::failure::FailureKind;
use rustix::io::Errno;
use std::error::Error;
use std::io::{self, ErrorKind};

/// The kind of an error met on our own files, processes and pipes.
#[must_use]
pub fn kind(error: &io::Error) -> FailureKind {
    let full = |error: &io::Error| matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
    let mut of_the_system = false;
    for one in chain(error) {
        if full(one) {
            return FailureKind::DiskFull;
        }
        of_the_system |= one.raw_os_error().is_some() || one.kind() == ErrorKind::OutOfMemory;
    }
    if of_the_system {
        FailureKind::LocalTrouble
    } else {
        FailureKind::Invariant
    }
}

/// Does the error mean that a local resource is exhausted? For connection errors, where most error numbers are about
/// the remote side.
#[must_use]
pub fn exhausted(error: &(dyn Error + 'static)) -> Option<FailureKind> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(one) = error.downcast_ref::<io::Error>()
            && let Some(kind) = chain(one).find_map(used_up)
        {
            return Some(kind);
        }
        next = error.source();
    }
    None
}

fn used_up(error: &io::Error) -> Option<FailureKind> {
    let number = error.raw_os_error().map(Errno::from_raw_os_error)?;
    if matches!(number, Errno::NOSPC | Errno::DQUOT) {
        return Some(FailureKind::DiskFull);
    }
    // `ADDRNOTAVAIL`: every port for an outgoing connection is taken.
    let ours = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOMEM,
        Errno::NOBUFS,
        Errno::IO,
        Errno::ADDRNOTAVAIL,
    ];
    ours.contains(&number).then_some(FailureKind::LocalTrouble)
}

/// An OS error is often wrapped in another error, which has no error number (tar, tokio).
fn chain(error: &io::Error) -> impl Iterator<Item = &io::Error> {
    std::iter::successors(Some(error), |error| {
        let inner = error.get_ref()?;
        let inner = inner as &(dyn Error + 'static);
        inner
            .downcast_ref::<io::Error>()
            .or_else(|| inner.source()?.downcast_ref::<io::Error>())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{Failure, Fault};

    #[derive(Debug, thiserror::Error)]
    #[error("while it was packed")]
    struct Wrapped(#[source] io::Error);

    #[test]
    fn trouble_of_our_own_machine_is_no_broken_rule() {
        let trouble = [
            (Errno::MFILE, FailureKind::LocalTrouble),
            (Errno::NFILE, FailureKind::LocalTrouble),
            (Errno::IO, FailureKind::LocalTrouble),
            (Errno::NOMEM, FailureKind::LocalTrouble),
            (Errno::AGAIN, FailureKind::LocalTrouble),
            (Errno::ROFS, FailureKind::LocalTrouble),
            (Errno::ACCESS, FailureKind::LocalTrouble),
            (Errno::NOSPC, FailureKind::DiskFull),
            (Errno::DQUOT, FailureKind::DiskFull),
        ];
        for (number, kind) in trouble {
            let plain = io::Error::from(number);
            let wrapped = io::Error::other(Wrapped(io::Error::from(number)));
            for error in [plain, wrapped] {
                let failure = Failure::local("state", &error);
                assert_eq!((failure.kind, failure.fault()), (kind, Fault::Infra), "{number:?}");
            }
        }
        assert_eq!(kind(&ErrorKind::InvalidInput.into()), FailureKind::Invariant);
    }

    #[test]
    fn only_what_is_used_up_here_is_ours_in_a_connections_error() {
        let of = |number: Errno| exhausted(&Wrapped(io::Error::from(number)));
        assert_eq!(of(Errno::MFILE), Some(FailureKind::LocalTrouble));
        assert_eq!(of(Errno::NOSPC), Some(FailureKind::DiskFull));
        for theirs in [Errno::CONNREFUSED, Errno::NOENT, Errno::TIMEDOUT, Errno::CONNRESET] {
            assert_eq!(of(theirs), None, "{theirs:?}");
        }
    }
}
