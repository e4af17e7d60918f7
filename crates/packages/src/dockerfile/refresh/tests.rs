use crate::dockerfile::parse::parse;
use lowtide_model::package_state::{Refresh, Upgrades};
use proptest::prelude::*;
use std::collections::BTreeMap;

mod shapes;

fn refreshed(dockerfile: &str, target: Option<&str>, args: &[(&str, &str)]) -> Refresh {
    let args = args.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    parse(dockerfile).unwrap().refresh(target, &args).unwrap()
}

/// `upgrade`, `newest a b`, `perhaps c`, `pin d=1`, `held e`, `install`; `?` and the reason where not all is understood.
fn rendered(refresh: &Refresh) -> String {
    let mut parts = Vec::new();
    match refresh.upgrades {
        Upgrades::None => {}
        Upgrades::WithoutNew => parts.push("upgrade without new".to_owned()),
        Upgrades::WithoutRemovals => parts.push("upgrade without removals".to_owned()),
        Upgrades::All => parts.push("upgrade".to_owned()),
    }
    let names = |what: &str, names: &std::collections::BTreeSet<String>| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        (!names.is_empty()).then(|| format!("{what} {}", names.join(" ")))
    };
    parts.extend(names("newest", &refresh.newest));
    parts.extend(names("perhaps", &refresh.perhaps));
    for (name, pinned) in &refresh.pinned {
        let mark = match (&pinned.version, pinned.sure && pinned.last) {
            (Some(_), true) => "",
            (Some(_), false) => " perhaps",
            (None, _) => " unknown",
        };
        parts.push(format!("pin {name}={}{mark}", pinned.written));
    }
    parts.extend(names("held", &refresh.held));
    if refresh.installs && refresh.newest.is_empty() && refresh.pinned.is_empty() {
        parts.push("install".to_owned());
    }
    parts.extend(refresh.doubts.first().map(|doubt| format!("? {}", doubt.why)));
    if parts.is_empty() {
        "-".to_owned()
    } else {
        parts.join(", ")
    }
}

fn run(lines: &str) -> String {
    rendered(&refreshed(&format!("FROM debian\n{lines}\n"), None, &[]))
}

#[test]
fn arguments_and_environment_are_filled_in() {
    for (lines, expected) in [
        (
            "ARG PKGS=\"frbase frvar\"\nRUN apt-get update && apt-get install -y $PKGS",
            "newest frbase frvar",
        ),
        ("ENV P=a,b\nRUN apt-get install -y ${P%,*} \"${P#a,}\"", "newest a b"),
        (
            "ENV V 1.0-1\nRUN apt-get install -y frtool frpin=${V}",
            "newest frtool, pin frpin=1.0-1",
        ),
        ("ARG V=1\nENV V=2\nARG V=3\nRUN apt-get install -y p=$V", "pin p=2"),
        ("ARG V\nRUN apt-get install -y p=${V}", "pin p=… unknown"),
        ("ARG V\nRUN apt-get install -y p=${V:-2}", "pin p=… unknown"),
        ("ENV E=\nRUN apt-get install -y p=${E:-2} q${E:+x}", "newest q, pin p=2"),
        ("RUN V=1.0 && apt-get install -y p=$V", "pin p=1.0"),
        ("RUN V=$(cat /v) && apt-get install -y p=$V", "pin p=… unknown"),
        (
            "RUN V=1; if x; then V=2; fi; apt-get install -y p=$V",
            "pin p=… unknown, ? what x does is not known",
        ),
        ("RUN export V=1.0; apt-get install -y p=\"$V\"-1", "pin p=1.0-1"),
        ("RUN sh -c 'apt-get install -y p=$V'", "pin p=… unknown"),
        ("RUN V=1 sh -c 'apt-get install -y p=$V'", "pin p=1"),
        ("RUN V=1; sh -c 'apt-get install -y p=$V'", "pin p=… unknown"),
        ("RUN env V=1 sh -c 'apt-get install -y p=$V'", "pin p=1"),
        (
            "RUN apt-get install -y $UNSET",
            "? it is not known which packages are installed",
        ),
        (
            "RUN apt-get install -y linux-$(uname -r)",
            "? it is not known which packages are installed",
        ),
        (
            "ARG DEBIAN_FRONTEND=noninteractive\nRUN apt-get install -y a",
            "newest a",
        ),
        ("ENV A=$B\nRUN apt-get install -y p=$A", "pin p=… unknown"),
        (
            "RUN IFS=,; P=a,b; apt-get install -y $P",
            "? it is not known which packages are installed",
        ),
    ] {
        assert_eq!(run(lines), expected, "{lines}");
    }
    let file = "ARG V=1\nARG PKGS\nFROM debian\nARG V\nARG PKGS=x\nRUN apt-get install -y p=$V $PKGS\n";
    assert_eq!(rendered(&refreshed(file, None, &[])), "newest x, pin p=1");
    assert_eq!(
        rendered(&refreshed(file, None, &[("V", "2"), ("PKGS", "y z")])),
        "newest y z, pin p=2"
    );
    let automatic = "FROM debian\nARG TARGETARCH\nRUN apt-get install -y p-$TARGETARCH\n";
    assert_eq!(
        rendered(&refreshed(automatic, None, &[("TARGETARCH", "arm64")])),
        "newest p-arm64"
    );
}

#[test]
fn stages_below_the_target_count_in_their_order() {
    let file = "FROM debian AS base\nENV V=1\nRUN apt-get install -y a=1\nSHELL [\"/bin/bash\", \"-euc\"]\n\
        FROM debian AS tools\nRUN apt-get -y dist-upgrade\n\
        FROM base AS last\nCOPY --from=tools /x /x\nRUN apt-get install -y b=$V a=2; true\n";
    assert_eq!(rendered(&refreshed(file, None, &[])), "pin a=2, pin b=1");
    assert_eq!(rendered(&refreshed(file, Some("tools"), &[])), "upgrade");
    assert_eq!(rendered(&refreshed(file, Some("base"), &[])), "pin a=1");
}

#[test]
fn triggers_of_a_stage_run_in_the_next_one() {
    let file =
        "FROM debian AS base\nONBUILD RUN apt-get -y dist-upgrade\nFROM base AS mid\nRUN true\nFROM mid\nRUN true\n";
    assert_eq!(rendered(&refreshed(file, Some("base"), &[])), "-");
    assert_eq!(rendered(&refreshed(file, Some("mid"), &[])), "upgrade");
    assert_eq!(rendered(&refreshed(file, None, &[])), "upgrade");
}

#[test]
fn what_is_not_read_takes_back_what_was_sure_before_it() {
    assert_eq!(
        run("RUN make\nRUN apt-get -y dist-upgrade"),
        "upgrade, ? what make does is not known"
    );
    assert_eq!(
        run("RUN apt-get -y dist-upgrade\nRUN make"),
        "? what make does is not known"
    );
    assert_eq!(
        run("RUN apt-get install -y a b=1\nRUN make\nRUN apt-get install -y c"),
        "newest c, perhaps a, pin b=1 perhaps, ? what make does is not known"
    );
}

#[test]
fn a_run_costs_no_more_than_it_should() {
    let nested = "for a in 1 2 3 4 5 6 7 8 9; do ".repeat(9) + "apt-get -y upgrade" + &"; done".repeat(9);
    assert_eq!(run(&format!("RUN {nested}")), "? an upgrade is not sure to happen");
    let calls: String = (0..30).map(|n| format!("f{n}() {{ f{0}; f{0}; }}; ", n + 1)).collect();
    assert!(run(&format!("RUN {calls} f0")).contains('?'));
    let doubled: String = (0..40).map(|_| "A=$A$A; ").collect();
    assert!(run(&format!("RUN A=xxxx; {doubled} apt-get install -y $A")).contains('?'));
    assert!(run("RUN sh -c \"$(cat /x)\"").contains('?'));
}

/// Commands of which nothing is known.
fn unknown() -> impl Strategy<Value = String> {
    let program = prop::sample::select(vec![
        "make",
        "./up.sh",
        "/up.sh",
        "$UP",
        "eval \"$X\"",
        ". /x",
        "sh /x.sh",
        "bash -s",
        "xargs apt-get install -y",
        "perl -e 1",
        "curl x | sh",
        "$(x)",
        "apt-get $X",
        "apt-get --odd upgrade",
        "python3 x.py",
        "dpkg -i /x.deb",
        "apt-get install -y ./x.deb",
        "find / -exec x {} +",
    ]);
    let around = prop::sample::select(vec![
        "@",
        "true && @",
        "@ || true",
        "if true; then @; fi",
        "for x in a; do @; done",
        "f() { @; }; f",
        "(@)",
        "{ @; }",
        "! @",
        "@ | cat",
        "x=$(@)",
        "timeout 5 @",
        "env A=b @",
        "sh -c '@'",
        "while true; do @; done",
        "case a in b) @;; esac",
        "echo `@`",
    ]);
    (program, around).prop_map(|(program, around)| around.replace('@', program))
}

proptest! {
    /// Whatever stands before it, an unknown command at the end leaves nothing sure.
    #[test]
    fn unknown_text_is_never_certain(before in 0..4_usize, text in unknown()) {
        let before = ["", "RUN apt-get -y dist-upgrade", "RUN apt-get install -y a b=1", "RUN apk upgrade"][before];
        let refresh = refreshed(&format!("FROM debian\n{before}\nRUN {text}\n"), None, &[]);
        prop_assert!(!refresh.doubts.is_empty(), "{}", rendered(&refresh));
        prop_assert_eq!(refresh.upgrades, Upgrades::None);
        prop_assert!(refresh.newest.is_empty());
        prop_assert!(refresh.pinned.values().all(|pinned| !pinned.last));
    }

    #[test]
    fn any_run_is_judged(text in "[ -~\n]{0,50}") {
        if let Ok(file) = parse(&format!("FROM debian\nRUN {}\n", text.replace('\n', "\\\n"))) {
            let _ = file.refresh(None, &BTreeMap::new());
        }
    }

    #[test]
    fn any_word_is_no_promise(word in "[a-z./-]{1,12}") {
        let known = ["apt", "apk", "dpkg", "sh"].iter().any(|name| word.contains(name));
        let refresh = refreshed(&format!("FROM debian\nRUN {word}\n"), None, &[]);
        prop_assert!(known || refresh.upgrades == Upgrades::None && refresh.newest.is_empty());
    }
}
