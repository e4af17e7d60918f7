//! Which setting is in force, and who said so.

use lowtide::config::validate;
use lowtide::config::validate::{fleet_with_provenance, secrets};
use lowtide::model::policy::{ReadyCheck, Schedule};
use lowtide::model::secret::EnvValue;
use lowtide::model::window::Until;
use lowtide::yaml::age::Beside;

const TEXT: &str = r#"
version: 1
mode: active
hosts: { one: { docker: unix:///run/one.sock }, two: { docker: unix:///run/two.sock } }
registries: { ghcr.io: { username: bot, password: { env: GHCR } } }
defaults:
  cron: "0 3 * * *"
  env: { A: defaults, B: defaults, C: defaults }
  window: { days: [tue, wed], from: "03:00", to: "05:00" }
  ready: { healthcheck: true, timeout: 1m }
  test: { timeout: 7m }
profiles:
  php:
    env: { B: profile, C: profile }
    build: { timeout: 20m }
    nightly: { between: "23:00-01:00" }
apps:
  web:
    profile: php
    env: { C: app, DB_PASSWORD: "x" }
    source: { repo: "https://git.example.org/web.git", token: { file: /run/secrets/web } }
    ready: { http: { port: 80 } }
    rollout:
      - container: { name: Shop_Web, host: two }
        window: { from: "04:00" }
        ready: { timeout: 30s }
"#;

#[test]
fn the_nearest_layer_wins_key_by_key() {
    let (fleet, _) = fleet_with_provenance(TEXT.as_bytes(), &Beside::new(), &|_| true).unwrap();
    let app = &fleet.apps.values().next().unwrap();
    assert_eq!(
        app.env.values().cloned().collect::<Vec<_>>(),
        ["defaults", "profile", "app", "x"].map(EnvValue::from)
    );
    assert!(
        matches!(app.schedule, Schedule::Between { .. }),
        "the profile's choice hides the cron below it"
    );
    assert_eq!(app.host().as_str(), "one");
    assert!(app.tests.is_empty(), "a time-out alone asks for no test");
    let target = &app.rollout[0];
    assert_eq!(
        (target.settings.name.as_str(), target.settings.host.as_str()),
        ("container-shop_web", "two")
    );
    assert_eq!(
        target.settings.ready.check,
        ReadyCheck::Http {
            port: 80,
            path: "/".to_owned()
        }
    );
    assert_eq!(target.settings.ready.timeout.as_secs(), 30);
    let window = target.settings.window.as_ref().unwrap();
    assert_eq!(
        (window.opens.days.len(), window.opens.from.hour(), window.opens.until),
        (2, 4, Until::To(jiff::civil::time(5, 0, 0, 0)))
    );
}

#[test]
fn each_setting_says_where_it_came_from() {
    let (_, provenance) = fleet_with_provenance(TEXT.as_bytes(), &Beside::new(), &|_| true).unwrap();
    let lines = provenance
        .values()
        .next()
        .unwrap()
        .iter()
        .map(|s| format!("{} = {} ({})", s.key, s.value, s.origin));
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @"
    timezone = UTC (default)
    mode = active (fleet)
    source.repo = https://git.example.org/web.git (app)
    source.context = . (default)
    source.dockerfile = Dockerfile (default)
    source.token = file /run/secrets/web (app)
    source.submodules = false (default)
    source.branch = HEAD of the remote (default)
    source.timeout = 5m (default)
    source.max_size = 2GiB (default)
    env.A = defaults (defaults)
    env.B = profile (profile php)
    env.C = app (app)
    env.DB_PASSWORD = (hidden) (app)
    build.label_schema = false (default)
    build.pull = true (default)
    build.upgrade = false (default)
    build.host = one (default)
    build.timeout = 20m (profile php)
    build.max_log = 16MiB (default)
    build.max_age = 7d (default)
    test.limits.memory = 2GiB (default)
    test.limits.output = 16MiB (default)
    test.limits.disk = 10GiB (default)
    test.limits.cpus = 2 (default)
    test.limits.pids = 1024 (default)
    test.timeout = 7m (defaults)
    test.ready.timeout = 5m (default)
    test.ready.http = port 80 path / (app)
    ready.timeout = 1m (defaults)
    ready.http = port 80 path / (app)
    nightly.between = 23:00-01:00 (profile php)
    halt.require = reason (default)
    halt.probation = 3 (default)
    halt.tests = **/*test*, **/tests/**, **/test/** (default)
    bake = 2m (default)
    rollout[0].container.name = Shop_Web (app)
    rollout[0].container.host = two (app)
    rollout[0].order = auto (default)
    rollout[0].preflight = full (default)
    rollout[0].window.from = 04:00 (app)
    rollout[0].window.to = 05:00 (defaults)
    rollout[0].window.days = tue, wed (defaults)
    rollout[0].window.max_wait = 14d (default)
    rollout[0].window.max_wait_security = 3d (default)
    rollout[0].window.escalate = notify (default)
    rollout[0].ready.timeout = 30s (app)
    rollout[0].ready.http = port 80 path / (app)
    rollout[0].bake = 2m (default)
    rollout[0].irreversible = false (default)
    rollout[0].unhealthy = refuse (default)
    ");
}

#[test]
fn all_secrets_are_listed_with_their_places() {
    let (fleet, _) = fleet_with_provenance(TEXT.as_bytes(), &Beside::new(), &|_| true).unwrap();
    let lines: Vec<String> = secrets(&fleet)
        .iter()
        .map(|(place, secret)| format!("{place}: {secret}"))
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    registries.ghcr.io.password: environment variable GHCR
    apps.web.source.token: file /run/secrets/web
    "#);
}

/// What an app's containers are asked is not inherited by a command.
#[test]
fn a_command_has_its_own_readiness() {
    let text = TEXT.to_owned()
        + r#"
      - name: edge
        command:
          run: [/hooks/deploy.sh, edge]
          env: { ZONE: example.org, API_TOKEN: "x", EDGE: { file: /run/secrets/edge } }
        ready: { http: { url: "https://edge.example.org/healthz" } }
"#
        .trim_start_matches('\n');
    let (fleet, provenance) = fleet_with_provenance(text.as_bytes(), &Beside::new(), &|_| true).unwrap();
    let settings = provenance.values().next().unwrap().iter();
    let lines = settings
        .filter(|s| s.key.starts_with("rollout[1]"))
        .map(|s| format!("{} = {} ({})", s.key, s.value, s.origin));
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @"
    rollout[1].command.timeout = 10m (default)
    rollout[1].command.env.API_TOKEN = (hidden) (app)
    rollout[1].command.env.EDGE = file /run/secrets/edge (app)
    rollout[1].command.env.ZONE = example.org (app)
    rollout[1].ready.timeout = 2m (default)
    rollout[1].ready.http.url = https://edge.example.org/healthz (app)
    rollout[1].command.run = /hooks/deploy.sh edge (app)
    rollout[1].window.from = 03:00 (defaults)
    rollout[1].window.to = 05:00 (defaults)
    rollout[1].window.days = tue, wed (defaults)
    rollout[1].window.max_wait = 14d (default)
    rollout[1].window.max_wait_security = 3d (default)
    rollout[1].window.escalate = notify (default)
    rollout[1].bake = 2m (default)
    rollout[1].irreversible = false (default)
    rollout[1].unhealthy = refuse (default)
    ");
    let places: Vec<String> = secrets(&fleet).into_iter().map(|(place, _)| place).collect();
    assert!(places.contains(&"apps.web.rollout.edge.command.env.EDGE".to_owned()));
}

#[test]
fn lowtide_reads_its_own_schema() {
    let schema = lowtide::config::raw::schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["additionalProperties"], false);
    assert!(schema["$defs"]["Target"]["properties"]["window"].is_object());
}

/// The configuration as it was first sketched.
#[test]
fn the_design_is_followed() {
    let text = include_str!("../../fixtures/config/design.yml");
    let fleet = validate::fleet(text.as_bytes()).unwrap();
    let archives = fleet.apps.values().find(|app| app.name.as_str() == "archives").unwrap();
    let window = archives.rollout[0].settings.window.as_ref().unwrap();
    assert_eq!(window.opens.days.len(), 3, "inherited from the defaults");
    assert_eq!(archives.github_repo.as_deref(), Some("unb-libraries/archives.example"));
}

const WINDOWS: &str = r#"
version: 1
timezone: Europe/Berlin
defaults:
  window:
    zone: Asia/Kolkata
    deny: [ { days: [fri], why: "no Fridays" } ]
    blackouts: [ { from: 2026-12-20, to: 2027-01-04T06:00, why: "year end" } ]
    freeze: "release week"
apps:
  plain:
    source: { repo: "https://git.example.org/a.git" }
    rollout: [ { container: { name: a } } ]
  whole:
    source: { repo: "https://git.example.org/b.git" }
    rollout: [ { container: { name: b }, window: { from: "00:00", to: "24:00", freeze: "", overrun: revert } } ]
  long:
    source: { repo: "https://git.example.org/c.git" }
    window: { days: [mon], from: "06:00", for: 7d, deny: [] }
    rollout: [ { container: { name: c }, window: { to: "05:00", cutoff: 1h, max_wait: 30d, escalate: start } } ]
"#;

/// What is taken out of windows is said once for all of them; where no window opens, nothing is taken out.
#[test]
fn a_blackout_of_the_defaults_holds_for_every_window() {
    let (fleet, provenance) = fleet_with_provenance(WINDOWS.as_bytes(), &Beside::new(), &|_| true).unwrap();
    let windows: Vec<_> = fleet
        .apps
        .values()
        .map(|app| app.rollout[0].settings.window.as_ref())
        .collect();
    insta::assert_snapshot!(serde_json::to_string_pretty(&windows).unwrap(), @r#"
    [
      {
        "days": [
          "mon"
        ],
        "from": "06:00:00",
        "to": "05:00:00",
        "zone": "Asia/Kolkata",
        "closed": [
          {
            "once": {
              "from": "2026-12-20T00:00:00",
              "to": "2027-01-04T06:00:00"
            },
            "why": "year end"
          }
        ],
        "freeze": "release week",
        "cutoff": "PT1H",
        "patience": {
          "max_wait": "PT720H",
          "max_wait_security": "PT72H",
          "then": "start"
        }
      },
      null,
      {
        "days": [
          "mon",
          "tue",
          "wed",
          "thu",
          "fri",
          "sat",
          "sun"
        ],
        "from": "00:00:00",
        "to": "00:00:00",
        "zone": "Asia/Kolkata",
        "closed": [
          {
            "weekly": {
              "days": [
                "fri"
              ],
              "from": "00:00:00",
              "to": "00:00:00"
            },
            "why": "no Fridays"
          },
          {
            "once": {
              "from": "2026-12-20T00:00:00",
              "to": "2027-01-04T06:00:00"
            },
            "why": "year end"
          }
        ],
        "overrun": "revert",
        "patience": {
          "max_wait": "PT336H",
          "max_wait_security": "PT72H",
          "then": "notify"
        }
      }
    ]
    "#);
    let of_long = provenance.values().next().unwrap();
    let lines = of_long.iter().filter(|s| s.key.contains("window"));
    let lines = lines.map(|s| format!("{} = {} ({})", s.key, s.value, s.origin));
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @"
    rollout[0].window.from = 06:00 (app)
    rollout[0].window.to = 05:00 (app)
    rollout[0].window.days = mon (app)
    rollout[0].window.zone = Asia/Kolkata (defaults)
    rollout[0].window.blackouts[0].from = 2026-12-20 (defaults)
    rollout[0].window.blackouts[0].to = 2027-01-04T06:00 (defaults)
    rollout[0].window.freeze = release week (defaults)
    rollout[0].window.cutoff = 1h (app)
    rollout[0].window.max_wait = 30d (app)
    rollout[0].window.max_wait_security = 3d (default)
    rollout[0].window.escalate = start (app)
    ");
}
