//! Images that all trials share, and the small world of each: containers, a configuration, a state with an open rollout.

use crate::bot::Start;
use crate::kind::{Kind, Way};
use crate::support::opened;
use lowtide::config::validate;
use lowtide::model::image::ImageId;
use lowtide::model::name::{AppName, RolloutId};
use lowtide::store::database::Store;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

const BASE: &str = "lowtide-test/busybox:1";

pub(crate) struct Ground {
    pub(crate) socket: PathBuf,
    mark: String,
    pub(crate) old: ImageId,
    pub(crate) new: ImageId,
    bad: ImageId,
}

impl Ground {
    pub(crate) fn prepare() -> Self {
        Self::of(test_engine())
    }

    /// On the engine of this socket.
    pub(crate) fn of(socket: PathBuf) -> Self {
        let base = docker_bytes(&test_engine(), &["save", BASE], &[]);
        docker_bytes(&socket, &["load", "--quiet"], &base);
        let mark = ulid::Ulid::generate().to_string().to_ascii_lowercase();
        let image = |version: &str, rest: &str| -> ImageId {
            let dockerfile = format!("FROM {BASE}\nLABEL version={version}\nSTOPSIGNAL SIGKILL\n{rest}\n");
            let tag = format!("kills-{mark}:{version}");
            docker_with(&socket, &["build", "-q", "-t", &tag, "-"], dockerfile.as_bytes());
            docker(&socket, &["image", "inspect", "-f", "{{.Id}}", &tag])
                .parse()
                .unwrap()
        };
        let serves = "CMD [\"httpd\", \"-f\", \"-p\", \"80\"]";
        Self {
            old: image("old", serves),
            new: image("new", serves),
            bad: image("bad", "CMD [\"sh\", \"-c\", \"exit 3\"]"),
            mark,
            socket,
        }
    }

    fn tag(&self, version: &str) -> String {
        format!("kills-{}:{version}", self.mark)
    }
}

pub(crate) struct World {
    pub(crate) id: String,
    pub(crate) rollout: RolloutId,
    pub(crate) directory: TempDir,
    socket: PathBuf,
    kind: Kind,
}

impl World {
    pub(crate) async fn new(ground: &Ground, kind: Kind, way: Way, engine: &Path, directory: TempDir) -> Self {
        let short = ulid::Ulid::generate().to_string().to_ascii_lowercase();
        let world = Self {
            id: format!("k{}", &short[short.len() - 12..]),
            rollout: RolloutId(ulid::Ulid::generate()),
            directory,
            socket: ground.socket.clone(),
            kind,
        };
        if kind == Kind::Service {
            world.service(ground);
        } else {
            world.containers(ground);
        }
        let text = world.configuration(engine);
        std::fs::write(world.directory.path().join("lowtide.yml"), &text).unwrap();
        world.open(ground, way, &text).await;
        world
    }

    pub(crate) fn start(&self) -> Start {
        Start {
            directory: self.directory.path().to_owned(),
            path: std::env::var_os("PATH").unwrap_or_default(),
        }
    }

    pub(crate) fn store(&self) -> Option<Store> {
        Store::open(&self.directory.path().join("state/lowtide.db"), false).ok()
    }

    pub(crate) fn docker(&self, arguments: &[&str]) -> String {
        docker(&self.socket, arguments)
    }

    /// Names of what has to serve.
    pub(crate) fn served(&self) -> Vec<String> {
        let tenant = (self.kind == Kind::Held).then_some("tenant");
        let parts = self.kind.services().iter().copied().chain(tenant);
        parts.map(|part| format!("{}-{part}", self.id)).collect()
    }

    fn service(&self, ground: &Ground) {
        // The first trial makes the swarm.
        let _ = attempt(&self.socket, &["swarm", "init", "--advertise-addr", "127.0.0.1"], &[]);
        let name = format!("{}-a", self.id);
        let flags = [
            "service",
            "create",
            "-q",
            "--no-resolve-image",
            "--replicas",
            "2",
            "--name",
            &name,
        ];
        let pace = [
            "--stop-grace-period",
            "1s",
            "--restart-delay",
            "200ms",
            "--update-delay",
            "7s",
        ];
        self.docker(&[&flags[..], &pace, &[&ground.tag("old")]].concat());
    }

    fn containers(&self, ground: &Ground) {
        let (id, label) = (&self.id, format!("org.lowtide.kills={}", self.id));
        self.docker(&["network", "create", id]);
        let run = |name: &str, flags: &[&str], tail: &[&str]| {
            let name = format!("{id}-{name}");
            let head = ["run", "-d", "--init", "--name", &name];
            self.docker(&[&head[..], flags, tail].concat());
        };
        let old = ground.tag("old");
        for service in self.kind.services() {
            let policy = match self.kind {
                Kind::Removed => "--rm".to_owned(),
                Kind::Plain | Kind::Routed | Kind::Paused | Kind::Held | Kind::Always | Kind::Service => {
                    format!("--restart={}", self.kind.policy())
                }
            };
            let flags = ["--label", &label, &policy, "--network", id, "--network-alias", "web"];
            run(service, &flags, &[&old]);
        }
        let sleeps = [BASE, "sleep", "100000"];
        match self.kind {
            Kind::Held => {
                let network = format!("container:{id}-a");
                run("tenant", &["--restart=unless-stopped", "--network", &network], &sleeps);
            }
            Kind::Routed | Kind::Paused => run("edge", &["--network", id], &sleeps),
            Kind::Plain | Kind::Removed | Kind::Always | Kind::Service => {}
        }
    }

    fn configuration(&self, engine: &Path) -> String {
        let router = match self.kind.router() {
            "" => String::new(),
            commands => format!("        router: {{ container: {}-edge, {commands} }}\n", self.id),
        };
        let target = match self.kind {
            Kind::Service => format!("- service: {{ name: {}-a }}\n", self.id),
            Kind::Plain | Kind::Routed | Kind::Paused | Kind::Removed | Kind::Held | Kind::Always => format!(
                "- label: {{ key: org.lowtide.kills, value: \"{}\" }}\n        ready: {{ stay_up: 300ms, timeout: 30s }}\n",
                self.id
            ),
        };
        format!(
            "version: 1\nmode: active\nhosts: {{ here: {{ docker: \"unix://{}\" }} }}\napps:\n  {id}:\n    \
             source: {{ repo: \"https://git.invalid/web.git\" }}\n    schedule: never\n    rollout:\n      \
             {target}        bake: 200ms\n{router}",
            engine.display(),
            id = self.id,
        )
    }

    async fn open(&self, ground: &Ground, way: Way, text: &str) {
        let state = self.directory.path().join("state");
        std::fs::create_dir(&state).unwrap();
        let store = Store::open(&state.join("lowtide.db"), true).unwrap();
        let fleet = validate::fleet(text.as_bytes()).unwrap_or_else(|problems| panic!("{problems:?}"));
        let app: AppName = self.id.parse().unwrap();
        let (version, image) = match way {
            Way::Forward => ("new", &ground.new),
            Way::Back => ("bad", &ground.bad),
        };
        opened::open(&store, &fleet, &app, self.rollout, (image, &ground.tag(version))).await;
    }

    /// Everything of this trial goes.
    pub(crate) fn remove(&self) {
        if self.kind == Kind::Service {
            self.docker(&["service", "rm", &format!("{}-a", self.id)]);
            return;
        }
        let all = self.docker(&["ps", "-aq", "--filter", &format!("name={}", self.id)]);
        let mut remove = vec!["rm", "-fv"];
        remove.extend(all.lines());
        if remove.len() > 2 {
            self.docker(&remove);
        }
        // An engine that was rebooted may go on counting an endpoint of a container that is gone. Its networks end with it.
        if let Err(why) = attempt(&self.socket, &["network", "rm", &self.id], &[]) {
            assert!(why.contains("has active endpoints"), "{why}");
        }
    }
}

fn test_engine() -> PathBuf {
    std::env::var("LOWTIDE_TEST_ENGINE")
        .expect("LOWTIDE_TEST_ENGINE is not set: run `scripts/test kill-matrix`, which starts a private engine")
        .into()
}

/// Docker's own client, on the private engine.
fn docker(socket: &Path, arguments: &[&str]) -> String {
    docker_with(socket, arguments, &[])
}

fn docker_with(socket: &Path, arguments: &[&str], input: &[u8]) -> String {
    let said = docker_bytes(socket, arguments, input);
    String::from_utf8(said).unwrap().trim().to_owned()
}

fn docker_bytes(socket: &Path, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    attempt(socket, arguments, input).unwrap_or_else(|why| panic!("{arguments:?}: {why}"))
}

/// `Err`: its own words.
fn attempt(socket: &Path, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>, String> {
    let mut child = Command::new("docker")
        .args(arguments)
        .env("DOCKER_HOST", format!("unix://{}", socket.display()))
        .env("DOCKER_BUILDKIT", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}
