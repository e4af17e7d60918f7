//! Keys of ssh that the steps of a build may use.

use super::*;
use std::path::Path;

fn keygen(dir: &Path, name: &str, kind: &str, passphrase: &str) -> (Secret, String) {
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", kind, "-N", passphrase, "-C", "lowtide", "-f", name])
        .current_dir(dir)
        .status();
    assert!(made.unwrap().success());
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
    (Secret::new(read(name)), read(&format!("{name}.pub")).trim().to_owned())
}

/// This machine's ssh-add and the libraries that it needs: the base has neither.
fn with_ssh_add(context: &Path) {
    let program = "/usr/bin/ssh-add";
    let needs = std::process::Command::new("ldd").arg(program).output().unwrap();
    let needs = String::from_utf8(needs.stdout).unwrap();
    let paths = needs.split_whitespace().filter(|word| word.starts_with('/'));
    for path in paths.chain([program]) {
        let to = context.join("root").join(path.trim_start_matches('/'));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(path, to).unwrap();
    }
}

/// The agents that lowtide has started and that still run.
fn agents() -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = processes.filter_map(|process| std::fs::read_to_string(process.path().join("cmdline")).ok());
    lines
        .filter(|line| line.starts_with("ssh-agent\0") && line.contains("/lt-"))
        .collect()
}

/// A step that mounts an agent can sign with its key. The key itself does not leave the agent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_has_an_agent_for_each_key_and_never_the_key() {
    let engine = engine();
    let keys = tempfile::tempdir().unwrap();
    let (one, one_public) = keygen(keys.path(), "one", "ed25519", "");
    let (two, two_public) = keygen(keys.path(), "two", "rsa", "");
    let dir = context(&format!(
        "FROM {BASE}\nCOPY root /\n\
         RUN --mount=type=ssh,required=true test \"$(ssh-add -L)\" = '{one_public}'\n\
         RUN --mount=type=ssh,id=two,required=true ssh-add -L | grep -qxF '{two_public}' && ssh-add -L | wc -l >/two\n\
         RUN --mount=type=ssh,id=two for n in 1 2 3 4 5 6 7 8; do ssh-add -T /two.pub || touch /bad & done; wait; test ! -e /bad\n\
         RUN --mount=type=ssh,id=unknown test ! -e \"$SSH_AUTH_SOCK\"\n\
         RUN test -z \"$SSH_AUTH_SOCK\"\n"
    ));
    with_ssh_add(dir.path());
    std::fs::write(dir.path().join("root/two.pub"), &two_public).unwrap();
    let mut request = request(dir.path());
    request.ssh = BTreeMap::from([("default".to_owned(), one.clone()), ("two".to_owned(), two)]);
    let (built, lines) = build_on(&engine, request.clone()).await;
    assert_eq!(built.unwrap().builder, Builder::BuildKit, "{lines:?}");
    let key = one.expose().lines().nth(2).unwrap();
    assert!(!lines.iter().any(|line| line.contains(key)), "{lines:?}");

    // One that is required and not configured is the build's own failure, and says its id.
    request.ssh.remove("two");
    let (missing, _) = build_on(&engine, request.clone()).await;
    let failure = missing.unwrap_err().failure().unwrap();
    assert_eq!(failure.kind, FailureKind::BuildFailed);
    assert!(failure.detail.contains("two"), "{failure}");

    // What is no key, or needs a passphrase, is said before anything is built.
    let (locked, _) = keygen(keys.path(), "locked", "ecdsa", "wave-of-one");
    for (key, said) in [
        (Secret::new("wave-of-one".to_owned()), "Error loading key"),
        (locked, "the key has a passphrase"),
    ] {
        request.ssh = BTreeMap::from([("default".to_owned(), key)]);
        let (refused, lines) = build_on(&engine, request.clone()).await;
        let failure = refused.unwrap_err().failure().unwrap();
        assert_eq!(failure.kind, FailureKind::SecretMissing);
        let words = format!("the key build.ssh.default cannot be used: ssh-add: {said}");
        assert!(failure.detail.starts_with(&words), "{failure}");
        assert!(
            !failure.detail.contains("wave-of-one") && lines.is_empty(),
            "{failure} {lines:?}"
        );
    }

    let classic = proxy::without_buildkit().await;
    request.ssh = BTreeMap::from([("default".to_owned(), one)]);
    let (refused, _) = build_on(&classic.engine(), request).await;
    assert_eq!(
        refused.unwrap_err().failure().unwrap().kind,
        FailureKind::EngineRejected
    );

    for _ in 0..50 {
        if agents().is_empty() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("left: {:?}", agents());
}
