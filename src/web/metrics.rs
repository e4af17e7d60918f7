//! The metrics page, for a monitoring system.

use crate::model::name::AppName;
use crate::model::trouble::Trouble;
use crate::report::terminal::AppCondition;
use crate::runtime::blocking::run_blocking;
use crate::runtime::bot::Bot;
use crate::runtime::fleet_status::{self, FleetStatus};
use crate::store::error::StoreError;
use crate::store::overview::Ended;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt::Write;

pub(super) async fn text(bot: &Bot) -> Result<String, StoreError> {
    let fleet_status = fleet_status::of_bot(bot).await?;
    let ended = bot.store.ended_runs().await?;
    let (term, size) = (bot.store.term(), bot.store.size());
    Ok(run_blocking(move || written(&fleet_status, &ended, term, size)).await)
}

fn written(fleet_status: &FleetStatus, ended: &[Ended], term: i64, size: u64) -> String {
    let mut out = Out(String::new());
    out.family("lowtide_build_info", "Version of lowtide.");
    out.line("lowtide_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    out.alone(
        "lowtide_term",
        "Number of this process among those that owned the state.",
        term,
    );
    out.alone("lowtide_database_bytes", "Size of the database.", size);
    out.alone(
        "lowtide_paused",
        "1: rollouts and promotions are paused.",
        u8::from(fleet_status.paused),
    );
    out.alone(
        "lowtide_notices_pending",
        "Mails that wait for delivery.",
        fleet_status.notices,
    );
    let running = fleet_status.apps.iter().filter(|app| app.running.is_some()).count();
    out.alone("lowtide_runs_open", "Runs under way.", running);
    let rollouts: usize = fleet_status.apps.iter().map(|app| app.rollouts.len()).sum();
    out.alone("lowtide_rollouts_open", "Rollouts in progress or waiting.", rollouts);
    out.family("lowtide_apps", "Apps by what they are at.");
    let mut states: BTreeMap<&str, usize> = AppCondition::WORDS.iter().map(|state| (*state, 0)).collect();
    for app in &fleet_status.apps {
        *states.entry(app.state().word()).or_default() += 1;
    }
    for (state, apps) in states {
        out.line("lowtide_apps", &[("state", state)], apps);
    }
    out.family("lowtide_app_halted", "1: the app is halted.");
    for app in &fleet_status.apps {
        let halted = matches!(app.state(), AppCondition::Halted { .. });
        out.line(
            "lowtide_app_halted",
            &[("app", app.app.name.as_str())],
            u8::from(halted),
        );
    }
    out.family(
        "lowtide_app_probation",
        "Rollouts that are still watched twice as long, of the target with the most.",
    );
    for app in &fleet_status.apps {
        let labels = [("app", app.app.name.as_str())];
        let left = app.probation().into_iter().map(|(_, left)| left).max().unwrap_or(0);
        out.line("lowtide_app_probation", &labels, left);
    }
    fixes(&mut out, fleet_status);
    troubles(&mut out, fleet_status);
    outstanding(&mut out, fleet_status);
    // A gauge, not a counter: what retention forgets is gone from it.
    out.family("lowtide_runs", "Ended runs in the journal, by conclusion.");
    for row in ended {
        let labels = [("app", row.app.as_str()), ("conclusion", row.conclusion.as_str())];
        out.line("lowtide_runs", &labels, row.runs);
    }
    out.family(
        "lowtide_last_success_timestamp_seconds",
        "End of the last run that did not fail.",
    );
    for (app, at) in last_good(ended) {
        out.line(
            "lowtide_last_success_timestamp_seconds",
            &[("app", app.as_str())],
            at.as_second(),
        );
    }
    out.0
}

/// Fixes that stay pending until a base image, a version pin or a container changes.
fn fixes(out: &mut Out, fleet_status: &FleetStatus) {
    out.family(
        "lowtide_app_behind",
        "1: fixes are pending that no rebuild brings, or a target lacks fixes of the last release.",
    );
    for app in &fleet_status.apps {
        let behind = app.app_state.unfixable.is_some();
        out.line(
            "lowtide_app_behind",
            &[("app", app.app.name.as_str())],
            u8::from(behind),
        );
    }
    out.family(
        "lowtide_app_pending_fixes",
        "Packages of the last release whose update needs a new base image or another pin.",
    );
    for app in &fleet_status.apps {
        let unfixable = app.app_state.unfixable.as_ref();
        let pending = unfixable.map_or(0, |(_, unfixable)| unfixable.packages.len());
        out.line("lowtide_app_pending_fixes", &[("app", app.app.name.as_str())], pending);
    }
    out.family(
        "lowtide_app_missing_security_fixes",
        "Security fixes that the worst of the app's targets lacks.",
    );
    for app in &fleet_status.apps {
        let labels = [("app", app.app.name.as_str())];
        out.line("lowtide_app_missing_security_fixes", &labels, app.exposure().security);
    }
}

fn troubles(out: &mut Out, fleet_status: &FleetStatus) {
    let (mut refused, mut unread, mut engines) = (0, 0, Vec::new());
    for trouble in &fleet_status.troubles {
        match trouble {
            Trouble::ConfigurationRefused(_) => refused = 1,
            Trouble::ConfigurationUnread => unread = 1,
            Trouble::Engine { host, .. } => engines.push(host),
        }
    }
    out.alone(
        "lowtide_configuration_refused",
        "1: the newest revision of the configuration has problems, and an older one stays in effect.",
        refused,
    );
    out.alone(
        "lowtide_configuration_unread",
        "1: the configuration cannot be read where it lives.",
        unread,
    );
    out.family(
        "lowtide_engine_unusable",
        "1: the engine gave no answer, or may not be used.",
    );
    for host in engines {
        out.line("lowtide_engine_unusable", &[("host", host.as_str())], 1);
    }
}

/// Releases that did not come where they should be.
fn outstanding(out: &mut Out, fleet_status: &FleetStatus) {
    out.family(
        "lowtide_target_refused",
        "1: the target did not take the current release, with nothing wrong with the release.",
    );
    for app in &fleet_status.apps {
        for target in &app.app.rollout {
            let refused = app.refusals().any(|refusal| *refusal.target == target.settings.name);
            let labels = [
                ("app", app.app.name.as_str()),
                ("target", target.settings.name.as_str()),
            ];
            out.line("lowtide_target_refused", &labels, u8::from(refused));
        }
    }
    out.family(
        "lowtide_target_drifted",
        "1: the target no longer runs its last release, since someone else changed it.",
    );
    for app in &fleet_status.apps {
        for target in &app.app.rollout {
            let drifted = app.drifted().any(|drifted| *drifted.target == target.settings.name);
            let labels = [
                ("app", app.app.name.as_str()),
                ("target", target.settings.name.as_str()),
            ];
            out.line("lowtide_target_drifted", &labels, u8::from(drifted));
        }
    }
    out.family(
        "lowtide_channel_promotion_failing",
        "1: the channel does not get the current release.",
    );
    for app in &fleet_status.apps {
        for channel in app.app.publish.iter().flat_map(|publish| &publish.channels) {
            let failing = app.unpromoted().any(|(failing, _)| *failing == channel.name);
            let labels = [("app", app.app.name.as_str()), ("channel", channel.name.as_str())];
            out.line("lowtide_channel_promotion_failing", &labels, u8::from(failing));
        }
    }
}

fn last_good(ended: &[Ended]) -> BTreeMap<&AppName, Timestamp> {
    let mut last: BTreeMap<&AppName, Timestamp> = BTreeMap::new();
    for row in ended {
        if matches!(row.conclusion.as_str(), "released" | "observed" | "unchanged") {
            let at = last.entry(&row.app).or_insert(row.last);
            *at = row.last.max(*at);
        }
    }
    last
}

struct Out(String);

impl Out {
    fn family(&mut self, name: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} gauge\n");
    }
    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        // Every label value of ours is a name or a word of our own: nothing to escape.
        let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
        let _ = if labels.is_empty() {
            writeln!(self.0, "{name} {value}")
        } else {
            writeln!(self.0, "{name}{{{}}} {value}", labels.join(","))
        };
    }
    fn alone(&mut self, name: &str, help: &str, value: impl std::fmt::Display) {
        self.family(name, help);
        self.line(name, &[], value);
    }
}
