//! The config blob of an image (OCI image-spec, config.md; Docker's image specification 1.2 has the same keys).

use super::layer::error::LayerError;
use lowtide_model::image::{DiffId, Platform};
use lowtide_model::inventory::ImageConfig;
use serde_json::Value;

/// A real image has at most 127 layers.
const LAYERS: usize = 1000;

/// What the config blob says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageDocument {
    pub platform: Platform,
    pub config: ImageConfig,
    /// Base first.
    pub diff_ids: Vec<DiffId>,
    /// It has ONBUILD instructions.
    pub triggers: bool,
}

/// # Errors
/// `Document` when it is no image config.
pub fn parse(blob: &[u8]) -> Result<ImageDocument, LayerError> {
    let unreadable = |why: String| LayerError::Document {
        document: "the image config".to_owned(),
        why,
    };
    let document: Value = serde_json::from_slice(blob).map_err(|e| unreadable(e.to_string()))?;
    let text = |key: &str| document[key].as_str().filter(|t| !t.is_empty()).map(ToOwned::to_owned);
    let diff_ids = document["rootfs"]["diff_ids"]
        .as_array()
        .filter(|ids| ids.len() <= LAYERS)
        .ok_or_else(|| unreadable(format!("it has no list of at most {LAYERS} layers")))?;
    let diff_id = |id: &Value| {
        let text = id.as_str().unwrap_or_default();
        text.parse::<DiffId>().map_err(|e| unreadable(e.to_string()))
    };
    Ok(ImageDocument {
        platform: Platform {
            os: text("os").unwrap_or_else(|| "linux".to_owned()),
            architecture: text("architecture").unwrap_or_default(),
            variant: text("variant"),
        },
        config: ImageConfig::from_json(&document["config"]),
        diff_ids: diff_ids.iter().map(diff_id).collect::<Result<_, _>>()?,
        triggers: document["config"]["OnBuild"]
            .as_array()
            .is_some_and(|all| !all.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_blob_is_read() {
        let id = format!("sha256:{}", "a".repeat(64));
        let blob = serde_json::json!({
            "os": "linux", "architecture": "arm", "variant": "v7", "config": { "Cmd": ["x"], "OnBuild": ["RUN y"] }, "history": [],
            "rootfs": { "type": "layers", "diff_ids": [id, id] },
        });
        let read = parse(blob.to_string().as_bytes()).unwrap();
        assert_eq!(read.platform.to_string(), "linux/arm/v7");
        assert_eq!(read.config.cmd, ["x"]);
        assert!(read.triggers);
        assert_eq!(read.diff_ids.len(), 2);
    }

    #[test]
    fn what_is_none_is_named() {
        let said = |text: &str| parse(text.as_bytes()).unwrap_err().to_string();
        insta::assert_snapshot!(said("<html>"), @"the image config cannot be read: expected value at line 1 column 1");
        insta::assert_snapshot!(said("{}"), @"the image config cannot be read: it has no list of at most 1000 layers");
        insta::assert_snapshot!(said(r#"{"rootfs":{"diff_ids":["md5:1"]}}"#), @r#"the image config cannot be read: "md5:1" is not a sha256 digest"#);
    }
}
