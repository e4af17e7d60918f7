//! Small random worlds: some packages installed, others offered, related in every way there is.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// xorshift64*: reproducible on every machine, and no dependency.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % limit
    }
    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
    fn pick<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }
}

#[derive(Clone, Default)]
struct Stanza {
    name: String,
    version: usize,
    source: Option<String>,
    priority: &'static str,
    essential: bool,
    /// Field → entries; alternatives within an entry.
    relations: BTreeMap<&'static str, Vec<Vec<Relation>>>,
    provides: Vec<(String, Option<usize>)>,
}

#[derive(Clone)]
struct Relation {
    name: String,
    limit: Option<(&'static str, usize)>,
}

pub(crate) struct Universe {
    pub(crate) status: String,
    /// `Release` and `Packages` of each archive.
    pub(crate) archives: Vec<(String, String)>,
    pub(crate) preferences: String,
    pub(crate) conf: String,
}

const FIELDS: &[(&str, usize)] = &[
    ("Depends", 50),
    ("Pre-Depends", 8),
    ("Conflicts", 12),
    ("Breaks", 15),
    ("Recommends", 20),
];

/// Without it apt has nowhere to download from and refuses; it is never downloaded.
const FILE: &str =
    "Filename: ./x.deb\nSize: 1\nSHA256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n";

impl Universe {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let count = 4 + dice.below(12);
        let names: Vec<String> = (0..count).map(|n| format!("p{n}")).collect();
        let mut installed: Vec<Stanza> = Vec::new();
        for name in &names {
            if dice.chance(60) {
                installed.push(stanza(&mut dice, name, 2, &names));
            }
        }
        consistent(&mut installed);
        let mut status = String::new();
        for it in &installed {
            let want = if dice.chance(6) { "hold" } else { "install" };
            let _ = write!(status, "{}Status: {want} ok installed\n\n", it.text(&mut dice));
        }
        let archives = (0..1 + dice.below(2))
            .map(|number| {
                let mut packages = String::new();
                for name in &names {
                    for version in 1..5 {
                        let same = installed.iter().find(|it| it.name == *name && it.version == version);
                        if let Some(same) = same.filter(|_| dice.chance(50)) {
                            let _ = writeln!(packages, "{}{FILE}", same.text(&mut dice));
                        } else if dice.chance(if version > 2 { 45 } else { 12 }) {
                            let new = stanza(&mut dice, name, version, &names);
                            let _ = writeln!(packages, "{}{FILE}", new.text(&mut dice));
                        }
                    }
                }
                let mut release =
                    format!("Origin: O{number}\nLabel: L{number}\nSuite: s{number}\nVersion: {number}.1\n");
                if number == 1 && dice.chance(40) {
                    release.push_str("NotAutomatic: yes\n");
                    if dice.chance(50) {
                        release.push_str("ButAutomaticUpgrades: yes\n");
                    }
                }
                (release, packages)
            })
            .collect();
        let mut preferences = String::new();
        while dice.chance(25) {
            let named = dice.pick(&names);
            let package = dice.pick(&["*".to_owned(), "p1*".to_owned(), named]);
            let pin = dice.pick(&["release a=s1", "release o=O0", "version 3", "release *", "origin \"\""]);
            let priority = dice.pick(&["1", "100", "500", "600", "990", "1001", "-1"]);
            let _ = write!(
                preferences,
                "Package: {package}\nPin: {pin}\nPin-Priority: {priority}\n\n"
            );
        }
        let conf = if dice.chance(25) {
            "APT::Install-Recommends \"false\";\n".to_owned()
        } else {
            String::new()
        };
        Self {
            status,
            archives,
            preferences,
            conf,
        }
    }
}

fn stanza(dice: &mut Dice, name: &str, version: usize, names: &[String]) -> Stanza {
    let mut it = Stanza {
        name: name.to_owned(),
        version,
        priority: dice.pick(&["required", "important", "standard", "optional", "optional", "extra"]),
        essential: dice.chance(2),
        source: dice.chance(20).then(|| format!("src{}", dice.below(3))),
        ..Stanza::default()
    };
    for (field, percent) in FIELDS {
        let mut entries = Vec::new();
        while dice.chance(*percent) && entries.len() < 3 {
            let negative = matches!(*field, "Conflicts" | "Breaks");
            let mut entry = vec![relation(dice, names)];
            while !negative && dice.chance(25) {
                entry.push(relation(dice, names));
            }
            entries.push(entry);
        }
        if !entries.is_empty() {
            it.relations.insert(field, entries);
        }
    }
    while dice.chance(15) {
        let name = if dice.chance(70) {
            format!("v{}", dice.below(3))
        } else {
            dice.pick(names)
        };
        let version = dice.chance(40).then(|| 1 + dice.below(4));
        it.provides.push((name, version));
    }
    it
}

fn relation(dice: &mut Dice, names: &[String]) -> Relation {
    let name = if dice.chance(12) {
        format!("v{}", dice.below(3))
    } else {
        dice.pick(names)
    };
    let limit = dice
        .chance(55)
        .then(|| (dice.pick(&["<<", "<=", "=", ">=", ">=", ">>"]), 1 + dice.below(4)));
    Relation { name, limit }
}

/// Takes out of what is installed all that does not hold: dpkg would not have let it in.
fn consistent(installed: &mut [Stanza]) {
    let others: Vec<Stanza> = installed.to_vec();
    for it in installed {
        for (field, entries) in &mut it.relations {
            let negative = matches!(*field, "Conflicts" | "Breaks");
            // A recommendation may stay open.
            let may = *field == "Recommends";
            entries.retain(|entry| {
                let met = entry
                    .iter()
                    .any(|relation| others.iter().any(|other| relation.meets(other, negative, &it.name)));
                may || met != negative
            });
        }
        it.relations.retain(|_, entries| !entries.is_empty());
    }
}

impl Relation {
    fn meets(&self, other: &Stanza, negative: bool, of: &str) -> bool {
        let fits = |version: Option<usize>| match (self.limit, version) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(("<<", limit)), Some(version)) => version < limit,
            (Some(("<=", limit)), Some(version)) => version <= limit,
            (Some(("=", limit)), Some(version)) => version == limit,
            (Some((">=", limit)), Some(version)) => version >= limit,
            (Some((_, limit)), Some(version)) => version > limit,
        };
        if negative && other.name == of {
            return false;
        }
        let direct = other.name == self.name && fits(Some(other.version));
        direct
            || other
                .provides
                .iter()
                .any(|(name, version)| *name == self.name && fits(*version))
    }

    fn text(&self) -> String {
        match self.limit {
            Some((operator, version)) => format!("{} ({operator} {version})", self.name),
            None => self.name.clone(),
        }
    }
}

impl Stanza {
    fn text(&self, dice: &mut Dice) -> String {
        let mut text = format!(
            "Package: {}\nVersion: {}\nArchitecture: {}\n",
            self.name, self.version, "all"
        );
        let _ = writeln!(
            text,
            "Priority: {}\nInstalled-Size: 1\nMaintainer: A <a@example.org>\nDescription: x",
            self.priority
        );
        if self.essential {
            text.push_str("Essential: yes\n");
        }
        if let Some(source) = &self.source {
            let _ = writeln!(text, "Source: {source}");
        }
        for (field, entries) in &self.relations {
            let entries: Vec<String> = entries
                .iter()
                .map(|entry| {
                    entry
                        .iter()
                        .map(Relation::text)
                        .collect::<Vec<_>>()
                        .join(dice.pick(&[" | ", "|"]))
                })
                .collect();
            let _ = writeln!(text, "{field}: {}", entries.join(", "));
        }
        if !self.provides.is_empty() {
            let provides: Vec<String> = self
                .provides
                .iter()
                .map(|(name, version)| version.map_or(name.clone(), |version| format!("{name} (= {version})")))
                .collect();
            let _ = writeln!(text, "Provides: {}", provides.join(", "));
        }
        text
    }
}
