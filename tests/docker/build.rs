//! Builds on the real engine, by BuildKit and by the classic builder.

mod secrets;
mod ssh;

use super::engine::{docker, engine, export, unique};
use super::proxy;
use bytes::Bytes;
use lowtide::clients::credentials::Credential;
use lowtide::clients::engine::build::{BuildRequest, Builder, Built};
use lowtide::clients::engine::builderror::BuildError;
use lowtide::clients::engine::connect::Engine;
use lowtide::clients::engine::context::{ContextError, Limits, Verdict};
use lowtide::clients::engine::logfile::LogFile;
use lowtide::model::failure::FailureKind;
use lowtide::model::policy::EngineAddress;
use lowtide::model::secret::Secret;
use lowtide::packages::dockerfile::parse::parse;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const BASE: &str = "lowtide-test/busybox:1";

fn context(dockerfile: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("Dockerfile"), dockerfile).unwrap();
    dir
}

fn request(dir: &Path) -> BuildRequest {
    BuildRequest {
        context_dir: dir.to_owned(),
        dockerfile: "Dockerfile".into(),
        replace: Vec::new(),
        ignore: Arc::new(|_, _| Verdict::Include),
        limits: Limits::default(),
        step_limits: lowtide::model::policy::BuildLimits::default(),
        commit_time: 1_700_000_000,
        tag: format!("{}:t", unique("lowtide-test/build")),
        args: BTreeMap::new(),
        target: None,
        labels: BTreeMap::new(),
        timeout: Duration::from_secs(120),
        nocache: true,
        pull: false,
        registry_auth: BTreeMap::new(),
        secrets: BTreeMap::new(),
        ssh: BTreeMap::new(),
        is_stale_index: lowtide::packages::stale_index::is_stale_index,
    }
}

async fn build_on(engine: &Engine, request: BuildRequest) -> (Result<Built, BuildError>, Vec<String>) {
    let mut lines = Vec::new();
    let built = engine
        .build(
            request,
            &mut |line| lines.push(line.to_owned()),
            &CancellationToken::new(),
        )
        .await;
    (built, lines)
}

/// Builds by both builders, and removes what came of it.
async fn on_both(request: BuildRequest) -> [(Result<Built, BuildError>, Vec<String>); 2] {
    let classic = proxy::without_buildkit().await;
    let mut results = Vec::new();
    for (engine, builder) in [(engine(), Builder::BuildKit), (classic.engine(), Builder::Classic)] {
        let result = build_on(&engine, request.clone()).await;
        if let Ok(built) = &result.0 {
            assert_eq!(built.builder, builder);
            engine.remove_image(&request.tag).await.unwrap();
        }
        results.push(result);
    }
    results.try_into().unwrap()
}

/// Path → (type, mode, text or link target) of everything below `top` in the image.
fn files_below(built: &Built, top: &str) -> BTreeMap<String, (String, u32, String)> {
    read_tar(&mut export(built.image.as_str()).as_slice(), top)
}

fn read_tar(tar: &mut dyn Read, top: &str) -> BTreeMap<String, (String, u32, String)> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(tar).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().trim_end_matches('/').to_owned();
        let Some(path) = path.strip_prefix(top) else { continue };
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        if let Some(link) = entry.link_name().unwrap() {
            text = link.to_string_lossy().into_owned();
        }
        let header = entry.header();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0), "{path}");
        files.insert(
            path.to_owned(),
            (
                format!("{:?}", header.entry_type()),
                header.mode().unwrap() & 0o7777,
                text,
            ),
        );
    }
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn two_stages_arguments_target_labels_and_a_mount() {
    let engine = engine();
    let dir = context(&format!(
        "ARG BASE\nFROM $BASE AS tools\nARG WORD=none\nRUN --mount=type=tmpfs,target=/scratch touch /scratch/x && echo $WORD > /word\n\
         FROM scratch AS wanted\nCOPY --from=tools /word /word\nFROM {BASE}\nRUN false\n"
    ));
    let mut request = request(dir.path());
    request.args = BTreeMap::from([
        ("BASE".into(), BASE.into()),
        ("WORD".into(), "tide & \"more\"=1".into()),
    ]);
    request.target = Some("wanted".into());
    request.labels = BTreeMap::from([("org.opencontainers.image.title".into(), "a b=c&version=1".into())]);
    let tag = request.tag.clone();
    let (built, lines) = build_on(&engine, request).await;
    let built = built.unwrap_or_else(|e| panic!("{e:?}\n{lines:#?}"));
    assert_eq!(built.builder, Builder::BuildKit);
    let facts = engine.inspect_image(&tag).await.unwrap().unwrap();
    assert_eq!((&facts.id, facts.size), (&built.image, built.size));
    assert_eq!(facts.config.labels["org.opencontainers.image.title"], "a b=c&version=1");
    assert_eq!(files_below(&built, "word")[""].2, "tide & \"more\"=1\n");
    assert!(
        lines.iter().any(|line| line.contains("[tools 2/2] RUN --mount")),
        "{lines:#?}"
    );
    engine.remove_image(&tag).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_run_names_its_line_and_shows_its_last_output() {
    let mark = unique("failing");
    let dockerfile = format!(
        "FROM {BASE}\n\nLABEL lowtide-test={mark}\nRUN echo fine\nRUN echo out; \\\n  echo err >&2; exit 7\nRUN echo never\n"
    );
    let dir = context(&dockerfile);
    for (built, lines) in on_both(request(dir.path())).await {
        let error = built.unwrap_err();
        let failure = error.failure().unwrap();
        assert_eq!(failure.kind, FailureKind::BuildFailed);
        assert!(
            failure
                .detail
                .starts_with("Dockerfile line 5, `RUN echo out; echo err >&2; exit 7`: ")
                && failure.detail.ends_with("7"),
            "{failure:?}"
        );
        let tail: Vec<&str> = failure.excerpt.iter().map(String::as_str).collect();
        assert!(tail.contains(&"out") && tail.contains(&"err"), "{failure:?}");
        assert!(lines.iter().any(|line| line.ends_with("fine")), "{lines:#?}");
        assert!(!lines.iter().any(|line| line.ends_with("never")), "{lines:#?}");
    }
    assert_eq!(
        engine().list_images(&format!("lowtide-test={mark}")).await.unwrap(),
        [],
        "no layer is left over"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_dockerfile_names_its_line() {
    let cases = [
        (format!("FROM {BASE}\nRUN true\nRUNN false\n"), "RUNN"),
        (format!("FROM {BASE}\nRUN true\nCOPY missing /x\n"), "missing"),
    ];
    for (dockerfile, word) in cases {
        let dir = context(&dockerfile);
        for (built, lines) in on_both(request(dir.path())).await {
            let Err(BuildError::Failed { place, message, .. }) = built else {
                panic!("{built:?}")
            };
            assert!(format!("{place} {message}").contains(word), "{place} {message}");
            assert_eq!(place.line, Some(3), "{place} {message} {lines:#?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_that_is_not_there_is_not_the_builds_fault() {
    let registry = std::env::var("LOWTIDE_TEST_REGISTRY").unwrap();
    for (base, kind) in [
        (format!("{registry}/base/nothing:1"), FailureKind::BaseMissing),
        (
            "127.0.0.1:9/base/nothing:1".to_owned(),
            FailureKind::RegistryUnreachable,
        ),
    ] {
        let dir = context(&format!("ARG X\nFROM {base}\nRUN true\n"));
        for (built, lines) in on_both(request(dir.path())).await {
            let error = built.unwrap_err();
            let failure = error.failure().unwrap();
            assert_eq!(failure.kind, kind, "{failure:?} {lines:#?}");
            assert!(failure.detail.starts_with("Dockerfile line 2, `FROM "), "{failure:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_base_needs_its_credentials() {
    let engine = engine();
    let host = std::env::var("LOWTIDE_TEST_REGISTRY_AUTH").unwrap();
    let name = format!("{host}/{}", unique("private"));
    let login = |password: &str| Credential::Basic {
        username: "lowtide".to_owned(),
        password: Secret::new(password.to_owned()),
    };
    let good = login("tide-secret");
    let image = engine.inspect_image(BASE).await.unwrap().unwrap().id;
    let reference = format!("{name}:1").parse().unwrap();
    engine.tag_image(&image, &reference).await.unwrap();
    engine.push(&reference, Some(&good)).await.unwrap();
    engine.remove_image(&format!("{name}:1")).await.unwrap();

    let dir = context(&format!("FROM {name}:1\nRUN true\n"));
    let mut request = request(dir.path());
    request.pull = true;
    request.registry_auth = BTreeMap::from([(host.clone(), good)]);
    for (built, lines) in on_both(request.clone()).await {
        built.unwrap_or_else(|e| panic!("{e:?} {lines:#?}"));
    }
    engine.remove_image(&format!("{name}:1")).await.unwrap();
    request.registry_auth = BTreeMap::from([(host, login("wrong-canary"))]);
    for (built, lines) in on_both(request).await {
        let error = built.unwrap_err();
        assert_eq!(error.failure().unwrap().kind, FailureKind::RegistryDenied, "{error:?}");
        assert!(!format!("{error:?} {lines:?}").contains("wrong-canary"));
    }
}

/// The seconds of a `sleep` no other test sleeps.
fn unique_sleep() -> String {
    let random = ulid::Ulid::generate().random() % 1_000_000_000;
    (1_000_000_000 + random).to_string()
}

fn is_running(argument: &str) -> bool {
    let cmdlines = fs::read_dir("/proc").unwrap().flatten();
    let mut cmdlines = cmdlines.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    cmdlines.any(|cmdline| String::from_utf8_lossy(&cmdline).contains(argument))
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        tick.tick().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_limit_ends_the_build_on_the_engine() {
    let classic = proxy::without_buildkit().await;
    for engine in [engine(), classic.engine()] {
        let seconds = unique_sleep();
        let dir = context(&format!("FROM {BASE}\nRUN echo before; sleep {seconds}\n"));
        let mut request = request(dir.path());
        request.timeout = Duration::from_secs(8);
        let mut seen = false;
        let mut log = |line: &str| seen |= line.ends_with("before");
        let error = engine
            .build(request, &mut log, &CancellationToken::new())
            .await
            .unwrap_err();
        assert!(seen, "the command ran");
        let failure = error.failure().unwrap();
        assert_eq!(failure.kind, FailureKind::BuildTimeout);
        assert!(
            failure
                .detail
                .starts_with("Dockerfile line 2, `RUN echo before; sleep "),
            "{failure:?}"
        );
        assert!(failure.detail.ends_with("no end after 8 s"), "{failure:?}");
        assert_eq!(failure.excerpt, ["before"]);
        until("the build's process is gone", || !is_running(&seconds)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_ends_the_build_on_the_engine() {
    let classic = proxy::without_buildkit().await;
    for engine in [engine(), classic.engine()] {
        let seconds = unique_sleep();
        let dir = context(&format!("FROM {BASE}\nRUN sleep {seconds}\n"));
        let request = request(dir.path());
        let cancel = CancellationToken::new();
        let builds = {
            let cancel = cancel.clone();
            tokio::spawn(async move { engine.build(request, &mut |_| {}, &cancel).await })
        };
        let sleeps = format!("sleep\0{seconds}");
        until("the build's process runs", || is_running(&sleeps)).await;
        cancel.cancel();
        let error = builds.await.unwrap().unwrap_err();
        assert!(
            matches!(error, BuildError::Cancelled) && error.failure().is_none(),
            "{error:?}"
        );
        until("the build's process is gone", || !is_running(&seconds)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_build_ends_on_the_engine() {
    let engine = engine();
    let seconds = unique_sleep();
    let dir = context(&format!("FROM {BASE}\nRUN sleep {seconds}\n"));
    let request = request(dir.path());
    let builds = tokio::spawn(async move { engine.build(request, &mut |_| {}, &CancellationToken::new()).await });
    let sleeps = format!("sleep\0{seconds}");
    until("the build's process runs", || is_running(&sleeps)).await;
    builds.abort();
    until("the build's process is gone", || !is_running(&seconds)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_index_fails_a_build_that_exits_0() {
    let sign = "W: Failed to fetch https://deb.example.org/dists/x/InRelease";
    let dir = context(&format!(
        "FROM {BASE}\nRUN true\nRUN echo '{sign}'; echo 'Reading package lists...'\n"
    ));
    let request = request(dir.path());
    for (built, lines) in on_both(request.clone()).await {
        let error = built.unwrap_err();
        let failure = error.failure().unwrap();
        assert_eq!(failure.kind, FailureKind::PackageIndexStale, "{lines:#?}");
        assert!(
            failure.detail.starts_with("Dockerfile line 3, ") && failure.detail.ends_with(sign),
            "{failure:?}"
        );
    }
    assert_eq!(engine().inspect_image(&request.tag).await.unwrap(), None);
}

/// A tree with everything git can hold.
fn tree() -> tempfile::TempDir {
    let dir = context(&format!("FROM {BASE}\nCOPY . /ctx\n"));
    let at = |path: &str| dir.path().join(path);
    for folder in ["src/deep", "logs", "empty", "a", "with space"] {
        fs::create_dir_all(at(folder)).unwrap();
    }
    for (path, text) in [
        ("src/main.c", "int main;"),
        ("src/deep/keep.log", "keep"),
        ("src/deep/drop.log", "drop"),
        ("logs/a.log", "log"),
        ("logs/keep.txt", "keep"),
        ("a/b", "in a"),
        ("a.b", "beside a"),
        ("with space/ü.txt", "text"),
        ("nothing", ""),
        (".hidden", "hidden"),
    ] {
        fs::write(at(path), text).unwrap();
    }
    fs::write(at("big"), "x".repeat(300_000)).unwrap();
    fs::write(at("run.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(at("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("src/main.c", at("link")).unwrap();
    symlink("../outside", at("out")).unwrap();
    symlink("src", at("folder-link")).unwrap();
    dir
}

/// What `docker build` of the classic builder makes of the same directory.
fn by_docker(dir: &Path) -> BTreeMap<String, (String, u32, String)> {
    let tag = format!("{}:t", unique("lowtide-test/cli"));
    docker(&["build", "-q", "-t", &tag, dir.to_str().unwrap()]);
    let tar = export(&tag);
    docker(&["rmi", &tag]);
    read_tar(&mut tar.as_slice(), "ctx")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_context_arrives_as_docker_build_sends_it() {
    type Says = fn(&str, bool) -> Verdict;
    fn ignored(is: bool) -> Verdict {
        if is { Verdict::Ignore } else { Verdict::Include }
    }
    let cases: [(&str, Says); 5] = [
        ("", |_, _| Verdict::Include),
        ("logs\n*.b\n", |path, _| {
            if path == "logs" {
                Verdict::Prune
            } else {
                ignored(path == "a.b")
            }
        }),
        ("Dockerfile\n.dockerignore\n.hidden\n", |path, _| {
            ignored(["Dockerfile", ".dockerignore", ".hidden"].contains(&path))
        }),
        ("**/*.log\n!src/deep/keep.log\n", |path, _| {
            ignored(path.ends_with(".log") && path != "src/deep/keep.log")
        }),
        ("*\n!src/main.c\n!run.sh\n", |path, _| {
            ignored(!["src/main.c", "run.sh"].contains(&path))
        }),
    ];
    let dir = tree();
    let classic = proxy::without_buildkit().await;
    for (dockerignore, says) in cases {
        fs::write(dir.path().join(".dockerignore"), dockerignore).unwrap();
        let expected = by_docker(dir.path());
        for engine in [engine(), classic.engine()] {
            let mut request = request(dir.path());
            request.ignore = Arc::new(says);
            let tag = request.tag.clone();
            let (built, lines) = build_on(&engine, request).await;
            let built = built.unwrap_or_else(|e| panic!("{e:?} {lines:#?}"));
            let mut got = files_below(&built, "ctx");
            // A folder that only its re-included file brings along: git has no mode for it, the classic client sends none.
            if let (Some(got), Some(expected)) = (got.get_mut("/src"), expected.get("/src")) {
                got.1 = expected.1;
            }
            assert_eq!(got, expected, "{dockerignore:?} {:?}", built.builder);
            engine.remove_image(&tag).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_dockerfile_is_built_and_the_repositorys_own_is_copied() {
    let engine = engine();
    let dir = context("FROM example.org/not-this\nCOPY . /ctx\n");
    let mut request = request(dir.path());
    request.replace = vec![("Dockerfile".into(), Bytes::from(format!("FROM {BASE}\nCOPY . /ctx\n")))];
    let tag = request.tag.clone();
    let built = build_on(&engine, request).await.0.unwrap();
    let files = files_below(&built, "ctx");
    assert_eq!(files["/Dockerfile"].2, "FROM example.org/not-this\nCOPY . /ctx\n");
    engine.remove_image(&tag).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_one_size_and_time_are_never_mixed_up_between_builds() {
    let engine = engine();
    for text in ["one", "two"] {
        let dir = context(&format!("FROM {BASE}\nCOPY file /ctx\n"));
        fs::write(dir.path().join("file"), text).unwrap();
        let mut request = request(dir.path());
        request.nocache = false;
        let tag = request.tag.clone();
        let built = build_on(&engine, request).await.0.unwrap();
        assert_eq!(files_below(&built, "ctx")[""].2, text);
        engine.remove_image(&tag).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_contexts_are_named() {
    let engine = engine();
    let dir = context(&format!("FROM {BASE}\n"));
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("s.sock")).unwrap();
    let error = build_on(&engine, request(dir.path())).await.0.unwrap_err();
    assert_eq!(
        error.failure().unwrap().to_string(),
        "the repository has files that must not enter a build context: s.sock is a socket"
    );
    let dir = tempfile::tempdir().unwrap();
    let error = build_on(&engine, request(dir.path())).await.0.unwrap_err();
    assert_eq!(error.failure().unwrap().kind, FailureKind::DockerfileMissing);
    symlink("/etc/hostname", dir.path().join("Dockerfile")).unwrap();
    let error = build_on(&engine, request(dir.path())).await.0.unwrap_err();
    assert!(
        matches!(error, BuildError::Context(ContextError::Missing { .. })),
        "{error:?}"
    );
    let dir = context(&format!("FROM {BASE}\n"));
    let mut small = request(dir.path());
    small.limits.bytes = 5;
    let error = build_on(&engine, small).await.0.unwrap_err();
    assert_eq!(error.failure().unwrap().kind, FailureKind::SourceTooLarge);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_output_stays_within_the_logs_cap() {
    let engine = engine();
    let dir = context(&format!(
        "FROM {BASE}\nRUN yes 0123456789012345678901234567890 | head -n 60000; echo the end; false\n"
    ));
    let path = dir.path().join("build.log");
    let mut file = LogFile::create(&path, 64 * 1024).unwrap();
    let mut log = |line: &str| file.line(line).unwrap();
    let error = engine
        .build(request(dir.path()), &mut log, &CancellationToken::new())
        .await
        .unwrap_err();
    assert!(error.failure().unwrap().excerpt.len() <= 40);
    file.finish().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.len() < 65 * 1024, "{}", text.len());
    assert!(text.contains("lines, ") && text.contains("left out"));
    // Which of its first steps BuildKit names first is a matter of load.
    assert!(text.starts_with('#'), "{}", &text[..80]);
    assert!(
        text.lines()
            .rev()
            .take(5)
            .any(|line| line.ends_with("the end") || line.contains("clipped")),
        "{}",
        &text[text.len() - 300..]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_down_is_unreachable() {
    let dir = context("FROM scratch\n");
    let path = dir.path().join("nobody.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let engine = Engine::connect(&EngineAddress::Unix(path.clone())).unwrap();
    let mut request = request(dir.path());
    request.ignore = Arc::new(|path, _| {
        if path == "nobody.sock" {
            Verdict::Prune
        } else {
            Verdict::Include
        }
    });
    let failure = build_on(&engine, request).await.0.unwrap_err().failure().unwrap();
    assert_eq!(failure.kind, FailureKind::EngineUnreachable);
    assert_eq!(
        failure.detail,
        format!("the engine at unix://{} does not answer", path.display())
    );
}

/// By both builders, with the real package manager: a target of its own, whose user is not root.
#[tokio::test]
async fn an_upgrade_is_the_last_layer_and_the_user_stays() {
    let text = "FROM lowtide-test/debian:behind AS web\nUSER nobody\nFROM web AS dev\nRUN exit 1\n";
    let upgraded = parse(text)
        .unwrap()
        .with_upgrade(text, Some("web"), &BTreeMap::new())
        .unwrap();
    let dir = context(&upgraded);
    let classic = proxy::without_buildkit().await;
    for engine in [engine(), classic.engine()] {
        let request = BuildRequest {
            target: Some("web".to_owned()),
            ..request(dir.path())
        };
        let (built, lines) = build_on(&engine, request.clone()).await;
        let built = built.unwrap_or_else(|e| panic!("{e:?}: {lines:#?}"));
        let image = engine.raw_get(&format!("/images/{}/json", built.image)).await.unwrap();
        assert_eq!(image["Config"]["User"], "nobody");
        assert!(
            lines.iter().any(|line| line.contains("Calculating upgrade")),
            "{lines:#?}"
        );
        engine.remove_image(&request.tag).await.unwrap();
    }
}

/// The classic builder gives the container of each RUN the limits; BuildKit does not, and the log says so.
#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_where_the_builder_has_them_and_are_reported_where_not() {
    let dir = context(&format!(
        "FROM {BASE}\nRUN cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null || true\n\
         RUN cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max 2>/dev/null || true\n"
    ));
    let mut request = request(dir.path());
    request.step_limits = lowtide::model::policy::BuildLimits {
        memory: Some(64 << 20),
        cpus: Some(0.5),
    };
    let [(buildkit, buildkit_log), (classic, classic_log)] = on_both(request).await;
    buildkit.unwrap();
    classic.unwrap();
    let (buildkit_log, classic_log) = (buildkit_log.join("\n"), classic_log.join("\n"));
    assert!(classic_log.contains("67108864"), "{classic_log}");
    assert!(
        classic_log.lines().any(|line| line.trim().starts_with("50000")),
        "{classic_log}"
    );
    assert!(
        buildkit_log.contains("BuildKit does not know build.limits"),
        "{buildkit_log}"
    );
    assert!(!classic_log.contains("BuildKit does not know"), "{classic_log}");
}
