//! `scripts/dist` around a binary that is built already: what is in the archive and the package, and that a second run makes the
//! same bytes. Compiling for a release, and the image, take too long here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn output(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    output
}

fn stdout(command: &mut Command) -> String {
    String::from_utf8(output(command).stdout).unwrap()
}

/// A small program in place of the large one, which it becomes when it is run: packing is quick, and what lowtide is asked
/// (version, pages, completions) is answered by this build.
fn stand_in(dir: &Path) -> PathBuf {
    let source = dir.join("stand_in.c");
    let binary = dir.join("lowtide");
    let text = format!(
        "#include <unistd.h>\nint main(int n, char **words) {{ (void)n; return execv({:?}, words); }}\n",
        env!("CARGO_BIN_EXE_lowtide")
    );
    std::fs::write(&source, text).unwrap();
    output(Command::new("cc").arg("-s").arg("-o").arg(&binary).arg(&source));
    binary
}

fn dist(binary: &Path, out: &Path, key: Option<&Path>) {
    let mut command = Command::new(root().join("scripts/dist"));
    command.arg("--binary").arg(binary).arg("--no-image").arg(out);
    command.env("SOURCE_DATE_EPOCH", "1700000000");
    for variable in ["LOWTIDE_DIST_KEY", "LOWTIDE_DIST_KEY_FILE", "LOWTIDE_DIST_TARGET"] {
        command.env_remove(variable);
    }
    if let Some(key) = key {
        command.env("LOWTIDE_DIST_KEY_FILE", key);
    }
    output(&mut command);
}

/// Contents by name.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect()
}

fn ending<'a>(files: &'a BTreeMap<String, Vec<u8>>, end: &str) -> &'a str {
    let mut found = files.keys().filter(|name| name.ends_with(end));
    found.next().unwrap_or_else(|| panic!("no {end}: {:?}", files.keys()))
}

#[test]
fn a_release_is_complete_and_signed_and_made_the_same_twice() {
    let dir = tempfile::tempdir().unwrap();
    let binary = stand_in(dir.path());
    let key = dir.path().join("key");
    output(
        Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&key),
    );
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    dist(&binary, &first, Some(&key));
    // Signatures of this kind of key are the same for the same text.
    dist(&binary, &second, Some(&key));
    let made = files(&first);
    assert_eq!(
        made.keys().collect::<Vec<_>>(),
        files(&second).keys().collect::<Vec<_>>()
    );
    for (name, bytes) in files(&second) {
        assert!(made[&name] == bytes, "{name} is not the same");
    }
    assert_eq!(made.len(), 6, "{:?}", made.keys());
    output(
        Command::new("sha256sum")
            .args(["--check", "--strict", "SHA256SUMS"])
            .current_dir(&first),
    );
    let signers = dir.path().join("signers");
    let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    std::fs::write(&signers, format!("releases namespaces=\"lowtide\" {public}")).unwrap();
    // As docs/install.md has it.
    let verify = "ssh-keygen -Y verify -f \"$1\" -I releases -n lowtide -s SHA256SUMS.sig <SHA256SUMS";
    output(
        Command::new("sh")
            .args(["-c", verify, "sh"])
            .arg(&signers)
            .current_dir(&first),
    );
    archive_is_complete(&first, ending(&made, ".tar.gz"));
    package_is_complete(&first, ending(&made, ".deb"));
    sbom_is_complete(&made[ending(&made, ".cdx.json")]);
}

fn archive_is_complete(out: &Path, name: &str) {
    let list = stdout(
        Command::new("tar")
            .args(["-tvzf", name, "--numeric-owner", "--utc"])
            .current_dir(out),
    );
    let lines: Vec<&str> = list.lines().collect();
    assert!(lines.iter().all(|line| line.contains(" 0/0 ")), "{list}");
    assert!(lines.iter().all(|line| line.contains("2023-11-14 22:13")), "{list}");
    for wanted in [
        "lowtide",
        "NEEDS",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "LICENSES-OF-CRATES",
        "README.md",
        "config.example.yml",
        "man/lowtide.1",
        "man/lowtide-serve.1",
        "completions/lowtide.bash",
        "completions/_lowtide",
        "completions/lowtide.fish",
    ] {
        assert!(
            lines.iter().any(|line| line.ends_with(&format!("/{wanted}"))),
            "{wanted} is missing: {list}"
        );
    }
}

fn package_is_complete(out: &Path, name: &str) {
    let field = |field: &str| stdout(Command::new("dpkg-deb").args(["--field", name, field]).current_dir(out));
    assert_eq!(field("Package").trim(), "lowtide");
    assert_eq!(field("Version").trim(), VERSION);
    let needed = field("Depends");
    for wanted in ["libc6 (>= 2.", "ca-certificates", "git", "openssh-client"] {
        assert!(needed.contains(wanted), "{wanted}: {needed}");
    }
    let root = out.with_extension("root");
    output(
        Command::new("dpkg-deb")
            .arg("--raw-extract")
            .arg(out.join(name))
            .arg(&root),
    );
    output(
        Command::new("md5sum")
            .args(["--check", "--strict", "--quiet", "DEBIAN/md5sums"])
            .current_dir(&root),
    );
    let unit = std::fs::read_to_string(root.join("usr/lib/systemd/system/lowtide.service")).unwrap();
    assert!(unit.starts_with("[Unit]"), "{unit}");
    assert!(unit.contains("ExecStart=/usr/bin/lowtide serve "), "{unit}");
    for script in ["postinst", "prerm", "postrm"] {
        output(Command::new("sh").arg("-n").arg(root.join("DEBIAN").join(script)));
    }
    let version = stdout(Command::new(root.join("usr/bin/lowtide")).arg("--version"));
    assert_eq!(version.trim(), format!("lowtide {VERSION}"));
}

/// Of everything that Cargo.toml names for production, and nothing that only tests use.
fn sbom_is_complete(bytes: &[u8]) {
    let bom: serde_json::Value = serde_json::from_slice(bytes).unwrap();
    assert_eq!(bom["specVersion"], "1.6");
    assert_eq!(bom["metadata"]["timestamp"], "2023-11-14T22:13:20Z");
    let components = bom["components"].as_array().unwrap();
    let scope = |name: &str| {
        let found = components.iter().find(|component| component["name"] == name);
        found.map(|component| component["scope"].as_str().unwrap())
    };
    assert_eq!(scope("tokio"), Some("required"));
    assert_eq!(scope("serde_derive"), Some("excluded"), "it is a macro");
    assert_eq!(scope("proptest"), None, "only tests use it");
    for component in components {
        assert!(component["licenses"][0]["expression"].is_string(), "{component}");
        assert_eq!(component["hashes"][0]["alg"], "SHA-256", "{component}");
    }
}

/// A folder of somebody's is not emptied.
#[test]
fn only_its_own_folder_is_emptied() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mine");
    std::fs::write(&file, "").unwrap();
    let mut command = Command::new(root().join("scripts/dist"));
    let output = command.arg("--no-image").arg(dir.path()).output().unwrap();
    assert!(!output.status.success());
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("is not empty"),
        "{output:?}"
    );
    assert!(file.exists());
}
