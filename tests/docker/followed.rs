//! An image that others build, by the binary on a real engine and a real registry: followed, tested, rolled out and rolled back.

use crate::engine::{docker, unique};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// What its authors push.
#[derive(Clone, Copy)]
enum Version {
    Good,
    /// It does not pass our test.
    Failing,
    /// It passes, and dies with the variables of the container that runs.
    Dying,
}

/// The authors of an image, and a host that runs it.
struct Upstream {
    folder: TempDir,
    name: String,
    registry: String,
}

impl Upstream {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            name: unique("followed"),
            registry: std::env::var("LOWTIDE_TEST_REGISTRY").unwrap(),
        }
    }

    fn image(&self, tag: &str) -> String {
        format!("{}/{}:{tag}", self.registry, self.name)
    }

    /// Builds and pushes; the engine forgets it, so that lowtide has to pull.
    fn push(&self, tag: &str, version: Version) {
        let check = match version {
            Version::Good | Version::Dying => "exit 0",
            Version::Failing => "echo \"no such column\"; exit 1",
        };
        let at_start = match version {
            Version::Good | Version::Failing => "true",
            Version::Dying => "[ -z \"$SERVES\" ] || exit 3",
        };
        let folder = self.folder.path().join("image");
        std::fs::create_dir_all(&folder).unwrap();
        let dockerfile = format!(
            "FROM {}/base/busybox:1\n\
             RUN printf '#!/bin/sh\\n{check}\\n' >/check; chmod +x /check; mkdir /www; echo {tag} >/www/index.html\n\
             CMD [\"sh\", \"-c\", \"{}; exec httpd -f -p 8080 -h /www\"]\n",
            self.registry,
            at_start.replace('"', "\\\""),
        );
        std::fs::write(folder.join("Dockerfile"), dockerfile).unwrap();
        let image = self.image(tag);
        docker(&["build", "-q", "--no-cache", "-t", &image, &folder.display().to_string()]);
        docker(&["push", "-q", &image]);
        docker(&["rmi", "-f", &image]);
    }

    fn configure(&self, more: &str) {
        let text = format!(
            "version: 1
mode: active
hosts: {{ here: {{ docker: \"unix://{socket}\" }} }}
limits: {{ min_free_disk: 1MiB }}
apps:
  {name}:
    source: {{ image: \"{registry}/{name}\", tags: \"1.*\" }}
    schedule: never
    ready: {{ http: {{ port: 8080, path: / }}, timeout: 30s }}
    test: {{ steps: [ {{ exec: [/check] }} ] }}
    {more}
    rollout: [ {{ container: {{ name: {name} }}, bake: 1s, stop_timeout: 1s }} ]
",
            socket = std::env::var("LOWTIDE_TEST_ENGINE").unwrap(),
            name = self.name,
            registry = self.registry,
        );
        std::fs::write(self.config(), text).unwrap();
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("lowtide.yml")
    }

    fn lowtide(&self, args: &[&str]) -> (Option<i32>, String) {
        let done = Command::new(env!("CARGO_BIN_EXE_lowtide"))
            .args(args)
            .env("HOME", self.folder.path())
            .env("LOWTIDE_CONFIG", self.config())
            .env("LOWTIDE_STATE", self.folder.path().join("state"))
            .output()
            .unwrap();
        (done.status.code(), said(&done))
    }

    fn run(&self) -> (Option<i32>, String) {
        self.lowtide(&["run", &self.name, "--now"])
    }

    /// What the container serves.
    fn serves(&self) -> String {
        let page = docker(&["exec", &self.name, "wget", "-q", "-O", "-", "http://127.0.0.1:8080/"]);
        String::from_utf8(page).unwrap().trim().to_owned()
    }

    /// The name of the image that the container runs.
    fn runs(&self) -> String {
        let name = docker(&["inspect", "-f", "{{.Config.Image}}", &self.name]);
        String::from_utf8(name).unwrap().trim().to_owned()
    }

    /// What lowtide has pulled to test it.
    fn pulled(&self) -> Vec<String> {
        let filter = format!("reference=lowtide/{}", self.name);
        let listed = docker(&["images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", &filter]);
        let listed = String::from_utf8(listed).unwrap();
        listed.lines().map(ToOwned::to_owned).collect()
    }

    /// The bot runs until it has cleaned up.
    fn tidy(&self) {
        let mut bot = Command::new(env!("CARGO_BIN_EXE_lowtide"))
            .arg("serve")
            .env("HOME", self.folder.path())
            .env("LOWTIDE_CONFIG", self.config())
            .env("LOWTIDE_STATE", self.folder.path().join("state"))
            .env("LOWTIDE_LOG", "debug")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(bot.stderr.take().unwrap()).lines();
        let done = lines
            .map_while(Result::ok)
            .any(|line| line.contains("the bounds are kept"));
        bot.kill().unwrap();
        bot.wait().unwrap();
        assert!(done, "the bot ended by itself");
    }

    fn start(&self, tag: &str) {
        docker(&["run", "-d", "--name", &self.name, "-e", "SERVES=1", &self.image(tag)]);
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "-f", "-v", &self.name]).output();
        let filter = format!("reference=*/{}", self.name);
        let ours = format!("reference=lowtide/{}", self.name);
        let listed = Command::new("docker")
            .args(["images", "-q", "--filter", &filter, "--filter", &ours])
            .output();
        for image in String::from_utf8_lossy(&listed.unwrap().stdout).lines() {
            let _ = Command::new("docker").args(["rmi", "-f", image]).output();
        }
    }
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn an_image_of_others_is_tested_published_rolled_out_and_rolled_back() {
    let upstream = Upstream::new();
    let registry = &upstream.registry;
    upstream.configure(&format!("publish: {{ image: \"{registry}/ours/{}\" }}", upstream.name));
    upstream.push("1.0", Version::Good);
    upstream.push("2.0", Version::Good);
    upstream.start("1.0");
    let (code, said) = upstream.run();
    assert_eq!(code, Some(0), "{said}");

    // A newer one that the rule matches.
    upstream.push("1.1", Version::Good);
    let (code, said) = upstream.run();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("1.1 is newer than 1.0"), "{said}");
    assert_eq!(upstream.serves(), "1.1");
    assert!(
        upstream.runs().contains(&format!("/ours/{}", upstream.name)),
        "{}",
        upstream.runs()
    );
    let (code, said) = upstream.run();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("nothing newer than 1.1"), "{said}");

    // One that fails its test, then one that dies where the others ran.
    upstream.push("1.2", Version::Failing);
    let (code, said) = upstream.run();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no such column"), "{said}");
    upstream.push("1.3", Version::Dying);
    let (code, said) = upstream.run();
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(upstream.serves(), "1.1", "{said}");
    let (_, status) = upstream.lowtide(&["status"]);
    assert!(status.contains("halted"), "{status}");
    let (code, connected) = upstream.lowtide(&["check", "--connect"]);
    assert_eq!(code, Some(0), "{connected}");
    assert!(
        connected.contains("1.3 is the newest of 4 that `1.*` matches"),
        "{connected}"
    );
}

#[test]
fn without_a_registry_of_ours_hosts_pull_from_its_authors() {
    let upstream = Upstream::new();
    upstream.configure("");
    upstream.push("1.0", Version::Good);
    // What runs is newer than all that the rule matches.
    upstream.push("2.0", Version::Good);
    upstream.start("2.0");
    let (code, said) = upstream.run();
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("and 2.0 runs; lowtide never goes down by itself"),
        "{said}"
    );
    docker(&["rm", "-f", "-v", &upstream.name]);
    upstream.start("1.0");
    upstream.push("1.1", Version::Good);
    let (code, said) = upstream.run();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(upstream.serves(), "1.1");
    // On the host it has a name of its own: the tag may move, and the way back needs the image.
    assert!(
        upstream.runs().contains(&format!("{}:1.1-", upstream.name)),
        "{}",
        upstream.runs()
    );

    // The tag is pushed again, with the same content and then with another one.
    upstream.push("1.1", Version::Good);
    let (code, said) = upstream.run();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("1.1 was pushed again with the same content"), "{said}");
    upstream.push("1.1", Version::Dying);
    let (code, said) = upstream.run();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("1.1 was pushed again"), "{said}");
    assert_eq!(upstream.serves(), "1.1", "{said}");

    // Its authors take it back: that is no newer image.
    let (_, resumed) = upstream.lowtide(&["resume", &upstream.name, "--reason", "reported to its authors"]);
    upstream.push("1.0", Version::Good);
    let (code, said) = upstream.run();
    assert_eq!(code, Some(0), "{resumed}{said}");
    upstream.tidy();
    // The release that serves and the one that was rolled back; the one between them is needed no more.
    assert_eq!(upstream.pulled().len(), 2, "{:?}", upstream.pulled());
}
