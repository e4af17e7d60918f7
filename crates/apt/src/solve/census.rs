//! The order in which apt first sees its packages and their dependencies.
//!
//! apt reads one archive after the other, then dpkg's status, and numbers each package that is described or named there
//! (`pkgCacheGenerator`). Among otherwise equal candidates it takes the youngest number, and it visits the dependents
//! of a package youngest first.

use super::order::bucket;
use super::world::{Architecture, By, NameId, PackageId, RelationId, VersionId, World};
use crate::index::read::Row;
use crate::index::stanza::{Kind, MultiArch};
use crate::relation::{Relation, alternatives, clauses};
use foldhash::{HashMap, HashMapExt};
use std::cmp::Reverse;
use std::rc::Rc;

/// A name for one architecture, whether or not any version of it exists.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) name: u32,
    pub(super) architecture: Architecture,
}

/// To apt, a name with a qualifier (`name:any`) is a package of its own, without an architecture.
pub(super) const ANY: Architecture = Architecture::MAX;

/// The place of a dependency among those on the same package; smaller comes first.
///
/// apt puts a new one second, unless its version is younger (by first mention) than that of the first: then it is put
/// first (`pkgCacheGenerator::NewDepends`). So the list falls into parts, the youngest part first.
pub(super) type Turn = (Reverse<u32>, bool, Reverse<u32>);

/// An installed package, and the place of the relation among its clauses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dependant {
    pub(super) package: PackageId,
    pub(super) relation: RelationId,
    clause: usize,
    alternative: usize,
}

#[derive(Default)]
pub(super) struct Census<'a> {
    numbers: HashMap<String, u32>,
    pub(super) names: Vec<String>,
    /// By name; what the architectures of a name are called in [`Self::known`].
    of_name: Vec<Vec<u32>>,
    pub(super) known: Vec<Known>,
    versions: HashMap<&'a str, u32>,
    /// The version of the first dependency on each package, and the part it began.
    first: Vec<(u32, u32)>,
    dependencies: u32,
    /// By installed package, clause and alternative.
    turns: HashMap<(PackageId, usize, usize), Turn>,
}

/// One alternative of a clause, once read.
#[derive(Clone, Copy)]
struct Mention {
    name: u32,
    any: bool,
    version: u32,
}

/// Whose clauses are read.
struct Of {
    architecture: Architecture,
    /// The package whose installed version apt takes from this entry.
    installed: Option<PackageId>,
    /// Counts the clauses that are not Provides.
    clause: usize,
}

impl<'a> World<'a> {
    pub(super) fn census(&mut self) -> Rc<Census<'a>> {
        if let Some(known) = &self.census {
            return Rc::clone(known);
        }
        let census = Rc::new(self.count());
        self.census = Some(Rc::clone(&census));
        census
    }

    /// Smaller is older.
    pub(super) fn age(&mut self, package: PackageId) -> u32 {
        let census = self.census();
        census.age(self.name(package), self.packages[package.at()].architecture)
    }

    /// Which installed packages depend on what.
    pub(super) fn dependants(&mut self) -> Rc<HashMap<NameId, Vec<Dependant>>> {
        if let Some(known) = &self.dependants {
            return Rc::clone(known);
        }
        let mut found: HashMap<NameId, Vec<Dependant>> = HashMap::new();
        for package in self.sorted() {
            let Some(current) = self.packages[package.at()].current else {
                continue;
            };
            for (at, clause) in self.clauses(current).iter().enumerate() {
                if clause.is_negative() || !self.important(clause) {
                    continue;
                }
                for (alternative, relation) in clause.relations().enumerate() {
                    let name = self.relations[relation.at()].name;
                    found.entry(name).or_default().push(Dependant {
                        package,
                        relation,
                        clause: at,
                        alternative,
                    });
                }
            }
        }
        let found = Rc::new(found);
        self.dependants = Some(Rc::clone(&found));
        found
    }

    fn count(&mut self) -> Census<'a> {
        let mut census = Census::default();
        let sources = self.first_entries();
        for file in 0..self.files.len() {
            match self.files[file].archive {
                Some(archive) => {
                    let mut read: Vec<Option<Vec<Mention>>> = vec![None; archive.index.texts()];
                    for row in archive.index.as_listed() {
                        let installed = sources.get(&(file, row.place())).copied();
                        self.count_row(&mut census, row, installed, &mut read);
                    }
                }
                None => self.count_status(&mut census, file, &sources),
            }
        }
        census
    }

    /// The entry that apt took each installed version from: the first that has it.
    fn first_entries(&self) -> HashMap<(usize, u32), PackageId> {
        let all = (0..self.packages.len()).map(PackageId::nth);
        all.filter_map(|package| {
            let current = self.packages[package.at()].current?;
            Some((self.entry(current), package))
        })
        .collect()
    }

    fn entry(&self, version: VersionId) -> (usize, u32) {
        let it = &self.versions[version.at()];
        let file = it.files.first().copied().unwrap_or(0);
        match it.described {
            By::Index(row) => (file, row.place()),
            By::Status(installed) => (file, u32::try_from(installed.place).unwrap_or(u32::MAX)),
        }
    }

    fn count_row(
        &mut self,
        census: &mut Census<'a>,
        row: Row<'a>,
        installed: Option<PackageId>,
        read: &mut [Option<Vec<Mention>>],
    ) {
        let architecture = self.architecture(row.architecture());
        census.package(row.name(), architecture);
        census.version(row.version());
        census.version(row.source_version());
        let mut of = Of {
            architecture,
            installed,
            clause: 0,
        };
        for (kind, text) in row.clauses() {
            let Some(slot) = read.get_mut(text as usize) else {
                continue;
            };
            let mentions = slot.get_or_insert_with(|| census.mentions(row.text(text)));
            census.clause(kind, mentions, &mut of);
        }
        if row.multi_arch() == MultiArch::Allowed {
            census.package(&format!("{}:any", row.name()), ANY);
        }
    }

    fn count_status(&mut self, census: &mut Census<'a>, file: usize, sources: &HashMap<(usize, u32), PackageId>) {
        let mut all: Vec<_> = self.state.installed.iter().collect();
        all.sort_by_key(|it| it.place);
        for it in all {
            let architecture = self.architecture(&it.architecture);
            census.package(&it.name, architecture);
            let place = u32::try_from(it.place).unwrap_or(u32::MAX);
            // A version that an archive lists too was counted with that archive.
            let Some(package) = sources.get(&(file, place)) else {
                continue;
            };
            census.version(&it.version);
            census.version(&it.source_version);
            let mut of = Of {
                architecture,
                installed: Some(*package),
                clause: 0,
            };
            for (kind, field) in Kind::ALL.iter().zip(&it.relations) {
                for text in clauses(field) {
                    let mentions = census.mentions(text);
                    census.clause(*kind, &mentions, &mut of);
                }
            }
            if it.multi_arch == MultiArch::Allowed {
                census.package(&format!("{}:any", it.name), ANY);
            }
        }
    }
}

impl<'a> Census<'a> {
    /// Smaller is older. An unknown package counts as youngest.
    pub(super) fn age(&self, name: &str, architecture: Architecture) -> u32 {
        let name = self.numbers.get(name).copied();
        let all = name.and_then(|name| self.of_name.get(name as usize));
        let found = all.into_iter().flatten().find(|id| {
            let known = self.known.get(**id as usize);
            known.is_some_and(|known| known.architecture == architecture)
        });
        found.copied().unwrap_or(u32::MAX)
    }

    /// In which order apt looks at several that depend on one package.
    pub(super) fn turn(&self, of: &Dependant) -> Turn {
        let turn = self.turns.get(&(of.package, of.clause, of.alternative)).copied();
        turn.unwrap_or((Reverse(0), true, Reverse(0)))
    }

    /// Every package there is, in the order of apt's walk.
    pub(super) fn walk(&self) -> Vec<u32> {
        let mut all: Vec<u32> = (0..self.known.len())
            .map(|id| u32::try_from(id).unwrap_or(u32::MAX))
            .collect();
        all.sort_by_cached_key(|id| {
            let name = &self.names[self.known[*id as usize].name as usize];
            (bucket(name), name.len(), name.clone(), *id)
        });
        all
    }

    fn name(&mut self, name: &str) -> u32 {
        if let Some(known) = self.numbers.get(name) {
            return *known;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.numbers.insert(name.to_owned(), number);
        self.names.push(name.to_owned());
        self.of_name.push(Vec::new());
        number
    }

    fn package(&mut self, name: &str, architecture: Architecture) -> u32 {
        let name = self.name(name);
        self.package_of(name, architecture)
    }

    fn package_of(&mut self, name: u32, architecture: Architecture) -> u32 {
        let all = &self.of_name[name as usize];
        let known = all
            .iter()
            .find(|id| self.known[**id as usize].architecture == architecture);
        if let Some(known) = known {
            return *known;
        }
        let id = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        self.known.push(Known { name, architecture });
        self.first.push((0, 0));
        self.of_name[name as usize].push(id);
        id
    }

    /// By first mention; 0 is none.
    fn version(&mut self, text: &'a str) -> u32 {
        let next = u32::try_from(self.versions.len() + 1).unwrap_or(u32::MAX);
        *self.versions.entry(text).or_insert(next)
    }

    fn mentions(&mut self, clause: &'a str) -> Vec<Mention> {
        alternatives(clause).map(|relation| self.mention(&relation)).collect()
    }

    fn mention(&mut self, relation: &Relation<'a>) -> Mention {
        let version = relation.limit.map_or(0, |limit| self.version(limit.version));
        let (name, any) = match relation.qualifier {
            Some(qualifier) => (self.name(&format!("{}:{qualifier}", relation.name)), true),
            None => (self.name(relation.name), false),
        };
        Mention { name, any, version }
    }

    fn clause(&mut self, kind: Kind, mentions: &[Mention], of: &mut Of) {
        if mentions.is_empty() {
            return;
        }
        for (alternative, mention) in mentions.iter().enumerate() {
            let architecture = if mention.any { ANY } else { of.architecture };
            match kind {
                Kind::Provides => {
                    self.package_of(mention.name, architecture);
                }
                Kind::PreDepends | Kind::Depends | Kind::Recommends | Kind::Suggests => {
                    let target = self.package_of(mention.name, architecture);
                    self.depend(target, mention.version, of, alternative);
                }
                // A conflict is with all architectures there are of a name.
                Kind::Conflicts | Kind::Breaks => {
                    if self.of_name[mention.name as usize].is_empty() {
                        self.package_of(mention.name, architecture);
                    }
                    for target in self.of_name[mention.name as usize].clone() {
                        self.depend(target, mention.version, of, alternative);
                    }
                }
            }
        }
        of.clause += usize::from(kind != Kind::Provides);
    }

    fn depend(&mut self, target: u32, version: u32, of: &Of, alternative: usize) {
        self.dependencies += 1;
        let (first, part) = &mut self.first[target as usize];
        let begins = *part == 0 || version > *first;
        if begins {
            *part += 1;
            *first = version;
        }
        if let Some(package) = of.installed {
            let turn = (Reverse(*part), !begins, Reverse(self.dependencies));
            self.turns.insert((package, of.clause, alternative), turn);
        }
    }
}
