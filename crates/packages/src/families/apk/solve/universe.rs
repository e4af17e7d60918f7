//! The packages that could matter, looked up on demand.

use crate::families::apk::entry::Entry;
use crate::families::apk::pending::{Repository, Undecided};
use crate::families::apk::relation::{Limit, Relation, provided, relations};
use crate::families::apk::state::ApkState;
use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};

pub(in crate::families::apk) type NameId = usize;
pub(in crate::families::apk) type PackageId = usize;
/// A bit for each repository, or for each tag; the first tag stands for repositories without one.
pub(in crate::families::apk) type Mask = u64;
pub(in crate::families::apk) const UNTAGGED: Mask = 1;

pub(in crate::families::apk) struct Universe<'a> {
    state: &'a ApkState,
    repositories: &'a [Repository<'a>],
    pub(in crate::families::apk) packages: Vec<Package<'a>>,
    names: Vec<Name<'a>>,
    by_text: HashMap<String, NameId>,
    /// Name, version and checksum.
    by_identity: HashMap<[&'a str; 3], PackageId>,
    tags: Vec<&'a str>,
    /// How many providers were looked at.
    spent: Cell<usize>,
}

/// A large desktop needs a few hundred thousand looks.
const MAX_SPENT: usize = 1 << 25;

pub(in crate::families::apk) struct Package<'a> {
    pub(in crate::families::apk) entry: Entry<'a>,
    pub(in crate::families::apk) name: NameId,
    /// Its own name and version, then what it provides.
    pub(in crate::families::apk) names: Vec<(NameId, Option<&'a str>)>,
    pub(in crate::families::apk) depends: Vec<Dependency>,
    pub(in crate::families::apk) install_if: Vec<Dependency>,
    pub(in crate::families::apk) installed: bool,
    /// Those that list it.
    pub(in crate::families::apk) listed: Mask,
    /// Those that list it or that it was installed from.
    pub(in crate::families::apk) repositories: Mask,
    /// Tags that `world` allows for it.
    pub(in crate::families::apk) allowed: Mask,
    /// In place of repositories without a tag: the one of `world`'s last word about it.
    pub(in crate::families::apk) preferred: Option<Mask>,
    pub(in crate::families::apk) out: Option<Out>,
}

pub(in crate::families::apk) struct Dependency {
    pub(in crate::families::apk) name: NameId,
    pub(in crate::families::apk) relation: Relation,
}

struct Name<'a> {
    text: String,
    providers: Option<Vec<Provider<'a>>>,
}

#[derive(Debug, Clone, Copy)]
pub(in crate::families::apk) struct Provider<'a> {
    pub(in crate::families::apk) package: PackageId,
    pub(in crate::families::apk) version: Option<&'a str>,
}

/// Why a package cannot be among the chosen ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::families::apk) enum Out {
    /// For another architecture, or in a format that only a newer apk reads. Does not depend on the choices.
    Uninstallable,
    /// `by` is none for `world`.
    Excluded { by: Option<PackageId>, clause: String },
    /// A dependency of its own is unmet.
    Needs { clause: String },
    /// All remaining providers of `name` also have another name in common, which this package has as well.
    Beside { name: NameId },
}

/// Whether a provider goes with a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::families::apk) enum Fit {
    Yes,
    No,
    /// The dependency limits the version and the provider has none: apk 3 accepts it, apk 2 does not.
    Unsure,
}

impl Package<'_> {
    /// Ruled out by the search, as opposed to uninstallable from the start.
    pub(in crate::families::apk) fn is_ruled_out(&self) -> bool {
        !matches!(self.out, None | Some(Out::Uninstallable))
    }
}

impl<'a> Universe<'a> {
    pub(in crate::families::apk) fn new(state: &'a ApkState, repositories: &'a [Repository<'a>]) -> Self {
        let mut tags: Vec<&str> = vec![""];
        for tag in repositories.iter().filter_map(|it| it.source.tag.as_deref()) {
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
        Self {
            state,
            repositories,
            packages: Vec::new(),
            names: Vec::new(),
            by_text: HashMap::new(),
            by_identity: HashMap::new(),
            tags,
            spent: Cell::new(0),
        }
    }

    /// # Errors
    /// When there was too much to look at.
    pub(in crate::families::apk) fn affordable(&self) -> Result<(), Undecided> {
        if self.spent.get() > MAX_SPENT {
            Err(Undecided::TooMuch)
        } else {
            Ok(())
        }
    }

    /// The bit of a tag that some repository has.
    pub(in crate::families::apk) fn tag(&self, tag: Option<&str>) -> Option<Mask> {
        let at = match tag {
            None => 0,
            Some(tag) => 1 + self.tags.iter().skip(1).position(|it| *it == tag)?,
        };
        Some(1 << at)
    }

    /// The repositories that these tags allow.
    pub(in crate::families::apk) fn under(&self, tags: Mask) -> Mask {
        let allowed = self
            .repositories
            .iter()
            .enumerate()
            .filter(|(_, it)| self.tag(it.source.tag.as_deref()).is_some_and(|tag| tag & tags != 0));
        allowed.fold(0, |mask, (at, _)| mask | 1 << at)
    }

    pub(in crate::families::apk) fn name(&mut self, text: &str) -> NameId {
        if let Some(id) = self.by_text.get(text) {
            return *id;
        }
        self.names.push(Name {
            text: text.to_owned(),
            providers: None,
        });
        self.by_text.insert(text.to_owned(), self.names.len() - 1);
        self.names.len() - 1
    }

    pub(in crate::families::apk) fn text(&self, name: NameId) -> &str {
        &self.names[name].text
    }

    /// All that are known by a name: what is installed, then the repositories in their order. Looked up once.
    pub(in crate::families::apk) fn look_up(&mut self, name: NameId) {
        if self.names[name].providers.is_some() {
            return;
        }
        let text = self.names[name].text.clone();
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        for (repository, index) in self.indexes() {
            for at in index.providing(&text) {
                let package = self.package(index.entry(at), repository);
                if seen.insert(package) {
                    found.push(package);
                }
            }
        }
        let providers = found.into_iter().flat_map(|package| {
            let names = self.packages[package].names.iter();
            let same = names.filter(|(id, _)| *id == name);
            same.map(move |(_, version)| Provider {
                package,
                version: *version,
            })
            .collect::<Vec<_>>()
        });
        self.names[name].providers = Some(providers.collect());
    }

    /// What [`Universe::look_up`] found.
    pub(in crate::families::apk) fn providers(&self, name: NameId) -> &[Provider<'a>] {
        let providers = self.names[name].providers.as_deref().unwrap_or_default();
        self.spent.set(self.spent.get().saturating_add(1 + providers.len()));
        providers
    }

    /// The packages whose `install_if` speaks of a name.
    pub(in crate::families::apk) fn triggered_by(&mut self, name: NameId) -> Vec<PackageId> {
        let text = self.names[name].text.clone();
        let mut found = Vec::new();
        for (repository, index) in self.indexes() {
            let entries = index.triggered_by(&text).map(|at| index.entry(at));
            found.extend(entries.map(|entry| self.package(entry, repository)));
        }
        found
    }

    /// Where what is installed counts as a repository of its own, without a number.
    fn indexes(&self) -> Vec<(Option<usize>, &'a crate::families::apk::index::Index)> {
        let (state, repositories) = (self.state, self.repositories);
        let others = repositories.iter().enumerate().map(|(at, it)| (Some(at), it.index));
        std::iter::once((None, &state.installed)).chain(others).collect()
    }

    fn package(&mut self, entry: Entry<'a>, repository: Option<usize>) -> PackageId {
        let identity = [entry.name, entry.version, entry.checksum];
        let id = match self.by_identity.get(&identity) {
            Some(id) => *id,
            None => {
                let package = self.read(entry, repository.is_none());
                self.packages.push(package);
                self.by_identity.insert(identity, self.packages.len() - 1);
                self.packages.len() - 1
            }
        };
        let listed = repository.map_or(0, |at| 1 << at);
        self.packages[id].listed |= listed;
        self.packages[id].repositories |= listed;
        id
    }

    fn read(&mut self, entry: Entry<'a>, installed: bool) -> Package<'a> {
        let depends = relations(entry.depends);
        // An `install_if` that cannot be parsed triggers nothing.
        let install_if = relations(entry.install_if).unwrap_or_default();
        let out = (depends.is_none() || !self.is_for_us(&entry) || entry.newer).then_some(Out::Uninstallable);
        let name = self.name(entry.name);
        let mut names = vec![(name, Some(entry.version))];
        for other in provided(entry.provides) {
            names.push((self.name(other.name), other.version));
        }
        let from = match (installed, self.tag(entry.tag)) {
            (true, Some(tag)) => self.under(tag),
            (true, None) | (false, _) => 0,
        };
        let mut named = |relation: Relation| Dependency {
            name: self.name(&relation.name),
            relation,
        };
        Package {
            depends: depends.into_iter().flatten().map(&mut named).collect(),
            install_if: install_if.into_iter().map(&mut named).collect(),
            entry,
            name,
            names,
            installed,
            listed: 0,
            repositories: from,
            allowed: UNTAGGED,
            preferred: None,
            out,
        }
    }

    pub(in crate::families::apk) fn fit(
        &self,
        relation: &Relation,
        provider: Provider<'_>,
        of: Option<PackageId>,
    ) -> Fit {
        let package = &self.packages[provider.package];
        // A package cannot exclude its own names; apk 2 would not install such a package at all.
        if relation.conflict && of == Some(provider.package) {
            return Fit::Yes;
        }
        let holds = match (&relation.limit, provider.version) {
            (Limit::Any, _) => true,
            (Limit::Checksum(checksum), _) => checksum == package.entry.checksum,
            (Limit::Version { .. }, None) => return Fit::Unsure,
            (Limit::Version { operator, version }, Some(provided)) => operator.admits(provided, version),
        };
        if holds == relation.conflict { Fit::No } else { Fit::Yes }
    }

    /// # Errors
    /// When a name could be a package that apk 2 and apk 3 would not agree to install.
    pub(in crate::families::apk) fn all_installable(&self, name: NameId) -> Result<(), Undecided> {
        let broken = |p: &&Provider<'_>| self.packages[p.package].out == Some(Out::Uninstallable);
        match self.providers(name).iter().find(broken) {
            None => Ok(()),
            Some(provider) => Err(Undecided::Uninstallable {
                package: self.shown(provider.package),
            }),
        }
    }

    fn is_for_us(&self, entry: &Entry<'_>) -> bool {
        let ours = self.state.architectures.iter().any(|it| it == entry.architecture);
        ours || matches!(entry.architecture, "" | "noarch")
    }

    /// `inherited`: tags that are allowed in addition to those of `world`.
    pub(in crate::families::apk) fn is_allowed(&self, package: PackageId, inherited: Mask) -> bool {
        let it = &self.packages[package];
        it.installed || it.entry.empty || it.repositories & self.under(it.allowed | inherited) != 0
    }

    pub(in crate::families::apk) fn is_preferred(&self, package: PackageId) -> bool {
        let it = &self.packages[package];
        match it.preferred {
            Some(tags) => it.repositories & self.under(tags) != 0,
            None => it.entry.empty || it.repositories & self.under(UNTAGGED) != 0,
        }
    }

    /// Name and version, as apk shows a package.
    pub(in crate::families::apk) fn shown(&self, package: PackageId) -> String {
        let entry = &self.packages[package].entry;
        format!("{}-{}", entry.name, entry.version)
    }

    /// The address of the first repository that lists it.
    pub(in crate::families::apk) fn origin(&self, package: PackageId) -> String {
        let first = self.packages[package].listed.trailing_zeros() as usize;
        self.repositories
            .get(first)
            .map(|it| it.source.shown())
            .unwrap_or_default()
    }
}
