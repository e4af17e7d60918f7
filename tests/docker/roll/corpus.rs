//! Bodies of `POST /containers/create` that together set every field the Engine API describes, as far as an engine on a test
//! machine takes it.

use super::stage::{Stage, docker};
use serde_json::{Value, json};

/// What no case sets, and why. Entries with an API version are set from that version on.
pub(super) const NOT_HERE: &[(&str, Option<u32>, &str)] = &[
    ("Config.Healthcheck.StartInterval", Some(44), "API 1.44"),
    ("HostConfig.Annotations", Some(43), "API 1.43"),
    (
        "HostConfig.Mounts.[].BindOptions.CreateMountpoint",
        Some(42),
        "API 1.42",
    ),
    (
        "HostConfig.Mounts.[].BindOptions.ReadOnlyNonRecursive",
        Some(44),
        "API 1.44",
    ),
    (
        "HostConfig.Mounts.[].BindOptions.ReadOnlyForceRecursive",
        Some(44),
        "API 1.44",
    ),
    ("HostConfig.Mounts.[].VolumeOptions.Subpath", Some(45), "API 1.45"),
    ("HostConfig.Mounts.[].TmpfsOptions.Options", Some(46), "API 1.46"),
    (
        "HostConfig.Mounts.[].ImageOptions",
        None,
        "API 1.48, newer than the test engines",
    ),
    (
        "HostConfig.Mounts.[].ImageOptions.Subpath",
        None,
        "API 1.48, newer than the test engines",
    ),
    ("Networks.{}.GwPriority", Some(48), "API 1.48"),
    ("HostConfig.BlkioWeight", None, "needs a kernel with io.weight"),
    ("HostConfig.BlkioWeightDevice", None, "needs a kernel with io.weight"),
    ("HostConfig.BlkioWeightDevice.[].Path", None, "as above"),
    ("HostConfig.BlkioWeightDevice.[].Weight", None, "as above"),
    ("HostConfig.CpuPercent", None, "Windows"),
    ("HostConfig.IOMaximumIOps", None, "Windows"),
    ("HostConfig.IOMaximumBandwidth", None, "Windows"),
    ("HostConfig.Isolation", None, "Windows"),
    ("HostConfig.StorageOpt", None, "needs overlay2 on xfs with pquota"),
];

/// Name and body of each case. `other` networks and volumes are the stage's own.
pub(super) fn cases(stage: &Stage, subnet: &str, subnet6: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("words", words()),
        ("limits", limits()),
        ("shares", shares()),
        ("host", host()),
        ("mounts", mounts(&stage.name)),
        ("ties", ties(stage)),
        ("networks", networks(&stage.name, subnet, subnet6)),
        (
            "no-network",
            json!({"NetworkDisabled": true, "HostConfig": {"NetworkMode": "none"}}),
        ),
        (
            "read-only",
            json!({"HostConfig": {"ReadonlyRootfs": true, "Tmpfs": {"/run": "size=1m,mode=700"}}}),
        ),
        (
            "without a check",
            json!({"Healthcheck": {"Test": ["NONE"]}, "HostConfig": {}}),
        ),
        ("nothing", json!({"HostConfig": {}})),
    ]
}

fn words() -> Value {
    json!({
        "Hostname": "shop1", "Domainname": "example.org", "User": "1:20", "AttachStdin": true, "AttachStdout": true,
        "AttachStderr": true, "ExposedPorts": {"80/tcp": {}, "81/udp": {}}, "Tty": true, "OpenStdin": true, "StdinOnce": true,
        // One equal to the image's, one unlike it, one of the user's own, one without a value.
        "Env": ["GREETING=one", "COLOUR=red", "TOKEN=a=b c", "EMPTY="], "Cmd": ["sleep", "1000"],
        "Healthcheck": {
            "Test": ["CMD", "true"], "Interval": 1_000_000_000_u64, "Timeout": 2_000_000_000_u64, "Retries": 3,
            "StartPeriod": 4_000_000_000_u64, "StartInterval": 5_000_000_000_u64,
        },
        "ArgsEscaped": true, "Volumes": {"/data": {}, "/extra": {}}, "WorkingDir": "/tmp", "Entrypoint": ["env"], "OnBuild": ["RUN true"],
        "Labels": {"vendor": "mine", "owner": "me", "empty": ""}, "StopSignal": "SIGQUIT", "StopTimeout": 4, "Shell": ["/bin/sh", "-e"],
        "HostConfig": words_to_the_host(),
    })
}

fn words_to_the_host() -> Value {
    json!({
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "2"}},
        "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18080"}, {"HostIp": "", "HostPort": ""}], "81/udp": [{"HostPort": "18081"}]},
        "PublishAllPorts": true, "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}, "ConsoleSize": [24, 80],
        "ContainerIDFile": "/tmp/lowtide-test.cid", "Annotations": {"org.example.a": "b"}, "CapAdd": ["NET_ADMIN"],
        "CapDrop": ["MKNOD", "CHOWN"], "CgroupnsMode": "host", "Dns": ["10.9.8.6"], "DnsOptions": ["ndots:2"], "DnsSearch": ["example.org"],
        "ExtraHosts": ["db.example.org:10.9.8.7"], "GroupAdd": ["20", "video"], "IpcMode": "shareable", "Cgroup": "x",
        "OomScoreAdj": 100, "SecurityOpt": ["no-new-privileges"], "ShmSize": 8_388_608, "Sysctls": {"net.core.somaxconn": "512"},
        "Runtime": "runc", "MaskedPaths": ["/proc/acpi"], "ReadonlyPaths": ["/proc/bus"], "Init": true,
    })
}

fn limits() -> Value {
    let throttle = json!([{"Path": "/dev/loop0", "Rate": 1_000_000}]);
    json!({"HostConfig": {
        "CpuShares": 512, "Memory": 67_108_864, "MemoryReservation": 33_554_432, "MemorySwap": 134_217_728, "MemorySwappiness": 10,
        "KernelMemory": 8_388_608, "KernelMemoryTCP": 8_388_608, "CgroupParent": "/lowtide-test", "CpuPeriod": 50_000, "CpuQuota": 20_000,
        "CpuRealtimePeriod": 1_000_000, "CpuRealtimeRuntime": 900_000, "CpusetCpus": "0", "CpusetMems": "0", "OomKillDisable": true,
        "PidsLimit": 100, "Ulimits": [{"Name": "nofile", "Soft": 1000, "Hard": 2000}, {"Name": "core", "Soft": 0, "Hard": 0}],
        "BlkioWeight": 300, "BlkioWeightDevice": [{"Path": "/dev/loop0", "Weight": 200}],
        "BlkioDeviceReadBps": throttle, "BlkioDeviceWriteBps": throttle, "BlkioDeviceReadIOps": throttle, "BlkioDeviceWriteIOps": throttle,
        "Devices": [
            {"PathOnHost": "/dev/null", "PathInContainer": "/dev/nothing", "CgroupPermissions": "rw"},
            // What `docker run --device` never leaves empty, and an API client may.
            {"PathOnHost": "/dev/zero", "PathInContainer": "/dev/nought"},
        ],
        "DeviceCgroupRules": ["c 1:3 mr"],
        // Taken without a driver; only a start asks for it.
        "DeviceRequests": [{"Driver": "nvidia", "Count": 0, "DeviceIDs": ["0", "GPU-fef8089b"], "Capabilities": [["gpu", "utility"]], "Options": {"a": "b"}},
            {"Driver": "", "Count": -1, "DeviceIDs": null, "Capabilities": [["gpu"]], "Options": {}}],
    }})
}

/// What does not go together with [`limits`].
fn shares() -> Value {
    json!({"HostConfig": {"NanoCpus": 500_000_000, "CpuCount": 1, "CpuPercent": 50, "PidsLimit": -1, "MemorySwap": -1, "Memory": 67_108_864, "OomKillDisable": false, "Init": false}})
}

fn host() -> Value {
    json!({"HostConfig": {
        "NetworkMode": "host", "PidMode": "host", "UTSMode": "host", "UsernsMode": "host", "IpcMode": "host", "Privileged": true,
    }})
}

fn mounts(name: &str) -> Value {
    let (named, driven, mounted) = (
        format!("{name}-named:/named:ro"),
        format!("{name}-driven"),
        format!("{name}-mounted"),
    );
    json!({
        "Volumes": {"/nameless": {}},
        "HostConfig": {
            "Binds": ["/srv:/bound:ro,rslave", named, "/alone"], "VolumeDriver": "local", "Tmpfs": {"/scratch": "size=1m"},
            "Mounts": [
                {"Type": "bind", "Source": "/srv", "Target": "/bind", "ReadOnly": true, "Consistency": "cached", "BindOptions": {
                    "Propagation": "rslave", "NonRecursive": true, "CreateMountpoint": true,
                }},
                {"Type": "bind", "Source": "/srv", "Target": "/bind2", "ReadOnly": true, "BindOptions": {"Propagation": "rprivate", "ReadOnlyNonRecursive": true}},
                {"Type": "bind", "Source": "/srv", "Target": "/bind3", "ReadOnly": true, "BindOptions": {"Propagation": "rprivate", "ReadOnlyForceRecursive": true}},
                {"Type": "volume", "Source": mounted, "Target": "/mounted", "VolumeOptions": {"NoCopy": true, "Labels": {"a": "b"}, "Subpath": "sub"}},
                {"Type": "volume", "Source": driven, "Target": "/driven", "VolumeOptions": {
                    "DriverConfig": {"Name": "local", "Options": {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}},
                }},
                {"Type": "volume", "Target": "/asked"},
                {"Type": "tmpfs", "Target": "/memory", "TmpfsOptions": {"SizeBytes": 1_048_576, "Mode": 448, "Options": [["exec"]]}},
            ],
        },
    })
}

fn networks(name: &str, subnet: &str, subnet6: &str) -> Value {
    let front = format!("{name}-front");
    json!({
        "MacAddress": "02:11:22:33:44:55",
        "HostConfig": {"NetworkMode": front},
        "NetworkingConfig": {"EndpointsConfig": {front: {
            "IPAMConfig": {"IPv4Address": format!("{subnet}.99"), "IPv6Address": format!("{subnet6}99"), "LinkLocalIPs": ["169.254.34.68"]},
            "Links": ["other:alias"], "Aliases": ["shop"], "MacAddress": "02:11:22:33:44:55", "DriverOpts": {"com.example.opt": "1"}, "GwPriority": 7,
        }}},
    })
}

/// What holds on to another container, and what its own end deletes.
fn ties(stage: &Stage) -> Value {
    let held = format!("{}-held", stage.name);
    docker(&[
        "run",
        "-d",
        "--name",
        &held,
        "-v",
        "/held",
        "lowtide-test/busybox:1",
        "sleep",
        "1000",
    ]);
    json!({"HostConfig": {"AutoRemove": true, "VolumesFrom": [held], "Links": [format!("{held}:db")]}})
}
