//! What a container of ours is made of, and how the engine is asked for it.

use super::container::Kind;
use lowtide_model::policy::ContainerLimits;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// How a container is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attach {
    /// To a network, by id, under these names; `links` are `name:other`: what is known
    /// by the one name there, this container knows by the other, too.
    Network {
        id: String,
        aliases: Vec<String>,
        links: Vec<String>,
    },
    /// Inside another container's network namespace.
    Container { id: String },
    /// As the engine has it: `none`, `bridge` or `host`.
    Mode(&'static str),
}

/// A health check that replaces the image's own. Times in the engine's unit are made from these.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HealthCheck {
    /// As the engine wants it: `["CMD", …]`, `["CMD-SHELL", text]` or `["NONE"]`.
    pub test: Vec<String>,
    pub interval: Option<Duration>,
    pub timeout: Option<Duration>,
    pub start_period: Option<Duration>,
    pub retries: Option<u32>,
}

/// A container to create. Its files come from volumes and uploads: lowtide usually lives in a
/// container itself, where paths are others.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// `None`: the engine invents one.
    pub name: Option<String>,
    /// Image id or reference; must be on the engine.
    pub image: String,
    pub kind: Kind,
    pub labels: BTreeMap<String, String>,
    pub env: BTreeMap<String, String>,
    /// `None`: the image's.
    pub entrypoint: Option<Vec<String>>,
    /// `None`: the image's.
    pub command: Option<Vec<String>>,
    pub health: Option<HealthCheck>,
    /// For at least this long a failing health check does not make the container *unhealthy*: a longer start period of its
    /// own is kept, as are the other settings of the check. `None`: its own.
    pub start_period: Option<Duration>,
    pub attach: Attach,
    pub limits: ContainerLimits,
    pub mounts: Vec<Mount>,
    /// `os/architecture`; `None`: the engine's own.
    pub platform: Option<String>,
    /// What else is asked for, in the form of the engine's API. What the other fields say counts more, and of a limit the smaller one.
    pub settings: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Path inside the container.
    pub target: String,
    pub read_only: bool,
    pub source: MountSource,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountSource {
    /// A volume that goes with the container.
    Anonymous,
    /// `copies`: while it is empty, it gets what the image has in that place.
    Volume { name: String, copies: bool },
    /// Only what the fleet's configuration allows a test.
    Host { path: String },
    /// In memory, with the options of tmpfs(5).
    Memory { options: String },
}

pub(super) fn create_body(spec: &Spec, cpus: f64, start_period: Option<Duration>) -> Value {
    let mut body = spec.settings.clone();
    let mut host = match body.remove("HostConfig") {
        Some(Value::Object(host)) => host,
        Some(_) | None => Map::new(),
    };
    let mut labels = match body.remove("Labels") {
        Some(Value::Object(labels)) => labels,
        Some(_) | None => Map::new(),
    };
    labels.extend(spec.labels.iter().map(|(key, value)| (key.clone(), json!(value))));
    labels.insert(Kind::LABEL.to_owned(), json!(spec.kind.text()));
    let env: Vec<String> = spec.env.iter().map(|(k, v)| format!("{k}={v}")).collect();
    body.insert("Image".to_owned(), json!(spec.image));
    body.insert("Env".to_owned(), json!(env));
    body.insert("Labels".to_owned(), Value::Object(labels));
    limits(&mut host, spec, cpus);
    mounts(&mut host, &spec.mounts);
    host.entry("Init").or_insert(json!(false));
    host.entry("RestartPolicy").or_insert(json!({"Name": "no"}));
    host.insert("AutoRemove".to_owned(), json!(false));
    host.insert(
        "NetworkMode".to_owned(),
        json!(match &spec.attach {
            Attach::Network { id, .. } => id.clone(),
            Attach::Container { id } => format!("container:{id}"),
            Attach::Mode(mode) => (*mode).to_owned(),
        }),
    );
    body.insert("HostConfig".to_owned(), Value::Object(host));
    if let Attach::Network { id, aliases, links } = &spec.attach {
        body.insert(
            "NetworkingConfig".to_owned(),
            json!({"EndpointsConfig": {id: endpoint(aliases, links)}}),
        );
    }
    if let Some(entrypoint) = &spec.entrypoint {
        body.insert("Entrypoint".to_owned(), json!(entrypoint));
    }
    if let Some(command) = &spec.command {
        body.insert("Cmd".to_owned(), json!(command));
    }
    // What is not said here stays as the image says it.
    let mut health = spec.health.as_ref().map(health_body);
    if let Some(period) = start_period {
        health.get_or_insert_with(|| json!({}))["StartPeriod"] = nanoseconds(period);
    }
    if let Some(health) = health {
        body.insert("Healthcheck".to_owned(), health);
    }
    Value::Object(body)
}

/// How a container is on a network.
pub(super) fn endpoint(aliases: &[String], links: &[String]) -> Value {
    if links.is_empty() {
        json!({"Aliases": aliases})
    } else {
        json!({"Aliases": aliases, "Links": links})
    }
}

fn limits(host: &mut Map<String, Value>, spec: &Spec, cpus: f64) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a CPU count times 1e9 fits"
    )]
    let nano_cpus = (cpus * 1e9) as u64;
    for (key, limit) in [
        ("Memory", spec.limits.memory),
        ("NanoCpus", nano_cpus),
        ("PidsLimit", spec.limits.pids.into()),
    ] {
        let own = host.get(key).and_then(Value::as_u64);
        host.insert(key.to_owned(), json!(own.map_or(limit, |own| own.min(limit))));
    }
    // Equal to the memory: no swap.
    host.insert("MemorySwap".to_owned(), host["Memory"].clone());
    // The engine counts its JSON framing as well; rotation keeps the disk safe, our own count decides. Two files: a single one is
    // truncated under its reader, which ends the stream.
    let size = spec.limits.output.max(1 << 20).to_string();
    let log = json!({"Type": "json-file", "Config": {"max-size": size, "max-file": "2"}});
    host.insert("LogConfig".to_owned(), log);
}

fn mounts(host: &mut Map<String, Value>, mounts: &[Mount]) {
    let (mut list, mut memory) = (Vec::new(), Map::new());
    for mount in mounts {
        let mut entry = match &mount.source {
            MountSource::Memory { options } => {
                memory.insert(mount.target.clone(), json!(options));
                continue;
            }
            MountSource::Anonymous => json!({"Type": "volume"}),
            MountSource::Volume { name, copies: true } => json!({"Type": "volume", "Source": name}),
            MountSource::Volume { name, copies: false } => {
                json!({"Type": "volume", "Source": name, "VolumeOptions": {"NoCopy": true}})
            }
            MountSource::Host { path } => json!({"Type": "bind", "Source": path}),
        };
        entry["Target"] = json!(mount.target);
        if mount.read_only {
            entry["ReadOnly"] = json!(true);
        }
        list.push(entry);
    }
    host.insert("Mounts".to_owned(), Value::Array(list));
    if !memory.is_empty() {
        host.insert("Tmpfs".to_owned(), Value::Object(memory));
    }
}

pub(super) fn health_body(health: &HealthCheck) -> Value {
    let mut map = Map::new();
    if !health.test.is_empty() {
        map.insert("Test".to_owned(), json!(health.test));
    }
    for (key, value) in [
        ("Interval", health.interval),
        ("Timeout", health.timeout),
        ("StartPeriod", health.start_period),
    ] {
        if let Some(value) = value {
            map.insert(key.to_owned(), nanoseconds(value));
        }
    }
    if let Some(retries) = health.retries {
        map.insert("Retries".to_owned(), json!(retries));
    }
    Value::Object(map)
}

/// The engine's unit.
fn nanoseconds(value: Duration) -> Value {
    json!(u64::try_from(value.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Spec {
        Spec {
            name: None,
            image: "sha256:1".to_owned(),
            kind: Kind::Test,
            labels: BTreeMap::from([("io.lowtide.run".to_owned(), "r".to_owned())]),
            env: BTreeMap::from([("A".to_owned(), "b=c".to_owned())]),
            entrypoint: None,
            command: Some(vec!["x".to_owned()]),
            health: Some(HealthCheck {
                test: vec!["NONE".to_owned()],
                interval: Some(Duration::from_millis(1500)),
                ..HealthCheck::default()
            }),
            start_period: None,
            attach: Attach::Network {
                id: "n1".to_owned(),
                aliases: vec!["app".to_owned()],
                links: Vec::new(),
            },
            limits: ContainerLimits {
                memory: 64 << 20,
                cpus: 0.5,
                pids: 32,
                output: 4 << 20,
                disk: 1 << 30,
            },
            mounts: vec![
                mount("/a", MountSource::Anonymous),
                mount(
                    "/b",
                    MountSource::Volume {
                        name: "v".to_owned(),
                        copies: true,
                    },
                ),
            ],
            platform: None,
            settings: Map::new(),
        }
    }

    fn mount(target: &str, source: MountSource) -> Mount {
        Mount {
            target: target.to_owned(),
            read_only: false,
            source,
        }
    }

    #[test]
    fn what_else_is_asked_for_stays_below_what_is_ours() {
        let settings = json!({
            "User": "1",
            "Labels": {"a": "b", "io.lowtide.run": "other", "io.lowtide.kind": "other"},
            "HostConfig": {"Memory": 1 << 20, "NanoCpus": 9_000_000_000_u64, "Init": true, "AutoRemove": true,
                "RestartPolicy": {"Name": "always"}, "LogConfig": {"Type": "none"}, "CapAdd": ["CHOWN"]},
        });
        let mut spec = spec();
        spec.settings = settings.as_object().unwrap().clone();
        spec.attach = Attach::Mode("none");
        spec.mounts = vec![
            Mount {
                read_only: true,
                ..mount(
                    "/x",
                    MountSource::Volume {
                        name: "v".to_owned(),
                        copies: false,
                    },
                )
            },
            mount(
                "/m",
                MountSource::Memory {
                    options: "size=1".to_owned(),
                },
            ),
        ];
        insta::assert_snapshot!(create_body(&spec, 0.5, None), @r#"{"User":"1","Image":"sha256:1","Env":["A=b=c"],"Labels":{"a":"b","io.lowtide.run":"r","io.lowtide.kind":"test"},"HostConfig":{"Memory":1048576,"NanoCpus":500000000,"Init":true,"AutoRemove":false,"RestartPolicy":{"Name":"always"},"LogConfig":{"Type":"json-file","Config":{"max-size":"4194304","max-file":"2"}},"CapAdd":["CHOWN"],"PidsLimit":32,"MemorySwap":1048576,"Mounts":[{"Type":"volume","Source":"v","VolumeOptions":{"NoCopy":true},"Target":"/x","ReadOnly":true}],"Tmpfs":{"/m":"size=1"},"NetworkMode":"none"},"Cmd":["x"],"Healthcheck":{"Test":["NONE"],"Interval":1500000000}}"#);
    }

    #[test]
    fn the_limits_and_labels_are_all_there() {
        insta::assert_json_snapshot!(create_body(&spec(), 0.5, None), @r#"
        {
          "Image": "sha256:1",
          "Env": [
            "A=b=c"
          ],
          "Labels": {
            "io.lowtide.run": "r",
            "io.lowtide.kind": "test"
          },
          "HostConfig": {
            "Memory": 67108864,
            "NanoCpus": 500000000,
            "PidsLimit": 32,
            "MemorySwap": 67108864,
            "LogConfig": {
              "Type": "json-file",
              "Config": {
                "max-size": "4194304",
                "max-file": "2"
              }
            },
            "Mounts": [
              {
                "Type": "volume",
                "Target": "/a"
              },
              {
                "Type": "volume",
                "Source": "v",
                "Target": "/b"
              }
            ],
            "Init": false,
            "RestartPolicy": {
              "Name": "no"
            },
            "AutoRemove": false,
            "NetworkMode": "n1"
          },
          "NetworkingConfig": {
            "EndpointsConfig": {
              "n1": {
                "Aliases": [
                  "app"
                ]
              }
            }
          },
          "Cmd": [
            "x"
          ],
          "Healthcheck": {
            "Test": [
              "NONE"
            ],
            "Interval": 1500000000
          }
        }
        "#);
    }

    #[test]
    fn a_start_period_leaves_the_rest_of_the_health_check_alone() {
        let period = Some(Duration::from_secs(300));
        let mut spec = spec();
        spec.health = None;
        assert_eq!(create_body(&spec, 0.5, None)["Healthcheck"], Value::Null);
        assert_eq!(
            create_body(&spec, 0.5, period)["Healthcheck"],
            json!({"StartPeriod": 300_000_000_000_u64})
        );
        spec.health = Some(HealthCheck {
            test: vec!["CMD".to_owned(), "check".to_owned()],
            start_period: Some(Duration::from_secs(1)),
            retries: Some(7),
            ..HealthCheck::default()
        });
        assert_eq!(
            create_body(&spec, 0.5, period)["Healthcheck"],
            json!({"Test": ["CMD", "check"], "StartPeriod": 300_000_000_000_u64, "Retries": 7})
        );
    }
}
