//! `lowtide windows`.

use super::{GOOD, code, lowtide, out, with};
use insta::assert_snapshot;

const WINDOWS: &str = "version: 1
timezone: Europe/Berlin
defaults:
  window:
    from: \"02:30\"
    to: \"04:00\"
    deny: [ { days: [fri], why: weekend } ]
    blackouts: [ { from: 2026-03-31T03:00, to: 2026-04-02, why: sale } ]
apps:
  web:
    source: { repo: \"https://git.example.org/web.git\" }
    rollout:
      - container: { name: web }
      - container: { name: big }
        bake: 2h
        window: { zone: Asia/Kolkata }
  lone:
    source: { repo: \"https://git.example.org/lone.git\" }
    rollout: [ { container: { name: lone }, window: { days: [sun], from: \"12:00\", for: 7d, deny: [], cutoff: 20m } } ]
";

#[test]
fn windows_are_shown_with_what_is_odd_about_them() {
    let dir = with(WINDOWS);
    let shown = |args: &[&str]| out(&lowtide(dir.path(), &[&["windows"], args].concat()));
    assert_snapshot!(shown(&["--from", "2026-03-27", "--app", "web"]), @r"
    web container-web, Europe/Berlin
      a rollout may need 6 min 20 s, going by the target's limits: none has been timed yet
      Fri 2026-03-27  02:30–04:00  denied (weekend); nothing is left of it
      Sat 2026-03-28  02:30–04:00
      Sun 2026-03-29  03:00–04:00  starts 03:00, not 02:30: the clock skips that time
      Mon 2026-03-30  02:30–04:00
      Tue 2026-03-31  02:30–04:00  blacked out 03:00–04:00 (sale)

    web container-big, Asia/Kolkata
      a rollout may need 2 h 4 min, going by the target's limits: none has been timed yet
      Fri 2026-03-27  02:30–04:00  denied (weekend); nothing is left of it
      Sat 2026-03-28  02:30–04:00  too short for a rollout
      Sun 2026-03-29  02:30–04:00  too short for a rollout
      Mon 2026-03-30  02:30–04:00  too short for a rollout
      Tue 2026-03-31  02:30–04:00  blacked out 03:00–04:00 (sale); too short for a rollout
    ");
    assert_snapshot!(shown(&["--from", "2026-10-24", "--simulate", "3d", "--target", "container-web"]), @r"
    web container-web, Europe/Berlin
      a rollout may need 6 min 20 s, going by the target's limits: none has been timed yet
      Sat 2026-10-24  02:30–04:00
      Sun 2026-10-25  02:30–04:00  2 h 30 min long: the clock goes back
      Mon 2026-10-26  02:30–04:00
    ");
    assert_snapshot!(shown(&["--from", "2026-10-20", "--simulate", "2w", "--app", "lone"]), @r"
    lone container-lone, Europe/Berlin
      nothing begins later than 20 min before the end
      Sun 2026-10-18  12:00–Sun 10-25 11:00  7 d long: the clock goes back
      Sun 2026-10-25  12:00–Sun 11-01 12:00
      Sun 2026-11-01  12:00–Sun 11-08 12:00
    ");
}

#[test]
fn two_years_of_nights_have_two_gaps_and_two_folds() {
    let dir = with(WINDOWS);
    let args = [
        "windows",
        "--from",
        "2026-01-01",
        "--simulate",
        "2y",
        "--target",
        "container-web",
    ];
    let long = out(&lowtide(dir.path(), &args));
    let count = |text: &str| long.matches(text).count();
    assert_eq!(
        (count("02:30–04:00"), count("starts 03:00"), count("goes back")),
        (728, 2, 2)
    );
}

#[test]
fn windows_for_programs() {
    let dir = with(WINDOWS);
    let args = [
        "--from",
        "2026-10-25",
        "--simulate",
        "1d",
        "--target",
        "container-web",
        "--json",
    ];
    let json = lowtide(dir.path(), &[&["windows"], &args[..]].concat());
    let mut json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    json["now"].take();
    assert_snapshot!(serde_json::to_string_pretty(&json).unwrap(), @r#"
    {
      "version": 1,
      "now": null,
      "targets": [
        {
          "app": "web",
          "target": "container-web",
          "timezone": "Europe/Berlin",
          "freeze": null,
          "needs_ms": 380000,
          "needs_by": "limits",
          "openings": [
            {
              "day": "2026-10-25",
              "start": "2026-10-25T00:30:00Z",
              "end": "2026-10-25T03:00:00Z",
              "open": [
                {
                  "start": "2026-10-25T00:30:00Z",
                  "end": "2026-10-25T03:00:00Z"
                }
              ],
              "closed": [],
              "clock": [
                {
                  "change": "goes_back",
                  "lasts_secs": 9000
                }
              ],
              "fits": true
            }
          ],
          "swallowed": []
        }
      ]
    }
    "#);
}

#[test]
fn windows_of_nothing() {
    let dir = with(GOOD);
    assert_snapshot!(out(&lowtide(dir.path(), &["windows"])), @"No target is configured.");
    assert_eq!(code(&lowtide(dir.path(), &["windows", "--app", "nobody"])), 1);
    for wrong in [["--simulate", "10y"], ["--simulate", "soon"], ["--from", "tomorrow"]] {
        assert_eq!(
            code(&lowtide(dir.path(), &[&["windows"], &wrong[..]].concat())),
            2,
            "{wrong:?}"
        );
    }
}
