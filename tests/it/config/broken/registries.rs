use super::report;

pub(super) const REGISTRIES: &str = r#"version: 1
registries:
  https://ghcr.io: { plain_http: true }
  ghcr.io/Acme: { username: bot, password: { env: A } }
  ghcr.io/acme/: { username: bot, password: { env: A } }
  ghcr.io/acme/web:1: { username: bot, password: { env: A } }
  r.example.org:5000/dev: { plain_http: true, username: bot, password: { env: A } }
  r.example.org:5000/prod: {}
apps: {}
"#;

pub(super) const MIRRORS: &str = r#"version: 1
registries:
  docker.io: { mirror: "https://mirror.example.org" }
  quay.io: { mirror: quay.io/mirror }
  ghcr.io: { mirror: mirror.example.org/ghcr }
  mirror.example.org: { mirror: other.example.org }
  r.example.org: { mirror: other.example.org/r }
  gitlab.example.org/group: { mirror: other.example.org }
apps:
  web:
    source: { repo: https://git.example.org/web.git }
    publish: { image: r.example.org/web }
"#;

#[test]
fn mirrors() {
    insta::assert_snapshot!(report(MIRRORS), @r#"
    bad-name

      × `https://mirror.example.org` is neither a registry nor the beginning of a repository's name
       ╭─[lowtide.yml:3:24]
     2 │ registries:
     3 │   docker.io: { mirror: "https://mirror.example.org" }
       ·                        ─────────────────────────────
     4 │   quay.io: { mirror: quay.io/mirror }
       ╰────
      help: write `mirror.example.org`, or `mirror.example.org/hub` if it has a path for this registry

    not-supported

      × `quay.io` has a mirror itself
       ╭─[lowtide.yml:4:22]
     3 │   docker.io: { mirror: "https://mirror.example.org" }
     4 │   quay.io: { mirror: quay.io/mirror }
       ·                      ──────────────
     5 │   ghcr.io: { mirror: mirror.example.org/ghcr }
       ╰────
      help: name the registry that is read in the end

    not-supported

      × `mirror.example.org` has a mirror itself
       ╭─[lowtide.yml:5:22]
     4 │   quay.io: { mirror: quay.io/mirror }
     5 │   ghcr.io: { mirror: mirror.example.org/ghcr }
       ·                      ───────────────────────
     6 │   mirror.example.org: { mirror: other.example.org }
       ╰────
      help: name the registry that is read in the end

    not-supported

      × `r.example.org` has a mirror, and web pushes to r.example.org/web
       ╭─[lowtide.yml:7:28]
     6 │   mirror.example.org: { mirror: other.example.org }
     7 │   r.example.org: { mirror: other.example.org/r }
       ·                            ───────────────────
     8 │   gitlab.example.org/group: { mirror: other.example.org }
       ╰────
      help: take the mirror out: lowtide has to read what it pushed where it pushed it

    not-supported

      × `mirror` is for a whole registry, not for part of one
       ╭─[lowtide.yml:8:39]
     7 │   r.example.org: { mirror: other.example.org/r }
     8 │   gitlab.example.org/group: { mirror: other.example.org }
       ·                                       ─────────────────
     9 │ apps:
       ╰────
      help: write it at `registries.gitlab.example.org`

    lowtide.yml: 5 problems. The configuration is not used.
    "#);
}

#[test]
fn registries() {
    insta::assert_snapshot!(report(REGISTRIES), @"
    bad-name

      × `https://ghcr.io` is neither a registry nor the beginning of a repository's name
       ╭─[lowtide.yml:3:3]
     2 │ registries:
     3 │   https://ghcr.io: { plain_http: true }
       ·   ───────────────
     4 │   ghcr.io/Acme: { username: bot, password: { env: A } }
       ╰────
      help: write the host, with its port if it has one, and as much of the path as the credential is for:
            `ghcr.io`, `localhost:5000`, `ghcr.io/acme/dev`

    bad-name

      × `ghcr.io/Acme` is neither a registry nor the beginning of a repository's name
       ╭─[lowtide.yml:4:3]
     3 │   https://ghcr.io: { plain_http: true }
     4 │   ghcr.io/Acme: { username: bot, password: { env: A } }
       ·   ────────────
     5 │   ghcr.io/acme/: { username: bot, password: { env: A } }
       ╰────
      help: write the host, with its port if it has one, and as much of the path as the credential is for:
            `ghcr.io`, `localhost:5000`, `ghcr.io/acme/dev`

    bad-name

      × `ghcr.io/acme/` is neither a registry nor the beginning of a repository's name
       ╭─[lowtide.yml:5:3]
     4 │   ghcr.io/Acme: { username: bot, password: { env: A } }
     5 │   ghcr.io/acme/: { username: bot, password: { env: A } }
       ·   ─────────────
     6 │   ghcr.io/acme/web:1: { username: bot, password: { env: A } }
       ╰────
      help: write the host, with its port if it has one, and as much of the path as the credential is for:
            `ghcr.io`, `localhost:5000`, `ghcr.io/acme/dev`

    bad-name

      × `ghcr.io/acme/web:1` is neither a registry nor the beginning of a repository's name
       ╭─[lowtide.yml:6:3]
     5 │   ghcr.io/acme/: { username: bot, password: { env: A } }
     6 │   ghcr.io/acme/web:1: { username: bot, password: { env: A } }
       ·   ──────────────────
     7 │   r.example.org:5000/dev: { plain_http: true, username: bot, password: { env: A } }
       ╰────
      help: write the host, with its port if it has one, and as much of the path as the credential is for:
            `ghcr.io`, `localhost:5000`, `ghcr.io/acme/dev`

    not-supported

      × `plain_http` is for a whole registry, not for part of one
       ╭─[lowtide.yml:7:41]
     6 │   ghcr.io/acme/web:1: { username: bot, password: { env: A } }
     7 │   r.example.org:5000/dev: { plain_http: true, username: bot, password: { env: A } }
       ·                                         ────
     8 │   r.example.org:5000/prod: {}
       ╰────
      help: write it at `registries.r.example.org:5000`

    missing-key

      × `registries.r.example.org:5000/prod` has no credential
       ╭─[lowtide.yml:8:3]
     7 │   r.example.org:5000/dev: { plain_http: true, username: bot, password: { env: A } }
     8 │   r.example.org:5000/prod: {}
       ·   ───────────────────────
     9 │ apps: {}
       ╰────
      help: give it `username` and `password`, or take it out

    missing-key

      × `apps` is missing
       ╭─[lowtide.yml:9:1]
     8 │   r.example.org:5000/prod: {}
     9 │ apps: {}
       · ────
       ╰────
      help: name at least one app: `apps: { web: { source: { repo: https://… } } }`

    lowtide.yml: 7 problems. The configuration is not used.
    ");
}
