use super::*;
use crate::config::validate;
use crate::yaml::diagnostic::{errors, line, terminal};
use lowtide_model::policy::{ReadyCheck, TestNetwork, TestSetup};
use lowtide_model::secret::EnvValue;
use std::sync::Arc;

const FLEET: &str = "
version: 1
hosts: { here: { docker: unix:///run/docker.sock }, builder: { docker: unix:///run/builder.sock } }
apps:
  web:
    source: { repo: https://git.example.org/web.git }
    build: { host: builder, args: { COLOUR: blue, SIZE: small }, secrets: { npm: { env: NPM } } }
    env: { LANG: C.UTF-8 }
    test:
      network: none
      timeout: 7m
      env: { TOKEN: { env: TEST_TOKEN } }
      sidecars: { db: { image: postgres } }
    repository_file: { allow: [build, test, ready] }
";

fn app(fleet: &str) -> Arc<App> {
    let fleet = validate::fleet(fleet.as_bytes()).unwrap_or_else(|it| panic!("{}", terminal("config.yml", fleet, &it)));
    Arc::clone(fleet.apps.values().next().unwrap())
}

fn read(app: &App, text: &str) -> Result<OwnSettings, String> {
    let file = app.repository_file.as_deref().unwrap();
    own_settings(app, file, text.as_bytes()).map_err(|problems| errors(&file.path, text, &problems))
}

#[test]
fn the_file_lies_over_the_configuration() {
    let app = app(FLEET);
    let own = read(
        &app,
        "version: 1
build: { args: { COLOUR: red }, target: runtime }
ready: { log: listening }
test: { env: { MODE: full }, steps: [ { exec: [make, check] } ] }
",
    )
    .unwrap();
    assert_eq!(own.build.host.as_str(), "builder");
    let args: Vec<_> = own.build.args.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(args, [("COLOUR", "red"), ("SIZE", "small")]);
    assert_eq!(own.build.target.as_deref(), Some("runtime"));
    assert_eq!(own.build.secrets, app.build().unwrap().secrets);
    assert_eq!(own.env, app.env);
    assert!(matches!(own.ready.check, ReadyCheck::Log { .. }));
    let [test] = own.tests.as_slice() else {
        panic!("one round")
    };
    assert_eq!((test.network, test.timeout.as_secs()), (TestNetwork::None, 420));
    assert!(matches!(test.env["TOKEN"], EnvValue::Secret(_)));
    assert!(matches!(&test.env["MODE"], EnvValue::Text(text) if text == "full"));
    assert_eq!(test.steps.len(), 1);
    assert!(matches!(&test.how, TestSetup::Sidecars(beside) if beside.contains_key("db")));
}

/// An app without a file of its own is what the configuration makes of it.
#[test]
fn a_file_that_sets_nothing_changes_nothing() {
    let app = app(FLEET);
    let own = own_settings(&app, app.repository_file.as_deref().unwrap(), NOTHING).unwrap();
    assert_eq!((*app).clone().with(own), *app);
}

/// The file is read in another commit and later than the configuration: what stands encrypted beside that is at hand all the same.
#[test]
fn encrypted_secrets_of_the_configuration_stay_in_reach() {
    let fleet = FLEET
        .replace("{ env: NPM }", "{ age: s/npm.age }")
        .replace("{ env: TEST_TOKEN }", "{ age: s/token.age }")
        .replace("apps:", "age: { identities: [/k] }\napps:");
    let file = b"age-encryption.org/v1\n-> X25519 a\nb\n--- c\n";
    let paths = crate::yaml::age::named(fleet.as_bytes()).into_iter();
    let beside = paths.map(|path| (path, Ok(file.to_vec()))).collect();
    let fleet = validate::fleet_beside(fleet.as_bytes(), &beside).unwrap();
    let app = fleet.apps.values().next().unwrap();
    // An earlier commit had no use for the secret.
    let without = read(app, "version: 1\ntest: { env: { TOKEN: none } }\n").unwrap();
    assert!(matches!(without.tests[0].env["TOKEN"], EnvValue::Text(_)));
    let later = (**app).clone().with(without);
    assert_eq!(later.clone().with(read(&later, "version: 1\n").unwrap()), **app);
    let stranger = read(app, "version: 1\nenv: { A: { age: s/other.age } }\n").unwrap_err();
    assert!(stranger.contains("`env.A` refers to a secret"), "{stranger}");
}

#[test]
fn a_stack_of_the_repository_takes_the_place_of_sidecars() {
    let own = read(
        &app(FLEET),
        "version: 1\ntest: { compose: { file: compose.yml, env: { A: b } } }\n",
    )
    .unwrap();
    assert!(matches!(own.tests[0].how, TestSetup::Compose(_)));
}

#[test]
fn what_it_may_not_is_refused_by_name() {
    let text = "version: 1
mode: active
rollout: [ { container: { name: web } } ]
build: { host: here, args: { A: b }, secrets: { npm: { env: OTHER } }, pull: false, timeout: 9h, tarket: x }
env: { DEBUG: \"1\" }
test:
  network: egress
  limits: { memory: 64GiB }
  env: { TOKEN: { env: SMTP_PASSWORD } }
  compose: { file: compose.yml, allow: [privileged], env: { K: { file: /etc/shadow } } }
  matrix: [ { V: { env: X } } ]
  tester: { image: curl, env: { T: { env: Y } } }
";
    let app = app(FLEET);
    let file = app.repository_file.as_deref().unwrap();
    let problems = own_settings(&app, file, text.as_bytes()).unwrap_err();
    let lines: Vec<String> = problems.iter().map(|problem| line(&file.path, problem)).collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    .lowtide.yml:2:1: `mode` is the fleet's to set; take it out: the configuration of lowtide says it for each app
    .lowtide.yml:3:1: `rollout` is the fleet's to set; take it out: the configuration of lowtide says it for each app
    .lowtide.yml:4:16: `build.host` is the fleet's to set; take it out: the configuration of lowtide says it for each app
    .lowtide.yml:4:38: `build.secrets` is the fleet's to set; take it out: the configuration of lowtide says it for each app
    .lowtide.yml:4:78: `build.pull` is the fleet's to set; take it out: the configuration of lowtide says it for each app
    .lowtide.yml:4:94: `build.timeout` is not allowed in this file; the configuration of lowtide allows `build`, `test` and `ready`; its `repository_file.allow` would have to name `build.timeout`
    .lowtide.yml:4:98: there is no key `tarket` in `build`; did you mean `target`?
    .lowtide.yml:5:1: `env` is not allowed in this file; the configuration of lowtide allows `build`, `test` and `ready`; its `repository_file.allow` would have to name `env`
    .lowtide.yml:7:12: `test.network` is not allowed in this file; the configuration of lowtide allows `build`, `test` and `ready`; its `repository_file.allow` would have to name `test.network`
    .lowtide.yml:8:3: `test.limits` is not allowed in this file; the configuration of lowtide allows `build`, `test` and `ready`; its `repository_file.allow` would have to name `test.limits`
    .lowtide.yml:9:10: `test.env.TOKEN` refers to a secret; secrets are the fleet's: the configuration of lowtide can set `test.env.TOKEN` for this app
    .lowtide.yml:10:33: `test.compose.allow` is the fleet's to set; take it out: the configuration of lowtide says it for each app
    .lowtide.yml:10:61: `test.compose.env.K` refers to a secret; secrets are the fleet's: the configuration of lowtide can set `test.compose.env.K` for this app
    .lowtide.yml:11:15: `test.matrix[0].V` refers to a secret; secrets are the fleet's: the configuration of lowtide can set `test.matrix[0].V` for this app
    .lowtide.yml:12:33: `test.tester.env.T` refers to a secret; secrets are the fleet's: the configuration of lowtide can set `test.tester.env.T` for this app
    ");
}

#[test]
fn keys_can_be_allowed_one_by_one() {
    let fleet = FLEET.replace("[build, test, ready]", "[build.args, test.steps, test.timeout]");
    let own = read(
        &app(&fleet),
        "version: 1\ntest: { timeout: 1h, steps: [ { exec: [a] } ] }\n",
    )
    .unwrap();
    assert_eq!(own.tests[0].timeout.as_secs(), 3600);
    insta::assert_snapshot!(read(&app(&fleet), "version: 1\nbuild: { target: x }\nready: { log: a }\n").unwrap_err(), @"
    not-for-repositories

      × `build.target` is not allowed in this file
       ╭─[.lowtide.yml:2:18]
     1 │ version: 1
     2 │ build: { target: x }
       ·                  ─
     3 │ ready: { log: a }
       ╰────
      help: the configuration of lowtide allows `build.args`, `test.steps` and `test.timeout`; its
            `repository_file.allow` would have to name `build.target`

    not-for-repositories

      × `ready` is not allowed in this file
       ╭─[.lowtide.yml:3:1]
     2 │ build: { target: x }
     3 │ ready: { log: a }
       · ─────
       ╰────
      help: the configuration of lowtide allows `build.args`, `test.steps` and `test.timeout`; its
            `repository_file.allow` would have to name `ready`

    .lowtide.yml: 2 problems.
    ");
}

#[test]
fn a_file_is_read_as_carefully_as_a_configuration() {
    for text in [
        "version: 2\n",
        "test: {}\n",
        "version: 1\ntest: { steps: [ { exec: [a], wait: {} } ] }\n",
        "version: 1\ntest: &a { env: *a }\n",
        "- 1\n",
        "",
    ] {
        assert!(read(&app(FLEET), text).is_err(), "{text}");
    }
}

#[test]
fn no_configuration_allows_rights() {
    let fleet = FLEET.replace(
        "[build, test, ready]",
        "[build.host, test.compose.allow, tests, rollout]",
    );
    let problems = validate::fleet(fleet.as_bytes()).unwrap_err();
    insta::assert_snapshot!(terminal("config.yml", &fleet, &problems), @"
    not-for-repositories

      × no repository can set `build.host`
        ╭─[config.yml:14:32]
     13 │       sidecars: { db: { image: postgres } }
     14 │     repository_file: { allow: [build.host, test.compose.allow, tests, rollout] }
        ·                                ──────────
        ╰────
      help: what can be allowed is `build`, `build.args`, `build.ignore_paths`, `build.label_schema`,
            `build.labels`, `build.limits`, `build.max_age`, `build.target`, `build.timeout`, `build.upgrade`,
            `env`, `ready`, `test`, `test.artefacts`, `test.compose`, `test.env`, `test.junit`, `test.limits`,
            `test.matrix`, `test.network`, `test.ready`, `test.sidecars`, `test.steps`, `test.tester` and
            `test.timeout`

    not-for-repositories

      × no repository can set `test.compose.allow`
        ╭─[config.yml:14:44]
     13 │       sidecars: { db: { image: postgres } }
     14 │     repository_file: { allow: [build.host, test.compose.allow, tests, rollout] }
        ·                                            ──────────────────
        ╰────
      help: what can be allowed is `build`, `build.args`, `build.ignore_paths`, `build.label_schema`,
            `build.labels`, `build.limits`, `build.max_age`, `build.target`, `build.timeout`, `build.upgrade`,
            `env`, `ready`, `test`, `test.artefacts`, `test.compose`, `test.env`, `test.junit`, `test.limits`,
            `test.matrix`, `test.network`, `test.ready`, `test.sidecars`, `test.steps`, `test.tester` and
            `test.timeout`

    not-for-repositories

      × no repository can set `tests`
        ╭─[config.yml:14:64]
     13 │       sidecars: { db: { image: postgres } }
     14 │     repository_file: { allow: [build.host, test.compose.allow, tests, rollout] }
        ·                                                                ─────
        ╰────
      help: did you mean `test`?

    not-for-repositories

      × no repository can set `rollout`
        ╭─[config.yml:14:71]
     13 │       sidecars: { db: { image: postgres } }
     14 │     repository_file: { allow: [build.host, test.compose.allow, tests, rollout] }
        ·                                                                       ───────
        ╰────
      help: what can be allowed is `build`, `build.args`, `build.ignore_paths`, `build.label_schema`,
            `build.labels`, `build.limits`, `build.max_age`, `build.target`, `build.timeout`, `build.upgrade`,
            `env`, `ready`, `test`, `test.artefacts`, `test.compose`, `test.env`, `test.junit`, `test.limits`,
            `test.matrix`, `test.network`, `test.ready`, `test.sidecars`, `test.steps`, `test.tester` and
            `test.timeout`

    config.yml: 4 problems. The configuration is not used.
    ");
}

/// Every key that exists is the repository's, or the fleet's by decision: a new one is the fleet's until it is listed.
#[test]
fn what_can_be_allowed_exists() {
    let schema = raw::own_file_schema();
    for key in everything() {
        let (section, inner) = key
            .split_once('.')
            .map_or((key, None), |(section, inner)| (section, Some(inner)));
        assert!(schema["properties"].get(section).is_some(), "{key}");
        let Some(inner) = inner else { continue };
        let name = if section == "build" { "Build" } else { "Test" };
        assert!(schema["$defs"][name]["properties"].get(inner).is_some(), "{key}");
    }
}
