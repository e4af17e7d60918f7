//! What a test runs in: its networks, the services beside the candidate, the candidate.

use super::environment::{Stop, TestEnvironment};
use super::ready::{self, Role};
use super::stack::files::StackFiles;
use super::stack::images::Brought;
use super::stack::{files, images};
use super::stage_log::StageLog;
use crate::clients::engine::container::Kind;
use crate::clients::engine::error::EngineError;
use crate::clients::engine::spec::{Attach, HealthCheck, Spec};
use crate::clients::secrets;
use lowtide_compose::service::{Condition, Connection, Healthcheck, Image, Member, Restart, Service};
use lowtide_compose::stack::{Network, Stack};
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::policy::{Ready, ReadyCheck, Sidecar, TestNetwork, TestPolicy, Tester, TesterFrom};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The services of a test, the candidate among them.
pub(super) struct Setup {
    pub(super) stack: Stack,
    /// How a service of the configuration proves that it serves; what a compose file says stands in its dependents.
    rules: BTreeMap<String, Ready>,
}

impl Setup {
    /// A stack that the repository has.
    pub(super) fn of_stack(stack: Stack) -> Self {
        Self {
            stack,
            rules: BTreeMap::new(),
        }
    }

    /// The same with the tester that the configuration names. An image of its own is on the networks of the tested service.
    pub(super) fn with_tester(mut self, tester: &Tester, env: BTreeMap<String, String>) -> Self {
        if let TesterFrom::Image(image) = &tester.from {
            let mut service = Service::new(TESTER.to_owned(), Image::Reference(image.to_string()), Vec::new());
            service.connection = match &self.stack.tested.connection {
                Connection::Networks(members) => Connection::Networks(members.iter().map(alone).collect()),
                other @ (Connection::None
                | Connection::Bridge
                | Connection::Host
                | Connection::Of(_)
                | Connection::Container(_)) => other.clone(),
            };
            self.stack.tester = Some(service);
        }
        if let Some(service) = &mut self.stack.tester {
            service.environment.extend(env);
            if !tester.command.is_empty() {
                service.command = Some(tester.command.clone());
            }
        }
        self
    }

    /// Sidecars of the configuration: the candidate waits for all of them.
    ///
    /// # Errors
    /// `SecretMissing`.
    pub(super) fn of_sidecars(app: &str, sidecars: &BTreeMap<String, Sidecar>) -> Result<Self, Failure> {
        let on = || {
            vec![Member {
                network: "test".to_owned(),
                aliases: Vec::new(),
                links: Vec::new(),
            }]
        };
        let service = |(name, sidecar): (&String, &Sidecar)| {
            Ok(Service {
                environment: secrets::environment(&sidecar.env)?,
                command: (!sidecar.command.is_empty()).then(|| sidecar.command.clone()),
                ..Service::new(name.clone(), Image::Reference(sidecar.image.to_string()), on())
            })
        };
        let depends_on = sidecars.keys().map(|name| (name.clone(), Condition::Healthy));
        let tested = Service {
            depends_on: depends_on.collect(),
            ..Service::new(app.to_owned(), Image::Candidate, on())
        };
        Ok(Self {
            stack: Stack {
                before: sidecars.iter().map(service).collect::<Result<_, Failure>>()?,
                tested,
                after: Vec::new(),
                tester: None,
                networks: BTreeMap::from([("test".to_owned(), Network::Own { internal: false })]),
                volumes: BTreeMap::new(),
                notes: Vec::new(),
            },
            rules: sidecars
                .iter()
                .map(|(name, sidecar)| (name.clone(), sidecar.ready.clone()))
                .collect(),
        })
    }
}

/// A tester that is no service of a stack. It answers to no name on the networks, and no service can be called so.
const TESTER: &str = "the tester";

/// On the network, under no name.
fn alone(member: &Member) -> Member {
    Member {
        network: member.network.clone(),
        aliases: Vec::new(),
        links: Vec::new(),
    }
}

/// What a container is in a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Sidecar,
    Tested,
    Tester,
}

impl Part {
    /// In the names of containers.
    fn shown(self, service: &Service) -> &str {
        match self {
            Part::Sidecar => &service.name,
            Part::Tested => "candidate",
            Part::Tester => "tester",
        }
    }

    fn who(self, service: &Service) -> String {
        match self {
            Part::Sidecar => format!("sidecar {}", service.name),
            Part::Tested => "the container".to_owned(),
            Part::Tester => "the tester".to_owned(),
        }
    }

    fn role(self, service: &Service) -> Role {
        match self {
            Part::Sidecar => Role::Sidecar(service.name.clone()),
            Part::Tested => Role::Tools,
            Part::Tester => Role::Tester,
        }
    }
}

/// What is up.
pub(super) struct Launched {
    /// The container under test.
    pub(super) container: String,
    /// By name, the one under test among them.
    pub(super) services: BTreeMap<String, String>,
    /// Created, not started.
    pub(super) tester: Option<String>,
    /// As `Bootstrapped::sidecars`.
    pub(super) sidecars: BTreeMap<String, String>,
    /// Containers and networks, sidecars first.
    pub(super) leftovers: Vec<String>,
}

/// Brings everything up: dependencies first, the candidate, then what depends on it. The tester is only made. `tree`: the work tree of the commit, for a stack of
/// the repository.
///
/// # Errors
/// As a service fails, or the engine.
pub(super) async fn launch(
    environment: &TestEnvironment<'_>,
    test: &TestPolicy,
    setup: &Setup,
    tree: Option<&Path>,
    candidate: &str,
    log: &mut StageLog<'_>,
) -> Result<Launched, Stop> {
    let stack = &setup.stack;
    for note in &stack.notes {
        log.note(note);
    }
    let mut networks = BTreeMap::new();
    for (name, kind) in &stack.networks {
        let id = match kind {
            Network::Own { internal: true } => network(environment, name, TestNetwork::None).await?,
            Network::Own { internal: false } => network(environment, name, test.network).await?,
            Network::Host(name) => name.clone(),
        };
        networks.insert(name.clone(), id);
    }
    let files = files::prepare(environment, stack, tree, candidate).await?;
    for note in &files.notes {
        log.note(note);
    }
    let mut launch = Launch {
        environment,
        test,
        setup,
        tree,
        candidate,
        networks,
        files,
        containers: BTreeMap::new(),
        sidecars: BTreeMap::new(),
        ready: BTreeSet::new(),
    };
    for service in &stack.before {
        launch.sidecar(service, log).await?;
    }
    launch.tested(log).await?;
    for service in &stack.after {
        launch.sidecar(service, log).await?;
    }
    let tester = match &stack.tester {
        Some(tester) => Some(launch.create(tester, Part::Tester, log).await?),
        None => None,
    };
    launch.all_run().await?;
    let Launch {
        containers,
        sidecars: images,
        networks,
        ..
    } = launch;
    let container = containers.get(&stack.tested.name).cloned().unwrap_or_default();
    let own = stack
        .networks
        .iter()
        .filter(|(_, kind)| matches!(kind, Network::Own { .. }));
    let own = own.filter_map(|(name, _)| networks.get(name).cloned());
    let sidecars = containers.values().filter(|id| **id != container);
    let mut leftovers: Vec<String> = sidecars.chain(&tester).chain([&container]).cloned().collect();
    leftovers.extend(own);
    Ok(Launched {
        container,
        services: containers,
        tester,
        sidecars: images,
        leftovers,
    })
}

/// A launch on its way.
struct Launch<'a> {
    environment: &'a TestEnvironment<'a>,
    test: &'a TestPolicy,
    setup: &'a Setup,
    tree: Option<&'a Path>,
    candidate: &'a str,
    /// By their names in the stack.
    networks: BTreeMap<String, String>,
    files: StackFiles,
    /// Service → container.
    containers: BTreeMap<String, String>,
    /// Image beside the candidate → digest.
    sidecars: BTreeMap<String, String>,
    /// What was waited for, and need not be again.
    ready: BTreeSet<(String, Condition)>,
}

impl Launch<'_> {
    async fn sidecar(&mut self, service: &Service, log: &mut StageLog<'_>) -> Result<(), Stop> {
        if service.image == Image::Candidate {
            log.note(&format!("sidecar {}: the image under test", service.name));
        }
        let id = self.create(service, Part::Sidecar, log).await?;
        self.containers.insert(service.name.clone(), id.clone());
        ready::start_only(self.environment, &id, &Role::Sidecar(service.name.clone())).await
    }

    async fn tested(&mut self, log: &mut StageLog<'_>) -> Result<(), Stop> {
        let service = &self.setup.stack.tested;
        let id = self.create(service, Part::Tested, log).await?;
        self.containers.insert(service.name.clone(), id.clone());
        log.note("the image under test, with the testing tools on");
        let ready = ready::start(self.environment, &id, &Role::Tools, &self.test.ready, log).await;
        if let Err(Stop::Failed(failure)) = ready {
            // What it needs may have ended meanwhile: that is the better reason.
            self.all_run().await?;
            return Err(failure.into());
        }
        ready.map(drop)
    }

    /// Waits for what the service needs, and makes its container.
    async fn create(&mut self, service: &Service, part: Part, log: &mut StageLog<'_>) -> Result<String, Stop> {
        for (name, condition) in &service.depends_on {
            self.until(name, *condition, log).await?;
        }
        let (environment, tree) = (self.environment, self.tree);
        let Brought { image, resolved } = images::bring(
            environment,
            &part.who(service),
            &service.image,
            self.candidate,
            tree,
            log,
        )
        .await?;
        self.sidecars.extend(resolved);
        let mut spec = self.spec(service, part, image)?;
        let direct = self.files.place(environment, service, &mut spec).await?;
        environment.go_on()?;
        let created = environment.create(&spec).await;
        let id = created.map_err(|e| ready::not_created(&part.role(service), &e))?;
        for member in service.connection.networks().iter().skip(1) {
            let (network, aliases) = (self.network(&member.network), aliases(service, member));
            environment
                .engine
                .connect_container(&network, &id, &aliases, &links(member))
                .await?;
        }
        if !direct.is_empty() {
            environment.engine.upload_files(&id, &direct).await?;
        }
        Ok(id)
    }

    /// Waits until a service is what another one needs it to be.
    async fn until(&mut self, name: &str, condition: Condition, log: &mut StageLog<'_>) -> Result<(), Stop> {
        let is_tested = name == self.setup.stack.tested.name;
        let Some(id) = self.containers.get(name).filter(|_| !is_tested).cloned() else {
            return Ok(());
        };
        if !self.ready.insert((name.to_owned(), condition)) {
            return Ok(());
        }
        let role = Role::Sidecar(name.to_owned());
        let healthy = || Ready {
            check: ReadyCheck::Healthcheck,
            timeout: self.test.ready.timeout,
        };
        match (self.setup.rules.get(name), condition) {
            (Some(rule), _) => ready::until_ready(self.environment, &id, &role, rule, log)
                .await
                .map(drop),
            (None, Condition::Started) => Ok(()),
            (None, Condition::Healthy) => ready::until_ready(self.environment, &id, &role, &healthy(), log)
                .await
                .map(drop),
            (None, Condition::Completed) => self.completed(name, &id).await,
        }
    }

    async fn completed(&self, name: &str, id: &str) -> Result<(), Stop> {
        let environment = self.environment;
        let limit = self.test.ready.timeout.unsigned_abs();
        let wait = environment.unless_cancelled(environment.engine.wait_own(id, limit));
        let what = match wait.await? {
            Ok(0) => return Ok(()),
            Ok(code) => format!("sidecar {name} ended with code {code}"),
            Err(EngineError::Timeout { seconds, .. }) => format!("sidecar {name} did not end within {seconds} s"),
            Err(e) => return Err(e.into()),
        };
        let log = ready::excerpt(environment, id).await;
        Err(Failure::new(FailureKind::SidecarFailed, what).with_excerpt(log).into())
    }

    /// A service of a stack that has exited with another code than 0, and that the engine does not restart, fails the test, also where no
    /// service depends on it. Sidecars of the configuration are not judged here: each has its own `ready`, which may be such an exit.
    async fn all_run(&self) -> Result<(), Stop> {
        let sidecars = self.setup.stack.before.iter().chain(&self.setup.stack.after);
        let is_judged =
            |service: &&Service| service.restart == Restart::Never && !self.setup.rules.contains_key(&service.name);
        for service in sidecars.filter(is_judged) {
            let Some(id) = self.containers.get(&service.name) else {
                continue;
            };
            let seen = self.environment.engine.look(id).await?;
            if seen.ended() && seen.exit_code != 0 {
                let what = format!("sidecar {} exited with code {}", service.name, seen.exit_code);
                let log = ready::excerpt(self.environment, id).await;
                return Err(Failure::new(FailureKind::SidecarFailed, what).with_excerpt(log).into());
            }
        }
        Ok(())
    }

    fn spec(&self, service: &Service, part: Part, image: String) -> Result<Spec, Failure> {
        let environment = self.environment;
        let mut env = service.environment.clone();
        let is_tested = part == Part::Tested;
        if is_tested {
            env.extend(secrets::environment(&environment.app.env)?);
            env.extend(secrets::environment(&self.test.env)?);
        }
        // The testing tools are installed at launch, and a sidecar may be starting until its timeout: a health check that fails until then
        // says nothing.
        let rule = self.setup.rules.get(&service.name).map(|rule| rule.timeout);
        let awaited = self
            .setup
            .stack
            .services()
            .filter_map(|other| other.depends_on.get(&service.name))
            .max();
        let awaited = (is_tested || awaited == Some(&Condition::Healthy)).then_some(self.test.ready.timeout);
        Ok(Spec {
            name: Some(unique(environment, part.shown(service))),
            image,
            kind: if is_tested { Kind::Test } else { Kind::Sidecar },
            labels: environment.labels.clone(),
            env,
            entrypoint: service.entrypoint.clone(),
            command: service.command.clone(),
            health: service.healthcheck.as_ref().map(health),
            start_period: rule.or(awaited).map(|timeout| timeout.unsigned_abs()),
            attach: self.attach(service),
            limits: environment.limits(),
            mounts: self.files.mounts(service),
            platform: service.platform.clone(),
            settings: self.settings(service, part),
        })
    }

    fn attach(&self, service: &Service) -> Attach {
        let container = |name: &String| self.containers.get(name).cloned().unwrap_or_default();
        match &service.connection {
            Connection::None => Attach::Mode("none"),
            Connection::Bridge => Attach::Mode("bridge"),
            Connection::Host => Attach::Mode("host"),
            Connection::Of(other) => Attach::Container { id: container(other) },
            Connection::Container(name) => Attach::Container { id: name.clone() },
            Connection::Networks(members) => match members.first() {
                None => Attach::Mode("none"),
                Some(member) => Attach::Network {
                    id: self.network(&member.network),
                    aliases: aliases(service, member),
                    links: links(member),
                },
            },
        }
    }

    /// What the file says, and what stands for other services in it.
    fn settings(&self, service: &Service, part: Part) -> Map<String, Value> {
        let mut settings = service.settings.clone();
        let mut host = match settings.remove("HostConfig") {
            Some(Value::Object(host)) => host,
            Some(_) | None => Map::new(),
        };
        for (namespace, other) in &service.joins {
            if let Some(id) = self.containers.get(other) {
                let key = if *namespace == "pid" { "PidMode" } else { "IpcMode" };
                host.insert(key.to_owned(), json!(format!("container:{id}")));
            }
        }
        let from = |(other, read_only): &(String, bool)| {
            let id = self.containers.get(other)?;
            Some(format!("{id}{}", if *read_only { ":ro" } else { "" }))
        };
        let from: Vec<String> = service.volumes_from.iter().filter_map(from).collect();
        if !from.is_empty() {
            host.insert("VolumesFrom".to_owned(), json!(from));
        }
        let restart = match part {
            Part::Sidecar => service.restart,
            // It is seen to end.
            Part::Tested | Part::Tester => Restart::Never,
        };
        let restart = match restart {
            Restart::Never => None,
            Restart::Always => Some(json!({"Name": "always"})),
            Restart::OnFailure(most) => {
                Some(json!({"Name": "on-failure", "MaximumRetryCount": most.unwrap_or_default()}))
            }
        };
        host.extend(restart.map(|policy| ("RestartPolicy".to_owned(), policy)));
        settings.insert("HostConfig".to_owned(), Value::Object(host));
        settings
    }

    fn network(&self, name: &str) -> String {
        self.networks.get(name).cloned().unwrap_or_default()
    }
}

/// The engine looks a link's first part up by the names on the network (libnetwork, *CreateOptionAlias*).
fn links(member: &Member) -> Vec<String> {
    let link = |(service, name): &(String, String)| format!("{service}:{name}");
    member.links.iter().map(link).collect()
}

fn aliases(service: &Service, member: &Member) -> Vec<String> {
    let own = (service.name != TESTER).then(|| service.name.clone()).into_iter();
    own.chain(member.aliases.clone()).collect()
}

/// The candidate as it ships: only the environment it needs to start at all. The first of the networks is its own, the others are
/// connected.
///
/// # Errors
/// `SecretMissing`.
pub(super) fn production(
    environment: &TestEnvironment<'_>,
    image: &str,
    network: &str,
    aliases: Vec<String>,
) -> Result<Spec, Failure> {
    Ok(Spec {
        name: Some(unique(environment, "candidate")),
        image: image.to_owned(),
        kind: Kind::Test,
        labels: environment.labels.clone(),
        env: secrets::environment(&environment.app.env)?,
        entrypoint: None,
        command: None,
        health: None,
        // What ships has the image's own.
        start_period: None,
        attach: Attach::Network {
            id: network.to_owned(),
            aliases,
            links: Vec::new(),
        },
        limits: environment.limits(),
        mounts: Vec::new(),
        platform: None,
        settings: Map::new(),
    })
}

/// A network of this attempt's own.
pub(super) async fn network(
    environment: &TestEnvironment<'_>,
    name: &str,
    network: TestNetwork,
) -> Result<String, Stop> {
    environment.go_on()?;
    let name = unique(environment, name);
    Ok(environment
        .engine
        .create_network(&name, network, environment.labels)
        .await?)
}

/// A name on the engine that people recognise and nobody else has.
pub(super) fn unique(environment: &TestEnvironment<'_>, what: &str) -> String {
    let id = ulid::Ulid::generate().to_string().to_ascii_lowercase();
    format!("lowtide-{}-{what}-{}", environment.app.name, &id[id.len() - 8..])
}

fn health(check: &Healthcheck) -> HealthCheck {
    let Healthcheck {
        test,
        interval,
        timeout,
        start_period,
        retries,
    } = check.clone();
    HealthCheck {
        test,
        interval,
        timeout,
        start_period,
        retries,
    }
}
