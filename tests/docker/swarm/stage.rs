//! A service of a test's own, and a driver that keeps its journal in memory.

use crate::engine::{engine, unique};
pub(super) use crate::roll::stage::{command, docker, docker_in, quiet};
use lowtide::clients::credentials::Credential;
use lowtide::clients::engine::connect::Engine;
use lowtide::decide::app_state::Waits;
use lowtide::decide::rollout::{Gate, Next, Outside, RolloutState, fold, next};
use lowtide::fleet::rollout::RolloutEvent;
use lowtide::kinds::kind::TargetSettings;
use lowtide::kinds::list::{Listed, Outcome, TargetKind, TargetPolicy};
use lowtide::kinds::services::model::{FoundService, ObservedService, ServiceUnit};
use lowtide::kinds::services::policy::{ServiceSelect, ServicesPolicy};
use lowtide::kinds::services::step::{ServiceOutcome, ServiceStep};
use lowtide::kinds::track::Ended;
use lowtide::model::failure::Failure;
use lowtide::model::image::ContentDigest;
use lowtide::model::journal::Recorded;
use lowtide::model::name::{RolloutId, RunId};
use lowtide::model::policy::{Order, Ready, ReadyCheck};
use lowtide::model::release::{Images, Release};
use lowtide::model::rollout::{Goal, Purpose, RolloutConclusion};
use lowtide::runtime::kinds::containers::body::Mark;
use lowtide::runtime::kinds::services::body::Retain;
use lowtide::runtime::kinds::services::preflight::{Ours, preflight};
use lowtide::runtime::kinds::services::{find, observe, prepull, verbs};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use tokio::sync::RwLock;
use tokio_util::sync::CancellationToken;

/// Whoever makes the node unavailable does so alone.
pub(super) static NODE: RwLock<()> = RwLock::const_new(());

pub(super) const SERVES: &str = r#"CMD ["httpd", "-f", "-p", "80"]"#;
pub(super) const FALLS: &str = r#"CMD ["sh", "-c", "exit 3"]"#;

/// Services of one prefix; gone at the test's end, also when it fails.
pub(super) struct Stage {
    pub(super) engine: Engine,
    pub(super) name: String,
    repository: String,
}

impl Stage {
    pub(super) fn new() -> Self {
        Self::at(&std::env::var("LOWTIDE_TEST_REGISTRY").unwrap())
    }

    pub(super) fn at(registry: &str) -> Self {
        // Another test may have been first.
        quiet(&["swarm", "init", "--advertise-addr", "127.0.0.1"]);
        let name = unique("swarm");
        Self {
            engine: engine(),
            repository: format!("{registry}/{name}"),
            name,
        }
    }

    /// Builds and pushes; what a service is given.
    pub(super) fn image(&self, version: &str, lines: &str) -> Release {
        let tag = format!("{}:{version}", self.repository);
        let text = format!(
            "FROM lowtide-test/busybox:1\nLABEL test={} version={version}\n{lines}\n",
            self.name
        );
        docker_in(&["build", "-q", "-t", &tag, "-"], text.as_bytes());
        docker(&["push", "-q", &tag]);
        let image = docker(&["image", "inspect", "-f", "{{.Id}}", &tag]);
        let digests = docker(&[
            "image",
            "inspect",
            "-f",
            "{{range .RepoDigests}}{{println .}}{{end}}",
            &tag,
        ]);
        let own = digests.lines().find(|line| line.starts_with(&self.repository)).unwrap();
        Release {
            upstream: None,
            run: RunId(ulid::Ulid::generate()),
            images: Images::one(image.parse().unwrap(), ContentDigest::try_from(image).unwrap()),
            commit: Some("0".repeat(40)),
            tag: version.to_owned(),
            digest: Some(own.split_once('@').unwrap().1.parse().unwrap()),
            reference: tag.parse().unwrap(),
            change: None,
            sidecars: BTreeMap::new(),
            at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    /// `docker service create` under the stage's name plus `suffix`, running.
    pub(super) fn create(&self, suffix: &str, flags: &[&str], release: &Release) -> String {
        let name = format!("{}{suffix}", self.name);
        let image = release.service_image();
        // Waits until it has converged.
        let own = ["service", "create", "-q", "--name", &name, "--stop-grace-period", "1s"];
        docker(&[&own[..], flags, &[&image]].concat());
        name
    }

    pub(super) async fn service(&self, name: &str) -> Value {
        self.engine.raw_get(&format!("/services/{name}")).await.unwrap()
    }

    /// Ids of the tasks that are wanted.
    pub(super) fn tasks(&self, name: &str) -> BTreeSet<String> {
        let listed = docker(&[
            "service",
            "ps",
            "-q",
            "--no-trunc",
            "--filter",
            "desired-state=running",
            name,
        ]);
        listed.lines().map(ToOwned::to_owned).collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let services = quiet(&["service", "ls", "-q", "--filter", &format!("name={}", self.name)]);
        for id in services.split_whitespace() {
            quiet(&["service", "rm", id]);
        }
    }
}

pub(super) fn one(name: &str) -> ServiceSelect {
    ServiceSelect::Service { name: name.to_owned() }
}

/// A rollout: the pure decisions, the real client, and a journal in memory.
pub(super) struct Roll<'a> {
    stage: &'a Stage,
    pub(super) id: RolloutId,
    events: Vec<Recorded<RolloutEvent>>,
    snapshots: BTreeMap<String, Vec<u8>>,
    pub(super) auth: Option<Credential>,
    /// Added to the clock.
    pub(super) ahead: jiff::SignedDuration,
    pub(super) steps: Vec<String>,
    engine_events: Lines<BufReader<ChildStdout>>,
    _events: Child,
}

impl<'a> Roll<'a> {
    pub(super) fn new(stage: &'a Stage, select: ServiceSelect, release: &Release) -> Self {
        Self::of(stage, target(select), release)
    }

    pub(super) fn of(stage: &'a Stage, target: TargetPolicy, release: &Release) -> Self {
        let socket = std::env::var("LOWTIDE_TEST_ENGINE").unwrap();
        let mut child = tokio::process::Command::new("docker")
            .args(["events", "--filter", "type=container", "--filter", "type=service"])
            .env("DOCKER_HOST", format!("unix://{socket}"))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let engine_events = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut roll = Self {
            stage,
            id: RolloutId(ulid::Ulid::generate()),
            events: Vec::new(),
            snapshots: BTreeMap::new(),
            auth: None,
            ahead: jiff::SignedDuration::ZERO,
            steps: Vec::new(),
            engine_events,
            _events: child,
        };
        roll.push(RolloutEvent::Opened {
            app: "web".parse().unwrap(),
            target: Box::new(target),
            timezone: "UTC".to_owned(),
            release: Box::new(release.clone()),
            window_ignored: true,
            purpose: Purpose::Release,
        });
        roll
    }

    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now() + self.ahead
    }

    pub(super) fn push(&mut self, event: RolloutEvent) {
        let seq = self.events.len() as u64 + 1;
        let at = self.now();
        self.events.push(Recorded { seq, at, event });
    }

    pub(super) fn state(&self) -> RolloutState {
        fold(self.id, &self.events).unwrap()
    }

    pub(super) fn units(&self) -> Vec<ServiceUnit> {
        let state = self.state();
        services(&state).units.clone().unwrap_or_default()
    }

    pub(super) async fn look(&self) -> Vec<ObservedService> {
        observe::observe(&self.stage.engine, self.id, &self.units())
            .await
            .unwrap()
    }

    pub(super) async fn found(&self) -> FoundService {
        match self.look().await.remove(0) {
            ObservedService::Found(found) => found,
            ObservedService::Gone => panic!("the service is gone"),
        }
    }

    fn outside(&self) -> Outside {
        Outside {
            gate: Gate::Open,
            window: None,
            timezone: "UTC".to_owned(),
            needs: jiff::SignedDuration::from_mins(5),
            taken: None,
            waits: Waits {
                since: self.now(),
                security: false,
            },
        }
    }

    pub(super) async fn plan(&self) -> Next<ServiceStep> {
        let seen = match self.units().is_empty() {
            true => None,
            false => Some(self.look().await),
        };
        let state = self.state();
        let track = ServicesPolicy::track(&state.kind).expect("services are moved");
        next(&state, track, seen.as_ref(), &self.outside(), self.now())
    }

    /// Goes on until `stop` says so of what comes next, or to the end.
    pub(super) async fn until(&mut self, stop: impl Fn(&Next<ServiceStep>) -> bool) -> Option<RolloutConclusion> {
        let whole = async {
            loop {
                let planned = self.plan().await;
                if stop(&planned) {
                    return None;
                }
                match planned {
                    Next::Do { attempt, step } => {
                        self.begin(attempt, &step);
                        let outcome = self.perform(&step).await;
                        self.end(outcome);
                    }
                    Next::Wait { .. } => self.something_happens().await,
                    Next::Enter { .. } | Next::Suspend { .. } | Next::Escalate { .. } => panic!("no window is kept"),
                    Next::StartBake { until } => self.push(RolloutEvent::BakeStarted { until }),
                    Next::DecideRevert(failure) => self.push(RolloutEvent::RevertDecided { failure }),
                    Next::Finish(conclusion) => return Some(conclusion),
                    Next::Over => panic!("nobody concluded it"),
                }
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(180), whole).await;
        ended.unwrap_or_else(|_| panic!("it does not end: {:?}", self.steps))
    }

    pub(super) async fn drive(&mut self) -> RolloutConclusion {
        self.until(|_| false).await.unwrap()
    }

    pub(super) fn begin(&mut self, attempt: u32, step: &ServiceStep) {
        self.push(RolloutEvent::StepStarted {
            attempt,
            step: step.clone().into(),
        });
    }

    pub(super) fn end(&mut self, ended: Ended<ServiceOutcome>) {
        if let Some(step) = self.state().under_way() {
            self.steps.push(step.to_string());
        }
        let outcome = ended.map(Outcome::from);
        self.push(RolloutEvent::StepEnded { outcome });
    }

    pub(super) async fn perform(&mut self, step: &ServiceStep) -> Ended<ServiceOutcome> {
        match self.carry_out(step).await {
            Ok(outcome) => Ended::Well { outcome },
            Err(failure) => Ended::Failed { failure },
        }
    }

    pub(super) fn mark(&self) -> Mark<'static> {
        Mark {
            rollout: self.id,
            unit: 0,
            instance: "docker-tests",
            term: 1,
            role: lowtide::model::rollout::Which::New,
        }
    }

    async fn carry_out(&mut self, step: &ServiceStep) -> Result<ServiceOutcome, Failure> {
        let state = self.state();
        let (engine, release) = (&self.stage.engine, &state.release);
        let (mark, units, image) = (self.mark(), self.units(), release.service_image());
        let auth = self.auth.as_ref();
        match step {
            ServiceStep::Preflight => {
                let policy = &ServicesPolicy::track(&state.kind).expect("services are moved").policy;
                let services = find::find(
                    engine,
                    &policy.select,
                    std::slice::from_ref(&release.reference.repository),
                )
                .await?;
                let over = BTreeSet::new();
                let ours = Ours {
                    instance: "docker-tests",
                    over: &over,
                };
                let found = preflight(engine, &state.target, policy, release, services, ours).await?;
                for (unit, snapshot) in found.units.iter().zip(found.snapshots) {
                    self.snapshots.insert(unit.snapshot.clone(), snapshot);
                }
                return Ok(ServiceOutcome::Preflighted { services: found.units });
            }
            ServiceStep::Prepull { unit } => {
                let cancel = CancellationToken::new();
                prepull::prepull(engine, &units[*unit], release, &mark, auth, &cancel).await?;
                let config = prepull::image_config(engine, release).await?;
                let snapshot = &self.snapshots[&units[*unit].snapshot];
                let startup = prepull::startup(snapshot, config.as_ref(), &state.target.ready)?;
                return Ok(ServiceOutcome::Prepulled { startup });
            }
            ServiceStep::Update { unit, knobs, .. } => {
                verbs::update(engine, &units[*unit], &image, knobs, &mark, auth).await?;
            }
            ServiceStep::Revert { unit, knobs, .. } => {
                verbs::revert(engine, &units[*unit], &image, knobs, &mark, auth).await?;
            }
            ServiceStep::RestoreKnobs { unit, sent } => {
                let keep = match state.goal {
                    Goal::Forward => Retain::Instance,
                    Goal::Back => Retain::Nothing,
                };
                let snapshot = &self.snapshots[&units[*unit].snapshot];
                verbs::restore(engine, &units[*unit], snapshot, sent, &mark, keep).await?;
            }
        }
        Ok(ServiceOutcome::Done)
    }

    /// Until the engine tells something, or time alone may have made the difference.
    async fn something_happens(&mut self) {
        let _ = tokio::time::timeout(Duration::from_millis(250), self.engine_events.next_line()).await;
    }
}

fn services(state: &RolloutState) -> &lowtide::kinds::services::state::Services {
    &ServicesPolicy::track(&state.kind).expect("services are moved").state
}

pub(super) fn target(select: ServiceSelect) -> TargetPolicy {
    TargetPolicy {
        settings: TargetSettings {
            name: "t".parse().unwrap(),
            channel: None,
            host: "h".parse().unwrap(),
            window: None,
            ready: Ready {
                check: ReadyCheck::Steady {
                    stay_up: jiff::SignedDuration::from_secs(1),
                },
                timeout: jiff::SignedDuration::from_secs(10),
            },
            bake: jiff::SignedDuration::from_secs(1),
            irreversible: false,
            unhealthy: lowtide::model::policy::Unhealthy::Refuse,
        },
        kind: TargetKind::Services(Box::new(ServicesPolicy {
            select,
            order: Order::Auto,
        })),
    }
}

pub(super) fn is_update(next: &Next<ServiceStep>) -> bool {
    matches!(
        next,
        Next::Do {
            step: ServiceStep::Update { .. },
            ..
        }
    )
}

pub(super) fn is_wait(next: &Next<ServiceStep>) -> bool {
    matches!(next, Next::Wait { .. })
}

pub(super) fn why(conclusion: &RolloutConclusion) -> &Failure {
    match conclusion {
        RolloutConclusion::Reverted { failure }
        | RolloutConclusion::Refused { failure }
        | RolloutConclusion::Stuck { failure } => failure,
        RolloutConclusion::Done | RolloutConclusion::AlreadyThere | RolloutConclusion::Superseded { .. } => {
            panic!("{conclusion:?}")
        }
    }
}

pub(super) fn is_reverted(conclusion: &RolloutConclusion) -> bool {
    matches!(conclusion, RolloutConclusion::Reverted { .. })
}
