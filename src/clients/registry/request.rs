//! Requests for manifests. Made here and not by oci-client, because a registry says in headers how many requests it
//! takes, and oci-client does not pass these on.

use super::connect::Session;
use super::error::RegistryError;
use super::login::Granted;
use super::manifest::ACCEPTED;
use lowtide_model::image::ServedDigest;
use oci_client::errors::OciDistributionError;
use reqwest::header::{ACCEPT, CONTENT_TYPE, LINK};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use sha2::{Digest as _, Sha256};

/// Bytes of a manifest. Registries take 4 MiB at most.
const MANIFEST_LIMIT: usize = 8 << 20;
const DIGEST: &str = "docker-content-digest";

impl Session<'_> {
    /// The bytes of a manifest and their digest, which is the one asked for and the one that the registry names.
    pub(super) async fn get_manifest(
        &self,
        what: &str,
        reference: &oci_client::Reference,
    ) -> Result<(ServedDigest, bytes::Bytes), RegistryError> {
        let fetched = async {
            let response = self.ask(Method::GET, what, reference).await?;
            let status = response.status();
            let named = self.named_digest(what, &response);
            let bytes = self.body(what, response).await?;
            if status != StatusCode::OK {
                return Err(self.failed(what, refusal(status, &bytes)));
            }
            let hex: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
            let digest = self.digest_of(what, &format!("sha256:{hex}"))?;
            let asked = reference.digest().map(|text| self.digest_of(what, text)).transpose()?;
            match asked.into_iter().chain(named?).find(|expected| *expected != digest) {
                Some(expected) => Err(mismatch(what, &expected, &digest)),
                None => Ok((digest, bytes)),
            }
        };
        self.within(what, fetched).await
    }

    /// The digest of a manifest by HEAD, which Docker Hub does not count; by GET where that does not name it.
    pub(super) async fn head_manifest(
        &self,
        what: &str,
        reference: &oci_client::Reference,
    ) -> Result<ServedDigest, RegistryError> {
        self.describe_manifest(what, reference).await.map(|(digest, _)| digest)
    }

    /// The same with the manifest's media type, where the registry names one.
    pub(super) async fn describe_manifest(
        &self,
        what: &str,
        reference: &oci_client::Reference,
    ) -> Result<(ServedDigest, Option<String>), RegistryError> {
        let asked = async {
            let response = self.ask(Method::HEAD, what, reference).await?;
            let media_type = response
                .headers()
                .get(CONTENT_TYPE)
                .and_then(|value| value.to_str().ok());
            let media_type = media_type.map(ToOwned::to_owned);
            match self.named_digest(what, &response)? {
                Some(digest) if response.status() == StatusCode::OK => Ok(Some((digest, media_type))),
                Some(_) | None => Ok(None),
            }
        };
        let Some((digest, media_type)) = self.within(what, asked).await? else {
            let got = self.get_manifest(what, reference).await;
            return got.map(|(digest, _)| (digest, None));
        };
        match reference.digest().map(|text| self.digest_of(what, text)).transpose()? {
            Some(expected) if expected != digest => Err(mismatch(what, &expected, &digest)),
            Some(_) | None => Ok((digest, media_type)),
        }
    }

    /// Status and beginning of the body of the answer to the deletion of a manifest.
    pub(super) async fn delete_manifest(
        &self,
        what: &str,
        reference: &oci_client::Reference,
    ) -> Result<(StatusCode, bytes::Bytes), RegistryError> {
        let deleted = async {
            let response = self.ask(Method::DELETE, what, reference).await?;
            Ok((response.status(), self.body(what, response).await?))
        };
        self.within(what, deleted).await
    }

    /// The answer to a GET below the repository, its body and the address that its `Link` header names as the next page.
    pub(super) async fn get_page(&self, what: &str, url: &Url) -> Result<(bytes::Bytes, Option<Url>), RegistryError> {
        let fetched = async {
            let response = self.send(what, self.http.get(url.clone())).await?;
            let status = response.status();
            let link = response.headers().get(LINK).and_then(|value| value.to_str().ok());
            let next = link.and_then(|link| next_page(url, link));
            let bytes = self.body(what, response).await?;
            match status {
                StatusCode::OK => Ok((bytes, next)),
                _ => Err(self.failed(what, refusal(status, &bytes))),
            }
        };
        self.within(what, fetched).await
    }

    async fn ask(
        &self,
        method: Method,
        what: &str,
        reference: &oci_client::Reference,
    ) -> Result<Response, RegistryError> {
        let name = reference.digest().or(reference.tag()).unwrap_or("latest");
        let url = format!("{}{}/manifests/{name}", self.base, reference.repository());
        let request = self.http.request(method, url).header(ACCEPT, ACCEPTED.join(", "));
        self.send(what, request).await
    }

    async fn send(&self, what: &str, request: RequestBuilder) -> Result<Response, RegistryError> {
        self.account.admit()?;
        let request = match &self.granted {
            Granted::Free => request,
            Granted::Basic { username, password } => request.basic_auth(username, Some(password.expose())),
            Granted::Bearer(token) => request.bearer_auth(token.expose()),
        };
        let sent = request.send().await;
        let response = sent.map_err(|e| RegistryError::from_reqwest(&self.registry, what, e))?;
        self.account.hear(&response)?;
        Ok(response)
    }

    async fn body(&self, what: &str, mut response: Response) -> Result<bytes::Bytes, RegistryError> {
        let mut body = bytes::BytesMut::new();
        let failed = |e| RegistryError::from_reqwest(&self.registry, what, e);
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            body.extend_from_slice(&chunk);
            if body.len() > MANIFEST_LIMIT {
                return Err(self.unreadable(what, format!("it has more than {MANIFEST_LIMIT} bytes")));
            }
        }
        Ok(body.freeze())
    }

    fn named_digest(&self, what: &str, response: &Response) -> Result<Option<ServedDigest>, RegistryError> {
        let named = response.headers().get(DIGEST).filter(|value| !value.is_empty());
        let named = named.map(|value| self.digest_of(what, &String::from_utf8_lossy(value.as_bytes())));
        named.transpose()
    }

    fn digest_of(&self, what: &str, text: &str) -> Result<ServedDigest, RegistryError> {
        text.parse()
            .map_err(|_| self.unreadable(what, format!("{text} is not a digest")))
    }
}

fn mismatch(what: &str, expected: &ServedDigest, actual: &ServedDigest) -> RegistryError {
    RegistryError::Mismatch {
        what: what.to_owned(),
        expected: expected.to_string(),
        actual: actual.to_string(),
    }
}

/// The address that a `Link` header names as the next page (RFC 8288, distribution-spec "Listing Tags"). Of the same host
/// only: the request for it carries the credential.
fn next_page(page: &Url, link: &str) -> Option<Url> {
    let next = link
        .split(',')
        .find(|part| part.contains("rel=\"next\"") || part.contains("rel=next"))?;
    let (_, address) = next.split_once('<')?;
    let (address, _) = address.split_once('>')?;
    let next = page.join(address).ok()?;
    (next.origin() == page.origin()).then_some(next)
}

/// As oci-client says it, so that both are classified alike.
pub(super) fn refusal(status: StatusCode, body: &[u8]) -> OciDistributionError {
    let url = String::new();
    match serde_json::from_slice(body) {
        _ if status == StatusCode::UNAUTHORIZED => OciDistributionError::UnauthorizedError { url },
        Ok(envelope) if status.is_client_error() => OciDistributionError::RegistryError { envelope, url },
        Ok(_) | Err(_) => OciDistributionError::ServerError {
            code: status.as_u16(),
            url,
            message: String::from_utf8_lossy(body).into_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_of_the_same_host() {
        let page: Url = "https://r.example.org/v2/web/tags/list?n=2".parse().unwrap();
        let next = |link: &str| next_page(&page, link).map(String::from);
        let second = || Some("https://r.example.org/v2/web/tags/list?last=b&n=2".to_owned());
        assert_eq!(next("</v2/web/tags/list?last=b&n=2>; rel=\"next\""), second());
        assert_eq!(
            next("<https://r.example.org/v2/web/tags/list?last=b&n=2>; rel=next"),
            second()
        );
        assert_eq!(
            next("<https://evil.example.org/v2/web/tags/list?last=b>; rel=\"next\""),
            None
        );
        assert_eq!(next("<http://r.example.org/v2/>; rel=\"next\""), None);
        assert_eq!(next("</v2/web/tags/list>; rel=\"first\""), None);
    }
}
