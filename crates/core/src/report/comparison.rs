//! `diff`: what differs between two images, for a terminal.

use super::clean;
use super::page::capped;
use super::quantity;
use super::style::Style;
use super::table::{Cell, Ink, columns};
use super::words::counted;
use lowtide_model::comparison::{
    ComparedImage, Comparison, ConfigDelta, FileDelta, FileDifference, LayerDelta, PackageAt, PackageDelta,
    Significance,
};
use lowtide_model::inventory::ImageLayer;
use lowtide_model::package_family::PackageFamily;

/// Files that are named; `--json` has them all.
const FILES: usize = 40;
/// Characters of a name or value.
const WIDE: usize = 100;

/// The whole output.
#[must_use]
pub fn comparison(old: &ComparedImage, new: &ComparedImage, found: &Comparison, style: Style) -> String {
    let mut out = columns(&[image("old", old), image("new", new)], style.width, style.color);
    let (ink, meaning) = meaning(found.verdict);
    out.push_str(&format!(
        "\n{}: {meaning}\n",
        ink.paint(found.verdict.word(), style.color)
    ));
    for family in PackageFamily::ALL {
        let of_it = || found.packages.iter().filter(move |p| p.family == *family);
        if of_it().next().is_some() {
            let head = ["PACKAGE", "OLD", "NEW", "LAYER"].map(|h| Ink::Soft.cell(h));
            let rows: Vec<[Cell; 4]> = std::iter::once(head).chain(of_it().map(package)).collect();
            out.push_str(&format!(
                "\n{} ({})\n",
                counted(rows.len() - 1, "package", "packages"),
                family.name()
            ));
            out.push_str(&columns(&rows, style.width, style.color));
        }
    }
    if !found.config.is_empty() {
        out.push_str("\nimage config\n");
        let rows: Vec<[Cell; 2]> = found.config.iter().flat_map(config).collect();
        out.push_str(&columns(&rows, style.width, style.color));
    }
    out.push_str(&files(&found.files, style));
    out.push_str(&layers(&found.layers, style));
    out
}

fn image(side: &str, image: &ComparedImage) -> [Cell; 5] {
    let os = image
        .os
        .as_deref()
        .map(|os| clean::one_line(os, WIDE))
        .unwrap_or_default();
    [
        Ink::Soft.cell(side),
        clean::one_line(&image.image, WIDE).into(),
        image.place.to_string().into(),
        image.id.short().into(),
        format!("{} {os}", image.platform).trim_end().into(),
    ]
}

fn meaning(verdict: Significance) -> (Ink, &'static str) {
    match verdict {
        Significance::None => (Ink::Good, "the same packages, config and files"),
        Significance::Cosmetic => (Ink::Good, "only documentation and labels that describe differ"),
        Significance::Security => (Ink::Warn, "only security upgrades, and the files of those packages"),
        Significance::Functional => (Ink::Warn, "what differs may change how a container behaves"),
    }
}

fn package(package: &PackageDelta) -> [Cell; 4] {
    let version = |at: &Option<PackageAt>| -> Cell {
        at.as_ref()
            .map_or_else(|| "–".into(), |at| clean::one_line(&at.version, WIDE).into())
    };
    // People count from one.
    let layer = package.new.as_ref().or(package.old.as_ref()).and_then(|at| at.layer);
    let mark = if package.security == Some(true) {
        " security"
    } else {
        ""
    };
    [
        clean::one_line(&format!("{}:{}", package.name, package.architecture), WIDE).into(),
        version(&package.old),
        version(&package.new),
        format!(
            "{}{mark}",
            layer.map_or_else(|| "–".to_owned(), |n| (n + 1).to_string())
        )
        .into(),
    ]
}

fn config(delta: &ConfigDelta) -> Vec<[Cell; 2]> {
    let lines = |sign: &str, ink: Ink, values: &[String]| -> Vec<Cell> {
        let line = |value: &String| ink.cell(format!("{sign} {}", clean::one_line(value, WIDE)));
        values.iter().map(line).collect()
    };
    let mut cells = lines("-", Ink::Bad, &delta.old);
    cells.extend(lines("+", Ink::Good, &delta.new));
    let name = |n: usize| if n == 0 { delta.part } else { "" };
    cells
        .into_iter()
        .enumerate()
        .map(|(n, cell)| [name(n).into(), cell])
        .collect()
}

fn files(files: &[FileDelta], style: Style) -> String {
    if files.is_empty() {
        return String::new();
    }
    let [added, removed, changed] = FileDelta::counts(files);
    let counts: Vec<String> = [(added, "added"), (removed, "removed"), (changed, "changed")]
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!("{n} {what}"))
        .collect();
    let others: Vec<&FileDelta> = files.iter().filter(|file| file.package.is_none()).collect();
    let of_packages = files.len() - others.len();
    let mut out = format!("\n{}: {}", counted(files.len(), "file", "files"), counts.join(", "));
    if of_packages > 0 {
        out.push_str(&format!("; {of_packages} of these packages"));
    }
    out.push('\n');
    let (shown, more) = capped(others, FILES);
    let row = |file: &FileDelta| -> [Cell; 2] {
        let path = clean::one_line(&file.path, WIDE);
        match file.how {
            FileDifference::Added => [Ink::Good.cell(format!("+ {path}")), "".into()],
            FileDifference::Removed => [Ink::Bad.cell(format!("- {path}")), "".into()],
            FileDifference::Changed { content, mode, owner } => {
                let what = [(content, "content"), (mode, "mode"), (owner, "owner")];
                let what: Vec<&str> = what.into_iter().filter(|(is, _)| *is).map(|(_, word)| word).collect();
                [format!("~ {path}").into(), Ink::Soft.cell(what.join(", "))]
            }
        }
    };
    let rows: Vec<[Cell; 2]> = shown.into_iter().map(row).collect();
    out.push_str(&columns(&rows, style.width, style.color));
    if more > 0 {
        out.push_str(&format!("… and {more} more: --json names all\n"));
    }
    out
}

fn layers(layers: &LayerDelta, style: Style) -> String {
    let count = layers.old.len().max(layers.new.len());
    if count == 0 {
        return String::new();
    }
    let size = |layer: Option<&ImageLayer>| -> Cell {
        layer.map_or_else(|| "–".into(), |layer| quantity::bytes(layer.size).into())
    };
    let head = ["LAYER", "OLD", "NEW", ""].map(|h| Ink::Soft.cell(h));
    let row = |n: usize| {
        let same = if n < layers.shared { "same" } else { "" };
        let number: Cell = (n + 1).to_string().into();
        [
            number,
            size(layers.old.get(n)),
            size(layers.new.get(n)),
            Ink::Soft.cell(same),
        ]
    };
    let sum = |layers: &[ImageLayer]| -> Cell { quantity::bytes(layers.iter().map(|layer| layer.size).sum()).into() };
    let total = ["all".into(), sum(&layers.old), sum(&layers.new), "".into()];
    let rows: Vec<[Cell; 4]> = std::iter::once(head)
        .chain((0..count).map(row))
        .chain([total])
        .collect();
    format!("\n{}", columns(&rows, style.width, style.color))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowtide_model::comparison::Place;

    fn side(name: &str, digit: char, place: Place) -> ComparedImage {
        ComparedImage {
            image: name.to_owned(),
            place,
            id: format!("sha256:{}", digit.to_string().repeat(64)).parse().unwrap(),
            platform: lowtide_model::image::Platform {
                os: "linux".to_owned(),
                architecture: "amd64".to_owned(),
                variant: None,
            },
            os: Some("Debian GNU/Linux 12 (bookworm)".to_owned()),
        }
    }

    fn layer(digit: char, size: u64) -> ImageLayer {
        ImageLayer {
            diff_id: format!("sha256:{}", digit.to_string().repeat(64)).parse().unwrap(),
            size,
        }
    }

    fn file(path: &str, how: FileDifference, package: Option<&str>) -> FileDelta {
        FileDelta {
            path: path.to_owned(),
            how,
            package: package.map(ToOwned::to_owned),
            cosmetic: false,
        }
    }

    fn delta(name: &str, versions: [Option<&str>; 2], layer: usize, security: Option<bool>) -> PackageDelta {
        let at = |version: Option<&str>| {
            version.map(|version| PackageAt {
                version: version.to_owned(),
                layer: Some(layer),
            })
        };
        PackageDelta {
            family: PackageFamily::Dpkg,
            name: name.to_owned(),
            architecture: "amd64".to_owned(),
            old: at(versions[0]),
            new: at(versions[1]),
            security,
        }
    }

    fn shown(found: &Comparison) -> String {
        let (old, new) = (
            side("web:1", '1', Place::Engine),
            side("registry.example.org/web:2", '2', Place::Registry),
        );
        let style = Style {
            color: false,
            width: 100,
        };
        comparison(&old, &new, found, style)
    }

    #[test]
    fn everything_that_differs_is_reported() {
        let changed = |content, mode, owner| FileDifference::Changed { content, mode, owner };
        let found = Comparison {
            verdict: Significance::Functional,
            packages: vec![
                delta("curl", [None, Some("8.1-1")], 2, None),
                delta("openssl", [Some("3.0.15-1"), Some("3.0.16-1")], 0, Some(true)),
                delta("wget", [Some("1.2"), None], 1, None),
            ],
            config: vec![ConfigDelta {
                part: "env",
                old: vec!["A=1".to_owned()],
                new: vec!["A=2".to_owned(), "B=\u{1b}[31mred".to_owned()],
                cosmetic: false,
            }],
            files: vec![
                file("etc/new", FileDifference::Added, None),
                file("etc/old", FileDifference::Removed, None),
                file("srv/app", changed(true, false, false), None),
                file("srv/run", changed(false, true, true), None),
                file("usr/bin/openssl", changed(true, false, false), Some("openssl")),
            ],
            layers: LayerDelta {
                shared: 1,
                old: vec![layer('a', 163_000_000), layer('b', 512)],
                new: vec![layer('a', 163_000_000), layer('c', 2_500_000), layer('d', 1024)],
            },
        };
        insta::assert_snapshot!(shown(&found), @r"
        old  web:1                       engine    111111111111  linux/amd64 Debian GNU/Linux 12 (bookworm)
        new  registry.example.org/web:2  registry  222222222222  linux/amd64 Debian GNU/Linux 12 (bookworm)

        functional: what differs may change how a container behaves

        3 packages (dpkg)
        PACKAGE        OLD       NEW       LAYER
        curl:amd64     –         8.1-1     3
        openssl:amd64  3.0.15-1  3.0.16-1  1 security
        wget:amd64     1.2       –         2

        image config
        env  - A=1
             + A=2
             + B=red

        5 files: 1 added, 1 removed, 3 changed; 1 of these packages
        + etc/new
        - etc/old
        ~ srv/app  content
        ~ srv/run  mode, owner

        LAYER  OLD        NEW
        1      155.4 MiB  155.4 MiB  same
        2      512 B      2.3 MiB
        3      –          1.0 KiB
        all    155.4 MiB  157.8 MiB
        ");
    }

    #[test]
    fn what_is_the_same_is_said_in_a_line() {
        let found = Comparison::same();
        insta::assert_snapshot!(shown(&found), @r"
        old  web:1                       engine    111111111111  linux/amd64 Debian GNU/Linux 12 (bookworm)
        new  registry.example.org/web:2  registry  222222222222  linux/amd64 Debian GNU/Linux 12 (bookworm)

        none: the same packages, config and files
        ");
    }

    #[test]
    fn a_long_list_is_cut() {
        let files: Vec<FileDelta> = (0..50)
            .map(|n| file(&format!("f/{n:02}"), FileDifference::Added, None))
            .collect();
        let found = Comparison {
            verdict: Significance::Functional,
            packages: Vec::new(),
            config: Vec::new(),
            files,
            layers: LayerDelta {
                shared: 0,
                old: Vec::new(),
                new: Vec::new(),
            },
        };
        let text = shown(&found);
        assert_eq!(text.matches("+ f/").count(), FILES);
        assert!(text.ends_with("… and 10 more: --json names all\n"), "{text}");
    }
}
