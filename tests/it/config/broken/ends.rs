use super::report;
use lowtide::config::validate;
use lowtide::model::policy::{BuildLimits, ReadyCheck};

pub(super) const ENDS: &str = r#"version: 1
apps:
  tool:
    source: { repo: "https://git.example.org/tool.git" }
    ready: { exit: 0 }
    test: { steps: [ { exec: [/check] } ] }
    rollout: [ { container: { name: tool } } ]
  high:
    source: { repo: "https://git.example.org/high.git" }
    ready: { exit: 256, log: up }
    build: { limits: { memory: 1MiB, cpus: 0, pids: 10 } }
  command:
    source: { repo: "https://git.example.org/command.git" }
    rollout: [ { name: edge, command: { run: [/roll] }, ready: { exit: 0 } } ]
"#;

#[test]
fn images_that_end_and_limits_of_builds() {
    insta::assert_snapshot!(report(ENDS), @r#"
    not-for-rollouts

      × `ready.exit` waits for an end, and a rollout moves what keeps running
       ╭─[lowtide.yml:5:20]
     4 │     source: { repo: "https://git.example.org/tool.git" }
     5 │     ready: { exit: 0 }
       ·                    ─
     6 │     test: { steps: [ { exec: [/check] } ] }
       ╰────
      help: give the target a `ready` of its own, or leave out the rollout of an image that ends

    one-of

      × `test.steps` need a container that runs, and `exit` waits for its end
       ╭─[lowtide.yml:6:13]
     5 │     ready: { exit: 0 }
     6 │     test: { steps: [ { exec: [/check] } ] }
       ·             ─────
     7 │     rollout: [ { container: { name: tool } } ]
       ╰────
      help: leave out the steps: the exit code of the image's own command is the test; or give `test.ready`
            another check

    out-of-range

      × `apps.high.ready.exit` must be between 0 and 255, not 256
        ╭─[lowtide.yml:10:20]
      9 │     source: { repo: "https://git.example.org/high.git" }
     10 │     ready: { exit: 256, log: up }
        ·                    ───
     11 │     build: { limits: { memory: 1MiB, cpus: 0, pids: 10 } }
        ╰────

    out-of-range

      × `build.limits.memory` must be at least 6MiB
        ╭─[lowtide.yml:11:32]
     10 │     ready: { exit: 256, log: up }
     11 │     build: { limits: { memory: 1MiB, cpus: 0, pids: 10 } }
        ·                                ────
     12 │   command:
        ╰────

    out-of-range

      × `apps.high.build.limits.cpus` must be between 0.01 and 1024, not 0
        ╭─[lowtide.yml:11:44]
     10 │     ready: { exit: 256, log: up }
     11 │     build: { limits: { memory: 1MiB, cpus: 0, pids: 10 } }
        ·                                            ─
     12 │   command:
        ╰────

    not-supported

      × `pids` is not supported by this version: it would be for limiting the processes of a build
        ╭─[lowtide.yml:11:47]
     10 │     ready: { exit: 256, log: up }
     11 │     build: { limits: { memory: 1MiB, cpus: 0, pids: 10 } }
        ·                                               ────
     12 │   command:
        ╰────
      help: take the key out; it would have no effect

    one-of

      × `ready` of a command needs `http` or `exec`
        ╭─[lowtide.yml:14:57]
     13 │     source: { repo: "https://git.example.org/command.git" }
     14 │     rollout: [ { name: edge, command: { run: [/roll] }, ready: { exit: 0 } } ]
        ·                                                         ─────
        ╰────
      help: write `ready: { http: { url: "https://…" } }`, or take it out: the exit code alone decides then

    not-for-commands

      × `ready.exit` has no meaning for a command
        ╭─[lowtide.yml:14:72]
     13 │     source: { repo: "https://git.example.org/command.git" }
     14 │     rollout: [ { name: edge, command: { run: [/roll] }, ready: { exit: 0 } } ]
        ·                                                                        ─
        ╰────
      help: ask by `http: { url: … }` or `exec`, or leave it to the exit code

    lowtide.yml: 8 problems. The configuration is not used.
    "#);
}

/// A target may have a check of its own beside an app whose image ends in its test.
#[test]
fn what_is_fine() {
    let text = r#"version: 1
defaults: { build: { limits: { memory: 1GiB } } }
apps:
  tool:
    source: { repo: "https://git.example.org/tool.git" }
    ready: { exit: 2, timeout: 10s }
    test: { env: { CHECK: all }, junit: "/results/*.xml" }
    build: { limits: { cpus: 1.5 } }
    rollout: [ { container: { name: tool }, ready: { http: { port: 80 } } } ]
"#;
    let fleet = validate::fleet(text.as_bytes()).unwrap();
    let app = fleet.apps.values().next().unwrap();
    let exit = ReadyCheck::Exit { code: 2 };
    assert_eq!(app.ready.check, exit);
    assert_eq!(app.tests[0].ready.check, exit);
    assert!(matches!(app.rollout[0].settings.ready.check, ReadyCheck::Http { .. }));
    assert_eq!(
        app.build().unwrap().limits,
        BuildLimits {
            memory: Some(1 << 30),
            cpus: Some(1.5)
        }
    );
}
