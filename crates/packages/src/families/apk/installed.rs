//! apk's installed database: `/lib/apk/db/installed` (apk-package(5), "Installed database"): one letter, a colon and
//! a value per line, entries separated by empty lines.

use crate::error::{ParseError, Problem};
use lowtide_model::inventory::Package;
use lowtide_model::package_family::PackageFamily;

const DATABASE: &str = "lib/apk/db/installed";

/// The installed packages, in the order of the file.
///
/// # Errors
/// A line that is no field, or an entry without name, version or architecture.
pub fn parse(installed: &[u8]) -> Result<Vec<Package>, ParseError> {
    let mut packages = Vec::new();
    let mut entry: [Option<String>; 4] = [const { None }; 4];
    let mut any = false;
    let mut number = 0;
    let mut finish = |entry: &mut [Option<String>; 4], any: &mut bool, line| {
        let [name, version, architecture, origin] = std::mem::take(entry);
        if std::mem::take(any) {
            let needed = |field: Option<String>, what| {
                field.ok_or_else(|| ParseError::new(DATABASE, line, Problem::Missing(what)))
            };
            let name = needed(name, "P (name)")?;
            packages.push(Package {
                version: needed(version, "V (version)")?,
                architecture: needed(architecture, "A (architecture)")?,
                source: origin.filter(|o| *o != name),
                name,
                family: PackageFamily::Apk,
                held: false,
                layer: None,
            });
        }
        Ok(())
    };
    for line in installed.split(|b| *b == b'\n') {
        number += 1;
        if line.iter().all(u8::is_ascii_whitespace) {
            finish(&mut entry, &mut any, number)?;
            continue;
        }
        let [letter, b':', value @ ..] = line else {
            return Err(ParseError::new(DATABASE, number, Problem::NotAField));
        };
        any = true;
        let slot = match letter {
            b'P' => 0,
            b'V' => 1,
            b'A' => 2,
            b'o' => 3,
            _ => continue,
        };
        entry[slot] = Some(String::from_utf8_lossy(value).trim().to_owned());
    }
    finish(&mut entry, &mut any, number)?;
    Ok(packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read() {
        let text = "C:Q1abc=\nP:musl\nV:1.2.5-r0\nA:x86_64\no:musl\nF:lib\nR:ld-musl-x86_64.so.1\na:0:0:755\n\n\
            P:libcrypto3\nV:3.3.1-r0\nA:x86_64\no:openssl\n\n";
        let packages = parse(text.as_bytes()).unwrap();
        assert_eq!(packages.len(), 2);
        assert_eq!(
            (packages[0].name.as_str(), packages[0].source.as_deref()),
            ("musl", None)
        );
        assert_eq!(packages[1].version, "3.3.1-r0");
        assert_eq!(packages[1].source.as_deref(), Some("openssl"));
        assert!(parse(b"").unwrap().is_empty());
    }

    #[test]
    fn damage_is_named_with_its_line() {
        let said = |text: &str| parse(text.as_bytes()).unwrap_err().to_string();
        insta::assert_snapshot!(said("P:a\n??"), @"lib/apk/db/installed, line 2: neither a field nor a continuation of one");
        insta::assert_snapshot!(said("P:a\nV:1\n"), @"lib/apk/db/installed, line 3: the entry that ends here has no A (architecture)");
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
