//! An `APKINDEX.tar.gz` signed as abuild-sign does it: openssl over the index member, the signature in a member before.

use super::site::{Site, Trick, client, gzip, limits};
use lowtide::packages::families::apk::index::Index;
use lowtide::packages::families::apk::pending::{Repository, pending};
use lowtide::packages::families::apk::signature::{ApkSignatureError, index, verify};
use lowtide::packages::families::apk::state::ApkState;
use lowtide::runtime::archives::visit::Archives;
use lowtide::runtime::families::apk::indexes::{ApkRepositories, ApkResult, ApkWanted};
use lowtide::store::archives::ArchiveCache;
use lowtide::store::survey_cache::SurveyCache;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

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

#[test]
fn only_a_key_of_the_image_makes_an_index_good() {
    let maker = Maker::new();
    let packed = gzip(&tar("APKINDEX", b"P:musl\nV:1.2.5-r0\n\n"));
    for kind in ["RSA", "RSA256"] {
        let file = maker.sign(kind, &packed);
        assert_eq!(verify(&file, &maker.keys()).unwrap(), packed, "{kind}");
        assert_eq!(index(&packed).unwrap(), b"P:musl\nV:1.2.5-r0\n\n");
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
    assert_eq!(verify(&packed, &maker.keys()), Err(ApkSignatureError::Unsigned));
}

#[test]
fn an_image_believes_its_keys_and_takes_what_they_signed() {
    let maker = Maker::new();
    let musl = |version: &str, sum: &str| format!("C:Q1{sum}\nP:musl\nV:{version}\nA:x86_64\nI:1\no:musl\n\n");
    let new = musl("1.2.5-r1", "hdUpqRv5mYgJEqW52UmVsvmyysE=");
    let file = maker.sign("RSA", &gzip(&tar("APKINDEX", new.as_bytes())));
    let key = std::fs::read(maker.path("pub")).unwrap();
    let state = ApkState::read(&BTreeMap::from([
        (format!("etc/apk/keys/{NAME}"), key),
        ("etc/apk/world".to_owned(), b"musl\n".to_vec()),
        (
            "etc/apk/repositories".to_owned(),
            b"https://dl.example.org/main\n".to_vec(),
        ),
        (
            "lib/apk/db/installed".to_owned(),
            musl("1.2.5-r0", "C4uoV7SdMdDhYg4OCVmI71D8HIA=").into_bytes(),
        ),
    ]))
    .unwrap();
    let text = verify(&file, &state.keys).and_then(index).unwrap();
    let index = Index::parse(&text).unwrap();
    let source = &state.repositories[0];
    let found = pending(&state, &[Repository { source, index: &index }]).unwrap();
    let upgrade = &found.upgrades[0];
    assert_eq!(
        (upgrade.package.as_str(), upgrade.candidate.as_str()),
        ("musl", "1.2.5-r1")
    );
    assert_eq!(upgrade.origin, "https://dl.example.org/main");
}

#[tokio::test]
async fn a_repository_is_queried_once_for_all_images_and_judged_by_the_keys_of_each() {
    let site = Site::new().await;
    let state = tempfile::tempdir().unwrap();
    let archives = Archives::new(
        client(limits()),
        ArchiveCache::new(state.path(), 1 << 30),
        SurveyCache::of(state.path()),
    );
    let (maker, stranger) = (Maker::new(), Maker::new());
    let path = "v3/main/x86_64/APKINDEX.tar.gz";
    site.put(path, maker.sign("RSA", &gzip(&tar("APKINDEX", b"P:musl\n"))));
    let wanted = |keys| ApkWanted {
        repository: format!("{}/v3/main", site.address),
        architecture: "x86_64".to_owned(),
        keys: Arc::new(keys),
    };
    let images = [wanted(maker.keys()), wanted(stranger.keys()), wanted(maker.keys())];
    let said = async || -> Vec<String> {
        let visit = archives.visit(jiff::Timestamp::MAX, jiff::Timestamp::UNIX_EPOCH);
        let results = ApkRepositories.indexes(visit).results(&images).await;
        let said = results.iter().map(|result| match result {
            ApkResult::Known(text) => String::from_utf8_lossy(text).into_owned(),
            ApkResult::Unknown { source, why } => format!("{source}: {why}"),
        });
        said.map(|text| text.replace(&site.address, "SITE")).collect()
    };
    insta::assert_debug_snapshot!(said().await, @r#"
    [
        "P:musl\n",
        "SITE/v3/main: its index is not believed: its signature by maker@example.org-5f0c1c42.rsa.pub is wrong: the index was changed after it was signed",
        "P:musl\n",
    ]
    "#);
    said().await;
    assert_eq!(
        site.seen(),
        [
            "/v3/main/x86_64/APKINDEX.tar.gz -> 200",
            "/v3/main/x86_64/APKINDEX.tar.gz -> 304"
        ]
    );
    site.trick(path, Trick::Page("<html>Log in</html>"));
    let page = said().await.remove(0);
    assert!(page.contains("is a web page, not an index"), "{page}");
    site.honest();
    site.put(path, gzip(&tar("APKINDEX", b"P:musl\n")));
    insta::assert_snapshot!(said().await[0], @"SITE/v3/main: its index is not believed: it is not signed");
    site.put(path, maker.sign("RSA", &gzip(&tar("README", b""))));
    insta::assert_snapshot!(said().await[0], @"SITE/v3/main: its index is not believed: its index cannot be unpacked: there is no APKINDEX in it");
}
