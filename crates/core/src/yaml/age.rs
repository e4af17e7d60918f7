//! Secrets that stand beside the configuration, encrypted with age (age-encryption.org/v1). Nothing is decrypted here: only what makes a
//! file useless for every machine is found.

use super::tree::{self, Kind, Node};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lowtide_model::secret::AgeFile;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The most that one encrypted secret may weigh: a private key with its certificates is far smaller, and each run records it.
pub const MAX_BYTES: u64 = 64 * 1024;

/// Files by their paths as the configuration writes them: what is in them, or why they cannot be read, as the end of a sentence about the path.
pub type Beside = BTreeMap<String, Result<Vec<u8>, String>>;

const INTRODUCTION: &[u8] = b"age-encryption.org/v1\n";
const ARMOR_BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";
const ARMOR_END: &str = "-----END AGE ENCRYPTED FILE-----";

/// Where encrypted secrets are looked up.
pub(crate) enum Encrypted<'a> {
    Beside {
        files: &'a Beside,
        identities: Vec<PathBuf>,
    },
    /// What a fleet's configuration has looked up before.
    Known(&'a [AgeFile]),
}

/// Why a file is of no use.
pub(crate) struct Useless {
    /// The end of a sentence about the path.
    pub(crate) why: String,
    pub(crate) hint: &'static str,
}

impl Encrypted<'_> {
    pub(crate) fn find(&self, path: &str) -> Result<AgeFile, Useless> {
        let (files, identities) = match self {
            Encrypted::Known(known) => {
                let found = known.iter().find(|file| file.path == path).cloned();
                return found.ok_or_else(missing);
            }
            Encrypted::Beside { files, identities } => (files, identities),
        };
        match files.get(path) {
            None => Err(missing()),
            Some(Err(why)) => Err(Useless {
                why: why.clone(),
                hint: "the path counts from the folder of the configuration",
            }),
            Some(Ok(bytes)) => Ok(AgeFile {
                path: path.to_owned(),
                ciphertext: ciphertext(bytes)?,
                identities: identities.clone(),
            }),
        }
    }

    /// Without an identity nothing can be decrypted.
    pub(crate) fn has_identities(&self) -> bool {
        match self {
            Encrypted::Beside { identities, .. } => !identities.is_empty(),
            Encrypted::Known(_) => true,
        }
    }
}

fn missing() -> Useless {
    Useless {
        why: "is not there".to_owned(),
        hint: "the path counts from the folder of the configuration; in git, the file is committed with it",
    }
}

/// Paths of the encrypted files that a configuration refers to, for the caller to read. A text that cannot be parsed has none.
#[must_use]
pub fn named(text: &[u8]) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    let root = super::limits::text(text).ok().and_then(|text| tree::read(text).ok());
    if let Some((root, _)) = root {
        walk(&root, &mut paths);
    }
    paths
}

fn walk(node: &Node, paths: &mut BTreeSet<String>) {
    if let [only] = node.entries()
        && only.key == "age"
        && let Kind::Scalar { text, .. } = &only.value.kind
        && is_path(text)
    {
        paths.insert(text.clone());
    }
    for entry in node.entries() {
        walk(&entry.value, paths);
    }
    if let Kind::List(items) = &node.kind {
        items.iter().for_each(|item| walk(item, paths));
    }
}

/// As [`named`], in settings that were read before.
pub(crate) fn named_in(settings: &Value, paths: &mut BTreeSet<String>) {
    match settings {
        Value::Object(map) => {
            if let (1, Some(Value::String(path))) = (map.len(), map.get("age")) {
                paths.insert(path.clone());
            }
            map.values().for_each(|value| named_in(value, paths));
        }
        Value::Array(items) => items.iter().for_each(|item| named_in(item, paths)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A path below the configuration's folder. Its end tells it from a secret that was put in its place.
pub(crate) fn is_path(text: &str) -> bool {
    text.ends_with(".age")
        && !text.contains(['\\', '\0', '\n'])
        && text.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// The binary form in Base64, if this is a file of age for recipients.
fn ciphertext(bytes: &[u8]) -> Result<String, Useless> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Useless {
            why: format!("has {} bytes: an encrypted secret has at most {MAX_BYTES}", bytes.len()),
            hint: "put one secret into one file",
        });
    }
    let no_age = || Useless {
        why: "is not encrypted with age".to_owned(),
        hint: "encrypt it: `age --encrypt --armor --recipient age1… --output FILE`; a secret that was committed in the clear has to be changed",
    };
    let binary = match std::str::from_utf8(bytes) {
        Ok(text) if text.trim_start().starts_with(ARMOR_BEGIN) => armored(text.trim()).ok_or_else(no_age)?,
        Ok(_) | Err(_) => bytes.to_vec(),
    };
    let stanzas = stanzas(&binary).ok_or_else(no_age)?;
    if stanzas.iter().any(|kind| kind == "scrypt") {
        return Err(Useless {
            why: "is encrypted with a passphrase, which lowtide cannot be asked for".to_owned(),
            hint: "encrypt it for the recipient of an identity: `age --encrypt --armor --recipient age1… --output FILE`",
        });
    }
    Ok(STANDARD.encode(binary))
}

fn armored(text: &str) -> Option<Vec<u8>> {
    let body = text.strip_prefix(ARMOR_BEGIN)?.strip_suffix(ARMOR_END)?;
    let body: String = body.lines().map(str::trim_end).collect();
    STANDARD.decode(body).ok()
}

/// For whom it is encrypted: the first word of each stanza (C2SP age.md, "Recipient stanza"). `None`: no header of age.
fn stanzas(binary: &[u8]) -> Option<Vec<String>> {
    let header = binary.strip_prefix(INTRODUCTION)?;
    let mut kinds = Vec::new();
    for line in header.split(|byte| *byte == b'\n') {
        if line.starts_with(b"---") {
            return Some(kinds);
        }
        if let Some(stanza) = line.strip_prefix(b"-> ") {
            let kind = stanza.split(|byte| *byte == b' ').next().unwrap_or_default();
            kinds.push(String::from_utf8_lossy(kind).into_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const X25519: &[u8] = b"age-encryption.org/v1\n-> X25519 a\nb\n--- c\n\x00\xff";

    fn why(bytes: &[u8]) -> String {
        ciphertext(bytes).map_or_else(|useless| useless.why, |_| "good".to_owned())
    }

    #[test]
    fn both_forms_of_a_file_are_one_reference() {
        let armor = format!("{ARMOR_BEGIN}\n{}\n{ARMOR_END}\n", STANDARD.encode(X25519));
        let binary = ciphertext(X25519).ok();
        assert!(binary.is_some());
        assert_eq!(ciphertext(armor.as_bytes()).ok(), binary);
        assert_eq!(ciphertext(armor.replace('\n', "\r\n").as_bytes()).ok(), binary);
    }

    #[test]
    fn what_no_identity_decrypts_is_said_before_one_is_tried() {
        let scrypt = b"age-encryption.org/v1\n-> scrypt a 18\nb\n--- c\n";
        let cut = format!("{ARMOR_BEGIN}\n{}\n", STANDARD.encode(X25519));
        let empty = format!("{ARMOR_BEGIN}\n!!\n{ARMOR_END}\n");
        let no_age = "is not encrypted with age";
        for (bytes, expected) in [
            (X25519, "good"),
            (
                &scrypt[..],
                "is encrypted with a passphrase, which lowtide cannot be asked for",
            ),
            (b"hunter2\n", no_age),
            (b"", no_age),
            (b"age-encryption.org/v1\n-> X25519 a\n", no_age),
            (b"age-encryption.org/v2\n-> X25519 a\nb\n--- c\n", no_age),
            (cut.as_bytes(), no_age),
            (empty.as_bytes(), no_age),
            (
                &[b'a'; 65_537],
                "has 65537 bytes: an encrypted secret has at most 65536",
            ),
        ] {
            assert_eq!(why(bytes), expected, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn the_files_that_a_text_names() {
        let text = b"version: 1\nregistries: { x.org: { password: { age: s/x.age } } }\n\
            apps: { a: { env: { age: '40', B: { age: ../out.age }, C: { age: s/c.age } }, l: [ { age: s/l.age } ] } }\n";
        assert_eq!(
            named(text).into_iter().collect::<Vec<_>>(),
            ["s/c.age", "s/l.age", "s/x.age"]
        );
        assert!(named(b"a: [").is_empty());
        assert!(named(b"\xff").is_empty());
        for bad in [
            "",
            "hunter2",
            "/a.age",
            "a/../b.age",
            "./a.age",
            "a//b.age",
            "a.age/",
            "a\\b.age",
        ] {
            assert!(!is_path(bad), "{bad}");
        }
    }
}
