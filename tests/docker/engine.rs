//! The engine under test, and names that do not collide.

use lowtide::clients::engine::connect::Engine;
use lowtide::model::fleet::EngineAddress;

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
