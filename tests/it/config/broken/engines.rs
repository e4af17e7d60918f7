use super::report;

pub(super) const ENGINES: &str = r#"version: 1
hosts:
  a: { docker: "ssh://roll:secret@a.example.org" }
  b: { docker: "ssh://-oProxyCommand=x@b.example.org", ca: /ca.pem }
  c: { docker: "ssh://c.example.org", known_hosts: hosts, cert: /c.pem }
  d: { docker: "tcp://d.example.org:99999" }
  e: { docker: "tcp://e.example.org", cert: /e.pem }
apps: {}
"#;

#[test]
fn engines() {
    insta::assert_snapshot!(report(ENGINES), @r#"
    bad-url

      × a password does not belong in an address
       ╭─[lowtide.yml:3:16]
     2 │ hosts:
     3 │   a: { docker: "ssh://***********@a.example.org" }
       ·                ──────────────────────────────────
     4 │   b: { docker: "ssh://****************@b.example.org", ca: /ca.pem }
       ╰────
      help: use a key: `key: { file: /run/secrets/ssh_key }`

    bad-url

      × `-oProxyCommand=x@b.example.org` is not a host, or user and host
       ╭─[lowtide.yml:4:16]
     3 │   a: { docker: "ssh://***********@a.example.org" }
     4 │   b: { docker: "ssh://****************@b.example.org", ca: /ca.pem }
       ·                ──────────────────────────────────────
     5 │   c: { docker: "ssh://c.example.org", known_hosts: hosts, cert: /c.pem }
       ╰────
      help: write `ssh://user@host`, or with a port `ssh://user@host:2222`

    bad-path

      × `hosts` is not an absolute path
       ╭─[lowtide.yml:5:52]
     4 │   b: { docker: "ssh://****************@b.example.org", ca: /ca.pem }
     5 │   c: { docker: "ssh://c.example.org", known_hosts: hosts, cert: /c.pem }
       ·                                                    ─────
     6 │   d: { docker: "tcp://d.example.org:99999" }
       ╰────
      help: write it as lowtide sees it: `/run/secrets/NAME`

    not-supported

      × `cert` has no meaning for a ssh:// engine
       ╭─[lowtide.yml:5:65]
     4 │   b: { docker: "ssh://****************@b.example.org", ca: /ca.pem }
     5 │   c: { docker: "ssh://c.example.org", known_hosts: hosts, cert: /c.pem }
       ·                                                                 ──────
     6 │   d: { docker: "tcp://d.example.org:99999" }
       ╰────
      help: take it out, or change the address

    bad-url

      × `d.example.org:99999` is not a host, or host and port
       ╭─[lowtide.yml:6:16]
     5 │   c: { docker: "ssh://c.example.org", known_hosts: hosts, cert: /c.pem }
     6 │   d: { docker: "tcp://d.example.org:99999" }
       ·                ────────────────────────────
     7 │   e: { docker: "tcp://e.example.org", cert: /e.pem }
       ╰────
      help: write `unix:///var/run/docker.sock`, `ssh://user@host` or `tcp://host:2376`

    missing-key

      × `cert` is of no use without `key`
       ╭─[lowtide.yml:7:45]
     6 │   d: { docker: "tcp://d.example.org:99999" }
     7 │   e: { docker: "tcp://e.example.org", cert: /e.pem }
       ·                                             ──────
     8 │ apps: {}
       ╰────
      help: both together say who we are: `cert: /certs/cert.pem`, `key: { file: /certs/key.pem }`

    missing-key

      × `apps` is missing
       ╭─[lowtide.yml:8:1]
     7 │   e: { docker: "tcp://e.example.org", cert: /e.pem }
     8 │ apps: {}
       · ────
       ╰────
      help: name at least one app: `apps: { web: { source: { repo: https://… } } }`

    lowtide.yml: 7 problems. The configuration is not used.
    "#);
}
