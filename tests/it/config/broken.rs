//! The configuration broken on purpose: what a person sees. Every problem code occurs.

use lowtide::config::diagnostic::{CODES, json, markdown, sarif, terminal};
use lowtide::config::validate;
use std::collections::BTreeSet;

fn report(text: &str) -> String {
    terminal("lowtide.yml", text, &validate::fleet(text.as_bytes()).unwrap_err())
}

const KEYS: &str = r#"version: 1
tiemzone: UTC
version: 2
limits: { runs: many, rollouts: 0, 2: 3 }
defaults:
  steps: []
  mode: observ
  <<: { a: b }
apps:
  web:
    source: { repo: !!str "https://git.example.org/web.git" }
    test: { network: nun, steps: [ { exec: /run.sh } ], limits: { cpus: "2" } }
    maintainers: dev@example.org
    env: [A=b]
    build: { pull: yes, secrets: { npm: x }, timeout: }
"#;
const SECRETS: &str = r#"version: 1
registries:
  ghcr.io: { username: bot, password: hunter2-is-secret }
  docker.io: { username: bot, password: { env: "hunter2-is-secret" } }
  quay.io: { password: { file: hunter2-is-secret } }
notify:
  email:
    smtp: smtps://bot:hunter2-is-secret@mail.example.org
    username: bot
    password: |
      hunter2-is-secret
    from: lowtide@example.org
    operators: [ops@example.org]
  github: { token: { env: A, file: /b } }
apps:
  web:
    source: { repo: "https://bot:hunter2-is-secret@git.example.org/web.git" }
    build: { args: { NPM_TOKEN: hunter2-is-secret } }
"#;
const VALUES: &str = r#"version: 7
timezone: America/Monkton
hosts: { Build: { docker: unix:///run/a.sock }, b: { docker: ssh://b.example.org }, c: { docker: local } }
notify:
  email: { smtp: smtp+plain://mail.example.org, from: Low Tide, operators: [] , digest: "8:00" }
retention: { history: 90, logs: 1G, build_cache: 10 }
defaults:
  nightly: { between: "22-02" }
  window: { days: [tuesday], from: "03:00", to: "03:00" }
apps:
  web:
    cron: "61 * * * *"
    source: { repo: http://git.example.org/web.git, branch: "a b", context: ../x }
    ready: { log: "(" }
    bake: 1m1h
  api:
    cron: "0 0 31 2 *"
    source: { repo: ext::sh, commit: abc }
    test: { junit: "[", sidecars: { db: { image: "A:b" } }, steps: [ {} ] }
    publish: { image: "ghcr.io/x/api:1", tag: "{date}-{comit}" }
"#;
const REFERENCES: &str = r#"version: 1
hosts: { build: { docker: unix:///run/a.sock }, again: { docker: unix:///run/a.sock } }
profiles: { drupal: {} }
apps:
  web:
    profile: drupl
    source: { repo: "https://git.example.org/web.git", branch: a, tag: b }
    build: { host: biuld }
    publish: { image: ghcr.io/x/web, tag: latest, channels: [ { name: staging }, { name: prod }, { name: prod } ] }
    rollout:
      - { channel: prdo, container: { name: web } }
      - { container: { name: worker } }
      - { channel: latest, compose: { project: shop, services: [] } }
      - { channel: prod, container: { name: a }, label: { key: k, value: v } }
      - { channel: prod, kpi: x, label: { key: k } }
  shop:
    source: { repo: "https://git.example.org/shop.git" }
    publish: { image: ghcr.io/x/shop, tag: "{date}" }
    rollout:
      - container: { name: web, host: again }
      - { channel: c, container: { name: web } }
  bare:
    rollout:
      - { channel: c, compose: { project: p, services: [s] } }
"#;
const SYNTAX: &str = "version: 1\napps:\n  web:\n    source: { repo: \"https://git.example.org/web.git }\n";

#[test]
fn keys_and_types() {
    insta::assert_snapshot!(report(KEYS), @r#"
    unknown-key

      × there is no key `tiemzone` at the top level
       ╭─[lowtide.yml:2:1]
     1 │ version: 1
     2 │ tiemzone: UTC
       · ────────
     3 │ version: 2
       ╰────
      help: did you mean `timezone`?

    duplicate-key

      × `version` is given twice
       ╭─[lowtide.yml:1:1]
     1 │ version: 1
       · ───┬───
       ·    ╰── first given here
     2 │ tiemzone: UTC
     3 │ version: 2
       · ───┬───
       ·    ╰── here
     4 │ limits: { runs: many, rollouts: 0, 2: 3 }
       ╰────
      help: keep one of the two

    wrong-type

      × `limits.runs` must be a whole number, not `many`
       ╭─[lowtide.yml:4:17]
     3 │ version: 2
     4 │ limits: { runs: many, rollouts: 0, 2: 3 }
       ·                 ────
     5 │ defaults:
       ╰────

    out-of-range

      × `limits.rollouts` must be between 1 and 64, not 0
       ╭─[lowtide.yml:4:33]
     3 │ version: 2
     4 │ limits: { runs: many, rollouts: 0, 2: 3 }
       ·                                 ─
     5 │ defaults:
       ╰────

    unknown-key

      × there is no key `2` in `limits`
       ╭─[lowtide.yml:4:36]
     3 │ version: 2
     4 │ limits: { runs: many, rollouts: 0, 2: 3 }
       ·                                    ─
     5 │ defaults:
       ╰────
      help: the keys here are `runs`, `rollouts` and `min_free_disk`

    unknown-key

      × there is no key `steps` in `defaults`
       ╭─[lowtide.yml:6:3]
     5 │ defaults:
     6 │   steps: []
       ·   ─────
     7 │   mode: observ
       ╰────
      help: `steps` belongs under `test`

    unknown-key

      × there is no key `mode` in `defaults`
       ╭─[lowtide.yml:7:3]
     6 │   steps: []
     7 │   mode: observ
       ·   ────
     8 │   <<: { a: b }
       ╰────
      help: `mode` belongs under an app

    merge-key

      × merge keys (`<<`) are not used here
       ╭─[lowtide.yml:8:3]
     7 │   mode: observ
     8 │   <<: { a: b }
       ·   ──
     9 │ apps:
       ╰────
      help: share settings through `profiles`

    yaml-tag

      × YAML tags (`!…`) are not used here
        ╭─[lowtide.yml:11:21]
     10 │   web:
     11 │     source: { repo: !!str "https://git.example.org/web.git" }
        ·                     ────────────────────────────────────────
     12 │     test: { network: nun, steps: [ { exec: /run.sh } ], limits: { cpus: "2" } }
        ╰────
      help: write the value without its tag

    unknown-value

      × `apps.web.test.network` cannot be `nun`
        ╭─[lowtide.yml:12:22]
     11 │     source: { repo: !!str "https://git.example.org/web.git" }
     12 │     test: { network: nun, steps: [ { exec: /run.sh } ], limits: { cpus: "2" } }
        ·                      ───
     13 │     maintainers: dev@example.org
        ╰────
      help: it is `egress` and `none`

    wrong-type

      × `apps.web.test.steps[0].exec` must be a list, not a single value
        ╭─[lowtide.yml:12:44]
     11 │     source: { repo: !!str "https://git.example.org/web.git" }
     12 │     test: { network: nun, steps: [ { exec: /run.sh } ], limits: { cpus: "2" } }
        ·                                            ───────
     13 │     maintainers: dev@example.org
        ╰────
      help: a command is a list: `[sh, -c, "first && second"]`

    wrong-type

      × `apps.web.test.limits.cpus` must be a number, not `2`
        ╭─[lowtide.yml:12:73]
     11 │     source: { repo: !!str "https://git.example.org/web.git" }
     12 │     test: { network: nun, steps: [ { exec: /run.sh } ], limits: { cpus: "2" } }
        ·                                                                         ────
     13 │     maintainers: dev@example.org
        ╰────
      help: write it without quotes

    wrong-type

      × `apps.web.maintainers` must be a list, not a single value
        ╭─[lowtide.yml:13:18]
     12 │     test: { network: nun, steps: [ { exec: /run.sh } ], limits: { cpus: "2" } }
     13 │     maintainers: dev@example.org
        ·                  ───────────────
     14 │     env: [A=b]
        ╰────
      help: put it in brackets: `[…]`

    wrong-type

      × `apps.web.env` must be a map of keys, not a list
        ╭─[lowtide.yml:14:5]
     13 │     maintainers: dev@example.org
     14 │     env: [A=b]
        ·     ───
     15 │     build: { pull: yes, secrets: { npm: x }, timeout: }
        ╰────
      help: take the `- ` off: keys stand by themselves

    wrong-type

      × `apps.web.build.pull` must be `true` or `false`, not `yes`
        ╭─[lowtide.yml:15:20]
     14 │     env: [A=b]
     15 │     build: { pull: yes, secrets: { npm: x }, timeout: }
        ·                    ───
        ╰────
      help: write `true` or `false`

    not-supported

      × `secrets` is not supported by this version: it would be for build secrets
        ╭─[lowtide.yml:15:25]
     14 │     env: [A=b]
     15 │     build: { pull: yes, secrets: { npm: x }, timeout: }
        ·                         ───────
        ╰────
      help: take the key out; it would have no effect

    no-value

      × `apps.web.build.timeout` has no value
        ╭─[lowtide.yml:15:46]
     14 │     env: [A=b]
     15 │     build: { pull: yes, secrets: { npm: x }, timeout: }
        ·                                              ───────
        ╰────
      help: give it a value, or take the key out

    lowtide.yml: 17 problems. The configuration is not used.
    "#);
}

#[test]
fn secrets_are_never_echoed() {
    let problems = validate::fleet(SECRETS.as_bytes()).unwrap_err();
    let shown = report(SECRETS);
    for text in [
        &shown,
        &markdown("f", SECRETS, &problems),
        &json("f", &problems).to_string(),
        &sarif("f", &problems).to_string(),
    ] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    insta::assert_snapshot!(shown, @r#"
    literal-secret

      × `registries.ghcr.io.password` is written out here
       ╭─[lowtide.yml:3:39]
     2 │ registries:
     3 │   ghcr.io: { username: bot, password: ***************** *
       ·                                       ─────────────────
     4 │   docker.io: { username: bot, password: { env: ******************* } }
       ╰────
      help: secrets never stand in the configuration: write `{ env: NAME }` or `{ file: /run/secrets/NAME }`;
            this one is in git now, so change it

    literal-secret

      × `registries.docker.io.password.env` is not the name of an environment variable
       ╭─[lowtide.yml:4:48]
     3 │   ghcr.io: { username: bot, password: ***************** *
     4 │   docker.io: { username: bot, password: { env: ******************* } }
       ·                                                ────────────────────
     5 │   quay.io: { password: { file: ***************** } }
       ╰────
      help: a name has letters, digits and `_`: `{ env: GHCR_TOKEN }`

    missing-key

      × `registries.quay.io` has a `password` and no `username`
       ╭─[lowtide.yml:5:14]
     4 │   docker.io: { username: bot, password: { env: ******************* } }
     5 │   quay.io: { password: { file: ***************** } }
       ·              ────────
     6 │ notify:
       ╰────
      help: add `username: NAME`

    literal-secret

      × `registries.quay.io.password.file` is not an absolute path
       ╭─[lowtide.yml:5:32]
     4 │   docker.io: { username: bot, password: { env: ******************* } }
     5 │   quay.io: { password: { file: ***************** } }
       ·                                ─────────────────
     6 │ notify:
       ╰────
      help: write it like `{ file: /run/secrets/ghcr }`

    credentials-in-url

      × this address holds a credential; it is in git now, so change it
       ╭─[lowtide.yml:8:11]
     7 │   email:
     8 │     smtp: **********************************************
       ·           ──────────────────────────────────────────────
     9 │     username: bot
       ╰────
      help: use `username` and `password` beside it

    literal-secret

      × `notify.email.password` is written out here
        ╭─[lowtide.yml:11:7]
     10 │     password: *
     11 │       *****************
        ·       ─────────────────
     12 │     from: lowtide@example.org
        ╰────
      help: secrets never stand in the configuration: write `{ env: NAME }` or `{ file: /run/secrets/NAME }`;
            this one is in git now, so change it

    one-of

      × `notify.github.token` needs exactly one of `env` and `file`
        ╭─[lowtide.yml:14:13]
     13 │     operators: [ops@example.org]
     14 │   github: { token: { env: A, file: /b } }
        ·             ─────
     15 │ apps:
        ╰────
      help: write `{ env: NAME }` or `{ file: /run/secrets/NAME }`

    credentials-in-url

      × this address holds a credential; it is in git now, so change it
        ╭─[lowtide.yml:17:21]
     16 │   web:
     17 │     source: { repo: ******************************************************* }
        ·                     ────────────────────────────────────────────────────────
     18 │     build: { args: { NPM_TOKEN: ***************** * *
        ╰────
      help: take it out and use `username` and `token: { env: NAME }`

    secret-in-args

      × the build argument `NPM_TOKEN` looks like a secret
        ╭─[lowtide.yml:18:33]
     17 │     source: { repo: ******************************************************* }
     18 │     build: { args: { NPM_TOKEN: ***************** * *
        ·                                 ─────────────────
        ╰────
      help: build arguments stay readable in the image's history; build secrets are not supported by this
            version

    lowtide.yml: 9 problems. The configuration is not used.
    "#);
}

#[test]
fn values() {
    insta::assert_snapshot!(report(VALUES), @r#"
    bad-version

      × this version reads format 1, not 7
       ╭─[lowtide.yml:1:10]
     1 │ version: 7
       ·          ─
     2 │ timezone: America/Monkton
       ╰────
      help: write `version: 1`

    bad-timezone

      × `America/Monkton` is not a time zone of the IANA database
       ╭─[lowtide.yml:2:11]
     1 │ version: 7
     2 │ timezone: America/Monkton
       ·           ───────────────
     3 │ hosts: { Build: { docker: unix:///run/a.sock }, b: { docker: ssh://b.example.org }, c: { docker: local } }
       ╰────
      help: did you mean `America/Moncton`?

    bad-name

      × `Build` is not a valid name
       ╭─[lowtide.yml:3:10]
     2 │ timezone: America/Monkton
     3 │ hosts: { Build: { docker: unix:///run/a.sock }, b: { docker: ssh://b.example.org }, c: { docker: local } }
       ·          ─────
     4 │ notify:
       ╰────
      help: use 1 to 63 of a-z, 0-9, `-`, `_` and `.`, starting with a letter or digit

    not-supported

      × engines reached by ssh:// are not supported by this version
       ╭─[lowtide.yml:3:62]
     2 │ timezone: America/Monkton
     3 │ hosts: { Build: { docker: unix:///run/a.sock }, b: { docker: ssh://b.example.org }, c: { docker: local } }
       ·                                                              ───────────────────
     4 │ notify:
       ╰────
      help: run lowtide where the engine's socket is: `unix:///var/run/docker.sock`

    bad-url

      × `local` is not the address of an engine
       ╭─[lowtide.yml:3:98]
     2 │ timezone: America/Monkton
     3 │ hosts: { Build: { docker: unix:///run/a.sock }, b: { docker: ssh://b.example.org }, c: { docker: local } }
       ·                                                                                                  ─────
     4 │ notify:
       ╰────
      help: write `unix:///var/run/docker.sock`

    plain-text

      × `mail.example.org` is not this machine, and smtp+plain does not encrypt
       ╭─[lowtide.yml:5:18]
     4 │ notify:
     5 │   email: { smtp: smtp+plain://mail.example.org, from: Low Tide, operators: [] , digest: "8:00" }
       ·                  ─────────────────────────────
     6 │ retention: { history: 90, logs: 1G, build_cache: 10 }
       ╰────
      help: use `smtps://` or `smtp://`

    bad-email

      × `Low Tide` is not a mail address
       ╭─[lowtide.yml:5:55]
     4 │ notify:
     5 │   email: { smtp: smtp+plain://mail.example.org, from: Low Tide, operators: [] , digest: "8:00" }
       ·                                                       ────────
     6 │ retention: { history: 90, logs: 1G, build_cache: 10 }
       ╰────
      help: write the bare address: `name@example.org`

    missing-key

      × `notify.email` has no `operators`
       ╭─[lowtide.yml:5:65]
     4 │ notify:
     5 │   email: { smtp: smtp+plain://mail.example.org, from: Low Tide, operators: [] , digest: "8:00" }
       ·                                                                 ─────────
     6 │ retention: { history: 90, logs: 1G, build_cache: 10 }
       ╰────
      help: somebody must hear when lowtide itself is in trouble: `operators: [ops@example.org]`

    bad-time

      × `8:00` is not a time of day
       ╭─[lowtide.yml:5:89]
     4 │ notify:
     5 │   email: { smtp: smtp+plain://mail.example.org, from: Low Tide, operators: [] , digest: "8:00" }
       ·                                                                                         ───────
     6 │ retention: { history: 90, logs: 1G, build_cache: 10 }
       ╰────
      help: write `HH:MM` from `00:00` to `23:59`, in quotes

    bad-duration

      × `90` is not a duration: it has no unit
       ╭─[lowtide.yml:6:23]
     5 │   email: { smtp: smtp+plain://mail.example.org, from: Low Tide, operators: [] , digest: "8:00" }
     6 │ retention: { history: 90, logs: 1G, build_cache: 10 }
       ·                       ──
     7 │ defaults:
       ╰────
      help: write `90s`, `90m` or `90h`

    bad-size

      × `1G` is not a size: its unit is one of `B`, `KiB`, `MiB`, `GiB`, `TiB`, `kB`, `MB`, `GB`, `TB`
       ╭─[lowtide.yml:6:33]
     5 │   email: { smtp: smtp+plain://mail.example.org, from: Low Tide, operators: [] , digest: "8:00" }
     6 │ retention: { history: 90, logs: 1G, build_cache: 10 }
       ·                                 ──
     7 │ defaults:
       ╰────
      help: write it like `512MiB` or `2GiB`

    bad-size

      × `10` is not a size: it has no unit
       ╭─[lowtide.yml:6:50]
     5 │   email: { smtp: smtp+plain://mail.example.org, from: Low Tide, operators: [] , digest: "8:00" }
     6 │ retention: { history: 90, logs: 1G, build_cache: 10 }
       ·                                                  ──
     7 │ defaults:
       ╰────
      help: write it like `512MiB` or `2GiB`

    bad-time

      × `22-02` is not a span of the day
       ╭─[lowtide.yml:8:23]
     7 │ defaults:
     8 │   nightly: { between: "22-02" }
       ·                       ────────
     9 │   window: { days: [tuesday], from: "03:00", to: "03:00" }
       ╰────
      help: write it like `22:00-02:30`, with two digits each

    bad-day

      × `tuesday` is not a day
        ╭─[lowtide.yml:9:20]
      8 │   nightly: { between: "22-02" }
      9 │   window: { days: [tuesday], from: "03:00", to: "03:00" }
        ·                    ───────
     10 │ apps:
        ╰────
      help: did you mean `tue`?

    empty-window

      × this window closes when it opens, at 03:00
        ╭─[lowtide.yml:9:49]
      8 │   nightly: { between: "22-02" }
      9 │   window: { days: [tuesday], from: "03:00", to: "03:00" }
        ·                                                 ────────
     10 │ apps:
        ╰────
      help: for a whole day write `from: "00:00", to: "23:59"`

    bad-cron

      × `61 * * * *` is not a cron schedule
        ╭─[lowtide.yml:12:11]
     11 │   web:
     12 │     cron: "61 * * * *"
        ·           ────────────
     13 │     source: { repo: http://git.example.org/web.git, branch: "a b", context: ../x }
        ╰────
      help: minute hour day-of-month month day-of-week, as in `30 1 * * *`

    bad-url

      × `http://` is not used here
        ╭─[lowtide.yml:13:21]
     12 │     cron: "61 * * * *"
     13 │     source: { repo: http://git.example.org/web.git, branch: "a b", context: ../x }
        ·                     ──────────────────────────────
     14 │     ready: { log: "(" }
        ╰────
      help: use `https://`; plain http is for loopback only

    bad-ref

      × `a b` cannot be the name of a branch
        ╭─[lowtide.yml:13:61]
     12 │     cron: "61 * * * *"
     13 │     source: { repo: http://git.example.org/web.git, branch: "a b", context: ../x }
        ·                                                             ─────
     14 │     ready: { log: "(" }
        ╰────
      help: see `git check-ref-format`

    bad-path

      × `../x` leaves the repository
        ╭─[lowtide.yml:13:77]
     12 │     cron: "61 * * * *"
     13 │     source: { repo: http://git.example.org/web.git, branch: "a b", context: ../x }
        ·                                                                             ────
     14 │     ready: { log: "(" }
        ╰────
      help: write a path below the repository's root, without `..`

    bad-pattern

      × `(` is not a regular expression: unclosed group
        ╭─[lowtide.yml:14:19]
     13 │     source: { repo: http://git.example.org/web.git, branch: "a b", context: ../x }
     14 │     ready: { log: "(" }
        ·                   ────
     15 │     bake: 1m1h
        ╰────
      help: the syntax is that of the Rust `regex` crate; put it in single quotes

    bad-duration

      × `1m1h` is not a duration: its units must go from large to small, each once
        ╭─[lowtide.yml:15:11]
     14 │     ready: { log: "(" }
     15 │     bake: 1m1h
        ·           ────
     16 │   api:
        ╰────
      help: write it like `15m`, `1h30m`, `500ms` or `2d`

    bad-cron

      × `0 0 31 2 *` never comes
        ╭─[lowtide.yml:17:11]
     16 │   api:
     17 │     cron: "0 0 31 2 *"
        ·           ────────────
     18 │     source: { repo: ext::sh, commit: abc }
        ╰────
      help: is there such a day in such a month?

    bad-url

      × `ext::sh` is not a git remote
        ╭─[lowtide.yml:18:21]
     17 │     cron: "0 0 31 2 *"
     18 │     source: { repo: ext::sh, commit: abc }
        ·                     ───────
     19 │     test: { junit: "[", sidecars: { db: { image: "A:b" } }, steps: [ {} ] }
        ╰────
      help: use https, ssh or file

    bad-ref

      × `abc` is not a full commit id
        ╭─[lowtide.yml:18:38]
     17 │     cron: "0 0 31 2 *"
     18 │     source: { repo: ext::sh, commit: abc }
        ·                                      ───
     19 │     test: { junit: "[", sidecars: { db: { image: "A:b" } }, steps: [ {} ] }
        ╰────
      help: write all 40 lower-case hex digits: `git rev-parse HEAD`

    bad-pattern

      × `[` is not an absolute glob
        ╭─[lowtide.yml:19:20]
     18 │     source: { repo: ext::sh, commit: abc }
     19 │     test: { junit: "[", sidecars: { db: { image: "A:b" } }, steps: [ {} ] }
        ·                    ───
     20 │     publish: { image: "ghcr.io/x/api:1", tag: "{date}-{comit}" }
        ╰────
      help: write it like `/results/*.xml`

    bad-image

      × `A:b` is not an image: each part of its path is lower-case letters, digits, '.', '_' and '-'
        ╭─[lowtide.yml:19:50]
     18 │     source: { repo: ext::sh, commit: abc }
     19 │     test: { junit: "[", sidecars: { db: { image: "A:b" } }, steps: [ {} ] }
        ·                                                  ──────
     20 │     publish: { image: "ghcr.io/x/api:1", tag: "{date}-{comit}" }
        ╰────
      help: write it like `mariadb:11` or `ghcr.io/owner/name:tag`

    one-of

      × a step is exactly one of `exec`, `restart` and `http`
        ╭─[lowtide.yml:19:70]
     18 │     source: { repo: ext::sh, commit: abc }
     19 │     test: { junit: "[", sidecars: { db: { image: "A:b" } }, steps: [ {} ] }
        ·                                                                      ─
     20 │     publish: { image: "ghcr.io/x/api:1", tag: "{date}-{comit}" }
        ╰────
      help: begin each step with a `- ` of its own

    bad-image

      × `ghcr.io/x/api:1` is not an image repository: a repository carries no tag and no digest
        ╭─[lowtide.yml:20:23]
     19 │     test: { junit: "[", sidecars: { db: { image: "A:b" } }, steps: [ {} ] }
     20 │     publish: { image: "ghcr.io/x/api:1", tag: "{date}-{comit}" }
        ·                       ─────────────────
        ╰────
      help: take the tag off; tags are made from `publish.tag`

    bad-tag

      × `{comit}` is not a variable of the tag
        ╭─[lowtide.yml:20:47]
     19 │     test: { junit: "[", sidecars: { db: { image: "A:b" } }, steps: [ {} ] }
     20 │     publish: { image: "ghcr.io/x/api:1", tag: "{date}-{comit}" }
        ·                                               ─────────────────
        ╰────
      help: did you mean `{commit}`?

    lowtide.yml: 29 problems. The configuration is not used.
    "#);
}

#[test]
fn references() {
    insta::assert_snapshot!(report(REFERENCES), @r#"
    unknown-profile

      × there is no profile `drupl`
       ╭─[lowtide.yml:6:14]
     5 │   web:
     6 │     profile: drupl
       ·              ─────
     7 │     source: { repo: "https://git.example.org/web.git", branch: a, tag: b }
       ╰────
      help: did you mean `drupal`?

    one-of

      × `source.branch` and `source.tag` exclude each other
       ╭─[lowtide.yml:7:56]
     6 │     profile: drupl
     7 │     source: { repo: "https://git.example.org/web.git", branch: a, tag: b }
       ·                                                        ───┬──     ─┬─
       ·                                                           │        ╰── here
       ·                                                           ╰── and here
     8 │     build: { host: biuld }
       ╰────
      help: keep one of the two

    unknown-host

      × there is no host `biuld`
       ╭─[lowtide.yml:8:20]
     7 │     source: { repo: "https://git.example.org/web.git", branch: a, tag: b }
     8 │     build: { host: biuld }
       ·                    ─────
     9 │     publish: { image: ghcr.io/x/web, tag: latest, channels: [ { name: staging }, { name: prod }, { name: prod } ] }
       ╰────
      help: did you mean `build`?

    latest

      × `latest` says nothing about what it holds, and is never published or rolled out
        ╭─[lowtide.yml:9:43]
      8 │     build: { host: biuld }
      9 │     publish: { image: ghcr.io/x/web, tag: latest, channels: [ { name: staging }, { name: prod }, { name: prod } ] }
        ·                                           ──────
     10 │     rollout:
        ╰────
      help: leave `tag` out, or write a template such as `{date}.{run}-{commit}`

    duplicate-channel

      × two channels are named `prod`
        ╭─[lowtide.yml:9:90]
      8 │     build: { host: biuld }
      9 │     publish: { image: ghcr.io/x/web, tag: latest, channels: [ { name: staging }, { name: prod }, { name: prod } ] }
        ·                                                                                          ──┬─            ──┬─
        ·                                                                                            │               ╰── here
        ·                                                                                            ╰── first here
     10 │     rollout:
        ╰────

    unknown-channel

      × there is no channel `prdo`
        ╭─[lowtide.yml:11:20]
     10 │     rollout:
     11 │       - { channel: prdo, container: { name: web } }
        ·                    ────
     12 │       - { container: { name: worker } }
        ╰────
      help: did you mean `prod`?

    missing-key

      × which channel's releases does this target run?
        ╭─[lowtide.yml:12:9]
     11 │       - { channel: prdo, container: { name: web } }
     12 │       - { container: { name: worker } }
        ·         ──
     13 │       - { channel: latest, compose: { project: shop, services: [] } }
        ╰────
      help: add `channel:`, one of `staging`, `prod` and `prod`

    latest

      × `latest` is a tag, not a channel, and says nothing about what it holds
        ╭─[lowtide.yml:13:20]
     12 │       - { container: { name: worker } }
     13 │       - { channel: latest, compose: { project: shop, services: [] } }
        ·                    ──────
     14 │       - { channel: prod, container: { name: a }, label: { key: k, value: v } }
        ╰────
      help: the channels are `staging`, `prod` and `prod`

    empty-list

      × `compose.services` holds nothing
        ╭─[lowtide.yml:13:54]
     12 │       - { container: { name: worker } }
     13 │       - { channel: latest, compose: { project: shop, services: [] } }
        ·                                                      ────────
     14 │       - { channel: prod, container: { name: a }, label: { key: k, value: v } }
        ╰────
      help: name at least one, or take the key out

    one-of

      × a target is exactly one of `container`, `label` and `compose`
        ╭─[lowtide.yml:14:9]
     13 │       - { channel: latest, compose: { project: shop, services: [] } }
     14 │       - { channel: prod, container: { name: a }, label: { key: k, value: v } }
        ·         ──
     15 │       - { channel: prod, kpi: x, label: { key: k } }
        ╰────
      help: begin each target with a `- ` of its own: `- container: { name: web }`

    not-supported

      × `kpi` is not supported by this version: it would be for KPI gates
        ╭─[lowtide.yml:15:26]
     14 │       - { channel: prod, container: { name: a }, label: { key: k, value: v } }
     15 │       - { channel: prod, kpi: x, label: { key: k } }
        ·                          ───
     16 │   shop:
        ╰────
      help: take the key out; it would have no effect

    missing-key

      × `apps.web.rollout[4].label` has no `value`
        ╭─[lowtide.yml:15:34]
     14 │       - { channel: prod, container: { name: a }, label: { key: k, value: v } }
     15 │       - { channel: prod, kpi: x, label: { key: k } }
        ·                                  ─────
     16 │   shop:
        ╰────
      help: write `label: { key: com.example.app, value: web }`

    bad-tag

      × the tag `{date}` would be the same for two runs
        ╭─[lowtide.yml:18:44]
     17 │     source: { repo: "https://git.example.org/shop.git" }
     18 │     publish: { image: ghcr.io/x/shop, tag: "{date}" }
        ·                                            ─────────
     19 │     rollout:
        ╰────
      help: put `{run}` into it: one commit is built on many nights, and a tag is never moved

    duplicate-target

      × container `web` is already somebody's target
        ╭─[lowtide.yml:20:28]
     19 │     rollout:
     20 │       - container: { name: web, host: again }
        ·                            ───
     21 │       - { channel: c, container: { name: web } }
        ╰────
      help: one container runs one app: take it out of one of the two
      ☞ first claimed here
        ╭─[lowtide.yml:11:45]
     10 │     rollout:
     11 │       - { channel: prdo, container: { name: web } }
        ·                                             ───
     12 │       - { container: { name: worker } }
        ╰────

    duplicate-name

      × two targets of this app are named `container-web`
        ╭─[lowtide.yml:20:9]
     19 │     rollout:
     20 │       - container: { name: web, host: again }
        ·         ┬
        ·         ╰── first here
     21 │       - { channel: c, container: { name: web } }
        ·         ─┬
        ·          ╰── here
     22 │   bare:
        ╰────
      help: give one of them a `name` of its own

    unknown-channel

      × there is no channel `c`
        ╭─[lowtide.yml:21:20]
     20 │       - container: { name: web, host: again }
     21 │       - { channel: c, container: { name: web } }
        ·                    ─
     22 │   bare:
        ╰────
      help: the only channel is `stable`

    duplicate-target

      × container `web` is already somebody's target
        ╭─[lowtide.yml:21:42]
     20 │       - container: { name: web, host: again }
     21 │       - { channel: c, container: { name: web } }
        ·                                          ───
     22 │   bare:
        ╰────
      help: one container runs one app: take it out of one of the two
      ☞ first claimed here
        ╭─[lowtide.yml:11:45]
     10 │     rollout:
     11 │       - { channel: prdo, container: { name: web } }
        ·                                             ───
     12 │       - { container: { name: worker } }
        ╰────

    missing-key

      × `apps.bare` has no `source.repo`
        ╭─[lowtide.yml:22:3]
     21 │       - { channel: c, container: { name: web } }
     22 │   bare:
        ·   ────
     23 │     rollout:
        ╰────
      help: write `source: { repo: https://… }`

    unknown-channel

      × the app has no channels: it has no `publish`
        ╭─[lowtide.yml:24:20]
     23 │     rollout:
     24 │       - { channel: c, compose: { project: p, services: [s] } }
        ·                    ─
        ╰────
      help: take `channel` out: the release is taken from the engine's own store

    lowtide.yml: 19 problems. The configuration is not used.
    "#);
}

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
fn a_secret_near_a_syntax_error_is_covered() {
    let text = "password: hunter2\ntoken:\n  hunter2\nurl: https://a:hunter2@x\nkey: \"open\napi_key: |\n  hunter2\n";
    let shown = report(text);
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn columns_count_characters() {
    let text = "version: 1\napps: { wéb日: { sorce: {} } }\n";
    assert!(report(text).contains("[lowtide.yml:2:17]"), "{}", report(text));
}

#[test]
fn for_programs() {
    let text = "version: 1\napps: {}\nversion: 2\n";
    let problems = validate::fleet(text.as_bytes()).unwrap_err();
    insta::assert_snapshot!(serde_json::to_string_pretty(&json("lowtide.yml", &problems)).unwrap(), @r#"
    {
      "version": 1,
      "file": "lowtide.yml",
      "problems": [
        {
          "code": "missing-key",
          "message": "`apps` is missing",
          "hint": "name at least one app: `apps: { web: { source: { repo: https://… } } }`",
          "route": "apps",
          "line": 2,
          "column": 1,
          "length": 4,
          "also": null
        },
        {
          "code": "duplicate-key",
          "message": "`version` is given twice",
          "hint": "keep one of the two",
          "route": "version",
          "line": 3,
          "column": 1,
          "length": 7,
          "also": {
            "message": "first given here",
            "route": "version",
            "line": 1,
            "column": 1,
            "length": 7
          }
        }
      ]
    }
    "#);
    insta::assert_snapshot!(serde_json::to_string_pretty(&sarif("lowtide.yml", &problems)).unwrap(), @r#"
    {
      "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
      "version": "2.1.0",
      "runs": [
        {
          "tool": {
            "driver": {
              "name": "lowtide",
              "version": "0.1.0",
              "rules": [
                {
                  "id": "duplicate-key",
                  "shortDescription": {
                    "text": "a key given twice"
                  }
                },
                {
                  "id": "missing-key",
                  "shortDescription": {
                    "text": "a key that is needed"
                  }
                }
              ]
            }
          },
          "columnKind": "unicodeCodePoints",
          "results": [
            {
              "ruleId": "missing-key",
              "level": "error",
              "message": {
                "text": "`apps` is missing. name at least one app: `apps: { web: { source: { repo: https://… } } }`"
              },
              "locations": [
                {
                  "physicalLocation": {
                    "artifactLocation": {
                      "uri": "lowtide.yml"
                    },
                    "region": {
                      "startLine": 2,
                      "startColumn": 1,
                      "endColumn": 5
                    }
                  },
                  "logicalLocations": [
                    {
                      "fullyQualifiedName": "apps"
                    }
                  ]
                }
              ],
              "relatedLocations": []
            },
            {
              "ruleId": "duplicate-key",
              "level": "error",
              "message": {
                "text": "`version` is given twice. keep one of the two"
              },
              "locations": [
                {
                  "physicalLocation": {
                    "artifactLocation": {
                      "uri": "lowtide.yml"
                    },
                    "region": {
                      "startLine": 3,
                      "startColumn": 1,
                      "endColumn": 8
                    }
                  },
                  "logicalLocations": [
                    {
                      "fullyQualifiedName": "version"
                    }
                  ]
                }
              ],
              "relatedLocations": [
                {
                  "physicalLocation": {
                    "artifactLocation": {
                      "uri": "lowtide.yml"
                    },
                    "region": {
                      "startLine": 1,
                      "startColumn": 1,
                      "endColumn": 8
                    }
                  },
                  "message": {
                    "text": "first given here"
                  }
                }
              ]
            }
          ]
        }
      ]
    }
    "#);
    insta::assert_snapshot!(markdown("lowtide.yml", text, &problems), @r#"
    **lowtide.yml:2:1** `apps` is missing (`missing-key`)

    ````text
       2 | apps: {}
         | ^^^^
    ````

    > name at least one app: `apps: { web: { source: { repo: https://… } } }`

    **lowtide.yml:3:1** `version` is given twice (`duplicate-key`)

    ````text
       3 | version: 2
         | ^^^^^^^
       1 | version: 1
         | ^^^^^^^
    ````

    > keep one of the two
    "#);
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
        VALUES,
        REFERENCES,
        SYNTAX,
        &many,
        &bomb,
        &deep,
        twins,
        "",
        "? [a]\n: b",
        "a: 1\n---\nb: 1",
        "%YAML 2.0\n---\na: 1",
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
    // No text alone lacks a secret: that code is told by `check`, in tests/it/cli.rs.
    let known = CODES.iter().map(|(code, _)| *code).filter(|code| *code != "missing-secret");
    assert_eq!(seen, known.collect::<BTreeSet<&str>>());
}
