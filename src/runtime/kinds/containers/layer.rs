//! What stays behind in the old container's own writable layer. Pure, but for one query per path, made by preflight.

use super::json::{list, text};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// Written by every container or by the engine itself; nobody misses it in a new one.
const FLEETING: &[&str] = &[
    "/tmp",
    "/var/tmp",
    "/run",
    "/var/run",
    "/var/log",
    "/var/cache",
    "/dev",
    "/proc",
    "/sys",
];
const ENGINES: &[&str] = &[
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/etc/mtab",
    "/.dockerenv",
    "/sbin/docker-init",
];

/// Where compose puts secrets unless told otherwise.
const SECRETS: &str = "/run/secrets/";

/// A path added or changed in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    pub path: String,
    /// Nobody misses it, unless it was put in before the start.
    pub fleeting: bool,
}

/// Paths added or changed (Engine API, container changes: kind 0 and 1) that a new container would not have, parents and the
/// engine's own left out; secrets and what would be missed come first.
pub(super) fn left_behind(container: &Value, changes: &Value) -> Vec<Written> {
    let paths: Vec<&str> = list(changes, "")
        .iter()
        .filter(|c| c.get("Kind").and_then(Value::as_i64) != Some(2))
        .map(|c| text(c, "/Path"))
        .collect();
    // In order, a directory is followed by what is below it.
    let mut sorted: Vec<String> = paths.iter().map(|p| format!("{p}/")).collect();
    sorted.sort_unstable();
    let mut left = Vec::new();
    for (n, path) in sorted.iter().enumerate() {
        let is_parent = sorted.get(n + 1).is_some_and(|next| next.starts_with(path.as_str()));
        let path = path.trim_end_matches('/');
        if !is_parent && !path.is_empty() && !ENGINES.contains(&path) && !is_mounted(container, path) {
            left.push(Written {
                path: path.to_owned(),
                fleeting: is_fleeting(path),
            });
        }
    }
    left.sort_by_key(|written| (!written.path.starts_with(SECRETS), written.fleeting));
    left
}

fn is_fleeting(path: &str) -> bool {
    let below = |dir: &str| path == dir || path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'));
    FLEETING.iter().any(|dir| below(dir)) || path.ends_with(".pid")
}

/// The engine makes the directories it mounts on.
fn is_mounted(container: &Value, path: &str) -> bool {
    let mounts = list(container, "/Mounts").iter().map(|m| text(m, "/Destination"));
    let tmpfs = super::json::object(container, "/HostConfig/Tmpfs");
    let tmpfs = tmpfs.into_iter().flatten().map(|(path, _)| path.as_str());
    let requested = list(container, "/HostConfig/Mounts").iter().map(|m| text(m, "/Target"));
    mounts
        .chain(tmpfs)
        .chain(requested)
        .any(|target| target == path || target.starts_with(&format!("{path}/")))
}

/// Was this file put into the container before its start, as compose does with inline `configs` and `secrets`?
///
/// Such a file comes out of a tar whose header says "now" in whole seconds (Go's `archive/tar` rounds), so its time is whole
/// and lies between the creation and the first start; a file written by a process has a fraction. `stat` is the decoded
/// `X-Docker-Container-Path-Stat`.
pub(super) fn is_injected(container: &Value, stat: &Value) -> bool {
    let time = |value: &Value, pointer| text(value, pointer).parse::<Timestamp>().ok();
    let (Some(modified), Some(created)) = (time(stat, "/mtime"), time(container, "/Created")) else {
        return false;
    };
    // Go's FileMode: the top bit is a directory.
    let is_dir = stat
        .get("mode")
        .and_then(Value::as_u64)
        .is_some_and(|mode| mode & (1 << 31) != 0);
    let second = SignedDuration::from_secs(1);
    let started = time(container, "/State/StartedAt").filter(|started| *started > created);
    let last = created.saturating_add(SignedDuration::from_secs(60)).unwrap_or(created);
    let until = started.map_or(last, |started| started.min(last));
    let from = created.saturating_sub(second).unwrap_or(created);
    let until = until.saturating_add(second).unwrap_or(until);
    !is_dir && modified.subsec_nanosecond() == 0 && (from..=until).contains(&modified)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_would_be_missed_is_named() {
        let container = json!({
            "Mounts": [{"Destination": "/srv/data"}],
            "HostConfig": {"Tmpfs": {"/scratch": ""}, "Mounts": [{"Target": "/cfg/deep"}]},
        });
        let changed = |path| json!({"Path": path, "Kind": 0});
        let added = |path| json!({"Path": path, "Kind": 1});
        let changes = json!([
            changed("/etc"),
            changed("/etc/app"),
            added("/etc/app/made.conf"),
            changed("/etc/hosts"),
            added("/tmp/x"),
            added("/run/app.sock"),
            added("/run/secrets/key"),
            added("/var/log/app/a.log"),
            added("/app.pid"),
            added("/srv"),
            added("/srv/data"),
            added("/scratch"),
            added("/cfg"),
            added("/cfg/deep"),
            added("/tmpfile"),
            json!({"Path": "/gone", "Kind": 2}),
            added("/etc/app-extra"),
        ]);
        let left = left_behind(&container, &changes);
        let paths = |fleeting| {
            let some = left.iter().filter(move |written| written.fleeting == fleeting);
            some.map(|written| written.path.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(paths(false), ["/etc/app-extra", "/etc/app/made.conf", "/tmpfile"]);
        assert_eq!(
            paths(true),
            [
                "/run/secrets/key",
                "/app.pid",
                "/run/app.sock",
                "/tmp/x",
                "/var/log/app/a.log"
            ]
        );
        assert_eq!(left_behind(&container, &Value::Null), []);
    }

    #[test]
    fn a_file_from_a_tar_before_the_start_is_reported_from_a_written_one() {
        let container = json!({"Created": "2026-03-01T10:00:00.4Z", "State": {"StartedAt": "2026-03-01T10:00:01.2Z"}});
        for (mtime, mode, injected) in [
            ("2026-03-01T10:00:01Z", 0o444_u64, true),
            ("2026-03-01T10:00:00Z", 0o444, true),
            ("2026-03-01T10:00:01.000000001Z", 0o444, false),
            ("2026-03-01T10:00:03Z", 0o444, false),
            ("2026-02-01T10:00:00Z", 0o444, false),
            ("2026-03-01T10:00:01Z", 1 << 31, false),
        ] {
            assert_eq!(
                is_injected(&container, &json!({"mtime": mtime, "mode": mode})),
                injected,
                "{mtime}"
            );
        }
    }
}
