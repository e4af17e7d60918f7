//! Credentials for parts of a registry, against a registry whose token server gives each user one part.

use super::*;
use crate::support::token_registry::{TokenRegistry, identity_token};
use lowtide::clients::registry::connect::Login;
use lowtide::clients::registry::copy::TagRule;
use lowtide::model::failure::FailureKind;

/// A registry of two parts with a user each, and one user for both.
async fn registry() -> TokenRegistry {
    TokenRegistry::start(&[
        ("dev-bot", "dev-secret", "acme/dev"),
        ("prod-bot", "prod-secret", "acme/prod"),
        ("both-bot", "both-secret", "acme"),
    ])
    .await
}

/// A client with these keys below the registry's address, each with a user and its password.
fn configured(registry: &TokenRegistry, keys: &[(&str, &str, &str)]) -> (Registry, tempfile::TempDir) {
    let passwords = tempfile::tempdir().unwrap();
    let access = keys.iter().map(|(path, username, password)| {
        let file = passwords.path().join(username);
        std::fs::write(&file, password).unwrap();
        let access = RegistryAccess {
            username: Some((*username).to_owned()),
            password: Some(SecretRef::File(file)),
            plain_http: false,
            mirror: None,
        };
        (format!("{}{path}", registry.address), access)
    });
    let access: BTreeMap<String, RegistryAccess> = access.collect();
    let client = Registry::new(access.clone(), Credentials::new(access, None), quick()).unwrap();
    (client, passwords)
}

fn at(registry: &TokenRegistry, path: &str) -> Repository {
    format!("{}/{path}", registry.address).parse().unwrap()
}

fn shown(error: &RegistryError, registry: &TokenRegistry) -> String {
    error.to_string().replace(&registry.address, "HOST")
}

const PARTS: [(&str, &str, &str); 2] = [
    ("/acme/dev", "dev-bot", "dev-secret"),
    ("/acme/prod", "prod-bot", "prod-secret"),
];

#[tokio::test]
async fn a_release_goes_from_one_part_of_a_registry_to_another() {
    let registry = registry().await;
    let images = Images::new().await;
    let (digest, _) = images.image("v1", "promoted").await;
    let (dev, prod) = (at(&registry, "acme/dev/web"), at(&registry, "acme/prod/web"));
    let (parts, _parts) = configured(&registry, &PARTS);
    parts
        .copy(&images.repository, &digest, &dev, "v1", TagRule::Immutable)
        .await
        .unwrap();
    registry.issued();

    parts
        .copy(&dev, &digest, &prod, "v1", TagRule::Immutable)
        .await
        .unwrap();
    assert_eq!(parts.digest(&tagged(&prod, "v1")).await.unwrap(), Some(digest.clone()));
    let issued = registry.issued();
    for token in &issued {
        let (user, other) = if token.starts_with("dev-bot") {
            ("dev-bot", "acme/prod")
        } else {
            ("prod-bot", "acme/dev")
        };
        assert!(token.starts_with(user) && !token.contains(other), "{issued:#?}");
    }

    // With one credential for both, one token is for both: the blobs are linked.
    let (both, _both) = configured(&registry, &[("", "both-bot", "both-secret")]);
    let linked = at(&registry, "acme/prod/linked");
    both.copy(&dev, &digest, &linked, "v1", TagRule::Immutable)
        .await
        .unwrap();
    let scopes = "both-bot: repository:acme/prod/linked:pull,push repository:acme/dev/web:pull";
    let issued = registry.issued();
    assert!(issued.iter().any(|token| token == scopes), "{issued:#?}");
    assert_eq!(parts.digest(&tagged(&linked, "v1")).await.unwrap(), Some(digest));
}

#[tokio::test]
async fn a_refusal_names_the_repository_and_the_key() {
    let registry = registry().await;
    let (dev, prod) = (at(&registry, "acme/dev/web"), at(&registry, "acme/prod/web"));
    // The user of one part for the whole registry: its token says nothing of the other part.
    let (client, _passwords) = configured(&registry, &[("", "dev-bot", "dev-secret")]);
    assert_eq!(client.digest(&tagged(&dev, "v1")).await.unwrap(), None);
    let error = client.digest(&tagged(&prod, "v1")).await.unwrap_err();
    assert_eq!(error.failure().kind, FailureKind::RegistryDenied);
    insta::assert_snapshot!(shown(&error, &registry), @"the registry HOST denies HOST/acme/prod/web:v1 with the credential of `registries.HOST`");

    let wrong = [PARTS[0], ("/acme/prod", "prod-bot", "canary-password")];
    let (client, _passwords) = configured(&registry, &wrong);
    assert_eq!(client.digest(&tagged(&dev, "v1")).await.unwrap(), None);
    let error = client.digest(&tagged(&prod, "v1")).await.unwrap_err();
    assert_eq!(error.failure().kind, FailureKind::RegistryDenied);
    insta::assert_snapshot!(shown(&error, &registry), @"the registry HOST denies the login to HOST/acme/prod/web with the credential of `registries.HOST/acme/prod`");

    let error = client
        .digest(&tagged(&at(&registry, "acme/web"), "v1"))
        .await
        .unwrap_err();
    insta::assert_snapshot!(shown(&error, &registry), @"the registry HOST denies the login to HOST/acme/web without a credential");

    let checked = client.check_login(&format!("{}/acme/dev", registry.address)).await;
    assert_eq!(checked.unwrap(), Login::Accepted);
    let error = client.check_login(&prod.to_string()).await.unwrap_err();
    insta::assert_snapshot!(shown(&error, &registry), @"the registry HOST denies the login with the credential of `registries.HOST/acme/prod`");
}

/// As Docker's and Podman's files have it.
#[tokio::test]
async fn an_identity_token_is_for_a_part_too() {
    let registry = registry().await;
    let place = tempfile::tempdir().unwrap();
    let config = serde_json::json!({ "auths": {
        format!("{}/acme/dev", registry.address): { "identitytoken": identity_token("dev-bot") },
        &registry.address: { "identitytoken": "revoked" },
    } });
    std::fs::write(place.path().join("config.json"), config.to_string()).unwrap();
    let credentials = Credentials::new(BTreeMap::new(), Some(place.path().to_owned()));
    let client = Registry::new(BTreeMap::new(), credentials, quick()).unwrap();
    let absent = tagged(&at(&registry, "acme/dev/web"), "v1");
    assert_eq!(client.digest(&absent).await.unwrap(), None);
    assert_eq!(registry.issued(), ["dev-bot: repository:acme/dev/web:pull"]);
    let error = client
        .digest(&tagged(&at(&registry, "acme/prod/web"), "v1"))
        .await
        .unwrap_err();
    insta::assert_snapshot!(shown(&error, &registry), @"the registry HOST denies the login to HOST/acme/prod/web with the credential of HOST in Docker's config.json");
}
