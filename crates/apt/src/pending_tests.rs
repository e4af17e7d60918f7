use super::*;
use crate::sources;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// An image with a status and one flat archive of the image itself.
fn judged(status: &str, packages: &str, more: &[(&str, &str)]) -> Result<Pending, Refusal> {
    let mut files = BTreeMap::from([
        ("var/lib/dpkg/status".to_owned(), status.as_bytes().to_vec()),
        ("var/lib/dpkg/arch".to_owned(), b"amd64\n".to_vec()),
    ]);
    for (path, text) in more {
        files.insert((*path).to_owned(), text.as_bytes().to_vec());
    }
    let state = AptState::read(&files).unwrap();
    let source = sources::parse(b"deb file:/srv ./\n", "etc/apt/sources.list", "amd64").unwrap();
    let release = Release::default();
    let index = Index::parse(packages.as_bytes(), "Packages").unwrap();
    let indexes = vec![SuiteIndex {
        component: "",
        architecture: "amd64",
        index: &index,
    }];
    let suite = Suite {
        source: &source[0],
        release: &release,
        indexes,
    };
    pending(&state, &[suite])
}

/// One stanza from `name version`, and the rest of its fields.
fn stanza(package: &str, fields: &str) -> String {
    let (name, version) = package.split_once(' ').unwrap();
    format!("Package: {name}\nVersion: {version}\nArchitecture: all\n{fields}")
}

fn installed(package: &str, fields: &str) -> String {
    format!("{}Status: install ok installed\n\n", stanza(package, fields))
}

fn offered(package: &str, fields: &str) -> String {
    format!("{}\n", stanza(package, fields))
}

fn shown(pending: &Pending) -> String {
    let upgrades = pending
        .upgrades
        .iter()
        .map(|it| format!("{} {}", it.package, it.candidate));
    let new = pending
        .new
        .iter()
        .map(|it| format!("new {} {}", it.package, it.candidate));
    let removals = pending.removals.iter().map(|it| format!("without {}", it.package));
    upgrades.chain(new).chain(removals).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_hold_lasts_until_it_is_released() {
    let status = "Package: a\nStatus: hold ok installed\nVersion: 1\nArchitecture: all\n\n";
    let files = BTreeMap::from([("var/lib/dpkg/status".to_owned(), status.as_bytes().to_vec())]);
    let held = |free: &str| {
        let mut state = AptState::read(&files).unwrap();
        state.release(|name, architecture| name == free && architecture == "all");
        state.installed_as("a").filter(|it| it.held).count()
    };
    assert_eq!((held("b"), held("a")), (1, 0));
}

#[test]
fn what_came_for_somebody_who_stays_after_all_is_left_out() {
    // The upgrade of `a` installs `news` and breaks `z`. `z` has the higher score, so `a` keeps its installed version.
    let status = installed("a 1", "") + &installed("z 1", "Priority: required\n");
    let packages =
        offered("a 2", "Depends: news\nBreaks: z\n") + &offered("z 2", "Priority: required\n") + &offered("news 1", "");
    assert_eq!(shown(&judged(&status, &packages, &[]).unwrap()), "z 2");
    // Another package suggests `news`.
    let packages = packages.replace(
        "Version: 2\nArchitecture: all\nPriority",
        "Version: 2\nArchitecture: all\nSuggests: news\nPriority",
    );
    assert_eq!(shown(&judged(&status, &packages, &[]).unwrap()), "z 2, new news 1");
    let conf = [(
        "etc/apt/apt.conf.d/docker",
        "Apt::AutoRemove::SuggestsImportant \"false\";\n",
    )];
    assert_eq!(shown(&judged(&status, &packages, &conf).unwrap()), "z 2");
}

#[test]
fn suggestions_of_an_automatic_package_do_not_count() {
    let status =
        installed("a 1", "") + &installed("z 1", "Priority: required\n") + &installed("helper 1", "Suggests: news\n");
    let packages =
        offered("a 2", "Depends: news\nBreaks: z\n") + &offered("z 2", "Priority: required\n") + &offered("news 1", "");
    let extended = |automatic| format!("Package: helper\nArchitecture: amd64\nAuto-Installed: {automatic}\n");
    let upgrades = |automatic| {
        let extended = extended(automatic);
        shown(&judged(&status, &packages, &[("var/lib/apt/extended_states", &extended)]).unwrap())
    };
    assert_eq!(upgrades(0), "z 2, new news 1");
    assert_eq!(upgrades(1), "z 2");
}

#[test]
fn a_circle_through_a_pre_dependency_is_refused() {
    let status = installed("a 1", "");
    let packages = offered("a 2", "Pre-Depends: b\n") + &offered("b 1", "Depends: a (= 2)\n");
    assert_eq!(judged(&status, &packages, &[]), Err(Refusal::Unresolved));
    // With a plain Depends there is an order: both are unpacked first.
    let packages = offered("a 2", "Depends: b\n") + &offered("b 1", "Depends: a (= 2)\n");
    assert_eq!(shown(&judged(&status, &packages, &[]).unwrap()), "a 2, new b 1");
    // The installed version of `a` meets the dependency until then.
    let packages = offered("a 2", "Pre-Depends: b\n") + &offered("b 1", "Depends: a\n");
    assert_eq!(shown(&judged(&status, &packages, &[]).unwrap()), "a 2, new b 1");
}

#[test]
fn a_chain_is_followed_as_far_as_a_stack_bears() {
    for (length, followed) in [(400, true), (6000, false)] {
        let mut packages = offered("p0 2", "Depends: p1\n");
        for at in 1..length {
            packages += &offered(&format!("p{at} 1"), &format!("Depends: p{}\n", at + 1));
        }
        packages += &offered(&format!("p{length} 1"), "");
        let pending = judged(&installed("p0 1", ""), &packages, &[]);
        if followed {
            let pending = pending.unwrap();
            assert_eq!((pending.upgrades.len(), pending.new.len()), (1, length));
        } else {
            assert_eq!(pending, Err(Refusal::Unresolved));
        }
    }
}

/// Every package depends on every other in some way, so that each attempt leads to all others.
#[test]
fn a_knot_ends() {
    let mut status = String::new();
    let mut packages = String::new();
    let count = 40;
    for at in 0..count {
        status += &installed(&format!("p{at} 1"), "");
        let others = |from: usize, limit: &str| {
            let names: Vec<String> = (0..count)
                .filter(|n| n % 3 == from && *n != at)
                .map(|n| format!("p{n} {limit}"))
                .collect();
            names.join(", ")
        };
        let fields = format!(
            "Depends: {}\nBreaks: {}\n",
            others(at % 3, "(>= 2)"),
            others((at + 1) % 3, "(<< 2)")
        );
        packages += &offered(&format!("p{at} 2"), &(fields + "Recommends: q | r\nProvides: q\n"));
        packages += &offered(
            &format!("p{at} 3"),
            &format!("Depends: {}\n", others((at + 2) % 3, "(= 3)")),
        );
    }
    let _ = judged(&status, &packages, &[]);
}

/// Relations as nobody would publish them.
fn relations() -> impl Strategy<Value = String> {
    let one = prop_oneof![
        4 => "[p-t]( \\((<<|<=|=|>=|>>|<|~)? ?[0-3]?\\)?)?(:any|:native|:i386|:)?",
        1 => "[ -~]{0,12}",
    ];
    let clause = prop::collection::vec(one, 1..4).prop_map(|all| all.join("|"));
    prop::collection::vec(clause, 0..4).prop_map(|all| all.join(", "))
}

fn world(mark: &'static str) -> impl Strategy<Value = String> {
    let kinds = [
        "Depends",
        "Pre-Depends",
        "Conflicts",
        "Breaks",
        "Recommends",
        "Suggests",
        "Provides",
    ];
    let field =
        (prop::sample::select(kinds.to_vec()), relations()).prop_map(|(kind, text)| format!("{kind}: {text}\n"));
    let more = prop::sample::select(vec![
        "",
        "Essential: yes\n",
        "Multi-Arch: allowed\n",
        "Multi-Arch: same\n",
        "Source: p (1)\n",
    ]);
    let architecture = prop::sample::select(vec!["all", "amd64", "i386", "any"]);
    let one = ("[p-t]", 0..4, architecture, more, prop::collection::vec(field, 0..4)).prop_map(
        move |(name, version, architecture, more, fields)| {
            let fields = fields.concat();
            format!("Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n{more}{fields}{mark}\n")
        },
    );
    prop::collection::vec(one, 0..10).prop_map(|all| all.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// For any archive and any image there is a result, and it is always the same.
    #[test]
    fn hostile_archives_get_a_result(status in world("Status: install ok installed\n"), packages in world("Size: 1\n")) {
        let first = judged(&status, &packages, &[]);
        prop_assert_eq!(first, judged(&status, &packages, &[]));
    }
}
