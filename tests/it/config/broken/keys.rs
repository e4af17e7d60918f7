use super::report;

pub(super) const KEYS: &str = r#"version: 1
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
       ╭─[lowtide.yml:3:1]
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
      help: the keys here are `runs`, `rollouts`, `rollouts_per_host` and `min_free_disk`

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
      help: use one of `egress` and `none`

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

      × `apps.web.test.limits.cpus` must be a number, not the text `2`
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
     15 │     build: { pull: yes, secrets: { npm: * }, timeout: }
        ╰────
      help: take the `- ` off: keys stand by themselves

    wrong-type

      × `apps.web.build.pull` must be `true` or `false`, not `yes`
        ╭─[lowtide.yml:15:20]
     14 │     env: [A=b]
     15 │     build: { pull: yes, secrets: { npm: * }, timeout: }
        ·                    ───
        ╰────
      help: write `true` or `false`

    literal-secret

      × `apps.web.build.secrets.npm` is written out here
        ╭─[lowtide.yml:15:41]
     14 │     env: [A=b]
     15 │     build: { pull: yes, secrets: { npm: * }, timeout: }
        ·                                         ─
        ╰────
      help: secrets never stand in the configuration: write `{ env: NAME }` or `{ file: /run/secrets/NAME }`;
            this one is in git now, so change it

    no-value

      × `apps.web.build.timeout` has no value
        ╭─[lowtide.yml:15:46]
     14 │     env: [A=b]
     15 │     build: { pull: yes, secrets: { npm: * }, timeout: }
        ·                                              ───────
        ╰────
      help: give it a value, or take the key out

    lowtide.yml: 17 problems. The configuration is not used.
    "#);
}
