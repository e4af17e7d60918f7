//! dpkg's status without what decides nothing about upgrades: two thirds of it are descriptions, names of people and lists of
//! configuration files, and a fleet stores and reads one status for every release.

/// deb-control(5), dpkg(1). Named are the fields to leave out, so that one that nobody knew of stays.
const DECIDES_NOTHING: [&[u8]; 8] = [
    b"bugs",
    b"conffiles",
    b"description",
    b"homepage",
    b"maintainer",
    b"original-maintainer",
    b"section",
    b"tag",
];

/// The other fields, byte for byte, with everything that separates them.
#[must_use]
pub fn condensed(status: &[u8]) -> Vec<u8> {
    let mut left = Vec::with_capacity(status.len() / 2);
    let mut leave_out = false;
    for line in status.split_inclusive(|byte| *byte == b'\n') {
        let continues = line[0].is_ascii_whitespace();
        if line.iter().all(u8::is_ascii_whitespace) {
            leave_out = false;
        } else if !continues {
            leave_out = decides_nothing(line);
        }
        if !leave_out {
            left.extend_from_slice(line);
        }
    }
    left
}

fn decides_nothing(line: &[u8]) -> bool {
    let colon = line.iter().position(|byte| *byte == b':');
    let name = line[..colon.unwrap_or(line.len())].trim_ascii_end();
    DECIDES_NOTHING.iter().any(|field| field.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowtide_apt::state::AptState;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn descriptions_people_and_configuration_files_are_left_out() {
        let status = "Package: a\nStatus: install ok installed\nPriority: required\nSection: utils\nInstalled-Size: 7\n\
            Maintainer: A <a@example.org>\nArchitecture: amd64\nMulti-Arch: foreign\nSource: s (1)\nVersion: 2\n\
            Replaces: b\nProvides: c,\n d\nDEPENDS: e (>= 1),\n f\nConffiles:\n /etc/a 0123\n /etc/b 4567\nX-New: 1\n\
            description : short\n long\n .\n Depends: nothing\nHomepage: https://example.org/\n \t\nPackage: b\nDescription: last";
        insta::assert_snapshot!(String::from_utf8(condensed(status.as_bytes())).unwrap(), @r"
        Package: a
        Status: install ok installed
        Priority: required
        Installed-Size: 7
        Architecture: amd64
        Multi-Arch: foreign
        Source: s (1)
        Version: 2
        Replaces: b
        Provides: c,
         d
        DEPENDS: e (>= 1),
         f
        X-New: 1
         	
        Package: b
        ");
    }

    fn field() -> impl Strategy<Value = String> {
        let names = "Section|Maintainer|Description|Conffiles|Source|Depends|Breaks|Provides|Replaces|Essential|Multi-Arch|Priority|[A-Za-z-]{1,9}";
        (names, "[a-z0-9(),.= ]{0,20}(\n [a-z.:]{0,9})?").prop_map(|(name, value)| format!("{name}: {value}\n"))
    }

    proptest! {
        #[test]
        fn what_decides_is_the_same(packages in proptest::collection::vec(proptest::collection::vec(field(), 0..9), 1..5)) {
            let stanza = |(n, fields): (usize, &Vec<String>)| {
                format!("Package: p{n}\nVersion: 1\n{}Architecture: amd64\nStatus: install ok installed\n\n", fields.concat())
            };
            let status = packages.iter().enumerate().map(stanza).collect::<String>().into_bytes();
            let read = |text: Vec<u8>| AptState::read(&BTreeMap::from([("var/lib/dpkg/status".to_owned(), text)]));
            if let Ok(whole) = read(status.clone()) {
                prop_assert_eq!(format!("{:?}", read(condensed(&status)).unwrap()), format!("{whole:?}"));
            }
        }

        #[test]
        fn any_bytes_go_through_twice_as_once(bytes: Vec<u8>) {
            let once = condensed(&bytes);
            prop_assert_eq!(condensed(&once), once);
        }
    }
}
