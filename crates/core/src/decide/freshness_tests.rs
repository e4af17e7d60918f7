use super::*;
use lowtide_model::freshness::Unknown;
use std::collections::BTreeMap;

fn at(hours: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours)
}

fn pending(package: &str, candidate: &str, security: bool, fix: Fix) -> PendingPackage {
    PendingPackage {
        package: package.to_owned(),
        architecture: "amd64".to_owned(),
        installed: Some("1".to_owned()),
        candidate: candidate.to_owned(),
        origin: "Debian:12/stable".to_owned(),
        security,
        layer: None,
        fix,
    }
}

fn assessment(pending: Vec<PendingPackage>) -> RebuildAssessment {
    let gains = pending.iter().filter(|p| p.fix == Fix::Rebuild);
    RebuildAssessment {
        inputs: Inputs {
            commit: Some("c1".to_owned()),
            bases: BTreeMap::from([("debian:12".to_owned(), "sha256:b1".to_owned())]),
            settings: "s1".to_owned(),
            gains: gains.map(|p| (key(p), p.candidate.clone())).collect(),
        },
        survey: Survey {
            pending,
            ..Survey::default()
        },
        ..RebuildAssessment::default()
    }
}

fn manual(rebuild: bool) -> Trigger {
    Trigger::Manual {
        by: "ana".to_owned(),
        rebuild,
    }
}

fn shown(decision: &Result<Vec<Because>, SkipReason>) -> String {
    match decision {
        Ok(because) => because.iter().map(|b| format!("{b:?}")).collect::<Vec<_>>().join("; "),
        Err(reason) => format!("skip: {reason:?}"),
    }
}

fn base() -> Fix {
    Fix::Base {
        reference: "debian:12".to_owned(),
    }
}

/// The assessment in which nothing has moved, with this change.
fn with(change: impl FnOnce(&mut RebuildAssessment)) -> RebuildAssessment {
    let mut changed = assessment(vec![]);
    change(&mut changed);
    changed
}

fn curl(version: &str) -> RebuildAssessment {
    assessment(vec![pending("curl", version, true, Fix::Rebuild)])
}

fn fixes() -> Vec<PendingPackage> {
    vec![
        pending("curl", "2", true, Fix::Rebuild),
        pending("vim", "3", false, Fix::Rebuild),
        pending("tzdata", "4", true, base()),
    ]
}

fn unknown() -> Unknown {
    Unknown {
        source: "deb http://deb.example.org stable main".to_owned(),
        why: "it does not answer".to_owned(),
    }
}

fn judged(assessment: RebuildAssessment) -> Judged {
    Judged {
        inputs: assessment.inputs,
        at: at(0),
        because: vec![],
    }
}

#[test]
fn each_input_that_moves_is_a_reason_and_none_is_none() {
    let (calm, fruitless) = (judged(assessment(vec![])), judged(curl("2")));
    let rows = [
        ("no record", assessment(vec![]), None, 1),
        ("nothing moved", assessment(vec![]), Some(&calm), 1),
        (
            "commit",
            with(|o| o.inputs.commit = Some("c2".to_owned())),
            Some(&calm),
            1,
        ),
        (
            "base",
            with(|o| drop(o.inputs.bases.insert("debian:12".to_owned(), "sha256:b2".to_owned()))),
            Some(&calm),
            1,
        ),
        (
            "settings",
            with(|o| o.inputs.settings = "s2".to_owned()),
            Some(&calm),
            1,
        ),
        (
            "unseen",
            with(|o| o.survey.unseen = Some("no package database".to_owned())),
            Some(&calm),
            1,
        ),
        ("fixes", assessment(fixes()), Some(&calm), 1),
        (
            "only the base's",
            assessment(vec![pending("tzdata", "4", true, base())]),
            Some(&calm),
            1,
        ),
        ("tried in vain", curl("2"), Some(&fruitless), 1),
        ("newer than tried", curl("3"), Some(&fruitless), 1),
        ("unknown", with(|o| o.survey.unknown.push(unknown())), Some(&calm), 1),
        ("just young enough", assessment(vec![]), Some(&calm), 167),
        ("old", assessment(vec![]), Some(&calm), 168),
    ];
    let week = Some(SignedDuration::from_hours(168));
    let table: Vec<String> = rows
        .iter()
        .map(|(name, assessment, judged, hours)| {
            format!(
                "{name}: {}",
                shown(&decide(assessment, *judged, &manual(false), week, at(*hours)))
            )
        })
        .collect();
    insta::assert_snapshot!(table.join("\n"), @r#"
    no record: First
    nothing moved: skip: NothingToGain { out_of_reach: 0, security: 0, unknown: [] }
    commit: Commit { from: "c1", to: "c2" }
    base: Base { reference: "debian:12" }
    settings: Settings
    unseen: Unseen { why: "no package database" }
    fixes: Pending { packages: 2, security: 1 }
    only the base's: skip: NothingToGain { out_of_reach: 1, security: 1, unknown: [] }
    tried in vain: skip: NothingToGain { out_of_reach: 0, security: 0, unknown: [] }
    newer than tried: Pending { packages: 1, security: 1 }
    unknown: skip: NothingToGain { out_of_reach: 0, security: 0, unknown: ["deb http://deb.example.org stable main"] }
    just young enough: skip: NothingToGain { out_of_reach: 0, security: 0, unknown: [] }
    old: Age { limit: 168h }
    "#);
}

#[test]
fn a_requested_rebuild_is_done() {
    let judged = Judged {
        inputs: assessment(vec![]).inputs,
        at: at(0),
        because: vec![],
    };
    let requested = decide(&assessment(vec![]), Some(&judged), &manual(true), None, at(1));
    assert_eq!(shown(&requested), "Asked { by: \"ana\" }");
}

#[test]
fn whatever_was_built_last_is_not_built_again() {
    let moved = assessment(vec![pending("curl", "2", true, Fix::Rebuild)]);
    let judged = Judged {
        inputs: moved.inputs.clone(),
        at: at(0),
        because: vec![],
    };
    assert!(decide(&moved, Some(&judged), &manual(false), None, at(1_000_000)).is_err());
}

#[test]
fn what_a_rebuild_was_sure_to_bring_must_not_be_left() {
    let survey = |pending: Vec<PendingPackage>| Survey {
        pending,
        ..Survey::default()
    };
    let perhaps = Fix::Perhaps {
        why: "a script installs it".to_owned(),
    };
    let left = survey(vec![pending("a", "2", true, base()), pending("b", "2", true, perhaps)]);
    assert_eq!(stale(&left), None);
    let mut second = pending("curl", "2", true, Fix::Rebuild);
    second.layer = Some(4);
    let new = PendingPackage {
        installed: None,
        ..pending("libnew", "1", false, Fix::Rebuild)
    };
    let failure = stale(&survey(vec![second, new])).unwrap();
    assert_eq!(failure.kind, FailureKind::StaleBuild);
    insta::assert_snapshot!(failure.detail, @"curl 2 is in Debian:12/stable, layer 5 brought 1, and 1 more");
    insta::assert_snapshot!(failure.excerpt.join("\n"), @"
    curl 2 is in Debian:12/stable, layer 5 brought 1
    libnew 1 is in Debian:12/stable, the image has none
    ");
}

/// A Dockerfile with a step that may do anything is built once for each new version, not every night. An upgrade that
/// the build did not install is reported from then on as one that needs a new base image.
#[test]
fn a_step_that_may_do_anything_builds_once_for_each_version() {
    use crate::decide::fixable::{judge, tried};
    use lowtide_model::package_state::{Doing, Lineage, PackageState};
    let text = "FROM debian:12\nRUN apt-get update && apt-get install -y curl\nCOPY . /\nRUN make\n";
    let doing = Doing {
        refresh: lowtide_packages::dockerfile::parse::parse(text)
            .unwrap()
            .refresh(None, &BTreeMap::new())
            .unwrap(),
        upgrade: false,
    };
    let state = PackageState {
        files: BTreeMap::new(),
        uncaptured: vec![],
        layers: BTreeMap::from([("libc6:amd64".to_owned(), 0)]),
        lineage: Lineage::Base {
            reference: "debian:12".to_owned(),
            layers: 1,
            triggers: false,
        },
        doing: None,
    };
    // As the resolve stage does it.
    let night = |candidate: &str, judged: &Judged| {
        let mut assessment = assessment(vec![pending("libc6", candidate, true, Fix::Rebuild)]);
        judge(&mut assessment.survey, &state, &doing);
        let gains = assessment
            .survey
            .within_reach()
            .map(|it| (key(it), it.candidate.clone()));
        assessment.inputs.gains = gains.collect();
        let before = |it: &PendingPackage| judged.inputs.gains.get(&key(it)) == Some(&it.candidate);
        tried(&mut assessment.survey, &state, &doing, before);
        let rendered = shown(&decide(&assessment, Some(judged), &manual(false), None, at(24)));
        let inputs = assessment.inputs;
        (
            rendered,
            Judged {
                inputs,
                at: at(24),
                because: vec![],
            },
        )
    };
    let built = Judged {
        inputs: assessment(vec![]).inputs,
        at: at(0),
        because: vec![],
    };
    let skipped = "skip: NothingToGain { out_of_reach: 1, security: 1, unknown: [] }";
    let (first, built) = night("2", &built);
    assert_eq!(first, "Pending { packages: 1, security: 1 }");
    let (second, same) = night("2", &built);
    assert_eq!((second.as_str(), &same.inputs), (skipped, &built.inputs));
    assert_eq!(night("2", &built).0, skipped);
    assert_eq!(night("3", &built).0, "Pending { packages: 1, security: 1 }");
}
