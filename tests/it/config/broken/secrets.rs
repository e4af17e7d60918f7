use super::report;
use lowtide::config::diagnostic::{json, markdown, sarif};
use lowtide::config::validate;

pub(super) const SECRETS: &str = r#"version: 1
registries:
  ghcr.io: { username: bot, password: hunter2-is-secret }
  docker.io: { username: bot, password: { env: "hunter2-is-secret" } }
  quay.io: { password: { file: hunter2-is-secret } }
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
        &sarif("f", &problems).to_string(),
    ] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    insta::assert_snapshot!(shown, @r#"
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
     6 │ notify:
       ╰────
      help: add `username: NAME`

    literal-secret

      × `registries.quay.io.password.file` is not an absolute path
       ╭─[lowtide.yml:5:32]
     4 │   docker.io: { username: bot, password: { env: ******************* } }
     5 │   quay.io: { password: { file: ***************** } }
       ·                                ─────────────────
     6 │ notify:
       ╰────
      help: write it like `{ file: /run/secrets/ghcr }`

    credentials-in-url

      × this address holds a credential; it is in git now, so change it
       ╭─[lowtide.yml:8:11]
     7 │   email:
     8 │     smtp: **********************************************
       ·           ──────────────────────────────────────────────
     9 │     username: bot
       ╰────
      help: use `username` and `password` beside it

    literal-secret

      × `notify.email.password` is written out here
        ╭─[lowtide.yml:11:7]
     10 │     password: *
     11 │       *****************
        ·       ─────────────────
     12 │     from: lowtide@example.org
        ╰────
      help: secrets never stand in the configuration: write `{ env: NAME }` or `{ file: /run/secrets/NAME }`;
            this one is in git now, so change it

    one-of

      × `notify.github.token` needs exactly one of `env` and `file`
        ╭─[lowtide.yml:14:13]
     13 │     operators: [ops@example.org]
     14 │   github: { token: { env: A, file: /b } }
        ·             ─────
     15 │ apps:
        ╰────
      help: write `{ env: NAME }` or `{ file: /run/secrets/NAME }`

    credentials-in-url

      × this address holds a credential; it is in git now, so change it
        ╭─[lowtide.yml:17:21]
     16 │   web:
     17 │     source: { repo: ******************************************************* }
        ·                     ────────────────────────────────────────────────────────
     18 │     build: { args: { NPM_TOKEN: ***************** * *
        ╰────
      help: take it out and use `username` and `token: { env: NAME }`

    secret-in-args

      × the build argument `NPM_TOKEN` looks like a secret
        ╭─[lowtide.yml:18:33]
     17 │     source: { repo: ******************************************************* }
     18 │     build: { args: { NPM_TOKEN: ***************** * *
        ·                                 ─────────────────
        ╰────
      help: build arguments stay readable in the image's history; build secrets are not supported by this
            version

    lowtide.yml: 9 problems. The configuration is not used.
    "#);
}

#[test]
fn a_secret_near_a_syntax_error_is_covered() {
    let text = "password: hunter2\ntoken:\n  hunter2\nurl: https://a:hunter2@x\nkey: \"open\napi_key: |\n  hunter2\n";
    let shown = report(text);
    assert!(!shown.contains("hunter2"), "{shown}");
}
