//! What runs on an engine, whoever started it.

use super::connect::Engine;
use super::error::EngineError;
use lowtide_model::freshness::RunningContainer;
use serde_json::Value;

impl Engine {
    /// The running containers, by name. One call; nothing is inspected.
    ///
    /// # Errors
    /// As the engine refuses; `Unreadable` when a row of its list has no id of an image: a container that is left out
    /// would look like one without pending fixes.
    pub async fn running(&self) -> Result<Vec<RunningContainer>, EngineError> {
        let response = self.raw_get("/containers/json").await?;
        let rows = response.as_array().map(Vec::as_slice).unwrap_or_default();
        let mut running = rows.iter().map(container).collect::<Result<Vec<_>, _>>()?;
        running.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(running)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a container of the list has no image id")]
struct NoImage;

fn container(row: &Value) -> Result<RunningContainer, EngineError> {
    let text = |key: &str| row[key].as_str().filter(|text| !text.is_empty());
    let image_id = text("ImageID").ok_or_else(|| EngineError::Unreadable {
        what: "the list of containers".to_owned(),
        source: Box::new(NoImage),
    })?;
    let names = row["Names"].as_array().into_iter().flatten().filter_map(Value::as_str);
    // A name of its own has no further slash; links of others (`/other/alias`) are listed among them.
    let own = names
        .map(|name| name.trim_start_matches('/'))
        .find(|name| !name.is_empty() && !name.contains('/'));
    Ok(RunningContainer {
        name: own.or(text("Id")).unwrap_or_default().to_owned(),
        image: text("Image").unwrap_or(image_id).to_owned(),
        image_id: image_id.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_container_has_its_own_name_and_the_image_it_was_made_from() {
        let row = json!({ "Id": "c1", "Names": ["/web/db", "/db"], "Image": "postgres:16", "ImageID": "sha256:1" });
        let db = container(&row).unwrap();
        assert_eq!(
            (db.name.as_str(), db.image.as_str(), db.image_id.as_str()),
            ("db", "postgres:16", "sha256:1")
        );
        let nameless = container(&json!({ "Id": "c2", "Names": [], "ImageID": "sha256:2" })).unwrap();
        assert_eq!((nameless.name.as_str(), nameless.image.as_str()), ("c2", "sha256:2"));
        assert!(matches!(
            container(&json!({ "Id": "c3" })),
            Err(EngineError::Unreadable { .. })
        ));
    }
}
