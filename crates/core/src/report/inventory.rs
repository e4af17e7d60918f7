//! `inventory`: what is inside an image, for a terminal.

use super::clean;
use super::quantity;
use super::style::Style;
use super::table::{Cell, Ink, columns};
use super::words::counted;
use lowtide_model::comparison::ComparedImage;
use lowtide_model::image::ContentDigest;
use lowtide_model::inventory::{Inventory, Package};

/// Characters of a name or value.
const WIDE: usize = 100;

/// The progress of a command that reads these images.
#[must_use]
pub fn reading(images: &[&str]) -> String {
    let names: Vec<String> = images.iter().map(|image| clean::one_line(image, WIDE)).collect();
    format!("reading {}", names.join(" and "))
}

/// The whole output.
#[must_use]
pub fn inventory(image: &ComparedImage, found: &Inventory, content: &ContentDigest, style: Style) -> String {
    let os = image
        .os
        .as_deref()
        .map_or_else(|| "no os-release".to_owned(), |os| clean::one_line(os, WIDE));
    let size = found.layers.iter().map(|layer| layer.size).sum();
    let facts = [
        ["image", &clean::one_line(&image.image, WIDE)],
        ["id", image.id.as_str()],
        ["content", content.as_str()],
        ["system", &format!("{} {os}", image.platform)],
        ["files", &found.files.len().to_string()],
        ["layers", &format!("{}, {}", found.layers.len(), quantity::bytes(size))],
    ]
    .map(|[key, value]| [Ink::Soft.cell(key), Cell::from(value)]);
    let mut out = columns(&facts, style.width, style.color);
    out.push_str(&format!("\n{}\n", counted(found.packages.len(), "package", "packages")));
    if !found.packages.is_empty() {
        let head = ["PACKAGE", "VERSION", "LAYER", ""].map(|h| Ink::Soft.cell(h));
        let rows: Vec<[Cell; 4]> = std::iter::once(head).chain(found.packages.iter().map(row)).collect();
        out.push_str(&columns(&rows, style.width, style.color));
    }
    out
}

fn row(package: &Package) -> [Cell; 4] {
    [
        clean::one_line(&format!("{}:{}", package.name, package.architecture), WIDE).into(),
        clean::one_line(&package.version, WIDE).into(),
        // People count from one.
        package
            .layer
            .map_or_else(|| "–".to_owned(), |n| (n + 1).to_string())
            .into(),
        if package.held {
            Ink::Warn.cell("held")
        } else {
            "".into()
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowtide_model::comparison::Place;
    use lowtide_model::image::Platform;
    use lowtide_model::inventory::{ImageConfig, ImageLayer};
    use lowtide_model::package_family::PackageFamily;
    use std::collections::BTreeMap;

    #[test]
    fn facts_come_first_then_packages() {
        let digest = |digit: char| format!("sha256:{}", digit.to_string().repeat(64));
        let platform = Platform {
            os: "linux".to_owned(),
            architecture: "amd64".to_owned(),
            variant: None,
        };
        let image = ComparedImage {
            image: "web:1".to_owned(),
            place: Place::Engine,
            id: digest('1').parse().unwrap(),
            platform: platform.clone(),
            os: Some("Debian GNU/Linux 12 (bookworm)".to_owned()),
        };
        let package = |name: &str, held, layer| Package {
            name: name.to_owned(),
            architecture: "amd64".to_owned(),
            version: "1.2-3".to_owned(),
            source: None,
            family: PackageFamily::Dpkg,
            held,
            layer,
        };
        let layer = |size| ImageLayer {
            diff_id: digest('a').parse().unwrap(),
            size,
        };
        let found = Inventory {
            image: image.id.clone(),
            platform,
            os: None,
            packages: vec![package("bash", false, Some(0)), package("openssl", true, None)],
            config: ImageConfig::default(),
            layers: vec![layer(163_000_000), layer(512)],
            files: BTreeMap::new(),
        };
        let style = Style {
            color: false,
            width: 100,
        };
        insta::assert_snapshot!(inventory(&image, &found, &digest('c').parse().unwrap(), style), @r"
        image    web:1
        id       sha256:1111111111111111111111111111111111111111111111111111111111111111
        content  sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc
        system   linux/amd64 Debian GNU/Linux 12 (bookworm)
        files    0
        layers   2, 155.4 MiB

        2 packages
        PACKAGE        VERSION  LAYER
        bash:amd64     1.2-3    1
        openssl:amd64  1.2-3    –      held
        ");
    }
}
