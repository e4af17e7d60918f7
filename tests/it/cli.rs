//! The real binary: what it prints and how it exits.

mod age;
mod windows;

use insta::assert_snapshot;
use sha2::{Digest as _, Sha256};
use std::path::Path;
use std::process::{Command, Output};

const GOOD: &str =
    "version: 1\napps:\n  web:\n    source: { repo: \"https://git.example.org/web.git\" }\n    schedule: never\n";

fn lowtide(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lowtide"))
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LOWTIDE_CONFIG", dir.join("config.yml"))
        .env("LOWTIDE_STATE", dir.join("state"))
        .output()
        .unwrap()
}

fn with(config: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("config.yml"), config).unwrap();
    dir
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

#[test]
fn help_names_every_command_and_exit_code() {
    let dir = with(GOOD);
    let help = lowtide(dir.path(), &["--help"]);
    assert_eq!(code(&help), 0);
    let text = out(&help);
    let commands: String = text
        .split("Options:")
        .next()
        .unwrap()
        .lines()
        .map(|l| format!("{}\n", l.trim_end()))
        .collect();
    let codes = text.split("Exit codes:").nth(1).unwrap();
    assert_snapshot!(format!("{commands}Exit codes:{codes}"), @"
    Rebuild at night. Test what you ship. Roll out at low tide

    Usage: lowtide [OPTIONS] <COMMAND>

    Commands:
      serve          Run the bot
      check          Validate the configuration
      test           Build and test a commit of a repository here, as lowtide does it at night. Needs no configuration
      plan           What happens next, per app, and why not; for one app also every setting and where it came from
      windows        When targets may be changed: the next openings of their windows, with warnings (docs/windows.md)
      run            One cycle of these apps now, with live progress. Rollouts wait for their window
      status         The fleet at a glance
      history        The last runs, newest first
      audit          Operator actions, halts and quarantines with their reasons, oldest first
      show           One run or rollout in full, by its id or the end of it
      diff           What differs between two images: packages, files, config, layers. Needs no configuration
      inventory      What is inside an image: system, packages and the layer each came with. IMAGE is named as for `diff`
      outdated       What is pending inside images: fixes that their package repositories have and they lack
      registry-tags  Release tags in registries that are past `retention.registry`, and what becomes of each. Changes nothing
      halt           Stop an app's rollouts and promotions; its builds and tests continue
      resume         Resume a halted app
      incident       The rollout that halted an app in full, and what lifts the halt; by the app, or by the end of the rollout's id
      revert         Roll every target of an app, or one, back to its previous release, and halt the app
      pause          Pause all rollouts and promotions, or resume them
      cancel         Cancel a run that is under way
      backup         Write everything that another lowtide needs to continue into one file, even while the bot runs. It contains secrets
      restore        Unpack a backup into the state directory, which has to be empty
      health         Is the bot of this state directory alive? For container health checks
      completions    Print the completions of a shell
      help           Print this message or the help of the given subcommand(s)

    Exit codes:
      0  done, or nothing to do
      1  it ran and failed: a run, a rollout, a refused request; diff: the images differ
      2  wrong use of the command line
      3  the configuration has problems
      4  something lowtide needs cannot be used (state, engine, socket)
      5  another lowtide owns the state and does not respond
     10  outdated: something is pending
    ");
}

#[test]
fn check_says_what_is_wrong_and_where() {
    let dir = with(GOOD);
    assert_eq!(code(&lowtide(dir.path(), &["check"])), 0);
    let dir = with("version: 1\napps:\n  web:\n    sorce: { repo: x }\n");
    let bad = lowtide(dir.path(), &["check"]);
    assert_eq!(code(&bad), 3);
    assert!(
        out(&bad).contains("`sorce`") && out(&bad).contains("config.yml:"),
        "{}",
        out(&bad)
    );
    let json = lowtide(dir.path(), &["check", "--format", "json"]);
    assert_eq!(code(&json), 3);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&json["version"], &json["problems"][0]["line"]), (&1.into(), &3.into()));
    assert_eq!(code(&lowtide(dir.path(), &["check", "--format", "sarif"])), 3);
}

#[test]
fn a_secret_that_is_not_there_is_a_problem_with_its_place() {
    let dir = with(&format!(
        "{GOOD}registries:\n  ghcr.io: {{ username: bot, password: {{ env: NOT_SET_TOKEN }} }}\n"
    ));
    let check = lowtide(dir.path(), &["check", "--format", "json"]);
    assert_eq!(code(&check), 3);
    let json: serde_json::Value = serde_json::from_slice(&check.stdout).unwrap();
    let problem = &json["problems"][0];
    assert_eq!(
        (&problem["code"], &problem["line"]),
        (&"missing-secret".into(), &7.into())
    );
    assert_eq!(
        problem["message"],
        "this secret cannot be read: environment variable NOT_SET_TOKEN is not set"
    );
    assert_eq!(code(&lowtide(dir.path(), &["check", "--no-secrets"])), 0);
}

#[test]
fn a_window_in_which_nothing_ever_begins_is_a_warning() {
    let config = format!(
        "{GOOD}    window: {{ from: \"03:00\", to: \"03:01\" }}\n    rollout:\n      - container: {{ name: short }}\n      \
         - container: {{ name: never }}\n        window: {{ deny: [ {{ from: \"00:00\", to: \"24:00\" }} ] }}\n"
    );
    let dir = with(&config);
    let check = lowtide(dir.path(), &["check"]);
    assert_eq!(code(&check), 0, "a warning is no problem: {}", out(&check));
    let text = out(&check).replace(&dir.path().display().to_string(), "DIR");
    assert_snapshot!(text, @r#"
    window-too-short

      ⚠ the window of web container-short is too short: a rollout may need 6 min 20 s, going by the target's
      │ limits: none has been timed yet, and no opening is longer than 1 min
       ╭─[DIR/config.yml:6:5]
     5 │     schedule: never
     6 │     window: { from: "03:00", to: "03:01" }
       ·     ──────
     7 │     rollout:
       ╰────
      help: `lowtide windows --app web --target container-short` shows its openings; until then a rollout waits
            for `lowtide run web --now`

    window-never-opens

      ⚠ the window of web container-never never opens
        ╭─[DIR/config.yml:10:9]
      9 │       - container: { name: never }
     10 │         window: { deny: [ { from: "00:00", to: "24:00" } ] }
        ·         ──────
        ╰────
      help: `lowtide windows --app web --target container-never` shows its openings; until then a rollout waits
            for `lowtide run web --now`

    DIR/config.yml: 2 warnings.
    DIR/config.yml: 1 app, no problems
    "#);
    let json = lowtide(dir.path(), &["check", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["problems"], serde_json::json!([]));
    let codes: Vec<&str> = json["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["code"].as_str().unwrap())
        .collect();
    assert_eq!(codes, ["window-too-short", "window-never-opens"]);
    let sarif = out(&lowtide(dir.path(), &["check", "--format", "sarif"]));
    assert!(
        sarif.contains("\"level\": \"warning\"") && !sarif.contains("\"level\": \"error\""),
        "{sarif}"
    );
    // Nor does the plan say that there is no window.
    std::fs::write(
        dir.path().join("config.yml"),
        config.replace("version: 1\n", "version: 1\nmode: active\n"),
    )
    .unwrap();
    let plan = out(&lowtide(dir.path(), &["plan"]));
    let never = "container-never  nothing waits; its window never opens: `lowtide windows --app web` shows it\n";
    assert!(plan.contains(never) && !plan.contains("without a window"), "{plan}");
}

#[test]
fn a_connection_that_fails_is_reported() {
    let dir = with(&format!(
        "{GOOD}hosts: {{ build: {{ docker: \"unix:///nowhere/docker.sock\" }} }}\n"
    ));
    let config = std::fs::read_to_string(dir.path().join("config.yml")).unwrap();
    let repo = format!("file://{}/missing.git", dir.path().display());
    std::fs::write(
        dir.path().join("config.yml"),
        config.replace("https://git.example.org/web.git", &repo),
    )
    .unwrap();
    let check = lowtide(dir.path(), &["check", "--connect"]);
    assert_eq!(code(&check), 1, "{}", out(&check));
    let text = out(&check);
    assert!(
        text.lines()
            .any(|l| l.starts_with("engine build ") && l.contains("FAILED")),
        "{text}"
    );
    assert!(
        text.lines().any(|l| l.starts_with("git web ") && l.contains("FAILED")),
        "{text}"
    );
    let last = text.lines().last().unwrap();
    assert!(
        last.ends_with("1 app, the configuration has no problems; 2 of 2 connections FAILED"),
        "{last}"
    );
}

/// A target whose engine does not answer is shown with the cause; a command needs no engine.
#[test]
fn a_target_that_cannot_be_checked_is_shown_with_the_cause() {
    let dir = with("");
    // A socket that is there, and nobody listens.
    let socket = dir.path().join("docker.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let config = format!(
        "version: 1\nhosts: {{ web1: {{ docker: \"unix://{}\" }} }}\napps:\n  web:\n    \
         source: {{ repo: \"file://{}/missing.git\" }}\n    rollout:\n      - container: {{ name: web }}\n      \
         - service: {{ name: web }}\n      - {{ name: edge, command: {{ run: [sh, -c, \"true\"] }} }}\n",
        socket.display(),
        dir.path().display()
    );
    std::fs::write(dir.path().join("config.yml"), config).unwrap();
    let text = out(&lowtide(dir.path(), &["check", "--connect"]));
    let of = |target: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("target web/{target} ")));
        line.unwrap_or_else(|| panic!("no {target} in {text}")).to_owned()
    };
    let container = of("container-web");
    assert!(
        container.contains("FAILED") && container.contains("Connection refused"),
        "{container}"
    );
    assert!(of("service-web").contains("FAILED"), "{}", of("service-web"));
    assert!(
        of("edge").ends_with("/sh is there; it is not started"),
        "{}",
        of("edge")
    );
}

#[test]
fn an_empty_state_is_shown() {
    let dir = with(GOOD);
    let status = lowtide(dir.path(), &["status"]);
    assert_eq!(code(&status), 0);
    assert_snapshot!(out(&status), @r"
    APP  MODE     RELEASE  LAST RUN  NEXT RUN  STATE
    web  observe  –        –         –         new
    ");
    assert_snapshot!(out(&lowtide(dir.path(), &["history"])), @"No runs yet.");
    assert_snapshot!(out(&lowtide(dir.path(), &["audit"])), @"The audit log is empty.");
    assert_snapshot!(out(&lowtide(dir.path(), &["plan"])), @r"
    web
      mode      observe: builds and tests, pushes and rolls out nothing
      next run  only when asked: `lowtide run`
      rollout   no target is configured
    ");
    let plan = out(&lowtide(dir.path(), &["plan", "web"]));
    assert!(plan.contains("source.repo") && plan.contains("app"), "{plan}");
    for command in ["status", "history", "audit", "plan"] {
        let args = [command, "--json"];
        let json: serde_json::Value = serde_json::from_slice(&lowtide(dir.path(), &args).stdout).unwrap();
        assert_eq!(json["version"], 1, "{args:?}");
    }
    assert_eq!(code(&lowtide(dir.path(), &["show", "abc"])), 1);
    assert_eq!(code(&lowtide(dir.path(), &["plan", "nobody"])), 1);
    assert_eq!(code(&lowtide(dir.path(), &["no-such-command"])), 2);
    assert!(!dir.path().join("state").exists(), "reading makes no state");
}

#[test]
fn a_state_that_somebody_names_has_to_be_there() {
    let dir = with(GOOD);
    let nowhere = dir.path().join("mistyped");
    for command in ["status", "history", "audit"] {
        let output = lowtide(dir.path(), &[command, "--state", nowhere.to_str().unwrap()]);
        assert_eq!(code(&output), 4, "{command}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            said.contains("there is no state of lowtide in ") && out(&output).is_empty(),
            "{said}"
        );
    }
    assert!(!nowhere.exists());
}

/// Beside a bot, or after one: its state alone says what is planned.
#[tokio::test]
async fn a_plan_is_made_of_what_the_named_state_has_in_force() {
    let dir = with(GOOD);
    let state = dir.path().join("bot");
    std::fs::create_dir(&state).unwrap();
    let store = lowtide::store::database::Store::open(&state.join("lowtide.db"), true).unwrap();
    let fleet = lowtide::config::validate::fleet(GOOD.replace("web", "portal").as_bytes()).unwrap();
    let now = lowtide::clients::clock::now();
    store.store_revision("r1".to_owned(), &fleet, now).await.unwrap();
    let run = |args: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_lowtide"))
            .args(args)
            .arg("--state")
            .arg(&state)
            .env_remove("LOWTIDE_CONFIG")
            .output()
            .unwrap()
    };
    let plan = run(&["plan"]);
    assert_eq!(code(&plan), 0, "{plan:?}");
    assert!(out(&plan).starts_with("portal\n"), "{plan:?}");
    assert_eq!(code(&run(&["plan", "portal"])), 0);
    assert_eq!(code(&run(&["windows"])), 0);
    // A configuration that is named as well is what is planned: someone looks at a change before it is in force.
    let config = dir.path().join("config.yml");
    let plan = run(&["plan", "--config", config.to_str().unwrap()]);
    assert!(out(&plan).starts_with("web\n"), "{plan:?}");
    // What the bot has in force is not read again, until the file is another.
    let revision = Sha256::digest(GOOD)
        .into_iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"));
    store.store_revision(revision.collect(), &fleet, now).await.unwrap();
    let plan = run(&["plan", "--config", config.to_str().unwrap()]);
    assert!(out(&plan).starts_with("portal\n"), "{plan:?}");
    std::fs::write(&config, GOOD.replace("web", "shop")).unwrap();
    let plan = run(&["plan", "--config", config.to_str().unwrap()]);
    assert!(out(&plan).starts_with("shop\n"), "{plan:?}");
    for args in [["plan", "prtal"], ["history", "prtal"]] {
        let output = run(&args);
        assert_eq!(code(&output), 1, "{args:?}");
        assert_eq!(
            String::from_utf8_lossy(&output.stderr),
            "no such app: prtal; did you mean portal?\n",
            "{args:?}"
        );
    }
    let output = run(&["cancel", "portal"]);
    assert_eq!(code(&output), 1);
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "no run of portal is under way\n"
    );
}

#[test]
fn a_mistyped_app_is_not_run() {
    let dir = with(&GOOD.replace("web", "portal"));
    let output = lowtide(dir.path(), &["run", "prtal", "portl"]);
    assert_eq!(code(&output), 1, "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("no such app: prtal; did you mean portal?\nno such app: portl; did you mean portal?\n"),
        "{said}"
    );
}

fn git(dir: &Path, args: &[&str]) {
    let done = Command::new("git")
        .args(["-c", "user.name=Dev", "-c", "user.email=dev@example.org"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

/// A repository without a Dockerfile: its runs end when they have looked into it.
fn without_dockerfile(dir: &Path, name: &str) -> String {
    let repo = dir.join(name);
    std::fs::create_dir(&repo).unwrap();
    std::fs::write(repo.join("README"), name).unwrap();
    git(&repo, &["init", "--quiet", "--initial-branch=main"]);
    git(&repo, &["add", "-A"]);
    git(&repo, &["commit", "--quiet", "-m", "First"]);
    format!(
        "  {name}:\n    source: {{ repo: \"file://{}\" }}\n    schedule: never\n",
        repo.display()
    )
}

#[test]
fn a_relative_state_serves_git_as_an_absolute_one_does() {
    let dir = tempfile::tempdir().unwrap();
    let app = without_dockerfile(dir.path(), "web");
    std::fs::write(dir.path().join("config.yml"), format!("version: 1\napps:\n{app}")).unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_lowtide"))
        .args(["--state", "my/state", "run", "web"])
        .current_dir(dir.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LOWTIDE_CONFIG", dir.path().join("config.yml"))
        .output()
        .unwrap();
    let said = out(&run);
    assert!(
        said.contains("Dockerfile is not in commit"),
        "{said}{}",
        String::from_utf8_lossy(&run.stderr)
    );
    assert!(dir.path().join("my/state").is_dir());
    assert!(!dir.path().join("web/my").exists());
}

#[test]
fn a_limit_of_runs_holds_for_many_names_on_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["a", "b", "c", "d", "e"];
    let apps: String = names.iter().map(|name| without_dockerfile(dir.path(), name)).collect();
    let config = format!("version: 1\nlimits: {{ runs: 1 }}\napps:\n{apps}");
    std::fs::write(dir.path().join("config.yml"), config).unwrap();
    let run = lowtide(dir.path(), &[&["run", "--json"], &names[..]].concat());
    let mut working = std::collections::BTreeSet::new();
    let mut ended = 0;
    for line in out(&run).lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        let run = event["run"].as_str().unwrap_or_default().to_owned();
        match event["progress"].as_str().unwrap_or_default() {
            "stage_started" => {
                working.insert(run);
                assert_eq!(working.len(), 1, "{line}");
            }
            "run_ended" => {
                working.remove(&run);
                ended += 1;
            }
            _ => {}
        }
    }
    assert_eq!(ended, names.len(), "{}", out(&run));
}

/// As after SIGSTOP: it owns the state and its socket takes connections, but it reads nothing from them.
#[test]
fn an_owner_that_is_stopped_is_reported_with_its_exit_code() {
    let dir = with(GOOD);
    let state = dir.path().join("state");
    let _lock = lowtide::store::lock::acquire(&state).unwrap().unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(state.join("control.sock")).unwrap();
    for args in [&["pause", "--all"][..], &["run", "web"][..]] {
        let output = lowtide(dir.path(), args);
        assert_eq!(code(&output), 5, "{args:?}");
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(words.contains("does not respond"), "{words}");
    }
}

#[test]
fn a_backup_is_restored_into_an_empty_directory_by_command() {
    let dir = with(GOOD);
    let state = dir.path().join("state");
    std::fs::create_dir(&state).unwrap();
    drop(lowtide::store::database::Store::open(&state.join("lowtide.db"), true).unwrap());
    let backup = dir.path().join("backup.tar");
    let to = backup.to_str().unwrap();
    assert_eq!(code(&lowtide(dir.path(), &["backup", to])), 0);
    assert_eq!(code(&lowtide(dir.path(), &["restore", to])), 4, "what is there stays");
    std::fs::remove_dir_all(&state).unwrap();
    let restored = lowtide(dir.path(), &["restore", to]);
    assert_eq!(code(&restored), 0, "{}", String::from_utf8_lossy(&restored.stderr));
    assert_eq!(code(&lowtide(dir.path(), &["status"])), 0);
}
