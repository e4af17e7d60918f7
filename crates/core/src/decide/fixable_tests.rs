use super::*;
use lowtide_model::freshness::Unknown;
use lowtide_packages::dockerfile::parse::parse;
use std::collections::BTreeMap;

fn pending(package: &str, installed: Option<&str>) -> PendingPackage {
    PendingPackage {
        package: package.to_owned(),
        architecture: "amd64".to_owned(),
        installed: installed.map(ToOwned::to_owned),
        candidate: "2".to_owned(),
        origin: "Debian:12/stable".to_owned(),
        security: false,
        layer: None,
        fix: perhaps("untold"),
    }
}

/// libc6 comes from the base image, curl from our own layers; both can be upgraded.
fn state(lineage: Lineage) -> PackageState {
    PackageState {
        files: BTreeMap::new(),
        uncaptured: vec![],
        layers: BTreeMap::from([("libc6:amd64".to_owned(), 0), ("curl:amd64".to_owned(), 2)]),
        lineage,
        doing: None,
    }
}

fn on_debian() -> Lineage {
    Lineage::Base {
        reference: "debian:12".to_owned(),
        layers: 1,
        triggers: false,
    }
}

fn doing(runs: &str) -> Doing {
    let parsed = parse(&format!("FROM debian:12\n{runs}\n")).unwrap();
    Doing {
        refresh: parsed.refresh(None, &BTreeMap::new()).unwrap(),
        upgrade: false,
    }
}

fn shown(fix: &Fix) -> String {
    match fix {
        Fix::Rebuild => "rebuild".to_owned(),
        Fix::Perhaps { why } => format!("perhaps: {why}"),
        Fix::Base { reference } => format!("base {reference}"),
        Fix::Pin { version, line } => format!("pin {version} line {line}"),
    }
}

fn judged(mut survey: Survey, lineage: Lineage, doing: &Doing) -> String {
    judge(&mut survey, &state(lineage), doing);
    let one = |p: &PendingPackage| format!("{} {}", p.package, shown(&p.fix));
    survey.pending.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn both() -> Survey {
    Survey {
        pending: vec![pending("curl", Some("1")), pending("libc6", Some("1"))],
        ..Survey::default()
    }
}

#[test]
fn who_brings_what() {
    let table = [
        (
            "RUN true",
            "curl perhaps: no RUN line is seen that installs it; libc6 base debian:12",
        ),
        ("RUN apt-get install -y curl", "curl rebuild; libc6 base debian:12"),
        ("RUN apt-get install -y vim", "curl rebuild; libc6 base debian:12"),
        ("RUN apt-get install -y libc6", "curl rebuild; libc6 rebuild"),
        (
            "RUN apt-get install -y curl=1",
            "curl pin 1 line 2; libc6 base debian:12",
        ),
        ("RUN apt-get upgrade -y", "curl rebuild; libc6 rebuild"),
        (
            "RUN apt-get install -y 'curl=1*'",
            "curl pin 1* line 2; libc6 base debian:12",
        ),
        ("RUN apt-get install -y 'curl=2*'", "curl rebuild; libc6 base debian:12"),
        (
            "RUN apt-get install -y curl=1 && apt-get dist-upgrade -y",
            "curl perhaps: the Dockerfile upgrades everything and also pins one version; libc6 rebuild",
        ),
    ];
    for (runs, expected) in table {
        assert_eq!(judged(both(), on_debian(), &doing(runs)), expected, "{runs}");
    }
    let mut upgrade = doing("RUN apt-get install -y curl=1");
    upgrade.upgrade = true;
    assert_eq!(judged(both(), on_debian(), &upgrade), "curl rebuild; libc6 rebuild");
    // `build.upgrade`, which runs last, skips packages on hold.
    upgrade = doing("RUN apt-get install -y curl=1 && apt-mark hold curl");
    upgrade.upgrade = true;
    assert_eq!(
        judged(both(), on_debian(), &upgrade),
        "curl pin 1 line 2; libc6 rebuild"
    );
}

#[test]
fn what_the_field_found() {
    let table = [
        (
            "ARG PKGS=\"curl libc6\"\nRUN apt-get update && apt-get install -y $PKGS",
            "curl rebuild; libc6 rebuild",
        ),
        (
            "COPY p.txt /\nRUN xargs -a /p.txt apt-get install -y",
            "curl perhaps: line 3: it is not known which packages are installed; libc6 perhaps: line 3: it is not known which packages are installed",
        ),
        (
            "COPY up.sh /\nRUN /up.sh",
            "curl perhaps: line 3: what /up.sh does is not known; libc6 perhaps: line 3: what /up.sh does is not known",
        ),
        (
            "RUN apt-get update && apt-get install -y vim\nCOPY . /\nRUN make",
            "curl perhaps: line 4: what make does is not known; libc6 perhaps: line 4: what make does is not known",
        ),
        (
            "ENV V 1.0-1\nRUN apt-get install -y vim curl=${V}",
            "curl pin 1.0-1 line 3; libc6 base debian:12",
        ),
        (
            "RUN apt-get install -y vim curl=${V}",
            "curl perhaps: line 2 pins a version that cannot be read; libc6 base debian:12",
        ),
        // A pinned package may block upgrades of others.
        (
            "RUN apt-get install -y libc6=1 vim",
            "curl perhaps: a version that the Dockerfile pins may hold it back; libc6 pin 1 line 2",
        ),
        (
            "RUN if [ \"$UPGRADE\" = true ]; then apt-get -y upgrade; fi",
            "curl perhaps: line 2: an upgrade is not sure to happen; libc6 perhaps: line 2: an upgrade is not sure to happen",
        ),
        (
            "RUN apt-get install -y curl || true",
            "curl perhaps: the Dockerfile installs it where that is not sure to happen; libc6 base debian:12",
        ),
        // A rebuild installs a package before it holds it; a later upgrade skips the held package.
        (
            "RUN apt-get install -y curl && apt-mark hold curl",
            "curl rebuild; libc6 base debian:12",
        ),
        (
            "RUN apt-get dist-upgrade -y && apt-mark hold libc6",
            "curl rebuild; libc6 perhaps: the Dockerfile upgrades everything and also holds it",
        ),
        (
            "RUN apt-get install -y curl=1 && apt-mark hold curl && apt-get dist-upgrade -y",
            "curl pin 1 line 2; libc6 rebuild",
        ),
    ];
    for (runs, expected) in table {
        assert_eq!(judged(both(), on_debian(), &doing(runs)), expected, "{runs}");
    }
}

/// Layers count from 0: with `layers` of the base, the one numbered so is the first of ours. curl came with the one numbered 2.
#[test]
fn the_last_layer_of_the_base_and_the_first_of_ours() {
    let with_layers = |layers| Lineage::Base {
        reference: "debian:12".to_owned(),
        layers,
        triggers: false,
    };
    let doing = doing("RUN apt-get install -y vim");
    assert_eq!(
        judged(both(), with_layers(2), &doing),
        "curl rebuild; libc6 base debian:12"
    );
    assert_eq!(
        judged(both(), with_layers(3), &doing),
        "curl base debian:12; libc6 base debian:12"
    );
    // The same applies to an upgrade of everything beside a version pin, …
    let bound = self::doing("RUN apt-get install -y libc6=1 && apt-get dist-upgrade -y");
    let why = "perhaps: the Dockerfile upgrades everything and also pins one version";
    assert_eq!(
        judged(both(), with_layers(2), &bound),
        format!("curl {why}; libc6 {why}")
    );
    assert_eq!(
        judged(both(), with_layers(3), &bound),
        format!("curl rebuild; libc6 {why}")
    );
    // … to what a build left behind, …
    let make = self::doing("RUN make");
    let left = |layers| {
        let mut survey = both();
        judge(&mut survey, &state(with_layers(layers)), &make);
        tried(&mut survey, &state(with_layers(layers)), &make, |_| true);
        shown(&survey.pending[0].fix)
    };
    assert_eq!(left(2), "perhaps: line 2: what make does is not known");
    assert_eq!(left(3), "base debian:12");
    // … and to packages on hold.
    let free = |layers| is_free(&state(with_layers(layers)), &BTreeSet::new(), "curl", "amd64");
    assert!(free(2));
    assert!(!free(3));
}

#[test]
fn apk_leaves_alone_what_is_there() {
    let mut state = state(on_debian());
    state.files.insert("lib/apk/db/installed".to_owned(), Vec::new());
    let mut survey = both();
    judge(&mut survey, &state, &doing("RUN apk add libc6 curl"));
    let fixes: Vec<String> = survey.pending.iter().map(|p| shown(&p.fix)).collect();
    assert_eq!(fixes, ["rebuild", "base debian:12"]);
}

#[test]
fn without_layers_nothing_is_promised() {
    let doing = doing("RUN apt-get install -y vim");
    assert_eq!(
        judged(both(), Lineage::Scratch, &doing),
        "curl perhaps: it was copied from another stage; libc6 perhaps: it was copied from another stage"
    );
    assert_eq!(
        judged(both(), Lineage::Unknown, &doing),
        "curl perhaps: it is not known which layer brought it; libc6 perhaps: it is not known which layer brought it"
    );
}

#[test]
fn an_archive_that_is_not_known_may_change_what_is_done() {
    let mut survey = both();
    survey.unknown = vec![Unknown {
        source: "http://deb.example.org stable".to_owned(),
        why: "it does not answer".to_owned(),
    }];
    assert_eq!(
        judged(survey, on_debian(), &doing("RUN apt-get install -y curl")),
        "curl perhaps: another package source is not known; libc6 base debian:12"
    );
}

#[test]
fn a_new_package_comes_with_what_needs_it() {
    let with = |names: &[(&str, Option<&str>)]| Survey {
        pending: names
            .iter()
            .map(|(name, installed)| pending(name, *installed))
            .collect(),
        ..Survey::default()
    };
    let of_base = with(&[("libc6", Some("1")), ("libnew", None)]);
    let ours = with(&[("curl", Some("1")), ("libnew", None)]);
    let install = doing("RUN apt-get install -y curl");
    assert_eq!(
        judged(of_base.clone(), on_debian(), &install),
        "libc6 base debian:12; libnew base debian:12"
    );
    assert_eq!(
        judged(ours, on_debian(), &install),
        "curl rebuild; libnew perhaps: it comes with an upgrade that needs it"
    );
    assert_eq!(
        judged(of_base.clone(), on_debian(), &doing("RUN apt-get dist-upgrade")),
        "libc6 rebuild; libnew rebuild"
    );
    let mut removing = of_base.clone();
    removing.removals = vec!["old:amd64".to_owned()];
    assert_eq!(
        judged(removing, on_debian(), &doing("RUN apt upgrade")),
        "libc6 perhaps: upgrade leaves out what goes only without another package; \
         libnew perhaps: it comes with an upgrade that needs it"
    );
    assert_eq!(
        judged(of_base, on_debian(), &doing("RUN apt-get upgrade")),
        "libc6 perhaps: apt-get upgrade leaves out what needs a new package; \
         libnew perhaps: it comes with an upgrade that needs it"
    );
}

#[test]
fn news_of_the_same_hour_are_excused() {
    let at = |second| Timestamp::from_second(second).unwrap();
    let after = |newest: Option<i64>| {
        let mut survey = Survey {
            newest: newest.map(at),
            ..both()
        };
        let doing = doing("RUN apt-get install -y curl");
        judge_built(&mut survey, &state(on_debian()), &doing, at(100), &BTreeMap::new());
        shown(&survey.pending[0].fix)
    };
    assert_eq!(after(None), "rebuild");
    assert_eq!(after(Some(99)), "rebuild");
    assert_eq!(
        after(Some(100)),
        "perhaps: its package repository published updates during the run"
    );
}

/// If a build that may do anything did not install an upgrade, that one needs a new base image; an upgrade published
/// during the build may still come.
#[test]
fn what_a_build_did_not_bring_is_out_of_its_reach() {
    let at = |second| Timestamp::from_second(second).unwrap();
    let doing = doing("RUN apt-get update && apt-get install -y curl=1\nRUN make");
    let shown = |survey: &Survey| {
        let one = |p: &PendingPackage| format!("{} {}", p.package, shown(&p.fix));
        survey.pending.iter().map(one).collect::<Vec<_>>().join("; ")
    };
    let mut before = both();
    judge(&mut before, &state(on_debian()), &doing);
    assert_eq!(
        shown(&before),
        "curl perhaps: line 2 pins 1, and a later instruction may override it; \
         libc6 perhaps: line 3: what make does is not known"
    );
    tried(&mut before, &state(on_debian()), &doing, |pending| {
        pending.package == "libc6"
    });
    assert_eq!(
        shown(&before),
        "curl perhaps: line 2 pins 1, and a later instruction may override it; libc6 base debian:12"
    );
    let after = |newest: Option<i64>, gains: &[&str]| {
        let mut survey = Survey {
            newest: newest.map(at),
            ..both()
        };
        let gains = gains.iter().map(|key| ((*key).to_owned(), "2".to_owned())).collect();
        judge_built(&mut survey, &state(on_debian()), &doing, at(100), &gains);
        let perhaps = |it: &PendingPackage| matches!(it.fix, Fix::Perhaps { .. });
        let open: Vec<String> = survey
            .pending
            .iter()
            .filter(|it| perhaps(it))
            .map(freshness::key)
            .collect();
        (open.join(" "), shown(&survey))
    };
    let (open, rendered) = after(Some(99), &[]);
    assert_eq!(
        (open.as_str(), rendered.as_str()),
        ("", "curl pin 1 line 2; libc6 base debian:12")
    );
    assert_eq!(after(Some(101), &["libc6:amd64"]).0, "curl:amd64 libc6:amd64");
    assert_eq!(after(None, &["libc6:amd64"]).0, "curl:amd64");
}

#[test]
fn a_base_with_triggers_may_do_anything() {
    let lineage = Lineage::Base {
        reference: "debian:12".to_owned(),
        layers: 1,
        triggers: true,
    };
    assert_eq!(
        judged(both(), lineage, &doing("RUN apt-get install -y curl")),
        "curl rebuild; libc6 perhaps: the base has ONBUILD instructions, which are not seen"
    );
}

#[test]
fn a_hold_of_the_dockerfile_is_no_obstacle() {
    let free =
        |lineage: Lineage, name: &str, runs: &str| is_free(&state(lineage), &doing(runs).refresh.held, name, "amd64");
    assert!(free(on_debian(), "curl", "RUN true"), "of our own layers");
    assert!(!free(on_debian(), "libc6", "RUN true"), "of the base");
    assert!(free(
        on_debian(),
        "libc6",
        "RUN apt-get -y upgrade && apt-mark hold libc6"
    ));
    assert!(!free(Lineage::Unknown, "curl", "RUN true"), "nobody knows whose it is");
    assert!(!free(on_debian(), "nobody", "RUN true"));
}

#[test]
fn what_is_gone_is_reported_of_the_commit_that_was_looked_at() {
    let gone = vec![UnavailablePin {
        package: "nginx".to_owned(),
        version: "1".to_owned(),
        line: 2,
        available: None,
    }];
    assert_eq!(gone_for_good(gone.clone(), Some("c1"), "c1"), gone);
    assert!(gone_for_good(gone, Some("c1"), "c2").is_empty());
}
