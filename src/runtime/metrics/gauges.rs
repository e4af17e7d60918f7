//! The state of the fleet as it is now. It is computed anew for each page, so an app that is gone leaves nothing behind.

use crate::clients::registry::quotas::RegistryQuota;
use crate::runtime::fleet_status::{AppStatus, FleetStatus};
use crate::store::overview::Ended;
use jiff::Timestamp;
use lowtide_core::report::views::AppCondition;
use lowtide_model::name::{AppName, HostName, TargetName};
use lowtide_model::trouble::Trouble;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What the page is made of, besides the counters.
#[derive(Debug)]
pub(super) struct Gauges {
    pub(super) fleet_status: FleetStatus,
    pub(super) ended: Vec<Ended>,
    pub(super) hosts: Vec<HostName>,
    /// Those that limited us.
    pub(super) registries: BTreeMap<String, RegistryQuota>,
    pub(super) term: i64,
    /// Bytes.
    pub(super) database: u64,
    /// Bytes that are free in the state directory; `None`: it cannot be determined.
    pub(super) free: Option<u64>,
}

/// Names and values of a sample's labels.
type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

impl Gauges {
    pub(super) fn registry(self) -> Registry {
        let mut all = Registry::with_prefix("lowtide");
        all.register(
            "build",
            "Version of lowtide",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        all.register_collector(Box::new(self));
        all
    }

    /// A row for each app.
    fn apps<'a, V>(&'a self, value: impl Fn(&'a AppStatus) -> V) -> impl Iterator<Item = (Labels<'a, 1>, V)> {
        let apps = self.fleet_status.apps.iter();
        apps.map(move |app| ([("app", app.app.name.as_str())], value(app)))
    }

    /// A row for each target of each app.
    fn targets<'a>(
        &'a self,
        is_so: impl Fn(&'a AppStatus, &'a TargetName) -> bool,
    ) -> impl Iterator<Item = (Labels<'a, 2>, u32)> {
        let targets = self.fleet_status.apps.iter().flat_map(|app| {
            let targets = app.app.rollout.iter();
            targets.map(move |target| (app, &target.settings.name))
        });
        targets.map(move |(app, target)| {
            let labels = [("app", app.app.name.as_str()), ("target", target.as_str())];
            (labels, u32::from(is_so(app, target)))
        })
    }

    fn whole(&self, page: &mut Page<'_>) -> fmt::Result {
        let fleet_status = &self.fleet_status;
        page.one(
            "term",
            "Number of this process among those that owned the state: it grows with each start.",
            self.term,
        )?;
        page.bytes("database", "Size of the database.", self.database)?;
        if let Some(free) = self.free {
            page.bytes("state_free", "Free space on the disk of lowtide's state.", free)?;
        }
        page.one(
            "paused",
            "1: rollouts and promotions are paused.",
            u32::from(fleet_status.paused),
        )?;
        page.one(
            "notices_pending",
            "Notices that wait for delivery.",
            fleet_status.notices,
        )?;
        let running = fleet_status.apps.iter().filter(|app| app.running.is_some());
        page.one("runs_open", "Runs in progress.", running.count())?;
        let open = || fleet_status.apps.iter().flat_map(|app| &app.rollouts);
        page.one("rollouts_open", "Rollouts in progress or waiting.", open().count())?;
        let waiting = open().filter(|rollout| rollout.waits.is_some());
        page.one(
            "rollouts_waiting",
            "Open rollouts that wait for a window, an operator or other work.",
            waiting.count(),
        )?;
        let mut states: BTreeMap<&str, u32> = AppCondition::WORDS.iter().map(|state| (*state, 0)).collect();
        for app in &fleet_status.apps {
            *states.entry(app.state().word()).or_default() += 1;
        }
        let states = states.into_iter().map(|(state, apps)| ([("state", state)], apps));
        page.each("apps", "Configured apps by what they are doing or need.", states)
    }

    fn around(&self, page: &mut Page<'_>) -> fmt::Result {
        let (mut refused, mut unread, mut engines) = (0_u32, 0_u32, BTreeSet::new());
        for trouble in &self.fleet_status.troubles {
            match trouble {
                Trouble::ConfigurationRefused(_) => refused = 1,
                Trouble::ConfigurationUnread => unread = 1,
                Trouble::Engine { host, .. } => {
                    engines.insert(host);
                }
            }
        }
        page.one(
            "configuration_refused",
            "1: the newest revision of the configuration has problems, and an older one stays in effect.",
            refused,
        )?;
        page.one(
            "configuration_unread",
            "1: the configuration cannot be read where it is stored.",
            unread,
        )?;
        let hosts = self.hosts.iter();
        page.each(
            "engine_unusable",
            "1: the engine does not answer, or may not be used.",
            hosts.map(|host| ([("host", host.as_str())], u32::from(engines.contains(host)))),
        )
    }

    fn registries(&self, page: &mut Page<'_>) -> fmt::Result {
        page.each(
            "registry_busy",
            "1: the registry's request limit is reached, and it gets no requests of an account for now.",
            self.registries
                .iter()
                .map(|(registry, quota)| ([("registry", registry.as_str())], u32::from(quota.held))),
        )?;
        let remaining = self.registries.iter().filter_map(|(registry, quota)| {
            let labels = [("registry", registry.as_str())];
            Some((labels, quota.remaining?))
        });
        page.each(
            "registry_requests_remaining",
            "Requests that the registry still takes, by its last answer; of several accounts there, the fewest.",
            remaining,
        )
    }

    fn of_apps(&self, page: &mut Page<'_>) -> fmt::Result {
        page.each(
            "app_halted",
            "1: rollouts and promotions of the app are halted.",
            self.apps(|app| u32::from(app.app_state.halted.is_some())),
        )?;
        page.each(
            "app_failing",
            "1: the last run of the app failed.",
            self.apps(|app| u32::from(app.app_state.failing.is_some())),
        )?;
        page.each(
            "app_probation",
            "Rollouts that are still watched twice as long, of the target with the most.",
            self.apps(|app| app.probation().into_iter().map(|(_, left)| left).max().unwrap_or(0)),
        )?;
        page.each(
            "app_behind",
            "1: fixes are pending that no rebuild brings, or a target lacks fixes of the last release.",
            self.apps(|app| u32::from(app.app_state.unfixable.is_some())),
        )?;
        let pending = |app: &AppStatus| {
            let unfixable = app.app_state.unfixable.as_ref();
            unfixable.map_or(0, |(_, unfixable)| unfixable.packages.len())
        };
        page.each(
            "app_pending_fixes",
            "Packages of the last release whose update needs a new base image or another version pin.",
            self.apps(pending),
        )?;
        page.each(
            "app_missing_security_fixes",
            "Security fixes that the worst of the app's targets lacks.",
            self.apps(|app| app.exposure().security),
        )?;
        let last = self.last_success();
        page.family(
            ("last_success_timestamp", Some(Unit::Seconds)),
            "When the last run ended that did not fail and was not cancelled.",
            last.iter().map(|(app, at)| ([("app", app.as_str())], at.as_second())),
        )
    }

    /// Releases that did not arrive where they should be.
    fn outstanding(&self, page: &mut Page<'_>) -> fmt::Result {
        page.each(
            "target_overdue",
            "1: a release has waited for the target longer than `max_wait` of its window.",
            self.targets(|app, target| {
                let mut rollouts = app.rollouts.iter();
                rollouts.any(|rollout| rollout.target == *target && rollout.overdue.is_some())
            }),
        )?;
        page.each(
            "target_refused",
            "1: the target did not take the current release, with nothing wrong with the release.",
            self.targets(|app, target| app.refusals().any(|refusal| refusal.target == target)),
        )?;
        page.each(
            "target_drifted",
            "1: the target no longer runs its last release, since someone else changed it.",
            self.targets(|app, target| app.drifted().any(|drifted| drifted.target == target)),
        )?;
        let channels = self.fleet_status.apps.iter().flat_map(|app| {
            let channels = app.app.publish.iter().flat_map(|publish| &publish.channels);
            channels.map(move |channel| {
                let failing = app.unpromoted().any(|(failing, _)| *failing == channel.name);
                let labels = [("app", app.app.name.as_str()), ("channel", channel.name.as_str())];
                (labels, u32::from(failing))
            })
        });
        page.each(
            "channel_promotion_failing",
            "1: the channel does not get the current release.",
            channels,
        )
    }

    fn last_success(&self) -> BTreeMap<&AppName, Timestamp> {
        let mut last: BTreeMap<&AppName, Timestamp> = BTreeMap::new();
        let configured: BTreeSet<&AppName> = self.fleet_status.apps.iter().map(|app| &app.app.name).collect();
        for row in self.ended.iter().filter(|row| configured.contains(&row.app)) {
            if matches!(row.conclusion.as_str(), "released" | "observed" | "unchanged") {
                let at = last.entry(&row.app).or_insert(row.last);
                *at = row.last.max(*at);
            }
        }
        last
    }
}

impl Collector for Gauges {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        self.whole(&mut page)?;
        self.around(&mut page)?;
        self.registries(&mut page)?;
        self.of_apps(&mut page)?;
        self.outstanding(&mut page)
    }
}

struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn one(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        self.0
            .encode_descriptor(name, help, None, MetricType::Gauge)?
            .encode_gauge(&value)
    }

    fn bytes(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.0
            .encode_descriptor(name, help, Some(&Unit::Bytes), MetricType::Gauge)?
            .encode_gauge(&value)
    }

    fn each<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl Iterator<Item = (L, V)>,
    ) -> fmt::Result {
        self.family((name, None), help, rows)
    }

    /// Nothing, if there are no rows.
    fn family<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        (name, unit): (&str, Option<Unit>),
        help: &str,
        rows: impl Iterator<Item = (L, V)>,
    ) -> fmt::Result {
        let mut rows = rows.peekable();
        if rows.peek().is_none() {
            return Ok(());
        }
        let mut family = self.0.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
        for (labels, value) in rows {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }
}
