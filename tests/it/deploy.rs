//! What documentation tells people to start lowtide with.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The command line knows these arguments.
fn accepted(arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lowtide"));
    let output = command.args(arguments).arg("--help").output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

#[test]
fn the_compose_file_reaches_the_engine_and_is_reached() {
    let file: Value = serde_yaml::from_str(&text("docs/deploy/compose.yml")).unwrap();
    let service = &file["services"]["lowtide"];
    let list = |key: &str| -> Vec<String> {
        let values = service[key].as_array().unwrap_or_else(|| panic!("{key}"));
        values.iter().map(|value| value.as_str().unwrap().to_owned()).collect()
    };
    let socket = "/var/run/docker.sock:/var/run/docker.sock".to_owned();
    assert!(list("volumes").contains(&socket));
    assert!(
        list("group_add")[0].starts_with("${DOCKER_GID:?"),
        "without it the socket is closed to user 10001"
    );
    assert_eq!(list("ports"), ["127.0.0.1:7077:7077"]);
    assert!(list("volumes").contains(&"lowtide:/var/lib/lowtide".to_owned()));
    assert!(file["volumes"]["lowtide"].is_object());
    let context = root().join("docs/deploy").join(service["build"].as_str().unwrap());
    assert!(context.join("Dockerfile").exists());
    let command = list("command");
    accepted(&command.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn the_image_listens_where_a_published_port_leads() {
    let dockerfile = text("Dockerfile");
    assert!(dockerfile.contains("LOWTIDE_LISTEN=0.0.0.0:7077"));
    assert!(dockerfile.contains("\nEXPOSE 7077\n"));
}

#[test]
fn the_unit_is_one_that_systemd_takes() {
    let unit = text("docs/deploy/lowtide.service");
    let value = |key: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(&format!("{key}=")));
        line.unwrap_or_else(|| panic!("{key} is not there")).to_owned()
    };
    let start = value("ExecStart");
    let words: Vec<&str> = start.split(' ').collect();
    assert_eq!(words[0], "/usr/local/bin/lowtide");
    accepted(&words[1..]);
    assert_eq!(value("SupplementaryGroups"), "docker");
    assert_eq!(value("StateDirectoryMode"), "0700");
    let verify = PathBuf::from("/usr/bin/systemd-analyze");
    if !verify.exists() {
        return;
    }
    // It looks for the program as well: the one that was built.
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("lowtide.service");
    let built = unit.replace("/usr/local/bin/lowtide", env!("CARGO_BIN_EXE_lowtide"));
    std::fs::write(&copy, built).unwrap();
    let output = Command::new(verify).arg("verify").arg(&copy).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("lowtide.service:"), "{said}");
}

/// A container of the image is not root: without the socket's group it reaches no engine.
#[test]
fn every_docker_run_of_the_documentation_gives_the_group_of_the_socket() {
    let mut seen = 0;
    for path in ["README.md", "Dockerfile", "docs/rollouts.md", "docs/swarm.md"] {
        let joined = text(path).replace("\\\n", " ");
        for line in joined
            .lines()
            .filter(|line| line.contains("docker run") && line.contains("docker.sock:"))
        {
            assert!(
                line.contains("--group-add \"$(stat -c %g /var/run/docker.sock)\""),
                "{path}: {line}"
            );
            seen += 1;
        }
    }
    assert!(seen >= 2, "{seen}");
}
