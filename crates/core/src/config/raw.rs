//! The YAML as written: serde structs. The doc comments are the descriptions of
//! the JSON Schema that editors show.

use crate::channels::list::Notify;
use crate::kinds::raw::Target;
use crate::yaml::raw::{Command, EnvMap, Ready, Secret, Text, TextMap, Window, raw};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

mod words;

pub use words::{Mode, Network, RequireWord, ScheduleWord};

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
            env: EnvMap,
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
            /// The file in the app's repository by which its maintainers set how it is built and tested.
            repository_file: Option<RepositoryFile>,
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
    /// One tracked repository or followed image, and how to test, publish and roll it out.
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
        /// How registries are reached, by host and port. With the beginning of a path (`ghcr.io/acme/dev`): the credential for
        /// the repositories below it.
        registries: BTreeMap<String, Registry>,
        /// How package repositories are asked what is new.
        package_repositories: Option<PackageRepositories>,
        /// What decrypts secrets of the form `{ age: FILE }`.
        age: Option<Age>,
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
        /// Where people reach the pages; messages link there: `https://lowtide.example.org`
        public_url: Option<Text>,
        /// Requests that only mean *look at the configuration again* (`serve --hooks`).
        hooks: Option<Hooks>,
    }
    Hooks {
        /// The secret of a GitHub webhook.
        github: Option<Secret>,
        /// `whsec_…`: the secret of any sender that signs as Standard Webhooks has it.
        signed: Option<Secret>,
    }
    Registry {
        username: Option<Text>,
        password: Option<Secret>,
        /// Plain HTTP, for a whole registry. Registries on loopback need not say it.
        plain_http: Option<bool>,
        /// Where lowtide reads in place of this registry: `mirror.example.org/hub`
        mirror: Option<Text>,
    }
    PackageRepositories {
        /// `http://proxy.example.org:3128`
        proxy: Option<Text>,
        /// What begins with the key is fetched from the value instead. Signatures must fit all the same.
        mirrors: TextMap,
    }
    Age {
        /// Absolute paths of files that age-keygen wrote, outside of git.
        identities: Option<Vec<Text>>,
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
        registry: Option<RegistryRetention>,
    }
    RegistryRetention {
        /// Newest release tags of an app in each of its repositories.
        #[schemars(range(min = 1, max = 1000))]
        keep: Option<u64>,
        /// Also those that are younger than this.
        age: Option<Text>,
        /// Remove the others. Without it they are only reported.
        delete: Option<bool>,
    }
    Source {
        /// https, ssh or file remote, without credentials in it.
        repo: Option<Text>,
        /// Repository of an image that others build, instead of `repo`: its new images are tested and rolled out like one of ours.
        image: Option<Text>,
        /// Which of its tags: `16.*-alpine`, `>=16.2 <17`, `latest` or `/^v(\\d+)-lts$/`, whose groups say which is newer.
        tags: Option<Text>,
        /// A newer image of others is taken once lowtide has known it for this long; at once if it brings security fixes.
        min_age: Option<Text>,
        /// Name of the host that tests an image of others.
        host: Option<Text>,
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
        /// For `RUN --mount=type=secret`, by their ids. They are in no layer and in no history.
        secrets: BTreeMap<String, Secret>,
        /// Private keys for `RUN --mount=type=ssh`, by their ids: an agent of ssh uses them, and the build never has them.
        ssh: BTreeMap<String, Secret>,
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
        env: EnvMap,
        /// Sets of variables: the same image is tested with each of them, one after the other. They count more than `env` and
        /// `compose.env`, and stand for `${NAME}` in the images of sidecars.
        matrix: Option<Vec<EnvMap>>,
        network: Option<Network>,
        /// Readiness with the testing tools on.
        ready: Option<Ready>,
        steps: Option<Vec<TestStep>>,
        /// A container that tests the image over the network, after the steps. It passes when it exits 0.
        tester: Option<Tester>,
        /// Glob of JUnit files inside the container.
        junit: Option<Text>,
        /// Absolute paths inside the container kept after the test.
        artefacts: Option<Vec<Text>>,
        limits: Option<ContainerLimits>,
        /// All steps and the tester together.
        timeout: Option<Text>,
    }
    /// Exactly one of `image` and `service`.
    Tester {
        image: Option<Text>,
        /// A service of the compose file. It is not started before the tests.
        service: Option<Text>,
        /// The image's or the service's own, if not given.
        command: Option<Command>,
        env: EnvMap,
        /// Glob of JUnit files inside it.
        junit: Option<Text>,
        /// Absolute paths inside it kept after the test.
        artefacts: Option<Vec<Text>>,
        /// What the test has left, if not given.
        timeout: Option<Text>,
    }
    Sidecar {
        image: Option<Text>,
        env: EnvMap,
        command: Option<Command>,
        ready: Option<Ready>,
    }
    TestCompose {
        /// Path inside the repository. Without `file` and `files`, the names that `docker compose` looks for.
        file: Option<Text>,
        /// Paths inside the repository: each one changes what those before it said.
        files: Option<Vec<Text>>,
        /// The service whose image is under test, where it is not plain from the file.
        service: Option<Text>,
        /// Profiles of the file that are on.
        profiles: Option<Vec<Text>>,
        /// Values for variables of the file, and for environment files that the commit does not have.
        env: EnvMap,
        /// Host rights that the stack may have, as `capability:NET_ADMIN`.
        allow: Option<Vec<Text>>,
    }
    /// Exactly one of `exec`, `restart`, `http`, `wait` and `copy`.
    TestStep {
        /// Passes when the command inside the container exits 0.
        exec: Option<Command>,
        /// `{}`: restarts the container and waits until it is ready again.
        restart: Option<Empty>,
        http: Option<StepHttp>,
        /// Waits until the container proves that it serves; the keys are those of `ready`.
        wait: Option<Ready>,
        copy: Option<Copy>,
        /// The sidecar or service that it happens in; the one under test, if not given.
        service: Option<Text>,
        /// What the test has left, if not given.
        timeout: Option<Text>,
    }
    /// A path of a container is absolute; one that is not is in the repository (`from`) or among the artefacts (`to`).
    Copy {
        from: Option<Text>,
        to: Option<Text>,
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
        /// Template of the immutable tag: `{date}`, `{run}`, `{commit}`, `{branch}`, `{app}`; of an image that others build
        /// `{tag}` and `{digest}` instead of `{commit}` and `{branch}`.
        tag: Option<Text>,
        /// In order; the first is filled by publish, each later one after the targets of the one before are done.
        channels: Option<Vec<Channel>>,
    }
    Channel {
        name: Option<Text>,
        /// Another repository than `publish.image`.
        image: Option<Text>,
        /// The repository that hosts pull from, if it has another name than the one that lowtide pushes to.
        pull: Option<Text>,
        /// The tag that always points at the channel's release; its name, if not given.
        tag: Option<Text>,
    }
    RepositoryFile {
        /// Path inside the repository: `.lowtide.yml`, if not given.
        path: Option<Text>,
        /// What it may set: `[build.args, test, ready]`.
        allow: Option<Vec<Text>>,
    }
    /// The file `.lowtide.yml` of a repository: what its maintainers own.
    OwnFile {
        /// Version of this format: 1.
        version: Option<u64>,
        /// How the image is built.
        build: Option<Build>,
        /// What the image needs to start at all, in test and in production mode.
        env: EnvMap,
        /// How the image is tested, inside itself.
        test: Option<Test>,
        /// How a container proves that it serves, after the test.
        ready: Option<Ready>,
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
}

/// As [`schema`], of the file `.lowtide.yml` of a repository.
#[must_use]
pub fn own_file_schema() -> serde_json::Value {
    schemars::schema_for!(OwnFile).to_value()
}

/// The JSON Schema of the configuration (draft 2020-12), for editors.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(File).to_value()
}
