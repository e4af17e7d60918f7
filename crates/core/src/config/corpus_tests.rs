//! Configuration of released versions.

use super::validate::fleet_beside;
use crate::fleet::app::Fleet;
use crate::fleet::corpus;
use crate::yaml::age;
use crate::yaml::diagnostic::Problem;
use serde_json::Value;

const EXAMPLE: &str = include_str!("../../../../config.example.yml");

/// The example, with a secret of the form that needs a file beside the configuration.
fn example() -> String {
    EXAMPLE.replace("{ file: /run/secrets/smtp }", "{ age: secrets/smtp.age }")
}

/// With an encrypted file at each place that the text names.
fn fleet(text: &str) -> Result<Fleet, Vec<Problem>> {
    let file = b"age-encryption.org/v1\n-> X25519 a\nb\n--- c\n";
    let paths = age::named(text.as_bytes()).into_iter();
    fleet_beside(text.as_bytes(), &paths.map(|path| (path, Ok(file.to_vec()))).collect())
}

/// The revision in force is in the database.
#[test]
fn what_released_versions_wrote_is_read() {
    let example = fleet(&example()).unwrap();
    corpus::holds("revisions", vec![("example".to_owned(), vec![example])], |fleets| {
        Value::from(fleets[0].event.apps.len())
    });
}

#[test]
fn the_examples_of_released_versions_are_valid() {
    corpus::write_next("config.yml", &example());
    for (version, text) in corpus::each("config.yml") {
        if let Err(problems) = fleet(&text) {
            panic!("{version}: {problems:?}");
        }
    }
}
