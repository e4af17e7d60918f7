//! A halt with its incident, and the resume.

use super::*;
use insta::assert_snapshot;

/// Of a rollout on probation, on a target that cannot simply go back.
fn stuck() -> MessageBody {
    let mut incident = crate::report::incident::tests::incident();
    incident.probation = true;
    incident.irreversible = true;
    let reason = HaltReason::Stuck { failure: unhealthy() };
    let MessageBody::Halted {
        app,
        target,
        rollout,
        tag,
        ..
    } = halted(reason.clone(), false)
    else {
        panic!()
    };
    MessageBody::Halted {
        app,
        target,
        rollout,
        reason,
        tag,
        back: false,
        log: vec![],
        incident: Some(Box::new(incident)),
        require: Require::Countermeasure,
    }
}

#[test]
fn a_halt_with_its_whole_incident() {
    assert_snapshot!(shown(stuck()), @"
    Subject: archives: stuck on compose-archives during probation, needs you: the new container did not become ready

    archives: stuck on compose-archives during probation, needs you: the new
    container did not become ready

    Please look at the target now: it is not certain that it serves.

    WHY
      A rollout is stuck. The new container did not become ready: web
      answered 500 on /healthz for 2 min.

      New container web, exit code 137.

      | cannot open the database

    WHAT IS HALTED
      Rollouts and promotions of archives wait until it is resumed. It is
      still built and tested every night. Release 20261123.7-3f2a9c1 is not
      tried again by itself, nor is the same content under another name. It
      was on probation after an earlier incident: what was done about that
      one was not enough, or not all.

    WHAT HAPPENED
      | 03:00:00  20261123.7-3f2a9c1 for compose-archives
      | 03:00:02  before hook (web), 1.5 s
      | 03:00:03  create new container (web), 800 ms
      | 03:02:05  wait until new container is ready (web), 2 min 0 s: FAILED
      | . The new container did not become ready: web answered 500 on /healt
      | hz for 2 min.
      | 03:02:05  GOING BACK. The new container did not become ready: web an
      | swered 500 on /healthz for 2 min.
      | 03:02:10  rolled back: the new container did not become ready

    READINESS
      web, new container: not ready after 2 min 0 s. The new container did
      not become ready: web answered 500 on /healthz for 2 min.

      web, old container: ready after 900 ms.

    WHAT THE RELEASE BROUGHT
      openssl  3.0.15-1 → 3.0.16-1

    HOOKS THAT RAN
      before, in web: drush sql:dump; 2026-11-23 03:00 America/Moncton, done

      The target is irreversible: if one of these hooks made a backup,
      restore from it.

    WHAT TO DO NEXT
      Look at the new container's last lines above.

      Each step that was taken:
        lowtide show 01JDCS4Z00ABCDEFGHJKMNPQRS
      The form that lifts the halt:
        lowtide incident archives --form > form.yml
      Once a countermeasure is in place:
        lowtide resume archives --form form.yml

    WHO NEEDS TO ACT
      The app's maintainers: the cause is in the repository.

    -- 
    One message per halt; the daily report lists it until it is resumed.
    Sent by lowtide harbour, 2026-11-23 01:12 America/Moncton.
    ");
}

#[test]
fn a_resume_with_its_form() {
    let body = MessageBody::Resumed {
        app: "archives".parse().unwrap(),
        by: "ana".into(),
        why: "nobody tested the migration".into(),
        form: Some(Box::new(Form {
            whys: vec!["the page answered 500".into(), "nobody tested the migration".into()],
            class: Class::TestGap,
            commit: Some("3f2a9c1d".repeat(5)),
            config: true,
        })),
        probation: 3,
    };
    assert_snapshot!(shown(body), @"
    Subject: archives: resumed by ana

    archives: resumed by ana

    Rollouts and promotions of archives continue in their next window.

    WHY
      ana: nobody tested the migration

    ROOT CAUSE AND COUNTERMEASURE
      Why            the page answered 500
      Why            nobody tested the migration
      Class          test-gap
      Commit         3f2a9c1
      Configuration  changed since the halt

    PROBATION
      The next 3 new releases are watched twice as long on each target.

    -- 
    This closes the thread. Sent by lowtide harbour, 2026-11-23 01:12
    America/Moncton.
    ");
}
