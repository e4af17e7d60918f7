//! The engine under test, and names that do not collide.

use lowtide::clients::engine::connect::Engine;
use lowtide::model::policy::EngineAddress;
use std::process::Command;

/// The private engine. Panics with the way out when the tests are run without one.
pub(crate) fn engine() -> Engine {
    let socket = std::env::var("LOWTIDE_TEST_ENGINE")
        .expect("LOWTIDE_TEST_ENGINE is not set: run `scripts/test docker`, which starts a private engine");
    Engine::connect(&EngineAddress::Unix(socket.into())).unwrap()
}

/// A name no other test uses.
pub(crate) fn unique(prefix: &str) -> String {
    format!("{prefix}-{}", ulid::Ulid::generate().to_string().to_ascii_lowercase())
}

/// The root filesystem of an image as Docker's own client exports it from a container that never ran.
pub(crate) fn export(image: &str) -> Vec<u8> {
    let container = docker(&["create", image, "never-started"]);
    let container = String::from_utf8(container).unwrap();
    let tar = docker(&["export", container.trim()]);
    docker(&["rm", "-v", container.trim()]);
    tar
}

/// Docker's own client, on the private engine, with the classic builder.
pub(crate) fn docker(arguments: &[&str]) -> Vec<u8> {
    let socket = std::env::var("LOWTIDE_TEST_ENGINE").unwrap();
    let mut command = Command::new("docker");
    let output = command
        .args(arguments)
        .env("DOCKER_HOST", format!("unix://{socket}"))
        .env("DOCKER_BUILDKIT", "0")
        .output();
    let output = output.unwrap();
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}
