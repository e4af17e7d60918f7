//! From a work tree to what a test runs.

use super::{copy, files, images, tree};
use crate::clients::secrets;
use crate::runtime::perform::run::built;
use lowtide_compose::load::{Request, load};
use lowtide_compose::refusal::Refused;
use lowtide_compose::stack::{Choice, Stack, plan};
use lowtide_compose::yaml::MAX_SIZE;
use lowtide_core::fleet::app::App;
use lowtide_model::failure::{Failure, FailureKind};
use lowtide_model::policy::{ComposeTest, StepAction, TestPolicy, TestSetup, TesterFrom};
use std::path::Path;

/// The names that `docker compose` looks for, in its order, and what it lays over them (compose-go, *cli/options.go*).
const NAMES: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
];
const OVERRIDES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// Refuses stacks that will not be run, before anything is built. Blocks.
///
/// # Errors
/// As [`stack`], or for a file or an image that cannot be had; the first one.
pub(in crate::runtime::perform) fn check(tree: &Path, app: &App) -> Result<(), Failure> {
    for test in &app.tests {
        match &test.how {
            TestSetup::Compose(_) => {
                let stack = stack(tree, app, test)?;
                files::check(&stack, tree)?;
                images::check(&stack, tree)?;
                services_of_steps(&stack, test)?;
            }
            TestSetup::Sidecars(_) => {}
        }
        for step in &test.steps {
            if let StepAction::CopyIn { from, .. } = &step.action {
                copy::check(tree, from)?;
            }
        }
    }
    Ok(())
}

/// Each step happens in a service that runs.
fn services_of_steps(stack: &Stack, test: &TestPolicy) -> Result<(), Failure> {
    let running = stack.before.iter().chain([&stack.tested]).chain(&stack.after);
    let names: Vec<&str> = running.map(|service| service.name.as_str()).collect();
    let of_steps = test.steps.iter().filter_map(|step| step.service.as_deref());
    match of_steps.into_iter().find(|name| !names.contains(name)) {
        None => Ok(()),
        Some(unknown) => {
            let detail = format!(
                "a step is in {unknown}, which does not run; there are {}",
                names.join(", ")
            );
            Err(Failure::new(FailureKind::ComposeRefused, detail))
        }
    }
}

/// The stack of a test. Blocks.
///
/// # Errors
/// `ComposeRefused` with every reason, or as our own disk fails.
pub(in crate::runtime::perform) fn stack(tree: &Path, app: &App, test: &TestPolicy) -> Result<Stack, Failure> {
    let TestSetup::Compose(compose) = &test.how else {
        return Err(Failure::new(FailureKind::Invariant, "a test that has no stack"));
    };
    let refused = |why: String| Failure::new(FailureKind::ComposeRefused, why);
    let request = Request {
        files: files(tree, compose)?,
        project: app.name.as_str().to_owned(),
        env: secrets::environment(&compose.env)?,
    };
    let broken = std::cell::RefCell::new(None);
    let read = |path: &str| {
        tree::bytes(tree, path, MAX_SIZE as u64).map_err(|failure| {
            let words = failure.detail.clone();
            broken.borrow_mut().get_or_insert(failure);
            words
        })
    };
    let project = match load(&request, &read) {
        Ok(project) => project,
        Err(error) => return Err(broken.take().unwrap_or_else(|| refused(error.to_string()))),
    };
    let (source, build) = built(app)?;
    let dockerfile = match source.context.as_str() {
        "" => source.dockerfile.clone(),
        context => format!("{context}/{}", source.dockerfile),
    };
    let image = app.publish.as_ref().map(|publish| publish.image.to_string());
    let choice = Choice {
        service: compose.service.as_deref(),
        tester: test.tester.as_ref().and_then(|tester| match &tester.from {
            TesterFrom::Service(service) => Some(service.as_str()),
            TesterFrom::Image(_) => None,
        }),
        image: image.as_deref(),
        dockerfile: &dockerfile,
        target: build.target.as_deref(),
        profiles: &compose.profiles,
        allow: &compose.allow,
    };
    plan(&project, &choice).map_err(|Refused(refusals)| {
        let lines: Vec<String> = refusals.iter().map(ToString::to_string).collect();
        let more = match lines.len().saturating_sub(1) {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        let first = lines.first().cloned().unwrap_or_default();
        refused(format!("{first}{more}")).with_excerpt(lines)
    })
}

/// Those that are configured, else those that Compose would find.
fn files(tree: &Path, compose: &ComposeTest) -> Result<Vec<String>, Failure> {
    if !compose.files.is_empty() {
        return Ok(compose.files.clone());
    }
    let first = |names: &[&str]| -> Result<Option<String>, Failure> {
        for name in names {
            if let tree::Found::File(_) = tree::find(tree, name)? {
                return Ok(Some((*name).to_owned()));
            }
        }
        Ok(None)
    };
    let Some(base) = first(&NAMES)? else {
        let detail = format!(
            "the commit has none of {}; say where the file is: `test.compose.file`",
            NAMES.join(", ")
        );
        return Err(Failure::new(FailureKind::ComposeRefused, detail));
    };
    Ok(std::iter::once(base).chain(first(&OVERRIDES)?).collect())
}

#[cfg(test)]
mod tests {
    use super::check;
    use lowtide_compose::rights::HostRight;
    use lowtide_core::config::validate;

    /// What a refusal tells people to write, the configuration takes.
    #[test]
    fn every_right_that_can_be_given_is_one_of_the_configuration() {
        let name = || "name".to_owned();
        for right in [
            HostRight::Path(name()),
            HostRight::EngineSocket(name()),
            HostRight::Privileged,
            HostRight::Namespace("network"),
            HostRight::Device(name()),
            HostRight::Capability(name()),
            HostRight::Unconfined(name()),
            HostRight::Volume(name()),
            HostRight::Network(name()),
            HostRight::Container(name()),
            HostRight::Runtime(name()),
        ] {
            let text = format!(
                "version: 1\napps: {{ web: {{ source: {{ repo: \"https://git.example.org/web.git\" }}, \
                 test: {{ compose: {{ allow: [\"{}\"] }} }} }} }}\n",
                right.key()
            );
            assert!(validate::fleet(text.as_bytes()).is_ok(), "{}", right.key());
        }
    }

    /// Before anything is built: what the compose file says may be well, and what it needs is not there.
    #[test]
    fn what_a_stack_needs_is_looked_for() {
        let fleet = validate::fleet(
            b"version: 1\napps: { web: { source: { repo: \"https://git.example.org/web.git\" }, test: { compose: {} } } }\n",
        );
        let fleet = fleet.unwrap();
        let app = fleet.apps.values().next().unwrap();
        let of = |files: &[(&str, &str)]| {
            let tree = tempfile::tempdir().unwrap();
            std::os::unix::fs::symlink("/etc", tree.path().join("out")).unwrap();
            for (path, text) in files {
                let path = tree.path().join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            match check(tree.path(), app) {
                Ok(()) => "run".to_owned(),
                Err(failure) => format!("{}: {}", failure.kind, failure.detail),
            }
        };
        let web = |more: &str| format!("services: {{ web: {{ build: . }}, db: {{ {more} }} }}\n");
        let table: Vec<String> = [
            vec![],
            vec![("compose.yml", web("image: mariadb"))],
            vec![
                ("docker-compose.yaml", web("image: x")),
                ("compose.override.yml", web("privileged: true")),
            ],
            vec![("compose.yml", web("image: \"NO IMAGE\""))],
            vec![("compose.yml", web("build: gone"))],
            vec![("compose.yml", web("build: db")), ("db/x", String::new())],
            vec![("compose.yml", web("build: out"))],
            vec![("compose.yml", web("image: x, volumes: [\"./out/passwd:/x\"]"))],
            vec![(
                "compose.yml",
                web("image: x, secrets: [s] }, x: { image: x") + "secrets: { s: { file: ./gone } }\n",
            )],
            vec![("compose.yml", "include: [out/passwd]\n".to_owned())],
        ]
        .iter()
        .map(|files| {
            of(&files
                .iter()
                .map(|(path, text)| (*path, text.as_str()))
                .collect::<Vec<_>>())
        })
        .collect();
        insta::assert_snapshot!(table.join("\n"), @r#"
        the compose file of the test cannot be used: the commit has none of compose.yaml, compose.yml, docker-compose.yml, docker-compose.yaml; say where the file is: `test.compose.file`
        run
        the compose file of the test cannot be used: compose.override.yml:1: services.db.privileged: asks for privileged mode; the fleet's configuration can allow it: `test.compose.allow: ["privileged"]`
        the compose file of the test cannot be used: sidecar db: NO IMAGE is no image: "NO IMAGE" is not an image reference: each part of its path is lower-case letters, digits, '.', '_' and '-'
        the compose file of the test cannot be used: sidecar db: ./gone is no folder of the commit
        the Dockerfile is not in the repository: sidecar db: Dockerfile is not in ./db
        the compose file of the test cannot be used: sidecar db: out leads out of the repository by a link
        the compose file of the test cannot be used: out/passwd leads out of the repository by a link
        the compose file of the test cannot be used: ./gone, for /run/secrets/s, is not in the commit
        the compose file of the test cannot be used: out/passwd leads out of the repository by a link
        "#);
    }
}
