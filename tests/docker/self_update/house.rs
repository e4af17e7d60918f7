//! A lowtide in a container of the private engine, and what of it can be seen from outside.

use crate::engine::unique;
use crate::roll::stage::{command, docker, quiet};
use crate::support::changes::Changes;
use crate::support::opened;
use lowtide::clients::clock;
use lowtide::config::validate;
use lowtide::decide::app_state;
use lowtide::fleet::rollout::RolloutEvent;
use lowtide::model::handover::Handover;
use lowtide::model::image::ImageId;
use lowtide::model::name::{AppName, RolloutId};
use lowtide::model::rollout::RolloutConclusion;
use lowtide::store::database::Store;
use lowtide::store::handover;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

/// Far more than anything here takes, beside all the other tests of a loaded machine.
const PATIENCE: Duration = Duration::from_secs(300);
const LISTEN: &str = "8080";
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Image {
    /// What runs at first.
    Old,
    /// As good, and another one.
    Good,
    Exits,
    /// Runs, and is no lowtide at all.
    Sleeps,
    /// Takes the state, writes a database of a later version, and ends.
    Migrates,
}

/// Whoever knows nothing of lowtide but its lock.
const MIGRATES: &str = "cd /var/lib/lowtide
flock lock -c 'rm -f lowtide.db-*; cp later.db lowtide.db; touch migrated'
exit 3";

/// What is logged is journalled, and the log lies where writing is noticed.
const ENTRYPOINT: &str = r#"ENTRYPOINT ["sh", "-c", "exec lowtide \"$@\" 2>>/var/lib/lowtide/log", "lowtide"]"#;

/// Of SQLite's `user_version`, big-endian (SQLite file format, 1.3).
const VERSION_AT: std::ops::Range<usize> = 60..64;

pub(crate) struct House {
    pub(crate) name: String,
    rollout: RolloutId,
    directory: TempDir,
    target: String,
}

impl House {
    /// `rest`: further keys of the target.
    pub(crate) fn new(rest: &str) -> Self {
        Self::with("self: {}", rest)
    }

    pub(crate) fn named_as_ordinary() -> Self {
        Self::with("container: { name: NAME }", "")
    }

    fn with(select: &str, rest: &str) -> Self {
        let name = unique("self");
        let house = Self {
            target: format!("{}\n        {rest}", select.replace("NAME", &name)),
            name,
            rollout: RolloutId(ulid::Ulid::generate()),
            directory: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir(house.state()).unwrap();
        std::fs::write(house.directory.path().join("lowtide.yml"), house.configuration()).unwrap();
        house.build();
        house
    }

    /// Writes a release, and a rollout to it, as the bot itself would have; then the bot starts.
    pub(crate) async fn roll_to(&self, image: Image) {
        let fleet = validate::fleet(self.configuration().as_bytes()).unwrap_or_else(|problems| panic!("{problems:?}"));
        let store = Store::open(&self.state().join("lowtide.db"), true).unwrap();
        let (id, tag) = (self.image(image), self.tag(image));
        opened::open(&store, &fleet, &self.app(), self.rollout, (&id, &tag)).await;
        let later = self.state().join("later.db");
        store.backup(later.clone()).await.unwrap();
        let mut bytes = std::fs::read(&later).unwrap();
        bytes[VERSION_AT].copy_from_slice(&1000_u32.to_be_bytes());
        std::fs::write(&later, bytes).unwrap();
        self.start();
    }

    pub(crate) fn docker(&self, arguments: &[&str]) -> String {
        docker(arguments)
    }

    pub(crate) async fn concluded(&self) -> RolloutConclusion {
        self.until("a conclusion", async |house: &Self| {
            let last = house.events().await.pop();
            last.and_then(|event| {
                if let RolloutEvent::Concluded { conclusion } = event {
                    Some(conclusion)
                } else {
                    None
                }
            })
        })
        .await
    }

    /// A step of this name was begun.
    pub(crate) async fn begins(&self, step: &str) {
        self.until(step, async |house: &Self| {
            let begun = |event: &RolloutEvent| {
                matches!(event, RolloutEvent::StepStarted { step: one, .. } if one.to_string().starts_with(step))
            };
            house.events().await.iter().any(begun).then_some(())
        })
        .await;
    }

    /// A file of the state is there, or no longer there.
    pub(crate) async fn file(&self, name: &str, there: bool) {
        self.until(name, async |house: &Self| {
            (house.state().join(name).exists() == there).then_some(())
        })
        .await;
    }

    /// One container is left, of this image; it has its name, serves on its port, and nothing is handed over any more.
    pub(crate) async fn is_settled(&self, image: Image) {
        let wanted = format!("{} {}", self.name, self.image(image));
        self.until("one container", async |house: &Self| {
            let names = house.names();
            let left: Vec<String> = names
                .iter()
                .map(|name| {
                    let image = quiet(&["inspect", "-f", "{{.Image}}", name]);
                    format!("{name} {image}")
                })
                .collect();
            (left == [wanted.clone()]).then_some(())
        })
        .await;
        self.until("its page", async |house: &Self| {
            let port = quiet(&["port", &house.name, LISTEN]);
            let address = port.lines().next()?.to_owned();
            house
                .get(&address)
                .filter(|response| response.contains("ready"))
                .map(drop)
        })
        .await;
        self.file("handover.json", false).await;
        self.file("handover.db", false).await;
        // It works again, and does not only answer.
        self.until("its obedience", async |house: &Self| {
            let cancel = ["exec", &house.name, "lowtide", "cancel", "01JDCS4Z00ABCDEFGHJKMNPQRS"];
            let said = command(&cancel).output().unwrap();
            let said = String::from_utf8(said.stderr).unwrap();
            said.contains("is not under way").then_some(())
        })
        .await;
    }

    pub(crate) async fn is_halted(&self) -> bool {
        let store = Store::open(&self.state().join("lowtide.db"), false).unwrap();
        let events = store.app_events(&self.app()).await.unwrap();
        app_state::fold(events.clone()).halted.is_some()
    }

    /// kill -9 of whoever has the state, as the hand-over says.
    pub(crate) fn kill_owner(&self) {
        let container = match handover::read(&self.state()).unwrap() {
            None => self.name.clone(),
            Some(record) => owner(&record),
        };
        self.kill_container(&container);
    }

    pub(crate) fn kill(&self, role: &str) {
        let name = self.names().into_iter().find(|name| name.contains(role));
        self.kill_container(&name.unwrap_or_else(|| panic!("no {role}: {:?}", self.names())));
    }

    /// By its process: what the engine kills for someone does not come back by itself.
    fn kill_container(&self, container: &str) {
        let pid = quiet(&["inspect", "-f", "{{.State.Pid}}", container]);
        if pid.parse::<i32>().is_ok_and(|pid| pid > 0) {
            let killed = Command::new("kill").args(["-9", &pid]).status();
            assert!(killed.unwrap().success(), "{container} could not be killed");
        }
    }

    fn app(&self) -> AppName {
        "lowtide".parse().unwrap()
    }

    fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    fn names(&self) -> Vec<String> {
        let filter = format!("name={}", self.name);
        let names = quiet(&["ps", "-a", "--filter", &filter, "--format", "{{.Names}}"]);
        names.lines().map(ToOwned::to_owned).collect()
    }

    async fn events(&self) -> Vec<RolloutEvent> {
        let store = Store::open(&self.state().join("lowtide.db"), false).unwrap();
        let events = store.rollout_events(self.rollout).await.unwrap();
        events.into_iter().map(|recorded| recorded.event).collect()
    }

    async fn until<T>(&self, what: &str, look: impl AsyncFn(&Self) -> Option<T>) -> T {
        let found = async {
            let mut moves = Moves::of(&self.state());
            loop {
                if let Some(found) = look(self).await {
                    return found;
                }
                moves.next().await;
            }
        };
        let Ok(found) = tokio::time::timeout(PATIENCE, found).await else {
            panic!("{what} did not come\n{}", self.diagnosis().await)
        };
        found
    }

    /// For whoever reads a failed test.
    async fn diagnosis(&self) -> String {
        let mut diagnosis: Vec<String> = self.events().await.iter().skip(1).map(|e| format!("{e:?}")).collect();
        diagnosis.extend(self.names());
        diagnosis.extend(std::fs::read_to_string(self.state().join("log")));
        diagnosis.join("\n")
    }

    fn get(&self, address: &str) -> Option<String> {
        let url = format!("http://{address}/readyz");
        let output = Command::new("curl").args(["-sS", "--max-time", "2", &url]).output();
        output.ok().map(|o| String::from_utf8_lossy(&o.stdout).into_owned())
    }

    fn configuration(&self) -> String {
        format!(
            "version: 1\nmode: active\nhosts: {{ here: {{ docker: \"unix:///run/engine/{}\" }} }}\napps:\n  lowtide:\n    \
             source: {{ repo: \"https://git.invalid/lowtide.git\" }}\n    schedule: never\n    rollout:\n      - \
             {}\n        bake: 2s\n",
            socket().file_name().unwrap().display(),
            self.target,
        )
    }

    fn tag(&self, image: Image) -> String {
        format!("{}:{}", self.name, format!("{image:?}").to_lowercase())
    }

    fn image(&self, image: Image) -> ImageId {
        docker(&["image", "inspect", "-f", "{{.Id}}", &self.tag(image)])
            .parse()
            .unwrap()
    }

    fn build(&self) {
        let context = tempfile::tempdir().unwrap();
        let binary = context.path().join("lowtide");
        let stripped = Command::new("strip")
            .args(["--strip-debug", "-o"])
            .arg(&binary)
            .arg(env!("CARGO_BIN_EXE_lowtide"))
            .status();
        assert!(stripped.unwrap().success());
        // The base image has no authorities, and lowtide does not begin without any.
        std::fs::copy(AUTHORITIES, context.path().join("authorities")).unwrap();
        let script = |name: &str, line: &str| {
            std::fs::write(context.path().join(name), format!("#!/bin/sh\n{line}\n")).unwrap();
        };
        script("exits", "exit 3");
        script("sleeps", "exec sleep 100000");
        script("migrates", MIGRATES);
        let serves = "HEALTHCHECK --interval=1s --timeout=5s --retries=60 CMD [\"lowtide\", \"health\"]";
        for (image, program, rest) in [
            (Image::Old, "lowtide", serves),
            (Image::Good, "lowtide", serves),
            (Image::Exits, "exits", ""),
            (Image::Sleeps, "sleeps", "STOPSIGNAL SIGKILL"),
            (Image::Migrates, "migrates", "STOPSIGNAL SIGKILL"),
        ] {
            let dockerfile = format!(
                "FROM lowtide-test/debian:behind\nCOPY {program} /usr/local/bin/lowtide\nCOPY authorities {AUTHORITIES}\nLABEL version={image:?} \
                 test={}\nENV LOWTIDE_STATE=/var/lib/lowtide LOWTIDE_LISTEN=0.0.0.0:{LISTEN}\n{rest}\n\
                 {ENTRYPOINT}\nCMD [\"serve\"]\n",
                self.name
            );
            std::fs::write(context.path().join("Dockerfile"), dockerfile).unwrap();
            set_executable(&context.path().join(program));
            docker(&[
                "build",
                "-q",
                "-t",
                &self.tag(image),
                &context.path().display().to_string(),
            ]);
        }
    }

    fn start(&self) {
        let path = |path: &Path, inside: &str| format!("{}:{inside}", path.display());
        let state = path(&self.state(), "/var/lib/lowtide");
        let engine = path(socket().parent().unwrap(), "/run/engine");
        let config = path(&self.directory.path().join("lowtide.yml"), "/etc/lowtide/config.yml:ro");
        let published = format!("127.0.0.1:{}:{LISTEN}", free_port());
        let arguments = [
            "run",
            "-d",
            "--name",
            &self.name,
            "--restart=unless-stopped",
            "-p",
            &published,
            "-v",
            &state,
            "-v",
            &engine,
            "-v",
            &config,
            &self.tag(Image::Old),
        ];
        docker(&arguments);
    }
}

impl Drop for House {
    fn drop(&mut self) {
        for name in self.names() {
            quiet(&["rm", "-f", &name]);
        }
        for image in [Image::Old, Image::Good, Image::Exits, Image::Sleeps, Image::Migrates] {
            quiet(&["rmi", "-f", &self.tag(image)]);
        }
    }
}

/// Tells when something was written in the state, or happened to a container.
struct Moves {
    changes: Changes,
    engine_events: Lines<BufReader<ChildStdout>>,
    _events: Child,
}

impl Moves {
    fn of(state: &Path) -> Self {
        // The engine tells what happened since then, also before it is asked.
        let now = clock::now().as_second().to_string();
        let events = command(&["events", "--filter", "type=container", "--since", &now]);
        let mut events = tokio::process::Command::from(events)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self {
            changes: Changes::of(&[state]),
            engine_events: BufReader::new(events.stdout.take().unwrap()).lines(),
            _events: events,
        }
    }

    async fn next(&mut self) {
        tokio::select! {
            () = self.changes.next() => {}
            line = self.engine_events.next_line() => assert!(line.unwrap().is_some(), "the engine tells no more"),
        }
    }
}

fn owner(record: &Handover) -> String {
    use lowtide::model::handover::StateOwner;
    match record.to {
        StateOwner::Old => record.old.clone(),
        StateOwner::Helper => record.helper.clone(),
        StateOwner::New => record.new.clone().unwrap(),
    }
}

fn socket() -> PathBuf {
    std::env::var("LOWTIDE_TEST_ENGINE").unwrap().into()
}

/// A fixed one: two containers cannot have it at once.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn set_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}
