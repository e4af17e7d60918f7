//! What differs between two releases, as rows and sentences.

use super::clean;
use super::page::{Block, PackageRow, capped};
use super::style::Style;
use super::table::{Cell, Ink, columns};
use super::words::{counted, plural};
use lowtide_model::inventory::{Change, PackageChange};

/// Rows of packages in a mail; `lowtide show` has them all.
pub(super) const PACKAGES: usize = 20;

/// Blocks for a section *What changed*.
pub(super) fn blocks(change: Option<&Change>) -> Vec<Block> {
    blocks_up_to(change, PACKAGES)
}

/// The same with at most so many packages.
#[must_use]
pub fn blocks_up_to(change: Option<&Change>, cap: usize) -> Vec<Block> {
    let Some(change) = change else {
        return vec![Block::Text(
            "This is the first release: there is nothing to compare it with.".to_owned(),
        )];
    };
    let mut blocks = Vec::new();
    if !change.packages.is_empty() {
        let (rows, more) = capped(change.packages.iter().map(row).collect(), cap);
        blocks.push(Block::Packages { rows, more });
    }
    if !change.config.is_empty() {
        let names = change
            .config
            .iter()
            .map(|n| clean::one_line(n, 40))
            .collect::<Vec<_>>()
            .join(", ");
        blocks.push(Block::Text(format!("Image settings that differ: {names}.")));
    }
    if !change.files.is_empty() {
        blocks.push(Block::Text(files(change)));
    }
    if blocks.is_empty() {
        blocks.push(Block::Text("Its content is the same as before.".to_owned()));
    }
    blocks
}

/// One line: `openssl 3.0.15-1 → 3.0.16-1, curl 8.1 → 8.2 and 3 more packages; 12 files`.
pub(super) fn summary(change: Option<&Change>, cap: usize) -> String {
    let Some(change) = change else {
        return "first release".to_owned();
    };
    let mut parts = Vec::new();
    if !change.packages.is_empty() {
        let (rows, more) = capped(change.packages.iter().map(row).collect::<Vec<_>>(), cap);
        let mut text = rows
            .iter()
            .map(|r| format!("{} {}", r.name, r.versions))
            .collect::<Vec<_>>()
            .join(", ");
        if more > 0 {
            text.push_str(&format!(" and {more} more {}", plural(more, "package", "packages")));
        }
        parts.push(text);
    }
    if !change.config.is_empty() {
        parts.push("image settings".to_owned());
    }
    let touched = change.files.added + change.files.removed + change.files.changed;
    if touched > 0 {
        parts.push(counted(touched, "file", "files"));
    }
    if parts.is_empty() {
        return "same content".to_owned();
    }
    parts.join("; ")
}

pub(super) fn row(package: &PackageChange) -> PackageRow {
    let version = |v: &str| clean::one_line(v, 60);
    let versions = match (&package.old, &package.new) {
        (Some(old), Some(new)) => format!("{} → {}", version(old), version(new)),
        (None, Some(new)) => format!("{} (new)", version(new)),
        (Some(old), None) => format!("{} (removed)", version(old)),
        (None, None) => String::new(),
    };
    PackageRow {
        name: clean::one_line(&package.name, 60),
        versions,
    }
}

fn files(change: &Change) -> String {
    let files = &change.files;
    let counts: Vec<String> = [
        (files.added, "added"),
        (files.removed, "removed"),
        (files.changed, "changed"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, what)| format!("{n} {what}"))
    .collect();
    let examples: Vec<String> = files.examples.iter().take(3).map(|p| clean::one_line(p, 80)).collect();
    let mut text = format!("Files: {}", counts.join(", "));
    if examples.is_empty() {
        text.push('.');
    } else {
        let dots = if files.added + files.removed + files.changed > examples.len() {
            ", …"
        } else {
            ""
        };
        text.push_str(&format!(" ({}{dots}).", examples.join(", ")));
    }
    text
}

/// Every package that differs, then config and files.
#[must_use]
pub(super) fn packages_table(change: &Change, style: Style) -> String {
    if change.is_empty() {
        return "The content is the same.\n".to_owned();
    }
    let rows: Vec<_> = change
        .packages
        .iter()
        .map(|p| {
            let version = |v: &Option<String>| {
                Cell::from(v.as_deref().map_or_else(|| "–".to_owned(), |v| clean::one_line(v, 60)))
            };
            [
                row(p).name.into(),
                version(&p.old),
                Ink::Soft.cell("→"),
                version(&p.new),
            ]
        })
        .collect();
    let mut out = columns(&rows, style.width, style.color);
    if !change.config.is_empty() {
        let names: Vec<String> = change.config.iter().map(|n| clean::one_line(n, 40)).collect();
        out.push_str(&format!("image settings: {}\n", names.join(", ")));
    }
    let files = &change.files;
    if !files.is_empty() {
        out.push_str(&format!(
            "files: {} added, {} removed, {} changed\n",
            files.added, files.removed, files.changed
        ));
        for path in &files.examples {
            out.push_str(&format!("  {}\n", clean::one_line(path, style.width.max(40))));
        }
    }
    out
}
