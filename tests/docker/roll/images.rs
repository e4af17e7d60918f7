//! What a new image changes, under what the user set of the container.

use super::stage::*;
use lowtide::model::failure::FailureKind;
use lowtide::runtime::kinds::containers::pull::pull;
use lowtide::runtime::kinds::containers::verbs;
use serde_json::{Value, json};

const ONE: &str = r#"FROM lowtide-test/busybox:1
ENV MODE=plain LEVEL=1
RUN printf '#!/bin/sh\nexec "$@"\n' > /entry; busybox chmod +x /entry; busybox cp /entry /other
ENTRYPOINT ["/entry"]
CMD ["sleep", "1000"]"#;

const TWO: &str = r#"FROM lowtide-test/busybox:1
ENV MODE=fancy LEVEL=2
RUN printf '#!/bin/sh\nexec "$@"\n' > /entry2; busybox chmod +x /entry2
ENTRYPOINT ["/entry2"]
CMD ["sleep", "2000"]"#;

/// `Config` of the candidate on [`TWO`] for a container on [`ONE`], made with `flags` and `command`.
async fn config(flags: &[&str], command: &[&str]) -> Value {
    let stage = Stage::new();
    stage.image("old", ONE);
    let new = stage.image("new", TWO);
    let tag = stage.tag("old");
    docker(&[&["create", "--name", &stage.name], flags, &[&tag], command].concat());
    let found = stage.preflight().await.unwrap();
    let candidate = stage.candidate(&found, 0, &new).await.unwrap();
    stage.inspect(&candidate).await["Config"].clone()
}

#[tokio::test]
async fn a_variable_set_to_the_old_images_default_follows_the_new_image() {
    let env = config(&["-e", "MODE=plain", "-e", "LEVEL=9", "-e", "MINE=1"], &[]).await["Env"].clone();
    let env: Vec<&str> = env.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    // Nobody can tell a user's MODE=plain from the image's.
    for entry in ["MODE=fancy", "LEVEL=9", "MINE=1"] {
        assert!(env.contains(&entry), "{entry}: {env:?}");
    }
}

#[tokio::test]
async fn an_entrypoint_of_the_users_takes_no_cmd_of_either_image() {
    for (flags, command, entrypoint, cmd) in [
        (vec![], vec![], json!(["/entry2"]), json!(["sleep", "2000"])),
        (vec!["--entrypoint", "env"], vec![], json!(["env"]), Value::Null),
        (
            vec!["--entrypoint", "env"],
            vec!["true"],
            json!(["env"]),
            json!(["true"]),
        ),
        // The user's own words, that happen to be the old image's default.
        (
            vec!["--entrypoint", "env"],
            vec!["sleep", "1000"],
            json!(["env"]),
            json!(["sleep", "1000"]),
        ),
        (vec![], vec!["sleep", "5"], json!(["/entry2"]), json!(["sleep", "5"])),
    ] {
        let made = config(&flags, &command).await;
        assert_eq!(
            (&made["Entrypoint"], &made["Cmd"]),
            (&entrypoint, &cmd),
            "{flags:?} {command:?}"
        );
    }
}

#[tokio::test]
async fn a_script_the_new_image_no_longer_has_is_named_and_the_old_container_starts_again() {
    let stage = Stage::new();
    stage.image("old", ONE);
    let new = stage.image("new", TWO);
    let tag = stage.tag("old");
    let old = docker(&[
        "create",
        "--name",
        &stage.name,
        "--entrypoint",
        "/other",
        &tag,
        "sleep",
        "1000",
    ]);
    docker(&["start", &old]);
    let found = stage.preflight().await.unwrap();
    let candidate = stage.candidate(&found, 0, &new).await.unwrap();
    verbs::stop(&stage.engine, &old, Some(jiff::SignedDuration::ZERO))
        .await
        .unwrap();
    let failure = verbs::start(&stage.engine, &candidate).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NotExecutable);
    assert!(failure.detail.contains("/other"), "{failure}");
    verbs::start(&stage.engine, &old).await.unwrap();
}

#[tokio::test]
async fn a_hostname_is_the_new_containers_own_unless_it_was_set() {
    for set in [None, Some("shop1")] {
        let stage = Stage::new();
        stage.image("old", OLD);
        let new = stage.image("new", NEW);
        let hostname = set.map(|name| format!("--hostname={name}"));
        let flags: Vec<&str> = hostname.iter().map(String::as_str).collect();
        stage.run(&flags, &["sleep", "1000"]);
        let found = stage.preflight().await.unwrap();
        let candidate = stage.candidate(&found, 0, &new).await.unwrap();
        let own = candidate[..12].to_owned();
        assert_eq!(
            stage.inspect(&candidate).await["Config"]["Hostname"],
            set.unwrap_or(&own)
        );
    }
}

#[tokio::test]
async fn a_container_whose_image_has_no_name_any_more_is_rolled_all_the_same() {
    let stage = Stage::new();
    let old_image = stage.image("old", OLD);
    let new = stage.image("new", NEW);
    for by_id in [true, false] {
        let (tag, id) = (stage.tag("old"), old_image.to_string());
        let made = docker(&[
            "create",
            "--name",
            &stage.name,
            if by_id { &id } else { &tag },
            "sleep",
            "1000",
        ]);
        if !by_id {
            // Its tag means another image now: what an update without a roll leaves behind.
            docker(&["tag", new.as_str(), &tag]);
        }
        let found = stage.preflight().await.unwrap();
        assert_eq!(found.units[0].old_image, old_image);
        let candidate = stage.candidate(&found, 0, &new).await.unwrap();
        assert_eq!(stage.inspect(&candidate).await["Image"], new.as_str());
        docker(&["rm", "-fv", &candidate, &made]);
    }
}

#[tokio::test]
async fn create_keeps_a_tag_and_a_digest_in_one_reference() {
    let stage = Stage::new();
    let image = stage.image("old", OLD);
    let registry = std::env::var("LOWTIDE_TEST_REGISTRY").unwrap();
    let reference = format!("{registry}/{}:1", stage.name);
    docker(&["tag", image.as_str(), &reference]);
    docker(&["push", "-q", &reference]);
    let pinned = docker(&["image", "inspect", "-f", "{{index .RepoDigests 0}}", &reference]);
    let digest = pinned.split_once('@').unwrap().1.to_owned();
    let both = format!("{reference}@{digest}");
    let id = stage
        .create(&stage.name, &json!({"Image": both, "Cmd": ["true"]}))
        .await;
    let made = stage.inspect(&id).await;
    assert_eq!(
        (&made["Config"]["Image"], &made["Image"]),
        (&json!(both), &json!(image.as_str()))
    );
    quiet(&["rmi", "-f", &reference]);
}

/// Puts a document into the registry without a password; its digest.
async fn put_manifest(repository: &str, media_type: &str, body: String) -> String {
    use sha2::Digest as _;
    let registry = std::env::var("LOWTIDE_TEST_REGISTRY").unwrap();
    let digest = sha2::Sha256::digest(body.as_bytes())
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect::<String>();
    let digest = format!("sha256:{digest}");
    let put = reqwest::Client::new()
        .put(format!("http://{registry}/v2/{repository}/manifests/{digest}"))
        .header("Content-Type", media_type)
        .body(body);
    put.send().await.unwrap().error_for_status().unwrap();
    digest
}

#[tokio::test]
async fn an_index_is_pulled_for_this_platform_and_refused_where_it_has_none() {
    let stage = Stage::new();
    let image = stage.image("old", OLD);
    let registry = std::env::var("LOWTIDE_TEST_REGISTRY").unwrap();
    let reference = format!("{registry}/{}:1", stage.name);
    docker(&["tag", image.as_str(), &reference]);
    docker(&["push", "-q", &reference]);
    let pinned = docker(&["image", "inspect", "-f", "{{index .RepoDigests 0}}", &reference]);
    let manifest = pinned.split_once('@').unwrap().1.to_owned();
    let arch = docker(&["version", "-f", "{{.Server.Arch}}"]);
    let size = reqwest::Client::new()
        .get(format!("http://{registry}/v2/{}/manifests/{manifest}", stage.name))
        .header("Accept", "application/vnd.docker.distribution.manifest.v2+json")
        .header("Accept", "application/vnd.oci.image.manifest.v1+json");
    let size = size.send().await.unwrap().error_for_status().unwrap();
    let header = |name: &str| size.headers()[name].to_str().unwrap().to_owned();
    let (kind, size) = (header("content-type"), header("content-length").parse::<u64>().unwrap());
    let index = |arch: &str| {
        let list = "application/vnd.docker.distribution.manifest";
        let media_type = format!("{list}.list.v2+json");
        let body = json!({"schemaVersion": 2, "mediaType": &media_type, "manifests": [{
            "mediaType": &kind, "size": size, "digest": &manifest, "platform": {"architecture": arch, "os": "linux"},
        }]});
        (media_type, body.to_string())
    };
    let gone = || quiet(&["rmi", "-f", image.as_str()]);
    for (arch, is_ours) in [(arch.as_str(), true), ("s390x", false)] {
        let (media_type, body) = index(arch);
        let digest = put_manifest(&stage.name, &media_type, body).await;
        assert_ne!(digest, manifest, "the index has a digest of its own");
        // The containerd image store calls an image by the manifest or index that it came by.
        let id = if manifest == image.as_str() {
            &digest
        } else {
            image.as_str()
        };
        let expected = if is_ours {
            Ok(id.parse().unwrap())
        } else {
            Err(FailureKind::DigestMismatch)
        };
        gone();
        let release = super::verbs::release(&reference, &image, Some(&digest));
        let pulled = pull(&stage.engine, &release, None).await;
        let shown = format!("{arch}: {pulled:?}");
        assert_eq!(pulled.map_err(|f| f.kind), expected, "{shown}");
    }
    gone();
}
