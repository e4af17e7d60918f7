//! The configuration broken on purpose: what a person sees. Every problem code occurs.

mod commands;
mod encrypted;
mod ends;
mod engines;
mod followed;
mod halts;
mod keys;
mod machine;
mod pages;
mod references;
mod registries;
mod routers;
mod secrets;
mod tests;
mod values;
mod webhooks;
mod windows;

use commands::COMMANDS;
use encrypted::ENCRYPTED;
use ends::ENDS;
use engines::ENGINES;
use followed::FOLLOWED;
use keys::KEYS;
use lowtide::config::validate;
use lowtide::yaml::diagnostic::{CODES, terminal};
use pages::PAGES;
use references::REFERENCES;
use registries::{MIRRORS, REGISTRIES};
use routers::ROUTERS;
use secrets::SECRETS;
use std::collections::BTreeSet;
use tests::TESTS;
use values::VALUES;

fn report(text: &str) -> String {
    terminal("lowtide.yml", text, &validate::fleet(text.as_bytes()).unwrap_err())
}

const SYNTAX: &str = "version: 1\napps:\n  web:\n    source: { repo: \"https://git.example.org/web.git }\n";

#[test]
fn what_is_not_yaml() {
    insta::assert_snapshot!(report(SYNTAX), @r#"
    syntax

      × this is not YAML: while scanning a quoted scalar, found unexpected end of stream
       ╭─[lowtide.yml:4:21]
     3 │   web:
     4 │     source: { repo: "https://git.example.org/web.git }
       ·                     ─
       ╰────
      help: look at this line and the one before: indentation, a missing colon or space after it, an open quote
            or bracket

    lowtide.yml: 1 problem. The configuration is not used.
    "#);
    insta::assert_snapshot!(report("version: 1\napps:\n\tweb: 1\n"), @r#"
    syntax

      × this is not YAML: tabs disallowed within this context (block indentation)
       ╭─[lowtide.yml:3:2]
     2 │ apps:
     3 │     web: 1
       ·     ─
       ╰────
      help: look at this line and the one before: indentation, a missing colon or space after it, an open quote
            or bracket

    lowtide.yml: 1 problem. The configuration is not used.
    "#);
    insta::assert_snapshot!(report("version: 1\n---\nversion: 1\n"), @r#"
    several-documents

      × the file holds more than one YAML document
       ╭─[lowtide.yml:2:1]
     1 │ version: 1
     2 │ ---
       · ───
     3 │ version: 1
       ╰────
      help: take out the `---`

    lowtide.yml: 1 problem. The configuration is not used.
    "#);
    insta::assert_snapshot!(report("version: 1\nenv: { A: {{ name }} }\n"), @r#"
    key-not-text

      × a key must be text, not a list or a map
       ╭─[lowtide.yml:2:12]
     1 │ version: 1
     2 │ env: { A: {{ name }} }
       ·            ──
       ╰────
      help: does a template like `{{ name }}` stand here? Quote it

    lowtide.yml: 1 problem. The configuration is not used.
    "#);
    insta::assert_snapshot!(report("# nothing\n"), @r#"
    empty

      × the file says nothing
      help: a configuration starts with `version: 1`

    lowtide.yml: 1 problem. The configuration is not used.
    "#);
    insta::assert_snapshot!(report("- version: 1\n"), @r#"
    wrong-type

      × the configuration must be a map of keys, not a list
       ╭─[lowtide.yml:1:1]
     1 │ - version: 1
       · ─
       ╰────
      help: take the `- ` off: keys stand by themselves

    lowtide.yml: 1 problem. The configuration is not used.
    "#);
    insta::assert_snapshot!(report("%YAML 2.0\n---\nversion: 1\n"), @r#"
    readers-disagree

      × two YAML readers understand this text differently, so neither is trusted
       ╭─[lowtide.yml:1:1]
     1 │ %YAML 2.0
       · ─
     2 │ ---
       ╰────
      help: write it more plainly: quote texts, one key a line, no anchors

    lowtide.yml: 1 problem. The configuration is not used.
    "#);
}

#[test]
fn columns_count_characters() {
    let text = "version: 1\napps: { wéb日: { sorce: {} } }\n";
    assert!(report(text).contains("[lowtide.yml:2:17]"), "{}", report(text));
}

#[test]
fn every_code_occurs_here_and_no_other() {
    let many: String = (0..200).map(|n| format!("k{n}: 1\n")).collect();
    let bomb = format!("a: &a x\nb: [{}]\n", "*a, ".repeat(300));
    let deep = "[".repeat(100);
    let twins = "version: 1\napps: { a: { source: { repo: git@x.org:a }, publish: { image: x/y, channels: [] }, rollout: [ { container: { name: c }, name: n }, { container: { name: d }, name: n } ] } }";
    let texts = [
        KEYS,
        SECRETS,
        ENCRYPTED,
        VALUES,
        REFERENCES,
        ROUTERS,
        COMMANDS,
        TESTS,
        ENDS,
        ENGINES,
        FOLLOWED,
        MIRRORS,
        PAGES,
        REGISTRIES,
        SYNTAX,
        &many,
        &bomb,
        &deep,
        twins,
        "",
        "? [a]\n: b",
        "a: 1\n---\nb: 1",
        "%YAML 2.0\n---\nversion: 1\napps: { a: { source: { repo: git@x.org:a } } }",
        "a: \x07",
    ];
    let large = vec![b'a'; 2 << 20];
    let inputs = texts
        .iter()
        .map(|text| text.as_bytes())
        .chain([large.as_slice(), b"\xff"]);
    let seen: BTreeSet<&str> = inputs
        .flat_map(|bytes| validate::fleet(bytes).unwrap_err())
        .map(|p| p.code)
        .collect();
    // No text alone lacks a secret, and a window is a warning: these codes are told by `check`, in tests/it/cli.rs.
    let known = CODES
        .iter()
        .map(|(code, _)| *code)
        .filter(|code| !["missing-secret", "window-never-opens", "window-too-short"].contains(code));
    assert_eq!(seen, known.collect::<BTreeSet<&str>>());
}
