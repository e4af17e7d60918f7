//! Which images the containers of targets run, from the engine's list alone: one question per engine, however many targets.

use super::find::{COMPOSE_ONEOFF, COMPOSE_PROJECT, COMPOSE_SERVICE, all, find};
use super::json::{missing, object, text};
use super::name::is_set_aside;
use crate::clients::engine::connect::Engine;
use crate::clients::engine::error::EngineError;
use lowtide_core::kinds::containers::policy::ContainerSelect;
use lowtide_model::drift::Sighted;
use lowtide_model::image::ImageId;
use serde_json::Value;

/// The list as the engine gave it.
#[derive(Debug)]
pub struct Listing(Vec<Value>);

impl Listing {
    /// # Errors
    /// As the engine fails.
    pub async fn fetch(engine: &Engine) -> Result<Self, EngineError> {
        Ok(Self(all(engine).await?))
    }

    /// The containers that `select` matches, by the same rules as [`find`]. lowtide's own container cannot be
    /// recognised in a list and is inspected instead.
    ///
    /// # Errors
    /// `Unreadable`: a row has no image id.
    pub async fn of(&self, engine: &Engine, select: &ContainerSelect) -> Result<Vec<Sighted>, EngineError> {
        if *select == ContainerSelect::Own {
            let own = find(engine, select).await?;
            let sighted = own
                .iter()
                .map(|own| sighted(text(own, "/Image"), text(own, "/Config/Image")));
            return sighted.collect();
        }
        let meant = self.0.iter().filter(|row| is_meant(row, select));
        meant
            .map(|row| sighted(text(row, "/ImageID"), text(row, "/Image")))
            .collect()
    }
}

fn is_meant(row: &Value, select: &ContainerSelect) -> bool {
    let label = |key: &str| {
        let labels = object(row, "/Labels");
        labels.and_then(|labels| labels.get(key)).and_then(Value::as_str)
    };
    // What links to it gives it further names, with a slash inside.
    let mut names = row["Names"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let own = names.find_map(|name| {
        let name = name.trim_start_matches('/');
        (!name.contains('/')).then_some(name)
    });
    let stands = own.is_some_and(|name| !is_set_aside(name));
    match select {
        ContainerSelect::Name { name } => own == Some(name.as_str()),
        ContainerSelect::Label { key, value } => stands && label(key) == Some(value.as_str()),
        ContainerSelect::Compose { project, services } => {
            let service = label(COMPOSE_SERVICE).unwrap_or_default();
            stands
                && label(COMPOSE_PROJECT) == Some(project.as_str())
                && label(COMPOSE_ONEOFF).is_some_and(|oneoff| oneoff == "False")
                && (services.is_empty() || services.iter().any(|wanted| wanted == service))
        }
        ContainerSelect::Own => false,
    }
}

fn sighted(id: &str, named: &str) -> Result<Sighted, EngineError> {
    let image: Result<ImageId, _> = id.parse();
    Ok(Sighted {
        image: image
            .map_err(|_| missing("the list of containers", "ImageID"))?
            .to_string(),
        named: named.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_of_the_list_is_meant_as_the_inspect_body_would_be() {
        let row = |name: &str, labels: Value| json!({"Names": ["/web/alias", format!("/{name}")], "Labels": labels});
        let compose = |service: &str, oneoff: &str| {
            json!({
                "com.docker.compose.project": "shop", "com.docker.compose.service": service,
                "com.docker.compose.oneoff": oneoff,
            })
        };
        let named = |name: &str| ContainerSelect::Name { name: name.to_owned() };
        let labelled = ContainerSelect::Label {
            key: "tier".to_owned(),
            value: "front".to_owned(),
        };
        let project = |services: &[&str]| ContainerSelect::Compose {
            project: "shop".to_owned(),
            services: services.iter().map(|s| (*s).to_owned()).collect(),
        };
        let table = [
            (row("web", json!({})), named("web"), true),
            // The list's names are whole, and an alias by a link is no name of its own.
            (row("web2", json!({})), named("web"), false),
            (row("db", json!({})), named("web/alias"), false),
            (row("a", json!({"tier": "front"})), labelled.clone(), true),
            (row("a", json!({"tier": "back"})), labelled, false),
            (row("shop-web-1", compose("web", "False")), project(&[]), true),
            (row("shop-web-1", compose("web", "False")), project(&["web"]), true),
            (row("shop-web-1", compose("web", "False")), project(&["db"]), false),
            // `docker compose run`
            (row("shop-web-run-1", compose("web", "True")), project(&[]), false),
            (row("a", Value::Null), project(&[]), false),
            (row("a", json!({})), ContainerSelect::Own, false),
        ];
        for (row, select, meant) in table {
            assert_eq!(is_meant(&row, &select), meant, "{row} {select:?}");
        }
    }
}
