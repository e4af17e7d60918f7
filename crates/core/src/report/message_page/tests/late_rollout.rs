//! Good releases that found no opening, or not enough of one.

use super::*;

#[test]
fn a_release_that_waits_too_long() {
    use lowtide_model::failure::WaitReason;
    use lowtide_model::message::LongWait;
    let hours = jiff::SignedDuration::from_hours;
    assert_snapshot!(shown(MessageBody::RolloutWaits(Box::new(LongWait {
        app: "archives".parse().unwrap(),
        target: "compose-archives".parse().unwrap(),
        rollout: RUN.parse().unwrap(),
        tag: "20261123.7-3f2a9c1".into(),
        timezone: "America/Moncton".into(),
        since: ts("2026-11-09T05:12:00Z"),
        reason: WaitReason::WindowTooShort { needs: hours(3), longest: hours(2) },
    }))), @"
    Subject: archives: a release has waited 14 days for compose-archives

    archives: a release has waited 14 days for compose-archives

    Nothing was touched: what ran before still runs, and grows older.

    WHY
      compose-archives has waited for a newer release since 2026-11-09 01:12
      America/Moncton. 20261123.7-3f2a9c1, the one it would get, never
      begins by itself: it may need 3 h, and no opening of its window is
      longer than 2 h.

    WHAT TO DO NEXT
      Give the target a window in which a rollout fits, or take a quiet hour
      yourself.

      When its window opens, and what closes it:
        lowtide windows --app archives --target compose-archives
      To do it now, supervised:
        lowtide run archives --now
      Everything recorded about this rollout:
        lowtide show 01JDCS4Z00ABCDEFGHJKMNPQRS

    -- 
    You get one mail per wait, even if newer releases replace this one; the
    daily report lists it until it ends. Sent by lowtide harbour, 2026-11-23
    01:12 America/Moncton.
    ");
}

#[test]
fn a_program_that_is_busy_for_ever() {
    use lowtide_model::failure::WaitReason;
    use lowtide_model::message::LongWait;
    assert_snapshot!(shown(MessageBody::RolloutWaits(Box::new(LongWait {
        app: "archives".parse().unwrap(),
        target: "edge".parse().unwrap(),
        rollout: RUN.parse().unwrap(),
        tag: "20261123.7-3f2a9c1".into(),
        timezone: "America/Moncton".into(),
        since: ts("2026-11-09T05:12:00Z"),
        reason: WaitReason::HookBusy {
            hook: "run command forward".into(),
            retry: ts("2026-11-23T05:17:00Z"),
        },
    }))), @"
    Subject: archives: a release has waited 14 days for edge

    archives: a release has waited 14 days for edge

    Its command keeps asking for a later retry.

    WHY
      edge has waited for a newer release since 2026-11-09 01:12
      America/Moncton. It would get 20261123.7-3f2a9c1, but `run command
      forward` asked for a later retry, at 2026-11-23 01:17 America/Moncton.

    WHAT TO DO NEXT
      Run its program by hand where lowtide runs it, and see what it waits
      for.

      Everything recorded about this rollout:
        lowtide show 01JDCS4Z00ABCDEFGHJKMNPQRS

    -- 
    You get one mail per wait, even if newer releases replace this one; the
    daily report lists it until it ends. Sent by lowtide harbour, 2026-11-23
    01:12 America/Moncton.
    ");
}

#[test]
fn a_rollout_that_its_window_rolled_back() {
    use lowtide_model::message::Untimely;
    let detail = "1 of 4 were done when its window had closed";
    assert_snapshot!(shown(MessageBody::RolloutUntimely(Box::new(Untimely {
        app: "archives".parse().unwrap(),
        target: "compose-archives".parse().unwrap(),
        rollout: RUN.parse().unwrap(),
        tag: "20261123.7-3f2a9c1".into(),
        failure: Failure::new(FailureKind::WindowClosed, detail),
    }))), @r#"
    Subject: archives: rolled back on compose-archives, its window closed before it was done

    archives: rolled back on compose-archives, its window closed before it
    was done

    Rolled back: what ran before serves again.

    WHY
      Its window closed before it was done: 1 of 4 were done when its window
      had closed.

    WHAT TO DO NEXT
      Nothing is wrong with 20261123.7-3f2a9c1: it is not tried again on
      compose-archives by itself, but newer releases are. Targets and
      channels that come after it wait meanwhile.

      Make the window longer, or take it by `lowtide run APP --now` when you
      can watch.

      Each step that was taken:
        lowtide show 01JDCS4Z00ABCDEFGHJKMNPQRS
      How long its window is, and what a rollout needs:
        lowtide windows --app archives --target compose-archives
      Once it is longer, try this release again:
        lowtide resume archives --reason "…"

    WHO NEEDS TO ACT
      The operators: a setting, a right, or the place where it runs needs to
      be corrected.

    -- 
    One message per rollout. Sent by lowtide harbour, 2026-11-23 01:12
    America/Moncton.
    "#);
}
