use super::report;

pub(super) const FOLLOWED: &str = r#"version: 1
profiles:
  tested:
    test:
      compose: {}
  pushed:
    publish: { image: ghcr.io/example/web, tag: "{date}.{run}-{commit}" }
apps:
  both:
    source: { repo: "https://git.example.org/a.git", branch: main, image: postgres, tags: "16.*" }
  built:
    source:
      image: postgres
      tags: "16.*"
      tag: "16"
      context: docker
      username: bot
      token: { env: HUB }
    build: { pull: false }
    repository_file: {}
  stack:
    profile: tested
    source: { image: postgres, tags: "16.*" }
  copies:
    source: { image: postgres, tags: "16.*" }
    test:
      matrix: [ { A: "1" }, { A: "2" } ]
      steps:
        - copy: { from: a.sql, to: /a.sql }
        - copy: { from: /var/log/a.log, to: a.log }
  ours:
    source: { repo: "https://git.example.org/b.git", tags: "1.*", min_age: 1d, host: local }
    publish: { image: ghcr.io/example/ours, tag: "{tag}-{run}" }
  template:
    profile: pushed
    source: { image: postgres, tags: "16.*" }
  moving:
    source: { image: postgres, tags: "16.*" }
    publish: { image: ghcr.io/example/moving, tag: "{tag}" }
"#;

#[test]
fn keys_of_the_other_kind_of_image() {
    insta::assert_snapshot!(report(FOLLOWED), @r#"
    not-for-followed

      × `test.compose` reads files of a repository, and an app with `source.image` has none
       ╭─[lowtide.yml:5:7]
     4 │     test:
     5 │       compose: {}
       ·       ───────
     6 │   pushed:
       ╰────
      help: describe the containers beside the image in `test.sidecars`
      ☞ others build this image
        ╭─[lowtide.yml:23:15]
     22 │     profile: tested
     23 │     source: { image: postgres, tags: "16.*" }
        ·               ─────
     24 │   copies:
        ╰────

    bad-tag

      × `{commit}` is not a variable of the tag of an image that others build
       ╭─[lowtide.yml:7:49]
     6 │   pushed:
     7 │     publish: { image: ghcr.io/example/web, tag: "{date}.{run}-{commit}" }
       ·                                                 ────────────────────────
     8 │ apps:
       ╰────
      help: the variables are `{date}`, `{run}`, `{tag}`, `{digest}` and `{app}`; an app can have a
            `publish.tag` of its own
      ☞ others build this image
        ╭─[lowtide.yml:36:15]
     35 │     profile: pushed
     36 │     source: { image: postgres, tags: "16.*" }
        ·               ─────
     37 │   moving:
        ╰────

    one-of

      × `source.repo` and `source.image` exclude each other
        ╭─[lowtide.yml:10:68]
      9 │   both:
     10 │     source: { repo: "https://git.example.org/a.git", branch: main, image: postgres, tags: "16.*" }
        ·               ──┬─                                                 ──┬──
        ·                 │                                                    ╰── here
        ·                 ╰── and here
     11 │   built:
        ╰────
      help: keep one of the two

    not-for-followed

      × `source.tag` is for images that lowtide builds
        ╭─[lowtide.yml:15:12]
     14 │       tags: "16.*"
     15 │       tag: "16"
        ·            ────
     16 │       context: docker
        ╰────
      help: `tags` says which tags of the image are taken

    not-for-followed

      × `source.context` is for images that lowtide builds
        ╭─[lowtide.yml:16:16]
     15 │       tag: "16"
     16 │       context: docker
        ·                ──────
     17 │       username: bot
        ╰────
      help: take it out: others build the image in `source.image`

    not-for-followed

      × `source.username` is for images that lowtide builds
        ╭─[lowtide.yml:17:17]
     16 │       context: docker
     17 │       username: bot
        ·                 ───
     18 │       token: { env: HUB }
        ╰────
      help: the credential for a registry stands under `registries`

    not-for-followed

      × `source.token` is for images that lowtide builds
        ╭─[lowtide.yml:18:7]
     17 │       username: bot
     18 │       token: { env: HUB }
        ·       ─────
     19 │     build: { pull: false }
        ╰────
      help: the credential for a registry stands under `registries`

    not-for-followed

      × `build` is for images that lowtide builds
        ╭─[lowtide.yml:19:5]
     18 │       token: { env: HUB }
     19 │     build: { pull: false }
        ·     ─────
     20 │     repository_file: {}
        ╰────
      help: take it out; the host that tests the image is `source.host`

    not-for-followed

      × `repository_file` is for images that lowtide builds
        ╭─[lowtide.yml:20:5]
     19 │     build: { pull: false }
     20 │     repository_file: {}
        ·     ───────────────
     21 │   stack:
        ╰────
      help: take it out: others build the image in `source.image`

    not-for-followed

      × a `copy` into a container takes a file of a repository, and an app with `source.image` has none
        ╭─[lowtide.yml:29:11]
     24 │   copies:
     25 │     source: { image: postgres, tags: "16.*" }
        ·               ──┬──
        ·                 ╰── others build this image
     26 │     test:
     27 │       matrix: [ { A: "1" }, { A: "2" } ]
     28 │       steps:
     29 │         - copy: { from: a.sql, to: /a.sql }
        ·           ──┬─
        ·             ╰── here
     30 │         - copy: { from: /var/log/a.log, to: a.log }
        ╰────
      help: write the file in an `exec` step; `copy` out of a container is possible

    not-for-followed

      × `source.tags` is for images that others build
        ╭─[lowtide.yml:32:60]
     31 │   ours:
     32 │     source: { repo: "https://git.example.org/b.git", tags: "1.*", min_age: 1d, host: local }
        ·                                                            ─────
     33 │     publish: { image: ghcr.io/example/ours, tag: "{tag}-{run}" }
        ╰────
      help: for a tag of git write `tag`; to follow an image write `image` in the place of `repo`

    not-for-followed

      × `source.min_age` is for images that others build
        ╭─[lowtide.yml:32:76]
     31 │   ours:
     32 │     source: { repo: "https://git.example.org/b.git", tags: "1.*", min_age: 1d, host: local }
        ·                                                                            ──
     33 │     publish: { image: ghcr.io/example/ours, tag: "{tag}-{run}" }
        ╰────
      help: take it out, or write `image` in the place of `repo`

    not-for-followed

      × `source.host` is for images that others build
        ╭─[lowtide.yml:32:86]
     31 │   ours:
     32 │     source: { repo: "https://git.example.org/b.git", tags: "1.*", min_age: 1d, host: local }
        ·                                                                                      ─────
     33 │     publish: { image: ghcr.io/example/ours, tag: "{tag}-{run}" }
        ╰────
      help: the host that builds and tests is `build.host`

    bad-tag

      × `{tag}` is not a variable of the tag of an image that lowtide builds
        ╭─[lowtide.yml:33:50]
     32 │     source: { repo: "https://git.example.org/b.git", tags: "1.*", min_age: 1d, host: local }
     33 │     publish: { image: ghcr.io/example/ours, tag: "{tag}-{run}" }
        ·                                                  ──────────────
     34 │   template:
        ╰────
      help: the variables are `{date}`, `{run}`, `{commit}`, `{branch}` and `{app}`

    bad-tag

      × the tag `{tag}` would be the same for two runs
        ╭─[lowtide.yml:39:52]
     38 │     source: { image: postgres, tags: "16.*" }
     39 │     publish: { image: ghcr.io/example/moving, tag: "{tag}" }
        ·                                                    ────────
        ╰────
      help: put `{digest}` into it: the tag of others may move, and ours never does

    lowtide.yml: 15 problems. The configuration is not used.
    "#);
}

const TAGS: &str = r#"version: 1
apps:
  none:
    source: { image: docker.io/library/postgres }
  imageless:
    source: { tags: "16.*" }
  tagged:
    source: { image: "postgres:16", tags: "16.*" }
  shapeless:
    source: { image: [postgres], tags: "16.*" }
  cut:
    source: { image: postgres, tags: "2024*", min_age: 3, host: nowhere }
  words:
    source: { image: postgres, tags: 16.1 16.2 }
  operator:
    source: { image: postgres, tags: ">=x" }
  stars:
    source: { image: postgres, tags: 16.*.* }
  shapes:
    source: { image: postgres, tags: "16.* 17.*" }
  range:
    source: { image: postgres, tags: ">=17 <16" }
  groupless:
    source: { image: postgres, tags: '/^16\.\d+$/' }
  open:
    source: { image: postgres, tags: "/^(16/" }
  path:
    source: { image: postgres, tags: library/16 }
  empty:
    source: { image: postgres, tags: " " }
  list:
    source: { image: postgres, tags: ["16.*", "17.*"] }
"#;

#[test]
fn rules_of_tags() {
    insta::assert_snapshot!(report(TAGS), @r#"
    missing-key

      × `apps.none.source` has no `tags`
       ╭─[lowtide.yml:4:5]
     3 │   none:
     4 │     source: { image: docker.io/library/postgres }
       ·     ──────
     5 │   imageless:
       ╰────
      help: write `tags: "16.*"`, or one tag to follow: `tags: latest`

    missing-key

      × `apps.imageless.source` has no `image`
       ╭─[lowtide.yml:6:5]
     5 │   imageless:
     6 │     source: { tags: "16.*" }
       ·     ──────
     7 │   tagged:
       ╰────
      help: write `source: { image: docker.io/library/postgres, tags: "16.*" }`

    bad-image

      × `postgres:16` is not an image repository: a repository carries no tag and no digest
       ╭─[lowtide.yml:8:22]
     7 │   tagged:
     8 │     source: { image: "postgres:16", tags: "16.*" }
       ·                      ─────────────
     9 │   shapeless:
       ╰────
      help: take it off: `tags` says which tags are taken

    wrong-type

      × `apps.shapeless.source.image` must be text, not a list
        ╭─[lowtide.yml:10:15]
      9 │   shapeless:
     10 │     source: { image: [postgres], tags: "16.*" }
        ·               ─────
     11 │   cut:
        ╰────
      help: take the `- ` off: keys stand by themselves

    bad-tag

      × `source.tags` is not a rule of tags: `2024*` cuts a number: `*` stands for whole numbers, as in `16.*`
        ╭─[lowtide.yml:12:38]
     11 │   cut:
     12 │     source: { image: postgres, tags: "2024*", min_age: 3, host: nowhere }
        ·                                      ───────
     13 │   words:
        ╰────
      help: write `16.*`, `16.*-alpine`, `>=16.2 <17`, `latest` or `/^v(\d+)-lts$/`, in quotes

    bad-duration

      × `3` is not a duration: it has no unit
        ╭─[lowtide.yml:12:56]
     11 │   cut:
     12 │     source: { image: postgres, tags: "2024*", min_age: 3, host: nowhere }
        ·                                                        ─
     13 │   words:
        ╰────
      help: write `3s`, `3m` or `3h`

    unknown-host

      × there is no host `nowhere`
        ╭─[lowtide.yml:12:65]
     11 │   cut:
     12 │     source: { image: postgres, tags: "2024*", min_age: 3, host: nowhere }
        ·                                                                 ───────
     13 │   words:
        ╰────
      help: the only host is `local`

    bad-tag

      × `source.tags` is not a rule of tags: `16.1` is neither a bound of versions, as in `>=16.2`, nor a shape
      │ with `*`, as in `16.*`
        ╭─[lowtide.yml:14:38]
     13 │   words:
     14 │     source: { image: postgres, tags: 16.1 16.2 }
        ·                                      ─────────
     15 │   operator:
        ╰────
      help: write `16.*`, `16.*-alpine`, `>=16.2 <17`, `latest` or `/^v(\d+)-lts$/`, in quotes

    bad-tag

      × `source.tags` is not a rule of tags: `>=x` is not a bound of versions: an operator and numbers with dots
      │ between them, as in `>=16.2`
        ╭─[lowtide.yml:16:38]
     15 │   operator:
     16 │     source: { image: postgres, tags: ">=x" }
        ·                                      ──────
     17 │   stars:
        ╰────
      help: write `16.*`, `16.*-alpine`, `>=16.2 <17`, `latest` or `/^v(\d+)-lts$/`, in quotes

    bad-tag

      × `source.tags` is not a rule of tags: `16.*.*` has more than one `*`
        ╭─[lowtide.yml:18:38]
     17 │   stars:
     18 │     source: { image: postgres, tags: 16.*.* }
        ·                                      ──────
     19 │   shapes:
        ╰────
      help: write `16.*`, `16.*-alpine`, `>=16.2 <17`, `latest` or `/^v(\d+)-lts$/`, in quotes

    bad-tag

      × `source.tags` is not a rule of tags: `16.*` and `17.*` are two shapes of a tag
        ╭─[lowtide.yml:20:38]
     19 │   shapes:
     20 │     source: { image: postgres, tags: "16.* 17.*" }
        ·                                      ────────────
     21 │   range:
        ╰────
      help: keep one of them, or write a regular expression: `/^(1[67])\.(\d+)$/`

    bad-tag

      × `source.tags` is not a rule of tags: no version is in this range
        ╭─[lowtide.yml:22:38]
     21 │   range:
     22 │     source: { image: postgres, tags: ">=17 <16" }
        ·                                      ───────────
     23 │   groupless:
        ╰────
      help: the lower bound comes first: `>=16.2 <17`

    bad-tag

      × `source.tags` is not a rule of tags: the expression has no group, so nothing says which of two tags is
      │ newer
        ╭─[lowtide.yml:24:38]
     23 │   groupless:
     24 │     source: { image: postgres, tags: '/^16\.\d+$/' }
        ·                                      ──────────────
     25 │   open:
        ╰────
      help: put what orders the tags into parentheses: `/^v(\d+)-lts$/`

    bad-tag

      × `source.tags` is not a rule of tags: `^(16` is not a regular expression: unclosed group
        ╭─[lowtide.yml:26:38]
     25 │   open:
     26 │     source: { image: postgres, tags: "/^(16/" }
        ·                                      ─────────
     27 │   path:
        ╰────
      help: the syntax is that of the Rust `regex` crate; put it in single quotes

    bad-tag

      × `source.tags` is not a rule of tags: `library/16` cannot be a tag
        ╭─[lowtide.yml:28:38]
     27 │   path:
     28 │     source: { image: postgres, tags: library/16 }
        ·                                      ──────────
     29 │   empty:
        ╰────
      help: write `16.*`, `16.*-alpine`, `>=16.2 <17`, `latest` or `/^v(\d+)-lts$/`, in quotes

    bad-tag

      × `source.tags` is not a rule of tags: it names no tag
        ╭─[lowtide.yml:30:38]
     29 │   empty:
     30 │     source: { image: postgres, tags: " " }
        ·                                      ────
     31 │   list:
        ╰────
      help: write `16.*`, `16.*-alpine`, `>=16.2 <17`, `latest` or `/^v(\d+)-lts$/`, in quotes

    wrong-type

      × `apps.list.source.tags` must be text, not a list
        ╭─[lowtide.yml:32:32]
     31 │   list:
     32 │     source: { image: postgres, tags: ["16.*", "17.*"] }
        ·                                ────
        ╰────
      help: take the `- ` off: keys stand by themselves

    lowtide.yml: 17 problems. The configuration is not used.
    "#);
}

/// A key of a profile or of the defaults is refused there, once, however many apps have it.
#[test]
fn a_profile_is_checked_by_itself() {
    let text = r#"version: 1
defaults:
  source: { min_age: 3d, timeout: 1m }
profiles:
  upstream:
    source: { image: postgres, tags: "1.*.*", branch: main }
    test: { compose: {} }
  free:
    publish: { tag: "{tag}-{run}-{commit}" }
apps:
  a: { profile: upstream }
  b: { profile: upstream, source: { tags: "16.*" } }
"#;
    insta::assert_snapshot!(report(text), @r#"
    bad-tag

      × `source.tags` is not a rule of tags: `1.*.*` has more than one `*`
       ╭─[lowtide.yml:6:38]
     5 │   upstream:
     6 │     source: { image: postgres, tags: "1.*.*", branch: main }
       ·                                      ───────
     7 │     test: { compose: {} }
       ╰────
      help: write `16.*`, `16.*-alpine`, `>=16.2 <17`, `latest` or `/^v(\d+)-lts$/`, in quotes

    not-for-followed

      × `source.branch` is for images that lowtide builds
       ╭─[lowtide.yml:6:55]
     5 │   upstream:
     6 │     source: { image: postgres, tags: "1.*.*", branch: main }
       ·                                                       ────
     7 │     test: { compose: {} }
       ╰────
      help: take it out: others build the image in `source.image`

    not-for-followed

      × `test.compose` reads files of a repository, and an app with `source.image` has none
       ╭─[lowtide.yml:7:13]
     5 │   upstream:
     6 │     source: { image: postgres, tags: "1.*.*", branch: main }
       ·               ──┬──
       ·                 ╰── others build this image
     7 │     test: { compose: {} }
       ·             ───┬───
       ·                ╰── here
     8 │   free:
       ╰────
      help: describe the containers beside the image in `test.sidecars`

    lowtide.yml: 3 problems. The configuration is not used.
    "#);
}
