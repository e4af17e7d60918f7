use super::report;

const WINDOWS: &str = r#"version: 1
defaults:
  window: { from: "03:00", to: "05:00", blackouts: [ { from: 2026-12-20, to: 2026-12-20 }, { from: "20.12.2026" } ] }
apps:
  web:
    source: { repo: "https://git.example.org/web.git" }
    rollout:
      - container: { name: a }
        window: { to: "05:00", for: 2h, zone: Europe/Berln, cutoff: 0m, overrun: wait, escalate: shout }
      - container: { name: b }
        window: { for: 8d, max_wait: 0s, freeze: [a, b], deny: [ { days: [fry], from: "24:00" }, { from: 2026-12-24, to: 2026-12-27, for: 2h } ] }
      - container: { name: c }
        window: { days: [], deny: { days: [fri] }, blackout: [] }
"#;

#[test]
fn windows() {
    insta::assert_snapshot!(report(WINDOWS), @r#"
    empty-window

      × this span ends before it begins
       ╭─[lowtide.yml:3:78]
     2 │ defaults:
     3 │   window: { from: "03:00", to: "05:00", blackouts: [ { from: 2026-12-20, to: 2026-12-20 }, { from: "20.12.2026" } ] }
       ·                                                                              ──────────
     4 │ apps:
       ╰────
      help: `to` is the first moment after it: a day is over when the next one begins

    missing-key

      × `defaults.window.blackouts[1]` has no `to`
       ╭─[lowtide.yml:3:92]
     2 │ defaults:
     3 │   window: { from: "03:00", to: "05:00", blackouts: [ { from: 2026-12-20, to: 2026-12-20 }, { from: "20.12.2026" } ] }
       ·                                                                                            ──
     4 │ apps:
       ╰────
      help: write `{ from: 2026-12-20, to: 2027-01-04 }`

    bad-time

      × `20.12.2026` is not a date
       ╭─[lowtide.yml:3:100]
     2 │ defaults:
     3 │   window: { from: "03:00", to: "05:00", blackouts: [ { from: 2026-12-20, to: 2026-12-20 }, { from: "20.12.2026" } ] }
       ·                                                                                                    ─────────────
     4 │ apps:
       ╰────
      help: write `2026-12-20` or `2026-12-20T18:00`

    one-of

      × `window.to` and `window.for` exclude each other
        ╭─[lowtide.yml:9:32]
      8 │       - container: { name: a }
      9 │         window: { to: "05:00", for: 2h, zone: Europe/Berln, cutoff: 0m, overrun: wait, escalate: shout }
        ·                   ─┬           ─┬─
        ·                    │            ╰── here
        ·                    ╰── and here
     10 │       - container: { name: b }
        ╰────
      help: keep one of the two

    bad-timezone

      × `Europe/Berln` is not a time zone of the IANA database
        ╭─[lowtide.yml:9:47]
      8 │       - container: { name: a }
      9 │         window: { to: "05:00", for: 2h, zone: Europe/Berln, cutoff: 0m, overrun: wait, escalate: shout }
        ·                                               ────────────
     10 │       - container: { name: b }
        ╰────
      help: did you mean `Europe/Berlin`?

    out-of-range

      × `window.cutoff` must be longer than nothing
        ╭─[lowtide.yml:9:69]
      8 │       - container: { name: a }
      9 │         window: { to: "05:00", for: 2h, zone: Europe/Berln, cutoff: 0m, overrun: wait, escalate: shout }
        ·                                                                     ──
     10 │       - container: { name: b }
        ╰────
      help: write it like `20m` or `4h`

    unknown-value

      × `apps.web.rollout[0].window.overrun` cannot be `wait`
        ╭─[lowtide.yml:9:82]
      8 │       - container: { name: a }
      9 │         window: { to: "05:00", for: 2h, zone: Europe/Berln, cutoff: 0m, overrun: wait, escalate: shout }
        ·                                                                                  ────
     10 │       - container: { name: b }
        ╰────
      help: use one of `finish`, `suspend` and `revert`

    unknown-value

      × `apps.web.rollout[0].window.escalate` cannot be `shout`
        ╭─[lowtide.yml:9:98]
      8 │       - container: { name: a }
      9 │         window: { to: "05:00", for: 2h, zone: Europe/Berln, cutoff: 0m, overrun: wait, escalate: shout }
        ·                                                                                                  ─────
     10 │       - container: { name: b }
        ╰────
      help: use one of `notify` and `start`

    out-of-range

      × `window.for` must be at most 7d
        ╭─[lowtide.yml:11:24]
     10 │       - container: { name: b }
     11 │         window: { for: 8d, max_wait: 0s, freeze: [a, b], deny: [ { days: [fry], from: "24:00" }, { from: 2026-12-24, to: 2026-12-27, for: 2h } ] }
        ·                        ──
     12 │       - container: { name: c }
        ╰────
      help: a window opens every week

    out-of-range

      × `window.max_wait` must be longer than nothing
        ╭─[lowtide.yml:11:38]
     10 │       - container: { name: b }
     11 │         window: { for: 8d, max_wait: 0s, freeze: [a, b], deny: [ { days: [fry], from: "24:00" }, { from: 2026-12-24, to: 2026-12-27, for: 2h } ] }
        ·                                      ──
     12 │       - container: { name: c }
        ╰────
      help: the default is 14d

    wrong-type

      × `apps.web.rollout[1].window.freeze` must be text, not a list
        ╭─[lowtide.yml:11:42]
     10 │       - container: { name: b }
     11 │         window: { for: 8d, max_wait: 0s, freeze: [a, b], deny: [ { days: [fry], from: "24:00" }, { from: 2026-12-24, to: 2026-12-27, for: 2h } ] }
        ·                                          ──────
     12 │       - container: { name: c }
        ╰────
      help: take the `- ` off: keys stand by themselves

    missing-key

      × `apps.web.rollout[1].window.deny[0]` has no `to`
        ╭─[lowtide.yml:11:66]
     10 │       - container: { name: b }
     11 │         window: { for: 8d, max_wait: 0s, freeze: [a, b], deny: [ { days: [fry], from: "24:00" }, { from: 2026-12-24, to: 2026-12-27, for: 2h } ] }
        ·                                                                  ──
     12 │       - container: { name: c }
        ╰────
      help: write `window: { from: "03:00", to: "05:00" }`

    bad-day

      × `fry` is not a day
        ╭─[lowtide.yml:11:75]
     10 │       - container: { name: b }
     11 │         window: { for: 8d, max_wait: 0s, freeze: [a, b], deny: [ { days: [fry], from: "24:00" }, { from: 2026-12-24, to: 2026-12-27, for: 2h } ] }
        ·                                                                           ───
     12 │       - container: { name: c }
        ╰────
      help: days are `mon`, `tue`, `wed`, `thu`, `fri`, `sat` and `sun`

    bad-time

      × `24:00` is not a time of day
        ╭─[lowtide.yml:11:87]
     10 │       - container: { name: b }
     11 │         window: { for: 8d, max_wait: 0s, freeze: [a, b], deny: [ { days: [fry], from: "24:00" }, { from: 2026-12-24, to: 2026-12-27, for: 2h } ] }
        ·                                                                                       ────────
     12 │       - container: { name: c }
        ╰────
      help: write `HH:MM` from `00:00` to `23:59`, in quotes

    one-of

      × `window.deny[1].for` goes with times of the week, not with dates
        ╭─[lowtide.yml:11:139]
     10 │       - container: { name: b }
     11 │         window: { for: 8d, max_wait: 0s, freeze: [a, b], deny: [ { days: [fry], from: "24:00" }, { from: 2026-12-24, to: 2026-12-27, for: 2h } ] }
        ·                                                                                                                                           ──
     12 │       - container: { name: c }
        ╰────
      help: a span from date to date has only `from`, `to` and `why`

    empty-window

      × this window opens on no day
        ╭─[lowtide.yml:13:19]
     12 │       - container: { name: c }
     13 │         window: { days: [], deny: { days: [fri] }, blackout: [] }
        ·                   ────
        ╰────
      help: name days, or take `days` out for all of them

    wrong-type

      × `apps.web.rollout[2].window.deny` must be a list, not a map of keys
        ╭─[lowtide.yml:13:29]
     12 │       - container: { name: c }
     13 │         window: { days: [], deny: { days: [fri] }, blackout: [] }
        ·                             ────
        ╰────
      help: begin each entry with `- `

    unknown-key

      × there is no key `blackout` in `apps.web.rollout[2].window`
        ╭─[lowtide.yml:13:52]
     12 │       - container: { name: c }
     13 │         window: { days: [], deny: { days: [fri] }, blackout: [] }
        ·                                                    ────────
        ╰────
      help: did you mean `blackouts`?

    lowtide.yml: 18 problems. The configuration is not used.
    "#);
}

/// A day without an opening, and restrictions of nothing.
#[test]
fn parts_of_windows() {
    let lone = "version: 1\napps:\n  web:\n    source: { repo: \"https://git.example.org/web.git\" }\n    rollout: [ { container: { name: a }, window: { days: [mon], from: \"03:00\" } } ]\n";
    insta::assert_snapshot!(report(lone), @r#"
    missing-key

      × `apps.web.rollout[0].window` has no `to`
       ╭─[lowtide.yml:5:42]
     4 │     source: { repo: "https://git.example.org/web.git" }
     5 │     rollout: [ { container: { name: a }, window: { days: [mon], from: "03:00" } } ]
       ·                                          ──────
       ╰────
      help: write `window: { from: "03:00", to: "05:00" }`

    lowtide.yml: 1 problem. The configuration is not used.
    "#);
}
