//! A real sshd of one test. It needs one: `/usr/sbin/sshd`, or where `LOWTIDE_TEST_SSHD` says.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A private sshd that lets in whoever has the key `client`; ends with the test.
pub(crate) struct Sshd {
    child: Child,
    pub(crate) port: u16,
    pub(crate) user: String,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

pub(crate) fn key(path: &Path) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(path)
        .status();
    assert!(made.unwrap().success());
}

pub(crate) fn start(dir: &Path) -> Sshd {
    let program = std::env::var_os("LOWTIDE_TEST_SSHD").map_or("/usr/sbin/sshd".into(), PathBuf::from);
    assert!(
        program.exists(),
        "no sshd at {}: install openssh-server",
        program.display()
    );
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
