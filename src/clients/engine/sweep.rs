//! Cleaning of our own leftovers: what carries our labels goes, nothing else is looked at.

use super::connect::Engine;
use super::error::EngineError;
use serde_json::{Value, json};

/// What a sweep removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    pub containers: usize,
    pub networks: usize,
    pub volumes: usize,
}

impl Engine {
    /// Removes the containers, networks and volumes that carry *all* labels of `selector`. Safe to repeat; objects that
    /// vanish meanwhile are fine. Removes everything it can, then returns the first error.
    ///
    /// # Errors
    /// `Refused` for a selector that does not name one instance of lowtide (`io.lowtide.instance`): it would take what
    /// belongs to others. Else as the engine refuses.
    pub async fn sweep(&self, selector: &[(String, String)]) -> Result<Swept, EngineError> {
        if !selector
            .iter()
            .any(|(k, v)| k == "io.lowtide.instance" && !v.is_empty())
        {
            return Err(EngineError::Refused {
                status: 0,
                message: "a sweep needs the label io.lowtide.instance".to_owned(),
            });
        }
        let labels: Vec<String> = selector.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let filters = percent(&json!({ "label": labels }).to_string());
        let mut swept = Swept::default();
        let mut first = Ok(());
        let containers = self
            .raw_get(&format!("/containers/json?all=1&filters={filters}"))
            .await?;
        for id in texts(&containers, "Id") {
            note(&mut first, &mut swept.containers, self.remove_own(id).await);
        }
        let networks = self.raw_get(&format!("/networks?filters={filters}")).await?;
        for id in texts(&networks, "Id") {
            note(&mut first, &mut swept.networks, self.remove_network(id).await);
        }
        let volumes = self.raw_get(&format!("/volumes?filters={filters}")).await?;
        for name in texts(&volumes["Volumes"], "Name") {
            let removed = match self.raw_delete(&format!("/volumes/{name}")).await {
                Ok(_) | Err(EngineError::NotFound { .. }) => Ok(()),
                Err(e) => Err(e),
            };
            note(&mut first, &mut swept.volumes, removed);
        }
        first.map(|()| swept)
    }
}

fn note(first: &mut Result<(), EngineError>, count: &mut usize, removed: Result<(), EngineError>) {
    match removed {
        Ok(()) => *count += 1,
        Err(e) if first.is_ok() => *first = Err(e),
        Err(_) => {}
    }
}

fn texts<'a>(list: &'a Value, key: &'static str) -> impl Iterator<Item = &'a str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(move |item| item[key].as_str())
}

/// Percent-encodes all but the unreserved characters (RFC 3986, section 2.3).
pub(super) fn percent(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_encoded() {
        assert_eq!(percent(r#"{"a b":"ü&="}"#), "%7B%22a%20b%22%3A%22%C3%BC%26%3D%22%7D");
    }
}
