//! One index of one suite, with what pins can say about it.

use crate::index::read::Index;
use crate::preferences::{Criterion, Pin, PinPriority, ReleaseField};
use crate::release::Release;

/// Where versions come from.
pub(crate) struct File<'a> {
    /// Nothing for dpkg's status, which is always the last file.
    pub(crate) archive: Option<Archive<'a>>,
    pub(crate) priority: PinPriority,
}

#[derive(Clone, Copy)]
pub(crate) struct Archive<'a> {
    pub(crate) release: &'a Release,
    pub(crate) host: &'a str,
    pub(crate) component: &'a str,
    pub(crate) architecture: &'a str,
    pub(crate) index: &'a Index,
}

/// Priorities of a suite that no pin speaks of, and of what is installed: apt_preferences(5).
const USUAL: i16 = 500;
const INSTALLED: i16 = 100;
const BUT_AUTOMATIC_UPGRADES: i16 = 100;
const NOT_AUTOMATIC: i16 = 1;

/// What apt calls the suite of dpkg's status.
const NOW: &str = "now";

impl<'a> File<'a> {
    /// With its priority by the general pins, of which the first that matches counts; `never` always does.
    pub(crate) fn new<'p>(archive: Option<Archive<'a>>, pins: impl Iterator<Item = &'p Pin>) -> Self {
        let usual = match archive.map(|archive| archive.release) {
            None => INSTALLED,
            Some(release) if release.but_automatic_upgrades => BUT_AUTOMATIC_UPGRADES,
            Some(release) if release.not_automatic => NOT_AUTOMATIC,
            Some(_) => USUAL,
        };
        let mut file = Self {
            archive,
            priority: PinPriority::Of(usual),
        };
        let mut decided = false;
        for pin in pins.filter(|pin| pin.package.is_none()) {
            let speaks = !decided || pin.priority == PinPriority::Never;
            if speaks && file.priority != PinPriority::Never && file.matches(&pin.criterion) {
                file.priority = pin.priority;
                decided = true;
            }
        }
        file
    }

    /// Whether a pin means the versions of this file. Pins by version do not speak of files.
    pub(crate) fn matches(&self, criterion: &Criterion) -> bool {
        match criterion {
            Criterion::Version(_) | Criterion::SourceVersion(_) => false,
            Criterion::AnyRelease => true,
            Criterion::Origin(host) => self.archive.is_some_and(|archive| host.matches(archive.host)),
            Criterion::Release(fields) => {
                let matches = |(field, wanted): &(ReleaseField, _)| self.field_matches(*field, wanted);
                !fields.is_empty() && fields.iter().all(matches)
            }
        }
    }

    fn field_matches(&self, field: ReleaseField, wanted: &crate::preferences::Glimpse) -> bool {
        let Some(archive) = self.archive else {
            return match field {
                ReleaseField::Named | ReleaseField::Archive | ReleaseField::Component => wanted.matches(Some(NOW)),
                ReleaseField::Codename
                | ReleaseField::Version
                | ReleaseField::Origin
                | ReleaseField::Label
                | ReleaseField::Architecture => false,
            };
        };
        let release = archive.release;
        match field {
            ReleaseField::Named => {
                wanted.matches(release.suite.as_deref()) || wanted.matches(release.codename.as_deref())
            }
            ReleaseField::Archive => wanted.matches(release.suite.as_deref()),
            ReleaseField::Codename => wanted.matches(release.codename.as_deref()),
            ReleaseField::Version => wanted.matches_version(release.version.as_deref()),
            ReleaseField::Origin => wanted.matches(release.origin.as_deref()),
            ReleaseField::Label => wanted.matches(release.label.as_deref()),
            ReleaseField::Component => wanted.matches(Some(archive.component)),
            ReleaseField::Architecture => wanted.matches(Some(archive.architecture)),
        }
    }

    /// Security fixes come from here: Debian and its heirs say so in the label, Ubuntu in the suite.
    pub(crate) fn is_security(&self) -> bool {
        let ends = |text: &Option<String>| {
            let text = text.as_deref().unwrap_or_default();
            text.to_ascii_lowercase().ends_with("-security")
        };
        self.archive.is_some_and(|archive| {
            let release = archive.release;
            ends(&release.label) || ends(&release.suite) || ends(&release.codename)
        })
    }

    /// As apt names it: `Debian-Security:12/stable-security`.
    pub(crate) fn name(&self) -> Option<String> {
        let archive = self.archive?;
        let release = archive.release;
        let label = release
            .label
            .as_ref()
            .map(|label| format!("{label}:"))
            .unwrap_or_default();
        let rest = match (&release.suite, &release.version) {
            (Some(suite), Some(version)) => format!("{version}/{suite}"),
            (Some(suite), None) => suite.clone(),
            (None, _) if archive.host.is_empty() => "localhost".to_owned(),
            (None, _) => archive.host.to_owned(),
        };
        Some(label + &rest)
    }
}
