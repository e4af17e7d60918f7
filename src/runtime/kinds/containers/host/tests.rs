use super::*;
use lowtide_core::kinds::containers::model::{OnExit, RestartPolicy};
use lowtide_model::rollout::Part;

fn container() -> Value {
    json!({
        "Name": "/web",
        "Config": {"Image": "app:1", "Labels": {"app": "web"}, "Env": ["KEY=secret"]},
        "HostConfig": {
            "Runtime": "gpu",
            "Devices": [{"PathOnHost": "/dev/ttyUSB0", "PathInContainer": "/dev/ttyUSB0", "CgroupPermissions": ""}],
            "SecurityOpt": ["apparmor=web"],
            "Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 2048}],
            "Binds": ["/made:/made"],
            "Mounts": [
                {"Type": "bind", "Source": "/srv/data", "Target": "/data"},
                {"Type": "bind", "Source": "/srv/made", "Target": "/made", "BindOptions": {"CreateMountpoint": true}},
                {"Type": "volume", "Source": "named", "Target": "/named"},
            ],
            "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]},
            "NetworkMode": "front",
            "LogConfig": {"Type": "fluentd"},
            "RestartPolicy": {"Name": "always"},
            "CapAdd": ["NET_ADMIN"],
        },
    })
}

fn unit(needs: Vec<HostNeed>) -> Unit {
    Unit {
        index: 0,
        name: "web".to_owned(),
        old: "old".to_owned(),
        old_image: lowtide_model::image::ImageId::of_sha256(&[7; 32]),
        was_running: true,
        restart: RestartPolicy::none(),
        fixed_restart: false,
        snapshot: String::new(),
        part: Part::Release,
        depends_on: Vec::new(),
        bars: Vec::new(),
        on_exit: OnExit::Stays,
        tag: None,
        needs,
    }
}

#[test]
fn what_only_a_trial_shows() {
    let needs = |host: Value| needs(&json!({ "HostConfig": host }), EngineKind::Docker, "runc");
    for (host, expected) in [
        (json!({}), vec![]),
        (
            json!({"Runtime": "runc", "Devices": [], "Ulimits": null, "SecurityOpt": null}),
            vec![],
        ),
        (json!({"Runtime": "gpu"}), vec![HostNeed::Runtime]),
        (json!({"DeviceRequests": [{"Count": -1}]}), vec![HostNeed::Devices]),
        (json!({"DeviceCgroupRules": ["c 1:3 mr"]}), vec![HostNeed::Devices]),
        (
            json!({"SecurityOpt": ["no-new-privileges"]}),
            vec![HostNeed::SecurityProfiles],
        ),
        (json!({"Ulimits": [{"Name": "nofile"}]}), vec![HostNeed::Ulimits]),
        (json!({"Binds": ["/x:/y"]}), vec![]),
        (
            json!({"Mounts": [{"Type": "bind", "Source": "/x", "Target": "/y"}]}),
            vec![HostNeed::BindSources],
        ),
        (
            json!({"Mounts": [{"Type": "volume", "Source": "x", "Target": "/y"}]}),
            vec![],
        ),
    ] {
        assert_eq!(needs(host.clone()), expected, "{host}");
    }
}

/// The user's name, network, ports, volumes, labels and policy stay out, and what the image brings too.
#[test]
#[expect(clippy::too_many_lines, reason = "the whole body is shown")]
fn a_try_has_those_settings_and_nothing_else() {
    let snapshot = Snapshot {
        container: container(),
        image_config: json!({"Labels": {"app": "web"}, "Volumes": {"/data": {}, "/more": {}}}),
        files: Vec::new(),
        tag: None,
        api: 41,
        fixed_restart: false,
    };
    let on_podman = needs(&snapshot.container, EngineKind::Podman, "crun");
    assert!(
        on_podman.iter().all(|need| *need == HostNeed::BindSources),
        "{on_podman:?}"
    );
    let needs = needs(&snapshot.container, EngineKind::Docker, "runc");
    let unit = unit(needs.clone());
    let labels = [(LABEL_INSTANCE, "test".to_owned())];
    let started: Vec<HostNeed> = needs
        .into_iter()
        .filter(|need| *need != HostNeed::BindSources)
        .collect();
    let settings = Value::Object(settings(&snapshot.container, &started));
    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap();
    insta::assert_snapshot!(pretty(&body(&unit, &snapshot, &labels, settings)), @r#"
    {
      "Image": "sha256:0707070707070707070707070707070707070707070707070707070707070707",
      "Entrypoint": [
        "/sbin/docker-init"
      ],
      "Cmd": [
        "--version"
      ],
      "User": "0",
      "WorkingDir": "/",
      "Healthcheck": {
        "Test": [
          "NONE"
        ]
      },
      "Labels": {
        "app": "",
        "io.lowtide.instance": "test"
      },
      "HostConfig": {
        "Devices": [
          {
            "PathOnHost": "/dev/ttyUSB0",
            "PathInContainer": "/dev/ttyUSB0",
            "CgroupPermissions": "rwm"
          }
        ],
        "Runtime": "gpu",
        "SecurityOpt": [
          "apparmor=web"
        ],
        "Ulimits": [
          {
            "Name": "nofile",
            "Soft": 1024,
            "Hard": 2048
          }
        ],
        "Mounts": [
          {
            "Type": "tmpfs",
            "Target": "/data"
          },
          {
            "Type": "tmpfs",
            "Target": "/more"
          }
        ],
        "NetworkMode": "none",
        "RestartPolicy": {
          "Name": "no"
        },
        "LogConfig": {
          "Type": "none"
        },
        "Init": true
      }
    }
    "#);
    let mounts = json!({"Mounts": binds(&snapshot.container)});
    let body = body(&unit, &snapshot, &labels, mounts);
    insta::assert_snapshot!(pretty(&body["HostConfig"]), @r#"
    {
      "Mounts": [
        {
          "Type": "tmpfs",
          "Target": "/more"
        },
        {
          "Type": "bind",
          "Source": "/srv/data",
          "Target": "/data",
          "ReadOnly": true
        }
      ],
      "NetworkMode": "none",
      "RestartPolicy": {
        "Name": "no"
      },
      "LogConfig": {
        "Type": "none"
      },
      "Init": true
    }
    "#);
}

#[test]
fn a_port_that_another_one_holds_is_seen() {
    let requests =
        |ip: &str, port: &str| json!({"HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": ip, "HostPort": port}]}}});
    let holds = |inside: &str, ip: &str, port: &str| json!({"Name": "/other", "NetworkSettings": {"Ports": {inside: [{"HostIp": ip, "HostPort": port}]}}});
    for (container, other, taken) in [
        (requests("", "8080"), holds("80/tcp", "0.0.0.0", "8080"), true),
        (requests("127.0.0.1", "8080"), holds("90/tcp", "0.0.0.0", "8080"), true),
        (requests("", "8080"), holds("90/tcp", "127.0.0.1", "8080"), true),
        (
            requests("127.0.0.2", "8080"),
            holds("90/tcp", "127.0.0.1", "8080"),
            false,
        ),
        (requests("", "8080"), holds("80/udp", "0.0.0.0", "8080"), false),
        (requests("", "8081"), holds("80/tcp", "0.0.0.0", "8080"), false),
        (requests("", ""), holds("80/tcp", "0.0.0.0", "8080"), false),
        (requests("", "8000-8090"), holds("80/tcp", "0.0.0.0", "8080"), false),
        (
            json!({"HostConfig": {"PortBindings": null}}),
            holds("80/tcp", "0.0.0.0", "8080"),
            false,
        ),
        (
            requests("", "8080"),
            json!({"Name": "/other", "NetworkSettings": {"Ports": {"80/tcp": null}}}),
            false,
        ),
    ] {
        let found = ports_taken(&container, &[&other]);
        let expected: Vec<(String, String)> = if taken {
            vec![("8080/tcp".to_owned(), "other".to_owned())]
        } else {
            vec![]
        };
        assert_eq!(found, expected, "{container} {other}");
    }
}
