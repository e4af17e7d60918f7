use super::*;
use insta::assert_snapshot;

#[test]
fn a_busy_day() {
    assert_snapshot!(shown(busy_report(vec![])), @r#"
    Subject: ACTION 2: 2 apps need you, 1 released, 1 rolled out, 1 waiting

    ACTION 2
    2 apps need you, 1 released, 1 rolled out, 1 waiting

    What needs you comes first; the rest is for your information.

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
    assert_snapshot!(above.join("\n"), @r#"
    Subject: BLIND: 1 thing not seen, 2 apps need you, 1 released, 1 rolled out, 1 waiting

    BLIND
    1 thing not seen, 2 apps need you, 1 released, 1 rolled out, 1 waiting

    Some checks or notices failed, so no news about them is not good news.
    They come first below.

    NOT SEEN
      - registry.example.org has not answered since 2026-11-22 21:00

    NEEDS YOU
    "#);
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

    Nothing needs you.

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
                    tag: "1".into(),
                    change: None,
                }],
            )
        })
        .collect();
    assert!(shown(report(apps, vec![])).contains("\n  and 15 more\n"));
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

    What needs you comes first; the rest is for your information.

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
