use super::report;

pub(super) const TESTS: &str = r#"version: 1
apps:
  web:
    source: { repo: "https://git.example.org/web.git" }
    env: { A: { env: "not a name" }, B: { env: B, file: /b }, C: {}, TAG: {date} }
    build: { args: { NPM_TOKEN: { env: NPM } }, secrets: { "a b": { env: NPM }, npm: token-of-npm } }
    test:
      sidecars: { db: { image: "mariadb:${DB}" }, cache: { image: "redis:${NONE}" } }
      matrix: [ { DB: "10.11" }, { DB: "1 1" } ]
      steps:
        - { exec: [x], wait: { log: y } }
        - { exec: [x], service: dbb }
        - { wait: { log: "(" } }
        - { copy: { from: /a } }
        - { copy: { from: /a, to: /b } }
        - { copy: { from: ../a, to: "db:/b" } }
        - { copy: { from: "db:/a", to: b }, service: cache }
        - { exec: [x], timeout: 0s, service: web }
      tester: { service: e2e, junit: x.xml, artefacts: [shots] }
  two:
    source: { repo: "https://git.example.org/two.git" }
    test:
      compose: {}
      matrix: []
      tester: { service: e2e, image: "e2e:1" }
  three:
    source: { repo: "https://git.example.org/three.git" }
    test: { compose: {}, tester: { command: [x] } }
"#;

#[test]
fn tests_that_cannot_be_run() {
    insta::assert_snapshot!(report(TESTS), @r#"
    literal-secret

      × `env.A.env` is not the name of an environment variable
       ╭─[lowtide.yml:5:22]
     4 │     source: { repo: "https://git.example.org/web.git" }
     5 │     env: { A: { env: **** * ***** }, B: { env: B, file: /b }, C: {}, TAG: {date} }
       ·                      ─────────────
     6 │     build: { args: { NPM_TOKEN: { env: NPM } }, secrets: { "a b": { env: NPM }, npm: ************ } }
       ╰────
      help: a name has letters, digits and `_`: `{ env: GHCR_TOKEN }`

    one-of

      × `env.B` needs exactly one of `env`, `file` and `age`
       ╭─[lowtide.yml:5:38]
     4 │     source: { repo: "https://git.example.org/web.git" }
     5 │     env: { A: { env: **** * ***** }, B: { env: B, file: /b }, C: {}, TAG: {date} }
       ·                                      ─
     6 │     build: { args: { NPM_TOKEN: { env: NPM } }, secrets: { "a b": { env: NPM }, npm: ************ } }
       ╰────
      help: write `{ env: NAME }`, `{ file: /run/secrets/NAME }` or `{ age: secrets/NAME.age }`

    one-of

      × `env.C` needs exactly one of `env`, `file` and `age`
       ╭─[lowtide.yml:5:63]
     4 │     source: { repo: "https://git.example.org/web.git" }
     5 │     env: { A: { env: **** * ***** }, B: { env: B, file: /b }, C: {}, TAG: {date} }
       ·                                                               ─
     6 │     build: { args: { NPM_TOKEN: { env: NPM } }, secrets: { "a b": { env: NPM }, npm: ************ } }
       ╰────
      help: write `{ env: NAME }`, `{ file: /run/secrets/NAME }` or `{ age: secrets/NAME.age }`

    wrong-type

      × `apps.web.env.TAG` must be text, not a map of keys
       ╭─[lowtide.yml:5:70]
     4 │     source: { repo: "https://git.example.org/web.git" }
     5 │     env: { A: { env: **** * ***** }, B: { env: B, file: /b }, C: {}, TAG: {date} }
       ·                                                                      ───
     6 │     build: { args: { NPM_TOKEN: { env: NPM } }, secrets: { "a b": { env: NPM }, npm: ************ } }
       ╰────
      help: `{` begins a map of keys: put the text in quotes

    wrong-type

      × `apps.web.build.args.NPM_TOKEN` must be text, not a map of keys
       ╭─[lowtide.yml:6:22]
     5 │     env: { A: { env: **** * ***** }, B: { env: B, file: /b }, C: {}, TAG: {date} }
     6 │     build: { args: { NPM_TOKEN: { env: NPM } }, secrets: { "a b": { env: NPM }, npm: ************ } }
       ·                      ─────────
     7 │     test:
       ╰────
      help: a secret cannot stand here: variables in `env` and the ids in `build.secrets` can refer to one

    bad-name

      × `a b` cannot be the id of a secret
       ╭─[lowtide.yml:6:60]
     5 │     env: { A: { env: **** * ***** }, B: { env: B, file: /b }, C: {}, TAG: {date} }
     6 │     build: { args: { NPM_TOKEN: { env: NPM } }, secrets: { "a b": { env: NPM }, npm: ************ } }
       ·                                                            ─────
     7 │     test:
       ╰────
      help: it is what the Dockerfile says: `--mount=type=secret,id=npm`

    literal-secret

      × `apps.web.build.secrets.npm` is written out here
       ╭─[lowtide.yml:6:86]
     5 │     env: { A: { env: **** * ***** }, B: { env: B, file: /b }, C: {}, TAG: {date} }
     6 │     build: { args: { NPM_TOKEN: { env: NPM } }, secrets: { "a b": { env: NPM }, npm: ************ } }
       ·                                                                                      ────────────
     7 │     test:
       ╰────
      help: secrets never stand in the configuration: write `{ env: NAME }` or `{ file: /run/secrets/NAME }`;
            this one is in git now, so change it

    bad-image

      × `mariadb:1 1` is not an image: a tag is 1 to 128 of letters, digits, '_', '.' and '-', not starting with
      │ '.' or '-'
       ╭─[lowtide.yml:8:32]
     7 │     test:
     8 │       sidecars: { db: { image: "mariadb:${DB}" }, cache: { image: "redis:${NONE}" } }
       ·                                ────────────────
     9 │       matrix: [ { DB: "10.11" }, { DB: "1 1" } ]
       ╰────
      help: write it like `mariadb:11` or `ghcr.io/owner/name:tag`

    unknown-variable

      × `${NONE}` has no value
       ╭─[lowtide.yml:8:67]
     7 │     test:
     8 │       sidecars: { db: { image: "mariadb:${DB}" }, cache: { image: "redis:${NONE}" } }
       ·                                                                   ────────────────
     9 │       matrix: [ { DB: "10.11" }, { DB: "1 1" } ]
       ╰────
      help: each set of `test.matrix` gives it one, as a text: `- { DB_VERSION: "11" }`

    one-of

      × a step is exactly one of `exec`, `restart`, `http`, `wait` and `copy`
        ╭─[lowtide.yml:11:11]
     10 │       steps:
     11 │         - { exec: [x], wait: { log: y } }
        ·           ──
     12 │         - { exec: [x], service: dbb }
        ╰────
      help: begin each step with a `- ` of its own

    unknown-sidecar

      × there is no sidecar `dbb`
        ╭─[lowtide.yml:12:33]
     11 │         - { exec: [x], wait: { log: y } }
     12 │         - { exec: [x], service: dbb }
        ·                                 ───
     13 │         - { wait: { log: "(" } }
        ╰────
      help: did you mean `db`?

    bad-pattern

      × `(` is not a regular expression: unclosed group
        ╭─[lowtide.yml:13:26]
     12 │         - { exec: [x], service: dbb }
     13 │         - { wait: { log: "(" } }
        ·                          ────
     14 │         - { copy: { from: /a } }
        ╰────
      help: the syntax is that of the Rust `regex` crate; put it in single quotes

    missing-key

      × `apps.web.test.steps[3].copy` has no `to`
        ╭─[lowtide.yml:14:13]
     13 │         - { wait: { log: "(" } }
     14 │         - { copy: { from: /a } }
        ·             ────
     15 │         - { copy: { from: /a, to: /b } }
        ╰────
      help: into a container: `{ from: fixtures/a.sql, to: /tmp/a.sql }`; out of one: `{ from: /var/log/app.log,
            to: app.log }`; of a sidecar: `db:/tmp/a.sql`

    one-of

      × exactly one side of `test.steps[4].copy` is in a container
        ╭─[lowtide.yml:15:13]
     14 │         - { copy: { from: /a } }
     15 │         - { copy: { from: /a, to: /b } }
        ·             ────
     16 │         - { copy: { from: ../a, to: "db:/b" } }
        ╰────
      help: into a container: `{ from: fixtures/a.sql, to: /tmp/a.sql }`; out of one: `{ from: /var/log/app.log,
            to: app.log }`; of a sidecar: `db:/tmp/a.sql`

    bad-path

      × `../a` leaves the repository
        ╭─[lowtide.yml:16:27]
     15 │         - { copy: { from: /a, to: /b } }
     16 │         - { copy: { from: ../a, to: "db:/b" } }
        ·                           ────
     17 │         - { copy: { from: "db:/a", to: b }, service: cache }
        ╰────
      help: write a path below the repository's root, without `..`

    one-of

      × `test.steps[6].service` and `test.steps[6].copy` exclude each other
        ╭─[lowtide.yml:17:13]
     16 │         - { copy: { from: ../a, to: "db:/b" } }
     17 │         - { copy: { from: "db:/a", to: b }, service: cache }
        ·             ──┬─                            ───┬───
        ·               │                                ╰── and here
        ·               ╰── here
     18 │         - { exec: [x], timeout: 0s, service: web }
        ╰────
      help: keep one of the two

    out-of-range

      × `test.steps[7].timeout` must be longer than nothing
        ╭─[lowtide.yml:18:33]
     17 │         - { copy: { from: "db:/a", to: b }, service: cache }
     18 │         - { exec: [x], timeout: 0s, service: web }
        ·                                 ──
     19 │       tester: { service: e2e, junit: x.xml, artefacts: [shots] }
        ╰────
      help: the default is 15m

    one-of

      × a tester that is a service needs a compose file
        ╭─[lowtide.yml:19:26]
     18 │         - { exec: [x], timeout: 0s, service: web }
     19 │       tester: { service: e2e, junit: x.xml, artefacts: [shots] }
        ·                          ───
     20 │   two:
        ╰────
      help: write `test.compose: {}`, or give the tester an `image`

    bad-pattern

      × `x.xml` is not an absolute glob
        ╭─[lowtide.yml:19:38]
     18 │         - { exec: [x], timeout: 0s, service: web }
     19 │       tester: { service: e2e, junit: x.xml, artefacts: [shots] }
        ·                                      ─────
     20 │   two:
        ╰────
      help: write it like `/results/*.xml`

    bad-path

      × `shots` is not an absolute path
        ╭─[lowtide.yml:19:57]
     18 │         - { exec: [x], timeout: 0s, service: web }
     19 │       tester: { service: e2e, junit: x.xml, artefacts: [shots] }
        ·                                                         ─────
     20 │   two:
        ╰────
      help: write the path inside the container, from `/`

    empty-list

      × `test.matrix` has no set
        ╭─[lowtide.yml:24:7]
     23 │       compose: {}
     24 │       matrix: []
        ·       ──────
     25 │       tester: { service: e2e, image: "e2e:1" }
        ╰────
      help: write `- { DB_VERSION: "11" }`, or take the key out

    one-of

      × `test.tester.service` and `test.tester.image` exclude each other
        ╭─[lowtide.yml:25:31]
     24 │       matrix: []
     25 │       tester: { service: e2e, image: "e2e:1" }
        ·                 ───┬───       ──┬──
        ·                    │            ╰── here
        ·                    ╰── and here
     26 │   three:
        ╰────
      help: keep one of the two

    missing-key

      × `apps.three.test.tester` has no `image`
        ╭─[lowtide.yml:28:26]
     27 │     source: { repo: "https://git.example.org/three.git" }
     28 │     test: { compose: {}, tester: { command: [x] } }
        ·                          ──────
        ╰────
      help: write `image: ghcr.io/owner/e2e:1`, or `service: e2e`

    lowtide.yml: 23 problems. The configuration is not used.
    "#);
}
