//! Signatures by real gpg, each judged by lowtide and by gpgv, which must agree.

use super::gnupg::Gnupg;
use jiff::Timestamp;
use lowtide::packages::openpgp::error::SignatureError;
use lowtide::packages::openpgp::keyring::Keyring;
use lowtide::packages::openpgp::verify::{Signed, Trust};
use std::sync::Arc;

const RELEASE: &str = "Origin: Example\nSuite: stable \n- dashed\n\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n";

fn trust(keyring: &[u8]) -> Trust {
    Trust {
        keyrings: vec![Arc::new(
            Keyring::parse("etc/apt/keyrings/example.gpg", keyring).unwrap(),
        )],
        ..Trust::default()
    }
}

fn now() -> Timestamp {
    Timestamp::now()
}

/// lowtide's answer, which gpgv shares.
fn both(gnupg: &Gnupg, keyring: &[u8], file: &[u8]) -> Result<Signed, SignatureError> {
    let ours = trust(keyring).inrelease(file, now());
    assert_eq!(
        ours.is_ok(),
        gnupg.gpgv(keyring, &[file]),
        "gpgv disagrees with {ours:?}"
    );
    ours
}

/// The error's text, with the key's fingerprint taken out.
fn why(result: Result<Signed, SignatureError>, key: &str) -> String {
    result.unwrap_err().to_string().replace(key, "KEY")
}

#[test]
fn a_signed_text_is_returned_and_nothing_else() {
    let gnupg = Gnupg::new();
    for algorithm in ["ed25519", "rsa2048", "nistp256"] {
        let key = gnupg.key(&format!("{algorithm} <a@example.org>"), algorithm, "never");
        let file = gnupg.clearsign(RELEASE, &[&key]);
        let signed = both(&gnupg, &gnupg.export(&[&key]), &file).unwrap();
        // Blanks at the end of a line are not signed, so they are not returned.
        assert_eq!(signed.text, RELEASE.replace("stable ", "stable"), "{algorithm}");
        assert_eq!(signed.by, key);
        let armored = trust(&gnupg.export_armored(&[&key])).inrelease(&file, now()).unwrap();
        assert_eq!(armored, signed);
        for how in [
            &["--detach-sign"][..],
            &["--detach-sign", "--armor"],
            &["--detach-sign", "--textmode"],
        ] {
            let signature = gnupg.sign(RELEASE, &[&key], how);
            let keyring = gnupg.export(&[&key]);
            let signed = trust(&keyring).detached(RELEASE.as_bytes(), &signature, now()).unwrap();
            assert_eq!(signed.text, RELEASE);
            let changed = RELEASE.replace("stable", "testing");
            let refused = trust(&keyring).detached(changed.as_bytes(), &signature, now());
            insta::allow_duplicates! {
                insta::assert_snapshot!(why(refused, &key), @"its signature by KEY is wrong: the text was changed after it was signed");
            }
        }
    }
}

#[test]
fn a_changed_text_is_found_wherever_it_was_changed() {
    let gnupg = Gnupg::new();
    let key = gnupg.key("a@example.org", "ed25519", "never");
    let keyring = gnupg.export(&[&key]);
    let file = gnupg.clearsign(RELEASE, &[&key]);
    let body = String::from_utf8(file.clone()).unwrap().find("Origin").unwrap();
    for at in body..body + RELEASE.len() / 2 {
        let mut changed = file.clone();
        changed[at] ^= 1;
        let result = trust(&keyring).inrelease(&changed, now());
        // A flipped line end may make another line or no well-formed text; never a good signature.
        assert!(result.is_err(), "byte {at} changed: {result:?}");
    }
    let swapped = String::from_utf8(file).unwrap().replace("stable", "testing");
    insta::assert_snapshot!(why(both(&gnupg, &keyring, swapped.as_bytes()), &key), @"its signature by KEY is wrong: the text was changed after it was signed");
}

#[test]
fn the_wrong_key_is_named_and_one_right_key_is_enough() {
    let gnupg = Gnupg::new();
    let [old, new] = ["old@example.org", "new@example.org"].map(|name| gnupg.key(name, "ed25519", "never"));
    let (old_ring, new_ring) = (gnupg.export(&[&old]), gnupg.export(&[&new]));
    let by_new = gnupg.clearsign(RELEASE, &[&new]);
    let refused = trust(&old_ring).inrelease(&by_new, now());
    insta::assert_snapshot!(why(refused, &new), @"it is signed by KEY, which is in none of the keyrings: etc/apt/keyrings/example.gpg");
    let by_both = gnupg.clearsign(RELEASE, &[&old, &new]);
    for (ring, key) in [(&old_ring, &old), (&new_ring, &new)] {
        assert_eq!(trust(ring).inrelease(&by_both, now()).unwrap().by, **key);
    }
    let unsigned = trust(&old_ring).inrelease(RELEASE.as_bytes(), now());
    insta::assert_snapshot!(why(unsigned, &old), @"it is not signed");
    let mut nobody = Trust::default();
    nobody
        .unusable
        .push("usr/share/keyrings/gone.gpg is not in the image".to_owned());
    insta::assert_snapshot!(why(nobody.inrelease(&by_new, now()), &new), @"there is no key to check its signature with (usr/share/keyrings/gone.gpg is not in the image)");
}

#[test]
fn signed_by_fingerprints_restrict_to_their_keys() {
    let gnupg = Gnupg::new();
    let primary = gnupg.key_with("a@example.org", &[], &["ed25519", "cert", "never"]);
    gnupg.run(&["--quick-add-key", &primary, "ed25519", "sign", "never"], b"");
    let other = gnupg.key("b@example.org", "ed25519", "never");
    let file = gnupg.clearsign(RELEASE, &[&primary]);
    let both_keys = gnupg.export(&[&primary, &other]);
    let allowing = |fingerprints: &[&str]| {
        let mut trust = trust(&both_keys);
        trust.fingerprints = fingerprints.iter().map(|&f| f.to_owned()).collect();
        trust.inrelease(&file, now())
    };
    let Err(SignatureError::NotAllowed { key: subkey }) = allowing(&[&other]) else {
        panic!("another key than Signed-By names was taken");
    };
    assert_ne!(subkey, primary);
    assert_eq!(allowing(&[]).unwrap().by, primary);
    assert_eq!(allowing(&[&other, &primary.to_lowercase()]).unwrap().by, primary);
    assert_eq!(allowing(&[&format!("{subkey}!")]).unwrap().by, primary);
    assert!(allowing(&[&format!("{primary}!")]).is_err());
}

#[test]
fn keys_and_signatures_that_are_past_are_refused() {
    let gnupg = Gnupg::new();
    let past = ["--faked-system-time", "20240101T000000!"];
    let expired_key = gnupg.key_with("a@example.org", &past, &["ed25519", "sign", "20240301T000000"]);
    let file = gnupg.sign(RELEASE, &[&expired_key], &[past[0], past[1], "--clearsign"]);
    let keyring = gnupg.export(&[&expired_key]);
    insta::assert_snapshot!(why(both(&gnupg, &keyring, &file), &expired_key), @"the key KEY expired on 2024-03-01");
    let in_time = Timestamp::from_second(1_706_000_000).unwrap();
    assert!(trust(&keyring).inrelease(&file, in_time).is_ok());
    // The key's life is made longer, as archives do: the newest word of the key counts.
    gnupg.run(&["--quick-set-expire", &expired_key, "never"], b"");
    assert!(both(&gnupg, &gnupg.export(&[&expired_key]), &file).is_ok());

    let key = gnupg.key_with("b@example.org", &past, &["ed25519", "sign", "never"]);
    let keyring = gnupg.export(&[&key]);
    let short = gnupg.sign(
        RELEASE,
        &[&key],
        &[
            past[0],
            past[1],
            "--default-sig-expire",
            "20240301T000000",
            "--clearsign",
        ],
    );
    insta::assert_snapshot!(why(both(&gnupg, &keyring, &short), &key), @"its signature by KEY expired on 2024-03-01");
    let ahead = trust(&keyring).inrelease(&short, Timestamp::from_second(1_600_000_000).unwrap());
    insta::assert_snapshot!(why(ahead, &key), @"its signature by KEY says it was made in the future, on 2024-01-01");
}

#[test]
fn revoked_keys_and_subkeys_are_refused() {
    let gnupg = Gnupg::new();
    let key = gnupg.key("a@example.org", "ed25519", "never");
    let file = gnupg.clearsign(RELEASE, &[&key]);
    assert!(both(&gnupg, &gnupg.export(&[&key]), &file).is_ok());
    let certificate = gnupg.home().join(format!("openpgp-revocs.d/{key}.rev"));
    // gpg keeps the certificate from being used by accident with a colon.
    let certificate = std::fs::read_to_string(certificate)
        .unwrap()
        .replace(":-----BEGIN", "-----BEGIN");
    gnupg.run(&["--import"], certificate.as_bytes());
    insta::assert_snapshot!(why(both(&gnupg, &gnupg.export(&[&key]), &file), &key), @"the key KEY is revoked");
}

#[test]
fn a_forgeable_digest_and_a_small_key_are_refused() {
    let gnupg = Gnupg::new();
    let key = gnupg.key("a@example.org", "rsa2048", "never");
    let file = gnupg.sign(RELEASE, &[&key], &["--digest-algo", "SHA1", "--clearsign"]);
    insta::assert_snapshot!(why(both(&gnupg, &gnupg.export(&[&key]), &file), &key), @"its signature by KEY uses SHA1, which can be forged");
    let small = gnupg.key("b@example.org", "rsa1024", "never");
    let file = gnupg.clearsign(RELEASE, &[&small]);
    // gpgv of Debian 12 takes it; apt asks for 2048 bits since 2.9.
    let refused = trust(&gnupg.export(&[&small])).inrelease(&file, now());
    insta::assert_snapshot!(why(refused, &small), @"the key KEY is too weak: RSA with 1024 bits");
}

#[test]
fn a_subkey_counts_only_with_the_word_of_its_primary_key() {
    let gnupg = Gnupg::new();
    let primary = gnupg.key_with("a@example.org", &[], &["rsa2048", "sign", "never"]);
    gnupg.run(&["--quick-add-key", &primary, "rsa2048", "sign", "never"], b"");
    let file = gnupg.clearsign(RELEASE, &[&primary]);
    let keyring = gnupg.export(&[&primary]);
    assert!(both(&gnupg, &keyring, &file).is_ok());
    // The subkey's binding is the last packet; without it, the subkey is anyone's.
    let binding = packets(&keyring).pop().unwrap();
    let unbound = &keyring[..keyring.len() - binding];
    let result = both(&gnupg, unbound, &file);
    assert!(matches!(result, Err(SignatureError::UnknownKey { .. })), "{result:?}");
}

#[test]
fn what_is_no_keyring_is_refused_by_name() {
    let gnupg = Gnupg::new();
    let key = gnupg.key("a@example.org", "ed25519", "never");
    let said = |bytes: &[u8]| Keyring::parse("etc/apt/trusted.gpg", bytes).unwrap_err().to_string();
    let keybox = std::fs::read(gnupg.home().join("pubring.kbx")).unwrap();
    insta::assert_snapshot!(said(&keybox), @"etc/apt/trusted.gpg is a GnuPG keybox; apt reads exported keys only (gpg --export)");
    insta::assert_snapshot!(said(b""), @"etc/apt/trusted.gpg holds no public key that can be read");
    insta::assert_snapshot!(said(b"<html>"), @"etc/apt/trusted.gpg holds no public key that can be read");
    insta::assert_snapshot!(said(&vec![0; 9 << 20]), @"etc/apt/trusted.gpg is larger than 8388608 bytes");
    let whole = gnupg.export(&[&key]);
    let file = gnupg.clearsign("x\n", &[&key]);
    for cut in 0..whole.len() {
        // A key that lost its own signature is of no use to anyone, and nothing panics.
        let Ok(keyring) = Keyring::parse("etc/apt/trusted.gpg", &whole[..cut]) else {
            continue;
        };
        let keyrings = vec![Arc::new(keyring)];
        let result = Trust {
            keyrings,
            ..Trust::default()
        }
        .inrelease(&file, now());
        assert!(result.is_err(), "cut at {cut}");
    }
}

/// The lengths of all packets of a binary keyring, as `gpg --list-packets` tells their places.
fn packets(keyring: &[u8]) -> Vec<usize> {
    let gnupg = Gnupg::new();
    let listing = gnupg.run(&["--list-packets"], keyring);
    let listing = String::from_utf8_lossy(&listing).into_owned();
    let places = listing.lines().filter_map(|line| line.strip_prefix("# off="));
    let mut places: Vec<usize> = places
        .map(|rest| rest.split(' ').next().unwrap().parse().unwrap())
        .collect();
    places.push(keyring.len());
    places.windows(2).map(|pair| pair[1] - pair[0]).collect()
}
