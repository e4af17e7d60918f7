//! Configuration of released versions.

use super::validate::fleet;
use crate::fleet::corpus;
use serde_json::Value;

const EXAMPLE: &str = include_str!("../../../../config.example.yml");

/// The revision in force is in the database.
#[test]
fn what_released_versions_wrote_is_read() {
    let example = fleet(EXAMPLE.as_bytes()).unwrap();
    corpus::holds("revisions", vec![("example".to_owned(), vec![example])], |fleets| {
        Value::from(fleets[0].event.apps.len())
    });
}

#[test]
fn the_examples_of_released_versions_are_valid() {
    corpus::write_next("config.yml", EXAMPLE);
    for (version, text) in corpus::each("config.yml") {
        if let Err(problems) = fleet(text.as_bytes()) {
            panic!("{version}: {problems:?}");
        }
    }
}
