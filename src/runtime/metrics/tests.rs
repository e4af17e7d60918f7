use super::counters::Counters;
use super::gauges::Gauges;
use super::page::{Format, written};
use crate::clients::registry::quotas::RegistryQuota;
use crate::runtime::fleet_status;
use crate::store::outbox::Delivery;
use crate::store::overview::Ended;
use jiff::Timestamp;
use lowtide_core::channels::list::Address;
use lowtide_core::channels::mail::route::Recipient;
use lowtide_core::config::validate;
use lowtide_core::decide::rollout::{self, RolloutState};
use lowtide_core::decide::run::{self, RunState};
use lowtide_core::fleet::app::{App, Fleet};
use lowtide_core::fleet::app_state::{AppEvent, Failing};
use lowtide_core::fleet::rollout::RolloutEvent;
use lowtide_core::fleet::run::RunEvent;
use lowtide_model::failure::{Failure, FailureKind, HaltReason, SkipReason};
use lowtide_model::journal::Recorded;
use lowtide_model::name::{RolloutId, RunId};
use lowtide_model::release::{Images, Release};
use lowtide_model::rollout::{Purpose, RolloutConclusion};
use lowtide_model::run::{Conclusion, Effect, Outcome, Stage, Trigger};
use lowtide_model::stages::resolve::Resolve;
use lowtide_model::trouble::{NoEngine, Trouble};
use prometheus_client::registry::Registry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use ulid::Ulid;

const CONFIG: &[u8] = b"version: 1
mode: active
hosts: { local: { docker: 'unix:///nowhere/docker.sock' } }
apps:
  shop: { source: { repo: 'https://git.example.org/shop.git' } }
  web:
    source: { repo: 'https://git.example.org/web.git' }
    publish: { image: registry.example.org/web }
    rollout: [ { container: { name: web } } ]
";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + seconds).unwrap()
}

fn fleet() -> Fleet {
    validate::fleet(CONFIG).unwrap()
}

fn web() -> App {
    fleet()
        .apps
        .values()
        .find(|app| app.name.as_str() == "web")
        .unwrap()
        .as_ref()
        .clone()
}

fn failure(kind: FailureKind) -> Failure {
    Failure::new(kind, "in detail")
}

/// What is not zero among the counters, in the order of the alphabet; of histograms their sums and counts.
fn moved(counters: &Counters) -> String {
    let page = written(counters, &Registry::default(), Format::Text).unwrap();
    let lines = page
        .lines()
        .filter(|line| !line.starts_with('#') && !line.contains("_bucket{"));
    let mut lines: Vec<&str> = lines
        .filter(|line| !line.ends_with(" 0") && !line.ends_with(" 0.0"))
        .collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// A run as its driver goes through it: each event is counted, then folded.
struct Run<'a> {
    counters: &'a Counters,
    state: RunState,
}

impl<'a> Run<'a> {
    fn open(counters: &'a Counters) -> Self {
        let opened = RunEvent::Opened {
            seen: Vec::new(),
            app: Box::new(web()),
            trigger: Trigger::Schedule { slot: at(0) },
            revision: "r".to_owned(),
            last: None,
            quarantine: Vec::new(),
            judged: None,
        };
        let opened = Recorded {
            seq: 1,
            at: at(0),
            event: opened,
        };
        let state = run::fold(RunId(Ulid(1)), &[opened]).unwrap();
        Self { counters, state }
    }

    fn then(mut self, seconds: i64, event: RunEvent) -> Self {
        self.counters.run(&self.state, &event, at(seconds));
        let recorded = Recorded {
            seq: 2,
            at: at(seconds),
            event,
        };
        self.state.apply(&recorded).unwrap();
        self
    }

    fn resolve(self, seconds: i64) -> Self {
        let effect = Effect::Resolve(Resolve {});
        self.then(seconds, RunEvent::EffectStarted { attempt: 1, effect })
    }

    fn conclude(self, seconds: i64, conclusion: Conclusion) {
        self.then(seconds, RunEvent::Concluded { conclusion });
    }
}

#[test]
fn a_run_and_its_stages_are_counted_once() {
    let counters = Counters::default();
    let away = failure(FailureKind::SourceUnreachable);
    let outcome = Outcome::Failed(away.clone());
    Run::open(&counters)
        .resolve(10)
        .then(
            12,
            RunEvent::EffectEnded {
                outcome: outcome.clone(),
            },
        )
        .resolve(70)
        // Not an end: what was cut off is begun anew.
        .then(
            80,
            RunEvent::EffectAbandoned {
                back_to: Stage::Resolve,
            },
        )
        .resolve(90)
        .then(95, RunEvent::EffectEnded { outcome })
        .conclude(
            100,
            Conclusion::Failed {
                stage: Stage::Resolve,
                failure: away,
            },
        );
    let why = SkipReason::SameContent;
    Run::open(&counters).conclude(7, Conclusion::Unchanged { why });
    // The clock was set back meanwhile.
    let by = "ops".to_owned();
    Run::open(&counters).conclude(-30, Conclusion::Cancelled { by });
    insta::assert_snapshot!(moved(&counters), @r#"
    lowtide_run_duration_seconds_count{conclusion="cancelled"} 1
    lowtide_run_duration_seconds_count{conclusion="failed"} 1
    lowtide_run_duration_seconds_count{conclusion="unchanged"} 1
    lowtide_run_duration_seconds_sum{conclusion="failed"} 100.0
    lowtide_run_duration_seconds_sum{conclusion="unchanged"} 7.0
    lowtide_run_failures_total{stage="resolve",kind="source_unreachable",fault="infra"} 1
    lowtide_runs_total{conclusion="cancelled"} 1
    lowtide_runs_total{conclusion="failed"} 1
    lowtide_runs_total{conclusion="unchanged"} 1
    lowtide_stage_duration_seconds_count{stage="resolve"} 2
    lowtide_stage_duration_seconds_sum{stage="resolve"} 7.0
    lowtide_stage_failures_total{stage="resolve",fault="infra"} 2
    "#);
}

/// A rollout as its driver goes through it.
fn rolled(counters: &Counters, begun: Option<i64>, back: Option<FailureKind>, conclusion: RolloutConclusion, end: i64) {
    let app = web();
    let digest = format!("sha256:{}", "b".repeat(64));
    let opened = RolloutEvent::Opened {
        app: app.name.clone(),
        target: Box::new(app.rollout[0].clone()),
        timezone: "UTC".to_owned(),
        release: Box::new(Release {
            upstream: None,
            run: RunId(Ulid(7)),
            images: Images::one(digest.parse().unwrap(), digest.parse().unwrap()),
            commit: Some("c".repeat(40)),
            tag: "t1".to_owned(),
            digest: None,
            reference: "example.org/web:t1".parse().unwrap(),
            change: None,
            sidecars: std::collections::BTreeMap::new(),
            at: at(0),
        }),
        window_ignored: false,
        purpose: Purpose::Release,
    };
    let opened = Recorded {
        seq: 1,
        at: at(0),
        event: opened,
    };
    let mut state: RolloutState = rollout::fold(RolloutId(Ulid(9)), &[opened]).unwrap();
    state.window_progress.begun = begun.map(at);
    if let Some(kind) = back {
        let decided = RolloutEvent::RevertDecided { failure: failure(kind) };
        counters.rollout(&state, &decided, at(end));
        let recorded = Recorded {
            seq: 2,
            at: at(end),
            event: decided.clone(),
        };
        state.apply(&recorded).unwrap();
        // Said twice, it is still one rollback.
        counters.rollout(&state, &decided, at(end));
    }
    counters.rollout(&state, &RolloutEvent::Concluded { conclusion }, at(end));
}

#[test]
fn a_rollout_is_counted_once_with_what_it_waited() {
    let counters = Counters::default();
    rolled(&counters, Some(3600), None, RolloutConclusion::Done, 4000);
    // It changed nothing, so it has only waited.
    rolled(
        &counters,
        None,
        None,
        RolloutConclusion::Superseded { by: RunId(Ulid(8)) },
        50,
    );
    let sick = FailureKind::UnhealthyAfterRoll;
    let conclusion = RolloutConclusion::Reverted { failure: failure(sick) };
    rolled(&counters, Some(10), Some(sick), conclusion, 300);
    insta::assert_snapshot!(moved(&counters), @r#"
    lowtide_rollbacks_total{target_kind="containers",fault="repo"} 1
    lowtide_rollout_duration_seconds_count{target_kind="containers"} 3
    lowtide_rollout_duration_seconds_sum{target_kind="containers"} 4350.0
    lowtide_rollout_wait_seconds_count{target_kind="containers"} 3
    lowtide_rollout_wait_seconds_sum{target_kind="containers"} 3660.0
    lowtide_rollouts_total{target_kind="containers",conclusion="done"} 1
    lowtide_rollouts_total{target_kind="containers",conclusion="reverted"} 1
    lowtide_rollouts_total{target_kind="containers",conclusion="superseded"} 1
    "#);
}

#[test]
fn facts_and_deliveries_are_counted() {
    let counters = Counters::default();
    let (channel, release) = ("stable".parse().unwrap(), RunId(Ulid(7)));
    let facts = [
        AppEvent::Tracked,
        AppEvent::PromoteFailed {
            channel,
            release,
            since: at(0),
            failure: failure(FailureKind::RegistryUnreachable),
        },
        AppEvent::Promoted {
            channel: "stable".parse().unwrap(),
            release,
        },
        AppEvent::Halted {
            reason: HaltReason::Operator {
                by: "ops".to_owned(),
                why: "drill".to_owned(),
            },
            settings: None,
        },
    ];
    let before = counters.counted();
    for fact in &facts {
        counters.fact(fact);
    }
    let mail = Address::Mail(Recipient { to: String::new() });
    let later = Delivery::Later {
        at: at(60),
        error: "the server is down".to_owned(),
    };
    counters.delivery(&mail, &later);
    counters.delivery(&mail, &Delivery::Delivered);
    assert_eq!(
        counters.counted() - before,
        5,
        "a page that was made before is made anew"
    );
    insta::assert_snapshot!(moved(&counters), @r#"
    lowtide_halts_total{reason="operator"} 1
    lowtide_notice_deliveries_total{channel="email",result="delayed"} 1
    lowtide_notice_deliveries_total{channel="email",result="delivered"} 1
    lowtide_promotions_total{result="failed"} 1
    lowtide_promotions_total{result="promoted"} 1
    "#);
}

/// One of each variant: `WORDS` begins their counters, the journal spells them.
#[test]
fn the_words_of_labels_are_those_of_the_journal() {
    let failure = || failure(FailureKind::BuildFailed);
    let (by, why, tag) = (|| "ops".to_owned(), || "drill".to_owned(), || "t1".to_owned());
    let release = || RunId(Ulid(7));
    let halts = [
        HaltReason::Reverted { failure: failure() },
        HaltReason::Irreversible { failure: failure() },
        HaltReason::Stuck { failure: failure() },
        HaltReason::Operator { by: by(), why: why() },
        HaltReason::Withdrawn {
            by: by(),
            why: why(),
            tag: tag(),
            release: release(),
        },
    ];
    let spelled = halts
        .each_ref()
        .map(|halt| serde_json::to_value(halt).unwrap()["reason"].clone());
    assert_eq!(halts.each_ref().map(HaltReason::word), HaltReason::WORDS);
    assert_eq!(spelled, HaltReason::WORDS);
    let rollouts = [
        RolloutConclusion::Done,
        RolloutConclusion::AlreadyThere,
        RolloutConclusion::Refused { failure: failure() },
        RolloutConclusion::Superseded { by: release() },
        RolloutConclusion::Reverted { failure: failure() },
        RolloutConclusion::Stuck { failure: failure() },
    ];
    let spelled = rollouts
        .each_ref()
        .map(|end| serde_json::to_value(end).unwrap()["conclusion"].clone());
    assert_eq!(
        rollouts.each_ref().map(RolloutConclusion::word),
        RolloutConclusion::WORDS
    );
    assert_eq!(spelled, RolloutConclusion::WORDS);
}

fn quota(held: bool, remaining: Option<u64>) -> RegistryQuota {
    RegistryQuota { held, remaining }
}

fn gauges(fleet: &Fleet) -> Gauges {
    let mut fleet_status = fleet_status::untouched(fleet, true, at(0));
    fleet_status.notices = 3;
    let host = "local".parse().unwrap();
    let why = NoEngine::NoAnswer;
    fleet_status.troubles = vec![Trouble::ConfigurationUnread, Trouble::Engine { host, why }];
    let shop = Arc::make_mut(&mut fleet_status.apps[0].app_state);
    shop.failing = Some(Failing {
        first: RunId(Ulid(1)),
        since: at(0),
        cause: "build".to_owned(),
    });
    let (by, why) = ("ops".to_owned(), "drill".to_owned());
    let web = Arc::make_mut(&mut fleet_status.apps[1].app_state);
    web.halted = Some((at(0), HaltReason::Operator { by, why }));
    let ended = |app: &str, conclusion: &str, seconds| Ended {
        app: app.parse().unwrap(),
        conclusion: conclusion.to_owned(),
        runs: 1,
        last: at(seconds),
    };
    Gauges {
        fleet_status,
        ended: vec![
            ended("web", "failed", 900),
            ended("web", "released", 60),
            ended("web", "unchanged", 600),
            ended("gone", "released", 60),
        ],
        hosts: fleet.hosts.keys().cloned().collect(),
        registries: BTreeMap::from([
            ("docker.io".to_owned(), quota(true, Some(4))),
            ("r.example.org:5000".to_owned(), quota(false, None)),
        ]),
        term: 4,
        database: 4096,
        free: Some(1 << 30),
    }
}

/// The gauges as text, from the family `from` to before the family `to`.
fn written_gauges(from: &str, to: &str) -> String {
    let page = written(&Counters::default(), &gauges(&fleet()).registry(), Format::Text).unwrap();
    let place = |family: &str| page.find(&format!("# HELP {family} ")).unwrap();
    page[place(from)..place(to)].replace(env!("CARGO_PKG_VERSION"), "VERSION")
}

#[test]
fn the_state_of_the_fleet_is_written_as_gauges() {
    insta::assert_snapshot!(written_gauges("lowtide_build_info", "lowtide_app_halted"), @r#"
    # HELP lowtide_build_info Version of lowtide.
    # TYPE lowtide_build_info gauge
    lowtide_build_info{version="VERSION"} 1
    # HELP lowtide_term Number of this process among those that owned the state: it grows with each start.
    # TYPE lowtide_term gauge
    lowtide_term 4
    # HELP lowtide_database_bytes Size of the database.
    # TYPE lowtide_database_bytes gauge
    lowtide_database_bytes 4096
    # HELP lowtide_state_free_bytes Free space on the disk of lowtide's state.
    # TYPE lowtide_state_free_bytes gauge
    lowtide_state_free_bytes 1073741824
    # HELP lowtide_paused 1: rollouts and promotions are paused.
    # TYPE lowtide_paused gauge
    lowtide_paused 1
    # HELP lowtide_notices_pending Notices that wait for delivery.
    # TYPE lowtide_notices_pending gauge
    lowtide_notices_pending 3
    # HELP lowtide_runs_open Runs in progress.
    # TYPE lowtide_runs_open gauge
    lowtide_runs_open 0
    # HELP lowtide_rollouts_open Rollouts in progress or waiting.
    # TYPE lowtide_rollouts_open gauge
    lowtide_rollouts_open 0
    # HELP lowtide_rollouts_waiting Open rollouts that wait for a window, an operator or other work.
    # TYPE lowtide_rollouts_waiting gauge
    lowtide_rollouts_waiting 0
    # HELP lowtide_apps Configured apps by what they are doing or need.
    # TYPE lowtide_apps gauge
    lowtide_apps{state="behind"} 0
    lowtide_apps{state="drifted"} 0
    lowtide_apps{state="failing"} 1
    lowtide_apps{state="fresh"} 0
    lowtide_apps{state="halted"} 1
    lowtide_apps{state="new"} 0
    lowtide_apps{state="refused"} 0
    lowtide_apps{state="registry_drifted"} 0
    lowtide_apps{state="rolling"} 0
    lowtide_apps{state="running"} 0
    lowtide_apps{state="unpromoted"} 0
    lowtide_apps{state="waiting"} 0
    # HELP lowtide_configuration_refused 1: the newest revision of the configuration has problems, and an older one stays in effect.
    # TYPE lowtide_configuration_refused gauge
    lowtide_configuration_refused 0
    # HELP lowtide_configuration_unread 1: the configuration cannot be read where it is stored.
    # TYPE lowtide_configuration_unread gauge
    lowtide_configuration_unread 1
    # HELP lowtide_engine_unusable 1: the engine does not answer, or may not be used.
    # TYPE lowtide_engine_unusable gauge
    lowtide_engine_unusable{host="local"} 1
    # HELP lowtide_registry_busy 1: the registry's request limit is reached, and it gets no requests of an account for now.
    # TYPE lowtide_registry_busy gauge
    lowtide_registry_busy{registry="docker.io"} 1
    lowtide_registry_busy{registry="r.example.org:5000"} 0
    # HELP lowtide_registry_requests_remaining Requests that the registry still takes, by its last answer; of several accounts there, the fewest.
    # TYPE lowtide_registry_requests_remaining gauge
    lowtide_registry_requests_remaining{registry="docker.io"} 4
    "#);
}

#[test]
fn the_state_of_each_app_is_written_as_gauges() {
    insta::assert_snapshot!(written_gauges("lowtide_app_halted", "lowtide_runs_total"), @r#"
    # HELP lowtide_app_halted 1: rollouts and promotions of the app are halted.
    # TYPE lowtide_app_halted gauge
    lowtide_app_halted{app="shop"} 0
    lowtide_app_halted{app="web"} 1
    # HELP lowtide_app_failing 1: the last run of the app failed.
    # TYPE lowtide_app_failing gauge
    lowtide_app_failing{app="shop"} 1
    lowtide_app_failing{app="web"} 0
    # HELP lowtide_app_probation Rollouts that are still watched twice as long, of the target with the most.
    # TYPE lowtide_app_probation gauge
    lowtide_app_probation{app="shop"} 0
    lowtide_app_probation{app="web"} 0
    # HELP lowtide_app_behind 1: fixes are pending that no rebuild brings, or a target lacks fixes of the last release.
    # TYPE lowtide_app_behind gauge
    lowtide_app_behind{app="shop"} 0
    lowtide_app_behind{app="web"} 0
    # HELP lowtide_app_pending_fixes Packages of the last release whose update needs a new base image or another version pin.
    # TYPE lowtide_app_pending_fixes gauge
    lowtide_app_pending_fixes{app="shop"} 0
    lowtide_app_pending_fixes{app="web"} 0
    # HELP lowtide_app_missing_security_fixes Security fixes that the worst of the app's targets lacks.
    # TYPE lowtide_app_missing_security_fixes gauge
    lowtide_app_missing_security_fixes{app="shop"} 0
    lowtide_app_missing_security_fixes{app="web"} 0
    # HELP lowtide_last_success_timestamp_seconds When the last run ended that did not fail and was not cancelled.
    # TYPE lowtide_last_success_timestamp_seconds gauge
    lowtide_last_success_timestamp_seconds{app="web"} 1790000600
    # HELP lowtide_target_overdue 1: a release has waited for the target longer than `max_wait` of its window.
    # TYPE lowtide_target_overdue gauge
    lowtide_target_overdue{app="web",target="container-web"} 0
    # HELP lowtide_target_refused 1: the target did not take the current release, with nothing wrong with the release.
    # TYPE lowtide_target_refused gauge
    lowtide_target_refused{app="web",target="container-web"} 0
    # HELP lowtide_target_drifted 1: the target no longer runs its last release, since someone else changed it.
    # TYPE lowtide_target_drifted gauge
    lowtide_target_drifted{app="web",target="container-web"} 0
    # HELP lowtide_channel_promotion_failing 1: the channel does not get the current release.
    # TYPE lowtide_channel_promotion_failing gauge
    lowtide_channel_promotion_failing{app="web",channel="stable"} 0
    "#);
}

/// Both formats say the same; and every counter begins at zero, so that its first event is an increase.
#[test]
fn the_formats_differ_in_names_of_families_only() {
    let (counters, gauges) = (Counters::default(), gauges(&fleet()).registry());
    // The bound of a bucket is `10` in one and `10.0` in the other.
    let samples = |format| -> BTreeSet<String> {
        let page = written(&counters, &gauges, format).unwrap();
        let samples = page
            .lines()
            .filter(|line| !line.starts_with('#') && !line.contains("_bucket{"));
        samples.map(ToOwned::to_owned).collect()
    };
    let (text, open_metrics) = (samples(Format::Text), samples(Format::OpenMetrics));
    let differ: Vec<&String> = text.symmetric_difference(&open_metrics).collect();
    assert!(differ.is_empty(), "{differ:?}");
    let zero = |name: &str| {
        let lines = text
            .iter()
            .filter(|line| line.starts_with(name) && line.ends_with(" 0"));
        lines.count()
    };
    assert_eq!(zero("lowtide_runs_total{"), Conclusion::WORDS.len());
    assert_eq!(
        zero("lowtide_run_failures_total{"),
        Stage::ALL.len() * FailureKind::ALL.len()
    );
    let page = written(&counters, &gauges, Format::OpenMetrics).unwrap();
    assert!(page.ends_with("\n# EOF\n"));
    assert!(page.contains("# TYPE lowtide_runs counter\n"));
    assert!(page.contains("# UNIT lowtide_run_duration_seconds seconds\n"));
}

/// What a thousand apps add is a row of each gauge of theirs: no counter and no histogram knows an app.
#[test]
fn the_page_is_bounded() {
    let size = |apps: usize| {
        let app = |n| format!("  app-{n:04}: {{ source: {{ repo: 'https://git.example.org/web.git' }} }}\n");
        let text = format!("version: 1\napps:\n{}", (0..apps).map(app).collect::<String>());
        let fleet_status = fleet_status::untouched(&validate::fleet(text.as_bytes()).unwrap(), false, at(0));
        let gauges = Gauges {
            fleet_status,
            ..gauges(&fleet())
        };
        let page = written(&Counters::default(), &gauges.registry(), Format::Text).unwrap();
        (page.lines().count(), page.len())
    };
    let (one, thousand) = (size(1), size(1000));
    assert_eq!(thousand.0 - one.0, 999 * 6);
    assert!(one.1 < 100_000 && thousand.1 < 500_000, "{one:?} {thousand:?}");
}

#[test]
fn a_client_gets_the_format_that_it_requests() {
    let negotiate = |accept: &[&str]| Format::negotiate(accept.iter().copied());
    let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
        text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    assert_eq!(negotiate(&[prometheus]), Format::OpenMetrics);
    assert_eq!(
        negotiate(&["text/plain", "application/openmetrics-text"]),
        Format::OpenMetrics
    );
    for accept in [
        &[][..],
        &["*/*"],
        &["text/plain;version=0.0.4"],
        &["application/openmetrics-text; q=0, */*"],
        &["text/plain;version=0.0.4;q=0.9,application/openmetrics-text;version=1.0.0;q=0.5"],
    ] {
        assert_eq!(negotiate(accept), Format::Text, "{accept:?}");
    }
}
