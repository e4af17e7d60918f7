use super::*;
use crate::families::apk::relation::{provided, relations};
use proptest::prelude::*;

/// An image and its repositories: address, with a tag in front of it if it has one, and text of the index.
#[derive(Debug, Clone, Default)]
struct Image {
    world: String,
    installed: String,
    repositories: Vec<(String, String)>,
}

impl Image {
    fn pending(&self) -> Result<Pending, Refusal> {
        let lines: String = self.repositories.iter().map(|(line, _)| format!("{line}\n")).collect();
        let files = BTreeMap::from([
            ("etc/apk/arch".to_owned(), b"x86_64\n".to_vec()),
            ("etc/apk/world".to_owned(), self.world.clone().into_bytes()),
            ("etc/apk/repositories".to_owned(), lines.into_bytes()),
            ("lib/apk/db/installed".to_owned(), self.installed.clone().into_bytes()),
        ]);
        let state = ApkState::read(&files).unwrap();
        let indexes: Vec<Index> = self
            .repositories
            .iter()
            .map(|(_, text)| Index::parse(text.as_bytes()).unwrap())
            .collect();
        let repositories = state.repositories.iter().zip(&indexes);
        pending(
            &state,
            &repositories
                .map(|(source, index)| Repository { source, index })
                .collect::<Vec<_>>(),
        )
    }

    fn shown(&self) -> String {
        match self.pending() {
            Err(refusal) => refusal.to_string(),
            Ok(pending) => shown(&pending),
        }
    }

    /// As it is once the upgrade is done.
    fn upgraded(&self, pending: &Pending) -> Self {
        let gone = |name: &str| {
            pending.removals.iter().any(|it| it.package == name) || pending.upgrades.iter().any(|it| it.package == name)
        };
        let mut installed: String = entries(&self.installed).filter(|it| !gone(field(it, "P:"))).collect();
        let upgrades = pending
            .upgrades
            .iter()
            .map(|it| (&it.package, &it.candidate, &it.origin));
        let new = pending.new.iter().map(|it| (&it.package, &it.candidate, &it.origin));
        for (package, version, origin) in upgrades.chain(new) {
            let (line, text) = self
                .repositories
                .iter()
                .find(|(line, _)| line.ends_with(origin.as_str()))
                .unwrap();
            let same = |it: &&str| field(it, "P:") == package && field(it, "V:") == version;
            installed += entries(text).find(same).unwrap().trim_end();
            if let Some((tag, _)) = line.split_once(' ') {
                installed += &format!("\ns:{}", &tag[1..]);
            }
            installed += "\n\n";
        }
        Self {
            installed,
            ..self.clone()
        }
    }
}

fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive("\n\n").filter(|entry| !entry.trim().is_empty())
}

fn field<'a>(entry: &'a str, field: &str) -> &'a str {
    entry
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .unwrap_or_default()
}

fn shown(pending: &Pending) -> String {
    let mut lines = Vec::new();
    for it in &pending.upgrades {
        let step = format!("{:?}", it.step).to_lowercase();
        lines.push(format!(
            "{step} {} ({}) {} -> {} from {}",
            it.package, it.source, it.installed, it.candidate, it.origin
        ));
    }
    lines.extend(
        pending
            .new
            .iter()
            .map(|it| format!("new {} ({}) {} from {}", it.package, it.source, it.candidate, it.origin)),
    );
    lines.extend(
        pending
            .removals
            .iter()
            .map(|it| format!("remove {} {}", it.package, it.installed)),
    );
    for it in &pending.kept_back {
        lines.push(format!(
            "keep {} {} and not {}: {}",
            it.package, it.installed, it.candidate, it.why
        ));
    }
    lines.join("\n")
}

/// `name version; D:… p:…`, one package a line; what differs makes another checksum.
fn made(packages: &str) -> String {
    let mut text = String::new();
    for line in packages.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, rest) = line.split_once(' ').unwrap();
        let (version, fields) = rest.split_once("; ").unwrap_or((rest, ""));
        let sum = crc32fast::hash(line.as_bytes());
        text += &format!("C:Q1{sum:0>26}A=\nP:{name}\nV:{version}\n");
        for default in ["A:x86_64", "I:4096"] {
            if !fields.contains(&default[..2]) {
                text += &format!("{default}\n");
            }
        }
        let fields = fields.split(", ").filter(|it| !it.is_empty());
        text += &fields.map(|it| format!("{it}\n")).collect::<String>();
        text.push('\n');
    }
    text
}

const MAIN: &str = "https://dl.example.org/alpine/v3.20/main";

fn image(world: &str, installed: &str, main: &str) -> Image {
    Image {
        world: world.replace(' ', "\n"),
        installed: made(installed),
        repositories: vec![(MAIN.to_owned(), made(main))],
    }
}

/// As a small Alpine image has it: openssl and busybox in several packages, one that nothing needs any more, build
/// dependencies held together by a virtual package, and documentation that comes by itself.
fn alpine() -> Image {
    let common = |busybox: &str, openssl: &str| {
        format!(
            "alpine-baselayout 3.6.5-r0; o:alpine-baselayout, D:alpine-baselayout-data=3.6.5-r0 /bin/sh, p:cmd:mkmntdirs=3.6.5-r0
            alpine-baselayout-data 3.6.5-r0; o:alpine-baselayout
            alpine-keys 2.4-r1; A:noarch, o:alpine-keys
            apk-tools 2.14.4-r0; o:apk-tools, D:musl>=1.2.3_git20230424 ca-certificates-bundle so:libc.musl-x86_64.so.1 so:libcrypto.so.3 so:libssl.so.3 so:libz.so.1, p:so:libapk.so.2.14.0=2.14.0 cmd:apk=2.14.4-r0
            busybox {busybox}; o:busybox, D:so:libc.musl-x86_64.so.1, p:cmd:busybox={busybox}
            busybox-binsh {busybox}; o:busybox, k:100, D:busybox={busybox}, p:/bin/sh cmd:sh={busybox}
            busybox-doc {busybox}; o:busybox, i:docs busybox={busybox}
            ca-certificates-bundle 20240226-r0; A:noarch, o:ca-certificates
            docs 0.2-r6; A:noarch, o:docs, I:0
            libcrypto3 {openssl}; o:openssl, D:so:libc.musl-x86_64.so.1, p:so:libcrypto.so.3=3
            libssl3 {openssl}; o:openssl, D:so:libc.musl-x86_64.so.1 so:libcrypto.so.3, p:so:libssl.so.3=3
            musl 1.2.5-r0; o:musl, p:so:libc.musl-x86_64.so.1=1
            zlib 1.3.1-r1; o:zlib, D:so:libc.musl-x86_64.so.1, p:so:libz.so.1=1.3.1\n"
        )
    };
    let mut image = image(
        "alpine-baselayout alpine-keys apk-tools busybox docs nginx .build=20240601.1",
        &(common("1.36.1-r28", "3.3.0-r2")
            + "nginx 1.26.0-r1; o:nginx, D:so:libc.musl-x86_64.so.1 so:libpcre.so.1
            pcre 8.45-r3; o:pcre, p:so:libpcre.so.1=1.2.13
            .build 20240601.1; A:noarch, I:0, D:make
            make 4.4.1-r2; o:make, D:so:libc.musl-x86_64.so.1
            left-over 1-r0; o:left-over"),
        &(common("1.36.1-r29", "3.3.1-r0")
            + "nginx 1.26.1-r0; o:nginx, D:so:libc.musl-x86_64.so.1 so:libpcre2-8.so.0
            nginx-doc 1.26.1-r0; o:nginx, i:docs nginx=1.26.1-r0
            pcre 8.45-r3; o:pcre, p:so:libpcre.so.1=1.2.13
            pcre2 10.43-r0; o:pcre2, D:so:libc.musl-x86_64.so.1, p:so:libpcre2-8.so.0=0.12.0
            make 4.4.1-r2; o:make, D:so:libc.musl-x86_64.so.1"),
    );
    image.repositories[0].0 = "https://bot:secret@dl.example.org/alpine/v3.20/main".to_owned();
    image
}

#[test]
fn an_alpine_image_takes_what_is_new_and_drops_what_nothing_needs() {
    insta::assert_snapshot!(alpine().shown(), @"
    forward busybox (busybox) 1.36.1-r28 -> 1.36.1-r29 from https://dl.example.org/alpine/v3.20/main
    forward busybox-binsh (busybox) 1.36.1-r28 -> 1.36.1-r29 from https://dl.example.org/alpine/v3.20/main
    forward busybox-doc (busybox) 1.36.1-r28 -> 1.36.1-r29 from https://dl.example.org/alpine/v3.20/main
    forward libcrypto3 (openssl) 3.3.0-r2 -> 3.3.1-r0 from https://dl.example.org/alpine/v3.20/main
    forward libssl3 (openssl) 3.3.0-r2 -> 3.3.1-r0 from https://dl.example.org/alpine/v3.20/main
    forward nginx (nginx) 1.26.0-r1 -> 1.26.1-r0 from https://dl.example.org/alpine/v3.20/main
    new nginx-doc (nginx) 1.26.1-r0 from https://dl.example.org/alpine/v3.20/main
    new pcre2 (pcre2) 10.43-r0 from https://dl.example.org/alpine/v3.20/main
    remove left-over 1-r0
    remove pcre 8.45-r3
    ");
}

#[test]
fn the_solution_is_stable_once_applied() {
    let mut image = alpine();
    MAIN.clone_into(&mut image.repositories[0].0);
    let pending = image.pending().unwrap();
    let after = image.upgraded(&pending);
    assert_eq!(after.pending().unwrap(), Pending::default());
}

#[test]
fn world_and_dependencies_hold_packages_back() {
    let pinned = image(
        "app<2 user",
        "app 1; D:lib=1
        lib 1
        user 1; D:lib",
        "app 1.1; D:lib=1.1
        app 2; D:lib=2
        lib 1.1
        lib 2
        user 2; D:lib",
    );
    insta::assert_snapshot!(pinned.shown(), @"
    forward app (app) 1 -> 1.1 from https://dl.example.org/alpine/v3.20/main
    forward lib (lib) 1 -> 1.1 from https://dl.example.org/alpine/v3.20/main
    forward user (user) 1 -> 2 from https://dl.example.org/alpine/v3.20/main
    keep app 1 and not 2: world asks for app<2
    keep lib 1 and not 2: app-1.1 needs lib=1.1
    ");
    let exact = image(
        "app=1 user",
        "app 1; D:lib=1\nlib 1\nuser 1; D:lib",
        "app 2; D:lib=2\nlib 2\nuser 2; D:lib>=2",
    );
    insta::assert_snapshot!(exact.shown(), @"
    keep app 1 and not 2: world asks for app=1
    keep lib 1 and not 2: app-1 needs lib=1
    keep user 1 and not 2: it needs lib>=2
    ");
    let lost = image("app", "app 1; D:so:x.1\nlib 1; p:so:x.1=1", "lib 2; p:so:x.2=2");
    insta::assert_snapshot!(lost.shown(), @"keep lib 1 and not 2: so:x.1 is needed, and it no longer is that");
    let excluded = image("app", "app 1", "app 2; D:lib !lib>2\nlib 2\nlib 3");
    insta::assert_snapshot!(excluded.shown(), @"
    forward app (app) 1 -> 2 from https://dl.example.org/alpine/v3.20/main
    new lib (lib) 2 from https://dl.example.org/alpine/v3.20/main
    ");
    let prefix = image(
        "python3~3.11",
        "python3 3.11.8-r0",
        "python3 3.11.9-r1\npython3 3.12.3-r1",
    );
    insta::assert_snapshot!(prefix.shown(), @"
    forward python3 (python3) 3.11.8-r0 -> 3.11.9-r1 from https://dl.example.org/alpine/v3.20/main
    keep python3 3.11.8-r0 and not 3.12.3-r1: world asks for python3~3.11
    ");
}

#[test]
fn versions_are_downgraded_only_on_request() {
    insta::assert_snapshot!(image("app", "app 2", "app 1").shown(), @"");
    insta::assert_snapshot!(image("app<2", "app 2", "app 1").shown(), @"back app (app) 2 -> 1 from https://dl.example.org/alpine/v3.20/main");
    // Also when no repository has it any more.
    insta::assert_snapshot!(image("app", "app 1", "").shown(), @"");
    // Another build under the same version is not taken by itself.
    insta::assert_snapshot!(image("app", "app 1", "app 1; t:2").shown(), @"");
    insta::assert_snapshot!(image("app lib=1", "app 1; D:lib>1\nlib 1", "app 1; D:lib").shown(), @"not followed: app-1 has lib>1, which does not go with lib-1");
}

#[test]
fn tags_are_for_what_world_wants_by_them() {
    let mut image = image("app@edge other", "app 1\nother 1", "app 2; D:lib\nother 2\nlib 1");
    let edge = made("app 3; D:lib app-data=3\napp-data 3\nother 3\nlib 3");
    image
        .repositories
        .push(("@edge http://dl.example.org/edge".to_owned(), edge));
    insta::assert_snapshot!(image.shown(), @"
    forward app (app) 1 -> 3 from http://dl.example.org/edge
    forward other (other) 1 -> 2 from https://dl.example.org/alpine/v3.20/main
    new app-data (app-data) 3 from http://dl.example.org/edge
    new lib (lib) 1 from https://dl.example.org/alpine/v3.20/main
    ");
    image.world = "app\nother\n".to_owned();
    insta::assert_snapshot!(image.shown(), @"
    forward app (app) 1 -> 2 from https://dl.example.org/alpine/v3.20/main
    forward other (other) 1 -> 2 from https://dl.example.org/alpine/v3.20/main
    new lib (lib) 1 from https://dl.example.org/alpine/v3.20/main
    ");
    image.installed = made("app 3; s:edge, D:lib app-data=3\napp-data 3; s:edge\nother 1\nlib 1");
    insta::assert_snapshot!(image.shown(), @"
    back app (app) 3 -> 2 from https://dl.example.org/alpine/v3.20/main
    forward other (other) 1 -> 2 from https://dl.example.org/alpine/v3.20/main
    remove app-data 3
    ");
    // A package that needs a newer one from the same repository.
    image.world = "tool@edge\n".to_owned();
    image.repositories[1].1 += &made("tool 1; D:lib>=3");
    image.installed = String::new();
    insta::assert_snapshot!(image.shown(), @"
    new lib (lib) 3 from http://dl.example.org/edge
    new tool (tool) 1 from http://dl.example.org/edge
    ");
    image.world = "app@own\n".to_owned();
    insta::assert_snapshot!(image.shown(), @"world asks for app@own, and no repository has that tag");
}

#[test]
fn what_apk_would_refuse_is_refused() {
    insta::assert_snapshot!(image("gone", "", "app 1").shown(), @"world asks for gone, and nothing can be that");
    insta::assert_snapshot!(image("app", "", "app 1; D:lib\nlib 1; D:so:missing.1").shown(), @"lib-1 asks for so:missing.1, and nothing can be that");
    insta::assert_snapshot!(image("app !lib", "", "app 1; D:lib\nlib 1").shown(), @"world asks for app, and nothing can be that");
    let nothing = ApkState::read(&BTreeMap::new()).unwrap();
    insta::assert_snapshot!(pending(&nothing, &[]).unwrap_err(), @"there is no etc/apk/world");
}

#[test]
fn what_depends_on_apks_order_is_undecided() {
    let crossed = image("a b", "a 1\nb 1", "a 2; D:c=1\nb 2; D:c=2\nc 1\nc 2");
    insta::assert_snapshot!(crossed.shown(), @"not followed: a-2 has c=1, which does not go with c-2");
    let equal = image(
        "app",
        "app 1",
        "app 2; D:cmd:tool\nfirst 1; p:cmd:tool=1\nsecond 1; p:cmd:tool=1",
    );
    insta::assert_snapshot!(equal.shown(), @"not followed: cmd:tool may be first-1 or second-1");
    // A mirror in the middle of an update.
    let unmet = image("app", "app 1", "app 2; D:so:new.2\nlib 1; p:so:new.1=1");
    insta::assert_snapshot!(unmet.shown(), @"not followed: app-2 needs so:new.2, which nothing can be");
    let foreign = image("app", "app 1", "app 2; A:aarch64");
    insta::assert_snapshot!(foreign.shown(), @"not followed: app-2 is for another architecture or a newer apk");
    // apk 2 keeps what is installed, apk 3 goes by the priority.
    let shells = image(
        "app",
        "app 1; D:/bin/sh\ndash 1; k:60, p:/bin/sh",
        "busybox 1; k:100, p:/bin/sh",
    );
    insta::assert_snapshot!(shells.shown(), @"not followed: /bin/sh may be dash-1 or busybox-1");
}

#[test]
fn hostile_indexes_cost_little() {
    // Everything needs everything, in many versions.
    let names: Vec<String> = (0..60).map(|at| format!("p{at}")).collect();
    let all = names.join(" ");
    let versions = |it: &String| {
        (0..8)
            .map(|v| format!("{it} {v}; D:{all}, p:v{v} {all}, i:{all}\n"))
            .collect::<String>()
    };
    let index: String = names.iter().map(versions).collect();
    assert!(image(&all, "", &index).pending().is_err());
    // A long chain of dependencies.
    let chain: String = (0..5_000).map(|at| format!("p{at} 1; D:p{}\n", at + 1)).collect();
    let deep = image("p0", "", &(chain + "p5000 1"));
    assert_eq!(deep.pending().unwrap().new.len(), 5_001);
}

fn package() -> impl Strategy<Value = String> {
    let name = "[a-e]";
    let relation = "!?([a-e]|v|s:x)(>=1|=1|<2|~1)?";
    (
        name,
        "[123]",
        proptest::collection::vec(relation, 0..3),
        "(v|s:x=[12])?",
        "([a-e]( [a-e])?)?",
    )
        .prop_map(|(name, version, depends, provides, install_if)| {
            format!(
                "{name} {version}; D:{}, p:{provides}, i:{install_if}\n",
                depends.join(" ")
            )
        })
}

fn images() -> impl Strategy<Value = Image> {
    // Each name and version at most once in a list.
    let packages = || {
        proptest::collection::vec(package(), 0..10).prop_map(|mut packages| {
            packages.sort_by_key(|it| it[..3].to_owned());
            packages.dedup_by_key(|it| it[..3].to_owned());
            packages
        })
    };
    (
        proptest::collection::vec("[a-e](@edge)?", 1..4),
        packages(),
        packages(),
        packages(),
    )
        .prop_map(|(world, installed, main, edge)| {
            let mut seen = std::collections::BTreeSet::new();
            let installed: String = installed
                .into_iter()
                .filter(|it| seen.insert(it[..1].to_owned()))
                .collect();
            let mut image = image(&world.join(" "), &installed, &main.concat());
            image
                .repositories
                .push(("@edge https://dl.example.org/edge".to_owned(), made(&edge.concat())));
            image
        })
}

proptest! {
    #[test]
    fn a_solution_is_complete_sorted_and_final(image in images()) {
        let Ok(pending) = image.pending() else { return Ok(()) };
        prop_assert!(pending.upgrades.is_sorted_by(|a, b| a.package < b.package));
        prop_assert!(pending.new.is_sorted_by(|a, b| a.package < b.package));
        prop_assert!(pending.removals.is_sorted_by(|a, b| a.package < b.package));
        prop_assert!(pending.kept_back.is_sorted_by(|a, b| a.package < b.package));
        let after = image.upgraded(&pending);
        // No installed package lacks a dependency.
        let there: Vec<&str> = entries(&after.installed).collect();
        for entry in &there {
            for relation in relations(field(entry, "D:")).unwrap().into_iter().filter(|it| !it.conflict) {
                let fits = there.iter().any(|other| {
                    field(other, "P:") == relation.name || provided(field(other, "p:")).any(|it| it.name == relation.name)
                });
                prop_assert!(fits, "{entry} lacks {relation}");
            }
        }
        if let Ok(again) = after.pending() {
            let again = Pending { kept_back: Vec::new(), ..again };
            prop_assert_eq!(again, Pending::default());
        }
    }
}
