//! Secrets that the age program encrypted, for identities that age-keygen made.

use super::{GOOD, code, lowtide, out, with};
use lowtide::clients::secrets;
use lowtide::config::validate::{fleet_beside, secrets as secrets_of};
use lowtide::yaml::age::Beside;
use std::path::Path;
use std::process::{Command, Stdio};

fn run(dir: &Path, program: &str, args: &[&str]) -> String {
    let mut command = Command::new(program);
    let done = command
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8(done.stdout).unwrap()
}

/// An identity in a file of this name; the recipient.
fn identity(dir: &Path, name: &str) -> String {
    run(dir, "age-keygen", &["-o", name]);
    run(dir, "age-keygen", &["-y", name]).trim().to_owned()
}

fn encrypt(dir: &Path, plaintext: &str, to: &str, args: &[&str]) {
    std::fs::write(dir.join("plain"), plaintext).unwrap();
    run(dir, "age", &[args, &["-o", to, "plain"]].concat());
}

fn config(dir: &Path, file: &str) -> String {
    let dir = dir.display();
    format!(
        "{GOOD}age: {{ identities: [{dir}/other.key, {dir}/our.key] }}\n\
         registries: {{ x.org: {{ username: bot, password: {{ age: secrets/{file} }} }} }}\n"
    )
}

fn value(dir: &Path, file: &str) -> Result<String, String> {
    let (path, bytes) = (format!("secrets/{file}"), std::fs::read(dir.join("secrets").join(file)));
    let beside = Beside::from([(path, Ok(bytes.unwrap()))]);
    let fleet = fleet_beside(config(dir, file).as_bytes(), &beside).map_err(|problems| problems[0].message.clone())?;
    let found = secrets_of(&fleet);
    let value = secrets::read(&found[0].1).map_err(|failure| failure.detail)?;
    Ok(value.expose().to_owned())
}

#[test]
fn what_age_encrypts_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (ours, other) = (identity(dir, "our.key"), identity(dir, "other.key"));
    let strange = identity(dir, "strange.key");
    run(dir, "ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", "ssh"]);
    std::fs::create_dir(dir.join("secrets")).unwrap();
    let long = "x".repeat(40_000);
    for (n, (plaintext, args)) in [
        ("hunter2", vec!["-r", &ours]),
        ("hunter2\n", vec!["-a", "-r", &ours]),
        ("two\nlines\n\n", vec!["-a", "-r", &strange, "-r", &ours]),
        ("other", vec!["-r", &other, "-R", "ssh.pub"]),
        ("", vec!["-r", &ours]),
        (&long, vec!["-a", "-r", &ours]),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("{n}.age");
        encrypt(dir, plaintext, &format!("secrets/{name}"), &args);
        let expected = plaintext.strip_suffix('\n').unwrap_or(plaintext);
        assert_eq!(value(dir, &name).as_deref(), Ok(expected), "{args:?}");
    }
    encrypt(dir, "hunter2", "secrets/strange.age", &["-r", &strange]);
    encrypt(dir, "hunter2", "secrets/ssh.age", &["-R", "ssh.pub"]);
    encrypt(dir, &"x".repeat(70_000), "secrets/large.age", &["-r", &ours]);
    let shown = dir.display();
    for name in ["strange", "ssh"] {
        let expected = format!(
            "encrypted file secrets/{name}.age cannot be decrypted: \
             not encrypted for {shown}/other.key; not encrypted for {shown}/our.key"
        );
        assert_eq!(value(dir, &format!("{name}.age")), Err(expected));
    }
    assert!(value(dir, "large.age").unwrap_err().contains("at most 65536"));
}

#[test]
fn check_decrypts_what_it_can_and_names_the_place_of_what_it_cannot() {
    let dir = with(GOOD);
    let dir = dir.path();
    let ours = identity(dir, "our.key");
    identity(dir, "other.key");
    std::fs::write(dir.join("config.yml"), config(dir, "it.age")).unwrap();
    let check = |args: &[&str]| {
        let check = lowtide(dir, args);
        let all = format!("{}{}", out(&check), String::from_utf8_lossy(&check.stderr));
        assert!(!all.contains("hunter2") && !all.contains("AGE-SECRET"), "{all}");
        (code(&check), all)
    };
    let (missing, words) = check(&["check", "--no-secrets"]);
    assert_eq!(missing, 3, "{words}");
    assert!(
        words.contains("the file of `registries.x.org.password` is not there"),
        "{words}"
    );
    std::fs::create_dir(dir.join("secrets")).unwrap();
    encrypt(dir, "hunter2\n", "secrets/it.age", &["-a", "-r", &ours]);
    assert_eq!(check(&["check"]).0, 0);
    let (_, plan) = check(&["plan", "--json"]);
    // The beginning of the encrypted file, as a reference has it.
    assert!(!plan.contains("YWdlLWVuY3J5cHRpb24"), "{plan}");
    std::fs::remove_file(dir.join("our.key")).unwrap();
    let (unread, words) = check(&["check"]);
    assert_eq!(unread, 3, "{words}");
    assert!(words.contains("config.yml:7:56]"), "{words}");
    assert!(words.contains("our.key cannot be read"), "{words}");
    assert_eq!(check(&["check", "--no-secrets"]).0, 0);
}

#[test]
fn in_git_a_secret_is_of_the_commit_of_its_configuration() {
    let dir = with(GOOD);
    let dir = dir.path();
    let ours = identity(dir, "our.key");
    identity(dir, "other.key");
    let work = dir.join("work");
    std::fs::create_dir_all(work.join("fleet/secrets")).unwrap();
    run(&work, "git", &["init", "-q", "-b", "main"]);
    let git = |args: &[&str]| {
        run(
            &work,
            "git",
            &[&["-c", "user.name=t", "-c", "user.email=t@x.org"], args].concat(),
        )
    };
    std::fs::write(work.join("fleet/lowtide.yml"), config(dir, "it.age")).unwrap();
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "without"]);
    let place = format!("file://{}#main:fleet/lowtide.yml", work.display());
    let check = |args: &[&str]| {
        let check = lowtide(dir, &[args, &["--config", &place]].concat());
        (
            code(&check),
            format!("{}{}", out(&check), String::from_utf8_lossy(&check.stderr)),
        )
    };
    let (absent, words) = check(&["check", "--no-secrets"]);
    assert_eq!(absent, 3, "{words}");
    assert!(words.contains("is not in the commit of the configuration"), "{words}");
    // In the work tree alone it does not count.
    encrypt(dir, "hunter2\n", "work/fleet/secrets/it.age", &["-a", "-r", &ours]);
    assert_eq!(check(&["check", "--no-secrets"]).0, 3);
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "with"]);
    let (good, words) = check(&["check"]);
    assert_eq!(good, 0, "{words}");
}
