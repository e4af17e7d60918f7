//! How an engine is handed what a registry requires (`AuthConfig` of its API).

use crate::clients::credentials::Credential;
use base64::Engine as _;
use bollard::auth::DockerCredentials;
use reqwest::header::{HeaderMap, HeaderValue};

/// The key Docker has always used for its Hub.
const HUB: &str = "https://index.docker.io/v1/";

/// The name of a registry where credentials are listed by name.
pub(super) fn key(registry: &str) -> &str {
    if registry == "docker.io" { HUB } else { registry }
}

pub(super) fn config(server: &str, credential: &Credential) -> DockerCredentials {
    let empty = DockerCredentials {
        serveraddress: Some(server.to_owned()),
        ..DockerCredentials::default()
    };
    match credential {
        Credential::Basic { username, password } => DockerCredentials {
            username: Some(username.clone()),
            password: Some(password.expose().to_owned()),
            ..empty
        },
        // The engine exchanges it at the registry's token server for each repository.
        Credential::IdentityToken(token) => DockerCredentials {
            identitytoken: Some(token.expose().to_owned()),
            ..empty
        },
        Credential::RegistryToken(token) => DockerCredentials {
            registrytoken: Some(token.expose().to_owned()),
            ..empty
        },
    }
}

/// The header of pulls, pushes and services.
#[must_use]
pub fn header(registry: &str, credential: Option<&Credential>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let config = credential.and_then(|credential| serde_json::to_string(&config(registry, credential)).ok());
    if let Some(config) = config {
        let encoded = base64::engine::general_purpose::URL_SAFE.encode(config);
        if let Ok(mut value) = HeaderValue::from_str(&encoded) {
            value.set_sensitive(true);
            headers.insert("X-Registry-Auth", value);
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowtide_model::secret::Secret;
    use serde_json::{Value, json};

    #[test]
    fn each_credential_has_its_field() {
        let secret = || Secret::new("s".to_owned());
        let password = Credential::Basic {
            username: "u".to_owned(),
            password: secret(),
        };
        for (credential, field) in [
            (password, json!({ "username": "u", "password": "s" })),
            (Credential::IdentityToken(secret()), json!({ "identitytoken": "s" })),
            (Credential::RegistryToken(secret()), json!({ "registrytoken": "s" })),
        ] {
            let headers = header("r.example.org:5000", Some(&credential));
            let value = &headers["X-Registry-Auth"];
            assert!(value.is_sensitive());
            let sent = base64::engine::general_purpose::URL_SAFE.decode(value).unwrap();
            let mut sent: serde_json::Map<String, Value> = serde_json::from_slice(&sent).unwrap();
            assert_eq!(sent.remove("serveraddress"), Some(json!("r.example.org:5000")));
            sent.retain(|_, value| !value.is_null());
            assert_eq!(Value::Object(sent), field);
        }
        assert!(header("r.example.org", None).is_empty());
        assert_eq!((key("docker.io"), key("ghcr.io")), (HUB, "ghcr.io"));
    }
}
