//! What the Engine API's description says a container may be given: the field names of bollard's generated models, so that a
//! field the API gets one day is asked for here.

use bollard::models;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde_json::Value;
use std::cell::Cell;

/// Every described field, as a path into `{"Config", "HostConfig", "Networks"}`: `[]` is any element, `{}` any value.
pub(super) fn fields() -> Vec<String> {
    let mounts = "HostConfig.Mounts.[]";
    let tables: [(&str, &[&str]); 22] = [
        ("Config", names::<models::ContainerConfig>()),
        ("Config.Healthcheck", names::<models::HealthConfig>()),
        ("HostConfig", names::<models::HostConfig>()),
        (
            "HostConfig.BlkioWeightDevice.[]",
            names::<models::ResourcesBlkioWeightDevice>(),
        ),
        ("HostConfig.BlkioDeviceReadBps.[]", names::<models::ThrottleDevice>()),
        ("HostConfig.BlkioDeviceWriteBps.[]", names::<models::ThrottleDevice>()),
        ("HostConfig.BlkioDeviceReadIOps.[]", names::<models::ThrottleDevice>()),
        ("HostConfig.BlkioDeviceWriteIOps.[]", names::<models::ThrottleDevice>()),
        ("HostConfig.Devices.[]", names::<models::DeviceMapping>()),
        ("HostConfig.DeviceRequests.[]", names::<models::DeviceRequest>()),
        ("HostConfig.Ulimits.[]", names::<models::ResourcesUlimits>()),
        ("HostConfig.LogConfig", names::<models::HostConfigLogConfig>()),
        ("HostConfig.PortBindings.{}.[]", names::<models::PortBinding>()),
        ("HostConfig.RestartPolicy", names::<models::RestartPolicy>()),
        (mounts, names::<models::Mount>()),
        ("HostConfig.Mounts.[].BindOptions", names::<models::MountBindOptions>()),
        (
            "HostConfig.Mounts.[].VolumeOptions",
            names::<models::MountVolumeOptions>(),
        ),
        (
            "HostConfig.Mounts.[].VolumeOptions.DriverConfig",
            names::<models::MountVolumeOptionsDriverConfig>(),
        ),
        (
            "HostConfig.Mounts.[].ImageOptions",
            names::<models::MountImageOptions>(),
        ),
        (
            "HostConfig.Mounts.[].TmpfsOptions",
            names::<models::MountTmpfsOptions>(),
        ),
        ("Networks.{}", names::<models::EndpointSettings>()),
        ("Networks.{}.IPAMConfig", names::<models::EndpointIpamConfig>()),
    ];
    let fields = tables
        .iter()
        .flat_map(|(at, names)| names.iter().map(move |name| format!("{at}.{name}")));
    fields.collect()
}

/// Is anything set at `path`?
pub(super) fn is_set_at(value: &Value, path: &str) -> bool {
    let Some((first, rest)) = path.split_once('.') else {
        return value.get(path).is_some_and(is_set);
    };
    match first {
        "[]" => value
            .as_array()
            .is_some_and(|all| all.iter().any(|v| is_set_at(v, rest))),
        "{}" => value
            .as_object()
            .is_some_and(|all| all.values().any(|v| is_set_at(v, rest))),
        key => value.get(key).is_some_and(|v| is_set_at(v, rest)),
    }
}

pub(super) fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(b) => *b,
        Value::Number(n) => n.as_f64() != Some(0.0),
        Value::String(s) => !s.is_empty(),
        Value::Array(a) => !a.is_empty(),
        Value::Object(o) => !o.is_empty(),
    }
}

/// `what` at `path`, alone.
pub(super) fn value_at(path: &str, what: Value) -> Value {
    let (first, rest) = path.split_once('.').map_or((path, None), |(f, r)| (f, Some(r)));
    let inner = match rest {
        Some(rest) => value_at(rest, what),
        None => what,
    };
    match first {
        "[]" => Value::Array(vec![inner]),
        "{}" => serde_json::json!({"key": inner}),
        key => serde_json::json!({key: inner}),
    }
}

/// Names of a struct's fields, as serde's derived code tells them.
fn names<T: DeserializeOwned>() -> &'static [&'static str] {
    let seen = Cell::new(&[] as &[&str]);
    let stopped = T::deserialize(Listener(&seen));
    assert!(stopped.is_err() && !seen.get().is_empty(), "not a struct");
    seen.get()
}

struct Listener<'a>(&'a Cell<&'static [&'static str]>);

impl<'de> Deserializer<'de> for Listener<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(Self::Error::custom("not a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        self.0.set(fields);
        Err(Self::Error::custom("the names are enough"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
