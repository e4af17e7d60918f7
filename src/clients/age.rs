//! Decrypting secrets that stand encrypted beside the configuration. Errors name files and lines, never what is in them.

use age::{DecryptError, Decryptor, Identity, IdentityFile};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lowtide_model::secret::{AgeFile, Secret};
use std::io::{self, Read};
use std::path::Path;

/// The most that is read of a file of identities: a line of one is about 80 bytes.
const MAX_IDENTITIES: u64 = 64 * 1024;

type Identities = Vec<Box<dyn Identity + Send + Sync>>;

/// The secret, by the first identity that fits. One that cannot be read matters only if no other fits.
///
/// # Errors
/// Why not, as the end of a sentence about the file.
pub(super) fn decrypt(file: &AgeFile) -> Result<Secret, String> {
    let damaged = || "is damaged: it cannot be decrypted".to_owned();
    let ciphertext = STANDARD.decode(&file.ciphertext).map_err(|_| damaged())?;
    let mut tried = Vec::new();
    for path in &file.identities {
        let identities = match identities(path) {
            Ok(identities) => identities,
            Err(why) => {
                tried.push(format!("{} {why}", path.display()));
                continue;
            }
        };
        match plaintext(&ciphertext, &identities) {
            Ok(plaintext) => {
                let text = String::from_utf8(plaintext);
                return text
                    .map(Secret::of_file)
                    .map_err(|_| "is not UTF-8 text when it is decrypted".to_owned());
            }
            Err(DecryptError::NoMatchingKeys) => tried.push(format!("not encrypted for {}", path.display())),
            Err(_) => return Err(damaged()),
        }
    }
    Err(format!("cannot be decrypted: {}", tried.join("; ")))
}

fn plaintext(ciphertext: &[u8], identities: &Identities) -> Result<Vec<u8>, DecryptError> {
    let decryptor = Decryptor::new(ciphertext)?;
    let identities = identities.iter().map(|identity| &**identity as &dyn Identity);
    let mut plaintext = Vec::new();
    decryptor.decrypt(identities)?.read_to_end(&mut plaintext)?;
    Ok(plaintext)
}

fn identities(path: &Path) -> Result<Identities, String> {
    let unreadable = |error: io::Error| format!("cannot be read: {error}");
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_IDENTITIES)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if text.starts_with("age-encryption.org/") || text.starts_with("-----BEGIN AGE ENCRYPTED FILE") {
        return Err("is encrypted with a passphrase, which lowtide cannot be asked for".to_owned());
    }
    if text.starts_with("-----BEGIN ") {
        return Err("is a private key of another kind: lowtide reads identities that age-keygen makes".to_owned());
    }
    if text.lines().any(|line| line.starts_with("AGE-PLUGIN-")) {
        return Err("has an identity of a plugin: lowtide reads identities that age-keygen makes".to_owned());
    }
    // The crate's own words name the line alone.
    let read =
        IdentityFile::from_buffer(text.as_bytes()).map_err(|error| format!("is no file of identities: {error}"))?;
    let identities = read
        .into_identities()
        .map_err(|_| "is no file of identities".to_owned())?;
    if identities.is_empty() {
        return Err("has no identity in it".to_owned());
    }
    Ok(identities)
}

#[cfg(test)]
#[path = "age_tests.rs"]
mod tests;
