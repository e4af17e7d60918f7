//! What an upgrade of everything would do in an image, whoever manages its packages.

/// All lists are sorted by package and architecture. `Why`: the manager's own reasons to leave something as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending<Why> {
    pub upgrades: Vec<Upgrade>,
    /// Packages that come with the upgrades and are not there yet.
    pub new: Vec<New>,
    /// Packages that cannot stay beside the upgrades, or that apk finds nobody needs any more.
    pub removals: Vec<Removal>,
    /// Packages with a newer version that an upgrade would not bring.
    pub kept_back: Vec<KeptBack<Why>>,
}

impl<Why> Default for Pending<Why> {
    fn default() -> Self {
        Self {
            upgrades: Vec::new(),
            new: Vec::new(),
            removals: Vec::new(),
            kept_back: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    pub package: String,
    /// As the installed one is listed; `all` for dpkg's packages of all architectures.
    pub architecture: String,
    /// The package that it was built from.
    pub source: String,
    pub installed: String,
    pub candidate: String,
    /// As apt names it: `Debian-Security:12/stable-security`, several where several archives have the version. For apk the
    /// repository's address, without a password.
    pub origin: String,
    /// The candidate, or a version between it and the installed one, is a security fix. Always `false` for apk: its
    /// repositories do not say that. Alpine publishes it elsewhere, in its security database, which is not queried.
    pub security: bool,
    pub step: Step,
}

/// Where an upgrade leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Forward,
    /// A pin with a priority of 1000 or more takes back a version; apk's `world` or a dependency asks for an older one, or a
    /// tag was taken away.
    Back,
    /// Another build under the same version.
    Rebuilt,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct New {
    pub package: String,
    pub architecture: String,
    pub source: String,
    pub candidate: String,
    pub origin: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    pub package: String,
    pub architecture: String,
    pub installed: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptBack<Why> {
    pub package: String,
    pub architecture: String,
    pub installed: String,
    pub candidate: String,
    pub origin: String,
    /// As [`Upgrade::security`].
    pub security: bool,
    pub why: Why,
}
