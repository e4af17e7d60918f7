//! What the RUN lines of a build take from package archives: which installed packages a rebuild can bring up to date.

use super::bases::Named;
use super::error::DockerfileError;
use super::parse::{Dockerfile, Run, Stage};
use super::shell::commands;
use crate::model::package_state::{Pinned, Refresh, Upgrades};
use std::collections::BTreeMap;

impl Dockerfile {
    /// Reads the RUN lines of `target` (a stage's name or number; `None`: the last stage) and of the stages it stands on.
    /// Stages that files are only copied from do not count: their packages are not in the image.
    ///
    /// # Errors
    /// As [`Dockerfile::external_bases`].
    pub fn refresh(&self, target: Option<&str>, args: &BTreeMap<String, String>) -> Result<Refresh, DockerfileError> {
        let values = self.values(args)?;
        let mut refresh = Refresh::default();
        let mut next = Some(self.target(target)?);
        while let Some(index) = next {
            next = match self.base(index, &values)? {
                // Parents come before their children, so this ends.
                Named::Stage(parent) => Some(parent),
                Named::Scratch => None,
                Named::Image(reference) => {
                    refresh.base = Some(reference);
                    None
                }
            };
            if let Some(stage) = self.stages.get(index) {
                refresh.stage(stage);
            }
        }
        Ok(refresh)
    }
}

impl Refresh {
    fn stage(&mut self, stage: &Stage) {
        for run in &stage.runs {
            for words in run_commands(run) {
                self.command(&words, run.line);
            }
        }
    }

    fn command(&mut self, words: &[String], line: usize) {
        let mut words = words.iter().map(String::as_str).skip_while(|word| is_prefix(word));
        let program = words.next().map(|word| word.rsplit('/').next().unwrap_or(word));
        match program {
            Some(tool @ ("apt-get" | "apt" | "aptitude")) => self.apt(tool, words.collect(), line),
            Some("apk") => self.apk(words, line),
            Some("sh" | "bash" | "ash" | "dash") => {
                // `sh -c "…"`, with options before it.
                let script = words.skip_while(|word| !is_command_option(word)).nth(1);
                for inner in script.map(commands).unwrap_or_default() {
                    self.command(&inner, line);
                }
            }
            Some(_) | None => {}
        }
    }

    fn apt(&mut self, tool: &str, words: Vec<&str>, line: usize) {
        let with_new = tool != "apt-get" || words.contains(&"--with-new-pkgs");
        let mut words = without_options(
            words.into_iter(),
            &["-t", "-o", "-c", "--target-release", "--default-release", "--option"],
        );
        match words.next() {
            Some("upgrade") if !with_new => self.upgrades = self.upgrades.max(Upgrades::WithoutNew),
            Some("upgrade" | "dist-upgrade" | "full-upgrade" | "safe-upgrade") => self.upgrades = Upgrades::All,
            Some("install" | "reinstall") => words.for_each(|word| self.install(word, line)),
            Some(_) | None => {}
        }
    }

    fn apk<'a>(&mut self, words: impl Iterator<Item = &'a str>, line: usize) {
        let words: Vec<&str> = words.collect();
        let also_upgrades = words.iter().any(|word| matches!(*word, "-u" | "--upgrade"));
        let valued = [
            "-t",
            "-X",
            "-p",
            "--virtual",
            "--repository",
            "--root",
            "--repositories-file",
            "--keys-dir",
        ];
        let mut words = without_options(words.into_iter(), &valued);
        match words.next() {
            Some("upgrade") => self.upgrades = Upgrades::All,
            Some("add") => {
                if also_upgrades {
                    self.upgrades = Upgrades::All;
                }
                words.for_each(|word| self.install(word, line));
            }
            Some(_) | None => {}
        }
    }

    /// `name`, `name:arch`, `name/suite`, `name=version`, and apk's `name~version` and `name@tag`.
    fn install(&mut self, word: &str, line: usize) {
        if word.contains('$') || word.contains('/') && word.starts_with(['.', '/']) {
            return;
        }
        let end = word.find(['=', ':', '/', '@', '~', '<', '>']).unwrap_or(word.len());
        let name = word[..end].to_owned();
        if let Some((_, version)) = word.split_once('=') {
            // apk's fuzzy version is a beginning (apk-world(5)).
            let version = match version.strip_prefix('~') {
                Some(beginning) => format!("{beginning}*"),
                None => version.trim_start_matches('=').to_owned(),
            };
            self.pinned.insert(name.clone(), Pinned { version, line });
        }
        self.installs.insert(name);
    }
}

/// The shell form, or `["program", "argument"]`.
fn run_commands(run: &Run) -> Vec<Vec<String>> {
    match serde_json::from_str::<Vec<String>>(run.command.trim()) {
        Ok(words) => vec![words],
        Err(_) => commands(&run.command),
    }
}

/// Assignments, and programs that run the rest.
fn is_prefix(word: &str) -> bool {
    let assigns = word.split_once('=').is_some_and(|(name, _)| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    });
    assigns || matches!(word, "env" | "sudo" | "exec" | "command" | "nice" | "-E")
}

fn is_command_option(word: &str) -> bool {
    word.starts_with('-') && !word.starts_with("--") && word.contains('c')
}

/// `valued`: options whose value is a word of its own.
fn without_options<'a>(
    mut words: impl Iterator<Item = &'a str>,
    valued: &'a [&'a str],
) -> impl Iterator<Item = &'a str> {
    std::iter::from_fn(move || {
        loop {
            let word = words.next()?;
            if valued.contains(&word) {
                words.next();
            } else if !word.starts_with('-') {
                return Some(word);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;

    fn shown(dockerfile: &str, target: Option<&str>) -> String {
        let refresh = parse(dockerfile).unwrap().refresh(target, &BTreeMap::new()).unwrap();
        let pinned = refresh
            .pinned
            .iter()
            .map(|(name, p)| format!("{name} {} line {}", p.version, p.line));
        format!(
            "upgrades: {:?}; installs: {}; pinned: {}",
            refresh.upgrades,
            refresh.installs.into_iter().collect::<Vec<_>>().join(" "),
            pinned.collect::<Vec<_>>().join(", "),
        )
    }

    #[test]
    fn ways_to_ask_for_packages() {
        for (runs, expected) in [
            ("RUN make", "upgrades: None; installs: ; pinned: "),
            (
                "RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get -qy -o Dpkg::Use-Pty=0 install --no-install-recommends \\\n  # tools\n  curl git:i386 vim=2:9.0-1 'nginx=1.2*' -t stable foo/bookworm",
                "upgrades: None; installs: curl foo git nginx vim; pinned: nginx 1.2* line 2, vim 2:9.0-1 line 2",
            ),
            (
                "RUN --mount=type=cache,target=/var/cache/apt set -e; apt-get update; apt-get -y dist-upgrade",
                "upgrades: All; installs: ; pinned: ",
            ),
            (
                "RUN [\"apt-get\", \"-y\", \"upgrade\"]",
                "upgrades: WithoutNew; installs: ; pinned: ",
            ),
            (
                "RUN [\"bash\", \"-euc\", \"apt-get install -y a\"]",
                "upgrades: None; installs: a; pinned: ",
            ),
            (
                "RUN <<EOF\napt-get update\napt-get install -y a b\nEOF",
                "upgrades: None; installs: a b; pinned: ",
            ),
            (
                "RUN apk add --no-cache -t .deps curl@edge xz=~5.4 zlib=1.3-r0",
                "upgrades: None; installs: curl xz zlib; pinned: xz 5.4* line 2, zlib 1.3-r0 line 2",
            ),
            (
                "RUN apk -U upgrade && apk add -u x",
                "upgrades: All; installs: x; pinned: ",
            ),
            (
                "RUN apt-get install -y $PACKAGES ./local.deb",
                "upgrades: None; installs: ; pinned: ",
            ),
            (
                "RUN if ! apt-get upgrade; then true; fi",
                "upgrades: WithoutNew; installs: ; pinned: ",
            ),
            ("RUN echo 'apt-get upgrade'", "upgrades: None; installs: ; pinned: "),
        ] {
            assert_eq!(shown(&format!("FROM debian\n{runs}\n"), None), expected, "{runs}");
        }
    }

    #[test]
    fn only_the_stages_below_the_target_count() {
        let file = "FROM debian AS base\nRUN apt-get install -y a\n\
            FROM debian AS tools\nRUN apt-get upgrade\n\
            FROM base AS last\nCOPY --from=tools /x /x\nRUN apt-get install -y b\n";
        assert_eq!(shown(file, None), "upgrades: None; installs: a b; pinned: ");
        assert_eq!(shown(file, Some("tools")), "upgrades: WithoutNew; installs: ; pinned: ");
        assert_eq!(shown(file, Some("base")), "upgrades: None; installs: a; pinned: ");
    }
}
