use super::*;
use insta::assert_snapshot;

#[test]
fn a_busy_day() {
    assert_snapshot!(shown(busy_report(vec![])), @r#"
    Subject: ACTION 2: 2 apps need you, 1 released, 1 rolled out, 1 waiting

    ACTION 2
    2 apps need you, 1 released, 1 rolled out, 1 waiting

    6 apps checked, 1 release rolled out, 3 packages updated, 2 apps need
    you.

    NEEDS YOU
      shop: is halted until it is resumed.
        lowtide resume shop --reason "…"
      wiki:
        fails at test for 2 days. exec /scripts/runTests.sh ended with 1; 3
        of 128 tests failed.
        lowtide history wiki

    WHAT CHANGED
      archives:
        released 20261123.7-3f2a9c1: libc6 2.36-9+deb12u4 → 2.36-9+deb12u10,
        libssl3 3.0.11-1~deb12u2 → 3.0.17-1~deb12u3, libzstd1 1.5.4+dfsg2-5
        (new), openssl 3.0.11-1~deb12u2 → 3.0.17-1~deb12u3 and 1 more
        package; image settings; 45 files
      archives: 20261123.7-3f2a9c1 runs on compose-archives

    WOULD HAVE CHANGED (OBSERVE MODE)
      news: 20261123.7-3f2a9c1: first release

    WHAT WAITS, AND WHY
      blog:
        20261123.7-3f2a9c1 for compose-archives: waits for its window,
        2026-11-24 03:00 America/Moncton

    HALTED
      shop:
        for 3 days. A rollout was rolled back. The new container did not
        become ready: web answered 500 on /healthz for 2 min. It runs an
        image 12 days old; 4 security fixes are pending.

    ALSO
      From 2026-11-22 08:00 to 2026-11-23 08:00 (America/Moncton): 6 apps
      watched, 1 run found nothing to change. The next run is due 2026-11-23
      22:00 America/Moncton.

    -- 
    At most one report a day, and one a week when nothing happens: if none
    comes for eight days, lowtide may be down. Sent by lowtide harbour.
    "#);
}

#[test]
fn a_day_without_sight() {
    let text = shown(busy_report(vec![
        "registry.example.org has not answered since 2026-11-22 21:00".into(),
    ]));
    let above: Vec<&str> = text.lines().take(12).collect();
    assert_snapshot!(above.join("\n"), @"
    Subject: BLIND: 1 thing not seen, 2 apps need you, 1 released, 1 rolled out, 1 waiting

    BLIND
    1 thing not seen, 2 apps need you, 1 released, 1 rolled out, 1 waiting

    6 apps checked, 1 release rolled out, 3 packages updated, 2 apps need
    you. Some checks or notices failed, so no news about them is not good
    news: they come first.

    NOT SEEN
      - registry.example.org has not answered since 2026-11-22 21:00
    ");
}

#[test]
fn a_heartbeat() {
    let quiet = report(
        vec![
            ("archives", vec![DailyReportLine::Unchanged { runs: 7 }]),
            ("news", vec![DailyReportLine::Unchanged { runs: 7 }]),
        ],
        vec![],
    );
    assert_snapshot!(shown(quiet), @"
    Subject: OK: 2 apps watched, nothing changed

    OK
    2 apps watched, nothing changed

    2 apps checked, nothing for you.

    ALSO
      From 2026-11-22 08:00 to 2026-11-23 08:00 (America/Moncton): 2 apps
      watched, 14 runs found nothing to change. The next run is due
      2026-11-23 22:00 America/Moncton.

    -- 
    At most one report a day, and one a week when nothing happens: if none
    comes for eight days, lowtide may be down. Sent by lowtide harbour.
    ");
    assert_snapshot!(shown(report(vec![], vec![])).lines().next().unwrap(), @"Subject: OK: 0 apps watched, nothing changed");
}

#[test]
fn long_lists_end_in_and_more() {
    let names: Vec<String> = (0..40).map(|n| format!("app{n}")).collect();
    let apps = names
        .iter()
        .map(|n| {
            (
                n.as_str(),
                vec![DailyReportLine::Released {
                    tag: format!("1-{n}"),
                    change: None,
                }],
            )
        })
        .collect();
    assert!(shown(report(apps, vec![])).contains("\n  and 36 more\n"));
    let many = |n: usize| PackageChange {
        name: format!("p{n}"),
        old: Some("1".into()),
        new: Some("2".into()),
    };
    let MessageBody::RolledOut {
        app,
        target,
        rollout,
        tag,
        digest,
        units,
        ..
    } = rolled_out()
    else {
        unreachable!()
    };
    let change = Some(Change {
        packages: (0..30).map(many).collect(),
        ..Change::default()
    });
    let text = shown(MessageBody::RolledOut {
        app,
        target,
        rollout,
        tag,
        digest,
        commit: None,
        change,
        units,
    });
    assert!(text.contains("\n  and 10 more\n"), "{text}");
}

#[test]
fn what_a_command_moved_is_not_counted() {
    let mut body = rolled_out();
    if let MessageBody::RolledOut { target, units, .. } = &mut body {
        (*target, *units) = ("edge".parse().unwrap(), 0);
    }
    let text = shown(body);
    assert!(text.contains("edge\n") && !text.contains("container"), "{text}");
}

fn standing_troubles() -> MessageBody {
    let failure = |kind| Failure::new(kind, "x");
    let since = ts("2026-11-21T05:00:00Z");
    let tag = || "20261123.7-3f2a9c1".to_owned();
    report(
        vec![
            (
                "archives",
                vec![
                    DailyReportLine::Refused {
                        target: "compose-archives".parse().unwrap(),
                        tag: tag(),
                        since,
                        failure: Failure::new(FailureKind::TargetSick, "web is unhealthy"),
                    },
                    DailyReportLine::Lacks { security: 3 },
                ],
            ),
            (
                "shop",
                vec![
                    DailyReportLine::Unpromoted {
                        channel: "production".parse().unwrap(),
                        tag: tag(),
                        since,
                        failure: failure(FailureKind::TagTaken),
                        again: None,
                    },
                    DailyReportLine::WentBack {
                        target: "front".parse().unwrap(),
                        tag: "20261109.x-3".to_owned(),
                        from: Some(tag()),
                        by: Some("ana".to_owned()),
                    },
                ],
            ),
            (
                "wiki",
                vec![
                    DailyReportLine::Unpromoted {
                        channel: "production".parse().unwrap(),
                        tag: tag(),
                        since,
                        failure: failure(FailureKind::RegistryUnreachable),
                        again: Some(ts("2026-11-23T12:10:00Z")),
                    },
                    DailyReportLine::Lacks { security: 1 },
                ],
            ),
        ],
        vec![],
    )
}

/// Releases that are not where they should be, releases that were rolled back, and the fixes that each target lacks.
#[test]
fn what_stands_is_in_every_report() {
    assert_snapshot!(shown(standing_troubles()), @"
    Subject: ACTION 2: 2 apps need you, 1 rolled back, 1 waiting

    ACTION 2
    2 apps need you, 1 rolled back, 1 waiting

    3 apps checked, 2 apps need you.

    NEEDS YOU
      archives:
        compose-archives refused 20261123.7-3f2a9c1 2 days ago. The
        container was not healthy before the rollout: web is unhealthy.
        Repair the containers, or replace them anyway: `lowtide run APP
        --now --replace-unhealthy`.
        lowtide run archives
      shop:
        production has been missing 20261123.7-3f2a9c1 for 2 days. The tag
        exists with another digest: x.
        lowtide run shop

    ROLLED BACK
      shop:
        20261123.7-3f2a9c1 was rolled back by ana: 20261109.x-3 runs on
        front again

    WHAT WAITS, AND WHY
      wiki:
        production has been missing 20261123.7-3f2a9c1 for 2 days. The
        registry does not answer: x. It is tried again 2026-11-23 08:10
        America/Moncton.

    MISSING SECURITY FIXES
      archives: 3 security fixes
      wiki: 1 security fix

    ALSO
      From 2026-11-22 08:00 to 2026-11-23 08:00 (America/Moncton): 3 apps
      watched. The next run is due 2026-11-23 22:00 America/Moncton.

    -- 
    At most one report a day, and one a week when nothing happens: if none
    comes for eight days, lowtide may be down. Sent by lowtide harbour.
    ");
}

/// Two hundred apps, of which forty fail of one registry, thirty of their own tests, and ninety lack fixes.
fn two_hundred_apps() -> MessageBody {
    let away = Failure::new(
        FailureKind::RegistryUnreachable,
        "registry.example.org: connection refused",
    );
    let since = || ts("2026-11-23T05:00:00Z");
    let names: Vec<String> = (0..200).map(|n| format!("app{n}")).collect();
    let apps = (0..200)
        .map(|n: usize| {
            let line = match n {
                0..40 => DailyReportLine::Failing {
                    stage: Stage::Resolve,
                    failure: away.clone(),
                    since: since(),
                },
                40..70 => DailyReportLine::Failing {
                    stage: Stage::Test,
                    failure: Failure::new(FailureKind::TestFailed, format!("{n} of 300 tests failed")),
                    since: since(),
                },
                70..110 => DailyReportLine::Released {
                    tag: "20261123.1".to_owned(),
                    change: Some(change()),
                },
                110..200 => DailyReportLine::Lacks { security: 1 + n / 60 },
                _ => unreachable!(),
            };
            (names[n].as_str(), vec![line])
        })
        .collect();
    report(apps, vec![])
}

#[test]
fn two_hundred_apps_fit_a_screen_and_a_half() {
    let text = shown(two_hundred_apps());
    assert!(text.lines().count() <= 66, "{}", text.lines().count());
    assert_snapshot!(text, @"
    Subject: ACTION 70: 70 apps need you, 40 released

    ACTION 70
    70 apps need you, 40 released

    200 apps checked, 120 packages updated, 70 apps need you.

    NEEDS YOU
      app0, app1, app2, app3 and 36 more:
        fails at resolve for 7 hours. The registry does not answer:
        registry.example.org: connection refused.
        lowtide history app0
      app40: fails at test for 7 hours. 40 of 300 tests failed.
        lowtide history app40
      app41: fails at test for 7 hours. 41 of 300 tests failed.
        lowtide history app41
      app42: fails at test for 7 hours. 42 of 300 tests failed.
        lowtide history app42
      app43: fails at test for 7 hours. 43 of 300 tests failed.
        lowtide history app43
      app44: fails at test for 7 hours. 44 of 300 tests failed.
        lowtide history app44
      app45: fails at test for 7 hours. 45 of 300 tests failed.
        lowtide history app45
      app46: fails at test for 7 hours. 46 of 300 tests failed.
        lowtide history app46
      and 23 more

    WHAT CHANGED
      app70, app71, app72, app73 and 36 more:
        released 20261123.1: libc6 2.36-9+deb12u4 → 2.36-9+deb12u10, libssl3
        3.0.11-1~deb12u2 → 3.0.17-1~deb12u3, libzstd1 1.5.4+dfsg2-5 (new),
        openssl 3.0.11-1~deb12u2 → 3.0.17-1~deb12u3 and 1 more package;
        image settings; 45 files

    MISSING SECURITY FIXES
      app180, app181, app182, app183 and 16 more: 4 security fixes
      app120, app121, app122, app123 and 56 more: 3 security fixes
      app110, app111, app112, app113 and 6 more: 2 security fixes

    ALSO
      From 2026-11-22 08:00 to 2026-11-23 08:00 (America/Moncton): 200 apps
      watched. The next run is due 2026-11-23 22:00 America/Moncton.

    -- 
    At most one report a day, and one a week when nothing happens: if none
    comes for eight days, lowtide may be down. Sent by lowtide harbour.
    ");
}
