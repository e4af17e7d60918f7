//! Rollouts that were refused, promotions that failed, releases that were rolled back.

use super::*;
use insta::assert_snapshot;

fn back(asked: Option<RequestedBy>) -> MessageBody {
    MessageBody::WentBack(Box::new(WentBack {
        app: "archives".parse().unwrap(),
        target: "compose-archives".parse().unwrap(),
        rollout: RUN.parse().unwrap(),
        tag: "20261109.x-3".to_owned(),
        commit: None,
        from: Some("20261123.7-3f2a9c1".to_owned()),
        asked,
        units: 2,
    }))
}

#[test]
fn an_operators_revert_is_reported_as_one() {
    let asked = RequestedBy {
        by: "ana".to_owned(),
        why: "the page answers 500".to_owned(),
    };
    assert_snapshot!(shown(back(Some(asked))), @r#"
    Subject: archives: 20261123.7-3f2a9c1 was rolled back on compose-archives by ana

    archives: 20261123.7-3f2a9c1 was rolled back on compose-archives by ana

    20261109.x-3 runs again, as before 20261123.7-3f2a9c1. archives is
    halted: nothing is rolled out until it is resumed.

    WHY
      ana: the page answers 500

    WHAT RUNS NOW
      Target       compose-archives (2 containers)
      Release      20261109.x-3
      Rolled back  20261123.7-3f2a9c1; it is not tried again by itself

    WHAT TO DO NEXT
      What happened:
        lowtide incident archives
      Each step that was taken:
        lowtide show 01JDCS4Z00ABCDEFGHJKMNPQRS
      To resume it:
        lowtide resume archives --reason "…"

    -- 
    One message per target that was rolled back. Sent by lowtide harbour,
    2026-11-23 01:12 America/Moncton.
    "#);
}

#[test]
fn what_goes_back_with_its_channel_says_why() {
    let text = shown(back(None));
    let above: Vec<&str> = text.lines().take(9).collect();
    assert_snapshot!(above.join("\n"), @"
    Subject: archives: 20261123.7-3f2a9c1 was rolled back on compose-archives

    archives: 20261123.7-3f2a9c1 was rolled back on compose-archives

    20261109.x-3 runs again, as before 20261123.7-3f2a9c1. archives is
    halted: nothing is rolled out until it is resumed.

    WHY
      20261123.7-3f2a9c1 is quarantined: it failed on another target.
    ");
}

#[test]
fn a_failed_promotion_and_its_end() {
    let (app, channel, tag) = (
        "archives".parse().unwrap(),
        "production".parse().unwrap(),
        "20261123.7-3f2a9c1".to_owned(),
    );
    let detail = "prod.example.org/archives:20261123.7-3f2a9c1 is sha256:aaaa already, not sha256:bbbb";
    let failed = Unpromoted {
        app,
        channel,
        tag: tag.clone(),
        failure: Failure::new(FailureKind::TagTaken, detail),
    };
    assert_snapshot!(shown(MessageBody::PromotionFailed(Box::new(failed))), @"
    Subject: archives: 20261123.7-3f2a9c1 could not be promoted to production, the tag exists with another digest

    archives: 20261123.7-3f2a9c1 could not be promoted to production, the
    tag exists with another digest

    production still has the release before. Later channels, and targets of
    production, wait for it.

    WHY
      The tag exists with another digest:
      prod.example.org/archives:20261123.7-3f2a9c1 is sha256:aaaa already,
      not sha256:bbbb.

    WHAT TO DO NEXT
      Find out who pushed that tag; lowtide never overwrites it. A template
      with {run} avoids this.

      It is tried again after the next night's run, or when its
      configuration changes.

      Once it is fixed, try now:
        lowtide run archives

    WHO NEEDS TO ACT
      The operators: a setting, a right, or the place where it runs needs to
      be corrected.

    -- 
    You get one message per problem; the daily report lists it until the
    channel has a release. Sent by lowtide harbour, 2026-11-23 01:12
    America/Moncton.
    ");
    let (app, channel) = ("archives".parse().unwrap(), "production".parse().unwrap());
    assert_snapshot!(shown(MessageBody::Promoted { app, channel, tag }), @"
    Subject: archives: production has 20261123.7-3f2a9c1

    archives: production has 20261123.7-3f2a9c1

    The promotion that had failed came through. Nothing to do.

    -- 
    This closes the thread. Sent by lowtide harbour, 2026-11-23 01:12
    America/Moncton.
    ");
}

#[test]
fn a_sick_container_names_what_ships_the_fix() {
    let failure = Failure::new(FailureKind::TargetSick, "web is unhealthy");
    let (app, target) = ("archives".parse().unwrap(), "compose-archives".parse().unwrap());
    let rollout = RUN.parse().unwrap();
    assert_snapshot!(shown(MessageBody::RolloutRefused { app, target, rollout, failure }), @"
    Subject: archives: rollout to compose-archives not begun, the container was not healthy before the rollout

    archives: rollout to compose-archives not begun, the container was not
    healthy before the rollout

    Nothing was touched: what ran before still runs.

    WHY
      The container was not healthy before the rollout: web is unhealthy.

    WHAT TO DO NEXT
      Repair the containers, or replace them anyway: `lowtide run APP --now
      --replace-unhealthy`.

      Everything recorded about this rollout:
        lowtide show 01JDCS4Z00ABCDEFGHJKMNPQRS
      Once it is fixed, try again now instead of after the next night's run:
        lowtide run archives

    WHO NEEDS TO ACT
      The operators: a setting, a right, or the place where it runs needs to
      be corrected.

    -- 
    You get one message per problem; the daily report lists it until a
    release arrives. Sent by lowtide harbour, 2026-11-23 01:12
    America/Moncton.
    ");
}
