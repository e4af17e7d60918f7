use super::super::parse::parse;
use super::*;

fn bases(text: &str, target: Option<&str>, args: &[(&str, &str)]) -> String {
    let args = args.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let found = match parse(text).and_then(|file| file.external_bases(target, &args)) {
        Ok(found) => found,
        Err(e) => return e.to_string(),
    };
    let line = |b: BaseUse| {
        let platform = b.platform.map(|p| format!(" for {p}")).unwrap_or_default();
        format!("{}: {:?} {}{platform}", b.line, b.via, b.reference)
    };
    found.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn stages_scratch_and_copies() {
    let text = "# comment\nFROM golang:1.22 AS Build\nRUN --mount=type=bind,from=alpine:3,source=/x --mount=type=cache,target=/c make\n\
        FROM node:20 as unused\nFROM scratch\nCOPY --from=build /a /a\nCOPY --chown=1:1 --from=0 /b /b\nCOPY --from=ghcr.io/x/tools@sha256:0000000000000000000000000000000000000000000000000000000000000000 /t /t\n";
    insta::assert_snapshot!(bases(text, None, &[]), @r"
    2: From docker.io/library/golang:1.22
    3: Mount docker.io/library/alpine:3
    8: CopyFrom ghcr.io/x/tools@sha256:0000000000000000000000000000000000000000000000000000000000000000
    ");
    insta::assert_snapshot!(bases(text, Some("UNUSED"), &[]), @"4: From docker.io/library/node:20");
    insta::assert_snapshot!(bases(text, Some("1"), &[]), @"4: From docker.io/library/node:20");
    insta::assert_snapshot!(bases(text, Some("nope"), &[]), @r#"Dockerfile line 5: no stage is called "nope""#);
}

#[test]
fn the_target_s_own_base_comes_last() {
    let text = "FROM debian:12 AS base\nFROM golang AS build\nFROM base AS mid\nCOPY --from=build /a /a\nFROM mid\nCOPY --from=busybox /b /b\n";
    insta::assert_snapshot!(bases(text, None, &[]), @r"
    2: From docker.io/library/golang
    6: CopyFrom docker.io/library/busybox
    1: From docker.io/library/debian:12
    ");
}

#[test]
fn arguments_are_filled_in() {
    let text = "ARG BASE=debian TAG=12\nARG FULL=\"${BASE}:$TAG\"\nFROM --platform=$BUILDPLATFORM $FULL\nARG TAG=inner\nFROM ${OTHER:-alpine}:${TAG}\nFROM ${UNDECLARED}x\n";
    insta::assert_snapshot!(bases(text, Some("0"), &[("BUILDPLATFORM", "linux/arm64")]), @"3: From docker.io/library/debian:12 for linux/arm64");
    insta::assert_snapshot!(bases(text, Some("0"), &[("TAG", "13")]), @"3: From docker.io/library/debian:13");
    insta::assert_snapshot!(bases(text, Some("1"), &[("OTHER", "evil")]), @"5: From docker.io/library/alpine:12");
    insta::assert_snapshot!(bases(text, None, &[("UNDECLARED", "y")]), @"6: From docker.io/library/x");
}

#[test]
fn arguments_cannot_bomb() {
    let mut text = "ARG A0=xxxxxxxxxx\n".to_owned();
    for n in 1..40 {
        text += &format!("ARG A{n}=$A{}$A{}\n", n - 1, n - 1);
    }
    insta::assert_snapshot!(bases(&(text + "FROM $A39\n"), None, &[]), @r#"Dockerfile line 10: "$A8$A8": it grows too long or nests too deep"#);
}

#[test]
fn continuation_comments_and_here_documents() {
    let text = "# escape=`\n\nFROM `  \n# between\n\n  debian:12 `\n  AS x\nRUN <<EOF cat `\n  <<-'TWO'\nFROM not-a-stage\nEOF\nFROM neither\n\t\tTWO\nRUN echo `\n  COPY --from=no\nCOPY --from=alpine <<X /y\nFROM z\nX\n";
    insta::assert_snapshot!(bases(text, None, &[]), @r"
    16: CopyFrom docker.io/library/alpine
    3: From docker.io/library/debian:12
    ");
    insta::assert_snapshot!(bases("FROM a\nRUN x \\\\\nFROM b", None, &[]), @"3: From docker.io/library/b");
    insta::assert_snapshot!(bases("\u{feff}FROM a\r\nRUN cat <<< here $((1<<2))\r\n", None, &[]), @"1: From docker.io/library/a");
    insta::assert_snapshot!(bases("FROM a\nRUN [\"x\", \"<<EOF\"]\nONBUILD COPY --from=later /x /x\n", None, &[]), @"1: From docker.io/library/a");
}

#[test]
fn stages_may_be_cyclic_without_end() {
    let text =
        "FROM a AS one\nCOPY --from=two /x /x\nFROM b AS two\nCOPY --from=one /x /x\nRUN --mount=from=two true\n";
    insta::assert_snapshot!(bases(text, None, &[]), @r"
    1: From docker.io/library/a
    3: From docker.io/library/b
    ");
}

#[test]
fn errors_name_their_line() {
    let long = format!("FROM a\n{}", "#".repeat(5 << 20));
    let table: Vec<String> = [
        "",
        "# only\n",
        "\nRUN x\nFROM a",
        "FROM",
        "FROM a b",
        "FROM a AS",
        "FROM a AS 1x",
        "# escape=x\nFROM a",
        "FROM a\nRUN <<EOF\nx",
        "FROM a\nCOPY --from=$X /a /a",
        "FROM a\nCOPY --from=7 /a /a",
        "ARG X\nFROM $X",
        "FROM ${X",
        "FROM a\n\nFROM UPPER",
        long.as_str(),
    ]
    .iter()
    .map(|text| bases(text, None, &[]))
    .collect();
    insta::assert_snapshot!(table.join("\n"), @r#"
    Dockerfile line 1: there is no FROM
    Dockerfile line 1: there is no FROM
    Dockerfile line 2: RUN comes before the first FROM; only ARG may
    Dockerfile line 1: FROM takes an image and optionally AS and a name
    Dockerfile line 1: FROM takes an image and optionally AS and a name
    Dockerfile line 1: FROM takes an image and optionally AS and a name
    Dockerfile line 1: "1x" cannot be the name of a stage
    Dockerfile line 1: the escape directive must be \ or `, not "x"
    Dockerfile line 2: the here-document "EOF" has no end
    Dockerfile line 2: variables are not filled in here: "$X"; name a stage with FROM instead
    Dockerfile line 2: no stage is called "7"
    Dockerfile line 2: the image name "$X" is empty once its variables are filled in
    Dockerfile line 1: "${X": a brace is not closed
    Dockerfile line 3: "UPPER" is not an image reference: each part of its path is lower-case letters, digits, '.', '_' and '-'
    Dockerfile line 1: the file is larger than 4194304 bytes
    "#);
}

#[test]
fn the_builder_s_own_arguments_and_patterns() {
    let all = |target: Option<&str>, architecture: &str| {
        let platform = lowtide_model::image::Platform {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: None,
        };
        let given = BTreeMap::new();
        let args = crate::dockerfile::platform::arguments(&given, &platform, target);
        let args: Vec<(&str, &str)> = args.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        // In the ways of moby's and BuildKit's own files.
        let text = "# syntax=docker/dockerfile:1\n\
            ARG DEBUG\nARG GO=1.26\n\
            ARG SUPPORTED=${TARGETPLATFORM#linux/amd64}\nARG SUPPORTED=${SUPPORTED:+\"unsupported\"}\nARG SUPPORTED=${SUPPORTED:-\"supported\"}\n\
            FROM --platform=$BUILDPLATFORM golang:${GO%.*}-alpine AS base\n\
            FROM alpine AS delve-supported\n\
            RUN --mount=from=base,src=/x,rw --mount=type=cache,from=,target=/y \\\n    --mount=type=bind,target=. <<EOT\nset -e\nmake \\\nEOT\n\
            FROM scratch AS delve-unsupported\n\
            FROM delve-${SUPPORTED} AS delve\n\
            FROM scratch AS binaries-linux\nCOPY --link --from=delve / /\nCOPY --chmod=755 <<\\EOF /f\nFROM nothing\nEOF\n\
            FROM binaries-$TARGETOS AS binaries\n\
            FROM buildkit-export${DEBUG:+-debug} AS unused\n\
            FROM binaries-${TARGETOS/lin/lin}${DEBUG:+-debug}\nRUN cat << EOF \\\n > /x\nFROM x\nEOF\n";
        bases(text, target, &args)
    };
    insta::assert_snapshot!(all(None, "amd64"), @r"
    1: Frontend docker.io/docker/dockerfile:1
    7: From docker.io/library/golang:1-alpine for linux/amd64
    8: From docker.io/library/alpine
    ");
    insta::assert_snapshot!(all(None, "s390x"), @"1: Frontend docker.io/docker/dockerfile:1");
    insta::assert_snapshot!(all(Some("unused"), "amd64"), @r"
    1: Frontend docker.io/docker/dockerfile:1
    22: From docker.io/library/buildkit-export
    ");
}

#[test]
fn triggers_of_a_stage_need_their_images_in_the_next_one() {
    let text =
        "FROM a AS one\nONBUILD COPY --from=later /x /x\nONBUILD RUN --mount=from=tools <<EOF\nFROM x\nEOF\nFROM one\n";
    insta::assert_snapshot!(bases(text, Some("one"), &[]), @"1: From docker.io/library/a");
    insta::assert_snapshot!(bases(text, None, &[]), @r"
    2: CopyFrom docker.io/library/later
    3: Mount docker.io/library/tools
    1: From docker.io/library/a
    ");
}

#[test]
fn the_frontend_is_known() {
    for (top, expected) in [
        (
            "#syntax = docker/dockerfile:1 with=more",
            "1: Frontend docker.io/docker/dockerfile:1",
        ),
        ("# escape=`\n# syntax=index.docker.io/x/y", "2: Frontend docker.io/x/y"),
        ("#!/usr/bin/env build\n# syntax=x", "2: Frontend docker.io/library/x"),
        ("# a comment\n# syntax=x", ""),
        ("# syntax=dockerfile.v0", ""),
        ("# check=skip=all\n# syntax=x", "2: Frontend docker.io/library/x"),
        (
            "# syntax=x\n# syntax=y",
            "Dockerfile line 2: there is more than one directive syntax",
        ),
        (
            "# syntax=X",
            "Dockerfile line 1: \"X\" is not an image reference: each part of its path is lower-case letters, digits, '.', '_' and '-'",
        ),
    ] {
        assert_eq!(bases(&format!("{top}\nFROM scratch\n"), None, &[]), expected, "{top}");
    }
    let text = "# syntax=x\nFROM scratch\n";
    assert_eq!(
        bases(text, None, &[("BUILDKIT_SYNTAX", "y:1 z")]),
        "1: Frontend docker.io/library/y:1"
    );
    assert_eq!(bases(text, None, &[("BUILDKIT_SYNTAX", "dockerfile.v0")]), "");

    assert_eq!(
        parse("#syntax = docker/dockerfile:1\nFROM a").unwrap().syntax(),
        Some("docker/dockerfile:1")
    );
    assert_eq!(parse("# just=a comment\n# syntax=no\nFROM a").unwrap().syntax(), None);
}
