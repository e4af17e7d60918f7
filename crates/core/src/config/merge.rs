//! One layer of settings over another: app over profile over defaults, key by key. Lists are replaced as a whole; where
//! keys exclude each other, a choice made above hides the one below.

use super::raw::{
    App, Build, BuildLimits, ContainerLimits, Defaults, Halt, Nightly, OwnFile, Profile, Publish, RepositoryFile,
    Sidecar, Source, Test, TestCompose, Tester,
};
use crate::yaml::raw as shared;
use crate::yaml::raw::{Command, Http, Ready, Secret, Text, TextOrSecret, Window};
use std::collections::BTreeMap;

pub(super) trait Over: Sized {
    #[must_use]
    fn over(self, below: Self) -> Self;
}

impl<T: Over> Over for Option<T> {
    fn over(self, below: Self) -> Self {
        match (self, below) {
            (Some(above), Some(below)) => Some(above.over(below)),
            (above, below) => above.or(below),
        }
    }
}

impl<T: Over> Over for BTreeMap<String, T> {
    fn over(self, below: Self) -> Self {
        let mut out = below;
        for (key, above) in self {
            let merged = match out.remove(&key) {
                Some(below) => above.over(below),
                None => above,
            };
            out.insert(key, merged);
        }
        out
    }
}

macro_rules! replaced {
    ($($type:ty),*) => {$(impl Over for $type {
        fn over(self, _: Self) -> Self { self }
    })*};
}
replaced!(
    Text,
    bool,
    u64,
    u32,
    u16,
    f64,
    super::raw::Mode,
    super::raw::Network,
    super::raw::ScheduleWord,
    shared::OverrunWord,
    shared::EscalateWord,
    super::raw::RequireWord,
    Command,
    Secret,
    TextOrSecret
);
impl<T> Over for Vec<T> {
    fn over(self, _: Self) -> Self {
        self
    }
}

/// Every field laid over its like. `@one_of` lists fields that exclude each other.
macro_rules! laid_over {
    ($($type:ident { $($field:ident),* } $(@one_of $($choice:ident),*;)*)*) => {$(
        impl Over for $type {
            fn over(self, below: Self) -> Self {
                #[allow(unused_mut, reason = "types without a choice do not change what is below")]
                let mut below = below;
                $(
                    let chosen = [$(self.$choice.is_chosen()),*];
                    let mut others = chosen.iter().enumerate().map(|(n, _)| chosen.iter().enumerate().any(|(m, c)| m != n && *c));
                    $(if others.next().unwrap_or(false) { below.$choice = Default::default(); })*
                )*
                Self { $($field: self.$field.over(below.$field)),* }
            }
        }
    )*};
}

/// Does a layer make this choice?
trait Chosen {
    fn is_chosen(&self) -> bool;
}
impl<T> Chosen for Option<T> {
    fn is_chosen(&self) -> bool {
        self.is_some()
    }
}
impl<T> Chosen for BTreeMap<String, T> {
    fn is_chosen(&self) -> bool {
        !self.is_empty()
    }
}

laid_over! {
    Source { repo, image, tags, min_age, host, branch, tag, commit, context, dockerfile, submodules, username, token, ssh_key, timeout, max_size }
        @one_of repo, image;
        @one_of branch, tag, commit;
    Build { host, args, secrets, ssh, target, labels, label_schema, pull, timeout, limits, max_log, upgrade, max_age, ignore_paths }
    BuildLimits { memory, cpus }
    Test { sidecars, compose, env, matrix, network, ready, steps, tester, junit, artefacts, limits, timeout }
        @one_of sidecars, compose;
    Tester { image, service, command, env, junit, artefacts, timeout }
        @one_of image, service;
    Sidecar { image, env, command, ready }
    TestCompose { file, files, service, profiles, env, allow }
        @one_of file, files;
    Ready { healthcheck, http, log, exec, exit, stay_up, timeout }
        @one_of healthcheck, http, log, exec, exit, stay_up;
    Http { port, path, url }
    ContainerLimits { memory, cpus, pids, output, disk }
    Publish { image, tag, channels }
    Nightly { between }
    Halt { require, probation, tests }
    RepositoryFile { path, allow }
    OwnFile { version, build, env, test, ready }
    Window { days, from, to, r#for, zone, deny, blackouts, freeze, cutoff, overrun, max_wait, max_wait_security, escalate }
        @one_of to, r#for;
    App { timezone, mode, profile, github, rollout, maintainers, source, build, env, test, ready, publish, nightly, cron,
          schedule, window, bake, halt, repository_file }
        @one_of nightly, cron, schedule;
}
impl Over for super::raw::AppGithub {
    fn over(self, _: Self) -> Self {
        self
    }
}

macro_rules! as_app {
    ($($type:ident { $($own:ident),* })*) => {$(
        impl From<$type> for App {
            fn from(layer: $type) -> Self {
                Self {
                    $($own: layer.$own,)*
                    maintainers: layer.maintainers,
                    source: layer.source,
                    build: layer.build,
                    env: layer.env,
                    test: layer.test,
                    ready: layer.ready,
                    publish: layer.publish,
                    nightly: layer.nightly,
                    cron: layer.cron,
                    schedule: layer.schedule,
                    window: layer.window,
                    bake: layer.bake,
                    halt: layer.halt,
                    repository_file: layer.repository_file,
                    ..App::default()
                }
            }
        }
    )*};
}
as_app! {
    Defaults {}
    Profile { timezone, mode }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(text: &str) -> Ready {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_choice_above_hides_the_one_below() {
        let above = ready(r#"{"http": {"port": 80, "path": "/"}}"#);
        let below = ready(r#"{"healthcheck": true, "timeout": "1m"}"#);
        assert_eq!(
            above.clone().over(below),
            ready(r#"{"http": {"port": 80, "path": "/"}, "timeout": "1m"}"#)
        );
        let finer = ready(r#"{"http": {"port": 8080}}"#);
        assert_eq!(finer.over(above), ready(r#"{"http": {"port": 8080, "path": "/"}}"#));
    }

    #[test]
    fn maps_merge_and_lists_are_replaced() {
        let layer = |text: &str| serde_json::from_str::<App>(text).unwrap();
        let above = layer(r#"{"env": {"A": "1"}, "maintainers": ["a@x"]}"#);
        let below = layer(r#"{"env": {"A": "0", "B": "2"}, "maintainers": ["b@x", "c@x"]}"#);
        assert_eq!(
            above.over(below),
            layer(r#"{"env": {"A": "1", "B": "2"}, "maintainers": ["a@x"]}"#)
        );
    }
}
