//! dpkg's status database: `/var/lib/dpkg/status`, and the one-package files of distroless images
//! (`/var/lib/dpkg/status.d/*`). Format: deb-control(5), dpkg(1) "Package states".

use lowtide_apt::deb822::{Stanza, Stanzas};
use lowtide_apt::error::ParseError;
use lowtide_model::inventory::Package;
use lowtide_model::package_family::PackageFamily;

const DATABASE: &str = "var/lib/dpkg/status";

/// The installed packages, in the order of the file. Entries that are removed, half-installed or only have their
/// configuration left are not in it. A stanza without `Status` counts as installed: files of `status.d` have none.
///
/// # Errors
/// A line that is no field, or an installed entry without name, version or architecture.
pub fn parse(status: &[u8]) -> Result<Vec<Package>, ParseError> {
    let mut packages = Vec::new();
    let mut stanzas = Stanzas::new(status, DATABASE);
    while let Some(stanza) = stanzas.next_stanza()? {
        packages.extend(package(stanza)?);
    }
    Ok(packages)
}

fn package(stanza: Stanza<'_>) -> Result<Option<Package>, ParseError> {
    // "want flag state": only the third word says what is there.
    let word = |n| stanza.get("Status").and_then(|s| s.split_whitespace().nth(n));
    let installed = stanza.get("Status").is_none() || word(2) == Some("installed");
    let held = word(0) == Some("hold");
    if !installed {
        return Ok(None);
    }
    let name = stanza.needed(DATABASE, "Package")?;
    // `Source: glibc (2.36-9)`: the version is there when it differs from the binary's.
    let source = stanza
        .get("Source")
        .and_then(|s| s.split_whitespace().next())
        .filter(|s| *s != name);
    Ok(Some(Package {
        architecture: stanza.needed(DATABASE, "Architecture")?.to_owned(),
        version: stanza.needed(DATABASE, "Version")?.to_owned(),
        source: source.map(ToOwned::to_owned),
        name: name.to_owned(),
        family: PackageFamily::Dpkg,
        held,
        layer: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        parse(text.as_bytes())
            .unwrap()
            .into_iter()
            .map(|p| {
                format!(
                    "{} {} {} {}{}",
                    p.name,
                    p.architecture,
                    p.version,
                    p.source.unwrap_or_default(),
                    if p.held { " held" } else { "" }
                )
            })
            .collect()
    }

    #[test]
    fn only_installed_packages_count() {
        let text = "Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2-1\nDescription: shell\n long: text\n .\n\n\
            Package: libc6\nStatus: hold ok installed\nSource: glibc (2.36-9)\nArchitecture: amd64\nVersion: 2.36-9+deb12u1\n\n\
            Package: libc6\nStatus: install ok installed\nSource: glibc\nArchitecture: i386\nVersion: 2.36-9+deb12u1\n\n\
            Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n\n\
            Package: never\nStatus: unknown ok not-installed\n\n\
            Package: broken\nStatus: install ok half-configured\nVersion: 2\nArchitecture: all\n";
        insta::assert_snapshot!(shown(text).join("\n"), @r"
        bash amd64 5.2-1 
        libc6 amd64 2.36-9+deb12u1 glibc held
        libc6 i386 2.36-9+deb12u1 glibc
        ");
    }

    #[test]
    fn a_distroless_file_has_no_status() {
        assert_eq!(
            shown("Package: tzdata\nVersion: 2024a\nArchitecture: all"),
            ["tzdata all 2024a "]
        );
        assert!(shown("\n\n").is_empty());
    }

    #[test]
    fn damage_is_named_with_its_line() {
        let said = |text: &str| parse(text.as_bytes()).unwrap_err().to_string();
        insta::assert_snapshot!(said("Package: a\nrubbish\n"), @"var/lib/dpkg/status, line 2: neither a field nor a continuation of one");
        insta::assert_snapshot!(said(" lost: x\n"), @"var/lib/dpkg/status, line 1: neither a field nor a continuation of one");
        insta::assert_snapshot!(said("Package: a\nArchitecture: all\n\n"), @"var/lib/dpkg/status, line 3: the entry that ends here has no Version");
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
