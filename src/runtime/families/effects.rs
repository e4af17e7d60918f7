//! What a family of package managers does at its package repositories.

use crate::runtime::archives::visit::Visit;
use crate::runtime::survey::cached::{Basis, Validity};
use crate::runtime::survey::images::{Question, Surveyed};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use lowtide_model::package_family::PackageFamily;
use lowtide_packages::families::list::each_family;

/// Leads from a family to its repositories.
pub(crate) trait Effects {
    type Repositories: Repositories + Default + 'static;
}

/// A family's package repositories: what is shared by all visits.
pub(crate) trait Repositories: Send + Sync {
    /// A surveyor for one visit. Each repository is requested once, each index read once, and each signature verified once
    /// per set of keys, for any number of images. The surveyor holds the results, so images can be judged one after the
    /// other and need not be in memory together.
    fn surveyor<'a>(&'a self, visit: Visit<'a>) -> Box<dyn Surveyor + 'a>;
}

pub(crate) trait Surveyor: Send + Sync {
    /// What is pending in an image of the family, and for how long the result holds; `None`: it must not be cached.
    fn survey(&self, question: Question) -> BoxFuture<'_, (Surveyed, Option<Validity>)>;

    /// Is each of these repositories as it was? One that cannot be reached is not known to be. A family whose surveys are
    /// never cached is not asked.
    fn are_as_before<'s>(&'s self, _basis: &'s [Basis]) -> BoxFuture<'s, bool> {
        ready(false).boxed()
    }
}

/// Of all families.
pub(crate) fn repositories() -> Vec<(PackageFamily, Box<dyn Repositories>)> {
    let of_family = |family: &PackageFamily| -> Box<dyn Repositories> {
        each_family!(*family, Rules => Box::new(<Rules as Effects>::Repositories::default()))
    };
    let families = PackageFamily::ALL.iter();
    families.map(|family| (*family, of_family(family))).collect()
}
