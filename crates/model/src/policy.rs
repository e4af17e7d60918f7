//! The fleet: what one configuration revision says. Every value is already valid and every default filled in.

use crate::image::{Reference, Repository};
use crate::name::{ChannelName, HostName};
use crate::secret::{EnvValue, SecretRef};
use jiff::SignedDuration;
use jiff::civil::Time;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How pages are served over HTTP.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebPolicy {
    /// Host names under which pages may be requested, besides addresses and `localhost`; lower case, without a port.
    pub names: Vec<String>,
    /// Where people reach the pages; `None`: messages link to no page.
    pub public_url: Option<PublicUrl>,
    /// Who may ask for another look at the configuration (`serve --hooks`).
    #[serde(default)]
    pub hooks: Hooks,
}

/// Secrets that requests are signed with, by the way they are signed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hooks {
    /// As GitHub signs: `X-Hub-Signature-256`.
    pub github: Option<SecretRef>,
    /// As Standard Webhooks has it; the secret begins with `whsec_`.
    pub signed: Option<SecretRef>,
}

/// Where a browser finds the pages: `https://lowtide.example.org`, perhaps with a path, without a slash at its end. It holds
/// letters, digits and `:/.-_~` alone, so it stands in every message as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicUrl(pub String);

impl PublicUrl {
    /// The URL of a page; `path` begins with a slash.
    #[must_use]
    pub fn page(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

/// A Docker engine and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    pub address: EngineAddress,
}

/// Where an engine listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineAddress {
    /// `unix:///var/run/docker.sock`
    Unix(std::path::PathBuf),
    Ssh(SshEngine),
    Tls(TlsEngine),
}

/// `ssh://user@host:port/socket`, as docker's own command reaches it: `docker system dial-stdio` on that host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshEngine {
    pub user: Option<String>,
    pub host: String,
    pub port: Option<u16>,
    /// The engine's socket there; `None`: where its command looks.
    pub socket: Option<String>,
    /// Private key; `None`: as ssh finds one.
    pub key: Option<SecretRef>,
    /// File of known hosts; `None`: ssh's own, and the first key a host shows is taken.
    pub known_hosts: Option<std::path::PathBuf>,
}

/// `tcp://host:port`, never without TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsEngine {
    pub host: String,
    pub port: u16,
    /// PEM file to trust; `None`: the system's certificates.
    pub ca: Option<std::path::PathBuf>,
    /// PEM file that says who we are.
    pub cert: Option<std::path::PathBuf>,
    pub key: Option<SecretRef>,
}

/// How a registry, or part of one, is reached and with which credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryAccess {
    pub username: Option<String>,
    pub password: Option<SecretRef>,
    /// Plain HTTP. Loopback registries need not say it.
    pub plain_http: bool,
    /// Where lowtide reads in its place: a registry, and the beginning of a path if the mirror has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<String>,
}

/// How package archives are reached.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ArchivePolicy {
    /// For every archive. `None`: straight.
    pub proxy: Option<String>,
    /// Beginning of an address → what is fetched in its place.
    pub mirrors: BTreeMap<String, String>,
}

/// A mail server and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmtpServer {
    pub host: String,
    pub port: u16,
    pub security: SmtpSecurity,
    pub username: Option<String>,
    pub password: Option<SecretRef>,
    /// PEM file with certificates to trust besides the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<std::path::PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmtpSecurity {
    /// `smtps://`: TLS from the first byte (RFC 8314).
    Tls,
    /// `smtp://`: STARTTLS, refused when the server does not offer it.
    StartTls,
    /// `smtp+plain://`: no encryption; allowed for loopback only.
    Plain,
}

/// Fleet-wide bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Runs at once.
    pub runs: usize,
    /// Rollouts that may change something at the same time; one that bakes changes nothing.
    pub rollouts: usize,
    /// Of them on one host.
    pub rollouts_per_host: usize,
    /// A build does not start with less free space than this in the state directory, bytes.
    pub min_free_disk: u64,
}

/// What is retained, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Ended runs and rollouts, with their logs.
    pub history: SignedDuration,
    /// The audit log: operator actions, halts and quarantines.
    pub audit: SignedDuration,
    /// Local images retained per app besides those that run and the rollback target.
    pub images: usize,
    /// Bytes of logs over all runs; the oldest go first.
    pub logs: u64,
    /// Build cache on the build host, bytes.
    pub build_cache: u64,
    #[serde(default)]
    pub registry: RegistryRetention,
}

/// Which release tags stay in registries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryRetention {
    /// Newest release tags per app and repository.
    pub keep: usize,
    /// Also those that are younger than this.
    pub age: Option<SignedDuration>,
    /// Tags beyond that are removed. `false`: they are only reported.
    pub delete: bool,
}

impl Default for RegistryRetention {
    fn default() -> Self {
        crate::defaults::REGISTRY_RETENTION
    }
}

/// Is an app only watched, or acted upon?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Built and tested; nothing is pushed, promoted or rolled, and the report says what would have been.
    Observe,
    Active,
}

/// What an app's own repository may set, in force: the repository's file over the fleet's configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OwnSettings {
    pub build: BuildPolicy,
    pub env: BTreeMap<String, EnvValue>,
    pub tests: Vec<TestPolicy>,
    pub ready: Ready,
}

/// Where an app's image comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one per app, and nearly all are built"
)]
pub enum ImageOrigin {
    /// It is built from a repository.
    Built { source: Source, build: BuildPolicy },
    /// Others build it and push it to a registry.
    Followed(FollowPolicy),
}

/// Which image of others an app follows, and when a newer one is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowPolicy {
    pub image: Repository,
    /// As it is written: `16.*-alpine`, `>=16.2 <17`, `latest`.
    pub tags: String,
    /// An image is taken once lowtide has known it for this long. One that brings security fixes does not wait.
    pub min_age: SignedDuration,
    /// The host on which it is tested.
    pub host: HostName,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// https, ssh (`ssh://` or scp-like) or `file://` remote. Never with credentials in it.
    pub repo: String,
    pub git_ref: GitRef,
    /// Directory of the build context inside the repository; empty for its root.
    pub context: String,
    /// Path of the Dockerfile inside the context.
    pub dockerfile: String,
    pub submodules: bool,
    pub username: Option<String>,
    /// Password or token for https.
    pub token: Option<SecretRef>,
    /// Private key file for ssh.
    pub ssh_key: Option<SecretRef>,
    pub timeout: SignedDuration,
    /// Bytes of the checked-out tree.
    pub max_size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GitRef {
    /// The remote's own default branch.
    Head,
    Branch(String),
    Tag(String),
    Commit(String),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BuildPolicy {
    pub host: HostName,
    pub args: BTreeMap<String, String>,
    /// For `RUN --mount=type=secret`, by their ids.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, SecretRef>,
    /// Private keys for `RUN --mount=type=ssh`, by their ids.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ssh: BTreeMap<String, SecretRef>,
    pub target: Option<String>,
    /// Labels of the owner's, besides the OCI ones.
    pub labels: BTreeMap<String, String>,
    /// Write `org.label-schema.*` beside the OCI keys.
    pub label_schema: bool,
    /// Resolve bases in their registry. `false`: bases are taken from the engine's own image store.
    pub pull: bool,
    pub timeout: SignedDuration,
    /// What a build step may use, where the engine's builder can limit it.
    #[serde(default)]
    pub limits: BuildLimits,
    /// Bytes of the stored build log.
    pub max_log: u64,
    /// Upgrade all packages as the last layer, whatever the base brought.
    #[serde(default)]
    pub upgrade: bool,
    /// A build older than this is repeated though nothing that can be seen has moved. `None`: never for its age alone.
    #[serde(default)]
    pub max_age: Option<SignedDuration>,
    /// Paths (globs) whose changes do not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore_paths: Vec<String>,
}

/// What each step of a build may use. Only builders that make a container of each step know such limits.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct BuildLimits {
    /// Bytes, swap included. `None`: as much as there is.
    pub memory: Option<u64>,
    /// `None`: as many as there are.
    pub cpus: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestPolicy {
    pub how: TestSetup,
    /// Set only for the test container, never in the image: switches the testing tools on.
    pub env: BTreeMap<String, EnvValue>,
    /// The set of variables that makes this round another one than the app's other rounds; `env` and the stack have them, too.
    pub matrix: BTreeMap<String, EnvValue>,
    pub network: TestNetwork,
    /// Readiness with the testing tools on; they are fetched at launch, so this takes longer than in production.
    pub ready: Ready,
    pub steps: Vec<TestStep>,
    /// Runs beside the container after the steps. Its exit code is a verdict, as theirs are.
    pub tester: Option<Tester>,
    /// Glob of JUnit files inside the container.
    pub junit: Option<String>,
    /// Paths inside the container that are stored after the test.
    pub artefacts: Vec<String>,
    pub limits: ContainerLimits,
    /// All steps and the tester together.
    pub timeout: SignedDuration,
}

/// A container that tests another one over the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tester {
    pub from: TesterFrom,
    /// Empty: the image's or the service's own.
    pub command: Vec<String>,
    pub env: BTreeMap<String, EnvValue>,
    /// Glob of JUnit files inside it.
    pub junit: Option<String>,
    /// Paths inside it that are stored after the test.
    pub artefacts: Vec<String>,
    /// `None`: what the test has left.
    pub timeout: Option<SignedDuration>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TesterFrom {
    Image(Reference),
    /// A service of the repository's own stack, which is started for nothing else.
    Service(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestSetup {
    /// The image under test, with sidecars beside it on a network of the test's own.
    Sidecars(BTreeMap<String, Sidecar>),
    /// The repository's own stack.
    Compose(ComposeTest),
}

/// Which compose files of the repository are a test's stack, and what it may do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ComposeTest {
    /// Paths from the repository's root; each one changes what those before it said. Empty: the names that Compose looks for.
    pub files: Vec<String>,
    /// The service whose image is under test. `None`: it is found by its image or its build.
    pub service: Option<String>,
    pub profiles: Vec<String>,
    /// Values for variables of the files, and for environment files that the commit does not have.
    pub env: BTreeMap<String, EnvValue>,
    /// Host rights of the stack, as `capability:NET_ADMIN`.
    pub allow: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sidecar {
    pub image: Reference,
    pub env: BTreeMap<String, EnvValue>,
    pub command: Vec<String>,
    pub ready: Ready,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestNetwork {
    /// A bridge of the test's own, with egress: the tools are fetched at launch.
    Egress,
    /// A bridge of the test's own, without egress.
    None,
}

/// How a container proves that it serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    pub check: ReadyCheck,
    pub timeout: SignedDuration,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadyCheck {
    /// The image's own HEALTHCHECK says healthy.
    Healthcheck,
    /// A GET returns 200–399.
    Http { port: u16, path: String },
    /// A line of the container's log matches this regular expression.
    Log { pattern: String },
    /// A command inside the container exits 0.
    Exec { command: Vec<String> },
    /// The container ends by itself with this code: a program for the command line, a job.
    Exit { code: u8 },
    /// The HEALTHCHECK where the image has one; else the container runs for this long without a restart.
    Steady { stay_up: SignedDuration },
}

impl ReadyCheck {
    /// How long a container has to stay up if the configuration says nothing else.
    pub const STAY_UP: SignedDuration = SignedDuration::from_secs(10);
    /// The check if the configuration says nothing about readiness.
    pub const DEFAULT: ReadyCheck = ReadyCheck::Steady { stay_up: Self::STAY_UP };
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestStep {
    pub action: StepAction,
    /// The sidecar or service in whose container it happens; `None`: the one under test.
    pub service: Option<String>,
    /// `None`: what the test has left.
    pub timeout: Option<SignedDuration>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepAction {
    /// Passes when the command inside the container exits 0.
    Exec { command: Vec<String> },
    /// Restarts the container and waits until it is ready again.
    Restart,
    /// A GET from beside the container returns this status.
    Http { port: u16, path: String, status: u16 },
    /// Passes as soon as the container proves that it serves.
    Wait(Ready),
    /// Puts a file or folder of the commit (`from`, from the repository's root) into the container (`to`, absolute).
    CopyIn { from: String, to: String },
    /// Stores files of the container (`from`, absolute glob) among the artefacts (`to`, relative).
    CopyOut { from: String, to: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ContainerLimits {
    /// Bytes.
    pub memory: u64,
    pub cpus: f64,
    pub pids: u32,
    /// Bytes of output stored and allowed per container.
    pub output: u64,
    /// Bytes that the container under test may write into its own layer.
    pub disk: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishPolicy {
    pub image: Repository,
    /// Template with `{date}`, `{run}`, `{commit}`, `{branch}`, `{app}`; of a followed image with `{tag}` and `{digest}` for the two in the
    /// middle.
    pub tag: String,
    /// In order; the first is filled by publish.
    pub channels: Vec<Channel>,
}

impl PublishPolicy {
    /// Every repository that lowtide pushes to; some of them may occur twice.
    pub fn pushed(&self) -> impl Iterator<Item = &Repository> {
        std::iter::once(&self.image).chain(self.channels.iter().map(|channel| &channel.image))
    }

    /// Every repository whose name the app's images have somewhere: on a host, or in the Dockerfile of another app.
    pub fn names(&self) -> impl Iterator<Item = &Repository> {
        let pulled = self.channels.iter().filter_map(|channel| channel.pull.as_ref());
        self.pushed().chain(pulled)
    }
}

impl Channel {
    /// What hosts pull from.
    #[must_use]
    pub fn pulled(&self) -> &Repository {
        self.pull.as_ref().unwrap_or(&self.image)
    }
}

/// An ordered, named place for releases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    pub name: ChannelName,
    /// What lowtide pushes to.
    pub image: Repository,
    /// What hosts pull the same digests from, if that has another name: a cache, another address of the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull: Option<Repository>,
    /// Moving tag that always points at the channel's current release.
    pub tag: String,
}

/// When an app's run is due. Evaluated in the app's zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Once per night, at a moment of its own inside the span, parents before children.
    Between { from: Time, to: Time },
    /// Five-field cron.
    Cron(String),
    /// Only on request.
    Never,
}

/// How to treat a container that is unhealthy before the rollout touches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unhealthy {
    /// An unhealthy container is no baseline: the rollout does not begin.
    #[default]
    Refuse,
    /// The release may be the cure, so the rollout begins. After a rollback the old container has to run, but need not
    /// be healthy.
    Replace,
}

impl Unhealthy {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Unhealthy::Refuse => "refuse",
            Unhealthy::Replace => "replace",
        }
    }
}

/// Which of old and new runs first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Start-first if a router is notified and nothing prevents it, else stop-first. For services: start-first if
    /// nothing prevents it.
    #[default]
    Auto,
    StopFirst,
    /// Both run for a while; refused if something prevents it.
    StartFirst,
}

/// Command inside the (old, for `before`; new, for `after`) container of each unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    pub command: Vec<String>,
    pub timeout: SignedDuration,
}
