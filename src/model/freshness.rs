//! Would a rebuild pick anything up? What is known before one, and the answer.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// All that a rebuild depends on, as far as lowtide can see it without building. Equal inputs: a rebuild picks up nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Inputs {
    /// Full hex commit id.
    pub commit: String,
    /// As the Dockerfile names it → digest of our platform's manifest, or the local image's id.
    pub bases: BTreeMap<String, String>,
    /// Hash of what the configuration says of the build.
    pub settings: String,
    /// `package:architecture` → version that a rebuild would bring.
    pub gains: BTreeMap<String, String>,
}

/// An upgrade that the package manager inside the image would make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingPackage {
    pub package: String,
    pub architecture: String,
    /// `None`: it would come anew, as a dependency.
    pub installed: Option<String>,
    pub candidate: String,
    /// As the package manager names it: `Debian-Security:12/stable-security`.
    pub origin: String,
    pub security: bool,
    pub fix: Fix,
}

/// Who can bring a pending package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Fix {
    /// The next rebuild.
    Rebuild,
    /// A base that has not moved: nothing in the Dockerfile upgrades what came with it.
    Base { reference: String },
    /// Somebody who changes the version that the Dockerfile asks for.
    Pin { version: String, line: usize },
    /// Nobody: the image holds it back.
    Nobody { why: String },
}

/// A package source whose index is not known now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unknown {
    /// As sources.list has it.
    pub source: String,
    pub why: String,
}

/// What is known before a rebuild.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Outlook {
    pub inputs: Inputs,
    pub pending: Vec<PendingPackage>,
    pub unknown: Vec<Unknown>,
    /// Why nothing is known of the packages inside; only a build can tell then.
    #[serde(default)]
    pub unseen: Option<String>,
}

/// Inputs of a build whose outcome is known: released, or found to change nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    pub inputs: Inputs,
    pub at: Timestamp,
}

/// Why a run builds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "because")]
pub enum Because {
    /// There is nothing to compare with.
    First,
    /// Somebody asked for a rebuild.
    Asked {
        by: String,
    },
    Commit {
        from: String,
        to: String,
    },
    Base {
        reference: String,
    },
    Settings,
    /// What is inside cannot be compared with its archives.
    Unseen {
        why: String,
    },
    Pending {
        packages: usize,
        security: usize,
    },
    /// The last build is older than it may get: what lowtide cannot see may have changed.
    Age {
        limit: SignedDuration,
    },
}
