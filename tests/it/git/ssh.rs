//! ssh remotes against a real sshd. It needs one: `/usr/sbin/sshd`, or where `LOWTIDE_TEST_SSHD` says.

use super::{World, source};
use lowtide::model::failure::FailureKind;
use lowtide::model::fleet::Source;
use lowtide::model::secret::SecretRef;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A private sshd that lets in whoever has the key `client`; ends with the test.
struct Sshd {
    child: Child,
    port: u16,
    user: String,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn key(path: &Path) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(path)
        .status();
    assert!(made.unwrap().success());
}

fn start(program: &Path, dir: &Path) -> Sshd {
    // Free when we looked; if another process is faster, sshd says so and the test fails.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let shown = dir.display();
    let config = format!(
        "ListenAddress 127.0.0.1\nPort {port}\nHostKey {shown}/host\nAuthorizedKeysFile {shown}/client.pub\nPidFile none\n\
         StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n"
    );
    std::fs::write(dir.join("sshd_config"), config).unwrap();
    let mut child = Command::new(program)
        .args(["-D", "-e", "-f"])
        .arg(dir.join("sshd_config"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut words = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    words.read_line(&mut line).unwrap();
    assert!(line.contains("Server listening"), "{line}");
    std::thread::spawn(move || std::io::copy(&mut words, &mut std::io::sink()));
    let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    Sshd {
        child,
        port,
        user: user.trim().to_owned(),
    }
}

#[tokio::test]
async fn a_key_opens_the_door_and_a_changed_host_closes_it() {
    let program = std::env::var_os("LOWTIDE_TEST_SSHD").map_or("/usr/sbin/sshd".into(), PathBuf::from);
    if !program.exists() {
        eprintln!("no sshd at {}: install openssh-server", program.display());
        return;
    }
    let world = World::new();
    let id = world.push("app", "First");
    for name in ["host", "client", "stranger"] {
        key(&world.path(name));
    }
    // As secrets are mounted: readable by all, which ssh itself would refuse.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(world.path("client"), open).unwrap();
    let sshd = start(&program, world.dir.path());
    let with_key = |name: &str| Source {
        ssh_key: Some(SecretRef::File(world.path(name))),
        ..source(&format!(
            "ssh://{}@127.0.0.1:{}{}",
            sshd.user,
            sshd.port,
            world.path("srv/app.git").display()
        ))
    };
    assert_eq!(world.git.resolve(&with_key("client")).await.unwrap().id, id);
    assert_eq!(world.failure(&with_key("stranger")).await.0, FailureKind::SourceDenied);
    assert_eq!(
        std::fs::read_dir(world.path("mirrors/keys")).unwrap().count(),
        0,
        "no key is left behind"
    );

    let known = world.path("mirrors/known_hosts");
    let other = world.read("stranger.pub");
    std::fs::write(&known, format!("[127.0.0.1]:{} {other}", sshd.port)).unwrap();
    let (kind, detail) = world.failure(&with_key("client")).await;
    assert_eq!(kind, FailureKind::SourceDenied, "{detail}");
}
