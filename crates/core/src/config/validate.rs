//! Raw configuration to a valid fleet, collecting every problem.

use super::age::identities;
use super::raw;
use super::shape;
use crate::channels::list::Channels;
use crate::fleet::app::Fleet;
use crate::yaml::age::{Beside, Encrypted};
use crate::yaml::check::Check;
use crate::yaml::diagnostic::{Problem, Route, Span};
use crate::yaml::from_tree;
use crate::yaml::limits;
use crate::yaml::scope::Scope;
use crate::yaml::second;
use crate::yaml::tree::{self, Node};
use lowtide_model::defaults;
use lowtide_model::name::HostName;
use lowtide_model::policy::{EngineAddress, Host, Limits, RegistryRetention, Retention};
use lowtide_model::secret::SecretRef;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use crate::yaml::scope::{Origin, Provenance, Setting};

/// Reads a configuration.
///
/// # Errors
/// Every problem of the text, in the order of their places.
pub fn fleet(text: &[u8]) -> Result<Fleet, Vec<Problem>> {
    fleet_beside(text, &Beside::new())
}

/// As [`fleet`], with the encrypted secrets that stand beside the text.
///
/// # Errors
/// As [`fleet`].
pub fn fleet_beside(text: &[u8], beside: &Beside) -> Result<Fleet, Vec<Problem>> {
    read(text, beside, &|_| false).map(|(fleet, _)| fleet)
}

/// As [`fleet_beside`]; also returns the effective settings, with their origins, of each app whose name `is_wanted`. `plan` shows them.
///
/// # Errors
/// As [`fleet`].
pub fn fleet_with_provenance(
    text: &[u8],
    beside: &Beside,
    is_wanted: &dyn Fn(&str) -> bool,
) -> Result<(Fleet, Provenance), Vec<Problem>> {
    read(text, beside, is_wanted)
}

/// Every secret that the fleet refers to, with the place that does, for the caller to probe.
#[must_use]
pub fn secrets(fleet: &Fleet) -> Vec<(String, SecretRef)> {
    let mut out = Vec::new();
    let mut add = |place: String, secret: Option<&SecretRef>| out.extend(secret.map(|s| (place, s.clone())));
    for (name, host) in &fleet.hosts {
        let key = match &host.address {
            EngineAddress::Unix(_) => None,
            EngineAddress::Ssh(ssh) => ssh.key.as_ref(),
            EngineAddress::Tls(tls) => tls.key.as_ref(),
        };
        add(format!("hosts.{name}.key"), key);
    }
    for (name, registry) in &fleet.registries {
        add(format!("registries.{name}.password"), registry.password.as_ref());
    }
    add("web.hooks.github".to_owned(), fleet.web.hooks.github.as_ref());
    add("web.hooks.signed".to_owned(), fleet.web.hooks.signed.as_ref());
    for (place, secret) in fleet.channels.secrets() {
        add(place, Some(secret));
    }
    for (name, app) in &fleet.apps {
        if let Some(source) = app.source() {
            add(format!("apps.{name}.source.token"), source.token.as_ref());
            add(format!("apps.{name}.source.ssh_key"), source.ssh_key.as_ref());
        }
        for (place, secret) in app.secret_refs() {
            add(format!("apps.{name}.{place}"), Some(secret));
        }
        for target in &app.rollout {
            for (place, secret) in target.secret_refs() {
                let target = &target.settings.name;
                add(format!("apps.{name}.rollout.{target}.{place}"), Some(secret));
            }
        }
    }
    out
}

fn read(bytes: &[u8], beside: &Beside, is_wanted: &dyn Fn(&str) -> bool) -> Result<(Fleet, Provenance), Vec<Problem>> {
    let text = limits::text(bytes).map_err(|problem| vec![problem])?;
    // Before the second reader gets the text: depth and aliases are bounded here.
    let (tree, problems) = tree::read(text).map_err(|problem| vec![problem])?;
    let (first, second) = std::thread::scope(|scope| {
        let second = scope.spawn(|| second::read(text));
        (first_reading(&tree, problems, beside, is_wanted), second.join())
    });
    let second = second.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let FirstReading { file, result } = first?;
    match (file, second) {
        (Some(_), Err(unread)) => Err(vec![disagree(unread.place)]),
        (Some(first), Ok(second)) if first != second => Err(vec![disagree(None)]),
        (Some(_), Ok(_)) | (None, _) => result,
    }
}

/// What the tree says.
struct FirstReading {
    /// Set if the text's shape has no problems. Then the second reader has to agree, because what was checked must be
    /// what is used.
    file: Option<raw::File>,
    result: Result<(Fleet, Provenance), Vec<Problem>>,
}

fn first_reading(
    tree: &Node,
    mut problems: Vec<Problem>,
    beside: &Beside,
    is_wanted: &dyn Fn(&str) -> bool,
) -> Result<FirstReading, Vec<Problem>> {
    let shape = shape::compare(tree, &raw::schema());
    problems.extend(shape.problems);
    if shape.broken.contains(&Route::default()) {
        return Err(in_order(problems));
    }
    let is_whole = problems.is_empty();
    let file: raw::File = match from_tree::read(tree, &shape.broken) {
        Ok(file) => file,
        Err(_) => {
            problems.push(disagree(None));
            return Err(in_order(problems));
        }
    };
    let Ok(first_host) = defaults::HOST.parse::<HostName>() else {
        return Err(problems);
    };
    let mut check = Check {
        tree,
        broken: &shape.broken,
        problems,
        hosts: BTreeMap::new(),
        first_host,
        targets: BTreeMap::new(),
        settings: Vec::new(),
        tracing: false,
        good_crons: BTreeSet::new(),
        encrypted: Encrypted::Beside {
            files: beside,
            identities: identities(file.age.as_ref()),
        },
    };
    let (fleet, provenance) = check.file(&file, is_wanted);
    let result = if check.problems.is_empty() {
        Ok((fleet, provenance))
    } else {
        Err(in_order(check.problems))
    };
    Ok(FirstReading {
        file: is_whole.then_some(file),
        result,
    })
}

pub(super) fn disagree(place: Option<(usize, usize)>) -> Problem {
    let (line, column) = place.unwrap_or((1, 1));
    Problem::new(
        "readers-disagree",
        "two YAML readers understand this text differently, so neither is trusted",
    )
    .hint("write it more plainly: quote texts, one key a line, no anchors")
    .at(&Route::default(), Span { line, column, len: 1 })
}

/// Sorted by place. A problem that several apps share through a profile is reported once.
pub(super) fn in_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by(|a, b| (a.span, a.code, &a.message).cmp(&(b.span, b.code, &b.message)));
    problems.dedup_by(|a, b| a.span == b.span && a.code == b.code && a.message == b.message);
    let surplus = problems.len().saturating_sub(limits::MAX_PROBLEMS);
    if surplus > 0 {
        problems.truncate(limits::MAX_PROBLEMS);
        let last = problems.last().map(|p| p.span).unwrap_or_default();
        let message = format!("{surplus} more problems are not shown");
        problems.push(Problem::new("too-many-problems", message).at(&Route::default(), Span { len: 0, ..last }));
    }
    problems
}

impl Check<'_> {
    fn file(&mut self, file: &raw::File, is_wanted: &dyn Fn(&str) -> bool) -> (Fleet, Provenance) {
        let top = Scope::new(vec![(Origin::Fleet, Route::default())]);
        match file.version {
            Some(1) => {}
            Some(other) => {
                let problem = Problem::new("bad-version", format!("this version reads format 1, not {other}"));
                self.report(&top, &Route::keys("version"), problem.hint("write `version: 1`"));
            }
            None => self.missing(&top, &Route::keys("version"), "begin the file with `version: 1`"),
        }
        let timezone = self.timezone(&top, file.timezone.as_ref());
        self.age(&top, file.age.as_ref());
        let hosts = self.hosts(&top, file);
        let registries = self.registries(&top, &file.registries);
        let archives = self.package_repositories(&top, &file.package_repositories.clone().unwrap_or_default());
        let channels = Channels::read(self, &file.notify.clone().unwrap_or_default());
        let limits = self.limits(&top, &file.limits.clone().unwrap_or_default());
        let retention = self.retention(&top, &file.retention.clone().unwrap_or_default());
        let web = self.pages(&top, &file.web.clone().unwrap_or_default());
        if let Some(settings) = &file.defaults {
            self.lone(file, Origin::Defaults, Route::keys("defaults"), settings.clone().into());
        }
        for (name, profile) in &file.profiles {
            let route = Route::keys("profiles").key(name);
            self.lone(file, Origin::Profile(name.clone()), route, profile.clone().into());
        }
        let (mut apps, mut provenance) = (BTreeMap::new(), BTreeMap::new());
        // In file order, so that the second of two apps on one target is the later one.
        for entry in self
            .tree
            .get(&Route::keys("apps"))
            .map(Node::entries)
            .unwrap_or_default()
        {
            self.settings.clear();
            let Some(raw) = file.apps.get(&entry.key) else { continue };
            self.tracing = is_wanted(&entry.key);
            if let Some(app) = self.app(file, &entry.key, raw) {
                if self.tracing {
                    let settings: Vec<Setting> = std::mem::take(&mut self.settings);
                    provenance.insert(app.name.clone(), settings);
                }
                apps.insert(app.name.clone(), Arc::new(app));
            }
        }
        self.mirrors_are_read_only(&top, &registries, &apps);
        if file.apps.is_empty() {
            self.missing(
                &top,
                &Route::keys("apps"),
                "name at least one app: `apps: { web: { source: { repo: https://… } } }`",
            );
        }
        (
            Fleet {
                timezone,
                hosts,
                registries,
                archives,
                channels,
                limits,
                retention,
                web,
                apps,
            },
            provenance,
        )
    }

    fn hosts(&mut self, top: &Scope, file: &raw::File) -> BTreeMap<HostName, Host> {
        let mut first = None;
        for entry in self
            .tree
            .get(&Route::keys("hosts"))
            .map(Node::entries)
            .unwrap_or_default()
        {
            let rest = Route::keys("hosts").key(&entry.key);
            let Some(raw) = file.hosts.get(&entry.key) else {
                continue;
            };
            let name = self.name::<HostName>(top, &rest, &entry.key);
            let address = match &raw.docker {
                Some(text) => self.engine(top, &rest, raw, &text.0),
                None => {
                    let scope = Scope::new(vec![(Origin::Fleet, rest)]);
                    self.missing(
                        &scope,
                        &Route::keys("docker"),
                        "write `docker: unix:///var/run/docker.sock`",
                    );
                    None
                }
            };
            let Some(name) = name else { continue };
            first.get_or_insert(name.clone());
            // A host whose address is wrong still has a name that apps may use.
            self.hosts.insert(
                name,
                address.unwrap_or_else(|| EngineAddress::Unix(std::path::PathBuf::new())),
            );
        }
        match first {
            Some(first) => self.first_host = first,
            None => {
                self.hosts.insert(
                    self.first_host.clone(),
                    EngineAddress::Unix(defaults::DOCKER_SOCKET.into()),
                );
            }
        }
        self.hosts
            .iter()
            .map(|(name, address)| {
                (
                    name.clone(),
                    Host {
                        address: address.clone(),
                    },
                )
            })
            .collect()
    }

    fn limits(&mut self, top: &Scope, raw: &raw::Limits) -> Limits {
        let default = defaults::LIMITS;
        Limits {
            runs: count(raw.runs, default.runs),
            rollouts: count(raw.rollouts, default.rollouts),
            rollouts_per_host: count(raw.rollouts_per_host, default.rollouts_per_host),
            min_free_disk: self.size(
                top,
                "limits.min_free_disk",
                raw.min_free_disk.as_ref(),
                default.min_free_disk,
            ),
        }
    }

    fn retention(&mut self, top: &Scope, raw: &raw::Retention) -> Retention {
        let default = defaults::RETENTION;
        Retention {
            history: self.limit(top, "retention.history", raw.history.as_ref(), default.history),
            audit: self.limit(top, "retention.audit", raw.audit.as_ref(), default.audit),
            images: count(raw.images, default.images),
            logs: self.size(top, "retention.logs", raw.logs.as_ref(), default.logs),
            build_cache: self.size(
                top,
                "retention.build_cache",
                raw.build_cache.as_ref(),
                default.build_cache,
            ),
            registry: self.registry_retention(top, &raw.registry.clone().unwrap_or_default()),
        }
    }

    fn registry_retention(&mut self, top: &Scope, raw: &raw::RegistryRetention) -> RegistryRetention {
        let default = defaults::REGISTRY_RETENTION;
        let place = Route::keys("retention.registry.age");
        let age = raw.age.as_ref();
        let age = age.map(|age| self.duration_at(top, &place, Some(age), defaults::RETENTION.history));
        if age.is_some_and(|age| age.is_zero()) {
            let problem = Problem::new("out-of-range", format!("`{place}` must be longer than nothing"));
            self.report(top, &place, problem.hint("leave it out if only `keep` should count"));
        }
        RegistryRetention {
            keep: count(raw.keep, default.keep),
            age,
            delete: raw.delete.unwrap_or(default.delete),
        }
    }
}

fn count(raw: Option<u64>, default: usize) -> usize {
    raw.and_then(|n| usize::try_from(n).ok()).unwrap_or(default)
}
