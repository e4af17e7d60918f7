use super::super::parse::parse;
use super::*;
use proptest::prelude::*;

fn digest() -> ServedDigest {
    format!("sha256:{}", "1".repeat(64)).parse().unwrap()
}

fn pinned_with(text: &str, images: &[&str]) -> String {
    let pins = images.iter().map(|i| (i.parse().unwrap(), digest())).collect();
    let pinned = parse(text).unwrap().pin(text, &BTreeMap::new(), &pins);
    assert_eq!(pinned.lines().count(), text.lines().count());
    pinned.replace(&"1".repeat(64), "1…")
}

#[test]
fn every_word_that_names_a_pinned_image() {
    let text = "ARG V=12\nFROM --platform=linux/amd64 debian:$V AS base # no comment\n";
    assert!(parse(text).is_err());
    let text = "ARG V=12\nfrom   debian:$V   AS base\nFROM \"alpine\" AS alpine\nCOPY --from=busybox:1  /a /a\nCOPY --from=base /b /b\n\
        RUN --mount=type=bind,from=busybox:1,target=/x \\\n  --mount=type=bind,\"from=other\" true\nFROM alpine\nFROM nope\nCOPY --from=\"busybox:1\" a b\n";
    insta::assert_snapshot!(pinned_with(text, &["debian:12", "alpine", "busybox:1", "other"]), @r#"
    ARG V=12
    from   docker.io/library/debian:12@sha256:1…   AS base
    FROM docker.io/library/alpine@sha256:1… AS alpine
    COPY --from=busybox:1@sha256:1…  /a /a
    COPY --from=base /b /b
    RUN --mount=type=bind,from=busybox:1@sha256:1…,target=/x \
      --mount=type=bind,"from=other@sha256:1…" true
    FROM alpine
    FROM nope
    COPY --from="busybox:1@sha256:1…" a b
    "#);
}

#[test]
fn the_frontend_is_pinned_like_a_base() {
    let text = "# syntax = docker/dockerfile:1 x\r\n# escape=`\nFROM docker.io/debian\nFROM index.docker.io/a/b AS c\n\
        ONBUILD COPY --from=busybox:1 a b\nCOPY --from=busybox:1,x a b\n";
    insta::assert_snapshot!(pinned_with(text, &["docker/dockerfile:1", "debian", "a/b", "busybox:1"]).replace('\r', ""), @r"
    # syntax = docker/dockerfile:1@sha256:1… x
    # escape=`
    FROM docker.io/debian@sha256:1…
    FROM index.docker.io/a/b@sha256:1… AS c
    ONBUILD COPY --from=busybox:1@sha256:1… a b
    COPY --from=busybox:1,x a b
    ");
    let args = [
        ("BUILDKIT_SYNTAX".to_owned(), "docker/dockerfile:1 x".to_owned()),
        ("A".to_owned(), "debian".to_owned()),
    ]
    .into();
    let pins = [
        ("docker/dockerfile:1".parse().unwrap(), digest()),
        ("debian".parse().unwrap(), digest()),
    ]
    .into();
    let pinned = pinned_args(&args, &pins);
    assert_eq!(pinned["BUILDKIT_SYNTAX"], format!("docker/dockerfile:1@{} x", digest()));
    assert_eq!(pinned["A"], "debian");
}

#[test]
fn a_digest_of_the_author_s_stays() {
    let text = format!("FROM debian:12@sha256:{}\n", "2".repeat(64));
    let pins = [("debian:12".parse().unwrap(), digest())].into();
    assert_eq!(parse(&text).unwrap().pin(&text, &BTreeMap::new(), &pins), text);
}

#[test]
fn a_word_broken_over_lines_preserves_the_line_count() {
    insta::assert_snapshot!(pinned_with("FROM d\\\ne\\\n# odd\nbian:12\nRUN y\n", &["debian:12"]), @r"
    FROM \
    \
    # odd
    debian:12@sha256:1…
    RUN y
    ");
}

/// Lines as Dockerfiles have them, in any order and broken anywhere.
fn dockerfile() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "FROM a",
        "FROM b:1 AS c",
        "from $X",
        "FROM deb\\\nian",
        "ARG X=y",
        "ARG X",
        "RUN <<E",
        "E",
        "COPY --from=d x y",
        "COPY --from=c x y",
        "RUN --mount=from=e,type=bind x",
        "RUN \\",
        "# escape=`",
        "`",
        "# x",
        "# syntax=f",
        "ONBUILD COPY --from=g x y",
        "RUN << E",
        "FROM ${A#b}c",
        "",
        "\t",
        "\\",
        "'",
        "\"",
        "${",
        "\u{feff}",
        "é",
    ]);
    prop::collection::vec((piece, prop::sample::select(vec!["\n", "\r\n", " ", "", "\n"])), 0..14)
        .prop_map(|pieces| pieces.into_iter().flat_map(|(a, b)| [a, b]).collect())
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".*") {
        let _ = parse(&text).map(|f| f.external_bases(None, &BTreeMap::new()));
    }

    #[test]
    fn no_pins_change_nothing(text in dockerfile()) {
        if let Ok(file) = parse(&text) {
            let _ = file.external_bases(None, &BTreeMap::new());
            prop_assert_eq!(file.pin(&text, &BTreeMap::new(), &BTreeMap::new()), text);
        }
    }

    /// What is pinned reads as the same file: same stages, same lines, digests added.
    #[test]
    fn pinned_is_the_same_file(text in dockerfile()) {
        let args = BTreeMap::new();
        let Ok(file) = parse(&text) else { return Ok(()) };
        let Ok(bases) = file.external_bases(None, &args) else { return Ok(()) };
        let pins = bases.iter().map(|b| (b.reference.clone(), digest())).collect();
        let pinned = file.pin(&text, &args, &pins);
        let again = parse(&pinned).unwrap().external_bases(None, &args).unwrap();
        prop_assert_eq!(pinned.matches('\n').count(), text.matches('\n').count());
        prop_assert_eq!(bases.len(), again.len());
        for (before, after) in bases.iter().zip(&again) {
            prop_assert_eq!(before.line, after.line);
            prop_assert_eq!(&after.reference.digest, &Some(digest()));
            prop_assert_eq!(&before.reference.repository, &after.reference.repository);
        }
    }
}
