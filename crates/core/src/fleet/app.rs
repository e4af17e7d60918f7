//! The fleet: what one configuration revision says. Every value is already valid and every default filled in.

use crate::channels::channel::Contacts;
use crate::channels::list::{Channels, Notice};
use crate::kinds::list::TargetPolicy;
use lowtide_model::halt::HaltPolicy;
use lowtide_model::message::Message;
use lowtide_model::name::{AppName, HostName};
use lowtide_model::policy::{
    ArchivePolicy, BuildPolicy, Host, ImageOrigin, Limits, Mode, OwnSettings, PublishPolicy, Ready, RegistryAccess,
    Retention, Schedule, Source, TestPolicy, TestSetup, WebPolicy,
};
use lowtide_model::secret::{AgeFile, EnvValue, SecretRef, secrets_of};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// All apps of one configuration revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fleet {
    /// IANA zone of the file, for times that concern no single app.
    pub timezone: String,
    pub hosts: BTreeMap<HostName, Host>,
    /// Keyed by registry host (and port).
    pub registries: BTreeMap<String, RegistryAccess>,
    #[serde(default)]
    pub archives: ArchivePolicy,
    pub channels: Channels,
    pub limits: Limits,
    pub retention: Retention,
    pub web: WebPolicy,
    pub apps: BTreeMap<AppName, Arc<App>>,
}

/// One tracked repository + branch + Dockerfile, and how to test, publish and roll it out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct App {
    pub name: AppName,
    pub mode: Mode,
    /// IANA name; schedule and windows are read in it.
    pub timezone: String,
    pub maintainers: Vec<String>,
    pub origin: ImageOrigin,
    /// What the image needs to start at all, in test and in production mode.
    pub env: BTreeMap<String, EnvValue>,
    /// Rounds of tests, one after the other, each in an environment of its own. A candidate passes all of them.
    pub tests: Vec<TestPolicy>,
    /// How the image proves that it serves: used after the test and for a target that has no rule of its own.
    pub ready: Ready,
    pub publish: Option<PublishPolicy>,
    pub schedule: Schedule,
    pub rollout: Vec<TargetPolicy>,
    pub github_repo: Option<String>,
    #[serde(default)]
    pub halt: HaltPolicy,
    /// `None`: no file of the repository is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository_file: Option<Box<RepositoryFile>>,
}

/// The file in the app's repository by which its maintainers set how it is built and tested.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RepositoryFile {
    /// Inside the repository.
    pub path: String,
    /// Keys that the file may set, with what is inside them.
    pub allow: Vec<String>,
    /// What the fleet's configuration says of the same, as it is written there: the file is laid over it.
    pub below: serde_json::Value,
    /// The encrypted secrets that `below` refers to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub encrypted: Vec<AgeFile>,
}

impl App {
    #[must_use]
    pub fn source(&self) -> Option<&Source> {
        match &self.origin {
            ImageOrigin::Built { source, .. } => Some(source),
            ImageOrigin::Followed(_) => None,
        }
    }

    #[must_use]
    pub fn build(&self) -> Option<&BuildPolicy> {
        match &self.origin {
            ImageOrigin::Built { build, .. } => Some(build),
            ImageOrigin::Followed(_) => None,
        }
    }

    /// The host on whose engine the image is built or pulled, and tested.
    #[must_use]
    pub fn host(&self) -> &HostName {
        match &self.origin {
            ImageOrigin::Built { build, .. } => &build.host,
            ImageOrigin::Followed(policy) => &policy.host,
        }
    }

    /// Are the images beside a test those of their registries, or those that the engine has?
    #[must_use]
    pub fn pulls(&self) -> bool {
        self.build().is_none_or(|build| build.pull)
    }

    /// Paths (globs) whose changes do not count.
    #[must_use]
    pub fn ignore_paths(&self) -> &[String] {
        self.build().map_or(&[], |build| &build.ignore_paths)
    }

    /// The app with what its own repository's file sets.
    #[must_use]
    pub fn with(self, own: OwnSettings) -> Self {
        let OwnSettings {
            build,
            env,
            tests,
            ready,
        } = own;
        let origin = match self.origin {
            ImageOrigin::Built { source, .. } => ImageOrigin::Built { source, build },
            // It has no repository, and so no file in one.
            ImageOrigin::Followed(policy) => ImageOrigin::Followed(policy),
        };
        Self {
            origin,
            env,
            tests,
            ready,
            ..self
        }
    }

    /// Every set of variables that a container of the app's tests may get, with its place in the configuration.
    #[must_use]
    pub fn environments(&self) -> Vec<(String, &BTreeMap<String, EnvValue>)> {
        let mut out = vec![("env".to_owned(), &self.env)];
        for test in &self.tests {
            out.push(("test.env".to_owned(), &test.env));
            match &test.how {
                TestSetup::Compose(compose) => out.push(("test.compose.env".to_owned(), &compose.env)),
                TestSetup::Sidecars(sidecars) => {
                    let sidecars = sidecars.iter();
                    out.extend(sidecars.map(|(name, sidecar)| (format!("test.sidecars.{name}.env"), &sidecar.env)));
                }
            }
            let tester = test.tester.as_ref();
            out.extend(tester.map(|tester| ("test.tester.env".to_owned(), &tester.env)));
        }
        out
    }

    /// The secrets that the app's build and tests are given, with their places in the configuration.
    #[must_use]
    pub fn secret_refs(&self) -> BTreeSet<(String, &SecretRef)> {
        let build = self.build().into_iter().flat_map(|build| &build.secrets);
        let build = build.map(|(id, secret)| (format!("build.secrets.{id}"), secret));
        let keys = self.build().into_iter().flat_map(|build| &build.ssh);
        let keys = keys.map(|(id, secret)| (format!("build.ssh.{id}"), secret));
        let environments = self.environments().into_iter();
        let of =
            |(place, env): (String, _)| secrets_of(env).map(move |(name, secret)| (format!("{place}.{name}"), secret));
        build.chain(keys).chain(environments.flat_map(of)).collect()
    }
}

impl Fleet {
    /// What each configured channel sends of a message.
    #[must_use]
    pub fn route(&self, message: &Message) -> Vec<Notice> {
        let app = message.body.app().and_then(|app| self.apps.get(app));
        let contacts = app.map_or_else(Contacts::default, |app| Contacts {
            maintainers: &app.maintainers,
            github_repo: app.github_repo.as_deref(),
        });
        self.channels.route(message, contacts)
    }
}
