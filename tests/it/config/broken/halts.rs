use super::report;

const HALTS: &str = r#"version: 1
defaults: { halt: { require: reasons, probation: 101, test: [] } }
apps:
  web:
    source: { repo: "https://git.example.org/web.git" }
    halt: { probation: -1, tests: ["/tests/**", "a["] }
  api:
    source: { repo: "https://git.example.org/api.git" }
    halt: { tests: [] }
  bin:
    source: { repo: "https://git.example.org/bin.git" }
    halt: countermeasure
"#;

#[test]
fn what_lifts_a_halt() {
    insta::assert_snapshot!(report(HALTS), @r#"
    unknown-value

      × `defaults.halt.require` cannot be `reasons`
       ╭─[lowtide.yml:2:30]
     1 │ version: 1
     2 │ defaults: { halt: { require: reasons, probation: 101, test: [] } }
       ·                              ───────
     3 │ apps:
       ╰────
      help: did you mean `reason`?

    out-of-range

      × `defaults.halt.probation` must be between 0 and 100, not 101
       ╭─[lowtide.yml:2:50]
     1 │ version: 1
     2 │ defaults: { halt: { require: reasons, probation: 101, test: [] } }
       ·                                                  ───
     3 │ apps:
       ╰────

    unknown-key

      × there is no key `test` in `defaults.halt`
       ╭─[lowtide.yml:2:55]
     1 │ version: 1
     2 │ defaults: { halt: { require: reasons, probation: 101, test: [] } }
       ·                                                       ────
     3 │ apps:
       ╰────
      help: did you mean `tests`?

    wrong-type

      × `apps.web.halt.probation` must be a whole number, not `-1`
       ╭─[lowtide.yml:6:24]
     5 │     source: { repo: "https://git.example.org/web.git" }
     6 │     halt: { probation: -1, tests: ["/tests/**", "a["] }
       ·                        ──
     7 │   api:
       ╰────

    bad-pattern

      × `/tests/**` is no pattern of the repository's paths
       ╭─[lowtide.yml:6:36]
     5 │     source: { repo: "https://git.example.org/web.git" }
     6 │     halt: { probation: -1, tests: ["/tests/**", "a["] }
       ·                                    ───────────
     7 │   api:
       ╰────
      help: write it like `tests/**` or `**/*_test.go`: paths of the repository, from its root

    bad-pattern

      × `a[` is no pattern of the repository's paths
       ╭─[lowtide.yml:6:49]
     5 │     source: { repo: "https://git.example.org/web.git" }
     6 │     halt: { probation: -1, tests: ["/tests/**", "a["] }
       ·                                                 ────
     7 │   api:
       ╰────
      help: write it like `tests/**` or `**/*_test.go`: paths of the repository, from its root

    bad-pattern

      × no file is a test here, so no commit could be a countermeasure
        ╭─[lowtide.yml:9:13]
      8 │     source: { repo: "https://git.example.org/api.git" }
      9 │     halt: { tests: [] }
        ·             ─────
     10 │   bin:
        ╰────
      help: write it like `tests/**` or `**/*_test.go`: paths of the repository, from its root

    wrong-type

      × `apps.bin.halt` must be a map of keys, not a single value
        ╭─[lowtide.yml:12:11]
     11 │     source: { repo: "https://git.example.org/bin.git" }
     12 │     halt: countermeasure
        ·           ──────────────
        ╰────
      help: write `halt: { require: countermeasure }`

    lowtide.yml: 8 problems. The configuration is not used.
    "#);
}
