//! The registry client against two real registries (one open, one with a password), and against servers that lie, hang
//! or speak a protocol those two do not.

mod fakes;
mod layers;
mod limits;
mod reading;
mod tags;
mod tokens;
mod writing;

use lowtide::clients::credentials::Credentials;
use lowtide::clients::registry::connect::{Registry, Timeouts};
use lowtide::clients::registry::error::RegistryError;
use lowtide::model::image::{Platform, Reference, Repository, ServedDigest};
use lowtide::model::policy::RegistryAccess;
use lowtide::model::secret::SecretRef;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, RegistryOperation};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::time::Duration;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The open registry's address.
fn open() -> String {
    std::env::var("LOWTIDE_TEST_REGISTRY").unwrap()
}

/// The address of the one that wants `lowtide` / `tide-secret`.
fn guarded() -> String {
    std::env::var("LOWTIDE_TEST_REGISTRY_AUTH").unwrap()
}

/// A repository nobody else uses.
fn repository(registry: &str) -> Repository {
    let unique = ulid::Ulid::generate().to_string().to_lowercase();
    format!("{registry}/it-registry/{unique}").parse().unwrap()
}

fn tagged(repository: &Repository, tag: &str) -> Reference {
    Reference::tagged(repository, tag)
}

fn amd64() -> Platform {
    Platform {
        os: "linux".to_owned(),
        architecture: "amd64".to_owned(),
        variant: None,
    }
}

fn quick() -> Timeouts {
    Timeouts {
        connect: Duration::from_secs(5),
        response: Duration::from_secs(20),
        blob: Duration::from_secs(60),
    }
}

fn anonymous() -> Registry {
    Registry::new(BTreeMap::new(), Credentials::new(BTreeMap::new(), None), quick()).unwrap()
}

/// A client that logs in to the guarded registry with this password.
fn with_password(password: &str) -> (Registry, tempfile::NamedTempFile) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), password).unwrap();
    let access = RegistryAccess {
        username: Some("lowtide".to_owned()),
        password: Some(SecretRef::File(file.path().to_owned())),
        plain_http: false,
        mirror: None,
    };
    let registries = BTreeMap::from([(guarded(), access)]);
    (
        Registry::new(registries.clone(), Credentials::new(registries, None), quick()).unwrap(),
        file,
    )
}

/// Puts test images into the open registry, by oci-client itself.
pub(crate) struct Images {
    client: Client,
    pub(crate) repository: Repository,
}

impl Images {
    pub(crate) async fn new() -> Self {
        // Our own client brings the TLS provider that oci-client looks for.
        drop(anonymous());
        let images = Self {
            client: Client::new(ClientConfig {
                protocol: ClientProtocol::Http,
                ..ClientConfig::default()
            }),
            repository: repository(&open()),
        };
        let anywhere = images.place("x");
        images
            .client
            .auth(&anywhere, &RegistryAuth::Anonymous, RegistryOperation::Push)
            .await
            .unwrap();
        images
    }

    fn place(&self, tag: &str) -> oci_client::Reference {
        let Repository { registry, path } = self.repository.clone();
        oci_client::Reference::with_tag(registry, path, tag.to_owned())
    }

    async fn blob(&self, bytes: &[u8]) -> serde_json::Value {
        let digest = digest_of(bytes);
        self.client
            .push_blob(&self.place("x"), bytes.to_vec(), digest.as_str())
            .await
            .unwrap();
        serde_json::json!({ "mediaType": "application/octet-stream", "digest": digest, "size": bytes.len() })
    }

    /// An image whose content is `text`; its digest, and that of its config.
    pub(crate) async fn image(&self, tag: &str, text: &str) -> (ServedDigest, ServedDigest) {
        let config = format!(r#"{{"os":"linux","architecture":"amd64","text":"{text}"}}"#);
        let large = vec![text.as_bytes()[0]; 3 << 20];
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": self.blob(config.as_bytes()).await,
            "layers": [self.blob(text.as_bytes()).await, self.blob(&large).await, self.blob(text.as_bytes()).await],
        });
        (
            self.manifest(tag, MANIFEST, &manifest).await,
            digest_of(config.as_bytes()),
        )
    }

    async fn manifest(&self, tag: &str, media_type: &str, manifest: &serde_json::Value) -> ServedDigest {
        // Indented, as no canonical writer would: a copy must not write it anew.
        let bytes = serde_json::to_vec_pretty(manifest).unwrap();
        let digest = digest_of(&bytes);
        self.client
            .push_manifest_raw(&self.place(tag), bytes, media_type.parse().unwrap())
            .await
            .unwrap();
        digest
    }

    /// An index of an amd64 and an arm64 image with an attestation.
    async fn index(&self, tag: &str) -> (ServedDigest, Vec<ServedDigest>) {
        let mut children = Vec::new();
        let mut digests = Vec::new();
        for (os, architecture) in [("linux", "amd64"), ("linux", "arm64"), ("unknown", "unknown")] {
            let (digest, _) = self
                .image(architecture, &format!("{architecture} of {}", self.repository))
                .await;
            children.push(serde_json::json!({
                "mediaType": MANIFEST, "digest": digest, "size": 1, "platform": { "os": os, "architecture": architecture },
            }));
            digests.push(digest);
        }
        let index = serde_json::json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": children });
        (self.manifest(tag, INDEX, &index).await, digests)
    }
}

fn digest_of(bytes: &[u8]) -> ServedDigest {
    let hex: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
    format!("sha256:{hex}").parse().unwrap()
}

/// The error's text with what differs between two runs taken out.
fn shown(error: &RegistryError, repository: &Repository) -> String {
    error
        .to_string()
        .replace(&repository.path, "REPO")
        .replace(&open(), "OPEN")
        .replace(&guarded(), "GUARDED")
}
