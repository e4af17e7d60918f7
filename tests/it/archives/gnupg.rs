//! Real keys and signatures, made by gpg in a home of its own.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

pub(super) struct Gnupg {
    home: tempfile::TempDir,
}

impl Gnupg {
    pub(super) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        Self { home }
    }

    pub(super) fn home(&self) -> &Path {
        self.home.path()
    }

    /// A new key's fingerprint. `expires`: as gpg takes it, `never` or `20300101T000000`.
    pub(super) fn key(&self, name: &str, algorithm: &str, expires: &str) -> String {
        self.key_with(name, &[], &[algorithm, "sign", expires])
    }

    pub(super) fn key_with(&self, name: &str, options: &[&str], what: &[&str]) -> String {
        let mut args = options.to_vec();
        args.extend(["--quick-gen-key", name]);
        args.extend(what);
        self.run(&args, b"");
        let listing = self.run(&["--with-colons", "--list-keys", &format!("={name}")], b"");
        let listing = String::from_utf8(listing).unwrap();
        let line = listing.lines().find(|line| line.starts_with("fpr:")).unwrap();
        line.split(':').nth(9).unwrap().to_owned()
    }

    pub(super) fn export(&self, keys: &[&str]) -> Vec<u8> {
        self.run(&[&["--export"], keys].concat(), b"")
    }

    pub(super) fn export_armored(&self, keys: &[&str]) -> Vec<u8> {
        self.run(&[&["--armor", "--export"], keys].concat(), b"")
    }

    pub(super) fn clearsign(&self, text: &str, keys: &[&str]) -> Vec<u8> {
        self.sign(text, keys, &["--clearsign"])
    }

    /// `how`: `--clearsign`, or `--detach-sign` and friends.
    pub(super) fn sign(&self, text: &str, keys: &[&str], how: &[&str]) -> Vec<u8> {
        let mut args: Vec<&str> = keys.iter().flat_map(|key| ["-u", key]).collect();
        args.extend(how);
        self.run(&args, text.as_bytes())
    }

    pub(super) fn run(&self, args: &[&str], input: &[u8]) -> Vec<u8> {
        let mut gpg = Command::new("gpg")
            .args([
                "--batch",
                "--quiet",
                "--yes",
                "--pinentry-mode",
                "loopback",
                "--passphrase",
                "",
            ])
            .arg("--homedir")
            .arg(self.home.path())
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = gpg.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let done = gpg.wait_with_output().unwrap();
        let _ = writer.join().unwrap();
        assert!(
            done.status.success(),
            "gpg {args:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        done.stdout
    }

    /// What gpgv says: does the file verify by this keyring?
    pub(super) fn gpgv(&self, keyring: &[u8], files: &[&[u8]]) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let keyring = place("keyring.gpg", keyring);
        let files = files
            .iter()
            .enumerate()
            .map(|(n, bytes)| place(&format!("file{n}"), bytes));
        let said = Command::new("gpgv")
            .arg("--keyring")
            .arg(keyring)
            .args(["--status-fd", "1", "--homedir"])
            .arg(self.home.path())
            .args(files)
            .output()
            .unwrap();
        // As apt reads it: what counts is a line that says GOODSIG with a digest that is not weak.
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let strong = said
            .lines()
            .filter(|line| line.contains(" VALIDSIG "))
            .any(|line| !matches!(line.split(' ').nth(9), Some("1" | "2" | "3")));
        said.contains(" GOODSIG ") && strong
    }
}

impl Drop for Gnupg {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf")
            .arg("--homedir")
            .arg(self.home.path())
            .args(["--kill", "gpg-agent"])
            .output();
    }
}
