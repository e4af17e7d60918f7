use super::*;
use crate::report::rollout::tests::{assumed, half_way, stack};
use insta::assert_snapshot;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::rollout::RolloutConclusion;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn row(app: &str, mode: Mode) -> PlanRow {
    PlanRow {
        app: app.parse().unwrap(),
        mode,
        timezone: "America/Moncton".into(),
        schedule: Schedule::Cron("30 1 * * *".into()),
        next_run: Some(at("2026-11-24T05:30:00Z")),
        parents: vec![],
        built: None,
        unfixable: None,
        halted: None,
        exposure: Exposure::default(),
        probation: vec![],
        channels: vec![],
        targets: vec![],
    }
}

fn target(name: &str, window: Window) -> TargetPlan {
    TargetPlan {
        target: name.parse().unwrap(),
        rollout: None,
        refused: None,
        drifted: None,
        window,
        needs: Needs::Estimate {
            lasts: SignedDuration::from_secs(380),
            rollouts: 0,
        },
        bake: SignedDuration::from_secs(120),
        late: None,
    }
}

fn open(preview: RolloutPreview, waits: Option<WaitReason>, entry: Entry) -> RolloutPlan {
    RolloutPlan {
        id: "01JDCS4Z00ABCDEFGHJKMNPQRS".parse().unwrap(),
        tag: "20261123.x-1".into(),
        opened: at("2026-11-23T05:00:00Z"),
        waits,
        overdue: None,
        preview,
        entry,
    }
}

#[test]
fn every_kind_of_future() {
    let opens = at("2026-11-24T07:00:00Z");
    let mut archives = row("archives", Mode::Active);
    archives.parents = vec!["drupal-base".parse().unwrap()];
    archives.targets = vec![
        target("front", Window::Closed { opens }),
        target("cron", Window::Never),
        target("never", Window::NeverOpens),
    ];
    let entry = Entry::At {
        opens: Some(opens),
        until: at("2026-11-24T09:00:00Z"),
    };
    let mut waiting = open(assumed(), Some(WaitReason::Window { opens }), entry);
    waiting.overdue = Some(at("2026-11-08T12:00:00Z"));
    archives.targets[0].rollout = Some(waiting);
    archives.targets[0].late = Some((at("2026-11-24T07:10:00Z"), opens));
    let mut shop = row("shop", Mode::Active);
    shop.schedule = Schedule::Never;
    shop.next_run = None;
    let failure = Failure::new(FailureKind::UnhealthyAfterRoll, "shop: 503");
    shop.halted = Some((at("2026-11-22T12:00:00Z"), HaltReason::Reverted { failure }));
    shop.exposure = Exposure {
        built: Some(at("2026-11-11T12:00:00Z")),
        security: 4,
    };
    let mut frozen = row("frozen", Mode::Active);
    frozen.probation = vec![("web".parse().unwrap(), 2)];
    frozen.targets = vec![target("web", Window::Frozen)];
    let mut base = row("drupal-base", Mode::Observe);
    base.targets = vec![target("web", Window::Closed { opens })];
    let style = Style {
        color: false,
        width: 130,
    };
    assert_snapshot!(plan(&[archives, shop, base, frozen], true, at("2026-11-23T12:00:00Z"), style), @"
    Everything is paused: runs continue, nothing is promoted or rolled out.

    archives
      mode      active
      next run  in 17 h, 2026-11-24 01:30 America/Moncton (cron 30 1 * * *); and after a release of drupal-base
      front     rollout jkmnpqrs of 20261123.x-1: waits for its window, 2026-11-24 03:00 America/Moncton
                it has waited for 15 days
                what it finds is moved to 20261123.x-1, stop-first (no router would pick up a new container)
                it may need 6 min 20 s, including bake (2 min) and rollback, by the target's limits
                its window is then open for 2 h, until 2026-11-24 05:00 America/Moncton
                the night may end too late: done by 2026-11-24 03:10 America/Moncton, open from 2026-11-24 03:00 America/Moncton
      cron      nothing waits; without a window a rollout waits for `lowtide run APP --now`
                a rollout may need 6 min 20 s, including bake (2 min) and rollback, by the target's limits
      never     nothing waits; its window never opens: `lowtide windows --app archives` shows it
                a rollout may need 6 min 20 s, including bake (2 min) and rollback, by the target's limits

    shop
      mode      active
      next run  only when asked: `lowtide run`
      halted    for 24 hours. A rollout was rolled back. The new container did not become ready: shop: 503.
                runs an image 12 days old; 4 security fixes are pending
      rollout   no target is configured

    drupal-base
      mode      observe: builds and tests, pushes and rolls out nothing
      next run  in 17 h, 2026-11-24 01:30 America/Moncton (cron 30 1 * * *)
      web       nothing rolls out in observe mode

    frozen
      mode      active
      next run  in 17 h, 2026-11-24 01:30 America/Moncton (cron 30 1 * * *)
      watched   on probation, 2 rollouts left: their bake is doubled
      web       nothing waits; nothing would begin: rollouts are frozen
                a rollout may need 6 min 20 s, including bake (2 min) and rollback, by the target's limits
    ");
}

#[test]
fn settings_say_who_said_so() {
    let rows = [
        ("bake".to_owned(), "2m".to_owned(), "default".to_owned()),
        (
            "source.repo".to_owned(),
            "https://git.example.org/a.git".to_owned(),
            "app".to_owned(),
        ),
    ];
    assert_snapshot!(settings(&rows, Style { color: false, width: 100 }), @r"
    bake         2m                             default
    source.repo  https://git.example.org/a.git  app
    ");
}

#[test]
fn open_rollouts_and_their_steps() {
    let now = at("2026-11-24T07:05:00Z");
    let until = at("2026-11-24T09:00:00Z");
    let mut web = row("web", Mode::Active);
    web.targets = vec![target("front", Window::Open { until }), target("shop", Window::Never)];
    web.targets[0].rollout = Some(open(half_way(), None, Entry::At { opens: None, until }));
    web.targets[0].needs = Needs::Estimate {
        lasts: SignedDuration::from_secs(260),
        rollouts: 3,
    };
    web.targets[1].rollout = Some(open(stack(), None, Entry::Ignored));
    web.targets[1].needs = Needs::Cutoff(SignedDuration::from_secs(3600));
    let style = Style {
        color: false,
        width: 150,
    };
    let rows = [web];
    let text = format!("{}{}", plan(&rows, false, now, style), steps(&rows[0], now, style));
    assert_snapshot!(text, @"
    web
      mode      active
      next run  due now
      front     rollout jkmnpqrs of 20261123.x-1 is in progress
                web-1: 20261109.x-3 → 20261123.x-1, start-first (its router picks up new containers)
                web-2: 20261109.x-3 → 20261123.x-1, stop-first (port 80/tcp of the host is published)
                web-2-cache: made again on its own image, stop-first (it depends on another one)
                web-1: runs the release; web-2: is being moved, wait until new container is ready; web-2-cache: waits for its turn
                it may need 4 min 20 s, including bake (2 min) and rollback, going by 3 earlier ones
                its window is open for another 1 h 55 min, until 2026-11-24 05:00 America/Moncton
      shop      rollout jkmnpqrs of 20261123.x-1 is in progress
                shop_0 (3 tasks), shop_1 (3 tasks), shop_2 (3 tasks), shop_3 (3 tasks), 2 more: t0 → 20261123.x-1, stop-first (by what its tasks allow)
                shop_0: is being moved, Swarm replaces 3 tasks; shop_1, shop_2, shop_3, shop_4 and 1 more: waits for its turn
                it begins no later than 1 h before its window closes; bakes 2 min
                it waits for no window

    rollout jkmnpqrs to front, step by step
                   preflight                          done, 2 s
                   pull                               done, 14 s
      web-1        create new container               done, 1 s
                   start new container                done, 0 s
      web-2        create new container               failed
                   create new container               done, 1 s
                   wait until new container is ready  under way for 4 s
                   rename to web-2
      web-2-cache  create new container
                   bake, 2 min
      web-2-cache  remove old container
      web-2        remove old container
      web-1        remove old container

    rollout jkmnpqrs to shop, step by step
      shop_0  update service          done, 1 s
              Swarm replaces 3 tasks  under way for 1 min
      shop_1  update service
    ");
}

#[test]
fn the_same_as_json() {
    let now = at("2026-11-24T07:05:00Z");
    let until = at("2026-11-24T09:00:00Z");
    let mut web = row("web", Mode::Active);
    web.targets = vec![target("front", Window::Open { until })];
    let failure = Failure::new(FailureKind::EngineUnreachable, "no answer").with_excerpt(["a log".to_owned()]);
    let waits = WaitReason::Retry { at: until, failure };
    let mut preview = half_way();
    preview.moves.drain(..1);
    preview.moves.truncate(1);
    preview.steps.retain(|line| line.unit.is_none() || line.unit == Some(1));
    web.targets[0].rollout = Some(open(preview, Some(waits), Entry::At { opens: None, until }));
    let rows = [web];
    let whole = serde_json::to_value(crate::report::json::plan(&rows, false, now, None)).unwrap();
    let shown = serde_json::to_value(crate::report::json::rollouts(&rows, false, now)).unwrap();
    let mut one = shown["rollouts"][0].clone();
    assert_eq!(whole["apps"][0]["targets"][0]["rollout"], one, "one view for all");
    let units = one["units"].take();
    let steps = one["steps"].take();
    let lists = [units, steps]
        .into_iter()
        .flat_map(|list| list.as_array().cloned().unwrap());
    let lines: Vec<String> = std::iter::once(one)
        .chain(lists)
        .map(|value| value.to_string())
        .collect();
    assert_snapshot!(lines.join("\n"), @r#"
    {"rollout":"01JDCS4Z00ABCDEFGHJKMNPQRS","app":"web","target":"front","tag":"20261123.x-1","opened":"2026-11-23T05:00:00Z","waits":{"reason":"retry","at":"2026-11-24T09:00:00Z","failure":{"kind":"engine_unreachable","detail":"no answer"}},"overdue":null,"opening":{"opens":null,"until":"2026-11-24T09:00:00Z"},"window_ignored":false,"needs_ms":380000,"needs_by":"limits","bake_ms":120000,"chosen":"preflighted","units":null,"steps":null,"ends":{"conclusion":"done"}}
    {"unit":0,"name":"web-2","part":"release","from":"20261109.x-3","order":"stop-first","why":"bars","bars":[{"bar":"published_port","port":"80/tcp"}],"tasks":null,"phase":"moving"}
    {"unit":null,"step":"preflight","state":"done","took_ms":2000}
    {"unit":null,"step":"pull","state":"done","took_ms":14000}
    {"unit":1,"step":"create new container","state":"failed"}
    {"unit":1,"step":"create new container","state":"done","took_ms":1000}
    {"unit":1,"step":"wait until new container is ready","state":"running","since":"2026-11-24T07:04:56Z"}
    {"unit":1,"step":"rename to web-2","state":"ahead"}
    {"unit":null,"step":"bake","lasts_ms":120000,"state":"ahead"}
    {"unit":1,"step":"remove old container","state":"ahead"}
    "#);
}

#[test]
fn no_log_is_for_everybody() {
    let log = || Failure::new(FailureKind::ContainerExited, "exited").with_excerpt(["a log".to_owned()]);
    let ends = [
        RolloutConclusion::Refused { failure: log() },
        RolloutConclusion::Reverted { failure: log() },
        RolloutConclusion::Stuck { failure: log() },
    ];
    let halts = [
        HaltReason::Reverted { failure: log() },
        HaltReason::Irreversible { failure: log() },
        HaltReason::Stuck { failure: log() },
    ];
    for (end, halt) in ends.into_iter().zip(halts) {
        let now = at("2026-11-24T07:05:00Z");
        let mut web = row("web", Mode::Active);
        web.halted = Some((now, halt));
        web.targets = vec![target("front", Window::Never)];
        let mut preview = half_way();
        preview.ends = Some(end);
        let waits = WaitReason::Retry {
            at: now,
            failure: log(),
        };
        web.targets[0].rollout = Some(open(preview, Some(waits), Entry::Unknown));
        let rows = [web];
        let shown = serde_json::to_string(&crate::report::json::plan(&rows, false, now, None)).unwrap();
        assert_eq!(shown.matches("\"exited\"").count(), 3, "{shown}");
        assert!(!shown.contains("a log"), "{shown}");
    }
}

#[test]
fn what_did_not_come_where_it_should_be_says_why_and_when_it_is_tried_again() {
    let mut shop = row("shop", Mode::Active);
    let until = at("2026-11-24T09:00:00Z");
    let since = at("2026-11-21T12:00:00Z");
    shop.channels = vec![
        ChannelPlan {
            channel: "staging".parse().unwrap(),
            trouble: ChannelTrouble::Disagrees {
                has: "t1".to_owned(),
                targets: vec![("back".parse().unwrap(), "t2".to_owned())],
            },
        },
        ChannelPlan {
            channel: "production".parse().unwrap(),
            trouble: ChannelTrouble::Unpromoted {
                tag: "t2".to_owned(),
                since,
                failure: Failure::new(FailureKind::RegistryUnreachable, "prod.example.org"),
                again: Some(at("2026-11-23T12:04:00Z")),
            },
        },
    ];
    let mut front = target("front", Window::Open { until });
    front.refused = Some(RefusedPlan {
        tag: "t2".to_owned(),
        since,
        failure: Failure::new(FailureKind::TargetSick, "web is unhealthy"),
    });
    shop.targets = vec![front];
    let style = Style {
        color: false,
        width: 400,
    };
    assert_snapshot!(plan(&[shop], false, at("2026-11-23T12:00:00Z"), style), @"
    shop
      mode        active
      next run    in 17 h, 2026-11-24 01:30 America/Moncton (cron 30 1 * * *)
      staging     has t1 while the app is halted; back runs t2
      production  has been missing t2 for 2 days: The registry does not answer: prod.example.org. (tried again in 4 min)
      front       does not run t2
                  refused 2 days ago: The container was not healthy before the rollout: web is unhealthy.
                  Repair the containers, or replace them anyway: `lowtide run APP --now --replace-unhealthy`.
                  tried again after the next night's run, or by `lowtide run shop`
                  a rollout may need 6 min 20 s, including bake (2 min) and rollback, by the target's limits
    ");
}
