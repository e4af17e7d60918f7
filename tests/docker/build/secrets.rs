//! Secrets that the steps of a build are given.

use super::*;

/// Secrets of a build are in the step that mounts them, and in no layer, no history, no label and no line of output that does not print
/// them itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn build_secrets_are_mounted_and_leave_nothing() {
    let engine = engine();
    let dir = context(&format!(
        "FROM {BASE}\nRUN --mount=type=secret,id=npm,required=true grep -q ^wave.of.npm$ /run/secrets/npm && touch /seen\n\
         RUN --mount=type=secret,id=npm,target=/etc/npmrc,mode=0444 grep -q wave /etc/npmrc\n\
         RUN --mount=type=secret,id=other grep -q ^wave.of.other$ /run/secrets/other\n\
         RUN --mount=type=secret,id=unknown test ! -e /run/secrets/unknown\n"
    ));
    let mut request = request(dir.path());
    request.secrets = BTreeMap::from([
        ("npm".to_owned(), Secret::new("wave-of-npm".to_owned())),
        ("other".to_owned(), Secret::new("wave-of-other".to_owned())),
    ]);
    let (built, lines) = build_on(&engine, request.clone()).await;
    let built = built.unwrap();
    assert_eq!(built.builder, Builder::BuildKit);
    assert!(!lines.iter().any(|line| line.contains("wave-of")), "{lines:?}");
    let mut all = docker(&["history", "--no-trunc", built.image.as_str()]);
    all.extend(docker(&["inspect", built.image.as_str()]));
    all.extend(docker(&["save", built.image.as_str()]));
    all.extend(export(built.image.as_str()));
    let holds = |needle: &[u8]| all.windows(needle.len()).any(|part| part == needle);
    assert!(holds(b"seen") && !holds(b"wave-of"));

    // One that is required and not configured is the build's own failure, and says its id.
    request.secrets.remove("npm");
    let (missing, _) = build_on(&engine, request.clone()).await;
    let failure = missing.unwrap_err().failure().unwrap();
    assert_eq!(failure.kind, FailureKind::BuildFailed);
    assert!(failure.detail.contains("npm"), "{failure}");

    // The classic builder has no session to ask for them over: nothing is built without them.
    let classic = proxy::without_buildkit().await;
    request.secrets = BTreeMap::from([("npm".to_owned(), Secret::new("wave-of-npm".to_owned()))]);
    let (refused, _) = build_on(&classic.engine(), request).await;
    let failure = refused.unwrap_err().failure().unwrap();
    assert_eq!(failure.kind, FailureKind::EngineRejected);
    insta::assert_snapshot!(failure.detail, @"build.secrets and build.ssh need BuildKit, which this engine does not offer");
}
