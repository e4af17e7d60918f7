use super::report;

pub(super) const ROUTERS: &str = r#"version: 1
apps:
  web:
    source: { repo: "https://git.example.org/web.git" }
    rollout:
      - container: { name: a }
        order: first
      - container: { name: b }
        router: { container: edge, pause: [edgectl, pause] }
      - container: { name: c }
        router: { container: "ed ge", resume: [], drain: soon }
      - container: { name: d }
        router: { join: [edgectl, join], timeout: 0s }
"#;

#[test]
fn routers() {
    insta::assert_snapshot!(report(ROUTERS), @r#"
    unknown-value

      × `apps.web.rollout[0].order` cannot be `first`
       ╭─[lowtide.yml:7:16]
     6 │       - container: { name: a }
     7 │         order: first
       ·                ─────
     8 │       - container: { name: b }
       ╰────
      help: use one of `auto`, `stop-first` and `start-first`

    missing-key

      × a router with `pause` needs `resume` too
        ╭─[lowtide.yml:9:36]
      8 │       - container: { name: b }
      9 │         router: { container: edge, pause: [edgectl, pause] }
        ·                                    ─────
     10 │       - container: { name: c }
        ╰────
      help: requests that are held back have to be let go again: give both, or neither

    bad-name

      × `ed ge` is not a router container
        ╭─[lowtide.yml:11:30]
     10 │       - container: { name: c }
     11 │         router: { container: "ed ge", resume: [], drain: soon }
        ·                              ───────
     12 │       - container: { name: d }
        ╰────
      help: write `router: { container: edge, join: [program, argument] }`

    empty-list

      × `router.resume` names no program
        ╭─[lowtide.yml:11:39]
     10 │       - container: { name: c }
     11 │         router: { container: "ed ge", resume: [], drain: soon }
        ·                                       ──────
     12 │       - container: { name: d }
        ╰────
      help: write `[program, argument]`

    bad-duration

      × `soon` is not a duration: its units are `ms`, `s`, `m`, `h`, `d` and `y`
        ╭─[lowtide.yml:11:58]
     10 │       - container: { name: c }
     11 │         router: { container: "ed ge", resume: [], drain: soon }
        ·                                                          ────
     12 │       - container: { name: d }
        ╰────
      help: write it like `15m`, `1h30m`, `500ms` or `2d`

    missing-key

      × `apps.web.rollout[3].router` has no `container`
        ╭─[lowtide.yml:13:9]
     12 │       - container: { name: d }
     13 │         router: { join: [edgectl, join], timeout: 0s }
        ·         ──────
        ╰────
      help: write `router: { container: edge, join: [program, argument] }`

    out-of-range

      × `router.timeout` must be longer than nothing
        ╭─[lowtide.yml:13:51]
     12 │       - container: { name: d }
     13 │         router: { join: [edgectl, join], timeout: 0s }
        ·                                                   ──
        ╰────
      help: the default is 10s

    lowtide.yml: 7 problems. The configuration is not used.
    "#);
}
