//! One app with everything configured, and the servers it talks to.

use crate::support::github::fake::{self, Fake};
use crate::support::serving::Serving;
use crate::support::{git_http, mail};
use lowtide::clients::clock;
use lowtide::clients::engine::connect::Engine;
use lowtide::clients::engine::raw::encode;
use lowtide::model::policy::EngineAddress;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// On the container that lowtide rolls.
const LABEL: &str = "org.lowtide.night";
const CALL: Duration = Duration::from_secs(60);

pub(crate) const GIT_TOKEN: &str = "canary-git/5e1f+token";
pub(crate) const IN_ENVIRONMENT: &str = "canary-environment-77aa";
pub(crate) const IN_ADDRESS: &str = "canary-address-33bb";

/// What a commit is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Good,
    /// Its own tests do not pass.
    Failing,
    /// Passes its tests and dies where its predecessor served, telling everybody what it was given.
    Dying,
}

pub(crate) struct House {
    pub(crate) folder: TempDir,
    pub(crate) engine: Engine,
    pub(crate) app: String,
    pub(crate) mail: mail::Server,
    pub(crate) github: Fake,
    pub(crate) registry: String,
    /// What every command said: its arguments, stdout and stderr.
    pub(crate) said: Vec<(String, String)>,
    socket: PathBuf,
    commits: usize,
}

fn named(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: run `scripts/test night`"))
}

impl House {
    /// `look` is called while git waits for its answer.
    pub(crate) async fn new(retention: &str, look: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = PathBuf::from(named("LOWTIDE_TEST_ENGINE"));
        let id = ulid::Ulid::generate().to_string().to_ascii_lowercase();
        let house = Self {
            engine: Engine::connect(&EngineAddress::Unix(socket.clone())).unwrap(),
            app: format!("night-{}", &id[id.len() - 10..]),
            mail: mail::Server::start("tls"),
            github: Fake::start().await,
            registry: named("LOWTIDE_TEST_REGISTRY_AUTH"),
            said: Vec::new(),
            socket,
            folder,
            commits: 0,
        };
        let git = git_http::serve(&house.path("srv"), Some(GIT_TOKEN), look);
        git_in(
            house.folder.path(),
            &["init", "-q", "--bare", "-b", "main", "srv/web.git"],
        );
        git_in(house.folder.path(), &["init", "-q", "-b", "main", "work"]);
        house.configure(&git, retention);
        house
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn configure(&self, git: &str, retention: &str) {
        for (name, secret) in [("registry", "tide-secret"), ("git", GIT_TOKEN), ("github", fake::TOKEN)] {
            std::fs::write(self.path(name), format!("{secret}\n")).unwrap();
        }
        let daily_report = clock::now() + jiff::SignedDuration::from_hours(12);
        let text = format!(
            r#"version: 1
mode: active
hosts: {{ here: {{ docker: "unix://{socket}" }} }}
registries:
  "{registry}": {{ username: lowtide, password: {{ file: {folder}/registry }} }}
notify:
  email:
    smtp: smtps://127.0.0.1:{smtp}
    username: {mail_user}
    password: {{ env: NIGHT_SMTP }}
    ca: {ca}
    from: lowtide@example.org
    operators: [ops@example.org]
    daily_report: "{daily_report}"
  github: {{ token: {{ file: {folder}/github }}, api: "{api}" }}
limits: {{ min_free_disk: 1MiB }}
retention: {retention}
apps:
  {app}:
    source: {{ repo: "{git}/web.git", branch: main, username: {git_user}, token: {{ file: {folder}/git }} }}
    github: {{ repo: example/web }}
    maintainers: [dev@example.org]
    schedule: never
    test:
      env: {{ TESTING: "TRUE" }}
      ready: {{ healthcheck: true, timeout: 60s }}
      steps: [ {{ exec: [/check] }} ]
    ready: {{ healthcheck: true, timeout: 60s }}
    publish: {{ image: "{registry}/{app}" }}
    rollout:
      - label: {{ host: here, key: {LABEL}, value: "{app}" }}
        bake: 1s
        stop_timeout: 5s
"#,
            socket = self.socket.display(),
            registry = self.registry,
            folder = self.folder.path().display(),
            smtp = self.mail.port,
            mail_user = mail::USER,
            ca = self.mail.ca().display(),
            daily_report = daily_report.strftime("%H:00"),
            api = self.github.api,
            app = self.app,
            git_user = git_http::USER,
        );
        std::fs::write(self.path("lowtide.yml"), text).unwrap();
    }

    /// A commit on the branch; its id.
    pub(crate) fn commit(&mut self, version: Version) -> String {
        self.commits += 1;
        let work = self.path("work");
        let base = named("LOWTIDE_TEST_REGISTRY");
        let (check, at_start) = match version {
            Version::Good => ("exit 0", ""),
            Version::Failing => ("echo 'front page: expected 200'; exit 1", ""),
            Version::Dying => (
                "exit 0",
                "[ -z \"$DB_PASSWORD\" ] || { echo \"no login with $DB_PASSWORD at $DATABASE_URL\"; exit 3; }\n",
            ),
        };
        let files = [
            (
                "Dockerfile",
                format!(
                    "FROM {base}/base/busybox:1\nCOPY serve check /\n\
                     HEALTHCHECK --interval=300ms --timeout=5s --retries=30 CMD wget -q -O /dev/null http://127.0.0.1:8080/\n\
                     CMD [\"/serve\"]\n"
                ),
            ),
            (
                "serve",
                format!(
                    "#!/bin/sh\n# {}, version {}\n{at_start}trap 'kill $p; exit 0' TERM\n\
                     mkdir -p /www; echo hello >/www/index.html\nhttpd -f -p 8080 -h /www &\np=$!\nwait $p\n",
                    self.app, self.commits
                ),
            ),
            ("check", format!("#!/bin/sh\n{check}\n")),
        ];
        for (name, text) in files {
            std::fs::write(work.join(name), text).unwrap();
            std::fs::set_permissions(work.join(name), PermissionsExt::from_mode(0o755)).unwrap();
        }
        git_in(&work, &["add", "-A"]);
        let author = ["-c", "user.name=Dev", "-c", "user.email=dev@example.org"];
        git_in(
            &work,
            &[&author[..], &["commit", "-q", "-m", &format!("{version:?}")]].concat(),
        );
        let bare = self.path("srv/web.git").display().to_string();
        git_in(&work, &["push", "-q", &bare, "HEAD:main"]);
        git_in(&work, &["rev-parse", "HEAD"])
    }

    /// The container that lowtide is to roll, with secrets in its environment; its image knows no HEALTHCHECK.
    pub(crate) async fn start_old(&self) {
        let image = self.old_image();
        let dockerfile = "FROM lowtide-test/busybox:1\nCMD [\"httpd\", \"-f\", \"-p\", \"8080\"]\n";
        std::fs::create_dir(self.path("old")).unwrap();
        std::fs::write(self.path("old/Dockerfile"), dockerfile).unwrap();
        let built = Command::new("docker")
            .args(["build", "-q", "--label", &self.app, "-t", &image])
            .arg(self.path("old"))
            .env("DOCKER_HOST", format!("unix://{}", self.socket.display()))
            .env("DOCKER_BUILDKIT", "0")
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let body = json!({
            "Image": image,
            "Labels": {LABEL: self.app},
            "Env": [
                format!("DB_PASSWORD={IN_ENVIRONMENT}"),
                format!("DATABASE_URL=postgres://app:{IN_ADDRESS}@db/app"),
            ],
        });
        let path = format!("/containers/create?name={}", self.app);
        let made = self.engine.raw_post(&path, Some(&body), CALL).await.unwrap();
        let start = format!("/containers/{}/start", made["Id"].as_str().unwrap());
        self.engine.raw_post(&start, None, CALL).await.unwrap();
    }

    fn old_image(&self) -> String {
        format!("{}/old:1", self.app)
    }

    pub(crate) async fn inspect(&self) -> Value {
        self.engine
            .raw_get(&format!("/containers/{}/json", self.app))
            .await
            .unwrap()
    }

    /// Images with the label of our app.
    pub(crate) async fn images(&self) -> Vec<Value> {
        let filters = encode(&json!({"label": [format!("io.lowtide.app={}", self.app)]}).to_string());
        let found = self.engine.raw_get(&format!("/images/json?filters={filters}")).await;
        found.unwrap().as_array().cloned().unwrap_or_default()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lowtide"));
        command
            .arg("--config")
            .arg(self.path("lowtide.yml"))
            .arg("--state")
            .arg(self.path("state"))
            .args(arguments)
            .env("HOME", self.folder.path())
            .env("NIGHT_SMTP", mail::PASSWORD)
            .stdin(Stdio::null());
        command
    }

    /// A bot that says everything it can.
    pub(crate) fn serve(&self, look: impl FnMut(&str) + Send + 'static) -> Serving {
        let mut command = self.command(&["--log-format", "json", "serve", "--listen", "127.0.0.1:0"]);
        command.env("LOWTIDE_LOG", "trace");
        let mut serving = Serving::start(command, look);
        serving.says("listening on the control socket");
        serving
    }

    /// A command beside the bot; everything it says is remembered.
    pub(crate) fn lowtide(&mut self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().unwrap();
        for stream in [&output.stdout, &output.stderr] {
            let said = String::from_utf8_lossy(stream).into_owned();
            self.said.push((arguments.join(" "), said));
        }
        output
    }

    /// One night of this app; does it end well?
    pub(crate) fn night(&mut self) -> bool {
        let app = self.app.clone();
        self.lowtide(&["run", &app, "--now"]).status.success()
    }

    /// Everything of this house goes.
    pub(crate) async fn remove(self) {
        let filters = encode(&json!({"label": [format!("{LABEL}={}", self.app)]}).to_string());
        let containers = format!("/containers/json?all=1&filters={filters}");
        let containers = self.engine.raw_get(&containers).await.unwrap();
        for container in containers.as_array().into_iter().flatten() {
            let path = format!("/containers/{}?force=1&v=1", container["Id"].as_str().unwrap());
            self.engine.raw_delete(&path).await.unwrap();
        }
        let ours = self.images().await;
        let names = ours.iter().map(|image| image["Id"].as_str().unwrap().to_owned());
        for name in names.chain([self.old_image()]) {
            // A house without containers never made the old image.
            let _ = self.engine.raw_delete(&format!("/images/{name}?force=1")).await;
        }
    }
}

fn git_in(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
