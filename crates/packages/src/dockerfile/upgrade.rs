//! `build.upgrade`: all packages are upgraded as the last layer, whatever the base brought.

use super::bases::Named;
use super::error::DockerfileError;
use super::parse::Dockerfile;
use crate::families::list;
use crate::families::programs::Upgrade;
use std::collections::BTreeMap;

/// Those of all families.
fn ways() -> Vec<&'static Upgrade> {
    list::all().map(|family| &family.programs().upgrade).collect()
}

/// As one script of /bin/sh, so that a SHELL of the Dockerfile does not matter. The first way whose program is in the image
/// is taken.
fn script(ways: &[&Upgrade]) -> String {
    let attempt = |way: &&Upgrade| format!("if command -v {} >/dev/null; then {}; ", way.program, way.script);
    let attempts: Vec<String> = ways.iter().map(attempt).collect();
    let programs: Vec<&str> = ways.iter().map(|way| way.program).collect();
    format!(
        "{}else echo 'build.upgrade: neither {} is in this image' >&2; exit 1; fi",
        attempts.join("el"),
        programs.join(" nor "),
    )
}

impl Dockerfile {
    /// `text` (the same this was parsed from, pinned or not) with the upgrade at the end of the target stage. Line numbers up
    /// to there stay what they were; later stages are not built. The upgrade runs as root where the target has a USER, who is
    /// the image's again afterwards; without one it runs as whoever the base has.
    ///
    /// # Errors
    /// An unknown target.
    pub fn with_upgrade(
        &self,
        text: &str,
        target: Option<&str>,
        args: &BTreeMap<String, String>,
    ) -> Result<String, DockerfileError> {
        let index = self.target(target)?;
        let run = serde_json::json!(["/bin/sh", "-ec", script(&ways())]);
        let upgrade = match self.user(index, args)? {
            Some(user) => format!("USER root\nRUN {run}\nUSER {user}\n"),
            None => format!("RUN {run}\n"),
        };
        // Not a stage of its own at the end: the classic builder would build everything before it.
        let end = match self.stages.get(index + 1) {
            Some(next) => text.split_inclusive('\n').take(next.base.line - 1).map(str::len).sum(),
            None => text.len(),
        };
        let (before, after) = text.split_at(end);
        let between = if before.ends_with('\n') { "" } else { "\n" };
        Ok(format!("{before}{between}{upgrade}{after}"))
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
    use lowtide_model::package_family::PackageFamily;

    fn shown(text: &str, target: Option<&str>) -> String {
        match parse(text).unwrap().with_upgrade(text, target, &BTreeMap::new()) {
            Ok(upgraded) => {
                let script = serde_json::json!(["/bin/sh", "-ec", script(&ways())]).to_string();
                upgraded.replace(&script, "UPGRADE")
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn each_family_has_its_way() {
        let ways = [PackageFamily::Dpkg, PackageFamily::Apk].map(|family| &list::of(family).programs().upgrade);
        insta::assert_snapshot!(script(&ways), @"if command -v apt-get >/dev/null; then apt-get update && DEBIAN_FRONTEND=noninteractive apt-get -y -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold dist-upgrade && apt-get clean && rm -rf /var/lib/apt/lists/*; elif command -v apk >/dev/null; then apk -U upgrade && rm -rf /var/cache/apk/*; else echo 'build.upgrade: neither apt-get nor apk is in this image' >&2; exit 1; fi");
    }

    #[test]
    fn the_upgrade_is_the_last_layer_of_the_target() {
        insta::assert_snapshot!(shown("FROM debian:12\nRUN make", None), @r"
        FROM debian:12
        RUN make
        RUN UPGRADE
        ");
        insta::assert_snapshot!(shown("FROM debian:12 AS a\nUSER app:app\nFROM a AS b\nRUN x\n", None), @r"
        FROM debian:12 AS a
        USER app:app
        FROM a AS b
        RUN x
        USER root
        RUN UPGRADE
        USER app:app
        ");
        let several =
            "FROM debian:12 AS Web\nUSER a\nUSER b\n# for developers\nFROM --platform=linux/amd64 \\\n web AS dev\n";
        insta::assert_snapshot!(shown(several, Some("web")), @r"
        FROM debian:12 AS Web
        USER a
        USER b
        # for developers
        USER root
        RUN UPGRADE
        USER b
        FROM --platform=linux/amd64 \
         web AS dev
        ");
        insta::assert_snapshot!(shown("FROM debian:12\nFROM debian:13\n", Some("0")), @r"
        FROM debian:12
        RUN UPGRADE
        FROM debian:13
        ");
    }

    #[test]
    fn the_result_is_a_dockerfile_that_may_upgrade() {
        let text = "FROM debian:12\nRUN make\n";
        let none = BTreeMap::new();
        let upgraded = parse(text).unwrap().with_upgrade(text, None, &none).unwrap();
        let refresh = parse(&upgraded).unwrap().refresh(None, &none).unwrap();
        let doubts: Vec<&str> = refresh.doubts.iter().map(|doubt| doubt.why.as_str()).collect();
        assert_eq!(
            doubts,
            ["what make does is not known", "an upgrade is not sure to happen"]
        );
    }
}
