//! Which packages an upgrade ends with. apk decides name by name without backtracking, so its result can depend on its
//! order of names. This solver does not reproduce that order. It first rules out what `world` excludes without any
//! choice ([`settle`]), then takes the best remaining package for every name ([`best`], [`closure`]), and accepts the
//! result only if it is free of contradictions ([`check`]): then every order of names leads to it. If a package
//! excludes the best choice for a name below it, the exclusion counts, because apk works from the top down ([`order`]).
//! In all other cases the result is reported as undecided.

pub(super) mod best;
pub(super) mod check;
pub(super) mod closure;
pub(super) mod order;
pub(super) mod settle;
pub(super) mod universe;
