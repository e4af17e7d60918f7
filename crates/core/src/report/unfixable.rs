//! Fixes that no rebuild can bring: reported once, with what helps.

use super::clean;
use super::page::{Block, PackageRow, Page, Rendered, Section, Tone, capped};
use super::words::{counted, plural};
use lowtide_model::freshness::{Fix, PendingPackage, UnavailablePin};
use lowtide_model::name::AppName;
use std::collections::BTreeSet;

/// Packages in a mail; `lowtide outdated` has them all.
const ROWS: usize = 30;

/// `3 security fixes need a newer debian:12-slim`
pub(super) fn title(packages: &[PendingPackage], unavailable_pins: &[UnavailablePin]) -> String {
    if packages.is_empty() {
        let count = unavailable_pins.len();
        return format!(
            "{} the Dockerfile pins {} gone",
            counted(count, "version", "versions"),
            plural(count, "is", "are")
        );
    }
    let security = packages.iter().filter(|pending| pending.security).count();
    let (count, what) = match security {
        0 => (packages.len(), counted(packages.len(), "upgrade", "upgrades")),
        _ => (security, counted(security, "security fix", "security fixes")),
    };
    format!("{what} {} {}", plural(count, "needs", "need"), whom(packages))
}

fn whom(packages: &[PendingPackage]) -> String {
    let mut bases = BTreeSet::new();
    let mut pinned = false;
    for pending in packages {
        match &pending.fix {
            Fix::Base { reference } => {
                bases.insert(format!("a newer {}", clean::one_line(reference, 80)));
            }
            Fix::Pin { .. } => pinned = true,
            Fix::Rebuild | Fix::Perhaps { .. } => {}
        }
    }
    let mut whom: Vec<String> = bases.into_iter().collect();
    if pinned {
        whom.push("another version in the Dockerfile".to_owned());
    }
    whom.join(" and ")
}

pub(super) fn page(app: &AppName, packages: &[PendingPackage], unavailable_pins: &[UnavailablePin]) -> Rendered {
    let title = format!("{app}: {}", title(packages, unavailable_pins));
    let mut sections = Vec::new();
    if !packages.is_empty() {
        let (rows, more) = capped(packages.iter().map(row).collect(), ROWS);
        sections.push(Section::new("What is pending", vec![Block::Packages { rows, more }]));
    }
    if !unavailable_pins.is_empty() {
        let lines = unavailable_pins.iter().map(gone).collect::<Vec<_>>().join(" ");
        sections.push(Section::new("What is gone", vec![Block::Text(lines)]));
    }
    sections.push(Section::new("What to do next", helps(app, packages, unavailable_pins)));
    Rendered {
        subject: title.clone(),
        lead: false,
        page: Page {
            tone: Tone::Warn,
            pill: "a rebuild won't fix this".to_owned(),
            title,
            now: "Nothing changes: a rebuild would install the same packages.".to_owned(),
            sections,
            footer: "You get one mail per version; `lowtide status` lists it until it is fixed.".to_owned(),
        },
    }
}

fn row(pending: &PendingPackage) -> PackageRow {
    let security = if pending.security { ", security" } else { "" };
    let installed = pending.installed.as_deref().unwrap_or("none");
    PackageRow {
        name: clean::one_line(&pending.package, 80),
        versions: format!(
            "{} → {}{security}",
            clean::one_line(installed, 60),
            clean::one_line(&pending.candidate, 60)
        ),
    }
}

fn gone(gone: &UnavailablePin) -> String {
    let now = match &gone.available {
        Some(version) => format!("the newest there is is {}", clean::one_line(version, 60)),
        None => "no package repository has the package".to_owned(),
    };
    format!(
        "Line {} of the Dockerfile pins {} {}, which no package repository has any more; {now}.",
        gone.line,
        clean::one_line(&gone.package, 80),
        clean::one_line(&gone.version, 60)
    )
}

fn helps(app: &AppName, packages: &[PendingPackage], unavailable_pins: &[UnavailablePin]) -> Vec<Block> {
    let mut blocks = Vec::new();
    let waits = |base: bool| {
        packages.iter().any(|pending| match pending.fix {
            Fix::Base { .. } => base,
            Fix::Pin { .. } => !base,
            Fix::Rebuild | Fix::Perhaps { .. } => false,
        })
    };
    if waits(true) {
        blocks.push(Block::Text(
            "Wait: when the base is republished, the next night picks it up. Or set build.upgrade: true for this \
             app: each build then upgrades everything as the last step of its final stage, and the night picks such fixes \
             up by itself."
                .to_owned(),
        ));
    }
    if waits(false) || !unavailable_pins.is_empty() {
        blocks.push(Block::Text(
            "Change the version in the Dockerfile, or leave it out there. While a version is asked for that is gone, the next \
             build will fail."
                .to_owned(),
        ));
    }
    blocks.push(Block::Commands(vec![(
        "All pending packages, by repository".to_owned(),
        format!("lowtide outdated --app {app}"),
    )]));
    blocks
}

#[cfg(test)]
#[path = "unfixable_tests.rs"]
mod tests;
