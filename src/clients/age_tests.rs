use super::*;
use age::secrecy::ExposeSecret as _;
use age::x25519;
use lowtide_model::secret::SecretRef;
use std::path::PathBuf;

struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self, name: &str, text: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn identity(&self, name: &str, key: &x25519::Identity) -> PathBuf {
        let text = format!("# created: today\n\n{}\n", key.to_string().expose_secret());
        self.file(name, text.as_bytes())
    }
}

fn encrypted(key: &x25519::Identity, plaintext: &[u8], identities: &[PathBuf]) -> AgeFile {
    AgeFile {
        path: "secrets/it.age".to_owned(),
        ciphertext: STANDARD.encode(age::encrypt(&key.to_public(), plaintext).unwrap()),
        identities: identities.to_vec(),
    }
}

#[test]
fn the_identity_that_fits_decrypts() {
    let world = World::new();
    let (ours, other) = (x25519::Identity::generate(), x25519::Identity::generate());
    let (ours_file, other_file) = (world.identity("ours", &ours), world.identity("other", &other));
    let missing = world.folder.path().join("missing");
    for (plaintext, expected) in [
        ("hunter2", "hunter2"),
        ("hunter2\n", "hunter2"),
        ("a\n\n", "a\n"),
        ("", ""),
    ] {
        let file = encrypted(
            &ours,
            plaintext.as_bytes(),
            &[missing.clone(), other_file.clone(), ours_file.clone()],
        );
        assert_eq!(decrypt(&file).unwrap().expose(), expected);
    }
    let both = std::fs::read(&other_file).unwrap();
    let both = world.file("both", &[both, std::fs::read(&ours_file).unwrap()].concat());
    assert_eq!(decrypt(&encrypted(&ours, b"x", &[both])).unwrap().expose(), "x");
}

#[test]
fn what_does_not_fit_is_said_without_its_content() {
    let world = World::new();
    let (ours, other) = (x25519::Identity::generate(), x25519::Identity::generate());
    let secret = other.to_string();
    let secret = secret.expose_secret();
    let typo = world.file("typo", format!("{}x\n", secret.to_lowercase()).as_bytes());
    let words = |path: PathBuf| {
        let why = decrypt(&encrypted(&ours, b"hunter2", &[path])).unwrap_err();
        assert!(
            !why.contains("hunter2") && !why.to_uppercase().contains(secret),
            "{why}"
        );
        why.replace(&world.folder.path().display().to_string(), "")
    };
    let mut told = vec![
        words(world.folder.path().join("missing")),
        words(world.identity("other", &other)),
        words(typo),
        words(world.file("empty", b"# nothing\n")),
        words(world.file("ssh", b"-----BEGIN OPENSSH PRIVATE KEY-----\n")),
        words(world.file("passphrase", b"age-encryption.org/v1\n-> scrypt a 18\n")),
        words(world.file("plugin", b"AGE-PLUGIN-YUBIKEY-1QQQ\n")),
        words(world.file("binary", b"\xff\xfe")),
    ];
    let fits = world.identity("ours", &ours);
    let binary = encrypted(&ours, b"\xff", std::slice::from_ref(&fits));
    told.push(decrypt(&binary).unwrap_err());
    let mut damaged = encrypted(&ours, b"hunter2", std::slice::from_ref(&fits));
    let mut bytes = STANDARD.decode(&damaged.ciphertext).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    damaged.ciphertext = STANDARD.encode(bytes);
    told.push(decrypt(&damaged).unwrap_err());
    insta::assert_snapshot!(told.join("\n"), @"
    cannot be decrypted: /missing cannot be read: No such file or directory (os error 2)
    cannot be decrypted: not encrypted for /other
    cannot be decrypted: /typo is no file of identities: identity file contains non-identity data on line 1
    cannot be decrypted: /empty has no identity in it
    cannot be decrypted: /ssh is a private key of another kind: lowtide reads identities that age-keygen makes
    cannot be decrypted: /passphrase is encrypted with a passphrase, which lowtide cannot be asked for
    cannot be decrypted: /plugin has an identity of a plugin: lowtide reads identities that age-keygen makes
    cannot be decrypted: /binary cannot be read: stream did not contain valid UTF-8
    is not UTF-8 text when it is decrypted
    is damaged: it cannot be decrypted
    ");
}

#[test]
fn a_reference_is_told_by_its_path() {
    let file = encrypted(&x25519::Identity::generate(), b"hunter2", &[]);
    assert_eq!(SecretRef::Age(file).to_string(), "encrypted file secrets/it.age");
}
