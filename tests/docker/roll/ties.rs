//! Containers that hold on to what is rolled, and containers that their own end deletes.

use super::stage::*;
use super::whole::{EXITS, House, SERVES, SERVES_TOO};
use lowtide::model::failure::FailureKind;
use lowtide::model::rollout::RolloutConclusion;
use serde_json::Value;

const QUICK: &str = "ready: { stay_up: 500ms }, bake: 100ms";

fn reverted(conclusion: &RolloutConclusion) -> (FailureKind, String) {
    let RolloutConclusion::Reverted { failure } = conclusion else {
        panic!("{conclusion:?}")
    };
    (failure.kind, failure.excerpt.join("|"))
}

fn field<'a>(inspected: &'a Value, pointer: &str) -> &'a str {
    inspected.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[tokio::test]
async fn who_holds_on_to_it_moves_with_it_and_goes_back_with_it() {
    let stage = Stage::new();
    stage.image("old", SERVES);
    let (new, bad) = (stage.image("new", SERVES_TOO), stage.image("bad", EXITS));
    stage.run(&["-v", "/data"], &[]);
    let web = &stage.name;
    let name = |role: &str| format!("{web}-{role}");
    let make = |role: &str, holds: String| {
        docker(&[
            "run",
            "-d",
            "--init",
            "--name",
            &name(role),
            &holds,
            "lowtide-test/busybox:1",
            "sleep",
            "1000",
        ])
    };
    let old = [
        make("tenant", format!("--network=container:{web}")),
        make("lodger", format!("--pid=container:{}", name("tenant"))),
        make("reader", format!("--volumes-from={web}")),
        make("caller", format!("--link={web}:service")),
    ];
    let house = House::new(&format!("{{ container: {{ name: {web} }}, {QUICK} }}")).await;
    let look = async || {
        let (web, tenant) = (stage.inspect(web).await, stage.inspect(&name("tenant")).await);
        let (lodger, reader) = (
            stage.inspect(&name("lodger")).await,
            stage.inspect(&name("reader")).await,
        );
        let caller = stage.inspect(&name("caller")).await;
        for container in [&web, &tenant, &lodger, &reader, &caller] {
            assert_eq!(field(container, "/State/Status"), "running");
        }
        let id = |c: &Value| field(c, "/Id").to_owned();
        assert_eq!(
            field(&tenant, "/HostConfig/NetworkMode"),
            format!("container:{}", id(&web))
        );
        assert_eq!(
            field(&lodger, "/HostConfig/PidMode"),
            format!("container:{}", id(&tenant))
        );
        assert_eq!(field(&reader, "/Mounts/0/Name"), field(&web, "/Mounts/0/Name"));
        assert!(field(&caller, "/HostConfig/Links/0").ends_with("/service"));
        [id(&tenant), id(&lodger), id(&reader), id(&caller)]
    };
    let (ended, steps) = house.roll(&stage, "new", &new).await;
    assert_eq!(ended, RolloutConclusion::Done, "{steps:?}");
    let moved = look().await;
    assert!(moved.iter().all(|id| !old.contains(id)), "all of them are new");

    let (ended, _) = house.roll(&stage, "bad", &bad).await;
    assert_eq!(reverted(&ended).0, FailureKind::ContainerExited);
    assert_eq!(look().await, moved, "the very same containers are back");
    let left = docker(&["ps", "-aq", "--filter", &format!("name={web}")]);
    assert_eq!(left.lines().count(), 5, "nothing else is left");
}

#[tokio::test]
async fn what_its_end_deletes_is_rolled_and_made_again_with_its_data() {
    let stage = Stage::new();
    stage.image("old", SERVES);
    let (new, bad) = (stage.image("new", SERVES_TOO), stage.image("bad", EXITS));
    stage.run(&["--rm", "-v", "/data", "-e", "MODE=kept"], &[]);
    docker(&["exec", &stage.name, "sh", "-c", "echo precious >/data/file"]);
    let house = House::new(&format!("{{ container: {{ name: {} }}, {QUICK} }}", stage.name)).await;
    let look = async |image: &str| {
        let now = stage.inspect(&stage.name).await;
        assert_eq!(field(&now, "/Image"), image);
        assert_eq!(now.pointer("/HostConfig/AutoRemove"), Some(&Value::Bool(true)));
        assert_eq!(docker(&["exec", &stage.name, "cat", "/data/file"]), "precious");
        assert_eq!(docker(&["exec", &stage.name, "sh", "-c", "echo $MODE"]), "kept");
    };
    let (ended, steps) = house.roll(&stage, "new", &new).await;
    assert_eq!(ended, RolloutConclusion::Done, "{steps:?}");
    look(new.as_str()).await;

    let (ended, steps) = house.roll(&stage, "bad", &bad).await;
    assert_eq!(
        reverted(&ended),
        (FailureKind::ContainerExited, "out of order".to_owned())
    );
    assert!(steps.contains(&"make old container again".to_owned()), "{steps:?}");
    look(new.as_str()).await;
    assert_eq!(
        docker(&["images", "-q", "lowtide/keep"]),
        "",
        "nothing is kept for a way back that was taken"
    );
}

/// A stand-in for a router that writes down what it is told, and by whom it can be reached.
fn router(stage: &Stage, network: &str) -> String {
    let router = format!("{}-edge", stage.name);
    docker(&[
        "run",
        "-d",
        "--init",
        "--name",
        &router,
        "--network",
        network,
        "lowtide-test/busybox:1",
        "sleep",
        "1000",
    ]);
    router
}

#[tokio::test]
async fn behind_a_router_the_new_one_serves_before_the_old_one_goes() {
    let stage = Stage::new();
    stage.image("old", SERVES);
    let (new, bad) = (stage.image("new", SERVES_TOO), stage.image("bad", EXITS));
    stage.network("edge", false);
    stage.network("back", false);
    let (edge, back) = (format!("{}-edge", stage.name), format!("{}-back", stage.name));
    let id = stage.run(&["--network", &back], &[]);
    docker(&["network", "connect", "--alias", "web", &edge, &id]);
    let router = router(&stage, &edge);
    let commands = "join: [sh, -ec, \"nc -w 2 $LOWTIDE_ADDRESS 80 </dev/null; echo join $LOWTIDE_CONTAINER >>/told\"], \
         leave: [sh, -ec, \"nc -w 2 $LOWTIDE_ADDRESS 80 </dev/null; echo leave $LOWTIDE_CONTAINER >>/told\"], drain: 100ms";
    let house = House::new(&format!(
        "{{ container: {{ name: {} }}, {QUICK}, router: {{ container: {router}, {commands} }} }}",
        stage.name
    ))
    .await;
    let recorded = || docker(&["exec", &router, "sh", "-c", "cat /told; rm /told"]);
    let (ended, steps) = house.roll(&stage, "new", &new).await;
    assert_eq!(ended, RolloutConclusion::Done, "{steps:?}");
    let changes = recorded();
    let changes: Vec<&str> = changes.lines().collect();
    assert!(
        changes[0].starts_with(&format!("join {}.next.", stage.name)),
        "{changes:?}"
    );
    assert_eq!(changes[1..], [format!("leave {}", stage.name)]);
    let now = stage.inspect(&stage.name).await;
    let aliases = now
        .pointer(&format!("/NetworkSettings/Networks/{edge}/Aliases"))
        .unwrap();
    assert!(aliases.as_array().unwrap().contains(&"web".into()), "{aliases}");
    let once = steps.iter().filter(|step| step.starts_with("wait until new")).count();
    assert_eq!(once, 2, "it proved itself again after it was connected: {steps:?}");

    let (ended, steps) = house.roll(&stage, "bad", &bad).await;
    assert_eq!(reverted(&ended).0, FailureKind::ContainerExited);
    assert!(!steps.iter().any(|step| step.starts_with("stop old")), "{steps:?}");
    assert_eq!(
        docker(&["exec", &router, "sh", "-c", "test ! -e /told && echo nothing"]),
        "nothing"
    );
}

#[tokio::test]
async fn a_router_that_pauses_is_always_resumed() {
    let stage = Stage::new();
    stage.image("old", SERVES);
    let (new, bad) = (stage.image("new", SERVES_TOO), stage.image("bad", EXITS));
    stage.network("edge", false);
    let edge = format!("{}-edge", stage.name);
    stage.run(&["--network", &edge], &[]);
    let router = router(&stage, &edge);
    let commands = "pause: [sh, -c, \"echo pause >>/told\"], resume: [sh, -c, \"echo resume >>/told\"]";
    let house = House::new(&format!(
        "{{ container: {{ name: {} }}, {QUICK}, router: {{ container: {router}, {commands} }} }}",
        stage.name
    ))
    .await;
    let recorded = || docker(&["exec", &router, "sh", "-c", "cat /told; rm /told"]);
    let (ended, steps) = house.roll(&stage, "new", &new).await;
    assert_eq!(ended, RolloutConclusion::Done, "{steps:?}");
    assert_eq!(recorded(), "pause\nresume");
    let (ended, _) = house.roll(&stage, "bad", &bad).await;
    reverted(&ended);
    assert_eq!(recorded(), "pause\nresume");
}
