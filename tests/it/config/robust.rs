//! Files that are no configuration are refused fast, by name; nothing panics.

use lowtide::config::validate;
use lowtide::yaml::age::Beside;
use lowtide::yaml::diagnostic::{json, markdown, sarif, terminal};
use proptest::prelude::*;
use std::time::{Duration, Instant};

fn refused(bytes: &[u8]) -> String {
    let started = Instant::now();
    let problems = validate::fleet(bytes).unwrap_err();
    // Debug build on a busy machine; the point is that nothing grows with what the file would expand to.
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    problems[0].code.to_owned()
}

#[test]
fn hostile_files_are_refused_fast() {
    assert_eq!(refused(&vec![b'a'; 10 << 20]), "too-large");
    assert_eq!(refused(b"\x7fELF\x02\x01\x01\0\0"), "binary");
    assert_eq!(refused(b"version: 1\nname: \x1b[31mred"), "binary");
    assert_eq!(refused(b"version: \xff"), "not-utf8");
    assert_eq!(refused("[".repeat(1 << 20).as_bytes()), "too-deep");
    assert_eq!(refused(format!("a: {}", "{b: ".repeat(100_000)).as_bytes()), "too-deep");
    let deep: String = (0..700).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
    assert_eq!(refused(deep.as_bytes()), "too-deep");
    assert_eq!(refused("- ".repeat(500_000).as_bytes()), "too-deep");
}

#[test]
fn an_anchor_bomb_is_refused_fast() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..10 {
        let aliases = vec![format!("*a{}", n - 1); 9].join(", ");
        bomb.push_str(&format!("a{n}: &a{n} [{aliases}]\n"));
    }
    assert_eq!(refused(bomb.as_bytes()), "too-many-aliases");
    let many = format!("a: &a x\nb: [{}]\n", "*a, ".repeat(200_000));
    assert_eq!(refused(many.as_bytes()), "too-many-aliases");
    assert_eq!(refused(b"a: &a [*a]"), "syntax");
}

#[test]
fn a_file_of_nothing_but_mistakes_is_cut() {
    let text: String = (0..5_000).map(|n| format!("k{n}: 1\n")).collect();
    let problems = validate::fleet(text.as_bytes()).unwrap_err();
    assert_eq!(problems.len(), 101);
    assert_eq!(problems[100].code, "too-many-problems");
    assert!(terminal("x", &text, &problems).contains("4902 more problems"));
}

#[test]
fn anchors_and_aliases_work_within_reason() {
    let text = "version: 1\napps:\n  a: &a\n    source: { repo: \"https://x.example.org/a.git\" }\n  b: *a\n";
    assert_eq!(validate::fleet(text.as_bytes()).unwrap().apps.len(), 2);
}

#[test]
fn a_thousand_apps_are_read_in_a_moment() {
    let mut text =
        "version: 1\nprofiles: { p: { env: { A: b }, window: { from: \"03:00\", to: \"05:00\" } } }\napps:\n"
            .to_owned();
    for n in 0..1_000 {
        text.push_str(&format!(
            "  app{n}:\n    profile: p\n    source: {{ repo: \"https://git.example.org/{n}.git\" }}\n    rollout: [ {{ container: {{ name: c{n} }} }} ]\n"
        ));
    }
    let started = Instant::now();
    assert_eq!(validate::fleet(text.as_bytes()).unwrap().apps.len(), 1_000);
    // A debug build is some twenty times slower than a release.
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

fn everything(bytes: &[u8]) {
    if let Err(problems) = validate::fleet_with_provenance(bytes, &Beside::new(), &|_| true) {
        let text = String::from_utf8_lossy(bytes);
        assert!(!problems.is_empty());
        assert!(!terminal("f", &text, &problems).is_empty());
        assert!(!markdown("f", &text, &problems).is_empty());
        assert!(json("f", &problems)["problems"].is_array());
        assert!(sarif("f", &problems, &[])["runs"].is_array());
    }
}

/// Text that is nearly a configuration: lines of the example, shuffled, cut and mixed with YAML's special characters.
fn nearly() -> impl Strategy<Value = String> {
    let lines: Vec<String> = include_str!("../../../config.example.yml")
        .lines()
        .map(str::to_owned)
        .collect();
    let odd = prop::sample::select(vec![
        "- ",
        "? ",
        ": ",
        "{",
        "}",
        "[",
        "]",
        "&a ",
        "*a",
        "!!x ",
        "|\n",
        ">\n",
        "\"",
        "'",
        "é日",
        "\t",
        "---\n",
        "%YAML 1.1\n",
        "<<: ",
        "#",
        "~",
        "\r\n",
    ]);
    let line = (prop::sample::select(lines), 0..80_usize, odd).prop_map(|(line, cut, odd)| {
        let at = line.char_indices().nth(cut).map_or(line.len(), |(at, _)| at);
        if cut % 3 == 0 {
            format!("{}{odd}{}\n", &line[..at], &line[at..])
        } else {
            format!("{line}\n")
        }
    });
    prop::collection::vec(line, 1..40).prop_map(|lines| format!("version: 1\n{}", lines.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        everything(&bytes);
    }

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,300}") {
        everything(text.as_bytes());
    }

    #[test]
    fn what_is_nearly_a_configuration_never_panics(text in nearly()) {
        everything(text.as_bytes());
    }
}
