//! git against real remotes: files, `git daemon`, `git http-backend`, and servers that do not behave.

mod ssh;
mod token;

use crate::support::git_http;
use lowtide::clients::git::error::GitError;
use lowtide::clients::git::remote::Git;
use lowtide::model::failure::FailureKind;
use lowtide::model::policy::{GitRef, Source};
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A scratch directory with a remote (bare, `srv/app.git`), a work tree that pushes to it, and our mirrors.
struct World {
    dir: tempfile::TempDir,
    git: Git,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let git = Git::new(dir.path().join("mirrors"));
        let world = Self { dir, git };
        world.repository("app");
        world
    }
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
    /// An empty bare remote and a work tree beside it.
    fn repository(&self, name: &str) {
        let (bare, work) = (self.path(&format!("srv/{name}.git")), self.path(name));
        std::fs::create_dir_all(&bare).unwrap();
        run(&bare, &["init", "-q", "--bare", "-b", "main"]);
        std::fs::create_dir_all(&work).unwrap();
        run(&work, &["init", "-q", "-b", "main"]);
        run(&work, &["remote", "add", "origin", bare.to_str().unwrap()]);
    }
    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    /// Commits everything in the work tree, pushes with force, gives the id.
    fn push(&self, name: &str, subject: &str) -> String {
        let work = self.path(name);
        run(&work, &["add", "-A"]);
        run(&work, &["commit", "-q", "--allow-empty", "-m", subject]);
        run(&work, &["push", "-q", "--force", "--tags", "origin", "HEAD"]);
        run(&work, &["rev-parse", "HEAD"])
    }
    fn source(&self) -> Source {
        source(&format!("file://{}", self.path("srv/app.git").display()))
    }
    async fn failure(&self, source: &Source) -> (FailureKind, String) {
        let failure = self.git.resolve(source).await.unwrap_err().failure();
        (
            failure.kind,
            failure.detail.replace(&self.dir.path().display().to_string(), "DIR"),
        )
    }
    /// What is wrong with a commit that holds what the work tree holds now.
    async fn refusal(&self, source: &Source) -> (FailureKind, String) {
        self.push("app", "hostile");
        let found = match self.git.resolve(source).await {
            Ok(commit) => self.git.checkout(source, &commit.id, &self.path("out")).await,
            Err(error) => Err(error),
        };
        let failure = found.unwrap_err().failure();
        assert!(!self.path("out").exists(), "nothing is left");
        (failure.kind, failure.detail)
    }
    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap()
    }
}

fn source(repo: &str) -> Source {
    Source {
        repo: repo.to_owned(),
        git_ref: GitRef::Head,
        context: String::new(),
        dockerfile: "Dockerfile".into(),
        submodules: false,
        username: None,
        token: None,
        ssh_key: None,
        timeout: jiff::SignedDuration::from_secs(60),
        max_size: 1 << 20,
    }
}

fn at(source: Source, git_ref: GitRef) -> Source {
    Source { git_ref, ..source }
}

/// The tests' own git, free of this machine's configuration.
fn run(dir: &Path, args: &[&str]) -> String {
    let mut git = Command::new("git");
    git.current_dir(dir)
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1");
    for who in ["AUTHOR", "COMMITTER"] {
        git.env(format!("GIT_{who}_NAME"), "Ada")
            .env(format!("GIT_{who}_EMAIL"), "ada@example.org");
        git.env(format!("GIT_{who}_DATE"), "2026-01-02T03:04:05Z");
    }
    let output = git.output().unwrap();
    assert!(
        output.status.success(),
        "git {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_branch_is_followed_wherever_it_goes() {
    let world = World::new();
    world.write("app/Dockerfile", "FROM scratch\n");
    let first = world.push("app", "First\n\nwith a body");
    let source = at(world.source(), GitRef::Branch("main".into()));
    let commit = world.git.resolve(&source).await.unwrap();
    assert_eq!(
        (commit.id.as_str(), commit.subject.as_str(), commit.author.as_str()),
        (first.as_str(), "First", "Ada")
    );
    assert_eq!(commit.time.to_string(), "2026-01-02T03:04:05Z");

    world.write("app/Dockerfile", "FROM busybox\n");
    let second = world.push("app", "Second");
    assert_eq!(world.git.resolve(&source).await.unwrap().id, second);
    run(&world.path("app"), &["reset", "-q", "--hard", &first]);
    let forced = world.push("app", "Another second");
    assert_eq!(world.git.resolve(&source).await.unwrap().id, forced, "force-push");

    world.git.checkout(&source, &forced, &world.path("out")).await.unwrap();
    assert_eq!(world.read("out/Dockerfile"), "FROM scratch\n");
    // What was pushed away is still known to the mirror.
    world.git.checkout(&source, &second, &world.path("out")).await.unwrap();
    assert_eq!(world.read("out/Dockerfile"), "FROM busybox\n");
}

#[tokio::test]
async fn tags_commits_and_head() {
    let world = World::new();
    world.write("app/a", "1");
    let first = world.push("app", "First");
    run(&world.path("app"), &["tag", "light"]);
    run(&world.path("app"), &["tag", "-a", "-m", "text", "v1.0"]);
    world.write("app/a", "2");
    let second = world.push("app", "Second");
    for (git_ref, id) in [
        (GitRef::Tag("light".into()), &first),
        (GitRef::Tag("v1.0".into()), &first),
        (GitRef::Commit(first.clone()), &first),
        (GitRef::Commit(first[..10].to_owned()), &first),
        (GitRef::Head, &second),
    ] {
        // A mirror of its own for each: nothing is there already.
        let git = Git::new(tempfile::tempdir_in(world.dir.path()).unwrap().keep());
        let found = git.resolve(&at(world.source(), git_ref.clone())).await.unwrap();
        assert_eq!(&found.id, id, "{git_ref:?}");
    }
}

#[tokio::test]
async fn what_is_not_there_has_its_name() {
    let world = World::new();
    assert_eq!(world.failure(&world.source()).await.0, FailureKind::SourceEmpty);
    let main = GitRef::Branch("main".into());
    assert_eq!(
        world.failure(&at(world.source(), main)).await.0,
        FailureKind::SourceEmpty
    );
    world.push("app", "First");
    let (kind, detail) = world.failure(&at(world.source(), GitRef::Branch("prod".into()))).await;
    assert_eq!(kind, FailureKind::SourceMissing);
    insta::assert_snapshot!(detail, @"prod is not in file://DIR/srv/app.git");
    let nobody = "0123456789012345678901234567890123456789".to_owned();
    for git_ref in [
        GitRef::Tag("v9".into()),
        GitRef::Commit(nobody),
        GitRef::Branch("--upload-pack=x".into()),
    ] {
        let found = world.failure(&at(world.source(), git_ref.clone())).await;
        assert_eq!(found.0, FailureKind::SourceMissing, "{git_ref:?}: {}", found.1);
    }
    let (kind, detail) = world
        .failure(&source(&format!("file://{}", world.path("srv/moved.git").display())))
        .await;
    assert_eq!(kind, FailureKind::SourceGone);
    insta::assert_snapshot!(detail, @r"
    file://DIR/srv/moved.git is not there: fatal: 'DIR/srv/moved.git' does not appear to be a git repository
    ");
}

#[tokio::test]
async fn a_checkout_is_exactly_the_commit() {
    let world = World::new();
    world.write(
        "app/.gitattributes",
        "kept export-ignore\nsubst export-subst\n*.bin filter=lfs diff=lfs\n",
    );
    world.write("app/kept", "kept");
    world.write("app/subst", "$Format:%H$");
    world.write("app/sub/dir/run.sh", "#!/bin/sh\n");
    std::os::unix::fs::symlink("sub/dir", world.path("app/link")).unwrap();
    run(&world.path("app"), &["add", "-A"]);
    run(&world.path("app"), &["update-index", "--chmod=+x", "sub/dir/run.sh"]);
    let id = world.push("app", "All");
    world.write("out/stale", "from before");
    world
        .git
        .checkout(&world.source(), &id, &world.path("out"))
        .await
        .unwrap();
    assert_eq!(world.read("out/kept"), "kept");
    assert_eq!(world.read("out/subst"), "$Format:%H$");
    assert_eq!(
        std::fs::read_link(world.path("out/link")).unwrap(),
        Path::new("sub/dir")
    );
    assert!(!world.path("out/stale").exists() && !world.path("out/.git").exists());
    let read = async |path: &str| world.git.read_file(&world.source(), &id, path).await;
    assert_eq!(read("kept").await.unwrap().as_deref(), Some(&b"kept"[..]));
    assert_eq!(read("link/run.sh").await.unwrap().as_deref(), Some(&b"#!/bin/sh\n"[..]));
    assert_eq!(
        read("./sub//dir/run.sh").await.unwrap().as_deref(),
        Some(&b"#!/bin/sh\n"[..])
    );
    assert_eq!(read("sub").await.unwrap(), None);
    assert_eq!(read("absent").await.unwrap(), None);
    for path in ["../x", "/etc/passwd", "sub/../../x"] {
        assert!(matches!(read(path).await, Err(GitError::Hostile { .. })), "{path}");
    }
}

#[tokio::test]
async fn hostile_trees_are_refused_before_anything_is_written() {
    let world = World::new();
    let source = world.source();
    type Make = fn(&Path);
    let cases: [(&str, Make); 4] = [
        ("link", |work| {
            std::os::unix::fs::symlink("/etc/passwd", work.join("evil")).unwrap()
        }),
        ("climb", |work| {
            std::os::unix::fs::symlink("../../x", work.join("evil")).unwrap()
        }),
        ("newline", |work| std::fs::write(work.join("a\nb"), "").unwrap()),
        ("escape", |work| std::fs::write(work.join("a\x1b[2Jb"), "").unwrap()),
    ];
    for (name, make) in cases {
        run(&world.path("app"), &["checkout", "-q", "--orphan", name]);
        run(&world.path("app"), &["rm", "-rfq", "--ignore-unmatch", "."]);
        make(&world.path("app"));
        world.write("app/Dockerfile", "FROM scratch\n");
        let (kind, detail) = world.refusal(&at(source.clone(), GitRef::Branch(name.into()))).await;
        assert_eq!(kind, FailureKind::SourceHostile, "{name}: {detail}");
    }
    // git itself would not add such names.
    let work = world.path("app");
    let blob = run(&work, &["hash-object", "-w", "--stdin"]);
    let make = |text: &str| {
        world.write("tree", text);
        let tree = std::fs::File::open(world.path("tree")).unwrap();
        let made = Command::new("git")
            .arg("mktree")
            .current_dir(&work)
            .stdin(tree)
            .output()
            .unwrap();
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    };
    let inner = make(&format!("100644 blob {blob}\tconfig\n"));
    let outer = make(&format!("040000 tree {inner}\t.GIT\n"));
    let commit = run(&work, &["commit-tree", "-m", "x", &outer]);
    run(&work, &["push", "-q", "origin", &format!("{commit}:refs/heads/dotgit")]);
    let (kind, detail) = world.failure(&at(source, GitRef::Branch("dotgit".into()))).await;
    assert_eq!(kind, FailureKind::SourceHostile, "{detail}");
}

#[tokio::test]
async fn context_and_dockerfile_stay_inside() {
    let world = World::new();
    world.write("app/docker/Dockerfile", "FROM scratch\n");
    let id = world.push("app", "All");
    for (context, dockerfile, fine) in [
        ("docker", "Dockerfile", true),
        ("docker", "../docker/Dockerfile", true),
        ("..", "Dockerfile", false),
        ("docker", "../../Dockerfile", false),
        ("/etc", "Dockerfile", false),
    ] {
        let source = Source {
            context: context.into(),
            dockerfile: dockerfile.into(),
            ..world.source()
        };
        let found = world.git.checkout(&source, &id, &world.path("out")).await;
        assert_eq!(found.is_ok(), fine, "{context} {dockerfile}: {found:?}");
    }
}

#[tokio::test]
async fn sizes_are_limited() {
    let world = World::new();
    world.write("app/zeros", &"0".repeat(2 << 20));
    let (kind, detail) = world.refusal(&world.source()).await;
    assert_eq!(kind, FailureKind::SourceTooLarge);
    insta::assert_snapshot!(detail, @r#"the tree with 2097152 bytes (the largest file is "zeros" with 2097152) is larger than 1048576 bytes"#);
    // What cannot be packed is stopped while it comes.
    let noise = std::fs::File::open("/dev/urandom").unwrap();
    std::io::copy(
        &mut noise.take(40 << 20),
        &mut std::fs::File::create(world.path("app/noise")).unwrap(),
    )
    .unwrap();
    let (kind, detail) = world.refusal(&world.source()).await;
    assert_eq!(kind, FailureKind::SourceTooLarge);
    assert!(detail.starts_with("what file://"), "{detail}");
    assert!(du(&world.path("mirrors")) < 1 << 20, "the half that came is gone");
}

fn du(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().flatten();
    entries
        .map(|e| {
            if e.file_type().unwrap().is_dir() {
                du(&e.path())
            } else {
                e.metadata().unwrap().len()
            }
        })
        .sum()
}

#[tokio::test]
async fn submodules_come_along_when_requested() {
    let world = World::new();
    for name in ["lib", "inner"] {
        world.repository(name);
    }
    world.write("inner/deep", "deep");
    world.push("inner", "Inner");
    let add = |into: &str, url: &str, path: &str| {
        let url = if url.starts_with('.') {
            url.to_owned()
        } else {
            format!("file://{}", world.path(url).display())
        };
        run(
            &world.path(into),
            &["-c", "protocol.file.allow=always", "submodule", "add", "-q", &url, path],
        );
    };
    add("lib", "srv/inner.git", "vendor/inner");
    world.write("lib/file", "lib");
    world.push("lib", "Lib");
    add("app", "../lib.git", "third/lib");
    let id = world.push("app", "App");

    let source = world.source();
    world.git.checkout(&source, &id, &world.path("out")).await.unwrap();
    assert_eq!(
        std::fs::read_dir(world.path("out/third/lib")).unwrap().count(),
        0,
        "not asked for"
    );
    let source = Source {
        submodules: true,
        ..source
    };
    world.git.checkout(&source, &id, &world.path("out")).await.unwrap();
    assert_eq!(world.read("out/third/lib/file"), "lib");
    assert_eq!(world.read("out/third/lib/vendor/inner/deep"), "deep");

    // From a server, the inner one's address is a path on our machine.
    let url = git_http::serve(&world.path("srv"), None, |_| {});
    let source = Source {
        repo: format!("{url}/app.git"),
        ..source
    };
    let error = world.git.checkout(&source, &id, &world.path("out")).await.unwrap_err();
    assert_eq!(error.failure().kind, FailureKind::SourceHostile, "{error}");
    insta::assert_snapshot!(error, @r#"the submodule "vendor/inner" is a path on this machine"#);
}

#[tokio::test]
async fn a_damaged_mirror_is_made_anew() {
    let world = World::new();
    world.write("app/a", "1");
    let id = world.push("app", "First");
    let source = world.source();
    world.git.resolve(&source).await.unwrap();
    let mirror = mirror(&world);
    std::fs::write(mirror.join("HEAD"), "rubbish").unwrap();
    assert_eq!(world.git.resolve(&source).await.unwrap().id, id);
    // A lock of a killed git.
    std::fs::write(mirror.join("shallow.lock"), "").unwrap();
    world.write("app/a", "2");
    let id = world.push("app", "Second");
    assert_eq!(world.git.resolve(&source).await.unwrap().id, id);
    // The commit is there, its files are not.
    for fan in std::fs::read_dir(mirror.join("objects")).unwrap().flatten() {
        for object in std::fs::read_dir(fan.path()).unwrap().flatten() {
            let name = format!("{}{}", fan.file_name().display(), object.file_name().display());
            if name != id {
                std::fs::remove_file(object.path()).unwrap();
            }
        }
    }
    world.git.checkout(&source, &id, &world.path("out")).await.unwrap();
    assert_eq!(world.read("out/a"), "2");
}

fn mirror(world: &World) -> PathBuf {
    let mut dirs = std::fs::read_dir(world.path("mirrors")).unwrap().flatten();
    dirs.find(|e| e.path().join("objects").exists()).unwrap().path()
}

#[tokio::test]
async fn mirrors_nobody_uses_go() {
    let world = World::new();
    world.push("app", "First");
    world.git.resolve(&world.source()).await.unwrap();
    let used = lowtide::clients::clock::now();
    let hour = jiff::SignedDuration::from_hours(1);
    assert_eq!(world.git.sweep(used - hour).await.unwrap(), 0);
    assert_eq!(world.git.sweep(used + hour).await.unwrap(), 1);
    world.git.resolve(&world.source()).await.unwrap();
}

#[tokio::test]
async fn many_at_once_on_one_mirror() {
    let world = World::new();
    let id = world.push("app", "First");
    let source = world.source();
    let all = (0..8).map(|n| {
        let (git, source, id) = (world.git.clone(), source.clone(), id.clone());
        let into = world.path(&format!("out{n}"));
        tokio::spawn(async move {
            assert_eq!(git.resolve(&source).await.unwrap().id, id);
            git.checkout(&source, &id, &into).await.unwrap();
        })
    });
    for task in all.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn git_daemon() {
    let world = World::new();
    world.write("app/a", "1");
    let first = world.push("app", "First");
    world.write("app/a", "2");
    world.push("app", "Second");
    // Free when we looked; another process may be faster, then the daemon says so and the test fails.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    // Not `git daemon`: that waits for the daemon and passes no signal on.
    let programs = PathBuf::from(run(world.dir.path(), &["--exec-path"]));
    let mut daemon = Daemon(
        Command::new(programs.join("git-daemon"))
            .args(["--verbose", "--reuseaddr", "--listen=127.0.0.1", "--export-all"])
            .arg(format!("--port={port}"))
            .arg(format!("--base-path={}", world.path("srv").display()))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut words = BufReader::new(daemon.0.stderr.take().unwrap());
    let mut line = String::new();
    words.read_line(&mut line).unwrap();
    assert!(line.contains("Ready to rumble"), "{line}");
    std::thread::spawn(move || std::io::copy(&mut words, &mut std::io::sink()));
    let source = source(&format!("git://127.0.0.1:{port}/app.git"));
    assert_eq!(world.git.resolve(&source).await.unwrap().subject, "Second");
    let old = at(source.clone(), GitRef::Commit(first.clone()));
    assert_eq!(world.git.resolve(&old).await.unwrap().id, first);
    let gone = Source {
        repo: format!("git://127.0.0.1:{port}/other.git"),
        ..source
    };
    let (kind, detail) = world.failure(&gone).await;
    assert_eq!(kind, FailureKind::SourceGone, "{detail}");
    drop(daemon);
    let (kind, detail) = world.failure(&gone).await;
    assert_eq!(kind, FailureKind::SourceUnreachable, "a dead port: {detail}");
}

/// Ends with the test, also when that fails.
struct Daemon(std::process::Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test]
async fn a_hanging_server_is_given_up_and_nothing_is_left_running() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let source = Source {
        timeout: jiff::SignedDuration::from_millis(700),
        ..source(&format!("http://{}/app.git", listener.local_addr().unwrap()))
    };
    // The end of the connection is the end of git's helper, two processes down.
    let hung_up = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // Killed, it may not even say goodbye: any end is an end.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let (kind, detail) = world.failure(&source).await;
    assert_eq!(kind, FailureKind::SourceUnreachable, "{detail}");
    assert!(detail.ends_with("took longer than 0 s"), "{detail}");
    tokio::task::spawn_blocking(|| hung_up.join().unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_cancelled_resolve_leaves_nothing_running() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let source = source(&format!("http://{}/app.git", listener.local_addr().unwrap()));
    let (connected, wait) = tokio::sync::oneshot::channel();
    let hung_up = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        connected.send(()).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    tokio::select! {
        found = world.git.resolve(&source) => panic!("{found:?}"),
        connected = wait => connected.unwrap(),
    }
    tokio::task::spawn_blocking(|| hung_up.join().unwrap()).await.unwrap();
}
