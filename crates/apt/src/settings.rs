//! Settings of apt.conf that change the solution, and those that we do not follow.

use super::conf::{Conf, truth};
use super::state::Installed;
use crate::version;

#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// `APT::Default-Release`.
    pub(crate) target_release: Option<String>,
    pub(crate) install_recommends: bool,
    pub(crate) ignore_holds: bool,
    /// What is recommended, or suggested, is needed as well: nothing new comes only to be left out again.
    pub(crate) needs_recommends: bool,
    pub(crate) needs_suggests: bool,
    pub(crate) phasing: Phasing,
    pub(crate) not_followed: Vec<NotFollowed>,
}

/// What happens to versions that only a part of all machines should take by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phasing {
    /// Taken. Also without a machine-id, as in most images.
    Taken,
    Held,
    /// By lot, for this machine-id.
    Drawn {
        machine: String,
    },
}

/// Something the image sets that changes what apt would do in a way that is not followed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum NotFollowed {
    /// By its name in apt.conf(5).
    #[error("apt.conf sets {0}")]
    Setting(&'static str),
    /// apt 3.1.10 decides by a solver of its own kind; solutions agree where nothing is in conflict.
    #[error("apt {version} decides conflicts by its newer solver")]
    NewSolver { version: String },
}

/// The first version whose `apt-get` decides by the newer solver unless configured otherwise.
const NEW_SOLVER: &str = "3.1.10";

impl Settings {
    pub(crate) fn of(conf: &Conf, machine: &str, installed: &[Installed]) -> Self {
        let machine = conf
            .get("APT::Machine-ID")
            .filter(|id| !id.is_empty())
            .unwrap_or(machine);
        Self {
            target_release: conf
                .get("APT::Default-Release")
                .filter(|r| !r.is_empty())
                .map(ToOwned::to_owned),
            install_recommends: conf.is("APT::Install-Recommends", true),
            ignore_holds: conf.is("APT::Ignore-Hold", false),
            needs_recommends: conf.is("APT::AutoRemove::RecommendsImportant", true),
            needs_suggests: conf.is("APT::AutoRemove::SuggestsImportant", true),
            phasing: phasing(conf, machine.trim()),
            not_followed: not_followed(conf, installed),
        }
    }
}

/// The older names are update-manager's, which had phasing first.
fn phasing(conf: &Conf, machine: &str) -> Phasing {
    let set = |what: &str| {
        let of = |scope: &str| conf.get(&format!("{scope}::{what}")).and_then(truth);
        of("APT::Get").or_else(|| of("Update-Manager")).unwrap_or(false)
    };
    if set("Always-Include-Phased-Updates") {
        Phasing::Taken
    } else if set("Never-Include-Phased-Updates") {
        Phasing::Held
    } else if machine.is_empty() {
        Phasing::Taken
    } else {
        Phasing::Drawn {
            machine: machine.to_owned(),
        }
    }
}

fn not_followed(conf: &Conf, installed: &[Installed]) -> Vec<NotFollowed> {
    let solver = conf.get("APT::Solver");
    let settings = [
        ("APT::Solver", solver.is_some_and(|solver| solver != "internal")),
        ("APT::Architectures", conf.has_below("APT::Architectures")),
        ("APT::Install-Suggests", conf.is("APT::Install-Suggests", false)),
        (
            "APT::Install-Recommends-Sections",
            conf.has_below("APT::Install-Recommends-Sections"),
        ),
        ("APT::Get::AutomaticRemove", conf.is("APT::Get::AutomaticRemove", false)),
        ("APT::Get::Phase-Policy", conf.is("APT::Get::Phase-Policy", false)),
        (
            "APT::Get::Upgrade-By-Source-Package",
            !conf.is("APT::Get::Upgrade-By-Source-Package", true),
        ),
        (
            "APT::Get::Allow-Solver-Remove-Essential",
            conf.is("APT::Get::Allow-Solver-Remove-Essential", false),
        ),
        ("pkgProblemResolver", conf.has_below("pkgProblemResolver")),
        ("pkgCacheGen", conf.has_below("pkgCacheGen")),
        ("Dir::Etc", conf.has_below("Dir::Etc")),
        ("Dir::State", conf.has_below("Dir::State")),
    ];
    let set = settings.into_iter().filter(|(_, differs)| *differs);
    let mut found: Vec<NotFollowed> = set.map(|(name, _)| NotFollowed::Setting(name)).collect();
    let newer = |p: &&Installed| p.name == "apt" && version::compare(&p.version, NEW_SOLVER).is_ge();
    if let Some(apt) = installed.iter().find(newer)
        && solver.is_none()
    {
        found.push(NotFollowed::NewSolver {
            version: apt.version.clone(),
        });
    }
    found
}
