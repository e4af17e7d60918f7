//! What GitHub does for Apps: who is one, check runs, deployments.

use super::fake::{World, overlaid};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

const INSTALLATION: &str = "17";
const TOKEN: &str = "ghs_ebb_secret";

/// An App with its key, installed at `example`.
pub(crate) struct InstalledApp {
    id: u64,
    public_key: PathBuf,
    pub(crate) permissions: Value,
    pub(crate) suspended: bool,
}

impl InstalledApp {
    /// Makes the App's key pair in a folder; the private one is `app.pem` there.
    pub(crate) fn new(id: u64, folder: &Path) -> Self {
        let (private, public) = (folder.join("app.pem"), folder.join("app.pub"));
        openssl(&["genrsa", "-traditional", "-out", private.to_str().unwrap(), "2048"]);
        openssl(&[
            "rsa",
            "-in",
            private.to_str().unwrap(),
            "-pubout",
            "-out",
            public.to_str().unwrap(),
        ]);
        Self {
            id,
            public_key: public,
            permissions: json!({
                "metadata": "read", "checks": "write", "issues": "write", "pull_requests": "write",
                "deployments": "write"
            }),
            suspended: false,
        }
    }

    /// The App signs what concerns itself, and uses an installation's token for everything else.
    pub(super) fn refused(&self, token: &str, path: &str) -> Option<(u16, Value)> {
        let own = path.starts_with("/app/") || path.ends_with("/installation");
        let known = if own { self.signed(token) } else { token == TOKEN };
        if !known {
            return Some((401, json!({ "message": "Bad credentials" })));
        }
        let suspended = self.suspended && !path.ends_with("/installation");
        suspended.then(|| (403, json!({ "message": "This installation has been suspended" })))
    }

    /// RS256, issued by the App, valid now and for ten minutes at most. OpenSSL looks at the signature.
    fn signed(&self, token: &str) -> bool {
        let parts: Vec<&str> = token.split('.').collect();
        let [head, claims, signature] = parts[..] else {
            return false;
        };
        let read = |part: &str| -> Value {
            let bytes = URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
            serde_json::from_slice(&bytes).unwrap_or_default()
        };
        let (head, claimed) = (read(head), read(claims));
        let issuer = claimed["iss"].as_u64().map(|id| id.to_string());
        let issuer = issuer.or_else(|| claimed["iss"].as_str().map(ToOwned::to_owned));
        let now = jiff::Timestamp::now().as_second();
        let (from, until) = (claimed["iat"].as_i64().unwrap(), claimed["exp"].as_i64().unwrap());
        head["alg"] == "RS256"
            && issuer == Some(self.id.to_string())
            && (from..until).contains(&now)
            && until - now <= 600
            && self.verified(token.rsplit_once('.').unwrap().0, signature)
    }

    fn verified(&self, text: &str, signature: &str) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let (text_file, signature_file) = (folder.path().join("text"), folder.path().join("signature"));
        std::fs::write(&text_file, text).unwrap();
        std::fs::write(&signature_file, URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        Command::new("openssl")
            .args(["dgst", "-sha256", "-verify"])
            .args([&self.public_key, Path::new("-signature"), &signature_file, &text_file])
            .output()
            .unwrap()
            .status
            .success()
    }

    pub(super) fn shown(&self) -> (u16, Value) {
        let suspended = self.suspended.then_some("2026-11-20T08:00:00Z");
        let shown = json!({ "id": 17, "permissions": self.permissions, "suspended_at": suspended });
        (200, overlaid("installation", &shown))
    }

    #[expect(clippy::unused_self, reason = "only an installed App has a token")]
    pub(super) fn token(&self, installation: &str) -> (u16, Value) {
        if installation != INSTALLATION {
            return (404, json!({ "message": "Not Found" }));
        }
        (201, overlaid("installation-token", &json!({ "token": TOKEN })))
    }
}

fn openssl(args: &[&str]) {
    let output = Command::new("openssl").args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

impl World {
    pub(super) fn checks_of(&self, sha: &str, query: &[(String, String)]) -> Value {
        let name = query
            .iter()
            .find(|(n, _)| n == "check_name")
            .map(|(_, v)| v.replace("%2F", "/"));
        let of = |check: &&Value| check["head_sha"] == sha && name.as_deref().is_none_or(|name| check["name"] == name);
        let runs: Vec<&Value> = self.checks.iter().rev().filter(of).collect();
        json!({ "total_count": runs.len(), "check_runs": runs })
    }

    pub(super) fn create_check(&mut self, body: &Value) -> Value {
        let mut check = overlaid("check-run-example-of-in-progress-conclusion", body);
        check["id"] = (self.checks.len() + 4).into();
        check["output"] = json!({ "annotations": [] });
        self.checks.push(check);
        self.change_check(self.checks.len() as u64 + 3, body)
    }

    /// The annotations of a request are added to those before, and an answer counts them.
    pub(super) fn change_check(&mut self, id: u64, body: &Value) -> Value {
        let check = self.checks.iter_mut().find(|check| check["id"] == id).unwrap();
        let mut annotations = check["output"]["annotations"].as_array().unwrap().clone();
        let added = body["output"]["annotations"].as_array().cloned().unwrap_or_default();
        if added.len() > 50 {
            self.problems
                .push(format!("{} annotations in one request", added.len()));
        }
        annotations.extend(added);
        for (name, field) in body.as_object().unwrap() {
            check[name] = field.clone();
        }
        check["output"]["annotations_count"] = annotations.len().into();
        let mut shown = check.clone();
        check["output"]["annotations"] = annotations.into();
        shown["output"].as_object_mut().unwrap().remove("annotations");
        shown
    }

    pub(super) fn deployments_of(&self, query: &[(String, String)]) -> Vec<Value> {
        let parameter = |name: &str| {
            query
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, v)| v.replace("%2F", "/"))
        };
        let (sha, environment) = (parameter("sha").unwrap(), parameter("environment").unwrap());
        let of = |deployment: &&Value| deployment["sha"] == sha && deployment["environment"] == environment;
        let all = self.deployments.iter().rev().map(|(deployment, _)| deployment);
        all.filter(of).cloned().collect()
    }

    pub(super) fn create_deployment(&mut self, body: &Value) -> Value {
        let mut deployment = overlaid("deployment", body);
        deployment["id"] = (self.deployments.len() + 1).into();
        deployment["sha"] = body["ref"].clone();
        self.deployments.push((deployment.clone(), Vec::new()));
        deployment
    }

    pub(super) fn deployment_statuses(&self, id: &str) -> Vec<Value> {
        let (_, statuses) = &self.deployments[id.parse::<usize>().unwrap() - 1];
        statuses.iter().rev().cloned().collect()
    }

    pub(super) fn deploy(&mut self, id: &str, body: &Value) -> Value {
        let status = overlaid("deployment-status", body);
        self.deployments[id.parse::<usize>().unwrap() - 1]
            .1
            .push(status.clone());
        status
    }
}
