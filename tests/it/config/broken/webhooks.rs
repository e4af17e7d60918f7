use super::report;

const PLAIN: &str = r#"version: 1
notify:
  webhook:
    url: http://hooks.example.org/lowtide
    secret: whsec_aHVudGVyMi1pcy1zZWNyZXQtaW5kZWVk
apps: {}
"#;

#[test]
fn a_webhook_in_plain_text_and_a_secret_that_is_written_out() {
    let shown = report(PLAIN);
    assert!(!shown.contains("whsec_a"), "{shown}");
    insta::assert_snapshot!(shown, @"
    bad-url

      × `http://` is not used here
       ╭─[lowtide.yml:4:10]
     3 │   webhook:
     4 │     url: http://hooks.example.org/lowtide
       ·          ────────────────────────────────
     5 │     secret: **************************************
       ╰────
      help: use `https://`; plain http is for loopback only

    literal-secret

      × `notify.webhook.secret` is written out here
       ╭─[lowtide.yml:5:13]
     4 │     url: http://hooks.example.org/lowtide
     5 │     secret: **************************************
       ·             ──────────────────────────────────────
     6 │ apps: {}
       ╰────
      help: secrets never stand in the configuration: write `{ env: NAME }` or `{ file: /run/secrets/NAME }`;
            this one is in git now, so change it

    missing-key

      × `apps` is missing
       ╭─[lowtide.yml:6:1]
     5 │     secret: **************************************
     6 │ apps: {}
       · ────
       ╰────
      help: name at least one app: `apps: { web: { source: { repo: https://… } } }`

    lowtide.yml: 3 problems. The configuration is not used.
    ");
}

#[test]
fn a_webhook_needs_an_address_and_a_secret() {
    insta::assert_snapshot!(report("version: 1\nnotify:\n  webhook: {}\napps: {}\n"), @"
    missing-key

      × `notify.webhook` has no `secret`
       ╭─[lowtide.yml:3:3]
     2 │ notify:
     3 │   webhook: {}
       ·   ───────
     4 │ apps: {}
       ╰────
      help: write `secret: { env: LOWTIDE_WEBHOOK }`; `echo whsec_$(openssl rand -base64 32)` makes one

    missing-key

      × `notify.webhook` has no `url`
       ╭─[lowtide.yml:3:3]
     2 │ notify:
     3 │   webhook: {}
       ·   ───────
     4 │ apps: {}
       ╰────
      help: write `url: https://hooks.example.org/lowtide`

    missing-key

      × `apps` is missing
       ╭─[lowtide.yml:4:1]
     3 │   webhook: {}
     4 │ apps: {}
       · ────
       ╰────
      help: name at least one app: `apps: { web: { source: { repo: https://… } } }`

    lowtide.yml: 3 problems. The configuration is not used.
    ");
}
