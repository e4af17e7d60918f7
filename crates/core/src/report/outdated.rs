//! `outdated`: what is pending in images, for a terminal.

use super::clean;
use super::style::Style;
use super::table::{Cell, Ink, columns};
use super::words::counted;
use lowtide_model::freshness::{Fix, KeptBack, Outdated, OutdatedHost, PendingPackage, RunningContainer, Survey};

/// Characters of a name, version or reason.
const WIDE: usize = 100;

/// A line per image, then what is pending in each, then what could not be queried.
#[must_use]
pub fn outdated(images: &[Outdated], style: Style) -> String {
    let head = ["IMAGE", "SYSTEM", "PENDING"].map(|h| Ink::Soft.cell(h));
    let rows: Vec<[Cell; 3]> = std::iter::once(head).chain(images.iter().map(row)).collect();
    let mut out = columns(&rows, style.width, style.color);
    for image in images {
        out.push_str(&details(image, style));
    }
    out
}

/// The progress of a command that judges so many images.
#[must_use]
pub fn looking(images: usize) -> String {
    let of = counted(images, "image", "images");
    format!("checking {of} for pending updates")
}

/// The progress of a command that judges what runs.
#[must_use]
pub fn looking_at_containers() -> String {
    "checking the running containers for pending updates".to_owned()
}

/// A line per container, then what is pending in each image, then a sum.
#[must_use]
pub fn running(host: &OutdatedHost, style: Style) -> String {
    if host.containers.is_empty() {
        return "No containers are running.\n".to_owned();
    }
    let of = |container: &RunningContainer| {
        let same = |image: &&Outdated| image.digest.as_deref() == Some(container.image_id.as_str());
        host.images.iter().find(same)
    };
    let head = ["CONTAINER", "IMAGE", "SYSTEM", "PENDING"].map(|h| Ink::Soft.cell(h));
    let body = host.containers.iter().filter_map(|container| {
        let [_, system, pending] = row(of(container)?);
        let name = clean::one_line(&container.name, WIDE).into();
        Some([name, short(&container.image).into(), system, pending])
    });
    let rows: Vec<[Cell; 4]> = std::iter::once(head).chain(body).collect();
    let mut out = columns(&rows, style.width, style.color);
    for image in &host.images {
        let runs = host
            .containers
            .iter()
            .filter(|it| Some(it.image_id.as_str()) == image.digest.as_deref());
        let names: Vec<String> = runs.map(|it| clean::one_line(&it.name, WIDE)).collect();
        out.push_str(&about(
            &format!("{}: {}", short(&image.image), names.join(", ")),
            image,
            style,
        ));
    }
    format!("{out}\n{}\n", sum(host))
}

/// An image without a name has its id for one.
fn short(image: &str) -> String {
    match image.strip_prefix("sha256:") {
        Some(hex) if hex.len() == 64 => format!("sha256:{}", hex.get(..12).unwrap_or(hex)),
        Some(_) | None => clean::one_line(image, WIDE),
    }
}

/// `3 containers of 2 images: 1 image has pending fixes, 1 of them for security; 1 image is not fully known`
fn sum(host: &OutdatedHost) -> String {
    let images = |which: &dyn Fn(&Survey) -> bool| host.images.iter().filter(|it| which(&it.survey)).count();
    let behind = images(&|survey| !survey.pending.is_empty());
    let security = images(&|survey| survey.pending.iter().any(|pending| pending.security));
    let unknown = images(&|survey| !survey.unknown.is_empty() || survey.unseen.is_some());
    let mut parts = Vec::new();
    if behind > 0 {
        let lack = format!("{} pending fixes", counted(behind, "image has", "images have"));
        parts.push(match security {
            0 => format!("{lack}, none for security"),
            security => format!("{lack}, {security} of them for security"),
        });
    }
    if unknown > 0 {
        parts.push(format!(
            "{} not fully known",
            counted(unknown, "image is", "images are")
        ));
    }
    if parts.is_empty() {
        parts.push("nothing is pending".to_owned());
    }
    format!(
        "{} of {}: {}",
        counted(host.containers.len(), "container", "containers"),
        counted(host.images.len(), "image", "images"),
        parts.join("; ")
    )
}

fn row(image: &Outdated) -> [Cell; 3] {
    let survey = &image.survey;
    let text = summary(survey);
    let security = survey.pending.iter().any(|pending| pending.security);
    let known = survey.unknown.is_empty() && survey.unseen.is_none();
    [
        clean::one_line(&image.image, WIDE).into(),
        image
            .os
            .as_deref()
            .map_or_else(|| "–".to_owned(), |os| clean::one_line(os, WIDE))
            .into(),
        match (security, known) {
            (true, _) => Ink::Bad.cell(&text),
            (false, true) if survey.pending.is_empty() => Ink::Good.cell(&text),
            (false, _) => Ink::Warn.cell(&text),
        },
    ]
}

/// `3 packages, 2 for security; 1 source not known`
fn summary(survey: &Survey) -> String {
    if let Some(why) = &survey.unseen {
        return format!("not known: {}", clean::one_line(why, WIDE));
    }
    let security = survey.pending.iter().filter(|pending| pending.security).count();
    let mut text = match (survey.pending.len(), survey.unknown.is_empty()) {
        (0, true) => "nothing".to_owned(),
        (0, false) => "not known".to_owned(),
        (count, _) => counted(count, "package", "packages"),
    };
    if security > 0 {
        text.push_str(&format!(", {security} for security"));
    }
    if !survey.unknown.is_empty() {
        let sources = counted(survey.unknown.len(), "source", "sources");
        text.push_str(&format!("; {sources} not known"));
    }
    text
}

fn details(image: &Outdated, style: Style) -> String {
    about(&clean::one_line(&image.image, WIDE), image, style)
}

fn about(title: &str, image: &Outdated, style: Style) -> String {
    let survey = &image.survey;
    let mut out = String::new();
    if !survey.pending.is_empty() {
        let head = ["PACKAGE", "INSTALLED", "CANDIDATE", "FROM", "FIX"].map(|h| Ink::Soft.cell(h));
        let rows: Vec<[Cell; 5]> = std::iter::once(head)
            .chain(survey.pending.iter().map(pending))
            .collect();
        out.push_str(&columns(&rows, style.width, style.color));
        out.push_str(&explained(&survey.pending));
    }
    out.extend(survey.kept_back.iter().map(kept_back));
    if !survey.removals.is_empty() {
        let removed: Vec<String> = survey.removals.iter().map(|it| clean::one_line(it, WIDE)).collect();
        out.push_str(&format!("an upgrade would remove {}\n", removed.join(", ")));
    }
    for unknown in &survey.unknown {
        out.push_str(&format!(
            "not known: {}: {}\n",
            clean::one_line(&unknown.source, WIDE),
            clean::one_line(&unknown.why, 3 * WIDE)
        ));
    }
    if out.is_empty() {
        return out;
    }
    format!("\n{title}\n{out}")
}

fn pending(pending: &PendingPackage) -> [Cell; 5] {
    let name = clean::one_line(&format!("{}:{}", pending.package, pending.architecture), WIDE);
    [
        if pending.security {
            Ink::Bad.cell(&name)
        } else {
            name.into()
        },
        pending
            .installed
            .as_deref()
            .map_or_else(|| "(new)".to_owned(), |version| clean::one_line(version, WIDE))
            .into(),
        clean::one_line(&pending.candidate, WIDE).into(),
        clean::one_line(&pending.origin, WIDE).into(),
        word(&pending.fix).into(),
    ]
}

/// One word of the table; [`explained`] says more.
fn word(fix: &Fix) -> &'static str {
    match fix {
        Fix::Rebuild => "rebuild",
        Fix::Perhaps { .. } => "perhaps",
        Fix::Base { .. } => "base",
        Fix::Pin { .. } => "pin",
    }
}

/// What the words of the table mean here, each said once.
fn explained(pending: &[PendingPackage]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for pending in pending {
        let what = match &pending.fix {
            Fix::Rebuild => "the next rebuild brings it".to_owned(),
            Fix::Perhaps { why } => format!("a rebuild may bring it: {}", clean::one_line(why, 2 * WIDE)),
            Fix::Base { reference } => format!(
                "came with {} and waits for a new one; with build.upgrade: true a rebuild brings it",
                clean::one_line(reference, 2 * WIDE)
            ),
            Fix::Pin { version, line } => format!(
                "line {line} of the Dockerfile pins {} {}",
                clean::one_line(&pending.package, WIDE),
                clean::one_line(version, WIDE)
            ),
        };
        let line = format!("{}: {what}\n", word(&pending.fix));
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.concat()
}

fn kept_back(it: &KeptBack) -> String {
    let security = if it.security { " (security)" } else { "" };
    format!(
        "kept back: {} {} → {}{security}: {}\n",
        clean::one_line(&it.package, WIDE),
        clean::one_line(&it.installed, WIDE),
        clean::one_line(&it.candidate, WIDE),
        clean::one_line(&it.why, 2 * WIDE)
    )
}

#[cfg(test)]
#[path = "outdated_tests.rs"]
mod tests;
