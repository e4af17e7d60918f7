//! An `APKINDEX.tar.gz` signed as abuild-sign does it: openssl over the index member, the signature in a member before.

use lowtide::packages::apk_signature::{ApkSignatureError, verify};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

const NAME: &str = "maker@example.org-5f0c1c42.rsa.pub";

struct Maker {
    folder: tempfile::TempDir,
}

impl Maker {
    fn new() -> Self {
        let maker = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        maker.openssl(&["genrsa", "-out", "key", "2048"]);
        maker.openssl(&["rsa", "-in", "key", "-pubout", "-out", "pub"]);
        maker
    }

    fn openssl(&self, args: &[&str]) {
        let done = Command::new("openssl")
            .args(args)
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        assert!(done.status.success(), "openssl {args:?}: {done:?}");
    }

    fn keys(&self) -> BTreeMap<String, Vec<u8>> {
        BTreeMap::from([(NAME.to_owned(), std::fs::read(self.path("pub")).unwrap())])
    }

    /// `kind`: `RSA` or `RSA256`.
    fn sign(&self, kind: &str, index: &[u8]) -> Vec<u8> {
        std::fs::write(self.path("index"), index).unwrap();
        let digest = if kind == "RSA" { "-sha1" } else { "-sha256" };
        self.openssl(&["dgst", digest, "-sign", "key", "-out", "signature", "index"]);
        let signature = std::fs::read(self.path("signature")).unwrap();
        let mut head = tar(&format!(".SIGN.{kind}.{NAME}"), &signature);
        // Without tar's end, so that what follows continues it.
        head.truncate(head.len() - 1024);
        [gzip(&head), index.to_vec()].concat()
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        Path::new(self.folder.path()).join(name)
    }
}

fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, content).unwrap();
    tar.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut member = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    member.write_all(bytes).unwrap();
    member.finish().unwrap()
}

#[test]
fn only_a_key_of_the_image_makes_an_index_good() {
    let maker = Maker::new();
    let index = gzip(&tar("APKINDEX", b"P:musl\nV:1.2.5-r0\n\n"));
    for kind in ["RSA", "RSA256"] {
        let file = maker.sign(kind, &index);
        assert_eq!(verify(&file, &maker.keys()).unwrap(), index, "{kind}");
        let mut flipped = file.clone();
        *flipped.last_mut().unwrap() ^= 1;
        assert_eq!(
            verify(&flipped, &maker.keys()),
            Err(ApkSignatureError::Bad { key: NAME.to_owned() })
        );
        assert_eq!(
            verify(&file[..file.len() - 1], &maker.keys()),
            Err(ApkSignatureError::Bad { key: NAME.to_owned() })
        );
        assert!(matches!(
            verify(&file, &BTreeMap::new()),
            Err(ApkSignatureError::UnknownKey { .. })
        ));
        assert!(matches!(
            verify(&file, &Maker::new().keys()),
            Err(ApkSignatureError::Bad { .. })
        ));
    }
    assert_eq!(verify(&index, &maker.keys()), Err(ApkSignatureError::Unsigned));
}
