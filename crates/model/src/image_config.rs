//! The image config, read from its JSON: the config blob's `config` (OCI image-spec, config.md) and an engine's image
//! inspect have the same keys.

use crate::inventory::ImageConfig;
use serde_json::Value;
use std::collections::BTreeMap;

impl ImageConfig {
    /// Can a container be made of it without a command from outside?
    #[must_use]
    pub fn has_command(&self) -> bool {
        !self.entrypoint.is_empty() || !self.cmd.is_empty()
    }

    /// Keys that are missing, `null` or of another type are empty, as engines take them. Labels of circumstance are left
    /// out.
    #[must_use]
    pub fn from_json(config: &Value) -> Self {
        let text = |key: &str| config[key].as_str().unwrap_or_default().to_owned();
        let strings = |key: &str| {
            let list = config[key].as_array().into_iter().flatten();
            list.filter_map(Value::as_str).map(ToOwned::to_owned).collect()
        };
        let keys = |key: &str| {
            let mut keys: Vec<String> = config[key]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(k, _)| k.clone())
                .collect();
            keys.sort_unstable();
            keys
        };
        let labels = config["Labels"].as_object().into_iter().flatten();
        let healthcheck = config["Healthcheck"].as_object().filter(|check| !check.is_empty());
        Self {
            env: strings("Env"),
            entrypoint: strings("Entrypoint"),
            cmd: strings("Cmd"),
            user: text("User"),
            working_dir: text("WorkingDir"),
            exposed_ports: keys("ExposedPorts"),
            volumes: keys("Volumes"),
            labels: labels
                .filter(|(key, _)| !is_circumstance(key))
                .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                .collect(),
            stop_signal: Some(text("StopSignal")).filter(|signal| !signal.is_empty()),
            healthcheck: healthcheck.map(|check| {
                let ordered: BTreeMap<_, _> = check.iter().collect();
                serde_json::json!(ordered).to_string()
            }),
        }
    }

    /// Drops the labels that say when, from which commit and by which run an image was made, not what it does.
    #[must_use]
    pub fn without_circumstances(mut self) -> Self {
        self.labels.retain(|key, _| !is_circumstance(key));
        self
    }
}

fn is_circumstance(label: &str) -> bool {
    const OCI: &[&str] = &["created", "revision", "version", "base.digest", "ref.name"];
    const LABEL_SCHEMA: &[&str] = &["build-date", "vcs-ref", "version"];
    label
        .strip_prefix("org.opencontainers.image.")
        .is_some_and(|key| OCI.contains(&key))
        || label
            .strip_prefix("org.label-schema.")
            .is_some_and(|key| LABEL_SCHEMA.contains(&key))
        || label.starts_with("io.lowtide.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_config_is_the_default() {
        for text in ["null", "{}", r#"{"Env":null,"Labels":[],"User":7,"Healthcheck":{}}"#] {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(ImageConfig::from_json(&value), ImageConfig::default(), "{text}");
        }
    }

    #[test]
    fn what_changes_behaviour_is_read() {
        let value = serde_json::json!({
            "Env": ["A=1"], "Cmd": ["x"], "ExposedPorts": { "80/tcp": {}, "443/tcp": {} }, "StopSignal": "SIGINT",
            "Labels": { "mine": "1", "org.opencontainers.image.created": "now", "io.lowtide.run": "r" },
            "Healthcheck": { "Test": ["CMD", "true"], "Interval": 5 },
        });
        let config = ImageConfig::from_json(&value);
        assert_eq!(config.exposed_ports, ["443/tcp", "80/tcp"]);
        assert_eq!(config.labels.keys().collect::<Vec<_>>(), ["mine"]);
        assert_eq!(config.stop_signal.as_deref(), Some("SIGINT"));
        assert_eq!(
            config.healthcheck.as_deref(),
            Some(r#"{"Interval":5,"Test":["CMD","true"]}"#)
        );
    }
}
