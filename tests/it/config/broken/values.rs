use super::report;

pub(super) const VALUES: &str = r#"version: 7
timezone: America/Monkton
hosts: { Build: { docker: unix:///run/a.sock }, b: { docker: npipe:////./pipe/docker }, c: { docker: local } }
notify:
  email: { smtp: smtp+plain://mail.example.org, from: Low Tide, operators: [] , daily_report: "8:00" }
package_repositories: { mirrors: { "http://deb.example.org/debian": "ftp://mirror.example.org" } }
retention: { history: 90, logs: 1G, build_cache: 10, registry: { keep: 0, age: 0s, delete: yes } }
defaults:
  nightly: { between: "22-02" }
  window: { days: [tuesday], from: "03:00", to: "03:00" }
apps:
  web:
    cron: "61 * * * *"
    source: { repo: http://git.example.org/web.git, branch: "a b", context: ../x }
    ready: { log: "(" }
    build: { ignore_paths: ["srv/[", "/ok/*"] }
    bake: 1m1h
  api:
    cron: "0 0 31 2 *"
    source: { repo: ext::sh, commit: abc }
    test: { junit: "[", sidecars: { db: { image: "A:b" } }, steps: [ {} ] }
    publish: { image: "ghcr.io/x/api:1", tag: "{date}-{comit}" }
"#;

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
     3 │ hosts: { Build: { docker: unix:///run/a.sock }, b: { docker: npipe:////./pipe/docker }, c: { docker: local } }
       ╰────
      help: did you mean `America/Moncton`?

    bad-name

      × `Build` is not a valid name
       ╭─[lowtide.yml:3:10]
     2 │ timezone: America/Monkton
     3 │ hosts: { Build: { docker: unix:///run/a.sock }, b: { docker: npipe:////./pipe/docker }, c: { docker: local } }
       ·          ─────
     4 │ notify:
       ╰────
      help: use 1 to 63 of a-z, 0-9, `-`, `_` and `.`, starting with a letter or digit

    not-supported

      × engines reached by npipe:// are not supported by this version
       ╭─[lowtide.yml:3:62]
     2 │ timezone: America/Monkton
     3 │ hosts: { Build: { docker: unix:///run/a.sock }, b: { docker: npipe:////./pipe/docker }, c: { docker: local } }
       ·                                                              ───────────────────────
     4 │ notify:
       ╰────
      help: write `unix:///var/run/docker.sock`, `ssh://user@host` or `tcp://host:2376`

    bad-url

      × `local` is not the address of an engine
       ╭─[lowtide.yml:3:102]
     2 │ timezone: America/Monkton
     3 │ hosts: { Build: { docker: unix:///run/a.sock }, b: { docker: npipe:////./pipe/docker }, c: { docker: local } }
       ·                                                                                                      ─────
     4 │ notify:
       ╰────
      help: write `unix:///var/run/docker.sock`, `ssh://user@host` or `tcp://host:2376`

    plain-text

      × `mail.example.org` is not this machine, and smtp+plain does not encrypt
       ╭─[lowtide.yml:5:18]
     4 │ notify:
     5 │   email: { smtp: smtp+plain://mail.example.org, from: Low Tide, operators: [] , daily_report: "8:00" }
       ·                  ─────────────────────────────
     6 │ package_repositories: { mirrors: { "http://deb.example.org/debian": "ftp://mirror.example.org" } }
       ╰────
      help: use `smtps://` or `smtp://`

    bad-email

      × `Low Tide` is not a mail address
       ╭─[lowtide.yml:5:55]
     4 │ notify:
     5 │   email: { smtp: smtp+plain://mail.example.org, from: Low Tide, operators: [] , daily_report: "8:00" }
       ·                                                       ────────
     6 │ package_repositories: { mirrors: { "http://deb.example.org/debian": "ftp://mirror.example.org" } }
       ╰────
      help: write the bare address: `name@example.org`

    missing-key

      × `notify.email` has no `operators`
       ╭─[lowtide.yml:5:65]
     4 │ notify:
     5 │   email: { smtp: smtp+plain://mail.example.org, from: Low Tide, operators: [] , daily_report: "8:00" }
       ·                                                                 ─────────
     6 │ package_repositories: { mirrors: { "http://deb.example.org/debian": "ftp://mirror.example.org" } }
       ╰────
      help: name who gets mail when lowtide itself has a problem: `operators: [ops@example.org]`

    bad-time

      × `8:00` is not a time of day
       ╭─[lowtide.yml:5:95]
     4 │ notify:
     5 │   email: { smtp: smtp+plain://mail.example.org, from: Low Tide, operators: [] , daily_report: "8:00" }
       ·                                                                                               ───────
     6 │ package_repositories: { mirrors: { "http://deb.example.org/debian": "ftp://mirror.example.org" } }
       ╰────
      help: write `HH:MM` from `00:00` to `23:59`, in quotes

    bad-url

      × `package_repositories.mirrors.http://deb.example.org/debian` is not an http(s) address
       ╭─[lowtide.yml:6:69]
     5 │   email: { smtp: smtp+plain://mail.example.org, from: Low Tide, operators: [] , daily_report: "8:00" }
     6 │ package_repositories: { mirrors: { "http://deb.example.org/debian": "ftp://mirror.example.org" } }
       ·                                                                     ───────────────────────────
     7 │ retention: { history: 90, logs: 1G, build_cache: 10, registry: { keep: 0, age: 0s, delete: yes } }
       ╰────
      help: write it like `http://deb.debian.org/debian: https://mirror.example.org/debian`

    bad-duration

      × `90` is not a duration: it has no unit
       ╭─[lowtide.yml:7:23]
     6 │ package_repositories: { mirrors: { "http://deb.example.org/debian": "ftp://mirror.example.org" } }
     7 │ retention: { history: 90, logs: 1G, build_cache: 10, registry: { keep: 0, age: 0s, delete: yes } }
       ·                       ──
     8 │ defaults:
       ╰────
      help: write `90s`, `90m` or `90h`

    bad-size

      × `1G` is not a size: its unit is one of `B`, `KiB`, `MiB`, `GiB`, `TiB`, `kB`, `MB`, `GB`, `TB`
       ╭─[lowtide.yml:7:33]
     6 │ package_repositories: { mirrors: { "http://deb.example.org/debian": "ftp://mirror.example.org" } }
     7 │ retention: { history: 90, logs: 1G, build_cache: 10, registry: { keep: 0, age: 0s, delete: yes } }
       ·                                 ──
     8 │ defaults:
       ╰────
      help: write it like `512MiB` or `2GiB`

    bad-size

      × `10` is not a size: it has no unit
       ╭─[lowtide.yml:7:50]
     6 │ package_repositories: { mirrors: { "http://deb.example.org/debian": "ftp://mirror.example.org" } }
     7 │ retention: { history: 90, logs: 1G, build_cache: 10, registry: { keep: 0, age: 0s, delete: yes } }
       ·                                                  ──
     8 │ defaults:
       ╰────
      help: write it like `512MiB` or `2GiB`

    out-of-range

      × `retention.registry.keep` must be between 1 and 1000, not 0
       ╭─[lowtide.yml:7:72]
     6 │ package_repositories: { mirrors: { "http://deb.example.org/debian": "ftp://mirror.example.org" } }
     7 │ retention: { history: 90, logs: 1G, build_cache: 10, registry: { keep: 0, age: 0s, delete: yes } }
       ·                                                                        ─
     8 │ defaults:
       ╰────

    out-of-range

      × `retention.registry.age` must be longer than nothing
       ╭─[lowtide.yml:7:80]
     6 │ package_repositories: { mirrors: { "http://deb.example.org/debian": "ftp://mirror.example.org" } }
     7 │ retention: { history: 90, logs: 1G, build_cache: 10, registry: { keep: 0, age: 0s, delete: yes } }
       ·                                                                                ──
     8 │ defaults:
       ╰────
      help: leave it out if only `keep` should count

    wrong-type

      × `retention.registry.delete` must be `true` or `false`, not `yes`
       ╭─[lowtide.yml:7:92]
     6 │ package_repositories: { mirrors: { "http://deb.example.org/debian": "ftp://mirror.example.org" } }
     7 │ retention: { history: 90, logs: 1G, build_cache: 10, registry: { keep: 0, age: 0s, delete: yes } }
       ·                                                                                            ───
     8 │ defaults:
       ╰────
      help: write `true` or `false`

    bad-time

      × `22-02` is not a span of the day
        ╭─[lowtide.yml:9:23]
      8 │ defaults:
      9 │   nightly: { between: "22-02" }
        ·                       ────────
     10 │   window: { days: [tuesday], from: "03:00", to: "03:00" }
        ╰────
      help: write it like `22:00-02:30`, with two digits each

    bad-day

      × `tuesday` is not a day
        ╭─[lowtide.yml:10:20]
      9 │   nightly: { between: "22-02" }
     10 │   window: { days: [tuesday], from: "03:00", to: "03:00" }
        ·                    ───────
     11 │ apps:
        ╰────
      help: did you mean `tue`?

    empty-window

      × this window closes when it opens, at 03:00
        ╭─[lowtide.yml:10:49]
      9 │   nightly: { between: "22-02" }
     10 │   window: { days: [tuesday], from: "03:00", to: "03:00" }
        ·                                                 ────────
     11 │ apps:
        ╰────
      help: for a whole day write `from: "00:00", to: "24:00"`, for 24 hours `for: 24h`

    bad-cron

      × `61 * * * *` is not a cron schedule
        ╭─[lowtide.yml:13:11]
     12 │   web:
     13 │     cron: "61 * * * *"
        ·           ────────────
     14 │     source: { repo: http://git.example.org/web.git, branch: "a b", context: ../x }
        ╰────
      help: minute hour day-of-month month day-of-week, as in `30 1 * * *`

    bad-url

      × `http://` is not used here
        ╭─[lowtide.yml:14:21]
     13 │     cron: "61 * * * *"
     14 │     source: { repo: http://git.example.org/web.git, branch: "a b", context: ../x }
        ·                     ──────────────────────────────
     15 │     ready: { log: "(" }
        ╰────
      help: use `https://`; plain http is for loopback only

    bad-ref

      × `a b` cannot be the name of a branch
        ╭─[lowtide.yml:14:61]
     13 │     cron: "61 * * * *"
     14 │     source: { repo: http://git.example.org/web.git, branch: "a b", context: ../x }
        ·                                                             ─────
     15 │     ready: { log: "(" }
        ╰────
      help: see `git check-ref-format`

    bad-path

      × `../x` leaves the repository
        ╭─[lowtide.yml:14:77]
     13 │     cron: "61 * * * *"
     14 │     source: { repo: http://git.example.org/web.git, branch: "a b", context: ../x }
        ·                                                                             ────
     15 │     ready: { log: "(" }
        ╰────
      help: write a path below the repository's root, without `..`

    bad-pattern

      × `(` is not a regular expression: unclosed group
        ╭─[lowtide.yml:15:19]
     14 │     source: { repo: http://git.example.org/web.git, branch: "a b", context: ../x }
     15 │     ready: { log: "(" }
        ·                   ────
     16 │     build: { ignore_paths: ["srv/[", "/ok/*"] }
        ╰────
      help: the syntax is that of the Rust `regex` crate; put it in single quotes

    bad-pattern

      × `srv/[` is no pattern of absolute paths
        ╭─[lowtide.yml:16:29]
     15 │     ready: { log: "(" }
     16 │     build: { ignore_paths: ["srv/[", "/ok/*"] }
        ·                             ───────
     17 │     bake: 1m1h
        ╰────
      help: write it like `/srv/app/build-info.json` or `/srv/**/*.map`

    bad-duration

      × `1m1h` is not a duration: its units must go from large to small, each once
        ╭─[lowtide.yml:17:11]
     16 │     build: { ignore_paths: ["srv/[", "/ok/*"] }
     17 │     bake: 1m1h
        ·           ────
     18 │   api:
        ╰────
      help: write it like `15m`, `1h30m`, `500ms` or `2d`

    bad-cron

      × `0 0 31 2 *` never comes
        ╭─[lowtide.yml:19:11]
     18 │   api:
     19 │     cron: "0 0 31 2 *"
        ·           ────────────
     20 │     source: { repo: ext::sh, commit: abc }
        ╰────
      help: is there such a day in such a month?

    bad-url

      × `ext::sh` is not a git remote
        ╭─[lowtide.yml:20:21]
     19 │     cron: "0 0 31 2 *"
     20 │     source: { repo: ext::sh, commit: abc }
        ·                     ───────
     21 │     test: { junit: "[", sidecars: { db: { image: "A:b" } }, steps: [ {} ] }
        ╰────
      help: use https, ssh or file

    bad-ref

      × `abc` is not a full commit id
        ╭─[lowtide.yml:20:38]
     19 │     cron: "0 0 31 2 *"
     20 │     source: { repo: ext::sh, commit: abc }
        ·                                      ───
     21 │     test: { junit: "[", sidecars: { db: { image: "A:b" } }, steps: [ {} ] }
        ╰────
      help: write all 40 lower-case hex digits: `git rev-parse HEAD`

    bad-pattern

      × `[` is not an absolute glob
        ╭─[lowtide.yml:21:20]
     20 │     source: { repo: ext::sh, commit: abc }
     21 │     test: { junit: "[", sidecars: { db: { image: "A:b" } }, steps: [ {} ] }
        ·                    ───
     22 │     publish: { image: "ghcr.io/x/api:1", tag: "{date}-{comit}" }
        ╰────
      help: write it like `/results/*.xml`

    bad-image

      × `A:b` is not an image: each part of its path is lower-case letters, digits, '.', '_' and '-'
        ╭─[lowtide.yml:21:50]
     20 │     source: { repo: ext::sh, commit: abc }
     21 │     test: { junit: "[", sidecars: { db: { image: "A:b" } }, steps: [ {} ] }
        ·                                                  ──────
     22 │     publish: { image: "ghcr.io/x/api:1", tag: "{date}-{comit}" }
        ╰────
      help: write it like `mariadb:11` or `ghcr.io/owner/name:tag`

    one-of

      × a step is exactly one of `exec`, `restart`, `http`, `wait` and `copy`
        ╭─[lowtide.yml:21:70]
     20 │     source: { repo: ext::sh, commit: abc }
     21 │     test: { junit: "[", sidecars: { db: { image: "A:b" } }, steps: [ {} ] }
        ·                                                                      ─
     22 │     publish: { image: "ghcr.io/x/api:1", tag: "{date}-{comit}" }
        ╰────
      help: begin each step with a `- ` of its own

    bad-image

      × `ghcr.io/x/api:1` is not an image repository: a repository carries no tag and no digest
        ╭─[lowtide.yml:22:23]
     21 │     test: { junit: "[", sidecars: { db: { image: "A:b" } }, steps: [ {} ] }
     22 │     publish: { image: "ghcr.io/x/api:1", tag: "{date}-{comit}" }
        ·                       ─────────────────
        ╰────
      help: take the tag off; tags are made from `publish.tag`

    bad-tag

      × `{comit}` is not a variable of the tag
        ╭─[lowtide.yml:22:47]
     21 │     test: { junit: "[", sidecars: { db: { image: "A:b" } }, steps: [ {} ] }
     22 │     publish: { image: "ghcr.io/x/api:1", tag: "{date}-{comit}" }
        ·                                               ─────────────────
        ╰────
      help: did you mean `{commit}`?

    lowtide.yml: 34 problems. The configuration is not used.
    "#);
}
