use super::report;
use lowtide::config::validate;
use lowtide::yaml::diagnostic::{json, markdown, sarif};

pub(super) const SECRETS: &str = r#"version: 1
registries:
  ghcr.io: { username: bot, password: hunter2-is-secret }
  docker.io: { username: bot, password: { env: "hunter2-is-secret" } }
  quay.io: { password: { file: hunter2-is-secret } }
package_repositories: { proxy: "http://bot:hunter2-is-secret@proxy.example.org:3128" }
notify:
  email:
    smtp: smtps://bot:hunter2-is-secret@mail.example.org
    username: bot
    password: |
      hunter2-is-secret
    from: lowtide@example.org
    operators: [ops@example.org]
  github: { token: { env: A, file: /b } }
apps:
  web:
    source: { repo: "https://bot:hunter2-is-secret@git.example.org/web.git" }
    build: { args: { NPM_TOKEN: hunter2-is-secret } }
"#;

#[test]
fn secrets_are_never_echoed() {
    let problems = validate::fleet(SECRETS.as_bytes()).unwrap_err();
    let shown = report(SECRETS);
    for text in [
        &shown,
        &markdown("f", SECRETS, &problems),
        &json("f", &problems).to_string(),
        &sarif("f", &problems, &[]).to_string(),
    ] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    insta::assert_snapshot!(shown, @"
    literal-secret

      × `registries.ghcr.io.password` is written out here
       ╭─[lowtide.yml:3:39]
     2 │ registries:
     3 │   ghcr.io: { username: bot, password: ***************** *
       ·                                       ─────────────────
     4 │   docker.io: { username: bot, password: { env: ******************* } }
       ╰────
      help: secrets never stand in the configuration: write `{ env: NAME }` or `{ file: /run/secrets/NAME }`;
            this one is in git now, so change it

    literal-secret

      × `registries.docker.io.password.env` is not the name of an environment variable
       ╭─[lowtide.yml:4:48]
     3 │   ghcr.io: { username: bot, password: ***************** *
     4 │   docker.io: { username: bot, password: { env: ******************* } }
       ·                                                ────────────────────
     5 │   quay.io: { password: { file: ***************** } }
       ╰────
      help: a name has letters, digits and `_`: `{ env: GHCR_TOKEN }`

    missing-key

      × `registries.quay.io` has a `password` and no `username`
       ╭─[lowtide.yml:5:14]
     4 │   docker.io: { username: bot, password: { env: ******************* } }
     5 │   quay.io: { password: { file: ***************** } }
       ·              ────────
     6 │ package_repositories: { proxy: ***************************************************** }
       ╰────
      help: add `username: NAME`

    literal-secret

      × `registries.quay.io.password.file` is not an absolute path
       ╭─[lowtide.yml:5:32]
     4 │   docker.io: { username: bot, password: { env: ******************* } }
     5 │   quay.io: { password: { file: ***************** } }
       ·                                ─────────────────
     6 │ package_repositories: { proxy: ***************************************************** }
       ╰────
      help: write it like `{ file: /run/secrets/ghcr }`

    literal-secret

      × `package_repositories.proxy` has a user name or password in it
       ╭─[lowtide.yml:6:32]
     5 │   quay.io: { password: { file: ***************** } }
     6 │ package_repositories: { proxy: ***************************************************** }
       ·                                ──────────────────────────────────────────────────────
     7 │ notify:
       ╰────
      help: give lowtide an address that needs none: what stands here is shown in many places

    credentials-in-url

      × this address holds a credential; it is in git now, so change it
        ╭─[lowtide.yml:9:11]
      8 │   email:
      9 │     smtp: **********************************************
        ·           ──────────────────────────────────────────────
     10 │     username: bot
        ╰────
      help: use `username` and `password` beside it

    literal-secret

      × `notify.email.password` is written out here
        ╭─[lowtide.yml:12:7]
     11 │     password: *
     12 │       *****************
        ·       ─────────────────
     13 │     from: lowtide@example.org
        ╰────
      help: secrets never stand in the configuration: write `{ env: NAME }` or `{ file: /run/secrets/NAME }`;
            this one is in git now, so change it

    one-of

      × `notify.github.token` needs exactly one of `env`, `file` and `age`
        ╭─[lowtide.yml:15:13]
     14 │     operators: [ops@example.org]
     15 │   github: { token: { env: A, file: /b } }
        ·             ─────
     16 │ apps:
        ╰────
      help: write `{ env: NAME }`, `{ file: /run/secrets/NAME }` or `{ age: secrets/NAME.age }`

    credentials-in-url

      × this address holds a credential; it is in git now, so change it
        ╭─[lowtide.yml:18:21]
     17 │   web:
     18 │     source: { repo: ******************************************************* }
        ·                     ────────────────────────────────────────────────────────
     19 │     build: { args: { NPM_TOKEN: ***************** * *
        ╰────
      help: take it out and use `username` and `token: { env: NAME }`

    secret-in-args

      × the build argument `NPM_TOKEN` looks like a secret
        ╭─[lowtide.yml:19:33]
     18 │     source: { repo: ******************************************************* }
     19 │     build: { args: { NPM_TOKEN: ***************** * *
        ·                                 ─────────────────
        ╰────
      help: build arguments stay readable in the image's history: take `build.secrets`, and `RUN
            --mount=type=secret` in the Dockerfile

    lowtide.yml: 10 problems. The configuration is not used.
    ");
}

#[test]
fn a_secret_near_a_syntax_error_is_covered() {
    let text = "password: hunter2\ntoken:\n  hunter2\nurl: https://a:hunter2@x\nkey: \"open\napi_key: |\n  hunter2\n";
    let shown = report(text);
    assert!(!shown.contains("hunter2"), "{shown}");
}
