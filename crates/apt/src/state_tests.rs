use super::*;
use crate::settings::Phasing;

fn state(files: &[(&str, &str)]) -> Result<AptState, ParseError> {
    let owned = files
        .iter()
        .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()));
    AptState::read(&owned.collect())
}

const STATUS_TEXT: &str = "Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.21\nEssential: yes\n\n\
    Package: tzdata\nStatus: hold ok installed\nArchitecture: all\nVersion: 2024a-0\nSource: tz (1)\n\n\
    Package: half\nStatus: install ok half-configured\nArchitecture: amd64\nVersion: 1\n\n\
    Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n\nPackage: never\nStatus: unknown ok not-installed\n";

#[test]
fn all_that_is_there_counts_as_installed() {
    let state = state(&[
        ("var/lib/dpkg/status", STATUS_TEXT),
        (
            "var/lib/dpkg/status.d/base",
            "Package: base\nVersion: 1\nArchitecture: all\n",
        ),
        ("var/lib/dpkg/status.d/base.md5sums", "d41d8 etc/x\n"),
    ])
    .unwrap();
    let lines: Vec<String> = state
        .installed
        .iter()
        .map(|p| {
            format!(
                "{} {} {} {} {} held {} essential {}",
                p.name, p.version, p.architecture, p.source, p.source_version, p.held, p.essential
            )
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    base 1 all base 1 held false essential false
    dpkg 1.21 amd64 dpkg 1.21 held false essential true
    half 1 amd64 half 1 held false essential false
    tzdata 2024a-0 all tz 1 held true essential false
    "#);
    assert_eq!(state.architectures, ["amd64"]);
}

#[test]
fn files_are_read_in_apts_order() {
    let pin = |name: &str| format!("Package: {name}\nPin: release *\nPin-Priority: 1\n");
    let state = state(&[
        ("etc/apt/preferences", &pin("main")),
        ("etc/apt/preferences.d/10b", &pin("b")),
        ("etc/apt/preferences.d/05a.pref", &pin("a")),
        ("etc/apt/preferences.d/06.save", "rubbish"),
        ("etc/apt/preferences.d/.hidden", "rubbish"),
        ("etc/apt/preferences.d/with space", "rubbish"),
        ("etc/apt/sources.list.d/z.list", "deb http://z.example.org/ x main\ndeb http://z.example.org/ x main contrib"),
        ("etc/apt/sources.list.d/a.sources", "Types: deb\nURIs: http://a.example.org\nSuites: x\nComponents: main\nSigned-By: /usr/share/keyrings/a.gpg\n"),
        ("etc/apt/sources.list.d/a.list.disabled", "rubbish"),
        ("etc/apt/sources.list", "deb [signed-by=/etc/apt/x.asc] http://main.example.org/ x main\n"),
        ("etc/apt/apt.conf", "APT::Default-Release \"x\";"),
        ("etc/apt/apt.conf.d/99late", "APT::Default-Release \"y\"; APT::Install-Recommends false;"),
    ])
    .unwrap();
    let pins: Vec<bool> = ["main", "a", "b"]
        .iter()
        .zip(&state.pins)
        .map(|(name, pin)| pin.package.as_ref().unwrap().names(name))
        .collect();
    assert_eq!((state.pins.len(), pins), (3, vec![true; 3]));
    let sources: Vec<String> = state
        .sources
        .iter()
        .map(|s| format!("{} {:?}", s.uri, s.components))
        .collect();
    insta::assert_snapshot!(sources.join("\n"), @r#"
    http://main.example.org/ ["main"]
    http://a.example.org/ ["main"]
    http://z.example.org/ ["main", "contrib"]
    "#);
    assert_eq!(state.settings.target_release.as_deref(), Some("x"));
    assert!(!state.settings.install_recommends);
    assert_eq!(state.keyrings(), ["etc/apt/x.asc", "usr/share/keyrings/a.gpg"]);
}

#[test]
fn architectures_come_from_dpkg() {
    let of = |files: &[(&str, &str)]| state(files).unwrap().architectures;
    let status = ("var/lib/dpkg/status", STATUS_TEXT);
    assert_eq!(of(&[status, ("var/lib/dpkg/arch", "amd64\ni386\n")]), ["amd64", "i386"]);
    assert_eq!(of(&[status, ("var/lib/dpkg/arch", "i386\namd64\n")]), ["amd64", "i386"]);
    assert_eq!(
        of(&[status, ("etc/apt/apt.conf", "APT::Architecture \"arm64\";")]),
        ["arm64"]
    );
    assert_eq!(
        of(&[(
            "var/lib/dpkg/status.d/x",
            "Package: x\nVersion: 1\nArchitecture: arm64\n"
        )]),
        ["arm64"]
    );
    assert!(of(&[]).is_empty());
}

#[test]
fn phasing_needs_a_machine() {
    let of = |conf: &str, id: &str| {
        state(&[("etc/apt/apt.conf", conf), ("etc/machine-id", id)])
            .unwrap()
            .settings
            .phasing
    };
    assert_eq!(of("", ""), Phasing::Taken);
    assert_eq!(
        of("", "abc\n"),
        Phasing::Drawn {
            machine: "abc".to_owned()
        }
    );
    assert_eq!(of("APT::Get::Never-Include-Phased-Updates 1;", "abc\n"), Phasing::Held);
    assert_eq!(
        of(
            "Update-Manager::Always-Include-Phased-Updates yes; APT::Get::Never-Include-Phased-Updates 1;",
            "abc\n"
        ),
        Phasing::Taken
    );
}

#[test]
fn what_is_not_followed_is_named() {
    let of = |conf: &str, apt: &str| {
        let status = format!("Package: apt\nStatus: install ok installed\nArchitecture: amd64\nVersion: {apt}\n");
        let found = state(&[("etc/apt/apt.conf", conf), ("var/lib/dpkg/status", &status)]).unwrap();
        let found: Vec<String> = found.not_followed().iter().map(ToString::to_string).collect();
        found.join("; ")
    };
    assert_eq!(of("APT::Install-Recommends false; APT::Solver internal;", "3.1.12"), "");
    insta::assert_snapshot!(of("Dir::Etc::sourcelist \"/x\"; APT::Get { AutomaticRemove yes; };", "2.6.1"), @"apt.conf sets APT::Get::AutomaticRemove; apt.conf sets Dir::Etc");
    insta::assert_snapshot!(of("", "3.1.12"), @"apt 3.1.12 decides conflicts by its newer solver");
}

#[test]
fn damage_is_named() {
    let said = |path: &str, text: &str| state(&[(path, text)]).unwrap_err().to_string();
    insta::assert_snapshot!(said("var/lib/dpkg/status", "Package: a\nStatus: install\n"), @"var/lib/dpkg/status, line 3: Status has a value that cannot be understood");
    insta::assert_snapshot!(said("etc/apt/sources.list", "deb\n"), @"etc/apt/sources.list, line 1: the line has a value that cannot be understood");
    insta::assert_snapshot!(said("var/lib/dpkg/status.d/x", "rubbish\n"), @"var/lib/dpkg/status.d/x, line 1: neither a field nor a continuation of one");
}

/// What the files of an image are made of, in no order.
const PIECES: &[&str] = &[
    "Package:",
    "Package: a",
    "Version: 1",
    "Architecture: amd64",
    "Status: install ok installed",
    "Status: hold",
    "Depends: b (>= 1) |",
    "Auto-Installed: 1",
    "Essential: yes",
    "Pin: release a=b",
    "Pin: version *",
    "Pin-Priority: 1000",
    "Explanation:",
    "deb",
    "deb [",
    "deb [arch=i386]",
    "]",
    "http://a.example.org",
    "file:/srv",
    "./",
    "stable main",
    "Types: deb",
    "URIs: http://a.example.org/",
    "Suites: x ./",
    "Components: main",
    "Signed-By:",
    "-----BEGIN PGP PUBLIC KEY BLOCK-----",
    "APT::",
    "APT {",
    "};",
    "}",
    "{",
    ";",
    "\"",
    "\"true\"",
    "//",
    "/*",
    "*/",
    "#",
    "#clear",
    "#include",
    "::",
    ":",
    "\n",
    "\n",
    "\n\n",
    " ",
    "\t",
    "\r\n",
    ".",
    "/^a(/",
    "[",
    "*",
    "\u{feff}",
    "é",
];

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(128))]

    #[test]
    fn any_files_are_read_or_refused(
        // Few at a time: the first that is refused ends the reading.
        texts in proptest::collection::vec(
            proptest::option::weighted(0.2, proptest::collection::vec(proptest::sample::select(PIECES), 0..25)),
            WANTED.len(),
        ),
        cut in 0..64_usize,
        byte: u8,
    ) {
        let files = WANTED.iter().zip(texts).map(|(path, pieces)| {
            let path = path.replace('*', if path.contains("apt.conf") { "50x" } else { "a.list" });
            let mut text = pieces.unwrap_or_default().concat().into_bytes();
            if let Some(at) = text.get_mut(cut) {
                *at = byte;
            }
            (path, text)
        });
        let files: BTreeMap<String, Vec<u8>> = files.collect();
        if let Ok(state) = AptState::read(&files) {
            // No file makes more of itself than it has bytes.
            proptest::prop_assert!(state.installed() <= files["var/lib/dpkg/status"].len() + files["var/lib/dpkg/status.d/a.list"].len());
            let _ = (state.keyrings(), state.not_followed());
        }
    }
}
