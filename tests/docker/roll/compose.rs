//! Compose still knows what was rolled: `up` afterwards changes nothing.

use super::stage::*;
use lowtide::kinds::containers::model::RestartPolicy;
use lowtide::kinds::containers::policy::{ContainerSelect, ContainersPolicy};
use lowtide::model::failure::{Failure, FailureKind};
use lowtide::model::image::ImageId;
use lowtide::runtime::kinds::containers::preflight::{Preflight, preflight};
use lowtide::runtime::kinds::containers::snapshot::Snapshot;
use lowtide::runtime::kinds::containers::{name, tag, verbs};
use std::process::Command;

const PROJECT: &str = r"
services:
  web:
    image: IMAGE
    scale: 2
    command: [sleep, '1000']
    stop_grace_period: 0s
    environment: {MODE: production}
    depends_on: {db: {condition: service_started}}
    configs: [{source: settings, target: /etc/settings, mode: 0440}]
    networks: {front: {aliases: [shop]}, back: {}}
  db:
    image: IMAGE
    container_name: NAME-thedb
    command: [sleep, '1000']
    stop_grace_period: 0s
    restart: always
    volumes: ['named:/named', /nameless]
    networks: [back]
configs:
  settings: {content: 'a=b'}
networks:
  front:
  back:
volumes:
  named:
";

struct Project {
    stage: Stage,
    file: tempfile::NamedTempFile,
}

impl Project {
    fn new() -> Self {
        Self::of(PROJECT)
    }

    fn of(text: &str) -> Self {
        let stage = Stage::new();
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = text.replace("IMAGE", &stage.tag("app")).replace("NAME", &stage.name);
        std::fs::write(file.path(), text).unwrap();
        Self { stage, file }
    }

    fn compose(&self, args: &[&str]) {
        let (done, said) = self.output(args);
        assert!(done, "compose {args:?}: {said}");
    }

    /// Did it work, and what did it say?
    fn output(&self, args: &[&str]) -> (bool, String) {
        let program = std::env::var("LOWTIDE_TEST_COMPOSE")
            .expect("LOWTIDE_TEST_COMPOSE is not set: run `scripts/test docker`, which unpacks Compose v2");
        let socket = std::env::var("LOWTIDE_TEST_ENGINE").unwrap();
        let output = Command::new(program)
            .args(["--ansi", "never", "-p", &self.stage.name, "-f"])
            .arg(self.file.path())
            .args(args)
            .env("DOCKER_HOST", format!("unix://{socket}"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), said)
    }

    /// Name and id of every container of the project.
    fn containers(&self) -> Vec<String> {
        let filter = format!("label=com.docker.compose.project={}", self.stage.name);
        let listed = docker(&[
            "ps",
            "-a",
            "--no-trunc",
            "--filter",
            &filter,
            "--format",
            "{{.Names}} {{.ID}}",
        ]);
        let mut listed: Vec<String> = listed.lines().map(ToOwned::to_owned).collect();
        listed.sort();
        listed
    }

    async fn preflight(&self) -> Preflight {
        self.preflight_of(&["web", "db"]).await.unwrap()
    }

    async fn preflight_of(&self, services: &[&str]) -> Result<Preflight, Failure> {
        let select = ContainerSelect::Compose {
            project: self.stage.name.clone(),
            services: services.iter().map(|service| (*service).to_owned()).collect(),
        };
        preflight(&self.stage.engine, &settings(), &ContainersPolicy::of(select)).await
    }
}

/// Every unit to the new image, up to the removal of the old container.
async fn roll(stage: &Stage, found: &Preflight, new: &lowtide::model::image::ImageId) {
    let engine = &stage.engine;
    for unit in &found.units {
        let candidate = stage.candidate(found, unit.index, new).await.unwrap();
        verbs::stop(engine, &unit.old, None).await.unwrap();
        verbs::set_restart(engine, &unit.old, &RestartPolicy::none())
            .await
            .unwrap();
        verbs::start(engine, &candidate).await.unwrap();
        verbs::rename(engine, &unit.old, &name::prev(&unit.name, &stage.rollout))
            .await
            .unwrap();
        verbs::rename(engine, &candidate, &unit.name).await.unwrap();
        verbs::set_restart(engine, &candidate, &unit.restart).await.unwrap();
        verbs::remove_container(engine, &unit.old).await.unwrap();
    }
}

#[tokio::test]
async fn compose_up_after_a_roll_changes_nothing() {
    let project = Project::new();
    let stage = &project.stage;
    let old = stage.image("old", OLD);
    let new = stage.image("new", NEW);
    let app = stage.tag("app");
    docker(&["tag", old.as_str(), &app]);
    project.compose(&["up", "-d", "--scale", "web=3"]);
    // A gap in the numbers.
    docker(&["rm", "-fv", &format!("{}-web-2", stage.name)]);
    let before = project.containers();
    project.compose(&["up", "-d"]);
    assert_eq!(project.containers(), before, "compose is content with what is there");
    let thedb = format!("{}-thedb", stage.name);
    docker(&[
        "exec",
        &thedb,
        "sh",
        "-c",
        "echo kept | cat > /data/file; echo kept > /nameless/file",
    ]);

    let found = project.preflight().await;
    let order: Vec<&str> = found
        .units
        .iter()
        .map(|u| u.name.trim_start_matches(&stage.name))
        .collect();
    assert_eq!(order, ["-thedb", "-web-1", "-web-3"], "what web depends on goes first");
    roll(stage, &found, &new).await;
    let rolled = project.containers();
    let names = |all: &[String]| {
        all.iter()
            .map(|c| c.split(' ').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&rolled), names(&before));
    assert!(rolled.iter().all(|container| !before.contains(container)));

    // Compose 2.26 fails in the middle of a dry run: it looks for a container it did not make.
    let (_, would) = project.output(&["--dry-run", "up", "-d"]);
    assert!(would.contains("Recreate"), "the tag still means the old image: {would}");
    let was = Snapshot::from_bytes(&found.snapshots[0]).unwrap().tag.unwrap();
    assert_eq!((was.reference.as_str(), was.image.as_ref()), (app.as_str(), Some(&old)));
    for _ in 0..2 {
        let to = tag::LocalTag {
            reference: was.reference.clone(),
            image: Some(new.clone()),
        };
        tag::point(&stage.engine, &to).await.unwrap();
    }
    project.compose(&["up", "-d"]);
    assert_eq!(project.containers(), rolled, "a no-op");
    assert_eq!(
        docker(&["exec", &thedb, "cat", "/data/file", "/nameless/file"]),
        "kept\nkept"
    );
    assert_eq!(
        docker(&["exec", &format!("{}-web-3", stage.name), "cat", "/etc/settings"]),
        "a=b"
    );

    // The next roll moves the service's own tag too, not the release's.
    let again = Snapshot::from_bytes(&project.preflight().await.snapshots[0])
        .unwrap()
        .tag
        .unwrap();
    assert_eq!((again.reference, again.image), (app, Some(new)));

    // And compose can still change what it made: nothing of it is lost to compose.
    project.compose(&["up", "-d", "--force-recreate"]);
    assert_eq!(names(&project.containers()), names(&before));
    assert_eq!(
        docker(&["exec", &thedb, "cat", "/data/file", "/nameless/file"]),
        "kept\nkept"
    );
    project.compose(&["down", "-v"]);
}

#[tokio::test]
async fn a_moved_tag_goes_back_to_what_it_meant() {
    let stage = Stage::new();
    let old = stage.image("old", OLD);
    let new = stage.image("new", NEW);
    let reference = stage.tag("app");
    let meaning = || quiet(&["image", "inspect", "-f", "{{.Id}}", &reference]);
    for before in [Some(old.clone()), None] {
        if let Some(before) = &before {
            docker(&["tag", before.as_str(), &reference]);
        } else {
            docker(&["rmi", &reference]);
        }
        let meant = |image: Option<ImageId>| tag::LocalTag {
            reference: reference.clone(),
            image,
        };
        tag::point(&stage.engine, &meant(Some(new.clone()))).await.unwrap();
        assert_eq!(meaning(), new.as_str());
        for _ in 0..2 {
            tag::point(&stage.engine, &meant(before.clone())).await.unwrap();
        }
        assert_eq!(meaning(), before.map_or(String::new(), |id| id.to_string()));
    }
    assert_eq!(
        docker(&["image", "inspect", "-f", "{{.Id}}", new.as_str()]),
        new.as_str(),
        "the image stays"
    );
}

const ONCE: &str = r"
services:
  web:
    image: IMAGE
    command: [sleep, '1000']
    stop_grace_period: 0s
    depends_on: {migrate: {condition: service_completed_successfully}}
  migrate:
    image: IMAGE
    command: ['true']
  seed:
    image: IMAGE
    command: ['true']
";

#[tokio::test]
async fn what_runs_once_is_refused_by_name() {
    let project = Project::of(ONCE);
    let old = project.stage.image("old", OLD);
    docker(&["tag", old.as_str(), &project.stage.tag("app")]);
    project.compose(&["up", "-d"]);
    let seed = format!("{}-seed-1", project.stage.name);
    wait_for(&project.stage, &seed, "/State/Status", &serde_json::json!("exited")).await;
    for service in ["migrate", "seed"] {
        let failure = project.preflight_of(&["web", service]).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::PreflightRefused);
        let named = format!("{}-{service}-1: ", project.stage.name);
        assert!(failure.detail.starts_with(&named), "{failure}");
        assert!(
            failure.detail.contains(&format!("leave {service} out of the target")),
            "{failure}"
        );
    }
    let found = project.preflight_of(&["web"]).await.unwrap();
    assert_eq!(found.units.len(), 1);
    project.compose(&["down", "-v"]);
}

const SHARED: &str = r"
services:
  web:
    image: IMAGE
    command: [sleep, '1000']
    stop_grace_period: 0s
  side:
    image: IMAGE
    command: [sleep, '1000']
    stop_grace_period: 0s
    network_mode: 'service:web'
";

/// Compose compares the id of the container in whose network a service lives: it is told before the rollout.
#[tokio::test]
async fn the_first_up_after_a_roll_makes_the_tenant_anew_once() {
    let project = Project::of(SHARED);
    let stage = &project.stage;
    let old = stage.image("old", OLD);
    let new = stage.image("new", NEW);
    let app = stage.tag("app");
    docker(&["tag", old.as_str(), &app]);
    project.compose(&["up", "-d"]);
    let house = super::whole::House::new(&format!(
        "{{ compose: {{ project: {}, services: [web, side] }}, ready: {{ stay_up: 500ms }}, bake: 100ms }}",
        stage.name
    ))
    .await;
    let found = project.preflight_of(&["web", "side"]).await.unwrap();
    let warnings: Vec<&String> = found.warnings.iter().filter(|w| w.contains("network_mode")).collect();
    assert_eq!(warnings.len(), 1, "{:?}", found.warnings);
    assert!(
        warnings[0].starts_with(&format!("{}-side-1: ", stage.name)),
        "{warnings:?}"
    );
    let (ended, steps) = house.roll(stage, "new", &new).await;
    assert_eq!(ended, lowtide::model::rollout::RolloutConclusion::Done, "{steps:?}");
    let rolled = project.containers();
    project.compose(&["up", "-d"]);
    let first = project.containers();
    let changed = |now: &[String], before: &[String]| -> Vec<String> {
        let changed = now.iter().filter(|container| !before.contains(container));
        changed
            .map(|container| container.split(' ').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(changed(&first, &rolled), [format!("{}-side-1", stage.name)]);
    project.compose(&["up", "-d"]);
    assert_eq!(project.containers(), first, "once");
    project.compose(&["down", "-v"]);
}

/// The tag that would have to move is not there.
#[tokio::test]
async fn up_puts_the_old_one_back_where_the_file_pins_a_digest() {
    let registry = std::env::var("LOWTIDE_TEST_REGISTRY").unwrap();
    let project =
        Project::of("services:\n  web:\n    image: PINNED\n    command: [sleep, '1000']\n    stop_grace_period: 0s\n");
    let stage = &project.stage;
    let old = stage.image("old", OLD);
    let new = stage.image("new", NEW);
    let pushed = format!("{registry}/{}:1", stage.name);
    docker(&["tag", old.as_str(), &pushed]);
    docker(&["push", "-q", &pushed]);
    let digests = docker(&["image", "inspect", "-f", "{{join .RepoDigests \" \"}}", old.as_str()]);
    let pinned = digests
        .split(' ')
        .find(|d| d.starts_with(&registry))
        .unwrap()
        .to_owned();
    let text = std::fs::read_to_string(project.file.path()).unwrap();
    std::fs::write(project.file.path(), text.replace("PINNED", &pinned)).unwrap();
    project.compose(&["up", "-d"]);
    let found = project.preflight_of(&["web"]).await.unwrap();
    assert!(
        found
            .warnings
            .iter()
            .any(|w| w.contains("pins the image by digest") && w.contains(&pinned)),
        "{:?}",
        found.warnings
    );
    let house = super::whole::House::new(&format!(
        "{{ compose: {{ project: {}, services: [web] }}, ready: {{ stay_up: 500ms }}, bake: 100ms }}",
        stage.name
    ))
    .await;
    let (ended, steps) = house.roll(stage, "new", &new).await;
    assert_eq!(ended, lowtide::model::rollout::RolloutConclusion::Done, "{steps:?}");
    let web = format!("{}-web-1", stage.name);
    assert_eq!(stage.inspect(&web).await["Image"], new.as_str());
    assert_eq!(house.drift_after_two_looks().await, None);
    project.compose(&["up", "-d"]);
    assert_eq!(stage.inspect(&web).await["Image"], old.as_str(), "as the warning says");
    let drift = lowtide::model::drift::Drift::Runs {
        image: pinned.clone(),
        others: 1,
        of: 1,
    };
    assert_eq!(house.drift_after_two_looks().await, Some(drift), "and it is seen");
    project.compose(&["down", "-v"]);
    docker(&["rmi", "-f", &pushed]);
}
