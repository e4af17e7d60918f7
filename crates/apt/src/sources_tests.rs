use super::*;

fn shown(file: &str, text: &str) -> String {
    let sources = parse(text.as_bytes(), file, "amd64").unwrap();
    let lines = sources.iter().map(|source| {
        let mut options = format!("{:?}", source.options);
        for default in [
            "architectures: None, ",
            "architectures_added: [], ",
            "architectures_removed: [], ",
            "trusted: None, ",
            "signed_by: None, ",
        ] {
            options = options.replace(default, "");
        }
        options = options.replace(
            "check_valid_until: None, check_date: None, valid_until_min: None, valid_until_max: None, by_hash: None ",
            "",
        );
        format!(
            "{} {} {} {:?} host {:?} {options}",
            source.place.line,
            source.base(),
            source.suite,
            source.components,
            source.host()
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_one_line_style() {
    let text = "# Debian\ndeb http://deb.example.org/debian bookworm main contrib # all of it\n\n\
        deb-src http://deb.example.org/debian bookworm main\n\
        deb [arch=amd64,i386 signed-by=/usr/share/keyrings/x.gpg trusted=yes lang=en] https://user:pw@deb.example.org:8443/x/ stable main\n\
        \tdeb\tfile:/srv/repository ./\ndeb [ allow-weak=yes ] http://[::1]:80/y $(ARCH)/\n\
        deb cdrom:[Debian 12 _Bookworm_ #1]/ bookworm main\n";
    insta::assert_snapshot!(shown("etc/apt/sources.list", text), @r#"
    2 http://deb.example.org/debian/dists/bookworm/ bookworm ["main", "contrib"] host "deb.example.org" SourceOptions { }
    5 https://user:pw@deb.example.org:8443/x/dists/stable/ stable ["main"] host "deb.example.org" SourceOptions { architectures: Some(["amd64", "i386"]), trusted: Some(true), signed_by: Some(Listed(["/usr/share/keyrings/x.gpg"])), }
    6 file:/srv/repository/ ./ [] host "" SourceOptions { }
    7 http://[::1]:80/y/amd64/ amd64/ [] host "::1" SourceOptions { }
    8 cdrom:[Debian 12 _Bookworm_ #1]/dists/bookworm/ bookworm ["main"] host "" SourceOptions { }
    "#);
}

#[test]
fn the_deb822_style() {
    let text = "# all of it\nTypes: deb deb-src\nURIs: http://deb.example.org/debian http://two.example.org/debian/\n\
        Suites: bookworm bookworm-updates\nComponents: main\n contrib\nSigned-By: /usr/share/keyrings/a.gpg, ABCDEF\n\n\
        Types: deb\nEnabled: no\nURIs: http://deb.example.org/off\nSuites: x\nComponents: y\n\n\
        Types: deb\nURIs: http://deb.example.org/flat\nSuites: ./\nTrusted: yes\nArchitectures: amd64 arm64\nArchitectures-Remove: arm64\nBy-Hash: force\n\n\
        Types: deb-src\nURIs: http://deb.example.org/src\nSuites: x\nComponents: y\n\n\
        Types: deb\nURIs: http://deb.example.org/key\nSuites: x\nComponents: y\nCheck-Valid-Until: no\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQENB\n -----END PGP PUBLIC KEY BLOCK-----\n";
    insta::assert_snapshot!(shown("etc/apt/sources.list.d/debian.sources", text), @r#"
    8 http://deb.example.org/debian/dists/bookworm/ bookworm ["main", "contrib"] host "deb.example.org" SourceOptions { signed_by: Some(Listed(["/usr/share/keyrings/a.gpg", "ABCDEF"])), }
    8 http://deb.example.org/debian/dists/bookworm-updates/ bookworm-updates ["main", "contrib"] host "deb.example.org" SourceOptions { signed_by: Some(Listed(["/usr/share/keyrings/a.gpg", "ABCDEF"])), }
    8 http://two.example.org/debian/dists/bookworm/ bookworm ["main", "contrib"] host "two.example.org" SourceOptions { signed_by: Some(Listed(["/usr/share/keyrings/a.gpg", "ABCDEF"])), }
    8 http://two.example.org/debian/dists/bookworm-updates/ bookworm-updates ["main", "contrib"] host "two.example.org" SourceOptions { signed_by: Some(Listed(["/usr/share/keyrings/a.gpg", "ABCDEF"])), }
    22 http://deb.example.org/flat/ ./ [] host "deb.example.org" SourceOptions { architectures: Some(["amd64", "arm64"]), architectures_removed: ["arm64"], trusted: Some(true), check_valid_until: None, check_date: None, valid_until_min: None, valid_until_max: None, by_hash: Some("force") }
    38 http://deb.example.org/key/dists/x/ x ["y"] host "deb.example.org" SourceOptions { signed_by: Some(Inline("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQENB\n-----END PGP PUBLIC KEY BLOCK-----\n")), check_valid_until: Some(false), check_date: None, valid_until_min: None, valid_until_max: None, by_hash: None }
    "#);
}

#[test]
fn options_choose_the_architectures() {
    let configured = ["amd64".to_owned(), "i386".to_owned()];
    let chosen = |options: &str| {
        let line = format!("deb [{options}] http://deb.example.org/debian bookworm main");
        parse(line.as_bytes(), "x.list", "amd64").unwrap()[0].architectures(&configured)
    };
    assert_eq!(chosen("lang=en"), ["amd64", "i386"]);
    assert_eq!(chosen("arch=amd64"), ["amd64"]);
    assert_eq!(chosen("arch-=i386"), ["amd64"]);
    assert_eq!(chosen("arch+=arm64,amd64"), ["amd64", "i386", "arm64"]);
    assert_eq!(chosen("arch=all,arm64"), ["arm64"]);
}

#[test]
fn what_apt_refuses_is_refused() {
    let said = |file: &str, text: &str| parse(text.as_bytes(), file, "amd64").unwrap_err().to_string();
    let lines = [
        "deb",
        "rpm http://x y z",
        "deb http://x",
        "deb http://x y",
        "deb http://x y/ main",
        "deb nothing y main",
        "deb [arch http://x y z",
        "deb [arch] http://x y z",
    ];
    let all: Vec<String> = lines
        .iter()
        .map(|line| format!("{line}: {}", said("a.list", line)))
        .collect();
    insta::assert_snapshot!(all.join("\n"), @r#"
    deb: a.list, line 1: the line has a value that cannot be understood
    rpm http://x y z: a.list, line 1: the type of source has a value that cannot be understood
    deb http://x: a.list, line 1: the line has a value that cannot be understood
    deb http://x y: a.list, line 1: the list of components has a value that cannot be understood
    deb http://x y/ main: a.list, line 1: the list of components has a value that cannot be understood
    deb nothing y main: a.list, line 1: the URI has a value that cannot be understood
    deb [arch http://x y z: a.list, line 1: the list of options has a value that cannot be understood
    deb [arch] http://x y z: a.list, line 1: an option has a value that cannot be understood
    "#);
    insta::assert_snapshot!(said("a.sources", "URIs: http://x\n"), @"a.sources, line 2: the entry that ends here has no Types");
    insta::assert_snapshot!(said("a.sources", "Types: deb\nURIs: http://x\nSuites: y\n"), @"a.sources, line 4: the list of components has a value that cannot be understood");
}

proptest::proptest! {
    #[test]
    fn never_panics(text: String) {
        let _ = parse(text.as_bytes(), "a.list", "amd64");
        let _ = parse(text.as_bytes(), "a.sources", "amd64");
    }
}
