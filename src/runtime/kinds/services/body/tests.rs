use super::*;
use lowtide_model::name::RolloutId;

fn knobs() -> UpdateKnobs {
    UpdateKnobs {
        parallelism: 1,
        delay: SignedDuration::from_secs(15),
        monitor: SignedDuration::from_secs(10),
        order: UpdateOrder::StartFirst,
        on_failure: OnFailure::Pause,
    }
}

const MARK: Mark<'_> = Mark {
    rollout: RolloutId(ulid::Ulid(7)),
    unit: 0,
    instance: "here",
    term: 3,
    role: lowtide_model::rollout::Which::New,
};

fn spec() -> Value {
    json!({
        "Name": "web",
        "Labels": {"theirs": "stays"},
        "TaskTemplate": {
            "ContainerSpec": {"Image": "example.org/web:t0@sha256:aa", "FieldOfTomorrow": {"a": [1]}, "Env": ["A=b"]},
            "ForceUpdate": 4,
            "PlanOfTomorrow": null,
        },
        "Mode": {"Replicated": {"Replicas": 2}},
        "EndpointSpec": {"Mode": "vip"},
        "RollbackConfig": {"Parallelism": 7},
        "SpecOfTomorrow": "kept",
    })
}

/// 39: what no binding of ours knows comes through.
#[test]
fn an_update_changes_image_settings_and_labels_and_nothing_else() {
    let mut body = moved(&spec(), "example.org/web:t1@sha256:bb", &knobs(), &MARK);
    insta::assert_snapshot!(serde_json::to_string(&body["UpdateConfig"]).unwrap(), @r#"{"Parallelism":1,"Delay":15000000000,"Monitor":10000000000,"MaxFailureRatio":0,"Order":"start-first","FailureAction":"pause"}"#);
    insta::assert_snapshot!(serde_json::to_string(&body["Labels"]).unwrap(), @r#"{"theirs":"stays","io.lowtide.rollout":"00000000000000000000000007","io.lowtide.instance":"here","io.lowtide.term":"3"}"#);
    assert_eq!(
        body["TaskTemplate"]["ContainerSpec"]["Image"],
        "example.org/web:t1@sha256:bb"
    );
    body["TaskTemplate"]["ContainerSpec"]["Image"] = json!("example.org/web:t0@sha256:aa");
    body["Labels"] = spec()["Labels"].clone();
    body.as_object_mut().unwrap().remove("UpdateConfig");
    assert_eq!(body, spec());
}

#[test]
fn what_was_restored_after_a_revert_is_what_was() {
    for own in [None, Some(json!({"Parallelism": 2, "Order": "stop-first"}))] {
        let mut stored = spec();
        if let Some(own) = own {
            stored["UpdateConfig"] = own;
        }
        let there = moved(&stored, "new", &knobs(), &MARK);
        let back = moved(&there, "example.org/web:t0@sha256:aa", &knobs(), &MARK);
        assert_eq!(restored(&back, &stored, &knobs(), Retain::Nothing), stored);
    }
}

#[test]
fn a_release_that_is_on_leaves_the_label_of_its_owner() {
    let there = moved(&spec(), "new", &knobs(), &MARK);
    let done = restored(&there, &spec(), &knobs(), Retain::Instance);
    assert_eq!(
        done["Labels"],
        json!({"theirs": "stays", "io.lowtide.instance": "here"})
    );
    assert_eq!(done.get("UpdateConfig"), None);
}

#[test]
fn settings_that_somebody_changed_stay() {
    let mut there = moved(&spec(), "new", &knobs(), &MARK);
    there["UpdateConfig"]["Parallelism"] = json!(5);
    there["Mode"]["Replicated"]["Replicas"] = json!(9);
    let done = restored(&there, &spec(), &knobs(), Retain::Nothing);
    assert_eq!(done["UpdateConfig"]["Parallelism"], 5);
    assert_eq!(done["Mode"]["Replicated"]["Replicas"], 9);
    assert_eq!(done["Labels"], json!({"theirs": "stays"}));
}

/// The manager leaves zeroes out of what it shows.
#[test]
fn settings_are_recognised_as_the_manager_shows_them() {
    let sent = UpdateKnobs {
        delay: SignedDuration::ZERO,
        ..knobs()
    };
    let mut shown = update_config(&sent);
    shown.as_object_mut().unwrap().remove("Delay");
    assert_eq!(update_knobs(&shown), Some(sent));
    assert_eq!(update_knobs(&Value::Null), None);
}

#[test]
fn a_job_that_pulls_goes_where_the_service_goes() {
    let mut spec = spec();
    spec["TaskTemplate"]["Placement"] = json!({
        "Constraints": ["node.labels.a==b"], "Preferences": [{}], "MaxReplicas": 1, "Platforms": [{"OS": "linux"}],
    });
    let body = prepull("job", &spec, "example.org/web:t1@sha256:bb", &MARK);
    insta::assert_snapshot!(serde_json::to_string_pretty(&body).unwrap(), @r#"
    {
      "Name": "job",
      "Labels": {
        "io.lowtide.prepull": "here",
        "io.lowtide.instance": "here",
        "io.lowtide.rollout": "00000000000000000000000007",
        "io.lowtide.term": "3"
      },
      "Mode": {
        "GlobalJob": {}
      },
      "TaskTemplate": {
        "ContainerSpec": {
          "Image": "example.org/web:t1@sha256:bb",
          "Command": [
            "/.lowtide-brings-the-image"
          ]
        },
        "RestartPolicy": {
          "Condition": "none"
        },
        "Placement": {
          "Constraints": [
            "node.labels.a==b"
          ],
          "Platforms": [
            {
              "OS": "linux"
            }
          ]
        }
      }
    }
    "#);
}

#[test]
fn what_one_task_holds_alone_is_seen() {
    let mut spec = spec();
    assert!(!has_host_port(&spec) && !has_shared_writes(&spec));
    spec["EndpointSpec"]["Ports"] = json!([{"PublishMode": "host", "TargetPort": 80}]);
    assert!(!has_host_port(&spec), "a port of the node's choice is free");
    spec["EndpointSpec"]["Ports"][0]["PublishedPort"] = json!(80);
    assert!(has_host_port(&spec));
    for (mount, shared) in [
        (json!({"Type": "volume", "Source": "data", "Target": "/d"}), true),
        (
            json!({"Type": "volume", "Source": "data", "Target": "/d", "ReadOnly": true}),
            false,
        ),
        (json!({"Type": "volume", "Target": "/d"}), false),
        (json!({"Type": "bind", "Source": "/srv", "Target": "/d"}), true),
        (json!({"Type": "tmpfs", "Target": "/d"}), false),
    ] {
        spec["TaskTemplate"]["ContainerSpec"]["Mounts"] = json!([mount]);
        assert_eq!(has_shared_writes(&spec), shared, "{mount}");
    }
}
