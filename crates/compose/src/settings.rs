//! Keys of a service as the engine's settings (Docker Engine API, *ContainerCreate*).

use crate::service::{Reader, list_of};
use crate::value::{Map, Node, Value};
use serde_json::{Map as Json, Value as J, json};

/// All settings that need no names of other containers. What has no effect in a test is left out; what is not known is refused.
pub(crate) fn read(reader: &mut Reader<'_>, service: &Map) -> Json<String, J> {
    let mut out = Settings::default();
    for (key, node) in service.0.iter().filter(|(_, node)| node.value != Value::Null) {
        if !one(reader, &mut out, key, node) && !key.starts_with("x-") {
            reader.refuse(node, key, "is not known to lowtide");
        }
    }
    let Settings { mut container, host } = out;
    if !host.is_empty() {
        container.insert("HostConfig".to_owned(), J::Object(host));
    }
    container
}

#[derive(Default)]
struct Settings {
    container: Json<String, J>,
    host: Json<String, J>,
}

impl Settings {
    fn container(&mut self, key: &str, value: impl Into<J>) {
        self.container.insert(key.to_owned(), value.into());
    }

    fn host(&mut self, key: &str, value: impl Into<J>) {
        self.host.insert(key.to_owned(), value.into());
    }

    /// The smaller one counts: a limit may stand in two places.
    fn at_most(&mut self, key: &str, value: u64) {
        let value = self
            .host
            .get(key)
            .and_then(J::as_u64)
            .map_or(value, |known| known.min(value));
        self.host(key, value);
    }
}

/// `false`: the key is not known.
fn one(reader: &mut Reader<'_>, out: &mut Settings, key: &str, node: &Node) -> bool {
    let text = || node.scalar().unwrap_or_default();
    // What a variable without a value leaves is as if it were not there.
    if node.value == Value::Text(String::new()) {
        return is_read_elsewhere(key) || TEXTS.contains(&key) || is_of_no_effect(reader, key);
    }
    match key {
        "hostname" => out.container("Hostname", text()),
        "domainname" => out.container("Domainname", text()),
        "user" => out.container("User", text()),
        "working_dir" => out.container("WorkingDir", text()),
        "stop_signal" => out.container("StopSignal", text()),
        "mac_address" => out.container("MacAddress", text()),
        "tty" => out.container("Tty", node.is_true()),
        "stdin_open" => out.container("OpenStdin", node.is_true()),
        "stop_grace_period" => {
            if let Some(grace) = reader.duration(node, key) {
                out.container("StopTimeout", grace.as_secs());
            }
        }
        "init" => out.host("Init", node.is_true()),
        "privileged" => out.host("Privileged", node.is_true()),
        "read_only" => out.host("ReadonlyRootfs", node.is_true()),
        "cap_add" => out.host("CapAdd", list_of(node)),
        "cap_drop" => out.host("CapDrop", list_of(node)),
        "security_opt" => out.host("SecurityOpt", list_of(node)),
        "group_add" => out.host("GroupAdd", list_of(node)),
        "dns" => out.host("Dns", list_of(node)),
        "dns_search" => out.host("DnsSearch", list_of(node)),
        "dns_opt" => out.host("DnsOptions", list_of(node)),
        "extra_hosts" => {
            let hosts = list_of(node).into_iter().map(|host| host.replacen('=', ":", 1));
            out.host("ExtraHosts", hosts.collect::<Vec<_>>());
        }
        "sysctls" => out.host("Sysctls", node.to_json()),
        "userns_mode" => out.host("UsernsMode", text()),
        "uts" => out.host("UTSMode", text()),
        "cgroup" => out.host("CgroupnsMode", text()),
        "cgroup_parent" => out.host("CgroupParent", text()),
        "runtime" => out.host("Runtime", text()),
        "device_cgroup_rules" => out.host("DeviceCgroupRules", list_of(node)),
        "pid" | "ipc" if !text().starts_with("service:") => {
            out.host(if key == "pid" { "PidMode" } else { "IpcMode" }, text());
        }
        "devices" => out.host(
            "Devices",
            node.as_list()
                .unwrap_or_default()
                .iter()
                .map(device)
                .collect::<Vec<_>>(),
        ),
        "ulimits" => ulimits(reader, out, node),
        "shm_size" => {
            if let Some(bytes) = reader.bytes(node, key) {
                out.host("ShmSize", bytes);
            }
        }
        "mem_limit" | "mem_reservation" | "pids_limit" | "cpus" | "cpu_count" => limit(reader, out, key, node),
        "cpuset" => out.host("CpusetCpus", text()),
        "oom_score_adj" => {
            // Below 0 the host's own processes would be killed before it.
            if let Some(number) = reader.number(node, key).filter(|number| *number >= 0.0) {
                out.host("OomScoreAdj", json!(number.round() as i64));
            }
        }
        "deploy" => deploy(reader, out, node),
        _ => return is_read_elsewhere(key) || is_of_no_effect(reader, key),
    }
    true
}

/// Settings that may be an empty text.
const TEXTS: [&str; 12] = [
    "hostname",
    "domainname",
    "user",
    "working_dir",
    "stop_signal",
    "mac_address",
    "userns_mode",
    "uts",
    "cgroup",
    "cgroup_parent",
    "runtime",
    "cpuset",
];

/// Keys that are no settings, and that others read.
fn is_read_elsewhere(key: &str) -> bool {
    const KEYS: [&str; 22] = [
        "image",
        "build",
        "platform",
        "environment",
        "entrypoint",
        "command",
        "healthcheck",
        "depends_on",
        "links",
        "networks",
        "network_mode",
        "container_name",
        "volumes",
        "volumes_from",
        "tmpfs",
        "secrets",
        "configs",
        "profiles",
        "restart",
        "scale",
        "pid",
        "ipc",
    ];
    KEYS.contains(&key)
}

/// Keys that change nothing for a test: what is published, where the log goes, how an image is looked for. Labels are among them: by them a
/// proxy would send the users of production to a test, and a rollout would take a test's container for one of its targets.
fn is_of_no_effect(reader: &mut Reader<'_>, key: &str) -> bool {
    const SILENT: [&str; 13] = [
        "ports",
        "expose",
        "logging",
        "log_driver",
        "log_opt",
        "pull_policy",
        "attach",
        "develop",
        "annotations",
        "label_file",
        "labels",
        "memswap_limit",
        "gpus",
    ];
    const SAID: [&str; 14] = [
        "external_links",
        "blkio_config",
        "cpu_percent",
        "cpu_period",
        "cpu_quota",
        "cpu_rt_period",
        "cpu_rt_runtime",
        "cpu_shares",
        "credential_spec",
        "isolation",
        "mem_swappiness",
        "oom_kill_disable",
        "storage_opt",
        "volume_driver",
    ];
    let is_said = SAID.contains(&key);
    if is_said {
        reader.note(key, "has no effect in a test");
    }
    is_said || SILENT.contains(&key)
}

fn device(node: &Node) -> J {
    let part = |key: &str| node.as_map().and_then(|map| map.get(key)).and_then(Node::scalar);
    let (source, target, permissions) = match node.scalar() {
        Some(text) => {
            let mut parts = text.split(':').map(str::to_owned);
            (parts.next(), parts.next(), parts.next())
        }
        None => (part("source"), part("target"), part("permissions")),
    };
    let source = source.unwrap_or_default();
    json!({
        "PathInContainer": target.unwrap_or_else(|| source.clone()),
        "PathOnHost": source,
        "CgroupPermissions": permissions.unwrap_or_else(|| "rwm".to_owned()),
    })
}

fn ulimits(reader: &mut Reader<'_>, out: &mut Settings, node: &Node) {
    let mut list = Vec::new();
    for (name, value) in node.as_map().map_or(&[][..], |map| &map.0) {
        let key = format!("ulimits.{name}");
        let part = |part: &str| value.as_map().and_then(|map| map.get(part));
        let (soft, hard) = match value.as_map() {
            Some(_) => (
                part("soft").or_else(|| part("hard")),
                part("hard").or_else(|| part("soft")),
            ),
            None => (Some(value), Some(value)),
        };
        let mut number = |node: Option<&Node>| reader.number(node.unwrap_or(value), &key);
        if let (Some(soft), Some(hard)) = (number(soft), number(hard)) {
            list.push(json!({ "Name": name, "Soft": soft.round() as i64, "Hard": hard.round() as i64 }));
        }
    }
    out.host("Ulimits", list);
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a negative limit is none, and saturates at 0"
)]
fn limit(reader: &mut Reader<'_>, out: &mut Settings, key: &str, node: &Node) {
    match key {
        "mem_limit" | "deploy.resources.limits.memory" => {
            if let Some(bytes) = reader.bytes(node, key).filter(|bytes| *bytes > 0) {
                out.at_most("Memory", bytes);
            }
        }
        "mem_reservation" => {
            if let Some(bytes) = reader.bytes(node, key) {
                out.host("MemoryReservation", bytes);
            }
        }
        "pids_limit" | "deploy.resources.limits.pids" => {
            if let Some(count) = reader.number(node, key).filter(|count| *count > 0.0) {
                out.at_most("PidsLimit", count as u64);
            }
        }
        _ => {
            if let Some(cpus) = reader.number(node, key).filter(|cpus| *cpus > 0.0) {
                out.at_most("NanoCpus", (cpus * 1e9) as u64);
            }
        }
    }
}

/// Of *deploy* a test has the limits of one container.
fn deploy(reader: &mut Reader<'_>, out: &mut Settings, node: &Node) {
    let part = |node: &Node, key: &str| node.as_map().and_then(|map| map.get(key)).cloned();
    let limits = part(node, "resources").and_then(|resources| part(&resources, "limits"));
    for (name, node) in limits.as_ref().and_then(Node::as_map).map_or(&[][..], |map| &map.0) {
        limit(reader, out, &format!("deploy.resources.limits.{name}"), node);
    }
    if let Some(count) = part(node, "replicas").and_then(|count| count.scalar())
        && count != "1"
    {
        reader.note("deploy.replicas", &format!("is {count}, and a test runs one"));
    }
}
