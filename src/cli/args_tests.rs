use super::*;
use clap::error::ErrorKind;

/// Commands between backticks, and lines of code blocks.
fn commands(text: &str) -> Vec<String> {
    let spans = text.split('`').filter(|span| !span.contains('\n'));
    let mut found: Vec<String> = spans.map(ToOwned::to_owned).collect();
    let blocks = text.split("```").skip(1).step_by(2).flat_map(str::lines);
    found.extend(blocks.map(|line| line.split(" #").next().unwrap_or_default().trim().to_owned()));
    found.retain(|text| text.starts_with("lowtide ") && !text.contains('|'));
    found
}

#[test]
fn documentation_names_commands_that_exist() {
    let texts = [
        include_str!("../../README.md"),
        include_str!("../../docs/api.md"),
        include_str!("../../docs/diff.md"),
        include_str!("../../docs/freshness.md"),
        include_str!("../../docs/halt.md"),
        include_str!("../../docs/install.md"),
        include_str!("../../docs/monitoring.md"),
        include_str!("../../docs/monitoring/alerts.yml"),
        include_str!("../../docs/registries.md"),
        include_str!("../../docs/rollouts.md"),
        include_str!("../../docs/swarm.md"),
        include_str!("../../docs/windows.md"),
        include_str!("../../docs/deploy/compose.yml"),
        include_str!("../../docs/deploy/lowtide.service"),
    ];
    let mut seen = 0;
    for command in texts.iter().flat_map(|text| commands(text)) {
        // Where its output goes is the shell's.
        let plain = command.split(" >").next().unwrap_or_default().replace(['[', ']'], "");
        // Filled in by Prometheus, and by the reader.
        let plain = plain.replace("{{ $labels.app }}", "APP").replace(" SHELL", " bash");
        let words = plain
            .split_whitespace()
            .filter(|word| !matches!(*word, "…" | "lowtide…"));
        seen += 1;
        // An absolute path is no less the program.
        match Arguments::try_parse_from(words) {
            Ok(_) => {}
            // The command alone, as a name.
            Err(error) if error.kind() == ErrorKind::MissingRequiredArgument => {}
            Err(error) => panic!("{command}: {error}"),
        }
        let pause = command.starts_with("lowtide pause");
        assert!(
            !pause || command.contains("--all"),
            "{command}: pause stops every app, and says so"
        );
    }
    assert!(seen > 40, "{seen}");
}

#[test]
fn every_argument_has_help() {
    let command = Arguments::command();
    let mut checked = 0;
    for subcommand in command
        .get_subcommands()
        .filter(|it| !it.is_hide_set())
        .chain([&command])
    {
        assert!(subcommand.get_about().is_some() || subcommand.get_name() == "lowtide");
        for argument in subcommand.get_arguments() {
            let described = argument
                .get_help()
                .is_some_and(|help| !help.to_string().trim().is_empty());
            assert!(described, "{} {}", subcommand.get_name(), argument.get_id());
            checked += 1;
        }
    }
    assert!(checked > 50, "{checked}");
}

#[test]
fn what_was_said_is_reported_from_defaults() {
    let said = |arguments: &[&str]| {
        let matches = Arguments::command().try_get_matches_from(arguments).unwrap();
        Said::of(&matches).state
    };
    assert!(said(&["lowtide", "status", "--state", "x"]));
    assert!(said(&["lowtide", "--state", "x", "status"]));
    assert!(!said(&["lowtide", "status"]));
}

/// git runs elsewhere, and so do the engine's own paths: what is relative is made absolute before anyone sees it.
#[test]
fn a_relative_state_is_absolute_for_every_command() {
    let commands: &[&[&str]] = &[
        &["serve"],
        &["check"],
        &["plan"],
        &["windows"],
        &["run", "web"],
        &["status"],
        &["test"],
        &["history"],
        &["show", "x"],
        &["diff", "a", "b"],
        &["inventory", "a"],
        &["outdated", "a"],
        &["registry-tags"],
        &["halt", "web", "--reason", "x"],
        &["resume", "web", "--reason", "x"],
        &["audit"],
        &["incident", "web"],
        &["revert", "web", "--reason", "x"],
        &["pause"],
        &["cancel", "x"],
        &["backup", "x"],
        &["restore", "x"],
        &["health"],
        &["completions", "bash"],
        &["man-pages", "x"],
        &["probe-http", "1", "/"],
    ];
    let here = std::env::current_dir().unwrap();
    let all = Arguments::command();
    for command in all.get_subcommands() {
        let known = commands.iter().find(|known| known[0] == command.get_name());
        let words = known.unwrap_or_else(|| panic!("a line for {} is missing", command.get_name()));
        let before = ["lowtide", "--state", "some/state"].iter().chain(*words);
        let after = ["lowtide"].iter().chain(*words).chain(&["--state", "some/state"]);
        for line in [before.collect::<Vec<_>>(), after.collect()] {
            let arguments = Arguments::try_parse_from(&line).unwrap_or_else(|e| panic!("{line:?}: {e}"));
            assert_eq!(arguments.global.state, here.join("some/state"), "{line:?}");
        }
    }
    let absolute = Arguments::try_parse_from(["lowtide", "--state", "/var/lib/x", "status"]).unwrap();
    assert_eq!(absolute.global.state, PathBuf::from("/var/lib/x"));
    assert!(Arguments::try_parse_from(["lowtide", "--state", "", "status"]).is_err());
}
