use super::*;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

fn commands() -> BTreeSet<String> {
    let all = Arguments::command();
    let shown = all.get_subcommands().filter(|it| !it.is_hide_set());
    shown.map(|it| it.get_name().to_owned()).collect()
}

/// The pages by their names, in a directory that goes with the first.
fn pages() -> (tempfile::TempDir, BTreeSet<String>) {
    let dir = tempfile::tempdir().unwrap();
    man_pages(dir.path()).unwrap();
    let files = std::fs::read_dir(dir.path()).unwrap();
    let names = files.map(|it| it.unwrap().file_name().into_string().unwrap());
    let names = names.collect();
    (dir, names)
}

/// One page per command, and none of a hidden one.
#[test]
fn every_command_has_a_man_page() {
    let (_dir, names) = pages();
    let wanted = commands().iter().map(|name| format!("lowtide-{name}.1")).collect();
    let wanted: BTreeSet<String> = &wanted | &BTreeSet::from(["lowtide.1".to_owned()]);
    assert_eq!(names, wanted);
}

/// What this machine or this user has set is not in a page for everybody, and no day either.
#[test]
fn a_page_says_what_the_command_does() {
    let (dir, _) = pages();
    let page = std::fs::read_to_string(dir.path().join("lowtide-health.1")).unwrap();
    insta::assert_snapshot!(page, @r#"
    .ie \n(.g .ds Aq \(aq
    .el .ds Aq '
    .TH lowtide-health 1  "lowtide 0.1.0" lowtide
    .SH NAME
    lowtide\-health \- Is the bot of this state directory alive? For container health checks
    .SH SYNOPSIS
    \fBlowtide health\fR [\fB\-\-config\fR] [\fB\-\-listen\fR] [\fB\-\-state\fR] [\fB\-\-log\-format\fR] [\fB\-h\fR|\fB\-\-help\fR] [\fB\-V\fR|\fB\-\-version\fR] 
    .SH DESCRIPTION
    Is the bot of this state directory alive? For container health checks
    .SH OPTIONS
    .TP
    \fB\-\-config\fR \fI<CONFIG>\fR [default: /etc/lowtide/config.yml]
    Configuration: a file, or REPO#BRANCH:PATH in git
    .RS
    May also be specified with the \fBLOWTIDE_CONFIG\fR environment variable. 
    .RE
    .TP
    \fB\-\-listen\fR \fI<LISTEN>\fR
    Address of the bot; by default the one that the bot wrote into the state directory
    .RS
    May also be specified with the \fBLOWTIDE_LISTEN\fR environment variable. 
    .RE
    .TP
    \fB\-\-state\fR \fI<STATE>\fR [default: /var/lib/lowtide]
    Directory of database, logs and mirrors. A relative path starts at the current directory
    .RS
    May also be specified with the \fBLOWTIDE_STATE\fR environment variable. 
    .RE
    .TP
    \fB\-\-log\-format\fR \fI<LOG_FORMAT>\fR [default: human]
    Format of the logs on stderr
    .br

    .br
    \fIPossible values:\fR
    .RS 14
    .IP \(bu 2
    human
    .IP \(bu 2
    json
    .RE
    .RS
    May also be specified with the \fBLOWTIDE_LOG_FORMAT\fR environment variable. 
    .RE
    .TP
    \fB\-h\fR, \fB\-\-help\fR
    Print help
    .TP
    \fB\-V\fR, \fB\-\-version\fR
    Print version
    .SH VERSION
    v0.1.0
    "#);
}

#[test]
fn a_missing_directory_is_named() {
    let error = man_pages(Path::new("/nowhere/at/all")).unwrap_err();
    assert_eq!(format!("{error}"), "cannot write man pages into /nowhere/at/all");
}

#[test]
fn completions_name_every_command_that_is_shown() {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let text = String::from_utf8(script(shell)).unwrap();
        for command in commands() {
            assert!(text.contains(&command), "{shell}: {command}");
        }
    }
}

/// By the shells of this machine; bash is one of them.
#[test]
fn each_shell_reads_its_completions() {
    let dir = tempfile::tempdir().unwrap();
    let mut read = 0;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let file: PathBuf = dir.path().join(shell.to_string());
        std::fs::write(&file, script(shell)).unwrap();
        match Command::new(shell.to_string()).arg("-n").arg(&file).output() {
            Ok(output) => {
                assert!(output.status.success(), "{shell}: {output:?}");
                read += 1;
            }
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{shell}"),
        }
    }
    assert!(read > 0);
}

/// What a person gets who presses the key after `lowtide re`.
#[test]
fn bash_completes_a_command() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lowtide");
    std::fs::write(&file, script(Shell::Bash)).unwrap();
    let completion =
        r#". "$1"; COMP_WORDS=(lowtide re); COMP_CWORD=1; _lowtide lowtide re lowtide; echo "${COMPREPLY[*]}""#;
    let output = Command::new("bash")
        .args(["-c", completion, "bash"])
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let words: BTreeSet<&str> = said.split_whitespace().collect();
    assert_eq!(words, BTreeSet::from(["registry-tags", "restore", "resume", "revert"]));
}
