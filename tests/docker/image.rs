//! Images in the engine's store, and their ways to a registry and back.

use super::engine::{engine, unique};
use lowtide::clients::credentials::Credential;
use lowtide::clients::engine::build::{BuildRequest, Built};
use lowtide::clients::engine::connect::Engine;
use lowtide::clients::engine::context::{Limits, Verdict};
use lowtide::model::failure::FailureKind;
use lowtide::model::image::Reference;
use lowtide::model::secret::Secret;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const BASE: &str = "lowtide-test/busybox:1";

async fn built(engine: &Engine, dockerfile: &str, labels: &[(&str, &str)]) -> (String, Built) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("Dockerfile"), dockerfile).unwrap();
    let tag = format!("{}:t", unique("lowtide-test/image"));
    let request = BuildRequest {
        context_dir: dir.path().to_owned(),
        dockerfile: "Dockerfile".into(),
        replace: Vec::new(),
        ignore: Arc::new(|_, _| Verdict::Include),
        limits: Limits::default(),
        step_limits: lowtide::model::policy::BuildLimits::default(),
        commit_time: 0,
        tag: tag.clone(),
        args: BTreeMap::new(),
        target: None,
        labels: labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        timeout: Duration::from_secs(120),
        nocache: true,
        pull: false,
        registry_auth: BTreeMap::new(),
        secrets: BTreeMap::new(),
        ssh: BTreeMap::new(),
        is_stale_index: lowtide::packages::stale_index::is_stale_index,
    };
    let built = engine
        .build(request, &mut |_| {}, &CancellationToken::new())
        .await
        .unwrap();
    (tag, built)
}

fn reference(registry: &str, tag: &str) -> Reference {
    let host = std::env::var(registry).unwrap();
    format!("{host}/{}:{tag}", unique("image")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_of_an_image_leave_the_builds_circumstances_out() {
    let engine = engine();
    let dockerfile = format!(
        "FROM {BASE}\nENV A=1 B=\"2 3\"\nLABEL mine=yes\nEXPOSE 443 80/udp\nVOLUME /data\nUSER 7:8\nWORKDIR /srv\nSTOPSIGNAL SIGINT\n\
         HEALTHCHECK --interval=5s --retries=2 CMD true\nENTRYPOINT [\"/bin/sh\"]\nCMD [\"-c\", \"true\"]\n"
    );
    let labels = [
        ("org.opencontainers.image.created", "2026-01-01T00:00:00Z"),
        ("org.opencontainers.image.revision", "abc"),
        ("org.opencontainers.image.base.digest", "sha256:0"),
        ("org.opencontainers.image.source", "https://git.example.org/a"),
        ("org.label-schema.vcs-ref", "abc"),
        ("io.lowtide.run", "r"),
    ];
    let (tag, built) = built(&engine, &dockerfile, &labels).await;
    let facts = engine.inspect_image(&tag).await.unwrap().unwrap();
    assert_eq!(facts.id, built.image);
    assert!(facts.repo_tags.contains(&tag), "{:?}", facts.repo_tags);
    assert_eq!(facts.platform.to_string(), "linux/amd64");
    assert!(facts.has_healthcheck && facts.size > 1_000_000 && facts.diff_ids.len() > 1);
    insta::assert_json_snapshot!(facts.config, @r#"
    {
      "env": [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "A=1",
        "B=2 3"
      ],
      "entrypoint": [
        "/bin/sh"
      ],
      "cmd": [
        "-c",
        "true"
      ],
      "user": "7:8",
      "working_dir": "/srv",
      "exposed_ports": [
        "443/tcp",
        "80/udp"
      ],
      "volumes": [
        "/data"
      ],
      "labels": {
        "mine": "yes",
        "org.opencontainers.image.source": "https://git.example.org/a"
      },
      "stop_signal": "SIGINT",
      "healthcheck": "{\"Interval\":5000000000,\"Retries\":2,\"Test\":[\"CMD-SHELL\",\"true\"]}"
    }
    "#);
    engine.remove_image(&tag).await.unwrap();
    assert_eq!(engine.inspect_image(&tag).await.unwrap(), None);
    engine.remove_image(&tag).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switched_off_healthcheck_is_none() {
    let engine = engine();
    let (tag, _) = built(&engine, &format!("FROM {BASE}\nHEALTHCHECK NONE\n"), &[]).await;
    let facts = engine.inspect_image(&tag).await.unwrap().unwrap();
    assert!(!facts.has_healthcheck && facts.config.healthcheck.is_some());
    engine.remove_image(&tag).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_found_by_label() {
    let engine = engine();
    let mark = unique("mark");
    let (tag, built) = built(&engine, &format!("FROM {BASE}\n"), &[("io.lowtide.test", &mark)]).await;
    let found = engine.list_images(&format!("io.lowtide.test={mark}")).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0].id, &found[0].tags), (&built.image, &vec![tag.clone()]));
    assert_eq!(found[0].labels["io.lowtide.test"], mark);
    engine.remove_image(&tag).await.unwrap();
    assert_eq!(
        engine.list_images(&format!("io.lowtide.test={mark}")).await.unwrap(),
        []
    );
}

fn login(password: &str) -> Credential {
    Credential::Basic {
        username: "lowtide".to_owned(),
        password: Secret::new(password.to_owned()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pushed_then_pulled_by_digest_it_is_the_same_image() {
    let engine = engine();
    for (registry, auth) in [
        ("LOWTIDE_TEST_REGISTRY", None),
        ("LOWTIDE_TEST_REGISTRY_AUTH", Some(login("tide-secret"))),
    ] {
        let (tag, built) = built(&engine, &format!("FROM {BASE}\nRUN echo {} > /x\n", unique("x")), &[]).await;
        let there = reference(registry, "1");
        engine.tag_image(&built.image, &there).await.unwrap();
        let digest = engine
            .push(&there, auth.as_ref())
            .await
            .unwrap()
            .expect("the engine says what it pushed");
        let digests = engine.inspect_image(&tag).await.unwrap().unwrap().repo_digests;
        let by_digest = format!("{}@{digest}", there.repository);
        assert!(digests.contains(&by_digest), "{digests:?}");
        engine.remove_image(&there.to_string()).await.unwrap();
        engine.remove_image(&by_digest).await.unwrap();
        engine.remove_image(&tag).await.unwrap();
        assert_eq!(
            engine.inspect_image(built.image.as_str()).await.unwrap(),
            None,
            "really gone"
        );
        for back in [by_digest.parse().unwrap(), there.clone()] {
            assert_eq!(engine.pull(&back, auth.as_ref()).await.unwrap(), built.image);
            engine.remove_image(&back.to_string()).await.unwrap();
        }
        engine.remove_image(&by_digest).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_inside_the_stream_is_an_error() {
    let engine = engine();
    let base = engine.inspect_image(BASE).await.unwrap().unwrap().id;
    let there = reference("LOWTIDE_TEST_REGISTRY_AUTH", "1");
    engine.tag_image(&base, &there).await.unwrap();
    for auth in [None, Some(login("wrong-canary"))] {
        let error = engine.push(&there, auth.as_ref()).await.unwrap_err();
        assert_eq!(error.failure().kind, FailureKind::RegistryDenied, "{error:?}");
        assert!(
            error.to_string().starts_with(&format!("push of {there} failed: ")),
            "{error}"
        );
        assert!(!format!("{error:?}").contains("wrong-canary"));
        let error = engine.pull(&there, auth.as_ref()).await.unwrap_err();
        assert_eq!(error.failure().kind, FailureKind::RegistryDenied, "{error:?}");
    }
    engine.remove_image(&there.to_string()).await.unwrap();
    let missing = reference("LOWTIDE_TEST_REGISTRY", "1");
    let error = engine.pull(&missing, None).await.unwrap_err();
    assert_eq!(error.failure().kind, FailureKind::BaseMissing, "{error:?}");
    let nobody: Reference = "127.0.0.1:9/x:1".parse().unwrap();
    let error = engine.pull(&nobody, None).await.unwrap_err();
    assert_eq!(error.failure().kind, FailureKind::RegistryUnreachable, "{error:?}");
    assert!(error.retryable());
    let error = engine.push(&missing, None).await.unwrap_err();
    assert!(
        error.to_string().contains("does not exist"),
        "an image that is not there: {error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn disk_use_is_reported() {
    let engine = engine();
    assert!(engine.disk_use().await.unwrap().layers > 1_000_000);
    // Nothing is that large, so nothing of anyone's is deleted.
    assert_eq!(engine.prune_build_cache(1 << 50).await.unwrap(), 0);
}
