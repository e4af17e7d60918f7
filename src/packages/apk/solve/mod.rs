//! Which packages an upgrade ends with. apk decides name by name and never goes back, so that what it ends with can depend
//! on its order of names. We do not follow that order. What follows from `world` without a choice is ruled out first
//! ([`settle`]), the best of what is left is taken for every name ([`best`], [`closure`]), and the answer stands only when it
//! contradicts nothing ([`check`]): then no order of names leads elsewhere. Where a package excludes what is best for a name
//! below it, its word counts, as apk goes from the top down ([`order`]). Otherwise we say that we do not know.

pub(super) mod best;
pub(super) mod check;
pub(super) mod closure;
pub(super) mod order;
pub(super) mod settle;
pub(super) mod universe;
