use super::*;
use crate::error::ParseError;
use proptest::prelude::*;

const PACKAGES: &str = "Package: libc6\nSource: glibc\nVersion: 2.36-9\nArchitecture: amd64\nMulti-Arch: same\nPriority: optional\nSize: 12\n\
    Depends: libgcc-s1, libcrypt1 (>= 1:4.4)\nBreaks: old (<< 2)\nDescription: C\n long\n\n\
    Package: dash\nVersion: 0.5\nArchitecture: amd64\nEssential: yes\nPriority: required\nPre-Depends: libc6 (>= 2.36)\n\n\
    Package: libc6\nVersion: 2.36-10\nSource: glibc (2.36-9)\nArchitecture: amd64\nPhased-Update-Percentage: 20\n\n\
    Package: exim4\nVersion: 4\nArchitecture: all\nProvides: mail-transport-agent, exim (= 3)\nProtected: yes\n";

fn index(text: &str) -> Index {
    Index::parse(text.as_bytes(), "Packages").unwrap()
}

fn shown(row: Row<'_>) -> String {
    let relations: Vec<String> = row
        .relations()
        .map(|(kind, clause)| format!("{kind:?}: {clause}"))
        .collect();
    format!(
        "{} {} {} from {} {}, priority {}, {:?}, essential {}, protected {}, phased {}, size {} [{}]",
        row.name(),
        row.version(),
        row.architecture(),
        row.source(),
        row.source_version(),
        row.priority(),
        row.multi_arch(),
        row.essential(),
        row.protected(),
        row.phased(),
        row.size(),
        relations.join("; ")
    )
}

#[test]
fn relevant_fields_are_stored_and_found() {
    let index = index(PACKAGES);
    let all: Vec<String> = ["libc6", "dash", "exim4", "nothing", ""]
        .iter()
        .flat_map(|name| index.versions(name))
        .map(shown)
        .collect();
    insta::assert_snapshot!(all.join("\n"), @r#"
    libc6 2.36-10 amd64 from glibc 2.36-9, priority 0, No, essential false, protected false, phased 20, size 0 []
    libc6 2.36-9 amd64 from glibc 2.36-9, priority 4, Same, essential false, protected false, phased 100, size 12 [Depends: libgcc-s1; Depends: libcrypt1 (>= 1:4.4); Breaks: old (<< 2)]
    dash 0.5 amd64 from dash 0.5, priority 1, No, essential true, protected false, phased 100, size 0 [PreDepends: libc6 (>= 2.36)]
    exim4 4 all from exim4 4, priority 0, No, essential false, protected true, phased 100, size 0 [Provides: mail-transport-agent; Provides: exim (= 3)]
    "#);
    assert_eq!(index.essentials().map(Row::name).collect::<Vec<_>>(), ["dash"]);
    let provided = |name: &str| -> Vec<String> {
        let all = index.providers(name);
        all.map(|(row, clause)| format!("{}: {clause}", row.name())).collect()
    };
    assert_eq!(provided("mail-transport-agent"), ["exim4: mail-transport-agent"]);
    assert_eq!(provided("exim"), ["exim4: exim (= 3)"]);
    assert!(provided("exim4").is_empty());
}

#[test]
fn two_builds_of_one_version_differ() {
    let fingerprint = |fields: &str| {
        let index = index(&format!("Package: a\nVersion: 1\nArchitecture: all\n{fields}"));
        index.versions("a").next().unwrap().fingerprint()
    };
    let plain = fingerprint("Depends: b (>= 0:2), c\nInstalled-Size: 10\n");
    assert_eq!(
        plain,
        fingerprint("Installed-Size: 10\nDepends: b (> 2),\n  C\nDescription: other\n")
    );
    assert_ne!(plain, fingerprint("Depends: b (>= 0:3), c\nInstalled-Size: 10\n"));
    assert_ne!(plain, fingerprint("Depends: b (>= 0:2), c\nInstalled-Size: 11\n"));
    assert_ne!(
        plain,
        fingerprint("Depends: b (>= 0:2), c\nInstalled-Size: 10\nMulti-Arch: foreign\n")
    );
}

#[test]
fn a_stanza_must_name_its_package() {
    let said = |text: &str| -> ParseError { Index::parse(text.as_bytes(), "Packages").unwrap_err() };
    insta::assert_snapshot!(said("Package: a\nVersion: 1\n\n"), @"Packages, line 3: the entry that ends here has no Architecture");
    insta::assert_snapshot!(said("<html>"), @"Packages, line 1: neither a field nor a continuation of one");
}

#[test]
fn an_index_survives_storing() {
    for text in [PACKAGES, ""] {
        let index = index(text);
        let bytes = index.to_bytes();
        assert_eq!(Index::from_bytes(&bytes).unwrap(), index);
    }
}

#[test]
fn damage_is_named() {
    let bytes = index(PACKAGES).to_bytes();
    let changed = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        Index::from_bytes(&bytes).unwrap_err()
    };
    assert_eq!(changed(0), IndexError::Foreign);
    assert_eq!(
        changed(8),
        IndexError::OtherForm {
            found: FORM ^ 1,
            known: FORM
        }
    );
    assert_eq!(changed(12), IndexError::Damaged);
    // A section that says it has more than four billion entries takes no memory.
    assert_eq!(changed(19), IndexError::Size);
    assert_eq!(changed(HEADER), IndexError::Damaged);
    assert_eq!(changed(bytes.len() - 1), IndexError::Damaged);
    for length in 0..bytes.len() {
        assert!(Index::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
    }
}

const PIECES: &[&str] = &[
    "Package: a\nVersion: 1\nArchitecture: all\n",
    "Package: b\nVersion: 2\nArchitecture: amd64\n",
    "Package: a\n",
    "Version:\n",
    "\n",
    "\n",
    "\n\n",
    "Architecture: ",
    "Depends: ",
    "Provides: ",
    "Breaks:\n ",
    "a (>= 1)",
    "b:any",
    "(",
    ")",
    "|",
    ",",
    " , ",
    "<",
    "[",
    "Essential: yes\n",
    "Multi-Arch: same\n",
    "Priority: ",
    "Phased-Update-Percentage: 300\n",
    "Size: 99999999999\n",
    "Source: a ((\n",
    "é",
    "\0",
    "\t",
    ":",
    "#\n",
];

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = Index::parse(bytes.as_slice(), "Packages");
        let _ = Index::from_bytes(&bytes);
    }

    /// Stanzas that are nearly right: what is read is stored and found again.
    #[test]
    fn nearly_right_ones_are_read_or_refused(pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..40)) {
        let text = pieces.concat();
        if let Ok(index) = Index::parse(text.as_bytes(), "Packages") {
            prop_assert!(index.len() <= text.lines().count());
            prop_assert!(Index::from_bytes(&index.to_bytes()).as_ref() == Ok(&index));
            for row in index.as_listed() {
                prop_assert!(index.versions(row.name()).any(|found| found.is(row)));
                prop_assert_eq!(row.relations().count(), row.clauses().count());
            }
        }
    }

    /// With a right checksum around wrong numbers: lookups stay inside.
    #[test]
    fn no_numbers_panic(at in 0_usize..200, number: u32) {
        let mut index = index(PACKAGES);
        let count = index.rows.len();
        index.rows[at % count] = number;
        let words = index.words.len();
        index.words[at % words] = number;
        let names = ["a", "dash", "exim", "libc6", "z"];
        let _: usize = names.iter().map(|name| index.versions(name).map(shown).count() + index.providers(name).count()).sum();
    }

    #[test]
    fn every_package_is_found_by_name(names in proptest::collection::vec("[a-d]{1,3}", 0..40)) {
        let stanza = |(at, name): (usize, &String)| format!("Package: {name}\nVersion: {at}\nArchitecture: all\nProvides: v{name}\n\n");
        let text: String = names.iter().enumerate().map(stanza).collect();
        let index = index(&text);
        for name in &names {
            let mut wanted: Vec<usize> = names.iter().enumerate().filter(|(_, n)| *n == name).map(|(at, _)| at).collect();
            wanted.reverse();
            let found: Vec<usize> = index.versions(name).map(|row| row.version().parse().unwrap()).collect();
            prop_assert_eq!(&found, &wanted);
            prop_assert_eq!(index.providers(&format!("v{name}")).count(), wanted.len());
        }
    }
}
