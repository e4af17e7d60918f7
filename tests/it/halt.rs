//! Item 55: what a halt leaves in the database is the same to a new process, and the real binary shows the incident, refuses
//! an answer that is incomplete or does not hold, and lets go on what is answered.

use jiff::{SignedDuration, Timestamp};
use lowtide::config::validate;
use lowtide::decide::app_state::{self, AppState};
use lowtide::decide::consequences;
use lowtide::decide::freshness;
use lowtide::decide::rollout;
use lowtide::fleet::app::App;
use lowtide::fleet::app_state::AppEvent;
use lowtide::fleet::rollout::RolloutEvent;
use lowtide::kinds::containers::step::{ContainerOutcome, ContainerStep};
use lowtide::kinds::list::Outcome;
use lowtide::kinds::track::Ended;
use lowtide::model::failure::{Failure, FailureKind, SkipReason};
use lowtide::model::inventory::InventorySummary;
use lowtide::model::journal::Recorded;
use lowtide::model::name::{AppName, RolloutId, RunId};
use lowtide::model::release::{Images, Release};
use lowtide::model::rollout::{HookPhase, Purpose, RolloutConclusion};
use lowtide::model::stages::inspect::Inspected;
use lowtide::store::database::Store;
use lowtide::store::journal::Batch;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::process::{Command, Output};

fn at(second: i64) -> Timestamp {
    "2026-03-01T02:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(second)
}

fn web() -> AppName {
    "web".parse().unwrap()
}

fn rollout_id(n: u128) -> RolloutId {
    RolloutId(ulid::Ulid(n))
}

fn release(n: u128, commit: &str) -> Release {
    let digest = format!("sha256:{n:064x}");
    Release {
        upstream: None,
        run: RunId(ulid::Ulid(n)),
        images: Images::one(digest.parse().unwrap(), digest.parse().unwrap()),
        commit: Some(commit.to_owned()),
        tag: format!("t{n}"),
        digest: None,
        reference: format!("lowtide/web:t{n}").parse().unwrap(),
        change: None,
        sidecars: std::collections::BTreeMap::new(),
        at: at(0),
    }
}

/// A state directory, a configuration that asks for a countermeasure, and the repository it names.
struct Site {
    dir: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let site = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        // As lowtide makes it: others could read what `mkdir` makes, and each command would say so.
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(site.path().join("state"))
            .unwrap();
        std::fs::create_dir_all(site.path().join("work")).unwrap();
        site.git(&["init", "-q", "-b", "main"], 1);
        site.configure("2m");
        site
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn configure(&self, ready: &str) {
        let text = format!(
            "version: 1\nmode: active\nhosts: {{ local: {{ docker: \"unix:///nowhere/docker.sock\" }} }}\napps:\n  web:\n    schedule: never\n    \
             source: {{ repo: \"file://{}\" }}\n    halt: {{ require: countermeasure }}\n    rollout:\n      - container: {{ name: web }}\n        \
             irreversible: true\n        ready: {{ timeout: {ready} }}\n        before: [ {{ exec: [backup, now] }} ]\n",
            self.path().join("work").display()
        );
        std::fs::write(self.path().join("config.yml"), text).unwrap();
    }

    fn app(&self) -> App {
        let text = std::fs::read(self.path().join("config.yml")).unwrap();
        validate::fleet(&text).unwrap().apps[&web()].as_ref().clone()
    }

    fn store(&self) -> Store {
        Store::open(&self.path().join("state/lowtide.db"), true).unwrap()
    }

    fn git(&self, args: &[&str], day: u32) -> String {
        let mut git = Command::new("git");
        git.current_dir(self.path().join("work"))
            .args(args)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1");
        for who in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{who}_NAME"), "Ada")
                .env(format!("GIT_{who}_EMAIL"), "ada@example.org")
                .env(format!("GIT_{who}_DATE"), format!("2026-02-{day:02}T03:04:05Z"));
        }
        let output = git.output().unwrap();
        assert!(
            output.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, file: &str, day: u32) -> String {
        self.commit_text(file, &format!("{day}\n"), day)
    }

    fn commit_text(&self, file: &str, text: &str, day: u32) -> String {
        let path = self.path().join("work").join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self.git(&["add", "-A"], day);
        self.git(&["commit", "-q", "-m", file], day);
        self.git(&["rev-parse", "HEAD"], day)
    }

    fn lowtide(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_lowtide"))
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("USER", "ana")
            .env("LOWTIDE_CONFIG", self.path().join("config.yml"))
            .env("LOWTIDE_STATE", self.path().join("state"))
            .output()
            .unwrap()
    }

    /// What a resume with this form says, and whether the app goes on.
    fn resume(&self, form: &str) -> (bool, String) {
        let file = self.path().join("form.yml");
        std::fs::write(&file, form).unwrap();
        let done = self.lowtide(&["resume", "web", "--form", file.to_str().unwrap()]);
        let said = if done.status.success() {
            &done.stdout
        } else {
            &done.stderr
        };
        (done.status.success(), String::from_utf8_lossy(said).into_owned())
    }

    /// Release `n`, and a rollout of it that ends badly.
    async fn halt(&self, n: u128, commit: &str, purpose: Purpose) {
        let store = self.store();
        let app = self.app();
        let released = AppEvent::Released {
            release: Box::new(release(n, commit)),
        };
        store.commit(Batch::new().app(&web(), &released), at(0)).await.unwrap();
        let failure = Failure::new(FailureKind::UnhealthyAfterRoll, "web answered 500 for 2 min");
        let [hook, save] = steps();
        let events = [
            RolloutEvent::Opened {
                app: web(),
                target: Box::new(app.rollout[0].clone()),
                timezone: "UTC".to_owned(),
                release: Box::new(release(n, commit)),
                window_ignored: true,
                purpose,
            },
            RolloutEvent::StepStarted {
                attempt: 1,
                step: hook.into(),
            },
            RolloutEvent::StepEnded {
                outcome: Ended::Well {
                    outcome: ContainerOutcome::Done.into(),
                },
            },
            RolloutEvent::StepStarted {
                attempt: 1,
                step: save.into(),
            },
            RolloutEvent::StepEnded {
                outcome: Ended::Well {
                    outcome: Outcome::from(ContainerOutcome::LogSaved {
                        log: vec!["cannot open the database".to_owned()],
                        exit_code: 3,
                    }),
                },
            },
        ];
        let mut recorded = Vec::new();
        for (seen, event) in events.into_iter().enumerate() {
            let seen = seen as u64;
            let batch = Batch::new().rollout(&web(), rollout_id(n), seen, &event);
            store.commit(batch, at(10 + seen as i64)).await.unwrap();
            recorded.push(Recorded {
                seq: seen + 1,
                at: at(10 + seen as i64),
                event,
            });
        }
        let state = rollout::fold(rollout_id(n), &recorded).unwrap();
        let conclusion = RolloutConclusion::Stuck { failure };
        let end = consequences::RolloutEnd {
            app_state: &AppState::default(),
            app: Some(&app),
            adopted: None,
        };
        let consequences = consequences::rollout_ended(&state, &conclusion, &end, at(20));
        let last = RolloutEvent::Concluded { conclusion };
        let batch = Batch::new().rollout(&web(), rollout_id(n), recorded.len() as u64, &last);
        let batch = consequences
            .facts
            .iter()
            .fold(batch, |batch, fact| batch.app(&web(), fact));
        store.commit(batch, at(20)).await.unwrap();
    }

    /// As a process reads it that was not there.
    async fn app_state(&self) -> AppState {
        let events = self.store().app_events(&web()).await.unwrap();
        let from_scratch = app_state::fold(events.clone());
        let from_database = self.store().fold_apps(app_state::fold).await.unwrap();
        assert_eq!(from_database, [(web(), from_scratch.clone())]);
        from_scratch
    }
}

fn form(class: &str, countermeasure: &str) -> String {
    format!(
        "whys: [the page answered 500, nobody tested it]\nroot: reached\nclass: {class}\ncountermeasure: {{ {countermeasure} }}\n"
    )
}

#[tokio::test]
async fn the_same_content_under_a_new_digest_stays_out_after_a_restart() {
    let site = Site::new();
    site.halt(2, &"c".repeat(40), Purpose::Release).await;
    let app_state = site.app_state().await;
    assert!(app_state.halted.is_some());
    assert_eq!(app_state.incidents.len(), 1);
    let content = release(2, "").images.first().content.clone();
    let rebuilt = Inspected {
        inventory: InventorySummary {
            content: content.clone(),
            os: None,
            packages: 0,
            files: 0,
        },
        change: None,
        has_command: true,
        left: Box::default(),
    };
    let digest = content.to_string();
    assert_eq!(
        freshness::skip(&rebuilt, None, &app_state.quarantine),
        Some(SkipReason::Quarantined { digest })
    );
    assert_eq!(app_state.current(), None);
}

#[tokio::test]
async fn a_resume_has_to_name_a_solution() {
    let site = Site::new();
    let older = site.commit("tests/menu.py", 1);
    let failed = site.commit("menu.py", 2);
    site.halt(2, &failed, Purpose::Release).await;
    let before = site.app_state().await;
    let plain = site.lowtide(&["resume", "web", "--why", "mended"]);
    assert_eq!(plain.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&plain.stderr).contains("a form, since the app has"));
    let (done, said) = site.resume("class: noise\ncountermeasure: { commit: \"HEAD\" }\n");
    assert!(!done);
    insta::assert_snapshot!(said, @r#"
    web stays halted, nothing was changed. What is missing:
      - whys: at least one, why it happened
      - root: fewer than five whys (0) need `root: reached`, which says that the last one is the root cause
      - countermeasure.commit: a commit id of at least seven hex digits, not `HEAD`
      - countermeasure.config: what is called noise needs a changed setting (`config: true`), or it will be noise again
    "#);
    let away = "1234567890abcdef1234567890abcdef12345678";
    for (commit, part) in [
        (away, "is not on the branch"),
        (older.as_str(), "is not newer than"),
        (failed.as_str(), "is not newer than"),
    ] {
        let (done, said) = site.resume(&form("image", &format!("commit: \"{commit}\"")));
        assert!(!done && said.contains(part), "{commit}: {said}");
    }
    let testless = site.commit("other.py", 3);
    let (done, said) = site.resume(&form("image", &format!("commit: \"{testless}\"")));
    assert!(!done && said.contains("changes no test"), "{said}");
    for (n, text) in [(4, "1\n\n"), (5, "# nobody tested it\n\n1\n")] {
        let blank = site.commit_text("tests/menu.py", text, n);
        let (done, said) = site.resume(&form("image", &format!("commit: \"{blank}\"")));
        assert!(
            !done && said.contains("changes only white space and comments of the tests (tests/menu.py)"),
            "{said}"
        );
    }
    let (done, said) = site.resume(&form("noise", "config: true"));
    assert!(!done && said.contains("as they were at the halt"), "{said}");
    assert_eq!(site.app_state().await, before, "a refused resume changes nothing");
    let fix = site.commit("tests/menu.py", 4);
    site.git(&["commit", "-q", "--allow-empty", "-m", "later"], 5);
    let (done, said) = site.resume(&form("test-gap", &format!("commit: \"{}\"", &fix[..10])));
    assert!(done, "{said}");
    insta::assert_snapshot!(said, @"web goes on; the next 3 new releases are watched twice as long on each target");
    let events = site.store().app_events(&web()).await.unwrap();
    let Some(AppEvent::Resumed {
        by,
        why,
        form: Some(form),
        probation: 3,
    }) = events.last().map(|recorded| &recorded.event)
    else {
        panic!("{:?}", events.last())
    };
    assert_eq!((by.as_str(), why.as_str()), ("ana", "nobody tested it"));
    assert_eq!(form.commit, Some(fix));
    let after = site.app_state().await;
    let left = after.probation.left(&site.app().rollout[0].settings.name);
    assert_eq!((after.halted, after.incidents, left), (None, vec![], 3));
    assert_eq!(after.quarantine, before.quarantine, "what was rolled back stays out");
    shown_in_audit(&site);
}

/// Whoever asks who did what, and why.
fn shown_in_audit(site: &Site) {
    let audit = site.lowtide(&["audit", "web", "--json"]);
    let audit: serde_json::Value = serde_json::from_slice(&audit.stdout).unwrap();
    let entries = audit["entries"].as_array().unwrap();
    let last = &entries[entries.len() - 1];
    assert_eq!(
        (&last["app"], &last["event"]["by"]),
        (&"web".into(), &"ana".into()),
        "{audit}"
    );
    let printed = String::from_utf8(site.lowtide(&["audit"]).stdout).unwrap();
    let last = printed.lines().last().unwrap();
    assert!(
        last.ends_with("web  ana      resumed it: nobody tested it"),
        "{printed}"
    );
    let other = site.lowtide(&["audit", "other"]).stdout;
    assert_eq!(String::from_utf8(other).unwrap(), "The audit log is empty.\n");

    // What is done to all is done to each.
    assert!(site.lowtide(&["pause", "--all"]).status.success());
    assert!(site.lowtide(&["pause", "--all", "--off"]).status.success());
    let printed = String::from_utf8(site.lowtide(&["audit", "other"]).stdout).unwrap();
    let lines: Vec<&str> = printed
        .lines()
        .skip(1)
        .filter_map(|line| line.split("  ").last())
        .collect();
    assert_eq!(
        lines,
        ["paused rollouts and promotions", "resumed rollouts and promotions"],
        "{printed}"
    );
}

#[tokio::test]
async fn a_breach_of_probation_halts_again_and_a_changed_setting_resolves_it() {
    let site = Site::new();
    let failed = site.commit("menu.py", 2);
    site.halt(2, &failed, Purpose::Release).await;
    site.configure("3m");
    let (done, said) = site.resume(&form("noise", "config: true"));
    assert!(done, "{said}");
    let target = site.app().rollout[0].settings.name.clone();
    assert_eq!(site.app_state().await.probation.left(&target), 3);
    site.halt(3, &failed, Purpose::Probation).await;
    let app_state = site.app_state().await;
    assert!(app_state.halted.is_some());
    assert_eq!((app_state.incidents.len(), app_state.probation.left(&target)), (1, 0));
    let shown = String::from_utf8(site.lowtide(&["incident", "web"]).stdout).unwrap();
    let shown = shown.replace(&failed[..7], "COMMIT");
    let lines: Vec<&str> = shown.lines().filter(|line| !line.starts_with("halted")).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    rollout    00000000000000000000000003
    app        web
    target     container-web
    release    t3, commit COMMIT
    result     stuck, needs attention: the new container did not become ready
    probation  it was on probation after an earlier incident

    what happened, UTC
      02:00:10  t3 for container-web
      02:00:12  before hook (unit 1), 1.0 s
      02:00:14  save log (unit 1), 1.0 s
      02:00:20  stuck, needs attention: the new container did not become ready

    new container unit 1, exit code 3
      | cannot open the database

    what the release brought
      It is the first release: there is nothing to compare it with.

    hooks that ran
      before, in unit 1: backup now; 2026-03-01 02:00 UTC, done
      The target is irreversible: if one of these hooks made a backup, restore from it.

    what lifts the halt
      The form below: `lowtide incident web --form > FILE`, fill it in, `lowtide resume web --form FILE`. Then the next 3 new releases are watched twice as long on each target.

    # Rollout 00000003 of web on container-web, 2026-03-01 02:00 UTC: stuck, needs attention: the new container did not become ready
    # Fill in, then: lowtide resume web --form FILE
    whys:             # one to five: why did it happen, and why that?
      - ""
    root: open        # reached: the last why is the root cause; needed with fewer than five
    class:            # image | test-gap | config | environment | noise
    countermeasure:   # at least one of the two
      commit: ""      # on the tracked branch, newer than COMMIT; changes **/*test* or **/tests/** or **/test/**
      config: false   # true: the app's configuration was changed since the halt; noise needs it
    "#);
    let json: serde_json::Value = serde_json::from_slice(&site.lowtide(&["incident", "web", "--json"]).stdout).unwrap();
    assert_eq!(
        (
            &json["version"],
            &json["probation"],
            &json["require"],
            &json["candidates"][0]["exit_code"]
        ),
        (&1.into(), &true.into(), &"countermeasure".into(), &3.into())
    );
    let by_id = site.lowtide(&["incident", &rollout_id(2).to_string(), "--form"]);
    let text = String::from_utf8(by_id.stdout).unwrap();
    let blank = lowtide::config::form::draft(&text).unwrap();
    assert_eq!(
        (blank.odd, blank.whys, blank.config),
        (vec![], vec![String::new()], false)
    );
    let status: serde_json::Value = serde_json::from_slice(&site.lowtide(&["status", "--json"]).stdout).unwrap();
    let incident = &status["apps"][0]["incidents"][0];
    assert_eq!(incident["rollout"], rollout_id(3).to_string());
}

/// The repository changed its past: what counts then is the clock.
#[tokio::test]
async fn a_rewritten_branch_can_still_be_resolved() {
    let site = Site::new();
    let failed = site.commit("menu.py", 2);
    site.halt(2, &failed, Purpose::Release).await;
    site.git(&["checkout", "-q", "--orphan", "new"], 2);
    let old = site.commit("tests/menu.py", 3);
    site.git(&["branch", "-q", "-M", "new", "main"], 3);
    let (done, said) = site.resume(&form("image", &format!("commit: \"{old}\"")));
    assert!(!done && said.contains("is not newer than"), "{said}");
    std::fs::write(site.path().join("work/tests/menu.py"), "mended\n").unwrap();
    site.git(&["add", "-A"], 4);
    let now = "2026-03-02T03:04:05Z";
    let output = Command::new("git")
        .current_dir(site.path().join("work"))
        .args([
            "-c",
            "user.name=Ada",
            "-c",
            "user.email=ada@example.org",
            "commit",
            "-q",
            "-m",
            "later",
        ])
        .env("GIT_COMMITTER_DATE", now)
        .status()
        .unwrap();
    assert!(output.success());
    let fix = site.git(&["rev-parse", "HEAD"], 4);
    let (done, said) = site.resume(&form("image", &format!("commit: \"{fix}\"")));
    assert!(done, "{said}");
}

#[tokio::test]
async fn one_target_goes_back_by_name() {
    let site = Site::new();
    let nowhere = site.lowtide(&["revert", "web/elsewhere", "--reason", "x"]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("web has no target elsewhere"));
    let nothing = site.lowtide(&["revert", "web/container-web", "--reason", "x"]);
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("web has no earlier release on container-web"));
}

#[tokio::test]
async fn an_operator_lets_a_release_out_of_quarantine_and_says_why() {
    let site = Site::new();
    let failed = site.commit("menu.py", 2);
    site.halt(2, &failed, Purpose::Release).await;
    let file = site.path().join("form.yml");
    let lift = |what: &str, more: &[&str]| {
        let always = [
            "resume",
            "web",
            "--reason",
            "the disk was full",
            "--release-quarantine",
            what,
        ];
        let done = site.lowtide(&[&always[..], more].concat());
        let said = if done.status.success() {
            done.stdout
        } else {
            done.stderr
        };
        (done.status.code(), String::from_utf8_lossy(&said).into_owned())
    };
    let before = site.app_state().await;
    let (code, said) = lift("t9", &[]);
    assert_eq!(code, Some(1));
    insta::assert_snapshot!(said, @"
    `t9` names no one quarantined release of web; nothing was changed. Quarantined are:
      - t2 (content sha256:0000000000000000000000000000000000000000000000000000000000000002)
    ");
    // Whatever lifts the halt is still asked for.
    let (code, said) = lift("t2", &[]);
    assert!(code == Some(1) && said.contains("a form, since the app has"), "{said}");
    assert_eq!(site.app_state().await, before, "a refused one changes nothing");
    site.configure("3m");
    std::fs::write(&file, form("noise", "config: true")).unwrap();
    let (code, said) = lift("t2", &["--form", file.to_str().unwrap()]);
    assert_eq!(code, Some(0));
    insta::assert_snapshot!(said, @"
    web: t2 (content sha256:0000000000000000000000000000000000000000000000000000000000000002) is no longer quarantined and may be released again
    web goes on; the next 3 new releases are watched twice as long on each target
    ");
    let after = site.app_state().await;
    assert_eq!((after.halted.is_some(), after.quarantine.len()), (false, 0));
    assert_eq!(after.current().map(|release| release.tag.as_str()), Some("t2"));
    let events = site.store().app_events(&web()).await.unwrap();
    let let_go = events.iter().find_map(|recorded| {
        let AppEvent::Unquarantined { by, why, .. } = &recorded.event else {
            return None;
        };
        Some((by.as_str(), why.as_str()))
    });
    assert_eq!(let_go, Some(("ana", "the disk was full")));
    // Of an app that is not halted only the quarantine ends.
    let content = release(2, "").images.first().content.clone();
    let again = AppEvent::Quarantined {
        content: content.clone(),
        image: release(2, "").images.first().image.clone(),
        digest: None,
    };
    site.store()
        .commit(Batch::new().app(&web(), &again), at(9))
        .await
        .unwrap();
    let (code, said) = lift(content.as_str(), &[]);
    assert!(code == Some(0) && !said.contains("goes on"), "{said}");
    let (code, said) = lift("t2", &[]);
    assert_eq!((code, said.trim()), (Some(1), "nothing of web is quarantined"));
}

/// A hook, and the end of a new container.
fn steps() -> [ContainerStep; 2] {
    let hook = ContainerStep::RunHook {
        phase: HookPhase::Before,
        unit: 0,
        hook: 0,
    };
    let save = ContainerStep::SaveLog {
        unit: 0,
        container: "new".to_owned(),
    };
    [hook, save]
}
