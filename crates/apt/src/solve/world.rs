//! Packages and versions, loaded on demand.
//!
//! A package is a name for one architecture, as in apt. Installed packages are loaded at the start, with every version
//! that the archives have of them; other packages once a relation refers to them.

use super::census::{Census, Dependant};
use super::file::{Archive, File};
use super::order::bucket;
use super::plan::Planned;
use super::ways::Ways;
use crate::index::read::Row;
use crate::index::stanza::{Kind, MultiArch, Priority};
use crate::preferences::{Pin, target_release};
use crate::relation::{Limit, Operator, alternatives, clauses};
use crate::state::{AptState, Installed};
use crate::version;
use foldhash::{HashMap, HashMapExt};
use std::cmp::Ordering;
use std::rc::Rc;

macro_rules! number {
    ($name:ident) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(crate) struct $name(pub(super) u32);

        impl $name {
            pub(super) fn nth(count: usize) -> Self {
                // Bounded by the limits of an index.
                Self(u32::try_from(count).unwrap_or(u32::MAX))
            }
            pub(crate) fn at(self) -> usize {
                self.0 as usize
            }
        }
    };
}
number!(NameId);
number!(PackageId);
number!(VersionId);
number!(RelationId);

/// Place in [`World::architectures`].
pub(super) type Architecture = usize;

pub(crate) struct World<'a> {
    pub(super) state: &'a AptState,
    pub(crate) files: Vec<File<'a>>,
    /// Pins that speak of packages, in the order in which they count.
    pub(super) pins: Vec<Pin>,
    /// The configured ones, native first; then those that only turned up.
    pub(crate) architectures: Vec<&'a str>,
    numbers: HashMap<&'a str, NameId>,
    pub(super) names: Vec<Name<'a>>,
    pub(crate) packages: Vec<Package>,
    pub(crate) versions: Vec<Version<'a>>,
    pub(super) relations: Vec<Target<'a>>,
    pub(super) scores: HashMap<(NameId, Architecture), i32>,
    /// Installed packages whose installed version relates to a name positively: reverse dependencies.
    pub(super) dependants: Option<Rc<HashMap<NameId, Vec<Dependant>>>>,
    /// Built on first use: most upgrades never need an order.
    pub(super) census: Option<Rc<Census<'a>>>,
    pub(super) ways: Ways,
    /// Counts the changes to plans.
    pub(super) clock: u32,
    /// Counts the attempts to mark something.
    pub(super) attempts: u32,
}

pub(crate) struct Name<'a> {
    pub(crate) text: &'a str,
    loaded: bool,
    pub(super) packages: Vec<PackageId>,
    /// By versions that are installed or could come.
    pub(super) provided: Vec<Provided<'a>>,
    /// By any version at all, in apt's order; known once looked up.
    pub(super) providers: Option<Rc<[Provided<'a>]>>,
    /// Clock value at which the dependents of the name were last notified of a change: see [`super::plan`].
    pub(super) notified_at: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Provided<'a> {
    pub(super) by: VersionId,
    pub(super) version: Option<&'a str>,
}

pub(crate) struct Package {
    pub(crate) name: NameId,
    pub(crate) architecture: Architecture,
    /// From new to old.
    pub(crate) versions: Vec<VersionId>,
    pub(crate) current: Option<VersionId>,
    /// By policy alone; what the plan made of it is in `planned`.
    pub(crate) candidate: Option<VersionId>,
    pub(super) essential: bool,
    pub(super) protected: bool,
    pub(crate) held: bool,
    pub(super) provides_known: bool,
    pub(crate) planned: Planned,
    /// Candidate and target after each change, by the clock.
    pub(super) history: Vec<(u32, Option<VersionId>, Option<VersionId>)>,
}

pub(crate) struct Version<'a> {
    pub(crate) package: PackageId,
    pub(crate) text: &'a str,
    pub(super) described: By<'a>,
    fingerprint: u32,
    size: u32,
    /// Places in [`World::files`].
    pub(crate) files: Vec<usize>,
    pub(crate) source: &'a str,
    pub(crate) source_version: &'a str,
    pub(crate) multi_arch: MultiArch,
    pub(super) priority: Priority,
    /// In percent.
    pub(crate) phased: u8,
    pub(super) clauses: Option<Rc<[Clause<'a>]>>,
    /// Names it provides, once looked up.
    pub(super) provides: Option<Rc<[NameId]>>,
}

/// The entry that counts for a version which several files list: the first one, as for apt.
#[derive(Clone, Copy)]
pub(super) enum By<'a> {
    Index(Row<'a>),
    Status(&'a Installed),
}

/// Alternatives of which one must hold, or a conflict that must not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clause<'a> {
    pub(super) kind: Kind,
    first: RelationId,
    count: u32,
    /// As written; empty where no file says it.
    pub(crate) text: &'a str,
}

impl Clause<'_> {
    pub(crate) fn is_negative(&self) -> bool {
        matches!(self.kind, Kind::Conflicts | Kind::Breaks)
    }
    /// Recommends and Suggests may stay unmet.
    pub(crate) fn is_critical(&self) -> bool {
        !matches!(self.kind, Kind::Recommends | Kind::Suggests)
    }
    pub(super) fn relations(&self) -> impl DoubleEndedIterator<Item = RelationId> + use<> {
        (self.first.0..self.first.0 + self.count).map(RelationId)
    }
}

/// What a relation is about, seen from the version that has it.
#[derive(Debug, Clone)]
pub(super) struct Target<'a> {
    pub(super) of: VersionId,
    pub(super) name: NameId,
    pub(super) scope: Scope,
    pub(super) limit: Option<Limit<'a>>,
    pub(super) negative: bool,
    /// An implicit relation between the architectures of one package, which no file states.
    pub(super) implied: bool,
    /// All versions that meet it, once looked up.
    pub(super) met_by: Option<Rc<[VersionId]>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Of this architecture, or for every one (`Multi-Arch: foreign`).
    Usable(Architecture),
    /// `:any`: of whatever architecture, if the package allows it.
    Any,
    Exactly(Architecture),
    /// What conflicts does so with every architecture.
    Every,
}

impl<'a> World<'a> {
    /// Everything installed, with its candidates, and no plan yet. `archives` in the order of the image's sources.
    pub(crate) fn new(state: &'a AptState, archives: impl Iterator<Item = Archive<'a>>) -> Self {
        let mut pins: Vec<Pin> = state
            .settings
            .target_release
            .iter()
            .map(|r| target_release(r))
            .collect();
        pins.extend(state.pins.iter().cloned());
        let files = archives
            .map(Some)
            .chain([None])
            .map(|archive| File::new(archive, pins.iter()))
            .collect();
        pins.retain(|pin| pin.package.is_some());
        let mut world = Self {
            state,
            files,
            pins,
            architectures: state.architectures.iter().map(String::as_str).collect(),
            numbers: HashMap::new(),
            names: Vec::new(),
            packages: Vec::new(),
            versions: Vec::new(),
            relations: Vec::new(),
            scores: HashMap::new(),
            dependants: None,
            census: None,
            ways: Ways::of(state),
            clock: 0,
            attempts: 0,
        };
        let mut names = Vec::with_capacity(state.installed.len());
        for installed in &state.installed {
            let id = world.package(&installed.name, &installed.architecture);
            world.packages[id.at()].held = installed.held;
            names.push(world.packages[id.at()].name);
        }
        for name in names {
            world.load(name);
        }
        world
    }

    pub(crate) fn name(&self, package: PackageId) -> &'a str {
        self.names[self.packages[package.at()].name.at()].text
    }

    pub(crate) fn architecture_of(&self, version: VersionId) -> &'a str {
        match self.versions[version.at()].described {
            By::Index(row) => row.architecture(),
            By::Status(installed) => &installed.architecture,
        }
    }

    /// All packages there are so far, by name and architecture.
    pub(crate) fn sorted(&self) -> Vec<PackageId> {
        let mut all: Vec<PackageId> = (0..self.packages.len()).map(PackageId::nth).collect();
        all.sort_by_key(|id| (self.name(*id), self.packages[id.at()].architecture));
        all
    }

    /// As [`Self::sorted`], in the order in which apt walks through them.
    pub(super) fn walk(&self) -> Vec<PackageId> {
        let mut all: Vec<PackageId> = (0..self.packages.len()).map(PackageId::nth).collect();
        all.sort_by_cached_key(|id| {
            let name = self.name(*id);
            (bucket(name), name.len(), name, self.packages[id.at()].architecture)
        });
        all
    }

    /// If anything has looked up the name so far.
    pub(super) fn name_id(&self, name: &str) -> Option<NameId> {
        self.numbers.get(name).copied()
    }

    pub(super) fn number(&mut self, name: &'a str) -> NameId {
        if let Some(known) = self.numbers.get(name) {
            return *known;
        }
        let id = NameId::nth(self.names.len());
        self.numbers.insert(name, id);
        self.names.push(Name {
            text: name,
            loaded: false,
            packages: Vec::new(),
            provided: Vec::new(),
            providers: None,
            notified_at: 0,
        });
        id
    }

    /// A place in [`World::architectures`]; a package for all counts as native.
    pub(super) fn architecture(&mut self, name: &'a str) -> Architecture {
        if name == "all" {
            return 0;
        }
        let known = self.architectures.iter().position(|known| *known == name);
        known.unwrap_or_else(|| {
            self.architectures.push(name);
            self.architectures.len() - 1
        })
    }

    pub(super) fn is_configured(&self, architecture: Architecture) -> bool {
        architecture < self.state.architectures.len()
    }

    fn package(&mut self, name: &'a str, architecture: &'a str) -> PackageId {
        let architecture = self.architecture(architecture);
        let name = self.number(name);
        let known = self.names[name.at()].packages.iter();
        let known = known
            .copied()
            .find(|id| self.packages[id.at()].architecture == architecture);
        known.unwrap_or_else(|| {
            let id = PackageId::nth(self.packages.len());
            // apt itself is never removed by a solver, whatever its stanza says.
            let is_apt = self.names[name.at()].text == "apt";
            self.packages.push(Package {
                name,
                architecture,
                versions: Vec::new(),
                current: None,
                candidate: None,
                essential: is_apt,
                protected: is_apt,
                held: false,
                provides_known: false,
                planned: Planned::default(),
                history: Vec::new(),
            });
            self.names[name.at()].packages.push(id);
            id
        })
    }

    /// Brings in every version of a name, for all architectures, and each package's candidate.
    pub(super) fn load(&mut self, name: NameId) {
        if std::mem::replace(&mut self.names[name.at()].loaded, true) {
            return;
        }
        let text = self.names[name.at()].text;
        for file in 0..self.files.len() {
            match self.files[file].archive {
                Some(archive) => {
                    for row in archive.index.versions(text) {
                        let package = self.package(row.name(), row.architecture());
                        self.merge(package, By::Index(row), file);
                    }
                }
                None => self.load_installed(text, file),
            }
        }
        for package in self.names[name.at()].packages.clone() {
            let candidate = self.policy_candidate(package);
            let it = &mut self.packages[package.at()];
            it.candidate = candidate;
            it.planned = Planned::unchanged(it.current, candidate);
            self.note_newer(package);
            self.register_provided(package);
        }
    }

    fn load_installed(&mut self, name: &str, file: usize) {
        let state = self.state;
        for installed in state.installed_as(name) {
            let package = self.package(&installed.name, &installed.architecture);
            let version = self.merge(package, By::Status(installed), file);
            self.packages[package.at()].current = Some(version);
        }
    }

    /// Adds the entry of one file. Two builds of the same version stay two versions, the one added first in front.
    fn merge(&mut self, package: PackageId, by: By<'a>, file: usize) -> VersionId {
        let (essential, protected) = by.marks();
        let it = &mut self.packages[package.at()];
        it.essential |= essential;
        it.protected |= protected;
        let new = by.version(package, file);
        let mut place = 0;
        for id in &self.packages[package.at()].versions {
            let have = &mut self.versions[id.at()];
            match version::compare(new.text, have.text) {
                Ordering::Greater => break,
                Ordering::Equal if have.is_same_build(&new) => {
                    have.files.push(file);
                    return *id;
                }
                Ordering::Equal | Ordering::Less => place += 1,
            }
        }
        let id = VersionId::nth(self.versions.len());
        self.versions.push(new);
        self.packages[package.at()].versions.insert(place, id);
        id
    }

    /// The version that a row of an index became part of.
    pub(super) fn version_of(&mut self, row: Row<'a>) -> Option<VersionId> {
        let package = self.package(row.name(), row.architecture());
        self.load(self.packages[package.at()].name);
        let wanted = By::Index(row).version(package, 0);
        let versions = self.packages[package.at()].versions.iter().copied();
        let mut same = versions.filter(|id| {
            let have = &self.versions[id.at()];
            version::compare(have.text, wanted.text).is_eq() && have.is_same_build(&wanted)
        });
        same.next()
    }

    /// Notes what the versions provide that the plan can choose.
    fn register_provided(&mut self, package: PackageId) {
        let it = &self.packages[package.at()];
        if it.provides_known {
            return;
        }
        let (current, candidate) = (it.current, it.candidate.filter(|c| it.current != Some(*c)));
        self.packages[package.at()].provides_known = true;
        for version in current.into_iter().chain(candidate) {
            for (name, provided) in self.provided_by(version) {
                let name = self.number(name);
                self.names[name.at()].provided.push(provided);
            }
        }
    }

    pub(super) fn provided_by(&self, version: VersionId) -> Vec<(&'a str, Provided<'a>)> {
        let provides = self.versions[version.at()].described.provides();
        provides.filter_map(|clause| self.provided(version, clause)).collect()
    }

    /// What a clause of Provides says. Nothing that is not exactly one version, nor what the package is anyway.
    pub(super) fn provided(&self, by: VersionId, clause: &'a str) -> Option<(&'a str, Provided<'a>)> {
        let relation = alternatives(clause).next()?;
        let version = relation.limit.map(|limit| limit.version);
        let exact = relation.limit.is_none_or(|limit| limit.operator == Operator::Exactly);
        let it = &self.versions[by.at()];
        let own = relation.name == self.name(it.package) && version.is_none_or(|version| version == it.text);
        (exact && !own).then_some((relation.name, Provided { by, version }))
    }

    /// What a version requires of others, in apt's order.
    pub(crate) fn clauses(&mut self, version: VersionId) -> Rc<[Clause<'a>]> {
        if let Some(known) = &self.versions[version.at()].clauses {
            return Rc::clone(known);
        }
        let entries = self.versions[version.at()].described.relations();
        let mut found = Vec::with_capacity(entries.len());
        for (kind, text) in entries {
            if kind != Kind::Provides {
                found.extend(self.clause(version, kind, text));
            }
        }
        self.imply(version, &mut found);
        let found: Rc<[Clause<'a>]> = found.into();
        self.versions[version.at()].clauses = Some(Rc::clone(&found));
        found
    }

    fn clause(&mut self, of: VersionId, kind: Kind, text: &'a str) -> Option<Clause<'a>> {
        let first = RelationId::nth(self.relations.len());
        let own = self.packages[self.versions[of.at()].package.at()].architecture;
        let negative = matches!(kind, Kind::Conflicts | Kind::Breaks);
        for relation in alternatives(text) {
            let scope = match relation.qualifier {
                Some("any") => Scope::Any,
                Some("native") => Scope::Exactly(0),
                Some(architecture) => Scope::Exactly(self.architecture(architecture)),
                None if negative => Scope::Every,
                None => Scope::Usable(own),
            };
            let name = self.number(relation.name);
            self.relations.push(Target {
                of,
                name,
                scope,
                limit: relation.limit,
                negative,
                implied: false,
                met_by: None,
            });
        }
        let count = u32::try_from(self.relations.len() - first.at()).ok()?;
        (count > 0).then_some(Clause {
            kind,
            first,
            count,
            text,
        })
    }

    /// Adds the implicit relations between the architectures of one package: `Multi-Arch: same` allows several in the
    /// same version, otherwise they conflict.
    fn imply(&mut self, of: VersionId, found: &mut Vec<Clause<'a>>) {
        let it = &self.versions[of.at()];
        let (text, same) = (it.text, it.multi_arch == MultiArch::Same);
        let package = &self.packages[it.package.at()];
        let (name, own) = (package.name, package.architecture);
        for architecture in (0..self.architectures.len()).filter(|other| *other != own) {
            let first = RelationId::nth(self.relations.len());
            let limit = same.then_some(Limit {
                operator: Operator::Not,
                version: text,
            });
            self.relations.push(Target {
                of,
                name,
                scope: Scope::Exactly(architecture),
                limit,
                negative: true,
                implied: true,
                met_by: None,
            });
            found.push(Clause {
                kind: if same { Kind::Breaks } else { Kind::Conflicts },
                first,
                count: 1,
                text: "",
            });
        }
    }
}

impl<'a> By<'a> {
    fn version(self, package: PackageId, file: usize) -> Version<'a> {
        let (text, source, source_version) = match self {
            Self::Index(row) => (row.version(), row.source(), row.source_version()),
            Self::Status(it) => (it.version.as_str(), it.source.as_str(), it.source_version.as_str()),
        };
        let (fingerprint, size, multi_arch, priority, phased) = match self {
            Self::Index(row) => (
                row.fingerprint(),
                row.size(),
                row.multi_arch(),
                row.priority(),
                row.phased(),
            ),
            Self::Status(it) => (it.fingerprint, 0, it.multi_arch, it.priority, 100),
        };
        Version {
            package,
            text,
            described: self,
            fingerprint,
            size,
            files: vec![file],
            source,
            source_version,
            multi_arch,
            priority,
            phased,
            clauses: None,
            provides: None,
        }
    }

    pub(super) fn is_row(self, row: Row<'a>) -> bool {
        match self {
            Self::Index(own) => own.is(row),
            Self::Status(_) => false,
        }
    }

    fn marks(self) -> (bool, bool) {
        match self {
            Self::Index(row) => (row.essential(), row.protected()),
            Self::Status(it) => (it.essential, it.protected),
        }
    }

    fn provides(self) -> impl Iterator<Item = &'a str> {
        let (row, installed) = match self {
            Self::Index(row) => (Some(row), None),
            Self::Status(it) => (None, Some(it)),
        };
        let listed = row.into_iter().flat_map(|row| row.of(Kind::Provides));
        let own = installed
            .into_iter()
            .flat_map(|it| clauses(&it.relations[Kind::Provides as usize]));
        listed.chain(own)
    }

    fn relations(self) -> Vec<(Kind, &'a str)> {
        match self {
            Self::Index(row) => row.relations().collect(),
            Self::Status(it) => {
                let fields = Kind::ALL.iter().zip(&it.relations);
                fields
                    .flat_map(|(kind, text)| clauses(text).map(move |clause| (*kind, clause)))
                    .collect()
            }
        }
    }
}

impl Version<'_> {
    /// dpkg's status records no size (0), so 0 matches any size.
    fn is_same_build(&self, other: &Self) -> bool {
        let sizes = self.size == 0 || other.size == 0 || self.size == other.size;
        self.fingerprint == other.fingerprint && sizes
    }
}
