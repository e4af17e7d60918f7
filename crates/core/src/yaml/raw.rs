//! Shapes that several parts of the configuration share, as they are written. The doc comments are the descriptions of the
//! JSON Schema that editors show.

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A scalar exactly as it is written: `1.10` stays `1.10`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Text(pub String);

impl JsonSchema for Text {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Text".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

pub type TextMap = BTreeMap<String, Text>;
/// Variables of an environment.
pub type EnvMap = BTreeMap<String, TextOrSecret>;
/// A program and its arguments: `[sh, -c, "echo hello"]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Command(pub Vec<Text>);

/// A scalar, or where a secret is found.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum TextOrSecret {
    Text(Text),
    Secret(Secret),
}

/// The second reader hands numbers over as numbers, since it looks at a scalar before it knows that a text is wanted. So `1.10` and `1.1`
/// are equal here, and other ways to write a number (`0x1F`) are not: the readers disagree, and say that quotes help.
impl PartialEq for TextOrSecret {
    fn eq(&self, other: &Self) -> bool {
        let number = |text: &Text| text.0.parse::<f64>().ok();
        match (self, other) {
            (TextOrSecret::Text(one), TextOrSecret::Text(two)) => {
                one == two || number(one).is_some_and(|one| Some(one) == number(two))
            }
            (TextOrSecret::Secret(one), TextOrSecret::Secret(two)) => one == two,
            (TextOrSecret::Text(_), TextOrSecret::Secret(_)) | (TextOrSecret::Secret(_), TextOrSecret::Text(_)) => {
                false
            }
        }
    }
}

impl<'de> Deserialize<'de> for TextOrSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The tree gives a map though a text was wanted; the second reader gives an error.
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(ScalarOrMap)
        } else {
            deserializer.deserialize_str(ScalarOrMap)
        }
    }
}

struct ScalarOrMap;

impl ScalarOrMap {
    fn text<E>(text: impl ToString) -> Result<TextOrSecret, E> {
        Ok(TextOrSecret::Text(Text(text.to_string())))
    }
}

impl<'de> Visitor<'de> for ScalarOrMap {
    type Value = TextOrSecret;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a text, or where a secret is found")
    }
    fn visit_str<E>(self, text: &str) -> Result<TextOrSecret, E> {
        Self::text(text)
    }
    fn visit_bool<E>(self, value: bool) -> Result<TextOrSecret, E> {
        Self::text(value)
    }
    fn visit_i64<E>(self, number: i64) -> Result<TextOrSecret, E> {
        Self::text(number)
    }
    fn visit_u64<E>(self, number: u64) -> Result<TextOrSecret, E> {
        Self::text(number)
    }
    fn visit_f64<E>(self, number: f64) -> Result<TextOrSecret, E> {
        Self::text(number)
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TextOrSecret, A::Error> {
        Secret::deserialize(MapAccessDeserializer::new(map)).map(TextOrSecret::Secret)
    }
}

impl JsonSchema for TextOrSecret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TextOrSecret".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let secret = generator.subschema_for::<Secret>();
        schemars::json_schema!({ "anyOf": [Text::json_schema(generator), secret] })
    }
}

/// Gives each struct the derives that all of them need.
macro_rules! raw {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Default, serde::Serialize, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }
    )*};
}

pub(crate) use raw;

raw! {
    /// Where a secret is found: exactly one of the three.
    Secret {
        /// Name of an environment variable of the lowtide process.
        env: Option<Text>,
        /// Absolute path of a file; one trailing newline is not part of the secret.
        file: Option<Text>,
        /// Path of a file that is encrypted with age, below the folder of this configuration.
        age: Option<Text>,
    }
    /// At most one of `healthcheck`, `http`, `log`, `exec`, `exit` and `stay_up`.
    Ready {
        /// `true`: the image's own HEALTHCHECK says healthy.
        healthcheck: Option<bool>,
        /// A GET answers with 200–399.
        http: Option<Http>,
        /// A line of the container's log matches this regular expression.
        log: Option<Text>,
        /// A command inside the container exits 0.
        exec: Option<Command>,
        /// The container ends by itself with this code, for an image that is a program and no service.
        #[schemars(range(max = 255))]
        exit: Option<u16>,
        /// The HEALTHCHECK where the image has one, else the container runs this long without a restart.
        stay_up: Option<Text>,
        timeout: Option<Text>,
    }
    Http {
        #[schemars(range(min = 1))]
        port: Option<u16>,
        path: Option<Text>,
        /// Only of a command target: the whole address, instead of `port` and `path`.
        url: Option<Text>,
    }
    /// Recurring low-traffic time, and what is taken out of it.
    Window {
        /// Days on which the window opens; all, if not given.
        days: Option<Vec<Text>>,
        /// `HH:MM`
        from: Option<Text>,
        /// `HH:MM`, to `24:00`; earlier than `from` is the next day.
        to: Option<Text>,
        /// Instead of `to`: how long it stays open, in elapsed time, at most 7d.
        r#for: Option<Text>,
        /// IANA zone of the window's times; the app's, if not given.
        zone: Option<Text>,
        /// Recurring or single spans in which nothing begins. They win.
        deny: Option<Vec<Deny>>,
        /// Single spans in which nothing begins.
        blackouts: Option<Vec<Blackout>>,
        /// Why nothing begins unattended while this is set.
        freeze: Option<Text>,
        /// Nothing begins later than this before the end; what a rollout is expected to take, if not given.
        cutoff: Option<Text>,
        /// What becomes of a rollout that is half-way when the window closes; it depends on how far it is, if not given.
        overrun: Option<OverrunWord>,
        /// Its people are notified of a release that waits longer.
        max_wait: Option<Text>,
        /// The same for a release with security fixes.
        max_wait_security: Option<Text>,
        /// What happens then: `notify`, or `start` as well.
        escalate: Option<EscalateWord>,
    }
    /// A span in which nothing begins: of the week like a window (a whole day, if there is no time), or a single one.
    Deny {
        days: Option<Vec<Text>>,
        /// `HH:MM`, or a date with or without a time: `2026-12-24`, `2026-12-24T18:00`.
        from: Option<Text>,
        /// As `from`.
        to: Option<Text>,
        r#for: Option<Text>,
        zone: Option<Text>,
        /// For people.
        why: Option<Text>,
    }
    Blackout {
        /// `2026-12-20`, or `2026-12-20T18:00`
        from: Option<Text>,
        /// The first moment after it; a date is its first moment.
        to: Option<Text>,
        /// For people.
        why: Option<Text>,
    }
}

/// `finish`: the other units too. `suspend`: they wait for the next opening, once. `revert`: what was done is rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OverrunWord {
    Finish,
    Suspend,
    Revert,
}

/// `notify`: its people are notified. `start`: and the best opening of the next days is taken even if it is too short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EscalateWord {
    Notify,
    Start,
}
