//! Which keys an image trusts for one of its sources (apt-secure(8); `Signed-By` in sources.list(5)).

use crate::openpgp::error::KeyringError;
use crate::openpgp::keyring::Keyring;
use crate::openpgp::verify::Trust;
use lowtide_apt::sources::{SignedBy, Source};
use std::collections::BTreeMap;
use std::sync::Arc;

const TRUSTED: &str = "etc/apt/trusted.gpg";
const TRUSTED_FOLDER: &str = "etc/apt/trusted.gpg.d/";

/// Keyrings that were read already: a fleet's images carry the same few files over and over.
#[derive(Debug, Default)]
pub struct Keyrings {
    /// By content.
    read: BTreeMap<Vec<u8>, ByName>,
}

type ByName = BTreeMap<String, Result<Arc<Keyring>, KeyringError>>;

impl Keyrings {
    /// The keys for `source`, out of the image's files (paths without leading slash; see
    /// [`lowtide_apt::state::WANTED`]). Keyrings that are missing or cannot be read are named in the result; apt, too,
    /// goes on without them.
    pub fn trust(&mut self, source: &Source, files: &BTreeMap<String, Vec<u8>>) -> Trust {
        let mut trust = Trust::default();
        let listed = match &source.options.signed_by {
            Some(SignedBy::Inline(key)) => {
                self.add(
                    &mut trust,
                    &format!("Signed-By in {}", source.place.file),
                    key.as_bytes(),
                );
                return trust;
            }
            Some(SignedBy::Listed(listed)) => listed.as_slice(),
            None => &[],
        };
        let (paths, fingerprints): (Vec<_>, Vec<_>) = listed.iter().partition(|entry| entry.starts_with('/'));
        trust.fingerprints = fingerprints.into_iter().cloned().collect();
        if paths.is_empty() {
            self.trusted(&mut trust, files);
        }
        for path in paths {
            let path = path.trim_start_matches('/');
            match files.get(path) {
                Some(bytes) => self.add(&mut trust, path, bytes),
                None => trust.unusable.push(format!("{path} is not in the image")),
            }
        }
        trust
    }

    /// What every source without a keyring of its own trusts.
    fn trusted(&mut self, trust: &mut Trust, files: &BTreeMap<String, Vec<u8>>) {
        let folder = files.range(TRUSTED_FOLDER.to_owned()..);
        let folder = folder.take_while(|(path, _)| path.starts_with(TRUSTED_FOLDER));
        let folder = folder.filter(|(path, _)| path.ends_with(".gpg") || path.ends_with(".asc"));
        for (path, bytes) in files.get_key_value(TRUSTED).into_iter().chain(folder) {
            // Debian's tools leave an empty trusted.gpg behind.
            if !bytes.is_empty() {
                self.add(trust, path, bytes);
            }
        }
    }

    fn add(&mut self, trust: &mut Trust, name: &str, bytes: &[u8]) {
        let known = self.read.get(bytes).and_then(|by_name| by_name.get(name)).cloned();
        let keyring = known.unwrap_or_else(|| {
            let keyring = Keyring::parse(name, bytes).map(Arc::new);
            let by_name = self.read.entry(bytes.to_vec()).or_default();
            by_name.insert(name.to_owned(), keyring.clone());
            keyring
        });
        match keyring {
            Ok(keyring) => trust.keyrings.push(keyring),
            Err(error) => trust.unusable.push(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowtide_apt::sources;

    /// Which keyrings, which fingerprints, what could not be used.
    fn trust(line: &str, files: &[(&str, &[u8])]) -> (usize, Vec<String>, Vec<String>) {
        let mut all = sources::parse(line.as_bytes(), "etc/apt/sources.list", "amd64").unwrap();
        let files = files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec()));
        let trust = Keyrings::default().trust(&all.remove(0), &files.collect());
        (trust.keyrings.len(), trust.fingerprints, trust.unusable)
    }

    #[test]
    fn sources_are_checked_by_the_keyrings_they_name_and_others_by_the_common_ones() {
        let files: &[(&str, &[u8])] = &[
            ("etc/apt/trusted.gpg", b""),
            ("etc/apt/trusted.gpg.d/a.gpg", b"a"),
            ("etc/apt/trusted.gpg.d/b.asc", b"b"),
            ("etc/apt/trusted.gpg.d/c.txt", b"c"),
            ("usr/share/keyrings/own.gpg", b"\0\0\0\0\0\0\0\0KBXf"),
        ];
        let unusable = |line: &str| trust(line, files).2;
        insta::assert_debug_snapshot!(unusable("deb http://deb.example.org/debian stable main"), @r#"
        [
            "etc/apt/trusted.gpg.d/a.gpg holds no public key that can be read",
            "etc/apt/trusted.gpg.d/b.asc holds no public key that can be read",
        ]
        "#);
        insta::assert_debug_snapshot!(
            unusable("deb [signed-by=/usr/share/keyrings/own.gpg,/usr/share/keyrings/gone.gpg] http://deb.example.org/ stable main"),
            @r#"
        [
            "usr/share/keyrings/own.gpg is a GnuPG keybox; apt reads exported keys only (gpg --export)",
            "usr/share/keyrings/gone.gpg is not in the image",
        ]
        "#
        );
        let fingerprint = "4D64FEC119C2029067D6E791F8D2585B8783D481";
        let (_, fingerprints, unusable) = trust(
            &format!("deb [signed-by={fingerprint}!] http://deb.example.org/debian stable main"),
            files,
        );
        assert_eq!(fingerprints, [format!("{fingerprint}!")]);
        assert_eq!(unusable.len(), 2);
    }
}
