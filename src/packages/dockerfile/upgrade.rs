//! `build.upgrade`: all packages are upgraded as the last layer, whatever the base brought.

use super::bases::Named;
use super::error::{DockerfileError, Problem};
use super::parse::Dockerfile;
use std::collections::BTreeMap;

/// Name of the stage that is added where the target is not the last one.
const STAGE: &str = "lowtide-upgraded";

/// As one script of /bin/sh, so that a SHELL of the Dockerfile does not matter. Files of the package's owner stay as they
/// are; lists and caches do not swell the layer.
const SCRIPT: &str = "if command -v apt-get >/dev/null; then apt-get update && \
    DEBIAN_FRONTEND=noninteractive apt-get -y -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
    dist-upgrade && apt-get clean && rm -rf /var/lib/apt/lists/*; \
    elif command -v apk >/dev/null; then apk -U upgrade && rm -rf /var/cache/apk/*; \
    else echo 'build.upgrade: neither apt-get nor apk is in this image' >&2; exit 1; fi";

/// A Dockerfile that upgrades, and the stage to build then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgraded {
    pub text: String,
    pub target: Option<String>,
}

impl Dockerfile {
    /// `text` (the same this was parsed from, pinned or not) with the upgrade at its end. Line numbers stay what they were.
    /// The upgrade runs as root where the target has a USER, who is the image's again afterwards; without one it runs as
    /// whoever the base has.
    ///
    /// # Errors
    /// An unknown target, or one that is told by number and is not the last stage: it cannot be built upon.
    pub fn with_upgrade(
        &self,
        text: &str,
        target: Option<&str>,
        args: &BTreeMap<String, String>,
    ) -> Result<Upgraded, DockerfileError> {
        let index = self.target(target)?;
        let is_last = index + 1 == self.stages.len();
        let mut end = String::new();
        if !is_last {
            let Some(name) = self.stages.get(index).and_then(|stage| stage.name.as_deref()) else {
                let name = target.unwrap_or_default().to_owned();
                let line = self.stages.get(index).map_or(1, |stage| stage.base.line);
                return Err(Problem::NamelessTarget { name }.at(line));
            };
            end.push_str(&format!("FROM {name} AS {STAGE}\n"));
        }
        let run = serde_json::json!(["/bin/sh", "-ec", SCRIPT]);
        match self.user(index, args)? {
            Some(user) => end.push_str(&format!("USER root\nRUN {run}\nUSER {user}\n")),
            None => end.push_str(&format!("RUN {run}\n")),
        }
        let between = if text.ends_with('\n') { "" } else { "\n" };
        Ok(Upgraded {
            text: format!("{text}{between}{end}"),
            target: if is_last {
                target.map(ToOwned::to_owned)
            } else {
                Some(STAGE.to_owned())
            },
        })
    }

    /// The last USER of a stage, or of the stages it stands on.
    fn user(&self, index: usize, args: &BTreeMap<String, String>) -> Result<Option<&str>, DockerfileError> {
        let values = self.values(args)?;
        let mut next = Some(index);
        while let Some(index) = next {
            if let Some(user) = self.stages.get(index).and_then(|stage| stage.user.as_deref()) {
                return Ok(Some(user));
            }
            next = match self.base(index, &values)? {
                // Parents come before their children, so this ends.
                Named::Stage(parent) => Some(parent),
                Named::Scratch | Named::Image(_) => None,
            };
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;

    fn shown(text: &str, target: Option<&str>) -> String {
        match parse(text).unwrap().with_upgrade(text, target, &BTreeMap::new()) {
            Ok(upgraded) => {
                let script = serde_json::json!(["/bin/sh", "-ec", SCRIPT]).to_string();
                format!(
                    "{}target {:?}",
                    upgraded.text.replace(&script, "UPGRADE"),
                    upgraded.target
                )
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_upgrade_is_the_last_layer_of_the_target() {
        insta::assert_snapshot!(shown("FROM debian:12\nRUN make", None), @r"
        FROM debian:12
        RUN make
        RUN UPGRADE
        target None
        ");
        insta::assert_snapshot!(shown("FROM debian:12 AS a\nUSER app:app\nFROM a AS b\nRUN x\n", None), @r"
        FROM debian:12 AS a
        USER app:app
        FROM a AS b
        RUN x
        USER root
        RUN UPGRADE
        USER app:app
        target None
        ");
        insta::assert_snapshot!(shown("FROM debian:12 AS Web\nUSER a\nUSER b\nFROM web AS dev\n", Some("web")), @r#"
        FROM debian:12 AS Web
        USER a
        USER b
        FROM web AS dev
        FROM web AS lowtide-upgraded
        USER root
        RUN UPGRADE
        USER b
        target Some("lowtide-upgraded")
        "#);
        insta::assert_snapshot!(
            shown("FROM debian:12\nFROM debian:13\n", Some("0")),
            @"Dockerfile line 1: the target 0 has no name, so nothing can be built upon it"
        );
    }

    #[test]
    fn the_result_is_a_dockerfile_that_upgrades() {
        let text = "FROM debian:12\nRUN make\n";
        let none = BTreeMap::new();
        let upgraded = parse(text).unwrap().with_upgrade(text, None, &none).unwrap();
        assert!(parse(&upgraded.text).unwrap().refresh(None, &none).unwrap().upgrades);
    }
}
