//! What surrounds the image under test, and what is left of it.

use super::*;
use lowtide::clients::credentials::Credential;
use lowtide::clients::registry::connect::{Registry, Timeouts};
use lowtide::model::image::Reference;
use lowtide::model::policy::RegistryAccess;
use lowtide::model::secret::{Secret, SecretRef};
use lowtide::runtime::bases::Bases;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_image_is_a_named_failure() {
    let attempt = Attempt::new(Some(policy(up(), Vec::new())), up());
    let image = Image {
        id: format!("sha256:{}", "0".repeat(64)),
        tag: "lowtide-testing-none".to_owned(),
    };
    let failure = failure(attempt.bootstrap(&image).await);
    assert_eq!(failure.kind, FailureKind::EngineRejected);
    assert!(failure.detail.contains("does not exist"), "{failure}");
    attempt.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_that_fails_is_named() {
    let image = Image::running("exec sleep 1000");
    let mut test = policy(up(), Vec::new());
    test.how = TestSetup::Sidecars(BTreeMap::from([(
        "db".to_owned(),
        sidecar("echo no disk; exit 1", up()),
    )]));
    let attempt = Attempt::new(Some(test), up());
    let failure = failure(attempt.bootstrap(&image).await);
    assert_eq!(failure.kind, FailureKind::SidecarFailed, "{failure}");
    assert_eq!(failure.detail, "sidecar db exited with code 1");
    assert_eq!(failure.excerpt, ["no disk"]);
    attempt.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_image_is_pulled_or_reported() {
    let registry = std::env::var("LOWTIDE_TEST_REGISTRY").unwrap();
    let image = Image::running("exec sleep 1000");
    for (reference, kind) in [
        (format!("{registry}/base/nosuch:1"), FailureKind::SidecarFailed),
        ("127.0.0.1:1/base/x:1".to_owned(), FailureKind::RegistryUnreachable),
    ] {
        let mut test = policy(up(), Vec::new());
        let mut db = sidecar("sleep 1000", up());
        db.image = reference.parse().unwrap();
        test.how = TestSetup::Sidecars(BTreeMap::from([("db".to_owned(), db)]));
        let attempt = Attempt::new(Some(test), up());
        let failure = failure(attempt.bootstrap(&image).await);
        assert_eq!(failure.kind, kind, "{failure}");
        attempt.nothing_is_left();
    }
    // Pulled by digest of a tag of this test's own, so that no other test's image goes away with it.
    let own = format!("{registry}/lowtide-testing/{}:1", unique("pull"));
    docker(&["tag", BASE, &own], "");
    docker(&["push", "-q", &own], "");
    docker(&["rmi", &own], "");
    let reference = own.parse().unwrap();
    engine().ensure_image(&reference, None).await.unwrap();
    engine().ensure_image(&reference, None).await.unwrap();
    docker(&["rmi", &own], "");
}

/// As a release is pushed: only who knows the password gets it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_image_is_pulled_with_the_password_of_its_registry() {
    let registry = std::env::var("LOWTIDE_TEST_REGISTRY_AUTH").unwrap();
    let image = Image::running("exec sleep 1000");
    let own: Reference = format!("{registry}/lowtide-testing/{}:1", unique("secret"))
        .parse()
        .unwrap();
    docker(&["tag", BASE, &own.to_string()], "");
    let login = Credential::Basic {
        username: "lowtide".to_owned(),
        password: Secret::new("tide-secret".to_owned()),
    };
    engine().push(&own, Some(&login)).await.unwrap();
    docker(&["rmi", &own.to_string()], "");
    let mut test = policy(up(), Vec::new());
    let mut db = sidecar("sleep 1000", up());
    db.image = own.clone();
    test.how = TestSetup::Sidecars(BTreeMap::from([("db".to_owned(), db)]));
    let mut attempt = Attempt::new(Some(test), up());
    let refused = failure(attempt.bootstrap(&image).await);
    assert_eq!(refused.kind, FailureKind::SidecarFailed, "{refused}");

    let file = attempt.work.path().join("password");
    std::fs::write(&file, "tide-secret").unwrap();
    let access = RegistryAccess {
        username: Some("lowtide".to_owned()),
        password: Some(SecretRef::File(file)),
        plain_http: true,
        mirror: None,
    };
    attempt.credentials = Credentials::new(BTreeMap::from([(registry, access)]), None);
    attempt.both(&image).await.unwrap();
    attempt.nothing_is_left();
    docker(&["rmi", &own.to_string()], "");
}

/// What a tag means is asked in each run; the image of the run before goes, and no name of others is moved.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_is_what_its_tag_means_now() {
    let host = std::env::var("LOWTIDE_TEST_REGISTRY_AUTH").unwrap();
    let image = Image::running("exec sleep 1000");
    let tag: Reference = format!("{host}/lowtide-testing/{}:1", unique("moving"))
        .parse()
        .unwrap();
    let password = Secret::new("tide-secret".to_owned());
    let login = Credential::Basic {
        username: "lowtide".to_owned(),
        password: password.clone(),
    };
    let push = async |from: &str| {
        docker(&["tag", from, &tag.to_string()], "");
        engine().push(&tag, Some(&login)).await.unwrap();
        docker(&["rmi", &tag.to_string()], "");
    };
    let mut test = policy(up(), Vec::new());
    let mut db = sidecar("sleep 1000", up());
    db.image = tag.clone();
    test.how = TestSetup::Sidecars(BTreeMap::from([("db".to_owned(), db)]));
    let mut attempt = Attempt::new(Some(test), up());
    let file = attempt.work.path().join("password");
    std::fs::write(&file, "tide-secret").unwrap();
    let access = RegistryAccess {
        username: Some("lowtide".to_owned()),
        password: Some(SecretRef::File(file)),
        plain_http: true,
        mirror: None,
    };
    let registries = BTreeMap::from([(host, access)]);
    attempt.credentials = Credentials::new(registries.clone(), None);
    let registry = Registry::new(registries, attempt.credentials.clone(), Timeouts::default()).unwrap();
    attempt.registry = Some((Bases::default(), registry));
    let run = async || {
        let effect = attempt.bootstrap(&image).await.unwrap();
        let bootstrapped = effect.bootstrapped.clone().unwrap();
        let running = docker(&["inspect", "-f", "{{.Image}}", &bootstrapped.services["db"]], "");
        attempt.test(&effect).await.unwrap();
        (bootstrapped.sidecars[&tag.to_string()].clone(), running)
    };
    let (first, second) = (Image::build("LABEL n=1"), Image::build("LABEL n=2"));
    push(&first.tag).await;
    let (before, running) = run().await;
    assert_eq!(running, first.id);
    docker(&["rmi", "-f", &first.tag], "");
    assert_eq!(run().await.0, before, "it has not moved");
    push(&second.tag).await;
    let (after, running) = run().await;
    assert_ne!(after, before);
    assert_eq!(running, second.id);
    let images = docker(&["images", "-aq", "--no-trunc"], "");
    assert!(!images.contains(&first.id), "{images}");
    let names = docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"], "");
    assert!(!names.contains(&tag.to_string()), "no name of others: {names}");
    let named = format!(
        "lowtide-sidecar/web:{}",
        &lowtide::packages::hash::of(tag.to_string().as_bytes())[..16]
    );
    docker(&["rmi", "-f", &named], "");
    attempt.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_network_only_sidecars_are_reached() {
    let image = Image::running("exec sleep 1000");
    // An address that nobody has (RFC 5737): with and without egress it does not answer, so the engine's own word counts.
    let steps = vec![
        exec("wget -qO - http://db:8080/x | grep here"),
        exec("! nc -w 1 192.0.2.1 80 </dev/null"),
    ];
    let mut test = policy(up(), steps);
    test.how = TestSetup::Sidecars(BTreeMap::from([(
        "db".to_owned(),
        sidecar("mkdir /s; echo here > /s/x; exec httpd -f -p 8080 -h /s", http("/x")),
    )]));
    for (network, internal) in [(TestNetwork::None, "true"), (TestNetwork::Egress, "false")] {
        test.network = network;
        let attempt = Attempt::new(Some(test.clone()), up());
        let effect = attempt.bootstrap(&image).await.unwrap();
        let container = &effect.bootstrapped.as_ref().unwrap().container;
        let networks = attempt.engine.look(container).await.unwrap().networks;
        assert_eq!(networks.len(), 1);
        assert_eq!(
            docker(&["network", "inspect", "-f", "{{.Internal}}", &networks[0]], ""),
            internal
        );
        attempt.test(&effect).await.unwrap();
        attempt.nothing_is_left();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_only_runs_with_the_tools_does_not_ship() {
    let image = Image::running("if [ -z \"$TESTING_TOOLS\" ]; then echo no tools here; exit 1; fi; exec sleep 1000");
    let attempt = Attempt::new(Some(policy(up(), vec![exec("true")])), up());
    let failure = failure(attempt.both(&image).await);
    assert_eq!(failure.kind, FailureKind::NotReadyInProduction, "{failure}");
    assert_eq!(failure.excerpt, ["no tools here"]);
    attempt.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_tests_the_image_is_started_as_it_ships() {
    let image = Image::running("echo \"env: $NEEDED\"; exec sleep 1000");
    let attempt = Attempt::new(None, log("^env: yes$"));
    let effect = Test {
        image: image.id.parse().unwrap(),
        round: 0,
        bootstrapped: None,
        production: Production::Start,
    };
    let tested = attempt.test(&effect).await.unwrap();
    assert!(tested.steps.is_empty() && tested.report.is_none());
    attempt.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_leaves_nothing() {
    let image = Image::running("echo waiting; exec sleep 1000");
    // In bootstrap, and in the middle of a step: cancelled by the first line of output.
    for (ready, steps) in [
        (log("never"), Vec::new()),
        (up(), vec![exec("echo waiting for the cancel; sleep 1000")]),
    ] {
        let attempt = Attempt::new(Some(policy(ready, steps)), up());
        let word = if attempt.app.tests[0].steps.is_empty() {
            "waiting"
        } else {
            "waiting for the cancel"
        };
        let say = |line: &str| {
            if line == word {
                attempt.cancel.cancel();
            }
        };
        let environment = attempt.environment(&say);
        let effect = Bootstrap {
            image: image.id.parse().unwrap(),
            round: 0,
            pull: None,
        };
        let ended = match bootstrap::perform(&environment, &effect, None).await {
            Ok(bootstrapped) => {
                let effect = Test {
                    image: effect.image,
                    round: 0,
                    bootstrapped: Some(bootstrapped),
                    production: Production::Start,
                };
                test::perform(&environment, &effect, None, &junit).await.map(drop)
            }
            Err(stop) => Err(stop),
        };
        assert_eq!(ended, Err(Stop::Cancelled));
        attempt.nothing_is_left();
    }
}
