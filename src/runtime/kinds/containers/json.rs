//! Reading fields of the engine's JSON by their pointer (RFC 6901).

use crate::clients::engine::error::EngineError;
use lowtide_model::image::ImageId;
use serde_json::{Map, Value};

/// A response without a field that every engine sends.
#[derive(Debug, thiserror::Error)]
#[error("field {0} is missing or of another type")]
struct Missing(&'static str);

/// Text at `pointer`, or empty.
pub(in crate::runtime) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(in crate::runtime) fn flag(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer).and_then(Value::as_bool).unwrap_or_default()
}

pub(in crate::runtime) fn number(value: &Value, pointer: &str) -> i64 {
    value.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

/// Elements at `pointer`; null and absent are empty.
pub(in crate::runtime) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

pub(in crate::runtime) fn object<'a>(value: &'a Value, pointer: &str) -> Option<&'a Map<String, Value>> {
    value.pointer(pointer).and_then(Value::as_object)
}

/// `Unreadable`: the response lacks `field`. Means *unknown*, never *absent*.
pub(in crate::runtime) fn missing(what: &str, field: &'static str) -> EngineError {
    EngineError::Unreadable {
        what: what.to_owned(),
        source: Box::new(Missing(field)),
    }
}

/// Container id of an inspect body.
pub(in crate::runtime) fn id(container: &Value) -> &str {
    text(container, "/Id")
}

/// The 12 digits the engine uses as hostname and alias.
pub(in crate::runtime) fn short_id(container: &Value) -> &str {
    id(container).get(..12).unwrap_or_default()
}

/// Container name of an inspect body, without its slash.
pub(in crate::runtime) fn name(container: &Value) -> &str {
    text(container, "/Name").trim_start_matches('/')
}

/// Image id at `pointer`.
pub(in crate::runtime) fn image_id(value: &Value, pointer: &'static str) -> Result<ImageId, EngineError> {
    text(value, pointer).parse().map_err(|_| missing("inspect", pointer))
}

/// The engine leaves a field out, writes null, or writes its zero value: all say the same.
pub(in crate::runtime) fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(b) => !b,
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.values().all(is_zero),
    }
}
