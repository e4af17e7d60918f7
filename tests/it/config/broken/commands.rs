use super::report;

pub(super) const COMMANDS: &str = r#"version: 1
apps:
  web:
    source: { repo: "https://git.example.org/web.git" }
    ready: { http: { url: "https://web.example.org/" } }
    rollout:
      - command: { run: [/hooks/deploy.sh] }
      - { name: a, command: { back: [back.sh], timeout: 0s } }
      - name: b
        command:
          run: [./deploy.sh]
          env: { LOWTIDE_IMAGE: mine, "A B": c, TOKEN: { file: relative }, LIST: [x], BOTH: { env: A, file: /a } }
        before: [ { exec: [a] } ]
        order: start-first
        stop_timeout: 5s
        ready: { stay_up: 5s }
      - name: c
        command: { run: [] }
        ready: { http: { port: 80, url: "https://user:pw@edge.example.org/" } }
      - name: d
        command: { run: [deploy] }
        ready: { http: { url: "edge.example.org/healthz" }, exec: [probe] }
      - name: e
        command: { run: [deploy] }
        ready: { http: { url: "ftp://edge.example.org/healthz" } }
      - { name: f, command: { run: [deploy] }, container: { name: web } }
      - { name: g, command: deploy }
"#;

#[test]
fn what_a_command_cannot_be() {
    insta::assert_snapshot!(report(COMMANDS), @r#"
    not-for-containers

      × `ready.http.url` has no meaning for a container
       ╭─[lowtide.yml:5:27]
     4 │     source: { repo: "https://git.example.org/web.git" }
     5 │     ready: { http: { url: "https://web.example.org/" } }
       ·                           ───────────────────────────
     6 │     rollout:
       ╰────
      help: the request comes from beside the container: write `http: { port: 80, path: / }`

    missing-key

      × `apps.web.rollout[0]` has no `name`
       ╭─[lowtide.yml:7:9]
     6 │     rollout:
     7 │       - command: { run: [/hooks/deploy.sh] }
       ·         ─
     8 │       - { name: a, command: { back: [back.sh], timeout: 0s } }
       ╰────
      help: nothing else names this target: write `name: edge`

    missing-key

      × `apps.web.rollout[1].command` has no `run`
       ╭─[lowtide.yml:8:20]
     7 │       - command: { run: [/hooks/deploy.sh] }
     8 │       - { name: a, command: { back: [back.sh], timeout: 0s } }
       ·                    ───────
     9 │       - name: b
       ╰────
      help: write `command: { run: [program, argument] }`

    out-of-range

      × `command.timeout` must be longer than nothing
       ╭─[lowtide.yml:8:57]
     7 │       - command: { run: [/hooks/deploy.sh] }
     8 │       - { name: a, command: { back: [back.sh], timeout: 0s } }
       ·                                                         ──
     9 │       - name: b
       ╰────
      help: the default is 10m

    bad-path

      × `./deploy.sh` is not an absolute path
        ╭─[lowtide.yml:11:11]
     10 │         command:
     11 │           run: [./deploy.sh]
        ·           ───
     12 │           env: { LOWTIDE_IMAGE: mine, "A B": c, TOKEN: { file: ******** }, LIST: [x], BOTH: { env: A, file: /a } }
        ╰────
      help: write the program's absolute path, or its name alone to look for it in PATH

    bad-name

      × `LOWTIDE_IMAGE` is set by lowtide itself
        ╭─[lowtide.yml:12:33]
     11 │           run: [./deploy.sh]
     12 │           env: { LOWTIDE_IMAGE: mine, "A B": c, TOKEN: { file: ******** }, LIST: [x], BOTH: { env: A, file: /a } }
        ·                                 ────
     13 │         before: [ { exec: [a] } ]
        ╰────
      help: take another name

    bad-name

      × `A B` cannot be the name of an environment variable
        ╭─[lowtide.yml:12:46]
     11 │           run: [./deploy.sh]
     12 │           env: { LOWTIDE_IMAGE: mine, "A B": c, TOKEN: { file: ******** }, LIST: [x], BOTH: { env: A, file: /a } }
        ·                                              ─
     13 │         before: [ { exec: [a] } ]
        ╰────
      help: write a map, `NAME: value`

    literal-secret

      × `command.env.TOKEN.file` is not an absolute path
        ╭─[lowtide.yml:12:64]
     11 │           run: [./deploy.sh]
     12 │           env: { LOWTIDE_IMAGE: mine, "A B": c, TOKEN: { file: ******** }, LIST: [x], BOTH: { env: A, file: /a } }
        ·                                                                ────────
     13 │         before: [ { exec: [a] } ]
        ╰────
      help: write it like `{ file: /run/secrets/ghcr }`

    wrong-type

      × `apps.web.rollout[2].command.env.LIST` must be text, not a list
        ╭─[lowtide.yml:12:76]
     11 │           run: [./deploy.sh]
     12 │           env: { LOWTIDE_IMAGE: mine, "A B": c, TOKEN: { file: ******** }, LIST: [x], BOTH: { env: A, file: /a } }
        ·                                                                            ────
     13 │         before: [ { exec: [a] } ]
        ╰────
      help: take the `- ` off: keys stand by themselves

    one-of

      × `command.env.BOTH` needs exactly one of `env`, `file` and `age`
        ╭─[lowtide.yml:12:87]
     11 │           run: [./deploy.sh]
     12 │           env: { LOWTIDE_IMAGE: mine, "A B": c, TOKEN: { file: ******** }, LIST: [x], BOTH: { env: A, file: /a } }
        ·                                                                                       ────
     13 │         before: [ { exec: [a] } ]
        ╰────
      help: write `{ env: NAME }`, `{ file: /run/secrets/NAME }` or `{ age: secrets/NAME.age }`

    not-for-commands

      × `before` has no meaning for a command
        ╭─[lowtide.yml:13:9]
     12 │           env: { LOWTIDE_IMAGE: mine, "A B": c, TOKEN: { file: ******** }, LIST: [x], BOTH: { env: A, file: /a } }
     13 │         before: [ { exec: [a] } ]
        ·         ──────
     14 │         order: start-first
        ╰────
      help: a command has no container to run it in: do it in the command itself

    not-for-commands

      × `order` has no meaning for a command
        ╭─[lowtide.yml:14:16]
     13 │         before: [ { exec: [a] } ]
     14 │         order: start-first
        ·                ───────────
     15 │         stop_timeout: 5s
        ╰────
      help: what runs first is the command's own affair

    not-for-commands

      × `stop_timeout` has no meaning for a command
        ╭─[lowtide.yml:15:23]
     14 │         order: start-first
     15 │         stop_timeout: 5s
        ·                       ──
     16 │         ready: { stay_up: 5s }
        ╰────
      help: its own limit is `command.timeout`

    one-of

      × `ready` of a command needs `http` or `exec`
        ╭─[lowtide.yml:16:9]
     15 │         stop_timeout: 5s
     16 │         ready: { stay_up: 5s }
        ·         ─────
     17 │       - name: c
        ╰────
      help: write `ready: { http: { url: "https://…" } }`, or take it out: the exit code alone decides then

    not-for-commands

      × `ready.stay_up` has no meaning for a command
        ╭─[lowtide.yml:16:27]
     15 │         stop_timeout: 5s
     16 │         ready: { stay_up: 5s }
        ·                           ──
     17 │       - name: c
        ╰────
      help: ask by `http: { url: … }` or `exec`, or leave it to the exit code

    empty-list

      × `command.run` names no program
        ╭─[lowtide.yml:18:20]
     17 │       - name: c
     18 │         command: { run: [] }
        ·                    ───
     19 │         ready: { http: { port: 80, url: *********************************** } }
        ╰────
      help: write `[program, argument]`

    not-for-commands

      × `ready.http.port` is for a request inside a container
        ╭─[lowtide.yml:19:32]
     18 │         command: { run: [] }
     19 │         ready: { http: { port: 80, url: *********************************** } }
        ·                                ──
     20 │       - name: d
        ╰────
      help: write `http: { url: "https://edge.example.org/healthz" }`

    credentials-in-url

      × this address holds a credential; it is in git now, so change it
        ╭─[lowtide.yml:19:41]
     18 │         command: { run: [] }
     19 │         ready: { http: { port: 80, url: *********************************** } }
        ·                                         ────────────────────────────────────
     20 │       - name: d
        ╰────
      help: write `http: { url: "https://edge.example.org/healthz" }`

    one-of

      × `ready.http` and `ready.exec` exclude each other
        ╭─[lowtide.yml:22:61]
     21 │         command: { run: [deploy] }
     22 │         ready: { http: { url: "edge.example.org/healthz" }, exec: [probe] }
        ·                  ──┬─                                       ──┬─
        ·                    │                                          ╰── here
        ·                    ╰── and here
     23 │       - name: e
        ╰────
      help: keep one of the two

    bad-url

      × `ftp://` is not used here
        ╭─[lowtide.yml:25:31]
     24 │         command: { run: [deploy] }
     25 │         ready: { http: { url: "ftp://edge.example.org/healthz" } }
        ·                               ─────────────────────────────────
     26 │       - { name: f, command: { run: [deploy] }, container: { name: web } }
        ╰────
      help: write `http: { url: "https://edge.example.org/healthz" }`

    one-of

      × a target is exactly one of `container`, `label`, `compose`, `service`, `stack`, `command` and `self`
        ╭─[lowtide.yml:26:9]
     25 │         ready: { http: { url: "ftp://edge.example.org/healthz" } }
     26 │       - { name: f, command: { run: [deploy] }, container: { name: web } }
        ·         ──
     27 │       - { name: g, command: deploy }
        ╰────
      help: begin each target with a `- ` of its own: `- container: { name: web }`

    wrong-type

      × `apps.web.rollout[7].command` must be a map of keys, not a single value
        ╭─[lowtide.yml:27:29]
     26 │       - { name: f, command: { run: [deploy] }, container: { name: web } }
     27 │       - { name: g, command: deploy }
        ·                             ──────
        ╰────
      help: write `command: { run: [program, argument] }`

    lowtide.yml: 22 problems. The configuration is not used.
    "#);
}
