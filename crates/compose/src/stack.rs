//! The containers of a project, in the order in which a test starts them.

use crate::load::Project;
use crate::mounts::Source;
use crate::refusal::{Refusal, Refused};
use crate::rights::{self, HostRight};
use crate::service::{self, Around, Condition, Image, Service};
use crate::value::{Map, Node, Place};
use std::collections::{BTreeMap, BTreeSet};

/// What a test runs of a project.
#[derive(Debug, Clone, PartialEq)]
pub struct Stack {
    /// Dependencies first.
    pub before: Vec<Service>,
    pub tested: Service,
    /// What depends on the tested service; dependencies first.
    pub after: Vec<Service>,
    /// Started last, and for its end.
    pub tester: Option<Service>,
    /// The networks that are used.
    pub networks: BTreeMap<String, Network>,
    /// The named volumes that are used, all made for the test.
    pub volumes: BTreeMap<String, Volume>,
    /// What is read and has no effect in a test, a line each.
    pub notes: Vec<String>,
}

impl Stack {
    /// All of them, in the order in which they start.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.before
            .iter()
            .chain(std::iter::once(&self.tested))
            .chain(&self.after)
            .chain(&self.tester)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// Made for the test. `internal`: without a way out.
    Own { internal: bool },
    /// One of the host, by the name that it has there, which the fleet's configuration allows.
    Host(String),
}

/// How the engine makes a volume.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Volume {
    /// `None`: the engine's own.
    pub driver: Option<String>,
    pub options: BTreeMap<String, String>,
}

/// How the service under test is found.
#[derive(Debug, Clone, Copy)]
pub struct Choice<'a> {
    /// Named by the configuration.
    pub service: Option<&'a str>,
    /// The service that tests the other one from outside.
    pub tester: Option<&'a str>,
    /// Where the app's releases are pushed, without a tag.
    pub image: Option<&'a str>,
    /// The Dockerfile of the app, from the repository's root: a service that is built by it has the image under test.
    pub dockerfile: &'a str,
    /// The stage that the app builds; `None`: the last.
    pub target: Option<&'a str>,
    /// Profiles that are on (Compose Specification, *Profiles*).
    pub profiles: &'a [String],
    /// Host rights (`HostRight::key`) that the fleet's configuration gives.
    pub allow: &'a BTreeSet<String>,
}

/// Plans the test of one service.
///
/// # Errors
/// Everything that is not run, at once.
pub fn plan(project: &Project, choice: &Choice<'_>) -> Result<Stack, Refused> {
    let nothing = Map::default();
    let top = project.root.as_map().unwrap_or(&nothing);
    let all = top.get("services").and_then(Node::as_map).unwrap_or(&nothing);
    let tested = tested(all, choice)?;
    let active = active(all, &tested, choice);
    let mut refusals: Vec<Refusal> = unknown_sections(top);
    refusals.extend(bad_names(all));
    let wanted = rights::wanted(&project.root).into_iter();
    let wanted = wanted.filter(|wanted| active.contains(&wanted.service));
    refusals.extend(
        wanted
            .filter(|wanted| matches!(wanted.right, HostRight::Gpu) || !choice.allow.contains(&wanted.right.key()))
            .map(Refusal::right),
    );
    let mut notes = unset(project);
    let around = Around {
        top,
        env: &project.env,
        active: &active,
    };
    let mut services = Vec::new();
    for (name, node) in &all.0 {
        if !active.contains(name) {
            continue;
        }
        let image = if *name == tested || is_candidate(node, choice) {
            Ok(Image::Candidate)
        } else {
            service::image(name, node, &around)
        };
        match image.and_then(|image| service::read(name, node, image, &around)) {
            Ok(read) => {
                notes.extend(read.notes);
                services.push(read.service);
            }
            Err(Refused(more)) => refusals.extend(more),
        }
    }
    refusals.extend(undefined_networks(top, all, &services));
    refusals.extend(never_completed(all, &services, &tested));
    refusals.extend(
        choice
            .tester
            .map_or_else(Vec::new, |tester| wait_for_tester(all, &services, tester)),
    );
    refusals.extend(shared_names(all, &services));
    if !refusals.is_empty() {
        refusals.sort_by_key(|refusal| refusal.place.as_ref().map(|place| (place.file.clone(), place.line)));
        return Err(Refused(refusals));
    }
    let (networks, volumes) = (networks(top, &services), volumes(top, &services));
    let (mut before, tested, mut after) = order(services, &tested, all)?;
    Ok(Stack {
        tester: take(&mut before, choice.tester).or_else(|| take(&mut after, choice.tester)),
        before,
        tested,
        after,
        networks,
        volumes,
        notes,
    })
}

fn take(services: &mut Vec<Service>, name: Option<&str>) -> Option<Service> {
    let at = services.iter().position(|service| Some(&*service.name) == name)?;
    Some(services.remove(at))
}

fn unset(project: &Project) -> Vec<String> {
    let note = |name: &String| {
        format!("the variable {name} has no value and is read as empty; `test.compose.env` can give it one")
    };
    project.unset.iter().map(note).collect()
}

/// Named; else the one whose image is the app's; else the one that the app's Dockerfile builds, or the only one that is built.
fn tested(all: &Map, choice: &Choice<'_>) -> Result<String, Refusal> {
    let unplaced = |problem: String| Refusal {
        place: None,
        path: "services".to_owned(),
        problem,
    };
    let names: Vec<&str> = all.0.iter().map(|(name, _)| name.as_str()).collect();
    let gone =
        |what: &str, name: &str| unplaced(format!("{what}, {name}, is not there; there are {}", names.join(", ")));
    if let Some(tester) = choice.tester {
        if all.get(tester).is_none() {
            return Err(gone("the tester", tester));
        }
        if choice.service == Some(tester) {
            return Err(unplaced(format!(
                "{tester} cannot be both the service under test and the tester"
            )));
        }
    }
    if let Some(name) = choice.service {
        return all
            .get(name)
            .map(|_| name.to_owned())
            .ok_or_else(|| gone("the service under test", name));
    }
    let find = |is: &dyn Fn(&Node) -> bool| -> Vec<&str> {
        let found = find(all, is).into_iter();
        found.filter(|name| Some(*name) != choice.tester).collect()
    };
    let of_image = find(&|node| has_image(node, choice));
    let of_dockerfile = find(&|node| is_built_by(node, choice.dockerfile));
    let built = find(&|node| part(node, "build").is_some());
    let both: Vec<&str> = of_image
        .iter()
        .filter(|name| of_dockerfile.contains(name))
        .copied()
        .collect();
    for found in [&both, &of_image, &of_dockerfile, &built] {
        match found[..] {
            [] => {}
            [one] => return Ok(one.to_owned()),
            [..] => {
                return Err(unplaced(format!(
                    "{} could be the one that is tested; say which: `test.compose.service`",
                    found.join(", ")
                )));
            }
        }
    }
    if names.is_empty() {
        return Err(unplaced("there is none".to_owned()));
    }
    Err(unplaced(format!(
        "none of {} is built or has the app's image; say which one is tested: `test.compose.service`",
        names.join(", ")
    )))
}

fn part(node: &Node, key: &str) -> Option<Node> {
    node.as_map().and_then(|map| map.get(key)).cloned()
}

/// Its image is the one that the app publishes.
fn has_image(node: &Node, choice: &Choice<'_>) -> bool {
    let image = part(node, "image").and_then(|image| image.scalar());
    image.is_some_and(|image| choice.image.is_some_and(|ours| repository(&image) == repository(ours)))
}

fn is_built_by(node: &Node, dockerfile: &str) -> bool {
    let Some(build) = part(node, "build") else { return false };
    let context = part(&build, "context");
    let Some(context) = context.as_ref().and_then(Node::as_path) else {
        return false;
    };
    let own = part(&build, "dockerfile")
        .and_then(|file| file.scalar())
        .unwrap_or_default();
    crate::load::join(context, &own).is_ok_and(|path| path == dockerfile)
}

/// The image under test is what it runs: it has no other one, or the app's Dockerfile builds it.
fn is_candidate(node: &Node, choice: &Choice<'_>) -> bool {
    let stage = |node: &Node| {
        part(node, "build")
            .and_then(|build| part(&build, "target"))
            .and_then(|it| it.scalar())
    };
    match part(node, "build") {
        Some(_) => {
            is_built_by(node, choice.dockerfile) && stage(node).is_none_or(|stage| Some(&*stage) == choice.target)
        }
        None => has_image(node, choice),
    }
}

fn find(all: &Map, is: impl Fn(&Node) -> bool) -> Vec<&str> {
    let found = all.0.iter().filter(|(_, node)| is(node));
    found.map(|(name, _)| name.as_str()).collect()
}

/// Without tag and digest, and as Docker writes it long.
fn repository(image: &str) -> String {
    let image = image.split('@').next().unwrap_or_default();
    let last = image.rfind('/').map_or(0, |at| at + 1);
    let image = image[last..].find(':').map_or(image, |colon| &image[..last + colon]);
    let image = image.strip_prefix("docker.io/").unwrap_or(image);
    image.strip_prefix("library/").unwrap_or(image).to_owned()
}

/// Services without a profile, those whose profile is on, the tested one and the tester, with what these need.
fn active(all: &Map, tested: &str, choice: &Choice<'_>) -> BTreeSet<String> {
    let profiles = choice.profiles;
    let is_on = |node: &Node| {
        let own = part(node, "profiles");
        let own = own.as_ref().and_then(Node::as_list).unwrap_or_default();
        let is_on = |profile: &Node| profile.scalar().is_some_and(|name| profiles.contains(&name));
        own.is_empty() || profiles.iter().any(|name| name == "*") || own.iter().any(is_on)
    };
    let mut active: BTreeSet<String> = find(all, is_on).into_iter().map(str::to_owned).collect();
    active.insert(tested.to_owned());
    active.extend(choice.tester.map(str::to_owned));
    active
}

/// Top-level keys that lowtide does not know.
fn unknown_sections(top: &Map) -> Vec<Refusal> {
    let known = [
        "version", "name", "services", "networks", "volumes", "configs", "secrets",
    ];
    let unknown = top
        .0
        .iter()
        .filter(|(key, _)| !known.contains(&key.as_str()) && !key.starts_with("x-"));
    unknown
        .map(|(key, node)| Refusal::new(node, key.clone(), "is not known to lowtide"))
        .collect()
}

/// Where a service is written.
fn place(all: &Map, service: &str) -> Option<Place> {
    all.get(service).map(|node| node.place.clone())
}

/// Networks that a service names and the project does not have.
fn undefined_networks(top: &Map, all: &Map, services: &[Service]) -> Vec<Refusal> {
    let networks = top.get("networks").and_then(Node::as_map);
    let of = |service: &Service| {
        let unknown = service.connection.networks().iter();
        let unknown = unknown.filter(|member| networks.is_none_or(|networks| networks.get(&member.network).is_none()));
        let refusals = unknown.map(|member| Refusal {
            place: place(all, &service.name),
            path: format!("services.{}.networks.{}", service.name, member.network),
            problem: "is not under networks".to_owned(),
        });
        refusals.collect::<Vec<_>>()
    };
    services.iter().flat_map(of).collect()
}

/// A service's name is a host name on its networks (Compose Specification, *services*).
fn bad_names(all: &Map) -> Vec<Refusal> {
    let is_name = |name: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        (1..=63).contains(&name.len()) && name.chars().all(known)
    };
    let bad = all.0.iter().filter(|(name, _)| !is_name(name));
    let problem = "cannot be the name of a service: use letters, digits, `.`, `_` and `-`";
    bad.map(|(name, node)| Refusal::new(node, format!("services.{name}"), problem))
        .collect()
}

/// The tested service runs until its tests have ended: nothing can wait for its own end.
fn never_completed(all: &Map, services: &[Service], tested: &str) -> Vec<Refusal> {
    let waits = |service: &&Service| service.depends_on.get(tested) == Some(&Condition::Completed);
    let refusal = |service: &Service| Refusal {
        place: place(all, &service.name),
        path: format!("services.{}.depends_on.{tested}", service.name),
        problem: "waits for the end of the service under test".to_owned(),
    };
    services.iter().filter(waits).map(refusal).collect()
}

/// The tester is started once everything else is there.
fn wait_for_tester(all: &Map, services: &[Service], tester: &str) -> Vec<Refusal> {
    let waits = |service: &&Service| service.depends_on.contains_key(tester);
    let refusal = |service: &Service| Refusal {
        place: place(all, &service.name),
        path: format!("services.{}.depends_on.{tester}", service.name),
        problem: "needs the tester, which is started last".to_owned(),
    };
    services.iter().filter(waits).map(refusal).collect()
}

/// Two services that would answer to one name.
fn shared_names(all: &Map, services: &[Service]) -> Vec<Refusal> {
    let mut known: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    let mut out = Vec::new();
    for service in services {
        for member in service.connection.networks() {
            for alias in std::iter::once(&service.name).chain(&member.aliases) {
                match known.insert((&member.network, alias), &service.name) {
                    Some(other) if other != service.name => out.push(Refusal {
                        place: place(all, &service.name),
                        path: format!("services.{}", service.name),
                        problem: format!("is called {alias} on the network {}, and so is {other}", member.network),
                    }),
                    Some(_) | None => {}
                }
            }
        }
    }
    out
}

fn networks(top: &Map, services: &[Service]) -> BTreeMap<String, Network> {
    let all = top.get("networks").and_then(Node::as_map);
    let used = services.iter().flat_map(|service| service.connection.networks());
    used.map(|member| {
        let node = all.and_then(|all| all.get(&member.network)).and_then(Node::as_map);
        let is = |key: &str| node.and_then(|map| map.get(key)).is_some_and(Node::is_true);
        let kind = if is("external") {
            let name = node.and_then(|map| map.get("name")).and_then(Node::scalar);
            Network::Host(name.unwrap_or_else(|| member.network.clone()))
        } else {
            Network::Own {
                internal: is("internal"),
            }
        };
        (member.network.clone(), kind)
    })
    .collect()
}

fn volumes(top: &Map, services: &[Service]) -> BTreeMap<String, Volume> {
    let all = top.get("volumes").and_then(Node::as_map);
    let read = |name: &String| {
        let map = all.and_then(|all| all.get(name)).and_then(Node::as_map);
        let part = |key: &str| map.and_then(|map| map.get(key));
        let options = part("driver_opts").and_then(Node::as_map).map_or(&[][..], |map| &map.0);
        let options = options
            .iter()
            .filter_map(|(key, node)| Some((key.clone(), node.scalar()?)));
        Volume {
            driver: part("driver").and_then(Node::scalar),
            options: options.collect(),
        }
    };
    let mounts = services.iter().flat_map(|service| &service.mounts);
    mounts
        .filter_map(|mount| match &mount.source {
            Source::Volume(name) => Some((name.clone(), read(name))),
            Source::Anonymous | Source::Repository(_) | Source::Memory { .. } | Source::Host { .. } => None,
        })
        .collect()
}

/// Dependencies first, in the order of the file.
fn order(services: Vec<Service>, tested: &str, all: &Map) -> Result<(Vec<Service>, Service, Vec<Service>), Refused> {
    let mut sorted: Vec<Service> = Vec::with_capacity(services.len());
    let mut rest = services;
    while !rest.is_empty() {
        let is_there = |name: &String| sorted.iter().any(|service| service.name == *name);
        let Some(at) = rest.iter().position(|service| service.depends_on.keys().all(is_there)) else {
            let cycle: Vec<&str> = rest.iter().map(|service| service.name.as_str()).collect();
            return Err(Refused(vec![Refusal {
                place: place(all, cycle[0]),
                path: format!("services.{}.depends_on", cycle[0]),
                problem: format!("{} wait for each other", cycle.join(", ")),
            }]));
        };
        sorted.push(rest.remove(at));
    }
    let mut needs_tested: BTreeSet<String> = BTreeSet::from([tested.to_owned()]);
    let (mut before, mut under_test, mut after) = (Vec::new(), None, Vec::new());
    for service in sorted {
        if service.name == tested {
            under_test = Some(service);
        } else if service.depends_on.keys().any(|name| needs_tested.contains(name)) {
            needs_tested.insert(service.name.clone());
            after.push(service);
        } else {
            before.push(service);
        }
    }
    match under_test {
        Some(under_test) => Ok((before, under_test, after)),
        None => Err(Refused(Vec::new())),
    }
}
