//! Families: an app whose Dockerfile starts FROM another app's published image is its child.

use crate::fleet::app::App;
use lowtide_model::image::Repository;
use lowtide_model::name::AppName;
use lowtide_model::policy::PublishPolicy;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is known of one app's ancestry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub app: AppName,
    /// Repositories its Dockerfile starts FROM or copies from.
    pub bases: Vec<Repository>,
    /// Repositories that its images are found in: `publish.image`, and what its channels push to and are pulled from.
    pub publishes: Vec<Repository>,
}

/// Where an app stands in its family.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// 0: no parents. Otherwise one more than the highest of its parents.
    pub generation: usize,
    /// Length of the longest line of descent through the whole family, at least 1.
    pub generations: usize,
    pub parents: BTreeSet<AppName>,
}

/// Parents and children of all apps. In the empty value every app is on its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Families {
    places: BTreeMap<AppName, Place>,
}

/// Apps that build on each other; no order is right. The path begins and ends with the same app.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("these apps build on each other: {}", .path.iter().map(AppName::as_str).collect::<Vec<_>>().join(" → "))]
pub struct Loop {
    pub path: Vec<AppName>,
}

/// Orders apps into generations. Repositories that no app of the fleet publishes to are ignored.
///
/// # Errors
/// The first loop in order of names.
pub fn families(members: &[Member]) -> Result<Families, Loop> {
    let mut fills: BTreeMap<&Repository, BTreeSet<&AppName>> = BTreeMap::new();
    for member in members {
        for repository in &member.publishes {
            fills.entry(repository).or_default().insert(&member.app);
        }
    }
    let parents: BTreeMap<&AppName, BTreeSet<&AppName>> = members
        .iter()
        .map(|m| {
            let parents = m.bases.iter().filter_map(|base| fills.get(base)).flatten().copied();
            (&m.app, parents.collect())
        })
        .collect();
    let generations = generations(&parents)?;
    let depths = family_depths(&parents, &generations);
    let places = parents
        .iter()
        .map(|(app, parents)| {
            let place = Place {
                generation: generations.get(app).copied().unwrap_or(0),
                generations: depths.get(app).copied().unwrap_or(1),
                parents: parents.iter().map(|p| (*p).clone()).collect(),
            };
            ((*app).clone(), place)
        })
        .collect();
    Ok(Families { places })
}

/// As [`families`], of configured apps; `bases` returns the base repositories of an app's Dockerfile, as last seen.
///
/// # Errors
/// The first loop in order of names.
pub fn of_apps<'a>(
    apps: impl IntoIterator<Item = &'a Arc<App>>,
    bases: impl Fn(&AppName) -> Vec<Repository>,
) -> Result<Families, Loop> {
    let members: Vec<Member> = apps
        .into_iter()
        .map(|app| Member {
            app: app.name.clone(),
            bases: bases(&app.name),
            publishes: app.publish.iter().flat_map(PublishPolicy::names).cloned().collect(),
        })
        .collect();
    families(&members)
}

impl Families {
    /// An unknown app is a family of its own.
    #[must_use]
    pub fn place(&self, app: &AppName) -> Place {
        self.places.get(app).cloned().unwrap_or(Place {
            generation: 0,
            generations: 1,
            parents: BTreeSet::new(),
        })
    }

    /// All apps by generation, parents first.
    #[must_use]
    pub fn generations(&self) -> Vec<Vec<AppName>> {
        let mut all: Vec<Vec<AppName>> = Vec::new();
        for (app, place) in &self.places {
            if all.len() <= place.generation {
                all.resize(place.generation + 1, Vec::new());
            }
            all[place.generation].push(app.clone());
        }
        all
    }

    /// Parents, their parents, and so on.
    #[must_use]
    pub fn ancestors(&self, app: &AppName) -> BTreeSet<AppName> {
        let mut found = BTreeSet::new();
        let mut open: Vec<AppName> = self.place(app).parents.into_iter().collect();
        while let Some(next) = open.pop() {
            if found.insert(next.clone()) {
                open.extend(self.place(&next).parents);
            }
        }
        found
    }

    /// Those whose Dockerfile starts FROM this app's image, by name.
    #[must_use]
    pub fn children(&self, app: &AppName) -> Vec<AppName> {
        let of = self.places.iter().filter(|(_, place)| place.parents.contains(app));
        of.map(|(child, _)| child.clone()).collect()
    }
}

type Parents<'a> = BTreeMap<&'a AppName, BTreeSet<&'a AppName>>;

/// Peels off, again and again, the apps whose parents all have their generation.
fn generations<'a>(parents: &Parents<'a>) -> Result<BTreeMap<&'a AppName, usize>, Loop> {
    let mut children: BTreeMap<&AppName, Vec<&'a AppName>> = BTreeMap::new();
    let mut missing: BTreeMap<&'a AppName, usize> = BTreeMap::new();
    for (app, of) in parents {
        missing.insert(app, of.len());
        for parent in of {
            children.entry(parent).or_default().push(app);
        }
    }
    let mut done: BTreeMap<&'a AppName, usize> = BTreeMap::new();
    let mut ready: Vec<&'a AppName> = missing.iter().filter(|(_, n)| **n == 0).map(|(app, _)| *app).collect();
    let mut generation = 0;
    while !ready.is_empty() {
        let mut next = Vec::new();
        for app in ready {
            done.insert(app, generation);
            for child in children.get(app).into_iter().flatten() {
                if let Some(left) = missing.get_mut(child) {
                    *left -= 1;
                    if *left == 0 {
                        next.push(*child);
                    }
                }
            }
        }
        ready = next;
        generation += 1;
    }
    match parents.keys().find(|app| !done.contains_key(*app)) {
        None => Ok(done),
        Some(start) => Err(loop_from(start, parents, &done)),
    }
}

/// An app without a generation has a parent without one, so walking up the parents must reach some app twice.
fn loop_from<'a>(start: &'a AppName, parents: &Parents<'a>, done: &BTreeMap<&AppName, usize>) -> Loop {
    let mut path: Vec<&AppName> = vec![start];
    let mut at = start;
    while let Some(parent) = parents
        .get(at)
        .and_then(|of| of.iter().find(|p| !done.contains_key(*p)))
    {
        if let Some(seen) = path.iter().position(|p| p == parent) {
            path.drain(..seen);
            path.push(parent);
            break;
        }
        path.push(parent);
        at = parent;
    }
    // The walk goes from child to parent; the reported path goes from parent to child, as images flow.
    path.reverse();
    Loop {
        path: path.into_iter().cloned().collect(),
    }
}

/// Per app: how many generations its whole family (every app it is connected to) has.
fn family_depths<'a>(
    parents: &Parents<'a>,
    generations: &BTreeMap<&'a AppName, usize>,
) -> BTreeMap<&'a AppName, usize> {
    let mut kin: BTreeMap<&AppName, Vec<&'a AppName>> = BTreeMap::new();
    for (app, of) in parents {
        for parent in of {
            kin.entry(app).or_default().push(parent);
            kin.entry(parent).or_default().push(app);
        }
    }
    let mut depths = BTreeMap::new();
    for app in parents.keys() {
        if depths.contains_key(app) {
            continue;
        }
        let mut family: BTreeSet<&'a AppName> = BTreeSet::from([*app]);
        let mut open: Vec<&'a AppName> = vec![*app];
        while let Some(next) = open.pop() {
            open.extend(
                kin.get(next)
                    .into_iter()
                    .flatten()
                    .copied()
                    .filter(|k| family.insert(k)),
            );
        }
        let depth = 1 + family
            .iter()
            .filter_map(|a| generations.get(a))
            .max()
            .copied()
            .unwrap_or(0);
        depths.extend(family.into_iter().map(|a| (a, depth)));
    }
    depths
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn member(app: &str, bases: &[&str]) -> Member {
        let repository = |name: &str| format!("registry.example.org/{name}").parse().unwrap();
        Member {
            app: app.parse().unwrap(),
            bases: bases.iter().map(|b| repository(b)).collect(),
            publishes: vec![repository(app)],
        }
    }

    fn shown(families: &Families) -> String {
        let line = |apps: &Vec<AppName>| apps.iter().map(AppName::as_str).collect::<Vec<_>>().join(" ");
        families.generations().iter().map(line).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn parents_come_before_children() {
        let all = [
            member("archives", &["drupal"]),
            member("drupal", &["php", "debian"]),
            member("php", &["debian"]),
            member("tools", &["php", "drupal"]),
            member("loner", &["nobody"]),
        ];
        let families = families(&all).unwrap();
        insta::assert_snapshot!(shown(&families), @"loner php | drupal | archives tools");
        let place = families.place(&"php".parse().unwrap());
        assert_eq!((place.generation, place.generations), (0, 3));
        let place = families.place(&"loner".parse().unwrap());
        assert_eq!((place.generation, place.generations), (0, 1));
        assert_eq!(families.ancestors(&"archives".parse().unwrap()).len(), 2);
        assert_eq!(families.children(&"php".parse().unwrap()).len(), 2);
    }

    #[test]
    fn a_loop_is_named() {
        let all = [
            member("a", &["c"]),
            member("b", &["a"]),
            member("c", &["b"]),
            member("d", &["a"]),
        ];
        insta::assert_snapshot!(families(&all).unwrap_err(), @"these apps build on each other: a → b → c → a");
        insta::assert_snapshot!(families(&[member("self", &["self"])]).unwrap_err(), @"these apps build on each other: self → self");
        // The start of the search may only lead into the loop.
        let all = [member("a", &["x"]), member("x", &["y"]), member("y", &["x"])];
        insta::assert_snapshot!(families(&all).unwrap_err(), @"these apps build on each other: x → y → x");
    }

    proptest! {
        #[test]
        fn every_child_is_later_than_its_parents_or_there_is_a_real_loop(
            edges in prop::collection::vec((0_usize..12, 0_usize..12), 0..24),
        ) {
            let names: Vec<String> = (0..12).map(|n| format!("app{n:02}")).collect();
            let all: Vec<Member> = (0..12)
                .map(|n| {
                    let bases: Vec<&str> = edges.iter().filter(|(c, _)| *c == n).map(|(_, p)| names[*p].as_str()).collect();
                    member(&names[n], &bases)
                })
                .collect();
            match families(&all) {
                Ok(families) => for m in &all {
                    let place = families.place(&m.app);
                    prop_assert!(place.generation < place.generations);
                    for parent in &place.parents {
                        prop_assert!(families.place(parent).generation < place.generation);
                        prop_assert_eq!(families.place(parent).generations, place.generations);
                    }
                },
                Err(Loop { path }) => {
                    prop_assert!(path.len() >= 2 && path.first() == path.last());
                    for pair in path.windows(2) {
                        let child = all.iter().find(|m| m.app == pair[1]).unwrap();
                        let parent = all.iter().find(|m| m.app == pair[0]).unwrap();
                        prop_assert!(child.bases.iter().any(|b| parent.publishes.contains(b)));
                    }
                }
            }
        }
    }
}
