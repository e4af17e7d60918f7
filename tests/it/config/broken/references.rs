use super::report;

pub(super) const REFERENCES: &str = r#"version: 1
hosts: { build: { docker: unix:///run/a.sock }, again: { docker: unix:///run/a.sock } }
profiles: { drupal: {} }
apps:
  web:
    profile: drupl
    source: { repo: "https://git.example.org/web.git", branch: a, tag: b }
    build: { host: biuld }
    publish: { image: ghcr.io/x/web, tag: latest, channels: [ { name: staging }, { name: prod }, { name: prod }, { name: next, tag: latest } ] }
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
  own:
    source: { repo: "https://git.example.org/own.git" }
    repository_file: { path: ../own.yml, allow: [build.host, tset] }
  unread:
    source: { repo: "https://git.example.org/unread.git" }
    repository_file: { path: lowtide.yml }
  nothing:
    source: { repo: "https://git.example.org/nothing.git" }
    repository_file: { allow: [] }
  bare:
    rollout:
      - { channel: c, compose: { project: p, services: [s] } }
  swarm:
    source: { repo: "https://git.example.org/swarm.git" }
    rollout:
      - { service: { name: web }, before: [ { exec: [a] } ], ready: { stay_up: 1s }, stop_timeout: 1s }
      - { stack: { services: [web] } }
      - { service: { name: shop_web }, stack: { name: shop } }
      - stack: { name: shop, services: [web, cron] }
      - service: { name: shop_cron }
  bot:
    source: { repo: "https://git.example.org/bot.git" }
    rollout:
      - { self: {}, before: [ { exec: [a] } ], order: start-first }
      - self: { host: again }
      - { self: {}, container: { name: bot } }
"#;

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
       ╭─[lowtide.yml:7:67]
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
     9 │     publish: { image: ghcr.io/x/web, tag: latest, channels: [ { name: staging }, { name: prod }, { name: prod }, { name: next, tag: latest } ] }
       ╰────
      help: did you mean `build`?

    latest

      × `latest` says nothing about what it holds, and is never published or rolled out
        ╭─[lowtide.yml:9:43]
      8 │     build: { host: biuld }
      9 │     publish: { image: ghcr.io/x/web, tag: latest, channels: [ { name: staging }, { name: prod }, { name: prod }, { name: next, tag: latest } ] }
        ·                                           ──────
     10 │     rollout:
        ╰────
      help: leave `tag` out, or write a template such as `{date}.{run}-{commit}`

    duplicate-channel

      × two channels are named `prod`
        ╭─[lowtide.yml:9:106]
      8 │     build: { host: biuld }
      9 │     publish: { image: ghcr.io/x/web, tag: latest, channels: [ { name: staging }, { name: prod }, { name: prod }, { name: next, tag: latest } ] }
        ·                                                                                          ──┬─            ──┬─
        ·                                                                                            │               ╰── here
        ·                                                                                            ╰── first here
     10 │     rollout:
        ╰────

    latest

      × `latest` says nothing about what it holds, and is never published or rolled out
        ╭─[lowtide.yml:9:133]
      8 │     build: { host: biuld }
      9 │     publish: { image: ghcr.io/x/web, tag: latest, channels: [ { name: staging }, { name: prod }, { name: prod }, { name: next, tag: latest } ] }
        ·                                                                                                                                     ──────
     10 │     rollout:
        ╰────
      help: name the channel for what stands behind it, such as `production`; every app would pull `latest`
            unasked

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
      help: add `channel:`, one of `staging`, `prod`, `prod` and `next`

    latest

      × `latest` is a tag, not a channel, and says nothing about what it holds
        ╭─[lowtide.yml:13:20]
     12 │       - { container: { name: worker } }
     13 │       - { channel: latest, compose: { project: shop, services: [] } }
        ·                    ──────
     14 │       - { channel: prod, container: { name: a }, label: { key: k, value: v } }
        ╰────
      help: the channels are `staging`, `prod`, `prod` and `next`

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

      × a target is exactly one of `container`, `label`, `compose`, `service`, `stack`, `command` and `self`
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

      × container `web` is already a target of `web`
        ╭─[lowtide.yml:20:28]
     19 │     rollout:
     20 │       - container: { name: web, host: again }
        ·                            ───
     21 │       - { channel: c, container: { name: web } }
        ╰────
      help: one container or service runs one app: take it out of one of the two
      ☞ first claimed here
        ╭─[lowtide.yml:11:45]
     10 │     rollout:
     11 │       - { channel: prdo, container: { name: web } }
        ·                                             ───
     12 │       - { container: { name: worker } }
        ╰────

    duplicate-name

      × two targets of this app are named `container-web`
        ╭─[lowtide.yml:21:9]
     19 │     rollout:
     20 │       - container: { name: web, host: again }
        ·         ┬
        ·         ╰── first here
     21 │       - { channel: c, container: { name: web } }
        ·         ─┬
        ·          ╰── here
     22 │   own:
        ╰────
      help: give one of them a `name` of its own

    unknown-channel

      × there is no channel `c`
        ╭─[lowtide.yml:21:20]
     20 │       - container: { name: web, host: again }
     21 │       - { channel: c, container: { name: web } }
        ·                    ─
     22 │   own:
        ╰────
      help: the only channel is `stable`

    duplicate-target

      × container `web` is already a target of `web`
        ╭─[lowtide.yml:21:42]
     20 │       - container: { name: web, host: again }
     21 │       - { channel: c, container: { name: web } }
        ·                                          ───
     22 │   own:
        ╰────
      help: one container or service runs one app: take it out of one of the two
      ☞ first claimed here
        ╭─[lowtide.yml:11:45]
     10 │     rollout:
     11 │       - { channel: prdo, container: { name: web } }
        ·                                             ───
     12 │       - { container: { name: worker } }
        ╰────

    bad-path

      × `../own.yml` leaves the repository
        ╭─[lowtide.yml:24:30]
     23 │     source: { repo: "https://git.example.org/own.git" }
     24 │     repository_file: { path: ../own.yml, allow: [build.host, tset] }
        ·                              ──────────
     25 │   unread:
        ╰────
      help: write a path below the repository's root, without `..`

    not-for-repositories

      × no repository can set `build.host`
        ╭─[lowtide.yml:24:50]
     23 │     source: { repo: "https://git.example.org/own.git" }
     24 │     repository_file: { path: ../own.yml, allow: [build.host, tset] }
        ·                                                  ──────────
     25 │   unread:
        ╰────
      help: what can be allowed is `build`, `build.args`, `build.ignore_paths`, `build.label_schema`,
            `build.labels`, `build.limits`, `build.max_age`, `build.target`, `build.timeout`, `build.upgrade`,
            `env`, `ready`, `test`, `test.artefacts`, `test.compose`, `test.env`, `test.junit`, `test.limits`,
            `test.matrix`, `test.network`, `test.ready`, `test.sidecars`, `test.steps`, `test.tester` and
            `test.timeout`

    not-for-repositories

      × no repository can set `tset`
        ╭─[lowtide.yml:24:62]
     23 │     source: { repo: "https://git.example.org/own.git" }
     24 │     repository_file: { path: ../own.yml, allow: [build.host, tset] }
        ·                                                              ────
     25 │   unread:
        ╰────
      help: did you mean `test`?

    missing-key

      × `apps.unread.repository_file` has no `allow`
        ╭─[lowtide.yml:27:5]
     26 │     source: { repo: "https://git.example.org/unread.git" }
     27 │     repository_file: { path: lowtide.yml }
        ·     ───────────────
     28 │   nothing:
        ╰────
      help: name what the file may set: `[build.args, test, ready]`

    empty-list

      × `repository_file.allow` is empty, so the file could say nothing
        ╭─[lowtide.yml:30:24]
     29 │     source: { repo: "https://git.example.org/nothing.git" }
     30 │     repository_file: { allow: [] }
        ·                        ─────
     31 │   bare:
        ╰────
      help: name what the file may set: `[build.args, test, ready]`

    missing-key

      × `apps.bare` has no `source.repo`
        ╭─[lowtide.yml:31:3]
     30 │     repository_file: { allow: [] }
     31 │   bare:
        ·   ────
     32 │     rollout:
        ╰────
      help: write `source: { repo: https://… }`, or `image` and `tags` for an image that others build

    unknown-channel

      × the app has no channels: it has no `publish`
        ╭─[lowtide.yml:33:20]
     32 │     rollout:
     33 │       - { channel: c, compose: { project: p, services: [s] } }
        ·                    ─
     34 │   swarm:
        ╰────
      help: take `channel` out: the release is taken from the engine's own store

    not-for-services

      × `before` has no meaning for Swarm services
        ╭─[lowtide.yml:37:35]
     36 │     rollout:
     37 │       - { service: { name: web }, before: [ { exec: [a] } ], ready: { stay_up: 1s }, stop_timeout: 1s }
        ·                                   ──────
     38 │       - { stack: { services: [web] } }
        ╰────
      help: commands inside containers are for targets of one host

    not-for-services

      × `ready` has no meaning for Swarm services
        ╭─[lowtide.yml:37:62]
     36 │     rollout:
     37 │       - { service: { name: web }, before: [ { exec: [a] } ], ready: { stay_up: 1s }, stop_timeout: 1s }
        ·                                                              ─────
     38 │       - { stack: { services: [web] } }
        ╰────
      help: a task counts when Swarm says it runs: with a HEALTHCHECK in the image, when it is healthy

    not-for-services

      × `stop_timeout` has no meaning for Swarm services
        ╭─[lowtide.yml:37:100]
     36 │     rollout:
     37 │       - { service: { name: web }, before: [ { exec: [a] } ], ready: { stay_up: 1s }, stop_timeout: 1s }
        ·                                                                                                    ──
     38 │       - { stack: { services: [web] } }
        ╰────
      help: a service has its own: `docker service update --stop-grace-period`

    missing-key

      × `apps.swarm.rollout[1].stack` has no `name`
        ╭─[lowtide.yml:38:11]
     37 │       - { service: { name: web }, before: [ { exec: [a] } ], ready: { stay_up: 1s }, stop_timeout: 1s }
     38 │       - { stack: { services: [web] } }
        ·           ─────
     39 │       - { service: { name: shop_web }, stack: { name: shop } }
        ╰────
      help: write `stack: { name: shop, services: [web] }`

    one-of

      × a target is exactly one of `container`, `label`, `compose`, `service`, `stack`, `command` and `self`
        ╭─[lowtide.yml:39:9]
     38 │       - { stack: { services: [web] } }
     39 │       - { service: { name: shop_web }, stack: { name: shop } }
        ·         ──
     40 │       - stack: { name: shop, services: [web, cron] }
        ╰────
      help: begin each target with a `- ` of its own: `- container: { name: web }`

    duplicate-target

      × service `shop_cron` is already a target of `swarm`
        ╭─[lowtide.yml:41:26]
     39 │       - { service: { name: shop_web }, stack: { name: shop } }
     40 │       - stack: { name: shop, services: [web, cron] }
        ·                                              ──┬─
        ·                                                ╰── first claimed here
     41 │       - service: { name: shop_cron }
        ·                          ────┬────
        ·                              ╰── here
     42 │   bot:
        ╰────
      help: one container or service runs one app: take it out of one of the two

    not-for-self

      × `before` has no meaning for lowtide's own container
        ╭─[lowtide.yml:45:21]
     44 │     rollout:
     45 │       - { self: {}, before: [ { exec: [a] } ], order: start-first }
        ·                     ──────
     46 │       - self: { host: again }
        ╰────
      help: lowtide is handed over by itself

    not-for-self

      × `order` has no meaning for lowtide's own container
        ╭─[lowtide.yml:45:55]
     44 │     rollout:
     45 │       - { self: {}, before: [ { exec: [a] } ], order: start-first }
        ·                                                       ───────────
     46 │       - self: { host: again }
        ╰────
      help: the old one always stops before the new one starts

    duplicate-name

      × two targets of this app are named `self`
        ╭─[lowtide.yml:46:9]
     44 │     rollout:
     45 │       - { self: {}, before: [ { exec: [a] } ], order: start-first }
        ·         ─┬
        ·          ╰── first here
     46 │       - self: { host: again }
        ·         ┬
        ·         ╰── here
     47 │       - { self: {}, container: { name: bot } }
        ╰────
      help: give one of them a `name` of its own

    duplicate-target

      × lowtide itself is already a target of `bot`
        ╭─[lowtide.yml:46:9]
     44 │     rollout:
     45 │       - { self: {}, before: [ { exec: [a] } ], order: start-first }
        ·           ──┬─
        ·             ╰── first claimed here
     46 │       - self: { host: again }
        ·         ──┬─
        ·           ╰── here
     47 │       - { self: {}, container: { name: bot } }
        ╰────
      help: one container or service runs one app: take it out of one of the two

    one-of

      × a target is exactly one of `container`, `label`, `compose`, `service`, `stack`, `command` and `self`
        ╭─[lowtide.yml:47:9]
     46 │       - self: { host: again }
     47 │       - { self: {}, container: { name: bot } }
        ·         ──
        ╰────
      help: begin each target with a `- ` of its own: `- container: { name: web }`

    lowtide.yml: 36 problems. The configuration is not used.
    "#);
}

#[test]
fn a_channel_is_pulled_from_a_repository() {
    let text = "version: 1
apps:
  web:
    source: { repo: 'https://git.example.org/web.git' }
    publish:
      image: ghcr.io/x/web
      channels:
        - { name: next, pull: 'cache.example.org/x/web:1' }
        - { name: stable, pull: 'https://cache.example.org/x/web' }
        - { name: late, pull: cache.example.org/x/web }
";
    insta::assert_snapshot!(report(text), @"
    bad-image

      × `cache.example.org/x/web:1` is not an image repository: a repository carries no tag and no digest
       ╭─[lowtide.yml:8:31]
     7 │       channels:
     8 │         - { name: next, pull: 'cache.example.org/x/web:1' }
       ·                               ────────────────────────────
     9 │         - { name: stable, pull: 'https://cache.example.org/x/web' }
       ╰────
      help: take the tag off; tags are made from `publish.tag`

    bad-image

      × `https://cache.example.org/x/web` is not an image repository: each part of its path is lower-case
      │ letters, digits, '.', '_' and '-'
        ╭─[lowtide.yml:9:33]
      8 │         - { name: next, pull: 'cache.example.org/x/web:1' }
      9 │         - { name: stable, pull: 'https://cache.example.org/x/web' }
        ·                                 ──────────────────────────────────
     10 │         - { name: late, pull: cache.example.org/x/web }
        ╰────
      help: write it like `ghcr.io/owner/name`

    lowtide.yml: 2 problems. The configuration is not used.
    ");
}

/// Its tag is its name, unless another is said.
#[test]
fn no_channel_moves_the_tag_latest() {
    let codes = |channel: &str| -> Vec<(&'static str, String)> {
        let text = format!(
            "version: 1\napps:\n  web:\n    source: {{ repo: \"https://git.example.org/web.git\" }}\n    publish: {{ image: ghcr.io/x/web, \
             channels: [ {channel} ] }}\n"
        );
        let problems = lowtide::config::validate::fleet(text.as_bytes())
            .err()
            .unwrap_or_default();
        problems.into_iter().map(|it| (it.code, it.route.to_string())).collect()
    };
    let latest = |key: &str| vec![("latest", format!("apps.web.publish.channels[0].{key}"))];
    assert_eq!(codes("{ name: latest }"), latest("name"));
    assert_eq!(codes("{ name: next, tag: latest }"), latest("tag"));
    assert_eq!(codes("{ name: latest, tag: stable }"), []);
}
