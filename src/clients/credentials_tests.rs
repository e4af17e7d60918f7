use super::*;
use lowtide_model::secret::SecretRef;
use std::os::unix::fs::PermissionsExt as _;

struct Place(tempfile::TempDir);

impl Place {
    fn new(config: &str) -> Self {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("config.json"), config).unwrap();
        Self(place)
    }
    fn helper(self, name: &str, script: &str) -> Self {
        let path = self.0.path().join(format!("docker-credential-{name}"));
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        self
    }
    fn credentials(&self, registries: BTreeMap<String, RegistryAccess>) -> Credentials {
        let path = format!("{}:/usr/bin:/bin", self.0.path().display());
        Credentials::new(registries, Some(self.0.path().to_owned())).with_helpers(path.into(), Duration::from_secs(10))
    }
    async fn credential(&self, name: &str) -> Result<Option<Credential>, CredentialError> {
        let found = self.credentials(BTreeMap::new()).lookup(name).await;
        found.map(|found| found.map(|found| found.credential))
    }
    /// What is found, secrets shown: only tests do that.
    async fn found(&self, registry: &str) -> String {
        match self.credential(registry).await {
            Ok(None) => "anonymous".to_owned(),
            Ok(Some(Credential::Basic { username, password })) => format!("{username} / {}", password.expose()),
            Ok(Some(Credential::IdentityToken(token))) => format!("identity {}", token.expose()),
            Ok(Some(Credential::RegistryToken(token))) => format!("bearer {}", token.expose()),
            Err(e) => e.to_string().replace(&self.0.path().display().to_string(), "DIR"),
        }
    }
}

#[tokio::test]
async fn docker_s_file_is_read() {
    let place = Place::new(
        r#"{"auths": {"https://index.docker.io/v1/": {"auth": "aHViOnA6dw=="}, "ghcr.example.org": {"identitytoken": "idt"},
        "http://old.example.org/v1/": {"username": "u", "password": "p"}, "empty.example.org": {},
        "tok.example.org": {"registrytoken": "rt"}, "bad.example.org": {"auth": "%%"}}, "other": 1}"#,
    );
    assert_eq!(place.found("docker.io").await, "hub / p:w");
    assert_eq!(place.found("registry-1.docker.io").await, "hub / p:w");
    assert_eq!(place.found("ghcr.example.org").await, "identity idt");
    assert_eq!(place.found("old.example.org").await, "u / p");
    assert_eq!(place.found("tok.example.org").await, "bearer rt");
    assert_eq!(place.found("empty.example.org").await, "anonymous");
    assert_eq!(place.found("unknown.example.org").await, "anonymous");
    insta::assert_snapshot!(place.found("bad.example.org").await, @"the entry of bad.example.org in DIR/config.json is not base64 of user:password");
}

#[tokio::test]
async fn our_own_configuration_comes_first() {
    let place = Place::new(r#"{"auths": {"r.example.org": {"username": "docker", "password": "p"}}}"#);
    let file = place.0.path().join("secret");
    std::fs::write(&file, "ours\n").unwrap();
    let access = |path: &Path| RegistryAccess {
        username: Some("bot".to_owned()),
        password: Some(SecretRef::File(path.to_owned())),
        plain_http: false,
        mirror: None,
    };
    let registries = |path: &Path| [("r.example.org".to_owned(), access(path))].into();
    let found = place
        .credentials(registries(&file))
        .lookup("r.example.org")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.origin, Origin::Configuration("r.example.org".to_owned()));
    let Credential::Basic { username, password } = found.credential else {
        panic!()
    };
    assert_eq!((username.as_str(), password.expose()), ("bot", "ours"));
    let missing = place
        .credentials(registries(Path::new("/nonexistent")))
        .lookup("r.example.org")
        .await
        .unwrap_err();
    assert_eq!(missing.failure().kind, FailureKind::SecretMissing);
}

#[tokio::test]
async fn helpers_are_queried_over_stdin() {
    let place = Place::new(
        r#"{"credHelpers": {"h.example.org": "own"}, "credsStore": "store", "auths": {"file.example.org": {"username": "f", "password": "p"}}}"#,
    )
    .helper("own", r#"read -r key; [ "$1" = get ] && echo "{\"ServerURL\":\"x\",\"Username\":\"<token>\",\"Secret\":\"for $key\"}""#)
    .helper(
        "store",
        r#"read -r key; case "$key" in https://index*) echo '{"Username":"hub","Secret":"s"}';; *) echo "credentials not found in native keychain"; exit 1;; esac"#,
    );
    assert_eq!(place.found("h.example.org").await, "identity for h.example.org");
    assert_eq!(place.found("docker.io").await, "hub / s");
    assert_eq!(place.found("file.example.org").await, "f / p");
    assert_eq!(place.found("unknown.example.org").await, "anonymous");
}

#[tokio::test]
async fn only_what_a_helper_makes_runs_out() {
    let place = Place::new(
        r#"{"credHelpers": {"made.example.org": "made", "token.example.org": "token"},
        "auths": {"written.example.org": {"username": "u", "password": "p"}}}"#,
    )
    .helper("made", r#"echo "{\"Username\":\"AWS\",\"Secret\":\"s\"}""#)
    .helper("token", r#"echo "{\"Username\":\"<token>\",\"Secret\":\"s\"}""#);
    let credentials = place.credentials(BTreeMap::new());
    let repository = |registry: &str| format!("{registry}/web").parse::<Repository>().unwrap();
    let made = credentials.made_login(&repository("made.example.org")).await.unwrap();
    let secret = || Secret::new("s".to_owned());
    let password = Credential::Basic {
        username: "AWS".to_owned(),
        password: secret(),
    };
    assert_eq!(made, Some(password));
    let token = credentials.made_login(&repository("token.example.org")).await.unwrap();
    assert_eq!(token, Some(Credential::IdentityToken(secret())));
    for registry in ["written.example.org", "unknown.example.org"] {
        assert_eq!(
            credentials.made_login(&repository(registry)).await,
            Ok(None),
            "{registry}"
        );
    }
}

#[tokio::test]
async fn a_broken_helper_is_named() {
    let place = Place::new(
        r#"{"credHelpers": {"exit": "exit", "junk": "junk", "gone": "gone", "evil": "../../bin/sh", "hang": "hang"}}"#,
    )
    .helper("exit", "echo canary-secret; exit 3")
    .helper("junk", "echo canary-secret")
    .helper("hang", "exec sleep 600");
    insta::assert_snapshot!(place.found("exit").await, @"docker-credential-exit ended with exit status: 3");
    insta::assert_snapshot!(place.found("junk").await, @"docker-credential-junk gave an answer outside its protocol");
    insta::assert_snapshot!(place.found("gone").await, @"docker-credential-gone cannot be run: No such file or directory (os error 2)");
    insta::assert_snapshot!(place.found("evil").await, @"docker-credential-../../bin/sh is not a helper's name");
    let path = format!("{}:/usr/bin:/bin", place.0.path().display());
    let hurried = place
        .credentials(BTreeMap::new())
        .with_helpers(path.into(), Duration::from_millis(50));
    insta::assert_snapshot!(hurried.lookup("hang").await.unwrap_err(), @"docker-credential-hang did not answer within 50ms");
}

#[tokio::test]
async fn a_damaged_file_is_named_without_its_content() {
    let place = Place::new("{\"auths\": {\"a\": {\"auth\": [\"canary-secret\"]}}}");
    insta::assert_snapshot!(place.found("a").await, @"DIR/config.json is not a Docker configuration: line 1, column 25");
    let none = Credentials::new(BTreeMap::new(), Some("/nonexistent".into()));
    assert_eq!(none.lookup("a").await.unwrap(), None);
    assert!(!format!("{:?}", Credential::IdentityToken(Secret::new("canary".to_owned()))).contains("canary"));
}

/// Our own entries for these keys: the user is the key, the password `secret`.
fn own(keys: &[&str], file: &Path) -> BTreeMap<String, RegistryAccess> {
    let access = |key: &str| RegistryAccess {
        username: Some(key.to_owned()),
        password: Some(SecretRef::File(file.to_owned())),
        plain_http: false,
        mirror: None,
    };
    keys.iter().map(|key| ((*key).to_owned(), access(key))).collect()
}

#[tokio::test]
async fn a_part_of_a_registry_has_its_own_credential() {
    let place = Place::new(
        r#"{"credHelpers": {"ghcr.io": "own"}, "auths": {"ghcr.io/acme/dev": {"username": "dev", "password": "p"},
        "ghcr.io/acme/emptied": {}, "quay.io": {"username": "all", "password": "p"},
        "quay.io/acme": {"identitytoken": "idt"}, "ours.example.org/a/b/c": {"username": "docker", "password": "p"}}}"#,
    )
    .helper("own", r#"echo "{\"Username\":\"helper\",\"Secret\":\"s\"}""#);
    for (name, found) in [
        ("ghcr.io/acme/dev/web", "dev / p"),
        ("ghcr.io/acme/developers", "helper / s"),
        ("ghcr.io/acme/emptied/web", "helper / s"),
        ("quay.io/acme/web", "identity idt"),
        ("quay.io/other/web", "all / p"),
        ("quay.io", "all / p"),
    ] {
        assert_eq!(place.found(name).await, found, "{name}");
    }

    let file = place.0.path().join("secret");
    std::fs::write(&file, "secret").unwrap();
    let credentials = place.credentials(own(&["ours.example.org", "ours.example.org/a"], &file));
    for (name, origin) in [
        (
            "ours.example.org/web",
            "the credential of `registries.ours.example.org`",
        ),
        (
            "ours.example.org/a/b/c/web",
            "the credential of `registries.ours.example.org/a`",
        ),
        (
            "ghcr.io/acme/dev/web",
            "the credential of ghcr.io/acme/dev in Docker's config.json",
        ),
        ("ghcr.io/web", "the credential of docker-credential-own"),
        ("docker.io/library/debian", "nothing"),
    ] {
        let found = credentials.lookup(name).await.unwrap();
        let shown = found.map_or_else(|| "nothing".to_owned(), |found| found.origin.to_string());
        assert_eq!(shown, origin, "{name}");
    }
}

#[tokio::test]
async fn a_build_takes_one_credential_per_registry() {
    let place = Place::new(r#"{"auths": {"quay.io": {"identitytoken": "idt"}}}"#);
    let file = place.0.path().join("secret");
    std::fs::write(&file, "secret").unwrap();
    let credentials = place.credentials(own(&["ghcr.io/acme/dev", "ghcr.io/acme/prod"], &file));
    let logins = async |names: &[&str]| {
        let repositories: Vec<Repository> = names.iter().map(|name| name.parse().unwrap()).collect();
        let logins = credentials.logins(&repositories).await;
        logins.map(|logins| {
            let named = logins.into_iter().map(|(host, credential)| match credential {
                Credential::Basic { username, .. } => format!("{host}: {username}"),
                Credential::IdentityToken(_) | Credential::RegistryToken(_) => format!("{host}: a token"),
            });
            named.collect::<Vec<_>>().join(", ")
        })
    };
    for (names, found) in [
        (&["debian", "ghcr.io/other/web"][..], ""),
        (
            &[
                "ghcr.io/acme/dev/a",
                "ghcr.io/other/web",
                "quay.io/b",
                "ghcr.io/acme/dev/c",
            ],
            "ghcr.io: ghcr.io/acme/dev, quay.io: a token",
        ),
    ] {
        assert_eq!(logins(names).await.unwrap(), found);
    }
    let failure = logins(&["ghcr.io/acme/prod/base", "ghcr.io/acme/dev/tools"])
        .await
        .unwrap_err();
    assert_eq!(failure.kind, FailureKind::CredentialConflict);
    insta::assert_snapshot!(failure.detail, @"ghcr.io/acme/prod/base and ghcr.io/acme/dev/tools have different credentials; a build takes one per registry");
}
