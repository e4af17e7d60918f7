//! Channels and targets: what an app's releases need next, as a story of facts.

use super::*;
use crate::fleet::app::Fleet;
use crate::kinds::list::TargetPolicy;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::freshness::Behind;
use lowtide_model::policy::Mode;
use lowtide_model::release::Images;
use lowtide_model::rollout::Purpose;
use ulid::Ulid;

mod checkpoint;
mod halts;
mod outstanding;
mod probation;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

/// Two channels; staging has two targets, production one.
pub(in crate::decide) fn app() -> App {
    let target = |name: &str, channel: &str| {
        format!(
            r#"{{"name":"{name}","channel":"{channel}","host":"h","window":null,
            "ready":{{"check":"healthcheck","timeout":"PT60S"}},"bake":"PT0S","irreversible":false,
            "kind":{{"containers":{{"select":{{"name":{{"name":"{name}"}}}},"before":[],"after":[],"stop_timeout":null}}}}}}"#
        )
    };
    let text = format!(
        r#"{{"name":"web","mode":"active","timezone":"UTC","maintainers":[],
        "origin":{{"kind":"built","source":{{"repo":"https://git.example.org/web.git","git_ref":"head","context":"","dockerfile":"Dockerfile",
          "submodules":false,"username":null,"token":null,"ssh_key":null,"timeout":"PT60S","max_size":1}},
        "build":{{"host":"h","args":{{}},"target":null,"labels":{{}},"label_schema":false,"pull":true,
          "timeout":"PT60S","max_log":1}}}},
        "env":{{}},"tests":[],"ready":{{"check":"healthcheck","timeout":"PT60S"}},
        "publish":{{"image":"registry.example.org/web","tag":"{{run}}","channels":[
          {{"name":"staging","image":"registry.example.org/web","tag":"staging"}},
          {{"name":"production","image":"prod.example.org/web","tag":"production"}}]}},
        "schedule":"never","rollout":[{},{},{}],"github_repo":null}}"#,
        target("s1", "staging"),
        target("s2", "staging"),
        target("p1", "production"),
    );
    serde_json::from_str(&text).unwrap()
}

pub(in crate::decide) fn release(n: u128) -> Release {
    let digest = format!("sha256:{n:064x}");
    Release {
        upstream: None,
        run: RunId(Ulid(n)),
        images: Images::one(digest.parse().unwrap(), digest.parse().unwrap()),
        commit: Some("c".repeat(40)),
        tag: format!("t{n}"),
        digest: Some(digest.parse().unwrap()),
        reference: format!("registry.example.org/web:t{n}").parse().unwrap(),
        change: None,
        sidecars: std::collections::BTreeMap::new(),
        at: at(0),
    }
}

/// The next actions, in a few words; each one's resulting event is applied.
fn play(app: &App, app_state: &mut AppState, ending: impl Fn(&str) -> RolloutConclusion) -> Vec<String> {
    let mut story = Vec::new();
    for n in 0..20 {
        let facts = match next(app, app_state, at(1)) {
            Next::Idle => break,
            Next::Promote(promotion) | Next::TakeBack(promotion) => {
                let Promotion { channel, release, .. } = *promotion;
                story.push(format!("{} := {}", channel.name, release.tag));
                vec![AppEvent::Promoted {
                    channel: channel.name,
                    release: release.run,
                }]
            }
            Next::OpenRollout { target, release } | Next::GoBack { target, release } => {
                story.push(format!("{} → {}", target.settings.name, release.tag));
                let rollout = RolloutId(Ulid(1000 + n));
                let conclusion = ending(target.settings.name.as_str());
                let back = matches!(conclusion, RolloutConclusion::Reverted { .. });
                let mut facts = vec![
                    AppEvent::RolloutOpened {
                        target: target.settings.name.clone(),
                        release: release.run,
                        rollout,
                    },
                    AppEvent::RolloutEnded {
                        target: target.settings.name.clone(),
                        release: release.run,
                        rollout,
                        conclusion,
                        worked: None,
                        placed: None,
                    },
                ];
                if back {
                    facts.push(AppEvent::Quarantined {
                        content: release.images.first().content.clone(),
                        image: release.images.first().image.clone(),
                        digest: None,
                    });
                    let failure = Failure::new(FailureKind::UnhealthyAfterRoll, "x");
                    facts.push(AppEvent::Halted {
                        reason: HaltReason::Reverted { failure },
                        settings: None,
                    });
                }
                facts
            }
        };
        for event in facts {
            app_state.apply(&Recorded {
                seq: 0,
                at: at(1),
                event,
            });
        }
    }
    story
}

fn released(app_state: &mut AppState, n: u128) {
    let event = AppEvent::Released {
        release: Box::new(release(n)),
    };
    app_state.apply(&Recorded {
        seq: 0,
        at: at(0),
        event,
    });
}

#[test]
fn targets_pull_under_the_channel_s_name_and_the_release_keeps_its_own() {
    let mut app = app();
    let publish = app.publish.as_mut().unwrap();
    publish.channels[1].pull = Some("cache.example.org/web".parse().unwrap());
    let (staging, production) = (&publish.channels[0], &publish.channels[1]);
    let release = release(1);
    let names = [None, Some(staging), Some(production)].map(|c| channel_reference(c, &release).to_string());
    assert_eq!(
        names,
        [
            "registry.example.org/web:t1",
            "registry.example.org/web:t1",
            "cache.example.org/web:t1"
        ]
    );
    let shown = |names: Vec<&lowtide_model::image::Repository>| {
        names.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    let pushed = "registry.example.org/web registry.example.org/web prod.example.org/web";
    assert_eq!(shown(publish.pushed().collect()), pushed);
    assert_eq!(
        shown(publish.names().collect()),
        format!("{pushed} cache.example.org/web")
    );
}

#[test]
fn a_release_moves_through_its_channels_target_by_target() {
    let (app, mut app_state) = (app(), AppState::default());
    released(&mut app_state, 1);
    let story = play(&app, &mut app_state, |_| RolloutConclusion::Done);
    insta::assert_snapshot!(story.join("\n"), @"
    staging := t1
    s1 → t1
    s2 → t1
    production := t1
    p1 → t1
    ");
}

#[test]
fn a_revert_takes_the_channel_back_and_stops_everything_after_it() {
    let (app, mut app_state) = (app(), AppState::default());
    released(&mut app_state, 1);
    play(&app, &mut app_state, |_| RolloutConclusion::Done);
    released(&mut app_state, 2);
    let story = play(&app, &mut app_state, |target| {
        let failure = Failure::new(FailureKind::UnhealthyAfterRoll, "x");
        if target == "s2" {
            RolloutConclusion::Reverted { failure }
        } else {
            RolloutConclusion::Done
        }
    });
    insta::assert_snapshot!(story.join("\n"), @"
    staging := t2
    s1 → t2
    s2 → t2
    staging := t1
    s1 → t1
    ");
    // After a resume everything is as before; the bad release stays quarantined.
    let event = AppEvent::Resumed {
        by: "me".to_owned(),
        why: "mended".to_owned(),
        form: None,
        probation: 0,
    };
    app_state.apply(&Recorded {
        seq: 0,
        at: at(2),
        event,
    });
    let story = play(&app, &mut app_state, |_| RolloutConclusion::Done);
    assert_eq!(story, [""; 0]);
    released(&mut app_state, 3);
    let story = play(&app, &mut app_state, |_| RolloutConclusion::Done);
    assert_eq!(
        story,
        ["staging := t3", "s1 → t3", "s2 → t3", "production := t3", "p1 → t3"]
    );
}

#[test]
fn a_refused_rollout_holds_its_channel_until_somebody_looked() {
    let (app, mut app_state) = (app(), AppState::default());
    released(&mut app_state, 1);
    let refused = || RolloutConclusion::Refused {
        failure: Failure::new(FailureKind::PreflightRefused, "x"),
    };
    let story = play(&app, &mut app_state, |target| {
        if target == "s1" {
            refused()
        } else {
            RolloutConclusion::Done
        }
    });
    assert_eq!(story, ["staging := t1", "s1 → t1"]);
    let event = AppEvent::Resumed {
        by: "me".to_owned(),
        why: "mended".to_owned(),
        form: None,
        probation: 0,
    };
    app_state.apply(&Recorded {
        seq: 0,
        at: at(2),
        event,
    });
    let story = play(&app, &mut app_state, |_| RolloutConclusion::Done);
    assert_eq!(story, ["s1 → t1", "s2 → t1", "production := t1", "p1 → t1"]);
}

#[test]
fn observed_and_halted_apps_move_nothing() {
    let (mut app, mut app_state) = (app(), AppState::default());
    released(&mut app_state, 1);
    app.mode = Mode::Observe;
    assert_eq!(next(&app, &app_state, at(1)), Next::Idle);
    app.mode = Mode::Active;
    let reason = HaltReason::Operator {
        by: "me".to_owned(),
        why: "x".to_owned(),
    };
    app_state.apply(&Recorded {
        seq: 0,
        at: at(1),
        event: AppEvent::Halted { reason, settings: None },
    });
    assert_eq!(next(&app, &app_state, at(1)), Next::Idle);
}

#[test]
fn the_fleet_survives_its_own_json() {
    // The journal stores an app's configuration as JSON: what is written must be what is read.
    let app = app();
    let text = serde_json::to_string(&app).unwrap();
    assert_eq!(serde_json::from_str::<App>(&text).unwrap(), app);
    let _: fn(&Fleet) = |_| ();
}

#[test]
fn what_a_target_lacked_is_gone_with_what_it_ran() {
    let behind = Behind {
        packages: 3,
        security: 2,
    };
    let event = |n: i64, event| Recorded {
        seq: 0,
        at: at(n),
        event,
    };
    let unfixable = |package: &[&str], targets: &[&str]| AppEvent::UnfixableUpdates {
        unfixable: Box::new(UnfixableUpdates {
            packages: package.iter().map(|p| ((*p).to_owned(), "2".to_owned())).collect(),
            running: targets.iter().map(|t| (t.parse().unwrap(), behind)).collect(),
            ..UnfixableUpdates::default()
        }),
    };
    let ended = |target: &str, conclusion| AppEvent::RolloutEnded {
        target: target.parse().unwrap(),
        release: RunId(Ulid(1)),
        rollout: RolloutId(Ulid(2)),
        conclusion,
        worked: None,
        placed: None,
    };
    let shown = |app_state: &AppState| {
        let (since, unfixable) = app_state.unfixable.as_ref()?;
        let targets: Vec<&str> = unfixable.running.keys().map(TargetName::as_str).collect();
        Some((
            since.as_second() - at(0).as_second(),
            targets.join(" "),
            unfixable.packages.len(),
        ))
    };
    let mut app_state = AppState::default();
    app_state.apply(&event(1, unfixable(&[], &["p1", "s1"])));
    app_state.apply(&event(2, unfixable(&["a:amd64"], &["p1", "s1"])));
    assert_eq!(shown(&app_state), Some((1, "p1 s1".to_owned(), 1)), "since the first");
    let failure = Failure::new(FailureKind::StartFailed, "x");
    app_state.apply(&event(3, ended("p1", RolloutConclusion::Reverted { failure })));
    app_state.apply(&event(3, ended("s1", RolloutConclusion::Done)));
    assert_eq!(shown(&app_state), Some((1, "p1".to_owned(), 1)));
    app_state.apply(&event(4, unfixable(&[], &["p1"])));
    app_state.apply(&event(5, ended("p1", RolloutConclusion::AlreadyThere)));
    assert_eq!(shown(&app_state), None);
}
