//! The YAML as written: serde structs. The only file that names the YAML crate. The doc comments are the descriptions of
//! the JSON Schema that editors show.

use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

mod words;

pub use words::{EscalateWord, Mode, Network, Order, OverrunWord, Preflight, RequireWord, ScheduleWord, Unhealthy};

/// A scalar exactly as it is written: `1.10` stays `1.10`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub struct Text(pub String);

impl JsonSchema for Text {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Text".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

pub type TextMap = BTreeMap<String, Text>;
/// A program and its arguments: `[sh, -c, "echo hello"]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Command(pub Vec<Text>);

/// Gives each struct the derives that all of them need.
macro_rules! raw {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }
    )*};
}

/// Settings that an app, a profile and the defaults share.
macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {
        raw! {$($(#[$doc])* $name {
            $($(#[$field_doc])* $field: $type,)*
            /// Mail addresses that hear of the app's failures.
            maintainers: Option<Vec<Text>>,
            /// Where the image's sources are.
            source: Option<Source>,
            /// How the image is built.
            build: Option<Build>,
            /// What the image needs to start at all, in test and in production mode.
            env: TextMap,
            /// How the image is tested, inside itself.
            test: Option<Test>,
            /// How a container proves that it serves: after the test, and for targets that say nothing else.
            ready: Option<Ready>,
            /// Where the tested image is pushed. Without it the image stays in the engine's own store.
            publish: Option<Publish>,
            /// Once per night, at a moment of the app's own within a span.
            nightly: Option<Nightly>,
            /// Five-field cron instead of `nightly`: `30 1 * * *`.
            cron: Option<Text>,
            /// `never`: only when asked.
            schedule: Option<ScheduleWord>,
            /// When rollouts may take unattended steps. Without one they wait for a person.
            window: Option<Window>,
            /// How long new containers are watched, with the old ones kept stopped, before a rollout is done.
            bake: Option<Text>,
            /// What lifts the halt after a rollout that was rolled back or got stuck.
            halt: Option<Halt>,
        })*}
    };
}

settings! {
    /// Settings of every app that does not say otherwise.
    Defaults {}
    /// Settings of the apps that name this profile.
    Profile {
        timezone: Option<Text>,
        mode: Option<Mode>,
    }
    /// One tracked repository, and how to test, publish and roll it out.
    App {
        /// IANA zone of the app's times.
        timezone: Option<Text>,
        mode: Option<Mode>,
        /// Name of a profile whose settings apply where the app has none.
        profile: Option<Text>,
        github: Option<AppGithub>,
        /// The things that run the app's releases.
        rollout: Option<Vec<Target>>,
    }
}

raw! {
    /// The configuration of lowtide: one fleet of apps.
    File {
        /// Version of this format: 1.
        version: Option<u64>,
        /// IANA zone of every time in this file; an app may have its own.
        timezone: Option<Text>,
        mode: Option<Mode>,
        /// Docker engines. The first one builds and tests unless an app says otherwise.
        hosts: BTreeMap<String, Host>,
        /// How registries are reached, by host name and port.
        registries: BTreeMap<String, Registry>,
        /// How package repositories are asked what is new.
        package_repositories: Option<PackageRepositories>,
        notify: Option<Notify>,
        limits: Option<Limits>,
        retention: Option<Retention>,
        /// The status page and the JSON of the plan (`serve --listen`).
        web: Option<Web>,
        defaults: Option<Defaults>,
        profiles: BTreeMap<String, Profile>,
        apps: BTreeMap<String, App>,
    }
    Host {
        /// `unix:///var/run/docker.sock`, `ssh://user@host` or `tcp://host:2376`
        docker: Option<Text>,
        /// Private key: of ssh, or PEM of the certificate that says who we are.
        key: Option<Secret>,
        /// ssh: file of known hosts. Without it the first key a host shows is taken.
        known_hosts: Option<Text>,
        /// tcp: PEM file to trust instead of the system's certificates.
        ca: Option<Text>,
        /// tcp: PEM file of the certificate that says who we are.
        cert: Option<Text>,
    }
    Web {
        /// Host names that pages may be asked by, besides addresses and `localhost`: `[lowtide.example.org]`
        names: Option<Vec<Text>>,
    }
    Registry {
        username: Option<Text>,
        password: Option<Secret>,
        /// Plain HTTP. Registries on loopback need not say it.
        plain_http: Option<bool>,
    }
    PackageRepositories {
        /// `http://proxy.example.org:3128`
        proxy: Option<Text>,
        /// What begins with the key is fetched from the value instead. Signatures must fit all the same.
        mirrors: TextMap,
    }
    /// Where a secret is found: exactly one of the two.
    Secret {
        /// Name of an environment variable of the lowtide process.
        env: Option<Text>,
        /// Absolute path of a file; one trailing newline is not part of the secret.
        file: Option<Text>,
    }
    Notify {
        email: Option<Email>,
        github: Option<Github>,
    }
    Email {
        /// `smtps://host` (TLS), `smtp://host` (STARTTLS), `smtp+plain://` (loopback only); a port may follow.
        smtp: Option<Text>,
        username: Option<Text>,
        password: Option<Secret>,
        /// Absolute path of a PEM file with certificates to trust besides the system's.
        ca: Option<Text>,
        from: Option<Text>,
        /// Notified of engine, registry and configuration problems; they also get the daily report.
        operators: Option<Vec<Text>>,
        /// Time of the daily report, `HH:MM`.
        daily_report: Option<Text>,
    }
    Github {
        token: Option<Secret>,
        /// Base of the API; another one than `https://api.github.com` for Enterprise.
        api: Option<Text>,
    }
    AppGithub {
        /// `owner/name`, when the source is not that GitHub repository itself.
        repo: Option<Text>,
    }
    Limits {
        /// Runs at once.
        #[schemars(range(min = 1, max = 64))]
        runs: Option<u64>,
        /// Rollouts that move something at once. One that bakes moves nothing.
        #[schemars(range(min = 1, max = 64))]
        rollouts: Option<u64>,
        /// Of them on one host.
        #[schemars(range(min = 1, max = 64))]
        rollouts_per_host: Option<u64>,
        /// A build does not start with less free space than this.
        min_free_disk: Option<Text>,
    }
    Retention {
        /// Ended runs and rollouts, with their logs.
        history: Option<Text>,
        /// The audit log: operator actions, halts and quarantines.
        audit: Option<Text>,
        /// Local images kept per app besides those that run and the one to go back to.
        #[schemars(range(min = 1, max = 100))]
        images: Option<u64>,
        /// Logs of all runs together.
        logs: Option<Text>,
        /// Build cache on the build host.
        build_cache: Option<Text>,
    }
    Source {
        /// https, ssh or file remote, without credentials in it.
        repo: Option<Text>,
        branch: Option<Text>,
        tag: Option<Text>,
        /// Full commit id.
        commit: Option<Text>,
        /// Directory of the build context inside the repository.
        context: Option<Text>,
        /// Path of the Dockerfile inside the context.
        dockerfile: Option<Text>,
        submodules: Option<bool>,
        username: Option<Text>,
        /// Password or token for https.
        token: Option<Secret>,
        /// Private key for ssh.
        ssh_key: Option<Secret>,
        timeout: Option<Text>,
        /// Of the checked-out tree.
        max_size: Option<Text>,
    }
    Build {
        /// Name of the host that builds and tests.
        host: Option<Text>,
        args: TextMap,
        /// Stage of the Dockerfile.
        target: Option<Text>,
        labels: TextMap,
        /// Write `org.label-schema.*` labels beside the OCI ones.
        label_schema: Option<bool>,
        /// `false`: take base images from the engine's own store.
        pull: Option<bool>,
        timeout: Option<Text>,
        /// What each step may use, where the engine's builder can limit it: BuildKit cannot.
        limits: Option<BuildLimits>,
        /// Of the kept build log.
        max_log: Option<Text>,
        /// Upgrade all packages as the last layer of the image.
        upgrade: Option<bool>,
        /// Paths in the image whose changes do not count, as globs: `/srv/app/build-info.json`, `/srv/**/*.map`.
        ignore_paths: Option<Vec<Text>>,
        /// A build older than this is repeated though nothing that can be seen has moved.
        max_age: Option<Text>,
    }
    BuildLimits {
        /// Swap included; at least 6MiB.
        memory: Option<Text>,
        #[schemars(range(min = 0.01, max = 1024))]
        cpus: Option<f64>,
    }
    Test {
        /// Containers beside the image under test, by their network name.
        sidecars: BTreeMap<String, Sidecar>,
        /// The repository's own compose file instead of sidecars.
        compose: Option<TestCompose>,
        /// Set only for the test container, never in the image: switches the testing tools on.
        env: TextMap,
        network: Option<Network>,
        /// Readiness with the testing tools on.
        ready: Option<Ready>,
        steps: Option<Vec<TestStep>>,
        /// Glob of JUnit files inside the container.
        junit: Option<Text>,
        /// Absolute paths inside the container kept after the test.
        artefacts: Option<Vec<Text>>,
        limits: Option<ContainerLimits>,
        /// All steps together.
        timeout: Option<Text>,
    }
    Sidecar {
        image: Option<Text>,
        env: TextMap,
        command: Option<Command>,
        ready: Option<Ready>,
    }
    TestCompose {
        /// Path inside the repository.
        file: Option<Text>,
        /// The service whose image is under test.
        service: Option<Text>,
    }
    /// At most one of `healthcheck`, `http`, `log`, `exec`, `exit` and `stay_up`.
    Ready {
        /// `true`: the image's own HEALTHCHECK says healthy.
        healthcheck: Option<bool>,
        /// A GET answers with 200–399.
        http: Option<Http>,
        /// A line of the container's log matches this regular expression.
        log: Option<Text>,
        /// A command inside the container exits 0.
        exec: Option<Command>,
        /// The container ends by itself with this code, for an image that is a program and no service.
        #[schemars(range(max = 255))]
        exit: Option<u16>,
        /// The HEALTHCHECK where the image has one, else the container runs this long without a restart.
        stay_up: Option<Text>,
        timeout: Option<Text>,
    }
    Http {
        #[schemars(range(min = 1))]
        port: Option<u16>,
        path: Option<Text>,
        /// Only of a command target: the whole address, instead of `port` and `path`.
        url: Option<Text>,
    }
    /// Exactly one of the keys.
    TestStep {
        /// Passes when the command inside the container exits 0.
        exec: Option<Command>,
        /// `{}`: restarts the container and waits until it is ready again.
        restart: Option<Empty>,
        http: Option<StepHttp>,
    }
    Empty {}
    StepHttp {
        #[schemars(range(min = 1))]
        port: Option<u16>,
        path: Option<Text>,
        #[schemars(range(min = 100, max = 599))]
        status: Option<u16>,
    }
    ContainerLimits {
        memory: Option<Text>,
        #[schemars(range(min = 0.01, max = 1024))]
        cpus: Option<f64>,
        #[schemars(range(min = 1))]
        pids: Option<u32>,
        /// Output kept and allowed per container.
        output: Option<Text>,
        /// Written by the container under test into its own layer; volumes do not count.
        disk: Option<Text>,
    }
    Publish {
        /// Repository, without tag.
        image: Option<Text>,
        /// Template of the immutable tag: `{date}`, `{run}`, `{commit}`, `{branch}`, `{app}`.
        tag: Option<Text>,
        /// In order; the first is filled by publish, each later one after the targets of the one before are done.
        channels: Option<Vec<Channel>>,
    }
    Channel {
        name: Option<Text>,
        /// Another repository than `publish.image`.
        image: Option<Text>,
        /// The tag that always points at the channel's release; its name, if not given.
        tag: Option<Text>,
    }
    Nightly {
        /// `22:00-02:30`
        between: Option<Text>,
    }
    Halt {
        require: Option<RequireWord>,
        /// Rollouts after the resume that bake twice as long.
        #[schemars(range(max = 100))]
        probation: Option<u64>,
        /// The repository's files that the tests consist of, as globs: a commit that changes one is a countermeasure.
        tests: Option<Vec<Text>>,
    }
    /// Recurring low-traffic time, and what is taken out of it.
    Window {
        /// Days on which the window opens; all, if not given.
        days: Option<Vec<Text>>,
        /// `HH:MM`
        from: Option<Text>,
        /// `HH:MM`, to `24:00`; earlier than `from` is the next day.
        to: Option<Text>,
        /// Instead of `to`: how long it stays open, in elapsed time, at most 7d.
        r#for: Option<Text>,
        /// IANA zone of the window's times; the app's, if not given.
        zone: Option<Text>,
        /// Recurring or single spans in which nothing begins. They win.
        deny: Option<Vec<Deny>>,
        /// Single spans in which nothing begins.
        blackouts: Option<Vec<Blackout>>,
        /// Why nothing begins unattended while this is set.
        freeze: Option<Text>,
        /// Nothing begins later than this before the end; what a rollout is expected to take, if not given.
        cutoff: Option<Text>,
        /// What becomes of a rollout that is half-way when the window closes; it depends on how far it is, if not given.
        overrun: Option<OverrunWord>,
        /// Its people are notified of a release that waits longer.
        max_wait: Option<Text>,
        /// The same for a release with security fixes.
        max_wait_security: Option<Text>,
        /// What happens then: `notify`, or `start` as well.
        escalate: Option<EscalateWord>,
    }
    /// A span in which nothing begins: of the week like a window (a whole day, if there is no time), or a single one.
    Deny {
        days: Option<Vec<Text>>,
        /// `HH:MM`, or a date with or without a time: `2026-12-24`, `2026-12-24T18:00`.
        from: Option<Text>,
        /// As `from`.
        to: Option<Text>,
        r#for: Option<Text>,
        zone: Option<Text>,
        /// For people.
        why: Option<Text>,
    }
    Blackout {
        /// `2026-12-20`, or `2026-12-20T18:00`
        from: Option<Text>,
        /// The first moment after it; a date is its first moment.
        to: Option<Text>,
        /// For people.
        why: Option<Text>,
    }
    /// What runs the releases: exactly one of `container`, `label`, `compose`, `service`, `stack`, `command` and `self`.
    Target {
        /// Made from what is selected, if not given; a command has to have one.
        name: Option<Text>,
        channel: Option<Text>,
        container: Option<ContainerTarget>,
        label: Option<LabelTarget>,
        compose: Option<ComposeTarget>,
        service: Option<ServiceTarget>,
        stack: Option<StackTarget>,
        #[serde(rename = "self")]
        own: Option<OwnTarget>,
        command: Option<CommandTarget>,
        window: Option<Window>,
        ready: Option<Ready>,
        /// Commands inside the old container, before anything is touched. Exit code 75: try later.
        before: Option<Vec<Hook>>,
        /// Commands inside the new container.
        after: Option<Vec<Hook>>,
        bake: Option<Text>,
        /// Grace for a stop; the container's own, if not given.
        stop_timeout: Option<Text>,
        /// Data may migrate: on failure stop and call, do not revert.
        irreversible: Option<bool>,
        /// What becomes of a container that is not healthy before anything was done to it.
        unhealthy: Option<Unhealthy>,
        order: Option<Order>,
        router: Option<Router>,
        preflight: Option<Preflight>,
    }
    /// A reverse proxy in a container on the same host, and commands inside it. Each finds the name (`LOWTIDE_CONTAINER`) and the
    /// address (`LOWTIDE_ADDRESS`) of the container in question in its environment.
    Router {
        container: Option<Text>,
        /// After a new container is ready.
        join: Option<Command>,
        /// Before an old one is stopped.
        leave: Option<Command>,
        /// Stop-first: hold requests back while nobody serves.
        pause: Option<Command>,
        /// Let them go.
        resume: Option<Command>,
        /// How long an old container may finish what it was asked before it is stopped.
        drain: Option<Text>,
        /// Of each command.
        timeout: Option<Text>,
    }
    ContainerTarget {
        host: Option<Text>,
        name: Option<Text>,
    }
    LabelTarget {
        host: Option<Text>,
        key: Option<Text>,
        value: Option<Text>,
    }
    ComposeTarget {
        host: Option<Text>,
        project: Option<Text>,
        services: Option<Vec<Text>>,
    }
    /// A service of Docker Swarm.
    ServiceTarget {
        /// One of the swarm's managers.
        host: Option<Text>,
        name: Option<Text>,
    }
    /// Services of a stack (`docker stack deploy`), moved in this order and rolled back as one.
    StackTarget {
        /// One of the swarm's managers.
        host: Option<Text>,
        name: Option<Text>,
        /// Without the stack's name; those that run the app's image, if not given.
        services: Option<Vec<Text>>,
    }
    /// The container lowtide itself runs in.
    OwnTarget {
        /// The engine that runs it.
        host: Option<Text>,
    }
    /// Programs that are run where lowtide itself runs, never by a shell. Exit code 0: done. 75: try later. Else: failed.
    CommandTarget {
        /// Brings the release to the target. It may be run again after a kill.
        run: Option<Command>,
        /// The way back; `run` with the release before in its environment, if not given.
        back: Option<Command>,
        /// Of each.
        timeout: Option<Text>,
        env: TextMap,
        /// The same for what must not stand here.
        secrets: BTreeMap<String, Secret>,
    }
    Hook {
        exec: Option<Command>,
        timeout: Option<Text>,
    }
}

/// Why the second reader stopped, and where (line and column, from 1). Its own words are not kept: they quote values.
#[derive(Debug)]
pub(super) struct Unread {
    pub(super) place: Option<(usize, usize)>,
}

pub(super) fn read(text: &str) -> Result<File, Unread> {
    serde_yaml::from_str(text).map_err(|e| Unread {
        place: e.location().map(|l| (l.line(), l.column())),
    })
}

/// Any YAML as a tree of plain values: the compose files of repositories. Repeated anchors are bounded by the reader.
///
/// # Errors
/// The reader's own words, with line and column.
pub fn yaml_value(text: &str) -> Result<serde_json::Value, String> {
    serde_yaml::from_str(text).map_err(|e| e.to_string())
}

/// The JSON Schema of the configuration (draft 2020-12), for editors.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(File).to_value()
}
